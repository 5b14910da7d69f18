"""
``NotebookTaskGroup``: arguments that the notebooks of a group share, and a machine that they use one after the other.

Imported by DAG files: nothing but ``airflow.sdk`` at module level; what compares machines is imported where a group keeps one, the rest as tasks run.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TaskGroup

from airflow_nbjobs.task import groups

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from airflow.sdk import Context

    from airflow_nbjobs.hooks import SageMakerNotebookJobHook
    from airflow_nbjobs.task.argument_types import GroupArguments

__all__ = ["NotebookTaskGroup", "WarmPoolRelease"]

_RELEASE_ID = "release_warm_pool"
_AWS_ARGUMENTS = ("aws_conn_id", "region_name", "verify", "botocore_config")
# Of one task: shared, they would name several alike, or nothing.
_OF_ONE_TASK = {
    "display_name": "group_display_name names the group",
    "description": "tooltip describes the group",
    "retry_policies": "give default_args={'retries': …}",
    "depends_on": "write group >> task",
}


class NotebookTaskGroup(TaskGroup):
    """
    A task group whose notebook tasks share arguments, and with ``keep_alive_period_in_seconds`` a machine.

    .. code-block:: python

        with NotebookTaskGroup("daily", image_uri="sagemaker-distribution:4-cpu", parameters={"day": "{{ ds }}"}):
            prepare = SageMakerNotebookJobOperator(task_id="prepare", input_notebook="notebooks/prepare.ipynb")
            train = SageMakerNotebookJobOperator(
                task_id="train", input_notebook="notebooks/train.ipynb", parameters={"epochs": 3}
            )
            prepare >> train

    The arguments reach the notebook tasks in the group, in groups inside it and around mapped groups, plain, mapped and decorated; no other task gets them. What counts, from
    weak to strong: the configuration, ``default_args`` (of the DAG, of groups: as Airflow has them), the arguments of the outer group, of the inner group, of the task (also in
    the task's own ``default_args``, and what a class of an author's own passes on to the operator). ``parameters``, ``environment_variables`` and ``tags`` are merged name by name through all levels but ``default_args``; every task has its
    own copy.

    **Warm pool.** With ``keep_alive_period_in_seconds`` SageMaker keeps the machine between the notebooks of the group, which run one after the other; it is billed while it
    idles. Tasks whose arguments name another machine are an error while the DAG is parsed; what only the run knows is compared in the task's log. A task after which no notebook of
    the group comes asks for no pool, so that the machine goes with it. The group gets a teardown task, ``release_warm_pool``: it gives back what is kept when a notebook has failed or was
    killed, and fails no run. A task with ``keep_alive_period_in_seconds=None`` of its own takes no part.

    :param group_id: as in ``TaskGroup``.
    :param arguments: of ``SageMakerNotebookJobOperator``, but for those of one task alone (``task_id``, ``display_name``, ``description``), and of ``TaskGroup``. What every task of
        Airflow takes, such as ``retries``, goes into ``default_args``.
    :raises TypeError: an argument is of neither.
    :raises NotebookJobConfigError: as the block ends: tasks could not share the machine; names all of them.
    """

    def __init__(self, group_id: str, **arguments: Unpack[GroupArguments]) -> None:
        given: dict[str, Any] = {**arguments}
        of_group = inspect.signature(TaskGroup.__init__).parameters
        self.notebook_arguments = {name: given.pop(name) for name in tuple(given) if name not in of_group}
        self._places: dict[str, str] = {}
        self._has_ended = False
        _refuse_unknown(group_id, self.notebook_arguments)
        super().__init__(group_id=group_id, **given)

    # Airflow's class keeps its own attributes in slots, and copies those alone.
    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        return super().__getstate__(), dict(vars(self))

    def __setstate__(self, state: tuple[Any, dict[str, Any]]) -> None:
        of_airflow, own = state
        super().__setstate__(of_airflow)  # type: ignore[misc]  # which attrs adds to it
        vars(self).update(own)

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._end()
        finally:
            super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]  # Airflow's own

    def add(self, task: Any) -> Any:
        """
        Add a task or a group, as Airflow does when one is made inside the block.

        :raises DuplicateTaskIdFound: two tasks have one id; names both with their lines.
        """
        if not isinstance(task, TaskGroup):
            self._check_id(task)
            if self._has_ended:
                self._add_late(task)
        return super().add(task)

    def _check_id(self, task: Any) -> None:
        place, task_id = groups.definition_place(), task.task_id
        other = self.children.get(task_id) or self.dag.task_dict.get(task_id)
        if other is not None and other is not task:
            from airflow_nbjobs._compat import DuplicateTaskIdFound

            first, second = _what(other, self._place_of(other)), _what(task, place)
            raise DuplicateTaskIdFound(
                f"Two tasks of group '{self.group_id}' have the id '{task_id}': {first}, and {second}; give one of the two another task_id"
            )
        self._places[task_id] = place

    def _add_late(self, task: Any) -> None:
        if not groups.is_notebook_task(task):
            return
        if groups.pool_group(self) is not None:
            from airflow_nbjobs.core.errors import NotebookJobConfigError

            raise NotebookJobConfigError(
                f"Task '{task.task_id}' ({groups.definition_place()}) joins group '{self.group_id}' after its block, whose machines are compared and released there; "
                "make the task inside the block"
            )
        _complete_mapped(task)

    def _end(self) -> None:
        """Complete what could not be as it was made, and close the warm pool where this group is the one that has it."""
        for task in self.iter_tasks():
            if groups.is_notebook_task(task):
                _complete_mapped(task)
        self._has_ended = True
        pool = groups.pool_group(self)
        if pool is None or pool.group_id != self.group_id:
            return
        members = [
            task
            for task in self.iter_tasks()
            if groups.is_pool_member(task) and groups.pool_group(task.task_group).group_id == self.group_id
        ]
        if members:
            self._check_machines(members)
            self._add_release(members)

    def _check_machines(self, tasks: Sequence[Any]) -> None:
        from airflow_nbjobs.core.errors import NotebookJobConfigError
        from airflow_nbjobs.core.job.pool_members import READ, Member, member_problems

        members = [
            Member(
                f"'{task.task_id}' ({self._place_of(task)})",
                {name: _candidates(task, name) for name in READ},
            )
            for task in tasks
        ]
        problems = member_problems(str(self.group_id), members)
        if problems:
            raise NotebookJobConfigError(
                f"The notebooks of group '{self.group_id}' cannot share a machine (keep_alive_period_in_seconds)",
                problems=problems,
            )

    def _add_release(self, members: Sequence[Any]) -> None:
        arguments = {name: _candidates(members[0], name)[0] for name in _AWS_ARGUMENTS}
        release_id = _RELEASE_ID if self.prefix_group_id else f"{self.label}_{_RELEASE_ID}"
        release = WarmPoolRelease(task_id=release_id, depends_on_past=False, task_group=self, **arguments)
        # After all of them, not the last alone: edges may be drawn once the block has ended.
        release.set_upstream(list(members))
        release.as_teardown()

    def _place_of(self, task: Any) -> str:
        for group in (*groups.groups_around(task.task_group), self):
            place = getattr(group, "_places", {}).get(task.task_id)
            if place:
                return str(place)
        return "its line is not known"


def _refuse_unknown(group_id: str, given: dict[str, Any]) -> None:
    from airflow_nbjobs.operators import SageMakerNotebookJobOperator

    known = (
        inspect.signature(SageMakerNotebookJobOperator.__init__).parameters.keys()
        - _OF_ONE_TASK.keys()
        - {"self", "kwargs"}
    )
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    of_tasks = inspect.signature(BaseOperator.__init__).parameters
    said = []
    for name in unknown:
        if name in _OF_ONE_TASK:
            said.append(f"'{name}' is no argument of a group: {_OF_ONE_TASK[name]}")
        elif name in of_tasks:
            said.append(f"'{name}' is every task's: default_args={{'{name}': …}} gives it to all tasks of the group")
        else:
            from airflow_nbjobs.core.guesses import did_you_mean

            said.append(f"there is no argument '{name}'{did_you_mean(name, known)}")
    raise TypeError(f"NotebookTaskGroup('{group_id}', …): {'; '.join(said)}")


def _what(task: Any, place: str) -> str:
    notebook = getattr(task, "partial_kwargs", vars(task)).get("input_notebook")
    if isinstance(notebook, str):
        return f"notebook '{notebook}' ({place})"
    # Of one that is being made, Airflow adds it before its arguments are there.
    return f"{'another notebook' if groups.is_notebook_task(task) else 'another task'} ({place})"


def _complete_mapped(task: Any) -> None:
    """
    Give a mapped task what its groups say as far as that can be told before it is expanded.

    The worker completes every instance anyway. The API server reads from the mapped task where its jobs lie, and the scheduler whose output it needs.
    """
    partial = getattr(task, "partial_kwargs", None)
    if partial is None:
        return
    from airflow.sdk import XComArg

    shared = groups.shared_arguments(task.task_group)
    mapped = _mapped_names(task, shared)
    open_names = {name: value for name, value in shared.items() if name not in mapped and name != groups.KEEP}
    found = groups.completed({**partial, "task_id": task.task_id}, open_names, partial.get("default_args") or {})
    for name in open_names:
        partial[name] = found[name]
    for name in shared.keys() & set(task.template_fields):
        if name not in partial or name in open_names:
            XComArg.apply_upstream_relationship(task, found.get(name, shared[name]))


def _mapped_names(task: Any, shared: dict[str, Any]) -> set[str]:
    """Return the arguments that a task is mapped over; all that its groups give, where the dictionaries to map over are another task's output."""
    value = task.expand_input.value
    if isinstance(value, dict):
        return set(value)
    if isinstance(value, list | tuple) and all(isinstance(each, dict) for each in value):
        return {name for each in value for name in each}
    return set(shared)


