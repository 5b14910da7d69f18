"""
Parameters of a notebook job, checked against the notebook that gets them.

Called by ``aws/submit/prepare.py``. Must never import airflow or boto3.
"""

from __future__ import annotations

import difflib
import unicodedata
from typing import TYPE_CHECKING, Literal

import msgspec

from airflow_nbjobs.core.notebook.document import is_python, tagged_index
from airflow_nbjobs.core.notebook.papermill import INJECTED
from airflow_nbjobs.core.notebook.source import bound_names, tree_of
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.values.conversion import Spelled, fit, kind_name, short
from airflow_nbjobs.core.values.dataflow import Flow, Place, follow
from airflow_nbjobs.core.values.declaration import Declaration, read_declaration, untagged
from airflow_nbjobs.core.values.from_params import Chosen, choose, no_python
from airflow_nbjobs.core.values.literals import PARAMETER_DEPTH_LIMIT
from airflow_nbjobs.core.values.not_known import NotKnown
from airflow_nbjobs.core.values.parameter_cell import PARAMETER_TEXT_LIMIT, is_plain
from airflow_nbjobs.core.values.parameter_values import (
    depth_problem,
    name_problems,
    problems_of_value,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbformat import NotebookNode

# Limits of CreateTrainingJob's HyperParameters (the developer guide's; the API text's 256 for a value is stale).
PARAMETER_COUNT_LIMIT = 100
_SHOWN_DERIVED = 10  # warnings of one kind; what more there is shares one


class CheckedParameters(msgspec.Struct, frozen=True):
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
    params: Mapping[str, object] | None = None,
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

    Of a value that is ``NotKnown`` the name alone is checked; it is not among the values.

    :param unknown: whether a name that the ``parameters`` cell does not define is a problem or a warning. It is a
        warning anyway where that cell is absent or hides what it defines.
    :param runs: notebooks that it executes with ``%run``, by relative name.
    :param params: the run's, of which the notebook gets those that its ``parameters`` cell has; None: it gets none (``core.values.from_params``).
    """
    python = is_python(nb, kernel_name)
    declaration = read_declaration(nb) if python else None
    chosen = Chosen()
    if params is not None:
        chosen = choose(declaration, params, parameters) if declaration is not None else no_python(kernel_name)
        parameters = {**chosen.values, **parameters}
    found = _Findings(kernel_name, declaration, follow(nb, list(parameters), runs) if python else Flow(), unknown)
    if len(parameters) > PARAMETER_COUNT_LIMIT:
        found.problems.append(f"{len(parameters)} parameters; a notebook job takes at most {PARAMETER_COUNT_LIMIT}")
    for name, value in parameters.items():
        found.add(name, value)
    if python:
        found.tell_flow(nb)
        found.warnings += _stale_injection(nb, parameters)
    return CheckedParameters(
        found.values,
        (*chosen.problems, *found.problems),
        (*chosen.warnings, *found.warnings),
        (*chosen.notes, *found.notes),
    )


class _Findings(msgspec.Struct):
    """The parameters checked so far."""

    _kernel_name: str
    _declaration: Declaration | None  # None: the kernel is none of Python's
    _flow: Flow
    _unknown: Literal["error", "warn"]
    values: dict[str, object] = msgspec.field(default_factory=dict)
    problems: list[str] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    _seen: dict[str, str] = msgspec.field(default_factory=dict)

    def add(self, name: str, value: object) -> None:
        declaration = self._declaration
        found = [*name_problems(name, python=declaration is not None)]
        same = self._seen.setdefault(unicodedata.normalize("NFKC", str(name)), str(name))
        if same != str(name):
            found.append(f"parameters {same!r} and {name!r} are one and the same name to Python")
        if isinstance(value, NotKnown):
            self.problems += found
            if not found:
                self._check_name(name, declaration)
            return
        path = f"parameters[{name!r}]"
        deep = depth_problem(value, path, PARAMETER_DEPTH_LIMIT)
        if deep is None and not found:
            told = len(self.problems), len(self.warnings)
            value = self._fitted(name, value, declaration)
            if isinstance(value, str) and value == "None":
                self._tell_none(name, told)
            deep = depth_problem(value, path, PARAMETER_DEPTH_LIMIT)
        found += [deep] if deep is not None else problems_of_value(value, path)
        if found:
            self.problems += found
            return
        if declaration is None:
            self.problems += _other_language_problems(name, value, self._kernel_name)
        else:
            self._check_name(name, declaration)
        if isinstance(value, str) and value != value.strip():
            self.warnings.append(
                f"parameter '{name}': the text {short(value)} begins or ends with blanks; it is passed as it is"
            )
        self.values[name] = value

    def _check_name(self, name: str, declaration: Declaration | None) -> None:
        if declaration is None or name in declaration.kinds:
            return
        if declaration.has_cell or name not in self._flow.overwritten:
            is_certain = self._unknown == "error" and declaration.is_complete
            (self.problems if is_certain else self.warnings).append(_unknown_name(name, declaration))

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
        problem = f"is of type {type_name(value)}; give text and convert it in the notebook"
    elif len(value) > PARAMETER_TEXT_LIMIT:
        problem = f"has {len(value):,} characters; the limit is {PARAMETER_TEXT_LIMIT:,}"
    elif not is_plain(value):
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
