"""
What a notebook task takes from the groups around it, and which tasks of a group share a machine.

Used by the operator as its class's type, by ``task_groups.py`` and inside ``execute``. Imported while DAGs are parsed: nothing but ``airflow.sdk``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.operator import BaseOperatorMeta

if TYPE_CHECKING:
    from collections.abc import Iterator

KEEP = "keep_alive_period_in_seconds"
MERGED = ("parameters", "environment_variables", "tags")  # name by name, the nearer wins
_NO_PERIOD = ("", "0", "None", "null")
_OUR_MODULES = ("airflow.", "airflow_nbjobs.")


class NotebookTaskType(BaseOperatorMeta):
    """
    The type of the classes of notebook tasks: gives a task what its groups say, before its ``__init__`` and Airflow's ``default_args``.

    A metaclass, since only its call sees what the author wrote: in ``__init__``, what ``default_args`` fill in looks the same.
    """

    if not TYPE_CHECKING:  # a type checker would take its signature for every task's

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - of a metaclass
            group = kwargs.get("task_group") or _current_group(kwargs.get("dag"))
            shared = shared_arguments(group)
            if not shared:
                return super().__call__(*args, **kwargs)
            given = {**(kwargs.get("default_args") or {}), **kwargs}
            has_groups_period = KEEP in shared and KEEP not in given
            task = super().__call__(*args, **completed(kwargs, shared))
            # Read once all edges are known: the last task of a group keeps nothing.
            task._has_groups_period = has_groups_period  # noqa: SLF001 - of ours
            task._own_arguments = kwargs  # noqa: SLF001 - without the group's, for the names of indexes
            return task

    @property
    def __signature__(cls) -> inspect.Signature:  # noqa: N805 - as above
        """What ``help()`` and editors show: the arguments of a task, not those of the call above."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]  # a class, not an instance
        return own.replace(parameters=list(own.parameters.values())[1:])


def _current_group(dag: Any) -> Any:
    from airflow.sdk.definitions._internal.contextmanager import TaskGroupContext

    return TaskGroupContext.get_current(dag)


def groups_around(group: Any) -> Iterator[Any]:
    """Yield a group and those around it, the nearest first."""
    while group is not None:
        yield group
        group = getattr(group, "parent_group", None)


def shared_arguments(group: Any) -> dict[str, Any]:
    """Return what the ``NotebookTaskGroup``s of a group and around it say, merged."""
    shared: dict[str, Any] = {}
    for each in reversed([*groups_around(group)]):
        for name, value in getattr(each, "notebook_arguments", {}).items():
            if name in MERGED and name in shared:
                shared[name] = _merged(name, shared[name], value, f"NotebookTaskGroup '{each.group_id}'")
            else:
                shared[name] = value
    return shared


def completed(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return a task's arguments with those of its groups; what the task says itself, also in its own ``default_args``, wins.

    Every task gets its own copy of dictionaries and lists.

    :raises NotebookJobConfigError: a dictionary of the groups and a text of the task, which cannot be merged while the DAG is parsed.
    """
    found = dict(arguments)
    given = {**(arguments.get("default_args") or {}), **arguments}
    for name, value in shared.items():
        if name not in given or (name in MERGED and given[name] is None):
            found[name] = _copied(value)
        elif name in MERGED:
            found[name] = _merged(name, value, given[name], f"task '{arguments.get('task_id')}'")
    return found


def _merged(name: str, outer: Any, inner: Any, whose: str) -> Any:
    if outer is None or inner is None:
        return _copied(outer if inner is None else inner)
    if name == "tags":
        outer, inner = _by_key(outer), _by_key(inner)
    if isinstance(outer, Mapping) and isinstance(inner, Mapping):
        return _copied({**outer, **inner})
    from airflow_nbjobs.core.errors import NotebookJobConfigError

    raise NotebookJobConfigError(
        f"{name} of {whose} and those of the group around it cannot be merged: one of the two is {_shown(inner, outer)}, whose names only the run knows "
        f"({definition_place()}); give {name} by name on both, or leave them out of the group"
    )


def _shown(*values: Any) -> str:
    return next(repr(value) for value in values if not isinstance(value, Mapping))


def _by_key(tags: Any) -> Any:
    """Return AWS's list of tags as a mapping; anything else as it is."""
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, Mapping) and "Key" in tag for tag in tags):
        return tags
    return {tag["Key"]: tag.get("Value", "") for tag in tags}


