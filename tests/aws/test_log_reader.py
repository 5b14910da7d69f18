"""One job's container log in the worker: what passes ends nothing for good."""

import pytest
from fakes import FakeClients, LogLines

from airflow_nbjobs.aws.log_reader import LogReader
from airflow_nbjobs.core.errors import NotebookJobServiceError

DENIED = NotebookJobServiceError("logs:FilterLogEvents was denied", code="AccessDeniedException")


@pytest.fixture
def clients():
    clients = FakeClients()
    clients.logs.lines["job"] = ["a"]
    return clients


def test_a_denial_is_said_once_and_the_log_asked_for_again_after_a_quarter_of_an_hour(clients):
    now, lines = [0.0], LogLines()
    reader = LogReader(clients, lines, clock=lambda: now[0])
    clients.logs.error = DENIED
    for now[0] in (0.0, 60.0, 899.0):
        assert not reader.show("job")
    assert lines.warnings == ["CloudWatch log not read: logs:FilterLogEvents was denied"]
    clients.logs.error = None
    now[0] = 900.0
    assert reader.show("job")
    assert lines.infos == ["a"]


@pytest.mark.parametrize("code", ["ExpiredToken", "ThrottlingException", "RequestTimeTooSkewed"])
def test_what_passes_is_asked_for_at_the_next_look(clients, code):
    lines = LogLines()
    reader = LogReader(clients, lines)
    clients.logs.error = NotebookJobServiceError("not now", code=code, is_retryable=True)
    assert not reader.show("job")
    clients.logs.error = None
    assert reader.show("job")
    assert lines.infos == ["a"]
