"""What people do to tasks, runs and jobs; what time and the account do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from case import COMPLETES, FAILS, RUN, Case, Event
from stand import PATIENCE
from worker_events import CREATED

if TYPE_CHECKING:
    from collections.abc import Callable

SYNC = {"deferrable": False}
SUBMIT, WAIT, FETCH = ("CreateTrainingJob", "*"), ("DescribeTrainingJob", "*"), ("s3:GetObject", "*")


def waiting(act: Callable[[Case], None], *states: str) -> Callable[[Case], None]:
    """Act while the job runs and the task is in one of these states."""

    def drive(case: Case) -> None:
        case.start()
        case.job()
        case.await_state(*states)
        if "deferred" in states:
            case.await_trigger()
        act(case)

    return drive


def clear_and_await_another(case: Case) -> None:
    case.clear()
    case.job(2)


def clear_twice(case: Case) -> None:
    case.clear()
    case.clear()
    case.job(2)
    case.await_state("deferred")


def clear_final(state: str, **edited: Any) -> Callable[[Case], None]:
    """Clear a task that has ended; its new job is a new one."""

    def drive(case: Case) -> None:
        case.start()
        case.job()
        case.ends = FAILS if state == "failed" else COMPLETES
        case.finish_as(state)
        case.ends = COMPLETES
        if edited:
            case.edit_options(**edited)
            case.await_retries(edited["retries"])
        case.clear()
        case.job(2)

    return drive


def clear_failed_whose_job_runs(case: Case) -> None:
    """The worker died without a retry left, the run has failed; Airflow gives it another start as it is cleared."""
    case.start()
    case.job()
    case.kill_worker()
    case.await_state("failed")
    case.await_run("failed")
    case.clear()
    case.job(2)


def clear_just_after_create(case: Case) -> None:
    """The worker has made the job, and has not yet said so."""
    with case.held("CreateTrainingJob", "", when="after") as hold:
        case.start()
        hold.reached()
        case.clear()
        case.until(lambda: case.instance()["state"] != "running" or case.instance()["try_number"] > 1, "not cleared")


def recreate_run(case: Case) -> None:
    case.start()
    case.job()
    case.await_state("deferred")
    case.await_trigger()
    case.mark_run("failed")  # Airflow does not delete a run that goes on
    case.stand.api.delete_run(case.dag_id, RUN)
    case.until(lambda: not case.has_run(), "the run is still there")
    case.start()
    case.job(2)


def recreate_ended_run(case: Case) -> None:
    case.start()
    case.job()
    case.finish_as("success")
    case.stand.api.delete_run(case.dag_id, RUN)
    case.until(lambda: not case.has_run(), "the run is still there")
    case.start()
    case.job(2)


def remove_task(case: Case) -> None:
    """The author takes the task out of the DAG file, or renames it, while its job runs."""
    case.edit_options(is_removed=True)
    case.until(lambda: "removed" in [one["state"] for one in case.instances()], "the task is not removed")


def delete_dag_and_make_it_again(case: Case) -> None:
    case.remove_dag()
    case.until(lambda: case.jobs()[0].is_stopped, "the job of the DAG that is gone runs on")
    case.restore_dag()
    case.start()
    case.job(2)


def stop_in_console(case: Case) -> None:
    case.sagemaker.client("sagemaker").stop_training_job(TrainingJobName=case.job().name)


# How long a deletion takes is said to the whole server, and events are played side by side.
DELETING = threading.Lock()
FOR_LONG = 3600.0


def delete(case: Case, name: str, *, seconds: float) -> None:
    with DELETING:
        case.faults.deletion_delay(seconds)
        case.sagemaker.client("sagemaker").delete_training_job(TrainingJobName=name)


def delete_job(case: Case) -> None:
    name = case.job().name
    case.sagemaker.client("sagemaker").stop_training_job(TrainingJobName=name)
    delete(case, name, seconds=0)


def delete_completed_job(case: Case) -> None:
    """Somebody tidies up before the task has come back for its results, which lie in S3."""
    name = case.job().name
    case.faults.end_job(name, **COMPLETES)
    delete(case, name, seconds=FOR_LONG)


def delete_failed_job_and_kill_the_retry(*, seconds: float, is_gone: bool) -> Callable[[Case], None]:
    """
    The failed job of a task is being deleted when the task is tried again; that try's worker dies right after it has made the next job.

    :param is_gone: the deletion has ended by then, so that the first job's name is free for the third try.
    """

    def act(case: Case) -> None:
        name = case.job().name
        with case.held(*CREATED, when="after") as made:
            case.faults.end_job(name, **FAILS)
            delete(case, name, seconds=seconds)
            made.reached()
            if is_gone:
                case.until(lambda: name not in [job.name for job in case.jobs()], "the job is not gone")
            case.kill_worker()
        case.await_try(3)

    return act


def start_only(case: Case) -> None:
    case.start()


def start_and_let_time_pass(case: Case) -> None:
    case.start()
    case.job()
    case.until(lambda: case.instance()["state"] in ("failed", "up_for_retry"), "time does not end it")


def trouble(kind: str, seconds: float = 15.0) -> Callable[[Case], None]:
    """One kind of trouble while the task submits, again while it waits, and again while it fetches the result."""

    def switch(case: Case, call: tuple[str, str]) -> None:
        operation, _ = call
        getattr(case.faults, kind)(operation, resource=f"*{case.prefix}*", for_seconds=seconds)

    def drive(case: Case) -> None:
        switch(case, SUBMIT)
        case.start()
        case.job()
        case.await_state("deferred")
        switch(case, WAIT)
        case.pause(seconds)
        switch(case, FETCH)

    return drive


def ends_within_seconds(case: Case) -> None:
    """Faster than Airflow's scheduler hears that the task has left its worker."""
    for index in range(int(case.event.options["tasks"])):
        environment = {"NBJOBS_DAG_ID": case.dag_id, "NBJOBS_MAP_INDEX": str(index)}
        case.faults.script_jobs(environment=environment, after_seconds=index * 0.5, **COMPLETES)
    case.start()


