"""
Transform and processing jobs as values: their documents, and how each event changes them.

Pure. Unlike training jobs (``jobs.py``) they have neither secondary statuses nor transitions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.resource import (
    IN_PROGRESS,
    STOPPED,
    STOPPING,
    TRANSFORM,
    Document,
    Job,
    Kind,
    Outcome,
    new_fields,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_MESSAGE_CHARACTERS = 1024  # Source: shape ExitMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob(Job):
    exit_message: str | None = None

    @property
    def headline(self) -> str:
        return f"{self.kind.words} {self.name} {self.status}"

    def running(self, *, now: float) -> BatchJob:
        return replace(self, started=now, modified=now)

    def stopping(self, *, now: float) -> BatchJob:
        return replace(self, status=STOPPING, modified=now)

    def concluded(self, outcome: Outcome, *, now: float) -> BatchJob:
        ended = self.with_end(outcome, now=now)
        if ended.status == STOPPED or not outcome.exit_message:
            return ended
        return replace(ended, exit_message=outcome.exit_message[:EXIT_MESSAGE_CHARACTERS])

    def describe(self) -> Document:
        document = {**self.request, **self.summary()}
        if self.kind is TRANSFORM:
            del document["LastModifiedTime"]  # only its summary has it. Source: shape DescribeTransformJobResponse
        if self.started is not None:
            document[f"{self._prefix}StartTime"] = timestamp(self.started)
        return document

    def summary(self) -> Document:
        optional = {
            "FailureReason": self.failure_reason,
            "ExitMessage": self.exit_message,
            f"{self._prefix}EndTime": None if self.ended is None else timestamp(self.ended),
        }
        return {
            f"{self.kind.resource}Name": self.name,
            f"{self.kind.resource}Arn": self.arn,
            f"{self.kind.resource}Status": self.status,
            "CreationTime": timestamp(self.created),
            "LastModifiedTime": timestamp(self.modified),
            **{name: value for name, value in optional.items() if value is not None},
        }

    @property
    def _prefix(self) -> str:
        return self.kind.resource.removesuffix("Job")


def new_batch_job(kind: Kind, request: Mapping[str, Any], *, arn: str, now: float) -> BatchJob:
    return BatchJob(kind=kind, status=IN_PROGRESS, **new_fields(kind.resource, request, arn=arn, now=now))
