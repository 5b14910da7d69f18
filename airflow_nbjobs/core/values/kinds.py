"""
Of which type an expression or an annotation is, read from its syntax tree: nothing is run.

Called by ``core.values.declaration`` and ``core.values.conversion``. Standard library only, pure.
"""

from __future__ import annotations

import ast
from functools import reduce
from types import NoneType
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.notebook.syntax_trees import parse_python

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WHOLE: frozenset[type] = frozenset({bool, int})
_NUMBERS: frozenset[type] = frozenset({bool, int, float})
_SCALARS: frozenset[type] = _NUMBERS | {str, NoneType}


class Kind(msgspec.Struct, frozen=True):
    """What is known of the type of a value."""

    types: frozenset[type] = frozenset()  # the types that it may have
    is_known: bool = False  # False: it may have others as well
    items: Kind | None = None  # of the items of a list or tuple, or of the values of a dict
    entries: Mapping[str, Kind] = msgspec.field(
        default_factory=dict
    )  # of the values of a dict that is written out, by key
    choices: tuple[object, ...] = ()  # of ``Literal[…]``, with None where that is admitted as well; empty: any

    def __or__(self, other: Kind) -> Kind:
        return Kind(
            self.types | other.types,
            is_known=self.is_known and other.is_known,
            items=(self.items or other.items)
            if self.items is None or other.items is None
            else self.items | other.items,
            entries=self.entries if self.entries == other.entries else {},
            choices=self._choices_with(other),
        )

    def _choices_with(self, other: Kind) -> tuple[object, ...]:
        """``Literal["a"] | None`` has the choices "a" and None."""
        mine, others = ((None,) if kind.only(NoneType) else kind.choices for kind in (self, other))
        is_named = bool(self.choices or other.choices)
        return tuple(dict.fromkeys((*mine, *others))) if is_named and mine and others else ()

    def only(self, *types: type) -> bool:
        """Say whether it is known to be of these types alone."""
        return self.is_known and bool(self.types) and self.types <= set(types)

    @property
    def iterated(self) -> Kind:
        """What comes of iterating over it: of a dict the keys, of which nothing is known."""
        return UNKNOWN if self.items is None or dict in self.types else self.items


UNKNOWN = Kind()


def of(*types: type) -> Kind:
    return Kind(frozenset(types), is_known=True)


_BUILTINS = {
    **dict.fromkeys("int len ord hash id".split(), of(int)),
    **dict.fromkeys("bool isinstance issubclass callable hasattr any all".split(), of(bool)),
    **dict.fromkeys("str chr repr ascii format hex bin oct input".split(), of(str)),
    **dict.fromkeys(("list", "sorted"), of(list)),
    **dict.fromkeys(("tuple", "divmod"), of(tuple)),
    **dict.fromkeys(("set", "frozenset"), of(set)),
    **{kind.__name__: of(kind) for kind in (float, dict, bytes, complex)},
}
_METHODS_OF_TEXTS = {
    **dict.fromkeys(
        "format join upper lower strip lstrip rstrip replace title capitalize zfill removeprefix removesuffix format_map casefold"
        " center ljust rjust swapcase".split(),
        of(str),
    ),
    **dict.fromkeys("split rsplit splitlines".split(), of(list)),
    **dict.fromkeys("startswith endswith isdigit isalpha isidentifier".split(), of(bool)),
    **dict.fromkeys("find rfind index count".split(), of(int)),
    "encode": of(bytes),
}
_CONSTANTS = {
    **{f"{module}.{name}": of(float) for module in ("math", "np", "numpy") for name in ("inf", "nan", "pi", "e")},
    "math.tau": of(float),
    "sys.maxsize": of(int),
    "os.sep": of(str),
    "sys.executable": of(str),
}
_TEXT_CALLS = frozenset({"os.path.join", "os.getcwd", "os.path.abspath", "os.path.basename", "os.path.dirname"})
_DATE_TEXTS = frozenset({"strftime", "isoformat"})


def kind_of(expression: ast.expr, names: Mapping[str, Kind]) -> Kind:
    """
    Return what type the expression has, as far as its syntax shows it.

    :param names: what is known of the names that the cell has bound so far; a builtin that is among them is no builtin any more.
    """
    try:
        return _Reader(names).kind(expression)
    except RecursionError:
        return UNKNOWN


