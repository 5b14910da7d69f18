"""What the jobs on all pages have come to: each is counted once, and what is not known is said."""

import json
from contextlib import contextmanager

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.bases.xcom import BaseXCom
from job_rows import StoredXCom, add_jobs, add_xcoms, job, open_database
from sqlalchemy import insert, select

from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui.data import listing as listing_module
from airflow_nbjobs.ui.data.columns import offered_columns
from airflow_nbjobs.ui.data.filters import Filters, read_filters
from airflow_nbjobs.ui.data.listing import AllJobs, list_jobs
from airflow_nbjobs.ui.data.sums import EndFacts, Sums, end_of, is_of_earlier_try, read_end

PRICES = Prices({"ml.m5.large": 0.138})
DAGS = {"dag_00", "dag_01", "dag_02", "dag_03", "dag_04"}


@pytest.fixture
def session():
    made = open_database("sqlite://", RenderedTaskInstanceFields)
    yield made
    made.close()
    made.bind.dispose()


def listed(session, readable=DAGS, prices=PRICES, **filters):
    return list_jobs(session, Filters(**filters), readable=readable, prices=prices)


def facts(listing, prices=PRICES):
    return dict(listing.sums.facts(prices))


def all_jobs(session, filters, opened=lambda: None):
    @contextmanager
    def new_session():
        opened()
        yield session
        opened()

    return AllJobs(new_session, filters, readable=DAGS, prices=PRICES)


def jobs(count, **fields):
    return [job(number, dags=5) | fields for number in range(count)]


def test_the_sums_are_of_all_pages_and_of_the_filter_that_is_set(session):
    add_jobs(session, jobs(120))
    listing = listed(session)
    assert facts(listing) == {"Jobs": "120", "Billed": "96 h 0 min", "Cost, list price": "$13.2480"}
    assert listing.sums.gaps(PRICES) == ["24 not billed yet, or not known to be"]
    assert facts(listed(session, dag_id="dag_03", page=2))["Billed"] == "24 h 0 min"
    assert facts(listed(session, {"dag_00"}))["Jobs"] == "24"
    assert facts(listed(session, text="nothing like it"))["Jobs"] == "0"
    assert listed(session, page=2).rows[1].cost == "$0.1380"


def test_without_prices_there_is_no_cost_and_none_is_missing(session):
    add_jobs(session, jobs(3))
    none = Prices({})
    listing = listed(session, prices=none)
    assert facts(listing, none) == {"Jobs": "3", "Billed": "3 h 0 min"}
    assert listing.sums.gaps(none) == []


def end(**fields):
    return {"billable_seconds": 3600, "instance_type": "ml.m5.large"} | fields


def test_what_spot_saved_and_warm_pools_cost_is_told(session):
    spot = end(billable_seconds=300, training_seconds=1200, is_spot=True)
    kept = end(retained_seconds=1800, training_seconds=9999)  # no spot job: nothing saved
    add_jobs(session, [job(0, dags=5) | {"end": spot}, job(1, dags=5) | {"end": kept}])
    said = facts(listed(session))
    assert said["Saved by spot"] == "75% of 20 min 0 s (1 job)"
    assert said["Warm pools idle"] == "30 min 0 s, $0.0690"
    assert said["Cost, list price"] == "$0.1495"
    unpriced = end(retained_seconds=1800, instance_type="ml.p5.48xlarge")
    sums = Sums()
    for each in (kept, unpriced):
        sums.add(end_of(each), None)
    assert dict(sums.facts(PRICES))["Warm pools idle"] == "1 h 0 min, at least $0.0690"


def test_instances_are_counted_and_a_price_that_is_missing_is_said(session):
    two = end(instance_count=2)
    other = end(instance_type="ml.p5.48xlarge")
    add_jobs(session, [job(0, dags=5) | {"end": two}, job(1, dags=5) | {"end": other}])
    listing = listed(session)
    assert facts(listing) == {"Jobs": "2", "Billed": "3 h 0 min", "Cost, list price": "$0.2760"}
    assert listing.sums.gaps(PRICES) == ["1 without a price"]
    assert [row.cost for row in listing.rows] == [None, "$0.2760"]
    assert listing.rows[1].billed_seconds == 7200


