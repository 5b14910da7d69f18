"""Statuses: what SageMaker says, and what it means to somebody who waits."""

from datetime import UTC, datetime

import botocore.session
import pytest

from airflow_nbjobs.core.job.status import (
    SECONDARY_STATUSES,
    FailureKind,
    JobState,
    parse_description,
    parse_state,
    parse_summary,
)

MINIMAL = {"TrainingJobName": "j", "TrainingJobArn": "arn", "TrainingJobStatus": "InProgress"}


def described(**fields):
    return parse_description(MINIMAL | fields)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("InProgress", JobState.RUNNING),
        ("Stopping", JobState.STOPPING),
        ("Completed", JobState.SUCCEEDED),
        ("Failed", JobState.FAILED),
        ("Stopped", JobState.STOPPED),
        ("SomethingOfNextYear", JobState.RUNNING),
    ],
)
def test_a_status_that_is_not_known_to_be_the_end_means_still_running(status, state):
    assert parse_state(status) is state


def test_no_status_of_botocores_own_model_ends_a_wait_by_accident():
    model = botocore.session.get_session().get_service_model("sagemaker")
    statuses = set(model.shape_for("TrainingJobStatus").enum)
    assert {"InProgress", "Completed", "Failed", "Stopping", "Stopped"} <= statuses
    ended = {"Completed", "Failed", "Stopped", "Deleting"}
    assert {status for status in statuses if parse_state(status).is_terminal} == ended & statuses


def test_every_secondary_status_of_botocores_own_model_is_known():
    model = botocore.session.get_session().get_service_model("sagemaker")
    assert set(model.shape_for("SecondaryStatus").enum) - SECONDARY_STATUSES == set()


@pytest.mark.parametrize(
    ("secondary", "state", "ended_as"),
    [
        ("Completed", JobState.SUCCEEDED, "Completed"),
        ("Failed", JobState.FAILED, "Failed"),
        ("Stopped", JobState.STOPPED, "Stopped"),
        ("MaxRuntimeExceeded", JobState.STOPPED, "Stopped"),
        ("MaxWaitTimeExceeded", JobState.STOPPED, "Stopped"),
        ("", JobState.DELETED, "Deleting"),
        ("Deleting", JobState.DELETED, "Deleting"),
        ("Training", JobState.DELETED, "Deleting"),
        ("SomethingOfNextYear", JobState.DELETED, "Deleting"),
    ],
)
def test_a_job_that_is_being_deleted_has_ended_as_its_secondary_status_says(secondary, state, ended_as):
    """DeleteTrainingJob takes terminal jobs only, and the model has no secondary status of its own for it."""
    for read in (parse_description, parse_summary):
        found = read(MINIMAL | {"TrainingJobStatus": "Deleting", "SecondaryStatus": secondary})
        assert (found.state, found.status, found.ended_as) == (state, "Deleting", ended_as)
        assert found.is_being_deleted
        assert found.state.is_terminal
    kinds = {
        JobState.STOPPED: FailureKind.TIMEOUT if secondary.startswith("Max") else FailureKind.STOPPED,
        JobState.FAILED: FailureKind.UNKNOWN,
        JobState.DELETED: FailureKind.DELETED,
    }
    described_so = described(TrainingJobStatus="Deleting", SecondaryStatus=secondary)
    assert described_so.failure_kind is kinds.get(state)
    assert described_so.has_failed is (state in (JobState.FAILED, JobState.STOPPED))


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("AlgorithmError: [SM-111] Error with executing notebook ++ echo, exit code: 1", FailureKind.ALGORITHM),
        ("AlgorithmError: , exit code: 137", FailureKind.ALGORITHM),
        ("ClientError: Data download failed: AccessDenied", FailureKind.CLIENT),
        ("CapacityError: Unable to provision requested ML compute capacity.", FailureKind.CAPACITY),
        ("InternalServerError: We encountered an internal error.", FailureKind.PLATFORM),
        ("NewError: of next year", FailureKind.UNKNOWN),
        ("", FailureKind.UNKNOWN),
    ],
)
def test_the_prefix_of_the_reason_tells_why_a_job_failed(reason, kind):
    assert described(TrainingJobStatus="Failed", FailureReason=reason).failure_kind is kind


@pytest.mark.parametrize(
    ("secondary", "kind"),
    [
        ("MaxRuntimeExceeded", FailureKind.TIMEOUT),
        ("MaxWaitTimeExceeded", FailureKind.TIMEOUT),
        ("Stopped", FailureKind.STOPPED),
        ("Interrupted", FailureKind.STOPPED),
    ],
)
def test_only_the_secondary_status_tells_a_timeout_from_a_stop(secondary, kind):
    assert described(TrainingJobStatus="Stopped", SecondaryStatus=secondary).failure_kind is kind


@pytest.mark.parametrize("status", ["InProgress", "Stopping", "Completed"])
def test_a_job_that_did_not_fail_has_no_failure_kind(status):
    assert described(TrainingJobStatus=status, FailureReason="AlgorithmError: x").failure_kind is None


def test_a_description_without_its_later_fields_is_read_with_none_for_them():
    """SageMaker leaves out what is not yet known; a pending job has no start, no bill and no transitions."""
    snapshot = described()
    assert (snapshot.started, snapshot.ended, snapshot.billable_seconds, snapshot.instance_type) == (None,) * 4
    assert (snapshot.transitions, snapshot.environment, snapshot.failure_reason) == ((), {}, "")


