"""
The indexes of a mapped task, as far as the DAG file says them.

Called by ``dag_plans.py``; reads the DAG's own objects.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.commands.plan.rendering import is_reference, reference_text
from airflow_nbjobs.task.groups import MERGED

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_INDEXES = 1_024  # `[core] max_map_length` as Airflow has it


class Index(msgspec.Struct, frozen=True):
    """
    One index to be looked at.

    :param map_index: None: it stands for all, whose number or values are not known.
    :param given: what the operator is made with.
    :param merged: arguments of which the operator is given nothing, though a run gives more names, and what gives them: a group merges its own into them.
    """

    map_index: int | None
    given: dict[str, Any]
    merged: dict[str, str] = {}
    is_mapped: bool = True


class Indexes(msgspec.Struct, frozen=True):
    """
    The indexes of one task.

    :param count: how many jobs a run of the task makes; None: only the run can tell.
    """

    looked_at: list[Index]
    count: int | None


def indexes_of(task: Any) -> Indexes:
    """Return the indexes of a task; of one that is not mapped, itself."""
    groups = list(task.iter_mapped_task_groups())
    outer = [_length(group._expand_input.value) for group in groups]  # noqa: SLF001 - Airflow has no public name for it
    times = None if None in outer else math.prod(each for each in outer if each is not None)
    if not hasattr(task, "partial_kwargs"):
        return Indexes([Index(None, {}, is_mapped=bool(groups))], times)
    decorated = getattr(task, "op_kwargs_expand_input", None)
    value = (decorated if decorated is not None else task.expand_input).value
    own = _length(value)
    count = None if own is None or times is None else own * times
    if decorated is not None:  # of which the arguments of the function differ alone, and it is not called
        return Indexes([Index(None, {"op_kwargs": _first(value)})], count)
    if own is None or own > _MOST_INDEXES:
        given = _first(value)
        merged = {name: reference_text(given[name]) for name in MERGED if is_reference(given.get(name))}
        return Indexes([Index(None, given | {name: {} for name in merged}, merged)], count)
    return Indexes([Index(index, given) for index, given in enumerate(_each(value))], count)


def _length(value: Any) -> int | None:
    """Return how many indexes there are; None where something has to run first."""
    if isinstance(value, dict):
        lengths = [_sized(each) for each in value.values()]
        return None if None in lengths else math.prod(each for each in lengths if each is not None)
    return _sized(value)


def _sized(value: Any) -> int | None:
    return len(value) if isinstance(value, dict | list | tuple | set | frozenset) else None


def _each(value: Any) -> Iterator[dict[str, Any]]:
    """
    Return what each index is given, in Airflow's order: the last argument changes fastest.

    Source: ``DictOfListsExpandInput._expand_mapped_field`` of Airflow's task SDK.
    """
    if not isinstance(value, dict):
        yield from ({**each} if isinstance(each, dict) else {} for each in value)
        return
    for index in range(_length(value) or 0):
        given, rest = {}, index
        for name in reversed(list(value)):
            of_name = list(value[name].items()) if isinstance(value[name], dict) else list(value[name])
            rest, place = divmod(rest, len(of_name))
            given[name] = of_name[place]
        yield {name: given[name] for name in value}


def _first(value: Any) -> dict[str, Any]:
    """Return what stands for all indexes: the values that are the same for each, and the reference for those that a run gives."""
    if not isinstance(value, dict):
        first = value[0] if isinstance(value, list | tuple) and value else {}
        return {**first} if isinstance(first, dict) else {}
    return {
        name: each[0] if isinstance(each, list | tuple) and len(each) == 1 else each for name, each in value.items()
    }
