"""What templates make of ``extra_request``, held against botocore's own model of CreateTrainingJob."""

from types import SimpleNamespace

import botocore
import pytest
from fakes import request_shape

from airflow_nbjobs.aws.submit.extra import CHANNEL, extra_problems, fitted, merge_extra


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"ResourceConfig": {"VolumeSizeInGB": "30"}}, {"ResourceConfig": {"VolumeSizeInGB": 30}}),
        ({"ResourceConfig": {"VolumeSizeInGB": " 30.0 "}}, {"ResourceConfig": {"VolumeSizeInGB": 30}}),
        ({"ResourceConfig": {"VolumeSizeInGB": 30.0}}, {"ResourceConfig": {"VolumeSizeInGB": 30}}),
        ({"ResourceConfig": '{"InstanceCount": "2"}'}, {"ResourceConfig": {"InstanceCount": 2}}),
        ({"ResourceConfig": "{'InstanceCount': 2}"}, {"ResourceConfig": {"InstanceCount": 2}}),
        ({"EnableNetworkIsolation": "True"}, {"EnableNetworkIsolation": True}),
        ({"EnableNetworkIsolation": "false"}, {"EnableNetworkIsolation": False}),
        ({"EnableNetworkIsolation": False}, {"EnableNetworkIsolation": False}),
        (
            {"AlgorithmSpecification": {"MetricDefinitions": "[{'Name': 'a', 'Regex': 'b'}]"}},
            {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "a", "Regex": "b"}]}},
        ),
        (
            {"InputDataConfig": [{"ChannelName": "c", "ShuffleConfig": {"Seed": "7"}}]},
            {"InputDataConfig": [{"ChannelName": "c", "ShuffleConfig": {"Seed": 7}}]},
        ),
        ({"HyperParameters": {"rows": 7, "share": 0.5}}, {"HyperParameters": {"rows": "7", "share": "0.5"}}),
        ({"Environment": {"ROWS": 7, "DEBUG": True}}, {"Environment": {"ROWS": "7", "DEBUG": "True"}}),
        ({"Tags": [{"Key": "cost", "Value": 7}]}, {"Tags": [{"Key": "cost", "Value": "7"}]}),
        ({"VpcConfig": {"Subnets": "['subnet-1']"}}, {"VpcConfig": {"Subnets": ["subnet-1"]}}),
    ],
    ids=str,
)
def test_what_a_template_wrote_becomes_what_botocore_takes(extra, expected):
    values, problems = fitted(extra, request_shape())
    assert (values, problems) == (expected, [])


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (
            {"ResourceConfig": {"VolumeSizeInGB": "30 GiB"}},
            "extra_request: ResourceConfig.VolumeSizeInGB must be a whole number, not '30 GiB'",
        ),
        (
            {"ResourceConfig": {"VolumeSizeInGB": ""}},
            "extra_request: ResourceConfig.VolumeSizeInGB must be a whole number, not ''",
        ),
        (
            {"ResourceConfig": {"VolumeSizeInGB": 30.5}},
            "extra_request: ResourceConfig.VolumeSizeInGB must be a whole number, not 30.5",
        ),
        (
            {"InputDataConfig": [{}, {"ShuffleConfig": {"Seed": "1e400"}}]},
            "extra_request: InputDataConfig[1].ShuffleConfig.Seed must be a whole number, not '1e400'",
        ),
        (
            {"EnableNetworkIsolation": "perhaps"},
            "extra_request: EnableNetworkIsolation must be True or False, not 'perhaps'",
        ),
        ({"ResourceConfig": "x"}, "extra_request: ResourceConfig must be a dict, or the JSON text of one, not 'x'"),
        (
            {"EnableManagedSpotTrainig": True},
            f"extra_request: EnableManagedSpotTrainig is no field of CreateTrainingJob in the installed botocore {botocore.__version__} (if AWS has it, upgrade boto3); did you mean 'EnableManagedSpotTraining'?",
        ),
        (
            {"ResourceConfig": {"volumesizeingb": "30"}},
            f"extra_request: ResourceConfig.volumesizeingb is no field of CreateTrainingJob in the installed botocore {botocore.__version__} (if AWS has it, upgrade boto3); did you mean 'VolumeSizeInGB'?",
        ),
        (
            {"InputDataConfig": [{"Zzz": 1}]},
            f"extra_request: InputDataConfig[0].Zzz is no field of CreateTrainingJob in the installed botocore {botocore.__version__} (if AWS has it, upgrade boto3)",
        ),
        ({"Tags": "a=1"}, "extra_request: Tags must be a list, or the JSON text of one, not 'a=1'"),
    ],
    ids=str,
)
def test_a_text_that_says_no_such_value_is_a_problem_with_its_path(extra, problem):
    values, problems = fitted(extra, request_shape())
    assert problems == [problem]
    assert values == extra


