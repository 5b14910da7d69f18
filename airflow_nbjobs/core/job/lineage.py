"""
Which data a notebook job reads and writes, as far as the values that go in and come out say it.

Called by ``task/lineage.py``; the standard library only; pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

_URI = re.compile(r"s3[an]?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/+(\S.*)", re.DOTALL)
_MOST = 200  # datasets of one task: a list of every object of a day is no lineage
_LEVELS = 20
# Words of a parameter's name that say where a notebook writes.
_WRITTEN = frozenset(
    {
        "output",
        "outputs",
        "out",
        "target",
        "targets",
        "destination",
        "dest",
        "sink",
        "result",
        "results",
        "save",
        "write",
    }
)


class DatasetName(msgspec.Struct, frozen=True, order=True):
    """
    An S3 object or prefix in OpenLineage's words.

    Source: OpenLineage's naming conventions: namespace ``s3://bucket``, name the key without a slash at its beginning.
    """

    namespace: str
    name: str


def dataset_name(uri: str) -> DatasetName | None:
    """Return the name of what a URI leads to; None where it is not S3's, or a bucket alone."""
    found = _URI.fullmatch(uri.strip())
    name = found[2].rstrip("/") if found else ""
    return DatasetName(f"s3://{found[1]}", name) if found and name else None


def datasets_in(value: object) -> tuple[DatasetName, ...]:
    """Return what the S3 URIs in a value lead to, in its lists and mappings too, each once; 200 at most."""
    return tuple(dict.fromkeys(_found(value, _LEVELS)))[:_MOST]


def _found(value: object, levels: int) -> list[DatasetName]:
    if isinstance(value, str):
        name = dataset_name(value)
        return [] if name is None else [name]
    if not levels or isinstance(value, bytes) or not isinstance(value, Mapping | Sequence):
        return []
    parts = value.values() if isinstance(value, Mapping) else value
    return [name for part in parts for name in _found(part, levels - 1)]


def is_written(parameter: str) -> bool:
    """Say whether a parameter's name says that the notebook writes to what it names, as ``output_uri`` and ``results_path`` do."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", parameter).lower().split("_")
    return not _WRITTEN.isdisjoint(words)


def read_and_written(
    parameters: Mapping[str, object], dependencies: object, outputs: Mapping[str, object]
) -> tuple[tuple[DatasetName, ...], tuple[DatasetName, ...]]:
    """
    Return what a job reads and what it writes.

    :param dependencies: ``additional_dependencies``: a path or a list of paths.
    :param outputs: of the notebook; what a parameter names as read is not taken for written because an output repeats it.
    """
    read = datasets_in([*(value for name, value in parameters.items() if not is_written(str(name))), dependencies])
    named = datasets_in([value for name, value in parameters.items() if is_written(str(name))])
    returned = [name for name in datasets_in(outputs) if name not in read]
    return read, tuple(dict.fromkeys([*named, *returned]))[:_MOST]
