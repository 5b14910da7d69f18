"""The demo for real: Airflow, the embedded SageMaker, and what is left of them afterwards."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest
from demo_processes import homes, marked_environment, marked_processes, until, until_none_is_left

from airflow_nbjobs.commands.demo.processes import check_port

pytestmark = pytest.mark.demo

START_SECONDS = 200
DAG = """
from airflow.sdk import DAG, task

with DAG("tiny", schedule="@daily", params={"fail": False}):

    @task
    def count():
        return {"outputs": {"answer": 42}}

    @task
    def check(params):
        if params["fail"]:
            raise ValueError("no bread left")

    count() >> check()
"""

NOTEBOOK_DAG = """
import os
from airflow.sdk import DAG
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("tiny", schedule=None):
    SageMakerNotebookJobOperator(
        task_id="sleep",
        input_notebook="asleep.ipynb",
        environment_variables={"DEMO_TEST_MARKER": os.environ["DEMO_TEST_MARKER"]},
    )
"""


def notebook(source):
    cells = [{"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": source}]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}


@pytest.fixture
def dags(tmp_path):
    folder = tmp_path / "my dags"
    folder.mkdir()
    (folder / "tiny.py").write_text(DAG)
    return folder


@pytest.fixture
def demo(dags, tmp_path):
    """Start ``nbjobs demo`` with own arguments; it and all that belongs to it ends with the test."""
    marker = uuid.uuid4().hex
    homes_before = homes()
    started = []

    def start(*arguments):
        command = [
            sys.executable,
            "-m",
            "airflow_nbjobs.cli",
            "demo",
            "--dags",
            str(dags),
            "--dag-id",
            "tiny",
            *arguments,
        ]
        with (tmp_path / "out.txt").open("wb") as output:
            # The user's own Airflow must not get in the way: were it read, nothing would start.
            environment = marked_environment(marker) | {
                "AIRFLOW__CORE__EXECUTOR": "no.such.Executor",
                "AWS_PROFILE": "none",
            }
            started.append(
                Demo(
                    subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT),
                    tmp_path,
                    marker,
                )
            )
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
    with contextlib.suppress(AssertionError):
        until_none_is_left(marker, seconds=30)
    left = marked_processes(marker)
    for process in left:
        process.kill()
    assert left == []
    assert homes() <= homes_before


class Demo:
    def __init__(self, process, folder, marker):
        self.process = process
        self.marker = marker
        self._file = folder / "out.txt"

    @property
    def output(self):
        return self._file.read_text()

    def until(self, text):
        until(
            lambda: text in self.output or self.process.poll() is not None,
            seconds=START_SECONDS,
            what=lambda: self.output,
        )
        assert text in self.output, self.output

    def exit_code(self, *, seconds=START_SECONDS):
        return self.process.wait(seconds)


def login_status(port, password):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        body = json.dumps({"username": "admin", "password": password})
        connection.request("POST", "/auth/token", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def page_behind(port, address):
    """Where an address leads, and what Airflow's API answers to whoever has the cookie that it has set."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", address.partition(str(port))[2])
        answer = connection.getresponse()
        answer.read()
        cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]
        connection.request("GET", "/api/v2/dags/tiny", headers={"Cookie": cookie})
        return answer.headers["Location"], connection.getresponse().status
    finally:
        connection.close()


