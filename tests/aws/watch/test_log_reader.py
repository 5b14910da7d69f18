"""One job's container log in the worker: what passes ends nothing for good."""

import pytest
from fakes import FakeClients, LogLines

from airflow_nbjobs.aws.watch.log_reader import LogReader
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.watch.log_place import LogEvent, LogPage

DENIED = NotebookJobServiceError("logs:FilterLogEvents was denied", code="AccessDeniedException")


@pytest.fixture
def clients():
    clients = FakeClients()
    clients.logs.lines["job"] = ["a"]
    return clients


def test_a_denial_is_said_once_and_the_log_asked_for_again_ever_more_seldom(clients):
    now, lines = [0.0], LogLines()
    reader = LogReader(clients, lines, clock=lambda: now[0])
    clients.logs.error = DENIED
    for now[0] in range(0, 2000, 10):
        assert not reader.show("job")
    assert len(clients.logs.asked) == len([0, 60, 180, 420, 900, 1800])
    assert lines.warnings == ["CloudWatch log not read: logs:FilterLogEvents was denied"]
    clients.logs.error = None
    now[0] = 2700.0
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


def test_trouble_that_lasts_is_said_once(clients):
    lines = LogLines()
    reader = LogReader(clients, lines)
    clients.logs.error = NotebookJobServiceError("not now", code="503", is_retryable=True)
    for _ in range(3):
        assert not reader.show("job")
    assert lines.warnings == ["CloudWatch log not read: not now"]


@pytest.mark.parametrize("has_empty_pages", [False, True])
def test_a_burst_of_more_pages_than_a_look_reads_is_gone_on_with_by_the_next(clients, monkeypatch, has_empty_pages):
    """All of one minute: whoever begins again at the last minute reads the same pages for ever."""

    def events(*, since, prefix, next_token):
        page = int(next_token or 0)
        if has_empty_pages and page % 2:
            found = ()
        else:
            found = (LogEvent(f"e{page}", f"{prefix}algo-1", 1_000_000 + page, f"line {page}"),)
        return LogPage(found if since <= 1_000_000 + page else (), str(page + 1) if page < 99 else None)

    monkeypatch.setattr(clients.logs, "events", events)
    lines = LogLines()
    reader = LogReader(clients, lines)
    for _ in range(6):
        assert reader.show("job")
    assert lines.infos == [f"line {page}" for page in range(0, 100, 2 if has_empty_pages else 1)]
