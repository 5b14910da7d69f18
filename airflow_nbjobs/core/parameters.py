"""
Parameters of a notebook job: checked, as the strings of the request, and as a typed cell in the staged notebook.

Called by ``core.spec`` and the staging. Must never import airflow or boto3.
"""

from __future__ import annotations

import ast
import copy
import difflib
import json
import keyword
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_nbjobs.core.literals import literal
from airflow_nbjobs.core.notebook import MARK, code_cell, is_python, mark_of, tagged_index
from airflow_nbjobs.core.source import assigns_dynamically, bound_names, parse_python, source_of, split_cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbformat import NotebookNode

TYPED_PARAMETERS = "typed-parameters"
# Limits of CreateTrainingJob's HyperParameters (the developer guide's; the API text's 256 for a value is stale).
PARAMETER_COUNT_LIMIT = 100
PARAMETER_NAME_LIMIT = 256  # characters
PARAMETER_TEXT_LIMIT = 2_500  # characters
# Levels of lists and dicts. Python 3.8's parser, still found in images, stops at about 90 open brackets.
PARAMETER_DEPTH_LIMIT = 50
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
    "DataFrame": "write it to S3 and give its URI",
    "NoneType": "give text",
}


@dataclass(frozen=True, slots=True)
class CheckedParameters:
    """What the notebook will get, and what was found on the way."""

    values: dict[str, object]  # only the valid ones
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]  # for the task's log: strings that were read as numbers


@dataclass(frozen=True, slots=True)
class _Declaration:
    """What the ``parameters`` cell says."""

    types: dict[str, type | None]  # None: defined, but of no type that a string is read as
    is_complete: bool  # False: names may be defined that cannot be seen
    doubt: str  # why, for the warning


def check_parameters(
    nb: NotebookNode,
    parameters: Mapping[str, object],
    *,
    kernel_name: str,
    unknown: Literal["error", "warn"],
) -> CheckedParameters:
    """
    Check parameters against the service's limits and the notebook's ``parameters`` cell; collects all problems.

    Values are str, int, float (nan and infinity too), bool, None, and lists and dicts (str keys) of them, by exact type: a
    tuple would arrive as a list and a numpy float64 as a float, so both are errors. A string for a parameter whose
    annotation or default is int, float or bool is read as one, since Jinja renders to strings: ``"5"`` for an int, ``"0.1"``
    for a float, ``"true"`` or ``"True"`` for a bool. What is not exactly one, as ``"5.0"`` for an int, is an error.

    Kernels other than Python take strings only, which travel as hyperparameters; their cells are not read.

    :param unknown: whether a name that the ``parameters`` cell does not define is a problem or a warning. It is a
        warning anyway where that cell is absent or hides what it defines.
    """
    values: dict[str, object] = {}
    problems: list[str] = []
    warnings: list[str] = []
    notes: list[str] = []
    python = is_python(nb, kernel_name)
    declaration = _declaration(nb) if python else _Declaration({}, is_complete=False, doubt="")
    if len(parameters) > PARAMETER_COUNT_LIMIT:
        problems.append(f"{len(parameters)} parameters; a notebook job takes at most {PARAMETER_COUNT_LIMIT}")
    seen: dict[str, str] = {}
    for name, value in parameters.items():
        found = [*_name_problems(name, python=python)]
        same = seen.setdefault(unicodedata.normalize("NFKC", str(name)), str(name))
        if same != str(name):
            found.append(f"parameters {same!r} and {name!r} are one and the same name to Python")
        found += _value_problems(value, f"parameters[{name!r}]", PARAMETER_DEPTH_LIMIT)
        if found:
            problems += found
            continue
        if python:
            if name not in declaration.types:
                text = _unknown_name(name, declaration)
                (problems if unknown == "error" and declaration.is_complete else warnings).append(text)
            value, problem, note = _read_string(name, value, declaration.types.get(name))  # noqa: PLW2901 what arrives
            problems += filter(None, [problem])
            notes += filter(None, [note])
        else:
            problems += _other_language_problems(name, value, kernel_name)
        if isinstance(value, str) and value != value.strip():
            warnings.append(
                f"parameter '{name}': the text {_short(value)} begins or ends with blanks; it is passed as it is"
            )
        values[name] = value
    if python:
        warnings += _stale_injection(nb, parameters)
    return CheckedParameters(values, tuple(problems), tuple(warnings), tuple(notes))


