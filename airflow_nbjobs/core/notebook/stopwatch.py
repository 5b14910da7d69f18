"""
Whether a time that a notebook reads from the clock only measures how long something takes, is only shown, or seeds a generator.

Called by ``clock_reads``: such a reading makes no difference to what the notebook reports. Names are followed by name alone, through the whole namespace; pure.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.syntax_trees import last_name, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# They give the argument's value in another form: what becomes of their result decides.
_CONVERSIONS = frozenset(
    "int float str repr round abs max min format list tuple dict fromtimestamp utcfromtimestamp Timestamp to_datetime localtime"
    " gmtime ctime asctime strftime join".split()
)
# Methods of a time or of a text that do the same.
_METHODS = frozenset(
    "timestamp isoformat strftime ctime replace astimezone date time normalize floor format round total_seconds to_pydatetime"
    " timetuple split strip lower upper copy tz_localize tz_convert".split()
)
_SHOWN_BY = frozenset(
    "print pprint display Markdown HTML debug info warning warn error critical exception log echo secho set_postfix"
    " set_postfix_str set_description title suptitle len diff seed manual_seed manual_seed_all set_seed set_random_seed default_rng"
    " Random RandomState sleep basicConfig FileHandler RotatingFileHandler SummaryWriter TensorBoard getLogger".split()
)
# Keywords for names that only have to differ each time, for folders of logs and for seeds.
_KEYWORDS = re.compile(
    r"(?:\w*job|run|experiment|trial|endpoint|endpoint_?config|model|model_?package|pipeline|logger)_?name|log_?dir|(?:random_)?seed|random_state|run_id",
    re.IGNORECASE,
)
_STOPWATCH_NAME = re.compile(
    r"(?:.*_)?(?:t_?\d*|tic|toc|start\w*|begin\w*|began|end\w*|stop\w*|since|before|after|last\w*|prev\w*|then|epoch_?time|tick|deadline|timer)"
)
_LOG_FILE = re.compile(r"\.log\b|\blogs?(?:[/_-]|$)", re.IGNORECASE)


class Flow:
    """Follows the values of some calls through all code of one namespace."""

    def __init__(self, trees: Iterable[ast.Module], calls: Iterable[ast.Call]) -> None:
        self._parents: dict[ast.AST, ast.AST] = {}
        self._loads: dict[str, list[ast.expr]] = {}
        self._values: dict[str, list[ast.expr]] = {}
        self._parameters: set[str] = set()
        self._calls_of: dict[str, list[ast.Call]] = {}
        self._tree_of: dict[ast.AST, int] = {}
        self._entries: list[tuple[str, ast.expr]] = []
        # These two belong to the call that is followed now.
        self._is_number = False
        self._seen: set[str] = set()
        for number, tree in enumerate(trees):
            for node in walk(tree):
                self._tree_of[node] = number
                self._note(node)
        # A dict or a list holds what is put into it; a table's column is another thing.
        self._containers = {key for key, values in self._values.items() if any(map(_is_container, values))}
        for key, value in self._entries:
            if key in self._containers:
                self._values[key].append(value)
        self._clock_calls = set(calls)
        self._clock_names: set[str] = set()
        while new := {n for n, values in self._values.items() if any(map(self._is_clock, values))} - self._clock_names:
            self._clock_names |= new

    def _note(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self._parents[child] = node
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._note_target(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                self._note_target(target, value)
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                self._note_target(target, value)
            case ast.arg(arg=name):
                self._parameters.add(name)
            case ast.Call(func=ast.Attribute(attr="append", value=owner), args=[value]) if key := _key(owner):
                self._entries.append((key, value))
            case ast.Call(func=ast.Name(id=name)):
                self._calls_of.setdefault(name, []).append(node)
            case _:
                pass
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and (key := _key(node)):
            self._loads.setdefault(key, []).append(node)

    def _note_target(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its_value in zip(target.elts, value.elts, strict=True):
                self._note_target(one, its_value)
        elif key := _key(target.value if isinstance(target, ast.Subscript) else target):
            if isinstance(target, ast.Subscript):
                self._entries.append((key, value))
            else:
                self._values.setdefault(key, []).append(value)

    def makes_no_difference(self, call: ast.Call, *, is_number: bool) -> bool:
        """
        Whether every way of the call's value ends in a difference of two times, in what is only shown, or in a seed.

        :param is_number: it is a number of seconds (``time.time()``), which is rarely a date: in doubt a stopwatch.
        """
        self._is_number, self._seen = is_number, set()
        return self._is_harmless(call)

    def _is_clock(self, node: ast.expr) -> bool:
        """Whether the expression is a time read from the clock, in whatever form, or moved by some time."""
        match node:
            case ast.Call() if node in self._clock_calls:
                return True
            case ast.Call(func=ast.Attribute(attr=name, value=owner)) if name in _METHODS and self._is_clock(owner):
                return True
            case ast.Call(func=func, args=arguments) if last_name(func) in _CONVERSIONS:
                return any(map(self._is_clock, arguments))
            case ast.Name() | ast.Attribute() if _key(node) in self._clock_names:
                return True
            case ast.Attribute(value=value) | ast.Subscript(value=value):
                return self._is_clock(value)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self._is_clock(left) and not self._is_clock(right)
            case ast.BinOp(left=left, right=right):
                return self._is_clock(left) or self._is_clock(right)
            case ast.Dict(values=values) | ast.List(elts=values) | ast.Tuple(elts=values):
                return any(map(self._is_clock, values))
            case _:
                return False

    def _is_harmless(self, node: ast.expr) -> bool:  # noqa: C901, PLR0912 a case per kind of parent
        parent = self._parents.get(node)

        match parent:
            case ast.Expr():
                return True
            case ast.JoinedStr() | ast.BinOp() | ast.Call() if any(map(_LOG_FILE.search, _texts(parent))):
                return True
            case ast.BinOp(op=ast.Sub()):
                other = parent.right if parent.left is node else parent.left
                return self._is_stopwatch_operand(other) or (self._is_shift(other) and self._is_harmless(parent))
            case ast.Compare():
                others = [side for side in (parent.left, *parent.comparators) if side is not node]
                return all(self._is_stopwatch_operand(side) for side in others)
            case ast.Call():
                return self._is_harmless_call(parent, node)
            case ast.keyword(arg=str()):
                return self._is_harmless_keyword(parent)
            case ast.Attribute(attr=name):
                outer = self._parents.get(parent)
                if isinstance(outer, ast.Call) and outer.func is parent:
                    return name == "append" or (name in _METHODS and self._is_harmless(outer))
                return self._is_harmless(parent)
            case ast.Subscript() if parent.slice is node:
                return False
            case ast.IfExp() if parent.test is node:
                return False
            case (
                ast.BinOp() | ast.UnaryOp() | ast.JoinedStr() | ast.FormattedValue() | ast.IfExp() | ast.Subscript()
                | ast.List() | ast.Tuple() | ast.Dict() | ast.Starred() | ast.BoolOp()
            ):  # fmt: skip
                return self._is_harmless(parent)
            case ast.Assign(targets=targets):
                return self._targets_are_harmless(node, targets)
            case ast.AnnAssign(target=target):
                return self._targets_are_harmless(node, [target])
            case ast.NamedExpr(target=target):
                return self._is_harmless(parent) and self._targets_are_harmless(node, [target])
            case ast.AugAssign():
                return self._is_number
            case ast.Return():
                return self._result_is_harmless(parent)
            case _:
                return False

    def _is_harmless_call(self, call: ast.Call, node: ast.expr) -> bool:
        name = last_name(call.func)
        if name in _SHOWN_BY:
            return True
        if name == "append" and isinstance(call.func, ast.Attribute):
            return self._targets_are_harmless(node, [call.func.value])
        if name == "write" and isinstance(call.func, ast.Attribute):
            return (
                getattr(call.func.value, "attr", "") in {"stdout", "stderr"}
                or getattr(call.func.value, "id", "") == "tqdm"
            )
        if name in _CONVERSIONS or name in _METHODS:
            return self._is_harmless(call)
        return False

    def _is_harmless_keyword(self, keyword: ast.keyword) -> bool:
        call = self._parents.get(keyword)
        name = last_name(call.func) if isinstance(call, ast.Call) else ""
        if name in _SHOWN_BY or _KEYWORDS.fullmatch(keyword.arg or ""):
            return True
        return isinstance(call, ast.Call) and name in (_CONVERSIONS | _METHODS) and self._is_harmless(call)

    def _is_stopwatch_operand(self, other: ast.expr) -> bool:
        """Whether what a time is compared with, or taken from, is a time of this clock as well, as far as can be told."""
        if self._is_clock(other):
            return True
        key = _key(other.value if isinstance(other, ast.Subscript) else other)
        if not key or (isinstance(other, ast.Subscript) and not self._is_number):
            return False
        name = key.lstrip(".")
        is_known = key in self._values and name not in self._parameters
        is_column = isinstance(other, ast.Attribute) and getattr(other.value, "id", "") not in {"self", "cls"}
        return not is_known and ((self._is_number and not is_column) or _STOPWATCH_NAME.fullmatch(name) is not None)

    def _is_shift(self, other: ast.expr) -> bool:
        return not self._is_clock(other) and not isinstance(other, ast.Subscript | ast.Attribute)

    def _targets_are_harmless(self, value: ast.expr, targets: Iterable[ast.expr]) -> bool:
        return all(self._target_is_harmless(value, target) for target in targets)

    def _target_is_harmless(self, value: ast.expr, target: ast.expr) -> bool:
        if isinstance(target, ast.Tuple):
            return self._targets_are_harmless(value, target.elts)
        is_entry = isinstance(target, ast.Subscript)
        key = _key(target.value if isinstance(target, ast.Subscript) else target)
        if not key:
            return False
        if is_entry and key not in self._containers:
            return False
        if key in self._seen:
            return True
        self._seen.add(key)
        loads = [
            load
            for load in self._loads.get(key, ())
            if not self._is_place_of_storage(load) and self._may_hold(value, key, load)
        ]
        if not loads:
            return self._is_number or is_entry
        return all(self._is_harmless(load) for load in loads)

    def _may_hold(self, value: ast.expr, key: str, load: ast.expr) -> bool:
        """False where the last assignment before this use, as the cells are written, gave the name another value."""
        position = self._position(load)
        before = [assigned for assigned in self._values.get(key, ()) if self._end(assigned) < position]
        if not before or key in self._containers:
            return True
        last = max(before, key=self._end)
        return last is value or any(self._is_clock(part) for part in walk(last) if isinstance(part, ast.expr))

    def _position(self, node: ast.expr) -> tuple[int, int, int]:
        return (self._tree_of[node], node.lineno, node.col_offset)

    def _end(self, node: ast.expr) -> tuple[int, int, int]:
        return (self._tree_of[node], node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)

    def _is_place_of_storage(self, load: ast.expr) -> bool:
        """``times`` in ``times["start"] = …`` and in ``times.append(…)``."""
        parent = self._parents.get(load)
        if isinstance(parent, ast.Subscript):
            return isinstance(parent.ctx, ast.Store | ast.Del)
        return isinstance(parent, ast.Attribute) and parent.attr == "append"

    def _result_is_harmless(self, statement: ast.AST) -> bool:
        function: ast.AST | None = statement
        while function is not None and not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            function = self._parents.get(function)
        if function is None or f"{function.name}()" in self._seen:
            return function is not None
        self._seen.add(f"{function.name}()")
        calls = self._calls_of.get(function.name, [])
        return bool(calls) and all(self._is_harmless(call) for call in calls)


def _key(node: ast.expr) -> str:
    """``start`` for a variable, ``.start`` for an attribute of whatever object."""
    if isinstance(node, ast.Name):
        return node.id
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ""


def _is_container(node: ast.expr) -> bool:
    is_made = isinstance(node, ast.Call) and last_name(node.func) in {"dict", "list", "defaultdict", "OrderedDict"}
    return is_made or isinstance(node, ast.Dict | ast.List)


def _texts(node: ast.expr) -> Iterator[str]:
    """The literal parts of a text that is put together: f"…", "…" + x, "…" % x, "…".format(x), join("…", x)."""
    parts = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        parts.append(node.func.value)
    return (part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))
