"""
The rendering process: loads nbconvert once, then forks a child with limits for each notebook.

``python -m airflow_nbjobs.ui.rendering.worker``, started by ``ui/notebook/renderer.py``, which closes its end of stdin to end it. Loading nbconvert
takes seconds, a fork milliseconds; and what a notebook does to its child ends with the child.

One request a line of JSON on stdin, one answer a line on stdout:
``{"source", "folder", "title", "member", "has_failed"}`` (``member``: of an archive, else null) → ``{"status": "ok"|"too-large"|"unreadable"|"time"|"memory"|"crashed", "text"}``.
``{"left": {"source", "title", "member", "has_failed"}, "right": …, "folder", "title"}`` compares two notebooks; its answer is the same.
The child leaves ``document.html``, ``report.html``, ``texts.json`` and ``summary.json`` in ``folder`` (and ``scripted.html``, where an output has scripts, and ``notebook.ipynb``, where it came out of an archive).
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from airflow_nbjobs.aws.results.archive import Wanted, read_archive
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.ui.rendering.comparison import Side, build_comparison
from airflow_nbjobs.ui.rendering.document import PIECES_SECONDS, build_document
from airflow_nbjobs.ui.rendering.shrink import LONGEST_BYTES, TooLargeError, shrink

if TYPE_CHECKING:
    from nbformat import NotebookNode

MEMORY_BYTES = 1536 * 1024**2  # address space, of which the loaded process itself takes some 200 MiB
CPU_SECONDS = 24
_SPARE_SECONDS = 4  # to write what has been rendered
WALL_SECONDS = 120  # of a busy machine; what a notebook may take of it is CPU_SECONDS
FILE_BYTES = 300 * 1024**2
IDLE_SECONDS = 900
_STATUSES = {0: "ok", 10: "too-large", 11: "unreadable", 12: "memory"}
_REASONS = {
    "time": "rendering it took too long",
    "memory": "rendering it took too much memory",
    "crashed": "rendering it failed",
}


class MissingMemberError(Exception):
    """The archive does not hold the notebook; the text says why."""


_REFUSALS = (TooLargeError, NotebookJobConfigError, MissingMemberError, RecursionError)


def main() -> None:
    output = new_output("stream", text="\x1b[31ma")
    cells = [new_markdown_cell("# a\n`b` <b>c</b>"), new_code_cell("a = 1", execution_count=1, outputs=[output])]
    build_document(parse_executed(json.dumps(new_notebook(cells=cells)), source="warm-up")[0], title="")
    _answer({"status": "ready"})
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        _answer(_rendered_by_a_child(json.loads(line)))


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _rendered_by_a_child(request: dict[str, Any]) -> dict[str, str]:
    """Return the answer; a notebook that cannot be rendered is shown as plain text, by a second child, with the reason."""
    answer = _answer_of_a_child(request)
    if answer["status"] not in _REASONS:
        return answer
    if Path(request["folder"], "summary.json").exists():  # what failed was the document with scripts
        return {"status": "ok", "text": ""}
    reason = f"{_REASONS[answer['status']]}{': ' if answer['text'] else ''}{answer['text']}"
    second = _answer_of_a_child(request | {"plain_because": reason})
    return second if second["status"] == "ok" else answer


def _answer_of_a_child(request: dict[str, Any]) -> dict[str, str]:
    child = os.fork()
    if child == 0:
        code = 13
        try:
            _limit()
            code = _compare(request) if "left" in request else _render(request)
        except MemoryError:
            code = 12
        except Exception as error:  # noqa: BLE001 - the answer and reason.txt say what it was
            (frame,) = traceback.extract_tb(error.__traceback__, limit=-1)
            where = f"{Path(frame.filename).name}, line {frame.lineno}"
            code = _give_up(Path(request["folder"]), 13, f"{type(error).__name__}: {error} ({where})")
        finally:
            os._exit(code)  # not a SystemExit: the parent's loop lies further up this stack
    deadline = time.monotonic() + WALL_SECONDS
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"status": "time", "text": ""}
        time.sleep(0.005)
    if os.WIFSIGNALED(status):
        is_time = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        return {"status": "time" if is_time else "crashed", "text": f"signal {os.WTERMSIG(status)}"}
    reason = Path(request["folder"], "reason.txt")
    return {
        "status": _STATUSES.get(os.WEXITSTATUS(status), "crashed"),
        "text": reason.read_text(encoding="utf-8") if reason.exists() else "",
    }


def _limit() -> None:
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (most, most))
    sys.setrecursionlimit(3000)


def _render(request: dict[str, Any]) -> int:
    folder = Path(request["folder"])
    because = request.get("plain_because")
    try:
        notebook, notices, _ = _read(request, folder / "notebook.ipynb")
        if because:
            notices.append(f"Only the text of this notebook is shown, as it is: {because[:300]}.")
        shown = {"title": request["title"], "notices": tuple(notices), "has_failed": request["has_failed"]}
        document = build_document(notebook, **shown, seconds=0 if because else PIECES_SECONDS)
    except _REFUSALS as error:
        return _refused(folder, error)
    (folder / "document.html").write_text(document.html, encoding="utf-8")
    (folder / "report.html").write_text(document.report, encoding="utf-8")
    (folder / "texts.json").write_text(json.dumps(msgspec.to_builtins(document.texts)), encoding="utf-8")
    summary = document.summary()
    if because:
        _summarize(folder, summary | {"scripted": 0, "unrendered": [f"the whole notebook: {because}"]})
        return 0
    # The document without scripts is there, whatever becomes of the other.
    _summarize(folder, summary | {"scripted": 0})
    left = CPU_SECONDS - _SPARE_SECONDS - time.process_time()
    if summary["scripted"] and left > 0:
        scripted = build_document(notebook, **shown, with_scripts=True, seconds=min(left, PIECES_SECONDS))
        (folder / "scripted.html").write_text(scripted.html, encoding="utf-8")
        _summarize(folder, summary)
    return 0


def _compare(request: dict[str, Any]) -> int:
    folder = Path(request["folder"])
    because = request.get("plain_because")
    sides, notices = [], []
    which = ""
    try:
        for name in ("left", "right"):
            which = f"the {name} one: "
            taken_out = folder / f"{name}.ipynb"
            notebook, said, is_cut = _read(request[name], taken_out)
            taken_out.unlink(missing_ok=True)
            notices += [f"The {name} one: {text}" for text in said]
            sides.append(Side(notebook=notebook, has_failed=request[name]["has_failed"], is_cut=is_cut))
        which = ""
        if because:
            notices.append(f"These notebooks are shown as they are, and not compared: {because[:300]}.")
        seconds = 0 if because else PIECES_SECONDS
        comparison = build_comparison(*sides, title=request["title"], notices=tuple(notices), seconds=seconds)
    except _REFUSALS as error:
        return _refused(folder, error, which)
    (folder / "document.html").write_text(comparison.html, encoding="utf-8")
    _summarize(folder, comparison.summary())
    return 0


def _refused(folder: Path, error: Exception, which: str = "") -> int:
    """:param which: of two notebooks, as the sentence begins."""
    if isinstance(error, RecursionError):
        return _give_up(folder, 11, f"{which}it is nested too deep")
    return _give_up(folder, 10 if isinstance(error, TooLargeError) else 11, f"{which}{error}")


def _read(request: dict[str, Any], taken_out: Path) -> tuple[NotebookNode, list[str], bool]:
    """
    Return the notebook, what a reader should know of what was left out, and whether long outputs were.

    :param taken_out: where the notebook is put that lies in an archive.
    """
    source, notices = Path(request["source"]), []
    if request["member"] is not None:
        with source.open("rb") as archive:
            content = read_archive(archive, (Wanted(request["member"], LONGEST_BYTES),))
        if request["member"] not in content.members:
            raise MissingMemberError("; ".join(content.problems) or f"'{request['member']}' is not in the archive")
        source = taken_out
        source.write_bytes(content.members[request["member"]])
        del content
    shrunk = shrink(source)
    if shrunk.cut_bytes:
        notices.append(
            f"This notebook has {source.stat().st_size / 1024**2:.0f} MB; {shrunk.cut_bytes / 1024**2:.0f} MB of long outputs are left out here. The .ipynb has everything."
        )
    notebook, notes = parse_executed(shrunk.text, source=request["title"])
    return notebook, notices + [f"{note[:1].upper()}{note[1:]}." for note in notes], shrunk.cut_bytes > 0


def _summarize(folder: Path, summary: dict[str, Any]) -> None:
    (folder / "summary.part").write_text(json.dumps(summary), encoding="utf-8")
    (folder / "summary.part").rename(folder / "summary.json")


def _give_up(folder: Path, code: int, reason: str) -> int:
    (folder / "reason.txt").write_text(reason[:2000], encoding="utf-8")
    return code


if __name__ == "__main__":
    main()
