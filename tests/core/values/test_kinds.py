"""The type that is read from an expression is the one that Python gives it."""

import ast
import math
import os
import sys
from types import NoneType

import pytest

from airflow_nbjobs.core.values.kinds import UNKNOWN, Kind, annotated_kind, kind_of, of

EXPRESSIONS = """
10 * 1000 | 10**6 | 10**-3 | 1/3 | 7 // 2 | 7.0 // 2 | 7 % 2 | 2 ** 0.5 | -5 | +5 | ~5 | -True | not 0 | not [] | True + 1
True & False | 1 & 3 | 1 << 4 | 1 < 2 | 1 < 2 < 3 | 'a' in 'ab' | None is None | 'a' + 'b' | 'a' * 3 | 3 * 'a' | [0] * 3
[1] + [2] | (1,) + (2,) | {'a': 1} | {1} & {2} | '%d' % 5 | '%s' % (5,) | f'{5}' | f'' | int('3') | float('nan') | str(5)
bool(0) | list('ab') | dict(a=1) | tuple([1]) | set() | len('abc') | round(2.5) | round(2.567, 1) | round(5, 1) | abs(-5) | abs(-5.0)
min(1, 2) | max(1.0, 2.0) | max([1, 2]) | sum([1, 2]) | pow(2, 3) | pow(2, -1) | sorted([2, 1]) | repr(5) | chr(65) | ord('a')
divmod(7, 2) | 'a,b'.split(',') | ','.join(['a']) | ' a '.strip() | 'a'.startswith('a') | 'abc'.find('b') | '{}'.format(5)
1 if True else 2 | 1 and 2 | 0 or 5 | None or 5 | os.environ.get('HOME', 'x') | os.getenv('NO_SUCH', 'x') | math.inf | math.pi
[n for n in range(3)] | {n: n for n in range(3)} | {n for n in range(3)} | (y := 3) | b'a' + b'b' | b'a' * 2 | 1j | os.path.join('a', 'b')
True / 2 | 1 - True | 1 ^ 3 | True ^ True | 5 >> 1 | 1.5 + True | 2.5 - 1 | 2.5 * 2 | 2.5 % 2 | 1j + 1 | 2 - 1j | 1j * 1.5 | 1j / 2 | 1j ** 2
'a' * True | (1,) * 2 | 2 * [0] | {1} - {2} | {1} ^ {2} | +True | -2.5 | round(True) | abs(True) | pow(2.0, 2) | b'a' + b'b' | 'a' 'b' + f'{1}'
'a' not in 'ab' | None is not None | 1 == 1.0 | 'a' < 'b' | None == 1 | [] in [[]] | min(True, False) | max([1.5, 2.5]) | sum([1.5]) | not 'a'
dict() | set([1]) | id(1) | bin(3) | hex(3) | oct(8) | ascii('a') | format(5) | callable(1) | all([])
'a'.upper() | 'A'.lower() | 'a'.title() | 'a'.zfill(3) | 'a'.replace('a', 'b') | 'ab'.splitlines() | 'a b'.rsplit() | 'a'.endswith('a')
'1'.isdigit() | 'a'.isalpha() | 'a'.count('a') | 'a'.rfind('a') | 'a'.index('a') | 'a'.encode() | 'ab'.removeprefix('a') | 'a'.center(3)
math.e | math.tau | math.nan | os.sep | sys.executable | os.getcwd() | os.path.abspath('a') | os.path.basename('a/b') | os.path.dirname('a/b')
os.environ['HOME'] | os.environ.get('HOME', 'x') | 0 or 5 or 6 | [*[1]] | hasattr(1, 'a')
hash('a') | isinstance(1, int) | any([]) | bytes(3) | complex(1) | 1_000 | 0x10 | sys.maxsize | 'a' 'b' | (1, 2) | () | [] | {}
"""


@pytest.mark.parametrize(
    "text", [one.strip() for line in EXPRESSIONS.strip().splitlines() for one in line.split(" | ")]
)
def test_the_type_is_pythons(text):
    value = eval(text, {"os": os, "math": math, "sys": sys})  # noqa: S307 our own texts
    kind = kind_of(ast.parse(text, mode="eval").body, {})
    assert kind.is_known
    assert type(value) in kind.types
    assert len(kind.types) == 1


