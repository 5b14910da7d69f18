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


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0, 3], "0 1 2 3"),
        ([0, 5], "0 1 2 3 4 5"),
        ([0, 11], "0 5 10 15"),
        ([-3, 12], "-5 0 5 10 15"),
        ([-0.5, 0.5], "-0.6 -0.4 -0.2 0 0.2 0.4 0.6"),
        ([], "0 0.2 0.4 0.6 0.8 1.0"),
        ([0.0], "-1.0 -0.5 0 0.5 1.0"),
        ([7, 7, 7], "6.0 6.5 7.0 7.5 8.0"),
        ([-5], "-5.6 -5.4 -5.2 -5.0 -4.8 -4.6 -4.4"),
        ([1234.5, 1236.0], "1,234.5 1,235.0 1,235.5 1,236.0"),
        # The greatest numbers that are written out, and the smallest; beyond them powers of ten.
        ([0, 1_000_000], "0 200,000 400,000 600,000 800,000 1,000,000"),
        ([0, 9_999_999], "0 2e6 4e6 6e6 8e6 1e7"),
        ([0.0001, 0.0002], "0.00010 0.00012 0.00014 0.00016 0.00018 0.00020"),
        ([0.00001, 0.00002], "1e-5 1.2e-5 1.4e-5 1.6e-5 1.8e-5 2e-5"),
        ([1, 1 + 1e-8], "1.000000000 1.000000002 1.000000004 1.000000006 1.000000008 1.000000010"),
        ([1.5e8, 1.6e8], "1.5e8 1.52e8 1.54e8 1.56e8 1.58e8 1.6e8"),
        ([-2e9, 1e9], "-2e9 -1e9 0 1e9"),
        ([5e-324, 1e-323], "4e-324 5e-324 6e-324 7e-324 8e-324 9e-324 1e-323"),
    ],
)
def test_numbers_are_written_as_a_person_would(values, said):
    assert labels(number_scale(values)) == said.split()


@pytest.mark.parametrize(
    ("most", "said"), [(3, "0 50 100"), (6, "0 20 40 60 80 100"), (11, "0 10 20 30 40 50 60 70 80 90 100")]
)
def test_a_number_scale_has_about_as_many_ticks_as_asked_for(most, said):
    assert labels(number_scale([0, 100], most=most)) == said.split()


@pytest.mark.parametrize(
    ("values", "said"), [([3, 17], "0 5 10 15 20"), ([-17, -3], "-20 -15 -10 -5 0"), ([-4, 6], "-4 -2 0 2 4 6")]
)
def test_a_quantity_of_either_sign_reaches_to_zero(values, said):
    assert labels(number_scale(values, from_zero=True)) == said.split()


@pytest.mark.parametrize("values", [[0, 100], [-3, 12], [1e300, -1e-300], [-1.7e308, 1.7e308], [5e-324, 1e-322]])
def test_a_value_that_is_a_tick_lies_on_it(values):
    scale = number_scale(values)
    for tick in scale.ticks:
        value = float(tick.label.replace(",", ""))
        if abs(value) <= 1.7e308:
            assert scale.share(value) == pytest.approx(tick.share, abs=0.06 if abs(value) < 1e-320 else 1e-9)


