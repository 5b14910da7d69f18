"""What a notebook is and does, read without running it: document, source, targets of ``%run``, progress, the failing cell."""
