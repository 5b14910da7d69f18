"""Whether the answer comes from our Airflow: another program's server is told from it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest

from airflow_nbjobs.commands.demo.api import AirflowApi, ApiUnavailableError, is_signed_by
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
