"""What differs between two texts or two tables: what is marked, what is folded, and how much of it is shown."""

import re

import pytest

from airflow_nbjobs.core.notebook.comparison_matching import Effort
from airflow_nbjobs.ui.rendering.differences import (
    comparable,
    table_difference,
    text_difference,
    whole_table,
    whole_text,
)


def texts(left, right, **how):
    return str(text_difference(left, right, Effort(), **how))


def tables(left, right):
    return str(table_difference(left, right, Effort()))


def lines(count, mark=""):
    return [f"{mark}{number}" for number in range(count)]


def shape(found):
    """Return what a reader sees from above to below: equal lines, folds, and lines of one side."""
    parts = re.findall(r"<summary>([^<]*)</summary>.*?</details>|<(span|del|ins)>(.*?)\n</", found, re.DOTALL)
    return [
        fold or f"{dict(span=' ', **{'del': '-', 'ins': '+'})[tag]}{re.sub('</?mark>', '', text)}"
        for fold, tag, text in parts
    ]


def rows_of(found):
    rows = re.findall(r'<tr(?: class="nb-row-(\w+)")?>(.*?)</tr>', found)
    return [(kind, re.findall(r"<td[^>]*>(.*?)</td>", row)) for kind, row in rows]


def test_three_equal_lines_stand_around_a_difference_and_others_are_folded():
    same = lines(20)
    found = shape(texts([*same[:10], "old", *same[10:]], [*same[:10], "new", *same[10:]]))
    assert found == ["7 equal lines", " 7", " 8", " 9", "-old", "+new", " 10", " 11", " 12", "7 equal lines"]


@pytest.mark.parametrize(("count", "folded"), [(5, None), (6, "3 equal lines")])
def test_a_fold_at_an_end_is_worth_a_click_from_three_lines_on(count, folded):
    same = lines(count)
    for left, right in (([*same, "old"], [*same, "new"]), (["old", *same], ["new", *same])):
        folds = [each for each in shape(texts(left, right)) if "equal" in each]
        assert folds == ([folded] if folded else [])


@pytest.mark.parametrize(("count", "folded"), [(8, None), (9, "3 equal lines")])
def test_a_fold_between_differences_is_worth_a_click_from_three_lines_on(count, folded):
    same = lines(count)
    found = shape(texts(["a", *same, "b"], ["c", *same, "d"]))
    assert [each for each in found if "equal" in each] == ([folded] if folded else [])
    assert [each for each in found if each[0] == " "][:3] == [" 0", " 1", " 2"]
    assert [each for each in found if each[0] == " "][-3:] == [f" {number}" for number in range(count - 3, count)]


def test_what_a_fold_holds_is_in_it():
    found = texts([*lines(10), "x"], lines(10))
    assert "<details><summary>7 equal lines</summary><span>0\n</span>" in found
    assert shape(found)[1:] == [" 7", " 8", " 9", "-x"]


def test_equal_texts_have_no_difference():
    assert texts(["a"], ["a"]) == ""
    assert tables([("a",)], [("a",)]) == ""


@pytest.mark.parametrize(
    ("left", "right", "marked"),
    [
        ("depth = 3", "depth = 5", ("depth = <mark>3</mark>", "depth = <mark>5</mark>")),
        ("f(a)", "f(a, b)", ("f(a)", "f(a<mark>, b</mark>)")),
        ("abc", "abcabc", ("abc", "abc<mark>abc</mark>")),
        ("x abc", "y abc", ("<mark>x</mark> abc", "<mark>y</mark> abc")),
        # Three of ten characters are shared, and two of ten.
        ("abc1111111", "abc2222222", ("abc<mark>1111111</mark>", "abc<mark>2222222</mark>")),
        ("ab11111111", "ab22222222", ("ab11111111", "ab22222222")),
        ("a<b>1", "a<b>2", ("a&lt;b&gt;<mark>1</mark>", "a&lt;b&gt;<mark>2</mark>")),
        ("<1>yy", "<2>yy", ("&lt;<mark>1</mark>&gt;yy", "&lt;<mark>2</mark>&gt;yy")),
    ],
)
def test_within_a_line_what_differs_is_marked_where_enough_is_the_same(left, right, marked):
    assert texts([left], [right]) == '<div class="nb-diff"><del>{}\n</del><ins>{}\n</ins></div>'.format(*marked)


def test_nothing_is_marked_within_lines_that_have_no_counterpart():
    assert "<mark>" not in texts(["same 1", "same 2"], ["same 3"])
    assert texts([f"same {n}" for n in range(100)], [f"same {n}!" for n in range(100)]).count("<mark>") == 100
    assert "<mark>" not in texts([f"same {n}" for n in range(101)], [f"same {n}!" for n in range(101)])


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<A at 0x7f0123456789>", "<A at 0x…>"),
        ("&lt;A at 0x123456&gt;", "&lt;A at 0x…&gt;"),
        ("<A at 0x7f0123456789, file 'a'>", "<A at 0x…, file 'a'>"),
        ("<A at 0x12345>", "<A at 0x12345>"),
        ("stopped at 0x7f0123456789", "stopped at 0x7f0123456789"),
        ("<A at 0x7f0123456789 >", "<A at 0x7f0123456789 >"),
        ("<A>\n at 0x7f0123456789>", "<A>\n at 0x7f0123456789>"),
    ],
    ids=["repr", "HTML", "more within", "too short", "no repr", "a blank behind", "two lines"],
)
def test_only_a_place_in_memory_is_no_difference(text, plain):
    assert comparable(text) == plain


