"""The service's own answers, as boto3 gives them: codes, texts and pages that this package, and its users, rely on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from airflow_nbjobs.aws.errors import is_throttled
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.watch.plan import ListJobs
from airflow_nbjobs.testing import Faults

UNKNOWN = "contract-a-job-that-never-was"


@pytest.fixture
def sagemaker(service):
    return service.raw("sagemaker")


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# -- codes and texts ---------------------------------------------------------------------------------------------------


def test_an_unknown_job_is_a_validation_exception_not_the_modelled_one(sagemaker):
    for call in (sagemaker.describe_training_job, sagemaker.stop_training_job):
        code, text = refusal(call, TrainingJobName=UNKNOWN)
        assert (code, text.rstrip(".")) == ("ValidationException", "Requested resource not found")


@pytest.mark.parametrize(
    ("outcome", "status"), [("completed", "Completed"), ("failed", "Failed"), ("stopped", "Stopped")]
)
def test_an_ended_job_cannot_be_stopped(sagemaker, ended_on_service, outcome, status):
    code, text = refusal(sagemaker.stop_training_job, TrainingJobName=ended_on_service[outcome])
    expected = f"The request was rejected because the training job is in status {status}"
    assert (code, text.rstrip(".")) == ("ValidationException", expected)


def test_a_taken_name_is_in_use_and_the_text_holds_its_arn(service, sagemaker, ended_on_service):
    name = ended_on_service["completed"]
    code, text = refusal(sagemaker.create_training_job, **service.request(name, "silent"))
    arn = sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobArn"]
    assert code == "ResourceInUse"
    assert text.startswith(
        "Training job names must be unique within an AWS account and region, and a training job with this name already exists"
    )
    assert arn in text


@pytest.mark.parametrize(
    ("name", "constraint"),
    [
        ("under_scores", "Member must satisfy regular expression pattern"),
        ("-hyphen-first", "Member must satisfy regular expression pattern"),
        ("a" * 64, "Member must have length less than or equal to 63"),
    ],
)
def test_a_bad_name_is_a_validation_exception_of_the_members_path(service, sagemaker, name, constraint):
    code, text = refusal(sagemaker.create_training_job, **service.request(name, "silent"))
    assert code == "ValidationException"
    assert "validation error" in text
    assert "trainingJobName" in text
    assert constraint in text


def test_a_job_without_input_is_refused_when_it_is_created(service, sagemaker):
    name = service.name()
    code, text = refusal(sagemaker.create_training_job, **service.request(name, "silent"))
    assert code == "ValidationException"
    assert text.startswith(
        f'No S3 objects found under S3 URL "{service.root}/{name}/input" given in input data source.'
    )
    assert service.clients.jobs.describe(name) is None


def test_a_role_that_is_not_there_is_refused_when_the_job_is_created(service, sagemaker):
    arn = f"{service.role_arn.rpartition('/')[0]}/contract-no-such-role"
    code, text = refusal(sagemaker.create_training_job, **service.request(service.name(), "silent", RoleArn=arn))
    assert code == "ValidationException"
    assert text.startswith(f"Could not assume role {arn}")


def test_an_image_that_cannot_be_pulled_fails_the_job_later(service, sagemaker):
    algorithm = service.request("x", "silent")["AlgorithmSpecification"]
    algorithm["TrainingImage"] = service.missing_image_uri
    name = service.submit("silent", AlgorithmSpecification=algorithm)
    service.until_ended(name, "failed")
    reason = service.clients.jobs.describe(name).failure_reason
    assert reason.startswith("ClientError: Cannot pull algorithm container.")


# -- pages -------------------------------------------------------------------------------------------------------------


def pages(sagemaker, **arguments):
    """Return the names on each page."""
    found = sagemaker.get_paginator("list_training_jobs").paginate(**arguments)
    return [[summary["TrainingJobName"] for summary in page["TrainingJobSummaries"]] for page in found]


def test_pages_of_one_give_every_job_once_newest_last(sagemaker, ended_on_service):
    names = list(ended_on_service.values())
    prefix = names[0].rpartition("-")[0]
    since = sagemaker.describe_training_job(TrainingJobName=names[0])["CreationTime"] - timedelta(seconds=1)
    wanted = {"NameContains": prefix, "CreationTimeAfter": since, "SortBy": "CreationTime", "SortOrder": "Ascending"}
    listed = [name for page in pages(sagemaker, **wanted, MaxResults=1) for name in page]
    assert len(listed) == len(set(listed))
    assert [name for name in listed if name in names] == names
    assert max(len(page) for page in pages(sagemaker, **wanted, MaxResults=2)) == 2


def test_a_summary_has_both_statuses_and_no_reason(sagemaker, ended_on_service):
    name = ended_on_service["timed out"]
    [summary] = sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
    assert (summary["TrainingJobStatus"], summary["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert not {"FailureReason", "Environment", "Tags"} & set(summary)
    assert summary["CreationTime"] <= summary["TrainingEndTime"] <= summary["LastModifiedTime"]


def test_a_status_filter_may_leave_pages_short_but_loses_no_job(sagemaker, ended_on_service):
    """On AWS the filter is applied after paging: whoever stops at an empty page misses jobs."""
    prefix = ended_on_service["failed"].rpartition("-")[0]
    found = pages(sagemaker, NameContains=prefix, StatusEquals="Failed", MaxResults=1)
    names = [name for page in found for name in page]
    assert ended_on_service["failed"] in names
    assert not {ended_on_service["completed"], ended_on_service["stopped"]} & set(names)


def test_jobs_created_before_are_not_listed_after(sagemaker, ended_on_service):
    name = ended_on_service["completed"]
    created = sagemaker.describe_training_job(TrainingJobName=name)["CreationTime"]
    second = timedelta(seconds=1)
    assert (
        sagemaker.list_training_jobs(NameContains=name, CreationTimeAfter=created + second)["TrainingJobSummaries"]
        == []
    )
    assert (
        len(sagemaker.list_training_jobs(NameContains=name, CreationTimeAfter=created - second)["TrainingJobSummaries"])
        == 1
    )


def test_more_than_a_hundred_a_page_is_refused(sagemaker):
    code, text = refusal(sagemaker.list_training_jobs, MaxResults=101)
    assert code == "ValidationException"
    assert "Member must have value less than or equal to 100" in text


# -- throttling --------------------------------------------------------------------------------------------------------


@pytest.fixture
def throttled(embedded):
    """Makes the embedded server refuse as many calls as SageMaker refuses those that come too fast."""
    faults = Faults(embedded.facts)

    def refuse(times, attempts):
        return faults.throttle("*TrainingJob*", times=times), embedded.patient_jobs(attempts)

    yield refuse
    faults.clear()


@pytest.mark.local
def test_a_throttled_call_is_an_error_worth_a_retry_that_names_the_code(throttled, embedded):
    fault, jobs = throttled(times=4, attempts=1)
    calls = (
        lambda: jobs.describe(UNKNOWN),
        lambda: jobs.stop(UNKNOWN),
        lambda: jobs.list_page(ListJobs()),
        lambda: jobs.create(embedded.request(embedded.name(), "silent")),
    )
    for call in calls:
        with pytest.raises(NotebookJobServiceError, match="ThrottlingException: Rate exceeded") as caught:
            call()
        assert is_throttled(caught.value)
        assert caught.value.is_retryable
    assert fault.hits == 4


@pytest.mark.local
def test_botocores_own_retries_get_past_a_short_throttling(throttled):
    fault, jobs = throttled(times=2, attempts=4)
    assert jobs.describe(UNKNOWN) is None
    assert fault.hits == 2


@pytest.mark.slow
def test_aws_throttles_listings_in_these_words(aws):
    """Two ListTrainingJobs a second are allowed in an account; forty at once are not."""
    import concurrent.futures

    from real_account import make_clients

    client = make_clients(("sagemaker",), retries=1)["sagemaker"]

    def call(_):
        try:
            client.list_training_jobs(MaxResults=1)
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["Error"]["Message"]
        return None

    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        refusals = [found for found in threads.map(call, range(40)) if found]
    assert refusals, "all forty were answered: the budget of core/watch/pace.py is cautious"
    assert set(refusals) == {("ThrottlingException", "Rate exceeded")}