@pytest.mark.parametrize(
    "extra",
    [{"ResourceConfig": None}, {"ResourceConfig": ["x"]}, {"HyperParameters": {"flag": True}}, {"Tags": [None]}],
    ids=str,
)
def test_what_is_of_another_type_is_left_to_the_models_own_check(extra):
    values, problems = fitted(extra, request_shape())
    assert (values, problems) == (extra, [])


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"TrainingJobName": "x"}, "TrainingJobName is derived from the run"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://b/x"}}, "S3OutputPath follows from s3_root_uri"),
        ({"OutputDataConfig": {"CompressionType": "NONE"}}, "CompressionType must stay GZIP"),
        ({"InputDataConfig": {"ChannelName": "c"}}, "InputDataConfig must be a list of channels"),
        ({"InputDataConfig": [{"ChannelName": "c"}, {"ChannelName": CHANNEL}]}, "holds the staged notebook"),
    ],
    ids=str,
)
def test_what_a_job_is_found_and_read_by_may_not_be_set(extra, problem):
    (found,) = extra_problems(extra)
    assert found.startswith("extra_request: ")
    assert problem in found


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (
            {"NBJOBS_OWNER": "me", "NBJOBS_A": "1", "MINE": "1"},
            "NBJOBS_A, NBJOBS_OWNER tell whose job it is; names beginning with NBJOBS_ are the operator's",
        ),
        (
            {"SM_KERNEL_NAME": "x", "SM_INPUT_NOTEBOOK_NAME": "y", "MY_NBJOBS_": "1"},
            "SM_INPUT_NOTEBOOK_NAME, SM_KERNEL_NAME are set by the operator for the driver",
        ),
    ],
)
def test_variables_that_are_the_operators_may_not_be_set(environment, problem):
    assert extra_problems({"Environment": environment}) == [f"extra_request: Environment: {problem}"]
    assert len(extra_problems({"Environment": {"NBJOBS_X": "1", "SM_KERNEL_NAME": "x"}})) == 2


def test_tags_that_are_none_are_told():
    (problem,) = extra_problems({"Tags": [{"Key": "a"}]})
    assert problem.startswith("extra_request: Tags: ")
    assert extra_problems({"Tags": [{"Key": "a", "Value": "b"}]}) == []


def test_all_that_may_not_be_set_is_told_at_once():
    extra = {
        "TrainingJobName": "x",
        "OutputDataConfig": {"S3OutputPath": "s3://b/x", "CompressionType": "NONE"},
        "InputDataConfig": [{"ChannelName": CHANNEL}],
        "Environment": {"NBJOBS_X": "1"},
        "Tags": "x",
    }
    assert len(extra_problems(extra)) == 6


@pytest.mark.parametrize(
    ("present", "extra", "merged"),
    [
        ({"A": 1}, {"B": 2}, {"A": 1, "B": 2}),
        ({"A": 1}, {"A": 2}, {"A": 2}),
        ({"A": {"x": 1, "y": {"p": 1}}}, {"A": {"y": {"q": 2}}}, {"A": {"x": 1, "y": {"p": 1, "q": 2}}}),
        ({"A": {"x": 1}}, {"A": [1]}, {"A": [1]}),
        ({"A": [1]}, {"A": {"x": 1}}, {"A": {"x": 1}}),
        ({"VpcConfig": {"Subnets": ["a"]}}, {"VpcConfig": {"Subnets": ["b"]}}, {"VpcConfig": {"Subnets": ["b"]}}),
        (
            {"InputDataConfig": [{"ChannelName": "ours"}]},
            {"InputDataConfig": [{"ChannelName": "mine"}]},
            {"InputDataConfig": [{"ChannelName": "ours"}, {"ChannelName": "mine"}]},
        ),
        (
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}]},
            {"Tags": [{"Key": "b", "Value": "2"}, {"Key": "c", "Value": "2"}]},
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}, {"Key": "c", "Value": "2"}]},
        ),
        ({}, {"Tags": [{"Key": "a", "Value": "1"}]}, {"Tags": [{"Key": "a", "Value": "1"}]}),
        ({"Tags": [{"Key": "a", "Value": "1"}]}, {"Tags": None}, {"Tags": None}),
    ],
    ids=["new", "replaced", "nested", "list for dict", "dict for list", "list", "channels", "tags", "first", "no list"],
)
def test_what_is_added_is_merged_key_by_key_and_channels_and_tags_are_added(present, extra, merged):
    before = repr(present)
    assert merge_extra(present, extra) == merged
    assert repr(present) == before


DOUBLE = SimpleNamespace(type_name="structure", members={"Share": SimpleNamespace(type_name="double")})


@pytest.mark.parametrize(("given", "expected"), [("0.5", 0.5), (" 2 ", 2.0), (0.25, 0.25), (3, 3)])
def test_a_broken_number_may_be_a_text(given, expected):
    """CreateTrainingJob has none today; the model of the installed botocore counts."""
    assert fitted({"Share": given}, DOUBLE) == ({"Share": expected}, [])


def test_a_text_that_is_no_broken_number_is_a_problem():
    assert fitted({"Share": "half"}, DOUBLE)[1] == ["extra_request: Share must be a number, not 'half'"]


@pytest.mark.parametrize(
    "extra",
    [
        {"OutputDataConfig": {"CompressionType": "GZIP", "KmsKeyId": "k"}},
        {"OutputDataConfig": {}},
        {"InputDataConfig": ["c", {"ChannelName": "c"}]},
    ],
    ids=str,
)
def test_the_rest_may_be_set(extra):
    assert extra_problems(extra) == []


def test_the_callers_mapping_is_not_changed():
    extra = {"ResourceConfig": {"VolumeSizeInGB": "30"}}
    fitted(extra, request_shape())
    assert extra == {"ResourceConfig": {"VolumeSizeInGB": "30"}}
