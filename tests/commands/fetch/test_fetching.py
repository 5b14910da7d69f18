"""``nbjobs outputs`` over an Airflow and an AWS account in memory: what is written, what is refused before anything is, and what a bad moment leaves."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from fakes import archive
from ui_account import RAN, ROOT, Account, hint, task_instance

from airflow_nbjobs import cli
from airflow_nbjobs.aws.results.output import LOG_NAME
from airflow_nbjobs.commands.fetch import command as fetch_command
from airflow_nbjobs.commands.fetch import save
from airflow_nbjobs.commands.fetch.transfer import part_file
from airflow_nbjobs.commands.records import choice
from airflow_nbjobs.commands.records.port import Run
from airflow_nbjobs.commands.wording import size_text
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.variables import LIVE_VARIABLE
from airflow_nbjobs.core.watch.log_place import LogEvent, LogPage
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments


class Airflow:
    """One run, in memory."""

    def __init__(self):
        self.account = Account()
        self.instances = []

    def add(self, *, delivered=RAN, archived=(), status="Completed", **fields):
        ti = task_instance(rendered={"parameters": {"a": 1}}, **fields)
        self.instances.append(ti)
        name = self.account.add_job(ti, status=status, NBJOBS_TRY_NUMBER=str(ti.try_number))
        if delivered is not None:
            self.account.deliver(name, delivered)
        if archived:
            members = {key.format(name=name): body for key, body in dict(archived).items()}
            self.account.clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive(members)
        return name

    def run(self, dag_id, run_id):
        return Run(dag_id=dag_id, run_id=run_id, state="success", run_after=datetime(2026, 1, 1, tzinfo=UTC))

    def task_instances(self, _run):
        return self.instances

    def outputs(self, ti):
        return {"accuracy": 0.5, "of": ti.task_id}

    def access(self, ti):
        return self.account.access(ti)


@pytest.fixture
def airflow(monkeypatch):
    made = Airflow()
    monkeypatch.setattr(choice, "open_records", lambda *_: made)
    monkeypatch.setattr(save, "has_renderer", lambda: False)
    return made


@pytest.fixture
def fetch(tmp_path, capsys):
    """Runs the command; returns its exit code, and what it printed."""

    def run(*options, to="files", run_id="r"):
        code = cli.main(["outputs", "d", run_id, "--to", str(tmp_path / to), *options])
        return code, capsys.readouterr()

    return run


def test_a_runs_files_are_written_in_a_folder_a_task(airflow, fetch, tmp_path):
    name = airflow.add()
    airflow.account.clients.logs.lines[name] = ["first", "last"]
    code, said = fetch()
    folder = tmp_path / "files" / "t" / "try-1"
    assert code == 0
    assert (folder / "executed.ipynb").read_bytes() == RAN
    assert (folder / "log.txt").read_text() == "first\nlast\n"
    assert json.loads((folder / "parameters.json").read_text()) == {"a": 1}
    assert json.loads((folder / "outputs.json").read_text()) == {"accuracy": 0.5, "of": "t"}
    assert json.loads((folder / "job.json").read_text())["job_name"] == name
    assert said.out.startswith("t/try-1 [Completed]: ")
    assert "airflow-nbjobs[ui]" in said.err, "why there is no page"
    assert not list(tmp_path.rglob("*.part"))


def test_the_archive_gives_what_lies_nowhere_else(airflow, fetch, tmp_path):
    """Of a failed job: its notebook, the HTML that it was asked for, the driver's log; and it is kept as it is."""
    members = {"{name}.ipynb": RAN, "{name}.html": b"<p>page</p>", LOG_NAME: b"driver"}
    airflow.add(delivered=None, archived=members, status="Failed", state="failed")
    code, _ = fetch()
    folder = tmp_path / "files" / "t" / "try-1"
    assert code == 0
    assert (folder / "executed.ipynb").read_bytes() == RAN
    assert (folder / "executed.html").read_bytes() == b"<p>page</p>"
    assert (folder / "log.txt").read_bytes() == b"driver"
    assert (folder / "output.tar.gz").exists()


