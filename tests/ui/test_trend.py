"""What a task has put out over its runs: which points there are, what is said of the others, and the same as files."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from airflow.api_fastapi.core_api.security import get_user
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.bases.xcom import BaseXCom
from job_rows import add_jobs, add_xcoms, open_database
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from ui_account import Client, in_routes

from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui import access
from airflow_nbjobs.ui.app import build_app
from airflow_nbjobs.ui.data import queries
from airflow_nbjobs.ui.data import trend as trend_module
from airflow_nbjobs.ui.data.filters import TrendFilters, read_query
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments
from airflow_nbjobs.ui.data.trend import LONG, drawable, read_trend, stored_value
from airflow_nbjobs.ui.trend_charts import Charts, as_json, numeric_outputs, series_names, table_heads, table_row

PRICES = Prices({"ml.m5.large": 0.138})
START = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "</script><b>\u202e"


def run(number, *, dag_id="d", task_id="train", state="success", outputs=None, **more):
    """One run of a backfill: a day after the one before it, all due on the same day."""
    ended = state in ("success", "failed", "skipped")
    return {
        "dag_id": dag_id,
        "run_id": f"backfill__{number}",
        "task_id": task_id,
        "state": state,
        "started": START + timedelta(days=100, minutes=number),
        "seconds": 60.0 + number if ended else None,
        "notebook": "n.ipynb",
        "done": 4,
        "error": None,
        "outputs": outputs or {},
        "logical_date": START + timedelta(days=number),
        **more,
    }


def fill(session, jobs, *, stored=lambda value: value):
    add_jobs(session, jobs)
    found = session.execute(select(DagRun.dag_id, DagRun.run_id, DagRun.id)).all()
    ids = {(dag_id, run_id): number for dag_id, run_id, number in found}
    values = [
        {name: each.get(name, -1) for name in ("dag_id", "run_id", "task_id", "map_index")}
        | {"dag_run_id": ids[each["dag_id"], each["run_id"]], "key": key, "value": stored(value)}
        for each in jobs
        for key, value in each["outputs"].items()
    ]
    if values:
        add_xcoms(session, values)
    for each in jobs:
        of_run = (DagRun.dag_id == each["dag_id"], DagRun.run_id == each["run_id"])
        session.execute(update(DagRun).where(*of_run).values(logical_date=each["logical_date"]))
        if "label" in each:
            instance = (
                TaskInstance.dag_id == each["dag_id"],
                TaskInstance.run_id == each["run_id"],
                TaskInstance.map_index == each["map_index"],
            )
            session.execute(update(TaskInstance).where(*instance).values(_rendered_map_index=each["label"]))
    session.commit()


@pytest.fixture
def database():
    """Makes databases of runs."""
    made = []

    def database_of(jobs, **options):
        session = open_database("sqlite://", RenderedTaskInstanceFields)
        made.append(session)
        fill(session, jobs, **options)
        return session

    yield database_of
    for session in made:
        session.close()
        session.bind.dispose()


def read(session, task_id="train", **filters):
    return read_trend(session, "d", task_id, TrendFilters(**filters), PRICES)


def charts_of(found, by="date"):
    charts = Charts(found, dag_id="d", task_id="train", root="/air", by=by, prices=PRICES)
    drawn, undrawn, others = charts.drawn()
    return {each.name: each for each in drawn}, undrawn, others, charts.legend


WEEK = [
    *(
        run(number, outputs={"accuracy": round(0.8 + number / 100, 2), "model": "s3://bucket/m", "good": True})
        for number in range(5)
    ),
    run(5, state="failed"),
    run(6, state="running"),
]


@pytest.mark.parametrize("stored", [lambda value: value, json.dumps], ids=["json", "json in json"])
def test_a_backfill_of_a_week_is_a_chart_of_each_numeric_output_in_the_order_of_its_days(database, stored):
    found = read(database(list(reversed(WEEK)), stored=stored))
    assert [each.run_id for each in found.instances] == [f"backfill__{number}" for number in range(7)]
    assert [each.values.get("accuracy") for each in found.instances] == [0.8, 0.81, 0.82, 0.83, 0.84, None, None]
    assert numeric_outputs(found) == (["accuracy"], ["good", "model"])
    assert found.is_live
    charts, undrawn, others, legend = charts_of(found)
    assert (list(charts), undrawn, others) == (["accuracy", "Duration", "Billed", "Cost"], [], ["good", "model"])
    svg = charts["accuracy"].svg
    links = re.findall(r'href="([^"]+)"><title>([^<]*)</title>', svg)
    assert len(links) == 7
    assert (
        "/air/dags/d/runs/backfill__3/tasks/train/plugin/nbjobs_notebook",
        "accuracy = 0.83\nbackfill__3\n2026-01-04 00:00 UTC",
    ) in links
    assert [link for link in links if "accuracy = failed" in link[1]]
    assert [link for link in links if "accuracy = running" in link[1]]
    assert set(charts["accuracy"].notes) == {"1 failed", "1 running"}
    assert ">1 Jan 2026<" in svg
    assert len(legend.entries) == 1


def test_a_failed_run_has_its_time_and_cost_and_is_told_from_the_others(database):
    found = read(database(WEEK))
    failed = found.instances[5]
    assert (failed.duration, failed.billed, failed.cost) == (65.0, 3600, pytest.approx(0.138))
    charts, *_ = charts_of(found)
    assert charts["Cost"].svg.count('class="cross"') == 1
    assert charts["Cost"].notes == ["1 running"]


def test_what_lies_across_is_chosen(database):
    jobs = [run(number, outputs={"x": number}) for number in (3, 1, 2)]
    jobs[1]["logical_date"] = None  # as of a run that a person or an asset has triggered
    session = database(jobs)
    assert [each.values["x"] for each in read(session).instances] == [2, 3, 1]  # due in April
    assert [each.values["x"] for each in read(session, by="run_after").instances] == [1, 2, 3]
    charts, *_ = charts_of(read(session, by="order"), by="order")
    places = [float(each) for each in re.findall(r'<circle cx="([\d.]+)"', charts["x"].svg)]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)


def test_dates_and_the_number_of_runs_choose(database):
    session = database(WEEK)
    chosen = read(session, since="2026-01-03", until="2026-01-05")
    assert [each.run_id[-1] for each in chosen.instances] == ["2", "3", "4"]
    assert [each.run_id[-1] for each in read(session, runs=2).instances] == ["5", "6"]
    assert read(session, until="9999-12-31").runs == 7
    assert read(session, since="9999-12-31").instances == []
    assert read(session, output=["model"]).outputs == ["model"]
    assert read(session, output=["nbjobs_job", "return_value", "_link_nbjobs_console"]).outputs == []


def test_an_output_that_is_called_almost_as_ours_is_an_output(database):
    """To SQLite's LIKE the case of letters is one."""
    assert read(database([run(0, outputs={"Nbjobs_rows": 3, "_Link_x": 4})])).outputs == ["Nbjobs_rows", "_Link_x"]


