"""The stand that all events share, and the table that they end in."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from call_record import following
from case import Case, Outcome
from iam_calls import actions
from postgres import PostgresServer
from stand import ABANDONED, PATIENCE, Stand, airflow_version, python_to_test

from airflow_nbjobs.core.job.permission_scope import parse_scope
from airflow_nbjobs.core.job.permissions import build_policy
from airflow_nbjobs.local import embedded
from airflow_nbjobs.local.embedded import EmbeddedSageMaker
from airflow_nbjobs.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from case import Event

DAG_FILE = Path(__file__).parent / "dags" / "fault_dags.py"
OUTCOMES = pytest.StashKey[list[Outcome]]()
SUBSET_EVENTS = 6
AT_ONCE = int(os.environ.get("NBJOBS_FAULTS_AT_ONCE", "6"))
OF_TESTS = {"sagemaker:DeleteTrainingJob"}  # a person's own
COLUMNS = ("billed_twice", "unawaited", "healthy_stopped", "others_touched", "outputs_lost", "stale", "hanging")
HEADINGS = ("billed twice", "unawaited", "stopped", "others'", "lost", "stale", "hanging")


def events_of(items: list[pytest.Item]) -> list[Event]:
    """Return the events that are selected."""
    return [
        item.callspec.params["event"]
        for item in items
        if "event" in getattr(getattr(item, "callspec", None), "params", {})
    ]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``NBJOBS_FAULTS_SEED=n`` keeps a few events, drawn by this seed; those that disturb all others stay out."""
    seed = os.environ.get("NBJOBS_FAULTS_SEED")
    if not seed:
        return
    quiet = sorted({event.name for event in events_of(items) if not event.disturbs})
    kept = set(random.Random(seed).sample(quiet, min(SUBSET_EVENTS, len(quiet))))
    left_out = [item for item in items if (found := events_of([item])) and found[0].name not in kept]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Event], Outcome]]:
    """Play all selected events on one Airflow: the quiet ones side by side, then the others one after the other."""
    python = python_to_test(os.environ)
    version = airflow_version(python)
    events = [event for event in events_of(request.session.items) if event.since <= version]
    folder = tmp_path_factory.mktemp("dags")
    shutil.copy(DAG_FILE, folder)
    (folder / "options").mkdir()
    (folder / "short.ipynb").write_text(json.dumps(NOTEBOOK))
    for event in events:
        (folder / "options" / f"{event.dag_id}.json").write_text(json.dumps(dict(event.options)))
    dag_ids = [event.dag_id for event in events]
    assert len(set(dag_ids)) == len(dag_ids)

    embedded.START_SECONDS *= PATIENCE
    with contextlib.ExitStack() as ends:
        database = ends.enter_context(PostgresServer())
        sagemaker = ends.enter_context(EmbeddedSageMaker())
        record = ends.enter_context(following(Faults(sagemaker.facts)))

        def make_stand(name: str, url: str, triggerers: int) -> Stand:
            stand = Stand(
                tmp_path_factory.mktemp(name),
                python=python,
                dags=folder,
                database_url=url,
                facts=sagemaker.facts,
                triggerers=triggerers,
            )
            ends.callback(stand.stop)
            stand.start()
            stand.await_ready(dag_ids)
            return stand

        first = make_stand("airflow", database.url, 2)

        def play(event: Event) -> Outcome:
            case = Case(
                event,
                first,
                sagemaker,
                folder,
                database=database,
                second_stand=lambda: make_stand("second", database.create_database("second"), 1),
            )
            return case.play()

        pool = ThreadPoolExecutor(AT_ONCE)
        quiet = {event.name: pool.submit(play, event) for event in events if not event.disturbs}
        try:
            played: dict[str, Outcome] = {name: future.result() for name, future in quiet.items()}
        finally:
            ABANDONED.set()  # reached early only by Ctrl-C
            pool.shutdown(cancel_futures=True)
            ABANDONED.clear()

        def outcome(event: Event) -> Outcome:
            if event.since > version:
                pytest.skip(f"needs Airflow {event.since[0]}.{event.since[1]}")
            if event.name not in played:
                played[event.name] = play(event)
            request.config.stash.setdefault(OUTCOMES, []).append(played[event.name])
            return played[event.name]

        yield outcome
        # Of all that these Airflows have asked, nothing is beyond the policy for them.
        policy = build_policy("caller", parse_scope(role_given=sagemaker.facts.role_arn))
        allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
        record.read()
        asked = actions(record.first.values())
        assert asked - OF_TESTS >= {"sagemaker:CreateTrainingJob", "s3:GetObject"}
        assert asked - OF_TESTS - allowed == set()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(OUTCOMES, [])
    if not rows:
        return
    version = ".".join(map(str, airflow_version(python_to_test(os.environ))))
    terminalreporter.section(f"faults, Airflow {version}")
    terminalreporter.write_line(f"{'event':32}{'jobs':>5}" + "".join(f"{name:>13}" for name in HEADINGS) + f"{'s':>6}")
    for row in rows:
        numbers = "".join(f"{getattr(row.counts, name):>13}" for name in COLUMNS)
        mark = "  FAILED" if row.problems else ""
        terminalreporter.write_line(f"{row.event:32}{row.jobs:>5}{numbers}{row.seconds:>6.0f}{mark}")


NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "cells": [
        {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": "token = 1"}
    ],
}