def test_a_second_call_fetches_nothing(airflow, fetch, monkeypatch):
    name = airflow.add(archived={LOG_NAME: b"driver"})
    assert fetch()[0] == 0
    monkeypatch.setattr(airflow.account.clients.storage, "open_from", None)
    code, said = fetch()
    assert code == 0
    assert said.out.count("there already") == 6
    assert name


@pytest.mark.parametrize("what", ["file", "link", "folder"])
def test_what_is_there_is_not_overwritten_and_nothing_is_fetched(airflow, fetch, tmp_path, what):
    airflow.add()
    airflow.add(task_id="u")
    path = tmp_path / "files" / "u" / "try-1" / "executed.ipynb"
    path.parent.mkdir(parents=True)
    {"file": lambda: path.write_bytes(b"mine"), "link": lambda: path.symlink_to("/none"), "folder": path.mkdir}[what]()
    code, said = fetch()
    assert code == 2
    assert str(path) in said.err
    assert not (tmp_path / "files" / "t").exists(), "refused before anything is fetched"
    if what == "file":
        assert path.read_bytes() == b"mine"
        assert fetch("--force")[0] == 0
        assert path.read_bytes() == RAN


def test_a_file_of_the_same_size_that_was_written_by_somebody_else_is_not_taken_for_ours(airflow, fetch, tmp_path):
    airflow.add()
    path = tmp_path / "files" / "t" / "try-1" / "executed.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * len(RAN))
    assert fetch()[0] == 2


def test_another_runs_folder_is_refused(airflow, fetch):
    airflow.add()
    assert fetch()[0] == 0
    code, said = fetch(run_id="other")
    assert (code, "files of another run (d, r)" in said.err) == (2, True)


def test_a_file_in_the_folders_place_is_refused(airflow, fetch, tmp_path):
    airflow.add()
    (tmp_path / "files").write_text("x")
    code, said = fetch()
    assert (code, "is a file" in said.err) == (2, True)


def test_each_try_has_a_folder_also_of_those_before_an_airflow_remembered_them(airflow, fetch, tmp_path):
    airflow.add(try_number=1, job=hint(attempt=0))
    airflow.instances.clear()
    airflow.add(try_number=2, job=hint(attempt=1))
    assert fetch()[0] == 0
    assert {path.name for path in (tmp_path / "files" / "t").iterdir()} == {"try-1", "try-2"}
    assert not (tmp_path / "files" / "t" / "try-1" / "outputs.json").exists(), "Airflow has the last try's alone"


def test_only_the_tasks_that_are_named(airflow, fetch, tmp_path):
    airflow.add()
    for index in range(3):
        airflow.add(task_id="m", map_index=index)
    assert fetch("--task", "m[1]")[0] == 0
    assert [str(path.relative_to(tmp_path / "files")) for path in (tmp_path / "files").glob("*/*")] == ["m/1"]
    code, said = fetch("--task", "n")
    assert (code, "--task n" in said.err) == (2, True)


def test_a_task_without_a_job_is_said_and_is_no_failure(airflow, fetch):
    airflow.add()
    airflow.instances.append(task_instance(task_id="s", state="skipped", job=None))
    code, said = fetch()
    assert (code, "s: it has no job: its state is skipped" in said.out) == (0, True)


def test_a_job_that_is_not_the_tasks_own_is_not_fetched(airflow, fetch, tmp_path):
    """Whoever may edit XComs, or make training jobs, reads nothing by it."""
    ti = task_instance()
    airflow.instances.append(ti)
    airflow.account.deliver(airflow.account.add_job(ti, owner="another"))
    code, said = fetch()
    assert code == 1
    assert "t: job" in said.err
    assert not (tmp_path / "files" / "t").exists()


def test_the_newest_job_that_sagemaker_does_not_know_is_said_and_an_earlier_one_is_not(airflow, fetch):
    """Of an earlier attempt there may never have been a job."""
    name = airflow.add(try_number=2, job=hint(attempt=1))
    assert fetch()[0] == 0
    del airflow.account.clients.jobs.descriptions[name]
    code, said = fetch(to="others")
    assert code == 1
    (line,) = [line for line in said.err.splitlines() if "knows no such job" in line]
    assert f"t: job '{name}': " in line


