"""What AWS's own Studio extension makes of our jobs: which it lists to whom, and what it can download of each, however the job ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes import LogLines, notebook
from local_jobs import Jobs
from studio import domain_arn, needs_studio, seen_in_studio

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.submit.job import submit
from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.core.job.submission_state import SubmissionState

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

pytestmark = [pytest.mark.local, pytest.mark.slow, needs_studio]

NO_DRIVER = {"AlgorithmSpecification": {"ContainerEntrypoint": ["/bin/sh", "-c", "exit 1"]}}


class Submitter:
    """Submits jobs of notebooks as a task does; returns their names."""

    def __init__(self, jobs: Jobs, server: EmbeddedSageMaker, folder: Path) -> None:
        self._jobs, self._clients, self._folder = jobs, Boto3Clients(server.client), folder

    def __call__(self, task_id: str, files: dict[str, bytes], *, attempt: int = 0, **arguments: Any) -> str:
        facts = self._jobs.facts
        folder = self._folder / task_id
        for name, body in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(body)
        given = {
            "input_notebook": next(iter(files)),
            "image_uri": facts.image_uri,
            "role": facts.role_arn,
            "s3_root_uri": f"s3://{facts.default_bucket}/nbjobs",
            "studio_domain_arn": domain_arn(facts),
        }
        key = RunKey(
            deployment="",
            dag_id="d",
            run_id="r",
            run_started_microseconds=1,
            task_id=task_id,
            map_index=-1,
            generation=0,
        )
        job = examine_job(
            JobArguments(**given | arguments),
            run=Run(label=f"d.{task_id}", readable=f"d-{task_id}", key=key),
            where=Surroundings(folders=[folder], region=facts.region, has_credentials=True, clients=self._clients),
        ).required()
        state = SubmissionState(attempt=attempt, may_exist=False)
        return submit(job, self._clients, state, log=LogLines()).job_name  # type: ignore[union-attr]


def test_studio_lists_and_downloads_each_job_whatever_became_of_it(
    embedded_sagemaker: EmbeddedSageMaker, tmp_path: Path
) -> None:
    jobs = Jobs(embedded_sagemaker)
    submitted = Submitter(jobs, embedded_sagemaker, tmp_path / "dags")
    html = {"output_formats": ["html"]}
    above = {"notebooks/nb.ipynb": notebook("%run ../common/setup.py\nx"), "common/setup.py": b"x = 1"}
    names = {
        submitted("plain", {"nb.ipynb": notebook("1")}): ("ipynb", "log", "input"),
        submitted("html", {"my report.ipynb": notebook("1")}, **html): ("ipynb", "log", "input"),
        submitted("fails", {"nb.ipynb": notebook("1 / 0")}, **html): ("ipynb", "log", "input"),
        submitted("above", above): ("ipynb", "log", "input"),
        submitted("above-fails", above | {"common/setup.py": b"1 / 0"}, **html): ("ipynb", "log", "input"),
        submitted("no-driver", {"nb.ipynb": notebook("1")}, extra_request=NO_DRIVER, attempt=1): ("input",),
    }
    mine = submitted("mine", {"nb.ipynb": notebook("1")}, studio_user_profile="me", studio_space="ours", name="Mine")
    submitted("theirs", {"nb.ipynb": notebook("1")}, studio_user_profile="them")
    for name in (*names, mine):
        jobs.wait(name)

    seen = seen_in_studio(jobs.facts, new_folder(tmp_path, "profile"), UserProfileName="me")
    assert seen.keys() == {*names, mine}
    for name, offered in names.items():
        assert tuple(seen[name].files) == offered
        assert [kind for kind, body in seen[name].files.items() if not body] == []
    by_task = {job.name: job for job in seen.values()}
    assert by_task.keys() == {
        f"d/{task}/r" for task in ("plain", "html", "fails", "above", "above-fails", "no-driver")
    } | {"Mine"}
    assert by_task["d/fails/r"].executed.cells[-1].outputs[-1].ename == "ZeroDivisionError"
    assert by_task["d/html/r"].files["input"] == notebook("1")

    in_space = seen_in_studio(jobs.facts, new_folder(tmp_path, "space"), SpaceName="ours")
    assert in_space.keys() == seen.keys()


def new_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
