"""
What this package needs of AWS, as small protocols; the boto3 implementations are in ``clients.py``.

Every method raises ``NotebookJobServiceError`` (or ``NotebookJobConfigError`` where the request itself is at fault), never a botocore exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.core.watch.log_place import LogPage
    from airflow_nbjobs.core.watch.plan import ListJobs, Page


RawPoints = dict[
    str, list[tuple[float, float]]
]  # of one job, by a metric's key: seconds since the epoch, CloudWatch's number
UPLOAD_THREADS = 16  # which may put objects at the same time
MOST_DELETED = 1000  # keys of one DeleteObjects. Source: its API reference


class Log(Protocol):
    """The part of a logger that is used: a format and its arguments."""

    def info(self, message: str, /, *arguments: object) -> Any: ...

    def warning(self, message: str, /, *arguments: object) -> Any: ...


class StoredObject(msgspec.Struct, frozen=True):
    """What S3 says of an object without sending it."""

    etag: str  # in quotes, as the service sends it; changes with the content
    size_bytes: int


class ListedObject(msgspec.Struct, frozen=True):
    """One entry of a list of a bucket's objects."""

    key: str
    size_bytes: int
    modified: datetime


class ChangedObjectError(Exception):
    """The object of this URI is another than it was, or is gone."""


class NameTakenError(Exception):
    """CreateTrainingJob was refused because a job of that name exists (``ResourceInUse``); whose it is, Describe tells."""


class TrainingJobs(Protocol):
    @property
    def request_shape(self) -> Any:
        """Return botocore's own description of a CreateTrainingJob request."""

    @property
    def endpoint_url(self) -> str: ...

    def create(self, request: Mapping[str, Any]) -> str:
        """
        Send one CreateTrainingJob; return the job's ARN.

        :raises NameTakenError: a job of that name exists.
        """

    def describe(self, job_name: str) -> JobSnapshot | None:
        """Return what the service says of the job now, None if it knows no job of that name."""

    def list_page(self, call: ListJobs) -> Page:
        """Return one page of summaries; a page may be short or empty and still have a token."""

    def stop(self, job_name: str) -> None:
        """Ask for a stop; a job that has already ended is left alone without an error."""

    @property
    def can_delete(self) -> bool:
        """Whether this boto3 knows DeleteTrainingJob."""

    def delete(self, job_name: str) -> str:
        """Delete SageMaker's record of an ended job; return why the service would not. One that is gone, or is being deleted, is no error."""

    def release_machine(self, job_name: str) -> str:
        """Give back the machine that a warm pool keeps for the job; return why the service would not, which is no error: the pool may not idle (yet)."""


class Objects(Protocol):
    def put(self, uri: str, body: bytes | Path, *, kms_key: str | None) -> None:
        """Write one object from memory or from a file."""

    def open(self, uri: str) -> BinaryIO | None:
        """Return the object's body as a stream to be closed, None if there is no such object."""

    def exists(self, uri: str) -> bool: ...

    def stat(self, uri: str) -> StoredObject | None:
        """Return the object's ETag and size, None if there is no such object."""

    def names_below(self, uri: str) -> list[str]:
        """Return the keys below ``uri + "/"``, relative to it."""


class Storage(Protocol):
    """What is needed beyond ``Objects`` to take a run's files home, and to delete them."""

    def open_from(self, uri: str, stored: StoredObject, *, start: int) -> BinaryIO:
        """
        Return the rest of an object's body from a byte on, as a stream to be closed.

        :raises ChangedObjectError: the object is not the one that ``stored`` describes any more.
        """

    def list_below(self, uri: str) -> Iterator[ListedObject]:
        """Yield all objects below ``uri + "/"``, page by page."""

    def delete(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        """Delete at least one object and at most ``MOST_DELETED``, in one call; return why not, for each key that S3 would not delete."""

    def keeps_versions(self, bucket: str) -> bool:
        """Say whether the bucket keeps what is deleted as an older version."""


class ContainerLogs(Protocol):
    def tail(self, job_name: str, *, limit: int) -> list[str] | None:
        """Return the last lines that the job's container wrote, oldest first; None if CloudWatch has no stream of it."""

    def events(
        self,
        *,
        since: int,
        streams: Sequence[str] = (),
        prefix: str = "",
        phrase: str = "",
        next_token: str | None = None,
    ) -> LogPage:
        """
        Return one page of events of training jobs' logs, none where there is no log group yet.

        :param since: milliseconds since the epoch: no event before this.
        :param streams: only of these, at most 100; or, with ``prefix``, of those whose names begin so.
        :param phrase: only those that contain it.
        """


class MachineMetrics(Protocol):
    def read(
        self, job_names: Sequence[str], *, started: datetime, ended: datetime, period_seconds: int
    ) -> dict[str, RawPoints]:
        """
        Return what CloudWatch has measured of each job's machine between two moments, oldest first; nothing of what it does not know.

        :param period_seconds: between two points: a multiple of 60 on AWS.
        """


class Account(Protocol):
    def role_arn(self, role_name: str) -> str:
        """Expand the name of a role to its ARN (iam:GetRole)."""

    def distribution_account_id(self) -> str:
        """Return the account that holds the SageMaker Distribution images of the region (ssm:GetParameter)."""


class AwsClients(Protocol):
    """The ports of one AWS connection."""

    @property
    def jobs(self) -> TrainingJobs: ...

    @property
    def objects(self) -> Objects: ...

    @property
    def logs(self) -> ContainerLogs: ...

    @property
    def metrics(self) -> MachineMetrics: ...

    @property
    def account(self) -> Account: ...

    @property
    def storage(self) -> Storage: ...
