"""The page of all jobs: its file, its columns and groups, and the way to the comparison of two."""

import csv
import io
import re
from urllib.parse import urlencode

import pytest
from airflow.api_fastapi.core_api.security import get_user
from airflow.models.base import Base
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.variable import Variable
from airflow.sdk.bases.xcom import BaseXCom
from job_rows import add_jobs, add_xcoms, job, open_database
from sqlalchemy.orm import Session
from ui_account import Client, in_routes

from airflow_nbjobs.core.job.prices import Prices, written
from airflow_nbjobs.settings import PRICES_VARIABLE
from airflow_nbjobs.ui import access
from airflow_nbjobs.ui.app import build_app
from airflow_nbjobs.ui.data import listing, prices
from airflow_nbjobs.ui.routes import compare, machine, tab

HOSTILE = "</script><b>\u202e"
COUNT = 130


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with open_database(
        f"sqlite:///{tmp_path_factory.mktemp('db') / 'airflow.db'}", RenderedTaskInstanceFields
    ) as session:
        strange = job(3) | {"run_id": "=cmd()", "error": "-1+1", "notebook": "@x"}
        add_jobs(session, [*map(job, range(3)), strange, *map(job, range(4, COUNT))])
        run = {"dag_run_id": 1, "dag_id": "dag_00", "run_id": "manual__0", "task_id": "train", "map_index": -1}
        values = {HOSTILE: HOSTILE, "accuracy": -0.5, "formula": "=1+1", "table": {"a": [1]}}
        add_xcoms(session, [run | {"key": key, "value": value} for key, value in values.items()])
        session.commit()
        found = session.bind
    yield found
    found.dispose()


@pytest.fixture
def client(engine, monkeypatch):
    in_routes(monkeypatch, "new_session", lambda: Session(engine))
    in_routes(monkeypatch, "readable_dag_ids", lambda _user: {f"dag_{number:02d}" for number in range(20)})
    app = build_app()
    app.dependency_overrides[get_user] = lambda: None
    app.dependency_overrides[access.may_read_results.dependency] = lambda: None
    yield Client(app)
    app.state.notebooks.close()


def rows_of(answer):
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_the_file_holds_all_pages_in_the_columns_that_are_chosen(client):
    answer = client.get("/jobs.csv?sort=started&output=accuracy&output=formula&output=table&page=2")
    rows = rows_of(answer)
    assert (answer.headers["content-type"], len(rows)) == ("text/csv; charset=utf-8", COUNT)
    assert "attachment" in answer.headers["content-disposition"]
    first = rows[0]
    assert (first["dag_id"], first["state"], first["duration_seconds"], first["billed_seconds"]) == (
        "dag_00",
        "success",
        "60.0",
        "3600",
    )
    assert (first["output.accuracy"], first["output.formula"], first["output.table"]) == ("-0.5", "'=1+1", '{"a": [1]}')
    strange = rows[3]
    assert (strange["run_id"], strange["notebook"], strange["error"]) == ("'=cmd()", "'@x", "'-1+1")
    assert len(rows_of(client.get("/jobs.csv?state=failed&dag_id=dag_03"))) == 7
    refused = client.get("/jobs.csv?since=x&state=failed")
    assert (refused.status_code, "since=x" in refused.text) == (400, True)


def test_a_group_that_is_not_added_up_says_so(client, monkeypatch):
    monkeypatch.setattr(listing, "MOST_SUMMED", 3)
    body = client.get("/jobs?group=dag&sort=started&dag_id=dag_00").text
    assert re.search(r'class="group"><th[^>]*>dag_00 <span>not added up</span>', body)


def test_the_form_says_which_dag_is_chosen_and_that_there_are_more(client, monkeypatch):
    assert "search by text" not in client.get("/jobs").text
    monkeypatch.setattr(listing, "_MOST_DAGS", 3)
    body = client.get("/jobs?dag_id=dag_07").text
    assert "<option selected>dag_07</option>" in body
    assert client.get("/jobs?dag_id=dag_01").text.count(">dag_01</option>") == 1
    assert "more than 3: search by text" in body


def test_a_file_says_how_many_jobs_are_not_in_it(client, monkeypatch):
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", type("Elsewhere", (BaseXCom,), {}))
    monkeypatch.setattr(listing, "_MOST_READ", 3)
    rows = rows_of(client.get("/jobs.csv"))
    assert (len(rows), rows[-1]["state"].startswith(f"{COUNT - 3} more jobs are not in this file")) == (4, True)


def test_a_stored_variable_prices_every_page(client, engine, monkeypatch):
    """What ``nbjobs prices update --to variable`` has left, where the configuration has none."""
    Base.metadata.create_all(engine, tables=[Variable.__table__])
    with Session(engine) as session:
        text = written({"ml.m5.large": 7.25}, currency="CN¥", region="r", date="d")
        session.add(Variable(key=PRICES_VARIABLE, val=text))
        session.commit()
    monkeypatch.setattr(access, "new_session", lambda: Session(engine))
    monkeypatch.setattr(prices, "_known", [])
    assert "CN¥7.2500" in client.get("/jobs?dag_id=dag_00").text
    assert "7.25" in client.get("/jobs.csv?dag_id=dag_00").text
    assert "CN¥7.2500" in client.get("/trend/dag_00/train").text
    assert client.get("/trend/dag_00/train/trend.json").json()["currency"] == "CN¥"
    # And those of one job, which ask AWS as well.
    for module in (tab, machine, compare):
        assert module.read_prices is prices.read_prices


