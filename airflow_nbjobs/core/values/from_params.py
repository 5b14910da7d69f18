"""
``parameters=FROM_PARAMS``: which of a run's params a notebook gets, and as what.

Called while a task's fields are rendered and by ``core.values.parameters``. Standard library only, pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.values.cell_parameters import cell_parameters
from airflow_nbjobs.core.values.conversion import short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.values.cell_parameters import CellParameter
    from airflow_nbjobs.core.values.declaration import Declaration
    from airflow_nbjobs.core.values.kinds import Kind

_LARGEST = 2**53  # up to which a float holds every integer


class Chosen(msgspec.Struct, frozen=True):
    """
    What a notebook gets of a run's params.

    :param values: by name, with the types that the notebook expects.
    :param notes: for the task's log: what it does not get.
    """

    values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def choose(declaration: Declaration, params: Mapping[str, Any], given: Mapping[str, Any]) -> Chosen:
    """
    Choose from a run's params those that the notebook's ``parameters`` cell has.

    A value that only stands for the notebook's own default is left to the notebook: the None of a field that was left empty, for a parameter that cannot
    be None, and a default that has no JSON form of its own (a tuple, the member of an enumeration). A browser has one type of number: 1 becomes 1.0 for a
    float, 1.0 becomes 1 for an int.

    :param given: the task's other parameters, which win.
    """
    if not declaration.has_cell or declaration.tree is None:
        return Chosen(problems=(f"parameters: FROM_PARAMS gives nothing to this notebook: {declaration.doubt}",))
    values: dict[str, Any] = {}
    problems: list[str] = []
    own: list[str] = []
    parameters = {parameter.name: parameter for parameter in cell_parameters(declaration)}
    for name, parameter in parameters.items():
        if name in given:
            continue
        value = params.get(name)
        if name in params and not _is_own_default(value, parameter):
            values[name] = _typed(value, parameter.kind)
        elif not parameter.has_default:
            problems.append(
                f"parameter '{name}' has no default in the notebook, and the run has no value for it: give it in the trigger form, in the run's "
                f"conf, or as parameters=FROM_PARAMS | {{'{name}': …}}"
            )
        elif name in params:
            own.append(f"'{name}' ({parameter.expression})")
    others = [name for name in params if name not in parameters and name not in given and name.isidentifier()]
    notes = [f"the notebook's own default counts for {', '.join(own)}"] if own else []
    if others:
        notes.append(
            f"params of the run that the notebook's 'parameters' cell does not have, and does not get: {', '.join(others)}"
        )
    return Chosen(values, tuple(problems), tuple(_misspelt(others, parameters, params)), tuple(notes))


def no_python(kernel_name: str) -> Chosen:
    """Say that FROM_PARAMS reads Python alone."""
    problem = (
        f"parameters: FROM_PARAMS reads a Python notebook's 'parameters' cell, and kernel '{kernel_name}' runs another language: "
        "name them, as parameters={'x': '{{ params.x }}'}"
    )
    return Chosen(problems=(problem,))


def _misspelt(others: list[str], parameters: Mapping[str, CellParameter], params: Mapping[str, Any]) -> list[str]:
    """Say which param of the run was probably meant for a parameter that the run has no param for."""
    free = [name for name in parameters if name not in params]
    hints = ((name, did_you_mean(name, free, cutoff=0.8)) for name in others)
    return [
        f"the run's param '{name}' reaches no parameter of the notebook, where one of a similar name keeps its default{hint}"
        for name, hint in hints
        if hint
    ]


def _is_own_default(value: Any, parameter: CellParameter) -> bool:
    if value is None:
        return not parameter.admits_none
    return not parameter.is_exact and type(value) is type(parameter.shown) and value == parameter.shown


def _typed(value: Any, kind: Kind) -> Any:
    """Return a value with the type of number that the notebook expects, where that is exact; all else as it is."""
    number = type(value)
    if number is int and float in kind.types and int not in kind.types and abs(value) <= _LARGEST:
        return float(value)
    if (
        number is float
        and int in kind.types
        and float not in kind.types
        and math.isfinite(value)
        and value.is_integer()
    ):
        return int(value)
    if number is list and kind.items is not None:
        return [_typed(item, kind.items) for item in value]
    if number is dict:
        kinds = {key: kind.entries.get(key) or kind.items for key in value}
        return {key: item if (inner := kinds[key]) is None else _typed(item, inner) for key, item in value.items()}
    return value


def unused_conf(conf: Mapping[str, Any] | None, params: Mapping[str, Any]) -> str:
    """Say which values of a run's conf are none of its params, since ``[core] dag_run_conf_overrides_params`` is False; empty where all are."""
    lost = [
        f"{name}={short(value)}" for name, value in (conf or {}).items() if name not in params or params[name] != value
    ]
    return (
        f"[core] dag_run_conf_overrides_params is False, so what the run was started with is not used: {', '.join(lost)}"
        if lost
        else ""
    )
