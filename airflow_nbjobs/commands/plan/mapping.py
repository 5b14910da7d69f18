"""
The indexes of a mapped task, as far as the DAG file says them.

Called by ``dag_plans.py``; reads the DAG's own objects.
"""

from __future__ import annotations

import inspect
import math
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.commands.plan.rendering import is_reference, reference_text
from airflow_nbjobs.core.values.conversion import short
from airflow_nbjobs.task.groups import MERGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MOST_INDEXES = 1_024  # `[core] max_map_length` as Airflow has it


class Index(msgspec.Struct, frozen=True):
    """
    One index to be looked at.

    :param map_index: None: it stands for all that have these values, and a run alone tells how many these are.
    :param given: what the operator is made with.
    :param merged: arguments of which the operator is given nothing, though a run gives more names, and what gives them: a group merges its own into them.
    :param whole: the reference that gives the operator any arguments it likes; None: the DAG file has them.
    """

    map_index: int | None
    given: dict[str, Any]
    merged: dict[str, str] = {}
    whole: Any = None
    is_mapped: bool = True


class Indexes(msgspec.Struct, frozen=True):
    """
    The indexes of one task.

    :param looked_at: at most 1,024.
    :param count: how many jobs a run of the task makes; None: only the run can tell.
    :param varying: the arguments whose values stand in the DAG file and vary, where a run gives others; of each, the first values are shown.
    :param left_out: how many are not looked at.
    """

    looked_at: list[Index]
    count: int | None
    varying: tuple[str, ...] = ()
    left_out: int = 0


def indexes_of(task: Any) -> Indexes:
    """Return the indexes of a task; of one that is not mapped, itself."""
    if not hasattr(task, "partial_kwargs"):
        groups = list(task.iter_mapped_task_groups())
        times = _product(_length(group._expand_input.value) for group in groups)  # noqa: SLF001 - Airflow has no public name for it
        return Indexes([Index(None, {}, is_mapped=bool(groups))] if times != 0 else [], times)
    # In a mapped group Airflow maps no operator once more.
    decorated = getattr(task, "op_kwargs_expand_input", None)
    value = (decorated if decorated is not None else task.expand_input).value
    own = _length(value)
    if own == 0:
        return Indexes([], 0)
    if decorated is not None:  # of which the arguments of the function differ alone, and it is not called
        return Indexes([Index(None, {"op_kwargs": _of_function(task, value)})], own)
    if not isinstance(value, dict):
        found = (
            [Index(None, {}, whole=value)]
            if own is None
            else [_listed(*each) for each in islice(enumerate(value), _MOST_INDEXES)]
        )
        return Indexes(found, own, left_out=max(0, (own or 0) - _MOST_INDEXES))
    known = {name: each for name, each in value.items() if _sized(each) is not None}
    combined = math.prod(len(each) for each in known.values())
    left_out = max(0, combined - _MOST_INDEXES)
    if own is not None:
        return Indexes([Index(*each) for each in enumerate(_each(value))], own, left_out=left_out)
    merged = {name: reference_text(value[name]) for name in MERGED if is_reference(value.get(name))}
    given_by_run = {**value} | {name: {} for name in merged}  # of which those that are known are replaced
    varying = tuple(name for name, each in known.items() if len(each) > 1)
    return Indexes([Index(None, given_by_run | given, merged) for given in _each(known)], own, varying, left_out)


def _of_function(task: Any, value: Any) -> dict[str, Any]:
    """Return an argument of each name that the function is mapped over, or that it cannot do without."""
    if isinstance(value, dict):
        return {name: each if _sized(each) is None else next(iter(each)) for name, each in value.items()}
    first = value[0] if isinstance(value, list | tuple) else value
    if isinstance(first, dict):
        return first
    parameters = inspect.signature(task.python_callable).parameters.values()
    given = task.partial_kwargs.get("op_kwargs", {})
    return {
        each.name: first
        for each in parameters
        if each.default is each.empty
        and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        and each.name not in given
    }


def _listed(map_index: int, each: Any) -> Index:
    """Return an index of ``expand_kwargs``; of what is no dict, the run makes one."""
    return Index(map_index, {**each}) if isinstance(each, dict) else Index(map_index, {}, whole=each)


def label_of(index: Index, varying: Iterable[str]) -> str:
    """Return the values that this index has and others have not."""
    return ", ".join(f"{name}={short(index.given[name])}" for name in varying)


def _length(value: Any) -> int | None:
    """Return how many indexes there are; None where something has to run first."""
    return _product(map(_sized, value.values())) if isinstance(value, dict) else _sized(value)


def _product(numbers: Iterable[int | None]) -> int | None:
    found = list(numbers)
    if 0 in found:
        return 0
    return None if None in found else math.prod(each for each in found if each is not None)


def _sized(value: Any) -> int | None:
    return len(value) if isinstance(value, dict | list | tuple | set | frozenset) else None


def _each(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """
    Return what the first 1,024 indexes are given, in Airflow's order: the last argument changes fastest.

    Source: ``DictOfListsExpandInput._expand_mapped_field`` of Airflow's task SDK.
    """
    axes = [list(each.items()) if isinstance(each, dict) else list(each) for each in value.values()]
    for combination in islice(product(*axes), _MOST_INDEXES):
        yield dict(zip(value, combination, strict=True))