def test_an_earlier_job_that_cannot_be_read_is_said_beside_the_newest(airflow, fetch, tmp_path):
    airflow.account.add_job(task_instance(), owner="another")
    airflow.add(try_number=2, job=hint(attempt=1))
    code, said = fetch()
    assert code == 1
    assert "was not started by this task" in said.err
    assert (tmp_path / "files" / "t" / "try-2" / "executed.ipynb").read_bytes() == RAN


def test_an_object_that_cannot_be_read_leaves_out_no_other(airflow, fetch, tmp_path, monkeypatch):
    airflow.add()
    airflow.add(task_id="u")
    storage = airflow.account.clients.storage
    original = storage.open_from

    def denied(uri, stored, *, start):
        if "d-t-" in uri:
            raise NotebookJobServiceError(f"AccessDenied on s3:GetObject for '{uri}'", code="AccessDenied")
        return original(uri, stored, start=start)

    monkeypatch.setattr(storage, "open_from", denied)
    code, said = fetch()
    assert code == 1
    assert "t/try-1/executed.ipynb: AccessDenied" in said.err
    assert (tmp_path / "files" / "u" / "try-1" / "executed.ipynb").read_bytes() == RAN


def test_ctrl_c_before_anything_is_fetched_says_so(airflow, fetch, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(airflow, "run", stopped, raising=False)
    code, said = fetch()
    assert (code, said.out, said.err) == (130, "", "stopped; nothing was fetched\n")
    assert not (tmp_path / "files").exists()


def test_a_run_without_notebook_jobs_is_refused_with_what_such_tasks_are(airflow, fetch):
    code, said = fetch()
    assert code == 2
    assert "has no task that is a notebook job" in said.err
    assert "SageMakerNotebookJobSensor" in said.err


def test_a_task_that_the_run_does_not_have_is_refused_with_those_that_it_has(airflow, fetch):
    airflow.add()
    airflow.add(task_id="mapped", map_index=0)
    for task, words in (("mapped[1]", "did you mean"), ("zzz", "; it has mapped, t")):
        code, said = fetch("--task", task)
        assert (code, f"--task {task}: the run has no such notebook job" in said.err) == (2, True)
        assert words in said.err
    code, said = fetch("--task", "mapped[0]")
    assert (code, said.out.startswith("mapped/0/try-1 ")) == (0, True)


def test_a_task_without_a_way_to_aws_is_said_and_leaves_out_no_other(airflow, fetch, monkeypatch):
    airflow.add()
    airflow.add(task_id="u")
    access = airflow.account.access

    def refused(ti):
        if ti.task_id == "t":
            raise NotebookJobConfigError("there is no connection 'gone'")
        return access(ti)

    monkeypatch.setattr(airflow, "access", refused)
    code, said = fetch("-o", "json")
    document = json.loads(said.out)
    assert code == 1
    assert [each["task_id"] for each in document["jobs"]] == ["u"]
    (missing,) = document["without_job"]
    assert (missing["task_id"], "no connection 'gone'" in missing["reason"]) == ("t", True)
    assert [missing["reason"] in problem for problem in document["problems"]] == [True]
    code, said = fetch("--force")
    assert "gone" not in said.out, "a problem is no result"
    assert "no connection 'gone'" in said.err


def test_a_program_is_told_which_files_were_there_and_the_renderer_ends(airflow, fetch, monkeypatch):
    closed = []

    def close(self):
        closed.append(self)

    monkeypatch.setattr(fetch_command.Renderer, "close", close)
    airflow.add()
    told = []
    for _ in range(2):
        (job,) = json.loads(fetch("-o", "json")[1].out)["jobs"]
        told.append({file["name"]: file["was_there"] for file in job["files"]})
    assert set(told[0].values()) == {False}
    assert told[1]["executed.ipynb"] is True
    assert len(closed) == 2


def test_a_disk_that_just_suffices_is_enough(airflow, fetch, monkeypatch):
    airflow.add()
    monkeypatch.setattr(save.OutputFolder, "free_bytes", len(RAN))
    assert fetch()[0] == 0


def test_what_was_begun_is_kept_of_a_job_that_is_not_whole(airflow, fetch, tmp_path, monkeypatch):
    name = airflow.add(archived={LOG_NAME: b"driver"})
    original = airflow.account.clients.storage.open_from

    def denied(uri, stored, *, start):
        if uri.endswith("output.tar.gz"):
            raise NotebookJobServiceError("AccessDenied on s3:GetObject", code="AccessDenied")
        return original(uri, stored, start=start)

    with monkeypatch.context() as patch:
        patch.setattr(airflow.account.clients.storage, "open_from", denied)
        assert fetch()[0] == 1
    assert list(tmp_path.rglob("*.part"))
    assert fetch()[0] == 0
    assert not list(tmp_path.rglob("*.part"))
    assert name


def test_a_full_disk_is_one_line_and_leaves_nothing_half(airflow, fetch, tmp_path, monkeypatch):
    airflow.add()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "files" / "x"))

    monkeypatch.setattr("airflow_nbjobs.commands.fetch.transfer.os.fsync", full)
    code, said = fetch()
    assert code == 1
    assert "No space left on device" in said.err
    assert "what is whole is there; the same command goes on from it" in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "files" / "t" / "try-1" / "executed.ipynb").exists()
    monkeypatch.undo()


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(airflow, fetch, tmp_path, monkeypatch):
    airflow.add()
    monkeypatch.setattr(save.OutputFolder, "free_bytes", 10)
    code, said = fetch()
    assert (code, "nothing was fetched" in said.err) == (2, True)
    assert not (tmp_path / "files").exists()


