"""Every kind of job that a task makes, however it ended: AWS's own Studio extension lists and describes it, and downloads its files."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from dag_runs import DagRuns
from local_jobs import TERMINAL, notebook, wait_until
from studio import domain_arn, needs_studio, seen_in_studio

from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studio import SeenJob

pytestmark = [pytest.mark.slow, needs_studio]

DAG_FILE = """
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task

from airflow_nbjobs import NotebookTaskGroup, SageMakerNotebookJobOperator as Operator

AGAIN = {"retries": 1, "retry_delay": timedelta(0)}

with DAG("every", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args={"waiter_delay": 1}):
    Operator(
        task_id="plain",
        input_notebook="report.ipynb",
        parameters={"epochs": 3, "note": "a 'quoted' text", "items": [1, None]},
        output_formats=["html"],
        instance_type="ml.m5.xlarge",
    )
    Operator(task_id="named", input_notebook="report.ipynb", notebook_job_name="month-end")
    Operator.partial(task_id="mapped", input_notebook="report.ipynb").expand(parameters=[{"epochs": 1}, {"epochs": 2}])

    @task.sagemaker_notebook_job(input_notebook="report.ipynb")
    def decorated():
        return {"epochs": 5}

    decorated()

    with NotebookTaskGroup("group", input_notebook="report.ipynb"):
        Operator(task_id="member", parameters={"note": "in a group"})

    Operator(task_id="ends_early", input_notebook="ends_early.ipynb")
    Operator(task_id="fails", input_notebook="fails.ipynb", output_formats=["html"], **AGAIN)
    Operator(task_id="retried", input_notebook="retried.ipynb", **AGAIN)
    Operator(task_id="skipped", input_notebook="skipped.ipynb")
    Operator(task_id="overruns", input_notebook="overruns.ipynb", max_runtime_in_seconds=8)
    Operator(task_id="left_alone", input_notebook="report.ipynb", wait_for_completion=False)
"""
NOTEBOOKS = {
    "report": notebook("print(epochs, note)", parameters="epochs = 0\nnote = ''\nitems = []"),
    "ends_early": notebook("print('enough')\nimport sys\nsys.exit(0)", "1 / 0"),
    "fails": notebook("1 / 0"),
    "retried": notebook("import os\n1 / (int(os.environ['NBJOBS_TRY_NUMBER']) - 1)"),
    "skipped": notebook("class AirflowSkipException(Exception): ...\nraise AirflowSkipException('no rows')"),
    "overruns": notebook("import time\nprint('begun', flush=True)\ntime.sleep(600)"),
}
STATES = {
    "plain": "success",
    "named": "success",
    "mapped[0]": "success",
    "mapped[1]": "success",
    "decorated": "success",
    "group.member": "success",
    "ends_early": "success",
    "fails": "failed",
    "retried": "success",
    "skipped": "skipped",
    "overruns": "failed",
    "left_alone": "success",
}
# By what Studio calls the job, without the run: how each of its jobs is shown, and what is offered of it.
ALL = ("ipynb", "log", "input")
SHOWN = {
    "every/plain": [("COMPLETED", ALL)],
    "month-end": [("COMPLETED", ALL)],
    "every/mapped/0": [("COMPLETED", ALL)],
    "every/mapped/1": [("COMPLETED", ALL)],
    "every/decorated": [("COMPLETED", ALL)],
    "every/group.member": [("COMPLETED", ALL)],
    "every/ends_early": [("COMPLETED", ALL)],
    "every/fails": [("FAILED", ALL), ("FAILED", ALL)],
    "every/retried": [("COMPLETED", ALL), ("FAILED", ALL)],
    "every/skipped": [("FAILED", ALL)],
    "every/overruns": [("FAILED", ALL)],
    "every/left_alone": [("COMPLETED", ALL)],
}


@pytest.fixture(scope="module")
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker(jobs=2) as server:
        yield server


@pytest.fixture(scope="module")
def described(sagemaker: EmbeddedSageMaker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run the DAG; return what SageMaker says of each job."""
    dags = tmp_path_factory.mktemp("dags")
    (dags / "every.py").write_text(DAG_FILE)
    for name, body in NOTEBOOKS.items():
        (dags / f"{name}.ipynb").write_bytes(body)
    facts = sagemaker.facts
    environment = {
        "AIRFLOW_CONN_AWS_DEFAULT": facts.airflow_connection(with_job_defaults=True),
        "AIRFLOW__NBJOBS__TAGS": f'{{"sagemaker:domain-arn": "{domain_arn(facts)}"}}',
    }
    with DagRuns(tmp_path_factory.mktemp("airflow"), dags=dags, environment=environment) as airflow:
        run = airflow.run("every")
    assert run.tasks == STATES, run.log[-6000:]
    client = sagemaker.client("sagemaker")
    names = [job["TrainingJobName"] for job in client.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]]
    for name in names:  # one task does not wait for its job
        wait_until(
            lambda name=name: client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in TERMINAL,
            seconds=300,
        )
    return {name: client.describe_training_job(TrainingJobName=name) for name in names}


