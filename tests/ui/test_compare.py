"""The page that compares two jobs: who may ask, what it says of each, and how their values differ; the notebooks' cells are compared elsewhere."""

import asyncio
import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi import HTTPException
from ui_account import RAN, ROOT, Account, hint, in_routes, task_instance

from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui import access, pages
from airflow_nbjobs.ui.app import build_app
from airflow_nbjobs.ui.data.other_runs import OtherRun, OtherRuns
from airflow_nbjobs.ui.data.task_instance import Instance, Kind
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.renderer import CompareRequest, Outcome, Renderer, RenderRequest
from airflow_nbjobs.ui.rendering import LINK_MARK, SHOWN_MARK, THEME_MARK
from airflow_nbjobs.ui.routes.compare import Ref, parse_ref

PAGE = (
    f"<html data-theme={THEME_MARK} data-shown={SHOWN_MARK}><a href='{LINK_MARK}#nbjobs:left:cell-1'>cells</a></html>"
)
SIDE = {"parameters": [{"name": "a", "type": "int", "text": "1"}], "outputs": [], "failed": None}
SUMMARY = {
    "unrendered": [],
    "uncompared": [],
    "first": "pair-1",
    "counts": {"same": 2, "changed": 0},
    "left": SIDE,
    "right": SIDE,
}
STARTED = datetime(2026, 1, 2, 3, tzinfo=UTC)


class ComparingNothing(Renderer):
    """Leaves a page and a summary, and starts no process; keeps what it was asked."""

    def __init__(self):
        super().__init__({})
        self.asked, self.rendered = [], []
        self.summary = SUMMARY
        self.outcome = Outcome("ok")

    def warm_up(self):
        pass

    def render(self, order):
        if isinstance(order, RenderRequest):
            for name in ("document.html", "report.html", "texts.json"):
                (order.folder / name).write_text(PAGE)
            self.rendered.append(order)
            (order.folder / "summary.json").write_text(json.dumps(self.summary["left"] | {"unrendered": []}))
            return self.outcome
        assert isinstance(order, CompareRequest)
        assert order.left.source.exists()
        assert order.right.source.exists()
        self.asked.append(order)
        (order.folder / "document.html").write_text(PAGE)
        (order.folder / "summary.json").write_text(json.dumps(self.summary))
        return self.outcome


class Site:
    """Task instances by their run's id, in an account of AWS, and the routes under ``/air``."""

    def __init__(self, monkeypatch):
        self.account = Account()
        self.renderer = ComparingNothing()
        self.notebooks = Notebooks(self.account.access, self.renderer, live_seconds=0)
        self.instances = {}
        self.outputs = {}
        self.refused = set()
        self.asked_for = []
        self.runs = OtherRuns(last_success=None, nearest=())
        self.app = build_app(self.notebooks)
        overridden = dict.fromkeys((access.may_read_results.dependency, access.may_read_logs.dependency, get_user))
        self.app.dependency_overrides = {each: lambda: None for each in overridden}
        in_routes(monkeypatch, "new_session", nullcontext)
        in_routes(monkeypatch, "read_task_instance", lambda *_, run_id, **__: self.instances.get(run_id))
        in_routes(monkeypatch, "read_instances", lambda *_, **__: (Kind.OTHER, []))
        in_routes(monkeypatch, "read_outputs", lambda _, ti: (found := self.outputs.get(ti.run_id, {}), len(found)))
        in_routes(monkeypatch, "read_other_runs", lambda *_: self.runs)
        in_routes(monkeypatch, "read_prices", lambda: Prices({"ml.m5.large": 3.6}))
        in_routes(monkeypatch, "refuse_unreadable", self._ask)

    def _ask(self, _request, _user, dag_ids):
        for dag_id in dag_ids:
            self.asked_for.append(dag_id)
            if dag_id in self.refused:
                raise HTTPException(403)

    def add(self, run_id, *, deliver=RAN, description=None, **fields):
        """Add a task instance with a job; without ``deliver`` it has no notebook."""
        given = {"run_id": run_id} | fields
        job = {key: given.pop(key) for key in ("status", "NBJOBS_LIVE_NOTEBOOK") if key in given}
        ti = task_instance(**given)
        name = self.account.add_job(ti, **job)
        self.account.clients.jobs.descriptions[name] |= description or {}
        if deliver:
            self.account.deliver(name, deliver)
        self.instances[run_id] = ti
        return name

    def get(self, path, *, headers=None, **query):
        async def asked():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, root_path="/air/nbjobs")
            async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
                return await client.get(f"/air/nbjobs{path}", params=query, headers=headers)

        return asyncio.run(asked())

    def answer(self, left="d/one/t/-1", right="d/two/t/-1"):
        return self.get("/compare.json", left=left, right=right).json()


