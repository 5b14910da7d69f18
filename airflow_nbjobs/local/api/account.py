"""
What an account says of images and quotas: of Amazon ECR and Service Quotas as much as somebody asks who looks at an account before a job runs.

Called by ``backends.py``; pure. moto has no list of quotas, and takes every registry for its own.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.facts import DISTRIBUTION_ACCOUNTS
from airflow_nbjobs.local.wire.formats import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.local.state.facts import ServerFacts

_REPOSITORY = "sagemaker-distribution-prod"
_TAG = re.compile(r"\d+(?:\.\d+){0,2}-(?:cpu|gpu)")
_MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"})
_PAGE_SIZE = 100


def other_registrys_images(request: Mapping[str, Any], facts: ServerFacts) -> dict[str, Any] | None:
    """
    Answer BatchGetImage for another account's registry; None for the account's own, which is moto's.

    AWS's own has SageMaker Distribution, in every version that could be one.
    """
    registry, repository = str(request.get("registryId", facts.account_id)), str(request["repositoryName"])
    if registry == facts.account_id:
        return None
    if registry != DISTRIBUTION_ACCOUNTS[facts.region] or repository != _REPOSITORY:
        raise ServiceError(
            "RepositoryNotFoundException",
            f"The repository with name '{repository}' does not exist in the registry with id '{registry}'",
        )
    images: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for image_id in request["imageIds"]:
        if _TAG.fullmatch(str(image_id.get("imageTag", ""))):
            place = {"registryId": registry, "repositoryName": repository}
            images.append({**place, "imageId": image_id, "imageManifest": _MANIFEST})
        else:
            failure = {"failureCode": "ImageNotFound", "failureReason": "Requested image not found"}
            failures.append({"imageId": image_id, **failure})
    return {"images": images, "failures": failures}


def list_quotas(request: Mapping[str, Any], limits: Mapping[str, int], facts: ServerFacts) -> dict[str, Any]:
    """
    Answer ListServiceQuotas with the quotas that somebody has set; AWS lists one for each instance type.

    :param limits: by instance type, of training jobs.
    """
    service = request["ServiceCode"]
    if service != "sagemaker":
        raise ServiceError("NoSuchResourceException", f"The embedded SageMaker has no quotas of {service!r}.")
    begin = _number(request.get("NextToken", "0"))
    end = begin + int(request.get("MaxResults", _PAGE_SIZE))
    names = sorted(limits)
    quotas = [
        {
            "ServiceCode": service,
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": f"arn:aws:servicequotas:{facts.region}:{facts.account_id}:sagemaker/L-{number:08X}",
            "QuotaCode": f"L-{number:08X}",
            "QuotaName": f"{name} for training job usage",
            "Value": float(limits[name]),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        for number, name in enumerate(names[begin:end], start=begin + 1)
    ]
    return {"Quotas": quotas} | ({"NextToken": str(end)} if end < len(names) else {})


def _number(token: str) -> int:
    if not token.isdecimal():
        raise ServiceError("InvalidPaginationTokenException", f"{token!r} is no token of this server.")
    return int(token)
