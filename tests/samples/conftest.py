"""The embedded SageMaker and the Airflow on which sample DAGs are run, one of each for a file of tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dag_runs import DagRuns
from studio import domain_arn

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="module")
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker(jobs=2) as server:
        yield server


@pytest.fixture(scope="module")
def airflow(sagemaker: EmbeddedSageMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagRuns]:
    facts = sagemaker.facts
    environment = {
        **facts.airflow_settings(),
        "AIRFLOW__NBJOBS__POLLING_INTERVAL": "0.5",
        "AIRFLOW__NBJOBS__TAGS": json.dumps({"sagemaker:domain-arn": domain_arn(facts)}),
    }
    with DagRuns(tmp_path_factory.mktemp("airflow"), dags=DAGS, environment=environment) as runs:
        yield runs
