"""
Buttons on a task instance: SageMaker console, CloudWatch logs, executed notebook, SageMaker Studio.

Airflow 3 calls ``get_link`` on the worker when a task ends or defers, and keeps the text; so the links are there while a job runs.
Imported while DAGs are parsed: only ``airflow.sdk`` at module level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from airflow_nbjobs.core.job.xcoms import (
    CONSOLE_LINK_KEY,
    JOB_KEY,
    LOGS_LINK_KEY,
    NOTEBOOK_LINK_KEY,
    STUDIO_LINK_KEY,
    read_record,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

TAB_ROUTE = "nbjobs_notebook"  # of the plugin's tab, in the addresses of Airflow's UI
_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


# The account of AWS's own examples, which moto and the embedded SageMaker play, and LocalStack's: no console shows them.
_NO_ACCOUNTS = ("123456789012", "000000000000")
NO_CONSOLE = "on no account of AWS, so no console shows it"


def has_console(job_arn: str) -> bool:
    """Whether a job lies in an account that AWS's consoles can show; so does one of an account that is not known."""
    return not any(f":{account}:" in job_arn for account in _NO_ACCOUNTS)


def console_host(region: str) -> str:
    domain = next((host for prefix, host in _CONSOLES.items() if region.startswith(prefix)), "console.aws.amazon.com")
    return f"https://{region}.{domain}"


def console_url(region: str, job_name: str) -> str:
    return f"{console_host(region)}/sagemaker/home?region={region}#/jobs/{job_name}"


def logs_url(region: str, job_name: str) -> str:
    from airflow_nbjobs.core.job.naming import LOG_GROUP

    # CloudWatch's console escapes twice, with $ for %.
    group = quote(quote(LOG_GROUP, safe=""), safe="").replace("%", "$")
    prefix = quote(quote(f"{job_name}/", safe=""), safe="").replace("%", "$")
    return f"{console_host(region)}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}$3FlogStreamNameFilter$3D{prefix}"


def s3_object_url(region: str, uri: str) -> str:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return f"{console_host(region)}/s3/object/{bucket}?region={region}&prefix={quote(key)}"


def studio_url(region: str, job_name: str, domain_arn: str | None) -> str:
    """
    Return the job's page in SageMaker Studio, or an empty text without a domain.

    The form of the address is the SageMaker SDK's (3.x, ``sagemaker.train``), which knows one for the partition ``aws`` only.
    """
    if not domain_arn or not domain_arn.startswith("arn:aws:"):
        return ""
    return f"https://studio-{domain_arn.rpartition('/')[2]}.studio.{region}.sagemaker.aws/jobs/train/{job_name}"


def job_urls(
    region: str, job_name: str, executed_notebook_uri: str, *, job_arn: str = "", studio_domain_arn: str | None = None
) -> dict[str, str]:
    """Return the addresses of a job's links, by the names that the links look for in ``nbjobs_job``; empty ones for a job that no console shows."""
    if not has_console(job_arn):
        return dict.fromkeys(("console_url", "logs_url", "executed_notebook_url", "studio_url"), "")
    return {
        "console_url": console_url(region, job_name),
        "logs_url": logs_url(region, job_name),
        "executed_notebook_url": s3_object_url(region, executed_notebook_uri),
        "studio_url": studio_url(region, job_name, studio_domain_arn),
    }


def run_path(dag_id: str, run_id: str) -> str:
    """Return the address of a run below the address of Airflow's UI."""
    return f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def task_path(dag_id: str, run_id: str, task_id: str, map_index: int | None) -> str:
    """Return the address of a task instance below the address of Airflow's UI."""
    mapped = f"/mapped/{map_index}" if map_index is not None and map_index >= 0 else ""
    return f"{run_path(dag_id, run_id)}/tasks/{quote(task_id, safe='')}{mapped}"


def tab_path(dag_id: str, run_id: str, task_id: str, map_index: int | None) -> str:
    """Return the address of a task instance's tab "Notebook" below the address of Airflow's UI."""
    return f"{task_path(dag_id, run_id, task_id, map_index)}/plugin/{TAB_ROUTE}"


class _JobLink(BaseOperatorLink):
    """A link whose text lies in the task's ``nbjobs_job``."""

    field: str

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the address, or an empty text while the task has no job; Airflow shows no button then."""
        return str(_job(ti_key).get(self.field) or "")


# What this process has pushed last, by whose it is: each link asks for it, and each question to Airflow costs it a request and a query.
_pushed: dict[tuple[Any, ...], dict[str, Any]] = {}
_IDENTITY = ("dag_id", "run_id", "task_id", "map_index", "try_number", "region_id", "region_index")


def note_pushed_job(ti: Any, facts: dict[str, Any]) -> None:
    """Keep what a task has just pushed as its ``nbjobs_job``, for its links."""
    _pushed.clear()
    _pushed[_identity(ti)] = facts


def links_with_address(links: Collection[BaseOperatorLink], task: Any, ti: Any) -> tuple[BaseOperatorLink, ...]:
    """Return the links without those of ours that have nothing to show: a link that is not stored is no button, as an empty one is."""
    return tuple(link for link in links if not isinstance(link, _JobLink) or link.get_link(task, ti_key=ti))


def links_of_others(links: Collection[BaseOperatorLink]) -> tuple[BaseOperatorLink, ...]:
    """Return the links that are not ours."""
    return tuple(link for link in links if not isinstance(link, _JobLink))


def _identity(ti: Any) -> tuple[Any, ...]:
    """Return what tells one try from all others: ``dag.test()`` runs the tries of a task, and the iterations of a loop (Airflow >= 3.4), in one process."""
    return tuple(getattr(ti, name, None) for name in _IDENTITY)


def _job(ti_key: TaskInstanceKey) -> dict[str, Any]:
    job = _pushed.get(_identity(ti_key))
    if job is None:
        from airflow.sdk.execution_time.xcom import XCom

        job = XCom.get_value(ti_key=ti_key, key=JOB_KEY)
    return read_record(JOB_KEY, job)


class SageMakerConsoleLink(_JobLink):
    """The training job in the SageMaker console."""

    name = "SageMaker console"
    xcom_key = CONSOLE_LINK_KEY
    field = "console_url"


class CloudWatchLogsLink(_JobLink):
    """The container's log in CloudWatch."""

    name = "CloudWatch logs"
    xcom_key = LOGS_LINK_KEY
    field = "logs_url"


class ExecutedNotebookLink(_JobLink):
    """The executed notebook: the task's tab where Airflow has tabs (>= 3.1) and knows its own address, else the S3 console."""

    name = "Executed notebook"
    xcom_key = NOTEBOOK_LINK_KEY
    field = "executed_notebook_url"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        from airflow_nbjobs._compat import ui_address

        job = _job(ti_key)
        address = str(job.get(self.field) or "")
        if not address and not job.get("executed_notebook_uri"):  # which the tab shows, console or not
            return ""
        root = ui_address()
        return f"{root}{tab_path(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)}" if root else address


class StudioLink(_JobLink):
    """The training job in SageMaker Studio; only of a task with ``studio_domain_arn``."""

    name = "SageMaker Studio"
    xcom_key = STUDIO_LINK_KEY
    field = "studio_url"
