"""
What a plan shows of a notebook: its parameters beside what the task gives, the files of the job, the cells that assign the outputs.

Called by ``tasks.py``; pure apart from the sizes of files.
"""

from __future__ import annotations

from contextlib import suppress
from types import NoneType
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.commands.plan.records import File, Output, Parameter
from airflow_nbjobs.core.job.parsers import json_object
from airflow_nbjobs.core.notebook.document import is_python
from airflow_nbjobs.core.notebook.source import bound_names, trees
from airflow_nbjobs.core.values.cell_parameters import cell_parameters
from airflow_nbjobs.core.values.conversion import Spelled, short
from airflow_nbjobs.core.values.declaration import read_declaration
from airflow_nbjobs.core.values.not_known import NotKnown
from airflow_nbjobs.core.values.params_entry import KEY as PARAMS_KEY
from airflow_nbjobs.task.masking import masked_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbformat import NotebookNode

    from airflow_nbjobs.aws.submit.content import Content
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.values.cell_parameters import CellParameter
    from airflow_nbjobs.core.values.kinds import Kind
    from airflow_nbjobs.core.values.outputs import DeclaredOutputs

_ORDER = (bool, int, float, str, list, tuple, set, dict)


def describe_parameters(
    notebook: NotebookNode | None,
    given: object,
    *,
    checked: Mapping[str, object],
    kernel_name: str | None,
    whole: str,
) -> tuple[Parameter, ...]:
    """
    Return the parameters that the notebook's cell has, then those that only the task names.

    :param given: the task's, with ``NotKnown`` in place of values.
    :param checked: those that are right, as the notebook would get them.
    :param whole: what all parameters are made of, or those that the task does not name; empty where that is nothing.
    """
    values: dict[str, Any] = {}
    with suppress(ValueError):  # what is no mapping is among the problems
        values = json_object(given or {})
    values = {name: value for name, value in values.items() if name != PARAMS_KEY} | dict(checked)
    cell: dict[str, CellParameter] = {}
    if notebook is not None and is_python(notebook, str(kernel_name or "unknown")):
        cell = {parameter.name: parameter for parameter in cell_parameters(read_declaration(notebook))}
    names = dict.fromkeys((*cell, *values))
    return tuple(_parameter(str(name), cell.get(name), values, whole) for name in names)


def _parameter(name: str, parameter: CellParameter | None, values: Mapping[str, Any], whole: str) -> Parameter:
    value, is_known = values.get(name), True
    given: str | None = None
    if isinstance(value, NotKnown):
        given, is_known = value.text, False
    elif name in values:
        value = value.value if isinstance(value, Spelled) else value
        given = masked_value(value, short, name=name)
        is_known = not whole  # which wins where it gives this one as well
    elif whole:
        given, is_known = whole, False
    if parameter is None:
        return Parameter(name=name, type=None, default=None, given=given, is_known=is_known)
    default = parameter.expression or short(parameter.shown)
    return Parameter(
        name=name,
        type=type_text(parameter.kind),
        default=masked_value(default, str, name=name) if parameter.has_default else None,
        given=given,
        is_known=is_known,
    )


def type_text(kind: Kind) -> str | None:
    """Return a type as a person would annotate it; None where the cell does not tell."""
    if kind.choices:
        return f"Literal[{', '.join(map(repr, kind.choices))}]"
    if not kind.is_known or not kind.types:
        return None
    names = [each.__name__ for each in _ORDER if each in kind.types]
    names += ["None"] if NoneType in kind.types and (names or kind.types == {NoneType}) else []
    return " | ".join(names) or None


def describe_files(content: Content, job: PreparedJob | None) -> tuple[File, ...]:
    """Return what the job gets; of one that cannot be made, what was found for it."""
    if job is not None:
        return tuple(File(name=file.name, origin=file.origin, bytes=file.size_bytes) for file in job.files)
    if content.located is None:
        return ()
    own = File(name=content.staged_name or content.located.name, origin=content.origin, bytes=len(content.raw))
    return (own, *(File(name=file.name, origin=file.origin, bytes=file.size_bytes) for file in content.others))


def describe_outputs(sources: Mapping[str, NotebookNode], declared: DeclaredOutputs) -> tuple[Output, ...]:
    places = _last_assignments(sources, declared.types)
    return tuple(
        Output(name=name, type=None if kind is None else kind.__name__, notebook=file, cell=cell)
        for name, kind in declared.types.items()
        for file, cell in [places.get(name, (None, None))]
    )


def _last_assignments(sources: Mapping[str, NotebookNode], names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the last cell that binds each name: the notebook's own, else one of those that it runs."""
    wanted = set(names)
    found: dict[str, tuple[str, int]] = {}
    for file, notebook in reversed(list(sources.items())):
        for position, tree in trees(notebook):
            found |= {name: (file, position) for name in bound_names(tree) if name in wanted}
    return found
