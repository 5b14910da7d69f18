"""
From a task's arguments to a job that can be submitted: everything is read, checked and reported here, and nothing is written.

Called by ``task/prepare.py``, ``nbjobs run`` and ``nbjobs plan``; reads the notebook's files, and asks AWS only what validation needs (a role's ARN, an image's account).
"""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.errors import NO_CREDENTIALS, NO_REGION
from airflow_nbjobs.aws.submit.content import Content
from airflow_nbjobs.aws.submit.content_warnings import clock_warnings, unassigned_warnings
from airflow_nbjobs.aws.submit.extra import extra_problems, fitted
from airflow_nbjobs.aws.submit.prepared_job import PreparedJob, Run
from airflow_nbjobs.aws.submit.request_checks import request_problems, rewritten_tags
from airflow_nbjobs.aws.submit.sources import StagedFile
from airflow_nbjobs.aws.submit.staging import input_digest, key_problems, merge_files
from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job import instances
from airflow_nbjobs.core.job.aws_parsers import is_role_arn, short_image_tag
from airflow_nbjobs.core.job.images import DISTRIBUTION_REPOSITORY
from airflow_nbjobs.core.job.init_script import INIT_SCRIPT_NAME, init_script
from airflow_nbjobs.core.job.late_failures import late_failures
from airflow_nbjobs.core.job.parsers import json_object
from airflow_nbjobs.core.job.spec import NotebookJobSpec, parse_spec
from airflow_nbjobs.core.notebook import document as notebooks
from airflow_nbjobs.core.notebook.kernels import choose_kernel
from airflow_nbjobs.core.notebook.syntax_trees import reading_cells_once
from airflow_nbjobs.core.notebook.unattended import name_problem, unattended
from airflow_nbjobs.core.values.outputs import DeclaredOutputs, declare_outputs
from airflow_nbjobs.core.values.parameter_cell import hyperparameter_strings
from airflow_nbjobs.core.values.parameter_values import value_problems
from airflow_nbjobs.core.values.parameters import CheckedParameters, check_parameters
from airflow_nbjobs.core.values.params_entry import KEY as PARAMS_KEY
from airflow_nbjobs.core.values.params_entry import asks_for_params

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.core.job.arguments import JobArguments

UNKNOWN_KERNEL = "unknown"  # of a notebook that names none: its language is then what it says, or Python
_ORIGIN_OF_SCRIPT = "the operator's own init script (live_notebook, cell_output_in_logs)"


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job is prepared."""

    folders: Sequence[Path]  # where relative paths are looked up, in this order
    region: str | None  # None where none is configured anywhere
    has_credentials: bool
    clients: AwsClients
    # those of the environment that will run the job; None: an image runs it, whose kernels nobody knows before
    kernels: Collection[str] | None = None

    def problems(self) -> list[str]:
        problems = [] if self.region else [f"no AWS region is configured; {NO_REGION}"]
        return problems if self.has_credentials else [*problems, f"no AWS credentials were found; {NO_CREDENTIALS}"]


class ExaminedJob(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was found of one notebook job, right or wrong.

    :param content: its files, as far as they were found.
    :param values: the parameters as the notebook would get them, those that are right.
    :param problems: every one; empty if and only if there is a job.
    :param warnings: those of the job, and of what would be one but for its problems.
    """

    label: str
    content: Content
    declared: DeclaredOutputs
    kernel_name: str | None
    values: Mapping[str, object]
    job: PreparedJob | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def required(self) -> PreparedJob:
        """
        Return the job.

        :raises NotebookJobConfigError: with every problem found; nothing has been uploaded or billed.
        """
        if self.job is None:
            raise refusal(self.label, self.problems)
        return self.job


