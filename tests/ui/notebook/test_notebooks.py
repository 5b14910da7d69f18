"""Which object the API server opens for a task instance, what it costs, and what it says where there is none."""

import json
import os
import shutil
import signal
import subprocess
from html import unescape

import nbformat
import pytest
from fakes import ACCOUNT_ID, REGION, archive, code, failed_at, notebook
from ui_account import RAN, ROOT, Account, hint, task_instance

from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.notebook.renderer import Renderer


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def notebooks(account, renderer):
    made = Notebooks(account.access, renderer, live_seconds=0)
    yield made
    made.renderer = Renderer()  # the shared one goes on
    made.close()


def problem_of(notebooks, of, asked=None):
    with pytest.raises(ProblemError) as caught:
        notebooks.rendered(of, notebooks.jobs.find(of, asked))
    return caught.value.problem


def test_it_shows_the_copy_that_the_task_delivered(account, notebooks):
    name = account.add_job(task_instance())
    account.deliver(name)
    rendered = notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None))
    assert "accuracy" in rendered.document.read_text()
    assert rendered.summary["failed"] is None


def test_a_page_that_is_looked_at_again_costs_no_call(account, notebooks):
    account.deliver(account.add_job(task_instance()))
    first = notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None))
    calls = list(account.clients.jobs.calls)
    account.clients.objects.bodies.clear()
    assert notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None)) == first
    assert account.clients.jobs.calls == calls
    assert account.asked == 1


def test_a_page_that_is_being_read_can_be_read_to_its_end(account, renderer, monkeypatch):
    """Others are rendered meanwhile, and this one is thrown out for them."""
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.executed._CACHE_BYTES", 1)
    notebooks = Notebooks(account.access, renderer, live_seconds=0)
    first, second = task_instance(), task_instance(task_id="other")
    for of in (first, second):
        account.deliver(account.add_job(of))
    rendered, file = notebooks.opened_document(first, notebooks.jobs.find(first, None))
    with file:
        notebooks.rendered(second, notebooks.jobs.find(second, None))
        assert not rendered.document.exists()
        assert b"accuracy" in file.read()
    _, again = notebooks.opened_document(first, notebooks.jobs.find(first, None))
    with again:
        assert b"accuracy" in again.read()


def test_what_was_tidied_away_is_rendered_anew(account, notebooks):
    """Of files in /tmp that are looked at seldom, systems throw some away, or whole folders."""
    account.deliver(account.add_job(task_instance()))
    job = notebooks.jobs.find(task_instance(), None)
    document = notebooks.rendered(task_instance(), job).document
    document.unlink()
    assert "accuracy" in notebooks.rendered(task_instance(), job).document.read_text()
    shutil.rmtree(document.parent.parent)
    assert "accuracy" in notebooks.rendered(task_instance(), job).document.read_text()


class InPart(Renderer):
    """Says of what it has rendered that a piece of it could not be."""

    def render(self, order):
        outcome = super().render(order)
        if outcome.status == "ok":
            file = order.folder / "summary.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | {"unrendered": ["Cell 1: too deep"]}))
        return outcome


def test_why_a_notebook_is_shown_in_part_or_not_is_in_the_api_servers_log(account, caplog):
    notebooks, other = Notebooks(account.access, InPart()), task_instance(task_id="other")
    try:
        account.deliver(name := account.add_job(task_instance()))
        notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None))
        account.deliver(account.add_job(other), b"<html>")
        assert problem_of(notebooks, other).code == "render-unreadable"
    finally:
        notebooks.close()
    assert f"The notebook of job {name} is shown in part: Cell 1: too deep" in caplog.text
    assert "is not shown: unreadable: " in caplog.text


def test_before_it_is_delivered_the_archive_is_read(account, notebooks):
    name = account.add_job(task_instance())
    account.clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive({f"{name}.ipynb": RAN})
    job = notebooks.jobs.find(task_instance(), None)
    assert "accuracy" in notebooks.rendered(task_instance(), job).document.read_text()
    with notebooks.notebook_file(task_instance(), job) as file:
        assert file.read() == RAN


