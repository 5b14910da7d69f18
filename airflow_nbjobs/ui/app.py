"""
The routes, each behind Airflow's own permission for its DAG.

Built by ``plugin.LazyApp`` at the first request. Every route is a plain function, which FastAPI runs in its thread pool: neither the database nor
AWS nor the rendering holds up the API server's event loop.
"""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from msgspec.structs import asdict

from airflow_nbjobs.core.job.variables import NOTEBOOK_DIGEST_VARIABLE
from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.core.watch.log_place import readable_log
from airflow_nbjobs.settings import read_prices
from airflow_nbjobs.ui.access import GetUserDep, may_read_logs, may_read_results, new_session, readable_dag_ids
from airflow_nbjobs.ui.data.listing import STATES, list_jobs, read_filters
from airflow_nbjobs.ui.data.queries import read_instances, read_outputs, read_task_instance
from airflow_nbjobs.ui.data.task_instance import Kind, NotebookTaskInstance
from airflow_nbjobs.ui.error_pages import add_error_pages, as_json, root_of
from airflow_nbjobs.ui.notebook import failure, problems
from airflow_nbjobs.ui.notebook.aws_access import airflow_access
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.jobs import Job
from airflow_nbjobs.ui.notebook.problems import MappedError, ProblemError
from airflow_nbjobs.ui.notebook.renderer import Renderer
from airflow_nbjobs.ui.notebook.sources import Source
from airflow_nbjobs.ui.pages import (
    HEADERS,
    NO_CONNECTIONS,
    NOTEBOOK_POLICY,
    SCRIPTED_POLICY,
    TEXT_POLICY,
    UNSTORED,
    VisibleJSONResponse,
    link_page,
    marked,
    page,
)
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK
from airflow_nbjobs.ui.views import earlier_note, facts_of_hint, facts_of_job, live_facts, output_rows, parameter_rows

_LOG_LINES = 10_000  # GetLogEvents returns no more at a time
_CHUNK_BYTES = 256 * 1024
_TASK = "/ti/{dag_id}/{run_id}/{task_id}/{map_index}"

router = APIRouter()


