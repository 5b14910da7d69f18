"""What is read of an Airflow by its REST API where it gives only part of it: a DAG that is gone, a run that began meanwhile, a task that does not say where it writes."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from types import SimpleNamespace

import pytest
from ui_account import ROOT, task_instance

from airflow_nbjobs.commands.records import choice, rest
from airflow_nbjobs.commands.records.port import AirflowError, NoSuchRunError
from airflow_nbjobs.commands.records.rest import RestRecords
from airflow_nbjobs.commands.records.rest_client import NotFoundError
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments

TIME = "2026-01-02T03:04:05Z"


class Api:
    """
    An Airflow that gives a few documents and has nothing else.

    :param documents: path -> document, or what is raised in its place.
    :param lists: last part of the path -> items.
    """

    def __init__(self, documents=None, **lists):
        self.documents = documents or {}
        self.lists = lists

    def get(self, *path, **_):
        answer = self.documents.get("/".join(path[1:]), NotFoundError("not found"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pages(self, *path, items, **_):
        yield from self.lists.get(items, ())


def run_document(run_id="r", **fields):
    return {"dag_id": "d", "dag_run_id": run_id, "state": "success", "run_after": TIME} | fields


def instance_document(run_id="r", **fields):
    known = {"task_id": "t", "map_index": -1, "max_tries": 0, "try_number": 1, "state": "success"}
    return {"dag_id": "d", "dag_run_id": run_id} | known | fields


@pytest.fixture
def regions(monkeypatch):
    """The AWS regions of which clients are made."""
    made = []
    monkeypatch.setattr(
        rest, "own_account", lambda region: made.append(region) or SimpleNamespace(checking=f"clients of {region}")
    )
    return made


def test_a_missing_run_is_said_also_where_the_others_cannot_be_listed():
    records = RestRecords(Api({"d/dagRuns": AirflowError("not allowed")}))
    with pytest.raises(NoSuchRunError, match="no run 'r' of DAG 'd'"):
        records.run("d", "r")


def test_a_run_without_a_time_is_an_error_and_not_the_youngest():
    with pytest.raises(AirflowError, match="gives run 'r' no time"):
        RestRecords(Api({"d/dagRuns/r": run_document(run_after=None)})).run("d", "r")


def test_a_task_of_a_dag_that_is_gone_is_counted_and_one_of_a_run_that_began_meanwhile_is_not():
    instances = [instance_document(), instance_document("newer")]
    unknown = Counter()
    records = RestRecords(Api(dag_runs=[run_document()], task_instances=instances))
    assert list(records.all_task_instances(["d"], unknown=unknown)) == []
    assert unknown == {"d": 1}


def test_outputs_are_the_values_that_the_task_instance_itself_has_given():
    entries = [{"key": key, "map_index": index} for key in ("rows", "nbjobs_job", "late") for index in (0, 1)]
    values = {
        f"d/dagRuns/r/taskInstances/t/xcomEntries/{key}": {"value": key.upper()} for key in ("rows", "nbjobs_job")
    }
    records = RestRecords(Api(values, xcom_entries=[*entries, {"key": "other", "map_index": 1}]))
    assert records.outputs(task_instance(map_index=0)) == {"rows": "ROWS", "late": None}


def test_the_events_of_a_run_that_was_deleted_meanwhile_are_none():
    document = run_document(run_type="asset_triggered", conf={"a": 1})
    records = RestRecords(Api({"d/dagRuns/r": document}, dag_runs=[document]))
    texts = [each.text for each in records.texts([records.run("d", "r")], in_use={("d", "r")})]
    assert texts == ['{"a": 1}', "null"]


@pytest.mark.parametrize(
    ("given", "job", "argument", "region"),
    [("a", "b", "c", "a"), (None, "b", "c", "b"), (None, None, "c", "c"), (None, None, None, None)],
)
def test_the_region_is_the_commands_else_the_jobs_else_the_tasks(regions, given, job, argument, region):
    arguments = TaskArguments({"s3_root_uri": f"{ROOT}/", "region_name": argument})
    ti = task_instance(job=job and {"region": job}, arguments=arguments)
    access = RestRecords(Api(), region_name=given).access(ti)
    assert regions == [region]
    assert (access.clients, access.root, access.has_console) == (f"clients of {region}", ROOT, False)


def test_a_sensors_job_is_in_the_region_that_its_arn_names_wherever_it_writes(regions):
    arn = "arn:aws:sagemaker:eu-west-3:123456789012:training-job/x-0123456789ab"
    ti = task_instance(kind=Kind.SENSOR, arguments=TaskArguments({"job_name": arn}), job=None)
    assert RestRecords(Api()).access(ti).root is None
    assert regions == ["eu-west-3"]


def test_where_a_task_writes_is_this_machines_configuration_if_it_does_not_say_it(regions, monkeypatch):
    ti = task_instance(arguments=TaskArguments({}))
    with pytest.raises(NotebookJobConfigError, match=r"where the jobs of 'd\.t' write is not known"):
        RestRecords(Api()).access(ti)
    assert regions == []
    monkeypatch.setenv("AIRFLOW__NBJOBS__S3_ROOT_URI", "s3://configured/x")
    assert RestRecords(Api()).access(ti).root == "s3://configured/x"


def test_a_root_that_is_none_is_said(regions):
    ti = task_instance(arguments=TaskArguments({"s3_root_uri": "/tmp/x"}))
    with pytest.raises(NotebookJobConfigError, match="s3_root_uri: "):
        RestRecords(Api()).access(ti)


@pytest.mark.parametrize(("address", "count"), [("http://airflow.test", 1), ("https://airflow.test", 0)])
def test_whoever_sends_a_token_in_the_open_is_warned(monkeypatch, address, count):
    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", "t")
    warned = []
    found = choice.open_records(
        Namespace(airflow_url=address, airflow_token_file=None, region_name="eu-west-3"), warned.append
    )
    assert len(warned) == count
    assert found._region_name == "eu-west-3"
    found._api._http.close()
