"""What a program wrote to a terminal, as it stands there in the end."""

import time

import pytest
from rendered import code, document, stream

from airflow_nbjobs.ui.rendering.terminal import settled, terminal_html


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("abc\rX", "Xbc"),
        ("abc\x08\x08XY", "aXY"),
        ("1/3 \x08\x08\x08\x08\x08\x082/3", "2/3 "),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("long line\r\x1b[Kshort", "short"),
        ("long line\x1b[2K\rshort", "short"),
        ("one\ntwo\x1b[1A\rONE\nTWO", "ONE\nTWO"),
        ("one\ntwo\nthree\x1b[2F\x1b[Jlast", "last"),
        ("a\x1b[3Cb\x1b[2Dc\x1b[1Gd", "d  cb"),
        ("before\n\x1b[2J\x1b[Hafter", "before\nafter"),
        # tqdm's bars, one in the other
        (
            "\router 0\n\rinner 0\x1b[A\n\rinner 9\x1b[A\router 1\n\rinner 0\x1b[A\n\rinner 9\x1b[A\router 2\n",
            "outer 2\ninner 9",
        ),
        ("\x1b[31mred\x1b[0m\r\x1b[32mOK\x1b[0m", "\x1b[0m\x1b[32mOK\x1b[0m\x1b[31md\x1b[0m"),
    ],
)
def test_what_was_written_over_is_gone(written, left):
    assert settled(written) == left


def test_of_many_states_of_a_line_the_last_is_left_with_its_colours():
    written = "".join(f"\r\x1b[32m{each:3}%\x1b[0m |{'#' * each}" for each in range(101))
    assert settled(written).startswith("\x1b[32m100%\x1b[0m |##")
    assert settled(written + "\x1b[36m\rdone") == settled(written).replace("\x1b[32m100%", "\x1b[0m\x1b[36mdone")


def test_a_move_leads_no_further_than_a_screen():
    assert len(settled("\x1b[999999999C" * 50 + "x")) < 500


def test_links_titles_and_character_sets_are_no_text():
    written = "\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x07 \x1b]0;title\x07\x1b(B\x1b=\x1b7a\x1b[1m\x1bMb"
    assert terminal_html(written) == 'link a<span class="ansi-bold">b</span>'
    assert "<pre>link</pre>" in document(code("x", stream("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\"))).html


def test_returns_without_a_line_end_take_a_time_that_grows_with_them_and_no_faster():
    """Two hundred thousand of them took 40 s of processor time."""
    started = time.process_time()
    settled("\r" * 200_000)
    assert time.process_time() - started < 2