def days(*parts):
    """Returns the labels from 1 March 2026 on to another moment."""
    return ", ".join(labels(time_scale([seconds(2026, 3, 1), seconds(*parts)])))


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ((2026, 3, 1, 0, 0, 30), "1 Mar 00:00:00, 00:00:05, 00:00:10, 00:00:15, 00:00:20, 00:00:25, 00:00:30"),
        ((2026, 3, 1, 0, 1, 30), "1 Mar 00:00:00, 00:00:15, 00:00:30, 00:00:45, 00:01:00, 00:01:15, 00:01:30"),
        ((2026, 3, 1, 0, 3), "1 Mar 00:00:00, 00:00:30, 00:01:00, 00:01:30, 00:02:00, 00:02:30, 00:03:00"),
        ((2026, 3, 1, 0, 6), "1 Mar 00:00, 00:01, 00:02, 00:03, 00:04, 00:05, 00:06"),
        ((2026, 3, 1, 0, 30), "1 Mar 00:00, 00:05, 00:10, 00:15, 00:20, 00:25, 00:30"),
        ((2026, 3, 1, 1, 30), "1 Mar 00:00, 00:15, 00:30, 00:45, 01:00, 01:15, 01:30"),
        ((2026, 3, 1, 6), "1 Mar 00:00, 01:00, 02:00, 03:00, 04:00, 05:00, 06:00"),
        ((2026, 3, 1, 18), "1 Mar 00:00, 03:00, 06:00, 09:00, 12:00, 15:00, 18:00"),
        ((2026, 3, 2, 12), "1 Mar 00:00, 06:00, 12:00, 18:00, 2 Mar 00:00, 06:00, 12:00"),
        ((2026, 3, 4), "1 Mar 00:00, 12:00, 2 Mar 00:00, 12:00, 3 Mar 00:00, 12:00, 4 Mar 00:00"),
        ((2026, 3, 13), "2 Mar 2026, 4 Mar, 6 Mar, 8 Mar, 10 Mar, 12 Mar"),
        ((2026, 5, 24), "2 Mar 2026, 16 Mar, 30 Mar, 13 Apr, 27 Apr, 11 May"),
        ((2026, 6, 1), "Mar 2026, Apr, May, Jun"),
        ((2027, 3, 1), "Mar 2026, May, Jul, Sep, Nov, Jan 2027, Mar"),
        ((2027, 6, 1), "Apr 2026, Jul, Oct, Jan 2027, Apr"),
        ((2028, 3, 1), "Jul 2026, Jan 2027, Jul, Jan 2028"),
        ((2029, 3, 1), "2027, 2028, 2029"),
        ((2032, 3, 1), "2028, 2030, 2032"),
        ((2050, 1, 1), "2030, 2035, 2040, 2045, 2050"),
        ((2086, 1, 1), "2030, 2040, 2050, 2060, 2070, 2080"),
        ((2326, 1, 1), "2050, 2100, 2150, 2200, 2250, 2300"),
        ((8026, 1, 1), "3000, 4000, 5000, 6000, 7000, 8000"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_longer_time_has_wider_steps(last, said):
    """Of weeks, each tick is a Monday."""
    assert days(*last) == said


def test_a_tick_of_time_lies_at_its_time():
    scale = time_scale([seconds(2026, 3, 1), seconds(2026, 3, 7)])
    assert [tick.share for tick in scale.ticks] == pytest.approx([place / 6 for place in range(7)])
    assert scale.share(seconds(2026, 3, 4)) == 0.5


def test_time_has_about_as_many_ticks_as_asked_for():
    assert labels(time_scale([0.0, 6 * 86_400.0], most=3)) == ["5 Jan 1970"]
    assert labels(time_scale([0.0, 6 * 86_400.0], most=4)) == ["1 Jan 1970", "3 Jan", "5 Jan", "7 Jan"]


def test_one_moment_lies_in_the_middle_of_a_day_and_none_give_a_day():
    noon = seconds(2026, 3, 1, 12)
    scale = time_scale([noon, noon + 0.9])
    assert (scale.low, scale.high) == (seconds(2026, 3, 1), pytest.approx(seconds(2026, 3, 2), abs=1))
    assert labels(time_scale([])) == ["1 Jan 00:00", "06:00", "12:00", "18:00", "2 Jan 00:00"]
    assert time_scale([noon, noon + 1]).high == noon + 1


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, [1]),
        (2, [1, 2]),
        (7, [1, 2, 3, 4, 5, 6, 7]),
        (8, [1, 3, 5, 7]),
        (14, [1, 3, 5, 7, 9, 11, 13]),
        (15, [1, 4, 7, 10, 13]),
    ],
)
def test_of_many_runs_side_by_side_every_nth_is_dated(count, said):
    scale = order_scale([seconds(2026, 1, day) for day in range(1, count + 1)])
    assert [label.removesuffix(" 2026") for label in labels(scale)] == [f"{day} Jan" for day in said]
    assert [tick.share for tick in scale.ticks] == [scale.share(day - 1) for day in said]


def test_a_run_side_by_side_whose_time_no_calendar_has_is_not_dated():
    assert labels(order_scale([1e15, seconds(2026, 1, 2)])) == ["2 Jan 2026"]
    assert labels(order_scale([seconds(2025, 12, 31), seconds(2026, 1, 1)])) == ["31 Dec 2025", "1 Jan 2026"]


@pytest.mark.parametrize(
    ("until", "step"),
    [(2033, 2), (2050, 5), (2080, 10), (2140, 20), (2320, 50), (2620, 100), (3220, 200), (5000, 500), (7000, 1000)],
)
def test_years_are_counted_as_a_person_counts_them(until, step):
    years = [int(label) for label in labels(time_scale([seconds(2026, 1, 1), seconds(until, 1, 1)]))]
    assert years == [year for year in range(2026, until + 1) if year % step == 0]
