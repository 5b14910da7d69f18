"""
A notebook file of any size, made small enough to parse: long texts beyond a budget are cut out of the JSON first.

Called by ``worker.py``. The file is mapped, not read: of a 200 MB notebook only what is kept comes into memory.
"""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode

CUT_MARK = "airflow-nbjobs:cut:"  # begins the text that stands for a text cut out; its length follows, and on lines of their own its beginning and end
WHOLE_BYTES = 24 * 1024 * 1024  # files up to this size are read as they are
LONGEST_BYTES = 256 * 1024 * 1024  # what the worker copies at most as well (``aws/results/read.py``)
_LONG_BYTES = 64 * 1024
_KEPT_BYTES = 16 * 1024 * 1024  # of long texts, in the order of the file
_REST_BYTES = 64 * 1024 * 1024  # of everything else: a million short lines would be parsed one by one
_EXCERPT_BYTES = 8 * 1024  # of a text's beginning and of its end
# Possessive: a JSON text is matched once, from its opening quote, and never gone back into.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class TooLargeError(Exception):
    """The notebook cannot be shown in part either; the text says why."""


class Shrunk(msgspec.Struct, frozen=True):
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
            pieces += [mapped[position:start], _stand_in(mapped[start + 1 : end - 1])]
            position = end
            cut += end - start - 2
        pieces.append(mapped[position:])
        return Shrunk(b"".join(pieces), cut)


def _stand_in(text: bytes) -> bytes:
    """Return the JSON text that stands for a long one, which is given without its quotes."""
    head = text[:_EXCERPT_BYTES].decode("utf-8", "ignore")
    # Not within an escape: neither what begins one at the end nor the rest of one at the beginning.
    head = re.sub(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?$", r"\1", head)
    tail = text[-_EXCERPT_BYTES:].decode("utf-8", "ignore")
    whole = re.search(r"[^\\](?=[^\\\"])", tail)
    tail = tail[whole.end() :] if whole else ""
    return f'"{CUT_MARK}{len(text)}\\n{head}\\n… {len(text) / 1024**2:.1f} MB are left out here; they are in the .ipynb …\\n{tail}"'.encode()


def with_excerpts(notebook: NotebookNode) -> bool:
    """
    Put what is kept of the texts that were cut out in their place, where a person reads them: in streams, errors and the text form of outputs.

    Return whether there are any.
    """
    has_any = False
    cells = notebook.get("cells")
    for cell in cells if isinstance(cells, list) else ():
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            data = output.get("data") if isinstance(output, dict) else None
            for holder, names in ((output, ("text", "evalue", "traceback")), (data, ("text/plain",))):
                if isinstance(holder, dict):
                    read = {name: _excerpt(holder[name]) for name in names if name in holder}
                    has_any = has_any or any(holder[name] != text for name, text in read.items())
                    holder.update(read)
    return has_any


def _excerpt(value: object) -> object:
    if isinstance(value, list):
        return [_excerpt(line) for line in value]
    return value.partition("\n")[2] if isinstance(value, str) and cut_length(value) is not None else value


def cut_length(text: str) -> int | None:
    """Return how many bytes of JSON this text stands for; None where it is a text of the notebook's own."""
    if not text.startswith(CUT_MARK):
        return None
    length = text[len(CUT_MARK) : len(CUT_MARK) + 12].partition("\n")[0]
    return int(length) if length.isdecimal() and len(length) < 12 else None


def _mebibytes(count: int) -> str:
    return f"{count / 1024**2:.0f} MiB"
