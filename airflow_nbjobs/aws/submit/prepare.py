"""
From an operator's rendered arguments to a job that can be submitted: everything is read, checked and reported here, and nothing is written.

Called by the operator and by ``nbjobs run``; reads the notebook's files, and asks AWS only what validation needs (a role's ARN, an image's account).
"""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.errors import NO_CREDENTIALS, NO_REGION
from airflow_nbjobs.aws.submit import request as request_
from airflow_nbjobs.aws.submit.content import INTERVAL_VARIABLE, Content
from airflow_nbjobs.aws.submit.extra import fitted
from airflow_nbjobs.aws.submit.sources import StagedFile
from airflow_nbjobs.aws.submit.staging import input_digest, key_problems, merge_files
from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job import arguments as parse
from airflow_nbjobs.core.job import instances
from airflow_nbjobs.core.job.foreseen import late_failures
from airflow_nbjobs.core.job.init_script import INIT_SCRIPT_NAME, init_script
from airflow_nbjobs.core.job.naming import JobLocation, RunKey, training_job_name
from airflow_nbjobs.core.job.spec import NotebookJobSpec, given_arguments, parse_spec
from airflow_nbjobs.core.notebook import document as notebooks
from airflow_nbjobs.core.notebook.kernels import choose_kernel
from airflow_nbjobs.core.notebook.syntax_trees import reading_cells_once
from airflow_nbjobs.core.notebook.unattended import name_problem, unattended
from airflow_nbjobs.core.values.outputs import DeclaredOutputs, declare_outputs
from airflow_nbjobs.core.values.parameter_cell import hyperparameter_strings
from airflow_nbjobs.core.values.parameter_values import value_problems
from airflow_nbjobs.core.values.parameters import CheckedParameters, check_parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from airflow_nbjobs.aws.clients import AwsClients

INPUT_DIGEST_VARIABLE = "NBJOBS_INPUT_SHA256"
NOTEBOOK_DIGEST_VARIABLE = "NBJOBS_NOTEBOOK_SHA256"
UNKNOWN_KERNEL = "unknown"  # of a notebook that names none: its language is then what it says, or Python
_ORIGIN_OF_SCRIPT = "the operator's own init script (live_notebook, cell_output_in_logs)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    Whose job this is.

    :param label: names the task in messages, ``sentiment_pipeline.training``.
    :param readable: prefix of the training-job name where ``notebook_job_name`` gives none.
    :param variables: ``NBJOBS_*`` variables for the notebook.
    :param tags: ``airflow:*`` tags.
    """

    label: str
    readable: str
    key: RunKey
    variables: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_interval(self) -> bool:
        return INTERVAL_VARIABLE in self.variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """
    Where a job is prepared.

    :param folders: where relative paths are looked up, in this order.
    :param region: None where none is configured anywhere.
    :param kernels: those of the environment that will run the job; None where an image will, which cannot be looked into.
    """

    folders: Sequence[Path]
    region: str | None
    has_credentials: bool
    clients: AwsClients
    kernels: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """
    A job that passed every check; submitting it needs a name and nothing else.

    :param added_cells: ``core.notebook.progress.added_cells`` of the staged notebook.
    :param is_volume_key_default: the task itself has given no ``volume_kms_key``; the one that it has is left out on instances that take none.
    """

    run: Run
    spec: NotebookJobSpec
    files: tuple[StagedFile, ...]
    staged: request_.StagedNames
    declared: DeclaredOutputs
    notebook_origin: str
    notebook_sha256: str
    input_sha256: str
    added_cells: tuple[int, ...] = ()
    is_volume_key_default: bool = False
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def location(self, attempt: int) -> JobLocation:
        readable = self.spec.notebook_job_name or self.run.readable
        return JobLocation(self.spec.s3_root_uri, training_job_name(readable, self.run.key.with_attempt(attempt)))

    @property
    def displayed_name(self) -> str:
        """What Studio shows as the job's name; of a job that no task submits, its notebook."""
        return self.spec.displayed_name or (self.run.key.displayed_name() if self.run.key.dag_id else self.run.label)

    @property
    def types(self) -> tuple[str, ...]:
        """The instance types that may be asked for in turn."""
        return instances.asked_types(self.spec.extra_resources, self.spec.instance_type)

    @property
    def may_state_preferences(self) -> bool:
        """Say whether SageMaker may choose among the types: with a key that some of them do not take, each needs a request of its own."""
        is_mixed = 0 < len(self._keyless(self.types)) < len(self.types)
        return self.spec.may_state_preferences and not (is_mixed and self.is_volume_key_default)

    def _keyless(self, types: Sequence[str]) -> list[str]:
        asked = instances.asked_types(self.spec.extra_resources, types)
        return [each for each in asked if self.spec.volume_kms_key and instances.has_local_disk(each)]

    def key_notes(self) -> list[str]:
        """Say where an organisation's key plays no part."""
        left_out = self._keyless(self.types) if self.is_volume_key_default else []
        why = "SageMaker takes none where the disk is the instance's own, which its hardware encrypts"
        return [f"volume_kms_key, not the task's own, is left out on {', '.join(left_out)}: {why}"] if left_out else []

    def owner(self, attempt: int) -> str:
        return self.run.key.with_attempt(attempt).owner()

    def request(self, attempt: int, *, instance_types: Sequence[str] | None = None) -> dict[str, Any]:
        """
        Return the CreateTrainingJob request of the k-th job of this generation.

        :param instance_types: SageMaker takes the first that it has; None: the first of the spec's alone.
        """
        location = self.location(attempt)
        wanted = instance_types or self.spec.instance_type[:1]
        takes_key = not (self.is_volume_key_default and self._keyless(wanted))
        return request_.build_create_training_job(
            self.spec if takes_key else replace(self.spec, volume_kms_key=None),
            location=location,
            instance_types=wanted,
            staged=self.staged,
            owner=self.owner(attempt),
            run_variables=dict(self.run.variables)
            | {NOTEBOOK_DIGEST_VARIABLE: self.notebook_sha256, INPUT_DIGEST_VARIABLE: self.input_sha256},
            run_tags=self.run.tags,
            displayed_name=self.displayed_name,
        )