def test_a_job_that_a_sensor_shows_as_well_is_counted_once(session):
    same = {"end": end(job_name="one"), "facts": {"job_name": "one"}}
    add_jobs(session, [job(0, dags=5) | same, job(0, dags=5) | same | {"task_id": "wait"}])
    listing = listed(session)
    assert facts(listing)["Billed"] == "1 h 0 min"
    assert listing.sums.gaps(PRICES) == ["1 shown by another task as well, and counted once"]


def test_a_refused_task_is_no_job(session):
    refused = {"version": 1, "try_number": 1, "headline": "no"}
    add_jobs(session, [job(3, dags=5) | {"refused": refused}, job(0, dags=5)])
    listing = listed(session)
    assert (listing.total, facts(listing)["Jobs"]) == (2, "1")
    assert listing.sums.gaps(PRICES) == ["1 refused before it was submitted"]
    assert [row.is_job for row in listing.rows] == [False, True]


@pytest.mark.parametrize(
    ("fields", "billed"),
    [
        ({}, "1 h 0 min"),
        ({"state": None}, "0 s"),
        ({"state": "queued", "try_number": 2, "end": end(try_number=1)}, "0 s"),
        ({"end": end(try_number=1)}, "1 h 0 min"),
    ],
)
def test_what_an_earlier_try_has_left_is_in_neither_the_row_nor_the_sum(session, fields, billed):
    add_jobs(session, [job(0, dags=5) | fields])
    listing = listed(session)
    assert facts(listing)["Billed"] == billed
    assert (listing.rows[0].cost is None) is (billed == "0 s")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "null",
        "no JSON",
        "[1]",
        '"text"',
        '{"billable_seconds": "9"}',
        '{"billable_seconds": true}',
        '{"billable_seconds": NaN}',
        '{"billable_seconds": -1}',
        '{"billable_seconds": 1e300}',
        '{"version": 2, "billable_seconds": 9}',
        '{"billable_seconds": [9], "instance_count": "x", "job_name": {}}',
        '"\\ud800"',
        "[" * 2000,
    ],
)
def test_whatever_somebody_has_written_there_is_no_error_and_no_sum(stored):
    sums = Sums()
    sums.add(read_end(stored), None)
    assert (sums.unbilled, sums.billed, sums.cost(PRICES)) == (1, 0, (0, 0))


def test_strange_fields_beside_right_ones_count_for_nothing():
    sums = Sums()
    strange = end(instance_count=-5, retained_seconds="x", training_seconds=0, is_spot="yes", job_name=7, try_number=[])
    sums.add(end_of(strange), None)
    assert (sums.billed, sums.cost(PRICES), sums.spot, sums.retained) == (3600, (0.138, 0), 0, 0)
    assert read_end(json.dumps(json.dumps(end()))) == read_end(json.dumps(end())) == EndFacts(**end())


@pytest.mark.parametrize("stored", [None, json.dumps])
def test_the_machine_of_a_job_of_an_earlier_version_is_what_the_job_said(session, stored):
    """Its end does not say it; a notebook that is called like the field is no answer."""
    facts_of_job = {
        "input_notebook": "instance_type.ipynb",
        "job_name": "instance_type",
        "instance_type": "ml.m5.large",
    }
    add_jobs(session, [job(0, dags=5) | {"facts": facts_of_job, "end": {"job_name": "instance_type"}}])
    if stored:
        for row in session.scalars(select(StoredXCom)):
            row.value = stored(row.value)
        session.commit()
    listing = listed(session)
    assert facts(listing)["Cost, list price"] == "not known"
    assert listing.sums.gaps(PRICES) == ["1 without a price"]
    assert listing.rows[0].cost == "$0.1380"