def test_another_tasks_and_another_dags_values_are_not_shown(database):
    jobs = [
        run(1, outputs={"x": 1}),
        run(1, task_id="other", outputs={"x": 2}),
        run(1, dag_id="e", outputs={"x": 3}) | {"run_id": "e1"},
    ]
    found = read(database(jobs))
    assert [each.values["x"] for each in found.instances] == [1]
    assert read(database([run(1)]), "nothing").instances == []


def mapped(number, index, label=None, **outputs):
    return run(number, outputs=outputs, map_index=index) | ({"label": label} if label else {})


def test_map_indices_are_series_by_their_names(database):
    jobs = [mapped(day, index, ("eu", "us")[index], x=day * 10 + index) for day in range(3) for index in range(2)]
    found = read(database(jobs))
    assert set(series_names(found.instances)) == {"eu", "us"}
    charts, *_, legend = charts_of(found)
    assert [name for _, name in legend.entries] == ["eu", "us"]
    assert charts["x"].svg.count('class="line"') == 2
    assert "mapped/1/plugin" in charts["x"].svg


def test_indices_of_one_name_and_without_a_name_stay_apart(database):
    jobs = [mapped(0, 0, "eu", x=1), mapped(0, 1, "eu", x=2), mapped(0, 2, x=3), mapped(0, 3, "3", x=4)]
    assert series_names(read(database(jobs)).instances) == ["eu [0]", "eu [1]", "2", "3"]


def test_more_indices_than_can_be_told_apart_are_said(database):
    found = read(database([mapped(0, index, x=index) for index in range(11)]))
    charts, *_, legend = charts_of(found)
    assert (len(legend.entries), legend.more) == (8, 3)
    assert [name for _, name in legend.entries] == list("01234567")
    assert len(re.findall("<circle|transform", charts["x"].svg)) == 8


