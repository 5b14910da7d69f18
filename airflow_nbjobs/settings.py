"""
Organisation-wide defaults: the AWS connection's extra first, then section ``[nbjobs]`` of the Airflow configuration.

Called by the operator inside ``execute`` and by the trigger; read in functions, so that tests pass values instead of reloading modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core import arguments as parse
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.polling import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping

SECTION = "nbjobs"
JOB_DEFAULTS = (
    "role",
    "s3_root_uri",
    "image_uri",
    "s3_kms_key",
    "volume_kms_key",
    "security_group_ids",
    "subnets",
    "tags",
    "live_notebook",
    "cell_output_in_logs",
    "stream_logs",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What an organisation sets once.

    :param job_defaults: job arguments by name, used where the task gives none.
    :param deployment: goes into every job's identity; set it where two Airflow deployments share an account, a bucket prefix and DAG ids.
    """

    job_defaults: Mapping[str, Any] = field(default_factory=dict)
    deployment: str = ""

    def completed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the task's arguments with the defaults filled in; tags are merged key by key, the task's winning."""
        merged = dict(self.job_defaults) | {name: value for name, value in arguments.items() if value is not None}
        if self.job_defaults.get("tags") and arguments.get("tags"):
            try:
                merged["tags"] = parse.tags(self.job_defaults["tags"]) | parse.tags(arguments["tags"])
            except ValueError as error:
                raise NotebookJobConfigError(f"tags: {error}") from error
        return merged


def read_settings(connection_extra: Mapping[str, Any]) -> Settings:
    """
    Read the defaults.

    :param connection_extra: the AWS connection's extra; its key ``nbjobs`` holds a mapping of job arguments.
    :raises NotebookJobConfigError: the extra's ``nbjobs`` is no mapping, or names what is no default.
    """
    from airflow.configuration import conf

    configured = {name: value for name in JOB_DEFAULTS if (value := conf.get(SECTION, name, fallback=""))}
    extra = connection_extra.get(SECTION) or {}
    if not isinstance(extra, dict):
        raise NotebookJobConfigError(
            "the AWS connection's extra has a key 'nbjobs' that is no mapping; give {'role': …, 's3_root_uri': …}"
        )
    unknown = sorted(set(extra) - set(JOB_DEFAULTS))
    if unknown:
        raise NotebookJobConfigError(
            f"the AWS connection's extra has unknown keys under 'nbjobs': {', '.join(unknown)}; known are {', '.join(JOB_DEFAULTS)}"
        )
    return Settings(job_defaults=configured | extra, deployment=conf.get(SECTION, "deployment", fallback=""))


def wants_log_stream(argument: object, settings: Settings) -> bool:
    """
    Say whether a task's log is to hold its container's: the argument, the defaults, else yes.

    :raises NotebookJobConfigError: it is neither True nor False.
    """
    value = argument if argument is not None else settings.job_defaults.get("stream_logs", True)
    try:
        return parse.boolean(value)
    except ValueError as error:
        raise NotebookJobConfigError(f"stream_logs: {error}") from error


def read_pace() -> Pace:
    """
    Read how fast a triggerer may ask for waiting jobs; the process's own configuration alone, since its budget is one.

    :raises NotebookJobConfigError: a value is no number above zero.
    """
    pace = Pace()
    return Pace(
        list_calls_per_second=_positive("list_calls_per_second", pace.list_calls_per_second),
        polling_interval_seconds=_positive("polling_interval", pace.polling_interval_seconds),
    )


def _positive(option: str, default: float) -> float:
    from airflow.configuration import conf

    text = conf.get(SECTION, option, fallback="") or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise NotebookJobConfigError(f"[{SECTION}] {option} is {text!r}; it has to be a number above zero")
    return value
