"""What the tab's routes answer: why a task failed, and of which job parameters, outputs and try are."""

import asyncio
import json
import re
from html import unescape

import httpx
import pytest
from fakes import code, executed, failed_at, notebook
from msgspec.structs import replace
from ui_account import Account, hint, in_routes, task_instance

from airflow_nbjobs.core.error_record import error_record, parse_error_record
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobTimeoutError,
    NotebookSkippedError,
)
from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.core.values.outputs import prepare_outputs
from airflow_nbjobs.core.values.parameter_cell import prepare_parameters
from airflow_nbjobs.ui import access
from airflow_nbjobs.ui.app import build_app
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.renderer import Renderer
from airflow_nbjobs.ui.routes.dependencies import task_instance_of

RAW = notebook(code("epochs = 1\nname = ''\nrates = []", "parameters"), "accuracy = 0.5", "print('end')")
GIVEN = {"epochs": 3, "name": "3", "rates": [0.1, float("inf")], "flag": True, "none": None, "long": "x" * 5000}


def ran(parameters=None, outputs=None, *, failed=None):
    staged = prepare_outputs(
        prepare_parameters(parse_notebook(RAW, source="nb"), parameters or {}), list(outputs or ())
    )
    return failed_at(RAW, *failed) if failed else executed(json.dumps(staged).encode(), outputs or {})


class Tab:
    """The routes of one task instance, asked as its page asks them."""

    def __init__(self, notebooks, account):
        self.account = account
        self.ti = task_instance()
        self.handed_over = {}  # what Airflow's database has of its outputs
        app = build_app(notebooks)
        app.dependency_overrides = {task_instance_of: lambda: self.ti} | {
            permission.dependency: lambda: None for permission in (access.may_read_results, access.may_read_logs)
        }
        self._app, self.notebooks = app, notebooks

    def of(self, error=None, *, try_number=1, **fields):
        """Let the task instance be one that has failed with this error."""
        record = error and parse_error_record(error_record(error, try_number=try_number, mask=str))
        self.ti = task_instance(**{"state": "failed", "error": record, "try_number": try_number} | fields)
        return self

    def add_job(self, *, of=None, body=None, status="Failed", secondary=None, reason="", **environment):
        name = self.account.add_job(of or self.ti, status=status, **environment)
        description = self.account.clients.jobs.descriptions[name]
        description |= {"FailureReason": reason, "SecondaryStatus": secondary or status}
        if body is not None:
            self.account.deliver(name, body)
        return name

    def get(self, route="", *, headers=None, **query):
        async def asked():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://airflow") as client:
                return await client.get(f"/ti/d/r/t/-1{route}", params=query, headers=headers)

        return asyncio.run(asked())

    def known(self, **query):
        page = self.get(**query).text
        return json.loads(unescape(re.search(r'<script type="application/json" id="known">(.*?)</script>', page)[1]))

    def answer(self, **query):
        return self.get("/notebook.json", **query).json()


@pytest.fixture
def tab(renderer, monkeypatch):
    account = Account()
    notebooks = Notebooks(account.access, renderer, live_seconds=0)
    tab = Tab(notebooks, account)
    in_routes(monkeypatch, "read_outputs", lambda *_: (tab.handed_over, len(tab.handed_over)))
    yield tab
    notebooks.renderer = Renderer()  # the shared one goes on
    notebooks.close()


def test_a_task_that_was_refused_says_why_and_what_to_do(tab):
    error = NotebookJobConfigError("cannot run", problems=["role: missing"], details={"next": "give a role"})
    tab.of(error, job=None)
    assert tab.known()["failure"] == {
        "title": "Cannot run",
        "problems": ["role: missing"],
        "advice": "give a role",
        "text": str(error),
        "is_of_cell": False,
        "is_skip": False,
    }
    answer = tab.answer()
    assert (answer["code"], answer["title"]) == ("no-job", "No notebook job was submitted")


