"""
SageMaker's ListTrainingJobs and DescribeTrainingJob over TLS on loopback, on a scripted account; a process of its own, so that its work is not counted.

Usage: service.py SETTINGS (JSON) — prints its port, then answers commands on standard input, a JSON document a line:
``{"op": "end", "jobs": {name: unix time}}``, ``{"op": "report"}``.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from accounts import EPOCH, InvalidTokenError, ScriptedAccount, ScriptedJob

from airflow_nbjobs.core.watch.plan import DescribeJob, ListJobs, Page

# What AWS takes, about; as measured for DescribeTrainingJob and ListTrainingJobs with 100 summaries.
LATENCY_SECONDS = {"DescribeTrainingJob": 0.03, "ListTrainingJobs": 0.09}
CHURN_SECONDS = 0.1
EPOCH_SECONDS = EPOCH.timestamp()


@dataclass
class Bucket:
    """A token bucket, as AWS throttles; a rate of 0 refuses nothing."""

    rate: float
    tokens: float = 2.0
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        if not self.rate:
            return True
        now = time.monotonic()
        self.tokens = min(2.0 * self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Service:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.skew = settings.get("skew", 0.0)
        self.account = ScriptedAccount(now, skew=self.skew, empty_pages=settings.get("empty_pages", 0))
        history, count = settings["history"], settings["count"]
        oldest = now() - settings["age"]
        # Other people's jobs, all over: half an hour of them before ours, or after it where ours is an old one.
        first = oldest + 5 if settings.get("is_history_later") else oldest - 5 - 0.3 * history
        self.account.add(
            ScriptedJob(f"foreign-{number:06}-{'x' * 30}", round(first + 0.3 * number, 3), first + 0.3 * number + 60)
            for number in range(history)
        )
        self.account.add(
            ScriptedJob(f"bench-{number:06}-{'x' * 40}", round(oldest + 0.02 * number, 3)) for number in range(count)
        )
        self.buckets = {
            "ListTrainingJobs": Bucket(settings.get("list_rate", 0.0)),
            "DescribeTrainingJob": Bucket(settings.get("describe_rate", 0.0)),
        }
        self.calls: list[tuple[float, str, int]] = []
        self.shown: dict[str, float] = {}
        self.random = random.Random(1)

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, document = self._answer(operation, request)
        self.calls.append((time.time(), operation, status))
        return status, document

    def _answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if operation not in self.buckets:
            return 400, {"__type": "UnknownOperationException", "message": operation}
        if not self.buckets[operation].take():
            return 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}
        if operation == "DescribeTrainingJob":
            summary = self.account.describe(DescribeJob(request["TrainingJobName"]))
            if summary is None:
                return 400, {"__type": "ValidationException", "message": "Requested resource not found."}
            self.shown.setdefault(summary.job_name, time.time())
            return 200, described(summary)
        try:
            page = self.account.list(listed(request))
        except InvalidTokenError:
            return 400, {"__type": "ValidationException", "message": "Invalid NextToken"}
        for summary in page.summaries:
            self.shown.setdefault(summary.job_name, time.time())
        return 200, page_document(page)

    async def churn(self) -> None:
        """Let other people's jobs come, end and be deleted all the time."""
        while True:
            await asyncio.sleep(CHURN_SECONDS)
            at = now()
            self.account.add([ScriptedJob(f"foreign-new-{at:.3f}", round(at, 3), at + 5)])
            foreign = [name for name in self.account.jobs if name.startswith("foreign")]
            self.account.delete(self.random.choice(foreign))

    def command(self, command: dict[str, Any]) -> dict[str, Any]:
        if command["op"] == "end":
            for name, at in command["jobs"].items():
                self.account.jobs[name].ends = at - EPOCH_SECONDS
            return {}
        return {"calls": self.calls, "shown": self.shown}


def now() -> float:
    return time.time() - EPOCH_SECONDS


def listed(request: dict[str, Any]) -> ListJobs:
    def at(name: str) -> Any:
        return None if name not in request else EPOCH.fromtimestamp(request[name], tz=EPOCH.tzinfo)

    assert request["MaxResults"] == 100
    return ListJobs(
        created_after=at("CreationTimeAfter"),
        created_before=at("CreationTimeBefore"),
        modified_after=at("LastModifiedTimeAfter"),
        is_newest_first=request.get("SortOrder") == "Descending",
        next_token=request.get("NextToken"),
    )


def summary_document(summary: Any) -> dict[str, Any]:
    document = {
        "TrainingJobName": summary.job_name,
        "TrainingJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{summary.job_name}",
        "CreationTime": summary.created.timestamp(),
        "LastModifiedTime": summary.modified.timestamp(),
        "TrainingJobStatus": summary.status,
        "SecondaryStatus": summary.secondary_status,
    }
    return document | ({"TrainingEndTime": document["LastModifiedTime"]} if summary.state.is_terminal else {})


def page_document(page: Page) -> dict[str, Any]:
    document: dict[str, Any] = {"TrainingJobSummaries": [summary_document(summary) for summary in page.summaries]}
    return document | ({"NextToken": page.next_token} if page.next_token else {})


def described(summary: Any) -> dict[str, Any]:
    """About 3 KB, as a notebook job's description is."""
    return summary_document(summary) | {
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://bucket/{summary.job_name}/output/model.tar.gz"},
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/NotebookJobs",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/nbjobs"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 172800},
        "Environment": {f"VARIABLE_{number}": "x" * 60 for number in range(20)},
        "SecondaryStatusTransitions": [
            {"Status": status, "StartTime": summary.created.timestamp(), "StatusMessage": "x" * 60}
            for status in ("Starting", "Downloading", "Training")
        ],
    }


async def serve(service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            operation = headers["x-amz-target"].partition(".")[2]
            await asyncio.sleep(LATENCY_SECONDS.get(operation, 0.0))
            status, document = service.answer(operation, json.loads(body))
            payload = json.dumps(document).encode()
            writer.write(
                f"HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {len(payload)}\r\n"
                f"date: {formatdate(time.time() + service.skew, usegmt=True)}\r\n\r\n".encode()
                + payload
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def main(settings: dict[str, Any]) -> None:
    service = Service(settings)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(settings["certificate"])
    server = await asyncio.start_server(
        lambda reader, writer: serve(service, reader, writer), "127.0.0.1", 0, ssl=tls, backlog=2000
    )
    say({"port": server.sockets[0].getsockname()[1]})
    churning = asyncio.create_task(service.churn()) if settings.get("is_churning") else None
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        say(service.command(json.loads(line)))
    if churning is not None:
        churning.cancel()


def say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