def test_the_disk_needs_room_for_what_is_not_there_yet(airflow, fetch, tmp_path, monkeypatch):
    name = airflow.add()
    objects = airflow.account.clients.objects
    (uri,) = [uri for uri, body in objects.bodies.items() if body == RAN and name in uri]
    path = tmp_path / "files" / "t" / "try-1" / "executed.ipynb"

    def codes():
        """Fetch while the disk has so much room; return the exit codes."""
        for free in (0, len(RAN) - 1, len(RAN)):
            monkeypatch.setattr(save.OutputFolder, "free_bytes", free)
            code = fetch()[0]
            yield code
            if code == 0:
                return

    assert list(codes()) == [2, 2, 0]
    path.unlink()
    part_file(path, uri, objects.stat(uri)).write_bytes(RAN[:1])
    assert list(codes()) == [2, 0]
    assert path.read_bytes() == RAN
    assert list(codes()) == [0]


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(airflow, fetch, tmp_path, monkeypatch):
    airflow.add()

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(airflow.account.clients.storage, "open_from", stopped)
        code, said = fetch()
    assert (code, said.out) == (130, "")
    assert said.err.splitlines() == [
        f"stopped; what is whole is in '{tmp_path / 'files'}', and the same command goes on from it"
    ]
    assert fetch()[0] == 0


def test_a_job_that_goes_on_is_fetched_into_the_same_folder_again_and_again(airflow, fetch, tmp_path):
    """Stopped while the job runs, called again when it has ended: what this command wrote is another by now."""
    name = airflow.add(delivered=None, status="InProgress", state="deferred")
    clients = airflow.account.clients
    clients.jobs.descriptions[name]["Environment"][LIVE_VARIABLE] = "1"
    clients.objects.bodies[f"{ROOT}/{name}/live/{name}.ipynb"] = b"one cell"
    clients.logs.lines[name] = ["first"]
    assert fetch()[0] == 0
    folder = tmp_path / "files" / "t" / "try-1"
    assert json.loads((folder / "job.json").read_text())["status"] == "InProgress"
    clients.objects.bodies[f"{ROOT}/{name}/live/{name}.ipynb"] = b"two cells"
    assert fetch()[0] == 0
    assert (folder / "live.ipynb").read_bytes() == b"two cells"
    clients.jobs.descriptions[name] |= {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}
    airflow.account.deliver(name, RAN)
    clients.logs.lines[name] = ["first", "last"]
    code, said = fetch()
    assert code == 0, said.err
    assert json.loads((folder / "job.json").read_text())["status"] == "Completed"
    assert (folder / "log.txt").read_text() == "first\nlast\n"
    assert (folder / "executed.ipynb").read_bytes() == RAN


