"""The charts of a task over its runs, made of rows as the database gives them: their units, points, gaps, links and words."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui.data.trend import LONG, Instance, Trend
from airflow_nbjobs.ui.trend_charts import (
    MOST_CHARTS,
    Charts,
    as_json,
    moment_text,
    numeric_outputs,
    series_names,
    table_heads,
    table_notes,
    table_row,
    value_words,
)

DAY = 86_400.0
PRICES = Prices({"ml.m5.large": 0.138}, "€")
FREE = Prices({})


def instance(number, *, state="success", map_index=-1, label=None, **more):
    return Instance(
        run_id=f"run {number}",
        map_index=map_index,
        state=state,
        moment=number * DAY,
        logical_date=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number),
        run_after=None,
        label=label,
        **{"values": {}} | more,
    )


def trend(*instances):
    return Trend(instances=instances, outputs=sorted({name for each in instances for name in each.values}))


def charts(*instances, by="date", prices=FREE):
    made = Charts(trend(*instances), dag_id="d", task_id="train", root="/air", by=by, prices=prices)
    return made, {each.name: each for each in made.drawn()[0]}


def described(chart):
    (said,) = re.findall(r"<desc[^>]*>([^<]*)</desc>", chart.svg)
    return said


def titles(chart):
    return re.findall(r'href="[^"]*"><title>([^<]*)</title>', chart.svg)


def across(chart):
    return [float(each) for each in re.findall(r'<circle cx="([\d.]+)"', chart.svg)]


@pytest.mark.parametrize(
    ("longest", "unit", "top"),
    [
        (119.0, "s", "1 min 59 s"),
        (120.0, "min", "2 min 0 s"),
        (7199.0, "min", "1 h 59 min"),
        (7200.0, "h", "2 h 0 min"),
    ],
)
def test_times_are_in_the_unit_of_which_the_longest_has_two(longest, unit, top):
    _, drawn = charts(instance(0, duration=1.0), instance(1, duration=longest), instance(2))
    assert drawn["Duration"].unit == unit
    assert f">Duration ({unit}) of train</title>" in drawn["Duration"].svg
    assert f"from 1 s to {top}," in described(drawn["Duration"])
    assert [title.split("\n")[0] for title in titles(drawn["Duration"])] == [
        "Duration = without a value",
        "Duration = 1 s",
        f"Duration = {top}",
    ]


def test_without_any_time_the_unit_is_seconds():
    _, drawn = charts(instance(0, state="running"))
    assert (drawn["Duration"].unit, drawn["Billed"].unit) == ("s", "s")


def test_quantities_begin_at_zero_and_outputs_do_not():
    """What costs twice as much is twice as high; an accuracy of 0.90 and one of 0.91 are told apart."""
    each = [
        instance(place, duration=100.0 + place, billed=90.0, cost=5.0, values={"x": 100 + place}) for place in (0, 1)
    ]
    _, drawn = charts(*each, prices=PRICES)
    lowest = {name: re.findall(r'text-anchor="end">([^<]*)<', chart.svg)[0] for name, chart in drawn.items()}
    assert lowest == {"x": "100.0", "Duration": "0", "Billed": "0", "Cost": "0"}
    assert drawn["Cost"].unit == "€, list price"
    assert titles(drawn["Cost"])[0].startswith("Cost = €5.0000\n")
    assert drawn["x"].unit == ""
    assert ">x of train</title>" in drawn["x"].svg


def test_a_chart_says_in_words_what_it_shows_and_what_it_does_not():
    _, drawn = charts(
        instance(0, values={"x": 0.25}),
        instance(1, state="failed", values={"x": 1234}),
        instance(2, state="failed"),
        instance(3, state="failed"),
        instance(4, state="running"),
        instance(5),
        instance(6, values={"x": "text"}),
    )
    chart = drawn["x"]
    gaps = ["2 failed", "1 running", "1 without a value", "1 not a number"]
    assert chart.notes == gaps
    assert described(chart) == (
        "2 values from 0.25 to 1,234, 1970-01-01 00:00 UTC to 1970-01-07 00:00 UTC; "
        + "; ".join(gaps)
        + ". The table below has all runs."
    )
    assert titles(chart)[-2:] == [
        "x = 0.25\nrun 0\n1970-01-01 00:00 UTC",
        "x = 1,234, failed\nrun 1\n1970-01-02 00:00 UTC",
    ]
    assert chart.svg.count('<g class="mark-failed">') == 2
    assert chart.svg.count('<g class="mark-running">') == 1
    assert chart.svg.count('<g class="mark-none">') == 2
    # The failed run's value is a cross on the line, those without one are crosses at the foot.
    assert chart.svg.count('class="cross"') == 3


def test_a_chart_without_a_value_says_so():
    _, drawn = charts(instance(0), instance(1, state="failed"))
    assert (
        described(drawn["Billed"]) == "No run has a value; 1 without a value; 1 failed. The table below has all runs."
    )


def test_each_run_has_its_place_of_its_own_where_one_lies_beside_the_other():
    """Two indices of one run lie over each other, whatever the time between the runs."""
    made = [
        instance(number, map_index=index, values={"x": number})
        for number, indices in ((0, (0, 1)), (1, (0, 1)), (9, (0,)))
        for index in indices
    ]
    _, by_date = charts(*made)
    _, by_order = charts(*made, by="order")
    first, second, third = across(by_order["x"])
    assert second - first == pytest.approx(third - second, abs=0.2)
    first, second, third = across(by_date["x"])
    assert third - second == pytest.approx(8 * (second - first), rel=0.05)
    assert [text for text in ("1 Jan 1970", "2 Jan", "10 Jan") if f">{text}<" in by_order["x"].svg] == [
        "1 Jan 1970",
        "2 Jan",
        "10 Jan",
    ]


def test_a_point_names_its_index_and_leads_to_it():
    _, drawn = charts(instance(0, map_index=0, label="eu", values={"x": 1}), instance(0, map_index=1, values={"x": 2}))
    assert [title.split("\n")[1] for title in titles(drawn["x"])] == ["run 0 [eu]", "run 0 [1]"]
    assert re.findall(r'href="([^"]*)"', drawn["x"].svg) == [
        f"/air/dags/d/runs/run%200/tasks/train/mapped/{index}/plugin/nbjobs_notebook" for index in (0, 1)
    ]


def test_series_beyond_those_that_can_be_told_apart_are_neither_drawn_nor_counted_as_gaps():
    made, drawn = charts(*(instance(0, map_index=index, values={"x": index}) for index in range(9)))
    assert [name for _, name in made.legend.entries] == list("01234567")
    assert [style for style, _ in made.legend.entries] == list(range(8))
    assert made.legend.more == 1
    assert described(drawn["x"]).startswith("8 values from 0 to 7, ")
    assert drawn["x"].notes == []


def test_series_are_in_the_order_of_their_indices_and_keep_their_styles():
    made, drawn = charts(
        instance(0, map_index=1, label="a", values={"x": 1}), instance(0, map_index=0, label="z", values={"x": 2})
    )
    assert made.legend.entries == [(0, "z"), (1, "a")]
    assert re.findall(r'<g class="(s\d)">', drawn["x"].svg) == ["s0", "s1"]


def test_many_points_are_thinned_and_it_is_said():
    made = [instance(number, values={"x": number % 7}) for number in range(3000)]
    _, drawn = charts(*made)
    (note,) = drawn["x"].notes
    count = len(titles(drawn["x"]))
    assert note == f"{count:,} of 3,000 points are drawn, none of the extremes left out"
    assert 240 < count <= 4800 // 3
    _, few = charts(*made[:100])
    assert few["x"].notes == []


def test_each_of_many_charts_keeps_points_of_its_own():
    outputs = {f"x{number:02d}": 1.0 for number in range(MOST_CHARTS)}
    made = [instance(number, values={name: float(number % 5) for name in outputs}) for number in range(400)]
    _, drawn = charts(*made)
    assert len(drawn) == MOST_CHARTS + 2
    assert {150 <= len(titles(drawn[name])) <= 240 for name in outputs} == {True}


def test_the_first_charts_are_drawn_and_the_other_numbers_are_named():
    values = {f"x{number:02d}": number for number in range(MOST_CHARTS + 2)} | {"text": "a"}
    made = Charts(trend(instance(0, values=values)), dag_id="d", task_id="t", root="", by="date", prices=PRICES)
    drawn, undrawn, others = made.drawn()
    assert [each.name for each in drawn] == [*list(values)[:MOST_CHARTS], "Duration", "Billed", "Cost"]
    assert (undrawn, others) == ([f"x{MOST_CHARTS}", f"x{MOST_CHARTS + 1}"], ["text"])
    idents = re.findall(r'<title id="([^"]+)-title"', "".join(each.svg for each in drawn))
    assert len(set(idents)) == len(drawn)


def test_indices_are_called_by_their_labels_where_those_tell_them_apart():
    def names(*labels):
        return series_names([instance(run, map_index=index, label=label) for run, index, label in labels])

    assert names((0, 0, "eu"), (0, 1, "us"), (1, 0, "eu")) == ["eu", "us", "eu"]
    assert names((0, 0, "eu"), (0, 1, "eu"), (0, 2, None)) == ["eu [0]", "eu [1]", "2"]
    assert names((0, -1, None), (1, -1, "a")) == ["", "a"]
    assert names((0, -1, "a"), (0, -1, "a")) == ["a", "a"]


def test_an_output_is_numeric_that_any_run_has_a_number_of():
    found = trend(
        instance(0, values={"late": "none yet", "nan": "NaN", "text": "a", "flag": True, "none": None, "long": LONG}),
        instance(1, values={"late": 3, "nan": "text", "huge": 10**400, "inf": "-Infinity", "zero": 0}),
    )
    assert numeric_outputs(found) == (["inf", "late", "nan", "zero"], ["flag", "huge", "long", "none", "text"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        (LONG, "…"),
        (True, "True"),
        (False, "False"),
        (1234567, "1,234,567"),
        (1234.5, "1234.5"),
        (1e-9, "1e-09"),
        ("a text", "a text"),
        ("NaN", "NaN"),
    ],
)
def test_a_value_in_words(value, words):
    assert value_words(value) == words


def test_a_moment_beyond_the_calendar_is_an_unknown_time():
    assert moment_text(DAY + 61) == "1970-01-02 00:01 UTC"
    assert {moment_text(each) for each in (1e300, -1e300, 1e15, float("nan"), float("inf"))} == {"an unknown time"}


BERLIN = timezone(timedelta(hours=2))


def test_a_row_of_the_table_stands_under_its_heads():
    each = instance(
        0,
        map_index=3,
        label="eu",
        values={"x": 1, "table": LONG},
        duration=61.5,
        billed=60.0,
        cost=0.5,
    )
    each.run_after = datetime(2026, 5, 1, 14, 30, tzinfo=BERLIN)
    found = trend(each)
    row = dict(zip(table_heads(found, PRICES), table_row(each, found, PRICES), strict=True))
    assert row == {
        "run_id": "run 0",
        "map_index": 3,
        "index_name": "eu",
        "logical_date": "1970-01-01T00:00:00+00:00",
        "run_after": "2026-05-01T12:30:00+00:00",
        "state": "success",
        "table": "…",
        "x": 1,
        "duration_seconds": 61.5,
        "billed_seconds": 60.0,
        "cost": 0.5,
    }
    free = dict(zip(table_heads(found, FREE), table_row(each, found, FREE), strict=True))
    assert free == {name: value for name, value in row.items() if name != "cost"}


@pytest.mark.parametrize(("map_index", "shown"), [(-1, None), (0, 0), (2, 2)])
def test_a_task_that_is_not_mapped_has_no_index_in_the_table(map_index, shown):
    each = instance(0, map_index=map_index)
    assert table_row(each, trend(each), FREE)[:2] == ["run 0", shown]


@pytest.mark.parametrize("name", ["run_id", "state", "duration_seconds", "cost"])
def test_an_output_that_is_called_as_a_column_has_another_head(name):
    found = trend(instance(0, values={name: 1, "x": 2}))
    heads = table_heads(found, PRICES)
    assert heads.count(name) == 1
    assert [each for each in heads if each in (f"output.{name}", "x")] == [
        f"output.{each}" if each == name else each for each in sorted((name, "x"))
    ]
    # Where nothing is priced there is no column of costs, and an output may be called so.
    assert ("output.cost" in table_heads(found, FREE)) is False


def test_a_program_gets_each_run_with_its_numbers_unrounded():
    each = instance(
        1,
        state="failed",
        map_index=0,
        label="eu",
        values={"x": 0.1, "t": LONG, "n": None},
        duration=1.5,
        billed=2,
        cost=3.0,
    )
    assert as_json(each) == {
        "run_id": "run 1",
        "map_index": 0,
        "index_name": "eu",
        "logical_date": "1970-01-02T00:00:00+00:00",
        "run_after": None,
        "state": "failed",
        "outputs": {"x": 0.1, "n": None},
        "duration_seconds": 1.5,
        "billed_seconds": 2,
        "cost": 3.0,
    }


def test_what_is_left_out_is_said_once_each():
    assert table_notes(trend(instance(0))) == []
    cut = Trend(instances=[instance(0)], outputs=["a", "b"], more_outputs=True, left_out=True, unread=1234)
    assert table_notes(cut) == [
        "There are more instances than can be shown: these are the newest 20,000.",
        "1,234 values of older runs lie in your XCom backend and are not read: choose fewer runs or an earlier last day.",
        "There are more than these 2 outputs: choose others by ?output=NAME.",
    ]
