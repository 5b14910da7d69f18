"""
``extra_request`` as CreateTrainingJob takes it: a template's texts as the numbers and booleans that botocore's model wants.

Called by ``prepare.py``; pure. What is merged where, and what may not be set, is in ``request.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_nbjobs.core import texts
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job import arguments as parse

_WHOLE, _BROKEN = ("integer", "long"), ("float", "double")
# Where True has the text that a template gives it, as in the arguments of these; in another text of the service, nobody knows what it means.
_VALUES = ("Environment", "Tags")


@dataclass(frozen=True, slots=True)
class FittedExtra:
    """
    An ``extra_request`` that fits the service's model as far as it can be made to.

    :param problems: each with the path of a text that says no value of the type that is due there.
    """

    values: Mapping[str, Any]
    problems: tuple[str, ...] = ()


def fitted(extra: Mapping[str, Any], shape: Any) -> FittedExtra:
    """
    Return the mapping with its texts converted where that is exact, and numbers written out where the service takes texts.

    What the model does not know is a problem: botocore would not send it.

    :param shape: botocore's input shape of CreateTrainingJob.
    """
    problems: list[str] = []
    values = _fitted(extra, shape, "", problems)
    return FittedExtra(values, tuple(f"extra_request: {problem}" for problem in problems))


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
