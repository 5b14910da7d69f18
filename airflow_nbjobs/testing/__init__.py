"""
Test your own DAGs on the embedded SageMaker: pytest fixtures, and switches for what goes wrong on AWS.

In ``conftest.py``: ``pytest_plugins = ["airflow_nbjobs.testing"]`` (needs the extra ``local``). Then::

    def test_the_nightly_report_survives_a_throttled_account(nbjobs_sagemaker, run_dag):
        nbjobs_sagemaker.faults.throttle("CreateTrainingJob", times=2)
        nbjobs_sagemaker.faults.script_jobs(outputs={"revenue": 12.5})  # no notebook runs; leave this out and it really does
        run = run_dag("dags/nightly.py", "nightly")
        assert run.state == "success"
        assert run.xcoms["report", "revenue"] == 12.5

Fixtures: ``embedded_sagemaker`` (one server for the session), ``nbjobs_sagemaker`` (one test's view of it: connection, bucket, role, faults) and
``run_dag``. Imported by tests only.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from airflow_nbjobs.local.embedded import EmbeddedSageMaker
from airflow_nbjobs.testing.faults import JOB_NAME, Call, Fault, FaultError, Faults, HeldJob, Script
from airflow_nbjobs.testing.runs import DagRun, RunDag, airflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_nbjobs.local.state.facts import ServerFacts

__all__ = [
    "JOB_NAME",
    "Call",
    "DagRun",
    "Fault",
    "FaultError",
    "Faults",
    "HeldJob",
    "LocalSageMaker",
    "RunDag",
    "Script",
    "embedded_sagemaker",
    "nbjobs_sagemaker",
    "run_dag",
]


class LocalSageMaker(msgspec.Struct, frozen=True):
    """
    One test's view of the embedded SageMaker.

    :param s3_root_uri: a prefix of its own, so that tests do not see each other's files.
    """

    facts: ServerFacts
    s3_root_uri: str
    faults: Faults
    _server: EmbeddedSageMaker

    @property
    def bucket(self) -> str:
        return self.facts.default_bucket

    @property
    def role(self) -> str:
        return self.facts.role_arn

    @property
    def environment(self) -> dict[str, str]:
        """Return what points boto3, and Airflow with the operator, here."""
        return self.facts.environment() | self.facts.airflow_settings(self.s3_root_uri)

    def client(self, service: str) -> Any:
        """Return a boto3 client of it."""
        return self._server.client(service)

    def jobs(self) -> list[dict[str, Any]]:
        """Return what DescribeTrainingJob says of each job whose files lie under this test's prefix, oldest first."""
        client = self.client("sagemaker")
        pages = client.get_paginator("list_training_jobs").paginate(SortBy="CreationTime", SortOrder="Ascending")
        names = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
        found = [client.describe_training_job(TrainingJobName=name) for name in names]
        return [job for job in found if job["OutputDataConfig"]["S3OutputPath"].startswith(self.s3_root_uri)]


@contextmanager
def local_sagemaker(server: EmbeddedSageMaker) -> Iterator[LocalSageMaker]:
    """Give a view of a running server, with all faults cleared before and after; what ``nbjobs_sagemaker`` is made of."""
    faults = Faults(server.facts)
    faults.clear()
    root = f"s3://{server.facts.default_bucket}/tests/{uuid.uuid4().hex[:12]}"
    try:
        yield LocalSageMaker(server.facts, root, faults, server)
    finally:
        faults.clear()


@pytest.fixture(scope="session")
def embedded_sagemaker() -> Iterator[EmbeddedSageMaker]:
    """One server for the whole session: it takes two seconds to start, and forgets everything at the end."""
    with EmbeddedSageMaker() as server:
        yield server


@pytest.fixture
def nbjobs_sagemaker(
    embedded_sagemaker: EmbeddedSageMaker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalSageMaker]:
    """The embedded SageMaker, with this process's boto3 and Airflow pointed at it: ``dag.test()`` works as well as ``run_dag``."""
    with local_sagemaker(embedded_sagemaker) as sagemaker:
        for name, value in sagemaker.environment.items():
            monkeypatch.setenv(name, value)
        yield sagemaker


@pytest.fixture(scope="session")
def _nbjobs_airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("airflow")
    done = airflow(["db", "migrate"], home=home, env={})
    if done.returncode:
        pytest.fail(f"airflow db migrate failed:\n{done.stdout[-5000:]}")
    return home


@pytest.fixture
def run_dag(nbjobs_sagemaker: LocalSageMaker, _nbjobs_airflow_home: Path) -> RunDag:
    """
    Run a DAG by ``airflow dags test`` in a process and a database of its own: tasks one after the other, triggers included.

    Airflow's own configuration of this machine plays no part, but for variables and connections that ``env`` gives.
    """
    return RunDag(_nbjobs_airflow_home, nbjobs_sagemaker.environment)
