"""
A task's way to AWS as the pages use it: the connection that the serialized operator names, with the defaults that a worker would use.

Used by ``jobs.py``, ``sources.py`` and ``executed.py``; ``app.py`` passes ``airflow_access`` in.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.aws.connection import is_of_aws
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError
from airflow_nbjobs.core.job.aws_parsers import s3_root_uri
from airflow_nbjobs.core.job.reference import parse_job_reference
from airflow_nbjobs.ui.data.task_instance import Kind
from airflow_nbjobs.ui.notebook.problems import ProblemError, from_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """
    One task's way to AWS.

    :param root: where its jobs write, without a trailing slash; None where neither task, connection nor configuration says.
    :param studio_domain_arn: of the Studio that shows its jobs.
    :param has_console: whether it is AWS that answers, which has consoles, and not something in its place.
    """

    clients: AwsClients
    deployment: str
    root: str | None
    studio_domain_arn: str | None = None
    has_console: bool = True


def airflow_access(ti: NotebookTaskInstance) -> Access:
    """
    Return the way to AWS of the task's own connection, with the defaults that a worker would use.

    :raises NotebookJobError: there is no such connection, or its settings are wrong.
    """
    from airflow_nbjobs.hooks import SageMakerNotebookJobHook
    from airflow_nbjobs.settings import read_settings

    region = ti.argument("region_name")
    if ti.kind is Kind.SENSOR:
        region = parse_job_reference(ti.argument("job_name"), region_name=region).region
    hook = SageMakerNotebookJobHook(
        aws_conn_id=ti.argument("aws_conn_id"), region_name=region, verify=ti.argument("verify")
    )
    settings = read_settings(hook.connection_extra)
    configured = ti.argument("s3_root_uri") or settings.job_defaults.get("s3_root_uri")
    try:
        root = s3_root_uri(configured) if configured else None
    except ValueError as error:
        raise NotebookJobConfigError(f"s3_root_uri: {error}") from error
    studio = ti.argument("studio_domain_arn")
    return Access(
        clients=hook.clients,
        deployment=settings.deployment,
        root=root,
        studio_domain_arn=studio if isinstance(studio, str) else None,
        has_console=is_of_aws(hook.clients.jobs.endpoint_url),
    )


def access_key(ti: NotebookTaskInstance) -> tuple[Any, ...]:
    """Return what tells one task's way to AWS from another's."""
    return (*clients_key(ti), ti.argument("s3_root_uri"), ti.argument("studio_domain_arn"))


def clients_key(ti: NotebookTaskInstance) -> tuple[Any, ...]:
    """Return what tells the clients of one task, their account and region, from another's."""
    job_name = repr(ti.argument("job_name")) if ti.kind is Kind.SENSOR else None
    return (ti.kind, job_name, *(ti.argument(name) for name in ("aws_conn_id", "region_name", "verify")))


@contextmanager
def as_problem() -> Iterator[None]:
    """Raise errors of AWS and of its settings as problems for the reader."""
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except NotebookJobError as error:
        raise ProblemError(from_error(error)) from error
    except BotoCoreError as error:  # making a client: no region, a profile that does not exist
        raise ProblemError(from_error(NotebookJobConfigError(str(error)))) from error
