"""
Which lines of a traceback are the author's, which a library's, and an excerpt that keeps the author's.

Read are the tracebacks of IPython in all its modes (``%xmode``) and versions, and Python's own, exception groups included; of other kernels' the last lines are kept.
Called by ``core.notebook.failing_cell`` and by the page. The text is untrusted. Pure.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.masking import masked, masked_ends

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MESSAGE_LINES = 3
_MESSAGE_CHARACTERS = 1000
_LINE_CHARACTERS = 300
_LINE_LIMIT = 1000  # of a line, to tell what it is
_OTHER_LINES = 10  # of a traceback without a frame that is known as one
_READ_CHARACTERS = 512 * 1024  # of its beginning, and half as much of its end
_FIRST_FRAMES, _LAST_FRAMES = 4, 8  # of the author's, in one exception
_EXCEPTIONS = 6  # of a chain
_FIRST_LINES, _LAST_LINES = 30, 50
# What draws the tree of an exception group.
_TREE = re.compile(r"\s*(?:[|+][ |+]*)?[|+] ")
_LINK = re.compile(
    r".*Traceback \(most recent call last\)|During handling of the above exception|The above exception was the direct cause"
    r"|\s*\[\.\.\. .*\]$|\s*\[Previous line repeated|\s*\+[-+]{4,}"
)
_FRAME = re.compile(
    r"""\s*(?:
        (?P<cell>(?:Cell\ |Input\ )?In\ ?\[[\d*]*\]|<ipython-input-[^>]*>).*      # IPython 7 to 9
      | File\ "(?P<quoted>[^"]*)",\ line\ \d+.*                                   # Python's own
      | File\ (?P<named>\S.*?):\d+(?:,?\ in\ .*)?                                 # IPython 8, 9
      | (?P<old>(?:~|/|[A-Za-z]:\\)\S[^:]*?)\ in\ [\w<].*                         # IPython 7
      )$""",
    re.VERBOSE,
)
_OF_CELL = re.compile(r"<ipython-input-|[/\\]ipykernel_\d+[/\\]")
_OF_LIBRARY = re.compile(
    r"[/\\](?:site|dist)-packages[/\\](\w+)|[/\\][Ll]ib(?:64)?[/\\]python\d[\d.]*[/\\](?!(?:site|dist)-packages)(\w+)|<frozen (\w+)"
)
_GENERATED = ("<string>", "<decorator", "<__array_function__", "<attrs generated", "<unknown>")
_COMPILED = (".pyx", ".pxi", ".pxd")
# Beside a line number of five digits there is room for "> " alone.
_CURRENT = re.compile(r"\s*-*> ?\d")
_CARETS = re.compile(r"\s*[~^]+\s*$")
_NUMBERED = re.compile(r"\s*(?:-*> ?)?\d+(?: |$)")

Kind = Literal["author", "library", "message", "link"]


class Part(msgspec.Struct, frozen=True):
    """A frame, an exception's text, or what stands between two of these."""

    kind: Kind
    start: int  # its first line, counted from 0
    end: int  # the line after its last
    library: str = ""  # whose frame it is, where the name is known


def parts_of(lines: Sequence[str]) -> list[Part]:
    """Return the parts of a traceback, in its order; together they are all of its lines, which have no colours."""
    parts: list[Part] = []
    for number, line in enumerate(lines):
        head = line[:_LINE_LIMIT]
        tree = _TREE.match(head)
        bare = head[tree.end() :] if tree else head
        last = parts[-1] if parts else None
        frame = _FRAME.match(bare)
        is_rule = line.startswith("-----") and "Traceback (most" in lines[min(number + 1, len(lines) - 1)]
        if is_rule or _LINK.match(head):
            part = Part("link", number, number + 1)
        elif frame is not None:
            parts.append(_of_frame(frame, number))
            continue
        elif last is not None and last.kind in ("author", "library") and _is_body(bare):
            part = last
        else:
            part = Part(
                "link" if last is not None and last.kind == "link" and not bare.strip() else "message",
                number,
                number + 1,
            )
        if last is not None and last.kind == part.kind:
            parts[-1] = replace(last, end=number + 1)
        else:
            parts.append(part)
    return parts


def _is_body(line: str) -> bool:
    return not line.strip() or line[:1] in (" ", "\t") or _NUMBERED.match(line) is not None


def _of_frame(frame: re.Match[str], number: int) -> Part:
    path = frame["quoted"] or frame["named"] or frame["old"] or ""
    if not (frame["cell"] or _OF_CELL.search(path)):
        found = _OF_LIBRARY.search(path)
        if found:
            return Part("library", number, number + 1, found[found.lastindex or 0])
        if path.endswith(_COMPILED) or path.startswith(_GENERATED):
            return Part("library", number, number + 1, re.split(r"[/\\.<]", path)[0])
    return Part("author", number, number + 1)


