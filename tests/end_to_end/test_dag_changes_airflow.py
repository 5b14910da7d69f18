"""
What changes around notebooks while they run, in a real Airflow: DAG files, of which a run keeps the version that it began with; an asset; a variable.

The DAG files are published once, their tasks defer, all is changed, and the jobs go on; each test looks at one side of what that left.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from postgres import PostgresServer
from standalone_airflow import ALL_ADMINS, StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.demo

RUN_SECONDS = 900
# As Airflow's own bundle of a Git repository: a checkout that follows the newest version, and a folder for each version.
BUNDLE = """
from pathlib import Path

from airflow.dag_processing.bundles.base import BaseDagBundle


class FolderBundle(BaseDagBundle):
    supports_versioning = True

    def __init__(self, *, root, **kwargs):
        super().__init__(**kwargs)
        self._root = Path(root)

    @property
    def path(self):
        return self._root / (f"version-{self.version}" if self.version else "newest")

    def get_current_version(self):
        return self.version or (self._root / "current").read_text()

    def refresh(self):
        pass
"""
PINNED = """
from datetime import datetime, UTC

from airflow.sdk import DAG, task

from airflow_nbjobs import NotebookTaskGroup, SageMakerNotebookJobOperator as Operator

OUTPUTS = ["seen_VERSION"]

