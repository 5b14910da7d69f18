"""The executed notebook of a task: found, read, rendered by another process, and kept."""
