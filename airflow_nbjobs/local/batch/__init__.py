"""Transform and processing jobs."""
