"""Airflow's REST API over a database with Airflow's own tables, as far as ``nbjobs`` asks it; without the five seconds of CPU that importing the real one takes."""

import re
from urllib.parse import unquote

import httpx
from airflow.models.asset import AssetEvent, association_table
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import select

from airflow_nbjobs._compat import of_task_instance
from airflow_nbjobs.commands.records.rest_client import RestClient

# Of the documents; the end-to-end test finds them all in those of a real API server.
RUN_FIELDS = {"dag_id", "dag_run_id", "state", "run_type", "run_after", "start_date", "end_date", "conf"}
INSTANCE_FIELDS = {
    *("id", "dag_id", "dag_run_id", "task_id", "map_index", "state", "try_number", "max_tries"),
    *("start_date", "end_date", "operator", "operator_name", "rendered_fields"),
}
XCOM_FIELDS = {"dag_id", "run_id", "task_id", "map_index", "key"}


class AirflowApi:
    """
    :param tasks: of each DAG, what ``/tasks`` says.
    :param states: of the task state store: (dag, run, task) -> the value of ``nbjobs_attempts``.
    """

    def __init__(self, session, tasks):
        self._session = session
        self._tasks = tasks
        self.states = {}
        self.seen = []

    def client(self):
        transport = httpx.MockTransport(self._answer)
        return RestClient(httpx.Client(base_url="https://airflow.test", transport=transport), sleep=lambda _: None)

    def _answer(self, request):
        path = [unquote(part) for part in request.url.raw_path.decode().partition("?")[0].split("/")[3:]]
        self.seen.append("/".join(path))
        routes = {
            r"dags/([^/]+)/dagRuns": self._runs,
            r"dags/([^/]+)/dagRuns/([^/]+)": self._run,
            r"dags/([^/]+)/dagRuns/([^/]+)/upstreamAssetEvents": self._events,
            r"dags/([^/]+)/dagRuns/([^/]+)/taskInstances": self._instances,
            r"dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/xcomEntries": self._entries,
            r"dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/xcomEntries/([^/]+)": self._value,
            r"dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/state-store/nbjobs_attempts": self._state,
            r"dags/([^/]+)/tasks": lambda dag_id, **_: {"tasks": self._tasks.get(dag_id, [])},
        }
        for pattern, route in routes.items():
            if match := re.fullmatch(pattern, "/".join(path)):
                query = dict(request.url.params)
                found = route(*match.groups(), **query)
                if isinstance(found, tuple):
                    name, items = found
                    begin = int(query.get("offset", 0))
                    page = items[begin : begin + min(int(query.get("limit", 50)), 3)]  # [api] maximum_page_limit = 3
                    found = {name: page, "total_entries": len(items)}
                return (
                    httpx.Response(200, json=found) if found is not None else httpx.Response(404, json={"detail": ""})
                )
        raise AssertionError(path)

    def _runs(self, dag_id, order_by="id", **_):
        order = {"id": DagRun.id, "-run_after": DagRun.run_after.desc()}[order_by]
        runs = self._session.scalars(select(DagRun).order_by(order)).all()
        return "dag_runs", [_run_document(run) for run in runs if dag_id in ("~", run.dag_id)]

    def _run(self, dag_id, run_id, **_):
        (_, runs) = self._runs(dag_id)
        return next((run for run in runs if run["dag_run_id"] == run_id), None)

    def _events(self, dag_id, run_id, **_):
        extras = self._session.scalars(
            select(AssetEvent.extra)
            .join(association_table, association_table.c.event_id == AssetEvent.id)
            .join(DagRun, association_table.c.dag_run_id == DagRun.id)
            .where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        )
        events = [{"id": number, "extra": extra} for number, extra in enumerate(extras)]
        return {"asset_events": events, "total_entries": len(events)}

    def _instances(self, dag_id, run_id, **_):
        fields = RenderedTaskInstanceFields
        rows = self._session.execute(
            select(TaskInstance, fields.rendered_fields).join(fields, of_task_instance(fields), isouter=True)
        ).all()
        found = [_instance_document(ti, rendered) for ti, rendered in rows]
        wanted = [each for each in found if dag_id in ("~", each["dag_id"]) and run_id in ("~", each["dag_run_id"])]
        return "task_instances", sorted(wanted, key=lambda each: each["id"])

    def _xcoms(self, dag_id, run_id):
        return self._session.scalars(
            select(XComModel).where(XComModel.dag_id == dag_id, XComModel.run_id == run_id)
        ).all()

    def _entries(self, dag_id, run_id, task_id, **_):
        found = [each for each in self._xcoms(dag_id, run_id) if task_id in ("~", each.task_id)]
        return "xcom_entries", [{name: getattr(each, name) for name in XCOM_FIELDS} for each in found]

    def _value(self, dag_id, run_id, task_id, key, map_index, **_):
        for each in self._xcoms(dag_id, run_id):
            if (each.task_id, each.key, each.map_index) == (task_id, key, int(map_index)):
                return {"value": each.value}
        return None

    def _state(self, dag_id, run_id, task_id, **_):
        found = self.states.get((dag_id, run_id, task_id))
        return None if found is None else {"value": found}


def _run_document(run):
    moments = {name: _text(getattr(run, name)) for name in ("run_after", "start_date", "end_date")}
    return {
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "state": str(run.state),
        "run_type": str(run.run_type),
        "conf": run.conf,
    } | moments


def _instance_document(ti, rendered):
    return {
        **{name: getattr(ti, name) for name in ("dag_id", "task_id", "map_index", "try_number", "max_tries")},
        **{name: _text(getattr(ti, name)) for name in ("start_date", "end_date")},
        "id": str(ti.id),
        "dag_run_id": ti.run_id,
        "state": None if ti.state is None else str(ti.state),
        "operator": ti.operator,
        "operator_name": ti.operator,
        "rendered_fields": rendered or {},
    }


def _text(moment):
    return None if moment is None else moment.isoformat()