@pytest.fixture
def site(monkeypatch):
    made = Site(monkeypatch)
    yield made
    made.notebooks.close()


@pytest.fixture
def two(site):
    ended = {
        "TrainingStartTime": STARTED,
        "TrainingEndTime": STARTED + timedelta(minutes=10),
        "BillableTimeInSeconds": 600,
    }
    image = {"AlgorithmSpecification": {"TrainingImage": "image:4"}}
    site.add("one", description=ended | image)
    later = {"TrainingEndTime": STARTED + timedelta(minutes=15), "BillableTimeInSeconds": 900}
    site.add("two", description=ended | image | later)
    return site


def row(answer, kind, name):
    return next(each for each in answer[kind] if each["name"] == name)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("d/r/t/-1", Ref(dag_id="d", run_id="r", task_id="t", map_index="-1")),
        (
            "d%2Fe/manual__2026-01-02T03%3A04/t/3/job-1",
            Ref(dag_id="d/e", run_id="manual__2026-01-02T03:04", task_id="t", map_index="3", job="job-1"),
        ),
        ("%E2%98%83/r%25/t/x", Ref(dag_id="☃", run_id="r%", task_id="t", map_index="x")),
        *((wrong, None) for wrong in ("", "d", "d/r/t", "d//t/-1", "d/r/t/-1/", "d/r/t/-1/job/more", "////")),
    ],
)
def test_a_job_in_an_address(text, ref):
    assert parse_ref(text) == ref
    if ref is not None:
        assert parse_ref(ref.text) == ref


def test_each_dag_is_asked_for_before_the_database_is_read(two, monkeypatch):
    def read():
        raise AssertionError

    in_routes(monkeypatch, "new_session", read)
    for refused in ("mine", "theirs"):
        two.refused = {refused}
        for path in ("/compare", "/compare.json", "/compare.html"):
            assert two.get(path, left="mine/r/t/-1", right="theirs/r/t/-1").status_code == 403, path
    assert set(two.asked_for) == {"mine", "theirs"}


@pytest.mark.parametrize(
    "query", [{}, {"left": "d/r/t/-1"}, {"left": "x", "right": "d/r/t/-1"}, {"left": "a" * 20_000, "right": "d/r/t/-1"}]
)
def test_an_address_that_names_no_two_jobs_is_a_page_that_says_so(site, query):
    answer = site.get("/compare", **query)
    assert (answer.status_code, "not understood" in answer.text) == (422, True)
    assert site.get("/compare.json", **query).json()["code"] == "not-understood"


def test_a_job_that_is_not_there_is_named_with_its_side(two):
    said = two.get("/compare", left="d/one/t/-1", right="d/gone/t/-1").text
    assert "There is no such task instance" in said
    assert "on the right: d, gone, t" in said
    assert two.answer(left="d/n%00o/t/-1")["code"] == "no-instance"


def test_a_mapped_task_as_a_whole_is_not_compared(two, monkeypatch):
    instance = Instance(map_index=0, state=None, label=None, parameters=None, job=None)
    in_routes(monkeypatch, "read_instances", lambda *_, **__: (Kind.OPERATOR, [instance]))
    assert two.answer(left="d/mapped/t/-1")["code"] == "mapped"


def test_the_page_names_both_and_can_be_turned_around(two):
    answer = two.get("/compare", left="d/one/t/-1", right="d/two/t/-1", differences="true")
    assert answer.headers["cache-control"] == "private, no-store"
    assert 'data-differences="true"' in answer.text
    assert 'data-left="/air/dags/d/runs/one/tasks/t/plugin/nbjobs_notebook"' in answer.text
    assert (
        'href="/air/nbjobs/compare?left=d%2Ftwo%2Ft%2F-1&amp;right=d%2Fone%2Ft%2F-1&amp;differences=true"'
        in answer.text
    )
    assert "Both sides are the same job" not in answer.text
    assert "Both sides are the same job" in two.get("/compare", left="d/one/t/-1", right="d/one/t/-1").text


def test_what_the_page_says_is_escaped_and_seen(two):
    two.instances["<b>\u202e"] = task_instance(run_id="<b>\u202e", job=hint(job_name="<script>"))
    ref = quote("<b>\u202e", safe="")
    text = two.get("/compare", left=f"d/{ref}/t/-1", right="d/two/t/-1").text
    assert "\u202e" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text


