"""
The jobs that exist, each as its current value; the only shared state of the server's SageMaker part.

Used by ``operations.py`` (requests) and ``runner.py`` (events), from many threads.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow_nbjobs.local.wire.formats import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_nbjobs.local.state.jobs import TrainingJob


class JobRegistry:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, TrainingJob] = {}

    def add(self, job: TrainingJob) -> None:
        """
        Register a new job; of two with one name, exactly one gets in.

        :raises ServiceError: the name is taken. It stays taken when the job has ended, until somebody deletes it.
        """
        with self._lock:
            if taken := self._jobs.get(job.name):
                raise ServiceError(
                    "ResourceInUse",
                    "Training job names must be unique within an AWS account and region, and a training job with this name already exists "
                    f"({taken.arn})",
                )
            self._jobs[job.name] = job

    def get(self, name: str) -> TrainingJob:
        """
        Return the job.

        :raises ServiceError: unknown name.
        """
        with self._lock:
            if name not in self._jobs:
                raise ServiceError("ValidationException", "Requested resource not found.")
            return self._jobs[name]

    def remove(self, name: str) -> None:
        """
        Forget a job that has ended; its name is free again.

        :raises ServiceError: unknown name, or the job has not ended.

        Source: DeleteTrainingJob, API reference.
        """
        with self._lock:
            job = self._jobs.get(name)
            if job is None:
                raise ServiceError("ResourceNotFound", "Requested resource not found.")
            if not job.is_terminal:
                raise ServiceError(
                    "ValidationException",
                    f"The request was rejected because the training job is in status {job.status}.",
                )
            del self._jobs[name]

    def by_arn(self, arn: str) -> TrainingJob:
        return self.get(next((job.name for job in self.all() if job.arn == arn), ""))

    def all(self) -> list[TrainingJob]:
        with self._lock:
            return list(self._jobs.values())

    def change(self, name: str, change: Callable[[TrainingJob], TrainingJob]) -> TrainingJob:
        """Replace a job by ``change(job)``, atomically, and return the new value; what ``change`` raises leaves the job as it is."""
        with self._lock:
            self._jobs[name] = change(self._jobs[name])
            return self._jobs[name]
