"""Texts for parameters of other types: what Jinja renders, and what a command line gives."""

import json
import math

import pytest

from airflow_nbjobs.core.notebook.document import code_cell, parse_notebook
from airflow_nbjobs.core.values.conversion import Spelled, read_json
from airflow_nbjobs.core.values.parameters import check_parameters


def notebook_of(cell):
    cells = [code_cell(cell, {"tags": ["parameters"]})]
    metadata = {"kernelspec": {"name": "python3"}}
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells})
    return parse_notebook(text, source="nb.ipynb")


def check(cell, value):
    """Check a value of x for a ``parameters`` cell."""
    return check_parameters(notebook_of(cell), {"x": value}, kernel_name="python3", unknown="error")


def exact(value):
    return f"{type(value).__name__} {value!r}"


@pytest.mark.parametrize(
    ("cell", "text", "value"),
    [
        *[
            (f"x = {default}", "7", 7)
            for default in ("10 * 1000", "10**6", "2**10 // 3", "-(5 + 3)", "~1", "+1", "0x10")
        ],
        *[
            (f"x = {default}", "7", 7)
            for default in ("int(3)", "len('abc')", "round(2.5)", "max(1, 2)", "5 if 1 else 6")
        ],
        *[
            (f"x = {default}", "7", 7)
            for default in ("int(os.environ.get('N', '5'))", "1 + True", "ord('a')", "abs(-3)")
        ],
        *[(f"x = {default}", "7", 7.0) for default in ("1/3", "10**-3", "1e3", "float('nan')", "2 * 0.5", "math.inf")],
        *[(f"x = {default}", "true", True) for default in ("not False", "2 > 1", "bool(1)", "3 in y", "z is None")],
        *[("a, x = 3, 4", "7", 7), ("(a, x), b = (1, 2.0), 3", "7", 7.0), ("a = x = 3", "7", 7), ("(x := 3)", "7", 7)],
        *[("n = 3\nx = n * 1000", "7", 7), ("x = 2\nx += 3", "7", 7), ("x: int\nx = f()", "7", 7), ("x: int", "7", 7)],
        ("if prod:\n    x = 3\nelse:\n    x = 5", "7", 7),
        ("try:\n    x = int(y)\nexcept NameError:\n    x = 3", "7", 7),
        ("with open('f') as f:\n    x = 3", "7", 7),
        ("for x in range(3):\n    pass", "7", 7),
        *[(f"sizes{sizes}\nfor x in sizes:\n    pass", "7", 7) for sizes in (" = [1, 2]", ": tuple[int, ...] = f()")],
        ("match y:\n    case 3:\n        x = 4", "7", 7),
        ("x = None\nif y:\n    x = 5", "None", None),
    ],
)
def test_a_default_that_is_an_expression_says_its_type(cell, text, value):
    checked = check(cell, text)
    assert exact(checked.values["x"]) == exact(value)
    assert (checked.problems, checked.warnings) == ((), ())
    assert f"the text {text!r} is passed as" in checked.notes[0]


@pytest.mark.parametrize(
    "default",
    [
        *("f'{day}/x'", "'a' + 'b'", "'5' * 3", "'%s' % y", "'{}'.format(y)", "str(5)", "os.environ['N']"),
        *("os.getenv('N', '5')", "date.today().strftime('%Y')", "'a,b'.upper()", "os.path.join(a, 'b')"),
    ],
)
def test_an_expression_that_makes_a_text_keeps_texts(default):
    checked = check(f"import os\nx = {default}", "007")
    assert checked.values == {"x": "007"}
    assert (checked.problems, checked.warnings, checked.notes) == ((), (), ())
    assert check(f"import os\nx = {default}", "7").values == {"x": "7"}


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        *[("int | None", "7", 7), ("None | int", "None", None), ("'int | None'", "null", None)],
        *[("Optional[int]", "7", 7), ("typing.Optional[float]", "7", 7.0), ("Union[int, None]", "None", None)],
        *[("Annotated[int, 'rows']", "7", 7), ("Final[int]", "7", 7), ("Literal[1, 2]", "2", 2)],
        *[("Union[int, float]", "7", 7), ("int | float", "7.5", 7.5), ("bool | int", "true", True)],
        *[("list[int]", "[1, 2]", [1, 2]), ("list[int]", "['1']", [1]), ("t.List[str]", "['1']", ["1"])],
        *[
            ("Sequence[str]", '["a"]', ["a"]),
            ("Optional[List[int]]", "None", None),
            ("tuple[int, ...]", "(1, 2)", [1, 2]),
        ],
        *[("dict", "{'a': 1}", {"a": 1}), ("Mapping[str, int]", '{"a": "1"}', {"a": 1}), ("dict[str, Any]", "{}", {})],
        ("collections.abc.Sequence[int]", "[]", []),
    ],
)
def test_an_annotation_wins_however_it_is_written(annotation, text, value):
    checked = check(f"x: {annotation} = f()", text)
    assert checked.values["x"] == value
    assert exact(checked.values["x"]) == exact(value)
    assert (checked.problems, checked.warnings) == ((), ())
    assert "its annotation" in checked.notes[0]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("tuple[int, str]", "(1, 'a')", [1, "a"]),
        ("tuple[str, int]", "['a', 2]", ["a", 2]),
        ("tuple[int, int]", "['1', 2]", [1, 2]),
        ("tuple[int, str, float]", "(1, 'a', 0.5)", [1, "a", 0.5]),
        ("tuple[()]", "()", []),
        ("list[()]", "[]", []),
    ],
)
def test_each_item_of_an_annotated_tuple_may_be_of_a_type_of_its_own(annotation, text, value):
    checked = check(f"x: {annotation} = f()", text)
    assert exact(checked.values["x"]) == exact(value)
    assert (checked.problems, checked.warnings) == ((), ())


