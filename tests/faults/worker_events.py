"""What happens to workers, and to the answers that they wait for."""

from __future__ import annotations

from collections.abc import Callable

from case import Case, Event, write_atomically

from airflow_nbjobs.core.job.naming import RunKey, training_job_name

STAGED = ("s3:PutObject", "/input/*")
CREATED = ("CreateTrainingJob", "")
RESULT_READ = ("s3:GetObject", "/output/output.tar.gz")
DELIVERED = ("s3:PutObject", ".ipynb")  # the copy's key ends in the job's name; staged notebooks are staged before

Strike = Callable[[Case], None]


def at_call(
    strike: Strike, call: tuple[str, str], *, when: str = "before", is_dropped: bool = False, is_last: bool = False
) -> Strike:
    """
    Strike while a call of the task is on its way.

    :param is_last: the call belongs to the second leg: let the job end first.
    """

    def drive(case: Case) -> None:
        operation, resource = call
        if not is_last:
            with case.held(operation, resource, when=when, is_dropped=is_dropped) as hold:
                case.start()
                hold.reached()
                strike(case)
            return
        case.start()
        job = case.job()
        glob = f"/{job.name}.ipynb" if call is DELIVERED else resource
        with case.held(operation, glob, when=when, is_dropped=is_dropped) as hold:
            hold.reached(by_ending_jobs=True)
            strike(case)

    return drive


def before_defer(strike: Strike) -> Strike:
    def drive(case: Case) -> None:
        pause = case.pause_at("defer")
        case.start()
        pause.reached()
        strike(case)
        pause.end()

    return drive


def while_running(strike: Strike) -> Strike:
    """In sync mode, the job being under way."""

    def drive(case: Case) -> None:
        case.start()
        case.job()
        process = case.task_process()
        strike(case)
        case.kill_after_grace(process)
        case.await_try(2)

    return drive


def lost_answers(times: int) -> Strike:
    def drive(case: Case) -> None:
        case.faults.reset("CreateTrainingJob", when="after", resource=f"{case.prefix}*", times=times)
        case.start()

    return drive


def answered_with_500_although_made(case: Case) -> None:
    case.faults.internal_error("CreateTrainingJob", when="after", resource=f"{case.prefix}*", times=3)
    case.start()


def name_taken_by_somebody_else(case: Case) -> None:
    """The first name that this run would take is that of another's job, by chance or by intent."""
    with case.held(*STAGED) as hold:
        case.start()
        hold.reached()
        key = RunKey(
            deployment="",
            dag_id=case.dag_id,
            run_id="r1",
            run_started_microseconds=case.run_started_microseconds(),
            task_id="run",
            map_index=-1,
            generation=case.instance()["max_tries"],
        )
        case.add_other(training_job_name(f"{case.dag_id}-run", key))


def notebook_edited_between_two_tries(case: Case) -> None:
    notebook = case.folder / f"{case.dag_id}.ipynb"
    write_atomically(notebook, (case.folder / "short.ipynb").read_text())
    case.edit_options(notebook=notebook.name)
    case.start()
    case.job()
    write_atomically(notebook, notebook.read_text().replace("token = 1", "token = 2"))
    case.kill_worker()
    case.await_try(2)


def retries_edited_between_two_tries(case: Case) -> None:
    case.start()
    case.job()
    case.edit_options(retries=5)
    case.await_retries(5)
    case.kill_worker()
    case.await_try(2)


SYNC = {"deferrable": False}


def _both(name: str, drive: Callable[[Strike], Strike], **event: object) -> list[Event]:
    return [
        Event(name=f"killed {name}", drive=drive(Case.kill_worker), **event),
        Event(name=f"evicted {name}", drive=drive(Case.evict_worker), **event),
    ]


EVENTS = [
    *_both("before create", lambda strike: at_call(strike, STAGED, is_dropped=True)),
    *_both("during create", lambda strike: at_call(strike, CREATED)),
    *_both("after create", lambda strike: at_call(strike, CREATED, when="after")),
    *_both("before defer", before_defer),
    *_both("running sync", while_running, options=SYNC),
    *_both("after resume", lambda strike: at_call(strike, RESULT_READ, is_last=True, is_dropped=True)),
    *_both("before delivery", lambda strike: at_call(strike, DELIVERED, is_last=True, is_dropped=True)),
    *_both(
        "after delivery",
        lambda strike: at_call(strike, DELIVERED, is_last=True, when="after"),
        jobs=(1, 2),
        jobs_per_generation=2,
    ),
    Event(name="create answer lost", drive=lost_answers(1)),
    Event(name="create answers lost", drive=lost_answers(3)),
    Event(name="create answered 500", drive=answered_with_500_although_made),
    Event(name="name taken", drive=name_taken_by_somebody_else, says="not this task's"),
    Event(
        name="notebook edited",
        drive=notebook_edited_between_two_tries,
        options=SYNC,
        says="runs on other input than this try would stage",
    ),
    Event(name="retries edited", drive=retries_edited_between_two_tries, options=SYNC),
]
