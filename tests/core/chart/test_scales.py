"""Scales: every value lies between their ends, and ticks are numbers and dates that a person would write."""

from datetime import UTC, datetime

import pytest

from airflow_nbjobs.core.chart.scales import number_scale, order_scale, time_scale


def labels(scale):
    return [tick.label for tick in scale.ticks]


@pytest.mark.parametrize(
    "values",
    [
        [0.861, 0.873, 0.9],
        [-3, 12],
        [12_000, 25_000],
        [1e16 + 2, 1e16 + 4],
        [1e-7, 4e-7],
        [-1e308, 1e308],
        [1.7976931348623157e308],
        [5e-324, 1e-323],
        [-5e-324],
        [2**63, 2**63 + 2**12],
        [0.0],
        [-0.0, 0.0],
        [7, 7, 7],
        [],
        [1, 1 + 2**-52],
        [1e300, -1e-300],
    ],
)
def test_every_value_lies_on_its_scale_between_ticks_that_differ(values):
    scale = number_scale(values)
    shares = [scale.share(value) for value in values]
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in shares), shares
    assert [shares[place] for place in sorted(range(len(values)), key=values.__getitem__)] == sorted(shares)
    assert (scale.ticks[0].share, scale.ticks[-1].share) == (0, 1)
    assert 2 <= len(scale.ticks) <= 9
    assert len(set(labels(scale))) == len(scale.ticks), labels(scale)
    assert all(len(label) < 30 for label in labels(scale))


def test_labels_are_as_precise_as_the_step():
    assert labels(number_scale([0.861, 0.873, 0.9])) == ["0.86", "0.87", "0.88", "0.89", "0.90"]
    assert labels(number_scale([0, 100])) == ["0", "20", "40", "60", "80", "100"]
    assert labels(number_scale([2.5e8, 9.5e8])) == ["2e8", "4e8", "6e8", "8e8", "1e9"]


def test_values_in_the_middle_of_a_wide_range_lie_in_the_middle():
    scale = number_scale([-1.7e308, 0, 1.7e308])
    assert scale.share(0) == pytest.approx(0.5)
    tiny = number_scale([0, 1e-320])
    assert tiny.share(5e-321) == pytest.approx(0.5, abs=0.01)


def test_a_quantity_begins_at_zero():
    assert labels(number_scale([40, 95], from_zero=True))[0] == "0"
    assert number_scale([-3, -1], from_zero=True).share(0) == 1
    assert labels(number_scale([0], from_zero=True)) == labels(number_scale([0]))


def seconds(*parts):
    return datetime(*parts, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (
            (2026, 1, 1),
            (2026, 1, 7),
            ["1 Jan 2026", "2 Jan", "3 Jan", "4 Jan", "5 Jan", "6 Jan", "7 Jan"],
        ),
        (
            (2025, 12, 30),
            (2026, 1, 3),
            ["30 Dec 2025", "31 Dec", "1 Jan 2026", "2 Jan", "3 Jan"],
        ),
        (
            (2026, 3, 1, 10, 20),
            (2026, 3, 1, 13, 0),
            ["1 Mar 10:30", "11:00", "11:30", "12:00", "12:30", "13:00"],
        ),
        ((2026, 3, 1, 22), (2026, 3, 2, 2), ["1 Mar 22:00", "23:00", "2 Mar 00:00", "01:00", "02:00"]),
        (
            (2026, 3, 1, 0, 0, 1),
            (2026, 3, 1, 0, 0, 6),
            ["1 Mar 00:00:01", "00:00:02", "00:00:03", "00:00:04", "00:00:05", "00:00:06"],
        ),
        ((2025, 11, 15), (2026, 3, 15), ["Dec 2025", "Jan 2026", "Feb", "Mar"]),
        ((1990, 1, 1), (2026, 1, 1), ["1990", "2000", "2010", "2020"]),
        ((2026, 2, 1), (2026, 3, 15), ["2 Feb 2026", "9 Feb", "16 Feb", "23 Feb", "2 Mar", "9 Mar"]),
    ],
)
def test_ticks_of_time_lie_on_what_a_calendar_has(first, last, said):
    scale = time_scale([seconds(*first), seconds(*last)])
    assert labels(scale) == said
    assert all(0 <= tick.share <= 1 for tick in scale.ticks)


@pytest.mark.parametrize(
    "moments",
    [
        [],
        [0.0],
        [seconds(2026, 2, 28, 23, 59, 59)],
        [seconds(1, 1, 1), seconds(9999, 12, 31)],
        [seconds(1, 1, 1)],
        [seconds(9999, 12, 31, 23)],
        [-1e15, 1e15],
        [seconds(2024, 2, 29), seconds(2028, 2, 29)],
    ],
)
def test_any_times_have_a_scale(moments):
    scale = time_scale(moments)
    assert scale.high > scale.low
    assert len(scale.ticks) <= 12
    assert len(set(labels(scale))) == len(scale.ticks)


def test_runs_side_by_side_are_equally_far_apart():
    moments = [seconds(2026, 1, 1), seconds(2026, 1, 2), seconds(2026, 9, 1)]
    scale = order_scale(moments)
    assert [scale.share(place) for place in range(3)] == [0, 0.5, 1]
    assert labels(scale) == ["1 Jan 2026", "2 Jan", "1 Sep"]
    assert order_scale(moments[:1]).share(0) == 0.5
    assert order_scale([]).ticks == ()
    assert len(order_scale([0.0] * 10_000).ticks) <= 7
