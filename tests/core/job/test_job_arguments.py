"""A job's arguments as its task has rendered them, before they are parsed."""

import pytest
from msgspec.structs import fields

from airflow_nbjobs.core.job.arguments import REQUIRED, JobArguments

ABSENT = ["", " ", "None", "null"]


@pytest.mark.parametrize("name", ["unknown_parameters", "missing_dependencies"])
@pytest.mark.parametrize(
    ("value", "severity", "count"),
    [
        (None, "error", 0),
        ("error", "error", 0),
        ("warn", "warn", 0),
        ("ignore", "error", 1),
        ("Warn", "error", 1),
        (True, "error", 1),
    ],
)
def test_what_says_neither_error_nor_warn_is_an_error_and_a_problem(name, value, severity, count):
    problems = ["one of before"]
    assert JobArguments(**{name: value}).severity(name, problems) == severity
    assert problems[1:] == [f"{name} must be 'error' or 'warn', not {value!r}"] * count


@pytest.mark.parametrize("value", ABSENT)
def test_what_a_template_writes_for_nothing_counts_as_not_given_and_is_said(value):
    found, problems, warnings = JobArguments(instance_type=value, volume_size=30).without_absent()
    assert (found, problems) == (JobArguments(volume_size=30), [])
    assert warnings == [
        f"instance_type is {value!r}, as a template writes it for a value that is not there: it counts as not given"
    ]


@pytest.mark.parametrize("name", ["s3_kms_key", "volume_kms_key", "enable_network_isolation"])
@pytest.mark.parametrize("value", ABSENT)
def test_where_the_job_would_be_less_protected_it_is_a_problem(name, value):
    found, (problem,), warnings = JobArguments(**{name: value}).without_absent()
    assert (getattr(found, name), warnings) == (None, [])
    assert problem.startswith(f"{name} is {value!r}, as a template writes it for a value that is not there; leave the")


@pytest.mark.parametrize("name", REQUIRED)
def test_what_a_job_cannot_be_without_is_reported_once_elsewhere(name):
    assert JobArguments(**{name: ""}).without_absent() == (JobArguments(), [], [])


@pytest.mark.parametrize("name", ["input_notebook", "outputs", "return_output"])
def test_what_its_reader_checks_stays_as_it_is(name):
    given = JobArguments(**{name: ""})
    assert given.without_absent() == (given, [], [])


def test_all_others_are_looked_at_in_their_order():
    names = [each.name for each in fields(JobArguments)]
    found, problems, warnings = JobArguments(**dict.fromkeys(names, "")).without_absent()
    assert {name for name in names if getattr(found, name) is not None} == {
        "input_notebook",
        "outputs",
        "return_output",
    }
    said = [text.split(" ")[0] for text in warnings]
    assert said == [name for name in names if name in said]
    assert len(said) + len(problems) + len(REQUIRED) + 3 == len(names)


def test_values_stay_whatever_they_are():
    given = JobArguments(volume_size=0, tags={}, enable_network_isolation=False, subnets=[], parameters={"a": ""})
    assert given.without_absent() == (given, [], [])
