"""Assets and lineage of notebook tasks in a real Airflow: who is started by what, what the started run reads, and what OpenLineage's file transport holds then."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import airflow.sdk
import nbformat
import pytest
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.demo

RUN_SECONDS = 900
HAS_OPENLINEAGE = importlib.util.find_spec("openlineage") is not None
needs_openlineage = pytest.mark.skipif(not HAS_OPENLINEAGE, reason="needs the extra openlineage")
HAS_PARTITIONS = hasattr(airflow.sdk, "CronPartitionTimetable")

DAG_FILE = """
from datetime import datetime, UTC

from airflow.sdk import DAG, Asset, AssetAlias, task

from airflow_nbjobs.operators import SageMakerNotebookJobOperator as Operator

MODEL = Asset(name="model", uri="s3://acme/models/current")
START = datetime(2026, 1, 1, tzinfo=UTC)

with DAG("trains", schedule=None, start_date=START, doc_md=None):
    Operator(
        task_id="model",
        input_notebook="train.ipynb",
        parameters={"train_uri": "s3://acme/train/rows.csv", "password": "hunter2-hunter2"},
        outputs={"accuracy": float, "model_uri": str, "parent": str},
        outlets=[MODEL],
        lineage_parent=LINEAGE,
    )
    Operator.partial(
        task_id="tables", input_notebook="table.ipynb", outputs=["table"], outlets=[AssetAlias("table")]
    ).expand(parameters=[{"country": "de"}, {"country": "fr"}])

with DAG("reports", schedule=[MODEL], start_date=START):

    @task
    def newest(triggering_asset_events) -> float:
        return [event.extra["outputs"]["accuracy"] for event in triggering_asset_events[MODEL]][-1]

    Operator(
        task_id="report",
        input_notebook="report.ipynb",
        parameters={
            "newest": newest(),
            "all_of_them": "{{ triggering_asset_events.values() | sum(start=[]) | map(attribute='extra.outputs.accuracy') | list }}",
        },
        outputs={"newest": float, "all_of_them": list},
    )

with DAG("maps", schedule=[AssetAlias("table")], start_date=START):

    @task
    def uris(triggering_asset_events) -> list:
        return sorted(
            event.extra["outputs"]["table"]
            for event in triggering_asset_events[AssetAlias("table")]
        )

    uris()

with DAG("fails", schedule=None, start_date=START):
    Operator(task_id="broken", input_notebook="broken.ipynb")
"""
PARTITIONED = """
from datetime import timedelta

from airflow.sdk import CronPartitionTimetable, PartitionedAssetTimetable

DAILY = Asset(name="daily", uri="s3://acme/daily")

# Scheduled when it is first seen, which may be before there is an API server for its worker.
AGAIN = {"retries": 5, "retry_delay": timedelta(seconds=5)}

with DAG(
    "by_day",
    schedule=CronPartitionTimetable("@daily", timezone="UTC"),
    start_date=START,
    catchup=False,
    default_args=AGAIN,
):
    Operator(
        task_id="day",
        input_notebook="day.ipynb",
        parameters={"key": "{{ partition_key }}"},
        outputs=["key", "variable"],
        outlets=[DAILY],
    )

with DAG("after_day", schedule=PartitionedAssetTimetable(assets=DAILY), start_date=START):

    @task
    def seen(dag_run, triggering_asset_events) -> list:
        (event,) = triggering_asset_events[DAILY]
        return [dag_run.partition_key, event.extra["outputs"]["key"], event.extra["outputs"]["variable"]]

    seen()
