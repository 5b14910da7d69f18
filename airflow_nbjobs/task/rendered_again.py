"""
Fields that cannot be rendered again when a task goes on after its deferral: they cost a warning, and not the results of its job.

Airflow renders all fields anew in each worker of a try. By then a variable may be gone, or the XCom of a task that was cleared: what the job was made of, nobody
needs to read its results. Called by the operator as it renders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import is_resumed

if TYPE_CHECKING:
    from airflow.sdk import Context

# How a job's results are read and its executed notebook is written: without these nothing can be delivered.
_NEEDED = ("aws_conn_id", "region_name", "verify", "s3_kms_key")
# Looked into on the way there, as a dict and as True or False, which no remark is: these are then as if they were not given.
_READ_AGAIN = ("parameters", "stream_logs")


def stands_for(task: Any, content: Any, context: Context, error: Exception) -> Any:
    """
    Return what a resumed task has in place of a part of a field that cannot be rendered: a template as it is written, another task's output as a remark, nothing of a field that is read again.

    :raises Exception: the error itself, where the task is not resumed, or needs the field.
    """
    if _is_one_of(content, task, _NEEDED) or not is_resumed(context.get("ti")):
        raise error
    if getattr(task, "_not_rendered", None) is None:
        task._not_rendered = error  # noqa: SLF001 - of an operator of ours
    task.log.warning(
        "A field cannot be rendered any more, which the results of the job do without: %s: %s",
        type(error).__name__,
        error,
    )
    if _is_one_of(content, task, _READ_AGAIN) and not isinstance(content, dict):
        return None
    return content if isinstance(content, str | dict | list) else f"({type(error).__name__} as it was rendered again)"


def _is_one_of(content: Any, task: Any, fields: tuple[str, ...]) -> bool:
    return any(content is getattr(task, name, None) for name in fields)


def refuse_unrendered(task: Any) -> None:
    """:raises Exception: a field could not be rendered, and another job is to be made of it."""
    error = getattr(task, "_not_rendered", None)
    if error is not None:
        raise error
