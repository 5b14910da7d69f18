"""
What the demo shows: rows while the pipeline runs, a report at the end. Values in, text out.

Called by ``app.py``.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.core.texts import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A line for each cell says little; a change of state is always shown.
CELL_LINE_SECONDS = 2.0
ERROR_LINES = 40
_VALUE_LIMIT = 200
_LINE_LIMIT = 2_000


class Row(msgspec.Struct, frozen=True):
    """
    One task instance at one moment.

    :param state: in the words of the pages.
    :param cells: cells done and cells in all, where papermill has said so.
    :param seconds: since its try started, until its end if it has ended.
    """

    task: str
    state: str
    cells: tuple[int, int] | None
    seconds: float | None


class TaskResult(msgspec.Struct, frozen=True):
    """
    What is left of a task instance at the end of the run.

    :param facts: its XCom ``nbjobs_job``, empty for a task that is no notebook job.
    :param returned: its ``return_value``.
    :param error: its log's last lines, where it failed.
    """

    row: Row
    facts: Mapping[str, Any]
    returned: Any
    error: Sequence[str]


class Display:
    """Prints one line a change."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._shown: dict[str, tuple[Row, float]] = {}

    def update(self, rows: Sequence[Row]) -> None:
        now = time.monotonic() - self._begun
        for row in rows:
            before, shown_at = self._shown.get(row.task, (None, 0.0))
            if before is None or is_worth_a_line(before, row, seconds_since=now - shown_at):
                print(plain_line(row, at_seconds=now), flush=True)
                self._shown[row.task] = (row, now)


def build_rows(
    instances: Sequence[Mapping[str, Any]], cells: Mapping[str, tuple[int, int]], *, now: datetime
) -> list[Row]:
    """
    Return a row for each task instance, in the order in which they started; those still to come last.

    :param instances: as Airflow's API describes them.
    :param cells: by `label` of the instance.
    """
    ordered = sorted(instances, key=lambda instance: (instance["start_date"] or "~", label(instance)))
    return [
        Row(
            task=label(instance),
            state=task_words(instance["state"]),
            cells=cells.get(label(instance)),
            seconds=_seconds(instance, now),
        )
        for instance in ordered
    ]


def label(instance: Mapping[str, Any]) -> str:
    """Return the task's id, with the map index of a mapped one."""
    index = instance["map_index"]
    return str(instance["task_id"]) if index < 0 else f"{instance['task_id']}[{index}]"


def is_worth_a_line(before: Row, row: Row, *, seconds_since: float) -> bool:
    """Whether to show a row again: its state changed, or its cell did and some time has passed."""
    return row.state != before.state or (row.cells != before.cells and seconds_since >= CELL_LINE_SECONDS)


def plain_line(row: Row, *, at_seconds: float) -> str:
    cell = f"  cell {row.cells[0]} of {row.cells[1]}" if row.cells else ""
    return f"[{at_seconds:6.1f} s] {row.task:<20} {row.state:<20}{cell}".rstrip()


def report(results: Sequence[TaskResult], *, run_state: str, seconds: float) -> str:
    """Return the end's text: each task's duration, outputs and executed notebook, and the error of those that failed."""
    lines = [f"Run {run_state} after {seconds:.1f} s"]
    for result in results:
        lines += ["", f"{result.row.task}: {result.row.state}, {result.row.seconds or 0:.1f} s"]
        lines += [
            f"  {name} = {shortened(json.dumps(value), _VALUE_LIMIT)}" for name, value in _outputs(result).items()
        ]
        if uri := result.facts.get("executed_notebook_uri"):
            lines.append(f"  executed notebook: {uri}")
        lines += [f"  | {line}" for line in result.error]
    return "\n".join(lines)


def error_lines(events: Sequence[Any]) -> list[str]:
    """
    Return what a person needs of a failed try's log: each error with the exception that caused it, else the last lines.

    :param events: of Airflow's log API: objects with ``event``, ``level`` and ``error_detail``, or plain lines.
    """
    lines: list[str] = []
    for event in events:
        if isinstance(event, dict) and event.get("level") in {"error", "critical"}:
            lines += str(event.get("event", "")).splitlines()
            values: list[str] = []
            for cause in event.get("error_detail") or []:
                # An error raised anew as another type, as the operator does for Airflow's sake, is one error to the reader.
                if (value := str(cause.get("exc_value"))) not in values:
                    values.append(value)
                    lines += f"{cause.get('exc_type')}: {value}".splitlines()
    if not lines:
        for event in events:
            lines += str(event.get("event", "") if isinstance(event, dict) else event).splitlines()
        return lines[-ERROR_LINES:]
    return _without_its_middle(lines)


def worth_opening(results: Sequence[TaskResult]) -> TaskResult | None:
    """Return the task whose notebook to look at first: the first that failed, else the one of most cells (or time); None without notebooks."""
    notebooks = [result for result in results if result.facts.get("job_name")]
    failed = [result for result in notebooks if result.row.state == "failed"]
    return failed[0] if failed else max(notebooks, key=_extent, default=None)


def _extent(result: TaskResult) -> tuple[int, float]:
    return result.row.cells[1] if result.row.cells else 0, result.row.seconds or 0.0


def _without_its_middle(lines: Sequence[str]) -> list[str]:
    """Return at most 40 lines: the head, which says what happened, and the end, which says what to do."""
    cut = [shortened(line, _LINE_LIMIT) for line in lines]
    if len(cut) <= ERROR_LINES:
        return cut
    half = ERROR_LINES // 2
    return [*cut[:half], f"… {len(cut) - ERROR_LINES} lines more are in the task's log …", *cut[-half:]]


def _outputs(result: TaskResult) -> dict[str, Any]:
    outputs = result.returned.get("outputs") if isinstance(result.returned, dict) else None
    if isinstance(outputs, dict):
        return outputs
    return {} if result.returned is None else {"return_value": result.returned}


def _seconds(instance: Mapping[str, Any], now: datetime) -> float | None:
    if not instance["start_date"]:
        return None
    begun = datetime.fromisoformat(instance["start_date"])
    ended = datetime.fromisoformat(instance["end_date"]) if instance["end_date"] else now
    return max(0.0, (ended - begun).total_seconds())