@reading_cells_once()
def prepare_job(
    arguments: Mapping[str, Any],
    *,
    run: Run,
    where: Surroundings,
    problems: Sequence[str] = (),
    is_volume_key_default: bool = False,
) -> PreparedJob:
    """
    Read, check and assemble one notebook job.

    :param arguments: the operator's rendered job arguments by name; None and missing mean the default.
    :param problems: what the caller has found wrong with arguments that are not the job's.
    :param is_volume_key_default: ``volume_kms_key`` is an organisation's, not the task's.
    :raises NotebookJobConfigError: with every problem found; nothing has been uploaded or billed.
    :raises NotebookJobServiceError: AWS could not be asked for a role or an image.
    """
    given = given_arguments(arguments)
    arguments = given.values
    problems = [*problems, *given.problems]
    if not where.region:
        problems.append(f"no AWS region is configured; {NO_REGION}")
    if not where.has_credentials:
        problems.append(f"no AWS credentials were found; {NO_CREDENTIALS}")
    declared = declare_outputs(arguments.get("outputs"), arguments.get("return_output"))
    problems += declared.problems

    content = Content(arguments, folders=where.folders, objects=lambda: where.clients.objects, problems=problems)
    kernel = choose_kernel(arguments, content.notebook, available=where.kernels)
    kernel_name = kernel.name
    problems += kernel.problems
    if content.notebook is not None and not kernel_name:
        problems.append(
            "kernel_name is not set and the notebook's metadata names no kernel; give kernel_name, e.g. 'python3'"
        )
    extra = _extra_request(arguments.get("extra_request"), where, problems)
    parsed = parse_spec({**arguments, "kernel_name": kernel_name, "region": where.region, "extra_request": extra})
    problems += parsed.problems

    waiting: tuple[str, ...] = ()
    if content.notebook is not None and kernel_name:
        is_python = notebooks.is_python(content.notebook, str(kernel_name))
        waiting = _check_unattended(content, problems, is_python=is_python)
        if declared.types and not is_python:
            problems.append(
                f"outputs are variables of a Python notebook; kernel {kernel_name!r} runs another language: leave outputs out"
            )
        content.warn_of_unassigned(declared.types)
        if run.has_interval and is_python:
            content.warn_of_clock()
    checked = _check_parameters(arguments, content, kernel_name, problems)
    if problems or parsed.spec is None or checked is None or content.notebook is None or content.located is None:
        raise _refusal(run.label, problems)

    spec = _resolved(parsed.spec, where.clients)
    body, added = content.staged_body(
        checked, declared, is_python=notebooks.is_python(content.notebook, spec.kernel_name)
    )
    script = init_script(
        content.script_name,
        live=spec.live_notebook,
        cell_output=spec.cell_output_in_logs,
        subfolder="" if content.input_folder else content.subfolder,
    )
    script_name = posixpath.join(content.input_folder, INIT_SCRIPT_NAME)
    ours = [StagedFile(script_name, script.encode(), _ORIGIN_OF_SCRIPT)] if script is not None else []
    files, collisions = merge_files(
        [StagedFile(content.staged_name, body, content.located.origin), *content.others, *ours]
    )
    job = PreparedJob(
        run=run,
        spec=spec,
        files=files,
        staged=request_.StagedNames(
            notebook=posixpath.relpath(content.staged_name, content.input_folder or "."),
            folder=content.input_folder,
            initialization_script=content.script_name if script is None else INIT_SCRIPT_NAME,
            hyperparameters=hyperparameter_strings(checked.values),
        ),
        declared=declared,
        notebook_origin=content.located.origin,
        notebook_sha256=hashlib.sha256(content.raw).hexdigest(),
        input_sha256=input_digest(files) if not collisions else "",
        added_cells=added,
        is_volume_key_default=is_volume_key_default and "VolumeKmsKeyId" not in spec.extra_resources,
        warnings=(
            *given.warnings,
            *parsed.warnings,
            *kernel.warnings,
            *waiting,
            *checked.warnings,
            *content.warnings,
            *late_failures(content.notebook, spec.output_formats),
        ),
        notes=(*kernel.notes, *checked.notes),
    )
    late = [
        *collisions,
        *key_problems(files, to_uri=job.location(0).input_uri),
    ]
    return _checked(job, where.clients.jobs.request_shape, late)