def test_a_killed_demo_that_is_up_leaves_nothing_and_meanwhile_is_open_to_its_owner_only(demo):
    running = demo()
    running.until("Ctrl-C ends the demo")
    assert "answer = 42" in running.output
    port = int(re.search(r"Airflow: http://127\.0\.0\.1:(\d+)/dags/tiny/runs/demo", running.output).group(1))
    password = re.search(r"user admin   password (\S+)", running.output).group(1)
    assert login_status(port, password) == http.client.CREATED
    assert login_status(port, "admin") == http.client.UNAUTHORIZED
    address = re.search(r"already logged in \(the run\):\n  (\S+)", running.output).group(1)
    assert page_behind(port, address) == ("/dags/tiny/runs/demo", http.client.OK)
    assert page_behind(port, address.replace(password, "guessed")) == (None, http.client.UNAUTHORIZED)

    processes = marked_processes(running.marker)
    words = {word for one in processes for word in one.cmdline()}
    assert {"standalone", "scheduler", "dag-processor", "triggerer"} <= words
    addresses = [
        connection.laddr
        for one in processes
        for connection in one.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in addresses} == {"127.0.0.1"}
    assert len(addresses) == 2  # Airflow's API server and the embedded SageMaker; no log server
    airflow = next(one.environ() for one in processes if "standalone" in one.cmdline())
    home = Path(airflow["AIRFLOW_HOME"])
    assert home.stat().st_mode & 0o777 == 0o700
    connection = json.loads(airflow["AIRFLOW_CONN_AWS_DEFAULT"])
    shown_by_ps = " ".join(words)
    assert not any(secret in shown_by_ps for secret in (password, connection["login"], connection["password"]))

    running.process.kill()
    running.process.wait()
    until_none_is_left(running.marker, seconds=30)
    assert not home.exists()
    for address in addresses:
        with socket.socket() as probe:
            assert probe.connect_ex(address) != 0


def test_a_failed_task_ends_the_demo_with_1_and_its_error(demo):
    running = demo("--exit", "--conf", '{"fail": true}')
    assert running.exit_code() == 1
    assert re.search(r"count: success, \d", running.output)
    assert re.search(
        r"check: failed, [\d.]+ s\n  \| Task failed with exception\n  \| ValueError: no bread left", running.output
    )


def test_a_dag_that_cannot_be_imported_is_shown_with_its_error(demo, dags):
    (dags / "tiny.py").write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    running = demo("--exit")
    assert running.exit_code() == 2
    assert "nbjobs demo: no DAG 'tiny' in" in running.output
    assert "No module named 'no_such_module'" in running.output


def test_a_component_that_dies_ends_the_demo_with_its_last_lines(demo):
    """`airflow standalone` itself would go on without a scheduler."""
    running = demo()
    running.until("Ctrl-C ends the demo")
    scheduler = next(one for one in marked_processes(running.marker) if "scheduler" in one.cmdline())
    scheduler.kill()
    assert running.exit_code(seconds=60) == 1
    assert "nbjobs demo: Airflow's scheduler has ended:\nscheduler " in running.output


def test_a_killed_demo_takes_a_running_notebook_with_it(demo, dags):
    (dags / "asleep.ipynb").write_text(json.dumps(notebook("import time\nprint('started')\ntime.sleep(600)")))
    (dags / "tiny.py").write_text(NOTEBOOK_DAG)
    running = demo("--exit")
    running.until("running               cell")
    kernels = until(
        lambda: [one for one in marked_processes(running.marker) if "ipykernel_launcher" in " ".join(one.cmdline())],
        seconds=60,
        what=lambda: running.output,
    )
    assert kernels
    running.process.kill()
    running.process.wait()
    until_none_is_left(running.marker, seconds=30)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_a_signal_during_the_start_leaves_nothing(demo, number, code):
    """The fixture holds that no process and no folder is left."""
    running = demo()
    running.until("starting Airflow")
    until(lambda: len(marked_processes(running.marker)) > 4, seconds=30, what=lambda: running.output)
    running.process.send_signal(number)
    assert running.exit_code(seconds=30) == code


def test_ctrl_c_after_a_good_run_is_a_good_end_and_the_users_port_is_used(demo):
    port = check_port(0)
    running = demo("--port", str(port))
    running.until("Ctrl-C ends the demo")
    assert f"Airflow: http://127.0.0.1:{port}/" in running.output
    running.process.send_signal(signal.SIGINT)
    assert running.exit_code(seconds=30) == 0
    assert marked_processes(running.marker) == []


def test_a_good_run_ends_with_0_when_it_was_asked_to_exit(demo):
    running = demo("--exit")
    assert running.exit_code() == 0
    assert "Run success" in running.output
    assert "Ctrl-C" not in running.output
    assert marked_processes(running.marker) == []
