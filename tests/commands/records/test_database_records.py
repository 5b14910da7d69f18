"""A database of Airflow's that cannot be read is said in its own words; what both ways to an Airflow say of runs is in ``test_both_records.py``."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import OperationalError

from airflow_nbjobs.commands.records.database import DatabaseRecords
from airflow_nbjobs.commands.records.port import AirflowError, Run

RUN = Run(dag_id="d", run_id="r", state="success", run_after=datetime(2026, 1, 1, tzinfo=UTC))


def failing(said):
    @contextmanager
    def make_session():
        raise OperationalError("SELECT 1", {}, Exception(said))
        yield

    return DatabaseRecords(make_session)


@pytest.mark.parametrize(
    ("said", "words"), [(" no such table: dag_run\n", "no such table: dag_run"), ("", "OperationalError")]
)
def test_the_drivers_words_are_told_with_what_to_do(said, words):
    with pytest.raises(AirflowError) as error:
        failing(said).runs()
    assert error.value.headline == f"Airflow's database cannot be read: {words}"
    assert "AIRFLOW_HOME" in error.value.details["next"]
    assert "--airflow-url" in error.value.details["next"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda records: records.run("d", "r"),
        lambda records: records.task_instances(RUN),
        lambda records: list(records.all_task_instances(["d"], unknown={})),
        lambda records: records.remembered_starts("d", "r", "t", -1),
        lambda records: records.under_way(),
        lambda records: list(records.texts([RUN], in_use=set())),
        lambda records: records.is_under_way(RUN),
    ],
    ids=["run", "task_instances", "all_task_instances", "remembered_starts", "under_way", "texts", "is_under_way"],
)
def test_no_question_takes_a_database_that_fails_for_an_empty_one(ask):
    with pytest.raises(AirflowError, match="cannot be read"):
        ask(failing("gone"))
