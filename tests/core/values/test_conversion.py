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


@pytest.mark.parametrize(
    ("cell", "text", "value", "note"),
    [
        ("x = None  # type: int | None", "null", None, "None, as its annotation says"),
        ("x = True", "False", False, "a bool, as its default says"),
        ("x = True", "false", False, "a bool, as its default says"),
        ("x = False", "True", True, "a bool, as its default says"),
        ("x = 5", "+8", 8, "an int, as its default says"),
        ("x = 5", "-8", -8, "an int, as its default says"),
        ("x = 5", "0" * 4299 + "8", 8, "an int, as its default says"),
        ("x = 0.5", "1.", 1.0, "a float, as its default says"),
        ("x = 0.5", "-.5", -0.5, "a float, as its default says"),
        ("x = 0.5", "2E+3", 2000.0, "a float, as its default says"),
        ("x = 0.5", "0e5", 0.0, "a float, as its default says"),
        ("x = 0.5", "0.0", 0.0, "a float, as its default says"),
        ("x: int | float = 5", "8", 8, "an int, as its annotation says"),
        ("x: int | float = 5", "8.0", 8.0, "a float, as its annotation says"),
        ("x: dict | list = f()", "[1]", [1], "a list, as its annotation says"),
        ("x = {}", " {'a': '\\d'} ", {"a": "\\d"}, "a dict, as its default says"),
        ("x = (1,)", "(8, 9)", [8, 9], "a list; its default is a tuple, which no parameter can be"),
        ("x = {1}", "{8, 9}", [8, 9], "a list; its default is a set, which no parameter can be"),
        ("x = {1}", "[8]", [8], "a list; its default is a set, which no parameter can be"),
        ("x = {1}", "set()", [], "a list; its default is a set, which no parameter can be"),
    ],
)
def test_a_text_is_passed_as_the_type_that_is_said_and_the_log_tells_so(cell, text, value, note):
    checked = check(cell, text)
    assert exact(checked.values["x"]) == exact(value)
    assert (checked.problems, checked.warnings) == ((), ())
    assert [one.partition(" is passed as ")[2] for one in checked.notes] == [note]


@pytest.mark.parametrize(
    ("cell", "text", "names"),
    [
        ("x: int | float = 5", "a", "an int or a float, as its annotation"),
        ("x: float | int = 5", "a", "an int or a float, as its annotation"),
        ("x: None | bool = True", "a", "a bool or None, as its annotation"),
        ("x: Optional[int] = 5", "5.0", "an int or None, as its annotation"),
        ("x: dict | list = f()", "a", "a dict or a list, as its annotation"),
        ("x = (1,)", "a", "a tuple, as its default"),
        ("x = {1}", "1, 2", "a set, as its default"),
        ("x = {1}", "{'a': 1}", "a set, as its default"),
        ("x = []", "(1", "a list, as its default"),
        ("x = True", "yes", "a bool, as its default"),
        ("x = 0.5", "1.5.0", "a float, as its default"),
        ("x = 0.5", "0x10", "a float, as its default"),
        ("x = 5", "9" * 4301, "an int, as its default"),
        ("x = 5", Spelled("seven", "'seven'", NATIVE), "an int, as its default"),
        ("x = []", "[nan, 1e999]", "a list, as its default"),
        ("x = []", "[1, -1e999, 'a']", "a list, as its default"),
    ],
)
def test_a_problem_names_the_types_that_a_text_may_have(cell, text, names):
    [problem] = check(cell, text).problems
    assert f" is not exactly {names} says" in problem


@pytest.mark.parametrize("text", ["1e400", "-1e999", "1e-400", "-0.1e-999"])
def test_a_number_beyond_a_float_says_what_would_arrive(text):
    [problem] = check("x: float | None = None", text).problems
    assert f"the text '{text}' is beyond what a float holds: it would arrive as {float(text)}" in problem


def test_a_literal_names_the_values_that_are_right():
    for value in ("a", "7"):
        checked = check("x: Literal['a', '7', 7] = 'a'", value)
        assert (checked.values, checked.problems, checked.warnings, checked.notes) == ({"x": value}, (), (), ())
    checked = check("x: Literal[1, 2] = 1", "3")
    assert checked.values == {"x": 3}
    assert checked.warnings == ("parameter 'x': 3 is none of what its annotation names: 1, 2",)
    assert len(checked.notes) == 1
    checked = check("x: Literal[1, 2] = 1", "2")
    assert (checked.values, checked.warnings) == ({"x": 2}, ())
    checked = check("x: list[Literal[1, 2]] = f()", "['1', '3']")
    assert checked.values == {"x": [1, 3]}
    assert checked.warnings == ("parameter 'x': at [1], 3 is none of what its annotation names: 1, 2",)


@pytest.mark.parametrize(
    ("cell", "text", "name"),
    [
        ("x: str | int = ''", "7", "an int"),
        ("x: str | float = ''", "7.5", "a float"),
        ("x: str | bool = ''", "true", "a bool"),
        ("x: str | list = ''", "[1]", "a list"),
        ("x: str | None = None", "null", "None"),
        ("x = 5 if y else 'a'", "7", "an int"),
    ],
)
def test_a_text_that_may_be_meant_as_another_type_is_a_warning(cell, text, name):
    checked = check(cell, text)
    assert checked.values == {"x": text}
    [warning] = checked.warnings
    assert f"the text '{text}' is passed as a text, though its " in warning
    assert warning.endswith(f" admits {name} as well")
    assert check(cell, "abc").warnings == ()


