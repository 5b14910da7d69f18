"""
Which runs still need what is left, their own and others': by the rules, by the state of their tasks, and by what they were given and have pushed.

Called by ``survey.py``, and once more by ``deletion.py`` right before anything is deleted; asks Airflow, never AWS.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from airflow_nbjobs.commands.cleaning.remains import Fate, digest_of, kept_runs, named_digests, some

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_nbjobs.commands.cleaning.remains import Finding, Rules
    from airflow_nbjobs.commands.records.port import AllRecords, Run

_MOST_SHOWN = 3


class Needs:
    """
    The runs of this Airflow, and what they need.

    :param dag_ids: only what these left is deleted; empty: all.
    :raises AirflowError: Airflow gives no answer.
    """

    def __init__(self, records: AllRecords, rules: Rules, *, dag_ids: frozenset[str], now: datetime) -> None:
        self._records = records
        self._rules = rules
        self._dag_ids = dag_ids
        self._now = now
        self._searched: dict[tuple[str, str], str] = {}
        self._said: set[str] = set()
        self.runs: dict[tuple[str, str], Run] = {}
        self.kept: dict[tuple[str, str], str] = {}
        self._read()

    def _read(self) -> None:
        runs = self._records.runs()
        under_way = self._records.under_way()
        self.runs |= {run.name: run for run in runs}
        # What was kept when the user was told stays kept: a run that has ended since pushes none out of --keep-last.
        self.kept = kept_runs(runs, self._rules, under_way=under_way, now=self._now) | self.kept
        self._in_use = under_way | {run.name for run in runs if not run.has_ended}

    @property
    def known_dags(self) -> set[str]:
        return {dag_id for dag_id, _ in self.runs}

    def is_asked_for(self, dag_id: str) -> bool:
        return not self._dag_ids or dag_id in self._dag_ids

    def search(self, run: tuple[str, str], which: str) -> None:
        """Let an ended run that no rule keeps need what it names: one of whose jobs something is not over, or not known."""
        self._searched.setdefault(run, which)

    def keep_named(self, findings: Sequence[Finding]) -> tuple[list[Finding], list[str]]:
        """
        Return the same findings, with those kept that a run names which needs them; and what could not be read of such runs, in words.

        A run may have been given a job's name or an address in its folder, as a sensor's or a model that it reads from where it lies.
        """
        open_ = {digest_of(each.folder.name): place for place, each in enumerate(findings) if each.fate is Fate.REMOVE}
        kept = list(findings)
        if not open_:
            return kept, []
        words = {run.name: which for run in self.runs.values() if (which := self._which(run))}
        in_use = self._in_use | self._searched.keys()
        gaps: dict[str, set[tuple[str, str]]] = {}
        for said in self._records.texts([self.runs[name] for name in words], in_use=in_use):
            if said.gap:
                gaps.setdefault(said.gap, set()).add(said.run.name)
            for digest in named_digests(said.text) & open_.keys():
                place = open_.pop(digest)
                why = f"run '{said.run.run_id}' of DAG '{said.run.dag_id}', {words[said.run.name]}, names it"
                kept[place] = replace(kept[place], fate=Fate.KEEP, why=why)
        notes = [_gap_text(gap, runs) for gap, runs in sorted(gaps.items())]
        notes = [each for each in notes if each not in self._said]
        self._said |= set(notes)
        return kept, notes

    def keep_again(self, findings: Sequence[Finding]) -> tuple[list[Finding], list[str]]:
        """
        Return the same findings as Airflow's runs are by now, right before they are deleted; and what is kept now, in words.

        :raises AirflowError: Airflow gives no answer.
        """
        self._read()
        kept = [
            replace(each, fate=Fate.KEEP, why=self.kept[each.run.name])
            if each.fate is Fate.REMOVE and each.run is not None and each.run.name in self.kept
            else each
            for each in findings
        ]
        kept, gaps = self.keep_named(kept)
        changed = Counter(now.why for was, now in zip(findings, kept, strict=True) if was.fate is not now.fate)
        return kept, [
            *(f"kept by now: {count} of the jobs that were listed: {why}" for why, count in changed.items()),
            *gaps,
        ]

    def _which(self, run: Run) -> str:
        if run.name in self.kept:
            return "which is kept"
        if not self.is_asked_for(run.dag_id):
            return "which --dag leaves alone"
        return self._searched.get(run.name, "")


def _gap_text(gap: str, runs: set[tuple[str, str]]) -> str:
    shown = some([f"'{run_id}' of '{dag_id}'" for dag_id, run_id in sorted(runs)], _MOST_SHOWN)
    return f"of runs that need what they name, not all can be read, and a job that only this names is not kept: {gap}: {shown}"
