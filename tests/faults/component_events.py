"""What happens to Airflow's own components while tasks wait; each of these runs alone."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any

import psutil
from case import Case, Event
from stand import PATIENCE, TRIGGERER_SECONDS, Stand

if TYPE_CHECKING:
    from collections.abc import Callable

# As good as a minute, once it is longer than the others wait for it.
AWAY_SECONDS = 25.0 * PATIENCE
MAPPED = {"tasks": 3}
MIXED_TASKS = 50


def deferred(act: Callable[[Case], None]) -> Callable[[Case], None]:
    def drive(case: Case) -> None:
        case.start()
        case.job(3)
        case.await_state("deferred")
        act(case)
        case.until(case.stand_is_well, "Airflow does not recover")

    return drive


def restart(component: str, end: Callable[[Stand, str], None]) -> Callable[[Case], None]:
    def act(case: Case) -> None:
        end(case.stand, component)
        case.pause(AWAY_SECONDS)
        case.stand.launch(component)

    return act


def each_triggerer(end: Callable[[Stand, str], None]) -> Callable[[Case], None]:
    """One after the other, so that every trigger loses its triggerer at least once."""

    def act(case: Case) -> None:
        for name in case.stand.triggerers:
            end(case.stand, name)
            case.pause(TRIGGERER_SECONDS + 5)
            case.stand.launch(name)
            case.pause(10)

    return act


def freeze_each_triggerer(case: Case) -> None:
    """Past its health threshold, so that the other takes its triggers over; then it wakes up and finds that they are no longer its own."""
    for name in case.stand.triggerers:
        case.stand.signal(name, signal.SIGSTOP, with_children=True)
        case.pause(TRIGGERER_SECONDS + 12)
        case.stand.signal(name, signal.SIGCONT, with_children=True)
        case.pause(12)


def failover_and_denial(case: Case) -> None:
    """A triggerer dies; the other has to look at its jobs while no permission lets it."""
    case.pause(10)  # every task has its triggerer
    (name, *_) = case.stand.triggerers
    case.stand.kill(name)
    with case.faults.deny("ListTrainingJobs", "DescribeTrainingJob") as denial:
        case.until(lambda: denial.hits, "nobody meets the denial")
        case.pause(15)
    case.stand.launch(name)


def api_server_away_while_running(case: Case) -> None:
    case.start()
    case.job()
    case.stand.kill("api-server")
    case.pause(AWAY_SECONDS)
    case.stand.launch("api-server")
    case.until(case.stand_is_well, "Airflow does not recover")


def database_away(case: Case) -> None:
    case.database.stop()
    case.pause(AWAY_SECONDS)
    case.database.start()
    case.revives = True  # some of Airflow's processes give up, at once or later


def two_airflows(case: Case) -> None:
    """The same DAG and run id in another Airflow, with the same account, bucket and prefix."""
    other = case.second_stand()
    case.start()
    case.job()  # so that the other's run starts later: jobs are ended from the newest start on
    with case.on(other):
        case.start()
        case.job(2)
        case.finish()
        assert {one["state"] for one in case.instances()} == {"success"}
        (mine,) = [other.api.xcom(one, "token") for one in case.instances()]
    case.finish()
    (first,) = [case.stand.api.xcom(one, "token") for one in case.instances()]
    assert {mine, first} == {job.name for job in case.jobs()}


def random_mix(seed: int) -> Callable[[Case], None]:
    """Fifty mapped tasks; calls fail in every way, workers and triggerers die."""

    def drive(case: Case) -> None:
        draws = random.Random(seed)
        resource = f"*{case.prefix}*"
        chance: dict[str, Any] = {"resource": resource, "probability": 0.08}
        case.faults.throttle(seed=draws.randrange(99), **chance)
        case.faults.internal_error(seed=draws.randrange(99), **chance)
        case.faults.internal_error("CreateTrainingJob", when="after", seed=draws.randrange(99), **chance)
        case.faults.reset(seed=draws.randrange(99), **chance)
        case.faults.reset("CreateTrainingJob", when="after", seed=draws.randrange(99), **chance)
        case.start()
        case.job(5)
        for _ in range(5):
            case.pause(draws.uniform(1, 6))
            case.end_some_jobs(draws)
            found = case.until(case.instances, "no tasks")
            running = [one for one in found if one["state"] == "running" and one["pid"]]
            if running:
                victim = draws.choice(running)
                try:
                    process = psutil.Process(victim["pid"])
                    worker = process.parent()
                    if worker is not None and worker.pid not in (1, case.stand.pid("scheduler")):
                        worker.kill()
                    process.kill()
                except psutil.Error:
                    continue
        name = draws.choice(case.stand.triggerers)
        case.stand.kill(name)
        case.stand.launch(name)

    return drive


EVENTS = [
    Event(
        name="triggerer SIGTERM",
        drive=deferred(each_triggerer(Stand.terminate)),
        options=MAPPED,
        jobs=(3, 3),
        disturbs=True,
    ),
    Event(
        name="triggerer SIGKILL", drive=deferred(each_triggerer(Stand.kill)), options=MAPPED, jobs=(3, 3), disturbs=True
    ),
    Event(name="triggerer SIGSTOP", drive=deferred(freeze_each_triggerer), options=MAPPED, jobs=(3, 3), disturbs=True),
    Event(
        name="triggerer SIGKILL and denial",
        drive=deferred(failover_and_denial),
        options={**MAPPED, "retries": 15},
        jobs=(3, 3),
        disturbs=True,
    ),
    Event(
        name="scheduler away",
        drive=deferred(restart("scheduler", Stand.kill)),
        options=MAPPED,
        jobs=(3, 3),
        disturbs=True,
    ),
    Event(
        name="api-server away",
        drive=deferred(restart("api-server", Stand.kill)),
        options=MAPPED,
        jobs=(3, 3),
        disturbs=True,
    ),
    Event(
        name="api-server away, running",
        drive=api_server_away_while_running,
        options={"deferrable": False},
        disturbs=True,
    ),
    Event(name="database away", drive=deferred(database_away), options=MAPPED, jobs=(3, 3), disturbs=True),
    Event(name="two Airflows", drive=two_airflows, jobs=(2, 2), disturbs=True),
    *(
        Event(
            name=f"random mix {seed}",
            drive=random_mix(seed),
            options={"tasks": MIXED_TASKS, "retries": 20},
            jobs=(MIXED_TASKS, MIXED_TASKS + 5),
            jobs_per_generation=2,
            disturbs=True,
        )
        for seed in (1, 2)
    ),
]
