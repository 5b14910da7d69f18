"""What the demo makes of a run: its report, its exit code and the page to open, from Airflow's REST API and the job's log."""

from __future__ import annotations

import argparse
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import FakeContainerLogs

from airflow_nbjobs.commands.demo.api import AirflowApi
from airflow_nbjobs.commands.demo.app import _Demo
from airflow_nbjobs.commands.demo.logs import CellProgress
from airflow_nbjobs.commands.demo.processes import DemoError, check_port
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.xcoms import JOB_KEY, NOTEBOOK_LINK_KEY
from airflow_nbjobs.core.notebook.progress import newest_cells

RUN = "/api/v2/dags/d/dagRuns/r"
TRAIN = f"{RUN}/taskInstances/train"
JOB = {"version": 1, "job_name": "d-train-1"}
TAB = "/dags/d/runs/r/tasks/train/plugin/notebook"


@pytest.fixture
def airflow():
    """Airflow's answers by path; 404 for every other."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer = answers.get(self.path.partition("?")[0])
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments):
            """Tests print nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield SimpleNamespace(answers=answers, port=listening.server_address[1])
    listening.shutdown()
    listening.server_close()
    thread.join()


def instance(state):
    begun, ended = "2026-11-24T12:00:00Z", None if state == "running" else "2026-11-24T12:00:08Z"
    return {
        "dag_id": "d",
        "dag_run_id": "r",
        "task_id": "train",
        "map_index": -1,
        "try_number": 1,
        "state": state,
        "start_date": begun,
        "end_date": ended,
    }


@pytest.fixture
def follow(airflow):
    """Follow a run that has ended; return the exit code, and what is to be opened."""

    def run(state, xcoms):
        airflow.answers[RUN] = {"state": state}
        airflow.answers[f"{RUN}/taskInstances"] = {"task_instances": [instance(state)]}
        airflow.answers[f"{TRAIN}/logs/1"] = {"content": [{"event": "ZeroDivisionError", "level": "error"}]}
        airflow.answers |= {f"{TRAIN}/xcomEntries/{key}": {"value": value} for key, value in xcoms.items()}
        args = argparse.Namespace(dag_id="d", conf={}, timeout=60.0, exit=True)
        demo = _Demo(args, None, airflow=Path("airflow"), dags=Path(), port=airflow.port)
        return demo._follow("r", None), demo._to_open

    return run


@pytest.mark.parametrize(("state", "code"), [("success", 0), ("failed", 1)])
def test_the_page_to_open_is_the_tab_of_the_notebook(airflow, follow, capsys, state, code):
    link = f"http://127.0.0.1:{airflow.port}{TAB}"
    assert follow(state, {JOB_KEY: JOB, NOTEBOOK_LINK_KEY: link}) == (code, (TAB, "the notebook of 'train'"))
    assert ("ZeroDivisionError" in capsys.readouterr().out) is (state == "failed")


@pytest.mark.parametrize(
    "xcoms",
    [{}, {JOB_KEY: JOB}, {JOB_KEY: JOB, NOTEBOOK_LINK_KEY: "https://eu-west-1.console.aws.amazon.com/x"}],
    ids=["no notebook", "no link", "a link to elsewhere"],
)
def test_without_a_tab_it_is_left_to_the_run(follow, xcoms):
    assert follow("success", xcoms) == (0, None)


def test_a_log_that_says_nothing_of_cells_leaves_what_is_known(airflow):
    """A chatty cell pushes the bar out of the log's tail."""
    airflow.answers[f"{TRAIN}/xcomEntries/{JOB_KEY}"] = {"value": JOB}
    progress = CellProgress(AirflowApi(airflow.port), None)
    logs = FakeContainerLogs()
    progress._clients = SimpleNamespace(logs=logs)
    seen = []
    for lines in (
        ["2026/01/02 pulled"],
        ["Executing:  25%|██▌  | 16/63 [00:18<00:30,  1.54cell/s]"],
        ["epoch 7"] * 3,
    ):
        logs.lines["d-train-1"] = lines
        seen.append(dict(progress.cells([instance("running")])))
    assert seen == [{}, {"train": (16, 63)}, {"train": (16, 63)}]


def test_the_report_has_what_each_task_has_left(airflow, follow, capsys):
    uri = "s3://b/x.ipynb"
    code, _ = follow("success", {JOB_KEY: JOB | {"executed_notebook_uri": uri}, "return_value": {"outputs": {"a": 1}}})
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    (line, *report) = said.out.splitlines()[:-1]
    assert line.split()[3:] == ["train", "success"]
    assert report[0] == ""
    assert report[1].startswith("Run success after ")
    assert report[2:] == ["", "train: success, 8.0 s", "  a = 1", f"  executed notebook: {uri}"]


def test_a_run_that_ended_well_with_a_task_that_did_not_is_no_success(airflow, follow):
    """A DAG may let a task fail."""
    follow("failed", {})
    airflow.answers[RUN] = {"state": "success"}
    args = argparse.Namespace(dag_id="d", conf={}, timeout=60.0, exit=True)
    demo = _Demo(args, None, airflow=Path("airflow"), dags=Path(), port=airflow.port)
    assert demo._follow("r", None) == 1


