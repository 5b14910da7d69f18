"""
The SageMaker operations that the embedded SageMaker has.

Called by ``server.py`` with the parsed, not yet validated request; answers with the response document, or raises ``ServiceError``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.faults.jobs import as_searched
from airflow_nbjobs.local.state.jobs import IN_PROGRESS, Document, TrainingJob, new_job
from airflow_nbjobs.local.training.checks import check_create, check_features, check_tags
from airflow_nbjobs.local.training.listing import list_training_jobs
from airflow_nbjobs.local.training.search import search_training_jobs
from airflow_nbjobs.local.training.updates import updated
from airflow_nbjobs.local.wire.formats import ServiceError
from airflow_nbjobs.local.wire.validation import RequestValidator

if TYPE_CHECKING:
    from airflow_nbjobs.local.api.batch_operations import BatchOperations
    from airflow_nbjobs.local.faults.jobs import JobScripts
    from airflow_nbjobs.local.platform.clients import ServiceClients
    from airflow_nbjobs.local.state.facts import ServerFacts
    from airflow_nbjobs.local.state.registry import JobRegistry
    from airflow_nbjobs.local.training.runner import Runner

_MAX_TAGS = 50
Operation = Callable[[Mapping[str, Any]], Document]
Tags = tuple[tuple[str, str], ...]


class SageMakerOperations:
    def __init__(
        self,
        *,
        facts: ServerFacts,
        registry: JobRegistry,
        runner: Runner,
        clients: ServiceClients,
        batch: BatchOperations,
        scripts: JobScripts,
    ) -> None:
        self._facts = facts
        self._registry = registry
        self._runner = runner
        self._clients = clients
        self._batch = batch
        self._scripts = scripts
        self._validator = RequestValidator()
        self._operations: dict[str, Operation] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": lambda request: self._registry.get(request["TrainingJobName"]).describe(),
            "ListTrainingJobs": lambda request: list_training_jobs(self._registry.all(), request),
            "StopTrainingJob": self._stop,
            "UpdateTrainingJob": self._update,
            "DeleteTrainingJob": self._delete,
            "Search": self._search,
            "ListTags": self._list_tags,
            "AddTags": self._add_tags,
            "DeleteTags": self._delete_tags,
            **batch.table(),
        }

    def call(self, operation: str, request: Mapping[str, Any]) -> Document:
        """
        Perform one operation.

        :raises ServiceError: in the service's words; for an operation that this server does not have, in ours.
        """
        if operation not in self._operations:
            raise ServiceError(
                "UnknownOperationException",
                f"The embedded SageMaker does not support {operation}; it has {', '.join(sorted(self._operations))}.",
            )
        self._validator.check(operation, request)
        return self._operations[operation](request)

    def _create(self, request: Mapping[str, Any]) -> Document:
        check_features(request, way=self._facts.isolation)
        check_create(request, facts=self._facts, clients=self._clients)
        arn = (
            f"arn:aws:sagemaker:{self._facts.region}:{self._facts.account_id}:training-job/{request['TrainingJobName']}"
        )
        job = new_job(request, arn=arn, now=time.time())
        if not self._scripts.register(job):
            self._runner.submit(job)
        return {"TrainingJobArn": arn}

    def _stop(self, request: Mapping[str, Any]) -> Document:
        name = self._registry.get(request["TrainingJobName"]).name
        self._registry.change(name, _stopping)
        if not self._scripts.stop(name):
            self._runner.stop(name)
        return {}

    def _delete(self, request: Mapping[str, Any]) -> Document:
        self._registry.remove(request["TrainingJobName"])
        return {}

    def _search(self, request: Mapping[str, Any]) -> Document:
        if request["Resource"] != "TrainingJob":
            raise ServiceError(
                "ValidationException", f"The embedded SageMaker searches TrainingJob only, not {request['Resource']}."
            )
        jobs = self._registry.all()
        if delay_seconds := self._scripts.search_delay_seconds:
            moment = time.time() - delay_seconds
            jobs = [seen for job in jobs if (seen := as_searched(job, moment=moment)) is not None]
        return search_training_jobs(jobs, request)

    def _list_tags(self, request: Mapping[str, Any]) -> Document:
        # At most 50 tags, and pages of at least 50: one page holds all.
        if (tags := self._batch.tags(request["ResourceArn"])) is not None:
            return {"Tags": tags}
        job = self._registry.by_arn(request["ResourceArn"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in job.tags]}

    def _add_tags(self, request: Mapping[str, Any]) -> Document:
        check_tags(request["Tags"])
        added = {tag["Key"]: tag["Value"] for tag in request["Tags"]}

        def change(tags: Tags) -> dict[str, str]:
            changed = {**dict(tags), **added}
            if len(changed) > _MAX_TAGS:
                raise ServiceError(
                    "ResourceLimitExceeded",
                    f"A resource can have at most {_MAX_TAGS} tags; these would make {len(changed)}.",
                )
            return changed

        return {"Tags": self._change_tags(request["ResourceArn"], change)}

    def _delete_tags(self, request: Mapping[str, Any]) -> Document:
        def change(tags: Tags) -> dict[str, str]:
            return {key: value for key, value in tags if key not in request["TagKeys"]}

        self._change_tags(request["ResourceArn"], change)
        return {}

    def _change_tags(self, arn: str, change: Callable[[Tags], dict[str, str]]) -> list[dict[str, str]]:
        if (tags := self._batch.change_tags(arn, change)) is not None:
            return tags
        name = self._registry.by_arn(arn).name
        changed = self._registry.change(name, lambda job: job.tagged(change(job.tags), now=time.time()))
        return [{"Key": key, "Value": value} for key, value in changed.tags]

    def _update(self, request: Mapping[str, Any]) -> Document:
        name = self._registry.get(request["TrainingJobName"]).name
        changed = self._registry.change(name, lambda job: updated(job, request, now=time.time()))
        return {"TrainingJobArn": changed.arn}


def _stopping(job: TrainingJob) -> TrainingJob:
    if job.status != IN_PROGRESS:
        raise ServiceError(
            "ValidationException", f"The request was rejected because the training job is in status {job.status}."
        )
    return job.stopping(now=time.time())
