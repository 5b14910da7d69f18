"""A cell's statements as steps: what each binds, and what it reads for that."""

import ast

import pytest

from airflow_nbjobs.core.values.statement_steps import Steps


def steps(source):
    return list(Steps().of(ast.parse(source).body))


def said(source):
    return [(step.line, " ".join(step.binds), " ".join(sorted(step.reads))) for step in steps(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = b + c", [(1, "a", "b c")]),
        ("a = b = c", [(1, "a b", "c")]),
        ("a, b = c, d", [(1, "a", "c"), (1, "b", "d")]),
        ("a, b = c", [(1, "a b", "c")]),
        ("a, *b = c, d", [(1, "a b", "c d")]),
        ("a, b = c, *d", [(1, "a b", "c d")]),
        ("a[b] = c", [(1, "", "a b c")]),
        ("a.b = c", [(1, "", "a c")]),
        ("a: b = c", [(1, "a", "c")]),
        ("a: b", [(1, "", "b")]),
        ("a += b", [(1, "a", "a b")]),
        ("a.b += c", [(1, "", "a c")]),
        ("def a(b=c, *, d=e):\n    return f", [(1, "a", "c e")]),
        ("@a\ndef b(): pass", [(2, "b", "a")]),
        ("@a\nclass b(c):\n    d = e", [(2, "b", "a c e")]),
        ("class a:\n    def b(self, c=d, *, e=f):\n        return g", [(1, "a", "d f")]),
        ("class a:\n    @b\n    async def c(self):\n        return d", [(1, "a", "b")]),
        ("a = (lambda b=c, *, d=e: f)(g)", [(1, "a", "c e g")]),
        ("import a.b, c as d", [(1, "a d", "")]),
        ("from a import b, c as d\nfrom e import *", [(1, "b d", ""), (2, "", "")]),
        ("a.append(b)", [(1, "", "b")]),
        ("a.other(b)", [(1, "", "a b")]),
        ("print(a)", [(1, "", "a print")]),
        ("del a\npass", []),
        ("if a:\n    b = c\nelse:\n    d = e", [(1, "", "a"), (2, "b", "a c"), (4, "d", "a e")]),
        ("while a:\n    b = c", [(1, "", "a"), (2, "b", "a c")]),
        ("for a in b:\n    c = d\nelse:\n    e = f", [(1, "a", "b"), (2, "c", "b d"), (4, "e", "b f")]),
        (
            "try:\n    a = b\nexcept c:\n    d = e\nelse:\n    f = g\nfinally:\n    h = i",
            [(2, "a", "b"), (4, "d", "e"), (6, "f", "g"), (8, "h", "i")],
        ),
        ("with a as b, c as (d, e):\n    f = g", [(1, "b d e", "a c"), (2, "f", "g")]),
        (
            "match a:\n    case [b, *c] if d:\n        e = f",
            [(1, "", "a"), (1, "b c", "a d"), (3, "e", "a f")],
        ),
        ("if (a := b) > 1:\n    c = d", [(1, "a", "b"), (2, "c", "b d")]),
        ("if 'a' in globals():\n    b = 1", [(1, "", "globals"), (2, "b", "a globals")]),
        ("a = lambda b, c=d: e", [(1, "a", "d")]),
        ("a = [b for b in c if d]", [(1, "a", "c d")]),
        ("a = {b: c for b in d for e in f(b)}", [(1, "a", "c d f")]),
        ("def a():\n    return b\nc = a()", [(1, "a", ""), (3, "c", "a b")]),
        ("def a(b):\n    c = 1\n    return b + c + d\ne = a(1)", [(1, "a", ""), (4, "e", "a d")]),
        ("def a():\n    global b\n    b = b + 1\nc = a()", [(1, "a", ""), (4, "c", "a b")]),
        ("def a():\n    return b\nc = a", [(1, "a", ""), (3, "c", "a")]),
    ],
)
def test_each_statement_binds_names_and_reads_others(source, expected):
    assert said(source) == expected


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a.b = 1", [(("a", "a.b"),)]),
        ("a['b'] = 1", [(("a", "a['b']"),)]),
        ("a.b().c[0] = 1", [(("a", "a.b().c[0]"),)]),
        ("a.b, c = 1, 2", [(("a", "a.b"),), ()]),
        ("a.b, c = d", [(("a", "a.b"),)]),
        ("a.b: int = 1", [(("a", "a.b"),)]),
        ("a.b += 1", [(("a", "a.b"),)]),
        ("a.b.append(1)", [(("a", "a.b"),)]),
        ("a.update(x=1)", [(("a", "a"),)]),
        ("a.sort()", [()]),
        ("'x'.append(1)", [()]),
        ("(1).b = 1", [()]),
    ],
)
def test_a_part_of_what_a_name_stands_for_may_be_changed(source, changes):
    assert [step.changes for step in steps(source)] == changes


@pytest.mark.parametrize(
    ("source", "certain", "passing"),
    [
        ("a = 1", [True], [False]),
        ("if x:\n    a = 1", [True, False], [False, False]),
        ("for a in x:\n    b = 1", [False, False], [True, False]),
        ("while x:\n    a = 1", [True, False], [False, False]),
        ("with x as a:\n    b = 1", [True, True], [True, False]),
        ("if y:\n    with x as a:\n        b = 1", [True, False, False], [False, True, False]),
        ("try:\n    a = 1\nfinally:\n    b = 1", [False, True], [False, False]),
        ("match x:\n    case a:\n        b = 1", [True, False, False], [False, False, False]),
    ],
)
def test_a_statement_may_not_run_or_bind_in_passing(source, certain, passing):
    found = steps(source)
    assert [step.is_certain for step in found] == certain
    assert [step.is_passing for step in found] == passing


@pytest.mark.parametrize("name", ["globals", "locals", "vars", "exec", "eval", "get_ipython"])
def test_some_functions_read_every_name(name):
    assert steps(f"a = {name}()")[0].reads_all
    assert not steps(f"a = {name}")[0].reads_all
