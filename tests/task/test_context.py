"""A task's context as values: identity, what the notebook is told, how long is left."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from airflow_names import mask_secret
from fakes import STARTED, task_context

from airflow_nbjobs.task.identity import (
    generation,
    parameters_text,
    run_of,
    search_folders,
    seconds_left,
    shortened,
)


def test_the_identity_holds_what_tells_this_try_from_every_other():
    context = task_context(try_number=3, max_tries=4, map_index=7)
    key = run_of(context, deployment="production").key
    assert (key.deployment, key.dag_id, key.task_id, key.map_index) == ("production", "d", "t", 7)
    assert (key.run_id, key.generation, key.attempt) == (context["ti"].run_id, 4, 0)
    assert key.run_started_microseconds == 1_795_316_400_000_000


def test_a_run_that_was_deleted_and_made_again_is_another():
    """Same run id, same logical date; only its start differs."""
    first, second = task_context(), task_context()
    second["dag_run"].start_date = STARTED + timedelta(microseconds=1)
    keys = {run_of(context, deployment="").key for context in (first, second)}
    assert len(keys) == 2


def test_the_same_moment_in_another_time_zone_is_the_same_run():
    context = task_context()
    here = run_of(context, deployment="").key
    context["dag_run"].start_date = STARTED.astimezone(timezone(timedelta(hours=5)))
    assert run_of(context, deployment="").key == here


def test_a_run_without_a_start_counts_from_when_it_was_due():
    context = task_context()
    context["dag_run"].start_date = None
    assert run_of(context, deployment="").key.run_started_microseconds == 1_795_316_400_000_000


LOOP, MAPPED = UUID("0199c2f0-0000-7000-8000-000000000001"), UUID("0199c2f0-0000-7000-8000-000000000002")
NOWHERE = UUID(int=0)


def in_region(region_id, region_index, *, map_index=-1, groups=()):
    """Return a context as Airflow 3.4 gives it; groups from the inside out."""
    context = task_context(map_index=map_index)
    group = None
    for fields in reversed(groups):
        group = SimpleNamespace(parent_group=group, **fields)
    vars(context["ti"]).update(region_id=region_id, region_index=region_index, task=SimpleNamespace(task_group=group))
    return context


A_LOOP = {"group_id": "l", "max_iterations": 5}


def test_iterations_of_a_loop_are_different_runs():
    """They share dag, run, task, map index (-1) and generation."""
    contexts = [in_region(LOOP, iteration, groups=[A_LOOP]) for iteration in (0, 1, 2)]
    keys = [run_of(context, deployment="").key for context in contexts]
    assert [(key.region_id, key.region_index, key.map_index) for key in keys] == [
        (str(LOOP), 0, -1),
        (str(LOOP), 1, -1),
        (str(LOOP), 2, -1),
    ]
    assert len({key.identity() for key in keys}) == 3


def test_a_task_mapped_within_an_iteration_is_another_in_the_next():
    """Its place in its region is the map index, so only the region tells the iterations apart."""
    first, second = (
        in_region(region, 0, map_index=0, groups=[{"group_id": "inner"}, A_LOOP]) for region in (LOOP, MAPPED)
    )
    keys = [run_of(context, deployment="").key for context in (first, second)]
    assert [(key.region_id, key.region_index) for key in keys] == [(str(LOOP), 0), (str(MAPPED), 0)]


@pytest.mark.parametrize(
    ("region_id", "region_index", "map_index"),
    [(NOWHERE, -1, -1), (str(NOWHERE), -1, -1), (None, None, -1), (NOWHERE, 7, 7), (MAPPED, 7, 7)],
    ids=["plain", "plain as text", "older API", "mapped before the upgrade", "mapped"],
)
def test_a_task_in_no_loop_is_the_run_that_it_was_before_airflow_had_any(region_id, region_index, map_index):
    """Airflow 3.4 gives mapped tasks a region too; a job submitted before the upgrade must still be found after it."""
    there = run_of(in_region(region_id, region_index, map_index=map_index, groups=[{"group_id": "g"}]), deployment="")
    before = run_of(task_context(map_index=map_index), deployment="")
    assert there == before


def test_the_notebook_is_told_its_iteration():
    run = run_of(in_region(LOOP, 3, groups=[A_LOOP]), deployment="")
    assert (run.variables["NBJOBS_REGION_ID"], run.variables["NBJOBS_REGION_INDEX"]) == (str(LOOP), "3")
    assert (run.tags["airflow:region_id"], run.tags["airflow:region_index"]) == (str(LOOP), "3")


def test_variables_and_tags_tell_where_the_job_runs():
    run = run_of(task_context(try_number=2), deployment="")
    assert run.variables == {
        "NBJOBS_DAG_ID": "d",
        "NBJOBS_RUN_ID": "manual__2026-11-22T00:00:00+00:00",
        "NBJOBS_TASK_ID": "t",
        "NBJOBS_MAP_INDEX": "-1",
        "NBJOBS_TRY_NUMBER": "2",
    }
    assert run.tags["airflow:run_id"] == "manual__2026-11-22T00:00:00+00:00"
    assert {name.removeprefix("airflow:") for name in run.tags} == {
        name.removeprefix("NBJOBS_").lower() for name in run.variables
    }


def test_a_data_interval_is_told_where_there_is_one():
    context = task_context()
    context["dag_run"].data_interval_start = datetime(2026, 11, 21, tzinfo=UTC)
    context["dag_run"].data_interval_end = datetime(2026, 11, 22, tzinfo=UTC)
    variables = run_of(context, deployment="").variables
    assert variables["NBJOBS_DATA_INTERVAL_START"] == "2026-11-21T00:00:00+00:00"
    assert variables["NBJOBS_DATA_INTERVAL_END"] == "2026-11-22T00:00:00+00:00"


@pytest.mark.parametrize(
    ("before", "after", "is_another_generation"),
    [
        ((1, 2), (2, 2), False),  # a retry
        ((1, 2), (2, 3), True),  # cleared after the first try with two retries: max_tries is try_number + retries
        ((1, 0), (2, 1), True),  # without retries
        ((3, 2), (4, 5), True),  # after the last try
        ((1, 2), (2, 6), True),  # `retries` was raised to 5 before the clear
        ((1, 5), (2, 3), True),  # `retries` was lowered to 2 before the clear
    ],
)
def test_a_clear_that_airflow_records_is_a_new_generation_and_a_retry_is_none(before, after, is_another_generation):
    earlier, later = (task_context(try_number=number, max_tries=most)["ti"] for number, most in (before, after))
    assert (generation(earlier) != generation(later)) is is_another_generation


def operator(**fields):
    return SimpleNamespace(**fields)


def test_without_a_timeout_nothing_bounds_the_wait():
    assert seconds_left(operator(execution_timeout=None), task_context()) is None


def test_what_is_left_counts_from_the_first_start_of_the_try():
    """A deferred task resumes as a new process; its timeout goes on."""
    context = task_context()
    context["ti"].start_date = datetime.now(tz=UTC) - timedelta(minutes=10)
    left = seconds_left(operator(execution_timeout=timedelta(minutes=30)), context)
    assert 19 * 60 < left <= 20 * 60


def test_paths_are_found_beside_the_dag_file_then_in_its_searchpath_then_in_the_bundle():
    dag = SimpleNamespace(fileloc="/bundle/dags/team/dag.py", template_searchpath=["/shared", "/bundle/dags/team"])
    context = task_context()
    context["ti"].bundle_instance = SimpleNamespace(path=Path("/bundle"))
    assert search_folders(operator(dag=dag), context) == [Path("/bundle/dags/team"), Path("/shared"), Path("/bundle")]


def test_a_task_without_a_bundle_or_searchpath_has_its_dag_files_folder():
    dag = SimpleNamespace(fileloc="/dags/dag.py", template_searchpath=None)
    assert search_folders(operator(dag=dag), task_context()) == [Path("/dags")]
    dag.template_searchpath = "/shared"
    assert search_folders(operator(dag=dag), task_context()) == [Path("/dags"), Path("/shared")]


def test_parameters_in_an_error_are_masked_and_cut():
    mask_secret("hunter2hunter2")
    text = parameters_text({"token": "hunter2hunter2", "rows": list(range(1000)), "day": "2026-11-22"})
    assert "hunter2" not in text
    assert "'token': '***'" in text
    assert "'day': '2026-11-22'" in text
    assert len(text) < 400


def test_no_parameters_are_an_empty_mapping():
    assert parameters_text(None) == parameters_text({}) == "{}"


def test_a_value_in_a_log_line_is_cut():
    assert shortened("x" * 500) == "'" + "x" * 199 + "…"
