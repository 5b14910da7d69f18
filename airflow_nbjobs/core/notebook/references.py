"""
Modules, files and folders that a notebook names, as far as literals show it: for a warning about what lies beside it and is not shipped.

Called by ``aws/submit``. Pure: whether a name exists is asked by the caller.
"""

from __future__ import annotations

import ast
import posixpath
import re
from typing import TYPE_CHECKING, Literal

import msgspec

from airflow_nbjobs.core.notebook.cell_syntax import SHELL_CELL_MAGICS, CellSource, split_cell
from airflow_nbjobs.core.notebook.path_texts import files_of_command, looks_like_path, path_words, relative_path
from airflow_nbjobs.core.notebook.source import code_cells, source_of
from airflow_nbjobs.core.notebook.syntax_trees import argument_of, last_name, parse_python, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbformat import NotebookNode

    Use = Literal["read", "write", "neither"]

_WRITES = re.compile(
    r"(?:to_\w+|save\w*|\w+_save|imsave|imwrite|dump|write\w*|touch|mkdir|makedirs|ExcelWriter|\w*FileHandler|export\w*|ParquetWriter)"
)
_LAST_IS_WRITTEN = re.compile(r"(?:urlretrieve|download_file\w*|download|copy\w*|move|rename|replace)")
_LOOKS_ONLY = frozenset("exists isfile isdir is_file is_dir remove unlink rmtree print info Markdown HTML".split())
# Where a bare word is a folder's name, not just any text.
_TAKES_FOLDER = frozenset("listdir scandir walk glob iglob ImageFolder chdir copytree addsitedir".split())
_FOLDER_KEYWORD = re.compile(r"\w*(?:dir|directory|folder)", re.IGNORECASE)
_FOLDER_VARIABLE = re.compile(r"\w*(?:dir|directory|folder|path|root)s?", re.IGNORECASE)


class References(msgspec.Struct, frozen=True):
    """What the cells name of the world outside the notebook; a name in here need not exist."""

    imports: frozenset[str]  # modules with all their dots; ``from a import b`` gives ``a`` and ``a.b``
    # relative names, normalised, of files and folders that are not written before they are read; ``../x`` for one above the notebook's folder
    file_names: frozenset[str]
    search_folders: tuple[str, ...]  # relative folders that the cells add to ``sys.path``
    written: frozenset[str]  # names that are written before they are read


def code_references(nb: NotebookNode) -> References:
    """What the notebook's cells name, in Python, in magics and in shell commands."""
    found = _Found()
    for _, cell in code_cells(nb):
        found.add_cell(split_cell(source_of(cell)))
    return found.references()


def script_imports(text: str) -> frozenset[str]:
    """What a Python script imports, by absolute name, as in ``References.imports``."""
    tree = parse_python(text)
    return frozenset() if tree is None else frozenset(_imports(tree))


