"""Faults that a test can switch on."""
