"""
What a notebook's ``parameters`` cell says of its parameters: their names, and of which type each is.

Called by ``core.values.parameters``, and by ``core.values.form`` while DAGs are parsed. Standard library only, pure; nothing of the notebook is run.
"""

from __future__ import annotations

import ast
import difflib
from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.notebook.cell_syntax import split_cell
from airflow_nbjobs.core.notebook.document import tagged_index, tags_of
from airflow_nbjobs.core.notebook.papermill import INJECTED, PARAMETERS
from airflow_nbjobs.core.notebook.source import assigns_dynamically, bound_names, source_of, trees
from airflow_nbjobs.core.notebook.syntax_trees import children, full_name, imported_names, parse_python, walk
from airflow_nbjobs.core.values.kinds import UNKNOWN, Kind, annotated_kind, kind_of, of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbformat import NotebookNode

_SHORT_TAGS = frozenset({"param", "params"})
# Classes without a JSON form, and their methods that make one.
_OBJECTS = frozenset(
    (
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta")),
        *(f"pathlib.{name}" for name in ("Path", "PurePath", "PosixPath", "PurePosixPath")),
        *("decimal.Decimal", "fractions.Fraction", "uuid.UUID", "zoneinfo.ZoneInfo", "types.SimpleNamespace"),
        *(f"pandas.{name}" for name in ("Timestamp", "Timedelta", "DataFrame", "Series", "date_range")),
        *(f"numpy.{name}" for name in ("array", "arange", "linspace", "zeros", "ones", "datetime64")),
    )
)
_MAKERS = frozenset("today now utcnow strptime fromisoformat fromtimestamp combine cwd home uuid4".split())


class Declaration(msgspec.Struct, frozen=True):
    """What the ``parameters`` cell says."""

    # of every name that the cell binds, in the order of the cell
    kinds: Mapping[str, Kind] = msgspec.field(default_factory=dict)
    annotated: frozenset[str] = frozenset()  # names whose kind their annotation says, and not their default
    is_complete: bool = False  # False: names may be defined that cannot be seen
    doubt: str = ""  # why, for a warning
    has_cell: bool = False  # whether a code cell has the tag
    # names whose default is an object that no parameter can be and that later cells use as one, each with that default as it is written
    objects: Mapping[str, str] = msgspec.field(default_factory=dict)
    # positions, counted from 1, of further cells with the tag, which count for nothing, by the names that they bind
    further: Mapping[str, int] = msgspec.field(default_factory=dict)
    tree: ast.Module | None = None  # of the cell, its magics left out; None where it has none
    python: str = ""  # what ``tree`` was read from, as many lines as the cell
    values: Mapping[str, ast.expr] = msgspec.field(
        default_factory=dict
    )  # the defaults of names that one statement binds alone, for certain


def read_declaration(nb: NotebookNode) -> Declaration:
    """Read the first cell with the tag, which is the one that papermill takes, and what the rest of the notebook makes of it."""
    index = tagged_index(nb, PARAMETERS)
    declaration = read_tagged_cell(nb)
    if index is None or declaration.tree is None:
        return declaration
    return replace(
        declaration,
        objects=_objects(nb, index, declaration.tree, declaration.values),
        further=_further(nb, index),
    )


def read_tagged_cell(nb: Mapping[str, Any]) -> Declaration:
    """
    Read the first cell with the tag, and no other: the time does not grow with the notebook's code.

    :param nb: the notebook, or its plain JSON (``core.notebook.document.read_cells``).
    """
    index = tagged_index(nb, PARAMETERS)
    if index is None or nb["cells"][index].get("cell_type") != "code":
        return Declaration(doubt=untagged(nb))
    cell = split_cell(source_of(nb["cells"][index]))
    tree = _with_type_comments(cell.python)
    if tree is None:
        return Declaration(doubt="the 'parameters' cell is not plain Python", has_cell=True)
    bindings = _Bindings(has_walrus=":=" in cell.python)
    try:
        bindings.read(tree.body, is_certain=True)
    except RecursionError:
        bindings = _Bindings()
    # These two magics run the cell's Python in the notebook's namespace.
    is_plain = all(magic.split()[:1] in (["time"], ["prun"]) for magic in cell.cell_magics)
    is_complete = not assigns_dynamically(tree) and is_plain
    return Declaration(
        kinds={name: bindings.kinds.get(name, UNKNOWN) for name in (*bound_names(tree), *bindings.kinds)},
        annotated=frozenset(bindings.annotated),
        is_complete=is_complete,
        doubt="" if is_complete else "the 'parameters' cell may assign names that cannot be seen",
        has_cell=True,
        tree=tree,
        python=cell.python,
        values=bindings.values,
    )


