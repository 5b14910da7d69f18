"""What an address asks the pages over many runs for, and how the same is written into links."""

from datetime import UTC, date, datetime

import pytest
from starlette.datastructures import QueryParams

from airflow_nbjobs.ui.data.filters import (
    MOST_COLUMNS,
    MOST_RUNS,
    TEXT_CHARACTERS,
    Filters,
    TrendFilters,
    read_filters,
    read_query,
)


def of_jobs(address):
    return read_query(Filters, QueryParams(address))


def of_trend(address):
    return read_query(TrendFilters, QueryParams(address))


def test_a_day_is_from_its_first_instant_to_the_first_one_after_it():
    filters, _ = of_jobs("since=2026-03-01&until=2026-03-31")
    assert (filters.first, filters.end) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert (Filters().first, Filters().end) == (None, None)
    assert Filters(until=date.max).end is None
    assert Filters(until="9999-12-30").end == datetime(9999, 12, 31, tzinfo=UTC)


def test_without_a_query_there_is_no_filter():
    for filters in (Filters(), of_jobs("")[0], of_jobs("since=&until=&state=&dag_id=&text=&group=")[0]):
        assert filters.is_empty
        assert filters.address() == ""
        assert (filters.page, filters.sort, filters.group) == (1, "-started", "")
    assert (TrendFilters().runs, TrendFilters().by, TrendFilters().page) == (200, "date", 1)


@pytest.mark.parametrize(
    ("address", "is_empty"),
    [
        ("page=3", True),
        ("sort=dag", True),
        ("group=run", True),
        ("output=a&parameter=b", True),
        ("state=failed", False),
        ("dag_id=d", False),
        ("text=t", False),
        ("since=2026-01-01", False),
        ("until=2026-01-01", False),
    ],
)
def test_only_what_leaves_jobs_out_is_a_filter(address, is_empty):
    assert of_jobs(address)[0].is_empty == is_empty


@pytest.mark.parametrize(
    ("address", "is_empty"),
    [("page=3", True), ("by=order", True), ("runs=10", False), ("output=a", False), ("since=2026-01-01", False)],
)
def test_only_what_leaves_runs_or_outputs_out_is_a_filter(address, is_empty):
    assert of_trend(address)[0].is_empty == is_empty


@pytest.mark.parametrize(
    ("address", "left_out"),
    [
        ("page=1", {}),
        ("page=100000", {}),
        ("page=0", {"page": "0"}),
        ("page=100001", {"page": "100001"}),
        (f"text={'x' * TEXT_CHARACTERS}", {}),
        (f"text={'x' * (TEXT_CHARACTERS + 1)}", {"text": "x" * 60}),
        (f"dag_id={'x' * 250}", {}),
        (f"dag_id={'x' * 251}", {"dag_id": "x" * 60}),
        (f"output={'x' * 250}", {}),
        (f"output={'x' * 251}", {"output": "x" * 60}),
        ("parameter=a%00", {"parameter": "a\0"}),
        ("&".join(f"output={number}" for number in range(MOST_COLUMNS)), {}),
        (
            "&".join(f"output={number}" for number in range(MOST_COLUMNS + 1)),
            {"output": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"},
        ),
        ("sort=x&group=y", {"sort": "x", "group": "y"}),
        ("utm_source=x", {}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_beyond_a_limit_is_left_out_and_named(address, left_out):
    assert of_jobs(address)[1] == left_out


@pytest.mark.parametrize(
    ("runs", "read"), [("1", 1), (str(MOST_RUNS), MOST_RUNS), (str(MOST_RUNS + 1), 200), ("0", 200)]
)
def test_so_many_runs_can_be_asked_for(runs, read):
    assert of_trend(f"runs={runs}")[0].runs == read


def test_of_a_name_that_is_there_several_times_the_last_counts_and_of_a_list_all():
    filters, left_out = of_jobs("text=a&text=b&output=x&output=y&output=x&output=")
    assert (filters.text, filters.output, left_out) == ("b", ["x", "y"], {})
    assert read_filters({"output": "x", "parameter": ""})[0].query() == {"output": ["x"]}


def test_a_state_of_an_old_address_is_the_one_of_today():
    assert of_jobs("state=deferred")[0] == of_jobs("state=running")[0] == Filters(state="running")


def test_texts_have_no_blanks_around():
    filters, _ = of_jobs("text=%20a%20b%20&dag_id=%20d%20")
    assert (filters.text, filters.dag_id) == ("a b", "d")


def test_an_address_has_what_is_not_at_its_default_and_changes():
    filters, _ = of_jobs("text=a%26b&since=2026-01-02&page=4&output=x&output=y%20z")
    assert filters.address() == "since=2026-01-02&page=4&text=a%26b&output=x&output=y+z"
    assert filters.address(page=1, since=None, output=[]) == "text=a%26b"
    assert read_query(Filters, QueryParams(filters.address()))[0] == filters
    assert filters.page == 4
    assert of_trend("runs=5&by=order")[0].query(page=2) == {"runs": "5", "by": "order", "page": "2"}
