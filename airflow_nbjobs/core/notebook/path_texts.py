"""
Texts that look like paths beside the notebook, and the files that a command of the shell names.

Called by ``core.notebook.references``. Standard library only, pure.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    Use = Literal["read", "write", "neither"]

_LONGEST_PATH = 250
_FILE_NAME = re.compile(r"[\w.][\w\-. /]*\.(?=\w*[A-Za-z])\w{1,8}")
_PATH_WITH_FOLDER = re.compile(r"\.{0,2}[\w\-. /]*/[\w\-. /*?\[\]]*")
_SHELL_WORD = re.compile(r"[\s'\"=;|<>()&]+")


def path_words(command: str) -> Iterator[str]:
    return (word for word in _SHELL_WORD.split(command) if looks_like_path(word))


def looks_like_path(text: str) -> bool:
    return len(text) <= _LONGEST_PATH and bool(_FILE_NAME.fullmatch(text) or _PATH_WITH_FOLDER.fullmatch(text))


def relative_path(path: str) -> str:
    """The path relative to the notebook, normalised, of a pattern its folder; empty where it lies elsewhere."""
    if pattern := re.search(r"[*?\[]", path):
        path = path[: pattern.start()].rpartition("/")[0]
    if (
        not path.strip(". /")
        or path.startswith(("/", "~"))
        or "://" in path
        or len(path) > _LONGEST_PATH
        or "\n" in path
    ):
        return ""
    return posixpath.normpath(path)


class CommandFiles(msgspec.Struct):
    """What a command names."""

    read: list[str] = msgspec.field(default_factory=list)
    written: list[str] = msgspec.field(default_factory=list)  # files that it redirects to, copies to or fetches
    filled: set[str] = msgspec.field(default_factory=set)  # folders that it fills
    modules: list[str] = msgspec.field(default_factory=list)  # Python modules that it runs


def files_of_command(command: str) -> CommandFiles:
    """Find the files that a command of the shell names."""
    files = CommandFiles()
    if command.lstrip().startswith("#"):
        return files
    if found := re.search(r"python[\d.]*\s+-m\s+([\w.]+)", command):
        files.modules.append(found[1])
    written = re.findall(
        r"(?:>>?|\btee\b(?: -a)?|\s-O|\s--output-document|\s-o|\btouch|\bmkdir(?: -p)?)[ =]*([^\s;|&>]+)", command
    )
    _add_fetched(files, command)
    if copied := re.search(r"\b(?:cp|mv|ln)\b[^;|&]*\s([^\s;|&]+)\s*$", command):
        written.append(copied[1])
    files.written = [word.strip("'\"") for word in (*written, *files.written)]
    bare = {relative_path(word) for word in files.written}
    files.read = [word for word in path_words(command) if relative_path(word) not in bare]
    return files


def _add_fetched(files: CommandFiles, command: str) -> None:
    """Add the files that the command fetches by name, and the folders that it fills."""
    for match in re.finditer(r"\baws\s+s3\s+(cp|mv|sync)\s([^;|&\n]*)", command):
        words = [word.strip("'\"") for word in match[2].split()]
        source, target = next((pair for pair in itertools.pairwise(words) if pair[0].startswith("s3://")), ("", ""))
        if not target or target.startswith(("s3://", "-")):
            continue
        if match[1] == "sync" or "--recursive" in words:
            files.filled.add(posixpath.normpath(target))
        elif target.endswith("/") or target.rpartition("/")[2] in {".", ".."}:
            files.written.append(posixpath.join(target, posixpath.basename(source)))
    for match in re.finditer(
        # Possessive: of flags beside flags, there is one way to read them. The options are all of git's that take a word of their own.
        r"\bgit\s+clone\s+(?:(?:-[bocju]|--(?:branch|origin|config|jobs|depth|filter|reference(?:-if-able)?|revision|template|ref-format|bundle-uri"
        r"|separate-git-dir|server-option|shallow-(?:since|exclude)|upload-pack))\s+\S+\s+|-\S+\s+)*+"
        r"\S*?([^/\s]+?)(?:\.git)?/?(?:\s+([\w./-]+))?\s*(?=$|[;|&])",
        command,
    ):
        files.filled.add(posixpath.normpath(match[2] or match[1]))
    for match in re.finditer(r"\b(?:unzip\b[^;|&]*\s-d|tar\b[^;|&]*\s-C)\s*([\w./-]+)", command):
        files.filled.add(posixpath.normpath(match[1]))
