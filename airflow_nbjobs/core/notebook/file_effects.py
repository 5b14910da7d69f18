"""
What a cell may do to the files beside a notebook, and to its working directory, before a later cell looks for one there.

Called by ``run_targets``: a file that is not there yet is no error where something before it may make it. Pure.
"""

from __future__ import annotations

import ast
import posixpath
import re
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.notebook.source import HARMLESS_LINE_MAGICS
from airflow_nbjobs.core.notebook.syntax_trees import argument_of, last_name, walk
from airflow_nbjobs.core.texts import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.core.notebook.cell_syntax import CellSource

_SHOWN_CHARACTERS = 60
# Commands that leave no file for %run to find, whatever they are given; a redirection may make one.
_HARMLESS_COMMANDS = frozenset(
    "apt apt-get cat cd conda date df du echo env exit export file find free grep head hostname id kill ls lscpu mamba micromamba"
    " nproc nvidia-smi pip pip3 printenv printf ps pwd rm set sleep stat tail top true type uname uptime wc which whoami yum".split()
)
_HARMLESS_INVOCATIONS = re.compile(
    r"(?:python3?(?:\.\d+)? (?:-m (?:pip|venv)\b|-V|--version)|uv pip|git (?:config|status|log|branch|diff|--version)"
    r"|aws (?:configure|sts|s3 ls|--version)|jupyter (?:--version|kernelspec|labextension|nbextension)|\S+ --version$)"
)
_HARMLESS_CELL_MAGICS = frozenset("HTML SVG html javascript js latex markdown svg time timeit prun capture sql".split())
# Functions that make a file, or change where one is looked for, without its name among the arguments.
_ALWAYS = re.compile(
    r"(?:chdir|system|popen|Popen|check_call|check_output|getoutput|exec|eval|extract\w*|unpack\w*|clone\w*|checkout|execute_notebook"
    r"|run_line_magic|run_cell_magic|run_cell|magic|sx|\w*download\w*|\w*fetch\w*|sync|pull)"
)
# Functions that make the file which an argument names.
_NAMED = re.compile(
    r"(?:open|write_\w+|touch|rename|replace|link|symlink|symlink_to|hardlink_to|copy\w*|move|urlretrieve|\w*get_file|\w*export\w*|\w*save\w*)"
)
_LOOKS_ONLY = frozenset({"print", "join", "exists", "isfile", "info", "warning", "format"})
_MODULES_OF_COMMON_NAMES = {"run": "subprocess", "call": "subprocess", "replace": "os", "write": "nbformat", "save": ""}
_FILE_NAME = re.compile(r"[^\s*?<>|]+\.\w{1,8}")
_CODE_SUFFIXES = (".py", ".ipynb", ".ipy")


class FileEffect(msgspec.Struct, frozen=True):
    """Something that may make a file, or change the working directory."""

    line: int  # of the cell, counted from 1
    shown: str  # how a message names it
    makes: frozenset[str] | None  # base names of what it makes, as far as they are literal; None where it may make any
    enters: str | None = None  # the folder that it makes the working directory, where that is literal

    def may_make(self, name: str) -> bool:
        return self.makes is None or posixpath.basename(name) in self.makes


def file_effects(cell: CellSource) -> Iterator[FileEffect]:
    """The effects of one cell, in no order. What a called function does is not followed beyond its name."""
    for magic in cell.cell_magics:
        yield from _effects_of_cell_magic(magic, cell.body)
    for line, magic in zip(cell.lines, cell.magics, strict=True):
        effect = _effect_of_magic(magic, line)
        if effect is not None:
            yield effect
    for tree in cell.trees:
        yield from _effects_of_python(tree)


def _effects_of_cell_magic(magic: str, body: str) -> Iterator[FileEffect]:
    name, _, rest = magic.partition(" ")
    shown = _shown(f"%%{magic}")
    if name in {"writefile", "file"}:
        words = [word for word in rest.split() if not word.startswith("-")]
        yield FileEffect(1, shown, _made(" ".join(words).strip("'\"")))
    elif name in {"bash", "sh", "!", "sx", "system"}:
        for number, command in enumerate([rest if name == "!" else "", *body.replace("\\\n", "  ").split("\n")], 1):
            if _may_make(command):
                yield FileEffect(number, _shown(f"%%{name}: {command.strip()}"), None)
    elif name not in _HARMLESS_CELL_MAGICS:
        yield FileEffect(1, shown, None)


def _effect_of_magic(magic: str, line: int) -> FileEffect | None:
    shown = _shown(magic)
    if magic.startswith("!"):
        return FileEffect(line, shown, None) if _may_make(magic.lstrip("!")) else None
    found = re.match(r"%+(\w*)\s*(.*)", magic, re.DOTALL)
    if found is None:  # a question for help
        return None
    name, argument = found[1], found[2].strip()
    if name in {"cd", "pushd"}:
        folder = argument.strip("'\"")
        return FileEffect(line, shown, None, enters=folder if re.fullmatch(r"[\w. /-]+", folder) else None)
    if name in {"sx", "system"}:
        return FileEffect(line, shown, None) if _may_make(argument) else None
    # ``run_targets`` reads the files that %run executes.
    is_harmless = name in HARMLESS_LINE_MAGICS or name in {"prun", "load", "capture", "store", "reset", "pinfo", "sql"}
    return None if is_harmless else FileEffect(line, shown, None)


