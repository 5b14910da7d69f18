"""How the values of two jobs differ, in words: numbers, values of any kind, times and costs."""

import pytest

from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.core.values.received import VALUE_CHARACTERS, value_rows
from airflow_nbjobs.ui.compared_values import (
    compared_rows,
    cost_difference,
    duration_difference,
    number_difference,
    parameters_of_both,
)


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        ("4", "0", "\u22124 (\u2212100 %)"),
        ("0", "4", "+4"),
        ("-1", "1", "+2"),
        ("-4", "-2", "+2 (+50 %)"),
        ("0.87", "0.875", "+0.005 (+0.57 %)"),
        ("0.1", "0.30000000000000004", "+0.2 (+200 %)"),
        ("1", "1.0", ""),
        ("1000000", "1000001", "+1"),
        ("1e-300", "2e-300", "+1e-300 (+100 %)"),
        ("1e308", "-1e308", "\u22122e+308"),
        ("100000000000000000000", "100000000000000000001", "+1"),
        ("1", "1e20", "+99999999999999999999"),
        *((wrong, "1", "") for wrong in ("nan", "NaN", "inf", "-Infinity", "x", "", "1e999999999", "9" * 5000, "0x10")),
    ],
)
def test_numbers_with_their_difference(left, right, said):
    assert number_difference(left, right) == said


def test_values_of_any_kind_are_compared():
    odd = {
        "nan": float("nan"),
        "inf": float("inf"),
        "big": 10**5000,
        "flag": True,
        "none": None,
        "text": "</script>\u202e",
        "": 1,
    }
    rows = compared_rows(value_rows(odd), value_rows(odd))
    assert not any(row["differs"] for row in rows)
    changed = compared_rows(
        value_rows({"a": True, "b": 1, "c": 1, "d": None}), value_rows({"a": 1, "b": 1.0, "c": "1", "d": 0})
    )
    assert [row["difference"] for row in changed] == ["another type"] * 4
    assert all(row["differs"] for row in changed)


def one(name, text, kind="int"):
    return {"name": name, "type": kind, "text": text}


def test_a_row_has_both_sides_and_says_what_differs():
    left = [one("a", "1"), one("b", "1"), one("c", "x", "str"), one("d", "2")]
    right = [one("d", "2"), one("b", "3"), one("c", "y", "str"), one("e", "1")]
    rows = compared_rows(left, right)
    assert [(row["name"], row["differs"], row["difference"]) for row in rows] == [
        ("a", True, "only on the left"),
        ("b", True, "+2 (+200 %)"),
        ("c", True, ""),
        ("d", False, ""),
        ("e", True, "only on the right"),
    ]
    assert (rows[0]["left"], rows[0]["right"]) == ({"type": "int", "text": "1"}, None)
    assert (rows[4]["left"], rows[4]["right"]) == (None, {"type": "int", "text": "1"})


def test_numbers_written_as_texts_are_not_subtracted():
    (row,) = compared_rows([one("a", "1", "str")], [one("a", "2", "str")])
    assert (row["differs"], row["difference"]) == (True, "")
    (row,) = compared_rows([one("a", "1", "int")], [one("a", "2.5", "float")])
    assert row["difference"] == "+1.5 (+150 %)"


@pytest.mark.parametrize(("more", "said"), [(0, ""), (1, "the same as far as they are kept here")])
def test_values_that_may_go_on_differently_are_not_said_to_be_the_same(more, said):
    rows = [one("a", "x" * (VALUE_CHARACTERS + more), "str")]
    assert compared_rows(rows, list(rows)) == [
        {
            "name": "a",
            "left": {"type": "str", "text": rows[0]["text"]},
            "right": {"type": "str", "text": rows[0]["text"]},
            "differs": False,
            "difference": said,
        }
    ]


@pytest.mark.parametrize(("left", "right"), [(None, []), ([], None), (None, None)])
def test_where_one_sides_values_are_not_known_there_are_no_rows(left, right):
    assert compared_rows(left, right) == []


def test_names_that_are_there_twice_are_all_compared():
    rows = [{"name": "", "type": "wrong", "text": text} for text in ("one", "two")]
    assert [row["differs"] for row in compared_rows(rows, rows[:1])] == [False, True]


def test_parameters_are_taken_from_one_place_for_both():
    """Each place writes them in its own way: a text of a job's request has no quotes, and one of Python has."""
    read = [{"name": "a", "type": "str", "text": "'x'"}]
    found = parameters_of_both([read, None], [{"a": "x"}, {"a": "x"}], [{"a": "x"}, {"a": "x"}])
    assert found[0] == found[1] == read
    found = parameters_of_both([read, None], [None, "cut …"], [{"a": "x"}, {"a": "x"}])
    assert found[0] == found[1] == [{"name": "a", "type": "", "text": "x"}]
    assert parameters_of_both([None, None], [None, None], [None, None]) == [None, None]