def _with_type_comments(python: str) -> ast.Module | None:
    """The tree with "# type: int" as papermill reads it too; without these comments where one of them is no type."""
    tree = parse_python(python)
    if tree is None or "type:" not in python:
        return tree
    try:
        return ast.parse(python, type_comments=True)
    except SyntaxError:
        return tree


def _objects(nb: NotebookNode, index: int, tree: ast.Module, values: Mapping[str, ast.expr]) -> dict[str, str]:
    imports: dict[str, str] = {}
    for _, one in trees(nb):
        imports |= imported_names(one)
    classes = _defined_classes(tree)
    later = [one for position, one in trees(nb) if position > index + 1]
    return {
        name: ast.unparse(value)
        for name, value in values.items()
        if _makes_object(value, imports, classes) and _is_used_as_object(name, later)
    }


def _makes_object(expression: ast.expr, imports: Mapping[str, str], classes: Mapping[str, bool]) -> bool:
    """
    Say whether the expression is certain to give an object of a class that has no JSON form, a date or a path.

    :param classes: that the cell defines, each with whether it is an enumeration.
    """
    match expression:
        case ast.Call(func=ast.Name(id=name)) if name in classes:
            return True
        case ast.Attribute(value=ast.Name(id=name)):
            return classes.get(name, False)
        case ast.Call(func=func):
            called = full_name(func, imports)
            owner, _, method = called.rpartition(".")
            return called in _OBJECTS or (owner in _OBJECTS and method in _MAKERS)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
            return _makes_object(left, imports, classes)
        case _:
            return False


def _defined_classes(tree: ast.Module) -> dict[str, bool]:
    """Classes that a cell defines, each with whether it is an enumeration whose members are no texts or numbers."""
    return {
        node.name: any(ast.unparse(base).rpartition(".")[2] in {"Enum", "Flag"} for base in node.bases)
        and len(node.bases) == 1
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _is_used_as_object(name: str, cells: Iterable[ast.Module]) -> bool:
    """
    Say whether the cells need more of the name than a text or a list has: an attribute, an operator, a comparison.

    Given to a function, it may as well be a text; where the cells bind the name anew (``path = Path(path)``, a loop, an argument), nothing is certain.
    """
    is_used = False
    for tree in cells:
        for node in walk(tree):
            match node:
                case ast.Name(id=bound, ctx=ast.Store()) | ast.arg(arg=bound) if bound == name:
                    return False
                case (
                    ast.Attribute(value=ast.Name(id=used))
                    | ast.FormattedValue(value=ast.Name(id=used), format_spec=ast.expr())
                    | ast.BinOp(left=ast.Name(id=used))
                ) if used == name:
                    is_used = True
                case ast.BinOp(right=ast.Name(id=used)) if used == name and not isinstance(
                    node.left, ast.Constant | ast.JoinedStr
                ):
                    is_used = True
                case _:
                    pass
    return is_used


def _further(nb: NotebookNode, index: int) -> dict[str, int]:
    """Names that further cells with the tag bind: papermill takes the first one alone."""
    found: dict[str, int] = {}
    for position, tree in trees(nb):
        if position > index + 1 and PARAMETERS in tags_of(nb.cells[position - 1]):
            found |= {name: position for name in bound_names(tree) if name not in found}
    return found


def untagged(nb: Mapping[str, Any]) -> str:
    """Say that no code cell has the tag, and which cell has a tag that looks like it."""
    index = tagged_index(nb, PARAMETERS)
    if index is not None:
        return (
            f"cell {index + 1}, tagged 'parameters', is a {nb['cells'][index].get('cell_type')} cell and no code cell"
        )
    text = "the notebook has no cell tagged 'parameters'"
    for position, cell in enumerate(nb["cells"], 1):
        for tag in tags_of(cell):
            word = tag.strip().casefold()
            is_near = word in _SHORT_TAGS or bool(difflib.get_close_matches(word, [PARAMETERS], cutoff=0.8))
            if is_near and word != INJECTED:
                return f"{text}; cell {position} is tagged {tag!r}, which counts for nothing: the tag is 'parameters'"
    return text


def _bound_values(target: ast.expr, value: ast.expr) -> dict[str, ast.expr]:
    """Return what an assignment gives each name: of ``width, height = 640, 480`` too."""
    match target, value:
        case ast.Name(id=name), _:
            return {name: value}
        case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), (ast.Tuple(elts=parts) | ast.List(elts=parts))):
            if len(targets) == len(parts) and not any(isinstance(one, ast.Starred) for one in (*targets, *parts)):
                pairs = zip(targets, parts, strict=True)
                return {name: of_name for one, part in pairs for name, of_name in _bound_values(one, part).items()}
    return {}