@pytest.mark.parametrize(
    ("stored", "value", "drawn"),
    [
        ("0.5", 0.5, 0.5),
        ('"0.5"', 0.5, 0.5),
        ("-3", -3, -3.0),
        (str(2**63), 2**63, float(2**63)),
        ("1e308", 1e308, 1e308),
        ("1e400", "Infinity", None),
        ('"NaN"', "NaN", None),
        ('"\\"-Infinity\\""', "-Infinity", None),
        ("NaN", "NaN", None),
        ("true", True, None),
        ('"true"', True, None),
        ("null", None, None),
        ('"1_000"', "1_000", None),
        ('"\u0663"', "\u0663", None),
        ('"0x10"', "0x10", None),
        ("[1, 2]", LONG, None),
        ('{"a": 1}', LONG, None),
        ('"abc"', "abc", None),
        ('"[[["', "[[[", None),
        ('" 0.5"', 0.5, 0.5),
        ('"-Infinity"', "-Infinity", None),
        ('"train"', "train", None),
        ('"s3://bucket/model"', "s3://bucket/model", None),
        ("", "", None),
    ],
)
def test_only_numbers_are_drawn(stored, value, drawn):
    found = stored_value(stored)
    assert (found, type(found)) == (value, type(value))
    assert drawable(found) == drawn


def test_an_integer_beyond_the_floats_is_no_point():
    assert drawable(10**400) is None


def test_numbers_that_are_not_finite_are_gaps_that_are_said(database):
    found = read(
        database(
            [
                run(0, outputs={"loss": 0.5}),
                run(1, outputs={"loss": "NaN"}),
                run(2, outputs={"loss": "Infinity"}),
                run(3),
            ]
        )
    )
    charts, *_ = charts_of(found)
    assert set(charts["loss"].notes) == {"1 NaN", "1 Infinity", "1 without a value"}
    only = read(database([run(0, outputs={"loss": "NaN"})]))
    assert list(charts_of(only)[0]) == ["loss", "Duration", "Billed", "Cost"]


def test_what_an_earlier_try_has_left_is_no_value(database):
    """A task that is cleared keeps its XComs until it runs again."""
    for state in (None, "queued", "up_for_retry", "deferred", "upstream_failed"):
        (each,) = read(database([run(0, state=state, outputs={"x": 1}, seconds=9.0)])).instances
        assert (each.values, each.billed, each.cost) == ({}, None, None), state


@pytest.mark.parametrize("has_backend", [False, True])
def test_a_task_that_fails_before_it_starts_again_has_nothing_of_the_try_before(database, monkeypatch, has_backend):
    if has_backend:
        monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", type("Elsewhere", (BaseXCom,), {}))
    jobs = [
        run(
            number,
            state="failed",
            outputs={"x": 1},
            try_number=tries,
            end={"try_number": 1, "instance_type": "ml.m5.large"},
        )
        for number, tries in enumerate((1, 2))
    ]
    same, again = read(database(jobs)).instances
    assert (same.values, same.billed, same.cost) == ({"x": 1}, 3600, pytest.approx(0.138))
    assert (again.values, again.billed, again.cost) == ({}, None, None)


def test_long_values_are_not_read_and_are_said(database):
    found = read(database([run(0, outputs={"table": ["x" * 50_000], "x": 1})]))
    assert found.instances[0].values == {"table": LONG, "x": 1}
    assert table_row(found.instances[0], found, PRICES)[6:8] == ["…", 1]
    assert as_json(found.instances[0])["outputs"] == {"x": 1}


def test_a_task_with_many_outputs_shows_the_first_sixty(database):
    found = read(database([run(0, outputs={f"x{number:03d}": number for number in range(100)})]))
    assert (len(found.outputs), found.more_outputs) == (60, True)
    charts, undrawn, *_ = charts_of(found)
    assert (len(charts), len(undrawn)) == (24 + 3, 36)
    assert sum(len(each.svg) for each in charts.values()) < 200_000
    assert read(database([run(0, outputs={"x": 1, "y": 2})]), output=["y"]).outputs == ["y"]


