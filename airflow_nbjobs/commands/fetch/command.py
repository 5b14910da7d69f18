"""
What ``nbjobs outputs`` does, from its arguments to its report.

Asks Airflow (its database, or by its REST API) which jobs the run had, and AWS for their files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from airflow_nbjobs.commands.fetch.jobs import Finder, FoundJob, NoJob
from airflow_nbjobs.commands.fetch.progress import Progress
from airflow_nbjobs.commands.fetch.save import OutputFolder, needed_bytes
from airflow_nbjobs.commands.records import choice
from airflow_nbjobs.commands.records.port import AirflowError
from airflow_nbjobs.commands.wording import size_text
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui.notebook.renderer import Renderer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_nbjobs.commands.fetch.save import Saved
    from airflow_nbjobs.commands.records.port import RunRecords
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance

_VERSION = 1


def fetch_outputs(args: argparse.Namespace, out: TextIO) -> int:
    """Fetch the files; 1 if something of them could not be had, 2 if nothing was begun."""
    try:
        records = choice.open_records(args, _warn)
        folder = OutputFolder(Path(args.to), dag_id=args.dag_id, run_id=args.run_id, force=args.force)
        found, missing = _find(records, args)
        folder.check(found)
        if (needed := needed_bytes(folder, found)) > folder.free_bytes:
            raise NotebookJobConfigError(
                f"the files take {size_text(needed)}, and the disk of '{folder.path}' has {size_text(folder.free_bytes)} left; nothing was fetched"
            )
    except (NotebookJobConfigError, AirflowError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _warn("stopped; nothing was fetched")
        raise
    return _saved(args, folder, found, missing, out)


def _saved(
    args: argparse.Namespace, folder: OutputFolder, found: Sequence[FoundJob], missing: Sequence[NoJob], out: TextIO
) -> int:
    try:
        saved = _save(folder, found)
    except NotebookJobConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        _warn(f"'{error.filename or folder.path}' cannot be written: {error.strerror or error}")
        _warn("what is whole is there; the same command goes on from it")
        return 1
    except KeyboardInterrupt:
        _warn(f"stopped; what is whole is in '{folder.path}', and the same command goes on from it")
        raise
    return _report(args, saved, missing, out)


def _find(records: RunRecords, args: argparse.Namespace) -> tuple[list[FoundJob], list[NoJob]]:
    """:raises NotebookJobConfigError: the run has no such task, or none that is a notebook job."""
    instances = records.task_instances(records.run(args.dag_id, args.run_id))
    wanted = _selected(instances, args.task)
    finder = Finder(records)
    each = [one for ti in wanted for one in finder.find(ti)]
    return [one for one in each if isinstance(one, FoundJob)], [one for one in each if isinstance(one, NoJob)]


def _selected(instances: Sequence[NotebookTaskInstance], tasks: Sequence[str]) -> list[NotebookTaskInstance]:
    if not instances:
        raise NotebookJobConfigError(
            "the run has no task that is a notebook job, or waits for one; such tasks are SageMakerNotebookJobOperator's and SageMakerNotebookJobSensor's"
        )
    labels = {_label(ti.task_id, ti.map_index) for ti in instances} | {ti.task_id for ti in instances}
    for task in tasks:
        if task not in labels:
            hint = (
                did_you_mean(task, sorted(labels)) or f"; it has {', '.join(sorted({ti.task_id for ti in instances}))}"
            )
            raise NotebookJobConfigError(f"--task {task}: the run has no such notebook job{hint}")
    if not tasks:
        return list(instances)
    return [ti for ti in instances if {ti.task_id, _label(ti.task_id, ti.map_index)} & set(tasks)]


def _label(task_id: str, map_index: int) -> str:
    return f"{task_id}[{map_index}]" if map_index >= 0 else task_id


def _save(folder: OutputFolder, found: Sequence[FoundJob]) -> list[Saved]:
    saved: list[Saved] = []
    renderer = Renderer()
    try:
        with folder.opened(), Progress() as progress:
            for each in found:
                saved.append(folder.save(each, progress, renderer))
                if not saved[-1].problems:
                    folder.remove_parts(saved[-1])
    finally:
        renderer.close()
    return saved


def _report(args: argparse.Namespace, saved: Sequence[Saved], missing: Sequence[NoJob], out: TextIO) -> int:
    problems = [problem for each in saved for problem in each.problems]
    problems += [f"{_label(each.task_id, each.map_index)}: {each.reason}" for each in missing if each.is_problem]
    if args.form == "json":
        print(json.dumps(_document(args, saved, missing, problems), indent=2), file=out)
    else:
        for line in text_lines(saved, missing):
            print(visible(line), file=out)
    for each in saved:
        for note in each.notes:
            _warn(f"{each.found.folder}: {note}")
    for problem in problems:
        _warn(problem)
    return 1 if problems else 0


def text_lines(saved: Sequence[Saved], missing: Sequence[NoJob]) -> list[str]:
    """Return the result for a reader: a line a folder, its files with their sizes."""
    lines = []
    for each in saved:
        files = ", ".join(
            f"{name} ({'there already' if name in each.kept else size_text(size)})" for name, size in each.files.items()
        )
        lines.append(f"{each.found.folder} [{each.found.job.snapshot.ended_as}]: {files}")
    lines += [f"{_label(each.task_id, each.map_index)}: {each.reason}" for each in missing if not each.is_problem]
    return lines


def _document(
    args: argparse.Namespace, saved: Sequence[Saved], missing: Sequence[NoJob], problems: Sequence[str]
) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "dag_id": args.dag_id,
        "run_id": args.run_id,
        "to": args.to,
        "jobs": [
            {
                "task_id": each.found.ti.task_id,
                "map_index": each.found.ti.map_index,
                "try_number": each.found.try_number,
                "job_name": each.found.job.name,
                "status": each.found.job.snapshot.ended_as,
                "folder": str(each.found.folder),
                "files": [
                    {"name": name, "bytes": size, "was_there": name in each.kept} for name, size in each.files.items()
                ],
                "notes": each.notes,
            }
            for each in saved
        ],
        "without_job": [
            {"task_id": each.task_id, "map_index": each.map_index, "reason": each.reason} for each in missing
        ],
        "problems": problems,
    }


def _warn(text: str) -> None:
    print(visible(text), file=sys.stderr)