class _Bindings:
    """Collects the kinds of the names that statements bind; where a statement may not run, the former kind stays possible."""

    def __init__(self, *, has_walrus: bool = True) -> None:
        self._has_walrus = has_walrus
        self.kinds: dict[str, Kind] = {}
        self.annotated: set[str] = set()
        self.values: dict[str, ast.expr] = {}  # of names that one statement binds alone, for certain

    def read(self, statements: Iterable[ast.stmt], *, is_certain: bool) -> None:
        for statement in statements:
            if self._has_walrus:
                self._read_walrus(statement, is_certain=is_certain)
            self._read_statement(statement, is_certain=is_certain)
            if is_certain and isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    self.values |= _bound_values(target, statement.value)

    def _read_statement(self, statement: ast.stmt, *, is_certain: bool) -> None:  # noqa: C901, PLR0912 a case per statement
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value, type_comment=str(comment)):
                self._annotate(
                    name, ast.Constant(value=comment.partition("#")[0].strip()), value, is_certain=is_certain
                )
            case ast.Assign(targets=targets, value=value):
                kind = self._kind(value)
                for target in targets:
                    self._bind(target, kind, value, is_certain=is_certain)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                self._annotate(name, annotation, value, is_certain=is_certain)
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
                left = ast.Name(id=name, ctx=ast.Load())
                kind = self._kind(ast.BinOp(left=left, op=operator, right=value))
                self._set(name, kind, is_certain=is_certain)
            case ast.For(target=target, iter=iterable) | ast.AsyncFor(target=target, iter=iterable):
                self._bind(target, self._item_kind(iterable), None, is_certain=is_certain)
                self.read([*statement.body, *statement.orelse], is_certain=False)
            case ast.If(body=body, orelse=orelse) | ast.While(body=body, orelse=orelse):
                self.read([*body, *orelse], is_certain=False)
            case ast.Try() | ast.TryStar():
                self.read(statement.body, is_certain=False)
                for handler in statement.handlers:
                    self.read(handler.body, is_certain=False)
                self.read(statement.orelse, is_certain=False)
                self.read(statement.finalbody, is_certain=is_certain)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, UNKNOWN, None, is_certain=is_certain)
                self.read(body, is_certain=is_certain)
            case ast.Match(cases=cases):
                for case in cases:
                    self.read(case.body, is_certain=False)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self._set(name, UNKNOWN, is_certain=is_certain)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                for alias in aliases:
                    self._set(alias.asname or alias.name.split(".")[0], UNKNOWN, is_certain=is_certain)
            case _:
                pass

    def _read_walrus(self, statement: ast.stmt, *, is_certain: bool) -> None:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        # A block's own statements are read one by one.
        pending: list[ast.AST] = [n for n in children(statement) if isinstance(n, ast.expr)]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
                self._set(node.target.id, self._kind(node.value), is_certain=is_certain)
            if not isinstance(node, ast.Lambda):
                pending += children(node)

    def _annotate(self, name: str, annotation: ast.expr, value: ast.expr | None, *, is_certain: bool) -> None:
        said = annotated_kind(annotation)
        default = UNKNOWN if value is None else self._kind(value)
        if said is None:
            if value is not None:
                self._set(name, default, is_certain=is_certain)
            else:  # "day: date" names a parameter that has no default
                self.kinds.setdefault(name, UNKNOWN)
            return
        if default.only(NoneType):  # "limit: int = None" means Optional[int]
            said |= of(NoneType)
        self.annotated.discard(name)
        self._set(name, said, is_certain=True)
        self.annotated.add(name)

    def _bind(self, target: ast.expr, kind: Kind, value: ast.expr | None, *, is_certain: bool) -> None:
        match target:
            case ast.Name(id=name):
                self._set(name, kind, is_certain=is_certain)
            case ast.Starred(value=ast.Name(id=name)):
                self._set(name, of(list), is_certain=is_certain)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values: list[ast.expr | None] = [None] * len(targets)
                if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(targets):
                    values = [*value.elts]
                has_star = any(isinstance(one, ast.Starred) for one in (*targets, *(values or ())))
                for one, part in zip(targets, values, strict=True):
                    known = part is not None and not has_star
                    item = self._kind(part) if known and part is not None else kind.iterated
                    self._bind(one, item, part if known else None, is_certain=is_certain)
            case _:
                pass

    def _item_kind(self, iterable: ast.expr) -> Kind:
        if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and iterable.func.id == "range":
            return of(int)
        return self._kind(iterable).iterated

    def _kind(self, expression: ast.expr) -> Kind:
        return kind_of(expression, self.kinds)

    def _set(self, name: str, kind: Kind, *, is_certain: bool) -> None:
        self.values.pop(name, None)
        if name in self.annotated:
            return
        self.kinds[name] = kind if is_certain or name not in self.kinds else self.kinds[name] | kind
