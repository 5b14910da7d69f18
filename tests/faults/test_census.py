"""The fault suite's own arithmetic: a count that is always 0 would let every event pass."""

import json

from census import Counts, Instance, Job, count


def job(name="a", *, generation=0, attempt=0, status="Completed", secondary=None, created=0, started=7, index=-1):
    owner = json.dumps(["", "d", "r", started, "run", index, generation, attempt])
    return Job(name, owner, status, secondary or status, created)


def instance(name="a", *, state="success", has_notebook=True, index=-1, started=7, was_marked=False, announced=None):
    return Instance(index, state, name, has_notebook, started, was_marked, announced or name)


def counted(jobs, instances, *, jobs_allowed=1, stops_wanted=0, others_touched=0):
    return count(jobs, instances, jobs_allowed=jobs_allowed, stops_wanted=stops_wanted, others_touched=others_touched)


def test_one_job_delivered_is_all_zeros():
    assert counted([job()], [instance()]) == Counts()
    assert Counts().problems() == []


def test_a_second_job_of_a_generation_is_billed_twice_unless_it_failed_or_was_allowed():
    two = [job(), job("b", attempt=1, created=1)]
    assert counted(two, [instance("b")]) == Counts(billed_twice=1)
    assert counted(two, [instance("b")], jobs_allowed=2) == Counts()
    assert counted([job(status="Failed"), two[1]], [instance("b")]) == Counts()
    assert counted([job(), job("b", generation=3, created=1)], [instance("b")]) == Counts()


def test_a_job_that_runs_on_is_unawaited_unless_its_task_waits():
    running = [job(status="InProgress")]
    assert counted(running, [instance(None, state="failed")]) == Counts(unawaited=1)
    assert counted(running, [instance(None, state="deferred")]) == Counts(hanging=1)


def test_a_stopped_job_is_healthy_unless_somebody_said_so_or_its_time_was_over():
    stopped = [job(status="Stopped")]
    failed = [instance(None, state="failed")]
    assert counted(stopped, failed) == Counts(healthy_stopped=1)
    assert counted(stopped, failed, stops_wanted=1) == Counts()
    assert counted([job(status="Stopped", secondary="MaxRuntimeExceeded")], failed) == Counts()


def test_outputs_are_lost_without_token_or_executed_notebook():
    assert counted([job()], [instance(None)]) == Counts(outputs_lost=1)
    assert counted([job()], [instance(has_notebook=False)]) == Counts(outputs_lost=1)
    assert counted([job(status="Stopped")], [instance(None, was_marked=True)], stops_wanted=1) == Counts()


def test_results_of_another_run_task_or_earlier_job_are_stale():
    newer = [job(), job("b", generation=3, created=1)]
    assert counted(newer, [instance("a")]) == Counts(stale=1)
    assert counted([job(started=6)], [instance("a")]) == Counts(stale=1)
    assert counted([job(index=1), job("b", index=0)], [instance("a", index=0), instance("a", index=1)]) == Counts(
        stale=1
    )


def test_a_task_that_names_another_job_than_that_of_its_outputs_is_stale():
    """A worker that comes back late may have overwritten what links and triggerers go by."""
    dead = job("b", started=6, status="InProgress", created=1)
    assert counted([job(), dead], [instance(announced="b")]) == Counts(stale=1, unawaited=1)


def test_problems_are_named():
    assert Counts(stale=1, hanging=2, others_touched=3).problems() == ["others_touched=3", "stale=1", "hanging=2"]
