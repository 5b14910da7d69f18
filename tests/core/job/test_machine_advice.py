"""Which machine a task is advised to take: every border of the rule."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core.job.machine_advice import LEAST_RUNS, MOST_RUNS, Run, advise
from airflow_nbjobs.core.job.machines import machine_of
from airflow_nbjobs.core.job.metrics import Figures
from airflow_nbjobs.core.job.prices import Prices

PRICES = Prices({"ml.m5.xlarge": 0.3, "ml.m5.large": 0.15})


def run(*, memory=10.0, cpu=10.0, gpu=None, **fields):
    values = {"memory": memory, "cpu": cpu, "gpu": gpu}
    figures = {key: Figures(count=3, maximum=value, p95=value) for key, value in values.items() if value is not None}
    return Run(figures=figures, billed_seconds=fields.pop("billed_seconds", 3600.0), **fields)


def advised(runs, instance_type="ml.m5.xlarge", prices=PRICES):
    return advise(runs, machine_of(instance_type), prices)


def kinds(runs, instance_type="ml.m5.xlarge"):
    return [(each.kind, each.instance_type) for each in advised(runs, instance_type)]


def of(count, **values):
    return [run(**values) for _ in range(count)]


@pytest.mark.parametrize(("count", "words"), [(0, "there are 0"), (1, "there is 1"), (LEAST_RUNS - 1, "there are 4")])
def test_there_is_no_advice_on_less_than_five_runs_and_it_says_how_many_there_are(count, words):
    (only,) = advised(of(count))
    assert (only.kind, only.runs, only.instance_type) == ("too-few", count, None)
    assert "takes 5 jobs on ml.m5.xlarge that completed and whose metrics are known" in only.text
    assert f"of the task's newest 40 {words}." in only.text


def test_five_runs_that_agree_are_enough_and_the_advice_says_what_it_rests_on():
    (only,) = advised([run(memory=39.4, cpu=12.0), *of(4)])
    assert (only.kind, only.runs, only.instance_type) == ("smaller", 5, "ml.m5.large")
    assert only.text == (
        "ml.m5.large (2 vCPUs, 8 GiB of memory, no GPU) is enough: none of 5 jobs used more than 39 % of the memory, or more than 12 % of the CPU for 95 % of its "
        "time. A job of 3600 s billed, their median, would cost $0.1500 in place of $0.3000 (list price, if it takes as long)."
    )


@pytest.mark.parametrize("missing", [{"prices": Prices({})}, {"prices": Prices({"ml.m5.xlarge": 1.0})}], ids=str)
def test_without_both_prices_no_cost_is_said(missing):
    (only,) = advised(of(5), **missing)
    assert only.text.endswith("of its time.")
    (only,) = advised([run(billed_seconds=None) for _ in range(5)])
    assert only.text.endswith("of its time.")


@pytest.mark.parametrize("key", ["memory", "cpu"])
@pytest.mark.parametrize(("value", "kind"), [(39.99, "smaller"), (40.0, "fits"), (95.0, "fits")])
def test_one_run_at_forty_percent_is_against_a_smaller_machine(key, value, kind):
    assert kinds([*of(4), run(**{key: value})])[0][0] == kind


def test_what_counts_of_memory_is_the_maximum_and_of_cpu_the_95th_percentile():
    peak = Run(figures={"memory": Figures(count=9, maximum=41, p95=5), "cpu": Figures(count=9, maximum=100, p95=39)})
    assert kinds([*of(4), peak])[0][0] == "fits"
    calm = Run(figures={"memory": Figures(count=9, maximum=39, p95=5), "cpu": Figures(count=9, maximum=100, p95=39)})
    assert kinds([*of(4), calm])[0][0] == "smaller"


@pytest.mark.parametrize(("memory", "kind"), [(26.6, "smaller"), (26.7, "fits"), (39.0, "fits")])
def test_a_smaller_machine_has_to_hold_what_was_used(memory, kind):
    """The next size below ml.m5.12xlarge is a third of it: 27 % of the one is more than 80 % of the other."""
    assert kinds(of(5, memory=memory), "ml.m5.12xlarge")[0][0] == kind


def test_the_smallest_of_a_family_fits():
    (only,) = advised(of(5), "ml.m5.large")
    assert only.kind == "fits"
    assert only.text.startswith("ml.m5.large fits: none of 5 jobs used more than 10 % of the memory")


@pytest.mark.parametrize(("memory", "kind"), [(95.0, "fits"), (95.01, "larger"), (100.0, "larger")])
def test_memory_above_95_percent_asks_for_a_larger_machine(memory, kind):
    assert kinds(of(5, memory=memory)) == [(kind, "ml.m5.2xlarge" if kind == "larger" else None)]


def test_of_the_newest_five_each_must_be_full_or_killed():
    full, killed = run(memory=97.0), run(was_killed=True, has_completed=False)
    (only,) = advised([full, full, killed, full, full, *of(9)])
    assert (only.kind, only.runs) == ("larger", 5)
    said = (
        "of the newest 5 jobs 4 filled more than 95 % of the memory and 1 was killed, most likely for want of memory."
    )
    assert said in only.text
    assert kinds([full, full, run(), full, full])[0][0] == "mixed"
    assert kinds([Run(figures={}, was_killed=True, has_completed=False)] * 5)[0][0] == "larger"


def test_one_killed_run_is_against_a_smaller_machine():
    assert kinds([*of(7), run(was_killed=True, has_completed=False)])[0][0] == "mixed"


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([run(memory=60.0), *[Run(figures={}, was_killed=True)] * 4], "of 5 jobs on ml.m5.large 4 were killed, "),
        ([run(memory=60.0), *of(4, memory=99.0)], "of 5 jobs on ml.m5.large 4 filled more than 95 % of the memory; "),
    ],
)
def test_a_machine_does_not_fit_on_which_any_job_had_too_little_memory(runs, said):
    """Nor is a larger one known to, while the newest did well."""
    (only,) = advised(runs, "ml.m5.large")
    assert (only.kind, only.runs, only.instance_type) == ("mixed", 5, None)
    assert said in only.text
    assert "fits" not in only.text


def test_a_smaller_machine_that_costs_no_less_is_no_advice():
    for price, kind in ((0.3, "fits"), (0.31, "fits"), (0.29, "smaller")):
        (only,) = advised(of(5), prices=Prices({"ml.m5.xlarge": 0.3, "ml.m5.large": price}))
        assert only.kind == kind


def test_a_single_point_says_nothing_of_a_run():
    once = {key: Figures(count=1, maximum=9.0, p95=9.0) for key in ("cpu", "memory")}
    assert kinds([*of(4), Run(figures=once)])[0][0] == "too-few"


def test_where_a_family_has_no_larger_machine_none_is_named():
    (only,) = advised(of(5, memory=99.0), "ml.p4d.24xlarge")
    assert (only.kind, only.instance_type) == ("larger", None)
    assert "Take a type with more memory" in only.text


@pytest.mark.parametrize(("gpu", "expected"), [(0.0, True), (4.99, True), (5.0, False)])
def test_a_gpu_below_five_percent_was_never_used(gpu, expected):
    found = kinds([*of(4, gpu=1.0, memory=50.0), run(gpu=gpu, memory=50.0)], "ml.g5.xlarge")
    assert (("gpu-unused", None) in found) is expected


def test_a_gpu_of_which_a_run_has_no_figures_is_not_called_unused():
    assert kinds([*of(4, gpu=0.0, memory=50.0), run(memory=50.0)], "ml.g5.xlarge") == [("fits", None)]
    assert kinds(of(5, gpu=0.0, memory=50.0), "ml.m5.xlarge") == [("fits", None)]


def test_a_machine_with_fewer_gpus_is_no_advice_where_they_are_used():
    assert kinds(of(5, gpu=60.0), "ml.g5.12xlarge") == [("fits", None)]
    assert kinds(of(5, gpu=0.0), "ml.g5.12xlarge") == [("gpu-unused", None), ("smaller", "ml.g5.8xlarge")]


def test_runs_that_failed_do_not_count_unless_they_were_full():
    assert kinds([*of(4), run(has_completed=False)])[0][0] == "too-few"
    assert kinds([run(has_completed=False, memory=96.0)] * 5)[0][0] == "larger"


def test_runs_without_figures_do_not_count():
    assert kinds([*of(4), run(memory=None), run(cpu=None), Run(figures={})])[0][0] == "too-few"


def test_only_the_newest_twenty_count():
    assert kinds([*of(MOST_RUNS), run(memory=90.0)])[0] == ("smaller", "ml.m5.large")
    assert kinds([*of(MOST_RUNS - 1), run(memory=90.0)])[0][0] == "fits"


def test_a_cost_is_that_of_the_median_job():
    runs = [run(billed_seconds=seconds) for seconds in (60.0, 7200.0, 60.0, 3600.0, 86_400.0)]
    (only,) = advised(runs)
    assert "A job of 3600 s billed, their median, would cost $0.1500 in place of $0.3000" in only.text
    (some,) = advised([*runs[:2], *[run(billed_seconds=None)] * 3])
    assert "A job of 3630 s billed" in some.text


@pytest.mark.parametrize("count", [2, 3])
def test_a_run_counts_from_its_second_point_of_both(count):
    figures = {key: Figures(count=count, maximum=9.0, p95=9.0) for key in ("cpu", "memory")}
    assert kinds([Run(figures=figures)] * 5)[0][0] == "smaller"
    once = figures | {"cpu": Figures(count=1, maximum=9.0, p95=9.0)}
    assert kinds([*of(4), Run(figures=once)])[0][0] == "too-few"


def test_a_larger_machine_is_named_with_what_it_has_and_why():
    (only,) = advised(of(5, memory=99.0))
    assert only.text == (
        "Take ml.m5.2xlarge (8 vCPUs, 32 GiB of memory, no GPU): of the newest 5 jobs 5 filled more than 95 % of the memory."
    )
    assert only.runs == 5


def test_older_runs_that_were_short_are_against_a_smaller_machine_but_ask_for_no_larger_one():
    (only,) = advised([*of(7), run(memory=96.0)])
    assert (only.kind, only.runs) == ("mixed", 8)
    assert only.text == (
        "No advice: of 8 jobs on ml.m5.xlarge 1 filled more than 95 % of the memory; "
        "more memory is advised where that is so of each of the newest 5."
    )


def test_an_unused_gpu_is_said_with_its_most():
    (only, *_) = advised([*of(4, gpu=1.0, memory=50.0), run(gpu=3.6, memory=50.0)], "ml.g5.xlarge")
    assert only.text == (
        "The GPU was never used: ml.g5.xlarge has 1, and none of 5 jobs used more than 4 % of it. A type without GPU may do."
    )
    assert (only.runs, only.instance_type) == (5, None)


@pytest.mark.parametrize(("cpu", "kind"), [(26.6, "smaller"), (26.7, "fits")])
def test_a_smaller_machine_has_to_do_what_was_done(cpu, kind):
    assert kinds(of(5, cpu=cpu), "ml.m5.12xlarge")[0][0] == kind


def test_what_was_used_of_a_machine_that_fits_is_said():
    (only,) = advised([run(memory=60.0, cpu=70.0), *of(4)])
    assert only.text == (
        "ml.m5.xlarge fits: none of 5 jobs used more than 60 % of the memory, or more than 70 % of the CPU for 95 % of its time."
    )
    assert only.runs == 5


def test_a_killed_run_counts_without_figures_and_with_others():
    killed = [run(was_killed=True, has_completed=False, memory=None)] * 2
    assert kinds([*of(3), *killed])[0][0] == "mixed"
    (only,) = advised([*killed, *of(3, memory=97.0)])
    assert only.kind == "larger"
    assert "3 filled more than 95 % of the memory and 2 were killed" in only.text


def test_a_failed_run_that_was_full_counts_from_above_95_percent():
    assert kinds([*of(4), run(has_completed=False, memory=95.0)])[0][0] == "too-few"
    assert kinds([*of(4), run(has_completed=False, memory=95.1)])[0][0] == "mixed"