def _name_problems(name: object, *, python: bool) -> list[str]:
    if not isinstance(name, str):
        return [f"parameter name {name!r} is of type {type(name).__name__}, not text"]
    if len(name) > PARAMETER_NAME_LIMIT:
        return [f"parameter name {_short(name)} has {len(name)} characters; the limit is {PARAMETER_NAME_LIMIT}"]
    if not python:
        is_name = _OTHER_LANGUAGES_NAME.fullmatch(name) is not None
    else:
        # Papermill writes the name into a cell unchecked; "__builtins__ = …" would take down the whole notebook.
        is_name = name.isidentifier() and not keyword.iskeyword(name) and not re.fullmatch(r"__\w*__", name)
    return [] if is_name else [f"parameter name {_short(name)} is not a variable's name"]


def _value_problems(value: object, path: str, depth: int) -> list[str]:
    """Problems of one value, each with the path to the part that has it."""
    kind = type(value)
    if kind in {str, int, float, bool, type(None)}:
        return []
    if kind is list or kind is dict:
        if depth == 0:
            return [f"{_short_path(path)} is nested more than {PARAMETER_DEPTH_LIMIT} levels deep"]
        assert isinstance(value, list | dict)  # noqa: S101 narrows the exact type for mypy
        if isinstance(value, list):
            return [p for index, item in enumerate(value) for p in _value_problems(item, f"{path}[{index}]", depth - 1)]
        keys = [
            f"{_short_path(path)} has the key {_short(key)} of type {_type_name(key)}; keys must be str"
            for key in value
            if type(key) is not str
        ]
        return keys + [
            p
            for key, item in value.items()
            if type(key) is str
            for p in _value_problems(item, f"{path}[{key!r}]", depth - 1)
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


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int of more than 4,300 digits
        text = f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= 80 else text[:79] + "…"


def _declaration(nb: NotebookNode) -> _Declaration:
    index = tagged_index(nb, "parameters")
    if index is None or nb.cells[index].get("cell_type") != "code":
        return _Declaration({}, is_complete=False, doubt="the notebook has no cell tagged 'parameters'")
    cell = split_cell(source_of(nb.cells[index]))
    tree = parse_python(cell.python)
    if tree is None:
        return _Declaration({}, is_complete=False, doubt="the 'parameters' cell is not plain Python")
    types: dict[str, type | None] = dict.fromkeys(bound_names(tree))
    for statement in tree.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=default):
                types[name] = _annotated_type(annotation)
                if types[name] is None and default is not None and not _is_str_annotation(annotation):
                    types[name] = _default_type(default)
            case ast.Assign(targets=targets, value=default):
                types.update({target.id: _default_type(default) for target in targets if isinstance(target, ast.Name)})
            case _:
                pass
    is_complete = not assigns_dynamically(tree) and cell.cell_magic is None
    return _Declaration(
        types, is_complete, "" if is_complete else "the 'parameters' cell may assign names that cannot be seen"
    )


_READ_AS: dict[str, type] = {"int": int, "float": float, "bool": bool}


def _annotated_type(annotation: ast.expr) -> type | None:
    """int, float or bool, also as text, ``Optional[…]`` and ``… | None``; None for any other annotation."""
    match annotation:
        case ast.Name(id=name):
            return _READ_AS.get(name)
        case ast.Constant(value=str(text)):
            tree = parse_python(text)
            if tree is not None and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
                return _annotated_type(tree.body[0].value)
        case ast.Subscript(value=ast.Name(id="Optional") | ast.Attribute(attr="Optional"), slice=inner):
            return _annotated_type(inner)
        case (
            ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None))
            | ast.BinOp(left=ast.Constant(value=None), op=ast.BitOr(), right=inner)
        ):
            return _annotated_type(inner)
        case _:
            pass
    return None


