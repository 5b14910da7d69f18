"""Waiting for many jobs with few calls, and reading what their containers log."""
