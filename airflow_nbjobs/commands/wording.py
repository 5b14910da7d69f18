"""
What the package says to a task, said to a command line: the same names with their hyphens, and no place that only an Airflow has.

Called by the commands; pure.
"""

from __future__ import annotations

import re

from airflow_nbjobs.aws.errors import NO_CREDENTIALS, NO_REGION

_OF_AIRFLOW = re.compile(
    r"(\w+) is not set; give it as the argument '\1', as the key '\1' .*? of the Airflow configuration"
)
_IN_PLACE_OF = {
    NO_REGION: "give --region, or set AWS_DEFAULT_REGION",
    NO_CREDENTIALS: "let this machine have some (environment, shared credentials file, instance profile), or run it with --local",
    "beside the DAG file": "beside the notebook",
    "the task will fail if it does not exist at the end": "it must exist at the end",
    "clear the task to run it again": "run the notebook again",
}


def in_flags(text: str, options: tuple[str, ...]) -> str:
    """
    Return a message with the command's options in place of the operator's arguments.

    :param options: the arguments of those names; what stands in a path or a quoted name of the user's is left alone.
    """
    text = _OF_AIRFLOW.sub(lambda found: f"{_flag(found[1])} is needed", text)
    for ours, here in _IN_PLACE_OF.items():
        text = text.replace(ours, here)
    names = "|".join(name for name in options if "_" in name)
    text = re.sub(rf"(?<![\w./'-])({names})(?![\w./'-])", lambda found: _flag(found[1]), text)
    # A word such as 'role' means the option only where a message begins with it.
    plain = "|".join(name for name in options if "_" not in name)
    text = re.sub(rf"(?m)^((?:  - )?)({plain})(?=:| is )", lambda found: found[1] + _flag(found[2]), text)
    return text.replace("additional_dependencies", "--additional-dependency").replace("region_name: ", "--region: ")


def size_text(size_bytes: int) -> str:
    """Return a number of bytes for a reader."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
