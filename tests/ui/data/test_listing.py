"""The page of all jobs: which it lists, in which order, and how fast where there are many."""

import json
import time
from datetime import UTC, date, datetime

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.bases.xcom import BaseXCom
from job_rows import StoredXCom, add_jobs, add_xcoms, job, open_database
from sqlalchemy import delete, select, update

from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui.data import listing as listing_module
from airflow_nbjobs.ui.data.filters import Filters, read_filters
from airflow_nbjobs.ui.data.listing import PAGE_SIZE, list_jobs

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


def test_a_search_finds_a_run_and_a_task_and_ignores_blanks_around_it(session):
    assert numbers(listed(session, text=" manual__113 ")) == [113]
    assert listed(session, text="train").total == COUNT
    assert listed(session, until=date(2025, 12, 31)).total == 0


def test_jobs_without_a_duration_come_last_and_equals_are_newest_first(session):
    by_duration = numbers(listed(session, sort="duration", page=3)) + numbers(listed(session, sort="-duration", page=3))
    assert {number % 5 for number in by_duration} == {4}  # those that run
    failed = numbers(listed(session, sort="state"))[:24]
    assert failed == sorted(failed, reverse=True)


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
    ("number", "said"),
    [(115, ("4 of 4", 100)), (113, ("3 of 4", None)), (114, ("3 of 4", 75))],
    ids=["success", "failed", "running"],
)
def test_a_row_says_how_far_the_notebook_has_come(session, number, said):
    """A bar of a failed job would say of something that it goes on."""
    (row,) = [each for each in listed(session).rows if each.run_id == f"manual__{number}"]
    assert (row.cells, row.progress) == said


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
def test_what_says_nothing_of_this_job_is_no_progress(one, empty, said):
    """XComs can be written by hand, and by a try that is over."""
    found = one()
    empty.execute(update(StoredXCom).where(StoredXCom.key == "nbjobs_progress").values(value=said))
    (row,) = found().rows
    assert (row.progress, row.cells) == (None, "")


WAITING = {"for": "an instance or quota", "state": "waiting for its turn", "reason": "the quota is in use"}
REFUSED = {
    "version": 1,
    "try_number": 1,
    "type": "NotebookJobConfigError",
    "headline": "notebook job of 'dag_00.train' cannot run: 1 problem (nothing was uploaded or billed)",
    "problems": ["parameter 'né\"w' is not defined in the notebook"],
    "job_name": None,
}


@pytest.fixture(scope="module")
def empty():
    made = open_database()
    yield made
    made.close()
    made.bind.dispose()


@pytest.fixture
def one(empty):
    """Lists one job, changed."""

    def listing_of(number=4, *, stored=None, **fields):
        for model in (StoredXCom, TaskInstance, DagRun):
            empty.execute(delete(model))
        add_jobs(empty, [job(number) | fields])
        if stored is not None:
            for row in empty.scalars(select(StoredXCom)):
                row.value = stored(row.value)
            empty.commit()
        return lambda **filters: listed(empty, **filters)

    return listing_of


def test_a_task_that_was_refused_before_it_had_a_job_is_listed_with_its_reason(one):
    for stored in (None, json.dumps):
        found = one(3, refused=REFUSED, stored=stored)
        (row,) = found().rows
        assert row.error == "not submitted: parameter 'né\"w' is not defined in the notebook"
        assert (row.state, row.cells, row.cost, row.notebook) == ("failed", "", None, "")
        for text in ('né"w', "NÉ"[0], "cannot run: 1 problem"):
            assert found(text=text).total == 1, text
        assert (found(state="failed").total, found(text='né"x').total, list(found().dag_ids)) == (1, 0, ["dag_03"])


def test_what_a_refused_task_said_is_of_that_try_only(one):
    (row,) = one(3, refused=REFUSED, try_number=2, state="queued")().rows
    assert (row.error, row.words) == ("", "waiting for a slot")


def test_a_failed_jobs_word_comes_from_its_task_where_the_job_left_none(one):
    (row,) = one(3, end={"progress": None}, error=None)().rows
    assert (row.error, row.cells) == ("", "")