def test_groups_have_sums_over_all_pages_and_their_rows_stand_together(session):
    add_jobs(session, jobs(120))
    listing = listed(session, group="dag")
    assert [row.dag_id for row in listing.rows] == ["dag_00"] * 24 + ["dag_01"] * 24 + ["dag_02"] * 2
    assert {group: sums.jobs for group, sums in listing.groups.items()} == {
        (name,): 24 for name in ("dag_00", "dag_01", "dag_02")
    }
    assert dict(listing.groups["dag_02",].facts(PRICES))["Cost, list price"] == "$3.3120"
    runs = listed(session, group="run", sort="started")
    assert [row.run_id for row in runs.rows[:2]] == ["manual__119", "manual__118"]
    assert runs.groups["dag_04", "manual__119"].jobs == 1


def test_sums_are_of_so_many_rows_at_most_and_say_it(session, monkeypatch):
    monkeypatch.setattr(listing_module, "MOST_SUMMED", 60)
    add_jobs(session, jobs(120))
    listing = listed(session, page=3)
    assert (listing.summed, listing.total, listing.pages, listing.page) == (60, 120, 3, 3)
    assert [row.run_id for row in listing.rows][-1] == "manual__0"
    assert listed(session, page=99).rows == listing.rows
    assert facts(listing)["Jobs"] == "60"


def test_ends_in_an_xcom_backend_are_read_through_it_up_to_a_limit(session, monkeypatch):
    kept = {}

    class Elsewhere(BaseXCom):
        @staticmethod
        def deserialize_value(result):
            return kept[result.value]

    add_jobs(session, jobs(4))
    for row in session.scalars(select(StoredXCom)):
        kept[f"elsewhere://{len(kept)}"] = row.value
        row.value = f"elsewhere://{len(kept) - 1}"
    session.commit()
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Elsewhere)
    assert facts(listed(session))["Billed"] == "4 h 0 min"
    monkeypatch.setattr(listing_module, "_MOST_READ", 1)
    listing = listed(session)
    assert facts(listing)["Billed"] == "1 h 0 min"
    assert listing.sums.gaps(PRICES)[-1] == "3 not read from the XCom backend"


def with_values(session):
    add_jobs(session, jobs(3))
    run = {"dag_run_id": 1, "dag_id": "dag_00", "run_id": "manual__0", "task_id": "train", "map_index": -1}
    add_xcoms(
        session,
        [run | {"key": key, "value": value} for key, value in {"accuracy": 0.5, "=f": [1], "nbjobs_x": 1}.items()],
    )
    instance = session.execute(select(TaskInstance.id).where(TaskInstance.run_id == "manual__0")).scalar_one()
    whose = (
        {"task_instance_id": instance}
        if hasattr(RenderedTaskInstanceFields, "task_instance_id")
        else {name: run[name] for name in ("dag_id", "run_id", "task_id", "map_index")}
    )
    fields = {"parameters": {"epochs": 3, "secret": "***"}}
    session.execute(insert(RenderedTaskInstanceFields).values(**whose, rendered_fields=fields))
    session.commit()


def test_outputs_and_parameters_are_columns_that_one_chooses(session):
    with_values(session)
    listing = listed(session, output=["accuracy", "nbjobs_job", "none"], parameter=["epochs"], sort="started")
    assert [dict(row.outputs) for row in listing.rows] == [{"accuracy": 0.5}, {}, {}]
    assert [dict(row.parameters) for row in listing.rows] == [{"epochs": 3}, {}, {}]
    filters = Filters(output=["mine"])
    offered = offered_columns(session, listing.ids, filters)
    assert (list(offered.outputs), list(offered.parameters)) == (["mine", "=f", "accuracy"], ["epochs", "secret"])
    rows = [row for chunk in all_jobs(session, Filters(output=["accuracy"])).chunks() for row in chunk]
    assert [dict(row.outputs) for row in rows] == [{}, {}, {"accuracy": 0.5}]


def test_the_whole_list_is_read_in_the_order_of_the_page(session, monkeypatch):
    monkeypatch.setattr(listing_module, "_CHUNK", 7)
    add_jobs(session, jobs(40))
    for filters in (Filters(), Filters(sort="dag", group="run"), Filters(state="failed"), Filters(page=2)):
        chunks = list(all_jobs(session, filters).chunks())
        rows = [row.run_id for chunk in chunks for row in chunk]
        assert rows == [row.run_id for row in listed(session, **filters.query(page=1)).rows]


