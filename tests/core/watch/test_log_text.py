"""The container's log as a person wants to read it."""

import time

import pytest

from airflow_nbjobs.core.watch.log_text import append_line, readable_lines, readable_tail


def test_shell_traces_and_blank_lines_are_left_out():
    assert readable_tail(["+ set -e", "++ echo x", "", "   ", "loaded 500 rows"], limit=10) == ["loaded 500 rows"]


def test_the_last_of_a_run_of_progress_bars_stays():
    bars = [f"Executing: {n * 10}%|{'█' * n}| {n}/10 [00:0{n}<00:09]" for n in range(1, 10)]
    assert readable_tail(["begin", *bars, "end"], limit=10) == ["begin", bars[-1], "end"]
    assert readable_tail(["\r".join(bars)], limit=10) == [bars[-1]]


def test_bars_parted_by_other_lines_are_kept_each():
    bar = "Executing: 10%|█| 1/10 [00:01<00:09]"
    assert readable_tail([bar, "text", bar], limit=10) == [bar, "text", bar]


def test_colours_go():
    assert readable_tail(["\x1b[31mError\x1b[0m: no"], limit=10) == ["Error: no"]


def test_a_long_line_is_cut():
    (line,) = readable_tail(["x" * 2000], limit=10)
    assert line == "x" * 500 + "…"


def test_the_last_lines_are_returned_oldest_first():
    assert readable_tail((f"line {n}" for n in range(9)), limit=3) == ["line 6", "line 7", "line 8"]


def test_no_log_gives_no_lines():
    assert readable_tail([], limit=3) == []


def test_a_line_of_any_size_takes_no_time():
    assert readable_tail(["1%|" * 100_000, "2%|" * 100_000], limit=5) == [
        ("1%|" * 200)[:500] + "…",
        ("2%|" * 200)[:500] + "…",
    ]


@pytest.mark.parametrize("unit", ["1%|", "1", "1%||1", "1%||1/", "1%| ", "|  "])
def test_lines_that_are_nearly_bars_take_no_longer_than_others(unit):
    """A page of CloudWatch has up to 10,000 of them, and the triggerer reads it between two polls."""
    begun = time.process_time()
    readable_tail([(unit * 500)[:500]] * 10_000, limit=5)
    assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        ("a\nb", [("a", False), ("b", False)]),
        ("a\rb", [("a", False), ("b", True)]),
        ("a\r\nb", [("a", False), ("b", False)]),
        ("a  \n\n  b", [("a", False), ("  b", False)]),
        ("+ set\n++ set\nx + y\n+x", [("x + y", False), ("+x", False)]),
        ("0.00s - Debugger warning", []),
        ("1.00s - mine", [("1.00s - mine", False)]),
        ("\x1b[1mbold\x1b[0m\x07", [("bold␇", False)]),
    ],
)
def test_the_lines_of_one_event(raw, lines):
    assert list(readable_lines(raw)) == lines


@pytest.mark.parametrize(
    ("before", "line", "is_over", "kept"),
    [
        ("epoch 1: loss 0.5", "epoch 2: loss 0.4", True, ["epoch 2: loss 0.4"]),
        ("epoch 1: loss 0.5", "epoch 2: loss 0.4", False, ["epoch 1: loss 0.5", "epoch 2: loss 0.4"]),
        ("epoch 1", "done", True, ["epoch 1", "done"]),
        ("a:  5%|#  | 1/9 [00:01<", "b: 50%|## | 4/8 [00:01<", False, ["b: 50%|## | 4/8 [00:01<"]),
        ("5%| of it", "6%| of it", False, ["5%| of it", "6%| of it"]),
        ("| 1/9 [x", "5%|#  | 1/9 [00:01<", False, ["| 1/9 [x", "5%|#  | 1/9 [00:01<"]),
    ],
)
def test_states_of_one_display_replace_each_other(before, line, is_over, kept):
    lines = [before]
    append_line(lines, line, is_over=is_over)
    assert lines == kept


@pytest.mark.parametrize(("length", "is_cut"), [(500, False), (501, True)])
def test_a_line_of_500_characters_is_whole(length, is_cut):
    (line,) = readable_tail(["x" * length], limit=1)
    assert line == ("x" * 500 + "…" if is_cut else "x" * length)


def test_a_line_is_compared_with_the_one_before_it():
    lines = ["epoch 1", "done"]
    append_line(lines, "epoch 2", is_over=True)
    assert lines == ["epoch 1", "done", "epoch 2"]
    append_line(lines, "epoch 3", is_over=True)
    assert lines == ["epoch 1", "done", "epoch 3"]
