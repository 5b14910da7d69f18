"""
Further output formats: which of them the driver failed to write, and why.

Called by ``aws/results/explain.py`` and, for warnings before the job runs, by ``core.job.late_failures``; pure. Source: the driver's ``headless_execution.sh``, which converts the executed
notebook after it has run, one format after the other, and fails the job with the first that fails.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.masking import masked_start

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EXECUTED = "ipynb"  # what Studio calls the executed notebook
_BEGUN = re.compile(r"Converting output notebook to (\S+)")
_TRACEBACK = "Traceback (most recent call last)"
# The first line after a traceback's indented ones; or bash's own word.
_CAUSE = re.compile(r"(?:[A-Za-z_]\w*\.)*([A-Z]\w*(?:: .*)?)")
_UNKNOWN = re.compile(r"Unknown exporter \"([^\"]+)\".*")
_NOT_FOUND = re.compile(r".*: (\S+: command not found)")
_CAUSE_CHARACTERS = 400
_ADVICE = (
    (
        re.compile(r"xelatex|lualatex|pdflatex|bibtex", re.IGNORECASE),
        "the image lacks TeX: leave the format out, take 'html', or install TeX with initialization_script",
    ),
    (
        re.compile(r"pandoc", re.IGNORECASE),
        "the image lacks pandoc: leave the format out, take 'html', or install pandoc with initialization_script",
    ),
    (
        re.compile(r"playwright|chromium", re.IGNORECASE),
        "the image lacks a browser: leave the format out, take 'html', or install playwright and chromium with initialization_script",
    ),
    (re.compile(r"Qt", re.ASCII), "the image lacks Qt: leave the format out, or take 'html'"),
    (
        re.compile(r"Unknown exporter"),
        "the notebook itself has run to its end: leave out the format, which the image's nbconvert lacks, or install its exporter",
    ),
)
# Those of nbconvert that need more than nbconvert, and what.
_NEEDS = {
    "pdf": "TeX (xelatex) and pandoc",
    "webpdf": "playwright and a chromium browser",
    "qtpdf": "Qt (PyQtWebEngine)",
    "qtpng": "Qt (PyQtWebEngine)",
    "latex": "pandoc",
    "rst": "pandoc",
    "asciidoc": "pandoc",
}
_RARELY_THERE = ("pdf", "webpdf", "qtpdf", "qtpng")
_OF_NBCONVERT = frozenset({EXECUTED, "html", "markdown", "notebook", "python", "script", "slides", "custom", *_NEEDS})


class FailedFormat(msgspec.Struct, frozen=True):
    """
    :param cause: the exception's name and text; empty where the log does not tell.
    :param untried: formats that were asked for and come after it: the driver does not write them.
    """

    name: str
    cause: str
    untried: tuple[str, ...]

    @property
    def advice(self) -> str:
        if self.name == EXECUTED:  # asked for on Studio's behalf: no format can be written
            return "leave output_formats out, or use an image whose 'jupyter nbconvert' works"
        found = (advice for pattern, advice in _ADVICE if pattern.search(self.cause))
        return next(found, "leave the format out, or convert the executed notebook yourself")


def formats_variable(formats: Sequence[str]) -> str | None:
    """
    Return ``SM_OUTPUT_FORMATS``, None where no further format is asked for.

    Studio offers for download what this variable lists and it knows, or the executed notebook where there is no variable. The driver converts to that as
    well, with nbconvert, into a file beside it.
    """
    return ",".join(dict.fromkeys((EXECUTED, *formats))) if formats else None


def failed_format(lines: Iterable[str], asked: Sequence[str]) -> FailedFormat | None:
    """
    Return the format in whose conversion the job ended; None where the log says nothing of one.

    :param lines: of a failed job's log, whose notebook has run to its end.
    :param asked: the formats, in the order of ``SM_OUTPUT_FORMATS``.
    """
    name, cause, is_in_traceback = "", "", False
    for line in lines:
        begun = _BEGUN.search(line)
        if begun:
            name, cause, is_in_traceback = begun[1], "", False
        elif line.startswith(_TRACEBACK):
            is_in_traceback = True
        elif found := _CAUSE.fullmatch(line.rstrip()) if is_in_traceback else _NOT_FOUND.fullmatch(line.rstrip()):
            cause, is_in_traceback = masked_start(found[1], _CAUSE_CHARACTERS).rstrip(), False
        elif unknown := _UNKNOWN.search(line):  # in a log whose beginning is gone
            name, cause = name or unknown[1], unknown[0]
    further = [each for each in asked if each != EXECUTED]
    if not name and len(further) == 1:
        name = further[0]
    if not name:
        return None
    after = asked[asked.index(name) + 1 :] if name in asked else ()
    return FailedFormat(name, cause, tuple(after))


def format_warnings(formats: Sequence[str]) -> tuple[str, ...]:
    """Say of which formats it is likely that a Jupyter image cannot write them: the job then fails after its notebook has run."""
    late = "the job fails after its notebook has run"
    lacking = [
        f"output_formats: '{name}' needs {_NEEDS[name.lower()]} in the image, which most Jupyter images lack; without it, {late}"
        for name in formats
        if name.lower() in _RARELY_THERE
    ]
    # A dotted name is a class of the author's.
    unknown = [
        f"output_formats: '{name}' is none of nbconvert's own formats ({', '.join(sorted(_OF_NBCONVERT - {'custom'}))}); "
        f"if the image has no exporter of that name, {late}"
        for name in formats
        if name.lower() not in _OF_NBCONVERT and "." not in name
    ]
    return (*lacking, *unknown)
