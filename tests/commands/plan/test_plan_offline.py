"""What a plan takes in the place of AWS: stand-ins that the checks accept, and that the plan says are none."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_nbjobs.commands.plan import database, offline
from airflow_nbjobs.commands.plan.offline import (
    NotLookedAtError,
    OfflineClients,
    OfflineHook,
    connection_here,
    region_here,
    shown_stand_in,
    stand_in_region,
    stand_ins,
)

pytestmark = pytest.mark.usefixtures("no_network")
IMAGE = "123456789012.dkr.ecr.ap-south-1.amazonaws.com/nb:1"
KEY = "arn:aws:kms:eu-west-3:123456789012:key/x"


def test_a_role_and_an_image_are_stand_ins_and_said_to_be():
    clients = OfflineClients()
    arn, account = clients.account.role_arn("Jobs"), clients.account.distribution_account_id()
    assert arn.endswith(":role/Jobs")
    assert clients.not_known == {
        arn: "ARN of role 'Jobs'",
        account: "account of the region's SageMaker Distribution images",
    }
    assert [text.split(":")[0] for text in clients.said] == ["role", "image_uri"]
    assert account not in arn


@pytest.mark.parametrize("question", ["exists", "open", "names_below", "stat"])
def test_what_lies_in_s3_is_not_looked_at(question):
    with pytest.raises(NotLookedAtError, match="'s3://b/x' lies in S3, which is not asked"):
        getattr(OfflineClients().objects, question)("s3://b/x")


def test_the_hook_says_what_this_machine_knows_of_a_connection():
    hook = OfflineHook("eu-west-1", {"a": 1})
    assert (hook.region, hook.connection_extra, hook.has_credentials) == ("eu-west-1", {"a": 1}, True)
    assert "TrainingJobName" in hook.clients.jobs.request_shape.members


@pytest.mark.parametrize(
    ("extra", "own", "region"),
    [
        ({"region_name": " eu-west-1 "}, "us-west-2", "eu-west-1"),
        ({}, "us-west-2", "us-west-2"),
        (None, "us-west-2", "us-west-2"),
        ({"region_name": ""}, None, None),
    ],
)
def test_the_region_is_the_connections_else_this_machines(extra, own, region, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    if own:
        monkeypatch.setenv("AWS_DEFAULT_REGION", own)
    assert region_here(None if extra is None else SimpleNamespace(extra_dejson=extra)) == region


def test_a_region_that_nobody_says_is_that_of_the_first_image_or_key():
    assert stand_in_region(None, 5, "nonsense", IMAGE, KEY) == "ap-south-1"
    assert stand_in_region(KEY, IMAGE) == "eu-west-3"
    assert stand_in_region() == stand_in_region("nonsense") == "us-east-1"


def test_stand_ins_are_of_the_region_and_shown_as_what_they_stand_for():
    given = stand_ins("eu-west-3")
    assert set(given) == {"image_uri", "role", "s3_root_uri"}
    assert ".eu-west-3." in given["image_uri"]
    assert shown_stand_in("role", "arn", "of") == {"arn": "of"}
    assert shown_stand_in("s3_root_uri", "s3://b/x", "of") == {"s3://b/x": "of", "b/x": "of"}


@pytest.fixture
def asked(monkeypatch):
    """The questions for the database; none of them has an answer."""
    questions = []
    monkeypatch.setattr(database, "ask_database", questions.append)
    return questions


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"conn_type": "aws", "password": "hunter-p", "extra": {"region_name": "eu-west-1"}}),
        " " + json.dumps({"conn_type": "aws", "password": "hunter-p", "extra": {"region_name": "eu-west-1"}}),
        "aws://:hunter-p@/?region_name=eu-west-1",
    ],
    ids=["json", "blank", "uri"],
)
def test_a_connection_of_the_environment_is_read_and_its_secrets_are_masked(text, asked, monkeypatch):
    masked = []
    monkeypatch.setattr(offline, "add_secret", masked.append)
    monkeypatch.setenv("AIRFLOW_CONN_MY_AWS", text)
    found = connection_here("my_aws")
    assert (found.conn_id, found.conn_type, found.extra_dejson["region_name"]) == ("my_aws", "aws", "eu-west-1")
    assert (masked, asked) == (["hunter-p", found.extra_dejson], [])


def test_a_connection_that_the_environment_has_not_is_looked_for_in_the_database(asked):
    assert connection_here("other") is None
    assert len(asked) == 1


@pytest.mark.parametrize("conn_id", [None, ""])
def test_without_an_id_there_is_no_connection(asked, conn_id):
    assert (connection_here(conn_id), asked) == (None, [])