@pytest.mark.parametrize(
    ("state", "facts", "words", "filtered"),
    [
        ("deferred", {}, "running", "running"),
        ("running", {}, "running", "deferred"),
        ("deferred", {"waiting": WAITING}, "waiting for its turn", "waiting"),
        ("deferred", {"waiting": {"for": "an instance or quota"}}, "waiting for capacity", "waiting"),
        ("running", {"waiting": {"for": "AWS", "state": "<b>"}}, "waiting for AWS", "waiting"),
        ("up_for_retry", {}, "waiting for its next try", "up_for_retry"),
        ("restarting", {}, "stopping", None),
        ("failed", {"waiting": WAITING}, "failed", "failed"),
        ("running", {"input_notebook": "waiting: {"}, "running", "running"),
    ],
)
def test_states_are_in_the_users_words_and_filtered_by_them(one, state, facts, words, filtered):
    for stored in (None, json.dumps):
        found = one(state=state, facts=facts, stored=stored)
        (row,) = found().rows
        assert row.words == words
        assert row.error == (WAITING["reason"] if words == "waiting for its turn" else "")
        assert [name for name in ("running", "waiting", "success", "failed") if found(state=name).total] == (
            [] if filtered in (None, "up_for_retry") else ["running" if filtered == "deferred" else filtered]
        )
        if filtered:
            assert found(state=filtered).total == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"state": "failed", "done": 4, "seconds": 9.0, "error": "x"},
            ("3 of 4", None),
        ),  # of cell 3, as its error says
        ({"state": "failed", "done": 4, "seconds": 9.0}, ("4 of 4", None)),  # all have run, and it failed: no 100 %
        ({"done": 12}, ("", None)),  # 12 of 4
        ({"try_number": 2, "state": "queued"}, ("", None)),  # of the try before
        ({"state": None}, ("", None)),  # cleared
        ({"state": "deferred"}, ("3 of 4", 75)),
        ({"state": "deferred", "facts": {"waiting": WAITING}}, ("", None)),
        ({"state": "failed", "seconds": 9.0, "end": {"job_name": "another"}}, ("", None)),
        ({"state": "failed", "seconds": 9.0, "end": {"progress": None}, "error": "x"}, ("cell 3", None)),
    ],
)
def test_progress_does_not_lie(one, fields, said):
    (row,) = one(**fields)().rows
    assert (row.cells, row.progress) == said


def test_a_job_of_an_earlier_try_says_nothing_of_this_one(one):
    (row,) = one(3, state="scheduled", try_number=2)().rows
    assert (row.error, row.duration, row.cost, row.started, row.words) == ("", None, None, None, "waiting for a slot")


def test_instances_of_one_run_do_not_take_each_others_xcoms(empty, one):
    one()
    ended = {"end": {"error": {"headline": "x" * 300}}, "error": None, "seconds": 9.0, "state": "failed"}
    for model in (StoredXCom, TaskInstance, DagRun):
        empty.execute(delete(model))
    run = {"run_id": "r", "dag_id": "dag_00"}
    add_jobs(
        empty,
        [
            job(0) | run | {"map_index": 0},
            job(1) | run | {"map_index": 1} | ended,
            job(2) | run | {"task_id": "other", "map_index": 0, "refused": REFUSED},
        ],
    )
    rows = {(row.task_id, row.map_index): row for row in listed(empty).rows}
    assert len(rows) == 3
    assert rows["train", 0].error == ""
    assert rows["train", 1].error == "x" * 240 + "…"
    assert rows["other", 0].error.startswith("not submitted: ")


@pytest.mark.parametrize(("length", "shown"), [(239, 239), (240, 240), (241, 240)])
def test_only_an_error_that_is_cut_ends_in_three_dots(one, length, shown):
    ended = {"end": {"error": {"headline": "x" * length}}, "seconds": 9.0, "state": "failed"}
    (row,) = one(**ended)().rows
    assert row.error == "x" * shown + "…" * (length > shown)


def test_an_error_that_the_task_recorded_beside_its_job_is_found(empty, one):
    found = one(3, error=None, end={"progress": None})
    instance = {"dag_run_id": 1, "dag_id": "dag_03", "run_id": "manual__3", "task_id": "train", "map_index": -1}
    add_xcoms(empty, [instance | {"key": "nbjobs_error", "value": REFUSED}])
    empty.commit()
    assert found(text="cannot run").total == 1


def test_a_page_whose_jobs_have_all_ended_does_not_refresh_itself(one):
    assert [one(number)().is_live for number in (0, 3, 4)] == [False, False, True]
    assert one(4, state="up_for_retry")().is_live
    assert not one(0, state="skipped")().is_live  # as a notebook that raises AirflowSkipException


def test_values_in_an_xcom_backend_of_its_own_are_read_through_it(one, monkeypatch):
    """As with an object store: the table holds addresses only."""
    kept = {}

    class Elsewhere(BaseXCom):
        @staticmethod
        def deserialize_value(result):
            return kept[result.value]

    def put(value):
        kept[f"elsewhere://{len(kept)}"] = value
        return f"elsewhere://{len(kept) - 1}"

    found = one(3, stored=put)
    assert found().rows[0].error == ""
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Elsewhere)
    (row,) = found().rows
    assert row.error.endswith("failed in cell 3: ValueError: row 3")
    kept.clear()
    (row,) = found().rows
    assert (row.error, row.state) == ("", "failed")  # what cannot be read is no reason to show nothing


def test_empty_fields_of_the_form_filter_nothing():
    assert Filters(dag_id="", state="", since="", until="", text="").query() == {}
    assert Filters(state="failed", since="2026-01-02").query(page=2) == {
        "state": "failed",
        "since": "2026-01-02",
        "page": "2",
    }


