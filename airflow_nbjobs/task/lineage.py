"""
A notebook task in OpenLineage's words: what it reads and writes, its code, how it ended, and which job ran it.

Called through ``lineage_methods.py`` by the OpenLineage provider (``on_…``), in a fork, and by ``prepare.py`` (``parent_variables``); never where that
provider is not installed. Asks neither AWS nor Airflow's API, so that ten seconds are enough, and reads one file at most: the notebook as it is about to be sent.
"""

from __future__ import annotations

import inspect
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from airflow_nbjobs._compat import masked_text
from airflow_nbjobs.core.job import lineage as names
from airflow_nbjobs.core.notebook import author
from airflow_nbjobs.core.texts import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow.providers.openlineage.extractors import OperatorLineage
    from nbformat import NotebookNode

_TAG_SOURCE = "airflow_nbjobs"
_TAGGED_FACTS = ("job_name", "status", "executed_notebook_uri", "notebook_sha256", "instance_type", "billable_seconds")
_MOST_READ_BYTES = 10 * 1024 * 1024
_VALUE_CHARACTERS = 1000  # of a parameter: JSON for what is no text
VARIABLE_LIMIT = 512  # characters; shape TrainingEnvironmentValue
PARENT_VARIABLES = ("OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID")


def on_start(task: Any) -> OperatorLineage:
    """
    Return what is known before the job is submitted.

    A task that defers is asked once more when it resumes, under the same run id. What might have changed meanwhile, the code, is then left out: the first
    answer stands.
    """
    ti = _current_ti()
    notebook = None if ti is None or _is_resumed(ti) else _notebook_to_send(task, ti)
    return _lineage(task, ti, notebook)


def on_complete(task: Any, ti: Any) -> OperatorLineage:
    return _lineage(task, ti, _notebook_that_ran(task), has_ended=True)


def on_failure(task: Any, ti: Any) -> OperatorLineage:
    """Return what is known of a failure; OpenLineage's listener adds the error itself, which names the cell."""
    found = _lineage(task, ti, _notebook_that_ran(task), has_ended=True)
    error = getattr(task, "_recorded_error", None)
    if error is not None:
        from openlineage.client.facet_v2 import error_message_run

        shows_code = _may_show_code(task)
        traceback = getattr(error, "details", {}).get("traceback") if shows_code else None
        found.run_facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            # The rest of the text quotes the failing cell's lines.
            message=masked_text(str(error) if shows_code else getattr(error, "headline", str(error))),
            programmingLanguage="python",
            stackTrace=masked_text(traceback) if traceback else None,
        )
    return found


def _lineage(task: Any, ti: Any, notebook: NotebookNode | None, *, has_ended: bool = False) -> OperatorLineage:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset

    known = getattr(task, "_lineage", {})
    result = known.get("result")
    outputs = dict(result.outputs) if result is not None else {}
    read, written = names.read_and_written(_parameters(task), getattr(task, "additional_dependencies", None), outputs)
    found = OperatorLineage(
        inputs=[Dataset(namespace=each.namespace, name=each.name) for each in read],
        outputs=[Dataset(namespace=each.namespace, name=each.name) for each in written],
        run_facets=_run_facets(task, known),
        job_facets=_job_facets(task, ti, notebook),
    )
    _add_what_the_provider_leaves_out(found, task, ti, has_ended=has_ended)
    return found


def _parameters(task: Any) -> dict[str, Any]:
    from airflow_nbjobs.task.asset_events import masked_parameters

    return masked_parameters(getattr(task, "parameters", None))


# -- datasets -----------------------------------------------------------------------------------------------------------


def _add_what_the_provider_leaves_out(found: OperatorLineage, task: Any, ti: Any, *, has_ended: bool) -> None:
    """
    Add the task's own inlets and outlets, and what hooks have collected.

    The provider adds them where an operator names no dataset at all, and leaves them out where it names one (``ExtractorManager.extract_metadata``).
    """
    if not (found.inputs or found.outputs):
        return
    from airflow.providers.openlineage.extractors import ExtractorManager

    manager = ExtractorManager()
    added = type(found)()
    # Without a task instance in earlier releases.
    takes_ti = "task_instance" in inspect.signature(manager.extract_inlets_and_outlets).parameters
    manager.extract_inlets_and_outlets(added, task, *([ti] if takes_ti else []))
    if has_ended:
        _add_hook_lineage(added, manager, task, ti)
    for kind in ("inputs", "outputs"):
        here = {(each.namespace, each.name) for each in getattr(found, kind)}
        getattr(found, kind).extend(each for each in getattr(added, kind) if (each.namespace, each.name) not in here)


