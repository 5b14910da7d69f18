"""
The SageMaker operations that the embedded SageMaker has.

Called by ``server.py`` with the parsed, not yet validated request; answers with the response document, or raises ``ServiceError``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.batch.processing import ProcessingWork, check_processing, completed_processing_request
from airflow_nbjobs.local.batch.transform import TransformWork, check_transform, completed_request
from airflow_nbjobs.local.state.batch_jobs import BatchJob, new_batch_job
from airflow_nbjobs.local.state.jobs import TrainingJob, new_job
from airflow_nbjobs.local.state.listing import list_resources, list_training_jobs
from airflow_nbjobs.local.state.models import Model, check_model, new_model
from airflow_nbjobs.local.state.pools import AVAILABLE
from airflow_nbjobs.local.state.registry import Registry
from airflow_nbjobs.local.state.resource import IN_PROGRESS, PROCESSING, TRAINING, TRANSFORM, Document, Job, Kind, Tags
from airflow_nbjobs.local.training.checks import check_create, check_features, check_role, check_tags
from airflow_nbjobs.local.training.search import as_searched, search_training_jobs
from airflow_nbjobs.local.training.updates import updated
from airflow_nbjobs.local.training.work import TrainingWork
from airflow_nbjobs.local.wire.formats import ServiceError, ValidationError
from airflow_nbjobs.local.wire.validation import RequestValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_nbjobs.local.faults.jobs import JobScripts
    from airflow_nbjobs.local.platform.runner import JobRunner, Work
    from airflow_nbjobs.local.state.facts import ServerFacts
    from airflow_nbjobs.local.training.warm_pools import WarmPools

    Request = Mapping[str, Any]
    Operation = Callable[[Request], Document]

_MAX_TAGS = 50


class Registries:
    """All that exists, by kind."""

    def __init__(self, facts: ServerFacts) -> None:
        root = f"arn:aws:sagemaker:{facts.region}:{facts.account_id}"
        self.models: Registry[Model] = Registry(
            arn_prefix=f"{root}:model/",
            unknown='Could not find model "{arn}".',
            taken=("ValidationException", 'Cannot create already existing model "{arn}".'),
        )
        self.training: Registry[TrainingJob] = Registry(
            arn_prefix=f"{root}:{TRAINING.arn_part}/",
            unknown="Requested resource not found.",
            taken=(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this name already exists ({arn})",
            ),
        )
        self.transform, self.processing = (
            Registry[BatchJob](
                arn_prefix=f"{root}:{kind.arn_part}/",
                unknown="Could not find requested job with name: {name}",
                taken=(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a job with this name already exists ({arn})",
                ),
            )
            for kind in (TRANSFORM, PROCESSING)
        )

    def all(self) -> tuple[Registry[Any], ...]:
        return self.training, self.models, self.transform, self.processing


class SageMakerOperations:
    """
    The operations.

    :param runner: of training jobs.
    :param batch_runner: of transform and processing jobs. They have slots of their own: a notebook that waits for the transform job it has started
        would otherwise wait for a slot that it holds itself.
    """

    def __init__(
        self,
        registries: Registries,
        runner: JobRunner,
        batch_runner: JobRunner,
        *,
        scripts: JobScripts,
        pools: WarmPools,
    ) -> None:
        self._registries = registries
        self._runner, self._batch_runner = runner, batch_runner
        self._platform, self._batch_platform = runner.platform, batch_runner.platform
        self._clients = runner.platform.clients
        self._scripts = scripts
        self._pools = pools
        self._validator = RequestValidator()
        self._operations: dict[str, Operation] = {
            "CreateTrainingJob": self._create_training_job,
            "UpdateTrainingJob": self._update_training_job,
            "DeleteTrainingJob": self._delete_training_job,
            **self._job_operations(TRAINING, registries.training),
            "ListTrainingJobs": lambda request: list_training_jobs(registries.training.all(), request),
            "Search": self._search,
            "ListTags": self._list_tags,
            "AddTags": self._add_tags,
            "DeleteTags": self._delete_tags,
            "CreateModel": self._create_model,
            "DescribeModel": lambda request: registries.models.get(request["ModelName"]).describe(),
            "ListModels": lambda request: list_resources(
                registries.models.all(), request, list_name="Models", default_order="Descending"
            ),
            "DeleteModel": self._delete_model,
            "CreateTransformJob": self._create_transform_job,
            "CreateProcessingJob": self._create_processing_job,
            **self._job_operations(TRANSFORM, registries.transform),
            **self._job_operations(PROCESSING, registries.processing),
        }

    def call(self, operation: str, request: Request) -> Document:
        """Perform one operation; the ServiceError for one that this server does not have is in our words."""
        if operation not in self._operations:
            raise ServiceError(
                "UnknownOperationException",
                f"The embedded SageMaker does not support {operation}; it has {', '.join(sorted(self._operations))}.",
            )
        self._validator.check(operation, request)
        self._pools.settle()
        return self._operations[operation](request)

    def _job_operations(self, kind: Kind, jobs: Registry[Any]) -> dict[str, Operation]:
        name = f"{kind.resource}Name"
        default_order = "Descending" if kind is TRANSFORM else "Ascending"
        return {
            f"Describe{kind.resource}": lambda request: jobs.get(request[name]).describe(),
            f"List{kind.resource}s": lambda request: list_resources(
                jobs.all(), request, list_name=f"{kind.resource}Summaries", default_order=default_order
            ),
            f"Stop{kind.resource}": lambda request: self._stop(jobs, request[name]),
        }

    def _stop(self, jobs: Registry[Any], name: str) -> Document:
        def stopping(job: Job) -> Job:
            if job.status != IN_PROGRESS:
                raise _in_status(job)
            return job.stopping(now=time.time())

        job = jobs.change(name, stopping)
        if job.kind is not TRAINING or not self._scripts.stop(name):
            (self._runner if job.kind is TRAINING else self._batch_runner).stop(job.arn)
        return {}

    def _create_training_job(self, request: Request) -> Document:
        check_features(request, way=self._platform.way)
        check_create(request, facts=self._platform.facts, clients=self._clients)
        jobs = self._registries.training
        with self._pools.furnishing(new_job(request, arn=jobs.arn(request["TrainingJobName"]), now=time.time())) as job:
            is_scripted = self._scripts.register(job)
        if not is_scripted:
            is_warm = job.pool is not None and job.pool.is_taken_over
            work = TrainingWork(job, jobs, self._platform, start_seconds=0.0 if is_warm else self._pools.start_seconds)
            self._runner.submit(job, work, jobs)
        return {"TrainingJobArn": job.arn}

    def _update_training_job(self, request: Request) -> Document:
        changed = self._registries.training.change(
            request["TrainingJobName"], lambda job: updated(job, request, now=time.time())
        )
        return {"TrainingJobArn": changed.arn}

    def _delete_training_job(self, request: Request) -> Document:
        """
        Let an ended job be gone in a moment; what it left in S3 and CloudWatch stays.

        Source: DeleteTrainingJob, API reference: which jobs, and the two error codes that botocore models. The texts are our words.
        """
        jobs, name = self._registries.training, request["TrainingJobName"]

        def deleting(job: TrainingJob) -> TrainingJob:
            if not job.is_terminal:
                raise ServiceError("ResourceInUse", _in_status(job).message)
            if job.pool is not None and job.pool.status == AVAILABLE:
                text = f"The request was rejected because the training job retains a warm pool in status {AVAILABLE}."
                raise ServiceError("ResourceInUse", text)
            return job.deleting(now=time.time(), for_seconds=self._scripts.deletion_seconds)

        try:
            jobs.change(name, deleting)
        except ValidationError as error:
            raise ServiceError("ResourceNotFound", error.message) from error
        return {}

    def _search(self, request: Request) -> Document:
        if request["Resource"] != "TrainingJob":
            raise ValidationError(f"The embedded SageMaker searches TrainingJob only, not {request['Resource']}.")
        jobs = self._registries.training.all()
        if delay_seconds := self._scripts.search_delay_seconds:
            moment = time.time() - delay_seconds
            jobs = [seen for job in jobs if (seen := as_searched(job, moment=moment)) is not None]
        return search_training_jobs(jobs, request)

    def _list_tags(self, request: Request) -> Document:
        # At most 50 tags, and pages of at least 50: one page holds all.
        registry, name = self._by_arn(request["ResourceArn"])
        return {"Tags": registry.get(name).tag_documents()}

    def _add_tags(self, request: Request) -> Document:
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

    def _delete_tags(self, request: Request) -> Document:
        def change(tags: Tags) -> dict[str, str]:
            return {key: value for key, value in tags if key not in request["TagKeys"]}

        self._change_tags(request["ResourceArn"], change)
        return {}

    def _change_tags(self, arn: str, change: Callable[[Tags], dict[str, str]]) -> list[dict[str, str]]:
        registry, name = self._by_arn(arn)
        changed = registry.change(name, lambda item: item.tagged(change(item.tags), now=time.time()))
        tags: list[dict[str, str]] = changed.tag_documents()
        return tags

    def _by_arn(self, arn: str) -> tuple[Registry[Any], str]:
        for registry in self._registries.all():
            if found := registry.by_arn(arn):
                return registry, found.name
        raise ValidationError("Requested resource not found.")

    def _create_model(self, request: Request) -> Document:
        check_tags(request.get("Tags", ()))
        check_model(request, facts=self._platform.facts, clients=self._clients)
        check_role(request["ExecutionRoleArn"], self._clients.iam)
        models = self._registries.models
        model = new_model(request, arn=models.arn(request["ModelName"]), now=time.time())
        models.add(model)
        return {"ModelArn": model.arn}

    def _delete_model(self, request: Request) -> Document:
        self._registries.models.remove(request["ModelName"])
        return {}

    def _create_transform_job(self, request: Request) -> Document:
        check_tags(request.get("Tags", ()))
        model = self._registries.models.get(request["ModelName"])
        check_transform(request, self._clients.s3)
        now = time.time()
        work = TransformWork(request, model, self._batch_platform, started=now)
        return self._submit(TRANSFORM, self._registries.transform, completed_request(request), work, now=now)

    def _create_processing_job(self, request: Request) -> Document:
        check_tags(request.get("Tags", ()))
        check_processing(request, self._batch_platform)
        check_role(request["RoleArn"], self._clients.iam)
        jobs, completed = self._registries.processing, completed_processing_request(request)
        work = ProcessingWork(completed, jobs.arn(request["ProcessingJobName"]), self._batch_platform)
        return self._submit(PROCESSING, jobs, completed, work, now=time.time())

    def _submit(self, kind: Kind, jobs: Registry[BatchJob], request: Request, work: Work, *, now: float) -> Document:
        job = new_batch_job(kind, request, arn=jobs.arn(request[f"{kind.resource}Name"]), now=now)
        jobs.add(job)
        self._batch_runner.submit(job, work, jobs)
        return {f"{kind.resource}Arn": job.arn}


def _in_status(job: Job) -> ValidationError:
    return ValidationError(f"The request was rejected because the {job.kind.words} is in status {job.status}.")
