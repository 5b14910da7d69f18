"""
A text, as Jinja renders it or a command line gives it, as a value of the type that a parameter has.

Called by ``core.values.parameters``. Standard library only, pure.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.values.kinds import UNKNOWN, Kind
from airflow_nbjobs.core.values.literals import unique_keys, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FLOAT = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|NaN|inf|Infinity)", re.ASCII)
_NAMED_FLOAT = re.compile(r"[+-]?(?:nan|NaN|inf|Infinity)")
# Numbers as int() and repr() write them: "007" is more likely a code.
_CANONICAL_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|-?(?:nan|NaN|inf|Infinity)", re.ASCII)
# int() refuses more than 4,300 digits.
_INT = re.compile(r"[+-]?\d{1,4300}", re.ASCII)
_BOOLS = {"true": True, "True": True, "false": False, "False": False}
_NONES = {"None": None, "null": None}
# What a text can be converted to, in the order in which it is tried.
_READABLE = (NoneType, bool, int, float, dict, list, tuple, set)
_NAMES = {
    NoneType: "None",
    bool: "a bool",
    int: "an int",
    float: "a float",
    dict: "a dict",
    list: "a list",
    tuple: "a tuple",
    set: "a set",
    str: "a text",
    bytes: "bytes",
    complex: "a complex number",
}
_LEVELS = 60  # deeper than any parameter may be nested


class Spelled(msgspec.Struct, frozen=True):
    """A value that somebody has made of a text on its way here, with the text."""

    value: object  # what it was made: 12345
    text: str | None  # of what: "12345", which may be a zip code. None: the value has never been a text
    by: str  # who has made it, for an error text


class Fitted(msgspec.Struct, frozen=True):
    """A value as a parameter takes it, with what there is to say about it; each without the parameter's name."""

    value: object
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def short(value: object) -> str:
    """Return the value for an error text, cut to 80 characters."""
    try:
        text = repr(value)
    except ValueError:  # an int of more than 4,300 digits
        text = f"a {type(value).__name__} of thousands of digits"
    return shortened(text)


def fit(value: object, kind: Kind | None, *, said_by: str) -> Fitted:
    """
    Convert the texts in a value where a parameter's kind asks for another type; the other values stay what they are.

    :param kind: of the parameter; None where the ``parameters`` cell does not define it.
    :param said_by: ``"default"`` or ``"annotation"``, for texts.
    """
    return _Fitting(said_by).fit(value, kind or UNKNOWN, "", _LEVELS)


