"""For the test of ``forks.py``: tells what it was asked, and who it is."""

import os


def measured(arguments):
    print("a line of a log, which is no result")  # noqa: T201
    if arguments.get("fails"):
        raise ValueError("the probe's own words")
    return {"told": arguments, "parent": os.getppid(), "process": os.getpid()}
