"""Workers and triggerers that stand still and come back late, when Airflow has given their work to somebody else or a user has taken it away."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from case import QUIET_SECONDS, Case, Event
from component_events import freeze_each_triggerer
from stand import HEARTBEAT_SECONDS, PATIENCE
from worker_events import CREATED, RESULT_READ, STAGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SYNC = {"deferrable": False}
# What comes back must come back before the next try begins.
UP_FOR_RETRY_SECONDS = 40.0 * PATIENCE
# The wait for its turn must not be over when what stood still comes back; up to a half of it is left out.
LONG_WAIT_SECONDS = 240.0 * PATIENCE
QUESTION = ("DescribeTrainingJob", "")
POOL = "late"

# -- workers that have a result in hand ----------------------------------------------------------------------------


def frozen_while_results_are_read(case: Case) -> None:
    """Airflow fails the try; its process wakes up with the archive before the next try begins."""
    case.start()
    case.job()
    with case.held(*RESULT_READ) as hold:
        hold.reached(by_ending_jobs=True)
        worker = case.freeze_worker()
        case.await_state("up_for_retry")
    worker.thaw()


def frozen_until_the_retry_has_begun(case: Case) -> None:
    """The next try is about to ask for the job's state and its delivery when the former one wakes up with the archive."""
    case.start()
    case.job()
    with contextlib.ExitStack() as reading:
        reading.enter_context(case.held(*RESULT_READ)).reached(by_ending_jobs=True)
        worker = case.freeze_worker()
        with case.held(*QUESTION) as question:
            question.reached()
            reading.close()
            worker.thaw()


def frozen_before_the_delivery(case: Case) -> None:
    """All XComs are pushed, and the executed notebook's copy, which says *delivered*, comes next."""
    pause = case.pause_at("nbjobs_end")
    case.start()
    case.job()
    pause.reached(by_ending_jobs=True)
    worker = case.freeze_worker()
    case.await_state("up_for_retry")
    pause.end()
    worker.thaw()


def mark_failed_and_clear(case: Case) -> None:
    case.mark("failed")
    case.await_run("failed")
    case.clear()


def frozen_until_the_next_life_has_ended(case: Case) -> None:
    """The archive in its hand is that of a job before the clear, and the task has succeeded with a later one."""
    case.start()
    case.job()
    with case.held(*RESULT_READ) as hold:
        hold.reached(by_ending_jobs=True)
        worker = case.freeze_worker()
        mark_failed_and_clear(case)
        case.job(2)
        case.finish_as("success")
    worker.thaw()


# -- workers that are about to make a job --------------------------------------------------------------------------


def frozen_marked_and_cleared(call: tuple[str, str], *, when: str = "before") -> Callable[[Case], None]:
    """Airflow and the user have gone on: the task has another life with a job of its own when the worker of the former life wakes up."""

    def drive(case: Case) -> None:
        with case.held(*call, when=when) as hold:
            case.start()
            hold.reached()
            worker = case.freeze_worker()
            made_by_now = len(case.jobs())
            mark_failed_and_clear(case)
            case.job(made_by_now + 1)
            case.await_state("deferred")
            case.await_trigger()
        worker.thaw()

    return drive


def frozen_marked_and_cleared_then_failover(case: Case) -> None:
    frozen_marked_and_cleared(STAGED)(case)
    freeze_each_triggerer(case)


def frozen_until_the_retry_has_made_the_job(case: Case) -> None:
    with case.held(*STAGED) as hold:
        case.start()
        hold.reached()
        worker = case.freeze_worker()
        case.job()
        case.await_state("deferred")
        case.await_trigger()
    worker.thaw()


def frozen_waiting_marked_and_cleared(case: Case) -> None:
    """In sync mode: the job of the former life runs, and its worker is not there to stop it."""
    case.start()
    case.job()
    worker = case.freeze_worker()
    mark_failed_and_clear(case)
    case.job(2)
    case.pause(QUIET_SECONDS)
    worker.thaw()


def frozen_and_cleared(case: Case) -> None:
    """A clear of a running task whose worker stands still until Airflow has given it up."""
    case.start()
    case.job()
    worker = case.freeze_worker()
    case.clear()
    case.pause(HEARTBEAT_SECONDS)
    case.until(lambda: case.instance()["state"] == "running" and case.instance()["try_number"] > 1, "no second try")
    worker.thaw()


# -- triggerers ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def one_triggerer(case: Case) -> Iterator[str]:
    """One of the two is away, so that the other takes the trigger; at the end of the block both are there and well."""
    first, second = case.stand.triggerers
    case.stand.terminate(second)
    try:
        yield first
    finally:
        case.stand.signal(first, signal.SIGCONT, with_children=True)
        case.stand.revive()


