"""
What is known of the account and the Airflow that are examined; each check adds to it.

Made by ``nbjobs doctor``. Arguments are resolved as a task's are: option, connection's extra, ``[nbjobs]``, the operator's own default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from airflow_nbjobs.aws.errors import got_no_answer, has_refused_credentials, is_denied
from airflow_nbjobs.commands.doctor.examination import Finding, unknown, wrong
from airflow_nbjobs.core.errors import (
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
)
from airflow_nbjobs.core.job.permissions import statement_with

if TYPE_CHECKING:
    from airflow_nbjobs.aws.diagnosis import Account, Identity, Role
    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.commands.doctor.airflow_side import AirflowSide
    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.core.job.permission_scope import Scope
    from airflow_nbjobs.core.job.spec import NotebookJobSpec
    from airflow_nbjobs.settings import Settings

Fact = TypeVar("Fact")

# Facts that checks wait for, in the words of the report.
_WORDS = {
    "session": "the connection",
    "region": "the region",
    "identity": "the credentials",
    "spec": "the arguments",
    "bucket_region": "the bucket",
    "role": "the role",
    "image_uri": "the image's name",
    "scope": "the account and region of what the arguments name",
}


def known(fact: Fact | None) -> Fact:
    """Return a fact that the ``needs`` of the asking check name."""
    if fact is None:
        raise LookupError("the check does not name this fact among its needs")
    return fact


class Asked(msgspec.Struct, frozen=True):
    """The options of the command; None: as a task that says nothing."""

    aws_conn_id: str
    role: str | None = None
    image_uri: str | None = None
    instance_type: str | None = None


class Session(msgspec.Struct, frozen=True):
    """A connection that could be read: its clients, and what it says."""

    clients: AwsClients
    account: Account
    settings: Settings
    hook: Any


class Patient(msgspec.Struct):
    """
    Facts, as far as they are known.

    :param scope: where the policies have to hold; what checks find of keys is added.
    :param bucket_region: set where the bucket can be reached.
    :param bucket_key: the KMS key that the bucket encrypts with unless told otherwise; empty where it is AWS's own.
    :param health: what the API server says of the parts of Airflow.
    """

    asked: Asked
    airflow: AirflowSide
    has_database: bool = False
    health: dict[str, Any] | None = None
    session: Session | None = None
    region: str | None = None
    identity: Identity | None = None
    arguments: JobArguments | None = None
    spec: NotebookJobSpec | None = None
    bucket_region: str | None = None
    role: Role | None = None
    image_uri: str | None = None
    newest_job: str = "nbjobs-doctor"  # of the account
    scope: Scope | None = None
    bucket_key: str = ""

    def knows(self, name: str) -> bool:
        return getattr(self, name) is not None

    def words(self, name: str) -> str:
        return _WORDS[name]

    def finding_of(self, error: NotebookJobError, action: str = "", *, is_needed: bool = True) -> Finding:
        """
        Return what an error of a call says of the account.

        :param action: IAM's, which the call needs.
        :param is_needed: whether tasks make such a call too; what the doctor alone asks is no fault of the account.
        """
        judge = wrong if is_needed else unknown
        advice = error.details.get("next", "")
        text = "; ".join((error.headline, *error.problems))
        if is_denied(error):
            kinds: Any = ("caller", "doctor") if is_needed else ("doctor",)
            found = (statement_with(action, kind, self.scope) for kind in kinds if self.scope)
            statement = next((each for each in found if each), None)
            who = f"'{self.identity.arn}'" if self.identity else "the identity of the connection"
            what = "tasks need it" if is_needed else "only the doctor asks for it"
            return judge(text, f"allow {who} this ({what})" if statement else advice, statement)
        if isinstance(error, NotebookJobConfigError) or has_refused_credentials(error):
            return wrong(text, advice)
        if got_no_answer(error):
            return judge(text, advice)
        if isinstance(error, NotebookJobCapacityError):
            return wrong(text, advice)
        if isinstance(error, NotebookJobServiceError) and error.is_retryable:
            return unknown(f"could not be checked now: {text}", advice or "run the doctor again")
        return judge(text, advice)