def test_a_doctored_xcom_opens_nothing_but_this_tasks_own_jobs(account, notebooks):
    """Whoever may edit XComs writes there what they like: names, addresses, connections."""
    other = task_instance(dag_id="secret", task_id="payroll")
    account.deliver(account.add_job(other), b"not for you")
    other_name = other.job_name(other.run_keys(deployment="")[0])
    own = account.add_job(task_instance())
    account.deliver(own)
    doctored = hint(
        job_name=other_name,
        executed_notebook_uri=f"{ROOT}/{other_name}/{other_name}.ipynb",
        region="us-east-1",
        aws_conn_id="admin",
        dag_id="secret",
    )
    of = task_instance(job=doctored, attempts=(doctored, {"job_name": other_name}), rendered={"aws_conn_id": "admin"})
    for asked in (None, other_name, own, "../../x", ""):
        assert notebooks.jobs.find(of, asked).name == own
    assert all(name == own for name, _ in notebooks.jobs.names(of))


def test_a_job_that_does_not_say_this_task_started_it_is_not_shown(account, notebooks):
    """Somebody who may create jobs has taken the name of an attempt that never was."""
    of = task_instance(job=hint(attempt=7))
    account.deliver(account.add_job(of, owner="somebody"))
    assert problem_of(notebooks, of).code == "not-ours"


def test_only_what_lies_under_the_tasks_own_root_is_opened(account, notebooks):
    account.deliver(account.add_job(task_instance(), root="s3://elsewhere/x"), root="s3://elsewhere/x")
    assert problem_of(notebooks, task_instance()).code == "moved"


def test_earlier_jobs_can_be_asked_for(account, notebooks):
    first = account.add_job(task_instance(job=hint(attempt=0)))
    second = account.add_job(task_instance(job=hint(attempt=1)))
    of = task_instance(job=hint(attempt=1), attempts=(hint(attempt=0), hint(attempt=1)))
    assert [name for name, _ in notebooks.jobs.names(of)] == [second, first]
    assert notebooks.jobs.find(of, None).name == second
    assert notebooks.jobs.find(of, first).name == first


@pytest.mark.parametrize(
    ("state", "code"), [("success", "gone"), ("failed", "gone"), ("running", "finishing"), ("deferred", "finishing")]
)
def test_a_notebook_that_is_not_there_is_gone_or_on_its_way(account, notebooks, state, code):
    account.add_job(task_instance())
    problem = problem_of(notebooks, task_instance(state=state))
    assert problem.code == code
    assert problem.is_passing is (code == "finishing")
    assert ("triggerer" in problem.text) is (code == "finishing")  # without one, a deferred task stays so for ever


def test_a_running_job_is_said_to_be_running_and_asked_about_again(account, notebooks):
    name = account.add_job(task_instance(), status="InProgress")
    assert problem_of(notebooks, task_instance(state="deferred")).code == "running"
    account.add_job(task_instance())
    account.deliver(name)
    assert notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None)).summary["cells"] == 1


LIVE = {"NBJOBS_LIVE_NOTEBOOK": "1"}


def part_run(*statuses):
    """Return a notebook of which so many cells have run, as papermill leaves it in between."""
    book = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(f"step = {number}", metadata={"papermill": {"status": status}})
            for number, status in enumerate(statuses, 1)
        ]
    )
    return nbformat.writes(book).encode()


def test_a_live_notebook_is_shown_as_far_as_it_has_run(account, notebooks):
    name = account.add_job(task_instance(), status="InProgress", **LIVE)
    of = task_instance(state="deferred")
    assert problem_of(notebooks, of).code == "filling-in"
    live = f"{ROOT}/{name}/live/{name}.ipynb"
    account.clients.objects.bodies[live] = part_run("completed", "running", "pending")
    first = notebooks.rendered(of, notebooks.jobs.find(of, None))
    assert first.summary["progress"] == {
        "done": 1,
        "total": 3,
        "text": "cell 1 of 3 has ended",
        "anchor": "cell-2",
        "is_complete": False,
    }
    account.clients.objects.bodies[live] = part_run("completed", "completed", "running")
    second = notebooks.rendered(of, notebooks.jobs.find(of, None))
    assert second.summary["progress"]["done"] == 2
    assert second.tag != first.tag


