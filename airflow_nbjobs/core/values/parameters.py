"""
Parameters of a notebook job: checked, as the strings of the request, and as a typed cell in the staged notebook.

Called by ``core.job.spec`` and the staging. Must never import airflow or boto3.
"""

from __future__ import annotations

import copy
import difflib
import json
import keyword
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_nbjobs.core.notebook.document import MARK, code_cell, is_python, mark_of, tagged_index
from airflow_nbjobs.core.notebook.papermill import INJECTED, cells_before_values
from airflow_nbjobs.core.notebook.source import bound_names, tree_of
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.values.conversion import Spelled, fit, kind_name, short
from airflow_nbjobs.core.values.dataflow import Flow, Place, follow
from airflow_nbjobs.core.values.declaration import Declaration, read_declaration, untagged
from airflow_nbjobs.core.values.literals import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbformat import NotebookNode

TYPED_PARAMETERS = "typed-parameters"
# Limits of CreateTrainingJob's HyperParameters (the developer guide's; the API text's 256 for a value is stale).
PARAMETER_COUNT_LIMIT = 100
PARAMETER_NAME_LIMIT = 256  # characters
PARAMETER_TEXT_LIMIT = 2_500  # characters
# Levels of lists and dicts. Python 3.8's parser, still found in images, stops at about 90 open brackets.
PARAMETER_DEPTH_LIMIT = 50
_SHOWN_DERIVED = 10  # warnings of one kind; what more there is shares one
# Characters that the pattern ".*" of a hyperparameter's value does not match.
_LINE_ENDS = re.compile(r"[\n\r\x85\u2028\u2029]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_OTHER_LANGUAGES_NAME = re.compile(r"[A-Za-z_.][A-Za-z0-9_.]*")
_HINTS = {
    "tuple": "give a list",
    "set": "give a list",
    "frozenset": "give a list",
    "range": "give a list",
    "bytes": "give text, for example base64",
    "datetime": "give text: .isoformat()",
    "date": "give text: .isoformat()",
    "DateTime": "give text: .isoformat()",
    "Decimal": "give a float, or text: str(…)",
    "ndarray": "give a list: .tolist()",
    "timedelta": "give a number of seconds: .total_seconds()",
    "PosixPath": "give text: str(…)",
    "DataFrame": "write it to S3 and give its URI",
    "NoneType": "give text",
}


@dataclass(frozen=True, slots=True)
class CheckedParameters:
    """What the notebook will get, and what was found on the way."""

    values: dict[str, object]  # only the valid ones
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]  # for the task's log: texts that were converted


def check_parameters(
    nb: NotebookNode,
    parameters: Mapping[str, object],
    *,
    kernel_name: str,
    unknown: Literal["error", "warn"],
    runs: Mapping[str, NotebookNode] | None = None,
) -> CheckedParameters:
    """
    Check parameters against the service's limits and the notebook's own code; collects all problems.

    Values are str, int, float (nan and infinity too), bool, None, and lists and dicts (str keys) of them, by exact type: a
    tuple would arrive as a list and a numpy float64 as a float, so both are errors. A text for a parameter of another type, by
    its annotation or its default, is converted where that is exact, since Jinja renders to texts: ``"5"`` for an int, ``"0.1"``
    for a float, ``"true"`` or ``"True"`` for a bool, ``"['a']"`` for a list. What is not exact, as ``"5.0"`` for an int, is an
    error. Of a value that is ``Spelled`` the parameter's type decides whether its text is taken.

    A value that the notebook's own code assigns over before anything reads it is an error where no cell is tagged, and else a
    warning, as is what the ``parameters`` cell makes of a default.

    Kernels other than Python take strings only, which travel as hyperparameters; their cells are not read.

    :param unknown: whether a name that the ``parameters`` cell does not define is a problem or a warning. It is a
        warning anyway where that cell is absent or hides what it defines.
    :param runs: notebooks that it executes with ``%run``, by relative name.
    """
    python = is_python(nb, kernel_name)
    declaration = read_declaration(nb) if python else None
    found = _Findings(
        kernel_name,
        declaration,
        follow(nb, list(parameters), runs) if python else Flow(),
        unknown,
    )
    if len(parameters) > PARAMETER_COUNT_LIMIT:
        found.problems.append(f"{len(parameters)} parameters; a notebook job takes at most {PARAMETER_COUNT_LIMIT}")
    for name, value in parameters.items():
        found.add(name, value)
    if python:
        found.tell_flow(nb)
        found.warnings += _stale_injection(nb, parameters)
    return CheckedParameters(found.values, tuple(found.problems), tuple(found.warnings), tuple(found.notes))


