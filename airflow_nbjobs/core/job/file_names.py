"""
Names of a job's files, as the pages offer them: what a notebook has named, told apart from places that a system would be led to.

Pure.
"""

from __future__ import annotations

from airflow_nbjobs.core.visible import visible

LONGEST_NAME = 1024  # bytes, of a key in S3 as well
# A text may have lines; a name has one.
_LINE_ENDS = str.maketrans("\t\n\r", "\u2409\u240a\u240d")


def shown_name(name: str) -> str | None:
    """
    Return a file's name with marks in place of what is unseen in it; None where it is no name of a file below a folder.

    ``./a/b`` is ``a/b``. Names are refused that are absolute, lead up, or are too long, and those with a backslash or a drive, which another system
    takes for a place.
    """
    while name.startswith("./"):
        name = name[2:]
    shown = visible(name).translate(_LINE_ENDS)
    parts = shown.split("/")
    is_place = any(part in ("", ".", "..") for part in parts) or "\\" in shown or (len(shown) > 1 and shown[1] == ":")
    return None if is_place or len(shown.encode()) > LONGEST_NAME else shown
