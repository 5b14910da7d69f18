"""The type that is read from an expression is the one that Python gives it."""

import ast
import math
import os
import sys

import pytest

from airflow_nbjobs.core.values.kinds import kind_of

EXPRESSIONS = """
10 * 1000 | 10**6 | 10**-3 | 1/3 | 7 // 2 | 7.0 // 2 | 7 % 2 | 2 ** 0.5 | -5 | +5 | ~5 | -True | not 0 | not [] | True + 1
True & False | 1 & 3 | 1 << 4 | 1 < 2 | 1 < 2 < 3 | 'a' in 'ab' | None is None | 'a' + 'b' | 'a' * 3 | 3 * 'a' | [0] * 3
[1] + [2] | (1,) + (2,) | {'a': 1} | {1} & {2} | '%d' % 5 | '%s' % (5,) | f'{5}' | f'' | int('3') | float('nan') | str(5)
bool(0) | list('ab') | dict(a=1) | tuple([1]) | set() | len('abc') | round(2.5) | round(2.567, 1) | round(5, 1) | abs(-5) | abs(-5.0)
min(1, 2) | max(1.0, 2.0) | max([1, 2]) | sum([1, 2]) | pow(2, 3) | pow(2, -1) | sorted([2, 1]) | repr(5) | chr(65) | ord('a')
divmod(7, 2) | 'a,b'.split(',') | ','.join(['a']) | ' a '.strip() | 'a'.startswith('a') | 'abc'.find('b') | '{}'.format(5)
1 if True else 2 | 1 and 2 | 0 or 5 | None or 5 | os.environ.get('HOME', 'x') | os.getenv('NO_SUCH', 'x') | math.inf | math.pi
[n for n in range(3)] | {n: n for n in range(3)} | {n for n in range(3)} | (y := 3) | b'a' + b'b' | b'a' * 2 | 1j | os.path.join('a', 'b')
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


@pytest.mark.parametrize(
    "text", ["f()", "x", "np.int64(5)", "a < b", "a + 1", "x.y", "lambda: 1", "x[0]", "1 @ 2", "'a' + 1"]
)
def test_what_cannot_be_known_is_not_guessed(text):
    assert not kind_of(ast.parse(text, mode="eval").body, {}).is_known


def test_an_expression_of_a_thousand_terms_is_no_crash():
    tree = ast.Constant(1)
    for _ in range(5000):
        tree = ast.BinOp(tree, ast.Add(), ast.Constant(1))
    assert not kind_of(tree, {}).is_known
