"""
Two jobs side by side: what each is, ran on and cost, and in one sentence what differs.

Called by ``routes/compare.py``. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.ui.compared_values import cost_difference, duration_difference
from airflow_nbjobs.ui.notebook import failure
from airflow_nbjobs.ui.views import billed_seconds, facts_of_hint, facts_of_job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.core.job.prices import Prices
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
    from airflow_nbjobs.ui.notebook.jobs import Job
    from airflow_nbjobs.ui.notebook.problems import Problem

_NAMES = {
    "status": "Status",
    "error": "Error",
    "instance_type": "Instance",
    "image": "Image",
    "notebook": "Notebook",
    "sha256": "Notebook's sha256",
}
# What is another for each job, so that it tells of no change.
_OWN = {
    "job_name": "Job",
    "try": "Try",
    "started": "Started",
    "duration": "Duration",
    "billable": "Billed",
    "cost": "Cost",
}
_KINDS = ("facts", "parameters", "outputs")


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """
    One of two jobs as far as it could be looked at.

    :param problem: why there is no job, or no notebook of it.
    """

    ti: NotebookTaskInstance
    job: Job | None = None
    problem: Problem | None = None

    @property
    def has_notebook(self) -> bool:
        return self.job is not None and self.problem is None

    @property
    def is_earlier(self) -> bool:
        return self.job is not None and self.job.is_earlier

    @property
    def is_passing(self) -> bool:
        """Whether what is shown of it may change by itself."""
        is_live = self.job is not None and not self.job.snapshot.state.is_terminal
        return is_live or bool(self.problem and self.problem.is_passing)


def compared_facts(both: Sequence[Looked], sides: Sequence[Mapping[str, Any]], prices: Prices) -> list[dict[str, Any]]:
    """
    Return rows of what the two jobs are; those that no side knows are left out.

    :param sides: what the comparison's summary says of each notebook; empty where there is none.
    """
    facts = [_facts(each, side, prices) for each, side in zip(both, sides, strict=True)]
    amounts = [prices.amount(_instance_type(each), _billed(each)) for each in both]
    said = {
        "duration": duration_difference(*(_seconds(each) for each in both)),
        "billable": duration_difference(*(_billed(each) for each in both)),
        "cost": cost_difference(amounts[0], amounts[1], prices),
    }
    rows = []
    for name, label in (_NAMES | _OWN).items():
        left, right = (each.get(name) for each in facts)
        if left is None and right is None:
            continue
        is_own = name in _OWN
        # To have no error is known as well.
        unknown = next((side for side, value in (("left", left), ("right", right)) if value is None), None)
        is_known = unknown is None or name == "error"
        rows.append(
            {
                "name": name,
                "label": label,
                "left": left,
                "right": right,
                "difference": said.get(name, "") if is_known else f"not known on the {unknown}",
                "differs": left != right and is_known and not is_own,
                "is_unknown": not is_known,
                "is_own": is_own,
            }
        )
    return rows


def _facts(looked: Looked, side: Mapping[str, Any], prices: Prices) -> dict[str, str | None]:
    ti = looked.ti
    hint: dict[str, str | None] = {**facts_of_hint(ti, prices), "try": str(ti.try_number)}
    if looked.job is None:
        failed = failure.of_record(ti.last_error)
        return hint | {"status": task_words(ti.state, ti.job), "error": failed.title if failed else None}
    job = looked.job
    snapshot = job.snapshot
    facts = facts_of_job(snapshot, prices, try_number=None if job.is_earlier else ti.try_number)
    failed = failure.of_job(ti, snapshot, is_earlier=job.is_earlier)
    staged = snapshot.environment.get("SM_INPUT_NOTEBOOK_NAME")
    return (
        hint
        | facts
        | {
            "status": facts["words"],
            "error": _of_cell(side.get("failed")) or (failed.title if failed else None),
            "image": snapshot.image_uri,
            "notebook": staged or (None if job.is_earlier else (hint["notebook"] or "").rpartition("/")[2]) or None,
        }
    )


def _of_cell(failed: Mapping[str, Any] | None) -> str | None:
    if not failed:
        return None
    where = "A cell" if failed["index"] is None else f"Cell {failed['index']}"
    return f"{where}: {failed['ename']}: {failed['evalue']}"


def _seconds(looked: Looked) -> float | None:
    snapshot = looked.job.snapshot if looked.job else None
    if snapshot is None or not snapshot.started or not snapshot.ended:
        return None
    return (snapshot.ended - snapshot.started).total_seconds()


def _billed(looked: Looked) -> float | None:
    return billed_seconds(looked.job.snapshot) if looked.job else None


def _instance_type(looked: Looked) -> str | None:
    return looked.job.snapshot.instance_type if looked.job else None


def counted(answer: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, int]:
    """Return how many facts, parameters, outputs and cells differ."""
    found = {kind: sum(row["differs"] for row in answer[kind]) for kind in _KINDS}
    cells = summary.get("counts") or {}
    return found | {"cells": sum(count for kind, count in cells.items() if kind not in ("same", "unknown"))}


def verdict(answer: Mapping[str, Any], summary: Mapping[str, Any], *, is_whole: bool) -> str:
    """
    Return in one sentence what differs.

    :param is_whole: whether both notebooks were compared.
    """
    counts = answer["counts"]
    said = [
        f"{counts[kind]} {word if counts[kind] == 1 else words}"
        for kind, word, words in (
            ("parameters", "parameter", "parameters"),
            ("outputs", "output", "outputs"),
            ("cells", "cell", "cells"),
            ("facts", "fact about the jobs", "facts about the jobs"),
        )
        if counts[kind]
    ]
    is_known = not any(row["is_unknown"] and not row["is_own"] for row in answer["facts"])
    is_all = is_whole and is_known and not summary.get("uncompared")
    if said:
        listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
        text = f"{listed} {'differs' if len(said) == 1 and said[0].startswith('1 ') else 'differ'}."
        return text if is_all else f"{text} Not everything could be compared."
    if is_all:
        return "Nothing differs, but for when the jobs ran, and for how long."
    return "Nothing differs in what could be compared."