@pytest.mark.parametrize("others", [8, 100], ids=["few values", "many values"])
def test_a_task_whose_runs_name_their_outputs_anew_shows_the_first_sixty(database, others):
    """As a notebook does that puts out a figure under each day's date."""
    runs = [
        run(day, outputs={"rows": day} | {f"of {day:02d} {number:03d}": number for number in range(others)})
        for day in range(20)
    ]
    found = read(database(runs))
    assert (len(found.outputs), found.outputs[0], found.more_outputs) == (60, "of 00 000", True)
    assert [each.billed for each in found.instances] == [3600] * 20
    assert {name for each in found.instances for name in as_json(each)["outputs"]} == set(found.outputs)
    assert sum(len(each.values) for each in found.instances) == 60
    named = read(database(runs), output=["rows"])
    assert [each.values for each in named.instances] == [{"rows": day} for day in range(20)]


def test_an_end_of_an_earlier_version_is_priced_by_what_its_job_said(database):
    session = database([run(0)])
    assert read(session).instances[0].cost == pytest.approx(0.138)
    named = database([run(0, end={"instance_type": "ml.p3.2xlarge"})])
    assert read(named).instances[0].cost is None
    two = database([run(0, end={"instance_type": "ml.m5.large", "instance_count": 2})])
    assert read(two).instances[0].cost == pytest.approx(0.276)


def test_values_in_an_xcom_backend_of_its_own_are_read_through_it_up_to_a_limit(database, monkeypatch):
    kept = {}

    class Elsewhere(BaseXCom):
        @staticmethod
        def deserialize_value(result):
            return kept.get(result.value, result.value)

    def put(value):
        # As long as those of Airflow's own backend on S3.
        address = f"s3://aws_default@bucket/xcom/{'d' * 250}/backfill__1/train/{len(kept)}"
        kept[address] = value
        return address

    session = database([run(number, outputs={"x": number, "text": "y" * 65}) for number in range(4)], stored=put)
    assert numeric_outputs(read(session)) == ([], ["text", "x"])
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Elsewhere)
    found = read(session)
    assert [each.values["x"] for each in found.instances] == [0, 1, 2, 3]
    assert numeric_outputs(found) == (["x"], ["text"])
    assert found.instances[0].values["text"] is LONG
    monkeypatch.setattr(trend_module, "MOST_ELSEWHERE", 6)
    found = read(session)
    assert [each.values.get("x") for each in found.instances] == [None, None, 2, 3]
    assert found.unread == 6


def test_a_value_too_long_to_be_an_address_is_not_read_through_the_backend(database, monkeypatch):
    asked = []

    class Elsewhere(BaseXCom):
        @staticmethod
        def deserialize_value(result):
            asked.append(result.value)
            return result.value

    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Elsewhere)
    just, longer = "a" * 1998, "b" * 1999  # two more with the quotes of JSON
    found = read(database([run(0, outputs={"just": just, "longer": longer})]))
    assert just in asked
    assert not [each for each in asked if str(each).startswith("b")]
    assert found.instances[0].values["longer"] is LONG
    assert found.instances[0].billed is not None


def test_the_table_is_a_file_too_and_its_columns_have_names_of_their_own(database):
    found = read(database([run(0, outputs={"state": 1, "x": "=1+1", "y": -2})]))
    heads = table_heads(found, PRICES)
    assert heads[6:9] == ["output.state", "x", "y"]
    assert len(set(heads)) == len(heads) == len(table_row(found.instances[0], found, PRICES))
    assert "cost" not in table_heads(found, Prices({}))


def test_a_query_that_is_not_understood_is_left_out_and_named():
    for name, value in {"runs": "0", "by": "x", "since": "x", "page": "-1", "output": "o" * 300}.items():
        filters, left_out = read_query(TrendFilters, {name: value, "utm": "1"})
        assert filters == TrendFilters()
        assert left_out == {name: value[:60]}
    assert read_query(TrendFilters, {"runs": "10001"})[0].runs == 200
    assert TrendFilters(output=["a", "b b"]).address(page=2) == "page=2&output=a&output=b+b"


@pytest.fixture
def client(tmp_path, monkeypatch):
    hostile = {"accuracy": 0.5, HOSTILE: 3, "formula": "=1+1", HOSTILE + "text": HOSTILE}
    with open_database(f"sqlite:///{tmp_path / 'airflow.db'}", RenderedTaskInstanceFields) as session:
        fill(session, [run(0, outputs=hostile), run(1, state="running"), run(2, task_id="g.csv", outputs={"x": 1})])
        engine = session.bind
    in_routes(monkeypatch, "new_session", lambda: Session(engine))
    monkeypatch.setattr(queries, "_arguments", lambda *_: (Kind.OTHER, TaskArguments({})))
    app = build_app()
    app.dependency_overrides[get_user] = lambda: None
    app.dependency_overrides[access.may_read_results.dependency] = lambda: None
    yield Client(app)
    app.state.notebooks.close()
    engine.dispose()