def value_problems(parameters: Mapping[Any, object]) -> list[str]:
    """Return what is wrong with names and values whatever the notebook defines."""
    problems: list[str] = []
    for name, value in parameters.items():
        path = f"parameters[{name!r}]"
        if type(name) is not str:
            problems += _name_problems(name, python=True)
        deep = _depth_problem(value, path, PARAMETER_DEPTH_LIMIT)
        problems += [deep] if deep is not None else _value_problems(value, path)
    return problems


class _Findings:
    """
    The parameters checked so far.

    :param declaration: None: the kernel is none of Python's.
    """

    def __init__(
        self,
        kernel_name: str,
        declaration: Declaration | None,
        flow: Flow,
        unknown: Literal["error", "warn"],
    ) -> None:
        self.values: dict[str, object] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self._kernel_name = kernel_name
        self._declaration = declaration
        self._flow = flow
        self._unknown = unknown
        self._seen: dict[str, str] = {}

    def add(self, name: str, value: object) -> None:
        declaration = self._declaration
        found = [*_name_problems(name, python=declaration is not None)]
        same = self._seen.setdefault(unicodedata.normalize("NFKC", str(name)), str(name))
        if same != str(name):
            found.append(f"parameters {same!r} and {name!r} are one and the same name to Python")
        path = f"parameters[{name!r}]"
        deep = _depth_problem(value, path, PARAMETER_DEPTH_LIMIT)
        if deep is None and not found:
            told = len(self.problems), len(self.warnings)
            value = self._fitted(name, value, declaration)
            if isinstance(value, str) and value == "None":
                self._tell_none(name, told)
            deep = _depth_problem(value, path, PARAMETER_DEPTH_LIMIT)
        found += [deep] if deep is not None else _value_problems(value, path)
        if found:
            self.problems += found
            return
        if declaration is None:
            self.problems += _other_language_problems(name, value, self._kernel_name)
        elif name not in declaration.kinds and (declaration.has_cell or name not in self._flow.overwritten):
            is_certain = self._unknown == "error" and declaration.is_complete
            (self.problems if is_certain else self.warnings).append(_unknown_name(name, declaration))
        if isinstance(value, str) and value != value.strip():
            self.warnings.append(
                f"parameter '{name}': the text {short(value)} begins or ends with blanks; it is passed as it is"
            )
        self.values[name] = value

    def _fitted(self, name: str, value: object, declaration: Declaration | None) -> object:
        if declaration is None:  # another kernel, to which all values are texts
            return value.text if isinstance(value, Spelled) and value.text is not None else value
        said_by = "annotation" if name in declaration.annotated else "default"
        fitted = fit(value, declaration.kinds.get(name), said_by=said_by)
        self.problems += [f"parameter '{name}': {text}" for text in fitted.problems]
        if name in declaration.kinds or not declaration.is_complete:
            self.warnings += [f"parameter '{name}': {text}" for text in fitted.warnings]
        self.notes += [f"parameter '{name}': {text}" for text in fitted.notes]
        default = declaration.objects.get(name)
        if default is not None and fitted.value is not None and not fitted.warnings:
            self.warnings.append(
                f"parameter '{name}': its default is {shortened(default)}, an object that no parameter can be; {short(fitted.value)} arrives as "
                f"{kind_name(fitted.value)}: make the object of it in a later cell"
            )
        return fitted.value

    def _tell_none(self, name: str, told: tuple[int, int]) -> None:
        """Say where the text probably comes from, once: in the problem that it makes, else in a warning of its own."""
        problems, warnings = told
        if len(self.problems) > problems:
            self.problems[-1] += "; a template writes 'None' for a value that is not there"
        elif len(self.warnings) == warnings and self._declaration is not None:
            self.warnings.append(f"parameter '{name}' is 'None', as a template writes it for a value that is not there")

    def tell_flow(self, nb: NotebookNode) -> None:
        """Say which values the notebook's own code does not let through."""
        flow = self._flow
        anew = dict(flow.reassigned)
        if self._declaration is None or self._declaration.has_cell:
            anew = flow.overwritten | anew
        else:
            (self.problems if self._unknown == "error" else self.warnings).extend(_lost(nb, flow.overwritten))
            self.warnings += [
                f"parameter '{name}' may be assigned over in {place}; {untagged(nb)}"
                for name, place in flow.conditional.items()
            ]
        self.warnings += [
            f"parameter '{name}' is assigned anew in {place}; from there on the value given is not used"
            for name, place in anew.items()
        ]
        derived = flow.derived[:_SHOWN_DERIVED]
        self.warnings += [
            f"parameter {_names(place.of)}: {place.shown} is made of its default in {place}; that runs before the value given is "
            f"there, so {place.shown} does not follow it: move that line into a later cell"
            + (f", or give '{place.shown}' as well" if place.shown.isidentifier() else "")
            for place in derived
        ]
        if more := flow.derived[_SHOWN_DERIVED:]:
            shown = ", ".join(place.shown for place in more[:_SHOWN_DERIVED]) + (
                "" if len(more) <= _SHOWN_DERIVED else ", …"
            )
            self.warnings.append(
                f"{len(more)} more are made of defaults that way, and do not follow the values given: {shown}"
            )


