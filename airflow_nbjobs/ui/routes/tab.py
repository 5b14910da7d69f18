"""The tab of a task instance: the page, and what it asks for."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse
from msgspec.structs import asdict

from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui.access import may_read_results
from airflow_nbjobs.ui.data.prices import read_prices
from airflow_nbjobs.ui.data.task_instance import Kind, NotebookTaskInstance
from airflow_nbjobs.ui.error_pages import as_json
from airflow_nbjobs.ui.notebook import failure, problems
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.jobs import Job
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.notebook.sources import Source
from airflow_nbjobs.ui.pages import (
    HEADERS,
    NO_CONNECTIONS,
    SCRIPTED_POLICY,
    TAB_SCRIPTS,
    UNSTORED,
    VisibleJSONResponse,
    link_page,
    marked,
    page,
)
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK
from airflow_nbjobs.ui.routes.dependencies import (
    TASK,
    DocumentDep,
    IfNoneMatch,
    JobName,
    NotebooksDep,
    TaskInstanceDep,
    Theme,
    WithJobDep,
    base_of,
    cached,
    pushed_outputs,
    saved_as,
    with_job,
)
from airflow_nbjobs.ui.views import earlier_note, facts_of_hint, facts_of_job, live_facts, parameter_rows

_CHUNK_BYTES = 256 * 1024

router = APIRouter()


@router.get(TASK, dependencies=[may_read_results])
def tab(ti: TaskInstanceDep, notebooks: NotebooksDep, request: Request, requested: JobName = None) -> Response:
    notebooks.renderer.warm_up()
    facts = facts_of_hint(ti, read_prices())
    # Of an earlier job nothing is known before its own notebook is read.
    is_current = requested in (None, facts["job_name"])
    failed = failure.of_record(ti.last_error)
    known = {
        "failure": asdict(failed) if failed and is_current else None,
        "parameters": parameter_rows(None, ti.rendered.get("parameters")) if is_current else [],
        "outputs": pushed_outputs(ti) if is_current else [],
    }
    return page(
        "tab.html",
        *TAB_SCRIPTS,
        ti=ti,
        words=task_words(ti.state, ti.job),
        facts=facts if is_current else dict.fromkeys(facts) | {"job_name": requested},
        known=json.loads(visible(json.dumps(known, ensure_ascii=False))),
        base=base_of(request, ti),
        requested=requested,
    )


@router.get(TASK + "/notebook.json", dependencies=[may_read_results])
def notebook_json(
    ti: TaskInstanceDep, notebooks: NotebooksDep, requested: JobName = None, if_none_match: IfNoneMatch = None
) -> Response:
    answer: dict[str, Any] = {"attempts": _attempts(notebooks, ti)}
    try:
        job = notebooks.jobs.find(with_job(ti, requested), requested)
        pushed = [] if job.is_earlier else pushed_outputs(ti)
        answer |= _facts(notebooks, ti, job) | _values(ti, job, None, pushed)
        rendered = notebooks.rendered(ti, job)
        shown = {name: value for name, value in rendered.summary.items() if name != "spans"}  # of machine.json
        answer |= {"status": "ok", "tag": rendered.tag, "notebook": shown}
        answer |= _values(ti, job, rendered.summary, pushed)
    except ProblemError as error:
        return VisibleJSONResponse(answer | as_json(error.problem), headers=HEADERS | {"Cache-Control": "no-store"})
    # Of the whole answer: how the task ended is in it as well.
    etag = f'"{hashlib.sha256(json.dumps(answer).encode()).hexdigest()[:32]}"'
    if if_none_match == etag:
        return Response(status_code=304, headers=cached(etag))
    return VisibleJSONResponse(answer, headers=HEADERS | cached(etag))


def _facts(notebooks: Notebooks, ti: NotebookTaskInstance, job: Job) -> dict[str, Any]:
    failed = failure.of_job(ti, job.snapshot, is_earlier=job.is_earlier)
    facts = facts_of_job(job.snapshot, read_prices(), try_number=None if job.is_earlier else ti.try_number)
    return {
        "facts": facts,
        "live": live_facts(job.snapshot),
        "links": notebooks.jobs.links(ti, job),
        "earlier": earlier_note(ti.state) if job.is_earlier else None,
        "failure": asdict(failed) if failed else None,
    }


def _values(
    ti: NotebookTaskInstance, job: Job, summary: dict[str, Any] | None, pushed: list[dict[str, str]]
) -> dict[str, Any]:
    """Return the shown job's own parameters and outputs; the outputs that the task has pushed are the last job's."""
    rendered = None if job.is_earlier else ti.rendered.get("parameters")
    return {
        "parameters": parameter_rows(summary, rendered, job.snapshot.hyperparameters),
        "outputs": (summary or {}).get("outputs", []) if job.is_earlier else pushed,
    }


@router.get(TASK + "/notebook.html", dependencies=[may_read_results])
def notebook_html(document: DocumentDep) -> Response:
    return document.answer("document.html", file_ending=".html")


@router.get(TASK + "/scripted.html", dependencies=[may_read_results])
def scripted_html(
    ti: WithJobDep,
    notebooks: NotebooksDep,
    *,
    requested: JobName = None,
    theme: Theme = "light",
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


@router.get(TASK + "/probe.html", dependencies=[may_read_results])
def probe(ti: TaskInstanceDep) -> Response:  # noqa: ARG001 - decides who may ask
    """Return a page that tells the one around it whether this browser keeps a page that may connect to nothing off the network."""
    answer = page("probe.html", "probe.js")
    answer.headers.update(NO_CONNECTIONS)
    return answer


@router.get(TASK + "/notebook.ipynb", dependencies=[may_read_results])
def notebook_file(ti: WithJobDep, notebooks: NotebooksDep, requested: JobName = None) -> Response:
    job = notebooks.jobs.find(ti, requested)
    file = notebooks.notebook_file(ti, job)
    opened = ExitStack()  # before the answer begins: an error is another answer
    body = opened.enter_context(notebooks.opened(ti, file) if isinstance(file, Source) else file)

    def chunks() -> Iterator[bytes]:
        with opened:
            while chunk := body.read(_CHUNK_BYTES):
                yield chunk

    return StreamingResponse(chunks(), media_type="application/x-ipynb+json", headers=saved_as(f"{job.name}.ipynb"))


@router.get(TASK + "/state.json", dependencies=[may_read_results])
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
