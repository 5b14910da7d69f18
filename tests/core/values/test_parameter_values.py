"""What no parameter can be, whatever the notebook defines."""

import datetime as dt
import decimal
import pathlib

import pytest

from airflow_nbjobs.core.values.conversion import Spelled
from airflow_nbjobs.core.values.not_known import NotKnown
from airflow_nbjobs.core.values.parameter_values import (
    depth_problem,
    name_problems,
    problems_of_value,
    type_name,
    value_problems,
)


@pytest.mark.parametrize(
    ("name", "of_python", "of_others"),
    [
        *(("a", True, True), ("_a1", True, True), ("a.b", False, True), (".a", False, True), ("1a", False, False)),
        *(("é", True, False), ("class", False, True), ("__a__", False, True), ("__a", True, True), ("", False, False)),
        *(("a b", False, False), ("a" * 256, True, True), ("a" * 257, False, False)),
    ],
    ids=lambda value: value[:10] if isinstance(value, str) else None,
)
def test_a_name_is_one_of_the_language(name, of_python, of_others):
    assert (name_problems(name, python=True) == [], name_problems(name, python=False) == []) == (of_python, of_others)


def test_a_name_that_is_none_is_said_to_be():
    assert name_problems(5, python=True) == ["parameter name 5 is of type int, not text"]
    assert name_problems("a b", python=True) == ["parameter name 'a b' is not a variable's name"]
    (problem,) = name_problems("a" * 257, python=True)
    assert problem.endswith("has 257 characters; the limit is 256")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((1,), "is of type tuple; give a list"),
        ({1}, "is of type set; give a list"),
        (frozenset(), "is of type frozenset; give a list"),
        (range(3), "is of type range; give a list"),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "is of type datetime.datetime; give text: .isoformat()"),
        (dt.date(2026, 1, 1), "is of type datetime.date; give text: .isoformat()"),
        (dt.timedelta(1), "is of type datetime.timedelta; give a number of seconds: .total_seconds()"),
        (b"a", "is of type bytes; give text, for example base64"),
        (decimal.Decimal(1), "is of type decimal.Decimal; give a float, or text: str(…)"),
        (pathlib.PosixPath("a"), "PosixPath; give text: str(…)"),
        (1j, "is of type complex; parameters are str, int, float, bool, None, list and dict"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_value_of_another_type_is_named_with_what_to_give(value, said):
    (problem,) = problems_of_value(value, "parameters['x']")
    assert problem.startswith("parameters['x'] is of type ")
    assert said in problem
    (problem,) = problems_of_value({"a": [0, value]}, "parameters['x']")
    assert problem.startswith("parameters['x']['a'][1] is of type ")


def test_every_part_that_is_wrong_is_named():
    value = {"a": [(1,), {2}], 5: (1,), None: 1, "b": {"c": b""}}
    assert problems_of_value(value, "p") == [
        "p has the key 5 of type int; keys must be str",
        "p has the key None of type NoneType; keys must be str",
        "p['a'][0] is of type tuple; give a list",
        "p['a'][1] is of type set; give a list",
        "p['b']['c'] is of type bytes; give text, for example base64",
    ]


@pytest.mark.parametrize(
    "value", ["a", 1, 0.5, True, None, [], {}, Spelled((1,), "(1,)", "x"), [{"a": [None]}]], ids=repr
)
def test_what_json_has_is_no_problem(value):
    assert problems_of_value(value, "p") == []


def test_a_list_or_dict_of_a_class_of_its_own_is_none():
    for base in (list, dict, str, int):
        (problem,) = problems_of_value(type("Own", (base,), {})(), "p")
        assert problem.startswith("p is of type ")


@pytest.mark.parametrize(("levels", "is_right"), [(50, True), (51, False)])
def test_a_value_may_be_fifty_levels_deep(levels, is_right):
    value = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    assert (depth_problem(value, "p", 50) is None) is is_right
    assert (value_problems({"x": value}) == []) is is_right


def test_a_long_path_is_cut_in_its_middle():
    value = [(1,)]
    for _ in range(40):
        value = {"a" * 20: value}
    (problem,) = problems_of_value(value, "parameters['x']")
    assert problem.startswith("parameters['x']['aaa")
    assert "…" in problem
    assert "[0] is of type tuple" in problem
    assert len(problem) < 260


def test_all_parameters_are_looked_at_but_those_that_are_not_known_yet():
    problems = value_problems({"a": (1,), 5: 1, "b": NotKnown("x"), "c": 1, "d e": 1})
    assert problems == ["parameters['a'] is of type tuple; give a list", "parameter name 5 is of type int, not text"]


def test_a_type_has_its_modules_name_but_the_builtins():
    assert (type_name(1), type_name(decimal.Decimal(1))) == ("int", "decimal.Decimal")
