"""The routes of the report and of the texts that are searched, and what is said of a new run."""

from __future__ import annotations

import json

import pytest
from ui_account import in_routes, task_instance
from ui_site import Site

from airflow_nbjobs import _compat
from airflow_nbjobs.ui import pages
from airflow_nbjobs.ui.access import may_read_runs, may_trigger
from airflow_nbjobs.ui.data.run_conf import RunConf, _are_params
from airflow_nbjobs.ui.routes import again


@pytest.fixture
def site(monkeypatch):
    made = Site(monkeypatch)
    yield made
    made.notebooks.close()


def test_the_report_is_served_as_the_notebook_is(site):
    name = site.add_job()
    answer = site.get("/report.html", theme="dark")
    assert answer.headers["content-security-policy"] == pages.NOTEBOOK_POLICY
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.text.endswith("report.html")
    assert "<html data-theme=dark><a href='/air/nbjobs/link.html#https://e.com'>" in answer.text
    again = {"If-None-Match": answer.headers["etag"]}
    assert site.get("/report.html", theme="dark", headers=again).status_code == 304
    assert site.get("/notebook.html", theme="dark", headers=again).status_code == 200
    saved = site.get("/report.html", download="true")
    assert saved.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}-report.html"
    assert "<a href='https://e.com'>" in saved.text


def test_the_texts_are_sent_with_what_is_unseen_in_them_marked(site):
    site.add_job()
    answer = site.get("/texts.json")
    assert answer.json()["parts"] == [{"anchor": "cell-1", "text": "a⟦U+202E⟧b"}]
    assert (answer.json()["status"], answer.json()["is_whole"]) == ("ok", True)
    assert site.get("/texts.json", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_without_a_notebook_there_is_neither(site):
    assert site.get("/texts.json").json()["code"] == "unknown-job"
    assert site.get("/report.html").status_code == 404


@pytest.fixture
def given(monkeypatch):
    def give(conf, *params):
        in_routes(monkeypatch, "read_run_conf", lambda *_, **__: RunConf(conf, bool(params)))

    return give


def test_a_new_run_is_offered_with_what_this_one_was_given(site, given, monkeypatch):
    given({"a": 1, "größe": "x\u202ey\n", "z": None}, "a", "größe")
    in_routes(monkeypatch, "trigger_form_item", lambda: "triggerWithConfig")
    site.ti = task_instance(dag_id="a b", run_id="manual__2026-01-01T00:00:00+00:00")
    answer = site.get("/again.json")
    assert answer.headers["cache-control"] == "private, no-store"
    assert "\u202e" not in answer.text
    said = answer.json()
    assert json.loads(said["conf"]) == {"a": 1, "größe": "x\u202ey\n", "z": None}
    assert "größe" in said["conf"]
    assert (said["is_offered"], said["form"]) == (True, "triggerWithConfig")
    assert said["run"] == "/air/dags/a%20b/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00"


@pytest.mark.parametrize("missing", [may_trigger, may_read_runs], ids=["trigger", "runs"])
def test_nothing_is_said_to_those_who_may_not(site, given, monkeypatch, missing):
    given({"a": "secret"}, "a")
    monkeypatch.setattr(again, "read_run_conf", None)  # the database is not asked either
    site.allowed.remove(missing)
    assert site.get("/again.json").json() == {"status": "ok", "is_offered": False}


def test_where_a_form_would_ask_for_nothing_none_is_offered(site, given):
    given({})
    assert site.get("/again.json").json() == {"status": "ok", "is_offered": False}
    given({}, "a")
    said = site.get("/again.json").json()
    assert (said["is_offered"], said["conf"]) == (True, "")


def test_what_airflow_masks_is_masked_and_said(site, given):
    given({"password": "hunter2", "a": 1}, "a")
    said = site.get("/again.json").json()
    assert "hunter2" not in said["conf"]
    assert said["is_masked"] is True
    given({"a": 1}, "a")
    assert site.get("/again.json").json()["is_masked"] is False


def test_a_conf_that_is_too_long_is_neither_sent_nor_walked_through(site, given, monkeypatch):
    monkeypatch.setattr(again, "redact", None)
    monkeypatch.setattr(again, "visible", None)
    given({"a": "x\u202e" * 200_000}, "a")
    said = site.get("/again.json").json()
    assert (said["conf"], said["is_too_long"], said["is_masked"]) == ("", True, False)


@pytest.mark.parametrize(
    ("version", "item"),
    [
        ("3.1.8", None),
        ("3.2.2", "triggerWithConfig"),
        ("3.3.2", "triggerWithConfig"),
        ("3.4.0b2", "editConfigAndTrigger"),
        ("3.5.0", None),
        ("4.0.0", None),
    ],
)
def test_of_an_airflow_that_is_not_known_no_entry_is_chosen(monkeypatch, version, item):
    """An entry of the same name may trigger at once."""
    monkeypatch.setattr("airflow.__version__", version)
    assert _compat.trigger_form_item() == item


@pytest.mark.parametrize(
    ("data", "are_there"),
    [
        ({"dag": {"params": [["a", {}], ["b", {}]]}}, True),
        ({"dag": {"params": {"a": {}}}}, True),
        ({"dag": {"params": [7, [], [7], "x", None]}}, False),
        *((data, False) for data in ({"dag": {"params": {}}}, {"dag": {}}, {"dag": None}, {}, None, [])),
    ],
    ids=str,
)
def test_params_of_a_serialized_dag(data, are_there):
    assert _are_params(data) is are_there
