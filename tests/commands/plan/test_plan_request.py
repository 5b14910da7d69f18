"""The request that a plan shows: what is not known stands in its place in angle brackets, and what is known stays."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_nbjobs.commands.plan.request import replaced_text, shown_request
from airflow_nbjobs.core.job.naming import RunKey, name_digest

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=0, task_id="t", map_index=-1, generation=0)
DIGEST = name_digest(KEY.with_attempt(0))
SENT = {
    "TrainingJobName": f"d-t-{DIGEST}",
    "RoleArn": "arn:role",
    "AlgorithmSpecification": {"TrainingImage": "image"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    "Environment": {"NBJOBS_OWNER": "the owner", "NBJOBS_INPUT_SHA256": "abc", "A": "1"},
    "Tags": [{"Key": "k", "Value": "token-of-a-text"}],
    "HyperParameters": {"rows": "7"},
    "InputDataConfig": ({"ChannelName": "input"},),
}


def shown(sent=None, *, not_known=None, texts=None, parameters=None):
    job = SimpleNamespace(
        request=lambda number: (sent or SENT) if number == 0 else None,
        owner=lambda number: "the owner" if number == 0 else None,
        run=SimpleNamespace(key=KEY),
    )
    return shown_request(job, not_known=not_known or {}, texts=texts or {}, parameters=parameters or {})


def test_what_airflow_decides_when_the_run_begins_is_shown_as_such():
    expected = SENT | {
        "TrainingJobName": "d-t-<hash of the run>",
        "Environment": SENT["Environment"] | {"NBJOBS_OWNER": "<identity of the run>"},
        "InputDataConfig": [{"ChannelName": "input"}],
    }
    assert shown() == expected


def test_stand_ins_are_replaced_wherever_they_are():
    request = shown(
        SENT | {"Environment": {"image": "x image y"}}, texts={"image": "of AWS", "token-of-a-text": "{{ ds }}"}
    )
    assert request["AlgorithmSpecification"]["TrainingImage"] == "<of AWS>"
    assert request["Tags"] == [{"Key": "k", "Value": "<{{ ds }}>"}]
    assert request["Environment"] == {"<of AWS>": "x <of AWS> y"}


@pytest.mark.parametrize(
    ("argument", "place"),
    [
        ("image_uri", "AlgorithmSpecification.TrainingImage"),
        ("role", "RoleArn"),
        ("s3_kms_key", "OutputDataConfig.KmsKeyId"),
        ("instance_type", "ResourceConfig.InstanceType"),
        ("volume_size", "ResourceConfig.VolumeSizeInGB"),
        ("volume_kms_key", "ResourceConfig.VolumeKmsKeyId"),
        ("keep_alive_period_in_seconds", "ResourceConfig.KeepAlivePeriodInSeconds"),
        ("max_runtime_in_seconds", "StoppingCondition.MaxRuntimeInSeconds"),
        ("max_wait_time_in_seconds", "StoppingCondition.MaxWaitTimeInSeconds"),
        ("encrypt_inter_container_traffic", "EnableInterContainerTrafficEncryption"),
        ("enable_managed_spot_training", "EnableManagedSpotTraining"),
        ("enable_network_isolation", "EnableNetworkIsolation"),
        ("max_retry_attempts", "RetryStrategy.MaximumRetryAttempts"),
        ("subnets", "VpcConfig.Subnets"),
        ("security_group_ids", "VpcConfig.SecurityGroupIds"),
        ("kernel_name", "Environment.SM_KERNEL_NAME"),
        ("initialization_script", "Environment.SM_INIT_SCRIPT"),
        ("output_formats", "Environment.SM_OUTPUT_FORMATS"),
        ("region_name", "Environment.AWS_DEFAULT_REGION"),
    ],
)
def test_an_argument_that_is_not_known_stands_where_aws_expects_it(argument, place):
    found = request = shown(not_known={argument: "{{ ds }}"})
    for name in place.split("."):
        found = found[name]
    assert found == "<{{ ds }}>"
    # All else is there as it was.
    assert request["StoppingCondition"].get("MaxRuntimeInSeconds") in (60, "<{{ ds }}>")
    assert request["ResourceConfig"]["InstanceCount"] == 1
    assert request["Environment"]["A"] == "1"


def test_of_a_whole_that_is_partly_known_both_are_shown():
    request = shown(not_known={"environment_variables": "e", "tags": "t", "parameters": "p"})
    assert (request["Environment"]["A"], request["Environment"]["<…>"]) == ("1", "<e>")
    assert request["Tags"] == [*SENT["Tags"], {"Key": "<…>", "Value": "<t>"}]
    assert request["HyperParameters"] == {"rows": "7", "<…>": "<p>"}
    bare = {name: value for name, value in SENT.items() if name not in ("Tags", "HyperParameters")}
    request = shown(bare, not_known={"tags": "t", "parameters": "p"})
    assert (request["Tags"], request["HyperParameters"]) == ("<t>", "<p>")


def test_an_argument_of_no_place_in_the_request_changes_nothing():
    assert shown(not_known={"input_notebook": "{{ ds }}", "outputs": "x"}) == shown()


def test_parameters_that_are_not_known_stand_beside_the_others():
    assert shown(parameters={"day": "{{ ds }}"})["HyperParameters"] == {"rows": "7", "day": "<{{ ds }}>"}
    bare = {name: value for name, value in SENT.items() if name != "HyperParameters"}
    assert shown(bare, parameters={"day": "{{ ds }}"})["HyperParameters"] == {"day": "<{{ ds }}>"}


@pytest.mark.parametrize(
    ("unknown", "is_known"),
    [
        ({"parameters": {"day": "x"}}, False),
        ({"not_known": {"parameters": "x"}}, False),
        ({"not_known": {"additional_dependencies": "x"}}, False),
        ({"not_known": {"initialization_script": "x"}}, False),
        ({"not_known": {"volume_size": "x"}}, True),
    ],
    ids=str,
)
def test_the_digest_of_the_input_is_known_if_all_of_it_is(unknown, is_known):
    assert shown(**unknown)["Environment"]["NBJOBS_INPUT_SHA256"] == ("abc" if is_known else "<digest of the input>")


def test_a_message_says_what_its_stand_ins_stand_for():
    assert replaced_text("a x b y", {"x": "one", "y": "two"}) == "a <one> b <two>"
    assert replaced_text("a", {}) == "a"
