"""
Requests against botocore's model of SageMaker, in full: botocore itself checks types and minimums only, the service all of it.

Called by ``api/operations.py``. Texts are the service's ("1 validation error detected: …"), so that a client's handling of them can be tried.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from airflow_nbjobs.local.wire.formats import ServiceError, ValidationError

# Documented limits that the model does not have (or has otherwise), by structure and member: (minimum, maximum).
# Source: CreateTrainingJob, API reference; SageMaker developer guide, warm pools.
_DOCUMENTED_RANGES: dict[tuple[str, str], tuple[int, int]] = {
    ("StoppingCondition", "MaxRuntimeInSeconds"): (1, 2_419_200),  # 28 days
    ("ResourceConfig", "KeepAlivePeriodInSeconds"): (0, 3_600),
    ("ResourceConfigForUpdate", "KeepAlivePeriodInSeconds"): (0, 3_600),
    ("ResourceConfig", "VolumeSizeInGB"): (1, 16_384),
    ("ResourceConfig", "InstanceCount"): (1, 1_000_000),
}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (Mapping,),
    "map": (Mapping,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
    "blob": (str,),
}
_NUMBERS = {"integer", "long", "float", "double"}
_UNICODE_CLASSES = {r"\p{L}": "a-zA-Z", r"\p{N}": "0-9", r"\p{Z}": " ", r"\p{Alnum}": "a-zA-Z0-9"}


class RequestValidator:
    """
    Checks requests; one instance holds the loaded model.

    :param code: of the error with which the service answers to what breaks a constraint.
    """

    def __init__(self, service: str = "sagemaker", code: str = "ValidationException") -> None:
        import botocore.session

        self._model = botocore.session.get_session().get_service_model(service)
        self._code = code

    def knows(self, operation: str) -> bool:
        return operation in self._model.operation_names

    def check(self, operation: str, request: Mapping[str, Any]) -> None:
        """Check a whole request; the ServiceError names all problems in one text, as the service sends it."""
        shape = self._model.operation_model(operation).input_shape
        problems = list(_problems(shape, request, "")) if shape is not None else []
        if problems:
            count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
            raise ServiceError(self._code, f"{count}: {'; '.join(problems)}")


def _problems(shape: Any, value: Any, place: str, limits: tuple[int, int] | None = None) -> Iterator[str]:
    kind: str = shape.type_name
    if not _has_type(value, kind):
        raise ServiceError(
            "SerializationException", f"{type(value).__name__} can not be converted to {kind} at '{place}'"
        )
    for text in _broken(shape, value, limits)[:1]:
        yield f"Value {_shown(value)} at '{place}' failed to satisfy constraint: {text}"
    if kind == "structure":
        yield from _structure_problems(shape, value, place)
    elif kind == "list":
        for index, member in enumerate(value, start=1):
            yield from _problems(shape.member, member, f"{place}.{index}.member")
    elif kind == "map":
        yield from _map_problems(shape, value, place)


def _has_type(value: Any, kind: str) -> bool:
    return isinstance(value, _PYTHON_TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _structure_problems(shape: Any, value: Mapping[str, Any], place: str) -> Iterator[str]:
    for name in value.keys() - shape.members.keys():
        # The service ignores what it does not know. Here it is refused: a mistyped or newer field would do nothing, unseen.
        raise ValidationError(f"The embedded SageMaker's model (botocore) has no {name!r} in {shape.name}")
    for name in shape.metadata.get("required", ()):
        if value.get(name) is None:
            yield f"Value null at '{_join(place, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _problems(member, value[name], _join(place, name), _DOCUMENTED_RANGES.get((shape.name, name)))


def _map_problems(shape: Any, value: Mapping[str, Any], place: str) -> Iterator[str]:
    for side, part, members in (("keys", shape.key, value.keys()), ("value", shape.value, value.values())):
        for member in members:
            if not isinstance(member, str):
                raise ServiceError(
                    "SerializationException",
                    f"{type(member).__name__} can not be converted to {part.type_name} at '{place}'",
                )
        if any(_broken(part, member) for member in members):
            # The service lists all constraints here, whichever is broken.
            texts = ", ".join(text for text, _ in _constraints(part))
            yield f"Value {_shown(value)} at '{place}' failed to satisfy constraint: Map {side} must satisfy constraint: [{texts}]"


def _broken(shape: Any, value: Any, limits: tuple[int, int] | None = None) -> list[str]:
    return [text for text, is_kept in _constraints(shape, limits) if not is_kept(value)]


def _constraints(shape: Any, limits: tuple[int, int] | None = None) -> Iterator[tuple[str, Callable[[Any], bool]]]:
    """Return a shape's constraints in the service's words, each with what says whether a value keeps it."""
    metadata = shape.metadata
    if enum := metadata.get("enum"):
        yield f"Member must satisfy enum value set: [{', '.join(enum)}]", lambda value: value in enum
    minimum, maximum = limits or (metadata.get("min"), metadata.get("max"))
    what, size = ("value", float) if shape.type_name in _NUMBERS else ("length", len)
    if maximum is not None:
        yield f"Member must have {what} less than or equal to {maximum}", lambda value: size(value) <= maximum
    if minimum is not None:
        yield f"Member must have {what} greater than or equal to {minimum}", lambda value: size(value) >= minimum
    if pattern := metadata.get("pattern"):
        yield f"Member must satisfy regular expression pattern: {pattern}", lambda value: _matches(pattern, value)


def _matches(pattern: str, value: str) -> bool:
    r"""Match like Java: the whole value, ``\p{…}`` included, which Python's ``re`` does not know: both sides are brought down to ASCII first."""
    if any(name in pattern for name in (r"\p{L}", r"\p{N}", r"\p{Z}")):
        value = "".join(map(_ascii_stand_in, value))
    compiled = _compiled(pattern)
    return compiled is None or bool(compiled.fullmatch(value))


def _ascii_stand_in(character: str) -> str:
    return (
        character
        if character.isascii()
        else {"L": "a", "N": "0", "Z": " "}.get(unicodedata.category(character)[0], character)
    )


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Return the pattern as Python has it; None for one that only Java knows."""
    for name, characters in _UNICODE_CLASSES.items():
        pattern = pattern.replace(name, characters)
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _join(place: str, member: str) -> str:
    name = member[0].lower() + member[1:]
    return f"{place}.{name}" if place else name


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "'{" + ", ".join(f"{key}={member}" for key, member in value.items()) + "}'"
    return f"'{value}'"
