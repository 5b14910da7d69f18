"""
What cannot work where nobody sits in front of the notebook: cells that wait for an answer.

Called by ``aws/submit/prepare.py``. Pure: reads the cells, runs nothing. Must never import airflow, boto3 or anything that touches disk or network.

A job's kernel has no standard input: ``input()`` raises StdinNotImplementedError there. Source: nbclient, with which papermill runs cells, asks the kernel
to run them with ``allow_stdin`` false; ipykernel's ``raw_input`` and ``getpass`` then raise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.notebook.cell_syntax import split_cell
from airflow_nbjobs.core.notebook.document import tags_of
from airflow_nbjobs.core.notebook.papermill import RAISES_EXCEPTION
from airflow_nbjobs.core.notebook.reached_calls import Call, ReachedCalls
from airflow_nbjobs.core.notebook.source import code_cells, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbformat import NotebookNode

_AS_PARAMETER = (
    "make its answer a parameter: assign a default in a cell tagged 'parameters', and give the value in parameters"
)
_FROM_MANAGER = "read the secret in the notebook, from Secrets Manager, by the job's role"
_LEAVE_OUT = "remove it, or comment it out"
# What waits for an answer, by its full name, and what to do instead. Each has been run in a job's kernel.
_ASKING = {
    "input": _AS_PARAMETER,
    "builtins.input": _AS_PARAMETER,
    "getpass.getpass": _FROM_MANAGER,
    "pdb.set_trace": _LEAVE_OUT,
    "ipdb.set_trace": _LEAVE_OUT,
    "IPython.core.debugger.set_trace": _LEAVE_OUT,
    "IPython.embed": _LEAVE_OUT,
    "IPython.terminal.embed.embed": _LEAVE_OUT,
    "code.interact": _LEAVE_OUT,
}
_DEBUG_MAGIC = re.compile(r"%(?:debug\b.*|pdb\s*(?:on|1|true)?\s*(?:#.*)?)$", re.DOTALL | re.IGNORECASE)
_SHELL_PART = re.compile(r"&&|\|\||;|\n")
_ASKS_IN_SHELL = re.compile(
    r"(?:sudo\s+(?:-\S+\s+)*)?(?:(?P<pip>(?:\S*python[\d.]*\s+-m\s+)?pip[\d.]*\s+uninstall)"
    r"|(?P<conda>(?:conda|mamba)\s+(?:install|remove|uninstall|update|upgrade|create))"
    r"|(?P<apt>apt(?:-get)?\s+(?:-\S+\s+)*(?:install|remove|purge|upgrade|dist-upgrade|autoremove)))\b(?P<rest>.*)",
    re.DOTALL,
)
_YES = re.compile(r"(?:^|\s)(?:-[a-zA-Z]*y[a-zA-Z]*|--yes|--assume-yes|-qq|--dry-run|--help)(?=\s|$)")


class Unattended(msgspec.Struct, frozen=True):
    """Cells that wait for somebody."""

    problems: tuple[str, ...] = ()  # is certain to be reached and to fail
    warnings: tuple[str, ...] = ()  # may be reached, or does nothing, or waits until the job's time is over


def unattended(notebook: NotebookNode, name: str) -> Unattended:
    """
    Look for cells of a Python notebook that wait for an answer.

    A call is certain to fail only where nothing can keep it from being reached and nothing handles it: not in a branch, a ``try`` that would catch it, a
    function that nothing calls, a cell tagged ``raises-exception``, after a way out of the notebook, or where the name may mean something else.

    :param name: of the notebook, for messages.
    """
    reached = ReachedCalls()
    found: list[Call] = []
    warnings: list[str] = []
    for position, cell in code_cells(notebook):
        source = split_cell(source_of(cell))
        magics = (*source.magics, *([f"%{source.cell_magic}"] if source.cell_magic else ()))
        warnings += _of_magics(magics, f"cell {position} of '{name}'")
        tree = source.tree
        if tree is None or any(magic.startswith("%run") for magic in source.magics):
            reached.lose_track()
        if tree is not None:
            calls = reached.of_cell(tree, cell=position)
            found += [] if RAISES_EXCEPTION in tags_of(cell) else calls
    # Only after the last cell is it known which functions something refers to.
    found += reached.of_functions()
    asking = [call for call in found if _asks(call) and not reached.is_replaced(call.name)]
    problems = [
        f"{places} of '{name}' {_waits(call)}: nobody can answer in a job, where it raises StdinNotImplementedError; {_advice(call)}"
        for places, call in _by_name(call for call in asking if call.is_certain)
    ]
    warnings += [
        f"{places} of '{name}' {_waits(call)}: a job that comes to it fails, since nobody can answer there; {_advice(call)}"
        for places, call in _by_name(call for call in asking if not call.is_certain)
    ]
    warnings += [
        f"{places} of '{name}' calls breakpoint(): in a job it does nothing, or fails the cell where the image has no debugpy; {_LEAVE_OUT}"
        for places, _ in _by_name(call for call in found if call.name == "breakpoint")
    ]
    return Unattended(tuple(problems), tuple(dict.fromkeys(warnings)))


def name_problem(name: str) -> str | None:
    """
    Return why papermill cannot open a notebook of this file name, which the driver gives it without a folder; None where it can.

    Blanks, quotes, ``$``, backticks, line ends, further dots, colons and any other character are fine: the driver quotes the name.

    Source: ``papermill.iorw``, whose handlers take a path that begins with ``-`` for standard input; tried with sagemaker-headless-execution-driver 0.0.13.
    """
    if name.startswith("-"):
        return f"input_notebook: '{name}' begins with a hyphen, which the driver's papermill takes for its standard input; rename it"
    return None


def _asks(call: Call) -> bool:
    return call.name in _ASKING or (call.name == "help" and not call.has_arguments)


def _advice(call: Call) -> str:
    return _ASKING.get(call.name, _LEAVE_OUT)


def _waits(call: Call) -> str:
    return f"waits for an answer ({call.name.removeprefix('builtins.')}())"


def _by_name(found: Iterable[Call]) -> Iterator[tuple[str, Call]]:
    """One message for each function, with all its places."""
    places: dict[str, tuple[dict[str, None], Call]] = {}
    for call in found:
        places.setdefault(call.name, ({}, call))[0][f"cell {call.cell} line {call.line}"] = None
    for where, call in places.values():
        yield ", ".join(where), call


def _of_magics(magics: Iterable[str], place: str) -> Iterator[str]:
    for magic in magics:
        if _DEBUG_MAGIC.match(magic):
            yield f"{place} starts a debugger ({magic.splitlines()[0]}): nobody can answer it in a job; {_LEAVE_OUT}"
        text = magic.removeprefix("%") if magic.startswith("%pip") else magic.lstrip("!") if magic[0] == "!" else ""
        for part in _SHELL_PART.split(text):
            command = _ASKS_IN_SHELL.match(part.strip())
            if command and "|" not in part and "<" not in part and not _YES.search(command["rest"] + command[0]):
                yield (
                    f"{place} runs '{' '.join(part.split())}', which asks before it acts: nobody answers in a job, which may wait until "
                    "max_runtime_in_seconds is over, and is billed for it; add -y"
                )