def test_a_full_description_is_read_completely():
    at = datetime(2026, 11, 22, 3, tzinfo=UTC)
    snapshot = described(
        SecondaryStatus="Completed",
        SecondaryStatusTransitions=[{"Status": "Starting", "StatusMessage": "Starting the instances", "StartTime": at}],
        CreationTime=at,
        TrainingStartTime=at,
        TrainingEndTime=at,
        BillableTimeInSeconds=60,
        ResourceConfig={"InstanceType": "ml.m5.large"},
        OutputDataConfig={"S3OutputPath": "s3://b/k"},
        ModelArtifacts={"S3ModelArtifacts": "s3://b/m"},
        Environment={"A": "1"},
    )
    (transition,) = snapshot.transitions
    assert (transition.status, transition.message, transition.started) == ("Starting", "Starting the instances", at)
    assert (snapshot.created, snapshot.started, snapshot.ended, snapshot.billable_seconds) == (at, at, at, 60)
    assert (snapshot.output_root, snapshot.model_artifact_uri, snapshot.environment) == (
        "s3://b/k",
        "s3://b/m",
        {"A": "1"},
    )


def test_a_text_of_megabytes_is_bounded_where_it_is_read():
    text = "AlgorithmError: " + "x" * 20_000_000
    snapshot = described(
        TrainingJobStatus="Failed", FailureReason=text, SecondaryStatusTransitions=[{"StatusMessage": text}]
    )
    assert snapshot.failure_kind is FailureKind.ALGORITHM
    assert len(snapshot.failure_reason) < 11_000
    assert len(snapshot.transitions[0].message) < 11_000


def test_what_a_spot_job_saved_can_be_told():
    snapshot = described(TrainingTimeInSeconds=100, BillableTimeInSeconds=30, EnableManagedSpotTraining=True)
    assert (snapshot.training_seconds, snapshot.billable_seconds, snapshot.is_spot) == (100, 30, True)
    assert (described().training_seconds, described().is_spot) == (None, False)


def test_the_instance_type_that_sagemaker_selected_counts():
    chosen = {"InstanceType": "ml.m5.large", "SelectedInstanceType": "ml.m5.xlarge"}
    assert described(ResourceConfig=chosen).instance_type == "ml.m5.xlarge"


@pytest.mark.parametrize(
    ("secondary", "doing"),
    [
        ("Pending", "waiting for capacity"),
        *((name, "starting") for name in ("Starting", "LaunchingMLInstances", "PreparingTrainingStack")),
        *((name, "starting") for name in ("PreparingTraining", "Downloading", "DownloadingTrainingImage")),
        ("Restarting", "starting again"),
        ("Interrupted", "waiting for a spot instance"),
        ("Uploading", "finishing"),
        ("Stopping", "stopping"),
        ("Training", "running"),
        ("", "running"),
    ],
)
def test_what_a_job_does_is_said_in_a_users_words(secondary, doing):
    assert described(SecondaryStatus=secondary).doing == doing
    assert described(TrainingJobStatus="Stopping", SecondaryStatus=secondary).doing == "stopping"


@pytest.mark.parametrize("state", JobState)
def test_all_states_but_two_are_the_end(state):
    assert state.is_terminal is (state not in (JobState.RUNNING, JobState.STOPPING))


def test_what_a_request_asked_for_is_read_back():
    snapshot = described(
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        AlgorithmSpecification={"TrainingImage": "image"},
        HyperParameters={"h": "1"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "KeepAlivePeriodInSeconds": 600},
        WarmPoolStatus={"Status": "Reused", "ResourceRetainedBillableTimeInSeconds": 34, "ReusedByJob": "next"},
        RoleArn="role",
    )
    assert (snapshot.max_runtime_seconds, snapshot.image_uri, snapshot.hyperparameters) == (3600, "image", {"h": "1"})
    assert (snapshot.keep_alive_seconds, snapshot.instance_count) == (600, 2)
    assert (snapshot.machine["role"], snapshot.machine["instance_count"]) == ("role", 2)
    pool = snapshot.warm_pool
    assert (pool.status, pool.retained_seconds, pool.reused_by) == ("Reused", 34, "next")
    bare = described()
    assert (bare.max_runtime_seconds, bare.image_uri, bare.hyperparameters) == (None, None, {})
    assert (bare.keep_alive_seconds, bare.instance_count, bare.warm_pool) == (None, 1, None)


def test_a_listing_says_when_a_job_was_made_and_changed():
    made, changed = datetime(2026, 11, 22, 3, tzinfo=UTC), datetime(2026, 11, 22, 4, tzinfo=UTC)
    entry = MINIMAL | {"CreationTime": made, "LastModifiedTime": changed, "SecondaryStatus": "Training"}
    found = parse_summary(entry)
    assert (found.job_name, found.status, found.secondary_status) == ("j", "InProgress", "Training")
    assert (found.created, found.modified) == (made, changed)
    assert parse_summary(MINIMAL | {"CreationTime": "yesterday"}).created is None


def test_a_description_makes_the_summary_of_a_listing_but_for_when_it_was_changed():
    """A poller's cursor follows listings alone."""
    made = datetime(2026, 11, 22, 3, tzinfo=UTC)
    entry = MINIMAL | {"CreationTime": made, "TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}
    summary = parse_description(entry | {"LastModifiedTime": made}).summary
    assert summary == parse_summary(entry)
    assert type(summary) is type(parse_summary(entry))
    assert summary.modified is None
    assert not summary.is_being_deleted
    assert summary.ended_as == "Stopped"


def test_the_prefix_of_a_reason_may_have_blanks_around_it():
    for reason in ("CapacityError : none", " CapacityError: none: none"):
        assert described(TrainingJobStatus="Failed", FailureReason=reason).failure_kind is FailureKind.CAPACITY
