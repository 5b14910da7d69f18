"""Whether the answer comes from our Airflow: another program's server is told from it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest

from airflow_nbjobs.commands.demo.api import AirflowApi, ApiRefusedError, ApiUnavailableError, is_signed_by
from airflow_nbjobs.commands.demo.processes import check_port

OURS, THEIRS = "ours" * 16, "theirs" * 16


def token(secret, *, algorithm="HS512"):
    return jwt.encode({"sub": "admin", "exp": 0}, None if algorithm == "none" else secret, algorithm=algorithm)


@pytest.fixture
def server():
    """A server of another program, answering each request with what the test says."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            """Tests print nothing."""

    status, content = 200, b"{}"
    started = []

    def start(new_status, new_content):
        nonlocal status, content
        status, content = new_status, new_content
        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((listening, thread))
        return listening.server_address[1]

    yield start
    for listening, thread in started:
        listening.shutdown()
        listening.server_close()
        thread.join()


def test_a_token_proves_who_knows_the_secret():
    assert is_signed_by(token(OURS), OURS)
    assert not is_signed_by(token(THEIRS), OURS)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", token("", algorithm="none"), "ä.ö.ü"])
def test_what_is_no_token_proves_nothing(text):
    assert not is_signed_by(text, OURS)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (201, json.dumps({"access_token": token(THEIRS)}).encode()),
        (200, b"<html>somebody else's page</html>"),
        (200, b"[]"),
        (401, b"no"),
        (500, b"{}"),
        (503, b"busy"),
    ],
)
def test_another_programs_server_is_not_taken_for_ours(server, status, content):
    with pytest.raises(ApiUnavailableError):
        AirflowApi(server(status, content)).log_in(password="x", jwt_secret=OURS)


def test_our_server_is_known_by_its_token(server):
    AirflowApi(server(201, json.dumps({"access_token": token(OURS)}).encode())).log_in(password="x", jwt_secret=OURS)


def test_nobody_listening_is_not_up_yet():
    with pytest.raises(ApiUnavailableError, match="no answer from Airflow"):
        AirflowApi(check_port(0)).log_in(password="x", jwt_secret=OURS)


# -- what it asks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def airflow():
    """A server that keeps each request, and answers by method and path: (status, JSON); 404 for every other."""
    answers, seen = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append((self.command, self.path, json.loads(body) if body else None, self.headers["Authorization"]))
            status, answer = answers.get(f"{self.command} {self.path}", (404, {"detail": "none"}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_POST = do_PATCH = do_GET  # noqa: N815 - the server's own names

        def log_message(self, *arguments):
            """Tests print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        api = AirflowApi(listening.server_address[1])
        api.answers, api.seen = answers, seen
        yield api
        listening.shutdown()
        thread.join()


TASK = {"dag_id": "a/b", "dag_run_id": "r 1", "task_id": "g.t", "map_index": 3, "try_number": 2}
PATH = "/api/v2/dags/a%2Fb/dagRuns/r%201"


def test_the_token_is_asked_for_with_the_password_and_sent_from_then_on(airflow):
    airflow.answers["POST /auth/token"] = (201, {"access_token": token(OURS)})
    airflow.log_in(password="p", jwt_secret=OURS)
    airflow.has_dag("d")
    (_, _, body, before), (_, _, nothing, after) = airflow.seen
    assert (body, before) == ({"username": "admin", "password": "p"}, None)
    assert (nothing, after) == (None, f"Bearer {token(OURS)}")


def test_a_component_without_a_heartbeat_is_named(airflow):
    names = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    health = {name: {"status": "healthy"} for name in names}
    airflow.answers["GET /api/v2/monitor/health"] = (200, health)
    assert airflow.unhealthy() == []
    airflow.answers["GET /api/v2/monitor/health"] = (
        200,
        health | {"triggerer": None, "scheduler": {"status": "unhealthy"}, "other": {}},
    )
    assert airflow.unhealthy() == ["scheduler", "triggerer"]
    airflow.answers["GET /api/v2/monitor/health"] = (200, {})
    assert airflow.unhealthy() == list(names)


