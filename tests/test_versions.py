"""README.md's table of versions says of this Airflow what it has."""

from importlib.metadata import version

import pytest
import versions
from packaging.version import Version

RUNNING = Version(version("apache-airflow"))
RECORDS = versions.records()


def release(record):
    return Version(record["airflow"]).release


def test_the_table_says_what_the_airflow_that_runs_here_has():
    """Of a version that it does not name, what the newest before it has is there too."""
    before = [each for each in RECORDS if release(each) <= RUNNING.release]
    assert before, f"the table begins after Airflow {RUNNING}"
    has = {name for name, is_there in versions.capabilities().items() if is_there}
    named = {name for name, is_there in before[-1]["capabilities"].items() if is_there}
    assert named == has if release(before[-1]) == RUNNING.release else named <= has


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: f"{each['airflow']}-{each['python']}")
def test_every_environment_has_passed_and_loses_nothing_that_an_older_one_has(record):
    assert list(record["capabilities"]) == list(versions.CAPABILITIES)
    assert record["tests"]["passed"] > 1000
    assert record["tests"]["failed"] == 0
    older = [each for each in RECORDS if release(each) <= release(record)]
    for each in older:
        lost = {name for name in versions.CAPABILITIES if each["capabilities"][name] > record["capabilities"][name]}
        assert not lost


def test_the_table_begins_with_the_oldest_airflow_that_the_package_takes():
    (requirement,) = [one for one in _requirements() if one.startswith("apache-airflow>=")]
    assert requirement.startswith(f"apache-airflow>={RECORDS[0]['airflow']},")


def _requirements():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    return project["project"]["dependencies"]
