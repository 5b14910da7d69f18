"""
The operations on models, transform jobs and processing jobs.

Registered in ``operations.py``, which has validated each request against the shapes; answers with the response document, or raises ``ServiceError``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.batch.processing import ProcessingWork, check_processing, completed_processing_request
from airflow_nbjobs.local.batch.transform import TransformWork, check_transform, completed_request
from airflow_nbjobs.local.state.batch_jobs import PROCESSING, TRANSFORM, BatchJob, Kind, new_batch_job
from airflow_nbjobs.local.state.jobs import IN_PROGRESS
from airflow_nbjobs.local.state.models import Model, check_model, new_model
from airflow_nbjobs.local.state.resources import Resources
from airflow_nbjobs.local.training.checks import check_role, check_tags
from airflow_nbjobs.local.wire.formats import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_nbjobs.local.batch.runner import BatchRunner, Platform, Work
    from airflow_nbjobs.local.state.jobs import Document

    TagChange = Callable[[tuple[tuple[str, str], ...]], dict[str, str]]


class BatchOperations:
    def __init__(self, platform: Platform, runner: BatchRunner) -> None:
        self._platform = platform
        self._runner = runner
        root = f"arn:aws:sagemaker:{platform.facts.region}:{platform.facts.account_id}"
        self._models: Resources[Model] = Resources(
            arn_prefix=f"{root}:model/",
            unknown='Could not find model "{arn}".',
            taken=("ValidationException", 'Cannot create already existing model "{arn}".'),
        )
        self._transforms, self._processings = (
            Resources[BatchJob](
                arn_prefix=f"{root}:{kind.arn_part}/",
                unknown="Could not find requested job with name: {name}",
                taken=(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a job with this name already exists ({arn})",
                ),
            )
            for kind in (TRANSFORM, PROCESSING)
        )

    def table(self) -> dict[str, Callable[[Mapping[str, Any]], Document]]:
        """Return the operations by name."""
        return {
            "CreateModel": self._create_model,
            "DescribeModel": lambda request: self._models.get(request["ModelName"]).describe(),
            "ListModels": lambda request: self._models.page(request, list_name="Models", default_order="Descending"),
            "DeleteModel": self._delete_model,
            "CreateTransformJob": self._create_transform_job,
            "CreateProcessingJob": self._create_processing_job,
            **self._job_operations(TRANSFORM, self._transforms, default_order="Descending"),
            **self._job_operations(PROCESSING, self._processings, default_order="Ascending"),
        }

    def tags(self, arn: str) -> list[dict[str, str]] | None:
        """Return a resource's tags; nothing if the ARN is none of these kinds', or of nobody."""
        for resources in (self._models, self._transforms, self._processings):
            if found := resources.by_arn(arn):
                return _tag_documents(found.tags)
        return None

    def change_tags(self, arn: str, change: TagChange) -> list[dict[str, str]] | None:
        """Change a resource's tags and return all that it has; nothing if the ARN is none of these kinds', or of nobody."""
        if model := self._models.by_arn(arn):
            return _tag_documents(self._models.change(model.name, lambda item: item.tagged(change(item.tags))).tags)
        for resources in (self._transforms, self._processings):
            if job := resources.by_arn(arn):
                changed = resources.change(job.name, lambda item: item.tagged(change(item.tags), now=time.time()))
                return _tag_documents(changed.tags)
        return None

    def _job_operations(
        self, kind: Kind, jobs: Resources[BatchJob], *, default_order: str
    ) -> dict[str, Callable[[Mapping[str, Any]], Document]]:
        name = f"{kind.resource}Name"
        return {
            f"Describe{kind.resource}": lambda request: jobs.get(request[name]).describe(),
            f"List{kind.resource}s": lambda request: jobs.page(
                request, list_name=f"{kind.resource}Summaries", default_order=default_order
            ),
            f"Stop{kind.resource}": lambda request: self._stop(jobs, request[name]),
        }

    def _create_model(self, request: Mapping[str, Any]) -> Document:
        check_tags(request.get("Tags", ()))
        check_model(request, facts=self._platform.facts, clients=self._platform.clients)
        check_role(request["ExecutionRoleArn"], self._platform.clients.iam)
        model = new_model(request, arn=self._models.arn(request["ModelName"]), now=time.time())
        self._models.add(model)
        return {"ModelArn": model.arn}

    def _delete_model(self, request: Mapping[str, Any]) -> Document:
        self._models.remove(request["ModelName"])
        return {}

    def _create_transform_job(self, request: Mapping[str, Any]) -> Document:
        check_tags(request.get("Tags", ()))
        model = self._models.get(request["ModelName"])
        check_transform(request, self._platform.clients.s3)
        now = time.time()
        work = TransformWork(request, model, self._platform, started=now)
        return self._submit(TRANSFORM, self._transforms, completed_request(request), work, now=now)

    def _create_processing_job(self, request: Mapping[str, Any]) -> Document:
        check_tags(request.get("Tags", ()))
        check_processing(request, self._platform)
        check_role(request["RoleArn"], self._platform.clients.iam)
        completed = completed_processing_request(request)
        work = ProcessingWork(completed, self._processings.arn(request["ProcessingJobName"]), self._platform)
        return self._submit(PROCESSING, self._processings, completed, work, now=time.time())

    def _submit(
        self, kind: Kind, jobs: Resources[BatchJob], request: Mapping[str, Any], work: Work, *, now: float
    ) -> Document:
        job = new_batch_job(kind, request, arn=jobs.arn(request[f"{kind.resource}Name"]), now=now)
        jobs.add(job)
        self._runner.submit(job, work, jobs)
        return {f"{kind.resource}Arn": job.arn}

    def _stop(self, jobs: Resources[BatchJob], name: str) -> Document:
        self._runner.stop(jobs.change(name, _stopping).arn)
        return {}


def _stopping(job: BatchJob) -> BatchJob:
    if job.status != IN_PROGRESS:
        raise ServiceError(
            "ValidationException",
            f"The request was rejected because the {job.kind.words} is in status {job.status}.",
        )
    return job.stopping(now=time.time())


def _tag_documents(tags: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]
