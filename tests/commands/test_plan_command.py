"""``nbjobs plan``: what it says of DAGs is what a worker would say, and nothing is asked or run for it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from fakes import FakeDagRun, FakeTaskInstance, code, notebook
from operator_tasks import Tasks
from plans import CELL, DATED, WHOLE, in_dag, one, tasks_of

from airflow_nbjobs import cli
from airflow_nbjobs.commands.plan import tasks as tasks_
from airflow_nbjobs.commands.plan.dags import local_bundles
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.task.prepare import prepare

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.usefixtures("no_network")


# -- what a task would do -------------------------------------------------------------------------------------------------


def test_a_tasks_parameters_stand_beside_those_of_its_notebook(plan):
    document, code_, _ = plan(
        in_dag("Job(task_id='t', input_notebook='nb.ipynb', parameters={'rows': '7', 'name': '{{ ds }}'})")
    )
    rows = {row.pop("name"): row for row in one(document)["parameters"]}
    assert rows == {
        "day": {"type": "str", "default": "'2026-01-01'", "given": None, "is_known": True},
        "rows": {"type": "int", "default": "5", "given": "7", "is_known": True},
        "ratio": {"type": "float", "default": "0.5", "given": None, "is_known": True},
        "name": {"type": "str", "default": None, "given": "{{ ds }}", "is_known": False},
    }
    assert (code_, document["version"], document["problem_count"]) == (0, 1, 0)


def test_files_have_sizes_and_outputs_the_last_cell_that_assigns_them(plan, folder):
    (folder / "data.csv").write_bytes(b"x" * 2000)
    document, _, _ = plan(
        in_dag(
            "Job(task_id='t', input_notebook='nb.ipynb', additional_dependencies=['data.csv'], outputs={'total': int, 'best': int, 'none': str})"
        )
    )
    task = one(document)
    sizes = {file["name"]: file["bytes"] for file in task["files"]}
    assert sizes["data.csv"] == 2000
    assert sizes["helper.ipynb"] == (folder / "helper.ipynb").stat().st_size
    assert sizes["nb.ipynb"] > 0
    places = [(output["name"], output["type"], output["notebook"], output["cell"]) for output in task["outputs"]]
    assert places == [("total", "int", "nb.ipynb", 3), ("best", "int", "helper.ipynb", 1), ("none", "str", None, None)]
    assert any("'none' is assigned by no cell" in warning for warning in task["warnings"])
    assert task["notebook"] == str(folder / "nb.ipynb")


def test_the_request_is_the_one_that_a_worker_sends(plan, folder, monkeypatch):
    """But for what Airflow decides when the run begins."""
    arguments = WHOLE | {
        "parameters": {"rows": 7, "ratio": 0.25},
        "environment_variables": {"A": "1"},
        "tags": {"team": "x"},
        "volume_size": 50,
        "outputs": ["total"],
        "initialization_script": "init.sh",
    }
    (folder / "init.sh").write_text("true\n")
    document, _, _ = plan(in_dag(f"Job(task_id='t', input_notebook='nb.ipynb', **{arguments!r})"), "--show", "request")
    planned = one(document)["request"]

    tasks = Tasks(folder)
    (folder / "nb.ipynb").write_bytes(
        notebook(code(CELL, "parameters"), "total = rows", "%run helper.ipynb\ntotal = 2 * rows")
    )
    monkeypatch.setattr(tasks.hook, "region", "eu-west-1")
    operator = tasks(**{name: value for name, value in arguments.items() if name != "region_name"})
    sent = prepare(operator, {"ti": FakeTaskInstance(), "dag_run": FakeDagRun()}).request(0)
    name, run_id = sent["TrainingJobName"], sent["Environment"]["NBJOBS_RUN_ID"]
    text = json.dumps(sent).replace(name, "d-t-<hash of the run>").replace(run_id, "<run id>")
    expected = json.loads(text)
    expected["Environment"]["NBJOBS_OWNER"] = "<identity of the run>"
    assert planned == expected


def test_what_only_a_run_or_aws_can_tell_is_shown_as_such(plan):
    document, code_, _ = plan(
        in_dag(
            "Job(task_id='t', input_notebook='nb.ipynb', role='Jobs', image_uri='sagemaker-distribution:4-cpu', volume_size='{{ var.value.size }}', "
            "s3_root_uri='s3://{{ var.value.bucket }}/x', parameters={'name': '{{ run_id }}'}, environment_variables={'A': '{{ run_id }}', 'B': 'b'})"
        ),
        "--show",
        "request",
    )
    task = one(document)
    request = task["request"]
    assert code_ == 0
    assert request["RoleArn"] == "<ARN of role 'Jobs'>"
    assert (
        "<account of the region's SageMaker Distribution images>" in request["AlgorithmSpecification"]["TrainingImage"]
    )
    assert request["ResourceConfig"]["VolumeSizeInGB"] == "<{{ var.value.size }}>"
    assert request["OutputDataConfig"]["S3OutputPath"] == "<s3://{{ var.value.bucket }}/x>"
    assert request["Environment"]["A"] == "<{{ run_id }}>"
    assert request["Environment"]["B"] == "b"
    assert request["HyperParameters"] == {"name": "<{{ run_id }}>"}
    assert request["Environment"]["NBJOBS_INPUT_SHA256"] == "<digest of the input>"
    assert request["Environment"]["AWS_DEFAULT_REGION"] == "<region of the deployment>"
    assert "0000" not in json.dumps(request)
    assert "not-known" not in json.dumps(document)
    assert any(text.startswith("region_name: neither the task") for text in task["not_known"])


def test_a_connection_of_this_machine_counts_and_what_it_does_not_give_is_a_problem(plan, monkeypatch):
    extra = {"region_name": "eu-west-1", "nbjobs": {"s3_root_uri": "s3://acme/nb", "image_uri": WHOLE["image_uri"]}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    document, code_, _ = plan(in_dag("Job(task_id='t', input_notebook='nb.ipynb', parameters={'name': 'x'})"))
    assert code_ == 1
    assert [text.split()[0] for text in one(document)["problems"]] == ["role"]
    assert one(document)["not_known"] == []


# -- what is wrong with it ------------------------------------------------------------------------------------------------

WRONG = [
    {"volume_size": 0, "instance_type": "ml.m5.lage", "parameters": {"rwos": 1, "rows": "x"}},
    {"input_notebook": "missing.ipynb", "tags": {"a": 1, "aws:x": "y"}},
    {"subnets": ["subnet-1"], "max_wait_time_in_seconds": 5, "outputs": ["a", "a"]},
    {"additional_dependencies": ["gone.csv"], "unknown_parameters": "maybe", "deferrable": "perhaps"},
    {"extra_request": {"TrainingJobName": "x", "ResourceConfig": {"InstanceCount": 2}}},
    {"parameters": {"1x": 1}, "kernel_name": "no such", "environment_variables": {"NBJOBS_X": "1"}},
    {"output_formats": ["nonsense"], "role": "a b c", "image_uri": "not an image !"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=",".join)
def test_the_problems_are_those_that_a_worker_finds(wrong, plan, folder):
    arguments = {"input_notebook": "nb.ipynb", **WHOLE, **wrong}
    document, code_, _ = plan(in_dag(f"Job(task_id='t', **{arguments!r})"))

    before = (folder / "nb.ipynb").read_bytes()
    tasks = Tasks(folder)
    (folder / "nb.ipynb").write_bytes(before)
    tasks.hook.region = "eu-west-1"
    with pytest.raises(NotebookJobConfigError) as refused:
        prepare(tasks(**arguments), {"ti": FakeTaskInstance(), "dag_run": FakeDagRun()})
    assert one(document)["problems"] == list(refused.value.problems)
    assert code_ == 1


def test_all_tasks_are_looked_at_whatever_is_wrong_with_one(plan, folder):
    (folder / "bad.ipynb").write_text('{"cells": [')
    document, code_, _ = plan(
        in_dag(
            "Job(task_id='a', input_notebook='bad.ipynb'); Job(task_id='b', input_notebook='nb.ipynb', volume_size=-1)"
        )
    )
    tasks = tasks_of(document)
    assert "is not a notebook: not JSON" in tasks["a", None]["problems"][0]
    assert tasks["b", None]["problems"] == ["volume_size: must be from 1 to 16384, not -1"]
    assert (code_, document["problem_count"]) == (1, 2)


def test_a_file_that_does_not_import_shows_airflows_error_beside_the_plan_of_others(plan, folder, capsys):
    (folder / "broken.py").write_text("import nothing_of_that_name\nfrom airflow.sdk import DAG\n")
    plan(in_dag("Job(task_id='t', input_notebook='nb.ipynb')"))
    assert cli.main(["plan", str(folder), "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    (problem,) = document["file_problems"]
    assert problem["file"] == str(folder / "broken.py")
    assert "No module named 'nothing_of_that_name'" in problem["text"]
    assert one(document)["problems"] == []


def test_a_dag_that_airflow_cannot_store_is_a_problem_of_its_file(plan):
    document, code_, _ = plan(
        "class Unregistered(CronDataIntervalTimetable):\n    pass\n"
        + in_dag(
            "Job(task_id='t', input_notebook='nb.ipynb')",
            "schedule=Unregistered('@daily', timezone='UTC'), start_date=START",
        )
    )
    assert code_ == 1
    assert "Unregistered" in document["file_problems"][0]["text"]


def test_a_file_without_a_dag_is_a_problem(plan):
    document, code_, _ = plan("x = 1\n")
    assert code_ == 1
    assert document["file_problems"][0]["text"] == "no DAG is in this file"


def test_two_dags_of_a_file_are_both_shown(plan):
    document, _, _ = plan(
        "with DAG('b', schedule=None):\n    Job(task_id='t', input_notebook='nb.ipynb')\n"
        "with DAG('a', schedule=None):\n    Job(task_id='t', input_notebook='nb.ipynb')\n"
    )
    assert [dag["dag_id"] for dag in document["dags"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ foo }}", "'{{ foo }}' cannot be rendered: 'foo' is undefined"),
        ("{{ execution_date }}", "Airflow 3 has no 'execution_date' any more"),
        ("{{ ds", "cannot be rendered: unexpected end of template"),
        ("{{ 1 / 0 }}", "cannot be rendered: division by zero"),
    ],
)
@pytest.mark.parametrize("is_native", [False, True])
def test_a_template_that_no_run_can_render_is_a_problem(template, said, is_native, plan):
    document, code_, _ = plan(
        in_dag(
            f"Job(task_id='t', input_notebook='nb.ipynb', parameters={{'name': '{template}'}})",
            f"schedule=None, render_template_as_native_obj={is_native}",
        )
    )
    assert code_ == 1
    (problem,) = one(document)["problems"]
    assert problem.startswith("parameters['name']: ")
    assert said in problem


@pytest.mark.parametrize("is_native", [False, True])
@pytest.mark.parametrize(
    ("template", "given"),
    [
        ("{{ logical_date.add(days=1) | ds }}", None),
        ("{{ ds ~ 'x' }}", None),
        ("{{ 'a' if ds > '2026' else 'b' }}", None),
        ("{{ dag_run.conf.get('x', 1) }}", None),
        ("{{ ti.xcom_pull(task_ids='x')['a'] }}", None),
        ("{{ conn.x.host }}", None),
        ("{{ var.value.absent }}", None),
        ("{{ var.json.present.deep }}", "'inside'"),
        ("{% for x in dag_run.conf %}{{ x }}{% endfor %}", None),
        ("{{ [ds, 'x'] | join }}", None),
        ("{{ twice(ds) }}", None),
        ("{{ twice('ab') }}", "'abab'"),
        ("{{ ti.task_id }}", "'t'"),
        ("{{ dag.dag_id }}", "'d'"),
        ("{{ params.word }}", "'w'"),
    ],
)
def test_a_template_is_rendered_as_far_as_nothing_of_a_run_is_in_it(template, given, is_native, plan, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_PRESENT", '{"deep": "inside"}')
    document, code_, _ = plan(
        in_dag(
            f"Job(task_id='t', input_notebook='nb.ipynb', parameters={{'name': {template!r}}})",
            f"schedule=None, params={{'word': 'w'}}, user_defined_macros={{'twice': lambda x: x * 2}}, render_template_as_native_obj={is_native}",
        )
    )
    row = one(document)["parameters"][-1]
    assert (row["given"], row["is_known"]) == ((template, False) if given is None else (given, True))
    assert code_ == 0


def test_a_dags_param_is_its_value(plan):
    document, _, _ = plan(
        "with DAG('d', schedule=None, params={'rows': 8}) as dag:\n"
        "    Job(task_id='t', input_notebook='nb.ipynb', parameters={'rows': dag.param('rows')})\n"
    )
    assert {row["name"]: row["given"] for row in one(document)["parameters"]}["rows"] == "8"


def test_what_an_authors_own_class_raises_is_a_problem_of_its_task(plan):
    document, code_, _ = plan(
        "class Mine(Job):\n    def job_arguments(self):\n        raise ZeroDivisionError('mine')\n"
        + in_dag("Mine(task_id='t', input_notebook='nb.ipynb'); Job(task_id='u', input_notebook='nb.ipynb')")
    )
    tasks = tasks_of(document)
    assert tasks["t", None]["problems"] == ["the task cannot be looked at: ZeroDivisionError: mine"]
    assert tasks["u", None]["problems"] == []
    assert code_ == 1


def test_an_xcom_that_its_notebook_does_not_push_is_a_warning(plan):
    document, code_, _ = plan(
        in_dag(
            "a = Job(task_id='a', input_notebook='nb.ipynb', outputs=['total']); "
            "Job(task_id='b', input_notebook='nb.ipynb', parameters={'rows': a.output['totl'], 'name': a.output['total']})"
        )
    )
    task = tasks_of(document)["b", None]
    assert task["warnings"] == ["parameters['rows']: task 'a' declares no output 'totl'; did you mean 'total'?"]
    assert [row["given"] for row in task["parameters"] if row["name"] == "name"] == ["XCom 'total' of 'a'"]
    assert code_ == 0


# -- kinds of tasks -------------------------------------------------------------------------------------------------------


def test_literal_maps_are_counted_and_each_index_is_checked(plan):
    document, _, _ = plan(
        in_dag(
            "Job.partial(task_id='t', input_notebook='nb.ipynb').expand(parameters=[{'rows': 1}, {'rows': 'x'}], volume_size=[1, 0])"
        )
    )
    tasks = tasks_of(document)
    assert [index for _, index in tasks] == [0, 1, 2, 3]
    given = [next(row["given"] for row in task["parameters"] if row["name"] == "rows") for task in tasks.values()]
    assert given == ["1", "1", "'x'", "'x'"]  # the last argument changes fastest, as in Airflow
    assert [len(task["problems"]) for task in tasks.values()] == [0, 1, 1, 2]
    assert tasks["t", 0]["estimate"]["jobs"] == 4


def test_what_is_mapped_over_another_tasks_output_is_checked_once_and_its_number_is_not_known(plan):
    document, code_, _ = plan(
        "with DAG('d', schedule=None):\n"
        "    @task\n    def many(): return [1]\n"
        "    with NotebookTaskGroup('g', parameters={'name': 'x'}):\n"
        "        Job.partial(task_id='t', input_notebook='nb.ipynb').expand(parameters=many())\n",
        "--show",
        "request",
    )
    task = one(document)
    assert code_ == 0
    assert task["estimate"]["jobs"] is None
    assert "how many jobs 'g.t' makes: what it is mapped over is another task's output" in task["not_known"]
    assert {row["name"]: row["given"] for row in task["parameters"]}["rows"] == "XCom of 'g.many'"
    assert task["request"]["Environment"]["NBJOBS_MAP_INDEX"] == "<map index>"


def test_a_task_that_is_mapped_over_nothing_is_said_to_be_skipped(plan):
    document, code_, _ = plan(in_dag("Job.partial(task_id='t', input_notebook='nb.ipynb').expand(parameters=[])"))
    assert one(document)["warnings"] == ["the task is mapped over nothing; Airflow skips it"]
    assert code_ == 0


def test_tasks_of_a_mapped_group_are_counted(plan):
    document, _, _ = plan(
        "with DAG('d', schedule=None):\n"
        "    @task_group\n    def group(n):\n"
        "        Job(task_id='t', input_notebook='nb.ipynb', parameters={'rows': n})\n"
        "    group.expand(n=[1, 2, 3])\n"
    )
    assert one(document)["estimate"]["jobs"] == 3


def test_a_decorated_function_is_not_called_and_the_plan_says_so(plan):
    document, code_, _ = plan(
        in_dag(
            "@sagemaker_notebook_job(input_notebook='nb.ipynb', instance_type='{{ machine }}', parameters={'rows': 1})\n"
            "    def f(machine):\n        raise SystemExit('called')\n"
            "    f('ml.m5.large')\n"
            "    f.override(task_id='mapped').expand(machine=['a', 'b'])"
        )
    )
    tasks = tasks_of(document)
    assert code_ == 0
    plain = tasks["f", None]
    assert plain["is_decorated"]
    assert plain["not_known"][0] == "parameters: what f() returns; it is called when the task runs, and not by a plan"
    assert "instance_type: {{ machine }}" in plain["not_known"]
    assert {row["name"]: row["given"] for row in plain["parameters"]}["day"] == "f()"
    assert tasks["mapped", None]["estimate"]["jobs"] == 2


def test_a_notebook_in_s3_is_not_looked_at_and_all_else_is(plan):
    document, code_, _ = plan(
        in_dag("Job(task_id='t', input_notebook='s3://acme/nb.ipynb', volume_size=0, parameters={'x': (1,)})")
    )
    task = one(document)
    assert code_ == 1
    assert len(task["problems"]) == 2
    assert task["problems"][0].startswith("volume_size: ")
    assert "parameters['x']" in task["problems"][1]
    assert "'s3://acme/nb.ipynb' lies in S3, which is not asked" in task["not_known"]


def test_files_in_s3_beside_a_local_notebook_cost_no_check(plan):
    document, code_, _ = plan(
        in_dag(
            "Job(task_id='t', input_notebook='nb.ipynb', additional_dependencies=['s3://acme/lib/', 'helper.ipynb'], initialization_script='s3://acme/i.sh')"
        ),
        "--show",
        "request",
    )
    task = one(document)
    assert code_ == 0
    assert "additional_dependencies: s3://acme/lib/ in S3, which is not asked" in task["not_known"]
    assert task["request"]["Environment"]["SM_INIT_SCRIPT"] == "<s3://acme/i.sh>"


def test_a_sensor_starts_no_job_and_its_own_arguments_are_checked(plan):
    document, _, _ = plan(
        in_dag(
            "SageMakerNotebookJobSensor(task_id='a', job_name='no name!', outputs=['x', 'x']); "
            "SageMakerNotebookJobSensor(task_id='b', job_name='{{ params.job }}')",
            "schedule=None, params={'job': ''}",
        )
    )
    tasks = tasks_of(document)
    assert [text.split(" ")[0] for text in tasks["a", None]["problems"]] == ["job_name", "output"]
    assert tasks["b", None]["problems"] == []
    assert tasks["b", None]["not_known"] == ["job_name: {{ params.job }}"]


# -- the run --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "day", "run_id"),
    [
        (("--date", "2026-02-03"), "2026-02-03", "scheduled__2026-02-0[34]T00:00:00"),
        (("--backfill", "2026-02-03", "2026-02-09"), "2026-02-03", "backfill__2026-02-0[34]T00:00:00"),
    ],
)
def test_templates_are_rendered_for_the_run_that_is_given(options, day, run_id, plan):
    document, _, _ = plan(DATED, *options)
    run = document["dags"][0]["run"]
    given = {row["name"]: row["given"] for row in one(document)["parameters"]}
    assert given["day"] == f"'{day}'"
    assert re.fullmatch(rf"'2026-02-04 {run_id}\+00:00'", given["name"])
    assert run["logical_date"] == "2026-02-03T00:00:00+00:00"
    assert run["data_interval_end"] == "2026-02-04T00:00:00+00:00"


def test_what_is_called_like_the_stand_in_of_a_run_is_shown_where_the_run_is_known(plan):
    document, _, _ = plan(DATED.replace("{{ ds }}", tasks_._RUN_ID), "--date", "2026-02-03", "--show", "request")
    assert one(document)["request"]["HyperParameters"]["day"] == tasks_._RUN_ID


def test_a_template_that_needs_a_run_stays_as_it_is_without_one(plan):
    document, code_, _ = plan(DATED)
    given = {row["name"]: (row["given"], row["is_known"]) for row in one(document)["parameters"]}
    assert given["day"] == ("{{ ds }}", False)
    assert given["name"] == ("{{ macros.ds_add(ds, 1) }} {{ run_id }}", False)
    assert code_ == 0


def test_a_date_that_the_schedule_has_no_run_for_is_a_run_by_hand(plan):
    document, _, _ = plan(DATED, "--date", "2026-02-03T05:00:00+00:00")
    run = document["dags"][0]["run"]
    assert run["run_id"] is None
    assert run["logical_date"] == "2026-02-03T05:00:00+00:00"


def test_conf_is_checked_as_airflow_checks_it_and_reaches_the_notebook(plan):
    body = in_dag(
        "Job(task_id='t', input_notebook='nb.ipynb', parameters=FROM_PARAMS)",
        "schedule=None, params={'rows': Param(5, type='integer', minimum=1), 'name': 'x'}",
    )
    document, _, _ = plan(body, "--conf", '{"rows": 9}')
    assert {row["name"]: row["given"] for row in one(document)["parameters"]} == {
        "day": None,
        "rows": "9",
        "ratio": None,
        "name": "'x'",
    }
    document, code_, _ = plan(body, "--conf", '{"rows": 0}')
    assert code_ == 1
    assert "0 is less than the minimum of 1" in one(document)["problems"][0]


def test_a_backfill_multiplies_and_counts_only_days_that_are_over(plan):
    document, _, _ = plan(DATED, "--backfill", "2026-02-01", "2026-02-07")
    assert document["dags"][0]["backfill_runs"] == one(document)["estimate"]["runs"] == 7
    tomorrow = datetime.now(tz=UTC).year + 1
    document, _, _ = plan(DATED, "--backfill", f"{tomorrow}-02-01", f"{tomorrow}-02-07")
    assert document["dags"][0]["backfill_runs"] == 0
    assert "the schedule has no run there" in document["dags"][0]["warnings"][0]


def test_runs_that_catchup_would_make_are_said(plan):
    document, _, _ = plan(DATED.replace("catchup=False", "catchup=True, end_date=datetime(2026, 1, 10)"))
    assert document["dags"][0]["catchup_runs"] == 10
    document, _, _ = plan(DATED)
    assert document["dags"][0]["catchup_runs"] is None


# -- the command ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--conf", "{"), "--conf is no JSON"),
        (("--conf", "[1]"), "--conf must be a JSON object"),
        (("--date", "yesterday"), "'yesterday' is no date"),
        (("--date", "2026-01-01", "--backfill", "2026-01-01", "2026-01-02"), "--date and --backfill both name a run"),
        (("--backfill", "2026-01-03", "2026-01-02"), "the second date is before the first"),
        (("--task", "tt"), "there is no such task; did you mean 't'?"),
        (("--task", "other"), "--task other: that task runs no notebook"),
    ],
)
def test_an_option_that_means_nothing_is_a_usage_error_in_one_line(options, said, plan):
    body = (
        DATED
        + "    from airflow.providers.standard.operators.empty import EmptyOperator\n    EmptyOperator(task_id='other')\n"
    )
    document, code_, error = plan(body, *options)
    assert (document, code_) == (None, 2)
    line = error.splitlines()[-1]  # after what Airflow logs where its log was configured before
    assert line.startswith("nbjobs plan: ")
    assert said in line


def test_one_task_of_many_is_asked_for_by_its_id(plan):
    document, _, _ = plan(
        in_dag("Job(task_id='a', input_notebook='nb.ipynb'); Job(task_id='b', input_notebook='gone.ipynb')"),
        "--task",
        "a",
    )
    assert list(tasks_of(document)) == [("a", None)]


def test_a_dag_is_found_by_its_id_in_airflows_folder(plan, folder, capsys, monkeypatch):
    plan(in_dag("Job(task_id='t', input_notebook='nb.ipynb')").replace("'d'", "'daily'"))
    monkeypatch.setattr("airflow_nbjobs.commands.plan.dags.local_bundles", lambda: [folder])  # Airflow keeps its own
    assert cli.main(["plan", "daily", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["dags"][0]["dag_id"] == "daily"
    assert cli.main(["plan", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["dags"][0]["dag_id"] == "daily"
    assert cli.main(["plan", "dialy"]) == 2
    assert "there is no file and no DAG 'dialy'" in (error := capsys.readouterr().err)
    assert "did you mean 'daily'?" in error
    assert cli.main(["plan", str(folder / "gone.py")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_made_hides_no_other(tmp_path, monkeypatch):
    class Manager:
        _bundle_config = {"git": 0, "gone": 0, "mine": 0}  # noqa: RUF012 - Airflow's own form

        def get_bundle(self, name):
            if name == "git":
                raise ImportError("no provider of git")
            return SimpleNamespace(path=tmp_path if name == "mine" else tmp_path / "gone")

    monkeypatch.setattr("airflow.dag_processing.bundles.manager.DagBundlesManager", Manager)
    assert local_bundles() == [tmp_path]


def test_a_notebook_is_looked_at_without_a_dag(folder, capsys):
    (folder / "asks.ipynb").write_bytes(notebook(code(CELL, "parameters"), "input('name?')"))
    assert cli.main(["plan", str(folder / "nb.ipynb"), str(folder / "asks.ipynb"), "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    good, bad = document["notebooks"]
    assert [row["name"] for row in good["parameters"]] == ["day", "rows", "ratio", "name"]
    assert [file["name"] for file in good["files"]] == ["nb.ipynb", "helper.ipynb"]
    assert good["problems"] == []
    assert "input(" in bad["problems"][0]


def test_what_a_dag_file_prints_is_no_part_of_the_plan(plan):
    document, _, error = plan("print('hello')\n" + in_dag("Job(task_id='t', input_notebook='nb.ipynb')"))
    assert document["dags"]
    assert "hello" in error


def test_ctrl_c_is_one_line(plan, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_nbjobs.commands.plan._planned", interrupt)
    document, code_, error = plan(in_dag("Job(task_id='t', input_notebook='nb.ipynb')"))
    assert (document, code_, error) == (None, 130, "nbjobs plan: interrupted; nothing was printed\n")


# -- the page -------------------------------------------------------------------------------------------------------------


def shown(kind):
    (block,) = re.findall(rf"<!-- {kind} -->\n```\w+\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return block


def test_the_readme_shows_what_the_command_prints(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name, value in {"ROLE": WHOLE["role"], "S3_ROOT_URI": "s3://acme/nbjobs"}.items():
        monkeypatch.setenv(f"AIRFLOW__NBJOBS__{name}", value)
    monkeypatch.setenv("AIRFLOW__NBJOBS__IMAGE_URI", "sagemaker-distribution:4-cpu")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    command, *arguments = shlex.split(shown("runs: nbjobs plan"))
    assert command == "nbjobs"
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == shown("read: plan")


def test_the_recipes_of_the_readme_run_the_command(capsys, monkeypatch):
    hooks = yaml.safe_load(shown("read: pre-commit"))["repos"][0]["hooks"]
    steps = yaml.safe_load(shown("read: workflow"))["jobs"]["plan"]["steps"]
    lines = [hooks[0]["entry"], *(line for step in steps for line in step.get("run", "").splitlines())]
    assert [line for line in lines if line.startswith("nbjobs")] == ["nbjobs plan dags"] * 2
    monkeypatch.chdir(ROOT)
    assert cli.main(["plan", "dags"]) == 0
    assert "14 tasks, 0 problems" in capsys.readouterr().out


@pytest.mark.slow  # starts processes that import Airflow anew
@pytest.mark.parametrize("target", ["dags/sentiment_pipeline.py", "sentiment_pipeline"])
def test_it_works_from_another_folder_without_a_home_and_leaves_no_database(target, tmp_path):
    shutil.copytree(ROOT / "dags", tmp_path / "dags")
    home = tmp_path / "home"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags")}
    done = subprocess.run(
        [sys.executable, "-m", "airflow_nbjobs.cli", "plan", target, "-o", "json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["dags"][0]["tasks"]) == 3
    assert done.stderr == ""
    assert not list(home.rglob("*.db"))
