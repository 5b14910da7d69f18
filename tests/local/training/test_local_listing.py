"""ListTrainingJobs and Search over jobs as values, with the traps of AWS."""

from __future__ import annotations

import functools
import operator
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_nbjobs.local.state.batch_jobs import BatchJob
from airflow_nbjobs.local.state.jobs import TrainingJob, new_job
from airflow_nbjobs.local.state.listing import list_resources, list_training_jobs
from airflow_nbjobs.local.state.resource import PROCESSING, Outcome
from airflow_nbjobs.local.training.search import search_training_jobs
from airflow_nbjobs.local.wire.formats import ServiceError

START = 1_795_500_000.25
LATER = datetime.fromtimestamp(START + 500, tz=UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def job(name: str, *, age: float = 0, done_after: float | None = None, **request: Any) -> TrainingJob:
    base = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
    }
    made = new_job({**base, **request}, arn=f"arn:{name}", now=START + age)
    return made if done_after is None else made.concluded(Outcome(), now=START + age + done_after)


def tagged(name: str, **tags: str) -> TrainingJob:
    pairs = [{"Key": "sagemaker:" + key.replace("_", "-"), "Value": value} for key, value in tags.items()]
    return job(name, Tags=pairs)


def listed(jobs: list[TrainingJob], **request: Any) -> list[str]:
    return [summary["TrainingJobName"] for summary in list_training_jobs(jobs, request)["TrainingJobSummaries"]]


def found(jobs: list[TrainingJob], **request: Any) -> list[str]:
    return [result["TrainingJob"]["TrainingJobName"] for result in search_training_jobs(jobs, request)["Results"]]


def pages(jobs: list[TrainingJob], **request: Any) -> list[list[str]]:
    result = []
    answer = list_training_jobs(jobs, request)
    while True:
        result.append([summary["TrainingJobName"] for summary in answer["TrainingJobSummaries"]])
        if "NextToken" not in answer:
            return result
        answer = list_training_jobs(jobs, {**request, "NextToken": answer["NextToken"]})


def test_a_page_holds_ten_unless_asked_otherwise() -> None:
    jobs = [job(f"j{n:03}", age=n) for n in range(25)]
    assert [len(page) for page in pages(jobs)] == [10, 10, 5]
    assert [len(page) for page in pages(jobs, MaxResults=100)] == [25]
    assert functools.reduce(operator.iadd, pages(jobs, MaxResults=7, SortOrder="Descending"), []) == [
        f"j{n:03}" for n in range(24, -1, -1)
    ]


def test_status_filters_after_paging_so_that_pages_come_out_empty() -> None:
    jobs = [job(f"j{n}", age=n, done_after=1 if n == 5 else None) for n in range(6)]
    assert pages(jobs, MaxResults=2, StatusEquals="Completed") == [[], [], ["j5"]]


def test_modification_time_filters_after_paging_and_creation_time_before() -> None:
    jobs = [job(f"j{n}", age=n * 10, done_after=1000 if n == 0 else 1) for n in range(4)]
    assert pages(jobs, MaxResults=2, LastModifiedTimeAfter=int(START) + 500) == [["j0"], []]
    assert pages(jobs, MaxResults=2, CreationTimeAfter=int(START) + 15) == [["j2", "j3"]]
    assert listed(jobs, CreationTimeBefore=int(START) + 15) == ["j0", "j1"]


def test_a_whole_second_before_a_jobs_fraction_still_finds_it() -> None:
    assert listed([job("j")], CreationTimeAfter=int(START)) == ["j"]


def test_times_compare_as_they_are_shown_in_milliseconds() -> None:
    """A client that asks for what has changed since the last time it saw must not be shown that job again."""
    created = job("j", age=0.0004)
    assert created.summary()["CreationTime"] == START
    assert listed([created], CreationTimeAfter=START) == []
    changed = BatchJob(
        kind=PROCESSING, name="p", arn="arn:p", request={}, tags=(), created=START, modified=START + 0.0004
    )
    shown = changed.summary()["LastModifiedTime"]
    answer = list_resources([changed], {"LastModifiedTimeAfter": shown}, list_name="Jobs", default_order="Ascending")
    assert answer == {"Jobs": []}


