"""
What the routes of a task instance share: which one an address names, and how an answer is kept and named.

Used by the modules of routes beside it.
"""

# No `from __future__ import annotations`: FastAPI reads annotations when routes are declared.
import re
from collections.abc import Mapping
from typing import Annotated, BinaryIO, Literal
from urllib.parse import quote

from fastapi import Depends, Header, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse

from airflow_nbjobs.ui.access import new_session
from airflow_nbjobs.ui.data.queries import read_instances, read_task_instance
from airflow_nbjobs.ui.data.task_instance import Kind, NotebookTaskInstance
from airflow_nbjobs.ui.error_pages import root_of
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.executed import Notebooks, Rendered
from airflow_nbjobs.ui.notebook.jobs import Job
from airflow_nbjobs.ui.notebook.problems import MappedError, ProblemError
from airflow_nbjobs.ui.pages import HEADERS, NOTEBOOK_POLICY, marked
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK

TASK = "/ti/{dag_id}/{run_id}/{task_id}/{map_index}"


def notebooks_of(request: Request) -> Notebooks:
    found: Notebooks = request.app.state.notebooks
    return found


def task_instance_of(dag_id: str, run_id: str, task_id: str, map_index: str) -> NotebookTaskInstance:
    # Airflow's UI leaves the placeholder in the address of a task that is not mapped.
    index = int(map_index) if re.fullmatch(r"\d{1,9}", map_index) else -1
    task = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    if "\0" in dag_id + run_id + task_id:  # PostgreSQL's driver refuses to send it
        raise ProblemError(problems.NO_INSTANCE)
    with new_session() as session:
        ti = read_task_instance(session, **task, map_index=index)
        kind, instances = read_instances(session, **task) if ti is None and index < 0 else (Kind.OTHER, [])
    if instances and kind is Kind.OTHER:
        raise ProblemError(problems.NOT_A_NOTEBOOK)
    if instances:
        raise MappedError(dag_id, run_id, task_id, instances)
    if ti is None:
        raise ProblemError(problems.NO_INSTANCE)
    if ti.kind is Kind.OTHER:
        raise ProblemError(problems.NOT_A_NOTEBOOK)
    return ti


TaskInstanceDep = Annotated[NotebookTaskInstance, Depends(task_instance_of)]
NotebooksDep = Annotated[Notebooks, Depends(notebooks_of)]
JobName = Annotated[str | None, Query(alias="job", max_length=63)]


def with_job(ti: TaskInstanceDep, requested: JobName = None) -> NotebookTaskInstance:
    # Where the last try failed without a job, an earlier job is shown only where the address names it.
    if ti.job is None and (not ti.attempts or (ti.last_error is not None and not requested)):
        no_job = problems.no_job(ti.state, has_error=ti.last_error is not None)
        raise ProblemError(no_job if ti.is_finished else problems.NOT_STARTED)
    return ti


WithJobDep = Annotated[NotebookTaskInstance, Depends(with_job)]
IfNoneMatch = Annotated[str | None, Header()]
Theme = Literal["light", "dark"]


def cached(etag: str) -> dict[str, str]:
    # Kept by the browser, but asked for each time: the permission may have been taken away.
    return {"ETag": etag, "Cache-Control": "private, no-cache"}


def attachment(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name)}"


def refuse_left_out(left_out: Mapping[str, str]) -> None:
    """
    Refuse a file of which a filter is not understood: it would hold more than was asked for, and a file has no place to say so.

    :param left_out: of ``filters.read_query``.
    :raises HTTPException: something is.
    """
    if left_out:
        said = ", ".join(f"{name}={value}" for name, value in left_out.items())
        raise HTTPException(400, f"Not understood, so that no file was made: {said}")


def base_of(request: Request, ti: NotebookTaskInstance) -> str:
    parts = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index))
    return f"{root_of(request)}/nbjobs/ti/" + "/".join(quote(part, safe="") for part in parts)


def document_answer(
    request: Request,
    notebooks: Notebooks,
    ti: NotebookTaskInstance,
    job: Job,
    name: str,
    *,
    theme: Theme,
    download_as: str | None,
    if_none_match: str | None,
) -> Response:
    """
    Return a rendered notebook for a frame that runs no script, or as a file.

    :param name: of the document, as the rendering left it.
    :param download_as: the file's name; None: for the frame.
    """
    opened = notebooks.opened_document(ti, job, name)
    # In a file of the reader's own a link is a link.
    marks = {THEME_MARK: theme} | ({f"{LINK_MARK}#": ""} if download_as else link_marks(request))
    saved = {"Content-Disposition": attachment(download_as)} if download_as else {}
    return marked_answer(
        *opened, variant=f"{name.partition('.')[0]}-{theme}", marks=marks, headers=saved, if_none_match=if_none_match
    )


def link_marks(request: Request) -> dict[str, str]:
    """Return what sends a notebook's links to the page that asks before it leaves."""
    return {LINK_MARK: f"{root_of(request)}/nbjobs/link.html"}


def marked_answer(
    rendered: Rendered,
    document: BinaryIO,
    *,
    variant: str,
    marks: dict[str, str],
    headers: Mapping[str, str] | None = None,
    if_none_match: str | None,
) -> Response:
    """
    Return a rendered document, under the policy of one that a notebook wrote.

    :param document: read to its end, or closed.
    :param variant: what tells it from the others of the same tag.
    :param marks: what stands in it for what.
    """
    etag = f'"{rendered.tag}-{variant}"'
    if if_none_match == etag:
        document.close()
        return Response(status_code=304, headers=cached(etag))
    sent = {**HEADERS, **cached(etag), "Content-Security-Policy": NOTEBOOK_POLICY, **(headers or {})}
    return StreamingResponse(marked(document, marks), media_type="text/html; charset=utf-8", headers=sent)
