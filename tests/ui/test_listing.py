"""The page of all jobs: which it lists, in which order, and how fast where there are many."""

import time
from datetime import date

import pytest
from airflow.models.xcom import XComModel
from job_rows import add_jobs, job, open_database
from pydantic import ValidationError
from sqlalchemy import update

from airflow_nbjobs.ui.listing import PAGE_SIZE, Filters, list_jobs
from airflow_nbjobs.ui.views import Prices

PRICES = Prices({"ml.m5.large": 0.138})
DAGS = {f"dag_{number:02d}" for number in range(20)}
COUNT = 120


@pytest.fixture(scope="module")
def session():
    made = open_database()
    add_jobs(made, map(job, range(COUNT)))
    yield made
    made.close()
    made.bind.dispose()


def listed(session, readable=DAGS, **filters):
    return list_jobs(session, Filters(**filters), readable=readable, prices=PRICES)


def numbers(listing):
    return [int(row.run_id.removeprefix("manual__")) for row in listing.rows]


def test_newest_first_in_pages(session):
    first, last = listed(session), listed(session, page=3)
    assert numbers(first) == list(range(COUNT - 1, COUNT - 1 - PAGE_SIZE, -1))
    assert numbers(last) == list(range(19, -1, -1))
    assert (first.total, first.pages) == (COUNT, 3)


def test_a_page_beyond_the_last_is_the_last(session):
    assert numbers(listed(session, page=99)) == numbers(listed(session, page=3))


def test_every_job_is_on_one_page_whatever_the_order(session):
    for sort in ("started", "-started", "dag", "-dag", "state", "-state", "duration", "-duration"):
        seen = [number for page in (1, 2, 3) for number in numbers(listed(session, sort=sort, page=page))]
        assert sorted(seen) == list(range(COUNT)), sort


def test_only_what_may_be_read_is_listed_counted_and_offered(session):
    listing = listed(session, readable={"dag_03"})
    assert {row.dag_id for row in listing.rows} == {"dag_03"}
    assert (listing.total, list(listing.dag_ids)) == (6, ["dag_03"])
    assert listed(session, readable=set()).total == 0
    assert listed(session, readable={"dag_03"}, dag_id="dag_04").total == 0
    assert listed(session, readable={"dag_03"}, text="row 8").total == 1  # 83 is of dag_03; 8 and 88 are not


def test_filters(session):
    assert listed(session, dag_id="dag_05").total == 6
    assert listed(session, state="failed").total == 24
    assert listed(session, since=date(2026, 1, 2)).total == 0
    assert listed(session, until=date(2026, 1, 1)).total == COUNT
    assert numbers(listed(session, text="row 113")) == [113]
    assert listed(session, text="REPORT_3.ipynb").total == 17
    assert listed(session, state="failed", dag_id="dag_03").total == 6


@pytest.mark.parametrize("text", ["%", "_", "\\", "' OR 1=1 --", '"; DROP TABLE xcom; --'])
def test_what_is_searched_for_is_taken_literally(session, text):
    """``report_3`` holds an underscore, and so do all others."""
    found = listed(session, text=text).total
    assert found == (COUNT if text == "_" else 0)


def test_a_row_says_what_went_wrong_without_repeating_the_job(session):
    (row,) = listed(session, text="row 113").rows
    assert row.error == "failed in cell 5: ValueError: row 113"
    assert row.notebook == "report_1.ipynb"
    assert (row.duration, row.cost) == ("1 min 13 s", "$0.1380")
    assert row.path == "/dags/dag_13/runs/manual__113/tasks/train/plugin/nbjobs_notebook"


@pytest.mark.parametrize(
    ("number", "percent"), [(115, 100), (113, 75), (114, 75)], ids=["success", "failed", "running"]
)
def test_a_row_says_how_far_the_notebook_has_come(session, number, percent):
    (row,) = [each for each in listed(session).rows if each.run_id == f"manual__{number}"]
    assert row.progress == percent


@pytest.mark.parametrize(
    "said",
    [
        {"job_name": "another", "done": 1, "total": 4},
        {"job_name": "job-0", "done": "1", "total": 4},
        {"job_name": "job-0", "done": 5, "total": 4},
        {"job_name": "job-0", "done": 0, "total": 0},
        {"job_name": "job-0"},
        "no mapping",
    ],
)
def test_what_says_nothing_of_this_job_is_no_progress(said):
    """XComs can be written by hand, and by a try that is over."""
    with open_database() as session:
        add_jobs(session, [job(4)])
        session.execute(update(XComModel).where(XComModel.key == "nbjobs_progress").values(value=said))
        (row,) = listed(session).rows
    session.bind.dispose()
    assert row.progress is None


def test_empty_fields_of_the_form_filter_nothing():
    assert Filters(dag_id="", state="", since="", until="", text="").query() == {}
    assert Filters(state="failed", since="2026-01-02").query(page=2) == {
        "state": "failed",
        "since": "2026-01-02",
        "page": "2",
    }


@pytest.mark.parametrize("wrong", [{"sort": "password"}, {"page": 0}, {"state": "x"}, {"since": "yesterday"}])
def test_a_query_of_another_form_is_refused(wrong):
    with pytest.raises(ValidationError):
        Filters(**wrong)


@pytest.mark.slow
def test_ten_thousand_jobs_are_listed_within_300_ms_on_postgresql():
    postgres = pytest.importorskip("postgres")
    try:
        server = postgres.PostgresServer()
    except postgres.PostgresMissingError as missing:
        pytest.skip(str(missing))
    with server, open_database(server.url) as session:
        add_jobs(session, map(job, range(10_000)))
        from sqlalchemy import text

        session.execute(text("ANALYZE"))
        session.commit()
        seconds = {}
        for name, filters in {
            "newest": {},
            "last page": {"page": 200},
            "text": {"text": "row 9113"},
            "state": {"state": "failed", "sort": "-duration"},
        }.items():
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                assert listed(session, **filters).rows
                times.append(time.perf_counter() - begun)
            seconds[name] = min(times)
        session.bind.dispose()
    assert max(seconds.values()) < 0.3, seconds
