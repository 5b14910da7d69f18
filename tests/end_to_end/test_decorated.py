"""``@task.sagemaker_notebook_job`` in Airflow itself: ``airflow dags test`` and ``airflow tasks test``, and a worker and a triggerer, with real jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nbformat
import pytest
from dag_runs import DagRuns
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUN_SECONDS = 600
DAG_FILE = """
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, task, task_group

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

JOB = {"input_notebook": "report.ipynb", "outputs": ["seen"], "waiter_delay": 1}

with DAG(
    "decorated",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"limit": 3},
    default_args={"region": "of default_args"},
):

    @task
    def orders():
        return {"region": "{{ ds }} eu", "amounts": [1.5, 2.0]}

    @task
    def regions():
        return [{"region": "eu", "epochs": 1}, {"region": "us", "epochs": 2}]

    @task.sagemaker_notebook_job(**JOB, parameters={"note": "{{ run_id }}", "region": "of the decorator"})
    def report(found: dict, params: dict, ti, region=None) -> dict:
        with (Path(__file__).parent / "calls.txt").open("a") as calls:
            print(ti.task_id, ti.map_index, region, file=calls)
        return {"region": found["region"], "amounts": found.get("amounts", []), "epochs": params["limit"]}

    @task
    def show(seen):
        return seen

    plain = report(orders())
    show(plain["seen"])

    both = regions()
    report.override(task_id="mapped").expand(found=both)

    @task_group
    def of_region(one):
        report.override(task_id="grouped")(one)

    of_region.expand(one=[{"region": "asia"}])

    SageMakerNotebookJobOperator.partial(task_id="operator", **JOB).expand(parameters=both)
"""
CELLS = [
    "region, epochs, amounts, note = '', 0, [], ''",
    "import boto3, time\nwhile not boto3.client('s3').list_objects_v2(Bucket='{bucket}', Prefix='go')['KeyCount']: time.sleep(0.2)",
    "seen = [region, epochs, amounts, note]",
]


@pytest.fixture(scope="module")
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker(jobs=2) as server:
        yield server


@pytest.fixture(scope="module")
def dags(sagemaker: EmbeddedSageMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dags")
    (folder / "decorated.py").write_text(DAG_FILE)
    bucket = sagemaker.facts.default_bucket
    cells = [nbformat.v4.new_code_cell(cell.replace("{bucket}", bucket)) for cell in CELLS]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "report.ipynb")
    return folder


@pytest.fixture(scope="module")
def environment(sagemaker: EmbeddedSageMaker) -> dict[str, str]:
    facts = sagemaker.facts
    return facts.airflow_settings()


NAMES = "SELECT task_id, map_index, rendered_map_index FROM task_instance WHERE dag_id = 'decorated'"
RENDERED = "SELECT task_id, map_index, rendered_fields FROM rendered_task_instance_fields WHERE dag_id = 'decorated'"
# Airflow 3.4 has the keys of a task instance in its own row alone.
RENDERED_3_4 = (
    "SELECT task_id, map_index, rendered_fields FROM rendered_task_instance_fields "
    "JOIN task_instance ON task_instance.id = task_instance_id WHERE dag_id = 'decorated'"
)
SHOWN = {
    ("report", -1): {"note": None, "region": "{{ ds }} eu", "amounts": [1.5, 2.0], "epochs": 3},
    ("mapped", 0): {"note": None, "region": "eu", "amounts": [], "epochs": 3},
    ("mapped", 1): {"note": None, "region": "us", "amounts": [], "epochs": 3},
    ("of_region.grouped", 0): {"note": None, "region": "asia", "amounts": [], "epochs": 3},
    ("operator", 0): {"region": "eu", "epochs": 1},
    ("operator", 1): {"region": "us", "epochs": 2},
}
NAMED = {
    ("mapped", 0): "region=eu, epochs=1",
    ("mapped", 1): "region=us, epochs=2",
    ("of_region.grouped", 0): "region=asia",
    ("operator", 0): "region=eu, epochs=1",
    ("operator", 1): "region=us, epochs=2",
}
CALLED = ["mapped 0 None", "mapped 1 None", "of_region.grouped 0 None", "report -1 None"]


def shown(rows):
    """The parameters of the Rendered tab; a run's id, which is in each ``note``, is left out once it is seen there."""
    found = {}
    for task_id, index, stored in rows:
        fields = json.loads(stored) if isinstance(stored, str) else stored
        given = fields.get("parameters")
        given = json.loads(given) if isinstance(given, str) else given
        if given is not None:
            if "note" in given:
                assert given["note"] in {"one", "manual"} or given["note"].startswith("manual__")
                given["note"] = None
            found[task_id, index] = given
    return found


