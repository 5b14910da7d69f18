"""The container's log in the task's, through the real trigger, hook and boto3: first while the task is deferred, then from there on by the worker."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClients
from local_jobs import Jobs, wait_until

from airflow_nbjobs.aws.watch import shared_log_reader
from airflow_nbjobs.aws.watch.log_reader import LogReader
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.hooks import SageMakerNotebookJobHook
from airflow_nbjobs.triggers import NotebookJobTrigger

if TYPE_CHECKING:
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

pytestmark = pytest.mark.local


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture
def said():
    """What is logged by the trigger, and by the worker after it."""
    logger, lines = logging.getLogger("nbjobs-test"), Lines()
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    yield logger, lines.said
    logger.removeHandler(lines)


@pytest.fixture
def connection(embedded_sagemaker: EmbeddedSageMaker, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_LOCAL", embedded_sagemaker.facts.airflow_connection())
    monkeypatch.setattr(shared_log_reader, "SHORTEST_CYCLE_SECONDS", 0.2)
    monkeypatch.setattr(shared_log_reader, "SECONDS_PER_CALL", 0.0)


def trigger_of(name: str, logger: logging.Logger) -> NotebookJobTrigger:
    made = NotebookJobTrigger(job_name=name, aws_conn_id="aws_local", waiter_delay=1, stream_logs=True)
    made._log = logger  # where Airflow puts this trigger's own
    return made


def test_each_line_is_written_once_by_the_trigger_or_by_the_worker_after_it(jobs: Jobs, connection, said):
    logger, lines = said
    # Lines of its last moment, which the trigger does not wait for.
    name = jobs.submit_script(
        "echo '+ SM_EXECUTION_INPUT_PATH=/opt/ml'; for n in 1 2 3; do echo $n; sleep 0.6; done; echo 4; echo 5"
    )

    async def run():
        return [event async for event in trigger_of(name, logger).run()]

    (event,) = asyncio.run(run())
    assert event.payload["status"] == "Completed"
    assert lines[:3] == ["1", "2", "3"]
    hook = SageMakerNotebookJobHook(aws_conn_id="aws_local")
    wait_until(lambda: "5" in jobs.log(name))
    place = LogPlace.from_json(json.loads(json.dumps(event.payload["log_place"])))
    assert LogReader(hook.clients, logger, place).show(name)
    assert lines == ["1", "2", "3", "4", "5"]


def test_where_cloudwatch_is_denied_the_worker_says_so_once():
    clients = FakeClients()
    clients.logs.lines["job"] = ["a", "b"]
    lines = Lines()
    logger = logging.getLogger("nbjobs-denied")
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    reader = LogReader(clients, logger)
    assert reader.show("job")
    clients.logs.error = NotebookJobServiceError("logs:FilterLogEvents was denied", code="AccessDeniedException")
    assert not reader.show("job")
    clients.logs.lines["job"].append("c")
    assert not reader.show("job")
    assert lines.said == ["a", "b", "CloudWatch log not read: logs:FilterLogEvents was denied"]