@pytest.mark.parametrize("edit", [b"{}", None])
def test_a_document_of_ours_that_somebody_has_changed_is_not_overwritten(airflow, fetch, tmp_path, edit):
    name = airflow.add()
    assert fetch()[0] == 0
    path = tmp_path / "files" / "t" / "try-1" / "job.json"
    path.write_bytes(edit or path.read_bytes().replace(b"Completed", b"completed"))  # of the same size
    airflow.account.clients.jobs.descriptions[name]["FailureReason"] = "another by now"
    code, said = fetch()
    assert (code, str(path) in said.err) == (2, True)


def test_force_overwrites_what_is_another_and_fetches_nothing_again_that_is_the_same(
    airflow, fetch, tmp_path, monkeypatch
):
    airflow.add(archived={LOG_NAME: b"driver"})
    assert fetch()[0] == 0
    folder = tmp_path / "files" / "t" / "try-1"
    (folder / "log.txt").write_bytes(b"D" * (folder / "log.txt").stat().st_size)
    with monkeypatch.context() as patch:
        patch.setattr(airflow.account.clients.storage, "open_from", None)
        code, said = fetch("--force")
    assert code == 0
    assert said.out.count("there already") == 5
    assert (folder / "log.txt").read_bytes() == b"driver"
    (folder / "executed.ipynb").write_bytes(b"x" * len(RAN))
    assert fetch("--force")[0] == 0
    assert (folder / "executed.ipynb").read_bytes() == RAN


def test_two_commands_do_not_write_into_one_folder(airflow, fetch, tmp_path):
    airflow.add()
    folder = save.OutputFolder(tmp_path / "files", dag_id="d", run_id="r", force=False)
    with folder.opened():
        code, said = fetch()
    assert (code, "another nbjobs outputs" in said.err) == (2, True)


def test_a_program_gets_json_of_a_version(airflow, fetch):
    airflow.add()
    code, said = fetch("-o", "json")
    document = json.loads(said.out)
    assert (code, document["version"], document["problems"]) == (0, 1, [])
    (job,) = document["jobs"]
    assert (job["task_id"], job["try_number"], job["status"], job["folder"]) == ("t", 1, "Completed", "t/try-1")
    assert {file["name"]: file["bytes"] for file in job["files"]}["executed.ipynb"] == len(RAN)


# -- what the files and the report say --------------------------------------------------------------------------------------


def test_the_facts_of_a_job_are_in_a_file(airflow, fetch, tmp_path):
    name = airflow.add(task_id="m", map_index=3, status="Failed", state="failed", try_number=2)
    airflow.account.clients.jobs.descriptions[name] |= {
        "FailureReason": "it broke",
        "BillableTimeInSeconds": 90,
        "TrainingStartTime": datetime(2026, 1, 1, 1, tzinfo=UTC),
        "TrainingEndTime": datetime(2026, 1, 1, 2, tzinfo=UTC),
    }
    assert fetch()[0] == 0
    facts = json.loads((tmp_path / "files" / "m" / "3" / "try-2" / "job.json").read_text())
    arn = facts.pop("job_arn")
    assert arn.endswith(f":training-job/{name}")
    assert facts == {
        "version": 1,
        "dag_id": "d",
        "run_id": "r",
        "task_id": "m",
        "map_index": 3,
        "try_number": 2,
        "job_name": name,
        "status": "Failed",
        "failure_reason": "it broke",
        "instance_type": "ml.m5.large",
        "started_at": "2026-01-01T01:00:00+00:00",
        "ended_at": "2026-01-01T02:00:00+00:00",
        "billable_seconds": 90,
        "s3_uri": f"{ROOT}/{name}",
    }


def test_facts_that_sagemaker_does_not_give_are_none(airflow, fetch, tmp_path):
    airflow.add()
    assert fetch()[0] == 0
    facts = json.loads((tmp_path / "files" / "t" / "try-1" / "job.json").read_text())
    names = ("failure_reason", "started_at", "ended_at", "billable_seconds")
    assert [facts[name] for name in names] == [None] * 4


@pytest.mark.parametrize("told", ["", "0", "x", "1234567", "-1"])
def test_a_try_that_the_job_does_not_tell_is_the_tasks(airflow, fetch, tmp_path, told):
    name = airflow.add(try_number=4)
    airflow.account.clients.jobs.descriptions[name]["Environment"]["NBJOBS_TRY_NUMBER"] = told
    assert fetch()[0] == 0
    assert [path.name for path in (tmp_path / "files" / "t").iterdir()] == ["try-4"]