def named(rows):
    return {(task_id, index): name for task_id, index, name in rows if name is not None}


@pytest.mark.local
@pytest.mark.slow
def test_airflows_own_commands_run_it(sagemaker, dags, environment, tmp_path):
    sagemaker.client("s3").put_object(Bucket=sagemaker.facts.default_bucket, Key="go", Body=b"")
    with DagRuns(tmp_path, dags=dags, environment=environment) as airflow:
        run = airflow.run("decorated")
        assert run.state == "success", run.log[-8000:]
        calls = (dags / "calls.txt").read_text().splitlines()
        assert sorted(calls) == CALLED
        seen = run.xcoms["report", "seen"]
        assert seen[:3] == ["{{ ds }} eu", 3, [1.5, 2.0]]
        assert seen[3].startswith("manual__")
        assert run.xcoms["show", "return_value"] == seen
        assert run.xcoms["report", "return_value"]["outputs"] == {"seen": seen}
        assert "job_name" not in {key for task_id, key in run.xcoms if task_id == "report"}
        assert shown(airflow.query(RENDERED) or airflow.query(RENDERED_3_4)) == SHOWN
        assert named(airflow.query(NAMES)) == NAMED

        code, log = airflow.command("tasks", "test", "decorated", "of_region.grouped", "--map-index", "0")
        assert not code, log[-5000:]
        assert (dags / "calls.txt").read_text().splitlines()[4:] == ["of_region.grouped 0 None"]
    (dags / "calls.txt").unlink()


@pytest.mark.demo
def test_a_worker_and_a_triggerer_run_it(sagemaker, dags, environment, tmp_path):
    """Each deferred: the tab shows what was sent and the grid its names, while it waits and after another process has finished it."""
    sagemaker.client("s3").delete_object(Bucket=sagemaker.facts.default_bucket, Key="go")
    with StandaloneAirflow(tmp_path, dags=dags, environment=environment) as airflow:

        def states() -> list[str | None]:
            return sorted(
                str(state)
                for task_id, _, state in airflow.query("SELECT task_id, map_index, state FROM task_instance")
                if task_id not in {"orders", "regions", "show"}
            )

        def shown_now():
            return shown(airflow.query(RENDERED) or airflow.query(RENDERED_3_4))

        airflow.wait_for_dag("decorated")
        airflow.command("dags", "trigger", "decorated", "--run-id", "one")
        airflow.wait(lambda: states() == ["deferred"] * 6, seconds=RUN_SECONDS, what=airflow.task_logs)
        airflow.wait(lambda: shown_now() == SHOWN, seconds=60, what=lambda: str(shown_now()))
        assert named(airflow.query(NAMES)) == NAMED
        sagemaker.client("s3").put_object(Bucket=sagemaker.facts.default_bucket, Key="go", Body=b"")
        airflow.wait(lambda: set(states()) == {"success"}, seconds=RUN_SECONDS, what=airflow.task_logs)
        assert shown_now() == SHOWN
        assert named(airflow.query(NAMES)) == NAMED
    assert sorted((dags / "calls.txt").read_text().splitlines()) == CALLED