def test_a_refused_try_is_not_hidden_behind_the_job_of_a_try_before(tab):
    """Cleared and refused: the job before has its own outputs, and is a choice."""
    tab.of(NotebookJobConfigError("cannot run"), job=None, attempts=(hint(),), try_number=2)
    first = tab.add_job(status="Completed", body=ran(outputs={"accuracy": 0.5}), NBJOBS_TRY_NUMBER="1")
    answer = tab.answer()
    assert answer["code"] == "no-job"
    assert [each["job_name"] for each in answer["attempts"]] == ["", first]
    earlier = tab.answer(job=first)
    assert (earlier["status"], earlier["facts"]["try"], earlier["failure"]) == ("ok", "1", None)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("upstream_failed", "A task before this one failed"),
        ("skipped", "The task was skipped"),
        ("success", "The task was marked as successful"),
        ("failed", "The task ended without a notebook job"),
    ],
)
def test_without_a_job_and_a_word_it_is_said_what_airflow_knows(tab, state, words):
    tab.of(job=None, state=state)
    assert tab.answer()["title"] == words


def test_the_word_of_another_try_is_not_this_ones(tab):
    tab.of(NotebookJobConfigError("old"), job=None)
    tab.ti = replace(tab.ti, try_number=2, state="queued")
    assert tab.known()["failure"] is None
    tab.ti = replace(tab.ti, try_number=1, state="success")
    assert tab.known()["failure"] is None


def test_a_timeout_marks_the_cell_that_ran(tab):
    error = NotebookJobTimeoutError("Notebook job 'x' was stopped after its time", details={"next": "raise it"})
    tab.of(error)
    name = tab.add_job(status="Stopped", secondary="MaxRuntimeExceeded", body=half_run())
    answer = tab.answer()
    assert answer["failure"]["title"] == "Was stopped after its time"
    assert answer["failure"]["advice"] == "raise it"
    assert answer["notebook"]["failed"] is None
    assert answer["notebook"]["stopped"] == {"anchor": "cell-2", "index": 2}
    document = tab.get("/notebook.html", job=name).text
    assert re.findall(r'nb-failed" id="(\S+)"', document) == ["cell-2"]
    assert "last cell that ran" in document


def half_run(status="running"):
    """Return a notebook whose second cell runs, or was the last that did."""
    book = json.loads(executed(RAW))
    for place, cell in enumerate(book["cells"]):
        times = {"start_time": "2026-01-01T00:00:00"} if place < 2 else {"start_time": None}
        cell["metadata"]["papermill"] = {"status": "completed" if place < 1 else status} | times
        if place > 1:
            cell["metadata"]["papermill"]["status"] = "pending"
            cell["execution_count"] = None
    return json.dumps(book).encode()


def test_a_dead_kernel_marks_the_cell_that_ran_although_papermill_calls_it_completed(tab):
    tab.of()
    tab.add_job(reason="AlgorithmError: DeadKernelError: Kernel died", body=half_run("completed"))
    assert tab.answer()["notebook"]["stopped"] == {"anchor": "cell-2", "index": 2}


def test_a_notebook_that_runs_or_has_completed_has_no_such_mark(tab):
    tab.of(state="running")
    tab.add_job(status="Completed", body=half_run())
    assert tab.answer()["notebook"]["stopped"] is None


