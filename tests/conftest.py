"""No setting of the machine reaches a test: neither its AWS configuration nor an Airflow that is installed on it."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import shutil
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import botocore.loaders
import pytest
import real_account
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# At import, not in a fixture: Airflow and boto3 read these when they are first imported, which may be while tests are collected.
_removed = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("AWS_", "AIRFLOW"))}
_home = tempfile.mkdtemp(prefix="nbjobs-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ |= {
    "AIRFLOW_HOME": _home,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AWS_CONFIG_FILE": f"{_home}/no-aws-config",
    "AWS_SHARED_CREDENTIALS_FILE": f"{_home}/no-aws-credentials",
    "AWS_EC2_METADATA_DISABLED": "true",
}

# The fixtures that authors of DAGs get. Here and not where they are used: pytest must meet a plugin before any test imports it.
pytest_plugins = ["airflow_nbjobs.testing"]

# Each boto3 session reads the descriptions of its services anew, SageMaker's for a tenth of a second: hundreds of times in these tests.
_read_description = functools.cache(lambda path: botocore.loaders.JSONFileLoader().load_file(path))


class _DescriptionsReadOnce(botocore.loaders.JSONFileLoader):
    def load_file(self, file_path: str) -> Any:
        return _read_description(file_path)


botocore.loaders.Loader.FILE_LOADER_CLASS = _DescriptionsReadOnce

# How long an example takes is the machine's business: a busy one fails nothing.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# But for the tests that an AWS account is named for.
real_account.machine_environment.update(_removed)


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist begins with the files of most tests; the longest have few.
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests run jobs, the longest, and end with those that fill the gaps at the end."""
    if passing := [item.nodeid[:200] for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"two processes would not call these tests the same, give them ids: {passing}")
    jobs = Counter(item.path for item in items if item.get_closest_marker("local"))
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (-jobs[item.path] / tests[item.path], -tests[item.path]))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let no collection of garbage look at Airflow, all modules and all tests, which stay for good: neither while they come, for seconds, nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _requests_are_watched() -> Iterator[None]:
    from request_limits import watching

    with watching():
        yield


@pytest.fixture(autouse=True)
def _no_request_breaks_a_limit() -> Iterator[None]:
    """Every CreateTrainingJob of every test is one that the service would take."""
    from request_limits import broken

    broken.clear()
    yield
    assert not broken