def test_no_session_is_open_while_a_reader_takes_their_time(session, monkeypatch):
    monkeypatch.setattr(listing_module, "_CHUNK", 2)
    add_jobs(session, jobs(5))
    moments = []
    found = all_jobs(session, Filters(), lambda: moments.append("session"))
    assert len(moments) == 2
    for chunk in found.chunks():
        assert chunk
        assert len(moments) % 2 == 0
    assert len(moments) == 2 + 2 * 3


def test_of_an_xcom_backend_the_first_thousand_are_in_the_file(session, monkeypatch):
    class Elsewhere(BaseXCom):
        pass

    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Elsewhere)
    monkeypatch.setattr(listing_module, "_MOST_READ", 3)
    add_jobs(session, jobs(5))
    found = all_jobs(session, Filters())
    assert (sum(map(len, found.chunks())), found.unread) == (3, 2)


def test_a_group_that_is_not_wholly_added_up_has_no_sums(session, monkeypatch):
    """A part of it would be taken for the whole, and nothing at all for none."""
    monkeypatch.setattr(listing_module, "MOST_SUMMED", 3)
    add_jobs(session, [job(number, dags=5) for number in (0, 5, 1, 2, 7)])
    listing = listed(session, group="dag")
    assert listing.summed == 3
    assert {group: sums.jobs for group, sums in listing.groups.items()} == {("dag_00",): 2, ("dag_01",): 1}
    assert {row.group("dag") for row in listing.rows} == {("dag_00",), ("dag_01",), ("dag_02",)}


def test_a_group_of_which_a_part_is_added_up_has_no_sums(session, monkeypatch):
    monkeypatch.setattr(listing_module, "MOST_SUMMED", 4)
    add_jobs(session, [job(number, dags=2) for number in range(5)])
    assert set(listed(session, group="dag").groups) == {("dag_00",)}


def test_what_ended_jobs_left_in_a_backend_is_read_once(session, monkeypatch):
    """The page refreshes itself while any job runs."""
    read = []

    class Elsewhere(BaseXCom):
        @staticmethod
        def deserialize_value(result):
            read.append(result.key)
            return result.value

    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Elsewhere)
    add_jobs(session, jobs(5))
    sums = [facts(listed(session)) for _ in range(2)]
    assert sums[0] == sums[1]
    assert read.count("nbjobs_end") == 4 + 2 * 4  # for the sums once, for the rows of each view


def test_columns_and_group_are_in_the_address():
    filters, left_out = read_filters({"output": ["a", "b", "a", ""], "group": "run", "parameter": "p"})
    assert (filters.output, filters.parameter, left_out) == (["a", "b"], ["p"], {})
    assert filters.address(page=2) == "page=2&group=run&output=a&output=b&parameter=p"
    assert filters.is_empty
    assert read_filters({"output": [str(number) for number in range(13)]})[0].output == []


def summed(*ends, said=None):
    sums = Sums()
    for each in ends:
        sums.add(end_of(each), said)
    return sums


@pytest.mark.parametrize(
    ("seconds", "is_one"),
    [(0, True), (0.5, True), (1e10 - 1, True), (1e10, False), (-1, False), (True, False), ("9", False), (None, False)],
)
def test_only_a_time_that_can_be_is_billed(seconds, is_one):
    sums = summed(end(billable_seconds=seconds))
    assert (sums.jobs, sums.unbilled, sums.billed) == ((1, 0, seconds) if is_one else (1, 1, 0))


@pytest.mark.parametrize(
    ("count", "billed"), [(1, 10), (3, 30), (99_999, 999_990), (100_000, 10), (0, 10), (True, 10), (2.0, 10)]
)
def test_instances_that_can_be_are_counted(count, billed):
    assert summed(end(billable_seconds=10, instance_count=count)).billed == billed


