"""A job's container: its environment, image, kernels and isolation."""
