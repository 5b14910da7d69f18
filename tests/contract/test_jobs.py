"""The training-jobs port keeps its word, on the fakes, on boto3 against the embedded SageMaker, and on an AWS account."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_nbjobs.aws.ports import NameTakenError
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.status import FailureKind, JobState
from airflow_nbjobs.core.watch.plan import ListJobs

UNKNOWN = "contract-a-job-that-never-was"


@pytest.fixture
def jobs(subject):
    return subject.clients.jobs


@pytest.fixture
def asleep(subject, jobs):
    """A job that runs until it is stopped."""
    name = subject.submit("stopped")
    yield name
    jobs.stop(name)


def test_a_new_job_is_described_with_what_it_was_created_with(subject, jobs, asleep):
    snapshot = jobs.describe(asleep)
    assert snapshot.job_name == asleep
    assert snapshot.arn.endswith(f":training-job/{asleep}")
    assert (snapshot.state, snapshot.status) == (JobState.RUNNING, "InProgress")
    assert snapshot.environment["NBJOBS_OWNER"] == "me"
    assert snapshot.hyperparameters == {"rows": "200"}
    assert snapshot.output_root == subject.root
    assert snapshot.instance_type == "ml.m5.large"
    assert snapshot.transitions[0].status == "Starting"
    assert snapshot.created is not None
    assert (snapshot.ended, snapshot.failure_kind, snapshot.failure_reason) == (None, None, "")


def test_create_returns_the_arn_that_describe_shows(subject, jobs):
    name = subject.name()
    subject.clients.objects.put(f"{subject.root}/{name}/input/nb.ipynb", b"{}", kms_key=None)
    arn = jobs.create(subject.request(name, "silent"))
    assert jobs.describe(name).arn == arn


def test_a_name_is_taken_while_its_job_runs_and_for_ever_after(subject, ended, asleep):
    for name in (asleep, ended["completed"], ended["stopped"]):
        with pytest.raises(
            NameTakenError, match=f"must be unique within an AWS account and region.*training-job/{name}"
        ):
            subject.submit("silent", name)


def test_an_unknown_job_is_none_not_an_error(jobs):
    assert jobs.describe(UNKNOWN) is None


def test_a_job_that_succeeded_has_times_a_bill_and_artifacts(subject, jobs, ended):
    name = ended["completed"]
    snapshot = jobs.describe(name)
    assert (snapshot.state, snapshot.status, snapshot.secondary_status) == (
        JobState.SUCCEEDED,
        "Completed",
        "Completed",
    )
    assert snapshot.created <= snapshot.started <= snapshot.ended
    assert snapshot.billable_seconds is not None
    assert snapshot.model_artifact_uri == f"{subject.root}/{name}/output/model.tar.gz"
    assert (snapshot.failure_kind, snapshot.failure_reason) == (None, "")


def test_its_transitions_go_forward_and_end_in_its_state(jobs, ended):
    transitions = jobs.describe(ended["completed"]).transitions
    order = ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    positions = [order.index(transition.status) for transition in transitions]
    assert positions == sorted(positions)
    assert (transitions[0].status, transitions[-1].status) == ("Starting", "Completed")
    started = [transition.started for transition in transitions]
    assert started == sorted(started)


def test_a_job_that_failed_says_why(jobs, ended):
    snapshot = jobs.describe(ended["failed"])
    assert (snapshot.state, snapshot.secondary_status) == (JobState.FAILED, "Failed")
    assert snapshot.failure_kind is FailureKind.ALGORITHM
    assert snapshot.failure_reason == "AlgorithmError: the reason, exit code: 3"


def test_a_job_that_was_stopped_is_no_timeout_and_has_no_reason(jobs, ended):
    snapshot = jobs.describe(ended["stopped"])
    assert (snapshot.state, snapshot.status, snapshot.secondary_status) == (JobState.STOPPED, "Stopped", "Stopped")
    assert (snapshot.failure_kind, snapshot.failure_reason) == (FailureKind.STOPPED, "")


def test_a_timeout_is_a_stop_of_its_own_secondary_status(jobs, ended):
    snapshot = jobs.describe(ended["timed out"])
    assert (snapshot.state, snapshot.status) == (JobState.STOPPED, "Stopped")
    assert (snapshot.failure_kind, snapshot.failure_reason) == (FailureKind.TIMEOUT, "")


def test_a_stop_shows_at_once_and_a_second_one_is_no_error(subject, jobs):
    name = subject.submit("stopped")
    subject.until_running(name)
    jobs.stop(name)
    assert jobs.describe(name).state in (JobState.STOPPING, JobState.STOPPED)
    jobs.stop(name)
    subject.until_ended(name, "stopped")
    assert jobs.describe(name).state is JobState.STOPPED


@pytest.mark.parametrize("outcome", ["completed", "failed", "stopped"])
def test_stopping_a_job_that_has_ended_changes_nothing(jobs, ended, outcome):
    before = jobs.describe(ended[outcome])
    jobs.stop(ended[outcome])
    assert jobs.describe(ended[outcome]) == before


def test_stopping_a_job_that_never_was_is_no_error(jobs):
    jobs.stop(UNKNOWN)


# -- listings ----------------------------------------------------------------------------------------------------------

SECOND = timedelta(seconds=1)


def listed(jobs, **arguments):
    """Return the summaries of every page."""
    summaries, token = [], None
    while True:
        page = jobs.list_page(ListJobs(next_token=token, **arguments))
        summaries += page.summaries
        if not (token := page.next_token):
            return summaries


def since(jobs, ended):
    return min(jobs.describe(name).created for name in ended.values()).replace(microsecond=0) - SECOND


def test_a_listing_says_of_each_job_what_describe_says(jobs, ended):
    by_name = {summary.job_name: summary for summary in listed(jobs, created_after=since(jobs, ended))}
    assert set(ended.values()) <= set(by_name)
    for name in ended.values():
        summary, snapshot = by_name[name], jobs.describe(name)
        assert (summary.status, summary.secondary_status) == (snapshot.status, snapshot.secondary_status)
        assert (summary.state, summary.created) == (snapshot.state, snapshot.created)


def test_a_listing_is_in_the_order_of_creation_or_the_reverse(jobs, ended):
    for is_newest_first in (False, True):
        created = [
            summary.created
            for summary in listed(jobs, created_after=since(jobs, ended), is_newest_first=is_newest_first)
        ]
        assert created == sorted(created, reverse=is_newest_first)
        assert len(created) >= len(ended)


def test_times_bound_a_listing(jobs, ended):
    name = ended["completed"]
    [summary] = [found for found in listed(jobs, created_after=since(jobs, ended)) if found.job_name == name]
    created, modified = summary.created.replace(microsecond=0), summary.modified.replace(microsecond=0)

    def is_listed(**bounds):
        return name in {found.job_name for found in listed(jobs, **{"created_after": since(jobs, ended), **bounds})}

    assert is_listed(created_before=created + 2 * SECOND, modified_after=modified - SECOND)
    assert not is_listed(created_after=created + SECOND)
    assert not is_listed(created_before=created)
    assert not is_listed(modified_after=modified + SECOND)


@pytest.mark.slow
def test_more_jobs_than_a_page_holds_are_each_listed_once(subject, jobs):
    if subject.bills:
        pytest.skip("a hundred jobs cost money")
    names = [subject.submit("silent") for _ in range(105)]
    for name in names:
        subject.until_ended(name, "silent")
    first = min(jobs.describe(name).created for name in names).replace(microsecond=0) - SECOND
    assert jobs.list_page(ListJobs(created_after=first)).next_token
    found = [summary.job_name for summary in listed(jobs, created_after=first)]
    assert len(found) == len(set(found))
    assert set(names) <= set(found)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"NoSuchField": 1}, {"HyperParameters": {"rows": 200}}, {"StoppingCondition": {"MaxRuntimeInSeconds": 0}}],
    ids=["unknown", "not a string", "below the minimum"],
)
def test_a_malformed_request_is_a_configuration_error_and_makes_no_job(subject, jobs, changes):
    name = subject.name()
    with pytest.raises(NotebookJobConfigError, match="malformed"):
        jobs.create(subject.request(name, "silent", **changes))
    assert jobs.describe(name) is None


def test_jobs_of_one_name_at_the_same_moment_are_one_job(subject, jobs):
    """What makes a retry beside a worker that is still alive harmless."""
    import concurrent.futures

    name = subject.name()
    subject.clients.objects.put(f"{subject.root}/{name}/input/nb.ipynb", b"{}", kms_key=None)

    def create(_):
        try:
            return jobs.create(subject.request(name, "silent"))
        except NameTakenError:
            return None

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        arns = list(threads.map(create, range(4)))
    assert [arn for arn in arns if arn] == [jobs.describe(name).arn]


def test_a_machine_that_nobody_keeps_is_no_error_to_release(jobs, ended):
    """The service's own words come back: a pool may be gone, or not be there yet."""
    assert jobs.release_machine(ended["completed"])
    assert jobs.release_machine(UNKNOWN)
    assert jobs.describe(ended["completed"]).warm_pool is None


def test_jobs_are_listed_by_their_warm_pool(jobs, ended):
    assert ended["completed"] not in {
        summary.job_name
        for summary in jobs.list_page(ListJobs(is_newest_first=True, warm_pool_status="Available")).summaries
    }
