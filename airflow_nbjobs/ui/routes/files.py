"""All files of a job: which there are, and each of them as a download."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from airflow_nbjobs.core.job.naming import OUTPUT_ARCHIVE
from airflow_nbjobs.ui.access import GetUserDep, is_allowed, may_read_logs, may_read_results
from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.files import Files, JobFile
from airflow_nbjobs.ui.notebook.jobs import Job
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.notebook.renderer import has_renderer
from airflow_nbjobs.ui.pages import UNSTORED, VisibleJSONResponse
from airflow_nbjobs.ui.routes.dependencies import TASK, JobName, NotebooksDep, WithJobDep, saved_as

_COMING = (problems.RUNNING.code, problems.FILLING_IN.code, problems.FINISHING.code)
_LOG_NOTE = f"the container's log, and {OUTPUT_ARCHIVE} as a whole, which holds it, take the permission to read the DAG's task logs"

router = APIRouter()


def files_of(request: Request) -> Files:
    found: Files = request.app.state.files
    return found


FilesDep = Annotated[Files, Depends(files_of)]


@router.get(TASK + "/files.json", dependencies=[may_read_results])
def files_json(
    request: Request,
    ti: WithJobDep,
    notebooks: NotebooksDep,
    files: FilesDep,
    *,
    user: GetUserDep,
    requested: JobName = None,
) -> Response:
    """Return the job's files with their sizes in bytes, None where that is not known before it is made."""
    job = notebooks.jobs.find(ti, requested)
    found = files.of(ti, job)
    may_see_log = is_allowed(may_read_logs, request, user)
    made, why = _made_here(notebooks, ti, job, found.files)
    rows = [*made, *([_row("log.txt", "log", "log")] if may_see_log else [])]
    rows += [
        _row(file.name, file.group, f"files/{quote(file.name)}", file.size_bytes)
        for file in found.files
        if (file.group != "notebook" or not made) and (may_see_log or not file.has_log)
    ]
    notes = [*found.notes, *why] if may_see_log else [*found.notes, *why, _LOG_NOTE]
    answer = {"status": "ok", "job_name": job.name, "files": rows, "notes": notes}
    return VisibleJSONResponse(answer, headers=UNSTORED)


def _made_here(
    notebooks: Notebooks, ti: NotebookTaskInstance, job: Job, files: tuple[JobFile, ...]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the executed notebook, wherever it lies, and what is rendered of it; where it cannot be had why, but for one that is not there yet."""
    try:
        source = notebooks.source(ti, job)
    except ProblemError as error:
        found = error.problem
        is_coming = found.code in _COMING
        return [], [] if is_coming else [": ".join((f"the executed notebook: {found.title}", *found.details[:1]))]
    size: int | None = source.stored.size_bytes
    if source.member is not None:
        size = next((file.size_bytes for file in files if file.member == source.member), None)
    rows = [_row(f"{job.name}.ipynb", "notebook", "notebook.ipynb", size)]
    if has_renderer():
        rows += [
            _row(f"{job.name}.html", "notebook", "notebook.html", download="true"),
            _row(f"{job.name}-report.html", "notebook", "report.html", download="true"),
        ]
    return rows, []


def _row(name: str, group: str, path: str, size_bytes: int | None = None, **query: str) -> dict[str, Any]:
    """:param path: of the file below the task instance's address, quoted."""
    return {"name": name, "group": group, "path": path, "query": query, "bytes": size_bytes}


@router.get(TASK + "/files/{file_name:path}", dependencies=[may_read_results])
def file(
    request: Request,
    ti: WithJobDep,
    notebooks: NotebooksDep,
    files: FilesDep,
    *,
    user: GetUserDep,
    file_name: str,
    requested: JobName = None,
) -> Response:
    """Return one file, of whatever it is made: to be saved, never to be shown."""
    job = notebooks.jobs.find(ti, requested)
    found = files.find(ti, job, file_name)
    if found.has_log and not is_allowed(may_read_logs, request, user):
        raise HTTPException(403)
    opened = files.opened(ti, found)
    headers = saved_as(file_name.rpartition("/")[2]) | {"Content-Length": str(opened.file.size_bytes)}
    return StreamingResponse(opened.chunks, media_type="application/octet-stream", headers=headers)
