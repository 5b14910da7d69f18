"""
Clients that know nothing of this project: amazon's SageMaker operators, run as they are against the embedded server.

The deferrable runs need aiobotocore, which pins botocore below the boto3 of the tests' own environment; so they run in another one, whose Python
``NBJOBS_FOREIGN_PYTHON`` names (``foreign_environment.py`` makes it), and are left out where there is none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_jobs import BatchJobs, json_lines
from forked_programs import run_forked
from local_jobs import Jobs, notebook

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.local

PROGRAM = Path(__file__).parents[1] / "support" / "foreign_client.py"
OPERATORS = "airflow.providers.amazon.aws.operators.sagemaker"
FOREIGN_PYTHON = os.environ.get("NBJOBS_FOREIGN_PYTHON", "")
# By which the server is named: each operator by one, all by both in the full tier.
BY_CONNECTION, BY_VARIABLES = "aws_default", None


def connections(first: str | None, second: str | None) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("connection", [first, pytest.param(second, marks=pytest.mark.slow)])


class ForeignClient:
    """Runs the program with nothing but what points it to the server."""

    def __init__(self, jobs: Jobs, home: Path) -> None:
        self._jobs = jobs
        self._home = home

    def run(
        self,
        operator: str,
        *,
        python: str = sys.executable,
        connection: str | None = "aws_default",
        on_deferral: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> Any:
        """
        Return what the operator returned.

        :param connection: the server is named by that connection, or (None) by AWS' own variables.
        :param on_deferral: called while the trigger waits; given, the operator must defer.
        """
        facts = self._jobs.facts
        target = {"AIRFLOW_CONN_AWS_DEFAULT": facts.airflow_connection()} if connection else facts.environment()
        environment = {
            **target,
            "PATH": os.defpath,
            "HOME": str(self._home),
            "AIRFLOW_HOME": str(self._home / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        given = operator, json.dumps({"aws_conn_id": connection, **arguments})
        if python == sys.executable and on_deferral is None:
            code, said = run_forked(PROGRAM, *given, modules=(OPERATORS,), folder=self._home, environment=environment)
            assert code == 0, said[-4000:]
            (result,) = (line for line in said.splitlines() if line.startswith("RESULT"))
            return json.loads(result.removeprefix("RESULT"))
        command = [python, str(PROGRAM), *given]
        errors = self._home / "stderr.log"
        results, deferrals = [], 0
        with (
            errors.open("wb") as log,
            subprocess.Popen(
                command, env=environment, cwd=self._home, stdout=subprocess.PIPE, stderr=log, text=True
            ) as process,
        ):
            watchdog = threading.Timer(180, process.kill)
            watchdog.start()
            for line in process.stdout or ():
                if line == "DEFERRED\n" and on_deferral:
                    deferrals += 1
                    on_deferral()
                elif line.startswith("RESULT"):
                    results.append(json.loads(line.removeprefix("RESULT")))
            code = process.wait()
            watchdog.cancel()
        assert code == 0, errors.read_text()[-4000:]
        assert deferrals == (1 if on_deferral else 0)
        return results[0]


@pytest.fixture
def client(jobs: Jobs, tmp_path: Path) -> ForeignClient:
    return ForeignClient(jobs, tmp_path)


def training_config(jobs: Jobs, *command: str) -> dict[str, Any]:
    """:param command: run in place of the driver."""
    request = jobs.request(**({"AlgorithmSpecification": jobs.algorithm(*command)} if command else {}))
    jobs.stage(request["TrainingJobName"], {"report.ipynb": notebook("print('by a foreign client')")})
    return request


def transform_config(batch: BatchJobs) -> dict[str, Any]:
    """Return what SageMakerTransformOperator takes: it makes the model itself."""
    batch.put("in/input.jsonl", json_lines(3))
    code = "def model_fn(d): return d\ndef transform_fn(m, body, c, a): return body.upper()"
    model = batch.model_request({"code/inference.py": code})
    return {"Model": model, "Transform": batch.transform_request()}


def processing_config(batch: BatchJobs) -> dict[str, Any]:
    batch.put("train.csv", b"x,y\n1,a\n2,b\n")
    return batch.processing_request()


def test_the_training_operator_runs_a_job(jobs: Jobs, client: ForeignClient) -> None:
    config = training_config(jobs, "/bin/sh", "-c", "echo by a foreign client")
    result = client.run("SageMakerTrainingOperator", config=config, check_interval=1, print_log=False)
    assert result["Training"]["TrainingJobStatus"] == "Completed"
    assert "by a foreign client" in jobs.log(config["TrainingJobName"])


@pytest.mark.slow  # a kernel
@pytest.mark.parametrize("connection", [BY_CONNECTION, BY_VARIABLES])
def test_the_training_operator_runs_a_notebook(jobs: Jobs, client: ForeignClient, connection: str | None) -> None:
    config = training_config(jobs)
    result = client.run(
        "SageMakerTrainingOperator", connection=connection, config=config, check_interval=1, print_log=False
    )
    assert result["Training"]["TrainingJobStatus"] == "Completed"
    assert "by a foreign client" in json.dumps(jobs.executed(config["TrainingJobName"]))


@connections(BY_VARIABLES, BY_CONNECTION)
def test_the_transform_operator_makes_a_model_and_transforms(
    batch: BatchJobs, client: ForeignClient, connection: str | None
) -> None:
    config = transform_config(batch)
    result = client.run("SageMakerTransformOperator", connection=connection, config=config, check_interval=1)
    assert result["Transform"]["TransformJobStatus"] == "Completed"
    assert result["Model"]["ModelName"] == batch.name
    assert batch.files("out")["input.jsonl.out"] == b'{"X": 0}\n{"X": 1}\n{"X": 2}\n'


@pytest.mark.slow
def test_the_transform_operator_finds_names_that_are_free(batch: BatchJobs, client: ForeignClient) -> None:
    """It asks for a name, and takes ValidationException for "not there": the error codes are part of the contract."""
    config = transform_config(batch)
    first = client.run("SageMakerTransformOperator", config=config, check_interval=1)
    second = client.run("SageMakerTransformOperator", config=config, check_interval=1)
    names = [(result["Transform"]["TransformJobName"], result["Model"]["ModelName"]) for result in (first, second)]
    assert names[0] == (batch.name, batch.name)
    assert all(name.startswith(f"{batch.name}-") for name in names[1])


@connections(BY_CONNECTION, BY_VARIABLES)
def test_the_processing_operator_makes_a_baseline(
    batch: BatchJobs, client: ForeignClient, connection: str | None
) -> None:
    result = client.run(
        "SageMakerProcessingOperator", connection=connection, config=processing_config(batch), check_interval=1
    )
    assert result["Processing"]["ProcessingJobStatus"] == "Completed"
    assert set(batch.files("baseline")) == {"statistics.json", "constraints.json"}


@pytest.mark.slow
def test_a_job_that_fails_fails_the_operator_with_the_reason(batch: BatchJobs, client: ForeignClient) -> None:
    config = transform_config(batch)
    config["Model"] = batch.model_request({"weights.bin": b""})
    with pytest.raises(AssertionError, match=r"has no code/inference\.py"):
        client.run("SageMakerTransformOperator", config=config, check_interval=1)


@pytest.mark.slow
@pytest.mark.skipif(
    not FOREIGN_PYTHON,
    reason="needs aiobotocore: NBJOBS_FOREIGN_PYTHON=$(python tests/support/foreign_environment.py FOLDER deferrable) and again",
)
def test_the_deferrable_operators_wait_in_their_triggers(tmp_path: Path) -> None:
    """One slot for each family of jobs, held until the operator has deferred: a job that is done at once would not be deferred."""
    with EmbeddedSageMaker(jobs=1) as server:
        jobs = Jobs(server)
        client = ForeignClient(jobs, tmp_path)
        for kind in ("Training", "Transform", "Processing"):
            batch, release = BatchJobs(jobs), hold_slot(jobs, kind)
            if kind == "Training":
                config = training_config(jobs)
            else:
                config = transform_config(batch) if kind == "Transform" else processing_config(batch)
            result = client.run(
                f"SageMaker{kind}Operator",
                python=FOREIGN_PYTHON,
                on_deferral=release,
                config=config,
                check_interval=1,
                deferrable=True,
            )
            assert result[kind][f"{kind}JobStatus"] == "Completed"


def hold_slot(jobs: Jobs, kind: str) -> Callable[[], None]:
    """Start a job without end in the family's slot; returns what ends it."""
    if kind == "Training":
        name = jobs.submit_script("while :; do sleep 0.05; done")
        return lambda: jobs.sagemaker.stop_training_job(TrainingJobName=name)
    blocker = BatchJobs(jobs)
    blocker.create_model("import time\ndef model_fn(d): time.sleep(600)")
    blocker.put("in/input.jsonl", json_lines(1))
    blocker.sagemaker.create_transform_job(**blocker.transform_request())
    return lambda: blocker.sagemaker.stop_transform_job(TransformJobName=blocker.name)
