from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from batch_jobs import BatchJobs
from local_jobs import Jobs

if TYPE_CHECKING:
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker


@pytest.fixture(scope="session")
def jobs(embedded_sagemaker: EmbeddedSageMaker) -> Jobs:
    return Jobs(embedded_sagemaker)


@pytest.fixture
def batch(jobs: Jobs) -> BatchJobs:
    return BatchJobs(jobs)
