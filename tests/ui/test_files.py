"""All files of a job: what is listed, what is sent, and to whom; names are as hostile as a notebook can make them."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from fakes import archive
from ui_account import RAN, ROOT, hint, task_instance
from ui_site import Site

from airflow_nbjobs.aws.ports import ChangedObjectError
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.ui import pages
from airflow_nbjobs.ui.access import may_read_logs
from airflow_nbjobs.ui.data.task_instance import Kind
from airflow_nbjobs.ui.notebook import files as files_
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.problems import ProblemError

LOG = "sagemaker_job_execution.log"


@pytest.fixture
def site(monkeypatch):
    made = Site(monkeypatch)
    yield made
    made.notebooks.close()


class Job:
    """A job of the site's task, and its folder."""

    def __init__(self, site, of=None):
        self.site = site
        self.name = site.add_job(of)
        self.bodies = site.account.clients.objects.bodies

    def put(self, name, body=b"x"):
        self.bodies[f"{ROOT}/{self.name}/{name}"] = body

    def archive(self, **members):
        self.put("output/output.tar.gz", archive(members))

    def listed(self, **query):
        return self.site.get("/files.json", **query).json()

    def names(self, group, **query):
        return {file["name"]: file["bytes"] for file in self.listed(**query)["files"] if file["group"] == group}


@pytest.fixture
def job(site):
    return Job(site)


def test_every_file_is_listed_with_its_size(site, job):
    job.put("input/a.ipynb", b"12345")
    job.put("input/", b"")
    job.put("live/l.ipynb", b"1")
    job.put("debug-output/x", b"22")
    job.archive(**{"plots/a.png": b"666666", LOG: b"log"})
    job.bodies[f"{ROOT}/another-job/input/b.ipynb"] = b"1"
    job.bodies[f"{ROOT}/{job.name}-2/input/b.ipynb"] = b"1"
    answer = site.get("/files.json")
    assert answer.headers["cache-control"] == "private, no-store"
    assert (answer.json()["job_name"], answer.json()["notes"]) == (job.name, [])
    assert job.names("notebook") == {
        f"{job.name}.ipynb": len(RAN),
        f"{job.name}.html": None,
        f"{job.name}-report.html": None,
    }
    assert job.names("log") == {"log.txt": None}
    assert job.names("input") == {"input/a.ipynb": 5}
    assert list(job.names("output")) == ["output/output.tar.gz"]
    assert job.names("archive") == {"output/output.tar.gz/plots/a.png": 6, f"output/output.tar.gz/{LOG}": 3}
    assert job.names("other") == {"live/l.ipynb": 1, "debug-output/x": 2}


def test_every_listed_address_is_answered_with_as_many_bytes_as_it_says(site, job):
    for name in (
        "input/a b.ipynb",
        "input/50% #1?.csv",
        "output/größe.txt",
        "output/sub/x",
        "input/שלום",
        "input/a\u202eb",
    ):
        job.put(name, name.encode())
    job.archive(**{"d/é %41&?#.txt": b"archived", "x\ny\u202e": b"yy"})
    files = [file for file in job.listed()["files"] if file["path"].startswith("files/")]
    assert len(files) == 9
    for file in files:
        answer = site.get("/" + file["path"], **file["query"])
        assert (answer.status_code, len(answer.content)) == (200, file["bytes"]), file
        assert answer.headers["content-length"] == str(file["bytes"])
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-security-policy"] == pages.TEXT_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "private, no-store"
        kind, _, saved_as = answer.headers["content-disposition"].partition("; filename*=UTF-8''")
        assert kind == "attachment"
        assert unquote(saved_as) == file["name"].rpartition("/")[2]
        assert saved_as.isascii()
        assert not set(unquote(saved_as)) & set("\u202e\n/")
    for file in job.listed()["files"]:
        assert site.get("/" + file["path"], **file["query"]).status_code == 200, file


# As a hostile client sends them: a browser, and httpx, would take dots in a path away.
NOT_LISTED = (
    *(
        "nothing",
        "output",
        "output/",
        "output/output.tar.gz/",
        "output/output.tar.gz/nothing",
        "other-job/input/x.json",
    ),
    *("%2e%2e", "%2e%2e/x", "..%2Fx", "/etc/passwd", "//etc/passwd", "C:%5Cx", "%00", "x" * 5000, "%FF", "%F0%9F"),
    *("input/%2e%2e/output/output.tar.gz", "output/output.tar.gz/%2e%2e/secret", "output/output.tar.gz//etc/passwd"),
    *("output%2Foutput.tar.gz%2F..%2Fsecret", "./output/output.tar.gz%2F%2F/etc/passwd", "\u202e"),
)