def _add_hook_lineage(added: OperatorLineage, manager: Any, task: Any, ti: Any) -> None:
    if not _policy(task, "hook_lineage"):
        return
    from airflow.utils.state import TaskInstanceState

    state = TaskInstanceState.FAILED if getattr(task, "_recorded_error", None) else TaskInstanceState.SUCCESS
    takes_ti = bool(inspect.signature(manager.get_hook_lineage).parameters)
    collected: Any = manager.get_hook_lineage(*([ti, state] if takes_ti else []))
    if collected is None:
        return
    inputs, outputs = collected if isinstance(collected, tuple) else (collected.inputs, collected.outputs)
    added.inputs.extend(inputs)
    added.outputs.extend(outputs)


# -- facets -------------------------------------------------------------------------------------------------------------


def _run_facets(task: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    from openlineage.client import facet_v2

    facets: dict[str, Any] = {}
    result, submission = known.get("result"), known.get("submission")
    facts = dict(result.facts) if result is not None else {}
    arn = facts.get("job_arn") or getattr(submission, "arn", None)
    if arn:
        facets["externalQuery"] = facet_v2.external_query_run.ExternalQueryRunFacet(
            externalQueryId=arn, source="sagemaker"
        )
    parameters = _parameters(task)
    # Of later releases of OpenLineage's client.
    of_parameters = getattr(facet_v2, "execution_parameters_run", None)
    if parameters and of_parameters is not None:
        facets["executionParameters"] = of_parameters.ExecutionParametersRunFacet(
            parameters=[
                of_parameters.ExecutionParameter(key=str(name), value=_text(value))
                for name, value in parameters.items()
            ]
        )
    of_tags = getattr(facet_v2, "tags_run", None)
    tags = {name: facts[name] for name in _TAGGED_FACTS if facts.get(name) is not None}
    cell = getattr(getattr(task, "_recorded_error", None), "cell", None)
    if cell is not None:
        tags["failed_cell"] = cell
    if tags and of_tags is not None:
        facets["tags"] = of_tags.TagsRunFacet(
            tags=[
                of_tags.TagsRunFacetFields(key=name, value=str(value), source=_TAG_SOURCE)
                for name, value in tags.items()
            ]
        )
    return facets


def _job_facets(task: Any, ti: Any, notebook: NotebookNode | None) -> dict[str, Any]:
    from openlineage.client import facet_v2

    facets: dict[str, Any] = {}
    location = _location(task, ti)
    if location is not None:
        facets["sourceCodeLocation"] = facet_v2.source_code_location_job.SourceCodeLocationJobFacet(**location)
    if notebook is None:
        return facets
    from airflow_nbjobs.core.notebook.document import language

    if _may_show_code(task):
        facets["sourceCode"] = facet_v2.source_code_job.SourceCodeJobFacet(
            language=language(notebook), sourceCode=masked_text(author.code_of(notebook))
        )
    text = author.first_text(notebook)
    if text:
        # Where the task or its DAG has a text of its own, the listener takes that.
        facets["documentation"] = facet_v2.documentation_job.DocumentationJobFacet(description=masked_text(text))
    return facets


def _location(task: Any, ti: Any) -> dict[str, str | None] | None:
    """Return where the notebook's file is: equal for each worker of a task that defers."""
    given = getattr(task, "input_notebook", None)
    if not isinstance(given, str) or not given:
        return None
    if given.startswith("s3://"):
        return {"type": "s3", "url": given, "path": given.split("/", 3)[-1]}
    file = _local_file(task, ti)
    if file is None:
        return None
    bundle = getattr(ti, "bundle_instance", None)
    root = getattr(bundle, "path", None)
    is_inside = root is not None and file.is_relative_to(root)
    repository = _without_credentials(getattr(bundle, "repo_url", None)) if is_inside else None
    version = getattr(bundle, "version", None) if is_inside else None
    return {
        "type": "git" if repository else "file",
        "url": repository or file.absolute().as_uri(),
        "repoUrl": repository,
        "path": file.relative_to(root).as_posix() if is_inside and root is not None else str(file),
        "version": str(version) if version else None,
    }


def _without_credentials(url: object) -> str | None:
    """Return a repository's address, which may hold a user's token, without it."""
    if not isinstance(url, str) or not url:
        return None
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.scheme else url


# -- notebooks ----------------------------------------------------------------------------------------------------------


def _local_file(task: Any, ti: Any) -> Path | None:
    from airflow_nbjobs.aws.submit.local_files import find_local
    from airflow_nbjobs.core.errors import NotebookJobConfigError
    from airflow_nbjobs.task.identity import search_folders

    with suppress(NotebookJobConfigError, OSError, AttributeError):
        file = find_local("input_notebook", task.input_notebook, search_folders(task, {"ti": ti}))
        return file if file.is_file() else None
    return None


def _notebook_to_send(task: Any, ti: Any) -> NotebookNode | None:
    """Return the notebook beside the DAG file; None where it lies in S3 or cannot be read: the task will say so itself."""
    given = getattr(task, "input_notebook", None)
    file = _local_file(task, ti) if isinstance(given, str) and not given.startswith("s3://") else None
    if file is None or file.stat().st_size > _MOST_READ_BYTES:
        return None
    return _parsed(file.read_bytes(), str(file))


def _notebook_that_ran(task: Any) -> NotebookNode | None:
    """Return the executed notebook, or as long as there is none the one that was staged."""
    known = getattr(task, "_lineage", {})
    result, job = known.get("result"), known.get("job")
    if result is not None and result.executed_notebook is not None:
        return _parsed(result.executed_notebook, "the executed notebook")
    if job is None:
        return None
    name = "/".join(part for part in (job.staged_folder, job.staged_notebook) if part)
    body = next((file.read() for file in job.files if file.name == name), None)
    return None if body is None else _parsed(body, name)


def _parsed(body: bytes, source: str) -> NotebookNode | None:
    from airflow_nbjobs.core.errors import NotebookJobConfigError
    from airflow_nbjobs.core.notebook.executed import parse_executed

    try:
        return parse_executed(body, source=source)[0]
    except NotebookJobConfigError:
        return None


# -- the provider's settings, and Airflow's context -------------------------------------------------------------------------


def _may_show_code(task: Any) -> bool:
    """Say whether ``[openlineage] disable_source_code`` and the emission policy allow it; the provider asks for its own operators only."""
    from airflow.providers.openlineage import conf

    return bool(conf.is_source_enabled()) and _policy(task, "include_source_code")


def _policy(task: Any, name: str) -> bool:
    try:
        from airflow.providers.openlineage.utils.emission_policy import resolve_task_emission_policy
    except ImportError:  # of later releases
        return True
    policy = resolve_task_emission_policy(operator=task, dag_id=task.dag_id, task_id=task.task_id)
    return bool(getattr(policy, name, True))


def _current_ti() -> Any:
    from airflow.sdk import get_current_context

    try:
        return get_current_context()["ti"]
    except (RuntimeError, KeyError):
        return None


def _is_resumed(ti: Any) -> bool:
    from airflow_nbjobs._compat import is_resumed

    return is_resumed(ti) is not False  # in doubt the second start says less than the first


def _text(value: object) -> str:
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # a type of Airflow's, or an integer of more digits than Python writes out
        text = f"a {type(value).__name__}"
    return shortened(text, _VALUE_CHARACTERS)


# -- the parent of what runs in the notebook ------------------------------------------------------------------------------


def parent_variables(ti: Any, given: Mapping[str, Any]) -> tuple[dict[str, str], list[str], list[str]]:
    """
    Return the variables by which OpenLineage in the notebook (Spark, dbt, its client) names this task as its parent; problems; and notes.

    :param given: the variables that the task has of its own.

    Source: macros ``lineage_parent_id`` and ``lineage_root_parent_id`` of the provider, ``namespace/job/run id``.
    """
    try:
        from airflow.providers.openlineage import conf
        from airflow.providers.openlineage.plugins import macros
    except ImportError:
        return (
            {},
            [
                "lineage_parent=True needs OpenLineage's provider: pip install 'airflow-nbjobs[openlineage]', or leave it out"
            ],
            [],
        )
    taken = [name for name in PARENT_VARIABLES if name in given]
    if taken:
        return (
            {},
            [f"environment_variables sets {', '.join(taken)}, and so does lineage_parent=True; leave one of them out"],
            [],
        )
    if conf.is_disabled():
        return (
            {},
            [],
            ["lineage_parent: OpenLineage is disabled or has no transport here, so the job gets no parent run"],
        )
    root_id = getattr(macros, "lineage_root_parent_id", None)  # of later releases
    found = {PARENT_VARIABLES[0]: macros.lineage_parent_id(ti)} | (
        {PARENT_VARIABLES[1]: root_id(ti)} if root_id is not None else {}
    )
    fitting = {name: str(value) for name, value in found.items() if len(str(value)) <= VARIABLE_LIMIT}
    notes = [
        f"lineage_parent: {name} is longer than the {VARIABLE_LIMIT} characters of a variable, and left out"
        for name in found
        if name not in fitting
    ]
    return fitting, [], notes
