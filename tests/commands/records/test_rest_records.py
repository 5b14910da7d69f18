"""What is read of an Airflow by its REST API where it gives only part of it: a DAG that is gone, a run that began meanwhile, a task that does not say where it writes."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from types import SimpleNamespace

import pytest
from ui_account import ROOT, task_instance

from airflow_nbjobs.commands.records import choice, rest
from airflow_nbjobs.commands.records.port import FORGOTTEN, AirflowError, NoSuchRunError
from airflow_nbjobs.commands.records.rest import RestRecords
from airflow_nbjobs.commands.records.rest_client import NotFoundError
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments

TIME = "2026-01-02T03:04:05Z"
FIELDS = {"input_notebook": "a.ipynb", "s3_root_uri": ROOT, "initialization_script": None, "aws_conn_id": None}


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


def test_what_a_task_instance_has_left_is_read_of_its_document_and_its_xcoms():
    document = instance_document(
        map_index=2,
        max_tries=3,
        try_number=2,
        state="failed",
        start_date="2026-01-02T03:05:00Z",
        end_date="2026-01-02T03:06:00Z",
        operator_name="SageMakerNotebookJobOperator",
        rendered_fields=FIELDS,
    )
    base = "d/dagRuns/r/taskInstances/t"
    attempt = {"job_name": "x-0123456789ab", "generation": 0, "run_started_microseconds": 5, "attempt": 0}
    values = {
        "xcomEntries/nbjobs_job": {"job_name": "x-0123456789ab", "region": "eu-west-3"},
        "xcomEntries/nbjobs_end": {"status": "Failed", "duration_seconds": 5},
        "xcomEntries/nbjobs_error": {"type": "NotebookCellError", "headline": "it failed", "try_number": 2},
        "state-store/nbjobs_attempts": [attempt],
    }
    documents = {f"{base}/{name}": {"value": value} for name, value in values.items()}
    run = run_document(start_date="2026-01-02T03:04:30Z", end_date="2026-01-02T03:07:00Z")
    records = RestRecords(Api(documents | {"d/dagRuns/r": run}, task_instances=[document]))
    found = records.run("d", "r")
    moments = [found.run_after, found.started, found.ended]
    assert [moment.strftime("%H:%M:%S") for moment in moments] == ["03:04:05", "03:04:30", "03:07:00"]
    (ti,) = records.task_instances(found)
    assert (ti.dag_id, ti.run_id, ti.task_id, ti.map_index) == ("d", "r", "t", 2)
    assert (ti.state, ti.try_number, ti.max_tries, ti.kind) == ("failed", 2, 3, Kind.OPERATOR)
    assert [ti.started.minute, ti.ended.minute, ti.run_started] == [5, 6, found.started]
    assert (ti.job["job_name"], ti.job["region"]) == ("x-0123456789ab", "eu-west-3")
    assert (ti.end["status"], ti.end["duration_seconds"]) == ("Failed", 5)
    assert ti.error.headline == "it failed"
    assert [each["run_started_microseconds"] for each in ti.attempts] == [5]
    assert ti.argument("input_notebook") == "a.ipynb"


def test_a_task_instance_that_has_left_nothing_has_none_of_it():
    document = instance_document(try_number=0, state=None, operator="SageMakerNotebookJobOperator")
    document |= {"operator_name": None, "rendered_fields": FIELDS}
    records = RestRecords(Api({"d/dagRuns/r": run_document()}, task_instances=[document]))
    run = records.run("d", "r")
    (ti,) = records.task_instances(run)
    assert (ti.job, ti.end, ti.error, ti.attempts, ti.started, ti.ended) == (None, None, None, (), None, None)
    assert (ti.state, ti.try_number, ti.run_started) == (None, 0, run.run_after)


def test_an_error_of_another_form_is_none():
    documents = {
        "d/dagRuns/r": run_document(),
        "d/dagRuns/r/taskInstances/t/xcomEntries/nbjobs_error": {"value": "a text"},
    }
    document = instance_document(rendered_fields=FIELDS)
    records = RestRecords(Api(documents, task_instances=[document]))
    (ti,) = records.task_instances(records.run("d", "r"))
    assert ti.error is None


def test_a_task_whose_fields_airflow_keeps_no_more_is_what_its_dag_says_and_is_asked_once():
    instances = [instance_document(task_id=task_id) for task_id in ("t", "u", "plain")]
    kind = {"template_fields": list(FIELDS), "operator_name": "SageMakerNotebookJobOperator"}
    tasks = [{"task_id": "t"} | kind, {"task_id": "u"} | kind, {"task_id": "plain", "operator_name": "BaseOperator"}]
    api = Api(
        {"d/dagRuns/r": run_document(), "d/tasks": {"tasks": tasks}},
        task_instances=instances,
        dag_runs=[run_document()],
    )
    asked = []
    get = api.get
    api.get = lambda *path, **query: asked.append("/".join(path)) or get(*path, **query)
    records = RestRecords(api)
    unknown = Counter()
    assert [ti.task_id for ti in records.all_task_instances(["d"], unknown=unknown)] == ["t", "u"]
    assert not unknown
    assert [ti.task_id for ti in records.task_instances(records.run("d", "r"))] == ["t", "u"]
    assert asked.count("dags/d/tasks") == 1


def test_a_sensor_is_read_for_a_run_and_is_no_job_of_all_runs():
    """Its job is another task's, which is listed with its own."""
    sensor = {"template_fields": ["job_name"], "operator_name": "SageMakerNotebookJobSensor", "task_id": "t"}
    documents = {"d/dagRuns/r": run_document(), "d/tasks": {"tasks": [sensor]}}
    records = RestRecords(Api(documents, task_instances=[instance_document()], dag_runs=[run_document()]))
    (ti,) = records.task_instances(records.run("d", "r"))
    assert (ti.kind, ti.attempts) == (Kind.SENSOR, ())
    unknown = Counter()
    assert (list(records.all_task_instances(["d"], unknown=unknown)), unknown) == ([], {})