@pytest.mark.parametrize("use", ["for x in d:\n    pass", "x, y = d", "x = max(d)"])
def test_what_comes_of_iterating_over_a_dict_is_its_keys(use):
    """Its annotation says of which type the values are."""
    assert check(f"d: dict[str, int] = f()\n{use}", "7").values == {"x": "7"}


def test_int_with_the_default_none_admits_none():
    assert check("x: int = None", "None").values == {"x": None}
    assert "is not exactly an int" in check("x: int = 5", "None").problems[0]


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        *[("[]", "['a', 'b']", ["a", "b"]), ("[]", '["a", 1.5, null, true]', ["a", 1.5, None, True])],
        *[("['x']", "[]", []), ("[1] * 3", " [-7]\n", [-7]), ("[n for n in y]", "[[1], {'a': 2}]", [[1], {"a": 2}])],
        *[
            ("{}", "{'a': 1, 'b': None, 'c': True}", {"a": 1, "b": None, "c": True}),
            ("dict(a=1)", '{"a": 2}', {"a": 2}),
        ],
        *[("(1, 2)", "(3, 4)", [3, 4]), ("(1, 2)", "[3, 4]", [3, 4]), ("()", "()", []), ("{1}", "{3, 4}", [3, 4])],
        *[("[]", "[inf, -inf]", [math.inf, -math.inf]), ("list(y)", "[0.1, 1e-05]", [0.1, 1e-05])],
    ],
)
def test_a_rendered_list_or_dict_is_one_again(default, text, value):
    checked = check(f"x = {default}", text)
    assert exact(checked.values["x"]) == exact(value)
    assert (checked.problems, checked.warnings) == ((), ())
    [note] = checked.notes
    assert "is passed as a" in note


@pytest.mark.parametrize(
    ("default", "text"),
    [
        *[
            ("[]", text)
            for text in ("", "abc", "a, b", "1, 2", "{'a': 1}", "[1, 2", "[date(2026, 1, 1)]", "[b'x']", "[f()]")
        ],
        *[("{}", text) for text in ("", "[]", "{1: 2}", "{'a'}", '{"a": 1, "a": 2}', "{'a': 1, 'a': 2}", "{**a}")],
        *[("(1, 2)", text) for text in ("1, 2", "{}", "x")],
        *[("[]", "[1e400]"), ("[]", '["a", 1e999]'), ("[]", "[" * 5000), ("{}", '{"a":' * 900 + "1" + "}" * 900)],
        *[("1.0", text) for text in ("1e400", "-1e999", "1e-400", "9" * 400)],
        *[("10 * 1000", text) for text in ("7.0", "", "None")],
    ],
)
def test_a_text_that_is_not_exact_is_a_problem(default, text):
    checked = check(f"x = {default}", text)
    assert len(checked.problems) == 1
    assert "parameter 'x'" in checked.problems[0] or "parameters['x']" in checked.problems[0]


def test_an_overflow_is_said_in_words():
    assert check("x = 1.0", "1e400").problems == (
        "parameter 'x': the text '1e400' is beyond what a float holds: it would arrive as inf",
    )
    for text, value in (("inf", math.inf), ("-Infinity", -math.inf)):
        assert check("x = 1.0", text).values == {"x": value}
    assert math.isnan(check("x = 1.0", "NaN").values["x"])


@pytest.mark.parametrize("text", ["7", "0.5", "1e5", "true", "None", "nan", "[1, 2]", '{"a": 1}', "{'a': 1}"])
@pytest.mark.parametrize("cell", ["x = None", "x = f()", "x = OTHER", "x: Any = 3", "x = range(3)"])
def test_a_text_that_reads_as_something_else_is_a_warning_where_nothing_says_the_type(cell, text):
    checked = check(cell, text)
    assert checked.values == {"x": text}
    assert checked.problems == ()
    [warning] = checked.warnings
    assert f"nothing says of which type it is, so the text {text!r}, which reads as" in warning
    assert "annotate it in the 'parameters' cell" in warning


@pytest.mark.parametrize("text", ["abc", "s3://lake/x", "2026-01-01", "007", "1_000", "", "[draft] x", "{x}", "3 rows"])
@pytest.mark.parametrize("cell", ["x = None", "x = f()"])
def test_a_text_that_is_none_but_a_text_is_no_warning(cell, text):
    checked = check(cell, text)
    assert checked.values == {"x": text}
    assert (checked.problems, checked.warnings) == ((), ())


