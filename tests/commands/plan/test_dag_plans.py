"""The plan of a DAG: its run, its tasks, and what is said once of all of them."""

from __future__ import annotations

import pytest
from plans import DATED, in_dag, one, tasks_of

from airflow_nbjobs.commands.plan import dag_plans

pytestmark = pytest.mark.usefixtures("no_network")
JOB = "Job(task_id='t', input_notebook='nb.ipynb', parameters={'name': 'x'})"


def test_other_tasks_are_counted_and_not_looked_at(plan):
    body = "@task\n    def a(): ...\n    @task\n    def b(): ...\n    a(); b(); " + JOB
    document, _, _ = plan(in_dag(body))
    (dag,) = document["dags"]
    assert (dag["other_tasks"], [task["task_id"] for task in dag["tasks"]]) == (2, ["t"])


def test_tasks_that_are_asked_for_may_be_several(plan):
    jobs = "; ".join(JOB.replace("'t'", f"'{name}'") for name in "abc")
    document, _, _ = plan(in_dag(jobs), "--task", "a", "--task", "c")
    assert [task_id for task_id, _ in tasks_of(document)] == ["a", "c"]
    assert document["dags"][0]["other_tasks"] == 0


def test_the_runs_own_facts_are_said_and_its_secrets_are_not(plan):
    document, _, _ = plan(DATED, "--date", "2026-02-03", "--conf", '{"a": 1, "password": "hunter2"}')
    assert document["dags"][0]["run"] == {
        "logical_date": "2026-02-03T00:00:00+00:00",
        "data_interval_start": "2026-02-03T00:00:00+00:00",
        "data_interval_end": "2026-02-04T00:00:00+00:00",
        "run_id": document["dags"][0]["run"]["run_id"],
        "conf": {"a": 1, "password": "***"},
    }
    document, _, _ = plan(DATED)
    assert set(document["dags"][0]["run"].values()) == {None}


@pytest.mark.parametrize(
    ("most", "runs", "said"),
    [(7, 7, []), (6, 6, ["--backfill 2026-02-01 2026-02-07: that is more than 6 runs; an estimate counts as many"])],
)
def test_a_backfill_of_too_many_runs_is_estimated_as_far_as_they_are_counted(plan, monkeypatch, most, runs, said):
    monkeypatch.setattr(dag_plans, "MOST_RUNS", most)
    document, _, _ = plan(DATED, "--backfill", "2026-02-01", "2026-02-07")
    (dag,) = document["dags"]
    assert (dag["backfill_runs"], dag["has_more_backfill_runs"]) == (runs, bool(said))
    assert one(document)["estimate"]["runs"] == runs
    assert dag["warnings"] == said


def test_warnings_of_the_file_stand_before_those_of_the_backfill(plan):
    document, _, _ = plan("import warnings\nwarnings.warn('mine')\n" + DATED, "--backfill", "2090-02-01", "2090-02-07")
    said = "--backfill 2090-02-01 2090-02-07: the schedule has no run there whose data interval is over"
    assert document["dags"][0]["warnings"] == ["mine", said]
    assert one(document)["estimate"]["runs"] == 0


def test_a_conf_that_airflow_refuses_is_a_problem_of_each_task_of_its_kind(plan):
    body = in_dag(
        JOB + "; SageMakerNotebookJobSensor(task_id='s', job_name='x')",
        "schedule=None, params={'n': Param(5, type='integer')}",
    )
    document, code_, _ = plan(body, "--conf", '{"n": "x"}')
    tasks = tasks_of(document)
    assert [(task["kind"], len(task["problems"])) for task in tasks.values()] == [("notebook", 1), ("sensor", 1)]
    for task in tasks.values():
        assert task["problems"][0].startswith("params: ")
        assert "\n" not in task["problems"][0]
    assert code_ == 1


def test_what_is_said_of_one_of_several_values_has_its_label(plan):
    document, _, _ = plan(
        "with DAG('d', schedule=None):\n"
        "    @task\n    def many(): return [1]\n"
        "    Job.partial(task_id='t', input_notebook='nb.ipynb', instance_type='{{ ds }}', additional_dependencies=['gone.csv'])"
        ".expand(parameters=many(), volume_size=[10, 0], max_runtime_in_seconds=[60])\n"
    )
    task = one(document)
    everywhere, alone = task["problems"][:-1], task["problems"][-1]
    assert everywhere
    assert not any(text.startswith("with ") for text in everywhere)
    assert alone == "with volume_size=0: volume_size: must be from 1 to 16384, not 0"
    said = "what is shown is for volume_size=10; the other values in the DAG file are checked as well"
    assert said in task["not_known"]
    assert task["not_known"].count("instance_type: {{ ds }}") == 1
    assert task["not_known"][-1] == "how many jobs 't' makes: what it is mapped over is another task's output"
    assert task["map_index"] is None


def test_the_estimate_of_several_values_is_there_whichever_of_them_is_wrong(plan):
    document, _, _ = plan(
        "with DAG('d', schedule=None):\n"
        "    @task\n    def many(): return [1]\n"
        "    Job.partial(task_id='t', input_notebook='nb.ipynb').expand(parameters=many(), volume_size=[0, 10])\n"
    )
    assert one(document)["estimate"]["jobs"] is None


def test_an_authors_class_that_fails_for_one_index_leaves_the_others(plan):
    document, code_, _ = plan(
        "class Mine(Job):\n"
        "    def job_arguments(self):\n"
        "        if self.volume_size == 2: raise ZeroDivisionError('mine')\n"
        "        return super().job_arguments()\n"
        + in_dag("Mine.partial(task_id='t', input_notebook='nb.ipynb').expand(volume_size=[1, 2, 3])")
    )
    tasks = tasks_of(document)
    assert [(index, task["problems"]) for (_, index), task in tasks.items()] == [
        (0, []),
        (1, ["the task cannot be looked at: ZeroDivisionError: mine"]),
        (2, []),
    ]
    assert code_ == 1


def test_a_notebook_that_each_index_has_of_a_run_is_not_asked_for(plan):
    """What Airflow gives as a whole may have the notebook, which the operator cannot be made without."""
    document, code_, _ = plan(
        "with DAG('d', schedule=None):\n"
        "    @task\n    def many(): return [{}]\n"
        "    Job.partial(task_id='t', input_notebook='nb.ipynb').expand_kwargs(many())\n"
        "    Job.partial(task_id='u').expand_kwargs(many())\n"
    )
    tasks = tasks_of(document)
    assert [task["notebook"] is None for task in tasks.values()] == [False, True]
    assert code_ == 0