class _Reader:
    def __init__(self, names: Mapping[str, Kind]) -> None:
        self._names = names

    def kind(self, node: ast.expr | None) -> Kind:  # noqa: C901, PLR0912 a case per expression
        match node:
            case ast.Constant(value=value):
                return of(type(value))
            case ast.Name(id=name):
                return self._names.get(name, UNKNOWN)
            case ast.NamedExpr(value=value):
                return self.kind(value)
            case ast.JoinedStr():
                return of(str)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                container = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
                return Kind(frozenset({container}), is_known=True, items=_joined(self.kind(one) for one in elements))
            case ast.Dict(keys=keys, values=values):
                return self._dict(keys, values)
            case ast.ListComp():
                return of(list)
            case ast.SetComp():
                return of(set)
            case ast.DictComp():
                return of(dict)
            case ast.UnaryOp(op=ast.Not()):
                return of(bool)
            case ast.UnaryOp(operand=operand):
                return _signed(self.kind(operand))
            case ast.BinOp(left=left, op=operator, right=right):
                return self._binary(self.kind(left), operator, self.kind(right), right)
            case ast.BoolOp(op=operator, values=values):
                return self._boolean(operator, [self.kind(value) for value in values])
            case ast.Compare(left=left, ops=operators, comparators=others):
                by_identity = all(isinstance(one, ast.In | ast.NotIn | ast.Is | ast.IsNot) for one in operators)
                # Arrays and data frames compare to arrays and data frames.
                is_plain = all(self.kind(one).only(*_SCALARS) for one in (left, *others))
                return of(bool) if by_identity or is_plain else UNKNOWN
            case ast.IfExp(body=body, orelse=orelse):
                return self.kind(body) | self.kind(orelse)
            case ast.Call():
                return self._call(node)
            case ast.Attribute() if not self._is_rebound(node):
                return _CONSTANTS.get(ast.unparse(node), UNKNOWN)
            case ast.Subscript(value=ast.Attribute(attr="environ") | ast.Name(id="environ"), slice=ast.Constant()):
                return of(str)
            case _:
                return UNKNOWN

    def _is_rebound(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        # Imports are bound as well, but without a type.
        return not isinstance(node, ast.Name) or bool(self._names.get(node.id, UNKNOWN).types)

    def _dict(self, keys: list[ast.expr | None], values: list[ast.expr]) -> Kind:
        kinds = [self.kind(value) for value in values]
        entries = {
            key.value: kind
            for key, kind in zip(keys, kinds, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        return Kind(frozenset({dict}), is_known=True, entries=entries)

    def _binary(self, left: Kind, operator: ast.operator, right: Kind, exponent: ast.expr) -> Kind:
        if isinstance(operator, ast.Mod) and left.only(str):
            return of(str)
        if not (left.is_known and right.is_known and left.types and right.types):
            return UNKNOWN
        found = {_result(one, operator, other, exponent) for one in left.types for other in right.types}
        types = frozenset().union(*(one or {None} for one in found))
        if None in types:
            return UNKNOWN
        return Kind(frozenset(one for one in types if one is not None), is_known=True, items=left.items)

    def _boolean(self, operator: ast.boolop, kinds: list[Kind]) -> Kind:
        if isinstance(operator, ast.Or):  # None is false: it is never what "or" gives, but as the last
            kinds = [*(Kind(k.types - {NoneType}, k.is_known, k.items) for k in kinds[:-1]), kinds[-1]]
        return reduce(Kind.__or__, kinds)

    def _call(self, call: ast.Call) -> Kind:  # noqa: C901, PLR0912 a case per callable
        arguments = [self.kind(one) for one in call.args]
        match call.func:
            case ast.Name(id="getenv") | ast.Attribute(attr="getenv"):
                return of(str) | (arguments[1] if len(arguments) > 1 else of(NoneType))
            case ast.Attribute(value=ast.Attribute(attr="environ") | ast.Name(id="environ"), attr="get"):
                return of(str) | (arguments[1] if len(arguments) > 1 else of(NoneType))
            case ast.Name(id=name) if name in self._names:
                return UNKNOWN
            case ast.Name(id="abs"):
                return _signed(arguments[0]) if len(arguments) == 1 else UNKNOWN
            case ast.Name(id="round"):
                if not arguments or not arguments[0].only(*_NUMBERS):
                    return UNKNOWN
                return of(int) if len(arguments) == 1 else _signed(arguments[0])
            case ast.Name(id="min" | "max") if len(arguments) > 1:
                return reduce(Kind.__or__, arguments)
            case ast.Name(id="min" | "max" | "sum"):
                return arguments[0].iterated if arguments else UNKNOWN
            case ast.Name(id="pow") if len(arguments) == 2:
                return self._binary(arguments[0], ast.Pow(), arguments[1], call.args[1])
            case ast.Name(id="dict") if not call.args:
                keys: list[ast.expr | None] = [
                    ast.Constant(value=one.arg) if one.arg else None for one in call.keywords
                ]
                return self._dict(keys, [one.value for one in call.keywords])
            case ast.Name(id=name):
                return _BUILTINS.get(name, UNKNOWN)
            case ast.Attribute(value=receiver, attr=method):
                if method in _DATE_TEXTS or (not self._is_rebound(call.func) and ast.unparse(call.func) in _TEXT_CALLS):
                    return of(str)
                return _METHODS_OF_TEXTS.get(method, UNKNOWN) if self.kind(receiver).only(str) else UNKNOWN
            case _:
                return UNKNOWN


def _joined(kinds: Iterable[Kind]) -> Kind | None:
    found = list(kinds)
    return reduce(Kind.__or__, found) if found else None


def _signed(operand: Kind) -> Kind:
    if not operand.only(*_NUMBERS):
        return UNKNOWN
    return of(*(int if one is bool else one for one in operand.types))


def _result(left: type, operator: ast.operator, right: type, exponent: ast.expr) -> frozenset[type] | None:  # noqa: C901 a rule per pair
    """Types of ``left operator right``; None: not known."""
    both = {left, right}
    if both <= _WHOLE:
        if isinstance(operator, ast.Div):
            return frozenset({float})
        if isinstance(operator, ast.Pow):
            return _power_types(exponent)
        if isinstance(operator, ast.BitAnd | ast.BitOr | ast.BitXor) and both == {bool}:
            return frozenset({bool})
        return None if isinstance(operator, ast.MatMult) else frozenset({int})
    if complex in both and both <= _NUMBERS | {complex}:
        is_simple = isinstance(operator, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.Pow)
        return frozenset({complex}) if is_simple else None
    if both <= _NUMBERS:
        is_arithmetic = isinstance(operator, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.FloorDiv | ast.Mod | ast.Pow)
        return frozenset({float}) if is_arithmetic else None
    if isinstance(operator, ast.Add) and left is right and left in {str, list, tuple, bytes}:
        return frozenset({left})
    if isinstance(operator, ast.Mult):
        sequences = [one for one in both if one in {str, list, tuple, bytes}]
        if len(sequences) == 1 and both - set(sequences) <= _WHOLE:
            return frozenset(sequences)
    if isinstance(operator, ast.BitOr) and left is right and left in {dict, set}:
        return frozenset({left})
    if isinstance(operator, ast.BitAnd | ast.Sub | ast.BitXor) and both == {set}:
        return frozenset({set})
    return None


def _power_types(exponent: ast.expr) -> frozenset[type]:
    match exponent:
        case ast.Constant():
            return frozenset({int})
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            return frozenset({float})
        case _:
            return frozenset({int, float})


_ANNOTATIONS = {
    **{kind.__name__: of(kind) for kind in (int, float, bool, str)},
    "Text": of(str),
    "None": of(NoneType),
    **dict.fromkeys("list List Sequence MutableSequence Iterable Collection".split(), of(list)),
    **dict.fromkeys("dict Dict Mapping MutableMapping OrderedDict".split(), of(dict)),
    **dict.fromkeys(("tuple", "Tuple"), of(tuple)),
    **dict.fromkeys("set Set frozenset FrozenSet AbstractSet MutableSet".split(), of(set)),
    **dict.fromkeys(("Any", "object"), UNKNOWN),
}


def annotated_kind(annotation: ast.expr) -> Kind | None:
    """
    Return what an annotation says, written in any of the usual ways; None where only the default can tell.

    ``Any`` and ``object`` say: anything.
    """
    match annotation:
        case ast.Constant(value=None):
            return of(NoneType)
        case ast.Constant(value=str(text)):
            tree = parse_python(text)
            if tree is not None and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
                return annotated_kind(tree.body[0].value)
            return None
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _ANNOTATIONS.get(name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([left, right])
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _subscripted(name, inner.elts if isinstance(inner, ast.Tuple) else [inner])
        case _:
            return None


def _subscripted(name: str, inner: list[ast.expr]) -> Kind | None:
    if name in {"Annotated", "Final", "ClassVar"}:
        return annotated_kind(inner[0]) if inner else None
    if name == "Optional":
        return _union([*inner, ast.Constant(value=None)])
    if name == "Union":
        return _union(inner)
    if name == "Literal":
        values = [_literal_value(one) for one in inner]
        return None if ... in values else Kind(frozenset(map(type, values)), is_known=True, choices=tuple(values))
    container = _ANNOTATIONS.get(name)
    if container is None or not container.types:
        return container
    of_items = inner[1:] if container.only(dict) else inner
    if container.only(tuple):  # "tuple[int, ...]" is of one type, "tuple[int, str]" of one for each place
        of_items = [one for one in inner if not (isinstance(one, ast.Constant) and one.value is ...)]
    return Kind(container.types, is_known=True, items=_union(of_items))


def _literal_value(node: ast.expr) -> object:
    """Return the value, or the ellipsis where it is none of a parameter."""
    match node:
        case ast.Constant(value=value) if type(value) in _SCALARS:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
        case _:
            return ...


def _union(parts: list[ast.expr]) -> Kind | None:
    kinds = [annotated_kind(part) for part in parts]
    known = [kind for kind in kinds if kind is not None]
    if not known:
        return None
    joined = reduce(Kind.__or__, known)
    if len(known) == len(kinds):
        return joined
    # The union has another class as well: a text is right where it admits texts; else the default decides.
    return Kind(joined.types, is_known=False) if str in joined.types else None
