"""What ``nbjobs prices`` does."""