def whose(parts: Iterable[Part]) -> str:
    """Say how many frames of which libraries these are."""
    found = list(parts)
    names = list(dict.fromkeys(part.library for part in found if part.library))
    of = f" of {', '.join(names[:4])}{' …' if len(names) > 4 else ''}" if names else ""
    return f"{len(found):,} frame{'s' if len(found) > 1 else ''}{of}"


def short(text: str) -> str:
    """Return the text of an exception in at most three lines and about 1,000 characters, with a word on what is left out."""
    lines = text.strip("\n").split("\n")
    more = len(lines) - MESSAGE_LINES
    shown = "\n".join(lines[:MESSAGE_LINES])
    if len(shown) > _MESSAGE_CHARACTERS:  # of a %%bash cell it holds the whole script, and how that ended
        shown = " … ".join(masked_ends(shown, _MESSAGE_CHARACTERS // 2, _MESSAGE_CHARACTERS // 2))
    return f"{shown}\n… {more:,} more line{'s' if more > 1 else ''}" if more > 0 else shown


def excerpt(text: str, *, ename: str = "") -> str:
    """
    Return what a log has room for: each frame of the author's with its line, how many frames of which library, the exceptions in three lines each.

    Of each exception the innermost frame is kept too, whosever it is.

    :param text: the traceback, without colours.
    :param ename: the exception's name: a text that begins with it is no traceback, but the exception's own.
    """
    is_long = len(text) > _READ_CHARACTERS * 3 // 2
    read = "\n…\n".join(masked_ends(text, _READ_CHARACTERS, _READ_CHARACTERS // 2)) if is_long else masked(text)
    lines = read.strip("\n").split("\n")
    parts = parts_of(lines)
    if not any(part.kind in ("author", "library") for part in parts):
        if ename and text.lstrip().startswith(ename):
            return short(text)
        return "\n".join(_cut(line) for line in lines[-_OTHER_LINES:])
    shown = [_cut(line) for line in _excerpt(lines, parts)]
    more = len(shown) - _FIRST_LINES - _LAST_LINES
    if more > 1:
        shown = [*shown[:_FIRST_LINES], f"… {more:,} more lines", *shown[-_LAST_LINES:]]
    return "\n".join(shown)


def exceptions_of(parts: Sequence[Part]) -> list[list[Part]]:
    """Return the parts of each exception of a chain: each ends with its text, or with those that a group has gathered without a frame."""
    exceptions: list[list[Part]] = [[]]
    for place, part in enumerate(parts):
        is_after_text = exceptions[-1] and exceptions[-1][-1].kind == "message" and part.kind != "message"
        if is_after_text and (
            part.kind != "link" or parts[min(place + 1, len(parts) - 1)].kind in ("author", "library")
        ):
            exceptions.append([])
        exceptions[-1].append(part)
    return exceptions


def _excerpt(lines: Sequence[str], parts: Sequence[Part]) -> Iterator[str]:
    exceptions = exceptions_of(parts)
    for place, exception in enumerate(exceptions):
        skipped = len(exceptions) - _EXCEPTIONS
        if 1 <= place <= skipped:
            if place == 1:
                yield f"… {skipped} more exception{'s' if skipped > 1 else ''} of the chain"
            continue
        for is_folded, group in folded(exception):
            if is_folded:
                yield f"  … {whose(group)}"
                continue
            for part in group:
                yield from _shown(lines[part.start : part.end], part.kind)


def folded(exception: Sequence[Part]) -> Iterator[tuple[bool, list[Part]]]:
    """Yield the parts of one exception in runs, each with whether it is frames that may be folded: a library's but the innermost, the middle of very many."""
    frames = [part for part in exception if part.kind in ("author", "library")]
    own = [part for part in frames if part.kind == "author"]
    kept = {part.start for part in (*own[:_FIRST_FRAMES], *own[-_LAST_FRAMES:], *frames[-1:])}
    for is_folded, group in groupby(
        exception, lambda part: part.kind in ("author", "library") and part.start not in kept
    ):
        yield is_folded, list(group)


def _shown(lines: Sequence[str], kind: Kind) -> Iterator[str]:
    if kind == "message":
        yield from short("\n".join(lines).rstrip("\n")).split("\n")
    elif kind == "link":
        yield from (line for line in lines if line.strip() and not line.startswith("-----"))
    else:
        body = [line for line in lines[1:] if line.strip()]
        current = [line for line in body if _CURRENT.match(line[:_LINE_LIMIT])][:1]
        yield lines[0]
        yield from current or body[: 2 if len(body) > 1 and _CARETS.match(body[1][:_LINE_LIMIT]) else 1]


def _cut(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"
