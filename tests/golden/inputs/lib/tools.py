"""A module that a notebook brings along."""
