"""One notebook job: arguments, spec, name, status, adoption, queueing, and who owns it."""
