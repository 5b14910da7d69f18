"""
``nbjobs run``: one notebook job without a DAG, by the operator's own spec, request and results code.

Uses the machine's own AWS credentials, or with ``--local`` an embedded SageMaker of its own for the time of the job.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.results.read import Expectation, JobResult
from airflow_nbjobs.aws.submit.path_guesses import near_folder, notebooks_in
from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.commands.follow import FollowedJob
from airflow_nbjobs.commands.target import embedded, own_account
from airflow_nbjobs.commands.wording import in_flags
from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError, NotebookSkippedError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.core.values.conversion import Spelled, read_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.commands.target import Target

EXAMPLE = "nbjobs run report.ipynb -p days=7 --output revenue --local"
_JOB_OPTIONS = {
    "image_uri": (
        "IMAGE",
        "image of the job, such as sagemaker-distribution:4-cpu, or its URI in ECR; needed without --local",
    ),
    "kernel_name": ("NAME", "kernel of the notebook (default: the one that its metadata names)"),
    "role": ("ROLE", "name or ARN of the role that the job runs with; needed without --local"),
    "s3_root_uri": ("s3://BUCKET/PREFIX", "where in S3 the job's files go; needed without --local"),
    "instance_type": ("TYPE", f"machine of the job (default {defaults.INSTANCE_TYPE})"),
    "initialization_script": ("PATH", "shell script that runs before the notebook (default: none)"),
    "max_runtime_in_seconds": (
        "N",
        f"seconds after which the job is ended (default {defaults.MAX_RUNTIME_IN_SECONDS})",
    ),
    "missing_dependencies": (
        "error|warn",
        f"what a %%run of a file that is not there is (default {defaults.MISSING_DEPENDENCIES})",
    ),
}

log = logging.getLogger("nbjobs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments; job options are the operator's, with hyphens."""
    parser.add_argument("input_notebook", help="path of the notebook, or an s3:// URI")
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter, of the type that the notebook's 'parameters' cell gives it; else JSON is read as such (3, true, [1,2]); may be repeated",
    )
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable of the notebook to print at the end; may be repeated",
    )
    parser.add_argument(
        "--local",
        action="store_true",
        help="run on an embedded SageMaker, started for this job (needs the extra 'local'; default: in your AWS account)",
    )
    parser.add_argument(
        "--additional-dependency",
        action="append",
        default=[],
        metavar="PATH",
        help="a file or folder to put beside the notebook; may be repeated",
    )
    for name, (metavar, text) in _JOB_OPTIONS.items():
        choices = tuple(metavar.split("|")) if "|" in metavar else None
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, choices=choices, help=text)
    parser.add_argument(
        "--region",
        "--region-name",
        dest="region_name",
        metavar="REGION",
        help="AWS region (default: your AWS configuration's); with --local the one to play",
    )
    parser.add_argument(
        "--executed",
        metavar="PATH",
        help="where to save the executed notebook (default: NAME.executed.ipynb beside it)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the job; 0 if it completed and every output is right, or if the notebook asks to be skipped; 2 if it was refused before it was sent."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    try:
        return _run(args)
    except NotebookJobError as error:
        return _refused(error, code=1)


def _run(args: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        try:
            executed_path = _executed_path(args)
            target = embedded(stack, args.region_name) if args.local else own_account(args.region_name)
            job = _prepared(args, target)
            for note in (*job.notes, *job.warnings, *target.remarks(job)):
                log.info("%s", _in_flags(note))
            followed = FollowedJob(job, target.start(), target.poll_seconds)
        except NotebookJobConfigError as error:
            return _refused(error, code=2)
        try:
            submission = followed.submit()
            log.info("Notebook job '%s'", submission.job_name)
            snapshot = followed.wait(submission.location)
        except KeyboardInterrupt:
            followed.stop()
            raise
        return _report(followed.read(snapshot, submission.location, _expectation(args, job)), executed_path)


def _refused(error: NotebookJobError, *, code: int) -> int:
    print(_in_flags(str(error)), file=sys.stderr)
    return code


def _in_flags(text: str) -> str:
    return in_flags(text, tuple(_JOB_OPTIONS))


def _prepared(args: argparse.Namespace, target: Target) -> PreparedJob:
    return examine_job(
        JobArguments(**{**target.defaults, **_arguments(args)}),
        run=own_run(args.input_notebook),
        where=Surroundings(
            folders=[Path.cwd()],
            region=target.region,
            has_credentials=target.has_credentials,
            clients=target.checking,
            kernels=target.kernels,
        ),
    ).required()


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(args, name) for name in _JOB_OPTIONS if getattr(args, name) is not None}
    return given | {
        "input_notebook": args.input_notebook,
        "parameters": _parameters(args.parameter),
        "outputs": args.output,
        "additional_dependencies": args.additional_dependency,
    }


def _parameters(texts: Sequence[str]) -> dict[str, Any]:
    given: dict[str, tuple[str, Any]] = {}
    for text in texts:
        name, value = _parameter(text)
        if name in given:
            raise NotebookJobConfigError(f"-p {name} is given twice: '{given[name][0]}', then '{text}'; give it once")
        given[name] = text, value
    return {name: value for name, (_, value) in given.items()}


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise NotebookJobConfigError(f"-p {text!r} is no parameter; write NAME=VALUE")
    try:
        read = read_json(value)
    except ValueError:
        return name, value
    # "12345" may be a zip code: the notebook's own type decides. A JSON string is a text either way.
    return name, read if isinstance(read, str) else Spelled(read, value, "JSON")


def own_run(notebook: str) -> Run:
    """Return an identity that no other run has: two runs of the command are two jobs."""
    unique = uuid.uuid4().hex
    stem = Path(notebook).stem
    return Run(
        label=notebook,
        # A job's name has Latin letters and digits only; a notebook's may have none.
        readable=stem if re.search(r"[a-zA-Z0-9]", stem) else "notebook",
        key=RunKey(
            deployment="nbjobs run",
            dag_id="",
            run_id=unique,
            run_started_microseconds=0,
            task_id="",
            map_index=-1,
            generation=0,
        ),
    )


def _expectation(args: argparse.Namespace, job: PreparedJob) -> Expectation:
    return Expectation(
        label=job.run.label,
        input_notebook=args.input_notebook,
        declared=job.declared,
        parameters_text=", ".join(args.parameter) or "{}",
    )


def _executed_path(args: argparse.Namespace) -> Path:
    """Return where the executed notebook goes; a folder that cannot take it is an error before the job is paid."""
    notebook = Path(args.input_notebook)
    if notebook.is_dir():
        raise NotebookJobConfigError(f"'{notebook}' is a folder; a notebook is needed{notebooks_in(notebook)}")
    if args.executed:
        path = Path(args.executed)
    elif args.input_notebook.startswith("s3://"):
        path = Path(f"{notebook.stem}.executed.ipynb")
    else:
        path = notebook.with_name(f"{notebook.stem}.executed.ipynb")
    if path.exists() and notebook.exists() and path.samefile(notebook):
        raise NotebookJobConfigError(f"The executed notebook would take the place of '{notebook}': name another file")
    if path.is_dir():
        raise NotebookJobConfigError(
            f"The executed notebook cannot be saved as '{path}': that is a folder; name a file"
        )
    if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
        raise NotebookJobConfigError(
            f"The executed notebook cannot be saved in '{path.parent}': no right to write there; name a file with --executed"
        )
    if args.executed and not path.parent.is_dir():
        raise NotebookJobConfigError(
            f"The executed notebook cannot be saved in '{path.parent}': there is no such folder{near_folder(path.parent)}"
        )
    return path


def _report(result: JobResult, executed_path: Path) -> int:
    for warning in result.warnings:
        log.warning("%s", _in_flags(warning))
    # Saved first: whoever reads the outputs may stop reading.
    is_saved = result.executed_notebook is None or _save(result.executed_notebook, executed_path, result.facts)
    for name, value in result.outputs.items():
        print(f"{name} = {json.dumps(value)}")
    if isinstance(result.error, NotebookSkippedError):
        print(f"skipped: {result.error.reason}" if result.error.reason else "skipped")
    elif result.error is not None:
        raise result.error
    return 0 if is_saved else 1


def _save(executed: bytes, path: Path, facts: Mapping[str, Any]) -> bool:
    try:
        path.write_bytes(executed)
    except OSError as error:
        log.warning(
            "The executed notebook could not be saved as '%s': %s; it is in %s",
            path,
            error.strerror or error,
            facts["output_archive_uri"],
        )
        return False
    log.info("Executed notebook: %s", os.fspath(path))
    return True
