"""What becomes of a job whose process no longer speaks for its task."""

import pytest

from airflow_nbjobs.core.job.ownership import Verdict, verdict

STATES = {
    "deferred": (Verdict.KEEP, Verdict.KEEP, Verdict.STOP),
    "running": (Verdict.ASK_AGAIN, Verdict.KEEP, Verdict.STOP),
    "scheduled": (Verdict.ASK_AGAIN,) * 3,
    "queued": (Verdict.ASK_AGAIN,) * 3,
    "up_for_retry": (Verdict.KEEP,) * 3,
    "up_for_reschedule": (Verdict.KEEP,) * 3,
    "a state of tomorrow": (Verdict.KEEP,) * 3,
    "failed": (Verdict.STOP,) * 3,
    "success": (Verdict.STOP,) * 3,
    "skipped": (Verdict.STOP,) * 3,
    "removed": (Verdict.STOP,) * 3,
    "upstream_failed": (Verdict.STOP,) * 3,
    "restarting": (Verdict.STOP,) * 3,
    "deleted": (Verdict.STOP,) * 3,
    None: (Verdict.STOP,) * 3,
}


@pytest.mark.parametrize("state", STATES, ids=str)
def test_the_state_and_the_job_that_the_task_follows_decide(state):
    found = tuple(verdict(state, followed=followed, job_name="mine") for followed in (None, "mine", "another"))
    assert found == STATES[state]
