"""What is asked of syntax trees: the names in them, and that each text is parsed once where that is asked for."""

import ast
import warnings

import pytest

from airflow_nbjobs.core.notebook.syntax_trees import (
    argument_names,
    argument_of,
    children,
    dotted_name,
    full_name,
    imported_names,
    last_name,
    once,
    parse_anew,
    parse_python,
    reading_cells_once,
    walk,
)


def expression(text):
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize("text", ["x = = 1", "a\0b", "(" * 500 + ")" * 500, "-" * 100_000 + "1"])
def test_what_does_not_parse_is_no_tree(text):
    assert parse_python(text) is None
    assert parse_anew(text) is None


def test_an_authors_warnings_are_not_shown():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_python("a = '\\d'\nb = 1 is 1") is not None


def test_a_text_is_parsed_once_within_the_block_and_anew_outside():
    assert parse_python("a = 1") is not parse_python("a = 1")
    with reading_cells_once():
        tree = parse_python("a = 1")
        assert parse_python("a = 1") is tree
        assert parse_python("a = 2") is not tree
        assert parse_anew("a = 1") is not tree
        assert walk(tree) is walk(tree)
    assert parse_python("a = 1") is not tree


def test_an_answer_is_remembered_whatever_it_is_and_each_functions_own():
    asked = []

    @once
    def nothing(text):
        asked.append(text)

    @once
    def length(text):
        asked.append(len(text))
        return len(text)

    with reading_cells_once():
        assert [nothing("ab"), nothing("ab"), length("ab"), length("ab")] == [None, None, 2, 2]
    assert asked == ["ab", 2]
    assert length("ab") == 2
    assert asked == ["ab", 2, 2]


def test_walking_gives_what_the_standard_library_gives_but_the_contexts():
    tree = ast.parse(
        "def f(a, *b: int, c=1, **d) -> str:\n    return [x.y for x in a if x] or {1: b, **d}[c]\nf(*a, k=1)"
    )
    expected = [node for node in ast.walk(tree) if not isinstance(node, ast.expr_context)]
    assert walk(tree) == expected
    assert walk(tree.body[0]) == [node for node in ast.walk(tree.body[0]) if not isinstance(node, ast.expr_context)]
    assert [ast.unparse(node) for node in children(expression("x.y"))] == ["x"]
    assert children(expression("5")) == []


def test_imports_are_names_with_what_they_stand_for():
    tree = ast.parse(
        "import os.path, numpy as np, a.b as c\nfrom datetime import date as d, time\nfrom . import x\nfrom .y import z\nif q:\n    import e"
    )
    assert imported_names(tree) == {
        "os": "os",
        "np": "numpy",
        "c": "a.b",
        "d": "datetime.date",
        "time": "datetime.time",
        "e": "e",
    }


@pytest.mark.parametrize(
    ("text", "dotted", "last"),
    [
        ("a", "a", "a"),
        ("a.b.c", "a.b.c", "c"),
        ("f().c", "", "c"),
        ("a[0]", "", ""),
        ("a[0].b", "", "b"),
        ("1", "", ""),
    ],
)
def test_an_expression_has_a_name(text, dotted, last):
    assert (dotted_name(expression(text)), last_name(expression(text))) == (dotted, last)


@pytest.mark.parametrize(
    ("text", "full"),
    [("dt.date.today", "datetime.date.today"), ("dt", "datetime"), ("other.x", ""), ("f().x", ""), ("dtx.y", "")],
)
def test_a_name_is_an_imports(text, full):
    assert full_name(expression(text), {"dt": "datetime"}) == full


def test_a_function_has_arguments_of_every_kind():
    (function,) = ast.parse("def f(a, /, b, *c, d=1, **e): x = 1").body
    assert argument_names(function) == {"a", "b", "c", "d", "e"}
    (function,) = ast.parse("async def f(): x = 1").body
    assert argument_names(function) == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("f(1, 2)", "2"),
        ("f(1, 2, mode=3)", "2"),
        ("f(1, mode=3)", "3"),
        ("f(1, other=3)", None),
        ("f(1)", None),
        ("f(**x)", None),
    ],
)
def test_an_argument_is_given_by_its_place_or_its_name(text, found):
    given = argument_of(expression(text), 1, "mode")
    assert (given and ast.unparse(given)) == found
