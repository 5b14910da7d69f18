"""Each route's answer: its headers, what a browser may keep of it, and what is said where there is nothing to show; nothing is rendered here."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fakes import archive
from fastapi import HTTPException
from ui_account import RAN, ROOT, hint, in_routes, task_instance
from ui_site import Site

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui import access, pages
from airflow_nbjobs.ui.data.listing import Listing
from airflow_nbjobs.ui.data.task_instance import Instance, Kind
from airflow_nbjobs.ui.notebook import failure
from airflow_nbjobs.ui.notebook.problems import MappedError, ProblemError
from airflow_nbjobs.ui.routes.dependencies import task_instance_of


@pytest.fixture
def site(monkeypatch):
    made = Site(monkeypatch)
    yield made
    made.notebooks.close()


def policy(answer):
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.headers["content-security-policy"]


def test_the_notebook_is_served_under_its_policy_and_asked_for_anew_each_time(site):
    site.add_job()
    answer = site.get("/notebook.html")
    assert (answer.status_code, policy(answer)) == (200, pages.NOTEBOOK_POLICY)
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "content-disposition" not in answer.headers
    assert "<html data-theme=light><a href='/air/nbjobs/link.html#https://e.com'>" in answer.text
    again = site.get("/notebook.html", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"], again.content) == (304, "private, no-cache", b"")
    dark = site.get("/notebook.html", theme="dark", headers={"If-None-Match": answer.headers["etag"]})
    assert (dark.status_code, "data-theme=dark" in dark.text) == (200, True)


def test_a_downloaded_notebook_has_links_that_are_links(site):
    name = site.add_job()
    answer = site.get("/notebook.html", download="true")
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}.html"
    assert "<a href='https://e.com'>" in answer.text


def test_scripts_are_for_a_frame_that_may_connect_to_nothing(site):
    site.add_job()
    frame = {"Sec-Fetch-Dest": "iframe"}
    answer = site.get("/scripted.html", theme="dark", headers=frame)
    assert (answer.status_code, policy(answer)) == (200, pages.SCRIPTED_POLICY)
    assert (answer.headers["connection-allowlist"], answer.headers["cache-control"]) == ("()", "private, no-store")
    assert "<html data-theme=dark><a href='#https://e.com'>accuracy</a></html>scripted.html" in answer.text
    for headers in ({}, {"Sec-Fetch-Dest": "document"}):
        assert site.get("/scripted.html", headers=headers).status_code == 404
    assert site.get("/probe.html").headers["connection-allowlist"] == "()"


def test_without_scripts_there_is_no_page_with_scripts(site):
    site.notebooks.renderer.scripted = 0
    site.add_job()
    assert site.get("/scripted.html", headers={"Sec-Fetch-Dest": "iframe"}).status_code == 404


def test_the_file_is_the_notebook_as_it_was_delivered_or_lies_in_the_archive(site):
    name = site.add_job()
    answer = site.get("/notebook.ipynb")
    assert (answer.content, policy(answer)) == (RAN, pages.TEXT_POLICY)
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}.ipynb"
    assert answer.headers["cache-control"] == "private, no-store"
    site.ti = task_instance(task_id="other")
    name = site.account.add_job(site.ti)
    site.account.clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive({f"{name}.ipynb": RAN})
    assert site.get("/notebook.ipynb").content == RAN


def test_the_log_as_it_was_written_says_where_it_begins_later(site, monkeypatch):
    name = site.add_job()
    site.account.clients.logs.lines[name] = ["a", "b", "c"]
    assert site.get("/log").text == "a\nb\nc\n"
    in_routes(monkeypatch, "_LOG_LINES", 2)
    assert site.get("/log").text == "… what is older is in CloudWatch\nb\nc\n"


def test_the_log_as_it_was_written_shows_what_is_unseen(site):
    name = site.add_job()
    assert site.get("/log").text == "CloudWatch has no log of this job (yet).\n"
    site.account.clients.logs.lines[name] = ["a\u202eb", "c"]
    answer = site.get("/log")
    assert (answer.headers["content-type"], policy(answer)) == ("text/plain; charset=utf-8", pages.TEXT_POLICY)
    assert answer.text.count("\n") == 2
    assert "\u202e" not in answer.text
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    ("added", "lines"),
    [
        ([2], ["cell 1 of 1 has ended"]),
        ([2, "x", None], ["cell 1 of 1 has ended"]),
        ("no list", ["cell 1 of 2 has ended"]),
    ],
)
def test_the_readable_log_counts_cells_as_the_author_does(site, monkeypatch, added, lines):
    name = site.add_job()
    site.ti = task_instance(job=hint(job_name=name, added_cells=added))
    bar = "Executing:  50%|█████     | 1/2 [00:00<00:01,  1.79cell/s]"
    site.account.clients.logs.lines[name] = [bar]
    answer = site.get("/log.json")
    assert (answer.json()["lines"], answer.json()["is_whole"]) == (lines, True)
    assert answer.headers["cache-control"] == "private, no-store"
    in_routes(monkeypatch, "_LOG_LINES", 1)
    assert site.get("/log.json").json()["is_whole"] is False
    site.ti = task_instance(job=hint(job_name="another", added_cells=[2]))
    assert site.get("/log.json").json()["lines"] == ["cell 1 of 2 has ended"]


def test_the_state_is_what_a_page_compares_itself_with(site):
    answer = site.get("/state.json")
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.json() == {
        "state": "success",
        "try_number": 1,
        "is_finished": True,
        "job_name": None,
        "has_ended": False,
    }
    site.ti = task_instance(state="running", try_number=2, job=hint(job_name="j"), end={"status": "Completed"})
    assert site.get("/state.json").json() == {
        "state": "running",
        "try_number": 2,
        "is_finished": False,
        "job_name": "j",
        "has_ended": True,
    }


def test_what_a_script_cannot_be_told_it_asks_for_again(site):
    answer = site.get("/notebook.json")
    assert (answer.json()["code"], answer.headers["cache-control"]) == ("unknown-job", "no-store")
    site.add_job()
    answer = site.get("/notebook.json")
    assert answer.headers["cache-control"] == "private, no-cache"
    assert site.get("/notebook.json", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_the_tab_starts_the_rendering_process_and_says_where_it_is(site):
    site.ti = task_instance(dag_id="a b", run_id="r/1", job=hint(job_name="j"))
    site.outputs = {"note": "a\u202eb"}
    text = site.get().text
    assert site.notebooks.renderer.is_warm
    assert 'data-base="/air/nbjobs/ti/a%20b/r%2F1/t/-1"' in text
    assert "\u202e" not in text
    assert "\\u202e" not in text  # as JSON has it, which the page's script would read
    assert site.get().headers["cache-control"] == "private, no-store"


def test_an_earlier_jobs_page_says_nothing_of_the_last_try(site):
    record = {"version": 1, "try_number": 1, "type": "X", "headline": "no role", "problems": [], "job_name": None}
    site.ti = task_instance(state="failed", job=hint(job_name="j"), error=failure.parse_error_record(record))
    assert "No role" in site.get(job="j").text
    assert "No role" in site.get().text
    assert "No role" not in site.get(job="earlier").text


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("running", "not-started"),
        ("queued", "not-started"),
        (None, "not-started"),
        ("failed", "no-job"),
        ("success", "no-job"),
    ],
)
def test_a_task_without_a_job_has_none_yet_or_none_at_all(site, state, code):
    site.ti = task_instance(state=state, job=None)
    assert site.get("/notebook.json").json()["code"] == code
    assert site.get("/notebook.ipynb").status_code == 404


def test_a_last_try_that_failed_without_a_job_does_not_show_the_job_before_unless_it_is_asked_for(site):
    name = site.add_job(task_instance(attempts=(hint(),)))
    record = {"version": 1, "try_number": 1, "type": "X", "headline": "no role", "problems": [], "job_name": None}
    error = failure.parse_error_record(record)
    for error_of_try, asked, code in ((error, "", "no-job"), (error, name, None), (None, "", None)):
        site.ti = task_instance(state="failed", job=None, attempts=(hint(),), error=error_of_try)
        answer = site.get("/notebook.json", **({"job": asked} if asked else {})).json()
        assert answer.get("code") == code
        labels = [each["label"] for each in answer["attempts"]]
        assert labels == [*(["Last try, without a job"] if error_of_try else []), "Job 1 of 1"]


def test_jobs_to_choose_from_are_counted_from_the_first(site):
    site.ti = task_instance(job=hint(attempt=1), attempts=(hint(attempt=0),))
    site.add_job()
    found = site.get("/notebook.json").json()["attempts"]
    assert [each["label"] for each in found] == ["Job 2 of 2", "Job 1 of 2"]
    site.ti = task_instance(kind=Kind.SENSOR, job=hint())
    assert site.get("/notebook.json").json()["attempts"] == []
    site.ti = task_instance(job=None)
    assert site.get("/notebook.json").json()["attempts"] == []


def test_a_connection_that_is_wrong_is_said_by_the_answer_and_not_by_its_choice_of_jobs(site, monkeypatch):
    def refuse(_ti):
        raise NotebookJobConfigError("no such connection")

    monkeypatch.setattr(site.notebooks.jobs, "_make_access", refuse)
    answer = site.get("/notebook.json").json()
    assert (answer["attempts"], answer["code"], answer["details"]) == ([], "misconfigured", ["no such connection"])


@pytest.mark.parametrize(
    ("address", "index"), [("3", 3), ("0", 0), ("{MAP_INDEX}", -1), ("-1", -1), ("٣" * 10, -1), ("1234567890", -1)]
)
def test_the_map_index_of_an_address(site, monkeypatch, address, index):
    asked = []
    in_routes(monkeypatch, "read_task_instance", lambda *_, map_index, **__: asked.append(map_index) or site.ti)
    in_routes(monkeypatch, "read_instances", None)  # asked for no task instance that is there
    assert task_instance_of("d", "r", "t", address) is site.ti
    assert asked == [index]


def refused(*address):
    with pytest.raises(ProblemError) as caught:
        task_instance_of(*address)
    return caught.value.problem.code


def test_an_address_of_no_notebook_says_what_it_is_of(site, monkeypatch):
    site.ti = task_instance(kind=Kind.OTHER)
    assert refused("d", "r", "t", "-1") == "not-a-notebook"
    site.ti = None
    assert refused("d", "r", "t", "-1") == "no-instance"
    instance = Instance(map_index=0, state=None, label=None, parameters={"a": 1}, job=None)
    site.instances = (Kind.OTHER, [instance])
    assert refused("d", "r", "t", "-1") == "not-a-notebook"
    site.instances = (Kind.OPERATOR, [instance])
    assert refused("d", "r", "t", "7") == "no-instance"  # of one instance that is not there, no other is offered
    with pytest.raises(MappedError):
        task_instance_of("d", "r", "t", "{MAP_INDEX}")
    in_routes(monkeypatch, "new_session", None)  # no database is asked for a name that none holds
    for address in (("d\0", "r", "t"), ("d", "r\0", "t"), ("d", "r", "\0")):
        assert refused(*address, "-1") == "no-instance"


def test_instances_of_a_mapped_task_are_a_page_for_people_only(site):
    site.ti = None
    site.instances = (Kind.OPERATOR, [Instance(map_index=0, state=None, label=None, parameters={"a": 1}, job=None)])
    text = site.get().text
    assert 'href="/air/dags/d/runs/r/tasks/t/mapped/0/plugin/nbjobs_notebook"' in text
    assert 'data-state="none"' in text
    assert "{&#34;a&#34;: 1}" in text
    assert site.get("/notebook.json").json()["code"] == "mapped"
    for file in ("/notebook.html", "/log", "/notebook.ipynb"):
        assert (site.get(file).status_code, "This task is mapped" in site.get(file).text) == (404, True)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "You are not signed in"),
        (403, "You may not see this notebook"),
        (404, "There is no such page"),
        (418, "a teapot"),
    ],
)
def test_a_refusal_keeps_its_status_and_is_a_page_or_json_as_asked_for(site, status, text):
    def refuse():
        raise HTTPException(status, "a teapot")

    site.app.dependency_overrides[access.may_read_results.dependency] = refuse
    for path in ("", "/notebook.html", "/state.json"):
        answer = site.get(path)
        assert (answer.status_code, text in answer.text) == (status, True)
        assert answer.headers["content-type"].startswith("application/json" if "json" in path else "text/html")
    assert site.get("/state.json").headers["cache-control"] == "no-store"


def test_an_address_that_is_not_understood_names_what(site):
    answer = site.get("/notebook.html", theme="purple", job="x" * 99)
    assert answer.status_code == 422
    assert "job\ntheme" in answer.text
    assert site.get("/nothing").status_code == 404


def test_a_fault_of_ours_is_a_page_with_its_status(site, monkeypatch):
    monkeypatch.setattr(site.notebooks.jobs, "find", lambda *_: 1 / 0)
    for path in ("/log", "/log.json"):
        answer = site.get(path)
        assert (answer.status_code, "ZeroDivision" in answer.text) == (500, False)
        assert "This page cannot be shown now" in answer.text


def test_the_page_of_all_jobs_is_asked_for_with_what_may_be_read(site, monkeypatch):
    asked = {}

    def list_jobs(_session, filters, **given):
        asked.update(given, filters=filters)
        return Listing(rows=[], total=0, page=1, pages=1, dag_ids=["d"])

    in_routes(monkeypatch, "readable_dag_ids", lambda _user: {"d"})
    in_routes(monkeypatch, "list_jobs", list_jobs)
    for prices, has_costs in ((Prices({"ml.m5.large": 1.0}), True), (Prices({}), False)):
        in_routes(monkeypatch, "read_prices", lambda prices=prices: prices)
        answer = site.get("/jobs", state="failed")
        assert (">Cost</th>" in answer.text) is has_costs
        assert (asked["readable"], asked["prices"], asked["filters"].state) == ({"d"}, prices, "failed")
    assert "connect-src 'self'" in policy(answer)


def test_facts_of_the_answer_are_the_jobs_and_those_of_its_try(site):
    ended, site.ti = site.ti, task_instance(state="running", started=datetime(2026, 1, 2, tzinfo=UTC))
    site.account.add_job(site.ti, status="InProgress")
    assert site.get("/notebook.json").json()["live"]["status"] == "InProgress"
    site.ti = ended
    name = site.add_job(NBJOBS_NOTEBOOK_SHA256="abc")
    facts = site.get("/notebook.json").json()["facts"]
    assert (facts["job_name"], facts["try"], facts["instance_type"]) == (name, "1", "ml.m5.large")
    assert site.get("/notebook.json").json()["live"] is None


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("", 200, "text/html"),
        ("/notebook.html", 404, "text/html"),
        ("/report.html", 404, "text/html"),
        ("/notebook.ipynb", 404, "text/html"),
        ("/log", 404, "text/html"),
        ("/files/a.json", 404, "text/html"),
        ("/files/a", 404, "text/html"),
        ("/notebook.json", 200, "application/json"),
        ("/files.json", 200, "application/json"),
        ("/texts.json", 200, "application/json"),
        ("/state.json", 200, "application/json"),
    ],
)
def test_where_there_is_no_task_instance_each_address_says_so_in_its_own_way(site, path, status, kind):
    """A file that is not there must not be saved as a page that says so; a script reads why."""
    site.ti = None
    answer = site.get(path)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (status, kind)
    if kind == "application/json":
        assert (answer.json()["code"], answer.json()["status"]) == ("no-instance", "problem")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    else:
        assert "There is no such task instance" in answer.text
        assert answer.headers["cache-control"] == "private, no-store"


def test_instances_are_offered_with_what_tells_them_apart(site):
    site.ti = None
    waiting = hint(waiting={"for": "AWS"})
    site.instances = (
        Kind.OPERATOR,
        [
            Instance(map_index=0, state="failed", label="eu", parameters=None, job=None),
            Instance(map_index=1, state="deferred", label=None, parameters={"a": "é"}, job=waiting),
        ],
    )
    text = site.get().text
    assert ">eu</a>" in text
    assert 'data-state="failed"' in text
    assert "waiting for AWS" in text
    assert text.count("{&#34;a&#34;: &#34;é&#34;}") == 1
    for path in ("/state.json", "/log", "/files/x", "/report.html"):
        assert "/mapped/0/" not in site.get(path).text


def test_each_document_has_a_tag_and_a_name_of_its_own(site):
    name = site.add_job()
    tags = {}
    for path, ending in (("/notebook.html", ".html"), ("/report.html", "-report.html")):
        for theme in ("light", "dark"):
            tags[path, theme] = site.get(path, theme=theme).headers["etag"]
        saved = site.get(path, download="true").headers["content-disposition"]
        assert saved == f"attachment; filename*=UTF-8''{name}{ending}"
    assert len(set(tags.values())) == 4
    texts = site.get("/texts.json")
    assert texts.json()["status"] == "ok"
    assert texts.headers["cache-control"] == "private, no-cache"
    assert site.get("/texts.json", headers={"If-None-Match": texts.headers["etag"]}).status_code == 304
    assert "\u202e" not in texts.text


def test_an_answer_changes_with_what_the_task_has_pushed(site):
    site.add_job()
    first = site.get("/notebook.json")
    site.outputs = {"accuracy": 0.5}
    again = site.get("/notebook.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, [each["name"] for each in again.json()["outputs"]]) == (200, ["accuracy"])
    assert "spans" not in again.json()["notebook"]