def test_a_live_notebook_that_was_caught_half_written_comes_with_the_next_look(account, notebooks):
    name = account.add_job(task_instance(), status="InProgress", **LIVE)
    account.clients.objects.bodies[f"{ROOT}/{name}/live/{name}.ipynb"] = part_run("completed")[:-20]
    problem = problem_of(notebooks, task_instance(state="deferred"))
    assert (problem.code, problem.is_passing) == ("filling-in", True)


def test_a_doctored_xcom_does_not_open_another_tasks_live_notebook(account, notebooks):
    other = task_instance(dag_id="secret")
    secret = account.add_job(other, status="InProgress", **LIVE)
    account.clients.objects.bodies[f"{ROOT}/{secret}/live/{secret}.ipynb"] = part_run("completed")
    account.add_job(task_instance(), status="InProgress", **LIVE)
    of = task_instance(
        state="deferred", job=hint(job_name=secret, executed_notebook_uri=f"{ROOT}/{secret}/live/{secret}.ipynb")
    )
    assert problem_of(notebooks, of, asked=secret).code == "filling-in"


def test_a_job_that_others_look_at_too_is_asked_for_once(account, renderer):
    notebooks = Notebooks(account.access, renderer, live_seconds=60)
    name = account.add_job(task_instance(), status="InProgress", **LIVE)
    account.clients.objects.bodies[f"{ROOT}/{name}/live/{name}.ipynb"] = part_run("completed")
    for _ in range(5):
        notebooks.rendered(task_instance(state="deferred"), notebooks.jobs.find(task_instance(state="deferred"), None))
    assert len(account.clients.jobs.calls) == 1


LARGE = {"job.log": b"", "other.bin": os.urandom(2 * 1024 * 1024)}


@pytest.mark.parametrize(
    ("statuses", "shown"), [(("completed", "completed"), "live"), (("completed", "running"), "archived")]
)
def test_a_large_archive_is_read_only_where_the_live_copy_is_not_the_whole(account, notebooks, statuses, shown):
    name = account.add_job(task_instance(), **LIVE)
    account.clients.objects.bodies[f"{ROOT}/{name}/live/{name}.ipynb"] = part_run(*statuses)
    account.clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive({f"{name}.ipynb": RAN} | LARGE)
    source = notebooks.source(task_instance(state="deferred"), notebooks.jobs.find(task_instance(), None))
    assert source.uri.endswith("/live/" + f"{name}.ipynb" if shown == "live" else "/output/output.tar.gz")


def test_a_live_notebook_is_shown_where_a_task_that_has_ended_left_nothing_else(account, notebooks):
    """A job that is killed uploads no archive; its task may have ended before it could hand the copy over."""
    name = account.add_job(task_instance(), status="Failed", NBJOBS_LIVE_NOTEBOOK="1")
    account.clients.objects.bodies[f"{ROOT}/{name}/live/{name}.ipynb"] = part_run("completed", "running")
    rendered = notebooks.rendered(
        task_instance(state="failed"), notebooks.jobs.find(task_instance(state="failed"), None)
    )
    assert (rendered.summary["progress"]["done"], rendered.summary["progress"]["total"]) == (1, 2)


def test_a_small_archive_is_read_at_once(account, notebooks):
    name = account.add_job(task_instance(), **LIVE)
    account.clients.objects.bodies[f"{ROOT}/{name}/live/{name}.ipynb"] = part_run("completed")
    account.clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive({f"{name}.ipynb": RAN})
    assert (
        "accuracy"
        in notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None)).document.read_text()
    )


def test_a_job_that_is_being_deleted_is_asked_for_again(account, notebooks):
    """What SageMaker says of an ended job is kept, since it stays as it is; this one is gone in a moment."""
    ti = task_instance()
    name = account.add_job(ti, status="Completed")
    account.deliver(name)
    account.clients.jobs.descriptions[name] |= {"TrainingJobStatus": "Deleting"}
    assert "accuracy" in notebooks.rendered(ti, notebooks.jobs.find(ti, None)).document.read_text()
    del account.clients.jobs.descriptions[name]
    assert problem_of(notebooks, ti).code == "unknown-job"


