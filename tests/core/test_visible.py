"""What is not seen but changes what is read has a mark, as code hosts show it."""

import pytest

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.core.watch.log_text import readable_tail


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])
def test_what_turns_a_text_around_is_shown(code):
    assert visible(f"if admin{chr(code)} # :") == f"if admin⟦U+{code:04X}⟧ # :"


@pytest.mark.parametrize("code", [0x200B, 0x2060, 0xFEFF, 0x3164, 0x2028, 0x9B, 0xE0041])
def test_what_is_not_seen_is_shown(code):
    assert visible(f"pass{chr(code)}word") == f"pass⟦U+{code:04X}⟧word"


def test_controls_of_a_terminal_are_shown_and_line_ends_and_tabs_stay():
    assert visible("a\x08\x1b\x00\x7f\n\tb\r\n") == "a␈␛␀␡\n\tb\r\n"
    assert visible("\ud800") == "\N{REPLACEMENT CHARACTER}"


def test_joiners_are_shown_between_letters_of_ours_only():
    assert visible("pass\u200dword\u200c") == "pass⟦U+200D⟧word⟦U+200C⟧"
    family, persian = "👩\u200d👩\u200d👧", "نم\u200cبینم"
    assert visible(f"{family} {persian} ❤\ufe0f") == f"{family} {persian} ❤\ufe0f"


def test_a_flag_spelt_in_tags_is_a_flag():
    england = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    assert visible(england) == england
    assert visible(england[1:]).startswith("⟦U+E0067⟧")


def test_an_error_and_a_log_show_them():
    error = NotebookJobConfigError("a\u202eb", problems=["c\u2066d"], details={"next": "e\u200bf"})
    assert str(error).split("\n") == ["a⟦U+202E⟧b", "  - c⟦U+2066⟧d", "  next: e⟦U+200B⟧f"]
    assert readable_tail(["\x1b[31mred\x1b[0m\u202e"], limit=1) == ["red⟦U+202E⟧"]


@pytest.mark.parametrize("code", [0x034F, 0x115F, 0x180E, 0x206F, 0xFFA0, 0xFFF9, 0x1D173, 0xE007F, 0x9F, 0x2029, 0x85])
def test_what_has_no_shape_is_shown_by_its_number(code):
    assert visible(f"é{chr(code)}b") == f"é⟦U+{code:04X}⟧b"


@pytest.mark.parametrize("text", ["plain", "a\tb\r\nc", "é\tb\r\nc\n", "日本\n", "", "\n\t\r", "\xa0"])
def test_what_is_seen_stays(text):
    assert visible(text) == text


def test_characters_that_are_named_stay():
    assert visible("a\x1b[0m\x08", but="\x1b") == "a\x1b[0m␈"
    assert visible("a\u200bb\u202e", but="\u202e") == "a⟦U+200B⟧b\u202e"
    assert visible("\ud800a\udfff\n") == "�a�\n"


def test_a_joiner_is_shown_where_a_letter_of_ours_stands_on_one_side():
    assert visible("n\u200cن") == "n⟦U+200C⟧ن"
    assert visible("ن\u200cn") == "ن⟦U+200C⟧n"
    assert visible("ن\u200cن") == "ن\u200cن"
