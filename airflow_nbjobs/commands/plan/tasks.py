"""
The plan of one notebook task: examined by the very function that a worker prepares its job with, on stand-ins for what is not known.

Called by ``dag_plans.py`` and, for a notebook without a task, by ``__init__.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.commands.plan import offline
from airflow_nbjobs.commands.plan.contents import describe_files, describe_outputs, describe_parameters
from airflow_nbjobs.commands.plan.context import template_context
from airflow_nbjobs.commands.plan.records import TaskPlan
from airflow_nbjobs.commands.plan.rendering import RenderedTask, reference_text
from airflow_nbjobs.commands.plan.request import replaced_text, shown_request
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job import parsers as parse
from airflow_nbjobs.core.values.params_entry import KEY as PARAMS_KEY
from airflow_nbjobs.settings import read_settings
from airflow_nbjobs.task.prepare import examine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_nbjobs.aws.submit.prepare import ExaminedJob
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.commands.plan.given_run import GivenRun
    from airflow_nbjobs.commands.plan.mapping import Index

_RUN_ID = "nbjobs-run-not-known"
_MAP_INDEX = 987_654_321
_START, _END = datetime(1970, 1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, 2, tzinfo=UTC)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a plan is made for.

    :param params: the run's, checked by Airflow.
    :param bundle: folder of the bundle that the DAG file belongs to.
    """

    run: GivenRun
    params: Any
    bundle: Path | None
    shows_request: bool


class PlannedTask(msgspec.Struct, frozen=True):
    """
    A task's plan.

    :param job: what an estimate is made of; None where there is none.
    :param not_known: arguments, and what they are made of.
    """

    plan: TaskPlan
    job: PreparedJob | None
    not_known: Mapping[str, str]


def plan_task(operator: Any, index: Index, wanted: Wanted) -> PlannedTask:
    """
    Return the plan of one task.

    :param operator: as a worker has it before its fields are rendered; the plan's own copy.
    """
    return _TaskPlanner(operator, index, wanted).plan()