def test_a_name_that_a_later_try_has_taken_again_is_asked_for_again(account, notebooks):
    ti = task_instance(try_number=1)
    name = account.add_job(ti, status="Failed")
    assert notebooks.jobs.find(ti, None).snapshot.status == "Failed"
    account.clients.jobs.descriptions[name]["TrainingJobStatus"] = "Completed"
    assert notebooks.jobs.find(ti, None).snapshot.status == "Failed"
    assert notebooks.jobs.find(task_instance(try_number=2), None).snapshot.status == "Completed"


def test_an_unknown_job_is_said(notebooks):
    assert problem_of(notebooks, task_instance()).code == "unknown-job"


def test_a_denial_names_the_permission(account, notebooks):
    name = account.add_job(task_instance())
    account.clients.objects.denied.add(f"{ROOT}/{name}/{name}.ipynb")
    problem = problem_of(notebooks, task_instance())
    assert problem.code == "denied"
    assert "s3:GetObject" in problem.details[0]


@pytest.mark.parametrize(
    ("error", "code", "is_passing"),
    [
        (NotebookJobServiceError("no answer", code="ConnectTimeoutError", is_retryable=True), "unreachable", True),
        (NotebookJobServiceError("AccessDenied", code="AccessDeniedException"), "denied", False),
        (NotebookJobConfigError("no such connection"), "misconfigured", False),
    ],
)
def test_what_keeps_sagemaker_from_answering_is_said(account, notebooks, error, code, is_passing):
    account.clients.jobs.errors["describe"] = [error]
    problem = problem_of(notebooks, task_instance())
    assert (problem.code, problem.is_passing) == (code, is_passing)


def test_what_is_no_notebook_is_said_and_can_still_be_downloaded(account, notebooks):
    account.deliver(account.add_job(task_instance()), b"<html>")
    problem = problem_of(notebooks, task_instance())
    assert (problem.code, problem.has_file) == ("render-unreadable", True)
    source = notebooks.notebook_file(task_instance(), notebooks.jobs.find(task_instance(), None))
    with notebooks.opened(task_instance(), source) as body:
        assert body.read() == b"<html>"


MALFORMED = {
    "attachments that are none": {"cell_type": "markdown", "source": "a", "metadata": {}, "attachments": [1]},
    "a cell that is no object": 7,
    "an output of no type": code("x", outputs=[{"output_type": 5}]),
    "a text with a number": code("x", outputs=[{"output_type": "stream", "name": "stdout", "text": ["a", 1]}]),
    "a cell of a type of its own": {"cell_type": "sql", "source": ["select 1"], "metadata": {}},
    "data that is none": code("x", outputs=[{"output_type": "display_data", "data": "x", "metadata": {}}]),
}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
def test_of_a_malformed_notebook_the_rest_is_shown_with_what_was_left_out(account, notebooks, malformed):
    """It has been paid for, and which cell failed is what the reader has come for."""
    content = json.loads(failed_at(notebook("accuracy = 0.5", "1 / 0"), 2, "ZeroDivisionError", "division by zero"))
    content["cells"].append(malformed)
    account.deliver(account.add_job(task_instance(), status="Failed"), json.dumps(content).encode())
    rendered = notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None))
    assert (rendered.summary["failed"]["index"], rendered.summary["failed"]["ename"]) == (2, "ZeroDivisionError")
    html = rendered.document.read_text()
    assert "accuracy" in html
    assert "failed here" in html
    (notice,) = rendered.summary["notices"]
    assert notice.startswith("The executed notebook is malformed, read without: ")
    assert notice[:-1] in unescape(html)


def test_a_failed_rendering_is_remembered_too(account, notebooks):
    """A notebook that takes all its time must not take it again at each reload."""
    account.deliver(account.add_job(task_instance()), b"<html>")
    problem_of(notebooks, task_instance())
    notebooks.renderer = None
    try:
        assert problem_of(notebooks, task_instance()).code == "render-unreadable"
    finally:
        notebooks.renderer = Renderer()


