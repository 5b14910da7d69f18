"""
Organisation-wide defaults: the AWS connection's extra first, then section ``[nbjobs]`` of the Airflow configuration.

Called by ``task/`` and the triggers; read in functions, so that tests pass values instead of reloading modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job import parsers as parse
from airflow_nbjobs.core.job.aws_parsers import tags as parse_tags
from airflow_nbjobs.core.job.prices import Prices, parse_prices
from airflow_nbjobs.core.watch.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.job.arguments import JobArguments

SECTION = "nbjobs"
PRICES_VARIABLE = "nbjobs_instance_prices"  # which `nbjobs prices update` writes
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
    "machine_metrics",
)


class Settings(msgspec.Struct, frozen=True):
    """
    What an organisation sets once.

    :param job_defaults: job arguments by name, used where the task gives none.
    :param deployment: goes into every job's identity; set it where two Airflow deployments share an account, a bucket prefix and DAG ids.
    :param places: where each default was found, in words.
    """

    job_defaults: Mapping[str, Any] = msgspec.field(default_factory=dict)
    deployment: str = ""
    places: Mapping[str, str] = msgspec.field(default_factory=dict)

    def completed(self, arguments: JobArguments) -> JobArguments:
        """
        Return the task's arguments with the defaults filled in; tags are merged key by key, the task's winning.

        An empty text of the task, and what Jinja writes for None, hides no default. Tags that cannot be read stay as they are, for ``parse_spec`` to say so
        with all that is wrong.
        """
        missing = {
            name: value
            for name, value in self.job_defaults.items()
            if hasattr(arguments, name) and parse.is_absent(getattr(arguments, name))
        }
        ours, theirs = self.job_defaults.get("tags"), arguments.tags
        if ours and not parse.is_absent(theirs):
            missing["tags"] = _merged_tags(ours, theirs)
        return replace(arguments, **missing)

    def place(self, name: str, arguments: JobArguments) -> str | None:
        """Return where the value of an argument comes from, if it is a default's."""
        is_default = parse.is_absent(getattr(arguments, name, None)) or (
            name == "tags" and not _are_tags(self.job_defaults.get(name))
        )
        return self.places.get(name) if is_default else None


def read_settings(connection_extra: Mapping[str, Any]) -> Settings:
    """
    Read the defaults.

    :param connection_extra: the AWS connection's extra; its key ``nbjobs`` holds a mapping of job arguments, or its JSON text, as a connection URI has it.
        An empty value hides nothing of the configuration.
    :raises NotebookJobConfigError: the extra's ``nbjobs`` is no mapping, or names what is no default.
    """
    from airflow.configuration import conf

    configured = _given({name: conf.get(SECTION, name, fallback="") for name in JOB_DEFAULTS})
    extra = connection_extra.get(SECTION)
    try:
        extra = {} if parse.is_absent(extra) else parse.json_object(extra)
    except ValueError:
        # Not the value: an extra holds secrets.
        raise NotebookJobConfigError(
            "the AWS connection's extra has a key 'nbjobs' that is no mapping; give {'role': …, 's3_root_uri': …}, or the JSON text of it"
        ) from None
    unknown = sorted(map(str, set(extra) - set(JOB_DEFAULTS)))
    if unknown:
        raise NotebookJobConfigError(
            f"the AWS connection's extra has unknown keys under 'nbjobs': {', '.join(unknown)}; known are {', '.join(JOB_DEFAULTS)}"
        )
    connected = _given(extra)
    return Settings(
        job_defaults=configured | connected,
        deployment=conf.get(SECTION, "deployment", fallback=""),
        places={name: f"[{SECTION}] {name}" for name in configured}
        | dict.fromkeys(connected, "'nbjobs' in the AWS connection's extra"),
    )


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not parse.is_absent(value)}


def _merged_tags(ours: object, theirs: object) -> object:
    """Return both; of one that cannot be read, that one."""
    for tags in (ours, theirs):
        if not _are_tags(tags):
            return tags
    return parse_tags(ours) | parse_tags(theirs)


def _are_tags(value: object) -> bool:
    try:
        parse_tags(value)
    except ValueError:
        return False
    return True


def wants_log_stream(argument: object, settings: Settings) -> bool:
    """
    Say whether a task's log is to hold its container's: the argument, the defaults, else yes.

    :raises NotebookJobConfigError: it is neither True nor False.
    """
    value = settings.job_defaults.get("stream_logs", True) if parse.is_absent(argument) else argument
    return _boolean("stream_logs", value)


def keeps_machine_metrics(settings: Settings) -> bool:
    """
    Say whether what a job used of its machine is kept with its results: one call of CloudWatch a job, and a permission; no, unless said otherwise.

    :raises NotebookJobConfigError: it is neither True nor False.
    """
    return _boolean("machine_metrics", settings.job_defaults.get("machine_metrics", False))


def _boolean(name: str, value: object) -> bool:
    try:
        return parse.boolean(value)
    except ValueError as error:
        raise NotebookJobConfigError(f"{name}: {error}") from error


def read_prices(stored: str = "") -> Prices:
    """
    Read ``[nbjobs] instance_prices`` and ``currency``.

    :param stored: the text of the Variable, where somebody may read Airflow's database: the configuration wins over it.
    """
    from airflow.configuration import conf

    configured = conf.get(SECTION, "instance_prices", fallback="")
    return parse_prices(configured, conf.get(SECTION, "currency", fallback=""), stored)


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
