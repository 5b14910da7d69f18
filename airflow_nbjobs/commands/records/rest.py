"""
What an Airflow knows, by its REST API (version 2, Airflow 3): for a machine that reaches no more of it.

Called by ``choice.py``. AWS is asked with this machine's own credentials, since Airflow shows nobody its connections' secrets; where jobs write, and the
name of the deployment, come from the task's own argument or from this machine's ``[nbjobs]`` configuration.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.commands.records.port import FORGOTTEN, UNASKED, AirflowError, Run, Said, said_in_fields
from airflow_nbjobs.commands.records.rest_client import NotFoundError
from airflow_nbjobs.commands.records.states import goes_on, is_under_way, no_such_run
from airflow_nbjobs.commands.target import own_account
from airflow_nbjobs.core.error_record import parse_error_record
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.aws_parsers import s3_root_uri
from airflow_nbjobs.core.job.reference import parse_job_reference
from airflow_nbjobs.core.job.xcoms import (
    ATTEMPTS_KEY,
    END_KEY,
    ERROR_KEY,
    JOB_KEY,
    is_output,
    read_attempts,
    read_record,
)
from airflow_nbjobs.settings import read_settings
from airflow_nbjobs.ui.data.task_instance import NEVER_RAN, Kind, NotebookTaskInstance, TaskArguments, kind_of
from airflow_nbjobs.ui.data.xcom_values import plain
from airflow_nbjobs.ui.notebook.aws_access import Access

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from airflow_nbjobs.commands.records.rest_client import RestClient

_ALL = "~"  # of all DAGs, of all runs
_BY_ASSETS = "asset_triggered"  # a run's type


class RestRecords:
    """:param region_name: of AWS; None: what the job's record says, else this machine's own configuration."""

    def __init__(self, api: RestClient, *, region_name: str | None = None) -> None:
        self._api = api
        self._region_name = region_name
        self._fields: dict[str, dict[str, tuple[frozenset[str], str]]] = {}

    def run(self, dag_id: str, run_id: str) -> Run:
        try:
            return _run(self._api.get("dags", dag_id, "dagRuns", run_id))
        except NotFoundError as error:
            raise no_such_run(dag_id, run_id, self._newest(dag_id)) from error

    def _newest(self, dag_id: str) -> list[str]:
        try:
            found = self._api.get("dags", dag_id, "dagRuns", limit=3, order_by="-run_after")
        except AirflowError:
            return []
        return [str(run["dag_run_id"]) for run in found.get("dag_runs", ())]

    def runs(self) -> list[Run]:
        return [_run(each) for each in self._api.pages("dags", _ALL, "dagRuns", items="dag_runs", order_by="id")]

    def task_instances(self, run: Run) -> list[NotebookTaskInstance]:
        documents = self._instances(run.dag_id, run.run_id)
        # Each once, also if it was given another try while it was read.
        found = {(str(each["task_id"]), int(each["map_index"])): each for each in documents}
        instances = [self._task_instance(found[name], run, with_records=True) for name in sorted(found)]
        return [ti for ti in instances if ti.kind is not Kind.OTHER]

    def all_task_instances(self, dag_ids: Iterable[str], *, unknown: Counter[str]) -> Iterator[NotebookTaskInstance]:
        wanted = set(dag_ids)
        runs = {run.name: run for run in self.runs() if run.dag_id in wanted}
        for dag_id in sorted(wanted):
            for document in self._instances(dag_id, _ALL):
                run = runs.get((dag_id, str(document["dag_run_id"])))
                if run is None:
                    continue
                ti = self._task_instance(document, run, with_records=False)
                if ti.kind is Kind.OPERATOR:
                    yield ti
                elif not ti.rendered and _has_run(document) and ti.task_id not in self._fields_of(dag_id):
                    unknown[dag_id] += 1

    def _instances(self, dag_id: str, run_id: str) -> Iterator[dict[str, Any]]:
        return self._api.pages(
            "dags", dag_id, "dagRuns", run_id, "taskInstances", items="task_instances", order_by="id"
        )

    def _task_instance(self, document: Mapping[str, Any], run: Run, *, with_records: bool) -> NotebookTaskInstance:
        task_id, map_index = str(document["task_id"]), int(document["map_index"])
        rendered = document.get("rendered_fields") or {}
        # A task that has not run, or of whose kind Airflow remembers thirty later runs, has no rendered fields.
        fields, task_type = frozenset(rendered), str(document.get("operator_name") or document.get("operator") or "")
        kind = kind_of(fields, task_type)
        if kind is Kind.OTHER and not rendered:
            fields, task_type = self._fields_of(run.dag_id).get(task_id, (fields, task_type))
            kind = kind_of(fields, task_type)
        has_records = with_records and kind is not Kind.OTHER
        name = (run.dag_id, run.run_id, task_id)
        xcoms = {key: self._xcom(*name, map_index, key) for key in (JOB_KEY, END_KEY, ERROR_KEY)} if has_records else {}
        error = xcoms.get(ERROR_KEY)
        return NotebookTaskInstance(
            dag_id=run.dag_id,
            run_id=run.run_id,
            task_id=task_id,
            map_index=map_index,
            state=document.get("state"),
            try_number=int(document.get("try_number") or 0),
            max_tries=int(document["max_tries"]),
            started=_time(document.get("start_date")),
            ended=_time(document.get("end_date")),
            run_started=run.started or run.run_after,
            kind=kind,
            arguments=TaskArguments({}, fields),  # all from what Airflow has rendered
            rendered=rendered,
            job=read_record(JOB_KEY, xcoms.get(JOB_KEY)) or None,
            end=read_record(END_KEY, xcoms.get(END_KEY)) or None,
            error=parse_error_record(error if isinstance(error, dict) else None),
            attempts=tuple(self._attempts(*name, map_index)) if has_records and kind is Kind.OPERATOR else (),
        )

    def _fields_of(self, dag_id: str) -> dict[str, tuple[frozenset[str], str]]:
        if dag_id not in self._fields:
            try:
                tasks = self._api.get("dags", dag_id, "tasks").get("tasks", ())
            except NotFoundError:  # no such DAG any more
                tasks = ()
            self._fields[dag_id] = {
                str(task["task_id"]): (frozenset(task.get("template_fields") or ()), str(task.get("operator_name")))
                for task in tasks
            }
        return self._fields[dag_id]

    def _xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int, key: str) -> Any:
        try:
            found = self._api.get(*_task(dag_id, run_id, task_id), "xcomEntries", key, map_index=map_index)
        except NotFoundError:
            return None
        return plain(found.get("value"))

    def _attempts(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> list[dict[str, Any]]:
        try:
            path = (*_task(dag_id, run_id, task_id), "state-store", ATTEMPTS_KEY)
            return read_attempts(plain(self._api.get(*path, map_index=map_index).get("value")))
        except NotFoundError:  # none, or an Airflow < 3.3
            return []

    def outputs(self, ti: NotebookTaskInstance) -> dict[str, Any]:
        name = (ti.dag_id, ti.run_id, ti.task_id)
        entries = self._api.pages(*_task(*name), "xcomEntries", items="xcom_entries", map_index=ti.map_index)
        keys = sorted({str(each["key"]) for each in entries if int(each["map_index"]) == ti.map_index})
        return {key: self._xcom(*name, ti.map_index, key) for key in keys if is_output(key)}

    def access(self, ti: NotebookTaskInstance) -> Access:
        settings = read_settings({})
        region = self._region_name or (ti.job or {}).get("region") or ti.argument("region_name")
        if ti.kind is Kind.SENSOR:
            region = parse_job_reference(ti.argument("job_name"), region_name=region).region
        configured = ti.argument("s3_root_uri") or settings.job_defaults.get("s3_root_uri")
        if not configured and ti.kind is Kind.OPERATOR:
            raise NotebookJobConfigError(
                f"where the jobs of '{ti.dag_id}.{ti.task_id}' write is not known: the task does not say it, and this machine has no [nbjobs] s3_root_uri",
                details={"next": "set AIRFLOW__NBJOBS__S3_ROOT_URI to what that Airflow's own is"},
            )
        try:
            root = s3_root_uri(configured) if configured else None
        except ValueError as error:
            raise NotebookJobConfigError(f"s3_root_uri: {error}") from error
        return Access(
            clients=own_account(region).checking, deployment=settings.deployment, root=root, has_console=False
        )

    def remembered_starts(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> set[int]:
        name = (dag_id, run_id, task_id, map_index)
        return {start for hint in self._attempts(*name) if type(start := hint.get("run_started_microseconds")) is int}

    def under_way(self) -> set[tuple[str, str]]:
        # Not by the list's own filter: a state that is not known here goes on.
        return {
            (str(each["dag_id"]), str(each["dag_run_id"]))
            for each in self._instances(_ALL, _ALL)
            if goes_on(each.get("state"))
        }

    def texts(self, runs: Iterable[Run], *, in_use: Collection[tuple[str, str]]) -> Iterator[Said]:
        by_name = {run.name: run for run in runs}
        for document in self._api.pages("dags", _ALL, "dagRuns", items="dag_runs", order_by="id"):
            run = by_name.get((str(document["dag_id"]), str(document["dag_run_id"])))
            if run is not None:
                yield Said(run, json.dumps(document.get("conf")))
                if document.get("run_type") == _BY_ASSETS:
                    yield Said(run, json.dumps(self._asset_events(run)))
        for document in self._instances(_ALL, _ALL):
            run = by_name.get((str(document["dag_id"]), str(document["dag_run_id"])))
            if run is not None and document.get("rendered_fields"):
                yield said_in_fields(run, json.dumps(document["rendered_fields"]))
            elif run is not None and _has_run(document):
                yield Said(run, "", FORGOTTEN)
        # Airflow gives the values one by one: only those of runs whose tasks may still read them are asked for.
        for run in by_name.values():
            if run.name not in in_use:
                yield Said(run, "", UNASKED)
                continue
            for entry in self._api.pages(*_task(*run.name, _ALL), "xcomEntries", items="xcom_entries"):
                key, task_id = str(entry["key"]), str(entry["task_id"])
                yield Said(run, json.dumps(self._xcom(*run.name, task_id, int(entry["map_index"]), key)))

    def _asset_events(self, run: Run) -> Any:
        try:
            found = self._api.get("dags", run.dag_id, "dagRuns", run.run_id, "upstreamAssetEvents")
        except NotFoundError:
            return None
        return found.get("asset_events")

    def is_under_way(self, run: Run) -> bool:
        try:
            state = str(self._api.get("dags", run.dag_id, "dagRuns", run.run_id)["state"])
        except NotFoundError:
            return True
        return is_under_way(state, (each.get("state") for each in self._instances(run.dag_id, run.run_id)))


def _has_run(document: Mapping[str, Any]) -> bool:
    return bool(document.get("try_number")) and document.get("state") not in NEVER_RAN


def _task(dag_id: str, run_id: str, task_id: str) -> tuple[str, ...]:
    return ("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id)


def _run(document: Mapping[str, Any]) -> Run:
    run_after = _time(document["run_after"])
    if run_after is None:
        raise AirflowError(f"Airflow gives run '{document.get('dag_run_id')}' no time")
    return Run(
        dag_id=str(document["dag_id"]),
        run_id=str(document["dag_run_id"]),
        state=str(document["state"]),
        run_after=run_after,
        started=_time(document.get("start_date")),
        ended=_time(document.get("end_date")),
    )


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
