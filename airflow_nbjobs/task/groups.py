"""
What a notebook task takes from the groups around it, and which tasks of a group share a machine.

Used by the operator as its class's type, by ``task_groups.py`` and inside ``execute``. Imported while DAGs are parsed: nothing but ``airflow.sdk``.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.operator import BaseOperatorMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

KEEP = "keep_alive_period_in_seconds"
MERGED = ("parameters", "environment_variables", "tags")  # name by name, the nearer wins
_NO_PERIOD = ("", "0", "None", "null")
_OUR_MODULES = ("airflow.", "airflow_nbjobs.")
_PENDING = "_arguments_of_groups"  # of a task that is being made


class NotebookTaskType(BaseOperatorMeta):
    """
    The type of the classes of notebook tasks: gives a task what its groups say, before Airflow fills in ``default_args``.

    Each ``__init__`` gets the arguments that it names itself, as with ``default_args``: what a class of an author's own passes on wins over the groups.
    A metaclass, since Airflow's wraps each ``__init__`` too: inside of that, what ``default_args`` fill in looks like what the author wrote.
    """

    if not TYPE_CHECKING:  # a type checker would take their signatures for every task's

        def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> Any:
            made = super().__new__(cls, name, bases, namespace, **kwargs)
            if "__init__" in vars(made):
                made.__init__ = _completing(made.__init__)
            return made

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - of a metaclass
            task = super().__call__(*args, **kwargs)
            vars(task).pop(_PENDING, None)
            return task

    @property
    def __signature__(cls) -> inspect.Signature:  # noqa: N805 - as above
        """What ``help()`` and editors show: the arguments of a task, not those of the call above."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]  # a class, not an instance
        return own.replace(parameters=list(own.parameters.values())[1:])


def _completing(init: Callable[..., None]) -> Callable[..., None]:
    """Return an ``__init__`` that takes from the task's groups what it names and nobody has given."""
    names = inspect.signature(init).parameters.keys()

    @functools.wraps(init)
    def complete(self: Any, *args: Any, **kwargs: Any) -> None:
        if _PENDING not in vars(self):
            kwargs = _begun(self, names, kwargs)
        pending, own_defaults = vars(self)[_PENDING]
        shared = {name: pending.pop(name) for name in tuple(pending) if name in names}
        if shared:
            if KEEP in shared:
                # Read once all edges are known: the last task of a group keeps nothing.
                object.__setattr__(self, "_has_groups_period", KEEP not in kwargs and KEEP not in own_defaults)
            kwargs = completed(kwargs, shared, own_defaults)
        init(self, *args, **kwargs)

    complete.__wrapped__ = init.__wrapped__  # type: ignore[attr-defined]  # Airflow compares it with the function that it has wrapped itself
    return complete


def _begun(task: Any, names: Collection[str], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Note on a task what its groups say; return the arguments of its outermost ``__init__``, of a mapped task without what its groups have given it."""
    pending = shared_arguments(kwargs.get("task_group") or _current_group(kwargs.get("dag")))
    # Not by `BaseOperator.__setattr__`, which looks for upstream tasks.
    object.__setattr__(task, _PENDING, (pending, kwargs.get("default_args") or {}))
    if not kwargs.get("_airflow_from_mapped"):
        return kwargs
    given = {
        name
        for name, value in pending.items()
        if name != KEEP and name not in names and is_same(kwargs.get(name), value)
    }
    return {name: value for name, value in kwargs.items() if name not in given}


def is_same(one: object, other: object) -> bool:
    """Say whether two arguments of any type are equal; two that cannot be compared are not."""
    try:
        return one is other or (type(one) is type(other) and bool(one == other))
    except Exception:  # noqa: BLE001 - values of any type, whose comparison may do anything
        return False


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


def completed(
    arguments: Mapping[str, Any], shared: Mapping[str, Any], own_defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Return a task's arguments with those of its groups; what the task says itself, also in its own ``default_args``, wins.

    Every task gets its own copy of dictionaries and lists.

    :param own_defaults: the task's own ``default_args``, without those of its groups and its DAG.
    :raises NotebookJobConfigError: a dictionary of the groups and a text of the task, which cannot be merged while the DAG is parsed.
    """
    found = dict(arguments)
    given = {**own_defaults, **arguments}
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
