"""Values as Python source, and back: equal, of the same type, on one line of ASCII."""

import ast
import math

import pytest

from airflow_nbjobs.core.values.literals import literal, unique_keys, value_of

VALUES = [
    *(None, True, False, 0, -5, 2**4000 - 1, 2**4000, -(2**5000), 10**5000, 0.1, -0.0, 1e300, math.inf, -math.inf),
    *("", "a'b\"c\\", "é\u2028\n%x", "\ud800", [], [1, [2.5, None]], {}, {"a": {"b": [True]}, "": "x"}),
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_value_comes_back_as_it_was(value):
    text = literal(value)
    assert text.isascii()
    assert "\n" not in text
    node = ast.parse(text, mode="eval").body
    for found in (eval(text, {"__builtins__": {}}), value_of(node)):  # noqa: S307 our own text, without a name in it
        assert found == value
        assert type(found) is type(value)
        assert math.copysign(1, found) == math.copysign(1, value) if isinstance(value, float) else True


def test_nan_comes_back():
    text = literal([math.nan])
    assert math.isnan(eval(text, {"__builtins__": {}})[0])  # noqa: S307 our own text
    assert math.isnan(value_of(ast.parse(text, mode="eval").body)[0])


@pytest.mark.parametrize("value", [(1,), {1}, b"a", 1j, object, [1, (2,)], {"a": b""}], ids=repr)
def test_what_is_no_parameter_has_no_literal(value):
    with pytest.raises(TypeError, match="no literal for"):
        literal(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(1, 2)", [1, 2]),
        ("{1, 2}", [1, 2]),
        ("set()", []),
        ("[nan_]", ValueError),
        ("[inf, -inf]", [math.inf, -math.inf]),
        ("-5", -5),
        ("-2.5", -2.5),
        ("-True", ValueError),
        ("-'a'", ValueError),
        ("+5", ValueError),
        ("1 - 1", ValueError),
        ("b'a'", ValueError),
        ("1j", ValueError),
        ("...", ValueError),
        ("x", ValueError),
        ("f()", ValueError),
        ("set([1])", ValueError),
        ("{1: 2}", ValueError),
        ("{'a': 1, 'a': 2}", ValueError),
        ("{**a}", ValueError),
        ("[*a]", ValueError),
        ("f'a'", ValueError),
    ],
)
def test_a_written_value_is_read_where_it_has_a_json_form(text, value):
    node = ast.parse(text, mode="eval").body
    if value is ValueError:
        with pytest.raises(ValueError, match=r"."):
            value_of(node)
    else:
        assert value_of(node) == value


def test_a_key_that_is_there_twice_is_refused():
    assert unique_keys([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="a"):
        unique_keys([("a", 1), ("b", 2), ("a", 1)])
