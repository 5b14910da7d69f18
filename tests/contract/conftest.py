"""``subject`` is each of the three in turn, ``service`` the two that speak the AWS protocol."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from real_account import VARIABLE, RealAccount
from subjects import Aws, Embedded, Fakes, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

_EMBEDDED = pytest.param("embedded", marks=pytest.mark.local)
_AWS = pytest.param("aws", marks=pytest.mark.slow)


@pytest.fixture(scope="session")
def embedded() -> Iterator[Subject]:
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

    with EmbeddedSageMaker(jobs=4) as server:
        if server.facts.isolation == "none":
            pytest.skip("scripts that name /opt/ml need namespaces here")
        yield Embedded(server)


@pytest.fixture(scope="session")
def aws() -> Iterator[Subject]:
    if not (text := os.environ.get(VARIABLE)):
        pytest.skip(f"no AWS account: set {VARIABLE}=s3://BUCKET/PREFIX,ROLE")
    subject = Aws(RealAccount.parse(text))
    yield subject
    subject.close()


@pytest.fixture(scope="session", params=["fakes", _EMBEDDED, _AWS])
def subject(request: pytest.FixtureRequest) -> Subject:
    return Fakes() if request.param == "fakes" else request.getfixturevalue(request.param)


@pytest.fixture(scope="session", params=[_EMBEDDED, _AWS])
def service(request: pytest.FixtureRequest) -> Subject:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def ended(subject: Subject) -> dict[str, str]:
    """Names of jobs that have ended, by how."""
    return subject.ended


@pytest.fixture(scope="session")
def ended_on_service(service: Subject) -> dict[str, str]:
    return service.ended