def _is_str_annotation(annotation: ast.expr) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id in {"str", "Any"})
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and "str" in node.value)
        for node in ast.walk(annotation)
    )


def _default_type(default: ast.expr) -> type | None:
    if isinstance(default, ast.UnaryOp) and isinstance(default.op, ast.USub | ast.UAdd):
        default = default.operand
    if not isinstance(default, ast.Constant):
        return None
    return _READ_AS.get(type(default.value).__name__)


def _unknown_name(name: str, declaration: _Declaration) -> str:
    if declaration.doubt:
        return f"parameter '{name}' is not seen in the notebook: {declaration.doubt}"
    close = difflib.get_close_matches(name, declaration.types, n=1)
    if close:
        hint = f"did you mean '{close[0]}'?"
    elif declaration.types:
        hint = f"it defines: {', '.join(declaration.types)}"
    else:
        hint = "it defines none"
    return f"parameter '{name}' is not defined in the notebook's 'parameters' cell; {hint}"


def _read_string(name: str, value: object, declared: type | None) -> tuple[object, str | None, str | None]:
    """The value that the notebook gets, a problem, and a note for the log."""
    if not isinstance(value, str) or declared is None:
        return value, None, None
    result = _exactly(value, declared)
    if result is None:
        return (
            value,
            f"parameter '{name}': the text {_short(value)} is not exactly {_A[declared]}, as its default says",
            None,
        )
    return (
        result,
        None,
        f"parameter '{name}': the text {_short(value)} is passed as {_A[declared]}, as its default says",
    )


_A = {int: "an int", float: "a float", bool: "a bool"}
_FLOAT = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|NaN|inf|Infinity)", re.ASCII)


def _exactly(text: str, declared: type) -> int | float | bool | None:
    if declared is bool:
        return {"true": True, "True": True, "false": False, "False": False}.get(text)
    if declared is int:
        # The limit is that of int(): past 4,300 digits it refuses.
        return int(text) if re.fullmatch(r"[+-]?\d{1,4300}", text, re.ASCII) else None
    return float(text) if _FLOAT.fullmatch(text) else None


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
    index = tagged_index(nb, "injected-parameters")
    tree = None if index is None else parse_python(split_cell(source_of(nb.cells[index])).python)
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
    injected = tagged_index(nb, "injected-parameters")
    is_needed = hyperparameter_strings(values) != dict(values)
    if not is_needed and injected is None and not any(mark_of(cell) == TYPED_PARAMETERS for cell in nb.cells):
        return nb
    nb = copy.deepcopy(nb)
    nb.cells = [cell for cell in nb.cells if mark_of(cell) != TYPED_PARAMETERS]  # a staged copy that is run again
    injected = tagged_index(nb, "injected-parameters")
    if injected is not None:
        # The author's file counts this cell; one that papermill adds later is none of theirs (core.failure).
        nb.metadata[MARK] = {"has_injected_parameters": True}
    if is_needed:
        before = injected if injected is not None else tagged_index(nb, "parameters")
        nb.cells.insert(0 if before is None else before + 1, _typed_cell(values, nbformat_minor=nb.nbformat_minor))
    return nb


def _typed_cell(values: Mapping[str, object], *, nbformat_minor: int) -> NotebookNode:
    lines = ["# Parameters with their types (added by airflow_nbjobs; they win over the strings above)"]
    lines += [f"{name} = {literal(value)}" for name, value in values.items()]
    return code_cell("\n".join(lines), {MARK: TYPED_PARAMETERS}, nbformat_minor=nbformat_minor)