def test_the_parameters_of_an_earlier_job_are_those_that_sagemaker_has(airflow, fetch, tmp_path):
    earlier = airflow.add(try_number=1, job=hint(attempt=0))
    airflow.account.clients.jobs.descriptions[earlier]["HyperParameters"] = {"a": "0", "password": "hunter2"}
    airflow.instances.clear()
    airflow.add(try_number=2, job=hint(attempt=1))
    assert fetch()[0] == 0
    read = {n: json.loads((tmp_path / "files" / "t" / f"try-{n}" / "parameters.json").read_text()) for n in (1, 2)}
    assert read == {1: {"a": "0", "password": "***"}, 2: {"a": 1}}


def test_a_job_that_has_left_nothing_is_said(airflow, fetch):
    name = airflow.add(delivered=None)
    code, said = fetch()
    assert code == 0
    assert f"t/try-1: job '{name}' has left nothing in S3, or it was removed since" in said.err
    assert "t/try-1: log.txt: there is none, neither in CloudWatch nor in output.tar.gz" in said.err


def test_a_job_that_goes_on_says_what_it_does_and_has_no_archive_yet(airflow, fetch, tmp_path):
    name = airflow.add(delivered=None, archived={LOG_NAME: b"driver"}, status="InProgress", state="deferred")
    airflow.account.clients.jobs.descriptions[name]["SecondaryStatus"] = "Stopping"
    airflow.account.clients.objects.bodies[f"{ROOT}/{name}/live/{name}.ipynb"] = b"no live copies were asked for"
    code, said = fetch()
    assert code == 0
    assert f"t/try-1: job '{name}' has not ended (" in said.err
    assert {path.name for path in (tmp_path / "files" / "t" / "try-1").iterdir()} == {
        "job.json",
        "parameters.json",
        "outputs.json",
    }


def test_a_log_that_may_not_be_read_is_said_and_the_drivers_is_taken(airflow, fetch, tmp_path):
    airflow.add(archived={LOG_NAME: b"driver"})
    error = NotebookJobServiceError("AccessDenied on logs:FilterLogEvents", code="AccessDenied")
    error.details["next"] = "ask for it"
    airflow.account.clients.logs.error = error
    code, said = fetch()
    assert code == 0
    assert "t/try-1: log.txt: CloudWatch was not read: AccessDenied on logs:FilterLogEvents; ask for it\n" in said.err
    assert (tmp_path / "files" / "t" / "try-1" / "log.txt").read_bytes() == b"driver"


def test_of_many_files_that_are_there_ten_are_named(airflow, fetch, tmp_path):
    for number in range(3):
        airflow.add(task_id=f"t{number}")
    assert fetch()[0] == 0
    for path in (tmp_path / "files").rglob("try-1/*"):
        path.write_text("mine")
    count = len(list((tmp_path / "files").rglob("try-1/*")))
    code, said = fetch()
    assert code == 2
    assert said.err.count("try-1/") == 10
    assert f"{count - 10} more" in said.err
    assert "next:" in said.err


def test_the_report_is_a_line_a_folder(airflow, fetch):
    airflow.add(archived={LOG_NAME: b"driver"})
    airflow.instances.append(task_instance(task_id="s", map_index=0, state=None, job=None))
    _, first = fetch()
    folder, none = first.out.splitlines()
    head, _, files = folder.partition(": ")
    assert head == "t/try-1 [Completed]"
    assert [file.split(" ")[0] for file in files.split(", ")] == [
        *("job.json", "parameters.json", "outputs.json", "executed.ipynb", "output.tar.gz", "log.txt"),
    ]
    assert f"executed.ipynb ({size_text(len(RAN))})" in files
    assert "log.txt (6 bytes)" in files
    assert none == "s[0]: it has no job: its state is none yet"
    _, second = fetch()
    assert "executed.ipynb (there already)" in second.out


