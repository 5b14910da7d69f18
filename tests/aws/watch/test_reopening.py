"""A poller's port on a connection that is read again; on a loop whose clock jumps."""

import asyncio

import pytest

from airflow_nbjobs.aws.watch.reopening import ReopenedJobs
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError

REFUSED = NotebookJobServiceError("refused", code="ExpiredToken", is_retryable=True)
LATE = NotebookJobServiceError("late", code="CredentialRetrievalError", is_retryable=True)


class Connection:
    """:ivar errors: raised by the next readings, oldest first; the last one for ever, if ``lasts``."""

    def __init__(self, *errors, lasts=False):
        self.errors, self.lasts = list(errors), lasts
        self.read_at, self.noted = [], []

    async def open(self):
        self.read_at.append(now())
        if self.errors:
            raise self.errors[0] if self.lasts and len(self.errors) == 1 else self.errors.pop(0)
        return f"port {len(self.read_at)}"

    def note(self, error):
        self.noted.append(error)
        return 10.0


def now():
    return asyncio.get_running_loop().time()


async def opened(*errors, lasts=False):
    connection = Connection(*errors, lasts=lasts)
    jobs = ReopenedJobs(connection.open, connection.note)
    await jobs.open()
    return jobs, connection


def test_there_is_no_port_before_the_connection_was_read():
    with pytest.raises(RuntimeError, match="comes first"):
        _ = ReopenedJobs(None, None).port


@pytest.mark.parametrize("error", [REFUSED, LATE, OSError("the API server is away")], ids=str)
async def test_what_may_pass_is_tried_again_after_the_pause_that_is_due(error):
    began = now()
    jobs, connection = await opened(error, error)
    assert jobs.port == "port 3"
    assert (connection.noted, now() - began) == ([error, error], 20.0)


@pytest.mark.parametrize(
    "error",
    [NotebookJobConfigError("no such connection"), NotebookJobServiceError("denied", code="AccessDenied")],
    ids=str,
)
async def test_what_will_not_pass_is_told_at_once(error):
    connection = Connection(error)
    with pytest.raises(type(error)) as caught:
        await ReopenedJobs(connection.open, connection.note).open()
    assert caught.value is error
    assert connection.noted == []


@pytest.mark.parametrize("error", [REFUSED, OSError("away")], ids=str)
async def test_after_five_minutes_of_it_the_reason_is_told(error):
    connection = Connection(error, lasts=True)
    began = now()
    with pytest.raises(type(error)):
        await ReopenedJobs(connection.open, connection.note).open()
    assert now() - began == 300.0


async def test_credentials_that_cannot_be_had_are_waited_for_as_long_as_it_takes():
    began = now()
    await opened(*[LATE] * 100)
    assert now() - began == 1000.0


async def test_a_refused_connection_is_read_again_at_once_and_then_with_pauses():
    jobs, _ = await opened()
    began = now()
    await jobs.reopen(REFUSED)
    assert (jobs.port, now() - began) == ("port 2", 0.0)
    await jobs.reopen(REFUSED)
    assert (jobs.port, now() - began) == ("port 3", 10.0)
    jobs.note_success()
    await jobs.reopen(REFUSED)
    assert (jobs.port, now() - began) == ("port 4", 10.0)


async def test_a_connection_that_cannot_be_read_again_leaves_the_port_and_says_so(caplog):
    jobs, connection = await opened()
    connection.errors = [OSError("the API server is away")]
    await jobs.reopen(REFUSED)
    assert jobs.port == "port 1"
    assert "could not be read again: the API server is away" in caplog.text


async def test_fresh_connections_that_are_all_refused_are_told_after_five_minutes_and_a_success_forgives():
    jobs, _ = await opened()
    await jobs.reopen(REFUSED)
    await asyncio.sleep(299)
    jobs.note_success()
    await jobs.reopen(REFUSED)
    await asyncio.sleep(299)
    await jobs.reopen(REFUSED)
    with pytest.raises(NotebookJobServiceError) as caught:
        await jobs.reopen(REFUSED)
    assert caught.value is REFUSED
    for _ in range(40):
        await jobs.reopen(LATE)  # is none of credentials that are refused


async def test_two_spells_of_an_unreadable_connection_are_not_added_up():
    jobs, connection = await opened(OSError("away"))
    await asyncio.sleep(400)
    connection.errors = [OSError("away")]
    await jobs.open()
    assert jobs.port == "port 4"