def test_times_and_costs_with_their_difference():
    assert duration_difference(60, 30) == "\u221230 s (\u221250 %)"
    assert duration_difference(0, 30) == "+30 s"
    assert duration_difference(60.1, 59.9) == ""
    assert duration_difference(None, 5) == ""
    assert duration_difference(5, None) == ""
    assert duration_difference(1, 1e11) == "", "no job takes so long: AWS or an XCom says nonsense"
    assert duration_difference(1, 1000) == "+16 min 39 s (+99900 %)"
    assert duration_difference(1, 1001) == "+16 min 40 s"
    prices = Prices({})
    assert cost_difference(0.5, 0.25, prices) == "\u2212$0.2500"
    assert cost_difference(0.5, 0.50001, prices) == ""
    assert cost_difference(0.001533, 0.00138, prices) == "\u2212$0.0001"  # of $0.0015 and $0.0014
    assert cost_difference(None, 1, prices) == ""


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        ("1", "1.00005", "+0.00005 (+0.01 %)"),
        ("100000", "100004", "+4"),
        ("100000", "100005", "+5 (+0.01 %)"),
        ("1", "1000", "+999 (+99900 %)"),
        ("1", "1001", "+1000"),
        ("-2", "-1", "+1 (+50 %)"),
        ("2", "-1", "\u22123"),
        ("0", "0", ""),
        ("1", "0.999999", "\u22120.000001"),
        ("0", "0.0000001", "+1e-7"),
        ("0", "123456789.123456789", "+123456789.123"),
        ("0", "1e24", "+1e+24"),
        ("0", "999999999999999999999999", "+999999999999999999999999"),
        ("1", "nan", ""),
        ("9" * 400, "0", "\u22121e+400 (\u2212100 %)"),
        ("9" * 401, "0", ""),
        ("1e400", "0", "\u22121e+400 (\u2212100 %)"),
        ("1e401", "0", ""),
        ("0", "1e-400", "+1e-400"),
        ("0", "1e-401", ""),
    ],
)
def test_a_difference_is_exact_and_short(left, right, said):
    assert number_difference(left, right) == said


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        (60, 60.4, ""),
        (60, 61, "+1 s (+2 %)"),
        (61, 60, "\u22121 s (\u22122 %)"),
        (0, 60, "+1 min 0 s"),
        (1, 1000, "+16 min 39 s (+99900 %)"),
        (1, 1001, "+16 min 40 s"),
        (60, 20, "\u221240 s (\u221267 %)"),
        (0, 2e10, ""),
        (None, 60, ""),
        (60, None, ""),
    ],
)
def test_a_time_is_so_much_longer(left, right, said):
    assert duration_difference(left, right) == said


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        (1.0, 1.00004, ""),
        (1.0, 1.00006, "+€0.0001"),
        (1.5, 1.0, "\u2212€0.5000"),
        (0.0, 1234.5, "+€1,234.5000"),
        (None, 1.0, ""),
        (1.0, None, ""),
        (0.0, 0.0, ""),
    ],
)
def test_a_cost_is_so_much_more(left, right, said):
    assert cost_difference(left, right, Prices({}, "€")) == said


def test_parameters_of_one_place_are_compared_before_those_of_two():
    read, texts = [one("a", "1")], {"a": "1"}
    given = {"a": 1}
    assert parameters_of_both([read, read], [given, given], [texts, texts]) == [read, read]
    assert parameters_of_both([read, None], [given, given], [texts, texts]) == [value_rows(given, is_python=True)] * 2
    text_rows = [{"name": "a", "type": "", "text": "1"}]
    assert parameters_of_both([read, None], ["cut", given], [texts, texts]) == [text_rows, text_rows]
    assert parameters_of_both([read, None], [None, given], [None, texts]) == [read, value_rows(given, is_python=True)]
    assert parameters_of_both([None, []], [None, None], [None, None]) == [None, []]
    assert parameters_of_both([None, None], [None, None], [{}, {}]) == [[], []]


def test_a_value_that_one_side_alone_has_says_which():
    found = compared_rows([one("a", "1"), one("b", "2")], [one("b", "2"), one("c", "3")])
    assert [(each["name"], each["difference"], each["differs"]) for each in found] == [
        ("a", "only on the left", True),
        ("b", "", False),
        ("c", "only on the right", True),
    ]
    assert (found[0]["left"], found[0]["right"]) == ({"type": "int", "text": "1"}, None)
