"""The page that compares two jobs, of one DAG or of two, and the jobs that the tab offers to compare with."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
import re
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response

from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.links import tab_path
from airflow_nbjobs.ui.access import GetUserDep, may_read_results, new_session, refuse_unreadable
from airflow_nbjobs.ui.compared_jobs import Looked, compared_facts, counted, verdict
from airflow_nbjobs.ui.compared_values import compared_rows, parameters_of_both
from airflow_nbjobs.ui.data.other_runs import read_other_runs
from airflow_nbjobs.ui.data.prices import read_prices
from airflow_nbjobs.ui.data.task_instance import Kind, NotebookTaskInstance
from airflow_nbjobs.ui.error_pages import as_json, root_of
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.jobs import Job
from airflow_nbjobs.ui.notebook.problems import MappedError, ProblemError
from airflow_nbjobs.ui.pages import UNSTORED, VisibleJSONResponse, page
from airflow_nbjobs.ui.rendering import SHOWN_MARK, THEME_MARK
from airflow_nbjobs.ui.routes.dependencies import (
    TASK,
    IfNoneMatch,
    JobName,
    NotebooksDep,
    TaskInstanceDep,
    link_marks,
    marked_answer,
    pushed_outputs,
    task_instance_of,
    with_job,
)
from airflow_nbjobs.ui.times import time_text

router = APIRouter()

_SIDES = ("left", "right")
_REF_CHARACTERS = 10_000  # three names of 250 characters, each written as up to twelve
RefText = Annotated[str, Query(max_length=_REF_CHARACTERS)]


class Ref(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an address says of one job.

    :param job: its name; None: the last one of the task instance.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: str
    job: str | None = None

    @property
    def text(self) -> str:
        parts = (self.dag_id, self.run_id, self.task_id, self.map_index, self.job)
        return "/".join(quote(part, safe="") for part in parts if part is not None)


def parse_ref(text: str) -> Ref | None:
    """Return what ``DAG_ID/RUN_ID/TASK_ID/MAP_INDEX[/JOB_NAME]`` names, each part percent-encoded; None for another text."""
    parts = [unquote(part) for part in text.split("/")]
    if len(parts) not in (4, 5) or not all(parts):
        return None
    return Ref(
        dag_id=parts[0], run_id=parts[1], task_id=parts[2], map_index=parts[3], job=parts[4] if parts[4:] else None
    )


def readable_refs(request: Request, user: GetUserDep, left: RefText, right: RefText) -> dict[str, Ref]:
    """Return the two jobs that an address names, each of a DAG whose results the user may read: asked before the database is."""
    found = {name: parse_ref(text) for name, text in zip(_SIDES, (left, right), strict=True)}
    wrong = [{"type": "value_error", "loc": ("query", name), "msg": "no job"} for name in _SIDES if found[name] is None]
    if wrong:
        raise RequestValidationError(wrong)
    refs = {name: ref for name, ref in found.items() if ref is not None}
    refuse_unreadable(request, user, dict.fromkeys(ref.dag_id for ref in refs.values()))
    return refs


ReadableRefs = Annotated[dict[str, Ref], Depends(readable_refs)]


def task_instances_of(refs: ReadableRefs) -> dict[str, NotebookTaskInstance]:
    return {name: _task_instance(name, ref) for name, ref in refs.items()}


def _task_instance(name: str, ref: Ref) -> NotebookTaskInstance:
    which = f"on the {name}: {ref.dag_id}, {ref.run_id}, {ref.task_id}"
    try:
        return task_instance_of(ref.dag_id, ref.run_id, ref.task_id, ref.map_index)
    except MappedError as error:
        raise ProblemError(problems.MAPPED, which) from error
    except ProblemError as error:
        raise ProblemError(error.problem, which) from error


TaskInstances = Annotated[dict[str, NotebookTaskInstance], Depends(task_instances_of)]


@router.get("/compare")
def compare(
    request: Request,
    refs: ReadableRefs,
    instances: TaskInstances,
    notebooks: NotebooksDep,
    *,
    differences: bool = False,
) -> Response:
    notebooks.renderer.warm_up()
    root = root_of(request)
    named = {name: _named(refs[name], of) for name, of in instances.items()}
    return page(
        "compare.html",
        "outside.js",
        "compare.js",
        sides=[
            {
                "name": name,
                "job_name": refs[name].job or (of.job or {}).get("job_name"),
                "tab": _tab(root, of, refs[name].job),
                "state": of.state or "none",
                "words": task_words(of.state, of.job),
                "of": of,
            }
            for name, of in instances.items()
        ],
        base=f"{root}/nbjobs/compare",
        here=_address(root, named["left"], named["right"]),
        swapped=_address(root, named["right"], named["left"]),
        is_same=refs["left"] == refs["right"],
        differences=differences,
    )


def _named(ref: Ref, of: NotebookTaskInstance) -> Ref:
    """Return what names its job, where there is one: after the next try, what names none means another."""
    job = (of.job or {}).get("job_name") if of.kind is not Kind.SENSOR else None
    is_name = isinstance(job, str) and re.fullmatch(r"[A-Za-z0-9-]{1,63}", job) is not None
    return msgspec.structs.replace(ref, job=ref.job or (job if is_name else None))


def _tab(root: str, of: NotebookTaskInstance, job: str | None) -> str:
    return f"{root}{tab_path(of.dag_id, of.run_id, of.task_id, of.map_index)}" + (f"?job={quote(job)}" if job else "")


def _address(root: str, left: Ref, right: Ref) -> str:
    return f"{root}/nbjobs/compare?left={quote(left.text, safe='')}&right={quote(right.text, safe='')}"


@router.get("/compare.json")
def compare_json(refs: ReadableRefs, instances: TaskInstances, notebooks: NotebooksDep) -> Response:
    looked = {name: _looked_at(notebooks, of, refs[name].job) for name, of in instances.items()}
    summary: dict[str, Any] = {}
    problem, tag = None, None
    if all(each.has_notebook for each in looked.values()):
        try:
            rendered = notebooks.compared(*(_shown(each) for each in looked.values()))
            tag, summary = rendered.tag, rendered.summary
        except ProblemError as error:
            problem = as_json(error.problem)
    sides = {name: summary.get(name) or _alone(notebooks, looked, name) for name in looked}
    answer = _answer(looked, sides, summary)
    missing = [each.problem for each in looked.values() if each.problem is not None]
    answer |= {
        "status": "ok",
        "tag": tag,
        "first": summary.get("first"),
        "problem": problem,
        "verdict": verdict(answer, summary, is_whole=not (problem or missing or answer["unknown"])),
        "is_passing": any(each.is_passing for each in looked.values()) or bool(problem and problem["is_passing"]),
    }
    return VisibleJSONResponse(answer, headers=UNSTORED)


def _alone(notebooks: Notebooks, looked: dict[str, Looked], name: str) -> dict[str, Any]:
    """Return what the one notebook says where the other job has none; nothing where it cannot be rendered, or both were to be compared."""
    if not looked[name].has_notebook or all(each.has_notebook for each in looked.values()):
        return {}
    try:
        return notebooks.rendered(*_shown(looked[name])).summary
    except ProblemError:
        return {}


def _answer(looked: dict[str, Looked], found: dict[str, dict[str, Any]], summary: dict[str, Any]) -> dict[str, Any]:
    both, sides = list(looked.values()), list(found.values())
    parameters = parameters_of_both(
        [side.get("parameters") for side in sides],
        [None if each.is_earlier else each.ti.rendered.get("parameters") for each in both],
        [each.job.snapshot.hyperparameters if each.job else None for each in both],
    )
    # Of an earlier job Airflow knows none any more.
    outputs = [
        side.get("outputs") if each.is_earlier else pushed_outputs(each.ti)
        for each, side in zip(both, sides, strict=True)
    ]
    facts = compared_facts(both, sides, read_prices())
    answer: dict[str, Any] = {
        "facts": facts,
        "parameters": compared_rows(*parameters),
        "outputs": compared_rows(*outputs),
        "unknown": [
            {"side": name, "what": what}
            for what, lists in (("parameters", parameters), ("outputs", outputs))
            for name, rows in zip(looked, lists, strict=True)
            if rows is None and any(lists)
        ],
        "missing": [
            {"side": name} | as_json(each.problem) for name, each in looked.items() if each.problem is not None
        ],
        "has_cost": any(row["name"] == "cost" for row in facts),
    }
    return answer | {"counts": counted(answer, summary)}


def _looked_at(notebooks: Notebooks, ti: NotebookTaskInstance, requested: str | None) -> Looked:
    """Return what there is of one job to compare, and why there is no more."""
    try:
        job = _job(notebooks, ti, requested)
    except ProblemError as error:
        return Looked(ti=ti, problem=error.problem)
    try:
        notebooks.source(ti, job)
    except ProblemError as error:
        return Looked(ti=ti, job=job, problem=error.problem)
    return Looked(ti=ti, job=job)


def _job(notebooks: Notebooks, ti: NotebookTaskInstance, requested: str | None) -> Job:
    job = notebooks.jobs.find(with_job(ti, requested), requested)
    if requested is not None and job.name != requested:
        raise ProblemError(
            problems.NO_SUCH_JOB, requested
        )  # the tab would show another; here that would be a wrong answer
    return job


def _shown(looked: Looked) -> tuple[NotebookTaskInstance, Job]:
    if looked.job is None:
        raise ProblemError(looked.problem or problems.NOT_STARTED)
    return looked.ti, looked.job


@router.get("/compare.html")
def compare_html(
    request: Request,
    refs: ReadableRefs,
    instances: TaskInstances,
    notebooks: NotebooksDep,
    *,
    theme: Literal["light", "dark"] = "light",
    differences: bool = False,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return the cells of both notebooks, for the sandboxed frame."""
    both = [(of, _job(notebooks, of, refs[name].job)) for name, of in instances.items()]
    shown = "differences" if differences else "all"
    marks = {THEME_MARK: theme, SHOWN_MARK: shown, **link_marks(request)}
    opened = notebooks.opened_comparison(*both)
    return marked_answer(*opened, variant=f"{theme}-{shown}", marks=marks, if_none_match=if_none_match)


