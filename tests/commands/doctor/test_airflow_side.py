"""What the doctor reads of Airflow: of this environment, and of servers on loopback that answer as Airflow's API server, another server, or none."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata

import pytest
from airflow.jobs.job import Job
from job_rows import open_database
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from airflow_nbjobs.commands.doctor.airflow_side import AirflowSide
from airflow_nbjobs.ui.app import build_app

HEALTH = {"metadatabase": {"status": "healthy"}, "triggerer": {"status": None}}
INDEX = (
    200,
    {"Content-Type": "text/html"},
    b"<html>Airflow</html>",
)  # of Airflow's UI, for every address that it does not know


@contextmanager
def server(answers):
    """Serve answers by path, everything else as Airflow's UI does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answers.get(self.path, INDEX)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


def link_page():
    """Return the page of ours that asks nobody who they are, as the app answers."""
    from starlette.testclient import TestClient

    answer = TestClient(build_app()).get("/link.html")
    assert answer.status_code == 200
    return 200, dict(answer.headers), answer.content


def test_the_health_of_an_api_server_is_read():
    with server({"/api/v2/monitor/health": (200, {}, json.dumps(HEALTH).encode())}) as address:
        assert AirflowSide().health(address) == HEALTH


@pytest.mark.parametrize(
    "answer", [INDEX, (200, {}, b"[]"), (200, {}, b"{}"), (502, {}, b"bad gateway"), (404, {}, b"")]
)
def test_what_is_no_api_server_is_told(answer):
    with (
        server({"/api/v2/monitor/health": answer}) as address,
        pytest.raises(OSError, match="no API server of Airflow 3"),
    ):
        AirflowSide().health(address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "ftp://127.0.0.1", "nonsense"])
def test_an_address_at_which_nothing_answers(address):
    with pytest.raises(OSError, match=r"refused|no address of HTTP") as caught:
        AirflowSide().health(address)
    assert "urlopen" not in str(caught.value), "a reader is told the reason, not whose error it is"


def test_an_answer_that_is_no_http_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(OSError, match="no HTTP: BadStatusLine"):
            AirflowSide().health(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


def test_our_own_page_tells_that_the_api_server_has_the_tab():
    page = link_page()
    headers = {name: value for name, value in page[1].items() if name != "content-length"}
    with server({"/nbjobs/link.html": (page[0], headers, page[2])}) as address:
        assert AirflowSide().pages(address) == "there"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (INDEX, "absent"),
        ((404, {}, b""), "absent"),
        (
            (501, {}, b"The pages need Airflow 3.1 (No module named 'bleach').\n"),
            "The pages need Airflow 3.1 (No module named 'bleach').",
        ),
        ((502, {}, b""), "HTTP 502"),
    ],
)
def test_another_answer_in_its_place(answer, found):
    with server({"/nbjobs/link.html": answer}) as address:
        assert AirflowSide().pages(address) == found


def test_this_environment_meets_the_requirements_and_has_the_tab():
    side = AirflowSide()
    assert side.misfits() == []
    assert side.misfits("ui") == []
    assert side.is_registered()
    assert set(side.versions()) >= {"Python", "airflow-nbjobs", "apache-airflow", "boto3"}


def test_requirements_that_are_not_met_are_named_by_extra(monkeypatch):
    wanted = ["nobody-has-this>=1", "pytest<1", "nbformat>=1", "also-nobody; extra == 'ui'", "bleach<1; extra == 'ui'"]
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    assert AirflowSide().misfits() == [
        "nobody-has-this is not installed",
        f"pytest is {metadata.version('pytest')}, not <1",
    ]
    assert AirflowSide().misfits("ui") == [
        "also-nobody is not installed",
        f"bleach is {metadata.version('bleach')}, not <1",
    ]


def test_the_options_that_are_set_are_read_and_unknown_ones_too(monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__ROLE", "x")
    monkeypatch.setenv("AIRFLOW__NBJOBS__ROLLE", "x")
    assert {"role", "rolle"} <= AirflowSide().options()
    assert "subnets" not in AirflowSide().options()


def test_a_database_that_is_not_there_is_not_made(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/airflow.db")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        AirflowSide().database()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def database(monkeypatch):
    """Airflow's database, without its file; returns a session of it."""
    session = open_database("sqlite://", Job)

    @contextmanager
    def create_session(scoped=True):
        assert scoped is False
        yield session

    monkeypatch.setattr("airflow.utils.session.create_session", create_session)
    yield session
    session.close()
    session.bind.dispose()


def test_a_database_answers_once_airflow_has_made_its_tables(database, monkeypatch, tmp_path):
    (tmp_path / "airflow.db").write_text("")
    for url, kind in ((f"sqlite:///{tmp_path}/airflow.db", "sqlite"), ("postgresql://x@127.0.0.1:1/y", "postgresql")):
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
        with pytest.raises(OperationalError, match="alembic_version"):
            AirflowSide().database()
        database.rollback()
        database.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        assert AirflowSide().database() == kind
        database.execute(text("DROP TABLE alembic_version"))


def test_triggerers_that_say_they_run_are_read_and_whether_they_do(database):
    now = datetime.now(tz=UTC)
    rows = [
        ("TriggererJob", "running", 0),
        ("TriggererJob", "running", 9),
        ("TriggererJob", "success", 0),
        ("SchedulerJob", "running", 0),
    ]
    for number, (kind, state, days) in enumerate(rows):
        job = Job()
        job.job_type, job.state, job.hostname = kind, state, f"host-{number}"
        job.start_date, job.latest_heartbeat, job.end_date = now, now - timedelta(days=days), None
        database.add(job)
    database.commit()
    found = sorted(AirflowSide().triggerers(), key=lambda each: each.hostname)
    assert [(each.hostname, each.is_alive) for each in found] == [("host-0", True), ("host-1", False)]
    assert [(now - each.heartbeat.replace(tzinfo=UTC)).days for each in found] == [0, 9]


def test_an_address_without_http_is_none():
    with pytest.raises(OSError, match=r"'ftp://x/nbjobs/link\.html' is no address of HTTP"):
        AirflowSide().pages("ftp://x")
