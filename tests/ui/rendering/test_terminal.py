"""What a program wrote to a terminal, as it stands there in the end."""

import time

import pytest
from rendered import code, document, stream

from airflow_nbjobs.ui.rendering.terminal import against, contrast, settled, terminal_html


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


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("abc\x1b[1Gx", "xbc"),
        ("abc\x1b[Gx", "xbc"),
        ("abc\x1b[3Gx", "abx"),
        ("abc\x1b[Dx", "abx"),
        ("a\x1b[Cx", "a x"),
        ("abc\x1b[9Dx", "xbc"),
        ("a\nb\x1b[Ax", "ax\nb"),
        ("a\nb\x1b[9Ax", "ax\nb"),
        ("a\nb\x1b[A\x1b[Bx", "a\nbx"),
        ("a\x1b[9Bx", "ax"),
        ("ab\ncd\x1b[Fx", "xb\ncd"),
        ("ab\ncd\x1b[A\x1b[Ex", "ab\nxd"),
        ("abc\x1b[2D\x1b[K", "a"),
        ("abc\x1b[2D\x1b[0K", "a"),
        ("abc\x1b[1D\x1b[1K", "  c"),
        ("abc\x1b[2Kd", "   d"),
        ("ab\ncd\nef\x1b[2A\r\x1b[J", ""),
        ("ab\ncd\nef\x1b[A\r\x1b[K", "ab\n\nef"),
        ("ab\x1b[2Jc", "abc"),
        ("ab\ncd\x1b[1A\x1b[1J", "ab\ncd"),
        ("abc\x08\x08\x08\x08x", "xbc"),
        ("a\x1b[5mb\x1b[Dc", "a\x1b[0m\x1b[5mc\x1b[0m"),
    ],
)
def test_each_move_leads_where_a_terminal_goes(written, left):
    assert settled(written) == left


def test_a_move_goes_200_columns_at_most():
    assert settled("\x1b[200Cx") == settled("\x1b[201Cx") == " " * 200 + "x"
    assert settled("\x1b[99G" + "x") == " " * 98 + "x"
    # What stands further right, as in a long line, is reached all the same.
    assert settled("y" * 300 + "\x1b[1Dx") == "y" * 299 + "x"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("\x1b[31ma\rb", "\x1b[0m\x1b[31mb\x1b[0m"),
        ("\x1b[31;1mab\r\x1b[0mc", "c\x1b[0m\x1b[31;1mb\x1b[0m"),
        ("\x1b[31mab\r\x1b[mc", "c\x1b[0m\x1b[31mb\x1b[0m"),
        ("\x1b[31mab\r\x1b[0;32mc", "\x1b[0m\x1b[0;32mc\x1b[0m\x1b[31mb\x1b[0m"),
        ("\x1b[31m\x1b[1mab\rc", "\x1b[0m\x1b[31m\x1b[1mcb\x1b[0m"),
    ],
)
def test_each_character_keeps_the_colours_in_which_it_was_written(written, left):
    assert settled(written) == left


@pytest.mark.parametrize(
    ("written", "left"),
    [
        # A longer state shows behind a shorter one.
        ("long line\rshort\rx", "xhortline"),
        ("a\rlonger\rb", "bonger"),
        ("a\rb\rc\n", "c\n"),
        # A state that ends in colours gives them to the next.
        ("abc\r\x1b[31mx\rab", "\x1b[0m\x1b[31mab\x1b[0mc"),
        ("abc\r\x1b[31mxyz\x1b[0m\rab", "ab\x1b[0m\x1b[31mz\x1b[0m"),
    ],
)
def test_of_the_states_of_a_line_none_is_dropped_that_is_still_seen(written, left):
    assert settled(written) == left


def test_many_colours_on_each_other_have_an_end():
    assert len(settled("".join(f"\x1b[{30 + number % 8}m" for number in range(5000)) + "a\rb")) < 500


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ((0, 0, 0), (255, 255, 255), 21.0),
        ((9, 9, 9), (9, 9, 9), 1.0),
        ((255, 255, 255), (118, 118, 118), 4.54),
        ((255, 0, 0), (255, 255, 255), 4.0),
        ((0, 255, 0), (0, 0, 0), 15.3),
        ((0, 0, 255), (0, 0, 0), 2.44),
    ],
)
def test_contrast_is_that_of_wcag(one, other, ratio):
    assert contrast(one, other) == pytest.approx(ratio, abs=0.01)
    assert contrast(other, one) == contrast(one, other)


def test_a_colour_is_changed_no_further_than_it_must():
    assert against((119, 119, 119), (255, 255, 255)) == (107, 107, 107)
    assert against((118, 118, 118), (255, 255, 255)) == (118, 118, 118)
    assert against((100, 100, 100), (0, 0, 0)) == (131, 131, 131)