def _may_make(command: str) -> bool:
    if re.search(r"[`]|\$\(", command):
        return True
    command = re.sub(r"'[^']*'|\"[^\"]*\"", "''", command)  # "pandas>=2" is no redirection
    if re.search(r"(?<![0-9&<-])>(?!\s*(?:/dev/null|[&=]))", command):
        return True
    return any(
        not _is_harmless(part)
        for part in re.split(r"&&|\|\|?|;|&(?!>)", re.sub(r"\d?>&\d|&?>\s*/dev/null", "", command))
    )


def _is_harmless(command: str) -> bool:
    command = re.sub(r"^\s*(?:(?:sudo|time|exec|[A-Za-z_]\w*=\S*)\s+)*", "", command).strip()
    if not command or command.startswith("#"):
        return True
    return command.split()[0] in _HARMLESS_COMMANDS or _HARMLESS_INVOCATIONS.match(command) is not None


def _effects_of_python(tree: ast.Module) -> Iterator[FileEffect]:
    for node in walk(tree):
        magic = as_magic(node)
        if magic is not None:
            effect = _effect_of_magic(magic, getattr(node, "lineno", 1))
            if effect is not None:
                yield effect
        elif isinstance(node, ast.Call):
            name = last_name(node.func)
            base = node.func.value if isinstance(node.func, ast.Attribute) else None
            if _may_have_effect(name, base, node):
                yield _effect_of_call(name, node)
            elif name not in _LOOKS_ONLY and (targets := _code_among(node.args)):
                # fs.get("s3://b/helper.py", "helper.py"): whatever is given the name may make it.
                yield FileEffect(node.lineno, _shown(ast.unparse(node)), targets)


def _code_among(arguments: list[ast.expr]) -> frozenset[str]:
    """Base names of code among all arguments but the first, which says where a fetched file comes from."""
    texts = [one.value for one in arguments[1:] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return frozenset(posixpath.basename(text) for text in texts if text.endswith(_CODE_SUFFIXES))


def as_magic(node: ast.AST) -> str | None:
    """The magic that ``get_ipython().run_line_magic("cd", "x")`` and its like stand for, where that is literal."""
    match node:
        case ast.Call(
            func=ast.Attribute(attr="run_line_magic" | "magic"),
            args=[ast.Constant(value=str(name)), ast.Constant(value=str(arguments)), *_],
        ):
            return f"%{name} {arguments}"
        case ast.Call(func=ast.Attribute(attr="magic"), args=[ast.Constant(value=str(text))]):
            return f"%{text.lstrip('%')}"
        case ast.Call(
            func=ast.Attribute(attr="system" | "getoutput", value=ast.Call(func=ast.Name(id="get_ipython"))),
            args=[ast.Constant(value=str(command))],
        ):
            return f"!{command}"
        case _:
            return None


def _may_have_effect(name: str, base: ast.expr | None, call: ast.Call) -> bool:
    module = _MODULES_OF_COMMON_NAMES.get(name)
    if module is not None:
        return isinstance(base, ast.Name) and base.id == module
    if name == "open":
        return _may_write(
            call, mode=1 if base is None or (isinstance(base, ast.Name) and base.id in {"io", "codecs"}) else 0
        )
    return bool(_ALWAYS.fullmatch(name) or _NAMED.fullmatch(name))


def _may_write(call: ast.Call, *, mode: int) -> bool:
    given = argument_of(call, mode, "mode")
    if given is None:
        return any(keyword.arg is None for keyword in call.keywords)
    return not (isinstance(given, ast.Constant) and isinstance(given.value, str) and not set(given.value) & set("wax+"))


def _effect_of_call(name: str, call: ast.Call) -> FileEffect:
    shown = _shown(ast.unparse(call))
    texts = [node.value for node in walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if _ALWAYS.fullmatch(name) or name in {"run", "call"}:
        enters = (
            texts[0]
            if name == "chdir" and len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and texts
            else None
        )
        return FileEffect(call.lineno, shown, None, enters=enters)
    names = frozenset(posixpath.basename(text) for text in texts if _FILE_NAME.fullmatch(text))
    # A call with the literal name of a data file makes no code; one whose name is put together at run time may make any file.
    return FileEffect(call.lineno, shown, None if not names or _has_name_of_code(names) else names)


def _has_name_of_code(names: frozenset[str]) -> bool:
    return any(name.endswith(_CODE_SUFFIXES) for name in names)


def _made(name: str) -> frozenset[str] | None:
    return None if not name or re.search(r"[{}$]", name) else frozenset({posixpath.basename(name)})


def _shown(text: str) -> str:
    return shortened(" ".join(text.split()), _SHOWN_CHARACTERS)
