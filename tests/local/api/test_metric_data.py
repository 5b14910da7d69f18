"""GetMetricData as the embedded CloudWatch answers it: what moto itself says, sooner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws
from moto.cloudwatch.models import cloudwatch_backends
from moto.core import DEFAULT_ACCOUNT_ID

from airflow_nbjobs.local.api.metrics import answer_with_index

NOW = datetime.now(tz=UTC).replace(second=0, microsecond=0)
REGION = "eu-west-1"
POINTS = [(-600, 3.0), (-595, 9.0), (-480, 1.0), (-120, 4.0), (-60, 5.0), (0, 7.0)]


@pytest.fixture(scope="module")
def cloudwatch():
    """Two jobs have the same metric, one of them in two units."""
    with mock_aws():
        client = boto3.client("cloudwatch", region_name=REGION)
        for job, factor, unit in (("one", 1, "Percent"), ("two", 100, "Percent"), ("one", 1000, "Count")):
            for seconds, value in POINTS:
                datum = {
                    "MetricName": "Used",
                    "Dimensions": [{"Name": "Host", "Value": job}],
                    "Timestamp": NOW + timedelta(seconds=seconds),
                    "Value": factor * value,
                    "Unit": unit,
                }
                client.put_metric_data(Namespace="jobs", MetricData=[datum])
        yield client


def query(name, job="one", *, stat="Maximum", period=60, returned=True, **more):
    metric = {"Namespace": "jobs", "MetricName": "Used", "Dimensions": [{"Name": "Host", "Value": job}]}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat} | more, "ReturnData": returned}


@pytest.mark.parametrize(
    "queries",
    [
        [query("m"), query("n", "two"), query("o", "nobody")],
        [query(f"m{place}", stat=stat) for place, stat in enumerate(("Average", "Minimum", "Sum", "SampleCount"))],
        [query("m", period=300), query("n", period=1)],
        [query("m", Unit="Count"), query("n", Unit="Percent"), query("o", Unit="Bytes")],
        [query("m", returned=False), query("n", "two")],
        [query("m", returned=False), {"Id": "twice", "Expression": "m"}],
    ],
    ids=["jobs", "statistics", "periods", "units", "unreturned", "math"],
)
def test_the_answer_is_motos_own(cloudwatch, queries, monkeypatch):
    def answers():
        asked = {"MetricDataQueries": queries, "StartTime": NOW - timedelta(seconds=600), "EndTime": NOW}
        orders = ({}, {"ScanBy": "TimestampAscending"}, {"ScanBy": "TimestampDescending"})
        return [cloudwatch.get_metric_data(**asked | order)["MetricDataResults"] for order in orders]

    expected = answers()
    backend = cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION]
    monkeypatch.setattr(backend, "get_metric_data", backend.get_metric_data)  # put back afterwards
    answer_with_index(backend)
    assert answers() == expected
    assert any(each["Values"] for results in expected for each in results)