def test_a_program_gets_each_job_each_file_and_each_task_without_one(airflow, fetch, tmp_path):
    name = airflow.add(task_id="m", map_index=2)
    airflow.instances.append(task_instance(task_id="s", state="skipped", job=None))
    code, said = fetch("-o", "json", "--task", "m[2]", "--task", "s")
    document = json.loads(said.out)
    (job,) = document.pop("jobs")
    files = job.pop("files")
    assert code == 0
    assert document == {
        "version": 1,
        "dag_id": "d",
        "run_id": "r",
        "to": str(tmp_path / "files"),
        "without_job": [{"task_id": "s", "map_index": -1, "reason": "it has no job: its state is skipped"}],
        "problems": [],
    }
    notes = job.pop("notes")
    assert [text.split(":")[0] for text in notes] == ["log.txt", "executed.html"]
    assert job == {
        "task_id": "m",
        "map_index": 2,
        "try_number": 1,
        "job_name": name,
        "status": "Completed",
        "folder": "m/2/try-1",
    }
    folder = tmp_path / "files" / "m" / "2" / "try-1"
    assert {each["name"]: each["bytes"] for each in files} == {
        path.name: path.stat().st_size for path in folder.iterdir()
    }
    assert "\n  " in said.out, "indented for a reader, too"


def test_a_folder_whose_parent_is_a_file_cannot_be_made(airflow, fetch, tmp_path):
    airflow.add()
    (tmp_path / "x").write_text("")
    code, said = fetch(to="x/y")
    assert code in (1, 2)
    assert "Traceback" not in said.err
    assert "x/y" in said.err


def test_a_sensors_job_has_its_archive_and_no_outputs_of_the_task(airflow, fetch, tmp_path):
    """Its executed notebook and its outputs are those of the task that made the job."""
    name = airflow.add(archived={LOG_NAME: b"driver"})
    airflow.instances.clear()
    arguments = TaskArguments({"job_name": name, "aws_conn_id": "aws_default"})
    airflow.instances.append(
        task_instance(task_id="wait", kind=Kind.SENSOR, arguments=arguments, job=None, try_number=7)
    )
    assert fetch()[0] == 0
    names = {path.name for path in (tmp_path / "files" / "wait" / "try-7").iterdir()}
    assert {"output.tar.gz", "job.json", "log.txt"} <= names
    assert "outputs.json" not in names


class Pages:
    """A log in pages, each of some lines."""

    def __init__(self, *pages):
        self.pages = pages
        self.asked = []

    def events(self, *, since, prefix, next_token):
        self.asked.append((since, prefix, next_token))
        number = int(next_token or 0)
        lines = self.pages[number]
        events = tuple(LogEvent(id=str(n), stream="s", at=n, message=line) for n, line in enumerate(lines))
        return LogPage(events, None if number + 1 == len(self.pages) else str(number + 1))


def test_a_log_is_read_to_its_end_page_after_page(airflow, fetch, tmp_path, monkeypatch):
    name = airflow.add()
    logs = Pages(["a"], [], ["b\udcff", "c"])
    monkeypatch.setattr(airflow.account.clients, "logs", logs)
    assert fetch()[0] == 0
    assert (tmp_path / "files" / "t" / "try-1" / "log.txt").read_bytes() == b"a\nb\\udcff\nc\n"
    assert logs.asked == [(0, f"{name}/", token) for token in (None, "1", "2")]


def test_a_log_that_is_too_long_says_where_the_rest_is(airflow, fetch, tmp_path, monkeypatch):
    name = airflow.add()
    monkeypatch.setattr(save, "_LOG_BYTES", 10)
    monkeypatch.setattr(airflow.account.clients, "logs", Pages(["12345", "67890"], ["x"], ["never"]))
    assert fetch()[0] == 0
    assert (tmp_path / "files" / "t" / "try-1" / "log.txt").read_text().splitlines() == [
        *("12345", "67890", "x"),
        f"… more is in CloudWatch, /aws/sagemaker/TrainingJobs {name}/",
    ]


@pytest.fixture
def renders(monkeypatch):
    """Renders a page as the sandboxed process would, or not; returns what it was asked for."""
    asked = []

    def use(answer):
        def render(_, request):
            asked.append(request)
            if isinstance(answer, Exception):
                raise answer
            if answer.status == "ok":
                (request.folder / "document.html").write_bytes(b"<p>rendered</p>")
            return answer

        monkeypatch.setattr(save, "has_renderer", lambda: True)
        monkeypatch.setattr(save.Renderer, "render", render)
        return asked

    return use