def _checked(job: PreparedJob, shape: Any, problems: list[str]) -> PreparedJob:
    """
    Return the job with what its finished request gives to say.

    :raises NotebookJobConfigError: SageMaker would refuse the request.
    """
    request, types = job.request(0), job.types
    wanted = dict(job.run.tags) | {
        "sagemaker:name": job.displayed_name,
        "sagemaker:notebook-name": job.staged.notebook,
    }
    known = shape.members["ResourceConfig"].members["InstanceType"].enum
    argument = "instance_type" if types == job.spec.instance_type else "extra_request: ResourceConfig.InstanceType"
    wrong_types, unknown_types = instances.type_problems(types, known, argument=argument)
    problems = [*problems, *wrong_types, *request_.request_problems(request, shape)]
    if not problems:
        problems += instances.resource_problems(request, types, is_volume_key_default=job.is_volume_key_default)
    if problems:
        raise _refusal(job.run.label, problems)
    sizes = instances.resource_warnings(types, volume_size=job.spec.volume_size, usual_size=defaults.VOLUME_SIZE)
    more = (*unknown_types, *sizes, *request_.rewritten_tags(request, wanted))
    return replace(job, warnings=(*job.warnings, *more), notes=(*job.notes, *job.key_notes()))


def _extra_request(given: object, where: Surroundings, problems: list[str]) -> object:
    try:
        extra = parse.json_object(given or {})
    except ValueError:
        return given  # what is no mapping at all is among the spec's problems
    if extra and where.region:  # without a region there is no client, and so no model
        fit = fitted(extra, where.clients.jobs.request_shape)
        extra = dict(fit.values)
        problems += fit.problems
    problems += request_.extra_problems(extra)
    return extra


def _refusal(label: str, problems: Sequence[str]) -> NotebookJobConfigError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return NotebookJobConfigError(
        f"notebook job of '{label}' cannot run: {count} (nothing was uploaded or billed)", problems=problems
    )


def _check_unattended(content: Content, problems: list[str], *, is_python: bool) -> tuple[str, ...]:
    """Add what can never work where nobody answers; returns what may not."""
    if content.notebook is None or content.located is None:
        return ()
    if unusable := name_problem(content.located.name):
        problems.append(unusable)
    if not is_python:
        return ()
    found = unattended(content.notebook, content.located.name)
    problems += found.problems
    return found.warnings


def _check_parameters(
    arguments: Mapping[str, Any], content: Content, kernel_name: object, problems: list[str]
) -> CheckedParameters | None:
    """Check against the notebook; where there is none, what is wrong with the values anyway, so that all is said at once."""
    unknown = arguments.get("unknown_parameters")
    unknown = defaults.UNKNOWN_PARAMETERS if unknown is None else unknown
    if unknown not in ("error", "warn"):
        problems.append(f"unknown_parameters must be 'error' or 'warn', not {unknown!r}")
    try:
        given = parse.json_object(arguments.get("parameters") or {})
    except ValueError as error:
        problems.append(f"parameters {error}")
        return None
    if content.notebook is None:
        problems += value_problems(given)
        return None
    checked = check_parameters(
        content.notebook,
        given,
        kernel_name=str(kernel_name or UNKNOWN_KERNEL),
        unknown="warn" if unknown == "warn" else "error",
        runs=content.targets,
    )
    problems += checked.problems
    return checked


def _resolved(spec: NotebookJobSpec, clients: AwsClients) -> NotebookJobSpec:
    """Return the spec with the role's ARN and the image's full URI, asking AWS only where a short form was given."""
    if not parse.is_role_arn(spec.role):
        spec = replace(spec, role=clients.account.role_arn(spec.role))
    tag = parse.short_image_tag(spec.image_uri)
    if tag is not None:
        account_id = clients.account.distribution_account_id()
        suffix = ".cn" if spec.region.startswith("cn-") else ""
        spec = replace(
            spec,
            image_uri=f"{account_id}.dkr.ecr.{spec.region}.amazonaws.com{suffix}/sagemaker-distribution-prod:{tag}",
        )
    return spec
