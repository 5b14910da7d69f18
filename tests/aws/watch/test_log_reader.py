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


def paged(clients, monkeypatch, pages, asked):
    """Let CloudWatch answer with these pages: a token each, and events or an error."""

    def events(*, since, prefix, next_token):
        asked.append((since, prefix, next_token))
        answer = pages[int(next_token or 0)]
        if isinstance(answer, Exception):
            raise answer
        more = str(int(next_token or 0) + 1) if int(next_token or 0) + 1 < len(pages) else None
        return LogPage(tuple(answer), more)

    monkeypatch.setattr(clients.logs, "events", events)


def line(at, number=None):
    return LogEvent(f"e{at}-{number}", "job/algo-1", at, f"line {at}")


def test_the_next_look_begins_a_minute_before_the_newest_line(clients, monkeypatch):
    """Lines may show up late."""
    asked, lines = [], LogLines()
    paged(clients, monkeypatch, [[line(1_000_000)], [line(2_000_000)]], asked)
    reader = LogReader(clients, lines)
    assert reader.show("job")
    assert reader.show("job")
    assert asked == [(0, "job/", None), (0, "job/", "1"), (1_940_000, "job/", None), (1_940_000, "job/", "1")]
    assert lines.infos == ["line 1000000", "line 2000000"]


def test_nothing_of_the_job_is_no_success_and_no_trouble(clients, monkeypatch):
    lines = LogLines()
    paged(clients, monkeypatch, [[]], [])
    assert LogReader(clients, lines).show("job") is False
    assert (lines.infos, lines.warnings) == ([], [])


def test_a_search_goes_on_after_passing_trouble_and_begins_anew_after_a_refusal(clients, monkeypatch):
    asked, lines, now = [], LogLines(), [0.0]
    pages = [[line(1_000_000)], NotebookJobServiceError("busy", code="503", is_retryable=True)]
    paged(clients, monkeypatch, pages, asked)
    reader = LogReader(clients, lines, clock=lambda: now[0])
    assert not reader.show("job")
    pages[1] = DENIED
    assert not reader.show("job")
    assert asked[-1][2] == "1"
    pages[1] = [line(1_000_001)]
    assert not reader.show("job"), "a refusal is not asked about for a minute"
    now[0] = 60.0
    assert reader.show("job")
    assert [token for _, _, token in asked] == [None, "1", "1", None, "1"]
    assert lines.infos == ["line 1000000", "line 1000001"]
    assert len(lines.warnings) == 1


def test_a_success_lets_the_next_trouble_be_told_and_the_next_refusal_be_short(clients):
    now, lines = [0.0], LogLines()
    reader = LogReader(clients, lines, clock=lambda: now[0])
    for begun in (0.0, 1000.0):
        now[0] = begun
        clients.logs.error = DENIED
        assert not reader.show("job")
        clients.logs.error = None
        now[0] = begun + 59.0
        assert not reader.show("job")
        now[0] = begun + 60.0
        assert reader.show("job")
    assert len(lines.warnings) == 2


def test_a_look_reads_twenty_pages(clients, monkeypatch):
    asked = []
    paged(clients, monkeypatch, [[line(1_000_000, number)] for number in range(30)], asked)
    reader = LogReader(clients, LogLines())
    assert reader.show("job")
    assert len(asked) == 20
    assert reader.show("job")
    assert len(asked) == 30