def test_names_are_found_by_a_part_and_sorted_as_asked() -> None:
    jobs = [job("b-night", age=1), job("a-night", age=2), job("c-day", age=3)]
    assert listed(jobs, NameContains="night", SortBy="Name") == ["a-night", "b-night"]
    assert listed(jobs, SortBy="CreationTime", SortOrder="Descending") == ["c-day", "a-night", "b-night"]


def test_jobs_created_between_two_pages_neither_repeat_nor_hide_others() -> None:
    jobs = [job(f"j{n}", age=n) for n in range(4)]
    request = {"MaxResults": 2, "SortOrder": "Descending"}
    first = list_training_jobs(jobs, request)
    second = list_training_jobs([*jobs, job("new", age=9)], {**request, "NextToken": first["NextToken"]})
    assert [summary["TrainingJobName"] for summary in second["TrainingJobSummaries"]] == ["j1", "j0"]


@pytest.mark.parametrize("change", [{"NameContains": "j"}, {"NextToken": "bm90IG91cnM="}, {"NextToken": "%%%"}])
def test_a_token_of_another_query_is_refused(change: dict[str, str]) -> None:
    jobs = [job(f"j{n}", age=n) for n in range(4)]
    token = list_training_jobs(jobs, {"MaxResults": 2})["NextToken"]
    with pytest.raises(ServiceError, match="Invalid NextToken"):
        list_training_jobs(jobs, {"MaxResults": 2, "NextToken": token, **change})


def test_summaries_have_no_failure_reason() -> None:
    failed = job("j").concluded(Outcome("AlgorithmError: x"), now=START + 5)
    (summary,) = list_training_jobs([failed], {})["TrainingJobSummaries"]
    assert summary == {
        "TrainingJobName": "j",
        "TrainingJobArn": "arn:j",
        "CreationTime": START,
        "LastModifiedTime": START + 5,
        "TrainingEndTime": START + 5,
        "TrainingJobStatus": "Failed",
        "SecondaryStatus": "Failed",
    }


def condition(name: str, value: str, operator: str = "Equals") -> dict[str, str]:
    return {"Name": f"Tags.sagemaker:{name}", "Operator": operator, "Value": value}


STUDIO = {
    "Operator": "And",
    "Filters": [condition("is-studio-archived", "false")],
    "SubExpressions": [
        {
            "Operator": "Or",
            "Filters": [
                condition("is-scheduling-notebook-job", "true"),
                condition("notebook-job-origin", "PIPELINE_STEP"),
            ],
        },
        {
            "Operator": "Or",
            "Filters": [condition("domain-arn", "d-abc", "Contains"), condition("domain-name", "d-abc")],
        },
        {
            "Operator": "Or",
            "Filters": [condition("user-profile-name", "ann")],
            "SubExpressions": [
                {
                    "Filters": [
                        {"Name": "Tags.sagemaker:user-profile-name", "Operator": "NotExists"},
                        {"Name": "Tags.sagemaker:shared-space-name", "Operator": "NotExists"},
                    ]
                }
            ],
        },
    ],
}