class _Found(msgspec.Struct):
    imports: set[str] = msgspec.field(default_factory=set)
    first_use: dict[str, Use] = msgspec.field(default_factory=dict)
    constants: dict[str, str] = msgspec.field(default_factory=dict)
    unused: dict[str, str] = msgspec.field(default_factory=dict)
    search_folders: dict[str, None] = msgspec.field(default_factory=dict)
    paths: set[str] = msgspec.field(default_factory=set)  # names of variables that hold a Path
    filled: set[str] = msgspec.field(default_factory=set)  # folders that a command has filled

    def references(self) -> References:
        for path in self.unused.values():
            self.use(path, "read")
        return References(
            imports=frozenset(self.imports),
            file_names=frozenset(name for name, use in self.first_use.items() if use == "read"),
            search_folders=tuple(self.search_folders),
            written=frozenset(name for name, use in self.first_use.items() if use == "write"),
        )

    def use(self, path: str, use: Use) -> None:
        if use != "neither" and (name := relative_path(path)):
            if self.filled and any(folder in (".", name) or name.startswith(f"{folder}/") for folder in self.filled):
                use = "write"
            self.first_use.setdefault(name, use)

    def add_cell(self, cell: CellSource) -> None:  # noqa: C901, PLR0912 a case per kind of magic
        for magic in cell.cell_magics:
            name, _, rest = magic.partition(" ")
            if name in {"writefile", "file"}:
                for word in rest.split():
                    self.use(word.strip("'\""), "write")
            elif name in SHELL_CELL_MAGICS:
                for command in cell.body.replace("\\\n", "  ").split("\n"):
                    self.add_command(command)
        for magic in cell.magics:
            if magic.startswith("!"):
                self.add_command(magic.lstrip("!"))
            elif (found := re.match(r"%(?:load_ext|reload_ext)\s+([\w.]+)", magic)) or (
                found := re.match(r"%run\s+(?:-\w+\s+)*?-m\s+([\w.]+)", magic)
            ):
                self.imports.add(found[1])
            elif found := re.match(r"%(?:cd|pushd)\s+(?:-q\s+)?[\"']?([\w. /-]+?)[\"']?$", magic):
                if found[1].strip("./ ") and not found[1].startswith("-"):
                    self.use(found[1], "read")  # what lies in there is looked for under other names
            elif not re.match(r"%(?:cd|pushd|timeit|time|prun)\b", magic):
                for word in path_words(magic[1:]):
                    self.use(word, "read")
        for tree in cell.trees:
            self.imports.update(_imports(tree))
            self.add_python(tree)

    def add_command(self, command: str) -> None:
        files = files_of_command(command)
        self.imports.update(files.modules)
        self.filled.update(files.filled)
        for path in files.read:
            self.use(path, "read")
        for path in files.written:
            self.use(path, "write")

    def add_python(self, tree: ast.Module) -> None:
        """Walk the statements in their order, each expression with the use that its call makes of it."""
        for statement in tree.body:
            self._visit(statement, "read")

    def _visit(self, node: ast.AST, use: Use) -> None:  # noqa: C901, PLR0912 a case per kind of node
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (path := self._constant(value)) is not None:
                self.constants[name] = path
                self.paths.discard(name)
                if _is_made_path(value):
                    self.paths.add(name)
                if name in self.paths or looks_like_path(path) or _FOLDER_VARIABLE.fullmatch(name):
                    self.unused[name] = path
                return
            case ast.Name(id=name, ctx=context) if name in self.constants:
                if isinstance(context, ast.Load):
                    self._use_constant(name, use)
                else:
                    del self.constants[name]
                return
            case ast.Call():
                self._visit_call(node, use)
                return
            case ast.Expr(value=ast.Constant()):
                return  # a docstring
            case ast.JoinedStr():
                self._are_used(node)
                beginning, is_whole = self._beginning(node)
                if is_whole and looks_like_path(beginning):
                    self.use(beginning, use)
                elif "/" in beginning and not is_whole:
                    self.use(beginning[: beginning.rindex("/") + 1], use)
                return
            case ast.BinOp() | ast.Constant() if (path := self._constant(node)) is not None:
                self._are_used(node)
                if looks_like_path(path) or _is_made_path(node):
                    self.use(path, use)
                return
            case _:
                pass
        for child in ast.iter_child_nodes(node):
            self._visit(child, use if not isinstance(node, ast.stmt) else "read")

    def _beginning(self, text: ast.JoinedStr) -> tuple[str, bool]:
        """What is literal at the beginning of an f-string, and whether that is all of it."""
        beginning = ""
        for part in text.values:
            value = part.value if isinstance(part, ast.FormattedValue) and part.format_spec is None else part
            constant = self._constant(value) if isinstance(value, ast.Constant | ast.Name) else None
            if constant is None:
                return beginning, False
            beginning += constant
        return beginning, True

    def _are_used(self, node: ast.AST) -> None:
        for inner in walk(node):
            if isinstance(inner, ast.Name):
                self.unused.pop(inner.id, None)

    def _use_constant(self, name: str, use: Use) -> None:
        self.unused.pop(name, None)
        path = self.constants[name]
        if name in self.paths or looks_like_path(path) or _FOLDER_VARIABLE.fullmatch(name):
            self.use(path, use)

    def _visit_call(self, call: ast.Call, use: Use) -> None:
        name = last_name(call.func)
        path = self._constant(call)
        if path is not None:  # os.path.join("data", "x.csv"), Path("data")
            self._are_used(call)
            if looks_like_path(path) or name == "Path":
                self.use(path, use)
            return
        if isinstance(call.func, ast.Attribute):
            if name in {"append", "insert", "extend"} and getattr(call.func.value, "attr", "") == "path":  # sys.path
                self._use_folders(call.args, for_imports=True)
                return
            self._visit(call.func.value, _use_of_owner(name, call, use))
        uses = _uses_of_arguments(name, call)
        for argument, its_use in zip(call.args, uses, strict=True):
            if name in _TAKES_FOLDER and isinstance(argument, ast.Constant):
                self._use_folders([argument])
            else:
                self._visit(argument, its_use)
        for keyword in call.keywords:
            if keyword.arg and _FOLDER_KEYWORD.fullmatch(keyword.arg):
                self._use_folders([keyword.value])
            self._visit(keyword.value, uses[0] if uses and uses[0] != "read" else _use_of_keywords(name))

    def _use_folders(self, nodes: Iterable[ast.expr], *, for_imports: bool = False) -> None:
        for node in nodes:
            for inner in node.elts if isinstance(node, ast.List | ast.Tuple) else [node]:
                self._are_used(inner)
                # The text may lie deeper, in abspath() or str(); the first one is the folder.
                texts = [text for part in walk(inner) if isinstance(part, ast.expr) and (text := self._constant(part))]
                if texts:
                    self.use(texts[0], "read")
                    if for_imports and not texts[0].startswith(("/", "~")):
                        self.search_folders[posixpath.normpath(texts[0])] = None

    def _constant(self, node: ast.expr) -> str | None:
        """The text of a literal, or of a path that is put together from literals."""
        first = node
        while isinstance(first, ast.BinOp):  # of a sum of a thousand names, one look says that it is none
            if not isinstance(first.right, ast.BinOp) and self._constant(first.right) is None:
                return None
            first = first.left
        if first is not node and self._constant(first) is None:
            return None
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=name):
                return self.constants.get(name)
            case ast.BinOp(left=left, op=ast.Div() | ast.Add() as operator, right=right):
                beginning, end = self._constant(left), self._constant(right)
                if beginning is None or end is None:
                    return None
                return posixpath.join(beginning, end) if isinstance(operator, ast.Div) else beginning + end
            case ast.Call(
                func=ast.Name(id="Path") | ast.Attribute(attr="Path" | "join"), args=[_, *_] as arguments, keywords=[]
            ) if not (isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant)):
                texts = [self._constant(argument) for argument in arguments]
                return None if None in texts else posixpath.join(*[text for text in texts if text is not None])
            case _:
                return None


