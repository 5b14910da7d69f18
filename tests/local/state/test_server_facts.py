"""What a client is told of an embedded SageMaker: addresses, key, and the environment that leads to it."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from airflow_nbjobs.local.state.facts import build_facts, read_ready_file, write_ready_file

if TYPE_CHECKING:
    from pathlib import Path

FACTS = build_facts(port=8080, region="eu-west-1", access_key_id="AKIA", secret_access_key="s", isolation="none")


def test_names_are_those_of_the_region_and_account() -> None:
    assert FACTS.endpoint_url == "http://127.0.0.1:8080"
    assert FACTS.role_arn == "arn:aws:iam::123456789012:role/NotebookJobs"
    assert FACTS.default_bucket == "sagemaker-eu-west-1-123456789012"
    assert FACTS.sample_bucket == "sagemaker-example-files-prod-eu-west-1"
    assert FACTS.image_uri == "819792524951.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-distribution-prod:4-cpu"
    other = build_facts(
        port=1, region="us-east-1", access_key_id="A", secret_access_key="s", isolation="root", host="sm.acme"
    )
    assert other.endpoint_url == "http://sm.acme:1"
    assert other.isolation == "root"
    with pytest.raises(KeyError):
        build_facts(port=1, region="moon-1", access_key_id="A", secret_access_key="s", isolation="none")


def test_the_environment_leads_boto3_to_the_server() -> None:
    assert FACTS.environment() == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:8080",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


def test_the_connection_has_job_defaults_on_request() -> None:
    plain = json.loads(FACTS.airflow_connection())
    assert plain == {
        "conn_type": "aws",
        "login": "AKIA",
        "password": "s",
        "extra": {"endpoint_url": "http://127.0.0.1:8080", "region_name": "eu-west-1"},
    }
    full = json.loads(FACTS.airflow_connection(with_job_defaults=True))
    assert full["extra"]["nbjobs"] == {
        "role": FACTS.role_arn,
        "s3_root_uri": "s3://sagemaker-eu-west-1-123456789012/nbjobs",
        "image_uri": FACTS.image_uri,
    }


def test_airflow_is_told_all_that_a_task_need_not_say() -> None:
    assert FACTS.airflow_settings() == {
        "AIRFLOW_CONN_AWS_DEFAULT": FACTS.airflow_connection(),
        "AIRFLOW__NBJOBS__ROLE": FACTS.role_arn,
        "AIRFLOW__NBJOBS__S3_ROOT_URI": "s3://sagemaker-eu-west-1-123456789012/nbjobs",
        "AIRFLOW__NBJOBS__IMAGE_URI": FACTS.image_uri,
    }
    assert FACTS.airflow_settings("s3://mine/x")["AIRFLOW__NBJOBS__S3_ROOT_URI"] == "s3://mine/x"


def test_the_ready_file_is_read_as_it_was_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    write_ready_file(FACTS, file)
    assert read_ready_file(file) == FACTS
    assert [each.name for each in tmp_path.iterdir()] == ["ready.json"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