def test_an_order_or_a_page_is_no_filter():
    assert Filters(sort="dag", page=3).is_empty
    assert not Filters(text="x").is_empty


WRONG = {
    "sort": ["password", "--started", "\0"],
    "page": ["0", "-1", "1.5", "9" * 40, "1e400", "nan", "½", "x"],
    "state": ["x", "RUNNING", "running\0"],
    "since": ["yesterday", "2026-13-01", "2026-01-01T00:00:00+99:99", "0000-00-00", "9" * 30, "1e400"],
    "until": ["10000-01-01", "\0", "-1-1-1"],
    "text": ["x" * 1001, "a\0b"],
    "dag_id": ["d" * 251, "\0"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_is_not_understood_of_a_query_is_left_out_and_named(name, value):
    filters, left_out = read_filters({"state": "failed", "utm_source": "x"} | {name: value})
    assert left_out == {name: value[:60]}
    assert filters == Filters(state="" if name == "state" else "failed")


def test_the_widest_query_is_answered(session):
    """Dates at both ends of the calendar, and a search for as long a text as an error may have."""
    assert listed(session, since=date.min, until=date.max).total == COUNT
    assert listed(session, since=date.max).total == 0
    assert listed(session, text="x" * 1000, page=100_000).total == 0


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
            "running": {"state": "running"},
            "past the end": {"page": 100_000},
        }.items():
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                assert listed(session, **filters).rows
                times.append(time.perf_counter() - begun)
            seconds[name] = min(times)
        session.bind.dispose()
    assert max(seconds.values()) < 0.3, seconds


def test_a_day_begins_and_ends_at_midnight_in_utc(one):
    found = one(0, started=datetime(2026, 3, 1, tzinfo=UTC))
    assert [found(since=date(2026, 3, day)).total for day in (1, 2)] == [1, 0]
    assert [found(until=date(2026, 3, 1)).total, found(until=date(2026, 2, 28)).total] == [1, 0]
    late = one(0, started=datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    assert [late(until=date(2026, 3, 1)).total, late(until=date(2026, 2, 28)).total] == [1, 0]


@pytest.mark.parametrize("stored", [None, json.dumps], ids=["json", "json in json"])
@pytest.mark.parametrize("text", ['né"w\\x', "tab\there", "ДАГ"])
def test_a_text_is_found_as_json_writes_it(one, stored, text):
    for fields in ({"facts": {"image": text}}, {"end": {"note": text}}, {"refused": REFUSED | {"headline": text}}):
        found = one(3, stored=stored, **fields)
        assert found(text=text).total == 1, fields
        assert found(text=f"{text}!").total == 0


def test_a_text_is_found_in_each_of_a_jobs_names(one):
    found = one(3, task_id="task_a", run_id="run_b")
    assert [found(text=text).total for text in ("DAG_03", "Task_A", "run_B", "taskXa", "dag_3")] == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("started", [0, 1]),
        ("-started", [119, 118]),
        ("dag", [100, 80]),
        ("-dag", [119, 99]),
        ("duration", [100, 0]),
        ("-duration", [98, 97]),
    ],
)
def test_rows_are_in_the_order_that_is_asked_for_and_equals_the_newest_first(session, sort, first):
    assert numbers(listed(session, sort=sort))[:2] == first


def test_rows_of_a_group_stand_together_whatever_the_order(session):
    by_dag = [row.dag_id for row in listed(session, group="dag", sort="-duration").rows]
    assert by_dag == sorted(by_dag)
    assert by_dag[0] == "dag_00"
    by_run = numbers(listed(session, group="run", sort="started"))
    assert by_run == list(range(119, 69, -1))


def test_as_many_dags_as_the_form_offers_are_all(session, monkeypatch):
    monkeypatch.setattr(listing_module, "_MOST_DAGS", 20)
    assert (len(listed(session).dag_ids), listed(session).more_dags) == (20, False)
    monkeypatch.setattr(listing_module, "_MOST_DAGS", 19)
    assert (list(listed(session).dag_ids), listed(session).more_dags) == (sorted(DAGS)[:19], True)


def test_as_many_rows_as_are_added_up_are_all(session, monkeypatch):
    monkeypatch.setattr(listing_module, "MOST_SUMMED", COUNT)
    found = listed(session)
    assert (found.summed, found.total, found.sums.jobs) == (COUNT, COUNT, COUNT)
    monkeypatch.setattr(listing_module, "MOST_SUMMED", COUNT - 1)
    found = listed(session, page=2)
    assert (found.summed, found.total, found.sums.jobs, found.page) == (COUNT - 1, COUNT, COUNT - 1, 2)
    assert numbers(found) == list(range(69, 19, -1))


def test_a_list_of_no_job_has_one_page(session):
    found = listed(session, text="nothing like it", page=7)
    assert (found.rows, found.total, found.pages, found.page, found.summed) == ([], 0, 1, 1, 0)
    assert not found.is_live
    assert len(found.ids) == 0
    assert len(listed(session, page=3).ids) == 20
