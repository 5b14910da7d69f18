"""
A plan as text for a person.

Called by ``__init__.py``; pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_nbjobs.commands.plan.dags import shown_path
from airflow_nbjobs.commands.wording import size_text
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.ui.times import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_nbjobs.commands.plan.records import DagPlan, Estimate, File, Parameter, Plan, TaskPlan

_MOST_CHARACTERS = 60  # of a value in a table
_MOST_FILES = 12
_NOTHING = "-"


def plan_text(plan: Plan) -> str:
    lines: list[str] = []
    for problem in plan.file_problems:
        lines += [f"✘ {shown_path(problem.file)}", *_indented(problem.text.splitlines()), ""]
    for dag in plan.dags:
        lines += [*_dag_lines(dag), ""]
    for notebook in plan.notebooks:
        lines += [*_task_lines(notebook), ""]
    return "\n".join([*lines, _summary(plan)])


def _summary(plan: Plan) -> str:
    tasks = len(plan.notebooks) + sum(len({task.task_id for task in dag.tasks}) for dag in plan.dags)
    counts = [
        _count(tasks, "notebook" if plan.notebooks and not plan.dags else "task"),
        _count(plan.problem_count, "problem"),
        _count(plan.warning_count, "warning"),
    ]
    return ", ".join(counts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _dag_lines(dag: DagPlan) -> Iterator[str]:
    tasks = len({task.task_id for task in dag.tasks})
    others = f", {dag.other_tasks} without" if dag.other_tasks else ""
    yield f"DAG {dag.dag_id} ({shown_path(dag.file)}): {_count(tasks, 'task')} with a notebook{others}"
    yield from _indented(_run_lines(dag))
    yield from _indented(_found((), dag.warnings, ()))
    shared = _shared(dag.tasks)
    yield from _indented(_found((), (), shared))
    for task in dag.tasks:
        yield ""
        yield from _task_lines(task, said=shared)


def _shared(tasks: Sequence[TaskPlan]) -> list[str]:
    """Return what is not known of every task that runs a notebook: it is said once."""
    notebooks = [task for task in tasks if task.kind == "notebook"]
    if len(notebooks) < 2:
        return []
    return [text for text in notebooks[0].not_known if all(text in task.not_known for task in notebooks)]


def _run_lines(dag: DagPlan) -> Iterator[str]:
    run = dag.run
    if run.logical_date is not None:
        interval = (
            f", data interval {run.data_interval_start} to {run.data_interval_end}" if run.data_interval_start else ""
        )
        yield f"run: {run.run_id or 'by hand'}, logical date {run.logical_date}{interval}"
    if run.conf:
        yield f"conf: {json.dumps(run.conf)}"
    if dag.backfill_runs is not None:
        yield f"backfill: {_runs(dag.backfill_runs, has_more=dag.has_more_backfill_runs)}"
    if dag.catchup_runs:
        yield f"catchup: {_runs(dag.catchup_runs, has_more=dag.has_more_catchup_runs)} as soon as the DAG is unpaused"


def _runs(number: int, *, has_more: bool) -> str:
    return f"more than {number:,} runs" if has_more else _count(number, "run")


def _task_lines(task: TaskPlan, *, said: Sequence[str] = ()) -> Iterator[str]:
    name = task.task_id + ("" if task.map_index is None else f" [{task.map_index}]")
    if task.kind == "sensor":
        what = "waits for a job, starts none"
    elif task.notebook is None:
        what = "the notebook is not known"
    else:
        what = shown_path(task.notebook) + (f", kernel {task.kernel}" if task.kernel else "")
    yield f"{'✘' if task.problems else '✔'} {name}: {what}"
    yield from _indented(_table(task.parameters))
    yield from _indented(_file_lines(task.files))
    yield from _indented(_output_lines(task))
    not_known = [text for text in task.not_known if text not in said]
    yield from _indented(_found(task.problems, task.warnings, not_known))
    if task.estimate is not None:
        yield from _indented([_estimate_text(task.estimate)])
    if task.request is not None:
        yield from _indented(
            ["request:", *_indented(json.dumps(task.request, indent=2, ensure_ascii=False).splitlines())]
        )


def _table(parameters: Sequence[Parameter]) -> Iterator[str]:
    if not parameters:
        return
    rows = [("parameter", "type", "default", "given")]
    for each in parameters:
        given = _NOTHING if each.given is None else shortened(each.given, _MOST_CHARACTERS)
        given = given if each.is_known else f"? {given}"
        default = "needed" if each.default is None and each.type is not None else each.default or _NOTHING
        rows.append((each.name, each.type or "any", shortened(default, _MOST_CHARACTERS), given))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[3]]).rstrip()


def _file_lines(files: Sequence[File]) -> Iterator[str]:
    if not files:
        return
    shown = [
        f"{file.name} {'(in S3)' if file.bytes is None else size_text(file.bytes)}" for file in files[:_MOST_FILES]
    ]
    more = len(files) - _MOST_FILES
    sizes = [file.bytes for file in files if file.bytes is not None]
    total = f" = {size_text(sum(sizes))}" if len(files) > 1 else ""
    yield f"files: {', '.join(shown)}{f', and {more} more' if more > 0 else ''}{total}"


def _output_lines(task: TaskPlan) -> Iterator[str]:
    notebook = None if task.notebook is None else task.notebook.rpartition("/")[2]
    for output in task.outputs:
        kind = f" ({output.type})" if output.type else ""
        if output.cell is None:
            where = "" if task.kind == "sensor" else ": no cell assigns it in plain Python"
        else:
            of = "" if output.notebook == notebook else f" of {output.notebook}"
            where = f": cell {output.cell}{of}"
        yield f"output {output.name}{kind}{where}"


def _found(problems: Iterable[str], warnings: Iterable[str], not_known: Iterable[str]) -> Iterator[str]:
    for mark, texts in (("✘", problems), ("!", warnings), ("?", not_known)):
        for text in texts:
            first, *rest = text.splitlines() or [""]
            yield f"{mark} {first}"
            yield from _indented(rest)


def _estimate_text(estimate: Estimate) -> str:
    machine = estimate.instance_type or "an instance that is not known"
    number = "" if estimate.jobs == 1 else f" x {estimate.jobs} jobs"
    number += "" if estimate.runs == 1 else f" x {estimate.runs} runs"
    if estimate.jobs is None:
        number = " a job" + ("" if estimate.runs == 1 else f", {estimate.runs} runs")
    if estimate.seconds is None:
        most = "" if estimate.most_seconds is None else f"; at most {duration_text(estimate.most_seconds)} each"
        return f"estimate: {machine}{number}; no earlier job is known here{most}"
    text = f"estimate: {duration_text(estimate.seconds)} of {machine} (median of {_count(estimate.earlier_jobs, 'job')}){number}"
    if estimate.hours is not None:
        text += f" = {estimate.hours:,.2f} instance hours"
        text += (
            f", {estimate.cost} at the configured price"
            if estimate.cost
            else "; [nbjobs] instance_prices has no price of it"
        )
    return text


def _indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"  {line}" if line else ""