def _uses_of_arguments(name: str, call: ast.Call) -> list[Use]:
    count = len(call.args)
    if name in _LOOKS_ONLY:
        return ["neither"] * count
    if name == "open" and isinstance(call.func, ast.Name):
        return ["write" if _opens_for_writing(call, 1) else "read"] * count
    if _WRITES.fullmatch(name):
        return ["write"] * count
    if name.startswith("download") and count > 1:
        return [*["neither"] * (count - 1), "write"]  # type: ignore[list-item] # a bucket and a key, or a URL
    if _LAST_IS_WRITTEN.fullmatch(name) and count > 1:
        return [*["read"] * (count - 1), "write"]  # type: ignore[list-item] # mypy takes the list for one of str
    return ["read"] * count


def _is_made_path(node: ast.expr) -> bool:
    """Whether it is ``Path("data")``, which a bare word is in no doubt."""
    match node:
        case ast.Call(func=ast.Name(id="Path") | ast.Attribute(attr="Path")):
            return True
        case ast.BinOp(left=left, op=ast.Div()):
            return _is_made_path(left)
        case _:
            return False


def _use_of_keywords(name: str) -> Use:
    return "write" if _WRITES.fullmatch(name) else "neither" if name in _LOOKS_ONLY else "read"


def _use_of_owner(name: str, call: ast.Call, use: Use) -> Use:
    """What ``Path("x").write_text(…)`` does with the path."""
    if name == "open":
        return "write" if _opens_for_writing(call, 0) else "read"
    if name in {"write_text", "write_bytes", "touch", "mkdir"}:
        return "write"
    return "neither" if name in _LOOKS_ONLY else use


def _opens_for_writing(call: ast.Call, position: int) -> bool:
    given = argument_of(call, position, "mode")
    return isinstance(given, ast.Constant) and isinstance(given.value, str) and bool(set(given.value) & set("wax"))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=str(module), level=0, names=aliases):
                yield module
                yield from (f"{module}.{alias.name}" for alias in aliases if alias.name != "*")
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module" | "run_module"),
                args=[ast.Constant(value=str(module)), *_],
            ) if not module.startswith("."):
                yield module
            case _:
                pass
