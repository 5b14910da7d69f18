"""
What the name of an image tells: its place in ECR, and whether it has the notebook-job driver; pure.

Called by ``commands/doctor/`` and ``aws/submit/``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ECR = re.compile(
    r"(?P<registry>\d{12})\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.[a-z0-9.-]+/(?P<repository>[a-z0-9._/-]+)"
    r"(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[a-f0-9]{64}))?"
)
DISTRIBUTION_REPOSITORY = "sagemaker-distribution-prod"
# Source: github.com/aws/sagemaker-distribution: the driver is in every image from 0.9 on; a tag such as '0-cpu' is the newest of its version.
_DISTRIBUTION_TAG = re.compile(r"(?P<major>\d+)(?:\.(?P<minor>\d+)(?:\.\d+)?)?-(?:cpu|gpu)")
_FIRST_MINOR_WITH_DRIVER = 9


class EcrImage(NamedTuple):
    """An image in ECR; by its digest where it has one, else by its tag."""

    registry: str
    repository: str
    tag: str
    digest: str | None

    @property
    def identifier(self) -> dict[str, str]:
        return {"imageDigest": self.digest} if self.digest else {"imageTag": self.tag}


def parse_ecr_image(uri: str) -> EcrImage | None:
    """Return where an image lies, None if that is not ECR."""
    found = _ECR.fullmatch(uri)
    if found is None:
        return None
    return EcrImage(found["registry"], found["repository"], found["tag"] or "latest", found["digest"])


def distribution_driver(image: EcrImage) -> bool | None:
    """Say whether an image of SageMaker Distribution has the driver; None of any other, and of a tag that says no version."""
    found = _DISTRIBUTION_TAG.fullmatch(image.tag)
    if image.repository != DISTRIBUTION_REPOSITORY or found is None:
        return None
    is_old = found["major"] == "0" and found["minor"] is not None and int(found["minor"]) < _FIRST_MINOR_WITH_DRIVER
    return not is_old