def test_of_code_a_place_in_memory_is_a_difference():
    left, right = ["<A at 0x7f0123456789>"], ["<A at 0x7f0123456780>"]
    assert texts(left, right) == ""
    assert "<mark>9</mark>" in texts(left, right, key=str)


@pytest.mark.parametrize(("side", "tag"), [("del", "del"), ("ins", "ins"), ("", "span")])
def test_a_text_of_one_side_is_shown_as_that_sides(side, tag):
    assert (
        whole_text(["a <b>", "c"], side) == f'<div class="nb-diff"><{tag}>a &lt;b&gt;\n</{tag}><{tag}>c\n</{tag}></div>'
    )


@pytest.mark.parametrize(("count", "more"), [(400, None), (401, "1 more lines"), (1900, "1,500 more lines")])
def test_of_a_long_text_the_first_four_hundred_lines_are_seen_at_once(count, more):
    found = shape(str(whole_text(lines(count), "ins")))
    assert [each for each in found if "more" in each] == ([more] if more else [])
    assert found[399] == "+399"


def test_a_row_stands_below_the_one_in_whose_place_it_is_and_its_cells_are_marked():
    left = [("name", "score"), ("a", "1"), ("b", "2")]
    right = [("name", "score"), ("a", "3"), ("c", "2")]
    assert rows_of(tables(left, right)) == [
        ("same", ["name", "score"]),
        ("del", ["a", "<mark>1</mark>"]),
        ("ins", ["a", "<mark>3</mark>"]),
        ("del", ["<mark>b</mark>", "2"]),
        ("ins", ["<mark>c</mark>", "2"]),
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([("a", "1")], [("a", "2"), ("b", "3")]),
        ([("a", "1"), ("b", "3")], [("a", "2")]),
        ([("a", "1")], [("a", "1", "more")]),
    ],
)
def test_cells_are_not_marked_in_rows_that_do_not_correspond(left, right):
    found = tables(left, right)
    assert "<mark>" not in found
    assert sorted(kind for kind, _ in rows_of(found)) == ["del"] * len(left) + ["ins"] * len(right)
    assert found.count('<th scope="row">\u2212</th>') == len(left)
    assert found.count('<th scope="row">+</th>') == len(right)


def test_a_place_in_memory_is_marked_in_no_cell():
    left, right = [("<A at 0x7f0123456789>", "1")], [("<A at 0x7fabcdef0123>", "2")]
    assert tables(left, right).count("<mark>") == 2
    assert tables([left[0][:1]], [right[0][:1]]) == ""


def test_the_heads_of_a_table_stay_where_its_rows_are_folded():
    head = ("name", "score")
    same = [(f"row {number}", str(number)) for number in range(20)]
    found = rows_of(tables([head, *same, ("x", "1")], [head, *same, ("y", "1")]))
    assert found[0] == ("same", ["name", "score"])
    assert found[1] == ("", ["", "17 equal rows"])
    assert [cells[0] for kind, cells in found[2:5] if kind == "same"] == ["row 17", "row 18", "row 19"]
    assert [kind for kind, _ in found[5:]] == ["del", "ins"]


def test_equal_rows_after_a_difference_are_folded_after_three():
    same = [(str(number),) for number in range(10)]
    found = rows_of(tables([("x",), *same], [("y",), *same]))
    assert [cells[-1] for kind, cells in found if kind != "del"] == ["<mark>y</mark>", "0", "1", "2", "7 equal rows"]


@pytest.mark.parametrize(
    ("left", "right", "more"), [(400, 400, None), (401, 400, "1"), (401, 402, "3"), (0, 1500, "1,100")]
)
def test_of_many_rows_that_differ_the_first_four_hundred_are_shown(left, right, more):
    found = tables([(each,) for each in lines(left, "a")], [(each,) for each in lines(right, "b")])
    kinds = [kind for kind, _ in rows_of(found)]
    assert kinds.count("ins") == min(right, 400)
    assert kinds.count("del") == min(left, 400)
    assert re.findall(r"([\d,]+) more rows that differ are in the notebooks", found) == ([more] if more else [])


@pytest.mark.parametrize(("count", "more"), [(400, None), (401, "1"), (1500, "1,100")])
def test_of_a_long_table_of_one_side_the_first_four_hundred_rows_are_shown(count, more):
    found = str(whole_table([(each, "<b>") for each in lines(count)], "del"))
    assert rows_of(found)[399] == ("del", ["399", "&lt;b&gt;"])
    assert re.findall(r"([\d,]+) more rows are in the notebook", found) == ([more] if more else [])
