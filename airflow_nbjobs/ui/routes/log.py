"""The log of a job's container, as it was written and for reading."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.core.watch.log_place import readable_log
from airflow_nbjobs.ui.access import may_read_logs
from airflow_nbjobs.ui.pages import TEXT_POLICY, UNSTORED, VisibleJSONResponse
from airflow_nbjobs.ui.routes.dependencies import TASK, JobName, NotebooksDep, WithJobDep

_LOG_LINES = 10_000  # GetLogEvents returns no more at a time

router = APIRouter()


@router.get(TASK + "/log", dependencies=[may_read_logs])
def container_log(ti: WithJobDep, notebooks: NotebooksDep, requested: JobName = None) -> Response:
    job = notebooks.jobs.find(ti, requested)
    lines = notebooks.jobs.log_lines(ti, job, limit=_LOG_LINES) or ["CloudWatch has no log of this job (yet)."]
    text = "\n".join(lines if len(lines) < _LOG_LINES else ["… what is older is in CloudWatch", *lines])
    headers = UNSTORED | {"Content-Security-Policy": TEXT_POLICY}
    return PlainTextResponse(visible(text) + "\n", headers=headers)


@router.get(TASK + "/log.json", dependencies=[may_read_logs])
def readable_container_log(ti: WithJobDep, notebooks: NotebooksDep, requested: JobName = None) -> Response:
    """Return the same for reading: no traces, no colours, of a bar its last state, cells as the author counts them."""
    job = notebooks.jobs.find(ti, requested)
    lines = notebooks.jobs.log_lines(ti, job, limit=_LOG_LINES) or []
    hint = ti.job or {}
    added = hint.get("added_cells") if hint.get("job_name") == job.name else None
    places = [place for place in added if isinstance(place, int)] if isinstance(added, list) else []
    answer = {
        "status": "ok",
        "lines": readable_log(lines, places),
        "is_whole": len(lines) < _LOG_LINES,
        "links": notebooks.jobs.links(ti, job),
    }
    return VisibleJSONResponse(answer, headers=UNSTORED)
