"""The port of machines' metrics: what it asks CloudWatch for, page by page, and what it makes of an answer that is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore.stub import ANY
from stubs import stubbed

from airflow_nbjobs.aws.errors import is_denied, is_throttled
from airflow_nbjobs.aws.results.metrics import Boto3MachineMetrics
from airflow_nbjobs.core.errors import NotebookJobServiceError

START = datetime(2026, 11, 30, 8, tzinfo=UTC)
END = START + timedelta(minutes=9)


@pytest.fixture
def stub():
    with stubbed("cloudwatch") as stub:
        yield stub


@pytest.fixture
def asked(stub):
    """The requests, in their order."""
    event, requests = "provide-client-params.cloudwatch.GetMetricData", []

    def note(params, **_):
        requests.append(params)

    stub.client.meta.events.register(event, note)
    yield requests
    stub.client.meta.events.unregister(event, note)


def read(stub, *names, period=60):
    return Boto3MachineMetrics(stub.client).read(names, started=START, ended=END, period_seconds=period)


def result(query, *values, first=START):
    moments = [first + timedelta(minutes=place) for place in range(len(values))]
    return {"Id": query, "Label": "x", "Timestamps": moments, "Values": list(values), "StatusCode": "Complete"}


def test_it_asks_for_five_metrics_of_the_job_in_one_call(stub, asked):
    stub.add_response(
        "get_metric_data", {"MetricDataResults": [result("m0_0", 3.0, 4.0), result("m0_1", 20.0), result("m0_2")]}
    )
    found = read(stub, "job-1", period=300)
    assert found == {
        "job-1": {
            "cpu": [(START.timestamp(), 3.0), (START.timestamp() + 60, 4.0)],
            "memory": [(START.timestamp(), 20.0)],
        }
    }
    (request,) = asked
    stats = [
        (each["MetricStat"]["Metric"]["MetricName"], each["MetricStat"]["Stat"])
        for each in request["MetricDataQueries"]
    ]
    assert stats == [
        ("CPUUtilization", "Average"),
        ("MemoryUtilization", "Maximum"),
        ("GPUUtilization", "Maximum"),
        ("GPUMemoryUtilization", "Maximum"),
        ("DiskUtilization", "Maximum"),
    ]
    metric = request["MetricDataQueries"][0]["MetricStat"]["Metric"]
    assert metric["Namespace"] == "/aws/sagemaker/TrainingJobs"
    assert metric["Dimensions"] == [{"Name": "Host", "Value": "job-1/algo-1"}]
    assert {each["MetricStat"]["Period"] for each in request["MetricDataQueries"]} == {300}


def test_a_hundred_jobs_are_one_call_and_one_more_is_another(stub, asked):
    stub.add_response("get_metric_data", {"MetricDataResults": [result("m99_4", 1.0)]})
    stub.add_response("get_metric_data", {"MetricDataResults": [result("m0_4", 2.0)]})
    found = read(stub, *(f"job-{place}" for place in range(101)))
    assert [len(request["MetricDataQueries"]) for request in asked] == [500, 5]
    assert found["job-99"] == {"disk": [(START.timestamp(), 1.0)]}
    assert found["job-100"] == {"disk": [(START.timestamp(), 2.0)]}


def test_pages_are_put_together_and_a_name_given_twice_is_asked_for_once(stub):
    later = START + timedelta(minutes=1)
    stub.add_response("get_metric_data", {"MetricDataResults": [result("m0_1", 1.0)], "NextToken": "more"})
    stub.add_response(
        "get_metric_data",
        {"MetricDataResults": [result("m0_1", 2.0, first=later), result("unknown", 5.0)]},
        {
            "MetricDataQueries": ANY,
            "StartTime": START,
            "EndTime": END,
            "ScanBy": "TimestampAscending",
            "NextToken": "more",
        },
    )
    found = read(stub, "job-1", "job-1")
    assert found == {"job-1": {"memory": [(START.timestamp(), 1.0), (later.timestamp(), 2.0)]}}


def test_nothing_is_asked_for_no_job(stub):
    assert read(stub) == {}


def test_an_answer_without_an_end_is_none(stub):
    for _ in range(50):
        stub.add_response("get_metric_data", {"MetricDataResults": [], "NextToken": "more"})
    with pytest.raises(NotebookJobServiceError, match="has no end after 50 pages"):
        read(stub, "job-1")


def test_an_answer_of_something_else_is_none(stub):
    stub.add_response("get_metric_data", {})
    with pytest.raises(NotebookJobServiceError, match="not from AWS"):
        read(stub, "job-1")


@pytest.mark.parametrize(
    ("code", "status", "check"),
    [("AccessDenied", 403, is_denied), ("Throttling", 400, is_throttled), ("ThrottlingException", 400, is_throttled)],
)
def test_a_refusal_is_the_packages_own_error(stub, code, status, check):
    stub.add_client_error("get_metric_data", code, "no", status)
    with pytest.raises(NotebookJobServiceError) as raised:
        read(stub, "job-1")
    assert check(raised.value)
    assert "cloudwatch:GetMetricData" in str(raised.value)


def test_a_denial_names_the_permission_that_is_missing(stub):
    text = "User: arn:aws:iam::1:user/x is not authorized to perform: cloudwatch:GetMetricData because no identity-based policy allows it"
    stub.add_client_error("get_metric_data", "AccessDenied", text, 403)
    with pytest.raises(NotebookJobServiceError) as raised:
        read(stub, "job-1")
    assert raised.value.details["next"] == "the identity that Airflow uses needs cloudwatch:GetMetricData on '*'"