def test_a_machine_is_what_the_end_says_or_else_the_job():
    said = '"instance_type": "ml.m5.large", "x"'
    assert summed(end(instance_type=None), said=said).cost(PRICES) == (pytest.approx(0.138), 0)
    assert summed(end(instance_type="ml.unknown"), said=said).cost(PRICES) == (0.0, 1)
    assert summed(end(instance_type=None)).cost(PRICES) == (0.0, 1)
    many = summed(end(), end(), end(instance_type="a"), end(instance_type="a"), end(instance_type="b"))
    assert many.cost(PRICES) == (pytest.approx(0.276), 3)


def test_a_cost_of_which_nothing_is_known_is_not_said_to_be_none():
    assert dict(summed(end(instance_type="a")).facts(PRICES))["Cost, list price"] == "not known"
    assert dict(summed(end(instance_type="a"), end()).facts(PRICES))["Cost, list price"] == "$0.1380"
    assert dict(summed().facts(PRICES))["Cost, list price"] == "$0.0000"


def test_spot_saves_what_was_trained_and_not_billed():
    def spot(seconds, training, count=1):
        return end(billable_seconds=seconds, training_seconds=training, is_spot=True, instance_count=count)

    sums = summed(spot(300, 1200, 2), spot(600, 600), end(billable_seconds=100, training_seconds=900))
    assert (sums.spot, sums.spot_training, sums.spot_billed) == (2, 3000, 1200)
    assert dict(sums.facts(PRICES))["Saved by spot"] == "60% of 50 min 0 s (2 jobs)"
    # What was billed longer than it trained has saved nothing, and owes nothing.
    assert dict(summed(spot(1200, 600)).facts(PRICES))["Saved by spot"] == "0% of 10 min 0 s (1 job)"
    assert "Saved by spot" not in dict(summed(spot(300, 0), spot(300, None)).facts(PRICES))


def test_warm_pools_are_of_all_instances_and_priced_by_their_machine():
    sums = summed(end(retained_seconds=1800, instance_count=2), end(retained_seconds=1800), end(retained_seconds=0))
    assert dict(sums.facts(PRICES))["Warm pools idle"] == "1 h 30 min, $0.2070"
    assert dict(sums.facts(Prices({})))["Warm pools idle"] == "1 h 30 min"
    unpriced = summed(end(retained_seconds=60, instance_type="a"))
    assert dict(unpriced.facts(PRICES))["Warm pools idle"] == "1 min 0 s"


def test_a_job_is_counted_once_by_its_name():
    sums = summed(end(job_name="a"), end(job_name="a"), end(job_name="b"), end(), end())
    assert (sums.jobs, sums.again, sums.billed) == (5, 1, 4 * 3600)
    # One that is not billed yet is not the one that was counted.
    assert summed(end(job_name="a", billable_seconds=None), end(job_name="a")).again == 0


def test_what_is_not_in_the_sums_is_said_in_words():
    sums = summed(*[end(billable_seconds=None)] * 1000, end(instance_type="a"), end(job_name="x"), end(job_name="x"))
    sums.leave_out(is_job=False)
    sums.leave_out(is_job=True)
    assert (sums.jobs, sums.refused, sums.unread) == (1004, 1, 1)
    assert sums.gaps(PRICES) == [
        "1,000 not billed yet, or not known to be",
        "1 without a price",
        "1 shown by another task as well, and counted once",
        "1 refused before it was submitted",
        "1 not read from the XCom backend",
    ]
    assert "1 without a price" not in sums.gaps(Prices({}))
    assert dict(sums.facts(PRICES))["Jobs"] == "1,004"


@pytest.mark.parametrize(
    ("state", "tries", "end_tries", "is_past"),
    [
        ("success", 1, 1, False),
        ("success", 2, 1, True),
        ("failed", 1, 2, True),
        (None, 1, 1, True),
        ("queued", 1, None, False),
        ("success", 1, True, False),
        ("success", 1, "2", False),
    ],
)
def test_what_is_of_an_earlier_try(state, tries, end_tries, is_past):
    assert is_of_earlier_try(state, tries, EndFacts(try_number=end_tries)) == is_past
