"""What becomes of a job, and of its log, where the platform itself fails."""

from __future__ import annotations

import sys
import time
import uuid
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from local_jobs import LOG_GROUP, Jobs, wait_until

from airflow_nbjobs.local.api.operations import Registries
from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.platform.clients import connect
from airflow_nbjobs.local.platform.logs import LogStream
from airflow_nbjobs.local.platform.runner import INTERNAL_ERROR, LOG, JobRunner, Launch, Platform, Work
from airflow_nbjobs.local.state.batch_jobs import new_batch_job
from airflow_nbjobs.local.state.facts import NAMESPACE_WAYS
from airflow_nbjobs.local.state.resource import PROCESSING, Outcome

if TYPE_CHECKING:
    from airflow_nbjobs.local.container.run import WorkDir

pytestmark = pytest.mark.local


class WithoutRoot(Work):
    """Takes away the folder that the container's file system is mounted on."""

    def prepare(self, work: WorkDir) -> Launch:
        work.root.rmdir()
        return Launch(("/bin/true",), {})

    def deliver(self, work: WorkDir, exit_code: int) -> Outcome:
        raise AssertionError(work, exit_code)


class Broken(WithoutRoot):
    def prepare(self, work: WorkDir) -> Launch:
        raise ZeroDivisionError(work)


@pytest.mark.parametrize(
    ("work", "said"),
    [(WithoutRoot(), "the container could not be made: "), (Broken(), "the embedded SageMaker itself failed")],
)
def test_a_job_that_cannot_be_run_fails_as_on_aws_and_the_log_says_which_and_why(
    jobs: Jobs, tmp_path: Path, work: Work, said: str
) -> None:
    if jobs.facts.isolation not in NAMESPACE_WAYS:
        pytest.skip("no container is made here")
    clients, image = connect(jobs.facts), inspect_image(Path(sys.prefix))
    runner = JobRunner(Platform(jobs.facts, image, clients, tmp_path, jobs.facts.isolation, 1, False), name="job")
    registry = Registries(jobs.facts).processing
    job = new_batch_job(PROCESSING, {"ProcessingJobName": "p"}, arn=registry.arn("p"), now=time.time())
    registry.add(job)
    lines = QueueHandler(SimpleQueue())
    LOG.addHandler(lines)
    runner.submit(job, work, registry)
    wait_until(lambda: registry.get("p").is_terminal)
    runner.close()
    LOG.removeHandler(lines)
    assert registry.get("p").failure_reason == INTERNAL_ERROR
    first = lines.queue.get_nowait()
    assert first.levelname == "ERROR"
    assert first.getMessage().startswith(f"{job.arn}: {said}")
    assert list(tmp_path.iterdir()) == []


class OnceRefused:
    """CloudWatch Logs that refuses the first events."""

    def __init__(self, logs: Any) -> None:
        self.logs, self.exceptions, self.refused = logs, logs.exceptions, 0
        self.create_log_group, self.create_log_stream = logs.create_log_group, logs.create_log_stream

    def put_log_events(self, **request: Any) -> None:
        if not self.refused:
            self.refused = len(request["logEvents"])
            raise self.exceptions.ServiceUnavailableException({"Error": {}}, "PutLogEvents")
        self.logs.put_log_events(**request)


def test_log_events_that_are_lost_are_said_and_the_next_are_written(jobs: Jobs, caplog: Any) -> None:
    logs = OnceRefused(jobs.logs)
    name = f"lost-{uuid.uuid4().hex[:12]}"
    stream = LogStream(logs, f"{name}/algo-1-1", LOG_GROUP)
    stream.write(b"lost\n")
    wait_until(lambda: logs.refused)
    stream.write(b"kept\n")
    stream.end()
    stream.join()
    assert jobs.log(name) == "kept"
    assert f"{name}/algo-1-1: 1 log events were lost" in caplog.text