class _Fitting:
    def __init__(self, said_by: str) -> None:
        self._said_by = said_by

    def fit(self, value: object, kind: Kind, path: str, levels: int) -> Fitted:
        if isinstance(value, Spelled):
            return self._spelled(value, kind, path, levels)
        if type(value) is str:
            return self._text(value, kind, path)
        if levels and isinstance(value, list) and type(value) is list:
            items = kind.items or UNKNOWN
            if self._said_by == "default" and not (items.only(str) or _all_read_as(value, items)):
                items = UNKNOWN  # what a default holds is an example of what may come
            parts = [self.fit(one, items, f"{path}[{index}]", levels - 1) for index, one in enumerate(value)]
            return _together([part.value for part in parts], parts)
        if levels and isinstance(value, dict) and type(value) is dict:
            fitted = {
                key: self.fit(one, _entry(kind, key), f"{path}[{short(key)}]", levels - 1) for key, one in value.items()
            }
            return _together({key: part.value for key, part in fitted.items()}, list(fitted.values()))
        return Fitted(value)

    def _spelled(self, spelled: Spelled, kind: Kind, path: str, levels: int) -> Fitted:
        value, text, by = spelled.value, spelled.text, spelled.by
        if text is None:
            if kind.only(str) and type(value) in {int, float, bool, list, dict}:
                said = f"{_at(path)}{by} gives {kind_name(value)}, {short(value)}, where the {self._said_by} is a text"
                return Fitted(value, warnings=(f"{said}; it is passed as {kind_name(value)}",))
            return self.fit(value, kind, path, levels)
        if str in kind.types and not (value is None and NoneType in kind.types):
            note = f"{_at(path)}the text {short(text)} is passed as a text, as its {self._said_by} says"
            return Fitted(text, notes=(f"{note}; {by} has made {kind_name(value)} of it",))
        if _wanted(kind):
            fitted = self._text(text, kind, path)
            if not fitted.problems:
                same = type(fitted.value) is type(value) and fitted.value == value
                return Fitted(value) if same else fitted
            if isinstance(value, str):
                return fitted
        if not is_faithful(text, value):
            return Fitted(
                text,
                (f"{_at(path)}the text {short(text)} is beyond what a float holds, so {by} has made {value} of it",),
            )
        if type(value) not in {str, int, float, bool, NoneType, list, dict}:
            said = f"{_at(path)}{by} has made {kind_name(value)} of the text {short(text)}"
            return Fitted(
                text, (f"{said}; annotate it in the 'parameters' cell as str to get the text, or give a list",)
            )
        return Fitted(value)

    def _text(self, text: str, kind: Kind, path: str) -> Fitted:
        if kind.choices and text in kind.choices:
            return Fitted(text)
        if str in kind.types:
            return Fitted(text, warnings=self._doubts_of_text(text, kind, path))
        wanted = _wanted(kind)
        if not wanted:
            return Fitted(text, warnings=self._doubts_of_unknown(text, kind, path))
        for one in wanted:
            try:
                value = _READERS[one](text)
            except ValueError:
                continue
            return self._converted(text, value, one, kind, path)
        names = " or ".join(_NAMES[one] for one in sorted(wanted, key=lambda one: one is NoneType))
        problem = f"{_at(path)}the text {short(text)} is not exactly {names}, as its {self._said_by} says"
        if float in wanted and _FLOAT.fullmatch(text):
            problem = (
                f"{_at(path)}the text {short(text)} is beyond what a float holds: it would arrive as {float(text)}"
            )
        if path and self._said_by == "default":  # the items of a default are an example, no more
            return Fitted(text, warnings=(f"{problem}; it is passed as a text",))
        return Fitted(text, (problem,))

    def _converted(self, text: str, value: object, to: type, kind: Kind, path: str) -> Fitted:
        inner = self.fit(value, kind, path, _LEVELS)
        note = f"{_at(path)}the text {short(text)} is passed as {_NAMES[to]}, as its {self._said_by} says"
        if to in {tuple, set}:
            note = f"{_at(path)}the text {short(text)} is passed as a list; its {self._said_by} is {_NAMES[to]}, which no parameter can be"
        if kind.choices and value not in kind.choices:
            warning = f"{_at(path)}{short(value)} is none of what its annotation names: {_listed(kind.choices)}"
            return Fitted(inner.value, inner.problems, (*inner.warnings, warning), (note, *inner.notes))
        return Fitted(inner.value, inner.problems, inner.warnings, (note, *inner.notes))

    def _doubts_of_text(self, text: str, kind: Kind, path: str) -> tuple[str, ...]:
        if kind.choices:
            return (f"{_at(path)}the text {short(text)} is none of what its annotation names: {_listed(kind.choices)}",)
        is_example = path and self._said_by == "default"
        others = [] if is_example else [one for one in _READABLE if one in kind.types and _reads_as(text, one)]
        if not others:
            return ()
        said = f"{_at(path)}the text {short(text)} is passed as a text"
        return (f"{said}, though its {self._said_by} admits {_NAMES[others[0]]} as well",)

    def _doubts_of_unknown(self, text: str, kind: Kind, path: str) -> tuple[str, ...]:
        if kind.is_known and kind.types and NoneType not in kind.types:  # bytes, a complex number
            names = " or ".join(_NAMES.get(one, one.__name__) for one in kind.types)
            return (f"{_at(path)}its {self._said_by} is {names}; the text {short(text)} is passed as a text",)
        looks = looks_like(text)
        if looks is None or path:  # within a list or dict, which somebody has written as it is
            return ()
        said = f"{_at(path)}nothing says of which type it is, so the text {short(text)}, which reads as {_NAMES[looks]}"
        return (f"{said}, is passed as a text; annotate it in the 'parameters' cell to have it converted",)


