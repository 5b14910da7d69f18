"""Search over training jobs, updates of them and the machines that they share, as values: no server is needed."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_nbjobs.local.state.jobs import TrainingJob, new_job
from airflow_nbjobs.local.state.registry import Registry
from airflow_nbjobs.local.state.resource import Outcome
from airflow_nbjobs.local.training import warm_pools
from airflow_nbjobs.local.training.search import as_searched, matches, property_values, search_training_jobs
from airflow_nbjobs.local.training.updates import updated
from airflow_nbjobs.local.training.warm_pools import WarmPools
from airflow_nbjobs.local.wire.formats import ValidationError


def job(name: str = "job", *, now: float = 100.0, **changes: Any) -> TrainingJob:
    request = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {},
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        **changes,
    }
    return new_job(request, arn=f"arn:{name}", now=now)


# -- search ------------------------------------------------------------------------------------------------------------

DOCUMENT: dict[str, Any] = {
    "TrainingJobName": "nightly",
    "CreationTime": 100.0,
    "EnableNetworkIsolation": True,
    "ResourceConfig": {"InstanceCount": 2},
    "Tags": [{"Key": "team.name", "Value": "a"}, {"Key": "empty", "Value": ""}],
    "HyperParameters": {"epochs": "3"},
    "InputDataConfig": [
        {"ChannelName": "x", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/x"}}},
        {"ChannelName": "y", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/y"}}},
    ],
    "Nothing": None,
}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("TrainingJobName", ["nightly"]),
        ("ResourceConfig.InstanceCount", [2]),
        ("Tags.team.name", ["a"]),
        ("Tags.empty", [""]),
        ("Tags.other", []),
        ("HyperParameters.epochs", ["3"]),
        ("Environment.X", []),
        ("InputDataConfig.ChannelName", ["x", "y"]),
        ("InputDataConfig.DataSource.S3DataSource.S3Uri", ["s3://b/x", "s3://b/y"]),
        ("TrainingJobName.below", []),
        ("Nothing", []),
        ("Missing", []),
    ],
)
def test_a_property_has_the_values_below_its_dotted_name(name: str, values: list[Any]) -> None:
    assert list(property_values(DOCUMENT, name)) == values


def condition(name: str, operator: str | None = None, value: str | None = None) -> dict[str, str]:
    given = {"Name": name, "Operator": operator, "Value": value}
    return {member: text for member, text in given.items() if text is not None}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (condition("TrainingJobName", value="nightly"), True),
        (condition("TrainingJobName", value="other"), False),
        (condition("TrainingJobName"), True),
        (condition("Missing"), False),
        (condition("Missing", "NotExists"), True),
        (condition("TrainingJobName", "NotExists"), False),
        (condition("TrainingJobName", "NotEquals", "other"), True),
        (condition("TrainingJobName", "NotEquals", "nightly"), False),
        (condition("Missing", "NotEquals", "x"), True),
        (condition("TrainingJobName", "Contains", "ight"), True),
        (condition("TrainingJobName", "Contains", "x"), False),
        (condition("ResourceConfig.InstanceCount", "Contains", "2"), False),
        (condition("TrainingJobName", "In", "a,nightly"), True),
        (condition("TrainingJobName", "In", "a,b"), False),
        (condition("ResourceConfig.InstanceCount", "Equals", "2.0"), True),
        (condition("ResourceConfig.InstanceCount", "Equals", "two"), False),
        (condition("EnableNetworkIsolation", "Equals", "TRUE"), True),
        (condition("EnableNetworkIsolation", "Equals", "false"), False),
        (condition("ResourceConfig.InstanceCount", "GreaterThan", "2"), False),
        (condition("ResourceConfig.InstanceCount", "GreaterThan", "1"), True),
        (condition("ResourceConfig.InstanceCount", "GreaterThanOrEqualTo", "2"), True),
        (condition("ResourceConfig.InstanceCount", "GreaterThanOrEqualTo", "3"), False),
        (condition("ResourceConfig.InstanceCount", "LessThan", "2"), False),
        (condition("ResourceConfig.InstanceCount", "LessThan", "3"), True),
        (condition("ResourceConfig.InstanceCount", "LessThanOrEqualTo", "2"), True),
        (condition("ResourceConfig.InstanceCount", "LessThanOrEqualTo", "1"), False),
        (condition("CreationTime", "Equals", "1970-01-01T00:01:40"), True),
        (condition("CreationTime", "GreaterThan", "1970-01-01T01:01:39+01:00"), True),
    ],
    ids=str,
)
def test_a_filter_says_whether_a_job_is_found(asked: dict[str, str], expected: bool) -> None:
    assert matches(DOCUMENT, {"Filters": [asked]}) is expected


@pytest.mark.parametrize("value", ["soon", None])
def test_a_comparison_takes_numbers_and_times(value: str | None) -> None:
    with pytest.raises(ValidationError, match=r"takes numbers and times|needs a Value"):
        matches(DOCUMENT, {"Filters": [condition("CreationTime", "GreaterThan", value)]})


YES, NO = condition("TrainingJobName"), condition("Missing")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({}, True),
        ({"Operator": "Or"}, True),
        ({"Filters": [YES, NO]}, False),
        ({"Filters": [YES, NO], "Operator": "And"}, False),
        ({"Filters": [YES, NO], "Operator": "Or"}, True),
        ({"Filters": [NO, NO], "Operator": "Or"}, False),
        ({"Filters": [YES], "SubExpressions": [{"Filters": [NO]}]}, False),
        ({"Filters": [NO], "SubExpressions": [{"Filters": [NO, YES], "Operator": "Or"}], "Operator": "Or"}, True),
    ],
    ids=str,
)
def test_filters_are_joined_by_their_operator(expression: dict[str, Any], expected: bool) -> None:
    assert matches(DOCUMENT, expression) is expected


@pytest.mark.parametrize(("channel", "uri", "expected"), [("x", "s3://b/x", True), ("x", "s3://b/y", False)])
def test_nested_filters_are_of_one_element(channel: str, uri: str, expected: bool) -> None:
    filters = [
        condition("InputDataConfig.ChannelName", "Equals", channel),
        condition("InputDataConfig.DataSource.S3DataSource.S3Uri", "Equals", uri),
    ]
    nested = {"NestedPropertyName": "InputDataConfig", "Filters": filters}
    assert matches(DOCUMENT, {"NestedFilters": [nested]}) is expected


def found(*jobs: TrainingJob, **request: Any) -> list[str]:
    results = search_training_jobs(jobs, request)["Results"]
    return [each["TrainingJob"]["TrainingJobName"] for each in results]


def test_the_latest_change_comes_first_unless_asked_otherwise() -> None:
    jobs = [job("a", now=3), job("b", now=1), job("c", now=2)]
    assert found(*jobs) == ["a", "c", "b"]
    assert found(*jobs, SortOrder="Ascending") == ["b", "c", "a"]
    assert found(*jobs, SortBy="TrainingJobName") == ["c", "b", "a"]


def test_jobs_without_the_property_come_last_in_an_ascending_order() -> None:
    ended = job("ended", now=1).running(now=2).concluded(Outcome(), now=5)
    sooner = job("sooner", now=1).running(now=2).concluded(Outcome(), now=4)
    assert found(job("open"), ended, sooner, SortBy="TrainingEndTime", SortOrder="Ascending") == [
        "sooner",
        "ended",
        "open",
    ]


def test_results_have_tags_and_their_number() -> None:
    answer = search_training_jobs(
        [job("a", Tags=[{"Key": "k", "Value": "v"}], RemoteDebugConfig={}), job("b")],
        {"MaxResults": 1, "SortBy": "TrainingJobName", "SortOrder": "Ascending"},
    )
    (result,) = answer["Results"]
    assert result["TrainingJob"]["Tags"] == [{"Key": "k", "Value": "v"}]
    assert "RemoteDebugConfig" not in result["TrainingJob"]
    assert answer["TotalHits"] == {"Value": 2, "Relation": "EqualTo"}
    assert "NextToken" in answer


def test_contains_may_be_used_once() -> None:
    once = condition("TrainingJobName", "Contains", "a")
    assert found(job("a"), SearchExpression={"Filters": [once]}) == ["a"]
    nested = {"NestedPropertyName": "InputDataConfig", "Filters": [once]}
    for expression in (
        {"Filters": [once, once]},
        {"Filters": [once], "SubExpressions": [{"Filters": [once]}]},
        {"Filters": [once], "NestedFilters": [nested]},
    ):
        with pytest.raises(ValidationError, match="'CONTAINS' operator usage limit of 1 exceeded"):
            found(job("a"), SearchExpression=expression)


def test_an_index_that_is_behind_shows_a_job_as_it_was() -> None:
    ended = job(now=100).running(now=110).moved("Uploading", now=120).concluded(Outcome("broke"), now=130)
    assert as_searched(ended, moment=99) is None
    starting = as_searched(ended, moment=100)
    assert starting is not None
    assert (starting.status, starting.secondary_status, starting.started) == ("InProgress", "Starting", None)
    running = as_searched(ended, moment=125)
    assert running is not None
    assert (running.status, running.secondary_status, running.started) == ("InProgress", "Uploading", 110)
    assert (running.ended, running.failure_reason, running.modified) == (None, None, 120)
    over = as_searched(ended, moment=130)
    assert over is not None
    assert (over.status, over.ended, over.failure_reason) == ("Failed", 130, "broke")
    stopped = job(now=100).running(now=101).stopping(now=102)
    stopping = as_searched(stopped, moment=103)
    assert stopping is not None
    assert stopping.status == "Stopping"
    late = as_searched(stopped.concluded(Outcome(ran_too_long=True), now=104), moment=105)
    assert late is not None
    assert (late.status, late.secondary_status) == ("Stopped", "MaxRuntimeExceeded")


# -- updates -----------------------------------------------------------------------------------------------------------


def test_an_update_keeps_what_it_does_not_name() -> None:
    running = job(ProfilerConfig={"S3OutputPath": "s3://b/p", "DisableProfiler": True})
    changed = updated(running, {"ProfilerConfig": {"DisableProfiler": False}}, now=105)
    assert changed.request["ProfilerConfig"] == {"S3OutputPath": "s3://b/p", "DisableProfiler": False}
    assert changed.modified == 105
    rules = updated(running, {"ProfilerRuleConfigurations": [{"a": 1}]}, now=105)
    assert rules.request["ProfilerRuleConfigurations"] == [{"a": 1}]


def test_an_update_that_may_not_be_is_refused() -> None:
    ended = job().concluded(Outcome(), now=101)
    for one, update, words in (
        (job(), {}, "changes nothing: give at least one of ProfilerConfig"),
        (ended, {"ProfilerConfig": {}}, "the training job is in status Completed"),
        (job(), {"ResourceConfig": {"KeepAlivePeriodInSeconds": 1}}, "job has no warm pool"),
    ):
        with pytest.raises(ValidationError) as caught:
            updated(one, update, now=105)
        assert words in caught.value.message


# -- machines that jobs share ------------------------------------------------------------------------------------------

KEEPING = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30, "KeepAlivePeriodInSeconds": 60}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(warm_pools, "time", type("Clock", (), {"time": staticmethod(lambda: now[0])}))
    return now


class Jobs:
    def __init__(self, quota: int) -> None:
        self.registry: Registry[TrainingJob] = Registry(
            arn_prefix="arn:", unknown="no {name}", taken=("InUse", "{arn}")
        )
        self.pools = WarmPools(self.registry, quota=quota, start_seconds=5.0)

    def made(self, name: str, **resources: Any) -> TrainingJob:
        with self.pools.furnishing(job(name, now=1000, ResourceConfig={**KEEPING, **resources})) as one:
            self.registry.add(one)
        return self.registry.get(name)

    def ended(self, name: str, *, now: float = 1000) -> None:
        self.registry.change(name, lambda one: one.running(now=now).concluded(Outcome(), now=now))

    def status(self, name: str) -> str | None:
        pool = self.registry.get(name).pool
        return None if pool is None else pool.status


def test_a_machine_goes_to_the_next_job_that_matches(clock: list[float]) -> None:
    jobs = Jobs(quota=1)
    assert jobs.made("one").pool is not None
    jobs.ended("one")
    assert jobs.status("one") == "Available"
    clock[0] += 7
    other = jobs.made("other type", InstanceType="ml.c5.large").pool
    assert other is not None
    assert not other.is_taken_over, "the quota is of each type, and it is another machine"
    two = jobs.made("two")
    assert two.pool is not None
    assert two.pool.is_taken_over
    handed = jobs.registry.get("one").pool
    assert handed is not None
    assert (handed.status, handed.reused_by) == ("Reused", "two")
    assert handed.document()["ResourceRetainedBillableTimeInSeconds"] == 7


def test_the_quota_of_a_type_counts_the_machines_that_are_held(clock: list[float]) -> None:
    jobs = Jobs(quota=0)
    assert jobs.made("none").pool is None
    jobs.pools.set_quota("ml.m5.large", 2)
    assert jobs.made("one").pool is not None
    assert jobs.made("two").pool is not None
    assert jobs.made("three").pool is None
    assert jobs.made("asks for nothing", KeepAlivePeriodInSeconds=0).pool is None
    jobs.pools.set_quota("ml.m5.large", None)
    assert jobs.made("four").pool is None


def test_a_machine_is_given_back_when_its_time_is_over(clock: list[float]) -> None:
    jobs = Jobs(quota=1)
    jobs.made("one")
    jobs.ended("one")
    clock[0] += 59
    jobs.pools.settle()
    assert jobs.status("one") == "Available"
    clock[0] += 1
    jobs.pools.settle()
    assert jobs.status("one") == "Terminated"
    assert jobs.made("two").pool is not None, "there is room again"


def test_all_is_forgotten_between_two_tests(clock: list[float]) -> None:
    jobs = Jobs(quota=1)
    jobs.made("one")
    jobs.ended("one")
    jobs.pools.set_start_seconds(9)
    jobs.pools.set_quota("ml.m5.large", 7)
    jobs.pools.clear()
    assert jobs.status("one") == "Terminated"
    assert jobs.pools.start_seconds == 5.0
    assert jobs.made("two").pool is not None
    assert jobs.made("three").pool is None


def test_a_job_that_cannot_be_registered_takes_no_machine(clock: list[float]) -> None:
    jobs = Jobs(quota=1)
    jobs.made("one")
    jobs.ended("one")
    with pytest.raises(ZeroDivisionError), jobs.pools.furnishing(job("two", ResourceConfig=KEEPING)):
        raise ZeroDivisionError
    assert jobs.status("one") == "Available"
    jobs.registry.remove("one")
    jobs.pools.settle()
    assert jobs.made("three").pool is not None
