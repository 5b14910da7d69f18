"""
A task's own arguments: texts and durations of those that are no template fields become values, and an error says where a wrong value comes from.

Called by the operator inside ``execute`` and by ``prepare.py``.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.job import parsers as parse
from airflow_nbjobs.task.groups import groups_around, is_same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_nbjobs.core.errors import NotebookJobError
    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.settings import Settings
    from airflow_nbjobs.task.view import TaskView

_FLAGS = {
    "stop_on_kill": True,
    "retry_on_cell_error": True,
    "wait_for_completion": True,
    "deferrable": True,
    "lineage_parent": False,
}
_DURATIONS = {"waiter_delay": defaults.WAITER_DELAY, "capacity_timeout": defaults.CAPACITY_TIMEOUT}
# A problem begins with the argument's name, but for these.
_PLURALS = {"parameter": "parameters", "output": "outputs"}
_FIRST_WORD = re.compile(r"[a-z][a-z0-9_]*(?=[: ])")


def parse_arguments(task: TaskView) -> list[str]:
    """
    Replace each text or timedelta, as YAML and configuration give them, by a value; a text 'False' would count as true.

    An empty text, as of a template, counts as not given.

    :return: what is wrong with those that say no value; they stay as they are.
    """
    problems: list[str] = []
    for name in (*_FLAGS, *_DURATIONS):
        given = getattr(task, name)
        if name in _FLAGS and given is None:
            continue  # no flag is set by None, here as everywhere in Python
        try:
            if isinstance(given, str) and parse.is_absent(given):
                value: Any = (_FLAGS | _DURATIONS)[name]
            else:
                value = parse.boolean(given) if name in _FLAGS else parse.seconds(given)
        except ValueError as error:
            problems.append(f"{name}: {error}")
        else:
            setattr(task, name, value)
    return problems


def add_sources(error: NotebookJobError, task: TaskView, settings: Settings, arguments: JobArguments) -> None:
    """
    Add to an error where the wrong values come from, as far as the task itself has not given them.

    ``default_args`` of a DAG reach every operator that has an argument of that name, whatever they were meant for.
    """
    if error.problems:
        error.problems = with_sources(error.problems, task, settings, arguments)
        return
    # What AWS says of a role or an image names the value, not the argument.
    completed = settings.completed(arguments)
    sources = [
        f"{name} comes from {where}"
        for name in ("role", "image_uri")
        if str(getattr(completed, name) or "\0") in error.headline
        and (where := _place(name, task, settings, arguments))
    ]
    if sources:
        error.details["given"] = "; ".join(sources)


def with_sources(
    problems: Iterable[str], task: TaskView, settings: Settings, arguments: JobArguments
) -> tuple[str, ...]:
    """Return problems, each with where its value comes from, if not from the task itself."""
    place = partial(_place, task=task, settings=settings, arguments=arguments)
    return tuple(_with_place(problem, place) for problem in problems)


def _place(name: str, task: TaskView, settings: Settings, arguments: JobArguments) -> str | None:
    return settings.place(name, arguments) or _outer_place(name, task)


def _with_place(problem: str, place: Callable[[str], str | None]) -> str:
    found = _FIRST_WORD.match(problem)
    if found is None:
        return problem
    word = found[0]
    where = place(_PLURALS.get(word, word))
    if where is None:
        return problem
    if word in _PLURALS:
        return f"{problem} ({_PLURALS[word]} come from {where})"
    return f"{word} (from {where}){problem[found.end() :]}"


def _outer_place(name: str, task: TaskView) -> str | None:
    """Return which group gave the value that the task was made with, or whose ``default_args`` hold it; None where it was given to the task itself."""
    dag: Any = task.dag
    # This task's fields are rendered; the DAG has the task as it was made, or a mapped task, which takes the default_args with each instance.
    made: Any = dag.task_dict.get(task.task_id, task)
    value = vars(made if isinstance(made, type(task)) else task).get(name)
    if value is None:
        return None
    around = [
        group for group in groups_around(getattr(made, "task_group", None)) if group.group_id
    ]  # not the DAG's own
    for group in around:
        if is_same(getattr(group, "notebook_arguments", {}).get(name), value):
            return f"NotebookTaskGroup '{group.group_id}'"
    holders = [
        (f"default_args of task group '{group.group_id}'", group.default_args)
        for group in around
        if name in (group.default_args or {})
    ]
    # The inner group's count; one that it has of an outer group is the outer's.
    holders = holders or [(f"default_args of DAG '{dag.dag_id}'", dag.default_args or {})]
    return next((text for text, defaults in reversed(holders) if is_same(defaults.get(name), value)), None)
