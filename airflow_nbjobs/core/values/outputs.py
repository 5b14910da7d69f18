"""
Outputs of a notebook job: declared, recorded by a cell of the staged notebook, and read from the executed one.

Called by ``aws/submit``, ``aws/results`` and the task. The executed notebook is untrusted: what is wrong in it becomes a
problem in words, never an exception. Pure; must never import airflow or boto3.
"""

from __future__ import annotations

import copy
import difflib
import json
import keyword
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.job.xcoms import AIRFLOWS_KEYS, OWN_PREFIXES
from airflow_nbjobs.core.notebook.document import cells_of, mark_of
from airflow_nbjobs.core.notebook.failing_cell import last_cell_run
from airflow_nbjobs.core.notebook.nesting import is_deeper_than
from airflow_nbjobs.core.notebook.source import names_in_order
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.values.recorded import (
    Recorded,
    article,
    clean,
    from_scrap,
    read_entry,
    read_record,
    read_scraps,
)
from airflow_nbjobs.core.values.recording import OUTPUTS, recording_cell
from airflow_nbjobs.core.values.storable import DEPTH_LIMIT, RESERVED_KEYS, RESERVED_PAIR, storage_problem

if TYPE_CHECKING:
    from nbformat import NotebookNode

_OUTPUT_TYPES: dict[str, type] = {kind.__name__: kind for kind in (str, int, float, bool, list, dict)}
# XCom keys that the operator, its links and Airflow itself use.
_RESERVED_NAMES = AIRFLOWS_KEYS | RESERVED_KEYS
_NAMES_SHOWN = 12


class DeclaredOutputs(msgspec.Struct, frozen=True):
    """The outputs that a task asked for."""

    types: dict[str, type | None]  # None: any type
    problems: tuple[str, ...]


class OutputRecord(msgspec.Struct, frozen=True):
    """What a completed job returned."""

    values: dict[str, object]  # the right ones, ready for XCom
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    was_recorded: bool  # False: the notebook ended before its last cell
    unknown: tuple[str, ...] = ()  # neither recorded nor glued, since it did

    @property
    def known_problems(self) -> tuple[str, ...]:
        """The problems of outputs that were recorded or glued."""
        return self.problems[:-1] if self.unknown else self.problems


def declare_outputs(
    outputs: Sequence[str] | Mapping[str, type | str] | None, return_output: str | None
) -> DeclaredOutputs:
    """
    Check the operator's ``outputs`` and ``return_output``.

    :param outputs: names of the notebook's variables, or names to types: str, int, float, bool, list, dict, or their
        names as text.
    """
    problems: list[str] = []
    types: dict[str, type | None] = {}
    items: list[tuple[object, object]] = []
    if isinstance(outputs, Mapping):
        items = list(outputs.items())
    elif isinstance(outputs, str | bytes) or not isinstance(outputs, Sequence | None):
        problems.append(f"outputs is {outputs!r}; give a list of names, or names to types")
    else:
        items = [(name, None) for name in outputs or ()]
    for name, kind in items:
        problem = _name_problem(name)
        if problem is None and name in types:
            problem = f"output '{name}' is listed twice"
        found = _declared_type(kind)
        if problem is None and found is None and kind is not None:
            shown = kind.__name__ if isinstance(kind, type) else repr(kind)
            problem = f"output '{name}' has the type {shown}; give one of {', '.join(_OUTPUT_TYPES)}"
        if problem is not None:
            problems.append(problem)
        else:
            types[str(name)] = found
    if types.keys() >= RESERVED_PAIR:
        problems.append("outputs '__type' and '__var' cannot be stored together, Airflow reserves the pair; rename one")
    if return_output is not None and return_output not in {name for name, _ in items}:
        problems.append(f"return_output '{return_output}' is not one of the outputs; add it to outputs")
    return DeclaredOutputs(types, tuple(problems))


def _name_problem(name: object) -> str | None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        uri = getattr(name, "uri", None)
        if isinstance(uri, str):
            return f"outputs names variables of the notebook, and '{uri}' is an asset; write outlets=[Asset({uri!r})]"
        return f"output {name!r} is not a variable's name"
    if name in _RESERVED_NAMES or name.startswith(OWN_PREFIXES):
        return f"output '{name}' has a name that is reserved ({', '.join(sorted(_RESERVED_NAMES))}, nbjobs_*, _link_*)"
    return None


def _declared_type(kind: object) -> type | None:
    if isinstance(kind, str):
        return _OUTPUT_TYPES.get(kind)
    return next((allowed for allowed in _OUTPUT_TYPES.values() if kind is allowed), None)


def prepare_outputs(nb: NotebookNode, names: Sequence[str]) -> NotebookNode:
    """Return a copy of the Python notebook that records these variables in its last cell; the notebook itself where it needs no change."""
    if not names and not any(mark_of(cell) == OUTPUTS for cell in nb.cells):
        return nb
    nb = copy.deepcopy(nb)
    nb.cells = [cell for cell in nb.cells if mark_of(cell) != OUTPUTS]  # a staged copy that is run again
    if names:
        nb.cells.append(recording_cell(names, nbformat_minor=nb.nbformat_minor))
    return nb


