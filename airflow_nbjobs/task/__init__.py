"""Around one task, in a worker: prepare, submit, follow and finish one try of it."""
