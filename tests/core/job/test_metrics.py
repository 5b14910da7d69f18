"""What CloudWatch's numbers of a machine mean, and what is kept of them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from airflow_nbjobs.core.job.machines import machine_of
from airflow_nbjobs.core.job.metrics import (
    METRICS,
    Figures,
    MachineRecord,
    as_shares,
    figures_of,
    host_of,
    is_whole,
    kept,
    parse_kept,
    period_seconds,
    thinned,
    was_killed,
)
from airflow_nbjobs.core.job.xcoms import MACHINE_KEY, is_output, read_record

LARGE, GPUS = machine_of("ml.m5.large"), machine_of("ml.g5.12xlarge")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
T0 = NOW.timestamp()


def record(**fields):
    points = {"cpu": ((T0, 10.0), (T0 + 60, 20.0)), "memory": ((T0, 30.0),)}
    given = {
        "job_name": "job-1",
        "instance_type": "ml.m5.large",
        "period_seconds": 60,
        "until": NOW + timedelta(minutes=2),
        "points": points,
        "figures": figures_of(points),
    }
    return MachineRecord(**given | fields)


def test_cpu_is_divided_by_the_vcpus_and_a_gpu_by_the_gpus():
    raw = {
        "cpu": [(2.0, 50.0), (1.0, 200.0)],
        "memory": [(1.0, 40.0)],
        "gpu": [(1.0, 200.0)],
        "gpu_memory": [(1.0, 8.0)],
    }
    assert as_shares(raw, LARGE) == {"cpu": ((1.0, 100.0), (2.0, 25.0)), "memory": ((1.0, 40.0),)}
    shares = as_shares(raw, GPUS)
    assert shares["gpu"] == ((1.0, 50.0),)
    assert shares["gpu_memory"] == ((1.0, 2.0),)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e308, True, None, "5"])
def test_what_is_no_percentage_is_no_point(value):
    assert as_shares({"memory": [(1.0, value), (2.0, 5.0)]}, LARGE) == {"memory": ((2.0, 5.0),)}
    assert as_shares({"memory": [(math.nan, 5.0)]}, LARGE) == {}


@pytest.mark.parametrize(
    ("values", "maximum", "p95"),
    [([7.0], 7, 7), (range(1, 21), 20, 19), (range(1, 101), 100, 95), ([0, 0, 0, 100], 100, 100)],
)
def test_figures_are_the_maximum_and_the_nearest_rank(values, maximum, p95):
    points = tuple((float(place), float(value)) for place, value in enumerate(values))
    assert figures_of({"cpu": points}) == {"cpu": Figures(count=len(points), maximum=maximum, p95=p95)}
    assert figures_of({"cpu": ()}) == {}


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        (timedelta(0), 60),
        (timedelta(days=14, hours=23), 60),
        (timedelta(days=15), 300),
        (timedelta(days=62), 300),
        (timedelta(days=63), 3600),
        (timedelta(days=454), 3600),
        (timedelta(days=455), None),
    ],
)
def test_older_points_are_coarser_and_then_gone(age, seconds):
    assert period_seconds(NOW - age, NOW - age, now=NOW) == seconds


@pytest.mark.parametrize(
    ("length", "seconds"), [(3, 1), (60, 1), (61, 5), (300, 5), (301, 10), (1800, 30), (1801, 60), (1e6, 60)]
)
def test_of_what_is_not_aws_finer_points_are_asked_for(length, seconds):
    assert period_seconds(NOW, NOW + timedelta(seconds=length), now=NOW, is_fine=True) == seconds


def test_what_is_kept_can_be_read_again_through_json():
    whole = record(was_killed=True)
    stored = json.loads(json.dumps(kept(whole), allow_nan=False))
    again = parse_kept(read_record(MACHINE_KEY, stored))
    assert again == whole
    assert not is_output(MACHINE_KEY)


def test_two_days_of_minutes_are_thinned_without_losing_a_peak():
    points = tuple((T0 + 60 * place, 99.0 if place == 1717 else 1.0) for place in range(2880))
    stored = kept(record(points={"memory": points}, figures=figures_of({"memory": points})))
    assert len(stored["points"]["memory"]) == 120
    assert max(value for _, value in stored["points"]["memory"]) == 99
    assert stored["figures"]["memory"]["count"] == 2880
    assert len(json.dumps(stored)) < 4000
    assert thinned(points[:7], 7) == points[:7]


@pytest.mark.parametrize(
    "change",
    [
        {"figures": {"cpu": {"count": 1, "maximum": "9", "p95": 1}}},
        {"figures": {"cpu": 3}},
        {"figures": {"cpu": {"count": 1}}},
        {"points": {"cpu": [[1]]}},
        {"points": {"cpu": [["x", 1]]}},
        {"points": {"cpu": 5}},
        {"points": {"cpu": [[10**400, 1]]}},
        {"points": {"cpu": [[-5, 1]]}},
        {"until": "yesterday"},
        {"until": None},
        {"period_seconds": 0},
        {"period_seconds": 10**30},
        {"period_seconds": True},
        {"job_name": ""},
        {"job_name": 3},
        {"version": 2},
    ],
    ids=str,
)
def test_what_somebody_else_wrote_into_the_xcom_is_nothing_or_left_out(change):
    read = parse_kept(read_record(MACHINE_KEY, kept(record()) | change))
    assert read is None or read.figures == {}


@pytest.mark.parametrize("value", [None, 3, [], "x", {}, {"version": 1}])
def test_no_record_is_none(value):
    assert parse_kept(read_record(MACHINE_KEY, value)) is None


def test_metrics_that_are_not_known_and_values_that_are_none_are_left_out():
    stored = kept(record())
    stored["points"]["<script>"] = [[1, 2]]
    stored["figures"]["<script>"] = {"count": 1, "maximum": 1, "p95": 1}
    stored["points"]["memory"] = [[T0, math.inf], [T0, 3]]
    read = parse_kept(read_record(MACHINE_KEY, stored))
    assert set(read.points) == set(read.figures) == {"cpu", "memory"}
    assert read.points["memory"] == ((T0, 3.0),)


@pytest.mark.parametrize(("late", "whole"), [(0, True), (180, True), (181, False), (3600, False)])
def test_a_record_is_whole_whose_last_point_reaches_the_jobs_end(late, whole):
    last = NOW + timedelta(seconds=60)
    assert is_whole(record(), last + timedelta(seconds=late - 60)) is whole
    assert not is_whole(record(points={}), NOW)


@pytest.mark.parametrize(
    ("reason", "killed"),
    [
        ("AlgorithmError: , exit code: 137", True),
        ("AlgorithmError: exit code: 137.", True),
        ("AlgorithmError: , exit code: 1", False),
        ("exit code: 1370", False),
        ("exit code: 1370, said the driver", False),
        ("a lexit code: 137", False),
        ("7exit code: 137", False),
        ("2 exit code: 137 0", True),
        ("", False),
        (None, False),
        (137, False),
    ],
)
def test_a_job_that_was_killed_says_so_in_its_failure(reason, killed):
    assert was_killed(reason) is killed


@pytest.mark.parametrize(("value", "is_one"), [(0, True), (0.0, True), (99.9, True), (100, True), (-0.01, False)])
def test_nothing_is_a_percentage_as_well(value, is_one):
    assert as_shares({"memory": [(1.0, value)]}, LARGE) == ({"memory": ((1.0, value),)} if is_one else {})


@pytest.mark.parametrize(("seconds", "is_all"), [(0, True), (120, True), (121, False)])
def test_points_reach_the_end_where_the_last_is_two_periods_old(seconds, is_all):
    last = datetime.fromtimestamp(T0 + 60, UTC)
    assert is_whole(record(), last + timedelta(seconds=seconds)) is is_all
    assert is_whole(record(points={}), datetime.fromtimestamp(121, UTC)) is False
    assert is_whole(record(points={"cpu": ()}), datetime.fromtimestamp(120, UTC)) is True


def test_of_each_stretch_the_highest_point_is_kept_and_the_last():
    points = tuple((float(place), float(value)) for place, value in enumerate([5, 1, 9, 2, 3, 8, 4, 7, 1, 0]))
    assert [value for _, value in thinned(points, 4)] == [9, 8, 7, 0]
    assert [value for _, value in thinned(points, 10)] == [value for _, value in points]
    assert len(thinned(points, 9)) == 9


@pytest.mark.parametrize(
    ("change", "is_read"),
    [
        ({"period_seconds": 1}, True),
        ({"period_seconds": 86_400}, True),
        ({"period_seconds": 86_401}, False),
        ({"points": {"cpu": [[0, 1]]}}, True),
        ({"points": {"cpu": [[1e11 - 1, 1]]}}, True),
        ({"points": {"cpu": [[1e11, 1]]}}, False),
    ],
    ids=str,
)
def test_what_a_record_may_say_is_bounded(change, is_read):
    assert (parse_kept(read_record(MACHINE_KEY, kept(record()) | change)) is not None) is is_read


def test_of_a_curve_that_somebody_has_made_longer_the_first_points_count():
    longer = kept(record()) | {"points": {"cpu": [[place, 1] for place in range(121)]}}
    assert len(parse_kept(read_record(MACHINE_KEY, longer)).points["cpu"]) == 120


def test_a_record_is_kept_with_all_that_is_read_again():
    stored = kept(record(was_killed=True))
    assert {
        name: stored[name] for name in ("version", "job_name", "instance_type", "period_seconds", "was_killed")
    } == {
        "version": 1,
        "job_name": "job-1",
        "instance_type": "ml.m5.large",
        "period_seconds": 60,
        "was_killed": True,
    }
    assert stored["until"] == "2026-11-30T12:02:00+00:00"
    assert stored["figures"]["cpu"] == {"count": 2, "maximum": 20.0, "p95": 20.0}
    assert stored["points"] == {"cpu": [[T0, 10.0], [T0 + 60, 20.0]], "memory": [[T0, 30.0]]}


def test_percentages_are_kept_to_a_hundredth_and_times_to_a_second():
    points = {"cpu": ((T0 + 0.4, 10.126), (T0 + 60.6, 20.004))}
    stored = kept(record(points=points, figures={"cpu": Figures(count=2, maximum=20.126, p95=10.126)}))
    assert stored["points"]["cpu"] == [[T0, 10.13], [T0 + 61, 20.0]]
    assert stored["figures"]["cpu"] == {"count": 2, "maximum": 20.13, "p95": 10.13}


def test_a_metric_without_points_is_not_kept():
    assert "disk" not in kept(record(points={"disk": ()}))["points"]


def test_the_time_of_a_record_without_an_offset_is_that_of_utc():
    read = parse_kept(read_record(MACHINE_KEY, kept(record()) | {"until": "2026-11-30T12:02:00"}))
    assert read.until == NOW + timedelta(minutes=2)


def test_points_that_somebody_has_put_in_disorder_are_read_in_order():
    stored = kept(record()) | {"points": {"cpu": [[9, 1], [5, 2]]}}
    assert parse_kept(read_record(MACHINE_KEY, stored)).points == {"cpu": ((5.0, 2.0), (9.0, 1.0))}


@pytest.mark.parametrize("name", ["job_name", "instance_type", "period_seconds", "until"])
def test_a_record_without_one_of_its_facts_is_none(name):
    stored = kept(record())
    del stored[name]
    assert parse_kept(read_record(MACHINE_KEY, stored)) is None


def test_a_record_without_curves_or_figures_is_one():
    stored = kept(record()) | {"points": None, "figures": None, "was_killed": None}
    read = parse_kept(read_record(MACHINE_KEY, stored))
    assert (read.points, read.figures, read.was_killed, read.is_final) == ({}, {}, False, False)


def test_cloudwatch_is_asked_for_the_one_instance_of_a_job():
    assert host_of("job-1") == "job-1/algo-1"


def test_a_peak_counts_of_all_metrics_but_of_processors_the_average():
    assert {metric.key: (metric.name, metric.statistic) for metric in METRICS} == {
        "cpu": ("CPUUtilization", "Average"),
        "memory": ("MemoryUtilization", "Maximum"),
        "gpu": ("GPUUtilization", "Maximum"),
        "gpu_memory": ("GPUMemoryUtilization", "Maximum"),
        "disk": ("DiskUtilization", "Maximum"),
    }


@pytest.mark.parametrize(("value", "is_one"), [(999_999.0, True), (1e6, False)])
def test_a_percentage_may_be_large_and_has_an_end(value, is_one):
    assert bool(as_shares({"memory": [(1.0, value)]}, LARGE)) is is_one


def test_the_metric_that_reaches_furthest_tells_whether_a_record_is_whole():
    late = {"cpu": ((T0, 1.0),), "memory": ((T0 + 600, 1.0),)}
    assert is_whole(record(points=late), datetime.fromtimestamp(T0 + 720, UTC))
    assert not is_whole(record(points=late), datetime.fromtimestamp(T0 + 721, UTC))