NOT_KNOWN = """
f() | x | np.int64(5) | a < b | a + 1 | x.y | lambda: 1 | x[0] | 1 @ 2 | 'a' + 1 | 1j // 2 | 2.5 << 1 | 'a' * 2.5
[1] + (2,) | [1] - [2] | {1} + {2} | {'a': 1} & {'a': 1} | -x | -'a' | 1 < x | x < 1 < 2 | abs() | abs('a') | abs(1, 2)
round() | round(x) | round('a', 1) | min() | min(x) | max(1, x) | sum({'a': 1}) | min(x for x in y) | pow(2)
pow(2, 3, 5) | x.upper() | x.split(',') | [1].index(1) | x or 1 | 1 and x | 1 if x else y | np.array | x.environ
(1).real | f()() | foo.join(a, b) | 1 + x | x * 2 | await_(x)
"""


@pytest.mark.parametrize("text", [one.strip() for line in NOT_KNOWN.strip().splitlines() for one in line.split(" | ")])
def test_what_cannot_be_known_is_not_guessed(text):
    assert not kind_of(ast.parse(text, mode="eval").body, {}).is_known


def test_an_expression_of_a_thousand_terms_is_no_crash():
    tree = ast.Constant(1)
    for _ in range(5000):
        tree = ast.BinOp(tree, ast.Add(), ast.Constant(1))
    assert not kind_of(tree, {}).is_known


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("os.getenv('A')", {str, NoneType}),  # None where it is not set
        ("os.environ.get('A')", {str, NoneType}),
        ("environ.get('A')", {str, NoneType}),
        ("getenv('A', 5)", {str, int}),
        ("os.environ.get('A', 5)", {str, int}),
        ("1 if x else 'a'", {int, str}),
        ("None and 5", {NoneType, int}),
        ("'' and 5", {str, int}),
        ("None or 5", {int}),  # None is false
        ("os.getenv('A') or 5", {str, int}),
        ("5 or None", {int, NoneType}),
        ("min(1, 2.5)", {int, float}),
        ("max('a', 'b')", {str}),
        ("min([1, 'a'])", {int, str}),
        ("2 ** (1 + 1)", {int, float}),  # a negative exponent gives a float
        ("(1 if x else 2.5) + 1", {int, float}),
        ("-(1 if x else 2.5)", {int, float}),
    ],
)
def test_an_expression_may_have_one_of_several_types(text, types):
    kind = kind_of(ast.parse(text, mode="eval").body, {})
    assert kind.is_known
    assert kind.types == types


@pytest.mark.parametrize(
    ("text", "names", "types"),
    [
        ("x", {"x": of(int)}, {int}),
        ("x + 1.5", {"x": of(int)}, {float}),
        ("x.upper()", {"x": of(str)}, {str}),
        ("'%s' % x", {}, {str}),
        ("len(x)", {"len": UNKNOWN}, set()),  # the cell has its own len
        ("abs(1)", {"abs": UNKNOWN}, set()),
        ("dict(a=1)", {"dict": UNKNOWN}, set()),
        ("math.pi", {"math": UNKNOWN}, {float}),  # imported
        ("math.pi", {"math": of(str)}, set()),
        ("os.path.join('a')", {"os": of(int)}, set()),
        ("day.isoformat()", {}, {str}),
        ("datetime.now().strftime('%Y')", {}, {str}),
        ("(y := x)", {"x": of(list)}, {list}),
    ],
)
def test_the_names_of_the_cell_count(text, names, types):
    kind = kind_of(ast.parse(text, mode="eval").body, names)
    assert kind.types == types
    assert kind.is_known == bool(types)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[1, 2]", {int}),
        ("(1, 'a')", {int, str}),
        ("{1.5}", {float}),
        ("[1] + [2]", {int}),
        ("[1] if x else 'a'", {int}),
        ("'a' if x else [1]", {int}),
        ("[1] if x else [2.5]", {int, float}),
        ("[]", None),
    ],
)
def test_the_items_of_a_list_have_a_type(text, items):
    found = kind_of(ast.parse(text, mode="eval").body, {}).items
    assert (found and found.types) == items


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("{'a': 1, 'b': 'x'}", {"a": {int}, "b": {str}}),
        ("dict(a=1, b=2.5)", {"a": {int}, "b": {float}}),
        ("{1: 2, x: 3, 'a': 4, **more}", {"a": {int}}),
        ("dict(a=1, **more)", {"a": {int}}),
        ("{'a': 1} if x else {'a': 1}", {"a": {int}}),
        ("{'a': 1} if x else {'a': 2.5}", {}),
        ("dict([('a', 1)])", {}),
    ],
)
def test_the_entries_of_a_written_dict_have_types(text, entries):
    kind = kind_of(ast.parse(text, mode="eval").body, {})
    assert kind.only(dict)
    assert {key: value.types for key, value in kind.entries.items()} == entries


