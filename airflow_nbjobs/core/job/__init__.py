"""One notebook job: arguments, spec, name, status, adoption, submission, XComs, and who owns it."""
