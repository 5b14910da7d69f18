"""
What ``nbjobs clean`` does, from its arguments to its report.

Asks Airflow (its database, or by its REST API) which runs there are, and AWS what is left of them.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from airflow_nbjobs.commands.cleaning import deletion, report
from airflow_nbjobs.commands.cleaning.needs import Needs
from airflow_nbjobs.commands.cleaning.remains import Rules, parse_age
from airflow_nbjobs.commands.cleaning.survey import Surveyor
from airflow_nbjobs.commands.records import choice
from airflow_nbjobs.commands.records.port import AirflowError
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    import argparse

    from airflow_nbjobs.commands.cleaning.survey import Survey
    from airflow_nbjobs.commands.records.port import AllRecords


def clean(args: argparse.Namespace, out: TextIO) -> int:
    """List, and delete if asked to; 1 if something could not be asked or deleted, 2 if nothing was begun."""
    now = datetime.now(tz=UTC)
    deleted = deletion.Deleted() if args.yes else None
    try:
        rules = _rules(args)
        records = choice.open_records(args, _say)
        needs = _needs(records, rules, args, now)
        survey = Surveyor(records, needs, now=now, say=_say).survey()
    except (NotebookJobConfigError, AirflowError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _say("stopped; nothing was deleted")
        raise
    if deleted is not None:
        try:
            deletion.delete(survey.findings, needs, records, deleted, say=_say)
        except KeyboardInterrupt:
            _say(
                f"stopped; {deleted.jobs} jobs were deleted, {deleted.amount.objects} objects; the same command goes on with the rest"
            )
            raise
    return _report(args, survey, deleted, now, out)


def _needs(records: AllRecords, rules: Rules, args: argparse.Namespace, now: datetime) -> Needs:
    """:raises NotebookJobConfigError: Airflow has no run of a DAG that is asked for."""
    needs = Needs(records, rules, dag_ids=frozenset(args.dag), now=now)
    for dag_id in args.dag:
        if dag_id not in needs.known_dags:
            hint = did_you_mean(dag_id, sorted(needs.known_dags))
            raise NotebookJobConfigError(f"--dag {dag_id}: Airflow has no run of such a DAG{hint}")
    return needs


def _report(
    args: argparse.Namespace, survey: Survey, deleted: deletion.Deleted | None, now: datetime, out: TextIO
) -> int:
    problems = [*survey.problems, *(deleted.problems if deleted else ())]
    if args.form == "json":
        print(json.dumps(report.document(survey, deleted, problems), indent=2), file=out)
    else:
        for line in report.text_lines(survey, deleted, now=now):
            print(visible(line), file=out)
        for note in (*survey.notes, *(deleted.notes if deleted else ())):
            _say(note)
    for problem in problems:
        _say(problem)
    return 1 if problems else 0


def _rules(args: argparse.Namespace) -> Rules:
    """:raises NotebookJobConfigError: an option cannot be read, or everything would be deleted unasked."""
    try:
        older_than = None if args.older_than is None else parse_age(args.older_than)
    except ValueError as error:
        raise NotebookJobConfigError(f"--older-than: {error}") from error
    if args.keep_last is not None and not (args.keep_last.isascii() and args.keep_last.isdecimal()):
        raise NotebookJobConfigError(f"--keep-last {args.keep_last} is no number of runs; write 0, 1, 2 …")
    rules = Rules(older_than_hours=older_than, keep_last=None if args.keep_last is None else int(args.keep_last))
    if args.yes and not rules.says_something:
        raise NotebookJobConfigError(
            "--yes needs to be told what to keep: --older-than AGE, --keep-last N, or both; --keep-last 0 keeps no ended run"
        )
    return rules


def _say(text: str) -> None:
    print(visible(text), file=sys.stderr)