def come_back_late(case: Case, first: str, act: Callable[[Case], None]) -> None:
    """Freeze the triggerer that has the trigger, let the other take it over, act, let the former come back."""
    former = case.triggerer_id()
    case.stand.signal(first, signal.SIGSTOP, with_children=True)
    case.stand.revive()
    case.await_takeover(former)
    act(case)
    case.stand.signal(first, signal.SIGCONT, with_children=True)
    case.pause(15 * PATIENCE)  # its first question to Airflow takes long


def late_triggerer(act: Callable[[Case], None]) -> Callable[[Case], None]:
    def drive(case: Case) -> None:
        with one_triggerer(case) as first:
            case.start()
            case.job()
            case.await_state("deferred")
            case.await_trigger()
            come_back_late(case, first, act)

    return drive


def fail_the_try(case: Case) -> None:
    case.let_time_run_out()
    case.await_state("up_for_retry")


def fail_the_try_and_let_it_wait_for_a_slot(case: Case) -> None:
    fail_the_try(case)
    case.stand.api.set_pool(POOL, 0)
    case.await_state("scheduled")


def waits_for_a_slot(case: Case) -> None:
    case.stand.api.set_pool(POOL, 1)
    late_triggerer(fail_the_try_and_let_it_wait_for_a_slot)(case)
    case.stand.api.set_pool(POOL, 1)


def waits_for_its_turn(case: Case) -> None:
    """The triggerer stands still while the task waits for a full quota; its next try makes the job meanwhile, and has not said so yet."""
    instance_type = str(case.event.options["instance_type"])
    case.faults.quota(instance_type, 1)
    other = case.add_other(instance_type=instance_type)

    def let_the_next_try_make_the_job(case: Case) -> None:
        case.edit_options(waiter_delay=1)
        case.end_other(other)
        case.let_time_run_out()
        made.reached()

    with one_triggerer(case) as first:
        case.start()
        case.await_state("deferred")
        case.triggerer_id()
        case.pause(3)
        with case.held(*CREATED, when="after") as made:
            come_back_late(case, first, let_the_next_try_make_the_job)


def clear_while_it_stands_still(case: Case) -> None:
    case.clear()
    case.job(2)
    case.await_state("deferred")
    case.await_trigger()


EVENTS = [
    Event(
        name="frozen reading results",
        drive=frozen_while_results_are_read,
        options={"retry_delay": UP_FOR_RETRY_SECONDS},
    ),
    Event(name="frozen until the retry", drive=frozen_until_the_retry_has_begun),
    Event(
        name="frozen before delivery",
        drive=frozen_before_the_delivery,
        options={"retry_delay": UP_FOR_RETRY_SECONDS},
    ),
    Event(name="frozen results, cleared, done", drive=frozen_until_the_next_life_has_ended, jobs=(2, 2)),
    Event(name="frozen before create, retried", drive=frozen_until_the_retry_has_made_the_job),
    Event(name="frozen, then cleared", drive=frozen_marked_and_cleared(STAGED)),
    Event(name="frozen in create, cleared", drive=frozen_marked_and_cleared(CREATED), stops=(1, 1)),
    Event(
        name="frozen after create, cleared",
        drive=frozen_marked_and_cleared(CREATED, when="after"),
        stops=(1, 1),
    ),
    Event(name="frozen running, then cleared", drive=frozen_waiting_marked_and_cleared, options=SYNC, stops=(1, 1)),
    Event(name="frozen running, cleared", drive=frozen_and_cleared, options=SYNC, stops=(0, 1), since=(3, 1)),
    Event(
        name="frozen, cleared, fail-over",
        drive=frozen_marked_and_cleared_then_failover,
        disturbs=True,
    ),
    Event(
        name="triggerer late, up_for_retry",
        drive=late_triggerer(fail_the_try),
        options={"fails_on_resume": True, "retry_delay": UP_FOR_RETRY_SECONDS},
        disturbs=True,
    ),
    Event(
        name="triggerer late, scheduled",
        drive=waits_for_a_slot,
        options={"fails_on_resume": True, "retry_delay": UP_FOR_RETRY_SECONDS / 2, "pool": POOL},
        disturbs=True,
    ),
    Event(
        name="triggerer late, waiting its turn",
        drive=waits_for_its_turn,
        options={"fails_on_resume": True, "instance_type": "ml.c5.2xlarge", "waiter_delay": LONG_WAIT_SECONDS},
        disturbs=True,
    ),
    Event(
        name="triggerer late, cleared",
        drive=late_triggerer(clear_while_it_stands_still),
        stops=(1, 1),
        disturbs=True,
    ),
]