class _TaskPlanner:
    def __init__(self, operator: Any, index: Index, wanted: Wanted) -> None:
        self._wanted = wanted
        self._index = -1 if index.map_index is None else index.map_index
        if index.map_index is None and index.is_mapped:
            self._index = _MAP_INDEX
        self._plan = TaskPlan(task_id=operator.task_id, map_index=index.map_index)
        self._said = [f"{name}: {text}" for name, text in index.merged.items()]
        self._texts: dict[str, str] = {}  # stand-in -> what it stands for
        if self._index == _MAP_INDEX:
            self._texts[str(_MAP_INDEX)] = "map index"
        self._whole = "" if index.whole is None else reference_text(index.whole)
        if self._whole:
            self._said.append(f"arguments: {self._whole} may give any of them")
        # What gives parameters beside those of the task.
        self._others_from = index.merged.get("parameters", self._whole)
        context = template_context(operator, wanted.run, wanted.params, map_index=self._index, bundle=wanted.bundle)
        self._note_function(operator)
        self._rendered = RenderedTask(operator, context)
        self._task = self._rendered.task
        self._texts |= self._rendered.tokens

    def _note_function(self, operator: Any) -> None:
        function = getattr(operator, "python_callable", None)
        if function is None:
            return
        self._plan.is_decorated = True
        self._others_from = f"{getattr(function, '__name__', 'the function')}()"
        self._said.append(
            f"parameters: what {self._others_from} returns; it is called when the task runs, and not by a plan"
        )
        operator._has_returned = True  # noqa: SLF001 - of an operator of ours: it would be called otherwise
        given = operator.parameters
        if isinstance(given, dict) and PARAMS_KEY in given:  # the function may give what the run does not
            operator.parameters = {name: value for name, value in given.items() if name != PARAMS_KEY}
            self._said.append("parameters: which of the run's params the function replaces")

    def plan(self) -> PlannedTask:
        plan = self._plan
        given = self._given_notebook()
        self._said += [f"{name}: {text}" for name, text in self._rendered.not_known.items()]
        try:
            self._stand_in()
            examined = examine(self._task, self._context())
        except NotebookJobError as error:
            plan.problems = (*self._rendered.problems, *(error.problems or [str(error)]))
            plan.notebook, plan.not_known = given, tuple(self._said)
            return PlannedTask(plan, None, self._rendered.not_known)
        found = examined.job
        clients = self._task.hook.clients
        self._texts |= clients.not_known
        self._said += clients.said
        problems = self._judged(examined.problems)
        plan.problems = (*self._rendered.problems, *problems)
        plan.warnings = (*self._rendered.warnings, *self._judged(examined.warnings))
        self._describe(found, given)
        if found.job is not None and self._wanted.shows_request:
            plan.request = shown_request(
                found.job,
                not_known=self._rendered.not_known | ({"parameters": self._others_from} if self._others_from else {}),
                texts=self._texts,
                parameters={name: each.text for name, each in self._rendered.parameters.items()},
            )
        if found.job is None and not plan.problems:
            self._said.append("request, estimate: both need the notebook, which is not known here")
        plan.not_known = tuple(dict.fromkeys(replaced_text(each, self._texts) for each in self._said))
        return PlannedTask(plan, found.job, self._rendered.not_known)

    def _given_notebook(self) -> str | None:
        path = self._task.input_notebook
        return None if path is None else str(path)

    def _describe(self, found: ExaminedJob, given: str | None) -> None:
        plan, content = self._plan, found.content
        plan.notebook = content.origin or given
        plan.kernel = found.kernel_name
        arguments = self._task.job_arguments()
        plan.parameters = describe_parameters(
            content.notebook,
            arguments.parameters,
            checked=found.values,
            kernel_name=found.kernel_name,
            whole=self._rendered.not_known.get("parameters") or self._others_from,
        )
        plan.files = describe_files(content, found.job)
        plan.outputs = describe_outputs(content.sources, found.declared)

    def _judged(self, texts: tuple[str, ...]) -> list[str]:
        """Return the texts that are about what is known; the others are said among what is not."""
        known: list[str] = []
        for text in texts:
            if (
                any(stand_in in text for stand_in in (*self._rendered.tokens, offline.NOTEBOOK))
                or "which is not asked" in text
            ):
                if offline.NOTEBOOK not in text:
                    self._said.append(text)
            else:
                known.append(replaced_text(text, self._texts))
        return known

    def _stand_in(self) -> None:
        """Give the task its connection, as far as this machine knows it, and a value for each argument without which nothing could be checked."""
        task, not_known = self._task, self._rendered.not_known
        connection = offline.connection_here(task.aws_conn_id if "aws_conn_id" not in not_known else None)
        extra = {} if connection is None else connection.extra_dejson
        arguments = read_settings(extra).completed(task.job_arguments())
        region = task.region_name if not parse.is_absent(task.region_name) else offline.region_here(connection)
        absent: list[str] = []
        if region is None:
            keys = (arguments.image_uri, arguments.s3_kms_key, arguments.volume_kms_key, arguments.studio_domain_arn)
            region = offline.stand_in_region(*keys)
            absent += ["region_name"] if "region_name" not in not_known else []
            not_known.setdefault("region_name", "region of the deployment")
        for name, stand_in in offline.stand_ins(region).items():
            if not parse.is_absent(getattr(arguments, name)) or (
                connection is not None and name not in not_known and not self._whole
            ):
                continue  # what a connection that is known does not give is a problem, as it is to a worker
            absent += [name] if name not in not_known else []
            setattr(task, name, stand_in)
            self._texts |= offline.shown_stand_in(name, stand_in, not_known.get(name, f"{name} of the deployment"))
        if absent:
            where = "" if task.aws_conn_id is None else f", and connection '{task.aws_conn_id}' is not on this machine"
            self._said.append(f"{', '.join(absent)}: neither the task nor [nbjobs] on this machine says{where}")
        self._leave_out_s3()
        if "input_notebook" in not_known:
            task.input_notebook = offline.NOTEBOOK
        task._hook = offline.OfflineHook(str(region), extra)  # noqa: SLF001 - in place of the one that asks AWS

    def _leave_out_s3(self) -> None:
        """Leave out what lies in S3 beside a notebook that does not: it cannot be looked at, and all else can."""
        task, not_known = self._task, self._rendered.not_known
        try:
            entries = list(parse.paths(task.additional_dependencies))
        except ValueError:
            entries = []  # among the problems
        there = [each for each in entries if each.startswith("s3://")]
        if there:
            task.additional_dependencies = [each for each in entries if each not in there]
            not_known["additional_dependencies"] = ", ".join(there)
            self._said.append(f"additional_dependencies: {', '.join(there)} in S3, which is not asked")
        script = task.initialization_script
        if isinstance(script, str) and script.startswith("s3://"):
            task.initialization_script = None
            not_known["initialization_script"] = script
            self._said.append(f"initialization_script: {script} in S3, which is not asked")
        if "additional_dependencies" in not_known:  # which may have what a notebook %runs
            task.missing_dependencies = "warn"

    def _context(self) -> Any:
        """Return the context of a first try, with stand-ins for what Airflow says of a run when it begins."""
        wanted, run, task = self._wanted, self._wanted.run, self._task
        start, end = run.interval_start, run.interval_end
        if run.logical_date is None and run.has_interval:
            start, end = _START, _END
            self._texts |= {
                _START.isoformat(): "start of the data interval",
                _END.isoformat(): "end of the data interval",
            }
        if run.run_id is None:
            self._texts[_RUN_ID] = "run id"
        ti = SimpleNamespace(
            dag_id=task.dag_id,
            task_id=task.task_id,
            run_id=run.run_id or _RUN_ID,
            map_index=self._index,
            try_number=1,
            max_tries=task.retries or 0,
            # Whole seconds of `execution_timeout` are left for as long as the plan of a task takes.
            start_date=None if task.execution_timeout is None else datetime.now(tz=UTC) + timedelta(seconds=0.9),
            bundle_instance=None if wanted.bundle is None else SimpleNamespace(path=wanted.bundle),
            task=task,
        )
        dag_run = SimpleNamespace(
            start_date=_START,
            run_after=_START,
            conf=run.conf or {},
            data_interval_start=start,
            data_interval_end=end,
            logical_date=run.logical_date,
        )
        return {
            "ti": ti,
            "task_instance": ti,
            "dag_run": dag_run,
            "params": wanted.params,
            "dag": task.dag,
            "task": task,
        }
