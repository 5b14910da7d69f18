"""Which tasks of a group can share its machine, and what is said of those that cannot."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core.job.pool_members import Member, member_problems


def member(label="'a'", **arguments):
    return Member(label, {name: values if isinstance(values, list) else [values] for name, values in arguments.items()})


def test_tasks_of_one_machine_have_no_problem():
    assert member_problems("g", [member(instance_type="ml.m5.large"), member("'b'", instance_type="ml.m5.large")]) == []


@pytest.mark.parametrize(
    ("members", "parts"),
    [
        (
            [member(instance_type="ml.m5.large"), member("'b'", instance_type="ml.m5.xlarge")],
            [
                "task 'b' could not",
                "its instance_type is 'ml.m5.xlarge', that of task 'a' is 'ml.m5.large'",
                "give both one value",
            ],
        ),
        (
            [member(instance_type=["ml.m5.large", "ml.m5.xlarge"])],
            ["task 'a' could not", "that of another of its instances is"],
        ),
        (
            [member(region_name="eu-west-1"), member("'b'", region_name="eu-west-3")],
            ["its region_name is", "that of task 'a' is"],
        ),
        (
            [member(subnets=[["subnet-2", "subnet-1"]]), member("'b'", subnets=[["subnet-3"]])],
            ["its subnets is ['subnet-3'], that of task 'a' is ['subnet-1', 'subnet-2']"],
        ),
        (
            [member(), member("'b'", extra_request={"ResourceConfig": {"InstanceCount": 2}})],
            ["its ResourceConfig.InstanceCount of extra_request is 2, that of task 'a' is 1"],
        ),
        (
            [member(instance_type=[["ml.m5.large", "ml.m5.xlarge"]]), member("'b'", instance_type="ml.m5.large")],
            ["that of task 'a' is ('ml.m5.large', 'ml.m5.xlarge')"],
        ),
        ([member(enable_managed_spot_training=True)], ["task 'a' asks for spot capacity", "=None"]),
        ([member(wait_for_completion=False)], ["task 'a' does not wait for its job", "=None"]),
    ],
)
def test_what_keeps_a_task_from_the_groups_machine_is_said_with_what_to_do(members, parts):
    (problem,) = member_problems("g", members)
    assert [part for part in parts if part not in problem] == []


def test_of_one_argument_each_task_has_one_problem():
    values = ["ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge"]
    assert len(member_problems("g", [member(instance_type=values), member("'b'", instance_type=values[1])])) == 2


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        ({"extra_request": {"ResourceConfig": {"InstanceCount": 2}}}, {}, 1),
        ({"extra_request": {"ResourceConfig": {"InstanceCount": "1"}}}, {}, 0),
        ({"extra_request": {"ResourceConfig": "x"}}, {}, 0),
        ({"extra_request": {"ResourceConfig": {"InstanceCount": 1}}, "volume_size": 30}, {"volume_size": 31}, 1),
        ({"extra_request": "{{ x }}", "instance_type": "ml.m5.large"}, {"instance_type": "ml.m5.xlarge"}, 0),
        ({"role": "{{ x }}"}, {"role": "a"}, 0),
        ({"role": "b"}, {"role": "a"}, 1),
        ({"extra_request": "None"}, {"volume_size": "30"}, 0),
        ({"volume_size": 30}, {"volume_size": "30"}, 0),
        ({"volume_size": 30}, {"volume_size": 31}, 1),
        ({"volume_size": "{{ x }}"}, {"volume_size": 31}, 0),
        ({"volume_size": "thirty"}, {"volume_size": 31}, 0),
        ({"subnets": ["subnet-1", "subnet-2"]}, {"subnets": ["subnet-2", "subnet-1"]}, 0),
        ({"subnets": ["subnet-1"]}, {"subnets": ["subnet-2"]}, 1),
        ({"subnets": None}, {"subnets": ["subnet-2"]}, 0),
        ({"enable_network_isolation": "False"}, {}, 0),
        ({"enable_network_isolation": True}, {}, 1),
    ],
    ids=str,
)
def test_values_are_compared_as_they_count(first, second, count):
    """What only the run tells may be one value."""
    members = [
        Member(label, {name: (value,) for name, value in given.items()})
        for label, given in (("'a'", first), ("'b'", second))
    ]
    assert len(member_problems("g", members)) == count
