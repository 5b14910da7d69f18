"""Which job is a task instance's own: whatever an XCom says, only names of that very task instance come out."""

from datetime import UTC, datetime

import pytest

from airflow_nbjobs.core.job.naming import RunKey, training_job_name
from airflow_nbjobs.ui.data.task_instance import Kind, NotebookTaskInstance, TaskArguments

RUN_STARTED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MICROSECONDS = 1767323045678901


def task_instance(**fields):
    given = {
        "dag_id": "d",
        "run_id": "r",
        "task_id": "t",
        "map_index": -1,
        "state": "success",
        "try_number": 1,
        "max_tries": 2,
        "started": None,
        "ended": None,
        "run_started": RUN_STARTED,
        "kind": Kind.OPERATOR,
        "arguments": TaskArguments({"aws_conn_id": "aws_default"}),
    }
    return NotebookTaskInstance(**given | fields)


def hint(**fields):
    return {"generation": 0, "run_started_microseconds": MICROSECONDS, "attempt": 0} | fields


def test_without_any_hint_the_name_is_that_of_the_first_job():
    found = task_instance()
    key = RunKey(
        deployment="",
        dag_id="d",
        run_id="r",
        run_started_microseconds=MICROSECONDS,
        task_id="t",
        map_index=-1,
        generation=2,
    )
    assert found.run_keys(deployment="") == [key]
    assert found.job_name(key) == training_job_name("d-t", key)


def test_a_hint_says_which_of_the_tasks_own_jobs():
    found = task_instance(job=hint(attempt=3, generation=1))
    (key,) = found.run_keys(deployment="")
    assert (key.generation, key.run_started_microseconds, key.attempt) == (1, MICROSECONDS, 3)


@pytest.mark.parametrize(
    "job",
    [
        {"job_name": "somebody-elses-job"},
        hint(job_name="somebody-elses-job", attempt=-1),
        hint(attempt=10**9),
        hint(attempt=True),
        hint(attempt="0"),
        hint(generation=1.5),
        hint(generation=None),
        hint(run_started_microseconds=-5),
        hint(run_started_microseconds=2**80),
        {"dag_id": "other", "task_id": "other", "run_id": "other"},
    ],
)
def test_a_doctored_hint_yields_a_name_of_this_task_instance_all_the_same(job):
    found = task_instance(job=job)
    (key,) = found.run_keys(deployment="x")
    assert (key.deployment, key.generation, key.run_started_microseconds) == ("x", 2, MICROSECONDS)
    assert (key.dag_id, key.run_id, key.task_id, key.map_index) == ("d", "r", "t", -1)


def test_a_hint_of_an_earlier_version_still_says_the_attempt():
    assert task_instance(job={"attempt": 2}).run_keys(deployment="")[0].attempt == 2


def test_remembered_jobs_are_offered_newest_first_and_once():
    found = task_instance(job=hint(attempt=1), attempts=(hint(attempt=0), hint(attempt=1), {"nonsense": 1}))
    assert [each.attempt for each in found.run_keys(deployment="")] == [1, 0]


def test_there_is_a_job_to_look_for_where_no_remembered_one_can_be_read():
    found = task_instance(job=None, attempts=({"nonsense": 1},))
    assert [each.attempt for each in found.run_keys(deployment="")] == [0]


def test_a_cleared_task_that_has_not_started_again_shows_its_earlier_jobs():
    found = task_instance(job=None, attempts=(hint(attempt=0),))
    assert [each.attempt for each in found.run_keys(deployment="")] == [0]


def test_an_argument_comes_from_the_serialized_operator_where_that_is_plain():
    found = task_instance(
        arguments=TaskArguments({"aws_conn_id": "mine", "s3_root_uri": "s3://b/{{ ds }}", "verify": None}),
        rendered={"aws_conn_id": "doctored", "s3_root_uri": "s3://b/2026", "verify": "doctored"},
    )
    assert found.argument("aws_conn_id") == "mine"
    assert found.argument("s3_root_uri") == "s3://b/2026"
    assert found.argument("verify") is None


def test_a_mapped_instance_has_its_own_value():
    found = task_instance(
        arguments=TaskArguments({"aws_conn_id": "mine"}, mapped=frozenset({"s3_root_uri"})),
        rendered={"s3_root_uri": "s3://b/x"},
    )
    assert found.argument("s3_root_uri") == "s3://b/x"


def test_a_readable_beginning_of_the_name_is_the_tasks():
    found = task_instance(arguments=TaskArguments({"notebook_job_name": "nightly"}))
    assert found.job_name(found.run_keys(deployment="")[0]).startswith("nightly-")