def test_runs_of_other_dags_are_not_read():
    instance = instance_document(rendered_fields=FIELDS)
    asked = []
    api = Api(dag_runs=[run_document(), run_document() | {"dag_id": "e"}], task_instances=[instance])
    pages = api.pages
    api.pages = lambda *path, **query: asked.append(path[1]) or pages(*path, **query)
    list(RestRecords(api).all_task_instances(["e"], unknown=Counter()))
    assert asked == ["~", "e"]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"rendered_fields": {"a": "s3://b/x"}}, [('{"a": "s3://b/x"}', "")]),
        ({"state": "success", "try_number": 1}, [("", FORGOTTEN)]),
        ({"state": "success", "try_number": 0}, []),
        ({"state": "skipped", "try_number": 1}, []),
        ({"state": "upstream_failed", "try_number": 1}, []),
        ({"state": "running", "try_number": 1}, [("", FORGOTTEN)]),
    ],
    ids=str,
)
def test_fields_that_are_gone_are_missed_of_a_task_that_has_run_alone(document, said):
    records = RestRecords(Api({"d/dagRuns/r": run_document()}, task_instances=[instance_document(**document)]))
    found = list(records.texts([records.run("d", "r")], in_use={("d", "r")}))
    assert [(each.text, each.gap) for each in found] == said


def test_the_texts_of_a_run_are_its_own():
    lists = {
        "dag_runs": [run_document(conf={"a": 1}), run_document("other", conf={"b": 2})],
        "task_instances": [instance_document(run_id, rendered_fields={"f": run_id}) for run_id in ("r", "other")],
        "xcom_entries": [{"key": "k", "task_id": "t", "map_index": 3}],
    }
    value = {"d/dagRuns/r/taskInstances/t/xcomEntries/k": {"value": {"v": 1}}}
    records = RestRecords(Api({"d/dagRuns/r": run_document()} | value, **lists))
    found = list(records.texts([records.run("d", "r")], in_use={("d", "r")}))
    assert [(each.run.run_id, each.text) for each in found] == [
        ("r", '{"a": 1}'),
        ("r", '{"f": "r"}'),
        ("r", '{"v": 1}'),
    ]


def test_a_run_with_a_task_that_is_not_known_here_goes_on():
    lists = [instance_document(state="newer"), instance_document("ended"), instance_document("none", state=None)]
    assert RestRecords(Api(task_instances=lists)).under_way() == {("d", "r")}


@pytest.mark.parametrize(
    ("run", "task", "goes_on"),
    [
        ("success", "success", False),
        ("failed", "failed", False),
        ("running", "success", True),
        ("success", "running", True),
        (None, "success", True),
        ("success", None, False),
    ],
)
def test_a_run_goes_on_as_long_as_it_or_a_task_of_it_does(run, task, goes_on):
    documents = {} if run is None else {"d/dagRuns/r": run_document(state=run)}
    known = RestRecords(Api({"d/dagRuns/r": run_document()})).run("d", "r")
    assert RestRecords(Api(documents, task_instances=[instance_document(state=task)])).is_under_way(known) is goes_on
