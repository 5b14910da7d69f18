"""When to poll waiting jobs, by which calls, and which lines of their logs a person wants."""