with DAG("pinned", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

    @task
    def day() -> str:
        return "day VERSION"

    @task.sagemaker_notebook_job(input_notebook="report.ipynb", outputs=OUTPUTS, waiter_delay=1)
    def decorated(day: str) -> dict:
        return {"day": day, "text": "VERSION"}

    decorated(day())

    with NotebookTaskGroup(
        "g",
        input_notebook="report.ipynb",
        parameters={"day": "day VERSION", "text": "{{ run_id }}"},
        keep_alive_period_in_seconds=600,
        waiter_delay=1,
    ):
        Operator(task_id="first", outputs=OUTPUTS) >> Operator(task_id="second", outputs=OUTPUTS)
"""
PRODUCES = """
from datetime import datetime, UTC

from airflow.sdk import DAG, Asset

from airflow_nbjobs import SageMakerNotebookJobOperator as Operator

START = datetime(2026, 1, 1, tzinfo=UTC)
TRAIN = {"input_notebook": "train.ipynb", "outputs": ["accuracy"], "waiter_delay": 1, "retries": 2}

with DAG("renames", schedule=None, start_date=START):
    Operator(task_id="train", outlets=[Asset(name="model", uri="s3://acme/models/VERSION")], **TRAIN)

with DAG("removes", schedule=None, start_date=START):
    Operator(task_id="train", outlets=[Asset("s3://acme/removed")] * (2 - VERSION), **TRAIN)

with DAG("forgets", schedule=None, start_date=START):
    Operator(task_id="train", parameters={"rows": "{{ var.value.rows }}"}, **TRAIN)
"""
# Keeps the first URI of the name in use: the second one stays inactive.
READS = """
from datetime import datetime, UTC

from airflow.sdk import DAG, Asset, task

with DAG("reads", schedule=[Asset(name="model", uri="s3://acme/models/1")], start_date=datetime(2026, 1, 1, tzinfo=UTC)):

    @task
    def read() -> None: ...

    read()
"""
AWAIT = "import boto3, time\nwhile not boto3.client('s3').list_objects_v2(Bucket='{bucket}', Prefix='go')['KeyCount']: time.sleep(0.5)"


def write_notebook(path: Path, parameters: str, *cells: str) -> None:
    code = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), *map(new_code_cell, cells)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=code, metadata=metadata), path)


class Author:
    """Writes the DAG files, in one version after the other."""

    def __init__(self, home: Path, bucket: str) -> None:
        self.dags = home / "dags"
        self.root = home / "bundle"
        self._wait = AWAIT.format(bucket=bucket)
        for folder in (self.dags, self.root / "newest"):
            folder.mkdir(parents=True)
        (home / "folder_bundle.py").write_text(BUNDLE)
        (self.dags / "reads.py").write_text(READS)
        write_notebook(self.dags / "train.ipynb", "rows = 1", self._wait, "accuracy = 0.5")

    def publish(self, version: int) -> None:
        for folder in (self.root / f"version-{version}", self.root / "newest"):
            folder.mkdir(exist_ok=True)
            write_notebook(
                folder / "report.ipynb", "day = text = ''", self._wait, f"seen_{version} = [day, text, {version}]"
            )
            (folder / "pinned.py").write_text(self.source(version))
        (self.root / "current").write_text(str(version))
        (self.dags / "produces.py").write_text(PRODUCES.replace("VERSION", str(version)))

    def source(self, version: int) -> str:
        return PINNED.replace("VERSION", str(version))


@pytest.fixture(scope="module")
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker(jobs=5) as server:
        yield server


@pytest.fixture(scope="module")
def author(sagemaker: EmbeddedSageMaker, tmp_path_factory: pytest.TempPathFactory) -> Author:
    return Author(tmp_path_factory.mktemp("changes"), sagemaker.facts.default_bucket)


@pytest.fixture(scope="module")
def airflow(sagemaker: EmbeddedSageMaker, author: Author) -> Iterator[StandaloneAirflow]:
    """An Airflow in which it has all happened."""
    home = author.dags.parent
    bundles = [
        {"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}},
        {"name": "versions", "classpath": "folder_bundle.FolderBundle", "kwargs": {"root": str(author.root)}},
    ]
    environment = {
        **sagemaker.facts.airflow_settings(),
        **ALL_ADMINS,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")])),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "storage"),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    }
    author.publish(1)
    with (
        PostgresServer() as database,
        StandaloneAirflow(home, dags=author.dags, environment=environment, database_url=database.url) as standalone,
    ):
        for dag_id in ("pinned", "renames", "removes", "forgets", "reads"):
            standalone.wait_for_dag(dag_id)
        standalone.api("/api/v2/variables", {"key": "rows", "value": "7"})
        for dag_id in ("pinned", "renames", "removes", "forgets"):
            trigger(standalone, dag_id, "old")
        standalone.wait(lambda: waiting(standalone) == 5, seconds=RUN_SECONDS, what=lambda: said(standalone))

        author.publish(2)
        standalone.api("/api/v2/variables/rows", method="DELETE")
        outlets = "SELECT a.uri FROM asset a JOIN task_outlet_asset_reference r ON r.asset_id = a.id"
        standalone.wait(
            lambda: (
                standalone.query(outlets) == [("s3://acme/models/2",)]
                and standalone.query("SELECT 1 FROM dag_version WHERE dag_id = 'pinned' AND version_number = 2")
            ),
            seconds=RUN_SECONDS,
            what=lambda: standalone.query(outlets),
        )
        trigger(standalone, "pinned", "new")
        sagemaker.client("s3").put_object(Bucket=sagemaker.facts.default_bucket, Key="go", Body=b"")
        standalone.wait(lambda: len(ended(standalone)) == 5, seconds=RUN_SECONDS, what=lambda: said(standalone))
        yield standalone


def trigger(airflow: StandaloneAirflow, dag_id: str, run_id: str) -> None:
    airflow.api(f"/api/v2/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None})


def waiting(airflow: StandaloneAirflow) -> int:
    return len(airflow.query("SELECT 1 FROM task_instance WHERE state = 'deferred'"))


def ended(airflow: StandaloneAirflow) -> dict[tuple[str, str], str]:
    rows = airflow.query("SELECT dag_id, run_id, state FROM dag_run WHERE state IN ('success', 'failed')")
    return {(dag_id, run_id): state for dag_id, run_id, state in rows}


def said(airflow: StandaloneAirflow) -> str:
    return str(airflow.query("SELECT dag_id, run_id, task_id, state FROM task_instance")) + airflow.task_logs()[-9000:]


def xcoms(airflow: StandaloneAirflow, dag_id: str, run_id: str, key: str) -> dict[str, Any]:
    rows = airflow.query(
        "SELECT task_id, CAST(value AS TEXT) FROM xcom WHERE dag_id = :dag_id AND run_id = :run_id AND key = :key",
        dag_id=dag_id,
        run_id=run_id,
        key=key,
    )
    return {task_id: json.loads(value) for task_id, value in rows}


def test_a_run_keeps_the_arguments_and_the_notebooks_of_the_version_that_it_began_with(airflow):
    """On the resumed leg, and in a task that begins when the file has another version."""
    assert {run_id: state for (dag_id, run_id), state in ended(airflow).items() if dag_id == "pinned"} == {
        "old": "success",
        "new": "success",
    }, said(airflow)
    for version, run_id in ((1, "old"), (2, "new")):
        assert xcoms(airflow, "pinned", run_id, f"seen_{version}") == {
            "decorated": [f"day {version}", str(version), version],
            "g.first": [f"day {version}", run_id, version],
            "g.second": [f"day {version}", run_id, version],
        }
        assert xcoms(airflow, "pinned", run_id, f"seen_{3 - version}") == {}
        instances = airflow.api(f"/api/v2/dags/pinned/dagRuns/{run_id}/taskInstances")["task_instances"]
        shown = {each["task_id"]: each["rendered_fields"].get("parameters") for each in instances}
        for task_id, text in (("decorated", str(version)), ("g.first", run_id), ("g.second", run_id)):
            found = shown[task_id]
            found = json.loads(found.replace("'", '"')) if isinstance(found, str) else found
            assert found == {"day": f"day {version}", "text": text}


def test_airflow_keeps_one_version_for_each_and_shows_its_code(airflow, author):
    versions = airflow.api("/api/v2/dags/pinned/dagVersions")["dag_versions"]
    assert sorted((each["version_number"], each["bundle_version"]) for each in versions) == [(1, "1"), (2, "2")]
    for version in (1, 2):
        code = airflow.api(f"/api/v2/dagSources/pinned?version_number={version}")
        assert (code["version_number"], code["content"]) == (version, author.source(version))
    runs = airflow.api("/api/v2/dags/pinned/dagRuns")["dag_runs"]
    of_runs = {run["dag_run_id"]: [each["version_number"] for each in run["dag_versions"]] for run in runs}
    assert of_runs == {"old": [1], "new": [2]}


def test_the_graph_shows_decorator_group_and_teardown(airflow):
    graph = airflow.api("/ui/structure/structure_data?dag_id=pinned&version_number=1")
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert nodes["decorated"]["operator"] == "@task.sagemaker_notebook_job"
    inside = {node["id"]: node for node in nodes["g"]["children"]}
    assert inside["g.first"]["operator"] == "SageMakerNotebookJobOperator"
    assert inside["g.release_warm_pool"]["setup_teardown_type"] == "teardown"
    edges = {(edge["source_id"], edge["target_id"]) for edge in graph["edges"]}
    assert edges >= {("day", "decorated"), ("g.first", "g.second"), ("g.second", "g.release_warm_pool")}


def test_an_outlet_that_is_inactive_now_fails_the_task_once_its_outputs_are_pushed(airflow, sagemaker):
    assert ended(airflow)["renames", "old"] == "failed", said(airflow)
    assert xcoms(airflow, "renames", "old", "accuracy") == {"train": 0.5}
    ((tries,),) = airflow.query("SELECT try_number FROM task_instance WHERE dag_id = 'renames'")
    assert tries == 1
    names = [
        each["TrainingJobName"] for each in sagemaker.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    ]
    (job_name,) = [name for name in names if name.startswith("renames-")]
    log = airflow.task_logs("train")
    assert (
        f"'{job_name}' completed and its outputs are pushed, but Asset(name='model', uri='s3://acme/models/2')" in log
    )
    error = xcoms(airflow, "renames", "old", "nbjobs_end")["train"]["error"]
    assert (error["type"], "became inactive" in error["headline"]) == ("NotebookOutputError", True)
    assert airflow.query("SELECT 1 FROM dag_run WHERE dag_id = 'reads'") == []


def test_an_outlet_that_is_gone_is_no_loss(airflow):
    assert ended(airflow)["removes", "old"] == "success", said(airflow)
    assert xcoms(airflow, "removes", "old", "accuracy") == {"train": 0.5}
    assert airflow.query("SELECT 1 FROM asset_event WHERE source_dag_id = 'removes'") == []


def test_a_variable_that_is_gone_costs_no_results(airflow):
    """Airflow renders all fields once more when the task goes on."""
    assert ended(airflow)["forgets", "old"] == "success", said(airflow)
    assert xcoms(airflow, "forgets", "old", "accuracy") == {"train": 0.5}
    assert "A field cannot be rendered any more" in airflow.task_logs("train")