@router.get(TASK + "/others.json", dependencies=[may_read_results])
def others_json(request: Request, ti: TaskInstanceDep, notebooks: NotebooksDep, requested: JobName = None) -> Response:
    """Return the jobs that the tab offers to compare the shown one with: the last run before it that succeeded comes first."""
    with new_session() as session:
        runs = read_other_runs(session, ti)
    root = root_of(request)
    own = Ref(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=str(ti.map_index), job=requested)
    named = _named(own, ti)
    others = []
    last = runs.last_success
    for run in ([last] if last else []) + [run for run in runs.nearest if last is None or run.run_id != last.run_id]:
        other = Ref(dag_id=ti.dag_id, run_id=run.run_id, task_id=ti.task_id, map_index=str(ti.map_index))
        others.append(
            {
                "label": "The last run before this that succeeded" if run is last else "",
                "run_id": run.run_id,
                "state": run.state or "none",
                "words": task_words(run.state),
                "moment": time_text(run.moment),
                "address": _address(root, other, named) if run.is_before else _address(root, named, other),
            }
        )
    return VisibleJSONResponse(
        {"status": "ok", "others": others, "jobs": _other_jobs(notebooks, ti, own, root)}, headers=UNSTORED
    )


def _other_jobs(notebooks: Notebooks, ti: NotebookTaskInstance, own: Ref, root: str) -> list[dict[str, str]]:
    """Return the other jobs of the task instance itself, newest first."""
    if ti.kind is Kind.SENSOR or not (ti.job or ti.attempts):
        return []
    try:
        names = [name for name, _ in notebooks.jobs.names(ti)]
    except ProblemError:  # the tab itself tells of a connection that is wrong
        return []
    shown = names.index(own.job) if own.job in names else 0
    named = [msgspec.structs.replace(own, job=name) for name in names]
    return [
        {
            "label": f"Job {len(names) - place} of {len(names)} of this task",
            "address": _address(root, *((named[shown], ref) if place < shown else (ref, named[shown]))),
        }
        for place, ref in enumerate(named)
        if place != shown
    ]
