"""Which tasks of a group can share its machine, and what is said of those that cannot."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core.job.pool_members import COMPARED, Member, member_problems


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


OTHER = {
    "role": ("a", "b"),
    "instance_type": ("ml.m5.large", "ml.m5.xlarge"),
    "volume_size": (30, 31),
    "volume_kms_key": ("a", "b"),
    "security_group_ids": (["sg-1"], ["sg-2"]),
    "subnets": (["subnet-1"], ["subnet-2"]),
    "encrypt_inter_container_traffic": (True, False),
    "enable_network_isolation": (False, True),
    "aws_conn_id": ("a", "b"),
    "region_name": ("eu-west-1", "eu-west-3"),
}


@pytest.mark.parametrize("name", COMPARED)
def test_each_thing_that_keeps_two_tasks_apart_is_compared(name):
    one, other = OTHER[name]
    (problem,) = member_problems("g", [member(**{name: [one]}), member("'b'", **{name: [other]})])
    assert problem.startswith(f"task 'b' could not share the machine of group 'g': its {name} is ")
    assert problem.endswith("give both one value, or this task keep_alive_period_in_seconds=None")
    assert member_problems("g", [member(**{name: [one]}), member("'b'", **{name: [one]})]) == []


@pytest.mark.parametrize(
    ("name", "default", "is_compared"),
    [
        ("instance_type", "ml.m5.large", True),
        ("volume_size", 30, True),
        ("encrypt_inter_container_traffic", True, True),
        ("enable_network_isolation", False, True),
        ("aws_conn_id", None, True),
        ("role", None, False),  # configured elsewhere: only the run tells
        ("volume_kms_key", None, False),
        ("security_group_ids", None, False),
        ("subnets", None, False),
        ("region_name", None, False),
    ],
)
def test_where_nothing_is_said_the_default_counts_if_it_is_known(name, default, is_compared):
    other = next(value for value in OTHER[name] if value != default)
    assert len(member_problems("g", [member(), member("'b'", **{name: [other]})])) == is_compared
    assert member_problems("g", [member(), member("'b'", **{name: [default]})]) == []


@pytest.mark.parametrize(
    ("path", "name", "value", "other"),
    [
        ({"RoleArn": "b"}, "role", "a", "'b'"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.xlarge"}}, "instance_type", "ml.m5.large", "'ml.m5.xlarge'"),
        ({"ResourceConfig": {"VolumeSizeInGB": 31}}, "volume_size", 30, "31"),
        ({"ResourceConfig": {"VolumeKmsKeyId": "b"}}, "volume_kms_key", "a", "'b'"),
        ({"VpcConfig": {"Subnets": ["subnet-2"]}}, "subnets", ["subnet-1"], "['subnet-2']"),
        ({"VpcConfig": {"SecurityGroupIds": ["sg-2"]}}, "security_group_ids", ["sg-1"], "['sg-2']"),
        ({"EnableNetworkIsolation": True}, "enable_network_isolation", False, "True"),
        ({"EnableInterContainerTrafficEncryption": False}, "encrypt_inter_container_traffic", True, "False"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_extra_request_is_merged_last(path, name, value, other):
    members = [member(**{name: [value]}), member("'b'", **{name: [value]}, extra_request=path)]
    (problem,) = member_problems("g", members)
    assert f"its {name} is {other}, that of task 'a' is" in problem


def test_spot_capacity_and_waiting_count_in_each_form_and_instance():
    def count(**arguments):
        return len(member_problems("g", [member(**arguments)]))

    assert count(enable_managed_spot_training=[False, "true"]) == 1
    assert count(extra_request={"EnableManagedSpotTraining": True}) == 1
    assert count(enable_managed_spot_training=True, extra_request={"EnableManagedSpotTraining": False}) == 0
    assert count(enable_managed_spot_training="{{ x }}") == count(enable_managed_spot_training="perhaps") == 0
    assert count(wait_for_completion=[True, "no"]) == 1
    assert count(wait_for_completion=None) == count() == 0
    assert count(enable_managed_spot_training=True, wait_for_completion=False) == 2


@pytest.mark.parametrize(
    "later",
    [object(), ["ml.m5.xlarge", object()], ["{{ x }}"], "{% if x %}a{% endif %}", "{# x #}", {"a": object()}],
    ids=type,
)
def test_what_has_a_value_only_when_the_task_runs_is_not_compared(later):
    assert member_problems("g", [member(), member("'b'", instance_type=[later])]) == []


def test_an_extra_request_that_only_the_run_knows_may_say_anything():
    assert member_problems("g", [member(), member("'b'", volume_size=31, extra_request=object())]) == []
    several = member("'b'", volume_size=31, extra_request=[None, "{{ x }}"])
    assert len(member_problems("g", [member(), several])) == 1


def test_the_first_task_is_what_all_others_are_measured_by():
    members = [member(), member("'b'", volume_size=31), member("'c'", volume_size=31), member("'d'")]
    problems = member_problems("g", members)
    assert [problem.split(" could")[0] for problem in problems] == ["task 'b'", "task 'c'"]
    assert all("that of task 'a' is 30" in problem for problem in problems)


def test_all_that_differs_is_said():
    (one, other) = ({name: [pair[place]] for name, pair in OTHER.items()} for place in (0, 1))
    assert len(member_problems("g", [member(**one), member("'b'", **other)])) == len(COMPARED) == 10
