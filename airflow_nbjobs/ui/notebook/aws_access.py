"""
A task's way to AWS, as the pages go it: by the connection that the serialized operator names, with the defaults that a worker would use.

Called by ``notebook/executed.py``; ``app.py`` hands ``airflow_access`` in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.aws_parsers import s3_root_uri
from airflow_nbjobs.core.job.reference import parse_job_reference
from airflow_nbjobs.ui.data.subject import Kind

if TYPE_CHECKING:
    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.ui.data.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
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


def airflow_access(subject: Subject) -> Access:
    """
    Return the way to AWS of the task's own connection, with the defaults that a worker would use.

    :raises NotebookJobError: there is no such connection, or its settings are wrong.
    """
    from airflow_nbjobs.hooks import SageMakerNotebookJobHook
    from airflow_nbjobs.settings import read_settings

    region = subject.argument("region_name")
    if subject.kind is Kind.SENSOR:
        region = parse_job_reference(subject.argument("job_name"), region_name=region).region
    hook = SageMakerNotebookJobHook(
        aws_conn_id=subject.argument("aws_conn_id"), region_name=region, verify=subject.argument("verify")
    )
    settings = read_settings(hook.connection_extra)
    given = subject.argument("s3_root_uri") or settings.job_defaults.get("s3_root_uri")
    try:
        root = s3_root_uri(given) if given else None
    except ValueError as error:
        raise NotebookJobConfigError(f"s3_root_uri: {error}") from error
    studio = subject.argument("studio_domain_arn") or settings.job_defaults.get("studio_domain_arn")
    return Access(
        clients=hook.clients,
        deployment=settings.deployment,
        root=root,
        studio_domain_arn=studio if isinstance(studio, str) else None,
        has_console=_is_of_aws(hook.clients.jobs.endpoint_url),
    )


def _is_of_aws(endpoint_url: str) -> bool:
    return (urlsplit(endpoint_url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def access_key(subject: Subject) -> tuple[Any, ...]:
    """Return what tells one task's way to AWS from another's."""
    names = ("aws_conn_id", "region_name", "verify", "s3_root_uri", "studio_domain_arn")
    watched = repr(subject.argument("job_name")) if subject.kind is Kind.SENSOR else None
    return (subject.kind, watched, *(subject.argument(name) for name in names))
