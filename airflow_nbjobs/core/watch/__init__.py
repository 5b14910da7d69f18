"""When to look at waiting jobs, by which calls, and which lines of their logs a person wants."""