def test_where_others_are_rendered_for_long_the_page_asks_again(account, notebooks, monkeypatch):
    account.deliver(account.add_job(task_instance()))
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.renderer._WAIT_SECONDS", 0.01)
    with notebooks.renderer._lock:
        problem = problem_of(notebooks, task_instance())
    assert (problem.code, problem.is_passing) == ("busy", True)
    assert notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None)).summary["failed"] is None


def test_a_file_that_is_too_large_is_not_fetched_and_can_be_downloaded(account, notebooks, monkeypatch):
    account.deliver(account.add_job(task_instance()))
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.executed.LONGEST_BYTES", 10)
    problem = problem_of(notebooks, task_instance())
    assert (problem.code, problem.has_file) == ("render-too-large", True)
    assert problem.text.startswith("The notebook is too large to be shown: it has 0 MiB.")


def test_a_full_disk_is_said_and_not_remembered(account, notebooks, monkeypatch):
    def copy(*_):
        raise OSError(28, "No space left on device")

    account.deliver(account.add_job(task_instance()))
    with monkeypatch.context() as patched:
        patched.setattr("airflow_nbjobs.ui.notebook.executed.shutil.copyfileobj", copy)
        problem = problem_of(notebooks, task_instance())
    assert (problem.code, "No space left on device" in problem.text) == ("render-crashed", True)
    assert notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None)).summary["failed"] is None


def test_without_the_extra_the_page_says_how_to_install_it(account, notebooks, monkeypatch):
    account.deliver(account.add_job(task_instance()))
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.executed.has_renderer", lambda: False)
    problem = problem_of(notebooks, task_instance())
    assert problem.details == ("pip install 'airflow-nbjobs[ui]'",)


def test_a_sensors_job_is_found_by_the_name_that_the_sensor_waits_for(account, notebooks):
    account.deliver(account.add_job(task_instance(), root="s3://studio/x"), root="s3://studio/x")
    (name,) = account.clients.jobs.descriptions
    sensor = task_instance(
        kind=Kind.SENSOR,
        job={"job_name": "somebody-elses"},
        arguments=TaskArguments({"job_name": "{{ params.job }}", "aws_conn_id": "aws_default"}),
        rendered={"job_name": f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:training-job/{name}"},
    )
    assert notebooks.jobs.find(sensor, None).name == name
    assert notebooks.rendered(sensor, notebooks.jobs.find(sensor, None)).summary["cells"] == 1


def test_no_copy_of_a_job_that_somebody_else_started_is_asked_for(account, notebooks):
    """Its bucket may not let us list it, and S3 then denies what does not exist."""
    name = account.add_job(task_instance())
    del account.clients.jobs.descriptions[name]["Environment"]["NBJOBS_OWNER"]
    account.clients.objects.denied.add(f"{ROOT}/{name}/{name}.ipynb")
    sensor = task_instance(kind=Kind.SENSOR, arguments=TaskArguments({"job_name": name, "aws_conn_id": "aws_default"}))
    problem = problem_of(notebooks, sensor)
    assert (problem.code, problem.details) == ("gone", (f"{ROOT}/{name}/output/output.tar.gz",))
    account.clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive({f"{name}.ipynb": RAN})
    assert notebooks.rendered(sensor, notebooks.jobs.find(sensor, None)).summary["cells"] == 1


class TestRenderer:
    def test_its_process_gets_no_credential_and_no_configuration(self):
        environment = {
            "PATH": "/bin",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AIRFLOW__CORE__FERNET_KEY": "f",
            "AIRFLOW_CONN_X": "c",
            "HOME": "/root",
        }
        assert Renderer(environment)._environment == {"PATH": "/bin"}

    def test_a_process_that_does_not_end_is_killed(self, monkeypatch):
        monkeypatch.setattr("airflow_nbjobs.ui.notebook.renderer._CLOSE_SECONDS", 0.01)
        with subprocess.Popen(["sleep", "600"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            made = Renderer()
            made._process = process
            made.close()
            assert process.poll() == -signal.SIGKILL
            assert made._process is None

    def test_a_process_that_was_killed_is_replaced(self, account, notebooks, renderer):
        account.deliver(account.add_job(task_instance()))
        renderer.warm_up()
        renderer._running().kill()
        renderer._process.wait()
        assert notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None)).summary["cells"] == 1
