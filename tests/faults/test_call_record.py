"""What the policy is held against is all calls, or the suite fails."""

import time

import pytest
from call_record import CallRecord, following

from airflow_nbjobs.local.faults import switches
from airflow_nbjobs.testing import Call, FaultError


class Server:
    def __init__(self):
        self.journal = switches.Journal()
        self.refusals = 0

    def call(self, *operations):
        for operation in operations:
            with self.journal.noting(operation, "x", ()):
                pass

    def calls(self, *, after):
        if self.refusals:
            self.refusals -= 1
            raise FaultError("busy")
        return [Call(**each) for each in self.journal.calls(after=after)]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(switches, "KEPT_CALLS", 3)
    return Server()


def test_what_the_server_has_forgotten_since_it_was_read_counts(server):
    record = CallRecord(server)
    for number in range(6):
        server.call(f"op{number}", "again")
        record.read()
    assert sorted(record.first) == ["again", *(f"op{number}" for number in range(6))]
    assert record.first["again"].number == 2


def test_what_it_has_forgotten_unread_is_an_error_for_good(server):
    record = CallRecord(server)
    server.call(*"abcd")
    for _ in range(2):
        with pytest.raises(AssertionError, match="calls 1 to 1 are forgotten, unread"):
            record.read()


def test_calls_are_read_while_they_go_on_also_by_a_server_that_is_busy(server):
    server.refusals = 2
    with following(server, 0.001) as record:
        for number in range(9):
            server.call(f"op{number}")
            deadline = time.monotonic() + 10
            while f"op{number}" not in record.first and time.monotonic() < deadline:
                time.sleep(0.001)
        server.call("last")
        record.read()
    assert len(record.first) == 10