def test_what_a_default_holds_is_an_example_of_what_may_come():
    checked = check("x = {'lr': 0.1}", {"lr": "fast"})
    assert checked.values == {"x": {"lr": "fast"}}
    assert checked.problems == ()
    [warning] = checked.warnings
    assert "at ['lr'], the text 'fast' is not exactly a float, as its default says; it is passed as a text" in warning
    assert check("x = {'lr': 5 if y else 'a'}", {"lr": "7"}).warnings == ()
    assert check("x = [5, 'a']", ["7"]).values == {"x": ["7"]}
    assert check("x = ['a']", ["7"]).warnings == ()


def test_texts_deep_within_a_value_are_named_by_their_path():
    [problem] = check("x: dict[str, list[int]] = f()", {"a": ["1", "b"]}).problems
    assert "at ['a'][1], the text 'b' is not exactly an int, as its annotation says" in problem
    [problem] = check("x: dict[str, list[int]] = f()", "{'a': ['b']}").problems
    assert "at ['a'][0], the text 'b' is not exactly an int" in problem
    assert check("x: dict[str, list[int]] = f()", {"a": ["1", 2, None]}).values == {"x": {"a": [1, 2, None]}}
    assert check("x = None", ["7", {"a": "true"}]).warnings == ()  # somebody has written it as it is


@pytest.mark.parametrize(
    ("default", "name"), [("b'a'", "bytes"), ("1j", "a complex number"), ("b'a' if y else 1j", " or ")]
)
def test_a_default_of_a_type_that_no_parameter_has_is_named(default, name):
    checked = check(f"x = {default}", "7")
    assert checked.values == {"x": "7"}
    [warning] = checked.warnings
    assert name in warning
    assert "the text '7' is passed as a text" in warning


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("true", "a bool"),
        ("False", "a bool"),
        ("None", "None"),
        ("null", "None"),
        ("-5", "an int"),
        ("0", "an int"),
        ("10", "an int"),
        ("1.0", "a float"),
        ("1e5", "a float"),
        ("-inf", "a float"),
        (" [1]", "a list"),
        ("{'a': 1}", "a dict"),
    ],
)
def test_the_type_that_a_text_reads_as_is_named(text, name):
    warning = check("x = f()", text).warnings[0]
    assert f"which reads as {name}, is passed as a text" in warning


@pytest.mark.parametrize("text", ["+5", "00", "1.", ".5", "[1", "(1, 2)", "{1, 2}", "TRUE", "5 ", "-"])
def test_a_text_without_the_look_of_another_type_is_none(text):
    assert all("which reads as" not in warning for warning in check("x = f()", text).warnings)


@pytest.mark.parametrize(
    ("cell", "value", "kind"),
    [
        ("x = 'a'", 5, "an int"),
        ("x = 'a'", 0.5, "a float"),
        ("x = 'a'", True, "a bool"),
        ("x: str = f()", [1], "a list"),
        ("x = 'a'", {"a": 1}, "a dict"),
    ],
)
def test_a_value_that_is_given_for_a_text_is_passed_as_it_is_with_a_warning(cell, value, kind):
    checked = check(cell, Spelled(value, None, NATIVE))
    assert exact(checked.values["x"]) == exact(value)
    [warning] = checked.warnings
    assert f"{NATIVE} gives {kind}, {value}, where the " in warning
    assert warning.endswith(f" is a text; it is passed as {kind}")
    within = check("x: list[str] = f()", [Spelled(value, None, NATIVE)])
    assert f"at [0], {NATIVE} gives {kind}" in within.warnings[0]


@pytest.mark.parametrize("cell", ["x: str | int = 'a'", "x = f()", "x = 5"])
def test_a_value_that_never_was_a_text_is_none_to_doubt_elsewhere(cell):
    checked = check(cell, Spelled(5, None, NATIVE))
    assert (checked.values, checked.warnings, checked.notes) == ({"x": 5}, (), ())


def test_texts_in_a_value_that_never_was_a_text_are_converted():
    assert check("x: list[int] = f()", Spelled(["5"], None, NATIVE)).values == {"x": [5]}


def test_a_value_that_was_made_as_its_type_says_is_no_news():
    assert check("x = 5", Spelled(7, "7", NATIVE)).notes == ()
    [note] = check("x = 0.5", Spelled(7, "7", NATIVE)).notes
    assert "the text '7' is passed as a float" in note
    [note] = check("x = ['00']", [Spelled(12, "12", NATIVE)]).notes
    assert note == (
        f"parameter 'x': at [0], the text '12' is passed as a text, as its default says; {NATIVE} has made an int of it"
    )
    assert check("x: bool | int = f()", Spelled(1, "1", NATIVE)).values == {"x": 1}
    assert exact(check("x = True", Spelled(True, "True", NATIVE)).values["x"]) == "bool True"


@pytest.mark.parametrize("text", ["inf", " -Infinity\n"])
def test_an_infinity_that_was_meant_is_one(text):
    checked = check("x = f()", Spelled(float(text), text, NATIVE))
    assert (checked.values, checked.problems) == ({"x": float(text)}, ())
    [problem] = check("x = f()", [Spelled(math.inf, "1e400", NATIVE)]).problems
    assert f"at [0], the text '1e400' is beyond what a float holds, so {NATIVE} has made inf of it" in problem


@pytest.mark.parametrize("value", ["a", 5, 0.5, True, None, [1], {"a": 1}])
def test_what_a_parameter_can_be_is_passed_where_nothing_says_its_type(value):
    checked = check("x = f()", Spelled(value, repr(value), NATIVE))
    assert exact(checked.values["x"]) == exact(value)
    assert (checked.problems, checked.warnings, checked.notes) == ((), (), ())
