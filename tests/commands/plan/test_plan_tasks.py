"""The plan of one notebook task: what is given, what a stand-in takes the place of, and what is said of either."""

from __future__ import annotations

import json
from datetime import timedelta

import pendulum
import pytest
from airflow.sdk import DAG, task
from fakes import code, notebook
from plans import WHOLE

from airflow_nbjobs.commands.plan import offline, tasks
from airflow_nbjobs.commands.plan.given_run import GivenRun
from airflow_nbjobs.commands.plan.mapping import Index
from airflow_nbjobs.commands.plan.tasks import Wanted, plan_task
from airflow_nbjobs.decorators import sagemaker_notebook_job
from airflow_nbjobs.operators import SageMakerNotebookJobOperator as Job
from airflow_nbjobs.params import FROM_PARAMS

pytestmark = pytest.mark.usefixtures("no_network")
NOT_MAPPED = Index(None, {}, is_mapped=False)
DATED = GivenRun(logical_date=pendulum.datetime(2026, 2, 3), run_id="scheduled__x", conf={})


@pytest.fixture(autouse=True)
def dag(monkeypatch, tmp_path):
    """A DAG, on a machine without a region and a connection."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setattr(offline, "_connection", lambda _: None)
    with DAG("d", schedule=None, params={"rows": 8}) as dag:
        yield dag


@pytest.fixture
def connection(monkeypatch):
    """Gives this machine a connection with this extra."""

    def give(extra):
        text = json.dumps({"conn_type": "aws", "extra": extra})
        from airflow.models.connection import Connection

        monkeypatch.setattr(offline, "_connection", lambda conn_id: Connection.from_json(text, conn_id))

    return give


@pytest.fixture
def planned(folder):
    def of(operator=None, *, run=None, index=NOT_MAPPED, **arguments):
        if operator is None:
            operator = Job(task_id="t", **{"input_notebook": str(folder / "nb.ipynb")} | arguments)
        wanted = Wanted(run=run or GivenRun(), params={"rows": 8}, bundle=folder, shows_request=True)
        return plan_task(operator.prepare_for_execution(), index, wanted)

    return of


def given(plan):
    return {each.name: (each.given, each.is_known) for each in plan.parameters}


def test_a_whole_task_has_nothing_that_is_not_known(planned, folder):
    found = planned(**WHOLE, parameters={"rows": 7, "name": "x"}, outputs=["total"])
    plan = found.plan
    assert (plan.task_id, plan.map_index, plan.kind, plan.is_decorated) == ("t", None, "notebook", False)
    assert (plan.notebook, plan.kernel) == (str(folder / "nb.ipynb"), "python3")
    assert (plan.problems, plan.warnings, plan.not_known, found.not_known) == ((), (), (), {})
    assert given(plan) == {"day": (None, True), "rows": ("7", True), "ratio": (None, True), "name": ("'x'", True)}
    assert [each.name for each in plan.files] == ["nb.ipynb", "helper.ipynb"]
    assert [(each.name, each.cell) for each in plan.outputs] == [("total", 3)]
    assert found.job.spec.role == WHOLE["role"]
    request = plan.request
    assert (request["RoleArn"], request["AlgorithmSpecification"]["TrainingImage"]) == (
        WHOLE["role"],
        WHOLE["image_uri"],
    )
    assert request["OutputDataConfig"]["S3OutputPath"] == WHOLE["s3_root_uri"]
    assert request["Environment"]["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert request["Environment"]["NBJOBS_RUN_ID"] == "<run id>"
    assert request["Environment"]["NBJOBS_TRY_NUMBER"] == "1"


def test_warnings_of_templates_and_of_the_notebook_are_both_said(planned):
    other = Job(task_id="other", input_notebook="nb.ipynb", outputs=["total"])
    plan = planned(**WHOLE, parameters={"name": "x", "day": other.output["totl"]}, outputs=["never"]).plan
    assert plan.warnings[0].startswith("parameters['day']: ")
    assert any("'never' is assigned by no cell" in text for text in plan.warnings)
    assert len(plan.warnings) == 2


def test_problems_of_templates_come_before_those_of_the_job(planned):
    plan = planned(**WHOLE | {"volume_size": 0, "role": "{{ foo }}"}, parameters={"name": "x"}).plan
    assert [text.split(":")[0] for text in plan.problems] == ["role", "volume_size"]
    assert plan.request is None


def test_the_arguments_that_nobody_here_says_have_stand_ins_and_one_line(planned):
    plan = planned(parameters={"name": "x"}).plan
    assert plan.problems == ()
    assert plan.not_known == (
        "region_name, image_uri, role, s3_root_uri: neither the task nor [nbjobs] on this machine says, and connection 'aws_default' is not on this machine",
    )
    assert plan.request["RoleArn"] == "<role of the deployment>"
    assert plan.request["Environment"]["AWS_DEFAULT_REGION"] == "<region of the deployment>"


def test_a_task_without_a_connection_says_nothing_of_one(planned):
    (said,) = planned(parameters={"name": "x"}, aws_conn_id=None).plan.not_known
    assert said == "region_name, image_uri, role, s3_root_uri: neither the task nor [nbjobs] on this machine says"


def test_only_what_is_absent_is_stood_in_for(planned):
    arguments = {name: value for name, value in WHOLE.items() if name != "role"}
    plan = planned(**arguments, parameters={"name": "x"}).plan
    assert [text.split(":")[0] for text in plan.not_known] == ["role"]
    assert plan.request["RoleArn"] == "<role of the deployment>"
    assert plan.request["AlgorithmSpecification"]["TrainingImage"] == WHOLE["image_uri"]


def test_a_region_that_is_not_known_is_that_of_the_image(planned):
    """A check of an image against the region finds nothing then."""
    arguments = {name: value for name, value in WHOLE.items() if name != "region_name"}
    plan = planned(**arguments, parameters={"name": "x"}).plan
    assert plan.problems == ()
    assert [text.split(":")[0] for text in plan.not_known] == ["region_name"]


def test_the_connections_settings_count_and_what_it_leaves_out_is_missing(planned, connection):
    connection({"region_name": "eu-west-1", "nbjobs": {"s3_root_uri": "s3://acme/nb", "role": WHOLE["role"]}})
    plan = planned(parameters={"name": "x"}).plan
    assert [text.split()[0] for text in plan.problems] == ["image_uri"]
    assert plan.not_known == ()


def test_a_connection_that_a_run_gives_is_not_known(planned, connection):
    connection({"region_name": "eu-west-1"})
    plan = planned(**WHOLE | {"role": None}, parameters={"name": "x"}, aws_conn_id="{{ ds }}").plan
    assert plan.problems == ()
    assert "aws_conn_id: {{ ds }}" in plan.not_known
    assert [text for text in plan.not_known if text.startswith("role: neither")]


def test_an_argument_that_a_run_gives_is_shown_as_its_template_once(planned):
    plan = planned(**WHOLE | {"role": "{{ ds }}", "s3_root_uri": "s3://{{ ds }}/x"}, parameters={"name": "x"}).plan
    assert plan.not_known == ("role: {{ ds }}", "s3_root_uri: s3://{{ ds }}/x")
    assert plan.request["RoleArn"] == "<{{ ds }}>"
    assert plan.request["OutputDataConfig"]["S3OutputPath"].startswith("<s3://{{ ds }}/x>")


def test_a_problem_of_what_is_not_known_is_said_as_such(planned):
    plan = planned(
        **WHOLE,
        parameters={"name": "x"},
        environment_variables={"A": "{{ ds }}", "NBJOBS_X{{": "1"},
        tags={"aws:x": "{{ ds }}"},
    ).plan
    assert not any("nbjobsnotknown" in text for text in (*plan.problems, *plan.warnings, *plan.not_known))


def test_what_lies_in_s3_is_left_out_and_a_run_of_it_is_no_problem(planned, folder):
    (folder / "runs.ipynb").write_bytes(notebook(code("name: str", "parameters"), "%run gone.py"))
    (folder / "a.csv").write_text("1")
    arguments = WHOLE | {"input_notebook": str(folder / "runs.ipynb"), "parameters": {"name": "x"}}
    more = ["s3://b/lib/", str(folder / "a.csv"), "s3://b/c.csv"]
    found = planned(**arguments, additional_dependencies=more, initialization_script="s3://b/i.sh")
    plan = found.plan
    assert plan.problems == ()
    assert plan.not_known[:2] == (
        "additional_dependencies: s3://b/lib/, s3://b/c.csv in S3, which is not asked",
        "initialization_script: s3://b/i.sh in S3, which is not asked",
    )
    assert found.not_known == {
        "additional_dependencies": "s3://b/lib/, s3://b/c.csv",
        "initialization_script": "s3://b/i.sh",
    }
    assert [each.name for each in plan.files] == ["runs.ipynb", "a.csv"]
    assert any("gone.py" in text for text in plan.warnings)
    assert plan.request["Environment"]["NBJOBS_INPUT_SHA256"] == "<digest of the input>"


def test_a_run_of_a_file_that_is_not_there_is_a_problem_where_all_is_known(planned, folder):
    (folder / "runs.ipynb").write_bytes(notebook(code("name: str", "parameters"), "%run gone.py"))
    plan = planned(**WHOLE, input_notebook=str(folder / "runs.ipynb"), parameters={"name": "x"}).plan
    assert any("gone.py" in text for text in plan.problems)


def test_dependencies_that_are_none_are_a_problem_beside_the_others(planned):
    plan = planned(**WHOLE | {"volume_size": 0}, additional_dependencies=5, parameters={"name": "x"}).plan
    assert {text.split(":")[0].split()[0] for text in plan.problems} == {"additional_dependencies", "volume_size"}


def test_a_notebook_that_a_run_gives_leaves_all_else_to_be_looked_at(planned):
    found = planned(**WHOLE, input_notebook="{{ ds }}.ipynb", parameters={"name": "{{ ts }}"})
    plan = found.plan
    assert (plan.problems, plan.warnings, plan.notebook, plan.request, found.job) == ((), (), None, None, None)
    assert plan.not_known == (
        "input_notebook: {{ ds }}.ipynb",
        "request, estimate: both need the notebook, which is not known here",
    )


def test_a_notebook_that_is_missing_is_a_problem_and_not_unknown(planned, folder):
    gone = str(folder / "gone.ipynb")
    plan = planned(**WHOLE, input_notebook=gone, parameters={"name": "x"}).plan
    assert (plan.notebook, len(plan.problems)) == (gone, 1)
    assert plan.not_known == ()


def test_a_function_is_not_called_and_what_it_replaces_is_said(planned, folder):
    @sagemaker_notebook_job(input_notebook=str(folder / "nb.ipynb"), parameters=FROM_PARAMS, **WHOLE)
    def choose():
        raise AssertionError

    plan = planned(choose().operator).plan
    assert plan.is_decorated
    assert plan.not_known == (
        "parameters: what choose() returns; it is called when the task runs, and not by a plan",
        "parameters: which of the run's params the function replaces",
    )
    assert given(plan)["rows"] == ("choose()", False)
    assert plan.request["HyperParameters"] == "<choose()>"
    assert plan.request["Environment"]["NBJOBS_INPUT_SHA256"] == "<digest of the input>"


def test_a_functions_plain_parameters_may_be_replaced(planned, folder):
    @sagemaker_notebook_job(input_notebook=str(folder / "nb.ipynb"), parameters={"rows": 1}, **WHOLE)
    def choose(): ...

    plan = planned(choose().operator).plan
    assert len(plan.not_known) == 1
    assert given(plan) == dict.fromkeys(("day", "ratio", "name"), ("choose()", False)) | {"rows": ("1", False)}


def test_parameters_that_a_run_merges_are_said(planned):
    index = Index(None, {}, {"parameters": "XCom of 'many'"})
    plan = planned(**WHOLE, parameters={"rows": 1}, index=index).plan
    assert plan.not_known == ("parameters: XCom of 'many'",)
    assert given(plan)["day"] == ("XCom of 'many'", False)
    assert plan.request["HyperParameters"]["<…>"] == "<XCom of 'many'>"


def test_an_index_that_a_run_gives_as_a_whole_may_have_any_argument(planned):
    @task
    def many(): ...

    plan = planned(parameters={"rows": 1}, index=Index(3, {}, whole=many())).plan
    assert (plan.map_index, plan.problems) == (3, ())
    assert plan.not_known[0] == "arguments: XCom of 'many' may give any of them"
    assert given(plan)["day"] == ("XCom of 'many'", False)


@pytest.mark.parametrize(
    ("index", "shown"),
    [(NOT_MAPPED, "-1"), (Index(0, {}), "0"), (Index(7, {}), "7"), (Index(None, {}), "<map index>")],
    ids=["none", "first", "eighth", "all"],
)
def test_the_map_index_is_that_of_the_index(planned, index, shown):
    plan = planned(**WHOLE, parameters={"name": "{{ ti.map_index }}"}, index=index).plan
    assert plan.map_index == index.map_index
    assert plan.request["HyperParameters"]["name"] == shown
    assert plan.request["Environment"].get("NBJOBS_MAP_INDEX", "-1") == shown


def test_the_run_that_is_given_is_in_the_request(planned):
    plan = planned(**WHOLE, parameters={"day": "{{ ds }}", "name": "{{ run_id }}"}, run=DATED).plan
    assert plan.not_known == ()
    assert plan.request["HyperParameters"] == {"day": "2026-02-03", "name": "scheduled__x"}
    assert plan.request["Environment"]["NBJOBS_RUN_ID"] == "scheduled__x"


def test_a_schedule_with_intervals_has_them_in_the_request_before_a_run_is_known(planned):
    environment = planned(**WHOLE, parameters={"name": "x"}, run=GivenRun(has_interval=True)).plan.request[
        "Environment"
    ]
    assert "<start of the data interval>" in environment.values()
    assert "<end of the data interval>" in environment.values()


def test_a_connection_that_means_nothing_is_a_problem_beside_those_of_templates(planned, connection, folder):
    connection({"nbjobs": "nonsense"})
    found = planned(role="{{ foo }}", volume_size="{{ ds }}", parameters={"name": "x"})
    plan = found.plan
    assert [text.split()[0] for text in plan.problems] == ["role:", "the"]
    assert "key 'nbjobs' that is no mapping" in plan.problems[1]
    assert plan.notebook == str(folder / "nb.ipynb")
    assert "volume_size: {{ ds }}" in plan.not_known
    assert (found.job, found.not_known["volume_size"], plan.request) == (None, "{{ ds }}", None)


def test_what_is_left_of_the_tasks_own_timeout_is_the_jobs(planned):
    """In whole seconds, as at the first moment of a try."""
    found = planned(**WHOLE, parameters={"name": "x"}, execution_timeout=timedelta(minutes=10))
    assert found.job.spec.max_runtime_in_seconds == 600
    assert found.plan.request["StoppingCondition"]["MaxRuntimeInSeconds"] == 600
    without = planned(
        Job(
            task_id="u",
            input_notebook=found.plan.notebook,
            **WHOLE,
            parameters={"name": "x"},
            max_runtime_in_seconds=700,
        )
    )
    assert without.job.spec.max_runtime_in_seconds == 700


def test_a_value_like_a_stand_in_is_shown_as_it_is_where_nothing_stands_in(planned):
    plan = planned(**WHOLE, parameters={"name": "x", "day": str(tasks._MAP_INDEX)}).plan
    assert plan.request["HyperParameters"]["day"] == str(tasks._MAP_INDEX)
