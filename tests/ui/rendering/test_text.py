"""What a cell printed and raised: folded where it is long, cut where there is no room, and never of another kind than it was."""

import re

import pytest

from airflow_nbjobs.ui.rendering.budget import Budget
from airflow_nbjobs.ui.rendering.text import error_html, plain_text_of, size, stream_of, text_html, text_of


def shown(text, budget=None):
    return str(text_html(text, budget or Budget(), kind="stdout"))


def lines(count):
    return "\n".join(f"line {number}" for number in range(count))


@pytest.mark.parametrize(("count", "folded"), [(40, None), (41, "11 more lines"), (1530, "1,500 more lines")])
def test_of_many_lines_the_first_twenty_and_the_last_ten_are_seen_at_once(count, folded):
    html = shown(lines(count) + "\n")
    assert re.findall("<summary>(.*?)</summary>", html) == ([folded] if folded else [])
    assert all(f"line {number}" in html for number in range(count))
    if folded:
        head, _, rest = html.partition("<details>")
        assert (head.count("line "), head.endswith("line 19</pre>")) == (20, True)
        assert rest.partition("</details>")[2].count("line ") == 10


def test_line_ends_at_the_end_are_no_lines():
    assert shown("a\n\n\n") == '<div class="nb-text nb-stdout"><pre>a</pre></div>'
    assert shown("\n\na") == '<div class="nb-text nb-stdout"><pre>\n\na</pre></div>'


@pytest.mark.parametrize(("length", "is_cut"), [(20_000, False), (20_001, True)])
def test_a_line_of_a_page_and_more_is_cut(length, is_cut):
    html = shown("x" * length)
    assert html.count("x") - html.count("nb-text") == 20_000
    assert ("x…</pre>" in html) == is_cut


def test_of_a_text_beyond_the_room_for_it_the_beginning_and_the_end_are_shown():
    budget = Budget()
    budget.left["text"] = 4_000
    text = "a" * 3_000 + "b" * 3_000
    html = shown(text, budget)
    assert f"<pre>{'a' * 2_000}\n…\n{'b' * 2_000}</pre>" in html
    assert "2 kB in the middle are not shown; they are in the .ipynb." in html
    assert (budget.left["text"], budget.refused) == (0, 1)
    # However little room is left, two thousand characters are shown.
    assert f"<pre>{'a' * 1_000}\n…\n{'b' * 1_000}</pre>" in shown(text, budget)
    assert budget.left["text"] == 0
    assert shown("c" * 2_000, budget) == f'<div class="nb-text nb-stdout"><pre>{"c" * 2_000}</pre></div>'
    assert budget.refused == 3


def test_what_was_cut_out_of_the_file_is_said_with_its_size():
    html = shown("airflow-nbjobs:cut:1048576\nbeginning")
    assert html == '<p class="nb-notice">Text of 1.0 MB is not shown; it is in the .ipynb.</p>'


@pytest.mark.parametrize(
    ("output", "stream"),
    [
        ({"output_type": "stream", "name": "stderr"}, "stderr"),
        ({"output_type": "stream", "name": "stdout"}, "stdout"),
        ({"output_type": "stream"}, "stdout"),
        ({"output_type": "stream", "name": "log"}, "stdout"),
        ({"output_type": "display_data", "name": "stderr"}, ""),
        ({}, ""),
    ],
)
def test_what_names_no_stream_went_to_the_first(output, stream):
    assert stream_of(output) == stream


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"data": {"text/plain": ["\x1b[31ma", "b"], "text/html": "c"}}, "ab"),
        ({"data": {"text/html": "c", "image/png": "d"}}, "(an output of type image/png, text/html)"),
        ({"data": {"x" * 100: 1}}, f"(an output of type {'x' * 80})"),
        ({"data": {f"{number:075d}": 1 for number in range(9)}}, None),
        ({"data": {}}, ""),
        ({"output_type": "error", "traceback": ["a", 3, "\x1b[31mb"]}, "a\nb"),
        ({"output_type": "error", "ename": "E", "evalue": "v", "traceback": []}, "E: v"),
        ({"output_type": "error", "ename": "E", "evalue": "v", "traceback": "text"}, "E: v"),
        ({"output_type": "stream", "text": "\x1b[31mred"}, "red"),
        ({"output_type": "later"}, ""),
    ],
)
def test_an_output_without_any_rendering_is_its_text_or_what_it_is_of(output, text):
    found = plain_text_of(output)
    assert found == text if text is not None else len(found) == len("(an output of type )") + 300


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (["a\n", 3, "b"], "a\nb"), (None, ""), ({"a": 1}, ""), (3, "")]
)
def test_a_text_may_be_a_list_of_lines(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (-1, "0 kB"),
        (0, "0 kB"),
        (2048, "2 kB"),
        (1024**2 - 1, "1024 kB"),
        (1024**2, "1.0 MB"),
        (1024**2 * 5 // 2, "2.5 MB"),
    ],
)
def test_sizes_are_in_words(count, words):
    assert size(count) == words


def test_an_error_without_a_traceback_says_what_it_was_and_a_long_one_is_cut():
    assert str(error_html({"ename": "E", "evalue": "v"}, Budget())) == (
        '<div class="nb-text nb-error"><pre>E: v</pre></div>'
    )
    budget = Budget()
    budget.left["text"] = 2_000
    html = str(error_html({"traceback": ["x" * 9_000]}, budget))
    assert "7 kB in the middle are not shown" in html
    assert 'class="nb-text nb-error"' in html