def test_a_text_for_what_no_text_can_become_is_a_warning():
    assert "its default is bytes" in check("x = b'a'", "abc").warnings[0]
    assert "admits None as well" in check("x: str | None = None", "None").warnings[0]
    assert "none of what its annotation names: 'a', 'b'" in check("x: Literal['a', 'b'] = 'a'", "c").warnings[0]
    assert check("x: Literal['a', '7'] = 'a'", "7").values == {"x": "7"}


def test_what_an_expression_calls_must_be_the_builtin():
    assert check("int = f\nx = int(3)", "7").values == {"x": "7"}
    assert check("import numpy as np\nx = np.int64(3)", "7").values == {"x": "7"}


def test_texts_within_a_list_or_dict_are_converted_where_the_type_is_said():
    assert check("x: list[int] = []", ["1", 2]).values == {"x": [1, 2]}
    assert "at [0], the text 'a' is not exactly an int" in check("x: list[int] = []", ["a"]).problems[0]
    assert check("x = {'lr': 0.1}", {"lr": "0.5", "name": "7"}).values == {"x": {"lr": 0.5, "name": "7"}}
    assert check("x = [1, 2]", ["3"]).values == {"x": [3]}
    mixed = check("x = [1, 2]", ["3", "a"])
    assert mixed.values == {"x": ["3", "a"]}
    assert mixed.problems == ()


NATIVE = "native rendering"


@pytest.mark.parametrize(
    ("cell", "spelled", "value"),
    [
        *[
            ("x = '00000'", Spelled(12345, "12345", NATIVE), "12345"),
            ("x: str = f()", Spelled(1000, "1_000", NATIVE), "1_000"),
        ],
        *[("x = 'a'", Spelled(None, "", NATIVE), ""), ("x = ''", Spelled(None, "None", NATIVE), "None")],
        *[
            ("x = ''", Spelled("quoted", "'quoted'", NATIVE), "'quoted'"),
            ("x = ''", Spelled((1, 2), "1, 2", NATIVE), "1, 2"),
        ],
        *[
            ("x = 5", Spelled(7, "7", NATIVE), 7),
            ("x = 0.5", Spelled(7, "7", NATIVE), 7.0),
            ("x = 5", Spelled(7.5, "7.5", NATIVE), 7.5),
        ],
        *[("x = None", Spelled(7, "7", NATIVE), 7), ("x = f()", Spelled([1], "[1]", NATIVE), [1])],
        *[
            ("x: str | None = None", Spelled(None, "null", NATIVE), None),
            ("x: list[str] = []", [Spelled(5, "5", NATIVE)], ["5"]),
        ],
        *[
            ("x = ['00']", [Spelled(12, "12", NATIVE)], ["12"]),
            ("x = (1, 2)", Spelled((3, 4), "(3, 4)", NATIVE), [3, 4]),
        ],
        ("x = {'zip': '00'}", {"zip": Spelled(12, "12", NATIVE)}, {"zip": "12"}),
    ],
)
def test_a_parameter_that_is_a_text_gets_the_text_that_something_was_made_of(cell, spelled, value):
    checked = check(cell, spelled)
    assert exact(checked.values["x"]) == exact(value)
    assert checked.problems == ()


def test_what_was_made_of_a_text_is_named_where_it_cannot_be_passed():
    [problem] = check("x = f()", Spelled((1, 2), "1, 2", NATIVE)).problems
    assert "native rendering has made a tuple of the text '1, 2'" in problem
    [problem] = check("x = f()", Spelled(math.inf, "1e400", NATIVE)).problems
    assert "the text '1e400' is beyond what a float holds" in problem
    [note] = check("x = '0'", Spelled(12345, "12345", NATIVE)).notes
    assert "the text '12345' is passed as a text, as its default says; native rendering has made an int of it" in note


def test_a_number_that_never_was_a_text_is_a_warning_for_a_text():
    checked = check("x = '0'", Spelled(5, None, NATIVE))
    assert checked.values == {"x": 5}
    assert "native rendering gives an int, 5, where the default is a text" in checked.warnings[0]
    assert check("x = '0'", Spelled(None, None, NATIVE)).warnings == ()


def test_a_wrong_name_is_the_only_problem_of_a_spelled_value():
    checked = check_parameters(
        notebook_of("x = 1"), {"a b": Spelled(7, "7", NATIVE)}, kernel_name="python3", unknown="error"
    )
    assert checked.problems == ("parameter name 'a b' is not a variable's name",)


def test_kernels_other_than_python_get_the_text():
    checked = check_parameters(notebook_of("x <- 1"), {"x": Spelled(7, "7", NATIVE)}, kernel_name="ir", unknown="error")
    assert checked.values == {"x": "7"}


@pytest.mark.parametrize("text", ["1e400", '{"a": 1, "a": 2}', "[1e999]", "[" * 100_000, "01", "'a'"])
def test_json_that_is_not_exact_is_no_json(text):
    with pytest.raises(ValueError, match=r"."):
        read_json(text)
