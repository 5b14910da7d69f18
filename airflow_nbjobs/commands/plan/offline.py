"""
The AWS side of a plan: nothing is asked. What only AWS knows has a stand-in that the checks take, and the plan says that it is one.

Called by ``tasks.py``. Reads this machine's configuration (region, and a connection where the environment or a database has it), and opens no connection to AWS.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_nbjobs._compat import add_secret
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.aws_parsers import region_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACCOUNT = "000000000001"
_IMAGES_ACCOUNT = "000000000002"
_REGION = "us-east-1"
ROLE = f"arn:aws:iam::{_ACCOUNT}:role/nbjobs-not-known"
ROOT = "s3://nbjobs-not-known/nbjobs"
NOTEBOOK = "s3://nbjobs-not-known/notebook.ipynb"  # in place of a path that is not known


class NotLookedAtError(NotebookJobConfigError):
    """A file lies in S3, which is not asked."""


class OfflineClients:
    """The ports that preparing a job asks; none of them asks AWS."""

    def __init__(self) -> None:
        self.not_known: dict[str, str] = {}  # stand-in -> what it stands for
        self.said: list[str] = []

    @property
    def jobs(self) -> OfflineClients:
        return self

    objects = account = logs = jobs

    @property
    def request_shape(self) -> Any:
        return _request_shape()

    def role_arn(self, role_name: str) -> str:
        arn = f"arn:aws:iam::{_ACCOUNT}:role/{role_name}"
        self.not_known[arn] = f"ARN of role '{role_name}'"
        self.said.append(f"role: the ARN of '{role_name}' (IAM is asked for it)")
        return arn

    def distribution_account_id(self) -> str:
        self.not_known[_IMAGES_ACCOUNT] = "account of the region's SageMaker Distribution images"
        self.said.append("image_uri: the account that holds the image in the region (SSM is asked for it)")
        return _IMAGES_ACCOUNT

    def exists(self, uri: str) -> NoReturn:
        raise NotLookedAtError(f"'{uri}' lies in S3, which is not asked")

    open = names_below = stat = exists


class OfflineHook:
    """What the operator's hook tells of a task's connection, as far as this machine knows."""

    has_credentials = True

    def __init__(self, region: str, connection_extra: Mapping[str, Any]) -> None:
        self.region = region
        self.connection_extra = connection_extra
        self.clients = OfflineClients()


@cache
def _request_shape() -> Any:
    import botocore.session

    model = botocore.session.get_session().get_service_model("sagemaker")
    return model.operation_model("CreateTrainingJob").input_shape


def region_here(connection: Any) -> str | None:
    """Return the region that the connection says, or boto3's configuration of this machine."""
    extra = {} if connection is None else connection.extra_dejson
    named = extra.get("region_name")
    if named:
        return str(named).strip()
    import botocore.session

    found = botocore.session.get_session().get_config_variable("region")
    return str(found) if found else None


def stand_in_region(*arns: object) -> str:
    """Return the region of the first image or key that names one: where none is configured, a check between regions finds nothing then."""
    return next((found for arn in arns if isinstance(arn, str) and (found := region_of(arn))), _REGION)


def stand_ins(region: str) -> dict[str, str]:
    """Return a value for each argument without which there is no job."""
    image = f"{_IMAGES_ACCOUNT}.dkr.ecr.{region}.amazonaws.com/nbjobs-not-known:1"
    return {"image_uri": image, "role": ROLE, "s3_root_uri": ROOT}


def shown_stand_in(name: str, stand_in: str, of: str) -> dict[str, str]:
    """Return what is shown in place of a stand-in, and of what is made of it."""
    return {stand_in: of} | ({stand_in.removeprefix("s3://"): of} if name == "s3_root_uri" else {})


def connection_here(conn_id: str | None) -> Any:
    """
    Return Airflow's connection of that id, from the environment or the database; None where neither has it.

    Secrets backends are not asked: they may be AWS's.
    """
    found = _connection(conn_id) if conn_id else None
    if found is not None:
        # As a worker does with a connection that it gets.
        add_secret(found.password)
        add_secret(found.extra_dejson)
    return found


def _connection(conn_id: str) -> Any:
    from airflow.models.connection import Connection

    text = os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}")
    if text:
        return (
            Connection.from_json(text, conn_id)
            if text.lstrip().startswith("{")
            else Connection(conn_id=conn_id, uri=text)
        )
    from sqlalchemy import select

    from airflow_nbjobs.commands.plan.database import ask_database

    return ask_database(lambda session: session.scalar(select(Connection).where(Connection.conn_id == conn_id)))
