"""
``extra_request``: as CreateTrainingJob takes it, what it may not set, and how it is merged into a request; pure.

Called by ``prepare.py`` and ``prepared_job.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_nbjobs.core import texts
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job import parsers as parse
from airflow_nbjobs.core.job.aws_parsers import tags
from airflow_nbjobs.core.job.variables import RESERVED_VARIABLE_PREFIX, RESERVED_VARIABLES

CHANNEL = "sagemaker_headless_execution_pipelinestep"
_WHOLE, _BROKEN = ("integer", "long"), ("float", "double")
# Where True has the text that a template gives it, as in the arguments of these; in another text of the service, nobody knows what it means.
_VALUES = ("Environment", "Tags")


def fitted(extra: Mapping[str, Any], shape: Any) -> tuple[dict[str, Any], list[str]]:
    """
    Return the mapping with its texts converted where that is exact, and numbers written out where the service takes texts.

    What the model does not know is a problem: botocore would not send it.

    :param shape: botocore's input shape of CreateTrainingJob.
    :return: the mapping, and the problems, each with the path of its value.
    """
    problems: list[str] = []
    values = _fitted(extra, shape, "", problems)
    return values, [f"extra_request: {problem}" for problem in problems]


def _fitted(value: Any, shape: Any, path: str, problems: list[str]) -> Any:
    kind = shape.type_name
    if kind in ("structure", "map", "list") and isinstance(value, str):
        said = texts.structure(value)
        due = list if kind == "list" else dict
        if not isinstance(said, due):
            problems.append(f"{path} must be a {due.__name__}, or the JSON text of one, not {value!r}")
            return value
        value = said
    if kind == "structure" and isinstance(value, Mapping):
        from botocore import __version__

        problems += [
            f"{f'{path}.{key}'.lstrip('.')} is no field of CreateTrainingJob in the installed botocore {__version__} "
            f"(if AWS has it, upgrade boto3){did_you_mean(str(key), shape.members)}"
            for key in value
            if key not in shape.members
        ]
        return {
            key: _fitted(member, shape.members[key], f"{path}.{key}".lstrip("."), problems)
            if key in shape.members
            else member
            for key, member in value.items()
        }
    if kind == "map" and isinstance(value, Mapping):
        return {key: _fitted(member, shape.value, f"{path}[{key!r}]", problems) for key, member in value.items()}
    if kind == "list" and isinstance(value, list | tuple):
        return [_fitted(member, shape.member, f"{path}[{index}]", problems) for index, member in enumerate(value)]
    return _fitted_leaf(value, kind, path, problems)


def _fitted_leaf(value: Any, kind: str, path: str, problems: list[str]) -> Any:
    if kind == "string" and not isinstance(value, str):
        is_value = path.startswith(_VALUES) or not isinstance(value, bool)
        written = parse.plain_text(value) if is_value else None
        return value if written is None else written
    if kind == "boolean" and isinstance(value, str):
        try:
            return parse.boolean(value)
        except ValueError as error:
            problems.append(f"{path} {error}")
    elif kind in _WHOLE and isinstance(value, str | float):
        number = texts.number(value)
        if number is not None and number == int(number):
            return int(number)
        problems.append(f"{path} must be a whole number, not {value!r}")
    elif kind in _BROKEN and isinstance(value, str):
        number = texts.number(value)
        if number is not None:
            return float(number)
        problems.append(f"{path} must be a number, not {value!r}")
    return value


def extra_problems(extra: Mapping[str, Any]) -> list[str]:
    """Return what ``extra_request`` may not set, since the job could then not be found, adopted or read."""
    problems: list[str] = []
    if "TrainingJobName" in extra:
        problems.append(
            "extra_request: TrainingJobName is derived from the run, so that a retry finds its job; use notebook_job_name for a readable prefix"
        )
    output = extra.get("OutputDataConfig")
    if isinstance(output, dict) and "S3OutputPath" in output:
        problems.append("extra_request: OutputDataConfig.S3OutputPath follows from s3_root_uri; set that instead")
    if isinstance(output, dict) and output.get("CompressionType", "GZIP") != "GZIP":
        problems.append(
            "extra_request: OutputDataConfig.CompressionType must stay GZIP: the executed notebook and the outputs are read from output.tar.gz"
        )
    channels = extra.get("InputDataConfig", [])
    if not isinstance(channels, list):
        problems.append(
            "extra_request: InputDataConfig must be a list of channels, which are added to the notebook's own"
        )
    elif any(isinstance(channel, dict) and channel.get("ChannelName") == CHANNEL for channel in channels):
        problems.append(
            f"extra_request: InputDataConfig: the channel '{CHANNEL}' holds the staged notebook; give another ChannelName"
        )
    problems += _environment_problems(extra.get("Environment"))
    if "Tags" in extra:
        try:
            tags(extra["Tags"])
        except ValueError as error:
            problems.append(f"extra_request: Tags: {error}")
    return problems


def _environment_problems(environment: object) -> list[str]:
    if not isinstance(environment, dict):
        return []
    problems: list[str] = []
    reserved = sorted(name for name in environment if str(name).startswith(RESERVED_VARIABLE_PREFIX))
    if reserved:
        problems.append(
            f"extra_request: Environment: {', '.join(reserved)} tell whose job it is; names beginning with NBJOBS_ are the operator's"
        )
    for_driver = sorted(name for name in environment if name in RESERVED_VARIABLES)
    if for_driver:
        problems.append(f"extra_request: Environment: {', '.join(for_driver)} are set by the operator for the driver")
    return problems


def merge_extra(request: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the request with ``extra_request`` merged in: mappings key by key, ``InputDataConfig`` and ``Tags`` by adding entries, all else by replacing.

    Does not check that the extra leaves alone what is ours: see ``extra_problems``.
    """
    merged = dict(request)
    for key, value in extra.items():
        present = merged.get(key)
        if key in ("InputDataConfig", "Tags") and isinstance(present, list) and isinstance(value, list):
            merged[key] = _added(present, value)
        elif isinstance(present, dict) and isinstance(value, dict):
            merged[key] = merge_extra(present, value)
        else:
            merged[key] = value
    return merged


def _added(present: list[Any], more: list[Any]) -> list[Any]:
    """Add entries; of two tags with one key the later counts, since SageMaker refuses duplicates."""
    more_keys = {entry.get("Key") for entry in more if isinstance(entry, dict) and "Key" in entry}
    return [entry for entry in present if entry.get("Key") not in more_keys or "Key" not in entry] + more