def test_studios_dashboard_shows_what_it_shows_on_aws() -> None:
    domain = "arn:aws:sagemaker:eu-west-1:123456789012:domain/d-abc"
    seen = {"is_studio_archived": "false", "is_scheduling_notebook_job": "true", "domain_arn": domain}
    jobs = [
        tagged("everybody", **seen),
        tagged("anns", **seen, user_profile_name="ann"),
        tagged("bobs", **seen, user_profile_name="bob"),
        tagged("in-a-space", **seen, shared_space_name="team"),
        tagged("pipeline", is_studio_archived="false", notebook_job_origin="PIPELINE_STEP", domain_name="d-abc"),
        tagged("airflow-origin-only", is_studio_archived="false", notebook_job_origin="AIRFLOW", domain_arn=domain),
        tagged("archived", **{**seen, "is_studio_archived": "true"}),
        tagged("elsewhere", **{**seen, "domain_arn": "arn:aws:sagemaker:eu-west-1:123456789012:domain/d-xyz"}),
        tagged("no-domain", is_studio_archived="false", is_scheduling_notebook_job="true"),
    ]
    result = found(jobs, SearchExpression=STUDIO, SortBy="TrainingJobName", SortOrder="Ascending", MaxResults=100)
    assert result == ["anns", "everybody", "pipeline"]


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("TrainingJobName", "Equals", "b", ["b"]),
        ("TrainingJobName", "NotEquals", "b", ["a", "c"]),
        ("TrainingJobName", "In", "a,c", ["a", "c"]),
        ("TrainingJobStatus", "Equals", "Completed", ["c"]),
        ("HyperParameters.rate", "LessThan", "0.5", ["a"]),
        ("HyperParameters.rate", "GreaterThanOrEqualTo", "0.5", ["b"]),
        ("HyperParameters.rate", "NotExists", "", ["c"]),
        ("ResourceConfig.InstanceType", "Contains", "m5", ["b"]),
        ("CreationTime", "GreaterThan", LATER, ["c"]),
        ("FailureReason", "Exists", "", []),
    ],
)
def test_properties_compare_as_documented(name: str, operator: str, value: str, expected: list[str]) -> None:
    jobs = [
        job("a", HyperParameters={"rate": "0.1"}, ResourceConfig={"InstanceType": "ml.c5.large"}),
        job("b", HyperParameters={"rate": "0.5"}, ResourceConfig={"InstanceType": "ml.m5.large"}),
        job("c", age=1_000, done_after=1),
    ]
    filters = [{"Name": name, "Operator": operator, **({"Value": value} if value else {})}]
    result = found(jobs, SearchExpression={"Filters": filters}, SortBy="TrainingJobName", SortOrder="Ascending")
    assert result == expected


def test_nested_filters_hold_for_one_element_of_the_list() -> None:
    def channel(name: str, uri: str) -> dict[str, Any]:
        return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3Uri": uri}}}

    jobs = [
        job("match", InputDataConfig=[channel("train", "s3://b/x"), channel("test", "s3://b/y")]),
        job("mixed", InputDataConfig=[channel("train", "s3://b/y"), channel("test", "s3://b/x")]),
    ]
    nested = {
        "NestedPropertyName": "InputDataConfig",
        "Filters": [
            {"Name": "InputDataConfig.ChannelName", "Operator": "Equals", "Value": "train"},
            {"Name": "InputDataConfig.DataSource.S3DataSource.S3Uri", "Operator": "Equals", "Value": "s3://b/x"},
        ],
    }
    assert found(jobs, SearchExpression={"NestedFilters": [nested]}) == ["match"]


def test_search_pages_the_latest_change_first_and_brings_tags() -> None:
    jobs = [job(f"j{n}", age=n, Tags=[{"Key": "k", "Value": str(n)}]) for n in range(5)]
    first = search_training_jobs(jobs, {"MaxResults": 3})
    second = search_training_jobs(jobs, {"MaxResults": 3, "NextToken": first["NextToken"]})
    results = [result["TrainingJob"] for answer in (first, second) for result in answer["Results"]]
    assert [result["TrainingJobName"] for result in results] == ["j4", "j3", "j2", "j1", "j0"]
    assert results[0]["Tags"] == [{"Key": "k", "Value": "4"}]
    assert first["TotalHits"] == {"Value": 5, "Relation": "EqualTo"}
    assert "NextToken" not in second


def test_a_search_that_means_nothing_is_refused() -> None:
    twice = {"Filters": [condition("a", "x", "Contains"), condition("b", "x", "Contains")]}
    with pytest.raises(ServiceError, match="'CONTAINS' operator usage limit of 1 exceeded"):
        search_training_jobs([], {"SearchExpression": twice})
    with pytest.raises(ServiceError, match="takes numbers and times"):
        search_training_jobs(
            [job("j")],
            {"SearchExpression": {"Filters": [{"Name": "CreationTime", "Operator": "LessThan", "Value": "soon"}]}},
        )
    with pytest.raises(ServiceError, match="needs a Value"):
        search_training_jobs(
            [job("j")], {"SearchExpression": {"Filters": [{"Name": "CreationTime", "Operator": "LessThan"}]}}
        )