def _wanted(kind: Kind) -> list[type]:
    """Return what texts are converted to for it; nothing where None is all that is known."""
    wanted = [one for one in _READABLE if one in kind.types]
    return wanted if kind.is_known and wanted != [NoneType] else []


def _at(path: str) -> str:
    return f"at {path}, " if path else ""


def _listed(choices: tuple[object, ...]) -> str:
    return ", ".join(map(repr, choices))


def kind_name(value: object) -> str:
    return _NAMES.get(type(value), f"a {type(value).__name__}")


def _entry(kind: Kind, key: object) -> Kind:
    return (kind.entries.get(key) if isinstance(key, str) else None) or kind.items or UNKNOWN


def _together(value: object, parts: list[Fitted]) -> Fitted:
    return Fitted(
        value,
        tuple(problem for part in parts for problem in part.problems),
        tuple(warning for part in parts for warning in part.warnings),
        tuple(note for part in parts for note in part.notes),
    )


def looks_like(text: str) -> type | None:
    """Return the type that a text has the look of, where it can hardly be meant as a text; None for any other."""
    if text in _BOOLS:
        return bool
    if text in _NONES:
        return NoneType
    if _CANONICAL_NUMBER.fullmatch(text):
        return int if _INT.fullmatch(text) else float
    for kind, begins in ((list, "["), (dict, "{")):
        if text.lstrip().startswith(begins) and _reads_as(text, kind):
            return kind
    return None


def is_faithful(text: str, value: object) -> bool:
    """Say whether a number that was made of a text is still that number: 1e400 becomes infinity."""
    return not (isinstance(value, float) and math.isinf(value)) or bool(_NAMED_FLOAT.fullmatch(text.strip()))


def read_json(text: str) -> Any:
    """
    Return the JSON value.

    :raises ValueError: the text is no JSON, or nothing holds its value exactly: a float out of range, a key twice.
    """
    try:
        return json.loads(text, parse_float=_float, object_pairs_hook=unique_keys)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _all_read_as(values: list[object], kind: Kind) -> bool:
    wanted = _wanted(kind)
    return all(isinstance(one, str) and any(_reads_as(one, type_) for type_ in wanted) for one in values)


def _reads_as(text: str, kind: type) -> bool:
    try:
        _READERS[kind](text)
    except ValueError:
        return False
    return True


def _word(meanings: Mapping[str, bool | None]) -> Callable[[str], bool | None]:
    def read(text: str) -> bool | None:
        if text not in meanings:
            raise ValueError(text)
        return meanings[text]

    return read


def _int(text: str) -> int:
    if not _INT.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise ValueError(text)
    value = float(text)
    # Floats round; a number that becomes infinity or zero is lost.
    is_lost = math.isinf(value) or (value == 0 and re.search(r"[1-9]", re.split(r"[eE]", text)[0]) is not None)
    if is_lost and not _NAMED_FLOAT.fullmatch(text):
        raise ValueError(text)
    return value


def _container(text: str) -> Any:
    """Read JSON, else what Python writes (Jinja renders a list so); a tuple or a set is a list, as it would be in JSON."""
    try:
        return read_json(text)
    except ValueError:
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes
        try:
            node = ast.parse(text.strip(), mode="eval").body
            if any(isinstance(one, ast.Constant) and one.value == math.inf for one in ast.walk(node)):
                raise ValueError("beyond a float's range")
            return value_of(node)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(text) from error


def _of(kind: type, begins: str = "") -> Callable[[str], Any]:
    """:param begins: with one of these characters: "1, 2" is a tuple to Python, and a text to whoever wrote it."""

    def read(text: str) -> Any:
        value = _container(text)
        if not isinstance(value, kind) or (begins and text.strip()[0] not in begins):
            raise ValueError(text)
        return value

    return read


_READERS: Mapping[type, Callable[[str], Any]] = {
    NoneType: _word(_NONES),
    bool: _word(_BOOLS),
    int: _int,
    float: _float,
    dict: _of(dict),
    list: _of(list, "[("),
    tuple: _of(list, "[("),
    set: _of(list, "[{s"),
}