"""
NOTEBOOKS = {
    "train": [
        "train_uri = ''\npassword = ''",
        "accuracy = 0.5\nmodel_uri = 's3://acme/models/7'",
        "import os\nparent = os.environ.get('OPENLINEAGE_PARENT_ID', '')",
    ],
    "table": ["country = ''", "table = f's3://acme/tables/{country}'"],
    "report": ["newest = 0.0\nall_of_them = []"],
    "broken": ["a = 1", "raise ValueError('no such model')"],
    "day": ["key = ''", "import os\nvariable = os.environ['NBJOBS_PARTITION_KEY']"],
}


def write_notebooks(folder: Path) -> None:
    for name, cells in NOTEBOOKS.items():
        code = [nbformat.v4.new_code_cell(cell) for cell in cells]
        if name != "broken":
            code[0].metadata["tags"] = ["parameters"]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        text = nbformat.v4.new_markdown_cell(f"# What {name} does")
        nbformat.write(nbformat.v4.new_notebook(cells=[text, *code], metadata=metadata), folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneAirflow]:
    """An Airflow in which everything has run."""
    home = tmp_path_factory.mktemp("assets")
    dags = home / "dags"
    dags.mkdir()
    text = DAG_FILE.replace("LINEAGE", str(HAS_OPENLINEAGE))
    (dags / "assets.py").write_text(text + (PARTITIONED if HAS_PARTITIONS else ""))
    write_notebooks(dags)
    transport = {"type": "file", "log_file_path": str(home / "lineage.jsonl"), "append": True}
    with EmbeddedSageMaker(jobs=2) as sagemaker:
        facts = sagemaker.facts
        environment = {
            **facts.airflow_settings(),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__NAMESPACE": "acme",
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "120",  # its 10 seconds are few for a fork on a busy machine
        }
        with StandaloneAirflow(home, dags=dags, environment=environment) as standalone:
            standalone.wait_for_dag("fails")
            for dag_id in ("trains", "fails"):
                standalone.command("dags", "trigger", dag_id, "--run-id", "one")
            expected = {"trains", "reports", "maps", "fails", *(("by_day", "after_day") if HAS_PARTITIONS else ())}

            def ended() -> bool:
                states = standalone.query("SELECT dag_id, state FROM dag_run")
                return expected <= {dag_id for dag_id, state in states if state in ("success", "failed")}

            standalone.wait(ended, seconds=RUN_SECONDS, what=lambda: standalone.task_logs()[-20_000:])
            yield standalone


def xcom(airflow: StandaloneAirflow, dag_id: str, task_id: str, key: str = "return_value") -> list[Any]:
    rows = airflow.query(
        "SELECT value FROM xcom WHERE dag_id = :dag_id AND task_id = :task_id AND key = :key ORDER BY map_index",
        dag_id=dag_id,
        task_id=task_id,
        key=key,
    )
    found = [json.loads(value) if isinstance(value, str) else value for (value,) in rows]
    return [json.loads(value) if isinstance(value, str) and value[:1] in '"[{' else value for value in found]


def test_a_dag_on_the_asset_reads_what_the_notebook_has_returned_typed_and_by_a_template(airflow):
    assert airflow.query("SELECT state FROM dag_run WHERE dag_id = 'reports'") == [("success",)]
    (result,) = xcom(airflow, "reports", "report")
    assert result["outputs"] == {"newest": 0.5, "all_of_them": [0.5]}


def test_the_event_is_stored_with_the_job_the_masked_parameters_and_the_cost(airflow):
    ((stored,),) = airflow.query(
        "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = 'model'"
    )
    extra = json.loads(stored)
    (result,) = xcom(airflow, "trains", "model")
    assert extra["job_name"] == result["job_name"]
    assert extra["billable_seconds"] == result["billable_seconds"] > 0
    assert extra["parameters"] == {"train_uri": "s3://acme/train/rows.csv", "password": "***"}
    assert len(extra["executed_notebook_sha256"]) == 64


def test_each_mapped_task_updates_its_own_asset_through_the_alias(airflow):
    rows = airflow.query(
        "SELECT a.uri, e.source_map_index FROM asset_event e JOIN asset a ON a.id = e.asset_id "
        "WHERE e.source_task_id = 'tables' ORDER BY a.uri"
    )
    assert [tuple(row) for row in rows] == [("s3://acme/tables/de", 0), ("s3://acme/tables/fr", 1)]
    seen = {uri for uris in xcom(airflow, "maps", "uris") for uri in uris}
    assert seen <= {"s3://acme/tables/de", "s3://acme/tables/fr"}
    assert seen


@pytest.mark.skipif(not HAS_PARTITIONS, reason="this Airflow has no CronPartitionTimetable")
def test_a_partition_goes_through_the_notebook_to_the_run_that_its_event_starts(airflow):
    (seen,) = xcom(airflow, "after_day", "seen")
    key, given, variable = seen
    assert key
    assert key == given == variable
    rows = airflow.query(
        "SELECT e.partition_key FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = 'daily'"
    )
    assert [tuple(row) for row in rows] == [(key,)]


# -- lineage ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lineage(airflow: StandaloneAirflow) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (airflow.home / "lineage.jsonl").read_text().splitlines()]
    # The provider's own facet quotes a task's arguments, and masks them in a copy that it does not send (2.20.3, InfoJsonEncodable).
    for event in events:
        event["run"]["facets"].pop("airflow", None)
    assert "hunter2" not in json.dumps(events)
    return events


def of(lineage: list[dict[str, Any]], job: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for event in lineage:
        if event["job"]["name"] == job:
            found.setdefault(event["eventType"], []).append(event)
    return found


@needs_openlineage
def test_both_starts_of_a_task_that_deferred_say_the_same(lineage):
    first, second = of(lineage, "trains.model")["START"]
    assert first["run"]["runId"] == second["run"]["runId"]
    assert first["inputs"] == second["inputs"]
    assert [each["name"] for each in first["inputs"]] == ["train/rows.csv"]
    for kind in ("job", "run"):
        ours = {name for name in second[kind]["facets"] if name in ("sourceCodeLocation", "executionParameters")}
        assert ours
        assert {name: first[kind]["facets"][name] for name in ours} == {
            name: second[kind]["facets"][name] for name in ours
        }
    assert "sourceCode" in first["job"]["facets"]
    assert "sourceCode" not in second["job"]["facets"]


@needs_openlineage
def test_the_end_says_datasets_code_job_and_cost(airflow, lineage):
    (end,) = of(lineage, "trains.model")["COMPLETE"]
    assert [(each["namespace"], each["name"]) for each in end["inputs"]] == [("s3://acme", "train/rows.csv")]
    assert {each["name"] for each in end["outputs"]} == {"models/7", "models/current"}
    (result,) = xcom(airflow, "trains", "model")
    run, job = end["run"]["facets"], end["job"]["facets"]
    assert run["externalQuery"]["externalQueryId"] == result["job_arn"]
    assert {each["key"]: each["value"] for each in run["executionParameters"]["parameters"]}["password"] == "***"
    assert {each["key"]: each["value"] for each in run["tags"]["tags"]}["job_name"] == result["job_name"]
    assert job["sourceCode"]["sourceCode"] == "\n\n".join(NOTEBOOKS["train"])
    assert job["sourceCode"]["language"] == "python"
    assert job["documentation"]["description"] == "# What train does"
    assert job["sourceCodeLocation"]["path"] == "train.ipynb"
    # Airflow's own, whatever an operator says.
    assert (job["jobType"]["processingType"], job["jobType"]["integration"]) == ("BATCH", "AIRFLOW")


@needs_openlineage
def test_what_runs_in_the_notebook_knows_its_parent(airflow, lineage):
    (parent,) = xcom(airflow, "trains", "model", "parent")
    assert parent == f"acme/trains.model/{of(lineage, 'trains.model')['COMPLETE'][0]['run']['runId']}"


@needs_openlineage
def test_an_alias_is_an_output_by_the_asset_that_it_has_become(lineage):
    ends = of(lineage, "trains.tables")["COMPLETE"]
    assert sorted(each["name"] for end in ends for each in end["outputs"]) == ["tables/de", "tables/fr"]


@needs_openlineage
def test_a_failure_names_its_cell(lineage):
    (end,) = of(lineage, "fails.broken")["FAIL"]
    run = end["run"]["facets"]
    assert "failed in cell 3: ValueError: no such model" in run["errorMessage"]["message"]
    assert {each["key"]: each["value"] for each in run["tags"]["tags"]}["failed_cell"] == "3"
    assert run["externalQuery"]["source"] == "sagemaker"
    assert end["job"]["facets"]["sourceCode"]["sourceCode"] == "\n\n".join(NOTEBOOKS["broken"])