def test_a_dag_is_there_or_not_and_a_refusal_is_neither(airflow):
    assert airflow.has_dag("a/b") is False
    airflow.answers["GET /api/v2/dags/a%2Fb"] = (200, {})
    assert airflow.has_dag("a/b") is True
    airflow.answers["GET /api/v2/dags/a%2Fb"] = (403, {"detail": "no"})
    with pytest.raises(ApiRefusedError, match=r"HTTP 403: .*no") as refused:
        airflow.has_dag("a/b")
    assert refused.value.status == 403


def test_dags_and_files_that_cannot_be_imported_are_listed(airflow):
    airflow.answers["GET /api/v2/dags?limit=100"] = (200, {"dags": [{"dag_id": "a"}, {"dag_id": "b"}]})
    errors = [{"filename": "x.py", "stack_trace": "\nTraceback\n"}]
    airflow.answers["GET /api/v2/importErrors?limit=20"] = (200, {"import_errors": errors})
    assert airflow.dag_ids() == ["a", "b"]
    assert airflow.import_errors() == {"x.py": "Traceback"}


def test_a_run_begins_once_its_dag_is_unpaused(airflow):
    """Without a logical date: the run is of no day."""
    airflow.answers["PATCH /api/v2/dags/a%2Fb"] = (200, {})
    airflow.answers["POST /api/v2/dags/a%2Fb/dagRuns"] = (200, {"dag_run_id": "as Airflow says"})
    assert airflow.trigger("a/b", {"rows": 1}) == "as Airflow says"
    assert [(method, body) for method, _, body, _ in airflow.seen] == [
        ("PATCH", {"is_paused": False}),
        ("POST", {"dag_run_id": "demo", "logical_date": None, "conf": {"rows": 1}}),
    ]


def test_a_run_its_tasks_and_their_logs_are_read(airflow):
    airflow.answers[f"GET {PATH}"] = (200, {"state": "running"})
    airflow.answers[f"GET {PATH}/taskInstances?limit=100"] = (200, {"task_instances": [TASK]})
    airflow.answers[f"GET {PATH}/taskInstances/g.t/logs/2?full_content=true&map_index=3"] = (200, {"content": ["line"]})
    assert airflow.run_state("a/b", "r 1") == "running"
    assert airflow.task_instances("a/b", "r 1") == [TASK]
    assert airflow.log_events(TASK) == ["line"]


@pytest.mark.parametrize(
    ("value", "read"), [({"a": 1}, {"a": 1}), ('{"a": 1}', {"a": 1}), ("text", "text"), (3, 3), (None, None)]
)
def test_an_xcom_is_its_value_also_where_airflow_gives_its_text(airflow, value, read):
    airflow.answers[f"GET {PATH}/taskInstances/g.t/xcomEntries/a%20key?map_index=3"] = (200, {"value": value})
    assert airflow.xcom(TASK, "a key") == read


def test_an_xcom_that_is_not_there_is_none_and_a_refusal_is_told(airflow):
    assert airflow.xcom(TASK, "key") is None
    airflow.answers[f"GET {PATH}/taskInstances/g.t/xcomEntries/key?map_index=3"] = (400, {})
    with pytest.raises(ApiRefusedError):
        airflow.xcom(TASK, "key")


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ApiRefusedError), (499, ApiRefusedError), (500, ApiUnavailableError)]
)
def test_a_busy_airflow_is_told_from_one_that_refuses(airflow, status, kind):
    airflow.answers[f"GET {PATH}"] = (status, {"detail": "x" * 1000})
    with pytest.raises(kind, match=f"HTTP {status}") as error:
        airflow.run_state("a/b", "r 1")
    assert len(str(error.value)) < 600