def test_a_name_that_is_not_listed_is_not_read(site, job):
    job.archive(**{"../secret": b"stolen", "/etc/passwd": b"stolen"})
    job.bodies[f"{ROOT}/x"] = job.bodies[f"{ROOT}/secret"] = b"stolen"
    job.put("../x", b"stolen")
    answers = {name: site.get(f"/files/{name}") for name in NOT_LISTED}
    assert {name[:60]: answer.status_code for name, answer in answers.items()} == {
        name[:60]: 404 for name in NOT_LISTED
    }
    assert [name for name, answer in answers.items() if b"stolen" in answer.content or "<h1" not in answer.text] == []


def test_what_has_a_name_that_leads_elsewhere_is_said_and_not_offered(site, job):
    job.put("input/../../x", b"secret")
    job.put("input/a//b", b"secret")
    job.put("input/fine")
    job.archive(**{"../up": b"secret", "fine": b""})
    answer = job.listed()
    assert job.names("input") == {"input/fine": 1}
    assert job.names("archive") == {"output/output.tar.gz/fine": 0}
    assert answer["notes"] == [
        "2 objects are not offered: their names lead elsewhere, or look like another's",
        "1 entry of output.tar.gz is not offered: links, devices, or files with holes or with names that lead elsewhere",
    ]


def test_names_are_shown_with_what_is_unseen_in_them(site, job):
    job.put("input/a\u202egnp.exe")
    answer = site.get("/files.json")
    assert "\u202e" not in answer.text
    assert job.names("input") == {"input/a⟦U+202E⟧gnp.exe": 1}


def test_the_log_and_the_archive_that_holds_it_take_the_right_to_logs(site, job):
    job.archive(**{LOG: b"log", "./sub/" + LOG: b"log", "a": b"a"})
    job.put(f"output/output/{LOG}", b"log")
    site.allowed.remove(may_read_logs)
    answer = job.listed()
    assert job.names("log") == job.names("output") == {}
    assert job.names("archive") == {"output/output.tar.gz/a": 1}
    assert "permission to read the DAG's task logs" in answer["notes"][-1]
    archive_of = "output/output.tar.gz"
    for name in (archive_of, f"{archive_of}/{LOG}", f"{archive_of}/sub/{LOG}", f"output/output/{LOG}"):
        refused = site.get(f"/files/{name}")
        assert (refused.status_code, b"log\n" in refused.content) == (403, False), name
    assert site.get(f"/files/{archive_of}/a").content == b"a"


def test_an_earlier_jobs_files_are_its_own(site):
    site.ti = task_instance(job=hint(attempt=1), attempts=(hint(attempt=0),))
    last, first = Job(site), Job(site, task_instance(job=hint(attempt=0)))
    last.put("input/last")
    first.put("input/first")
    assert last.names("input") == {"input/last": 1}
    assert last.names("input", job=first.name) == {"input/first": 1}
    assert site.get("/files/input/first", job=first.name).content == b"x"
    assert site.get("/files/input/first").status_code == 404


def test_a_job_of_another_task_is_not_asked_for_by_its_name(site, job):
    other = Job(site, task_instance(task_id="other"))
    other.put("input/secret")
    assert job.names("input", job=other.name) == {}
    assert site.get("/files/input/secret", job=other.name).status_code == 404


def test_a_job_that_is_not_the_tasks_own_has_no_files_here(site):
    name = site.account.add_job(site.ti, owner="somebody")
    site.account.clients.objects.bodies[f"{ROOT}/{name}/input/secret.json"] = b"secret"
    assert site.get("/files.json").json()["code"] == "not-ours"
    answer = site.get("/files/input/secret.json")
    assert (answer.status_code, b"secret" in answer.content) == (404, False)


def test_a_task_without_a_job_has_no_files(site):
    site.ti = task_instance(job=None, state="running")
    assert site.get("/files.json").json()["code"] == "not-started"
    assert site.get("/files/input/x").status_code == 404


def test_a_job_that_runs_has_its_input_and_no_notebook(site):
    name = site.account.add_job(site.ti, status="InProgress")
    site.account.clients.objects.bodies[f"{ROOT}/{name}/input/a"] = b"1"
    assert [file["name"] for file in site.get("/files.json").json()["files"]] == ["log.txt", "input/a"]


def test_a_sensors_job_has_files_as_well(site):
    ti = task_instance()
    name = site.add_job(ti, owner="")
    site.account.clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive(
        {f"{name}.ipynb": RAN, "a": b"1"}
    )
    site.ti = task_instance(kind=Kind.SENSOR, job=hint())
    arguments = type(site.ti.arguments)({"job_name": name, "aws_conn_id": "aws_default"})
    site.ti = task_instance(kind=Kind.SENSOR, job=hint(), arguments=arguments)
    assert site.get("/files/output/output.tar.gz/a").content == b"1"


