"""
What the routes of a task instance share: which one an address names, and how an answer is kept and named.

Used by the modules of routes beside it.
"""

# No `from __future__ import annotations`: FastAPI reads annotations when routes are declared.
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, BinaryIO, Literal
from urllib.parse import quote

from fastapi import Depends, Header, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse

from airflow_nbjobs.core.csv_text import csv_chunks
from airflow_nbjobs.ui.access import new_session
from airflow_nbjobs.ui.data.queries import read_instances, read_outputs, read_task_instance
from airflow_nbjobs.ui.data.task_instance import Kind, NotebookTaskInstance
from airflow_nbjobs.ui.error_pages import root_of
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.executed import Notebooks, Rendered
from airflow_nbjobs.ui.notebook.problems import MappedError, ProblemError
from airflow_nbjobs.ui.pages import HEADERS, NOTEBOOK_POLICY, TEXT_POLICY, UNSTORED, marked
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK
from airflow_nbjobs.ui.views import output_rows

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


def saved_as(name: str) -> dict[str, str]:
    """Return the headers of a file that is saved, and never shown as a page of ours."""
    return UNSTORED | {"Content-Security-Policy": TEXT_POLICY, "Content-Disposition": attachment(name)}


def csv_answer(name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    return StreamingResponse(csv_chunks(heads, rows), media_type="text/csv; charset=utf-8", headers=saved_as(name))


def refuse_left_out(left_out: Mapping[str, str]) -> None:
    """
    Refuse a file of which a filter is not understood: it would hold more than was asked for, and a file has no place to say so.

    :param left_out: of ``filters.read_query``.
    :raises HTTPException: something is.
    """
    if left_out:
        said = ", ".join(f"{name}={value}" for name, value in left_out.items())
        raise HTTPException(400, f"Not understood, so that no file was made: {said}")


def pushed_outputs(ti: NotebookTaskInstance) -> list[dict[str, str]]:
    with new_session() as session:
        return output_rows(*read_outputs(session, ti))


def base_of(request: Request, ti: NotebookTaskInstance) -> str:
    parts = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index))
    return f"{root_of(request)}/nbjobs/ti/" + "/".join(quote(part, safe="") for part in parts)


class Document:
    """A rendered notebook, as an address asks for it: for a frame that runs no script, or as a file."""

    def __init__(
        self,
        request: Request,
        ti: WithJobDep,
        notebooks: NotebooksDep,
        *,
        requested: JobName = None,
        theme: Theme = "light",
        download: bool = False,
        if_none_match: IfNoneMatch = None,
    ) -> None:
        self._request, self._ti, self._notebooks = request, ti, notebooks
        self._requested, self._theme = requested, theme
        self._is_file, self._if_none_match = download, if_none_match

    def answer(self, name: str, *, file_ending: str) -> Response:
        """
        Return it.

        :param name: of the document, as the rendering left it.
        :param file_ending: of the file's name, after the job's.
        """
        job = self._notebooks.jobs.find(self._ti, self._requested)
        opened = self._notebooks.opened_document(self._ti, job, name)
        # In a file of the reader's own a link is a link.
        links = {f"{LINK_MARK}#": ""} if self._is_file else link_marks(self._request)
        return marked_answer(
            *opened,
            variant=f"{name.partition('.')[0]}-{self._theme}",
            marks={THEME_MARK: self._theme} | links,
            headers={"Content-Disposition": attachment(job.name + file_ending)} if self._is_file else {},
            if_none_match=self._if_none_match,
        )


DocumentDep = Annotated[Document, Depends(Document)]


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