@reading_cells_once()
def examine_job(
    arguments: JobArguments,
    *,
    run: Run,
    where: Surroundings,
    problems: Sequence[str] = (),
    is_volume_key_default: bool = False,
    params: Mapping[str, object] | None = None,
) -> ExaminedJob:
    """
    Read, check and assemble one notebook job, whatever is wrong with it.

    :param problems: what the caller has found wrong with arguments that are not the job's.
    :param is_volume_key_default: ``volume_kms_key`` is an organisation's, not the task's.
    :param params: the run's, for ``parameters`` with the entry of ``core.values.params_entry``.
    :raises NotebookJobServiceError: AWS could not be asked for a role or an image.
    """
    arguments, unprotected, absent = arguments.without_absent()
    problems = [*problems, *unprotected, *where.problems()]
    declared = declare_outputs(arguments.outputs, arguments.return_output)
    problems += declared.problems
    content = Content(arguments, folders=where.folders, objects=lambda: where.clients.objects, problems=problems)
    kernel = choose_kernel(
        arguments.kernel_name,
        content.notebook,
        image_uri=arguments.image_uri,
        has_script=bool(arguments.initialization_script),
        available=where.kernels,
    )
    problems += kernel.problems
    if content.notebook is not None and not kernel.name:
        problems.append(
            "kernel_name is not set and the notebook's metadata names no kernel; give kernel_name, e.g. 'python3'"
        )
    extra = _extra_request(arguments.extra_request, where, problems)
    parsed = parse_spec(replace(arguments, kernel_name=kernel.name, extra_request=extra), region=where.region)
    problems += parsed.problems
    waiting = _check_cells(content, kernel.name, declared, run, problems)
    checked = _check_parameters(arguments, content, kernel.name, problems, params)
    warnings = (
        *absent,
        *parsed.warnings,
        *kernel.warnings,
        *waiting,
        *(checked.warnings if checked is not None else ()),
        *content.warnings,
    )
    job: PreparedJob | None = None
    if not problems and parsed.spec is not None and checked is not None and content.notebook is not None:
        spec = _resolved(parsed.spec, where.clients)
        job, problems = _assembled(content, spec, checked, declared, run)
        job = replace(
            job,
            is_volume_key_default=is_volume_key_default and "VolumeKmsKeyId" not in spec.extra_resources,
            warnings=(*warnings, *late_failures(content.notebook, spec.output_formats)),
            notes=(*kernel.notes, *checked.notes),
        )
        job, problems = _with_checked_request(job, where.clients.jobs.request_shape, problems)
        warnings = job.warnings
    return ExaminedJob(
        label=run.label,
        content=content,
        declared=declared,
        kernel_name=str(kernel.name) if kernel.name else None,
        values=checked.values if checked is not None else {},
        job=None if problems else job,
        problems=tuple(problems),
        warnings=warnings,
    )


def _assembled(
    content: Content, spec: NotebookJobSpec, checked: CheckedParameters, declared: DeclaredOutputs, run: Run
) -> tuple[PreparedJob, list[str]]:
    """Return the job with the files that it stages, and what keeps them from lying side by side in S3."""
    body, added = content.staged_body(checked, declared, kernel_name=spec.kernel_name)
    script = init_script(
        content.script_name,
        live=spec.live_notebook,
        cell_output=spec.cell_output_in_logs,
        subfolder="" if content.input_folder else content.subfolder,
    )
    files = [StagedFile(content.staged_name, body, content.origin), *content.others]
    if script is not None:
        script_name = posixpath.join(content.input_folder, INIT_SCRIPT_NAME)
        files.append(StagedFile(script_name, script.encode(), _ORIGIN_OF_SCRIPT))
    merged, collisions = merge_files(files)
    job = PreparedJob(
        run=run,
        spec=spec,
        files=merged,
        staged_notebook=posixpath.relpath(content.staged_name, content.input_folder or "."),
        staged_folder=content.input_folder,
        initialization_script=content.script_name if script is None else INIT_SCRIPT_NAME,
        hyperparameters=hyperparameter_strings(checked.values),
        declared=declared,
        notebook_origin=content.origin,
        notebook_sha256=hashlib.sha256(content.raw).hexdigest(),
        input_sha256=input_digest(merged) if not collisions else "",
        added_cells=added,
    )
    return job, [*collisions, *key_problems(merged, to_uri=job.location(0).input_uri)]