def annotated(text: str) -> Kind | None:
    return annotated_kind(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("int", {int}),
        ("str", {str}),
        ("typing.Text", {str}),
        ("None", {NoneType}),
        ("'None'", {NoneType}),
        ("'float'", {float}),  # as "from __future__ import annotations" has it
        ("List[int]", {list}),
        ("typing.Sequence[int]", {list}),
        ("dict[str, int]", {dict}),
        ("Mapping", {dict}),
        ("Tuple[int, ...]", {tuple}),
        ("frozenset", {set}),
        ("int | None", {int, NoneType}),
        ("int | float | str", {int, float, str}),
        ("Optional[bool]", {bool, NoneType}),
        ("Union[int, str]", {int, str}),
        ("Annotated[int, 'rows']", {int}),
        ("Final[str]", {str}),
        ("Literal['a', 1]", {str, int}),
        ("Literal['a'] | None", {str, NoneType}),
    ],
)
def test_an_annotation_names_the_types(text, types):
    kind = annotated(text)
    assert kind is not None
    assert kind.is_known
    assert kind.types == types


@pytest.mark.parametrize("text", ["Any", "object", "typing.Any", "Annotated[Any, 1]", "Any | int"])
def test_an_annotation_that_admits_anything_says_so(text):
    kind = annotated(text)
    assert kind is not None
    assert not kind.is_known


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Path",
            "pd.DataFrame",
            "Path | None",
            "Literal[Color.RED]",
            "Literal[1.5j]",
            "Literal[-x]",
            "'not python'",
            "'a = 1'",
        ),
        *("'int; str'", "''", "Path[int]", "Annotated[Path, 1]", "f()", "5", "Annotated[()]", "int & str"),
    ],
)
def test_an_annotation_that_tells_no_type_leaves_it_to_the_default(text):
    assert annotated(text) is None


def test_a_union_with_another_class_admits_texts_where_it_names_them():
    kind = annotated("str | Path | int")
    assert kind is not None
    assert kind.types == {str, int}
    assert not kind.is_known


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("Literal['a', 'b']", ("a", "b")),
        ("Literal[-1, 1]", (-1, 1)),
        ("Literal['a'] | Literal['b']", ("a", "b")),
        ("Literal['a', None]", ("a", None)),
        ("Literal['a'] | None", ("a", None)),
        ("None | Literal['a']", (None, "a")),
        ("Optional[Literal['a', 'b']]", ("a", "b", None)),
        ("Literal['a', 'b'] | Literal['b']", ("a", "b")),
        ("Literal['a'] | int", ()),  # any int is right
        ("int | Literal['a']", ()),
        ("int | None", ()),
        ("str", ()),
    ],
)
def test_a_literal_names_the_choices(text, choices):
    kind = annotated(text)
    assert kind is not None
    assert kind.choices == choices


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("list[int]", {int}),
        ("List[int | str]", {int, str}),
        ("dict[str, float]", {float}),  # of its values
        ("tuple[int, ...]", {int}),
        ("tuple[int, str]", {int, str}),
        ("set[str]", {str}),
        ("list[int] | None", {int}),
        ("None | list[int]", {int}),
        ("list[int] | list[str]", {int, str}),
        ("list[Path]", None),
        ("dict[str, Path]", None),
        ("list", None),
    ],
)
def test_an_annotation_tells_the_types_of_the_items(text, items):
    kind = annotated(text)
    assert kind is not None
    assert (kind.items and kind.items.types) == items


def test_what_is_iterated_over_is_an_item_and_of_a_dict_a_key():
    assert annotated("list[int]").iterated.types == {int}
    assert annotated("dict[str, int]").iterated == UNKNOWN
    assert annotated("list").iterated == UNKNOWN


def test_only_is_said_of_known_types_alone():
    assert of(int).only(int, float)
    assert not of(int, str).only(int)
    assert not of().only(int)
    assert not Kind(frozenset({int})).only(int)