def _copied(value: Any) -> Any:
    # No deepcopy: what is in there may be another task's output, and that would copy the DAG.
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def definition_place() -> str:
    """Return the line of a DAG file that is being executed, in words: ``etl.py, line 12``."""
    frame: Any = sys._getframe(1)  # noqa: SLF001 - inspect.stack() reads every file on the way
    while frame is not None:
        name, code = frame.f_globals.get("__name__", ""), frame.f_code
        # An `__init__` is of an operator that somebody has made a class of, and a file "<…>" of attrs.
        if not (name.startswith(_OUR_MODULES) or code.co_name == "__init__" or code.co_filename.startswith("<")):
            return f"{code.co_filename.rpartition('/')[2]}, line {frame.f_lineno}"
        frame = frame.f_back
    return "no DAG file"


def is_notebook_task(task: Any) -> bool:
    """Say whether a task, mapped or not, decorated or not, runs a notebook job."""
    return isinstance(getattr(task, "operator_class", type(task)), NotebookTaskType)


def pool_group(group: Any) -> Any:
    """Return the nearest ``NotebookTaskGroup`` that says how long to keep a machine; None where none does, or it says not at all."""
    for each in groups_around(group):
        arguments = getattr(each, "notebook_arguments", {})
        if KEEP in arguments:
            return each if _is_period(arguments[KEEP]) else None
    return None


def _is_period(value: Any) -> bool:
    return bool(value) and not (isinstance(value, str) and value.strip() in _NO_PERIOD)


def is_pool_member(task: Any) -> bool:
    """Say whether a task shares its group's machine; one that says itself that it keeps none does not."""
    if not is_notebook_task(task) or pool_group(task.task_group) is None:
        return False
    partial = getattr(task, "partial_kwargs", None)
    if partial is not None:
        return KEEP not in partial or _is_period(partial[KEEP])
    return getattr(task, "_has_groups_period", False) or _is_period(task.keep_alive_period_in_seconds)


def pool_members(task: Any) -> list[Any]:
    """Return the tasks that share a machine with this one, itself included; of a mapped task, as the DAG has it."""
    group = pool_group(task.task_group)
    return [] if group is None else [each for each in task.dag.tasks if _is_of_pool(each, group)]


def _is_of_pool(task: Any, group: Any) -> bool:
    if not is_pool_member(task):
        return False
    return bool(pool_group(task.task_group).group_id == group.group_id)


def is_last_of_pool(task: Any) -> bool:
    """Say whether no task that shares the machine runs after this one."""
    members = {each.task_id for each in pool_members(task)}
    seen: set[str] = set()
    waiting = [*task.downstream_task_ids]
    while waiting:
        task_id = waiting.pop()
        if task_id in members:
            return False
        if task_id not in seen:
            seen.add(task_id)
            waiting += task.dag.task_dict[task_id].downstream_task_ids
    return True


def nearest_before(task: Any) -> list[Any]:
    """Return the tasks that share the machine and run before this one, without those that another of them comes after."""
    members = {each.task_id: each for each in pool_members(task)}
    found: dict[str, Any] = {}
    seen: set[str] = set()
    waiting = [*task.upstream_task_ids]
    while waiting:
        task_id = waiting.pop()
        if task_id in members:
            found[task_id] = members[task_id]
        elif task_id not in seen:
            seen.add(task_id)
            waiting += task.dag.task_dict[task_id].upstream_task_ids
    return [found[task_id] for task_id in sorted(found)]


def let_last_keep_nothing(task: Any) -> None:
    """Take the group's period from a task after which nobody needs the machine; one that the task gives itself stays."""
    if getattr(task, "_has_groups_period", False) and is_last_of_pool(task):
        task.keep_alive_period_in_seconds = None
