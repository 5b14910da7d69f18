"""The private PostgreSQL of other tests: it is one, it survives what they do to it, and nothing of it is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import postgres
import psycopg2
import pytest
from postgres import PostgresMissingError, PostgresServer


@pytest.mark.slow
def test_it_takes_connections_over_its_url_and_leaves_nothing_behind():
    with PostgresServer() as server:
        with psycopg2.connect(server.url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
            cursor.execute("select current_database(), current_setting('server_encoding')")
            assert cursor.fetchone() == ("airflow", "UTF8")
        connection.close()
        home, pid = server._home, server.process.pid
    assert not home.exists()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_a_wrong_password_is_refused():
    with PostgresServer() as server:
        url = server.url.replace("+psycopg2", "").replace(server._password, "wrong")
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(url)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_data_and_the_url_outlive_a_restart(number):
    with PostgresServer() as server:
        url = server.create_database("other")
        server.query("create table kept (n int); insert into kept values (7)", "other")
        os.kill(server.process.pid, number)
        server.stop()
        server.start()
        assert server.query("select n, null from kept", "other") == [["7", ""]]
        assert server.url_of("other") == url


def test_missing_binaries_are_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(postgres.Path, "glob", lambda *_: iter(()))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PostgresMissingError, match="apt-get install postgresql"):
        PostgresServer()
