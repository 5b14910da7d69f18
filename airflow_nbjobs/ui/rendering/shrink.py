"""
A notebook file of any size as one that can be parsed: long texts beyond a budget are cut out of the JSON before it is read.

Called by ``worker.py``. The file is mapped, not read: of a 200 MB notebook only what is kept comes into memory.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CUT_MARK = "airflow-nbjobs:cut:"  # begins the text that stands for a text cut out; its length follows
WHOLE_BYTES = 24 * 1024 * 1024  # files up to this size are read as they are
LONGEST_BYTES = 256 * 1024 * 1024  # what the worker copies at most as well (``aws/results.py``)
_LONG_BYTES = 64 * 1024
_KEPT_BYTES = 16 * 1024 * 1024  # of long texts, in the order of the file
_REST_BYTES = 64 * 1024 * 1024  # of everything else: a million short lines would be parsed one by one
# Possessive: a JSON text is matched once, from its opening quote, and never gone back into.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class TooLargeError(Exception):
    """The notebook cannot be shown in part either; the text says why."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """
    The JSON to parse.

    :param cut_bytes: how much was cut out; 0 for a file that is whole.
    """

    text: bytes
    cut_bytes: int = 0


def shrink(path: Path) -> Shrunk:
    """
    Return the file's JSON, without long texts beyond 16 MiB of them if the file has more than 24 MiB.

    :raises TooLargeError: it has more than 256 MiB, or more than 64 MiB of short texts.
    """
    size = path.stat().st_size
    if size > LONGEST_BYTES:
        raise TooLargeError(f"it has {_mebibytes(size)}; up to {_mebibytes(LONGEST_BYTES)} can be shown")
    if size <= WHOLE_BYTES:
        return Shrunk(path.read_bytes())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        long_texts = [found.span() for found in _TEXT.finditer(mapped) if found.end() - found.start() > _LONG_BYTES]
        rest = size - sum(end - start for start, end in long_texts)
        if rest > _REST_BYTES:
            raise TooLargeError(
                f"it has {_mebibytes(rest)} of short lines; up to {_mebibytes(_REST_BYTES)} of them can be shown"
            )
        pieces: list[bytes] = []
        kept = position = cut = 0
        for start, end in long_texts:
            if kept + end - start <= _KEPT_BYTES:
                kept += end - start
                continue
            pieces += [mapped[position:start], f'"{CUT_MARK}{end - start - 2}"'.encode()]
            position = end
            cut += end - start - 2
        pieces.append(mapped[position:])
        return Shrunk(b"".join(pieces), cut)


def cut_length(text: str) -> int | None:
    """Return how many bytes of JSON this text stands for; None where it is a text of the notebook's own."""
    length = text.removeprefix(CUT_MARK)
    return int(length) if length != text and length.isdecimal() and len(length) < 12 else None


def _mebibytes(count: int) -> str:
    return f"{count / 1024**2:.0f} MiB"
