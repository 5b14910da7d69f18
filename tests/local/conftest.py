from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from local_jobs import Jobs

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def sagemaker_server() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker() as server:
        yield server


@pytest.fixture(scope="session")
def jobs(sagemaker_server: EmbeddedSageMaker) -> Jobs:
    return Jobs(sagemaker_server)