def denied(*operations: str, resource: str = "*", at: str = "", seconds: float = 15.0) -> Callable[[Case], None]:
    """
    A permission is missing for a while, as a policy is edited, when the job's end is looked at; the job itself is made and paid.

    :param at: the place in the task's second leg where it goes missing; none: while the triggerer looks.
    """

    def drive(case: Case) -> None:
        pause = case.pause_at(at) if at else None
        case.start()
        job = case.job()
        case.await_state("deferred")
        case.await_trigger()
        if pause:
            pause.reached(by_ending_jobs=True)
        with case.faults.deny(*operations, resource=f"*{job.name}{resource}") as denial:
            if pause:
                pause.end()

            def is_met() -> int:
                case.end_jobs()
                return denial.hits

            case.until(is_met, "nobody meets the denial")
            case.pause(seconds)

    return drive


def full_quota_then_free(case: Case) -> None:
    instance_type = str(case.event.options["instance_type"])
    case.faults.quota(instance_type, 1)
    # Somebody else's job fills it.
    other = case.add_other(instance_type=instance_type)
    case.start()
    case.until(
        lambda: len(case.calls("CreateTrainingJob", "ResourceLimitExceeded")) >= 2, "the full quota is not met twice"
    )
    case.await_state("deferred", "up_for_retry", "running", "queued", "scheduled")
    case.end_other(other)


def no_capacity_then_some(case: Case) -> None:
    case.faults.lack_capacity(instance_type=str(case.event.options["instance_type"]), times=2)
    case.start()


# On 3.0 a task that is cleared as it runs stays "restarting" for ever (apache/airflow#55045); its job is stopped all the same.
CLEAR_RUNNING_WORKS = (3, 1)