def _candidates(task: Any, name: str) -> list[Any]:
    """Return the values of an argument that instances of a task may have, as far as they are known while the DAG is parsed."""
    partial = getattr(task, "partial_kwargs", None)
    if partial is None:
        return [getattr(task, name)]
    from airflow_nbjobs.core.job.pool_members import UNKNOWN

    value = task.expand_input.value
    base = partial[name] if name in partial else _default(task, name)
    if isinstance(value, dict):
        mapped = value.get(name, [base])
        return list(mapped) if isinstance(mapped, list | tuple) and mapped else [UNKNOWN]
    if isinstance(value, list | tuple):
        return [each.get(name, base) if isinstance(each, dict) else UNKNOWN for each in value] or [base]
    return [base, UNKNOWN]


def _default(task: Any, name: str) -> Any:
    """Return what counts where neither the task nor a group says anything: ``default_args``, else the operator's own default."""
    defaults = {**(task.dag.default_args or {}), **(task.task_group.default_args or {})}
    shared = groups.shared_arguments(task.task_group)
    own = inspect.signature(task.operator_class.__init__).parameters.get(name)
    if own is None:  # of a decorated class, whose own signature is the function's
        from airflow_nbjobs.operators import SageMakerNotebookJobOperator

        own = inspect.signature(SageMakerNotebookJobOperator.__init__).parameters[name]
    return shared.get(name, defaults.get(name, own.default))


class WarmPoolRelease(BaseOperator):
    """
    Give back the machine that a group's notebooks have left in a warm pool: the teardown of a ``NotebookTaskGroup``, which makes it.

    It waits in its worker, at most 15 minutes, for jobs that still end. Where SageMaker keeps nothing, it ends at once. Its own failure is shown and fails no run; the machine then
    idles, and is billed, for the rest of its ``keep_alive_period_in_seconds``.

    Needs ``sagemaker:UpdateTrainingJob``, ``DescribeTrainingJob`` and ``ListTrainingJobs``.

    :param aws_conn_id, region_name, verify, botocore_config: as the group's notebooks have them.
    """

    template_fields: Sequence[str] = ("aws_conn_id", "region_name", "verify")
    ui_color = "#e8e3da"

    def __init__(
        self,
        *,
        aws_conn_id: str | None,
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    @property
    def hook(self) -> SageMakerNotebookJobHook:
        from airflow_nbjobs.hooks import SageMakerNotebookJobHook

        return SageMakerNotebookJobHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    def execute(self, context: Context) -> None:
        """:raises NotebookJobServiceError: a machine is kept still, or SageMaker could not be asked."""
        from airflow_nbjobs.task.warm_pools import release_machines

        release_machines(self, context)
