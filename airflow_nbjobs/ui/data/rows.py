"""
One row of the page of all jobs, made of what its task has stored.

Called by ``listing.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from airflow_nbjobs.core.job.wording import UNDER_WAY, task_words
from airflow_nbjobs.core.job.xcoms import END_KEY, ERROR_KEY, JOB_KEY, PROGRESS_KEY, read_record
from airflow_nbjobs.core.notebook.progress import done_share
from airflow_nbjobs.links import tab_path
from airflow_nbjobs.ui.data.queries import mapping, state_text
from airflow_nbjobs.ui.data.sums import end_of, instances_of, seconds_of
from airflow_nbjobs.ui.data.xcom_values import backend_values, plain
from airflow_nbjobs.ui.times import checked_duration, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.job.prices import Prices

_ERROR_CHARACTERS = 240


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """
    One job, or one task that was refused before it had one, in texts.

    :param state: Airflow's; ``words`` are the user's.
    :param cells: how far the notebook has come.
    :param progress: the same in percent; None where a bar would say something else than the words do.
    :param billed_seconds: of all its instances; ``amount``: at list price, in the prices' currency.
    :param outputs: the values of the columns that are asked for, where the task has them; ``parameters``: as Airflow recorded them, secrets masked.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str
    words: str
    notebook: str
    started: str | None
    duration: str | None
    cost: str | None
    cells: str
    progress: int | None
    error: str
    duration_seconds: float | None = None
    billed_seconds: float | None = None
    amount: float | None = None
    is_job: bool = True
    outputs: Mapping[str, Any] = msgspec.field(default_factory=dict)
    parameters: Mapping[str, Any] = msgspec.field(default_factory=dict)

    @property
    def path(self) -> str:
        """The tab's address in Airflow's UI, relative to its root."""
        return tab_path(self.dag_id, self.run_id, self.task_id, self.map_index)

    @property
    def reference(self) -> str:
        """The job as the page that compares two names it."""
        return "/".join(quote(str(part), safe="") for part in (self.dag_id, self.run_id, self.task_id, self.map_index))

    @property
    def trend_path(self) -> str:
        """The address of the task's outputs over its runs, relative to our own pages' root."""
        return f"trend/{quote(self.dag_id, safe='')}/{quote(self.task_id, safe='')}"

    def group(self, by: str) -> tuple[str, ...]:
        return (self.dag_id,) if by == "dag" else (self.dag_id, self.run_id) if by == "run" else ()


def rows_of(found: list[tuple[Any, ...]], prices: Prices) -> list[Row]:
    """Return the rows; their XComs' values are read together, through the configured backend."""
    keys = (END_KEY, ERROR_KEY, PROGRESS_KEY)
    stored = [
        pair
        for *_, key, own, end, error, done in found
        for pair in zip((key, *keys), (own, end, error, done), strict=True)
    ]
    values = iter(backend_values(stored))
    return [_row(each, [next(values) for _ in range(4)], prices) for each in found]


def _row(found: tuple[Any, ...], values: list[Any], prices: Prices) -> Row:
    dag_id, run_id, task_id, map_index, state, try_number, started, seconds, key, *_ = found
    keys = (key, END_KEY, ERROR_KEY, PROGRESS_KEY)
    own, end, error, progress = (read_record(of, plain(value)) for of, value in zip(keys, values, strict=True))
    state = state_text(state)
    job = own if key == JOB_KEY else {}
    of_try = (job or error).get("try_number")
    # A task that is to be run again still has the XComs of its last try.
    is_past = state is None or (isinstance(of_try, int) and of_try != try_number)
    if is_past or end.get("job_name", job.get("job_name")) != job.get("job_name"):
        end = {}
    waiting = mapping(job.get("waiting")) if state in UNDER_WAY else None
    if is_past:
        error = progress = {}
    if waiting:
        progress = {}  # of the job before the one that it waits for
    bill = end_of(end)
    seconds_each = seconds_of(bill.billable_seconds)
    billed = None if seconds_each is None else seconds_each * instances_of(bill)
    amount = prices.amount(bill.instance_type or job.get("instance_type"), billed)
    error = mapping(end.get("error")) or error
    duration = seconds_of(end.get("duration_seconds"))
    if duration is None and not is_past:
        duration = seconds_of(seconds)
    cells, percent = _cells(state, job, mapping(end.get("progress")) or progress, error.get("cell"))
    return Row(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=map_index,
        state=state or "none",
        words=task_words(state, job),
        notebook=str(job.get("input_notebook") or "").rpartition("/")[2],
        started=time_text(end.get("started_at")) or (None if is_past else time_text(started)),
        duration=checked_duration(duration),
        cost=None if amount is None else prices.text(amount),
        cells=cells,
        progress=percent,
        error=_error(job, error, waiting=waiting),
        duration_seconds=duration,
        billed_seconds=billed,
        amount=amount,
        is_job=key == JOB_KEY,
    )


def _cells(
    state: str | None, job: Mapping[str, Any], progress: Mapping[str, Any], failed_cell: object
) -> tuple[str, int | None]:
    """Return how far the job's notebook has come; a late word of another job of the task does not count, nor one that cannot be."""
    share = done_share(progress) if progress.get("job_name") == job.get("job_name") else None
    if share is None:
        return (f"cell {failed_cell}" if isinstance(failed_cell, int) else ""), None
    if state in UNDER_WAY or state == "success":
        return f"{progress['done']} of {progress['total']}", int(share * 100)
    done = failed_cell if isinstance(failed_cell, int) and failed_cell <= progress["total"] else progress["done"]
    return f"{done} of {progress['total']}", None


def _error(job: Mapping[str, Any], error: Mapping[str, Any], waiting: Mapping[str, Any] | None) -> str:
    problems = error.get("problems")
    texts = [each for each in problems if isinstance(each, str)] if isinstance(problems, list) else []
    if job or not error:
        return _one_line(error.get("headline") or (waiting or {}).get("reason"), job.get("job_name"))
    # What was refused lists what is wrong with it; that it was refused, and that nothing is billed, is said once here.
    return _one_line(f"not submitted: {'; '.join(texts) or error.get('headline')}", None)


def _one_line(headline: object, job_name: object) -> str:
    text = " ".join(headline.split()) if isinstance(headline, str) else ""
    # The row says which job it is; what remains is what went wrong.
    text = text.removeprefix(f"Notebook job '{job_name}' ")
    return text if len(text) <= _ERROR_CHARACTERS else f"{text[:_ERROR_CHARACTERS]}…"
