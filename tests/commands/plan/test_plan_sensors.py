"""What a plan says of a sensor: its own arguments are all that can be wrong."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, task

from airflow_nbjobs.commands.plan.given_run import GivenRun
from airflow_nbjobs.commands.plan.sensors import is_sensor, plan_sensor
from airflow_nbjobs.operators import SageMakerNotebookJobOperator as Job
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor as Sensor

ARN = "arn:aws:sagemaker:eu-west-3:123456789012:training-job/x-0123456789ab"


@pytest.fixture(autouse=True)
def dag():
    with DAG("d", schedule=None) as dag:
        yield dag


@task
def upstream():
    return "x"


def planned(**arguments):
    return plan_sensor(Sensor(task_id="s", **{"job_name": "x"} | arguments), GivenRun(), {})


def test_a_sensor_is_told_by_its_class_also_where_it_is_mapped_or_an_authors_own():
    class Mine(Sensor):
        pass

    assert is_sensor(Sensor(task_id="a", job_name="x"))
    assert is_sensor(Mine(task_id="b", job_name="x"))
    assert is_sensor(Sensor.partial(task_id="c").expand(job_name=["x"]))
    assert not is_sensor(Job(task_id="d", input_notebook="nb.ipynb"))


def test_a_right_sensor_has_its_outputs_and_nothing_else():
    plan = planned(outputs={"a": int, "b": str})
    assert (plan.task_id, plan.kind, plan.problems, plan.warnings, plan.not_known) == ("s", "sensor", (), (), ())
    assert [(each.name, each.type, each.cell, each.notebook) for each in plan.outputs] == [
        ("a", "int", None, None),
        ("b", "str", None, None),
    ]
    assert [each.type for each in planned_names(["a"]).outputs] == [None]


def planned_names(names):
    return plan_sensor(Sensor(task_id="names", job_name="x", outputs=names), GivenRun(), {})


def test_problems_of_templates_names_and_outputs_are_all_said():
    plan = planned(job_name="no name!", region_name="{{ foo }}", outputs=["x", "x"])
    said = [text.split()[0] for text in plan.problems]
    assert said == ["region_name:", "job_name", "output"]


def test_a_job_of_another_region_than_the_sensors_is_a_problem():
    (problem,) = planned(job_name=ARN, region_name="us-east-1").problems
    assert "eu-west-3" in problem


def test_a_region_that_a_run_gives_is_no_problem():
    plan = planned(job_name=ARN, region_name="{{ ds }}")
    assert (plan.problems, plan.not_known) == ((), ("region_name: {{ ds }}",))


def test_a_job_that_a_run_gives_is_not_known():
    plan = planned(job_name=upstream())
    assert (plan.problems, plan.not_known) == ((), ("job_name: XCom of 'upstream'",))


def test_a_mapped_sensor_waits_for_jobs_that_are_not_known():
    plan = plan_sensor(Sensor.partial(task_id="m").expand(job_name=["no name!"]), GivenRun(), {})
    assert (plan.task_id, plan.kind, plan.problems) == ("m", "sensor", ())
    assert plan.not_known == ("job_name: the sensor is mapped; each index waits for a job of its own",)
