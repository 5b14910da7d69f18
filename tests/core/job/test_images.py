"""What the name of an image tells."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core.job.images import distribution_driver, parse_ecr_image

REGISTRY = "885854791233.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("uri", "repository", "identifier"),
    [
        (f"{REGISTRY}/team/mine:1.2", "team/mine", {"imageTag": "1.2"}),
        (f"{REGISTRY}/mine", "mine", {"imageTag": "latest"}),
        (f"{REGISTRY}/mine@{DIGEST}", "mine", {"imageDigest": DIGEST}),
        (f"{REGISTRY}/mine:1@{DIGEST}", "mine", {"imageDigest": DIGEST}),
        ("885854791233.dkr.ecr-fips.us-gov-west-1.amazonaws.com/mine:1", "mine", {"imageTag": "1"}),
        ("885854791233.dkr.ecr.cn-north-1.amazonaws.com.cn/mine:1", "mine", {"imageTag": "1"}),
    ],
)
def test_where_an_image_lies(uri, repository, identifier):
    image = parse_ecr_image(uri)
    assert (image.registry, image.repository, image.identifier) == ("885854791233", repository, identifier)


@pytest.mark.parametrize(
    "uri", ["public.ecr.aws/sagemaker/x:1", "docker.io/library/x", "", "sagemaker-distribution:4-cpu"]
)
def test_another_registry_is_none_of_ecr(uri):
    assert parse_ecr_image(uri) is None


@pytest.mark.parametrize(
    ("name", "has_driver"),
    [
        ("sagemaker-distribution-prod:4-cpu", True),
        ("sagemaker-distribution-prod:2.14.1-gpu", True),
        ("sagemaker-distribution-prod:0-cpu", True),
        ("sagemaker-distribution-prod:0.9-cpu", True),
        ("sagemaker-distribution-prod:0.10.2-cpu", True),
        ("sagemaker-distribution-prod:0.8.3-cpu", False),
        ("sagemaker-distribution-prod:latest-cpu", None),
        (f"sagemaker-distribution-prod@{DIGEST}", None),
        ("mine:4-cpu", None),
    ],
)
def test_which_images_have_the_driver(name, has_driver):
    assert distribution_driver(parse_ecr_image(f"{REGISTRY}/{name}")) is has_driver


@pytest.mark.parametrize(
    ("name", "has_driver"),
    [
        ("sagemaker-distribution-prod:0.9.0-gpu", True),
        ("sagemaker-distribution-prod:0.0-cpu", False),
        ("sagemaker-distribution-prod:1.0-cpu", True),
        ("sagemaker-distribution-prod:1.8.9-cpu", True),
        ("sagemaker-distribution-prod:10.1-cpu", True),
        ("sagemaker-distribution-prod:0-gpu", True),
        ("sagemaker-distribution-prod:0.8-tpu", None),
        ("sagemaker-distribution-prod:4", None),
        ("sagemaker-distribution-prod", None),
        ("team/sagemaker-distribution-prod:4-cpu", None),
    ],
)
def test_the_driver_came_with_version_0_9(name, has_driver):
    assert distribution_driver(parse_ecr_image(f"{REGISTRY}/{name}")) is has_driver


@pytest.mark.parametrize(
    "uri",
    [
        f"{REGISTRY}/",
        f"{REGISTRY}/Mine",
        f"x{REGISTRY}/mine",
        f"{REGISTRY[1:]}/mine",
        f"{REGISTRY}/mine:",
        f"{REGISTRY}/mine@sha256:0a",
    ],
)
def test_what_is_no_whole_name_of_an_image_lies_nowhere(uri):
    assert parse_ecr_image(uri) is None


def test_an_image_has_its_parts():
    image = parse_ecr_image(f"{REGISTRY}/a/b_c.d-e:1.2@{DIGEST}")
    assert tuple(image) == ("885854791233", "a/b_c.d-e", "1.2", DIGEST)
