"""
The third subject of these tests: an AWS account, where ``NBJOBS_TEST_AWS`` names what may be used of it.

``NBJOBS_TEST_AWS=s3://BUCKET/PREFIX,ROLE``: objects are written below a new folder of that prefix, which is removed at the end, and jobs of a minute
each (``ml.m5.large``, five at once) are run with that execution role, a name or an ARN. Credentials and region are the machine's own, as for boto3.
The caller needs the permissions of the README's policy, and ``s3:ListBucket`` and ``s3:DeleteObject`` below the prefix.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "NBJOBS_TEST_AWS"
# What the test run's own environment has lost to `tests/conftest.py`, which keeps the machine's AWS settings out of every other test.
machine_environment: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class RealAccount:
    root: str
    role: str

    @classmethod
    def parse(cls, text: str) -> RealAccount:
        """
        Read the variable's value.

        :raises ValueError: it is not ``s3://BUCKET/PREFIX,ROLE``.
        """
        found = re.fullmatch(r"(s3://[a-z0-9][a-z0-9.-]+/[^,\s]*[^,\s/]),(\S+)", text)
        if not found:
            raise ValueError(f"{VARIABLE} must be s3://BUCKET/PREFIX,ROLE (a role's name or ARN), not {text!r}")
        return cls(found[1], found[2])


def make_clients(services: tuple[str, ...], *, retries: int = 4) -> dict[str, Any]:
    """Return boto3 clients with the machine's own credentials and region, which are resolved here and now."""
    with _machine_settings(machine_environment):
        session = boto3.session.Session()
        clients = {
            service: session.client(service, config=Config(retries={"total_max_attempts": retries}))
            for service in services
        }
        for client in clients.values():
            credentials = client._request_signer._credentials
            assert credentials is not None, "no AWS credentials on this machine"
            credentials.get_frozen_credentials()
        return clients


@contextmanager
def _machine_settings(settings: Mapping[str, str]) -> Iterator[None]:
    tests_own = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    os.environ.update({name: value for name, value in settings.items() if name.startswith("AWS_")})
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(tests_own)
