"""What a plan says that a task costs, by what its earlier jobs took."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_nbjobs.commands.plan import estimates
from airflow_nbjobs.commands.plan.estimates import add_estimates
from airflow_nbjobs.commands.plan.mapping import Indexes
from airflow_nbjobs.commands.plan.records import TaskPlan
from airflow_nbjobs.commands.plan.tasks import PlannedTask
from airflow_nbjobs.core.job.prices import Prices

PRICES = Prices({"a": 2.0, "b": 20.0})


@pytest.fixture
def took(monkeypatch):
    """Sets what earlier jobs took; returns the tasks that were asked about."""
    asked = []

    def of(seconds, jobs):
        monkeypatch.setattr(estimates, "earlier_seconds", lambda *name: asked.append(name) or (seconds, jobs))
        return asked

    return of


def index(machine=None, *, not_known=(), most=100):
    """One index on a machine; None: it makes no job."""
    spec = SimpleNamespace(max_runtime_in_seconds=most)
    job = None if machine is None else SimpleNamespace(types=(machine, "another"), spec=spec)
    return PlannedTask(TaskPlan(task_id="t"), job, dict.fromkeys(not_known, "{{ ds }}"))


def estimated(*planned, count=1, left_out=0, runs=1):
    task = SimpleNamespace(dag_id="d", task_id="t")
    add_estimates(task, planned, Indexes([], count, left_out=left_out), runs, PRICES)
    return [each.plan.estimate for each in planned]


def test_hours_and_cost_are_of_all_jobs_of_all_runs(took):
    asked = took(1800.0, 3)
    (found,) = estimated(index("a"), count=4, runs=10)
    assert (found.instance_type, found.jobs, found.runs, found.seconds, found.earlier_jobs) == ("a", 4, 10, 1800.0, 3)
    assert (found.hours, found.cost, found.most_seconds) == (20.0, "$40.0000", 100)
    assert asked == [("d", "t")]


@pytest.mark.parametrize(("seconds", "count"), [(None, 4), (1800.0, None)])
def test_without_a_time_or_a_number_there_are_no_hours(took, seconds, count):
    took(seconds, 0)
    (found,) = estimated(index("a"), count=count)
    assert (found.seconds, found.jobs, found.hours, found.cost) == (seconds, count, None, None)


def test_a_task_without_a_job_has_no_estimate_and_the_database_is_not_asked(took):
    asked = took(60.0, 1)
    assert estimated(index(), index()) == [None, None]
    assert asked == []


def test_the_first_index_of_each_machine_has_its_estimate(took):
    took(3600.0, 1)
    planned = [index(), index("a", most=5), index("b"), index("a", most=50)]
    none, of_a, of_b, again = estimated(*planned, count=9, left_out=5)
    assert (none, again) == (None, None)
    assert [(each.instance_type, each.jobs, each.cost, each.most_seconds) for each in (of_a, of_b)] == [
        ("a", 2, "$4.0000", 50),
        ("b", 1, "$20.0000", 100),
    ]
    assert planned[1].plan.not_known == ("estimates: 6 indexes are in none, since their machines are not known",)


def test_where_every_index_is_in_an_estimate_nothing_is_said(took):
    took(60.0, 1)
    planned = [index("a"), index("b")]
    estimated(*planned, count=2)
    assert [each.plan.not_known for each in planned] == [(), ()]
    planned = [index("a"), index()]
    estimated(*planned, count=2, left_out=7)
    assert planned[0].plan.not_known == ()
    assert planned[0].plan.estimate.jobs == 2


def test_a_machine_that_a_run_gives_is_not_known(took):
    took(60.0, 1)
    (found,) = estimated(index("a", not_known=["instance_type"]))
    assert (found.instance_type, found.hours, found.cost) == (None, 60 / 3600, None)
    (found,) = estimated(index("a", not_known=["volume_size"]))
    assert found.instance_type == "a"


def test_of_several_machines_whose_numbers_a_run_gives_there_is_one_estimate_of_none(took):
    took(60.0, 1)
    first, second = estimated(index("a", most=5), index("b", most=7), count=None)
    assert (first.instance_type, first.jobs, first.most_seconds, second) == (None, None, 7, None)
