"""
Which tasks of a group could not share a machine, as far as their arguments tell while a DAG is parsed; pure.

Called by ``task_groups.py`` for a group that keeps its machine. What a template or the configuration says is compared when a job has run: ``warm_pool.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core import defaults, texts
from airflow_nbjobs.core.job import parsers as parse
from airflow_nbjobs.core.job.aws_parsers import identifiers, instance_types
from airflow_nbjobs.core.job.warm_pool import KEEP_ARGUMENT, MATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNKNOWN = object()  # until the task runs
COMPARED = (*(name for name in MATCHED if name != "instance_count"), "aws_conn_id", "region_name")
READ = (*COMPARED, "enable_managed_spot_training", "wait_for_completion", "extra_request")
_IN_REQUEST = {path: name for name, path in MATCHED.items()} | {
    ("EnableManagedSpotTraining",): "enable_managed_spot_training"
}


class Member(msgspec.Struct, frozen=True):
    """
    A task that is to share its group's machine.

    :param label: as an error names it: ``'etl.train' (etl.py, line 12)``.
    :param arguments: of ``READ``, each with the values that its instances may have: one, or several of a mapped task.
    """

    label: str
    arguments: Mapping[str, Sequence[Any]]


def member_problems(group_id: str, members: Sequence[Member]) -> list[str]:
    """Return what keeps tasks from sharing the group's machine, each with its task and what to do."""
    problems: list[str] = []
    first: dict[str, tuple[Any, str]] = {}
    for member in members:
        values = _values(member)
        problems += _alone(group_id, member, values)
        for name in (*MATCHED, "aws_conn_id", "region_name"):
            for value in values.get(name, ()):
                if value is UNKNOWN:
                    continue
                before, label = first.setdefault(name, (value, member.label))
                if before != value:
                    problems.append(_different(group_id, member, name, (value, before, label)))
                    break
    return problems


def _alone(group_id: str, member: Member, values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    if True in values["enable_managed_spot_training"]:
        yield (
            f"task {member.label} asks for spot capacity (enable_managed_spot_training), which no warm pool keeps; "
            f"give it {KEEP_ARGUMENT}=None, or leave {KEEP_ARGUMENT} out of group '{group_id}'"
        )
    if False in values["wait_for_completion"]:
        yield (
            f"task {member.label} does not wait for its job (wait_for_completion=False): the next task would ask for the machine while it is in use; "
            f"let it wait, or give it {KEEP_ARGUMENT}=None"
        )


def _different(group_id: str, member: Member, name: str, found: tuple[Any, Any, str]) -> str:
    value, before, label = found
    argument = "ResourceConfig.InstanceCount of extra_request" if name == "instance_count" else name
    of_other = " of another of its instances" if label == member.label else f" of task {label}"
    return (
        f"task {member.label} could not share the machine of group '{group_id}': its {argument} is {_shown(value)}, that{of_other} is {_shown(before)}; "
        f"give both one value, or this task {KEEP_ARGUMENT}=None"
    )


def _shown(value: Any) -> str:
    if isinstance(value, frozenset):
        return repr(sorted(value))
    return repr(value[0] if isinstance(value, tuple) and len(value) == 1 else value)


def _values(member: Member) -> dict[str, tuple[Any, ...]]:
    """Return the values of each argument as they count, ``UNKNOWN`` where only the run tells."""
    extras = [_of_extra(extra) for extra in member.arguments.get("extra_request", (None,))]
    found: dict[str, tuple[Any, ...]] = {}
    for name in _READERS:
        given = [_read(name, value) for value in member.arguments.get(name, (None,))]
        values: list[Any] = []
        for extra in extras:  # is merged last; of one that is not known yet, it may say anything
            values += [UNKNOWN] if extra is None else [extra[name]] if name in extra else given
        found[name] = tuple(dict.fromkeys(values))
    return found


def _of_extra(extra: Any) -> dict[str, Any] | None:
    if parse.is_absent(extra):
        return {}
    if not isinstance(extra, Mapping):
        return None
    found: dict[str, Any] = {}
    for path, name in _IN_REQUEST.items():
        value: Any = extra
        for part in path:
            value = value.get(part, found) if isinstance(value, Mapping) else found
        if value is not found:
            found[name] = _read(name, value)
    return found


def _set(prefix: str, most: int) -> Callable[[object], Any]:
    read = identifiers(most=most, prefix=prefix)
    return lambda value: frozenset(read(value))


def _number(value: object) -> Any:
    number = texts.number(value)
    if number is None:
        raise ValueError(value)
    return number


# By argument: how a value is read, and what counts where none is given; UNKNOWN where that is configured elsewhere.
_READERS: Mapping[str, tuple[Callable[[object], Any], Any]] = {
    "role": (parse.text, UNKNOWN),
    "instance_type": (instance_types, (defaults.INSTANCE_TYPE,)),
    "instance_count": (_number, 1),
    "volume_size": (_number, defaults.VOLUME_SIZE),
    "volume_kms_key": (parse.text, UNKNOWN),
    "security_group_ids": (_set("sg-", 5), UNKNOWN),
    "subnets": (_set("subnet-", 16), UNKNOWN),
    "encrypt_inter_container_traffic": (parse.boolean, defaults.ENCRYPT_INTER_CONTAINER_TRAFFIC),
    "enable_network_isolation": (parse.boolean, False),
    "aws_conn_id": (parse.text, None),
    "region_name": (parse.text, UNKNOWN),
    "enable_managed_spot_training": (parse.boolean, False),
    "wait_for_completion": (parse.boolean, True),
}


def _read(name: str, value: object) -> Any:
    read, absent = _READERS[name]
    if parse.is_absent(value):
        return absent
    if _is_template(value):
        return UNKNOWN
    try:
        return read(value)
    except ValueError:
        return UNKNOWN  # the task itself says what is wrong with it, with all else that is


def _is_template(value: object) -> bool:
    if isinstance(value, str):
        return texts.is_template(value)
    if isinstance(value, Mapping):
        return any(_is_template(each) for each in value.values())
    if isinstance(value, Sequence):
        return any(_is_template(each) for each in value)
    return not isinstance(value, bool | int | float | timedelta)  # an XComArg, or whatever has a value later
