"""When a plan asks Airflow's database, and what it makes of what earlier jobs left there."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from airflow_nbjobs.commands.plan import database
from airflow_nbjobs.commands.plan.database import ask_database, earlier_seconds, stored_prices


@pytest.fixture(autouse=True)
def forgotten():
    """Whether there is a database is asked once in a process."""
    for each in (database._is_there, stored_prices):
        each.cache_clear()
    yield
    for each in (database._is_there, stored_prices):
        each.cache_clear()


@pytest.fixture
def asked(monkeypatch):
    """The addresses that are connected to; each answers, and Airflow's session is a plain object."""
    found = []

    @contextmanager
    def connection(address, timeout):
        found.append((address, timeout > 0))
        yield

    @contextmanager
    def create_session():
        yield SimpleNamespace(expunge_all=lambda: found.append("let go of"))

    monkeypatch.setattr(socket, "create_connection", connection)
    monkeypatch.setattr("airflow.utils.session.create_session", create_session)
    return found


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://u@db.example/airflow", ("db.example", 5432)),
        ("postgresql+psycopg2://u@db.example:6543/airflow", ("db.example", 6543)),
        ("mysql://u@db.example/airflow", ("db.example", 3306)),
        ("mssql://u@db.example/airflow", ("db.example", 0)),
        ("postgresql:///airflow", None),
    ],
)
def test_a_database_of_a_server_is_asked_once_its_server_answers(asked, monkeypatch, url, address):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
    assert ask_database(lambda _: "answer") == "answer"
    assert asked == [*([(address, True)] if address else []), "let go of"]


@pytest.mark.parametrize(("is_there", "answer"), [(True, "answer"), (False, None)])
def test_sqlite_is_asked_where_its_file_is_there(asked, monkeypatch, tmp_path, is_there, answer):
    if is_there:
        (tmp_path / "airflow.db").write_text("")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/airflow.db")
    assert ask_database(lambda _: "answer") == answer


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_has_nothing(asked, monkeypatch, url):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
    assert ask_database(lambda _: "answer") is None


@pytest.mark.parametrize("error", [OperationalError("x", {}, Exception()), OSError("x"), ImportError("x")], ids=str)
def test_a_database_that_fails_has_no_answer_and_a_mistake_of_ours_is_told(asked, monkeypatch, error):
    monkeypatch.setattr(database, "_is_there", lambda: True)

    def fail(_):
        raise error

    assert ask_database(fail) is None
    with pytest.raises(ZeroDivisionError):
        ask_database(lambda _: 1 / 0)


@pytest.fixture
def ends(monkeypatch):
    """Sets what earlier jobs have left."""
    return lambda *values: monkeypatch.setattr(database, "ask_database", lambda _: list(values) or None)


def end(**fields):
    return {"version": 1, "status": "Completed"} | fields


def test_without_an_earlier_job_nothing_is_known(ends):
    ends()
    assert earlier_seconds("d", "t") == (None, 0)
    assert stored_prices() == ""


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([end(billable_seconds=10), end(billable_seconds=20), end(billable_seconds=90)], (20.0, 3)),
        ([end(billable_seconds=10), end(billable_seconds=20)], (15.0, 2)),
        ([end(billable_seconds=10, duration_seconds=99)], (10.0, 1)),
        ([end(billable_seconds=0, duration_seconds=5.5)], (5.5, 1)),
        ([end(duration_seconds=5, instance_count=4)], (20.0, 1)),
        ([end(duration_seconds=0)], (0.0, 1)),
        ([end(billable_seconds=0)], (0.0, 1)),
        ([end(billable_seconds=10) | {"status": "Stopped"}, end(billable_seconds=20)], (20.0, 1)),
        ([end(), "no record", None], (None, 0)),
    ],
    ids=str,
)
def test_the_time_of_a_job_is_the_median_of_those_that_completed(ends, values, found):
    ends(*values)
    assert earlier_seconds("d", "t") == found
