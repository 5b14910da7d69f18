"""How much of a quota is in use, by botocore's own client with scripted answers: for accounts that the embedded SageMaker is not."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from botocore.stub import ANY
from doctor_doubles import patient, session
from stubs import stubbed

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.commands.doctor import quotas
from airflow_nbjobs.commands.doctor.examination import Mark
from airflow_nbjobs.commands.doctor.quotas import quota, running_jobs
from airflow_nbjobs.core.errors import NotebookJobServiceError

THEN = datetime(2026, 1, 1, tzinfo=UTC)
LIST = {"MaxResults": 100, "SortBy": "CreationTime", "SortOrder": "Descending", "CreationTimeAfter": ANY}


class Quotas:
    """An account that lists some quotas, and counts how often it is asked."""

    def __init__(self, **limits):
        self.limits = {f"{name.replace('_', '.')} for training job usage": limit for name, limit in limits.items()}
        self.asked = Counter()

    def quotas(self, names):
        self.asked["quotas"] += 1
        return {name: self.limits[name] for name in names if name in self.limits}


@pytest.fixture
def stub():
    with stubbed("sagemaker") as stub:
        yield stub


@pytest.fixture
def look(stub):
    def run(account, *types):
        clients = Boto3Clients(lambda _: stub.client)
        asked = patient(session=session(account, clients), spec=SimpleNamespace(instance_type=types))
        return list(quota(asked))

    return run


def summary(name, status="InProgress"):
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}"
    return {"TrainingJobName": name, "TrainingJobArn": arn, "CreationTime": THEN, "TrainingJobStatus": status}


def add_job(stub, name, status="InProgress", **resources):
    answer = summary(name, status) | {
        "ResourceConfig": {"VolumeSizeInGB": 30} | resources,
        "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "x"},
        "SecondaryStatus": "Training",
        "StoppingCondition": {},
        "ModelArtifacts": {"S3ModelArtifacts": "x"},
    }
    stub.add_response("describe_training_job", answer, {"TrainingJobName": name})


def add_page(stub, *summaries, token=None, more=False):
    answer = {"TrainingJobSummaries": list(summaries)} | ({"NextToken": "t"} if more else {})
    stub.add_response("list_training_jobs", answer, LIST | ({"NextToken": token} if token else {}))


def test_jobs_are_listed_once_and_counted_by_the_type_that_they_got(look, stub):
    """A page may be empty and still have a token; a job that is being stopped holds its machine; of several types, the one that was taken counts."""
    add_page(stub, more=True)
    add_page(
        stub,
        summary("one"),
        summary("two"),
        summary("ended", "Completed"),
        summary("stopping", "Stopping"),
        summary("gone", "Deleting"),
        summary("waits"),
        summary("ends-meanwhile"),
        token="t",
    )
    add_job(stub, "one", InstanceType="ml.m5.large", InstanceCount=2)
    add_job(stub, "two", InstanceType="ml.m5.xlarge", InstanceCount=1)
    add_job(stub, "stopping", "Stopping", InstanceType="ml.m5.large", InstanceCount=1)
    add_job(stub, "waits")
    add_job(stub, "ends-meanwhile", "Completed", InstanceType="ml.m5.large", InstanceCount=1)
    account = Quotas(ml_m5_large=4, ml_m5_xlarge=1, ml_p3_large=0)
    found = look(account, "ml.m5.large", "ml.m5.xlarge", "ml.p3.large", "ml.x.y")
    assert [each.mark for each in found] == [Mark.RIGHT, Mark.WRONG, Mark.WRONG, Mark.UNKNOWN]
    assert found[0].text == "the quota 'ml.m5.large for training job usage': 3 of 4 in use"
    assert "1 of 1 in use: new jobs wait" in found[1].text
    assert "is 0: every job of this type is refused" in found[2].text
    assert account.asked["quotas"] == 1


def test_a_job_that_waited_for_a_machine_before_its_28_days_is_looked_for(look, monkeypatch):
    """Jobs are listed by when they were made; the longest run of one need not begin then."""
    since = []
    monkeypatch.setattr(quotas, "running_jobs", lambda _, moment: (since.append(moment) or [], True))
    look(Quotas(ml_m5_large=4), "ml.m5.large")
    assert datetime.now(tz=UTC) - since[0] > timedelta(days=28, hours=12)


def test_where_nothing_may_run_nobody_is_asked_what_does(look):
    assert [each.mark for each in look(Quotas(ml_p3_large=0), "ml.p3.large")] == [Mark.WRONG]


@pytest.mark.parametrize("limit", [101, 100])
def test_too_many_running_jobs_are_not_all_looked_at_and_what_is_seen_is_the_least(look, stub, limit):
    for page in range(5):
        summaries = [summary(f"job-{page}-{number}") for number in range(30)]
        add_page(stub, *summaries, token="t" if page else None, more=True)
    for number in range(100):
        add_job(stub, f"job-{number // 30}-{number % 30}", InstanceType="ml.m5.large", InstanceCount=1)
    (found,) = look(Quotas(ml_m5_large=limit), "ml.m5.large")
    assert found.mark is (Mark.WRONG if limit == 100 else Mark.UNKNOWN)
    assert f"at least 100 of {limit} in use, by 100 jobs that run, and not all could be looked at" in found.text


@pytest.mark.parametrize(("count", "is_whole"), [(100, True), (101, False)])
def test_a_hundred_running_jobs_are_looked_at(stub, count, is_whole):
    names = [f"job-{number}" for number in range(count)]
    add_page(stub, *map(summary, names))
    assert running_jobs(Boto3Clients(lambda _: stub.client).jobs, THEN) == (names[:100], is_whole)


@pytest.mark.parametrize("operation", ["list_training_jobs", "describe_training_job"])
def test_what_may_not_be_asked_is_not_known(look, stub, operation):
    if operation == "describe_training_job":
        add_page(stub, summary("one"))
    stub.add_client_error(operation, "AccessDeniedException", "no", 403)
    (found,) = look(Quotas(ml_m5_large=4), "ml.m5.large")
    assert found.mark is Mark.UNKNOWN
    assert "is 4; how much is in use could not be asked: AccessDeniedException on sagemaker:" in found.text


def test_quotas_that_cannot_be_asked_are_told_once(look):
    class Denying(Quotas):
        def quotas(self, names):
            raise NotebookJobServiceError("AccessDenied on servicequotas:ListServiceQuotas", code="AccessDenied")

    assert [each.mark for each in look(Denying(), "ml.m5.large", "ml.m5.xlarge")] == [Mark.UNKNOWN]