def read_outputs(executed: NotebookNode, declared: DeclaredOutputs) -> OutputRecord:
    """
    Return the declared outputs of a completed job, and a problem for each that is missing, wrong or too large.

    An output that no variable gives may come from scrapbook's ``glue``. Dates are ISO texts, Decimals, paths and UUIDs
    texts, time spans seconds; nan and infinity become ``'NaN'``, ``'Infinity'`` and ``'-Infinity'`` with a warning, since
    XCom cannot hold them. What Airflow could not store, or would give back as something else, is a problem: ``core.values.storable``.

    Of a job that failed as well: outputs that were recorded or glued before it did are among the values.
    """
    recorded = read_record(executed)
    scraps = read_scraps(executed)
    values: dict[str, object] = {}
    problems: list[str] = []
    warnings: list[str] = []
    missing: list[str] = []
    for name, kind in declared.types.items():
        found = read_entry(name, (recorded or {}).get(name))
        if found.is_missing and name in scraps:
            found = from_scrap(name, scraps[name])
        if found.is_missing and recorded is None:
            missing.append(name)
            continue
        if found.is_missing and name not in (recorded or {}):
            declared_there = ", ".join(clean(each) for each in list(recorded or {})[:_NAMES_SHOWN]) or "none"
            problems.append(
                f"output '{name}' was not recorded: the task that started the job declares {declared_there}; declare it there as well"
            )
            continue
        if found.is_missing:
            problems.append(f"output '{name}' is not a variable of the notebook; {_what_it_defines(name, executed)}")
            continue
        value, problem = _checked(name, found, kind)
        if problem is not None:
            problems.append(problem)
        else:
            values[name] = _for_xcom(value, name, warnings)
    if missing:
        problems.append(_not_recorded(missing, executed))  # last: see `known_problems`
    return OutputRecord(values, tuple(problems), tuple(warnings), recorded is not None, tuple(missing))


def has_record(executed: NotebookNode) -> bool:
    """Say whether the recording cell, the last one, has run and left what can be read."""
    return read_record(executed) is not None


def recorded_names(executed: NotebookNode) -> list[str]:
    """Return the names that the notebook was asked to record, in order; where no record can be read, those that it glued."""
    record = read_record(executed)
    return list(read_scraps(executed) if record is None else record)


def _checked(name: str, found: Recorded, declared: type | None) -> tuple[object, str | None]:
    """The value to be pushed, still with nan and infinity, or a problem."""
    if found.problem is not None:
        return None, found.problem
    if is_deeper_than(found.value, DEPTH_LIMIT):  # before anything that calls itself at each level
        return None, storage_problem(name, found.value)
    value, problem = _as_declared(name, found, declared)
    return value, problem or storage_problem(name, value)


def _as_declared(name: str, found: Recorded, declared: type | None) -> tuple[object, str | None]:
    """The value as the declared type, or a problem."""
    value = found.value
    if declared is None or type(value) is declared:
        return value, None
    if declared is float:
        is_decimal = isinstance(value, str) and found.kind == "decimal.Decimal"
        if type(value) is int or is_decimal:
            try:
                return float(value), None  # type: ignore[arg-type] # an int or a Decimal's text
            except (ValueError, OverflowError):
                return None, f"output '{name}' is too large for a float"
    kind = found.kind or type(value).__name__
    shown = shortened(json.dumps(value))
    return (
        None,
        f"output '{name}' is {article(kind)} ({shown}), declared as {declared.__name__}; convert it in the notebook",
    )


def _for_xcom(value: object, path: str, warnings: list[str]) -> object:
    """The value with nan and infinity as texts; a warning says where."""
    match value:
        case float() if not math.isfinite(value):
            text = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            warnings.append(f"output {path} is {text}, which XCom cannot hold; it is pushed as the text '{text}'")
            return text
        case list():
            return [_for_xcom(item, f"{path}[{index}]", warnings) for index, item in enumerate(value)]
        case dict():
            return {key: _for_xcom(item, f"{path}[{key!r}]", warnings) for key, item in value.items()}
        case _:
            return value


def _what_it_defines(name: str, executed: NotebookNode) -> str:
    names = [found for found in names_in_order(executed, with_definitions=False) if not found.startswith("_")]
    close = difflib.get_close_matches(name, names, n=3)
    rest = [found for found in names if found not in close]
    shown = (close + rest)[:_NAMES_SHOWN]
    if not shown:
        return "it defines none"
    more = ", …" if len(names) > len(shown) else ""
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}it defines: {', '.join(shown)}{more}"


def _not_recorded(missing: Sequence[str], executed: NotebookNode) -> str:
    names = ", ".join(f"'{name}'" for name in missing)
    what = f"output{'s' if len(missing) > 1 else ''} {names} not recorded"
    ours = [cell for cell in cells_of(executed) if mark_of(cell) == OUTPUTS]
    if not ours:
        return (
            f"{what}: a job records those that the operator which starts it declares, in Python kernels only; "
            "declare them there, or have the notebook glue them with scrapbook"
        )
    if isinstance(ours[-1].get("execution_count"), int):
        return f"{what}: the recording cell ran, but its message did not arrive; the notebook may have replaced the kernel's own"
    last = last_cell_run(executed)
    where = "before any cell ran" if last is None else f"in cell {last}"
    return f"{what}: the notebook ended {where}, before its last cell; a cell that calls sys.exit() ends it"