def test_the_page_says_what_it_shows_and_no_text_of_others_is_markup(client):
    answer = client.get("/trend/d/train")
    assert answer.status_code == 200
    assert "</script><b>" not in answer.text
    assert "\u202e" not in answer.text
    assert "⟦U+202E⟧" in answer.text
    assert 'data-live="true"' in answer.text
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]
    assert not re.search(r"<[^>]+ (style|on[a-z]+)=", answer.text.split("</script>", 1)[1])
    assert "2 runs" in answer.text
    nothing = client.get("/trend/d/train?since=2030-01-01")
    assert "No run of this task matches this" in nothing.text
    assert "No run has a value" in nothing.text
    assert "left out: <code>runs=x</code>" in client.get("/trend/d/train?runs=x").text


def test_the_files_hold_the_same(client):
    rows = list(csv.DictReader(io.StringIO(client.get("/trend/d/train/trend.csv").text, newline="")))
    assert [row["run_id"] for row in rows] == ["backfill__0", "backfill__1"]
    assert (rows[0]["accuracy"], rows[0]["formula"], rows[0]["duration_seconds"]) == ("0.5", "'=1+1", "60.0")
    answer = client.get("/trend/d/train/trend.json").json()
    assert (answer["version"], answer["runs"][0]["outputs"]["accuracy"], answer["is_live"]) == (1, 0.5, True)
    assert (answer["runs_asked"], answer["is_cut"], answer["has_more_outputs"]) == (200, False, False)
    assert client.get("/trend/d/train/trend.json?runs=x").json()["not_understood"] == {"runs": "x"}
    # A file has no place to say that it is of another range than was asked for.
    answer = client.get("/trend/d/train/trend.csv?since=x")
    assert (answer.status_code, "since=x" in answer.text) == (400, True)
    # A task whose id looks like a file's name is a task.
    assert "g.csv over its runs" in client.get("/trend/d/g.csv").text


def test_page_and_file_say_what_is_not_in_them(client, monkeypatch):
    monkeypatch.setattr(trend_module, "MOST_INSTANCES", 1)
    monkeypatch.setattr(trend_module, "MOST_OUTPUTS", 2)
    file, page = (client.get(f"/trend/d/train{name}").text for name in ("/trend.csv?until=2026-01-01", ""))
    assert "There are more than these 2 outputs" in file
    assert "more instances" not in file
    assert "There are more instances than can be shown" in page
    assert "There are more instances than can be shown" in client.get("/trend/d/train/trend.csv").text
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", type("Elsewhere", (BaseXCom,), {}))
    monkeypatch.setattr(trend_module, "MOST_ELSEWHERE", 1)
    assert (
        "values of older runs lie in your XCom backend" in client.get("/trend/d/train/trend.csv?until=2026-01-01").text
    )


@pytest.mark.parametrize("path", ["/trend/d/nothing", "/trend/d%00/x", "/trend/none/train", f"/trend/{'d' * 3000}/t"])
def test_a_task_that_there_is_not_is_said(client, path):
    assert "There is no such task" in client.get(path).text
    assert client.get(f"{path}/trend.json").json()["code"] == "no-task"
    assert client.get(f"{path}/trend.csv").status_code == 404


def test_the_page_answers_any_query(client):
    for query in (
        "runs=1e9",
        "since=0001-01-01&until=9999-12-31",
        "by=%00",
        "output=%00",
        "output=" + "x" * 5000,
        "page=99999",
        "runs=10000&by=order",
        "&output=a&output=a&&=",
    ):
        answer = client.get(f"/trend/d/train?{query}")
        assert answer.status_code == 200, query
        assert "over its runs</h1>" in answer.text, query


