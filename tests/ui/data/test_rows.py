"""One row of the page of all jobs, made of what its task has stored."""

from datetime import UTC, datetime

import pytest

from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui.data.rows import rows_of

PRICES = Prices({"ml.m5.large": 0.5, "ml.p3.2xlarge": 4.0})
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB = {"job_name": "j", "instance_type": "ml.m5.large", "input_notebook": "a/b/n.ipynb", "try_number": 1}
END = {"job_name": "j", "billable_seconds": 3600, "duration_seconds": 61.0}


def row(*, state="success", tries=1, key="nbjobs_job", own=JOB, end=None, error=None, progress=None, **more):
    given = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "started": STARTED, "seconds": 9.0} | more
    names = [given[name] for name in ("dag_id", "run_id", "task_id", "map_index")]
    found = (*names, state, tries, given["started"], given["seconds"], key, own, end, error, progress)
    (made,) = rows_of([found], PRICES)
    return made


def test_a_job_that_has_ended_says_its_time_and_its_cost():
    made = row(end=END | {"started_at": "2026-01-02T00:00:00+00:00"})
    assert (made.state, made.words, made.notebook, made.is_job) == ("success", "success", "n.ipynb", True)
    assert (made.started, made.duration, made.duration_seconds) == ("2026-01-02T00:00:00+00:00", "1 min 1 s", 61.0)
    assert (made.billed_seconds, made.amount, made.cost) == (3600, 0.5, "$0.5000")


def test_what_the_end_does_not_say_the_task_says():
    made = row(end={"job_name": "j"})
    assert (made.started, made.duration) == ("2026-01-02T03:04:05+00:00", "9 s")
    assert (made.billed_seconds, made.amount, made.cost) == (None, None, None)
    assert row(end=END | {"duration_seconds": 0.0}).duration == "0 s"


@pytest.mark.parametrize(
    ("end", "cost"),
    [
        ({"instance_type": "ml.p3.2xlarge"}, "$4.0000"),
        ({"instance_count": 2}, "$1.0000"),
        ({"instance_type": "ml.unknown"}, None),
        ({"billable_seconds": -1}, None),
        ({"billable_seconds": 0}, "$0.0000"),
    ],
)
def test_a_cost_is_of_the_machine_that_the_job_had_and_of_all_instances(end, cost):
    assert row(end=END | end).cost == cost


@pytest.mark.parametrize("past", [{"state": None}, {"tries": 2}, {"tries": 2, "state": "queued"}])
def test_what_a_try_before_has_left_is_not_this_ones(past):
    made = row(end=END, progress={"job_name": "j", "done": 1, "total": 4}, error={"headline": "x"}, **past)
    assert (made.started, made.duration, made.cost, made.cells, made.error) == (None, None, None, "", "")
    assert made.state == (past.get("state", "success") or "none")
    # Where nothing says of which try it is, it is of this one.
    assert row(own=JOB | {"try_number": None}, end=END, tries=2).duration == "1 min 1 s"


def test_another_jobs_end_is_not_this_ones():
    made = row(end=END | {"job_name": "other"})
    assert (made.duration, made.cost) == ("9 s", None)
    assert row(end={"billable_seconds": 3600}).cost == "$0.5000"


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        ("running", None, ("1 of 3", 33)),
        ("deferred", None, ("1 of 3", 33)),
        ("success", None, ("1 of 3", 33)),
        ("failed", None, ("1 of 3", None)),
        ("failed", {"cell": 2}, ("2 of 3", None)),
        ("failed", {"cell": 3}, ("3 of 3", None)),
        ("failed", {"cell": 4}, ("1 of 3", None)),
        ("up_for_retry", {"cell": 2}, ("2 of 3", None)),
    ],
)
def test_how_far_a_notebook_has_come(state, error, said):
    progress = {"job_name": "j", "done": 1, "total": 3}
    made = row(state=state, progress=progress, end={"job_name": "j", "error": error} if error else None)
    assert (made.cells, made.progress) == said
    # What the end says counts before what was said while it ran.
    made = row(
        state=state, progress=progress | {"done": 0}, end={"job_name": "j", "error": error, "progress": progress}
    )
    assert (made.cells, made.progress) == said