def build_app(notebooks: Notebooks | None = None) -> FastAPI:
    """
    Return the app.

    :param notebooks: default: of this process, with Airflow's connections.
    """
    app = FastAPI(title="Notebook jobs", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.notebooks = notebooks or Notebooks(airflow_access, Renderer())
    app.include_router(router)
    add_error_pages(app)
    return app


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


@router.get(_TASK, dependencies=[may_read_results])
def tab(ti: TaskInstanceDep, notebooks: NotebooksDep, request: Request, requested: JobName = None) -> Response:
    notebooks.renderer.warm_up()
    facts = facts_of_hint(ti, read_prices())
    # Of an earlier job nothing is known before its own notebook is read.
    is_current = requested in (None, facts["job_name"])
    failed = failure.of_record(ti.last_error)
    known = {
        "failure": asdict(failed) if failed and is_current else None,
        "parameters": parameter_rows(None, ti.rendered.get("parameters")) if is_current else [],
        "outputs": _pushed_outputs(ti) if is_current else [],
    }
    return page(
        "tab.html",
        script="tab.js",
        ti=ti,
        words=task_words(ti.state, ti.job),
        facts=facts if is_current else dict.fromkeys(facts) | {"job_name": requested},
        known=json.loads(visible(json.dumps(known, ensure_ascii=False))),
        base=_base(request, ti),
        requested=requested,
    )


@router.get(_TASK + "/notebook.json", dependencies=[may_read_results])
def notebook_json(
    ti: TaskInstanceDep, notebooks: NotebooksDep, requested: JobName = None, if_none_match: IfNoneMatch = None
) -> Response:
    answer: dict[str, Any] = {"attempts": _attempts(notebooks, ti)}
    try:
        job = notebooks.jobs.find(with_job(ti, requested), requested)
        pushed = [] if job.is_earlier else _pushed_outputs(ti)
        answer |= _facts(notebooks, ti, job) | _values(ti, job, None, pushed)
        rendered = notebooks.rendered(ti, job)
        answer |= {"status": "ok", "tag": rendered.tag, "notebook": rendered.summary}
        answer |= _values(ti, job, rendered.summary, pushed)
    except ProblemError as error:
        return VisibleJSONResponse(answer | as_json(error.problem), headers=HEADERS | {"Cache-Control": "no-store"})
    # Of the whole answer: how the task ended is in it as well.
    etag = f'"{hashlib.sha256(json.dumps(answer).encode()).hexdigest()[:32]}"'
    if if_none_match == etag:
        return Response(status_code=304, headers=_cached(etag))
    return VisibleJSONResponse(answer, headers=HEADERS | _cached(etag))


def _facts(notebooks: Notebooks, ti: NotebookTaskInstance, job: Job) -> dict[str, Any]:
    failed = failure.of_job(ti, job.snapshot, is_earlier=job.is_earlier)
    facts = facts_of_job(
        job.snapshot,
        read_prices(),
        sha256=job.snapshot.environment.get(NOTEBOOK_DIGEST_VARIABLE),
        try_number=None if job.is_earlier else ti.try_number,
    )
    return {
        "facts": facts,
        "live": live_facts(job.snapshot),
        "links": notebooks.jobs.links(ti, job),
        "earlier": earlier_note(ti.state) if job.is_earlier else None,
        "failure": asdict(failed) if failed else None,
    }


def _pushed_outputs(ti: NotebookTaskInstance) -> list[dict[str, str]]:
    with new_session() as session:
        return output_rows(*read_outputs(session, ti))


def _values(
    ti: NotebookTaskInstance, job: Job, summary: dict[str, Any] | None, pushed: list[dict[str, str]]
) -> dict[str, Any]:
    """Return the shown job's own parameters and outputs; the outputs that the task has pushed are the last job's."""
    rendered = None if job.is_earlier else ti.rendered.get("parameters")
    return {
        "parameters": parameter_rows(summary, rendered, job.snapshot.hyperparameters),
        "outputs": (summary or {}).get("outputs", []) if job.is_earlier else pushed,
    }


@router.get(_TASK + "/notebook.html", dependencies=[may_read_results])
def notebook_html(
    request: Request,
    ti: WithJobDep,
    notebooks: NotebooksDep,
    *,
    requested: JobName = None,
    theme: Literal["light", "dark"] = "light",
    download: bool = False,
    if_none_match: IfNoneMatch = None,
) -> Response:
    job = notebooks.jobs.find(ti, requested)
    rendered, document = notebooks.opened_document(ti, job)
    etag = f'"{rendered.tag}-{theme}"'
    if if_none_match == etag:
        document.close()
        return Response(status_code=304, headers=_cached(etag))
    headers = HEADERS | _cached(etag) | {"Content-Security-Policy": NOTEBOOK_POLICY}
    if download:
        headers["Content-Disposition"] = _attachment(f"{job.name}.html")
    # In a file of the reader's own a link is a link.
    marks = {THEME_MARK: theme} | (
        {f"{LINK_MARK}#": ""} if download else {LINK_MARK: f"{root_of(request)}/nbjobs/link.html"}
    )
    return StreamingResponse(marked(document, marks), media_type="text/html; charset=utf-8", headers=headers)


@router.get(_TASK + "/scripted.html", dependencies=[may_read_results])
def scripted_html(
    ti: WithJobDep,
    notebooks: NotebooksDep,
    *,
    requested: JobName = None,
    theme: Literal["light", "dark"] = "light",
    sec_fetch_dest: Annotated[str | None, Header()] = None,
) -> Response:
    """
    Return the notebook with the scripts of its outputs, for a frame that may run them and reach no network.

    Only a frame of ours is answered (the policy names who may frame it): a link to this address must not run what nobody has asked for.
    """
    if sec_fetch_dest != "iframe":
        raise ProblemError(problems.NO_SCRIPTS)
    _, document = notebooks.opened_document(ti, notebooks.jobs.find(ti, requested), "scripted.html")
    headers = UNSTORED | NO_CONNECTIONS | {"Content-Security-Policy": SCRIPTED_POLICY}
    # A script could click a link and say that a reader did: here links lead nowhere.
    marks = {THEME_MARK: theme, LINK_MARK: ""}
    return StreamingResponse(marked(document, marks), media_type="text/html; charset=utf-8", headers=headers)


@router.get("/link.html")
def link() -> Response:
    """
    Return the page that a link out of a notebook leads to, within the notebook's frame: it tells the page around that of the address after ``#``.

    It holds nothing, and asks nobody who they are: a browser does not say so for a frame whose page has no origin.
    """
    return link_page()


@router.get(_TASK + "/probe.html", dependencies=[may_read_results])
def probe(ti: TaskInstanceDep) -> Response:  # noqa: ARG001 - decides who may ask
    """Return a page that tells the one around it whether this browser keeps a page that may connect to nothing off the network."""
    answer = page("probe.html", script="probe.js")
    answer.headers.update(NO_CONNECTIONS)
    return answer


@router.get(_TASK + "/notebook.ipynb", dependencies=[may_read_results])
def notebook_file(ti: WithJobDep, notebooks: NotebooksDep, requested: JobName = None) -> Response:
    job = notebooks.jobs.find(ti, requested)
    file = notebooks.notebook_file(ti, job)
    headers = UNSTORED | {
        "Content-Security-Policy": TEXT_POLICY,
        "Content-Disposition": _attachment(f"{job.name}.ipynb"),
    }
    opened = ExitStack()  # before the answer begins: an error is another answer
    body = opened.enter_context(notebooks.opened(ti, file) if isinstance(file, Source) else file)

    def chunks() -> Iterator[bytes]:
        with opened:
            while chunk := body.read(_CHUNK_BYTES):
                yield chunk

    return StreamingResponse(chunks(), media_type="application/x-ipynb+json", headers=headers)


@router.get(_TASK + "/log", dependencies=[may_read_logs])
def container_log(ti: WithJobDep, notebooks: NotebooksDep, requested: JobName = None) -> Response:
    job = notebooks.jobs.find(ti, requested)
    lines = notebooks.jobs.log_lines(ti, job, limit=_LOG_LINES)
    text = "\n".join(lines) if lines else "CloudWatch has no log of this job (yet)."
    headers = UNSTORED | {"Content-Security-Policy": TEXT_POLICY}
    return PlainTextResponse(visible(text) + "\n", headers=headers)


@router.get(_TASK + "/log.json", dependencies=[may_read_logs])
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


@router.get(_TASK + "/state.json", dependencies=[may_read_results])
def state_json(ti: TaskInstanceDep) -> Response:
    """Return what tells the page that it is out of date: from the database alone."""
    job = ti.job or {}
    answer = {
        "state": ti.state,
        "try_number": ti.try_number,
        "is_finished": ti.is_finished,
        "job_name": job.get("job_name"),
        "has_ended": ti.end is not None,
    }
    return VisibleJSONResponse(answer, headers=UNSTORED)


@router.get("/jobs", dependencies=[may_read_results])
def jobs(request: Request, user: GetUserDep) -> Response:
    filters, left_out = read_filters(request.query_params)
    prices = read_prices()
    with new_session() as session:
        listing = list_jobs(session, filters, readable=readable_dag_ids(user), prices=prices)
    return page(
        "jobs.html",
        script="jobs.js",
        listing=listing,
        filters=filters,
        left_out=left_out,
        states=STATES,
        has_costs=bool(prices.per_hour),
        root=root_of(request),
    )


def _attempts(notebooks: Notebooks, ti: NotebookTaskInstance) -> list[dict[str, str]]:
    """Return the jobs to choose from, newest first; a last try that had none is a choice as well."""
    if ti.kind is Kind.SENSOR or not (ti.job or ti.attempts):
        return []
    try:
        names = notebooks.jobs.names(ti)
    except ProblemError:  # the answer itself tells of a connection that is wrong
        return []
    none = [{"job_name": "", "label": "Last try, without a job"}] if ti.job is None and ti.last_error else []
    total = len(names)
    return none + [
        {"job_name": name, "label": f"Job {total - place} of {total}"} for place, (name, _) in enumerate(names)
    ]


def _cached(etag: str) -> dict[str, str]:
    # Kept by the browser, but asked for each time: the permission may have been taken away.
    return {"ETag": etag, "Cache-Control": "private, no-cache"}


def _attachment(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name)}"


def _base(request: Request, ti: NotebookTaskInstance) -> str:
    parts = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index))
    return f"{root_of(request)}/nbjobs/ti/" + "/".join(quote(part, safe="") for part in parts)