def test_the_mark_comes_when_a_live_notebook_ends_unchanged(tab):
    """The copy made while it ran is the same object, rendered without the mark before."""
    tab.of(state="running")
    name = tab.add_job(status="InProgress", NBJOBS_LIVE_NOTEBOOK="1")
    location = tab.notebooks.jobs.find(tab.ti, None).location.live_notebook_uri
    tab.account.clients.objects.bodies[location] = half_run()
    assert tab.answer()["notebook"]["stopped"] is None
    tab.account.clients.jobs.descriptions[name] |= {"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}
    tab.ti = replace(tab.ti, state="failed")
    assert tab.answer()["notebook"]["stopped"]["index"] == 2


@pytest.mark.parametrize(
    ("ended", "title", "advice"),
    [
        (("Stopped", "MaxRuntimeExceeded", ""), "its time was used up", "max_runtime_in_seconds"),
        (("Stopped", "Stopped", ""), "was stopped by somebody", "clear the task"),
        (("Failed", "Failed", "CapacityError: no ml.p5"), "got no instance: capacityerror: no ml.p5", "retry later"),
        (("Failed", "Failed", "InternalServerError: try again"), "failed in sagemaker itself", "retry"),
        (("Failed", "Failed", "ClientError: bad image"), "could not run: clienterror: bad image", "check the image"),
        (("Failed", "Failed", "AlgorithmError: No such kernel named r42"), "no kernel 'r42'", "kernel_name"),
        (("Failed", "Failed", "AlgorithmError: x"), "failed: algorithmerror: x", "read the job's log"),
    ],
)
def test_where_no_task_has_spoken_sagemakers_own_words_are_told(tab, ended, title, advice):
    """Its worker or the driver died, or the record is another try's."""
    status, secondary, reason = ended
    tab.of()
    tab.add_job(status=status, secondary=secondary, reason=reason)
    answer = tab.answer()
    assert title in answer["failure"]["title"].lower()
    assert advice in answer["failure"]["advice"]
    assert answer["code"] == "gone"


@pytest.mark.parametrize(
    ("status", "state", "title", "advice"),
    [
        ("Completed", "failed", "its job has completed", "SageMakerNotebookJobSensor(job_name='"),
        ("InProgress", "failed", "its job goes on", "SageMakerNotebookJobSensor(job_name='"),
        ("InProgress", "up_for_retry", "its job goes on", "the next try takes the job over"),
    ],
)
def test_a_task_that_died_without_a_word_is_told_from_its_job(tab, status, state, title, advice):
    tab.of(state=state)
    tab.add_job(status=status, body=ran())
    said = tab.answer()["failure"]
    assert title in said["title"]
    assert advice in said["advice"]


@pytest.mark.parametrize("state", ["success", "running", "deferred"])
def test_a_task_that_goes_well_has_no_failure(tab, state):
    tab.of(state=state)
    tab.add_job(status="Completed", body=ran())
    assert (tab.known()["failure"], tab.answer()["failure"]) == (None, None)


def test_a_failing_cell_is_told_by_the_notebook_with_the_tasks_advice(tab):
    tab.of(NotebookCellError("failed in cell 2: ValueError: no", cell=2, details={"next": "install it"}))
    tab.add_job(body=ran(failed=(2, "ValueError", "no")))
    answer = tab.answer()
    assert (answer["failure"]["is_of_cell"], answer["failure"]["advice"]) == (True, "install it")
    assert answer["notebook"]["failed"]["index"] == 2
    assert answer["notebook"]["stopped"] is None


def test_a_skip_is_no_failure(tab):
    tab.of(NotebookSkippedError("Notebook job 'x' asks in cell 2 to be skipped", cell=2), state="skipped")
    tab.add_job(body=ran(failed=(2, "AirflowSkipException", "no rows")))
    said = tab.answer()["failure"]
    assert (said["title"], said["is_skip"], said["is_of_cell"]) == ("Asks in cell 2 to be skipped", True, False)


WAITING = {"for": "an instance or quota", "reason": "CapacityError: none", "until": "2026-01-01 03:00:00+00:00"}


def test_a_task_that_waits_for_capacity_says_so_and_then_that_it_gave_up(tab):
    tab.of(state="deferred", job=hint(waiting=WAITING))
    answer = tab.answer()
    assert (answer["code"], answer["is_passing"]) == ("waiting", True)
    assert "an instance or quota" in answer["title"]
    assert answer["details"] == ["CapacityError: none"]
    tab.of(NotebookJobCapacityError("got no instance", details={"next": "another type"}), job=hint(waiting=WAITING))
    assert tab.known()["failure"]["advice"] == "another type"
    assert tab.answer()["code"] == "no-job"


def test_what_an_xcom_holds_is_escaped(tab):
    tab.of(NotebookJobConfigError("</script><img src=x onerror=alert(1)>"), job=None)
    page = tab.get().text
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert tab.known()["failure"]["title"].startswith("</script><img")


def rows(found):
    return {row["name"]: (row["type"], row["text"]) for row in found}


def test_parameters_are_those_that_the_notebook_got(tab):
    """Airflow's record of them is rendered text, masked and cut."""
    tab.of(state="success", rendered={"parameters": {"epochs": "3", "name": "***"}})
    tab.add_job(status="Completed", body=ran(GIVEN))
    assert rows(tab.known()["parameters"])["epochs"] == ("str", "'3'")
    assert rows(tab.answer()["parameters"]) == {
        "epochs": ("int", "3"),
        "name": ("str", "'3'"),
        "rates": ("list", "[0.1, inf]"),
        "flag": ("bool", "True"),
        "none": ("None", "None"),
        "long": ("str", repr("x" * 5000)),
    }


def test_parameters_that_are_texts_are_in_the_cell_of_the_driver(tab):
    book = json.loads(executed(RAW))
    tags = {"tags": ["injected-parameters"]}
    injected = {**book["cells"][0], "metadata": tags, "source": '# Parameters\nday = "2026-01-01"\nrows = "7"\n'}
    book["cells"].insert(1, injected)
    tab.of(state="success")
    tab.add_job(status="Completed", body=json.dumps(book).encode())
    assert rows(tab.answer()["parameters"]) == {"day": ("str", "'2026-01-01'"), "rows": ("str", "'7'")}


@pytest.mark.parametrize(
    "source",
    ["x = open('a')", "x, y = 1, 2", "x = [1, *y]", "x = {**y}", "import os", "x = 1 +", "x = " + "[" * 5000, "\0"],
)
def test_a_parameters_cell_that_says_something_else_is_not_believed(tab, source):
    book = json.loads(executed(RAW))
    injected = {**book["cells"][0], "metadata": {"tags": ["injected-parameters"]}, "source": source}
    book["cells"].insert(1, injected)
    tab.of(state="success", rendered={"parameters": {"x": 1}})
    tab.add_job(status="Completed", body=json.dumps(book).encode())
    assert rows(tab.answer()["parameters"]) == {"x": ("int", "1")}


def test_before_there_is_a_notebook_the_jobs_own_texts_stand_in_for_a_record_that_was_cut(tab):
    tab.of(state="running", rendered={"parameters": "Truncated. {'epochs': 3, 'lo..."})
    name = tab.add_job(status="InProgress")
    tab.account.clients.jobs.descriptions[name]["HyperParameters"] = {"epochs": "3"}
    assert rows(tab.answer()["parameters"]) == {"epochs": ("", "3")}


def two_jobs(tab):
    """Let a cleared task have failed with its first job and succeeded with its second."""
    first_hint, second_hint = hint(attempt=0), hint(attempt=1)
    tab.of(job=first_hint)
    first = tab.add_job(body=ran({"epochs": 1}, {"accuracy": 0.1}), NBJOBS_TRY_NUMBER="1", reason="CapacityError: gone")
    error = error_record(NotebookJobTimeoutError("TimedCache out", job_name=first), try_number=1, mask=str)
    attempts = ({**first_hint, "job_name": first, "error": error}, second_hint)
    tab.ti = task_instance(
        job={**second_hint, "input_notebook": "new.ipynb"},
        attempts=attempts,
        try_number=2,
        rendered={"parameters": {"epochs": 2}},
    )
    tab.handed_over = {"accuracy": 0.9}
    second = tab.add_job(status="Completed", body=ran({"epochs": 2}, {"accuracy": 0.9}), NBJOBS_TRY_NUMBER="2")
    tab.ti = replace(tab.ti, job={**tab.ti.job, "job_name": second})
    return first, second


def test_an_earlier_job_shows_its_own_parameters_outputs_try_and_failure(tab):
    first, second = two_jobs(tab)
    now, then = tab.answer(), tab.answer(job=first)
    assert [rows(each["parameters"])["epochs"] for each in (then, now)] == [("int", "1"), ("int", "2")]
    assert [rows(each["outputs"])["accuracy"] for each in (then, now)] == [("float", "0.1"), ("float", "0.9")]
    assert [each["facts"]["try"] for each in (then, now)] == ["1", "2"]
    assert [each["facts"]["job_name"] for each in (then, now)] == [first, second]
    assert then["failure"]["title"] == "TimedCache out"
    assert "earlier job" in then["earlier"]
    assert (now["failure"], now["earlier"]) == (None, None)


def test_the_page_of_an_earlier_job_shows_nothing_of_the_last_one_while_it_loads(tab):
    first, second = two_jobs(tab)
    known = tab.known(job=first)
    assert known == {"failure": None, "parameters": [], "outputs": []}
    page = tab.get(job=first).text
    assert second not in page
    assert "new.ipynb" not in page
    assert rows(tab.known(job=second)["outputs"]) == {"accuracy": ("float", "0.9")}


def test_an_answer_changes_with_how_the_task_ended_and_not_only_with_the_notebook(tab):
    """The browser keeps the last one and asks whether it is still right."""
    tab.of(state="running")
    tab.add_job(status="Completed", body=ran())
    first = tab.get("/notebook.json")
    again = {"If-None-Match": first.headers["etag"]}
    assert tab.get("/notebook.json", headers=again).status_code == 304
    tab.ti = replace(tab.ti, state="failed")
    assert tab.get("/notebook.json", headers=again).json()["failure"] is not None
