"""What the embedded SageMaker's account says of images and quotas, over the wire."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.local


def quotas(client, **page):
    return [
        (quota["QuotaName"], quota["Value"])
        for answer in client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker", **page)
        for quota in answer["Quotas"]
    ]


def test_quotas_are_those_that_are_set_page_by_page(nbjobs_sagemaker):
    client = nbjobs_sagemaker.client("service-quotas")
    assert quotas(client) == []
    limits = {"ml.m5.large": 4, "ml.c5.xlarge": 0, "ml.p3.2xlarge": 1}
    for instance_type, limit in limits.items():
        nbjobs_sagemaker.faults.quota(instance_type, limit)
    expected = [(f"{name} for training job usage", limits[name]) for name in sorted(limits)]
    assert quotas(client) == expected
    assert quotas(client, PaginationConfig={"PageSize": 2}) == expected
    nbjobs_sagemaker.faults.quota("ml.m5.large", None)
    assert len(quotas(client)) == 2


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("list_service_quotas", {"ServiceCode": "ec2"}, "NoSuchResourceException"),
        ("list_service_quotas", {"ServiceCode": "sagemaker", "NextToken": "x"}, "InvalidPaginationTokenException"),
        ("list_service_quotas", {"ServiceCode": "-"}, "IllegalArgumentException"),
        ("get_service_quota", {"ServiceCode": "sagemaker", "QuotaCode": "L-1"}, "UnknownOperationException"),
    ],
)
def test_what_service_quotas_refuses(nbjobs_sagemaker, operation, request_, code):
    with pytest.raises(ClientError) as refused:
        getattr(nbjobs_sagemaker.client("service-quotas"), operation)(**request_)
    assert refused.value.response["Error"]["Code"] == code


def test_sagemaker_distribution_is_in_the_registry_of_aws_and_nowhere_else(nbjobs_sagemaker):
    ecr = nbjobs_sagemaker.client("ecr")
    image_ids = [{"imageTag": "4-cpu"}, {"imageTag": "3.2.0-gpu"}, {"imageTag": "nope"}]
    repository = "sagemaker-distribution-prod"
    answer = ecr.batch_get_image(registryId="819792524951", repositoryName=repository, imageIds=image_ids)
    assert [image["imageId"]["imageTag"] for image in answer["images"]] == ["4-cpu", "3.2.0-gpu"]
    assert [(each["imageId"]["imageTag"], each["failureCode"]) for each in answer["failures"]] == [
        ("nope", "ImageNotFound")
    ]
    for registry, name in (("819792524951", "other"), ("210987654321", repository), ("123456789012", repository)):
        with pytest.raises(ClientError) as refused:
            ecr.batch_get_image(registryId=registry, repositoryName=name, imageIds=image_ids)
        assert refused.value.response["Error"]["Code"] == "RepositoryNotFoundException"


def test_what_is_asked_of_a_bucket_is_told_apart_from_listing_it(nbjobs_sagemaker):
    s3 = nbjobs_sagemaker.client("s3")
    before = nbjobs_sagemaker.faults.calls()[-1].number if nbjobs_sagemaker.faults.calls() else 0
    with pytest.raises(ClientError):
        s3.get_bucket_encryption(Bucket=nbjobs_sagemaker.bucket)
    s3.get_bucket_location(Bucket=nbjobs_sagemaker.bucket)
    s3.get_bucket_versioning(Bucket=nbjobs_sagemaker.bucket)
    s3.list_objects_v2(Bucket=nbjobs_sagemaker.bucket)
    assert [(call.operation, call.resource) for call in nbjobs_sagemaker.faults.calls(after=before)] == [
        (f"s3:{operation}", nbjobs_sagemaker.bucket)
        for operation in ("GetBucketEncryption", "GetBucketLocation", "GetBucketVersioning", "ListObjects")
    ]