def test_all_of_an_instance_is_read(database):
    """A page, its file and its charts are made of this."""
    jobs = [mapped(1, 3, "eu", x=1) | {"try_number": 4, "end": {"try_number": 4}}, run(2, state=None)]
    of_index, waits = read(database(jobs)).instances
    assert (of_index.run_id, of_index.map_index, of_index.label, of_index.state) == ("backfill__1", 3, "eu", "success")
    assert (of_index.try_number, of_index.duration, of_index.billed) == (4, 61.0, 3600)
    assert (of_index.machine, of_index.cost) == ("ml.m5.large", pytest.approx(0.138))
    assert of_index.moment == datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    assert of_index.logical_date.replace(tzinfo=UTC) == datetime(2026, 1, 2, tzinfo=UTC)
    assert of_index.run_after.replace(tzinfo=UTC) == datetime(2026, 4, 11, 0, 1, tzinfo=UTC)
    assert (waits.state, waits.duration, waits.is_live, of_index.is_live) == (None, None, True, False)


def test_a_jobs_own_time_counts_before_the_tasks(database):
    """The task has waited as well."""
    ends = [{"duration_seconds": 5.0}, {"duration_seconds": None}, {"duration_seconds": -1}, {"duration_seconds": 0}]
    found = read(database([run(number, end=end) for number, end in enumerate(ends)]))
    assert [each.duration for each in found.instances] == [5.0, 61.0, 62.0, 0]


@pytest.mark.parametrize(
    ("end", "billed"),
    [
        ({"billable_seconds": 10, "instance_count": 3}, 30),
        ({"billable_seconds": 0}, 0),
        ({"billable_seconds": None}, None),
        ({"billable_seconds": "10"}, None),
        ({"billable_seconds": 10, "try_number": 1}, 10),
        ({"billable_seconds": 10, "try_number": 2}, None),
    ],
)
def test_what_was_billed_is_of_all_instances_of_this_try(database, end, billed):
    (each,) = read(database([run(0, outputs={"x": 1}, end=end)])).instances
    assert each.billed == billed
    assert each.values == ({} if end.get("try_number") == 2 else {"x": 1})


def test_a_task_that_was_skipped_has_a_time_and_no_outputs(database):
    (each,) = read(database([run(0, state="skipped", outputs={"x": 1})])).instances
    assert (each.values, each.billed) == ({}, 3600)


def test_as_many_instances_as_are_shown_are_the_newest(database, monkeypatch):
    monkeypatch.setattr(trend_module, "MOST_INSTANCES", 3)
    session = database([run(number) for number in range(4)])
    found = read(session)
    assert ([each.run_id[-1] for each in found.instances], found.left_out) == (["1", "2", "3"], True)
    monkeypatch.setattr(trend_module, "MOST_INSTANCES", 4)
    assert (read(session).runs, read(session).left_out) == (4, False)


def test_as_many_outputs_as_are_shown_are_all(database, monkeypatch):
    monkeypatch.setattr(trend_module, "MOST_OUTPUTS", 2)
    session = database([run(0, outputs={"a": 1, "b": 2}), run(1, outputs={"b": 3})])
    assert (list(read(session).outputs), read(session).more_outputs) == (["a", "b"], False)
    session = database([run(0, outputs={"a": 1, "b": 2}), run(1, outputs={"c": 3})])
    assert (list(read(session).outputs), read(session).more_outputs) == (["a", "b"], True)
    assert [each.values for each in read(session).instances] == [{"a": 1, "b": 2}, {}]


def test_of_many_values_the_same_is_read_as_of_few(database, monkeypatch):
    jobs = [run(number, outputs={f"x{place}": number * place for place in range(5)}) for number in range(6)]
    session = database(jobs)
    few = read(session)
    for most, chunk in ((1, 1000), (6, 2), (16, 7)):
        monkeypatch.setattr(trend_module, "MOST_FEW", most)
        monkeypatch.setattr(trend_module, "_CHUNK", chunk)
        found = read(session)
        assert [as_json(each) for each in found.instances] == [as_json(each) for each in few.instances]
    assert [each.values["x4"] for each in few.instances] == [0, 4, 8, 12, 16, 20]


def test_of_very_many_runs_the_same_is_read_as_of_few(database, monkeypatch):
    """Those beyond are named by the first and the last of their ids, between which others lie."""
    jobs = [run(number, outputs={"x": number}) for number in (3, 0, 4, 1, 2)]
    jobs.append(run(9, task_id="other", outputs={"x": 9}))
    session = database(jobs)
    for most in (5, 4, 1):
        monkeypatch.setattr(trend_module, "_MOST_NAMED", most)
        assert [each.values for each in read(session).instances] == [{"x": number} for number in range(5)]
        chosen = read(session, since="2026-01-02", until="2026-01-04")
        assert [each.values for each in chosen.instances] == [{"x": number} for number in (1, 2, 3)]