def test_where_the_bucket_may_not_be_listed_what_is_known_by_name_is(site, job):
    job.archive(a=b"1")
    job.put("input/a")
    site.account.clients.objects.denied.add(f"{ROOT}/{job.name}")
    answer = job.listed()
    assert job.names("input") == {}
    assert job.names("archive") == {"output/output.tar.gz/a": 1}
    assert answer["notes"][0].startswith("only what is known by name is listed: ")
    assert site.get("/files/output/output.tar.gz/a").content == b"1"


def test_a_large_archive_is_offered_and_not_read(site, job, monkeypatch):
    job.archive(a=b"1")
    monkeypatch.setattr(files_, "LONGEST_ARCHIVE_BYTES", 10)
    answer = job.listed()
    assert job.names("archive") == {}
    assert "is not listed" in answer["notes"][0]
    assert site.get("/files/output/output.tar.gz/a").status_code == 404
    assert site.get("/files/output/output.tar.gz").status_code == 200


def test_more_objects_than_are_listed_are_said(site, job, monkeypatch):
    monkeypatch.setattr(files_, "MOST_OBJECTS", 2)
    for number in range(5):
        job.put(f"input/{number}")
    answer = job.listed()
    assert len([file for file in answer["files"] if file["path"].startswith("files/")]) <= 2
    assert answer["notes"] == ["the first 2 objects are listed; S3 has more of them"]


def test_a_damaged_archive_is_listed_as_far_as_it_goes(site, job):
    job.put("output/output.tar.gz", b"no archive")
    assert job.names("archive") == {}
    assert "damaged or cut off" in job.listed()["notes"][0]
    assert "damaged or cut off" in site.get("/files/output/output.tar.gz/a").text


def test_a_file_that_has_gone_or_changed_since_is_said(site, job, monkeypatch):
    job.put("input/a")
    assert job.names("input") == {"input/a": 1}
    del job.bodies[f"{ROOT}/{job.name}/input/a"]
    assert site.get("/files/input/a").status_code == 404
    job.put("input/a")

    def changed(uri, *_, **__):
        raise ChangedObjectError(uri)

    monkeypatch.setattr(site.account.clients.storage, "open_from", changed)
    assert "The job has no such file" in site.get("/files/input/a").text


def test_what_aws_refuses_is_a_page(site, job, monkeypatch):
    def refused(*_, **__):
        raise NotebookJobServiceError("no", code="SlowDown", is_retryable=True)

    monkeypatch.setattr(site.account.clients.storage, "list_below", refused)
    assert site.get("/files.json").json()["code"] == "unreachable"
    assert site.get("/files/input/a").status_code == 404


def test_a_stream_is_closed_at_its_end(site, job, monkeypatch):
    job.put("input/a", b"x" * 1_000_000)
    opened = []
    inner = site.account.clients.storage.open_from

    def open_from(*given, **named):
        opened.append(inner(*given, **named))
        return opened[-1]

    monkeypatch.setattr(site.account.clients.storage, "open_from", open_from)
    assert len(site.get("/files/input/a").content) == 1_000_000
    assert [body.closed for body in opened] == [True]


def test_archives_that_others_are_reading_are_waited_for_and_then_it_is_said(site, job, monkeypatch):
    monkeypatch.setattr(files_, "_WAIT_SECONDS", 0.01)
    job.archive(a=b"1")
    walks = site.app.state.files._walks
    for _ in range(files_._WALKS):
        walks.acquire()
    assert site.get("/files.json").json()["code"] == "busy"
    walks.release()
    assert site.get("/files/output/output.tar.gz/a").content == b"1"


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown"])
def test_a_notebook_that_cannot_be_looked_up_is_said_and_its_own_row_stays(site, job, monkeypatch, code):
    def refused(*_):
        problem = problems.from_error(NotebookJobServiceError("no", code=code, is_retryable=code == "SlowDown"))
        raise ProblemError(problem)

    monkeypatch.setattr(site.notebooks, "source", refused)
    answer = job.listed()
    assert job.names("notebook") == {f"{job.name}.ipynb": len(RAN)}
    (file,) = (each for each in answer["files"] if each["group"] == "notebook")
    assert site.get(f"/{file['path']}").content == RAN
    (note,) = answer["notes"]
    assert note.startswith("the executed notebook: ")


def test_a_notebook_that_is_gone_is_said(site, job):
    del job.bodies[f"{ROOT}/{job.name}/{job.name}.ipynb"]
    assert job.names("notebook") == {}
    assert job.listed()["notes"][0].startswith("the executed notebook: The executed notebook is not there any more")
