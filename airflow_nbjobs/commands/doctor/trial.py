"""
``nbjobs doctor --run``: a notebook of one cell, as a task would run it, and what kept it from running.

The job is billed; it ends within a quarter of an hour once it runs, and is stopped with the command.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec.structs import replace

from airflow_nbjobs.commands.doctor.examination import Check, Finding, right, unknown, wrong
from airflow_nbjobs.commands.doctor.patient import known
from airflow_nbjobs.core.errors import NotebookJobError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.commands.doctor.patient import Patient

_NAME = "nbjobs-doctor.ipynb"
_SOURCE = "import sys\n\npython = sys.version.split()[0]"
_MOST_SECONDS = 900
# What an error may name: CreateTrainingJob needs others' permissions as well.
_ACTIONS = (
    "iam:PassRole",
    "sagemaker:AddTags",
    "sagemaker:CreateTrainingJob",
    "s3:PutObject",
    "sagemaker:DescribeTrainingJob",
    "s3:GetObject",
    "s3:ListBucket",
)
_POLL_SECONDS, _LOCAL_POLL_SECONDS = 5.0, 0.5


def _prepared(patient: Patient, folder: Path) -> PreparedJob:
    import nbformat

    from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
    from airflow_nbjobs.commands.doctor.account_checks import KERNEL
    from airflow_nbjobs.commands.run import own_run

    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(_SOURCE)],
        metadata={"kernelspec": {"name": KERNEL, "language": "python", "display_name": KERNEL}},
    )
    (folder / _NAME).write_text(nbformat.writes(notebook), encoding="utf-8")
    return examine_job(
        replace(
            known(patient.arguments),
            input_notebook=_NAME,
            notebook_job_name="nbjobs-doctor",
            outputs=["python"],
            max_runtime_in_seconds=_MOST_SECONDS,
        ),
        run=own_run(_NAME),
        where=Surroundings(
            folders=[folder], region=patient.region, has_credentials=True, clients=known(patient.session).clients
        ),
    ).required()


def _run(patient: Patient) -> Iterator[Finding]:
    from airflow_nbjobs.aws.results.explain import Expectation
    from airflow_nbjobs.commands.follow import FollowedJob

    clients = known(patient.session).clients
    with tempfile.TemporaryDirectory(prefix="nbjobs-doctor-") as folder:
        job = _prepared(patient, Path(folder))
        is_local = (urlsplit(clients.jobs.endpoint_url).hostname or "") in ("127.0.0.1", "localhost")
        followed = FollowedJob(job, clients, _LOCAL_POLL_SECONDS if is_local else _POLL_SECONDS)
        expectation = Expectation(label=_NAME, input_notebook=_NAME, declared=job.declared, parameters_text="{}")
        what = "the job was refused"
        try:
            try:
                submission = followed.submit()
                what = "the job was made, and cannot be followed"
                snapshot = followed.wait(submission.location)
            except KeyboardInterrupt:
                followed.stop()
                raise
            what = "the job has ended, and its results cannot be read"
            result = followed.read(snapshot, submission.location, expectation)
        except NotebookJobError as error:
            finding = patient.finding_of(error, _action_in(error))
            left = f"; {error.details['job']}" if "job" in error.details else ""
            yield Finding(finding.mark, f"{what}: {finding.text}{left}", finding.fix, finding.statement)
            return
    name = submission.job_name
    for warning in result.warnings:
        yield unknown(warning)
    if result.error is not None:
        failed = result.error
        yield wrong("; ".join((failed.headline, *failed.problems)), failed.details.get("next", ""))
    else:
        yield right(
            f"'{name}' ran its notebook on Python {result.outputs['python']}; its files are in {submission.location.root}/{name}"
        )


def _action_in(error: NotebookJobError) -> str:
    """Return the action that an error names, empty if it names none."""
    text = str(error)
    return next((action for action in _ACTIONS if action in text), "")


CHECK = Check("run", _run, needs=("identity", "spec"))