def test_runs_for_one_moment_are_in_the_order_of_their_names_and_indices(database):
    jobs = [mapped(0, 1), mapped(0, 0), run(0) | {"run_id": "a"}]
    jobs = [each | {"logical_date": None} for each in jobs]
    found = [(each.run_id, each.map_index) for each in read(database(jobs)).instances]
    assert found == [("a", -1), ("backfill__0", 0), ("backfill__0", 1)]


@pytest.mark.parametrize(("length", "is_read"), [(62, True), (63, False)])
def test_a_text_as_long_as_a_number_can_be_is_read(database, length, is_read):
    """Two more with the quotes of JSON."""
    (each,) = read(database([run(0, outputs={"text": "x" * length})])).instances
    assert each.values["text"] == ("x" * length if is_read else LONG)


def test_a_machine_that_only_the_job_says_prices_its_own_run_alone(database):
    other = {"facts": {"instance_type": "ml.unknown"}}
    session = database([run(0), run(1) | other, run(2, end={"billable_seconds": None})])
    assert [each.machine for each in read(session).instances][:2] == ["ml.m5.large", "ml.unknown"]
    assert [each.cost is None for each in read(session).instances] == [False, True, True]
    # Where nothing is priced nobody asks for it.
    free = read_trend(session, "d", "train", TrendFilters(), Prices({}))
    assert [each.machine for each in free.instances] == [None] * 3


@pytest.mark.parametrize(
    ("value", "drawn"),
    [(3, 3.0), (0, 0.0), (True, None), ("3", None), (None, None), (10**400, None), (0.5, 0.5), (LONG, None)],
)
def test_a_number_and_nothing_else_is_drawn(value, drawn):
    assert drawable(value) == drawn


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, LONG),
        ("1" * 64, int("1" * 64)),
        ("1" * 65, LONG),
        ("false", False),
        ('"[1]"', LONG),
        ('"{}"', LONG),
        ('"null"', None),
        ('"\\"x\\""', "x"),
        ('"Infinity"', "Infinity"),
        ("-Infinity", "-Infinity"),
        ("-1e999", "-Infinity"),
        ('"no [json"', "no [json"),
        ('"-"', "-"),
        ('"1e5"', 100000.0),
        ("no JSON", "no JSON"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_stored_value_is_what_the_task_has_pushed(text, value):
    found = stored_value(text)
    assert (found, type(found)) == (value, type(value))


def test_the_page_has_a_hundred_rows_the_newest_first(client, monkeypatch):
    in_routes(monkeypatch, "_TABLE_ROWS", 1)
    first, second, beyond = (client.get(f"/trend/d/train?page={page}").text for page in (1, 2, 99))
    assert "/runs/backfill__1/tasks/train/plugin" in first.partition("<tbody")[2]
    assert "/runs/backfill__0/tasks/train/plugin" in second.partition("<tbody")[2]
    assert second == beyond
    assert "/runs/backfill__1/tasks" not in second.partition("<tbody")[2]


def test_the_rows_of_the_page_say_what_the_charts_do(client):
    body = re.sub(r"\s+", " ", client.get("/trend/d/train").text.partition("<tbody")[2])
    running, ended = body.split("</tr>")[:2]
    assert 'data-state="running"' in running
    assert "2026-01-02T00:00:00+00:00" in running
    assert "1 min 0 s" in ended
    assert "1 h 0 min" in ended
    assert "0.5" in ended
    by_due = re.sub(r"\s+", " ", client.get("/trend/d/train?by=run_after").text.partition("<tbody")[2])
    assert "2026-04-11T00:01:00+00:00" in by_due


def test_the_files_of_a_task_are_named_and_kept_by_nobody(client):
    answer = client.get("/trend/d/train/trend.csv")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''d.train.csv"
    assert answer.headers["cache-control"] == "private, no-store"
    answer = client.get("/trend/d/train/trend.json?runs=7&output=accuracy")
    assert answer.headers["cache-control"] == "private, no-store"
    found = answer.json()
    assert (found["dag_id"], found["task_id"], found["outputs"], found["runs_asked"]) == ("d", "train", ["accuracy"], 7)
    assert (found["status"], found["unread"], len(found["runs"])) == ("ok", 0, 2)
