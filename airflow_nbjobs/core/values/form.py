"""
The fields of Airflow's trigger form, made of a notebook's ``parameters`` cell.

Called by ``params.py`` while DAGs are parsed. Standard library only, pure; nothing of the notebook is run.

Source: ``ui/src/components/FlexibleForm`` of Airflow 3.0.6, whose fields every later version has as well.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.guesses import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_nbjobs.core.values.cell_parameters import CellParameter
    from airflow_nbjobs.core.values.kinds import Kind

_JSON_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    tuple: "array",
    set: "array",
    dict: "object",
    NoneType: "null",
}
# A text field comes first, of a parameter of unknown type.
_ANY = ("string", "number", "boolean", "array", "object", "null")
_NEEDED = "Needed: the notebook has no default for it."


class Field(msgspec.Struct, frozen=True):
    """
    One field of the form, as Airflow's ``Param`` takes it.

    :param value: the default, which the schema admits.
    :param description: None: there is nothing to say.
    """

    value: Any
    description: str | None
    schema: dict[str, Any]


class Form(msgspec.Struct, frozen=True):
    """
    The fields by name.

    :param warnings: what somebody asked for and the form does not have.
    """

    fields: Mapping[str, Field]
    warnings: tuple[str, ...] = ()


def build_form(parameters: Sequence[CellParameter], *, only: Collection[str] | None, titles: Mapping[str, str]) -> Form:
    """
    Return the fields for a cell's parameters.

    :param only: the names that the form has, in its order; None: all but those that begin with an underscore, in the cell's order.
    :param titles: of fields, by the parameter's name.
    """
    known = {parameter.name: parameter for parameter in parameters}
    wanted = [name for name in known if not name.startswith("_")] if only is None else list(dict.fromkeys(only))
    warnings = [_unknown("only", name, known) for name in wanted if name not in known]
    warnings += [
        _unknown("titles", name, known)
        if name not in known
        else f"titles: '{name}' is not among only, so the form has no such field"
        for name in titles
        if name not in wanted or (name not in known and only is None)
    ]
    return Form({name: _field(known[name], titles.get(name)) for name in wanted if name in known}, tuple(warnings))


def _unknown(argument: str, name: str, known: Collection[str]) -> str:
    hint = did_you_mean(name, known) or (f"; it defines: {', '.join(known)}" if known else "; it defines none")
    return f"{argument}: '{name}' is not defined in the notebook's 'parameters' cell{hint}"


def _field(parameter: CellParameter, title: str | None) -> Field:
    value, types = parameter.shown, _types(parameter.kind)
    if parameter.choices and not parameter.kind.types:  # an enumeration, whose values are what may be given
        types = list(dict.fromkeys(_type_of(one) for one in parameter.choices))
    if value is None or value in ("", []) or parameter.admits_none:
        # An empty text field gives null. A scheduled DAG whose Param has no default that is valid does not parse.
        types = [*(one for one in types if one != "null"), "null"]
    own = _type_of(value)
    if "number" in types or (own == "number" and "integer" in types):
        types = [*dict.fromkeys("number" if one == "integer" else one for one in types)]
        own = "number" if own == "integer" else own
    if (
        own != "null"
    ):  # Airflow before 3.3 draws the field of the first type; an annotation that the default contradicts admits it all the same
        types = [own, *(one for one in types if one != own)]
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    if "array" in types:
        schema["items"] = {"type": _item_types(parameter.kind.items, value)}
    if parameter.choices:
        schema |= _of_choices(parameter.choices, value, is_nullable="null" in types, types=types)
    elif isinstance(value, str) and "\n" in value:
        schema["format"] = "multiline"
    if title is not None:
        schema["title"] = title
    return Field(value, _description(parameter) or None, schema)


def _types(kind: Kind) -> list[str]:
    types = [name for type_, name in _JSON_TYPES.items() if type_ in kind.types]
    if not kind.is_known or not types or types == ["null"]:
        types += [name for name in _ANY if name not in types]
    return list(dict.fromkeys(types))


def _type_of(value: Any) -> str:
    return _JSON_TYPES[type(value)]


def _item_types(items: Kind | None, value: Any) -> str | list[str]:
    """Return of which types the items of a list may be: texts alone have a field of lines, all else an editor of JSON."""
    found = [] if items is None or not items.is_known else _types(items)
    if isinstance(value, list):
        found += [_type_of(one) for one in value]
    if not found:
        return list(_ANY)
    # A default is an example: of [1, 2], the item 2.5 is one of its kind.
    found = list(dict.fromkeys("number" if one == "integer" else one for one in found))
    return found[0] if len(found) == 1 else found


def _of_choices(choices: tuple[Any, ...], value: Any, *, is_nullable: bool, types: list[str]) -> dict[str, Any]:
    """
    Return what offers the choices and refuses all else.

    Airflow 3.0 draws no list of choices with null in it, and none of booleans: a text field then suggests them.
    """
    admitted = [one for one in choices if one is not None]
    if value is not None and not any(_is_same(one, value) for one in admitted):
        admitted.append(value)
    if set(types) == {"boolean"}:
        return {}
    if not is_nullable:
        return {"enum": admitted}
    return {"examples": [str(one) for one in admitted], "anyOf": [{"enum": admitted}, {"type": "null"}]}


def _is_same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _description(parameter: CellParameter) -> str:
    said = parameter.comment
    if said and said[-1] not in ".!?…":
        said += "."
    if not parameter.has_default:
        return f"{said} {_NEEDED}".strip()
    if parameter.shown is None and not parameter.is_exact:
        own = (
            "what the notebook makes of it"
            if parameter.expression == "…"
            else f"the notebook's own {parameter.expression}"
        )
        return f"{said} Left empty: {own}.".strip()
    if not parameter.is_exact:
        return f"{said} Left as it is: the notebook's own {parameter.expression}.".strip()
    return parameter.comment
