"""What a job used of its machine, and which machine the task needs: asked for when the reader opens it."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from airflow_nbjobs.core.job.machine_advice import MOST_READ, advise
from airflow_nbjobs.core.job.machines import machine_of
from airflow_nbjobs.ui.access import may_read_results, new_session
from airflow_nbjobs.ui.data.prices import read_prices
from airflow_nbjobs.ui.data.queries import read_kept_machine, read_runs
from airflow_nbjobs.ui.machine_view import curves, notes_on_points, shown_spans
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.jobs import Job
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.pages import UNSTORED, VisibleJSONResponse
from airflow_nbjobs.ui.routes.dependencies import TASK, JobName, NotebooksDep, WithJobDep

router = APIRouter()


@router.get(TASK + "/machine.json", dependencies=[may_read_results])
def machine_json(ti: WithJobDep, notebooks: NotebooksDep, requested: JobName = None) -> Response:
    job = notebooks.jobs.find(ti, requested)
    instance_type = job.snapshot.instance_type or "an instance type that SageMaker does not say"
    answer: dict[str, Any] = {"status": "ok", "title": instance_type, "curves": [], "spans": [], "advice": []}
    machine = machine_of(job.snapshot.instance_type)
    if machine is None:
        answer["notes"] = [f"What {instance_type} has is not known here, so nothing is asked of CloudWatch."]
        return VisibleJSONResponse(answer, headers=UNSTORED)
    with new_session() as session:  # closed before AWS is asked
        kept = {} if job.is_earlier else read_kept_machine(session, ti)
        past = read_runs(session, ti, most=MOST_READ)
    seen = notebooks.machines.look(ti, job, machine, kept)
    runs, trouble = notebooks.machines.runs(ti, seen.record, machine, past)
    started, ended = job.snapshot.started, job.snapshot.ended or datetime.now(tz=UTC)
    answer["title"] = f"{instance_type}: {machine}"
    answer["notes"] = notes_on_points(seen, job.snapshot, now=datetime.now(tz=UTC))
    if trouble and not seen.trouble:
        answer["notes"].append(" ".join(trouble))
    answer["advice"] = [{"kind": each.kind, "text": each.text} for each in advise(runs, machine, read_prices())]
    if seen.record is not None and seen.record.points and started is not None:
        answer |= {
            "seconds": max((ended - started).total_seconds(), 1.0),
            "curves": curves(seen.record, started),
            "spans": shown_spans(_spans(notebooks, ti, job), started, ended),
        }
    return VisibleJSONResponse(answer, headers=UNSTORED)


def _spans(notebooks: Notebooks, ti: WithJobDep, job: Job) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = notebooks.rendered(ti, job).summary.get("spans", [])
    except ProblemError:  # the curves are shown without cells
        return []
    return found
