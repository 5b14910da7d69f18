"""Which cells, and which lines, of two notebooks correspond; and that no input makes looking for it take long."""

import random
from itertools import pairwise

import pytest

from airflow_nbjobs.core.notebook import comparison
from airflow_nbjobs.core.notebook.comparison import CellPair, CellText, aligned_cells
from airflow_nbjobs.core.notebook.comparison_matching import ALL_STEPS, Effort, blocks, matching, rising


def longest(left, right):
    """Return how many items two sequences share in order, in the slow way that is easily seen to be right."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for row, one in enumerate(left):
        for column, other in enumerate(right):
            best = max(table[row][column + 1], table[row + 1][column])
            table[row + 1][column + 1] = table[row][column] + 1 if one == other else best
    return table[-1][-1]


def some_sequences(seed, *, count, items, length):
    chance = random.Random(seed)
    for _ in range(count):
        yield tuple([chance.randrange(items) for _ in range(chance.randrange(length))] for _ in range(2))


@pytest.mark.parametrize("items", [2, 4, 30])
def test_as_many_items_correspond_as_can(items):
    for left, right in some_sequences(items, count=100, items=items, length=14):
        pairs = matching(left, right, Effort())
        assert [left[place] for place, _ in pairs] == [right[place] for _, place in pairs]
        assert all(one < next_one and other < next_other for (one, other), (next_one, next_other) in pairwise(pairs))
        assert len(pairs) == longest(left, right), (left, right)


def test_blocks_are_the_whole_of_both_sides_in_turn():
    for left, right in some_sequences(1, count=100, items=4, length=14):
        found = list(blocks(left, right, Effort()))
        assert [place for block in found for place in block.left] == list(range(len(left)))
        assert [place for block in found for place in block.right] == list(range(len(right)))
        assert all(one.kind != other.kind for one, other in pairwise(found))
        for block in found:
            assert block.left or block.right
            is_equal = [left[place] for place in block.left] == [right[place] for place in block.right]
            assert is_equal is (block.kind == "equal")


def hostile():
    chance = random.Random(3)
    many = 4_000
    two = [[chance.randrange(2) for _ in range(many)] for _ in range(2)]
    return {
        "in turn": (["a", "b"] * many, ["b", "a"] * many),
        "two items": tuple(two),
        "nothing shared": (list(range(many)), list(range(many, 2 * many))),
        "backwards": (list(range(many)), list(range(many))[::-1]),
        "one item": (["x"] * many, ["x"] * (many // 2)),
        "few items": tuple([chance.randrange(300) for _ in range(many)] for _ in range(2)),
    }


def test_no_input_takes_long():
    """Steps are counted, not seconds: the machine may be busy."""
    for name, (left, right) in hostile().items():
        effort = Effort(steps=300_000)
        pairs = matching(left, right, effort)
        assert effort.steps > -50_000, name
        assert all(left[place] == right[other] for place, other in pairs), name
        if name in ("nothing shared", "one item"):
            assert not effort.is_spent, name


def test_without_effort_it_is_said_that_not_all_was_looked_for():
    effort = Effort(steps=0)
    assert matching("abcxyz", "abdxyz", effort) == [(0, 0), (1, 1), (3, 3), (4, 4), (5, 5)]
    assert effort.is_spent
    assert matching("same", "same", Effort(steps=0)) == [(place, place) for place in range(4)]


def test_the_most_pairs_that_rise():
    assert rising([(0, 3), (1, 0), (2, 1), (3, 2), (4, 9)]) == [(1, 0), (2, 1), (3, 2), (4, 9)]
    assert rising([]) == []


def code(source, id=None):  # noqa: A002 - the notebook format's own word
    return CellText(kind="code", source=source, id=id)


def pairs_of(left, right, effort=None):
    return [(each.left, each.right) for each in aligned_cells(left, right, effort or Effort())]


def test_a_cell_that_was_put_in_or_taken_out_shifts_no_other():
    one, two, three = code("one = 1"), code("two = 2"), code("three = 3")
    assert pairs_of([one, three], [one, two, three]) == [(0, 0), (None, 1), (1, 2)]
    assert pairs_of([one, two, three], [one, three]) == [(0, 0), (1, None), (2, 1)]
    assert pairs_of([], [one]) == [(None, 0)]
    assert pairs_of([one], []) == [(0, None)]
    assert pairs_of([], []) == []


def test_a_cell_whose_code_changed_is_the_same_cell():
    before = [code("import pandas as pd"), code("model = fit(data, depth=3)\nmodel.score(test)"), code("print('end')")]
    after = [code("import pandas as pd"), code("model = fit(data, depth=5)\nmodel.score(test)"), code("print('end')")]
    assert pairs_of(before, after) == [(0, 0), (1, 1), (2, 2)]
    assert pairs_of([code("divisor = 4")], [code("divisor = 0")]) == [(0, 0)]


def test_among_cells_that_changed_those_belong_together_that_say_most_of_the_same():
    before = [code("load(table, columns)"), code("fit(model, rate=1)")]
    after = [code("plot(figure, axes, title)"), code("load(table, columns, rows)"), code("fit(model, rate=2)")]
    assert pairs_of(before, after) == [(None, 0), (0, 1), (1, 2)]


def test_ids_tell_where_the_words_do_not():
    before = [code("a", "first"), code("b", "second")]
    after = [code("entirely(other, words)", "second")]
    assert pairs_of(before, after) == [(0, None), (1, 0)]
    # An id that is there twice tells nothing, nor one of a cell of another kind.
    assert pairs_of([code("a", "x"), code("b", "x")], [code("entirely(other)", "x")]) == [
        (0, None),
        (1, None),
        (None, 0),
    ]
    other = CellText(kind="markdown", source="text", id="first")
    assert pairs_of([code("a", "first")], [other]) == [(0, None), (None, 0)]


def test_a_cell_that_moved_is_said_to_have():
    left = [code("one = 1"), code("two = 2"), code("three = 3"), code("four = 4")]
    right = [left[3], *left[:3]]
    assert aligned_cells(left, right, Effort()) == [
        CellPair(3, 0, is_moved=True),
        CellPair(0, 1),
        CellPair(1, 2),
        CellPair(2, 3),
    ]
    blank = [code(""), code("x = 1"), code("y = 2")]
    assert not any(pair.is_moved for pair in aligned_cells(blank, blank[1:] + blank[:1], Effort()))


@pytest.mark.parametrize("effort", [Effort(), Effort(steps=0), Effort(steps=300)])
def test_every_cell_is_there_once_whatever_is_compared(effort):
    chance = random.Random(7)
    sources = ["", "x = 1", "x = 2", "print(x)", "for a in b:\n    c(a)", "# text", "\ud800", "x" * 5000, "((((" * 50]
    for _ in range(60):
        sides = [
            [
                CellText(
                    kind=chance.choice(["code", "markdown"]),
                    source=chance.choice(sources),
                    id=chance.choice([None, "a", "b", "c", ""]),
                )
                for _ in range(chance.randrange(9))
            ]
            for _ in range(2)
        ]
        found = aligned_cells(*sides, Effort(steps=effort.steps))
        assert sorted(pair.left for pair in found if pair.left is not None) == list(range(len(sides[0])))
        assert [pair.right for pair in found if pair.right is not None] == list(range(len(sides[1])))
        assert all(sides[0][p.left].kind == sides[1][p.right].kind for p in found if None not in (p.left, p.right))


def test_what_would_take_too_much_leaves_the_rest_to_others():
    effort = Effort(steps=1_000)
    assert not effort.take(2_000)
    assert (effort.steps, effort.is_spent) == (1_000, True)
    assert effort.take(1_000)
    many = [[code(f"{side} {number}") for number in range(500)] for side in "ab"]
    effort = Effort()
    aligned_cells(*many, effort)
    assert effort.is_spent
    assert matching("ab" * 20, "ba" * 20, effort)  # a text of the same page


@pytest.mark.parametrize("count", [20, 60, 440])
def test_looking_at_the_words_of_cells_is_within_the_effort(monkeypatch, count):
    """440 cells of 4,000 characters that were all rewritten took more than 40 s."""
    looked_at = []
    share = comparison._share
    monkeypatch.setattr(comparison, "_share", lambda *both: looked_at.append(len(both[0])) or share(*both))
    sides = [
        [code(" ".join(f"{side}{number}_{word}" for word in range(400))[:4_000]) for number in range(count)]
        for side in "ab"
    ]
    effort = Effort()
    pairs_of(*sides, effort)
    assert sum(looked_at) <= ALL_STEPS
    assert effort.is_spent is (count == 440)
    assert len(looked_at) == (0 if effort.is_spent else count**2)


def test_only_the_beginning_of_a_long_cell_tells_what_it_is_alike(monkeypatch):
    one, other = [code("a b 1")], [code("a c 2")]
    assert pairs_of(one, other) == [(0, None), (None, 0)]
    monkeypatch.setattr(comparison, "_WORDS_CHARACTERS", 4)
    assert pairs_of(one, other) == [(0, 0)]


def test_two_cells_correspond_where_two_fifths_of_their_words_are_the_same():
    assert pairs_of([code("a b c d e")], [code("a b x y z")]) == [(0, 0)]
    assert pairs_of([code("a b c d e f")], [code("a b u v w x")]) == [(0, None), (None, 0)]
    assert pairs_of([code("")], [code("  ")]) == [(0, 0)]  # two without a word


def test_of_cells_that_are_as_much_alike_each_has_its_own():
    before = [code("a b c 1"), code("a b c 2")]
    after = [code("a b c 3"), code("a b c 4")]
    assert pairs_of(before, after) == [(0, 0), (1, 1)]
    assert pairs_of(before, [code("x"), *after, code("y")]) == [(None, 0), (0, 1), (1, 2), (None, 3)]


def test_cells_correspond_to_cells_of_their_kind_only():
    text = CellText(kind="markdown", source="a b c 1")
    assert pairs_of([code("a b c 1")], [text]) == [(0, None), (None, 0)]
    assert pairs_of([code("a b c 1")], [CellText(kind="markdown", source="a b c 2"), code("a b c 3")]) == [
        (None, 0),
        (0, 1),
    ]


def test_between_cells_of_the_same_id_the_others_are_looked_at():
    before = [code("one(two)", "a"), code("x", "b"), code("three(four)", "c")]
    after = [code("one(2)", "d"), code("entirely(other)", "b"), code("three(4)", "e")]
    assert pairs_of(before, after) == [(0, 0), (1, 1), (2, 2)]
    crossed = [code("entirely(one)", "a"), code("quite(two)", "b")]
    other = [code("p", "b"), code("q", "a")]
    moved = [pair for pair in aligned_cells(crossed, other, Effort()) if pair.is_moved]
    assert len(moved) == 1  # one stays, the other has moved


def test_a_cell_that_moved_and_changed_is_known_by_its_id():
    before = [code("alpha(1)", "a"), code("keep = 1"), code("also = 2")]
    after = [code("keep = 1"), code("also = 2"), code("wholly(different)", "a")]
    assert aligned_cells(before, after, Effort())[-1] == CellPair(0, 2, is_moved=True)
    gone = [code("keep = 1"), code("also = 2"), code("wholly(different)", "z")]
    assert not any(pair.is_moved for pair in aligned_cells(before, gone, Effort()))


def test_of_cells_with_the_same_source_each_moves_once():
    before = [code("same"), code("same"), code("stay = 1"), code("more = 2"), code("last = 3")]
    after = [code("stay = 1"), code("more = 2"), code("last = 3"), code("same"), code("same"), code("same")]
    found = aligned_cells(before, after, Effort())
    assert [(pair.left, pair.right) for pair in found if pair.is_moved] == [(0, 3), (1, 4)]
    assert CellPair(None, 5) in found


@pytest.mark.parametrize(
    ("left", "right", "kinds"),
    [
        ("", "", []),
        ("a", "", [("different", 1, 0)]),
        ("", "ab", [("different", 0, 2)]),
        ("ab", "ab", [("equal", 2, 2)]),
        ("abc", "axc", [("equal", 1, 1), ("different", 1, 1), ("equal", 1, 1)]),
        ("xab", "aby", [("different", 1, 0), ("equal", 2, 2), ("different", 0, 1)]),
        ("abcd", "abXcd", [("equal", 2, 2), ("different", 0, 1), ("equal", 2, 2)]),
        ("abXcd", "abcd", [("equal", 2, 2), ("different", 1, 0), ("equal", 2, 2)]),
    ],
)
def test_blocks_say_what_is_equal_and_what_stands_in_place_of_what(left, right, kinds):
    assert [(block.kind, len(block.left), len(block.right)) for block in blocks(left, right, Effort())] == kinds


def test_long_sequences_are_held_together_by_what_is_alone_of_its_kind():
    left = [f"line {number}" for number in range(1000)]
    right = [f"other {number}" if number % 10 == 5 else line for number, line in enumerate(left)]
    effort = Effort(steps=20_000)
    assert matching(left, right, effort) == [(n, n) for n in range(1000) if n % 10 != 5]
    assert not effort.is_spent


def test_a_step_is_spent_only_where_there_is_enough():
    effort = Effort(steps=5)
    assert effort.take(5)
    assert (effort.steps, effort.is_spent) == (0, False)
    assert not effort.take(1)
    assert (effort.steps, effort.is_spent) == (0, True)
