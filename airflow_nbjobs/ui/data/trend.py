"""
What one notebook task has put out over its runs: one row for each run and map index, with its outputs, its time and its cost.

Called by the routes with the API server's session; two to four statements, whatever the number of runs.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC
from itertools import chain
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import TIMESTAMP, String, and_, case, cast, func, or_, select, type_coerce

from airflow_nbjobs.core.job.xcoms import AIRFLOWS_KEYS, END_KEY, JOB_KEY, OWN_PREFIXES
from airflow_nbjobs.core.numbers import is_number
from airflow_nbjobs.links import tab_path
from airflow_nbjobs.ui.data.machines import machine_of, machine_text
from airflow_nbjobs.ui.data.queries import state_text
from airflow_nbjobs.ui.data.sums import (
    ENDED,
    NO_END,
    EndFacts,
    end_of,
    instances_of,
    is_of_earlier_try,
    read_end,
    seconds_of,
)
from airflow_nbjobs.ui.data.task_instance import FINISHED
from airflow_nbjobs.ui.data.xcom_values import Remembered, has_backend, plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from airflow_nbjobs.core.job.prices import Prices
    from airflow_nbjobs.ui.data.filters import TrendFilters

MOST_INSTANCES = 20_000
MOST_OUTPUTS = 60
MOST_FEW = 16  # values of an instance that are read without asking for their names first
MOST_ELSEWHERE = 1_000  # values that a backend of XComs keeps elsewhere
VALUE_CHARACTERS = 64  # of a stored value: no number is longer
_ADDRESS_CHARACTERS = 2_000  # of what a backend of XComs stores in a value's place: a key of S3 has 1,024
_CHUNK = 1000
_MOST_NAMED = 1000  # ids in a statement
_json = msgspec.json.Decoder()
_JSON_BEGINS = frozenset('{["-0123456789tfnNI \t\n\r')
NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


class Instance(msgspec.Struct, gc=False):
    """
    One run's instance of the task.

    :param moment: the run's logical date, or when it was due; in seconds since 1970.
    :param label: Airflow's ``map_index_template``, rendered.
    :param values: of the outputs: numbers, short texts, True and False; ``LONG`` for what is longer.
    :param cost: at list price, in the prices' currency.
    """

    run_id: str
    map_index: int
    state: str | None
    moment: float
    logical_date: datetime | None
    run_after: datetime | None
    label: str | None
    values: dict[str, Any]
    try_number: int = 0
    duration: float | None = None
    billed: float | None = None
    machine: str | None = None
    cost: float | None = None

    @property
    def is_live(self) -> bool:
        return self.state not in FINISHED


class _Long:
    """Stands for a value that is too long to be read here."""

    def __str__(self) -> str:
        return "…"

    __repr__ = __str__


LONG = _Long()


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """
    A task over its runs, the oldest first.

    :param outputs: their names; ``more_outputs``: there are others, beyond the first sixty.
    :param left_out: whether there are older instances, beyond the first 20,000.
    :param unread: how many values lie in an XCom backend and were not read.
    """

    instances: Sequence[Instance]
    outputs: Sequence[str]
    more_outputs: bool = False
    left_out: bool = False
    unread: int = 0

    @property
    def is_live(self) -> bool:
        return any(each.is_live for each in self.instances)

    @property
    def runs(self) -> int:
        return len({each.run_id for each in self.instances})


def read_trend(session: Session, dag_id: str, task_id: str, filters: TrendFilters, prices: Prices) -> Trend:
    """Return the newest runs of a task that the filters select; none of a task that there is not."""
    moment = _moment(filters)
    runs = _runs(dag_id, task_id, filters, moment)
    statement = (
        select(
            *(runs.c.id, TaskInstance.run_id, TaskInstance.map_index, TaskInstance.state),
            *(_as_driver_gives(runs.c.logical_date), _as_driver_gives(runs.c.run_after)),
            TaskInstance._rendered_map_index,  # noqa: SLF001 - the column itself; the property needs the operator
            *(TaskInstance.try_number, TaskInstance.duration),
        )
        .join(runs, runs.c.run_id == TaskInstance.run_id)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.task_id == task_id)
        .order_by(runs.c.moment.desc(), runs.c.id.desc(), TaskInstance.map_index)
        .limit(MOST_INSTANCES + 1)
    )
    found = session.connection().execute(statement).all()
    left_out = len(found) > MOST_INSTANCES
    by_run_after = filters.by == "run_after"
    instances = {}
    for run, run_id, map_index, state, logical_date, run_after, label, tries, seconds in reversed(
        found[:MOST_INSTANCES]
    ):
        when = run_after if by_run_after or logical_date is None else logical_date
        # Airflow repeats the index where there is no label.
        own = label if label and label != str(map_index) else None
        instances[run, map_index] = Instance(
            *(run_id, map_index, state_text(state), _seconds(when), logical_date, run_after, own, {}),
            *(tries, seconds_of(seconds)),
        )
    if not instances:
        return Trend(instances=[], outputs=[])
    within = (XComModel.dag_id == dag_id, XComModel.task_id == task_id, _is_of_runs({run for run, _ in instances}))
    try:
        unread = _add_stored(task_id, instances, _few_values(session, within, filters.output, len(instances)))
    except _ManyValuesError:
        unread = _add_stored(task_id, instances, _chunks(session, _values(session, within, _has_first_name(within))))
    unpriced = [key for key, each in instances.items() if each.billed is not None and each.machine is None]
    if prices.per_hour and unpriced and not has_backend():  # of an earlier version, whose ends do not say the machine
        for run, map_index, text in session.execute(_machines(session, within)):
            if (run, map_index) in instances:
                instances[run, map_index].machine = machine_of(text)
    for each in instances.values():
        each.cost = prices.amount(each.machine, each.billed)
    outputs = sorted({name for each in instances.values() for name in each.values})
    if len(outputs) > MOST_OUTPUTS:
        shown = frozenset(outputs[:MOST_OUTPUTS])
        for each in instances.values():
            each.values = {name: value for name, value in each.values.items() if name in shown}
    return Trend(
        instances=_in_order(instances.values()),
        outputs=outputs[:MOST_OUTPUTS],
        more_outputs=len(outputs) > MOST_OUTPUTS,
        left_out=left_out,
        unread=unread,
    )


def _add_stored(task_id: str, instances: Mapping[tuple[int, int], Instance], stored: Iterable[Any]) -> int:
    """Give the instances what is stored of them, and return how many values lie in an XCom backend and were not read."""
    # In another state they are what an earlier try has left.
    ended = {which: each for which, each in instances.items() if each.state in ENDED}
    if has_backend():
        most = _most_characters()
        own = (
            ((run, map_index), ended[run, map_index], key, text if key == END_KEY or len(text or "") <= most else None)
            for run, map_index, key, text in stored
            if (run, map_index) in ended
        )
        read, unread = _read_from_backend(task_id, own)
        _fill(read)
        return unread
    _fill(
        (instance, key, read_end(text) if key == END_KEY else stored_value(text))
        for run, map_index, key, text in stored
        if (instance := ended.get((run, map_index))) is not None
    )
    return 0


def _is_of_runs(ids: Collection[int]) -> ColumnElement[bool]:
    """Return what selects the XComs of runs: of many, those between the first and the last id, which joins no table; what is of others is left out later."""
    if len(ids) <= _MOST_NAMED:
        return XComModel.dag_run_id.in_(ids)
    return XComModel.dag_run_id.between(min(ids), max(ids))


def _in_order(instances: Iterable[Instance]) -> list[Instance]:
    return sorted(instances, key=lambda each: (each.moment, each.run_id, each.map_index))


def _moment(filters: TrendFilters) -> Any:
    return DagRun.run_after if filters.by == "run_after" else func.coalesce(DagRun.logical_date, DagRun.run_after)


def _as_driver_gives(moment: Any) -> Any:
    """Return a column of times without Airflow's conversion to UTC, a tenth of the page's time; ``time_text`` does it for those that are shown."""
    return type_coerce(moment, TIMESTAMP(timezone=True))


def _runs(dag_id: str, task_id: str, filters: TrendFilters, moment: Any) -> Any:
    """Return the runs that are shown, as a table of the statement: the newest ones that have the task."""
    has_task = (
        select(TaskInstance.id)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == DagRun.run_id, TaskInstance.task_id == task_id)
        .exists()
    )
    wanted = select(DagRun.id, DagRun.run_id, DagRun.logical_date, DagRun.run_after, moment.label("moment"))
    wanted = wanted.where(DagRun.dag_id == dag_id, has_task)
    if filters.first:
        wanted = wanted.where(moment >= filters.first)
    if filters.end:
        wanted = wanted.where(moment < filters.end)
    return wanted.order_by(moment.desc(), DagRun.id.desc()).limit(filters.runs).subquery("runs")


class _ManyValuesError(Exception):
    """There are so many values that only those of the first names are to be read."""


def _few_values(session: Session, within: Sequence[Any], names: Sequence[str], instances: int) -> Iterator[Any]:
    """
    Return how each job ended, and its outputs as far as they may be numbers.

    :param within: which XComs those of the shown runs are; others of the task may be among them.
    :raises _ManyValuesError: of no names, midway: to ask first for the names takes as long as to read a few values.
    """
    if names:
        yield from _chunks(session, _values(session, within, XComModel.key.in_(names)))
        return
    most = MOST_FEW * instances
    rows = 0
    with closing(session.connection().execute(_values(session, within).limit(most + 1))) as found:
        for chunk in found.partitions(_CHUNK):
            rows += len(chunk)
            if rows > most:
                raise _ManyValuesError
            yield from chunk


def _values(session: Session, within: Sequence[Any], *further: ColumnElement[bool]) -> Any:
    text = cast(XComModel.value, String)
    # With one character more than may be read, so that what is cut is known to be.
    short: Any = func.substr(text, 1, _most_characters() + 1)
    if session.get_bind().dialect.name == "postgresql":
        # A value of megabytes is not even made a text: PostgreSQL tells how many bytes one takes.
        is_small = func.pg_column_size(XComModel.value) <= 3 * _most_characters() + 8
        short = case((is_small, short), else_=None)
    value = case((XComModel.key == END_KEY, text), else_=short)
    return select(XComModel.dag_run_id, XComModel.map_index, XComModel.key, value).where(
        *within, or_(XComModel.key == END_KEY, and_(_is_output(), *further))
    )


def _is_output() -> ColumnElement[bool]:
    # No LIKE: to SQLite an output `Nbjobs_rows` would be one of ours.
    own = (func.substr(XComModel.key, 1, len(prefix)) != prefix for prefix in OWN_PREFIXES)
    return and_(XComModel.key.not_in(AIRFLOWS_KEYS), *own)


def _has_first_name(within: Sequence[Any]) -> ColumnElement[bool]:
    """Return what selects the outputs of the names that are shown, and of one more, to tell that there are more."""
    first = select(XComModel.key).where(*within, _is_output()).distinct().order_by(XComModel.key)
    # As a table of its own: MySQL has no limit within IN.
    return XComModel.key.in_(select(first.limit(MOST_OUTPUTS + 1).subquery("names").c.key))


def _most_characters() -> int:
    return _ADDRESS_CHARACTERS if has_backend() else VALUE_CHARACTERS


def _machines(session: Session, within: Sequence[Any]) -> Any:
    said = machine_text(XComModel.value, is_postgres=session.get_bind().dialect.name == "postgresql")
    return select(XComModel.dag_run_id, XComModel.map_index, said).where(*within, XComModel.key == JOB_KEY)


def _chunks(session: Session, statement: Any) -> Iterator[Any]:
    """Return rows that do not all live at once: fifty thousand cost more time in Python's garbage collector than in the database."""
    return chain.from_iterable(session.connection().execute(statement).partitions(_CHUNK))


