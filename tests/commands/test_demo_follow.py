"""What the demo makes of a run: its report, its exit code and the page to open, from Airflow's REST API and the job's log."""

from __future__ import annotations

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import FakeContainerLogs

from airflow_nbjobs.commands.demo.api import AirflowApi
from airflow_nbjobs.commands.demo.app import _Demo
from airflow_nbjobs.commands.demo.logs import CellProgress
from airflow_nbjobs.core.job.xcoms import JOB_KEY, NOTEBOOK_LINK_KEY

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
