"""
CloudWatch's metrics of training jobs' machines: five a job, a hundred jobs a call.

Called by the tasks, when a job has ended, and by the pages. A missing metric is no error: CloudWatch knows nothing of what has not been measured (yet).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.connection import Port
from airflow_nbjobs.aws.errors import no_answer_of_aws
from airflow_nbjobs.core.job.metrics import DIMENSION, JOBS_A_CALL, METRICS, NAMESPACE, host_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_nbjobs.aws.ports import RawPoints

_PERMISSION = "cloudwatch:GetMetricData"
_MOST_PAGES = 50  # of 100,800 points each; what never ends is no answer


class Boto3MachineMetrics(Port):
    """The port on boto3's client of CloudWatch."""

    def read(
        self, job_names: Sequence[str], *, started: datetime, ended: datetime, period_seconds: int
    ) -> dict[str, RawPoints]:
        """Return the points of jobs; see ``ports.MachineMetrics``."""
        found: dict[str, RawPoints] = {name: {} for name in job_names}
        names = list(found)
        for first in range(0, len(names), JOBS_A_CALL):
            self._read(names[first : first + JOBS_A_CALL], found, started, ended, period_seconds)
        return found

    def _read(
        self, names: list[str], found: dict[str, RawPoints], started: datetime, ended: datetime, period_seconds: int
    ) -> None:
        asked = {
            f"m{job}_{place}": (name, metric) for job, name in enumerate(names) for place, metric in enumerate(METRICS)
        }
        request: dict[str, Any] = {
            "MetricDataQueries": [
                {
                    "Id": query,
                    "MetricStat": {
                        "Metric": {
                            "Namespace": NAMESPACE,
                            "MetricName": metric.name,
                            "Dimensions": [{"Name": DIMENSION, "Value": host_of(name)}],
                        },
                        "Period": period_seconds,
                        "Stat": metric.statistic,
                    },
                }
                for query, (name, metric) in asked.items()
            ],
            "StartTime": started,
            "EndTime": ended,
            "ScanBy": "TimestampAscending",
        }
        for _ in range(_MOST_PAGES):
            answer = self.ask(_PERMISSION, lambda client: client.get_metric_data(**request), on="*")
            if "MetricDataResults" not in answer:
                raise no_answer_of_aws(_PERMISSION, "*")
            for result in answer["MetricDataResults"]:
                if known := asked.get(str(result.get("Id"))):
                    _add(found[known[0]], known[1].key, result)
            if not answer.get("NextToken"):
                return
            request["NextToken"] = answer["NextToken"]
        raise no_answer_of_aws(_PERMISSION, "*", why=f"its answer has no end after {_MOST_PAGES} pages")


def _add(points: RawPoints, key: str, result: Mapping[str, Any]) -> None:
    """Add one page of a metric; a page may have none of it."""
    values = zip(result.get("Timestamps", ()), result.get("Values", ()), strict=False)
    if found := [(moment.timestamp(), float(value)) for moment, value in values]:
        points.setdefault(key, []).extend(found)