def _lost(nb: NotebookNode, places: Mapping[str, Place]) -> list[str]:
    if not places:
        return []
    listed = "; ".join(f"'{name}' in {place}" for name, place in places.items())
    cells = list(dict.fromkeys(place.cell for place in places.values()))
    advice = f"tag cell {cells[0]} with 'parameters'"
    if len(cells) > 1:
        advice += ", and move the other assignments into it"
    what = "parameter" if len(places) == 1 else "parameters"
    said = f"{what} {_names(places)} would not reach the notebook, which assigns over what is given: {listed}"
    return [f"{said}. {_capital(untagged(nb))}; {advice}: in JupyterLab the property inspector, 'Cell Tags'"]


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _name_problems(name: object, *, python: bool) -> list[str]:
    if not isinstance(name, str):
        return [f"parameter name {name!r} is of type {type(name).__name__}, not text"]
    if len(name) > PARAMETER_NAME_LIMIT:
        return [f"parameter name {short(name)} has {len(name)} characters; the limit is {PARAMETER_NAME_LIMIT}"]
    if not python:
        is_name = _OTHER_LANGUAGES_NAME.fullmatch(name) is not None
    else:
        # Papermill writes the name into a cell unchecked; "__builtins__ = …" would take down the whole notebook.
        is_name = name.isidentifier() and not keyword.iskeyword(name) and not re.fullmatch(r"__\w*__", name)
    return [] if is_name else [f"parameter name {short(name)} is not a variable's name"]


def _depth_problem(value: object, path: str, levels: int) -> str | None:
    """Return the first place that is nested too deep: a value may contain itself."""
    if not isinstance(value, list | dict):
        return None
    if levels == 0:
        return f"{_short_path(path)} is nested more than {PARAMETER_DEPTH_LIMIT} levels deep"
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        found = _depth_problem(item, f"{path}[{short(key)}]", levels - 1)
        if found is not None:
            return found
    return None


def _value_problems(value: object, path: str) -> list[str]:
    """Problems of one value, each with the path to the part that has it."""
    kind = type(value)
    if kind in {str, int, float, bool, type(None), Spelled}:
        return []
    if kind is list or kind is dict:
        assert isinstance(value, list | dict)  # noqa: S101 narrows the exact type for mypy
        if isinstance(value, list):
            return [p for index, item in enumerate(value) for p in _value_problems(item, f"{path}[{index}]")]
        keys = [
            f"{_short_path(path)} has the key {short(key)} of type {_type_name(key)}; keys must be str"
            for key in value
            if type(key) is not str
        ]
        return keys + [
            p for key, item in value.items() if type(key) is str for p in _value_problems(item, f"{path}[{key!r}]")
        ]
    if kind.__module__.split(".")[0] == "numpy" and hasattr(value, "item") and kind.__name__ != "ndarray":
        hint = "give a Python value: .item()"
    else:
        hint = _HINTS.get(kind.__name__, "parameters are str, int, float, bool, None, list and dict")
    return [f"{_short_path(path)} is of type {_type_name(value)}; {hint}"]


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _short_path(path: str) -> str:
    return path if len(path) <= 200 else path[:100] + "…" + path[-100:]