def test_the_jobs_are_compared(two):
    answer = two.answer()
    assert (answer["status"], answer["first"], answer["is_passing"]) == ("ok", "pair-1", False)
    assert answer["verdict"] == "Nothing differs, but for when the jobs ran, and for how long."
    assert row(answer, "facts", "duration")["difference"] == "+5 min 0 s (+50 %)"
    assert row(answer, "facts", "billable")["difference"] == "+5 min 0 s (+50 %)"
    assert row(answer, "facts", "cost")["difference"] == "+$0.3000"
    assert answer["has_cost"]
    assert not any(each["differs"] for each in answer["facts"])
    assert row(answer, "facts", "image")["left"] == "image:4"


def test_all_instances_of_both_jobs_are_counted(two):
    for described in two.account.clients.jobs.descriptions.values():
        described["ResourceConfig"] = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    answer = two.answer()
    billed, cost = (row(answer, "facts", name) for name in ("billable", "cost"))
    assert (billed["left"], billed["difference"]) == ("20 min 0 s", "+10 min 0 s (+50 %)")
    assert cost["difference"] == "+$0.6000"


def test_a_machine_an_image_and_a_state_that_differ_are_marked(two):
    name = next(
        name
        for name in two.account.clients.jobs.descriptions
        if two.account.clients.jobs.descriptions[name]["Environment"]["NBJOBS_OWNER"].count("two")
    )
    two.account.clients.jobs.descriptions[name] |= {
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge"},
        "AlgorithmSpecification": {"TrainingImage": "image:5"},
        "TrainingJobStatus": "Failed",
        "SecondaryStatus": "Failed",
        "FailureReason": "AlgorithmError: exit 1",
    }
    answer = two.answer()
    assert {each["name"] for each in answer["facts"] if each["differs"]} == {
        "instance_type",
        "image",
        "status",
        "error",
    }
    assert answer["verdict"] == "4 facts about the jobs differ."
    assert two.renderer.asked[-1].right.has_failed


def test_parameters_and_outputs_are_compared_with_their_differences(two):
    two.outputs = {"one": {"accuracy": 0.87, "gone": "x"}, "two": {"accuracy": 0.875, "new": [1]}}
    right = SIDE | {"parameters": [{"name": "a", "type": "int", "text": "2"}]}
    two.renderer.summary = SUMMARY | {"right": right, "counts": {"same": 1, "changed": 1, "added": 1}}
    answer = two.answer()
    assert row(answer, "parameters", "a")["difference"] == "+1 (+100 %)"
    assert row(answer, "outputs", "accuracy")["difference"] == "+0.005 (+0.57 %)"
    assert row(answer, "outputs", "gone") == {
        "name": "gone",
        "left": {"type": "str", "text": '"x"'},
        "right": None,
        "differs": True,
        "difference": "only on the left",
    }
    assert row(answer, "outputs", "new")["difference"] == "only on the right"
    assert answer["verdict"] == "1 parameter, 3 outputs and 2 cells differ."
    assert answer["counts"] == {"facts": 0, "parameters": 1, "outputs": 3, "cells": 2}


def test_a_job_without_a_notebook_is_compared_as_far_as_it_goes_and_says_why(two):
    two.add("three", deliver=None, rendered={"parameters": {"a": 5}})
    two.instances["one"] = task_instance(run_id="one", rendered={"parameters": {"a": 4}})
    answer = two.answer(right="d/three/t/-1")
    assert (answer["tag"], answer["problem"]) == (None, None)
    ((missing),) = answer["missing"]
    assert (missing["side"], missing["code"]) == ("right", "gone")
    assert row(answer, "parameters", "a")["difference"] == "+1 (+25 %)"
    assert answer["verdict"] == "1 parameter differs. Not everything could be compared."
    assert two.renderer.asked == []


def test_a_task_that_has_had_no_job_says_so(two):
    two.instances["none"] = task_instance(run_id="none", job=None, state="running")
    answer = two.answer(left="d/none/t/-1")
    assert answer["missing"][0]["code"] == "not-started"
    assert answer["is_passing"]
    assert row(answer, "facts", "status")["left"] == "running"


