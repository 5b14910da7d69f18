"""All files of a job: what is listed, what is sent, and to whom; names are as hostile as a notebook can make them."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from fakes import archive
from ui_account import RAN, ROOT, hint, in_routes, task_instance
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


def files_of(site, of=None):
    ti = of or site.ti
    return site.app.state.files, ti, site.notebooks.jobs.find(ti, None)


def test_a_list_serves_all_readers_for_a_while(site, job, monkeypatch):
    asked = []
    inner = site.account.clients.storage.list_below
    monkeypatch.setattr(site.account.clients.storage, "list_below", lambda *given: asked.append(given) or inner(*given))
    files, ti, found = files_of(site)
    for _ in range(3):
        files.of(ti, found)
        files.find(ti, found, f"{job.name}.ipynb")
    assert len(asked) == 1


def test_an_archive_is_read_once_until_it_is_another(site, job, monkeypatch):
    read = []
    inner = files_.list_members
    monkeypatch.setattr(files_, "list_members", lambda body: read.append(1) or inner(body))
    job.archive(a=b"1")
    files, ti, found = files_of(site)
    for _ in range(3):
        files.of(ti, found)
    assert len(read) == 1
    job.archive(b=b"22")
    assert [each.member for each in files.of(ti, found).files if each.group == "archive"] == ["b"]
    assert len(read) == 2


def test_an_archive_that_has_gone_since_it_was_listed_has_no_members(site, job):
    job.archive(a=b"1")
    files, ti, found = files_of(site)
    assert "archive" in {each.group for each in files.of(ti, found).files}
    del job.bodies[f"{ROOT}/{job.name}/output/output.tar.gz"]
    assert {each.group for each in files.of(ti, found).files} == {"notebook", "output"}


@pytest.mark.parametrize(("more", "is_listed"), [(0, True), (-1, False)])
def test_an_archive_as_large_as_is_read_is_listed(site, job, monkeypatch, more, is_listed):
    job.archive(a=b"1")
    size = len(job.bodies[f"{ROOT}/{job.name}/output/output.tar.gz"])
    monkeypatch.setattr(files_, "LONGEST_ARCHIVE_BYTES", size + more)
    assert bool(job.names("archive")) is is_listed
    assert (site.get("/files/output/output.tar.gz/a").status_code == 200) is is_listed
    notes = job.listed()["notes"]
    assert notes == ([] if is_listed else ["what lies in output.tar.gz is not listed: it has more than 0 MiB"])


@pytest.mark.parametrize(("most", "is_said"), [(4, False), (3, True)])
def test_as_many_objects_as_are_listed_are_all(site, job, monkeypatch, most, is_said):
    for name in "abc":
        job.put(f"input/{name}")
    monkeypatch.setattr(files_, "MOST_OBJECTS", most)
    listed = job.listed()
    assert listed["notes"] == ([f"the first {most} objects are listed; S3 has more of them"] if is_said else [])
    files, ti, found = files_of(site)
    assert len(files.of(ti, found).files) == most


def test_a_file_says_what_it_is_and_where_it_lies(site, job):
    job.archive(**{"sub/a": b"1"})
    files, ti, found = files_of(site)
    member = files.find(ti, found, "output/output.tar.gz/sub/a")
    assert (member.group, member.member, member.size_bytes, member.has_log) == ("archive", "sub/a", 0, False)
    assert member.uri == f"{ROOT}/{job.name}/output/output.tar.gz"
    opened = files.opened(ti, member)
    assert (opened.file.size_bytes, b"".join(opened.chunks)) == (1, b"1")
    whole = files.find(ti, found, "output/output.tar.gz")
    assert (whole.group, whole.member, whole.has_log) == ("output", None, True)
    job.put("input/x", b"123")
    files._objects._values.clear()
    plain = files.find(ti, found, "input/x")
    assert (plain.group, plain.member, plain.size_bytes, plain.has_log) == ("input", None, 3, False)
    assert plain.uri == f"{ROOT}/{job.name}/input/x"


def test_a_long_file_comes_in_pieces(site, job, monkeypatch):
    monkeypatch.setattr(files_, "_CHUNK_BYTES", 4)
    job.put("input/x", b"0123456789")
    files, ti, found = files_of(site)
    opened = files.opened(ti, files.find(ti, found, "input/x"))
    assert list(opened.chunks) == [b"0123", b"4567", b"89"]


def test_a_walk_that_failed_leaves_room_for_the_next(site, job):
    job.archive(a=b"1")
    for _ in range(3):
        assert site.get("/files/output/output.tar.gz/nothing").status_code == 404
    assert site.get("/files/output/output.tar.gz/a").content == b"1"


def test_a_name_that_is_there_twice_is_offered_once(site, job):
    """As one with something unseen in it, and one with what stands for that."""
    job.put("input/a\u202eb", b"1")
    job.put("input/a⟦U+202E⟧b", b"22")
    assert len(job.names("input")) == 1
    assert job.listed()["notes"] == ["1 objects are not offered: their names lead elsewhere, or look like another's"]


def test_where_nothing_may_be_listed_what_is_not_there_is_left_out(site, job):
    site.account.clients.objects.denied.add(f"{ROOT}/{job.name}")
    files, ti, found = files_of(site)
    listed = files.of(ti, found)
    assert [(each.name, each.group, each.size_bytes) for each in listed.files] == [
        (f"{job.name}.ipynb", "notebook", len(RAN))
    ]
    assert len(listed.notes) == 1


def test_rows_of_the_list_lead_to_what_they_name(site, job):
    job.put("input/a b", b"1")
    rows = {each["name"]: each for each in job.listed()["files"]}
    assert rows["input/a b"] == {
        "name": "input/a b",
        "group": "input",
        "path": "files/input/a%20b",
        "query": {},
        "bytes": 1,
    }
    assert rows["log.txt"]["path"] == "log"
    for ending, path in ((".html", "notebook.html"), ("-report.html", "report.html")):
        row = rows[job.name + ending]
        assert (row["path"], row["query"], row["bytes"]) == (path, {"download": "true"}, None)


def test_without_the_extra_no_page_of_the_notebook_is_offered(site, job, monkeypatch):
    in_routes(monkeypatch, "has_renderer", lambda: False)
    assert job.names("notebook") == {f"{job.name}.ipynb": len(RAN)}


def test_a_notebook_in_the_archive_has_the_size_that_it_has_there(site, job):
    del job.bodies[f"{ROOT}/{job.name}/{job.name}.ipynb"]
    job.archive(**{f"{job.name}.ipynb": RAN, "other": b"1"})
    assert job.names("notebook")[f"{job.name}.ipynb"] == len(RAN)
