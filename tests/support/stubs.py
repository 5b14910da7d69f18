"""botocore's own clients, whose answers a test has scripted."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.stub import Stubber

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def stubbed(service: str) -> Iterator[Stubber]:
    """Script a service: what is not scripted is refused, and what is scripted has to be asked for."""
    with Stubber(_client(service)) as stub:
        yield stub
        stub.assert_no_pending_responses()


@functools.cache
def _client(service: str) -> Any:
    return boto3.client(service, region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s")