def test_two_tries_of_one_task_are_named_by_their_jobs(site):
    ti = task_instance(run_id="r", job=hint(attempt=1), attempts=(hint(attempt=0),))
    site.instances["r"] = ti
    last = site.add("r", job=hint(attempt=1), attempts=(hint(attempt=0),))
    site.instances["r"] = ti
    first = site.account.add_job(
        task_instance(run_id="r", job=None, attempts=(hint(attempt=0),)), NBJOBS_TRY_NUMBER="1"
    )
    site.account.deliver(first)
    answer = site.answer(left=f"d/r/t/-1/{first}", right=f"d/r/t/-1/{last}")
    assert (row(answer, "facts", "job_name")["left"], row(answer, "facts", "job_name")["right"]) == (first, last)
    assert [order.title for order in site.renderer.asked] == [f"{first} and {last}"]
    unknown = site.answer(left="d/r/t/-1/another-job", right=f"d/r/t/-1/{last}")
    assert unknown["missing"][0]["code"] == "no-such-job"


def test_a_running_job_is_compared_as_far_as_it_is(site):
    site.add("one")
    name = site.add("two", deliver=None, status="InProgress", NBJOBS_LIVE_NOTEBOOK="1", state="deferred")
    answer = site.answer()
    assert answer["missing"][0]["code"] == "filling-in"
    site.account.clients.objects.bodies[JobLocation(ROOT, name).live_notebook_uri] = RAN
    answer = site.answer()
    assert (answer["is_passing"], answer["missing"], answer["tag"] is not None) == (True, [], True)
    assert row(answer, "facts", "status")["differs"]


def test_the_cells_are_served_as_a_notebook_is_and_made_once(two):
    query = {"left": "d/one/t/-1", "right": "d/two/t/-1"}
    answer = two.get("/compare.html", **query)
    assert answer.headers["content-security-policy"] == pages.NOTEBOOK_POLICY
    assert answer.headers["cache-control"] == "private, no-cache"
    assert (
        answer.text
        == "<html data-theme=light data-shown=all><a href='/air/nbjobs/link.html#nbjobs:left:cell-1'>cells</a></html>"
    )
    again = two.get("/compare.html", **query, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    only = two.get(
        "/compare.html", **query, theme="dark", differences="true", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert "<html data-theme=dark data-shown=differences>" in only.text
    two.answer()
    assert len(two.renderer.asked) == 1
    two.get("/compare.html", left="d/two/t/-1", right="d/one/t/-1")
    assert len(two.renderer.asked) == 2


def test_a_comparison_that_cannot_be_made_says_why_and_the_rest_is_compared(two):
    two.renderer.outcome = Outcome("memory")
    answer = two.answer()
    assert answer["problem"]["code"] == "render-memory"
    assert answer["verdict"] == "Nothing differs in what could be compared."
    assert two.get("/compare.html", left="d/one/t/-1", right="d/two/t/-1").status_code == 404


def test_the_tab_offers_the_last_run_that_succeeded_first_and_older_ones_on_the_left(two):
    def run(run_id, state, days):
        return OtherRun(run_id=run_id, state=state, moment=STARTED + timedelta(days=days), is_before=days < 0)

    success = run("a/b", "success", -9)
    two.runs = OtherRuns(last_success=success, nearest=(run("after", "success", 1), run("failed", "failed", -1)))
    answer = two.get("/ti/d/two/t/-1/others.json").json()
    assert [(each["label"], each["run_id"], each["words"]) for each in answer["others"]] == [
        ("The last run before this that succeeded", "a/b", "success"),
        ("", "after", "success"),
        ("", "failed", "failed"),
    ]
    queries = [parse_qs(urlsplit(each["address"]).query) for each in answer["others"]]
    assert queries[0] == {"left": ["d/a%2Fb/t/-1"], "right": ["d/two/t/-1"]}
    assert queries[1] == {"left": ["d/two/t/-1"], "right": ["d/after/t/-1"]}
    assert answer["others"][0]["address"].startswith("/air/nbjobs/compare?")


def test_the_tab_offers_the_tasks_other_jobs(site):
    site.add("r", job=hint(attempt=1), attempts=(hint(attempt=0),))
    first, last = "d/r/t/-1/", "d/r/t/-1/"
    for asked, label in ((None, "Job 1 of 2 of this task"), ("first", "Job 2 of 2 of this task")):
        names = [name for name, _ in site.notebooks.jobs.names(site.instances["r"])]
        query = {"job": names[1]} if asked else {}
        ((job),) = site.get("/ti/d/r/t/-1/others.json", **query).json()["jobs"]
        assert job["label"] == label
        assert parse_qs(urlsplit(job["address"]).query) == {"left": [first + names[1]], "right": [last + names[0]]}
