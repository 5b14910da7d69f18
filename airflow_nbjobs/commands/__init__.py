"""What the `nbjobs` console script does, one module a command."""