EVENTS = [
    Event(name="clear deferred", drive=waiting(clear_and_await_another, "deferred"), stops=(1, 1)),
    Event(
        name="clear running",
        drive=waiting(clear_and_await_another, "running"),
        options=SYNC,
        stops=(1, 1),
        since=CLEAR_RUNNING_WORKS,
    ),
    Event(name="clear succeeded", drive=clear_final("success"), jobs=(2, 2)),
    Event(name="clear failed", drive=clear_final("failed"), options={"retries": 0}),
    Event(
        name="clear failed, job runs",
        drive=clear_failed_whose_job_runs,
        options={"retries": 0, **SYNC},
        stops=(1, 1),
    ),
    Event(name="clear, retries lowered", drive=clear_final("success", retries=0), options={"retries": 3}, jobs=(2, 2)),
    Event(name="clear twice", drive=waiting(clear_twice, "deferred"), stops=(1, 2)),
    Event(
        name="clear while creating", drive=clear_just_after_create, stops=(0, 1), jobs=(1, 1), since=CLEAR_RUNNING_WORKS
    ),
    Event(name="run made again", drive=recreate_run, stops=(1, 1)),
    Event(name="ended run made again", drive=recreate_ended_run, jobs=(2, 2)),
    *(
        Event(
            name=f"{name} {state}",
            drive=waiting(act, state),
            options=SYNC if state == "running" else {},
            state=ends,
            jobs=(0, 0),
            stops=(1, 1),
            is_marked=True,
        )
        for state in ("deferred", "running")
        for name, act, ends in (
            ("mark failed", lambda case: case.mark("failed"), "failed"),
            ("mark success", lambda case: case.mark("success"), "success"),
            ("fail run", lambda case: case.mark_run("failed"), "failed"),
        )
    ),
    Event(
        name="execution_timeout deferred",
        drive=start_and_let_time_pass,
        options={"execution_timeout": 25 * PATIENCE, "retries": 0},
        state="failed",
        jobs=(0, 0),
        stops=(0, 1),
    ),
    Event(
        name="execution_timeout running",
        drive=start_and_let_time_pass,
        options={"execution_timeout": 25 * PATIENCE, "retries": 0, **SYNC},
        state="failed",
        jobs=(0, 0),
        stops=(0, 1),
    ),
    Event(
        name="MaxRuntime",
        drive=start_and_let_time_pass,
        options={"max_runtime_in_seconds": 2, "retries": 0},
        state="failed",
        jobs=(0, 0),
        says="max_runtime|MaxRuntime",
    ),
    Event(
        name="stopped in console",
        drive=waiting(stop_in_console, "deferred"),
        state="failed",
        jobs=(0, 0),
        stops=(1, 1),
    ),
    Event(
        name="task removed",
        drive=waiting(remove_task, "deferred"),
        state="removed, success",
        jobs=(0, 0),
        stops=(1, 1),
        is_marked=True,
    ),
    Event(name="DAG deleted", drive=waiting(delete_dag_and_make_it_again, "deferred"), stops=(1, 1)),
    Event(
        name="job deleted",
        drive=waiting(delete_job, "deferred"),
        says="does not know training job|knows no training job",
    ),
    Event(name="completed job deleted", drive=waiting(delete_completed_job, "deferred"), says="is being deleted"),
    Event(
        name="failed job long in Deleting",
        drive=waiting(delete_failed_job_and_kill_the_retry(seconds=FOR_LONG, is_gone=False), "deferred"),
        says="is being deleted; going on to attempt 1(?s:.*)Adopting: training job",
    ),
    Event(
        name="failed job deleted, name free",
        drive=waiting(delete_failed_job_and_kill_the_retry(seconds=15 * PATIENCE, is_gone=True), "deferred"),
        says="Adopting: training job",
    ),
    Event(name="throttling", drive=trouble("throttle"), options={"retries": 15}),
    Event(name="5xx", drive=trouble("internal_error"), options={"retries": 15}),
    Event(name="connections reset", drive=trouble("reset"), options={"retries": 15}),
    Event(
        name="Describe denied to triggerer",
        drive=denied("DescribeTrainingJob"),
        options={"retries": 15},
    ),
    Event(name="Describe denied to worker", drive=denied("DescribeTrainingJob", at="resume"), options={"retries": 15}),
    Event(
        name="results denied",
        drive=denied("s3:GetObject", resource="/output/*", at="resume"),
        options={"retries": 15},
    ),
    Event(name="ends within seconds", drive=ends_within_seconds, options={"tasks": 8, "retries": 0}, jobs=(8, 8)),
    Event(name="quota full then free", drive=full_quota_then_free, options={"instance_type": "ml.c5.9xlarge"}),
    Event(name="no capacity then some", drive=no_capacity_then_some, options={"instance_type": "ml.c5.4xlarge"}),
]