class Processes:
    """What the demo has started, in the state that a test says."""

    def __init__(self, home, *, has_ended=False, exit_codes=()):
        self.home = home
        self._has_ended = has_ended
        self._exit_codes = dict(exit_codes)

    def has_ended(self):
        return self._has_ended

    def exit_code(self, name):
        return self._exit_codes.get(name)

    def log_tail(self, name, *, limit=20, only=""):
        return [f"last line of {name}, {only}"]


def demo_with(airflow, processes, timeout=60.0):
    args = argparse.Namespace(dag_id="d", conf={}, timeout=timeout, exit=True)
    return _Demo(args, processes, airflow=Path("airflow"), dags=Path(), port=airflow.port)


def test_a_run_that_takes_too_long_is_given_up_with_what_there_is(airflow, capsys, tmp_path):
    airflow.answers[RUN] = {"state": "running"}
    airflow.answers[f"{RUN}/taskInstances"] = {"task_instances": [instance("running")]}
    assert demo_with(airflow, Processes(tmp_path), timeout=0.3)._follow("r", None) == 1
    said = capsys.readouterr()
    assert "Run running after " in said.out
    assert "train: running, " in said.out
    assert said.err == "nbjobs demo: gave up after --timeout 0.3 s\n"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"has_ended": True}, "the demo's supervisor process was killed"),
        ({"exit_codes": {"sagemaker": 3}}, "sagemaker ended with exit code 3:\nlast line of sagemaker, "),
        ({"exit_codes": {"airflow": 0}}, "airflow ended with exit code 0:\nlast line of airflow, "),
    ],
    ids=["supervisor", "sagemaker", "airflow"],
)
@pytest.mark.parametrize("has_started", [False, True])
def test_what_ends_meanwhile_ends_the_demo_with_its_last_lines(airflow, tmp_path, state, said, has_started):
    demo = demo_with(airflow, Processes(tmp_path, **state))
    demo._has_started = has_started
    with pytest.raises(DemoError) as ended:
        demo._check_processes()
    assert (str(ended.value), ended.value.exit_code) == (said, 1 if has_started else 2)


@pytest.mark.parametrize("component", ["api-server", "scheduler", "dag-processor", "triggerer"])
def test_a_component_that_ends_ends_the_demo(airflow, tmp_path, component):
    for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
        (tmp_path / f"{name}.pid").write_text(f"{os.getpid()}\n")
    demo = demo_with(airflow, Processes(tmp_path))
    demo._check_processes()
    (tmp_path / f"{component}.pid").write_text("being written")
    demo._check_processes()
    (tmp_path / f"{component}.pid").write_text("4194999")  # above every process id
    with pytest.raises(DemoError, match=f"Airflow's {component} has ended:\nlast line of airflow, {component}"):
        demo._check_processes()


def test_the_first_address_logs_in_and_the_second_says_the_password(airflow, tmp_path):
    demo = demo_with(airflow, Processes(tmp_path))
    password, url = demo._keys.password, f"http://127.0.0.1:{airflow.port}"
    assert demo._addresses("/dags/d", "the run").splitlines() == [
        "Open first, already logged in (the run):",
        f"  {url}/nbjobs-demo/{password}/dags/d",
        f"Airflow: {url}/dags/d",
        f"  user admin   password {password}",
    ]


@pytest.mark.parametrize(
    ("state", "is_read"), [("running", True), ("deferred", True), ("success", False), ("queued", False), (None, False)]
)
def test_only_the_logs_of_tasks_that_run_now_are_read(airflow, state, is_read):
    airflow.answers[f"{TRAIN}/xcomEntries/{JOB_KEY}"] = {"value": JOB}
    progress = CellProgress(AirflowApi(airflow.port), None)
    logs = FakeContainerLogs()
    logs.lines["d-train-1"] = ["Executing:  25%|██▌  | 16/63 [00:18<00:30,  1.54cell/s]"]
    progress._clients = SimpleNamespace(logs=logs)
    mapped = instance(state) | {"map_index": 2}
    assert progress.cells([mapped]) == ({"train[2]": (16, 63)} if is_read else {})


@pytest.mark.parametrize("broken", ["log", "airflow", "job"])
def test_progress_that_cannot_be_read_is_no_error(airflow, broken):
    if broken != "job":
        airflow.answers[f"{TRAIN}/xcomEntries/{JOB_KEY}"] = {"value": JOB}
    progress = CellProgress(AirflowApi(check_port(0) if broken == "airflow" else airflow.port), None)
    logs = FakeContainerLogs()
    logs.error = NotebookJobServiceError("AccessDenied", code="AccessDenied") if broken == "log" else None
    progress._clients = SimpleNamespace(logs=logs)
    assert progress.cells([instance("running")]) == {}


def test_only_cells_of_the_author_are_counted(airflow):
    """What the job has added of its own is none of them."""
    airflow.answers[f"{TRAIN}/xcomEntries/{JOB_KEY}"] = {"value": JOB | {"added_cells": [1, 63]}}
    progress = CellProgress(AirflowApi(airflow.port), None)
    logs = FakeContainerLogs()
    logs.lines["d-train-1"] = ["Executing:  25%|██▌  | 16/63 [00:18<00:30,  1.54cell/s]"]
    progress._clients = SimpleNamespace(logs=logs)
    assert progress.cells([instance("running")]) == {"train": newest_cells(logs.lines["d-train-1"][0], (1, 63))}
    assert newest_cells(logs.lines["d-train-1"][0], (1, 63)) != (16, 63)