@pytest.fixture(scope="module")
def seen(
    sagemaker: EmbeddedSageMaker, described: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, SeenJob]:
    return seen_in_studio(sagemaker.facts, tmp_path_factory.mktemp("studio"), UserProfileName="anybody")


def by_task(seen: dict[str, SeenJob]) -> dict[str, list[SeenJob]]:
    found: dict[str, list[SeenJob]] = {}
    for job in seen.values():
        dag_and_task, run_and_index = job.name.split("/")[:2], job.name.split("/")[2:]
        name = "/".join([*dag_and_task, *run_and_index[1:]])
        found.setdefault(name, []).append(job)
    return found


def test_every_job_is_listed_as_it_ended_with_its_files(seen: dict[str, SeenJob], described: dict[str, Any]) -> None:
    assert seen.keys() == described.keys()
    assert {
        name: sorted((job.status, tuple(job.files)) for job in jobs) for name, jobs in by_task(seen).items()
    } == SHOWN
    missing = [(job.name, kind) for job in seen.values() for kind, body in job.files.items() if not body]
    assert missing == []


def test_names_parameters_notebook_machine_and_times_are_those_of_the_job(
    seen: dict[str, SeenJob], described: dict[str, Any]
) -> None:
    for name, job in seen.items():
        facts = described[name]
        assert job.times == [
            facts[f"{key}Time"].timestamp() * 1000 for key in ("Creation", "TrainingStart", "TrainingEnd")
        ]
        assert job.times == sorted(job.times)
        assert job.instance_type == facts["ResourceConfig"]["InstanceType"]
        assert (job.parameters or {}) == facts.get("HyperParameters", {})
    shown = {name: [job.parameters or {} for job in jobs] for name, jobs in by_task(seen).items()}
    assert shown["every/plain"] == [{"epochs": "3", "note": "a 'quoted' text", "items": "[1,null]"}]
    assert [shown[f"every/mapped/{index}"] for index in (0, 1)] == [[{"epochs": "1"}], [{"epochs": "2"}]]
    assert shown["every/decorated"] == [{"epochs": "5"}]
    assert shown["every/group.member"] == [{"note": "in a group"}]
    assert {job.notebook for job in seen.values()} == {f"{name}.ipynb" for name in NOTEBOOKS}
    assert by_task(seen)["every/plain"][0].instance_type == "ml.m5.xlarge"


def test_the_downloads_are_what_ran_and_what_was_given(seen: dict[str, SeenJob]) -> None:
    jobs = by_task(seen)
    (plain,) = jobs["every/plain"]
    printed = "".join(output.get("text", "") for cell in plain.executed.cells for output in cell.get("outputs", ()))
    assert "3 a 'quoted' text" in printed
    for name in ("every/fails", "every/skipped"):
        for job in jobs[name]:
            assert "[SM-" not in (job.message or "")
            assert any(
                output.get("ename") in ("ZeroDivisionError", "AirflowSkipException")
                for cell in job.executed.cells
                for output in cell.get("outputs", ())
            )
    assert jobs["every/overruns"][0].message == "MaxRuntimeExceeded"


def test_further_formats_lie_in_the_archive_which_studio_does_not_offer(
    seen: dict[str, SeenJob], described: dict[str, Any], sagemaker: EmbeddedSageMaker
) -> None:
    """Its code knows input, notebook and log alone; README says where the rest is."""
    pages = []
    for name, job in seen.items():
        if job.name.split("/")[:2] in (["every", "plain"], ["every", "fails"]):
            uri = described[name]["OutputDataConfig"]["S3OutputPath"]
            bucket, key = parse_s3_uri(f"{uri}/{name}/output/output.tar.gz")
            body = sagemaker.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            with tarfile.open(fileobj=io.BytesIO(body)) as archive:
                pages += [member for member in archive.getnames() if member.endswith(".html")]
    assert len(pages) == 3
