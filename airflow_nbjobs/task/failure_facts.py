"""
What a callback can know of a failed task or run: from its context, and from what Airflow keeps of it where a callback may ask for that.

Called by ``notifications.py``: in a worker, which has the task's exception; in the DAG processor, where Airflow may answer for XComs, and if it does not
nothing but the context.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from airflow_nbjobs._compat import job_xcom, masked_text, may_ask_for_xcoms, task_states_of_run, ui_address, ui_root
from airflow_nbjobs.core.error_record import error_record, parse_error_record
from airflow_nbjobs.core.failure_summary import FailureFacts
from airflow_nbjobs.core.job.xcoms import END_KEY, ERROR_KEY, JOB_KEY, billed_seconds, read_record
from airflow_nbjobs.core.texts import is_template
from airflow_nbjobs.core.values.params_entry import KEY
from airflow_nbjobs.links import run_path, tab_path, task_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_nbjobs.core.error_record import ErrorRecord

Answer = TypeVar("Answer")
_PACKAGE = "airflow_nbjobs."
_MOST_ASKED = 5  # failed notebooks of a run whose XComs are asked for; a message has no room for more


def gather(context: Mapping[str, Any]) -> FailureFacts:
    """Return what is known of the failure; a question that fails leaves its fact empty."""
    ti = context.get("ti")
    if ti is None or "reason" in context:  # which the callbacks of a DAG have
        return _of_run(context, ti)
    return _of_task(ti, context.get("task") or getattr(ti, "task", None), context.get("exception"))


def _of_task(ti: Any, task: Any, exception: object) -> FailureFacts:
    key: dict[str, Any] = {
        "dag_id": str(ti.dag_id),
        "run_id": str(ti.run_id),
        "task_id": str(ti.task_id),
        "map_index": _number(getattr(ti, "map_index", -1), -1),
    }
    try_number = _number(getattr(ti, "try_number", 0), 0)
    xcoms = _xcoms(key) if _is_ours(task) else {}
    job = read_record(JOB_KEY, xcoms.get(JOB_KEY))
    if try_number and job.get("try_number") not in (None, try_number):
        job = {}
    end = read_record(END_KEY, xcoms.get(END_KEY))
    if not job.get("job_name") or end.get("job_name") != job["job_name"]:
        end = {}
    tries = _number(getattr(ti, "max_tries", 0), 0) + 1
    return FailureFacts(
        dag_id=key["dag_id"],
        run_id=key["run_id"],
        task_id=key["task_id"] if key["map_index"] < 0 else f"{key['task_id']}[{key['map_index']}]",
        try_text=f"try {try_number} of {max(tries, try_number)}" if try_number else "",
        record=_record(xcoms.get(ERROR_KEY), exception, try_number),
        reason="" if exception is None else str(exception),
        notebook=_notebook(task, job),
        parameters=_asked(lambda: _parameters(task), ""),
        job=_asked(lambda: _job(job, end), str(job.get("job_name") or "")),
        url=_asked(lambda: _task_url(key, is_ours=_is_ours(task)), ""),
    )


def _record(stored: object, exception: object, try_number: int) -> ErrorRecord | None:
    """Return what the task has recorded of this try (0: whichever is the last), else its exception in the same form."""
    record = parse_error_record(stored)
    if record is not None and try_number in (0, record.try_number):
        return record
    if not isinstance(exception, BaseException):
        return None
    return _asked(lambda: parse_error_record(error_record(exception, try_number=try_number, mask=masked_text)), None)


def _xcoms(key: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the task has pushed of its error, its job and its job's end; Airflow logs each question without an answer as an error."""
    found: dict[str, Any] = {}
    if _asked(may_ask_for_xcoms, default=False):
        for name in (ERROR_KEY, JOB_KEY, END_KEY):
            found[name] = _asked(lambda name=name: job_xcom(name, **key), None)  # type: ignore[misc]
            if name == JOB_KEY and found[name] is None:
                break
    return found


def _is_ours(task: Any) -> bool:
    made_of = getattr(task, "operator_class", None) or type(task)  # of a mapped task
    return any(each.__module__.startswith(_PACKAGE) for each in getattr(made_of, "__mro__", ()))


def _notebook(task: Any, job: Mapping[str, Any]) -> str:
    given = job.get("input_notebook") or getattr(task, "input_notebook", None)
    if given is None:
        given = (getattr(task, "partial_kwargs", None) or {}).get("input_notebook")
    return given if isinstance(given, str) else ""