def test_columns_groups_and_sums_are_shown_and_no_text_of_others_is_markup(client):
    answer = client.get(
        "/jobs?sort=started&group=dag&dag_id=dag_00&output=" + "%3C/script%3E%3Cb%3E%E2%80%AE&output=accuracy"
    )
    body = answer.text.split("</script>", 1)[1]
    assert "</script><b>" not in answer.text
    assert "\u202e" not in answer.text
    assert ">-0.5</span>" in body
    assert body.count('class="group"') == 1
    assert re.search(r'class="group"><th[^>]*>dag_00 <span>Jobs 7</span>', body)
    assert "<dt>Billed</dt>" in body
    assert not re.search(r"<[^>]+ (style|on[a-z]+)=", body)
    # What is shown is kept by every link.
    assert "group=dag" in re.search(r'href="(\?[^"]*sort=-?duration[^"]*)"', body)[1]
    assert 'name="output" value="accuracy" checked' in body


def test_a_job_is_compared_and_its_task_leads_to_its_runs(client):
    body = client.get("/jobs?text=manual__7").text
    assert 'href="/nbjobs/trend/dag_07/train"' in body
    assert 'name="job" value="2026-01-01T00:07:00+00:00 dag_07/manual__7/train/-1"' in body
    chosen = ("2026-01-02T00:00:00+00:00%20d/late/t/-1", "2026-01-01T00:00:00+00:00%20d/e%2520arly/t/-1")
    for jobs in (chosen, chosen[::-1]):
        answer = client.get(f"/jobs/compare?job={jobs[0]}&job={jobs[1]}")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/nbjobs/compare?left=d%2Fe%2520arly%2Ft%2F-1&right=d%2Flate%2Ft%2F-1"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "job=x",
        "job=1%20a/b/c/1",
        "job=1%20a/b/c/1&job=1%20a/b/c/1",
        "job=%00&job=y",
        "job=a/b/c/1&job=2%20a/b/c/2&job=3%20a/b/c/3",
    ],
)
def test_other_than_two_jobs_are_not_compared(client, query):
    answer = client.get(f"/jobs/compare?{query}")
    assert answer.status_code == 200
    assert "Choose two jobs" in answer.text


def test_a_comparison_leads_to_no_other_server(client):
    answer = client.get("/jobs/compare?job=1%20//evil.example/a/b/c&job=2%20https://evil.example/c")
    assert answer.status_code in (200, 303)
    assert answer.headers.get("location", "/nbjobs/compare?").startswith("/nbjobs/compare?")


def test_each_job_is_a_row_with_all_its_facts(client):
    answer = client.get("/jobs.csv?dag_id=dag_05&sort=started&parameter=none")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''notebook-jobs.csv"
    first = rows_of(answer)[0]
    assert first == {
        "state": "success",
        "dag_id": "dag_05",
        "task_id": "train",
        "map_index": "",
        "run_id": "manual__5",
        "notebook": "report_5.ipynb",
        "cells": "4 of 4",
        "started": "2026-01-01T00:05:00+00:00",
        "duration_seconds": "65.0",
        "billed_seconds": "3600",
        "error": "",
        "parameter.none": "",
    }


def test_a_file_has_costs_where_there_are_prices(client, monkeypatch):
    in_routes(monkeypatch, "read_prices", lambda: Prices({"ml.m5.large": 2.0}))
    (row, *_) = rows_of(client.get("/jobs.csv?dag_id=dag_05&sort=started"))
    assert list(row)[-3:] == ["billed_seconds", "cost", "error"]
    assert row["cost"] == "2.0"


@pytest.mark.parametrize(
    ("jobs", "left", "right"),
    [
        (("2 a/b/c/1", "1 d/e/f/2"), "d/e/f/2", "a/b/c/1"),
        (("1 a/b/c/1", " d/e/f/2"), "a/b/c/1", "d/e/f/2"),
        (("1 a/b/c/1/job-1", "2 a/b/c/1/job-2"), "a/b/c/1/job-1", "a/b/c/1/job-2"),
    ],
    ids=["the older on the left", "one that has not begun on the right", "two of one task"],
)
def test_the_older_of_two_jobs_is_on_the_left(client, jobs, left, right):
    answer = client.get("/jobs/compare?" + urlencode({"job": jobs}, doseq=True))
    assert answer.headers["location"] == "/nbjobs/compare?" + urlencode({"left": left, "right": right})
    assert (answer.status_code, answer.headers["cache-control"]) == (303, "private, no-store")


@pytest.mark.parametrize("name", ["a/b/c", "a/b/c/d/e/f", "a"])
def test_what_is_no_name_of_a_job_is_not_compared(client, name):
    answer = client.get("/jobs/compare?" + urlencode({"job": (f"1 {name}", "2 a/b/c/d")}, doseq=True))
    assert (answer.status_code, "Choose two jobs" in answer.text) == (200, True)