def test_a_page_is_rendered_of_a_notebook_without_one(airflow, fetch, tmp_path, renders):
    asked = renders(SimpleNamespace(status="ok", text=""))
    names = [airflow.add(), airflow.add(task_id="u", status="Failed", state="failed")]
    assert fetch()[0] == 0
    for task, request, name, has_failed in zip("tu", asked, names, (False, True), strict=True):
        folder = tmp_path / "files" / task / "try-1"
        assert (folder / "executed.html").read_bytes() == b"<p>rendered</p>"
        assert (request.source, request.title, request.has_failed) == (folder / "executed.ipynb", name, has_failed)
    assert fetch()[0] == 0
    assert len(asked) == 2, "it is there already"


def test_a_page_of_the_jobs_own_is_not_rendered_again(airflow, fetch, tmp_path, renders):
    asked = renders(SimpleNamespace(status="ok", text=""))
    airflow.add(archived={"{name}.html": b"<p>page</p>"})
    assert fetch()[0] == 0
    assert (tmp_path / "files" / "t" / "try-1" / "executed.html").read_bytes() == b"<p>page</p>"
    assert asked == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (SimpleNamespace(status="failed", text="it broke"), "it broke"),
        (SimpleNamespace(status="timeout", text=""), "timeout"),
        (save.BusyError("x"), "busy"),
    ],
    ids=["failed", "timeout", "busy"],
)
def test_a_page_that_cannot_be_rendered_is_said_and_is_no_failure(airflow, fetch, tmp_path, renders, answer, why):  # noqa: PLR0917 - fixtures and a table
    renders(answer)
    airflow.add()
    code, said = fetch()
    assert code == 0
    assert f"t/try-1: executed.html: the notebook could not be rendered ({why})" in said.err
    assert not (tmp_path / "files" / "t" / "try-1" / "executed.html").exists()


@pytest.mark.parametrize(
    ("code", "advice"), [("AccessDenied", "; allow s3:GetObject"), ("SlowDown", "")], ids=["denied", "slow"]
)
def test_a_job_whose_files_may_not_be_looked_at_is_said_and_leaves_out_no_other(  # noqa: PLR0917 - fixtures and a table
    airflow, fetch, tmp_path, monkeypatch, code, advice
):
    name = airflow.add()
    airflow.add(task_id="u")
    stat = airflow.account.clients.objects.stat

    def refused(uri):
        if name in uri:
            raise NotebookJobServiceError(f"{code} on s3", code=code, details={"next": "allow s3:GetObject"})
        return stat(uri)

    monkeypatch.setattr(airflow.account.clients.objects, "stat", refused)
    exit_code, said = fetch()
    assert exit_code == 1
    assert f"t: job '{name}': {code} on s3{advice}\n" in said.err
    assert [path.name for path in (tmp_path / "files").iterdir() if path.is_dir()] == ["u"]


@pytest.mark.parametrize(("archived", "code"), [({"{name}.ipynb": RAN}, 2), ({}, 0)], ids=["archive", "nothing"])
def test_a_notebook_that_the_archive_would_give_takes_no_others_place(airflow, fetch, tmp_path, archived, code):
    airflow.add(delivered=None, archived=archived)
    path = tmp_path / "files" / "t" / "try-1" / "executed.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    assert fetch()[0] == code
    assert path.read_bytes() == b"mine"


def test_of_beginnings_only_that_of_the_object_as_it_is_now_is_kept(airflow, fetch, tmp_path, monkeypatch):
    name = airflow.add()
    objects = airflow.account.clients.objects
    uri = f"{ROOT}/{name}/{name}.ipynb"
    folder = tmp_path / "files" / "t" / "try-1"
    folder.mkdir(parents=True)
    mine = part_file(folder / "executed.ipynb", uri, objects.stat(uri))
    other = folder / ".executed.ipynb.000000000000.part"
    for part in (mine, other):
        part.write_bytes(RAN[:3])

    def denied(*_, **__):
        raise NotebookJobServiceError("AccessDenied on s3:GetObject", code="AccessDenied")

    monkeypatch.setattr(airflow.account.clients.storage, "open_from", denied)
    assert fetch()[0] == 1
    assert (mine.read_bytes(), other.exists()) == (RAN[:3], False)