def _unknown_name(name: str, declaration: Declaration) -> str:
    if declaration.doubt:
        return f"parameter '{name}' is not seen in the notebook: {declaration.doubt}"
    if name in declaration.further:
        return (
            f"parameter '{name}' is not defined in the notebook's first 'parameters' cell; cell {declaration.further[name]}, which defines it, is tagged "
            "'parameters' as well, but only the first such cell counts: move the line there"
        )
    close = difflib.get_close_matches(name, declaration.kinds, n=1)
    if close:
        hint = f"did you mean '{close[0]}'?"
    elif declaration.kinds:
        hint = f"it defines: {', '.join(declaration.kinds)}"
    else:
        hint = "it defines none"
    return f"parameter '{name}' is not defined in the notebook's 'parameters' cell; {hint}"


def _other_language_problems(name: str, value: object, kernel_name: str) -> list[str]:
    if not isinstance(value, str):
        problem = f"is of type {_type_name(value)}; give text and convert it in the notebook"
    elif len(value) > PARAMETER_TEXT_LIMIT:
        problem = f"has {len(value):,} characters; the limit is {PARAMETER_TEXT_LIMIT:,}"
    elif not _is_plain(value):
        problem = "has a line end or a lone surrogate in it"
    else:
        return []
    return [f"parameter '{name}' {problem} (kernel '{kernel_name}' gets hyperparameters: strings of one line)"]


def _stale_injection(nb: NotebookNode, parameters: Mapping[str, object]) -> list[str]:
    index = tagged_index(nb, INJECTED)
    tree = None if index is None else tree_of(nb.cells[index])
    names = [] if tree is None else [name for name in dict.fromkeys(bound_names(tree)) if name not in parameters]
    if not names or parameters:  # with parameters, papermill replaces that cell
        return []
    return [
        "the notebook has an 'injected-parameters' cell of an earlier run, whose values win over the 'parameters' cell: "
        + ", ".join(names)
    ]


def _is_plain(text: str) -> bool:
    return not _LINE_ENDS.search(text) and not _SURROGATES.search(text)


def hyperparameter_strings(values: Mapping[str, object]) -> dict[str, str]:
    """
    The parameters as CreateTrainingJob takes them: strings as they are, other values as compact JSON of one line.

    nan and infinity are ``NaN`` and ``Infinity``. A string with a line end or a lone surrogate goes as JSON text too, since
    the service's pattern is ``.*``. A form longer than 2,500 characters is left out: the typed cell carries the value.

    Source: shape ``HyperParameters``, botocore ``sagemaker/2017-07-24/service-2``.
    """
    texts = {name: _hyperparameter(value) for name, value in values.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _hyperparameter(value: object) -> str | None:
    if isinstance(value, str) and _is_plain(value):
        text = value
    else:
        try:
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            if not _is_plain(text):
                text = json.dumps(value, separators=(",", ":"))
        except ValueError:  # an int of more than 4,300 digits
            return None
    return text if len(text) <= PARAMETER_TEXT_LIMIT else None


def prepare_parameters(nb: NotebookNode, values: Mapping[str, object]) -> NotebookNode:
    """
    Return a copy of the notebook with one cell more, which assigns the values as literals.

    It comes right after ``injected-parameters``, else after ``parameters``, else first: papermill puts its own cell of
    strings before it in each case, so the typed values win. Without need, when the hyperparameters carry every value
    unchanged, no cell is added; a notebook that needs no change is returned itself.
    """
    injected = tagged_index(nb, INJECTED)
    is_needed = hyperparameter_strings(values) != dict(values)
    if not is_needed and injected is None and not any(mark_of(cell) == TYPED_PARAMETERS for cell in nb.cells):
        return nb
    nb = copy.deepcopy(nb)
    nb.cells = [cell for cell in nb.cells if mark_of(cell) != TYPED_PARAMETERS]  # a staged copy that is run again
    injected = tagged_index(nb, INJECTED)
    if injected is not None:
        # The author's file counts this cell; one that papermill adds later is none of theirs (``core.notebook.failing_cell``).
        nb.metadata[MARK] = {"has_injected_parameters": True}
    if is_needed:
        place = cells_before_values(nb) + (injected is not None)
        nb.cells.insert(place, _typed_cell(values, nbformat_minor=nb.nbformat_minor))
    return nb


def _typed_cell(values: Mapping[str, object], *, nbformat_minor: int) -> NotebookNode:
    lines = ["# Parameters with their types (added by airflow_nbjobs; they win over the strings above)"]
    lines += [f"{name} = {literal(value)}" for name, value in values.items()]
    return code_cell("\n".join(lines), {MARK: TYPED_PARAMETERS}, nbformat_minor=nbformat_minor)
