"""
The listing half of the training-jobs port: the same tests for the fake, for the scripted account of the poller's tests, and for boto3 against the embedded SageMaker.
"""

import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from accounts import ScriptedAccount, ScriptedJob
from fakes import ACCOUNT_ID, FakeTrainingJobs

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.core.job.status import JobState
from airflow_nbjobs.core.watch.pace import just_after, just_before
from airflow_nbjobs.core.watch.plan import ListJobs

COUNT = 5


class OnFakes:
    def __init__(self):
        self.jobs = FakeTrainingJobs()
        self.names = [f"job-{number}" for number in range(COUNT)]
        for name in self.names:
            self.jobs.create(
                {
                    "TrainingJobName": name,
                    "RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
                    "AlgorithmSpecification": {"TrainingInputMode": "File"},
                    "OutputDataConfig": {"S3OutputPath": "s3://b/k"},
                    "ResourceConfig": {"VolumeSizeInGB": 1},
                    "StoppingCondition": {},
                }
            )
        self.jobs.set_status(self.names[0], "Completed")
        self.list_page = self.jobs.list_page


class OnScript:
    def __init__(self):
        self.names = [f"job-{number}" for number in range(COUNT)]
        account = ScriptedAccount(lambda: 100.0)
        account.add(ScriptedJob(name, 10.0 + number) for number, name in enumerate(self.names))
        account.jobs[self.names[0]].ends = 90.0
        self.list_page = account.list


class OnServer:
    def __init__(self, server):
        self._jobs = Boto3Clients(server.client).jobs
        self.list_page = self._jobs.list_page
        self.names = [f"job-{uuid.uuid4().hex[:8]}-{number}" for number in range(COUNT)]
        for number, name in enumerate(self.names):
            self._jobs.create(
                {
                    "TrainingJobName": name,
                    "RoleArn": server.facts.role_arn,
                    "AlgorithmSpecification": {
                        "TrainingImage": server.facts.image_uri,
                        "TrainingInputMode": "File",
                        "ContainerEntrypoint": ["/bin/bash", "-c", "sleep 120" if number else "true"],
                    },
                    "OutputDataConfig": {"S3OutputPath": f"s3://{server.facts.default_bucket}/nbjobs"},
                    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
                    "StoppingCondition": {"MaxRuntimeInSeconds": 600},
                }
            )
        deadline = time.monotonic() + 60
        while not self._jobs.describe(self.names[0]).state.is_terminal:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def server():
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

    with EmbeddedSageMaker(isolation="none") as server:
        yield OnServer(server)


@pytest.fixture(params=["fake", "script", pytest.param("embedded", marks=pytest.mark.local)])
def service(request):
    if request.param == "embedded":
        return request.getfixturevalue("server")
    return OnFakes() if request.param == "fake" else OnScript()


def names_on(page):
    return [summary.job_name for summary in page.summaries]


def test_a_page_shows_jobs_in_the_order_of_their_creation(service):
    page = service.list_page(ListJobs())
    assert names_on(page) == service.names
    assert page.next_token is None
    assert [summary.created for summary in page.summaries] == sorted(summary.created for summary in page.summaries)
    assert names_on(service.list_page(ListJobs(is_newest_first=True))) == service.names[::-1]


def test_a_summary_says_how_the_job_is(service):
    ended, *running = service.list_page(ListJobs()).summaries
    assert (ended.state, ended.status, ended.secondary_status) == (JobState.SUCCEEDED, "Completed", "Completed")
    assert {summary.state for summary in running} == {JobState.RUNNING}
    assert ended.modified > ended.created


def test_the_service_says_what_time_it_is(service):
    page = service.list_page(ListJobs())
    assert page.server_time.tzinfo is not None
    assert page.server_time >= max(summary.modified for summary in page.summaries).replace(microsecond=0)


def test_bounds_of_creation_are_exclusive(service):
    created = [summary.created for summary in service.list_page(ListJobs()).summaries]
    assert set(service.names) == set(
        names_on(
            service.list_page(ListJobs(created_after=just_before(created[0]), created_before=just_after(created[-1])))
        )
    )
    assert not names_on(service.list_page(ListJobs(created_after=just_after(created[-1]))))
    assert not names_on(service.list_page(ListJobs(created_before=just_before(created[0]))))


def test_changes_since_a_time_are_shown_alone(service):
    assert set(names_on(service.list_page(ListJobs(modified_after=datetime(2020, 1, 1, tzinfo=UTC))))) == set(
        service.names
    )
    latest = max(summary.modified for summary in service.list_page(ListJobs()).summaries)
    later = latest.replace(microsecond=0) + timedelta(seconds=2)
    assert not service.list_page(ListJobs(modified_after=later)).summaries