def test_without_a_word_of_progress_the_failing_cell_is_named():
    assert row(state="failed", end={"job_name": "j", "error": {"cell": 7}}).cells == "cell 7"
    assert row(state="failed", end={"job_name": "j", "error": {"cell": "7"}}).cells == ""
    other = {"job_name": "other", "done": 1, "total": 3}
    assert row(state="failed", progress=other, error={"cell": 7}).cells == "cell 7"


@pytest.mark.parametrize("state", ["running", "deferred", "failed"])
def test_a_task_that_waits_says_for_what_and_shows_nothing_of_the_job_before(state):
    waiting = JOB | {"waiting": {"for": "AWS", "reason": "throttled"}}
    made = row(state=state, own=waiting, progress={"job_name": "j", "done": 1, "total": 3})
    under_way = state != "failed"
    assert made.words == ("waiting for AWS" if under_way else "failed")
    assert (made.error, made.cells) == (("throttled", "") if under_way else ("", "1 of 3"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"headline": "Notebook job 'j' failed in\n cell  3"}, "failed in cell 3"),
        ({"headline": "Notebook job 'other' failed"}, "Notebook job 'other' failed"),
        ({"headline": ["no text"]}, ""),
        ({"headline": "x", "problems": ["p"]}, "x"),
        ({}, ""),
    ],
)
def test_an_error_is_one_line_without_the_jobs_name(error, said):
    assert row(state="failed", end={"job_name": "j", "error": error}).error == said
    assert row(state="failed", error=error).error == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"problems": ["one", 2, "two"], "headline": "x"}, "not submitted: one; two"),
        ({"problems": [], "headline": "x"}, "not submitted: x"),
        ({"problems": "text", "headline": "x"}, "not submitted: x"),
    ],
)
def test_a_task_that_was_refused_lists_what_is_wrong(error, said):
    error = error | {"version": 1, "try_number": 1}
    made = row(state="failed", key="nbjobs_error", own=error, error=error)
    assert (made.error, made.is_job, made.notebook, made.cost) == (said, False, "", None)
    assert row(state="failed", key="nbjobs_error", own=error, error=error, tries=2).error == ""


def test_what_is_no_record_says_nothing():
    made = row(own="text", end=[1], error=3, progress="x")
    assert (made.notebook, made.cells, made.error, made.duration) == ("", "", "", "9 s")


def test_a_row_is_named_in_addresses_with_what_is_special_in_them():
    made = row(dag_id="d/é", run_id="r 1+2", task_id="g.t", map_index=3)
    assert made.path == "/dags/d%2F%C3%A9/runs/r%201%2B2/tasks/g.t/mapped/3/plugin/nbjobs_notebook"
    assert made.reference == "d%2F%C3%A9/r%201%2B2/g.t/3"
    assert made.trend_path == "trend/d%2F%C3%A9/g.t"
    assert (made.group("dag"), made.group("run"), made.group("")) == (("d/é",), ("d/é", "r 1+2"), ())


def test_each_row_has_its_own_values():
    rows = rows_of(
        [("d", f"r{n}", "t", -1, "success", 1, STARTED, n, "nbjobs_job", JOB, None, None, None) for n in (1.0, 2.0)]
        + [("d", "e", "t", -1, "failed", 1, None, None, "nbjobs_job", JOB, END, {"headline": "h"}, None)],
        PRICES,
    )
    assert [(each.run_id, each.duration, each.cost, each.error) for each in rows] == [
        ("r1.0", "1 s", None, ""),
        ("r2.0", "2 s", None, ""),
        ("e", "1 min 1 s", "$0.5000", "h"),
    ]
    assert rows_of([], PRICES) == []


@pytest.mark.parametrize(("done", "percent"), [(0, 0), (1, 50), (2, 100)])
def test_a_bar_is_full_when_all_cells_have_run(done, percent):
    assert row(state="running", progress={"job_name": "j", "done": done, "total": 2}).progress == percent