def _with_checked_request(job: PreparedJob, shape: Any, problems: list[str]) -> tuple[PreparedJob, list[str]]:
    """Return the job with what its finished request gives to say, and what SageMaker would refuse of that."""
    request, types = job.request(0), job.types
    known = shape.members["ResourceConfig"].members["InstanceType"].enum
    argument = "instance_type" if types == job.spec.instance_type else "extra_request: ResourceConfig.InstanceType"
    wrong_types, unknown_types = instances.type_problems(types, known, argument=argument)
    problems = [*problems, *wrong_types, *request_problems(request, shape)]
    if not problems:
        problems += instances.resource_problems(request, types, is_volume_key_default=job.is_volume_key_default)
    if problems:
        return job, problems
    sizes = instances.resource_warnings(types, volume_size=job.spec.volume_size, usual_size=defaults.VOLUME_SIZE)
    more = (*unknown_types, *sizes, *rewritten_tags(request, job.tags))
    return replace(job, warnings=(*job.warnings, *more), notes=(*job.notes, *job.key_notes())), problems


def _extra_request(value: object, where: Surroundings, problems: list[str]) -> object:
    try:
        extra = json_object(value or {})
    except ValueError:
        return value  # what is no mapping at all is among the spec's problems
    if extra and where.region:  # without a region there is no client, and so no model
        extra, misfits = fitted(extra, where.clients.jobs.request_shape)
        problems += misfits
    problems += extra_problems(extra)
    return extra


def refusal(label: str, problems: Sequence[str]) -> NotebookJobConfigError:
    """Return the error of a job that has problems."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return NotebookJobConfigError(
        f"notebook job of '{label}' cannot run: {count} (nothing was uploaded or billed)", problems=problems
    )


def _check_cells(
    content: Content, kernel_name: object, declared: DeclaredOutputs, run: Run, problems: list[str]
) -> tuple[str, ...]:
    """Add what can never work in a job where nobody answers; return what may not."""
    if content.notebook is None or content.located is None or not kernel_name:
        return ()
    if unusable := name_problem(content.located.name):
        problems.append(unusable)
    waiting: tuple[str, ...] = ()
    is_python = notebooks.is_python(content.notebook, str(kernel_name))
    if is_python:
        found = unattended(content.notebook, content.located.name)
        problems += found.problems
        waiting = found.warnings
    elif declared.types:
        problems.append(
            f"outputs are variables of a Python notebook; kernel {kernel_name!r} runs another language: leave outputs out"
        )
    content.warnings += unassigned_warnings(content.sources, declared.types)
    if run.has_interval and is_python:
        content.warnings += clock_warnings(content.sources)
    return waiting


def _check_parameters(
    arguments: JobArguments,
    content: Content,
    kernel_name: object,
    problems: list[str],
    params: Mapping[str, object] | None,
) -> CheckedParameters | None:
    """Check against the notebook; where there is none, what is wrong with the values anyway, so that all is said at once."""
    unknown = arguments.severity("unknown_parameters", problems)
    try:
        values = json_object(arguments.parameters or {})
    except ValueError as error:
        problems.append(f"parameters {error}")
        return None
    if params is not None and asks_for_params(values):
        values = {name: value for name, value in values.items() if name != PARAMS_KEY}
    else:
        params = None
    if content.notebook is None:
        problems += value_problems(values)
        return None
    checked = check_parameters(
        content.notebook,
        values,
        kernel_name=str(kernel_name or UNKNOWN_KERNEL),
        unknown=unknown,
        runs=content.targets,
        params=params,
    )
    problems += checked.problems
    return checked


def _resolved(spec: NotebookJobSpec, clients: AwsClients) -> NotebookJobSpec:
    """Return the spec with the role's ARN and the image's full URI, asking AWS only where a short form was given."""
    if not is_role_arn(spec.role):
        spec = replace(spec, role=clients.account.role_arn(spec.role))
    return replace(spec, image_uri=full_image_uri(spec, clients))


def full_image_uri(spec: NotebookJobSpec, clients: AwsClients) -> str:
    """
    Return the URI of a spec's image in its region.

    :raises NotebookJobServiceError: AWS could not be asked for the account of its images.
    """
    tag = short_image_tag(spec.image_uri)
    if tag is None:
        return spec.image_uri
    account_id = clients.account.distribution_account_id()
    suffix = ".cn" if spec.region.startswith("cn-") else ""
    return f"{account_id}.dkr.ecr.{spec.region}.amazonaws.com{suffix}/{DISTRIBUTION_REPOSITORY}:{tag}"
