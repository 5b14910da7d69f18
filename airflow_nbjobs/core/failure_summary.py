"""
A failed task, or a failed run, in a message of at most 2,000 characters: as plain text and as Markdown.

Called by ``notifications.py``. Pure; what it is given is shown to people and programs outside Airflow, so everything is masked before it is cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.error_record import details_of
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_nbjobs.core.error_record import ErrorRecord

MOST_CHARACTERS = 2_000
TITLE_CHARACTERS = 99  # of Amazon SNS's subjects
_MOST_TASKS = 5
_URL_CHARACTERS = 700
# Below this, a part says nothing any more.
_FEWEST_CHARACTERS = 60


class FailureFacts(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known of a failure; whatever is not is empty.

    :param task_id: empty: the whole run has failed.
    :param try_text: ``"try 2 of 3"``.
    :param record: the task's error.
    :param reason: what Airflow says, where there is no record.
    :param notebook: path or URI.
    :param parameters: as the task has rendered them, for a text.
    :param job: name, instance and what is billed.
    :param url: of the task's tab, or of the run.
    :param tasks: lines about tasks of the run that have failed.
    """

    dag_id: str
    run_id: str
    task_id: str = ""
    try_text: str = ""
    record: ErrorRecord | None = None
    reason: str = ""
    notebook: str = ""
    parameters: str = ""
    job: str = ""
    url: str = ""
    tasks: Sequence[str] = ()


class FailureSummary(msgspec.Struct, frozen=True):
    """
    A failure in a message: ``text`` and ``markdown`` have at most 2,000 characters each, ``title`` is one line of at most 99.

    :param url: of the task's tab "Notebook"; of the task or the run, where there is no tab; empty where Airflow's address is not configured.
    """

    title: str
    text: str
    markdown: str
    url: str = ""

    def __str__(self) -> str:
        return self.text


class _Part(msgspec.Struct, frozen=True):
    label: str
    value: str
    is_block: bool = False

    def as_text(self) -> str:
        if self.is_block:
            indented = "\n".join(f"  {line}" for line in self.value.split("\n"))
            return f"{self.label}:\n{indented}"
        return f"{self.label}: {self.value}"

    def as_markdown(self) -> str:
        longest = max((len(found) for found in re.findall("`+", self.value)), default=0)
        if self.is_block:
            fence = "`" * max(3, longest + 1)
            return f"**{self.label}**\n{fence}\n{self.value}\n{fence}"
        fence = "`" * (longest + 1)
        blank = " " if self.value.startswith("`") or self.value.endswith("`") else ""
        shown = f"{fence}{blank}{self.value}{blank}{fence}"
        return f"**{self.label}**: {shown}" if self.label else shown


def summarize(facts: FailureFacts, mask: Callable[[str], str]) -> FailureSummary:
    """
    Return the message.

    :param mask: hides what must not be seen, as Airflow's log does.
    """

    def shown(text: str) -> str:
        return visible(mask(text)).strip()

    what = f"task '{facts.task_id}' of DAG '{facts.dag_id}'" if facts.task_id else f"DAG '{facts.dag_id}'"
    title = " ".join(shown(f"Airflow: {what} failed").split())
    parts = [
        _Part(part.label, shown(part.value) if part.is_block else " ".join(shown(part.value).split()), part.is_block)
        for part in _parts(facts)
    ]
    parts = [part for part in parts if part.value]
    url = "" if len(facts.url) > _URL_CHARACTERS else facts.url
    heading = _cut(title, 300)
    return FailureSummary(
        _cut(title, TITLE_CHARACTERS),
        _fitted(heading, parts, _Part.as_text, url),
        _fitted(_Part("", heading).as_markdown(), parts, _Part.as_markdown, f"[Open in Airflow]({url})" if url else ""),
        facts.url,
    )


def _parts(facts: FailureFacts) -> list[_Part]:
    record = facts.record
    details = details_of(record) if record is not None else {}
    cell = str(record.cell) if record is not None and record.cell is not None else ""
    return [
        _Part("Run", ", ".join(filter(None, (facts.run_id, facts.try_text)))),
        _Part("Error", record.headline if record is not None else facts.reason),
        _Part("Problems", "\n".join(record.problems) if record is not None else "", is_block=True),
        _Part("Failed tasks", "\n".join(_listed(facts.tasks)), is_block=True),
        _Part("Notebook", details.get("notebook") or facts.notebook),
        _Part("Cell", cell),
        _Part("Source", details.get("source", ""), is_block=True),
        _Part("Parameters", details.get("parameters") or facts.parameters),
        _Part("Job", facts.job),
        _Part("Next", record.advice if record is not None else ""),
    ]


def _listed(tasks: Sequence[str]) -> list[str]:
    more = len(tasks) - _MOST_TASKS
    return [*tasks[:_MOST_TASKS], *([f"… and {more} more"] if more > 0 else [])]


def _fitted(heading: str, parts: list[_Part], form: Callable[[_Part], str], link: str) -> str:
    """Return the message; where it is too long, without the middle of its longest parts, and in the end without its last ones."""
    parts = list(parts)
    while True:
        lines = [heading, *map(form, parts), *([link] if link else [])]
        text = "\n".join(lines)
        excess = len(text) - MOST_CHARACTERS
        if excess <= 0:
            return text
        place = max(range(len(parts)), key=lambda index: len(form(parts[index])), default=None)
        if place is None:
            return _cut(text, MOST_CHARACTERS)
        longest = parts[place]
        if len(longest.value) <= _FEWEST_CHARACTERS:
            parts.pop()
            continue
        # A block is longer than its text by its indentation: at least one character goes each time.
        most = max(_FEWEST_CHARACTERS, len(longest.value) - max(1, excess))
        parts[place] = _Part(longest.label, _cut(longest.value, most), longest.is_block)


def _cut(text: str, most: int) -> str:
    """Return the text without its middle; the end of an error says as much as its beginning."""
    if len(text) <= most:
        return text
    head = (most - 3) * 2 // 3
    return f"{text[:head]} … {text[len(text) - (most - 3 - head) :]}"