def _parameters(task: Any) -> str:
    from airflow_nbjobs.task.identity import parameters_text

    parameters = getattr(task, "parameters", None)
    if not (_is_ours(task) and isinstance(parameters, dict) and parameters and _are_known(task, parameters)):
        return ""
    return parameters_text(parameters)


def _are_known(task: Any, parameters: dict[str, Any]) -> bool:
    """Say whether the parameters are those of the job: the DAG processor has the task as the file says it, and a worker if rendering has failed."""
    if getattr(task, "_rendered_parameters", None) is not None:
        return True
    is_written_out = KEY not in parameters and not hasattr(task, "python_callable")
    return is_written_out and not is_template(json.dumps(parameters))


def _job(job: Mapping[str, Any], end: Mapping[str, Any]) -> str:
    from airflow_nbjobs.settings import read_prices

    if not job.get("job_name"):
        return ""
    # Of several types that the job may have, its end says the one that it had.
    machine = end.get("instance_type") or job.get("instance_type")
    facts = [str(job["job_name"]), str(machine or "")]
    billed = billed_seconds(end)
    if billed is not None:
        cost = read_prices().cost(machine, billed)
        facts += [f"{billed} s billed", f"{cost} at the configured price" if cost else ""]
    return ", ".join(filter(None, facts))


def _task_url(key: Mapping[str, Any], *, is_ours: bool) -> str:
    tabs = ui_address() if is_ours else None
    if tabs:
        return f"{tabs}{tab_path(**key)}"
    root = ui_root()
    return f"{root}{task_path(**key)}" if root else ""


def _of_run(context: Mapping[str, Any], ti: Any) -> FailureFacts:
    """Tell of a run whose DAG's own callback is called, and of the notebook task that has failed in it."""
    dag, dag_run = context.get("dag"), context.get("dag_run")
    dag_id = str(getattr(dag, "dag_id", None) or getattr(dag_run, "dag_id", None) or getattr(ti, "dag_id", ""))
    run_id = str(context.get("run_id") or getattr(dag_run, "run_id", None) or getattr(ti, "run_id", ""))
    lines: list[str] = []
    told: FailureFacts | None = None
    keys = _failed_tasks(dag_id, run_id)
    failed = [(key, _asked(lambda key=key: dag.get_task(key[0]), None)) for key in keys or []]  # type: ignore[misc,union-attr]
    failed.sort(key=lambda each: not _is_ours(each[1]))
    for place, ((task_id, index), task) in enumerate(failed):
        is_asked = place < _MOST_ASKED and _is_ours(task)
        found = _of_task(_Failed(dag_id, run_id, task_id, index), task if is_asked else None, None)
        lines.append(f"{found.task_id}: {found.record.headline}" if found.record else found.task_id)
        if told is None and found.record is not None:
            told = found
    if keys is None and ti is not None:
        lines.append(f"{ti.task_id}, which Airflow names; there may be others")
    facts = FailureFacts(
        dag_id=dag_id,
        run_id=run_id,
        reason=str(context.get("reason") or ""),
        tasks=lines,
        url=_asked(lambda: _run_url(dag_id, run_id), ""),
    )
    return facts if told is None else replace(facts, record=told.record, notebook=told.notebook, job=told.job)


class _Failed:
    """A task instance of which nothing but its key is known."""

    def __init__(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
        self.dag_id, self.run_id, self.task_id, self.map_index = dag_id, run_id, task_id, map_index


def _failed_tasks(dag_id: str, run_id: str) -> list[tuple[str, int]] | None:
    """Return ids and map indexes of the run's failed tasks; None where Airflow does not answer."""
    if not _asked(may_ask_for_xcoms, default=False):
        return None
    states = _asked(lambda: task_states_of_run(dag_id=dag_id, run_id=run_id), None)
    return None if states is None else [key for key, state in states.items() if state == "failed"]


def _run_url(dag_id: str, run_id: str) -> str:
    root = ui_root()
    return f"{root}{run_path(dag_id, run_id)}" if root else ""


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _asked(question: Callable[[], Answer], default: Answer) -> Answer:
    try:
        return question()
    except Exception:  # noqa: BLE001 - a message without one of its facts is better than none
        return default