def _fill(found: Iterable[tuple[Instance, str, Any]]) -> None:
    """Give the instances what is stored of them: how their jobs ended, and the outputs."""
    of_earlier_tries = []
    for instance, key, fact in found:
        if key == END_KEY:
            if not _add_end(instance, fact):
                of_earlier_tries.append(instance)
        elif instance.state != "skipped":
            instance.values[key] = fact
    for instance in of_earlier_tries:
        instance.values.clear()


def _read_from_backend(
    task_id: str, stored: Iterable[tuple[tuple[int, int], Instance, str, str | None]]
) -> tuple[list[tuple[Instance, str, Any]], int]:
    """Return the newest values, ends first, read through the configured backend, and how many are not read."""
    newest = sorted(stored, key=lambda each: (-each[1].moment, each[2] != END_KEY))
    read = newest[:MOST_ELSEWHERE]
    facts = _facts.read(
        [
            ((task_id, *which, instance.try_number, key, hash(text)), key, None if text is None else plain(text))
            for which, instance, key, text in read
        ]
    )
    found = [
        (instance, key, LONG if text is None and key != END_KEY else fact)
        for (_, instance, key, text), fact in zip(read, facts, strict=True)
    ]
    return found, len(newest) - len(read)


def _add_end(instance: Instance, end: EndFacts) -> bool:
    """Add how a job ended; False where that was a try before the instance's, of which the other XComs are, too."""
    if end is NO_END:
        return True
    if is_of_earlier_try(instance.state, instance.try_number, end):
        return False
    billed = seconds_of(end.billable_seconds)
    instance.billed = None if billed is None else billed * instances_of(end)
    instance.machine = end.instance_type if isinstance(end.instance_type, str) else None
    seconds = seconds_of(end.duration_seconds)
    if seconds is not None:
        instance.duration = seconds
    return True


def stored_value(text: str | None) -> Any:
    """Return a short stored value: a number, a text, True, False or None; what is longer, or holds others, is ``LONG``."""
    if text is None or len(text) > VALUE_CHARACTERS:
        return LONG
    try:
        # Several times as fast as `plain`; what only that one reads, as NaN, comes to it.
        value = _json.decode(text)
        # Most texts cannot be JSON; to be told so by an exception takes ten times as long.
        if type(value) is str and value[:1] in _JSON_BEGINS:
            value = _json.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = plain(plain(text))
    return value if type(value) is int else shown_value(value)


def shown_value(value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, bool | int | float):
        return value
    return value if isinstance(value, str) and len(value) <= VALUE_CHARACTERS else LONG


_facts = Remembered(lambda key, value: end_of(value) if key == END_KEY else shown_value(value))


def drawable(value: Any) -> float | None:
    """Return a number that a chart can show; True is none, nor is an integer beyond the floats."""
    if not is_number(value):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _seconds(moment: datetime | None) -> float:
    if moment is None:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def path_of(dag_id: str, task_id: str, instance: Instance) -> str:
    """Return the tab's address in Airflow's UI, relative to its root."""
    return tab_path(dag_id, instance.run_id, task_id, instance.map_index)
