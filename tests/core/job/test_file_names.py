"""Names that a notebook has given, before a person sees them and a browser saves them."""

import pytest

from airflow_nbjobs.core.job.file_names import LONGEST_NAME, shown_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.csv", "a.csv"),
        ("./data/a b.csv", "data/a b.csv"),
        ("././x", "x"),
        ("größe/δ.png", "größe/δ.png"),
        ("שלום.txt", "שלום.txt"),
        ("invoice\u202efdp.exe", "invoice⟦U+202E⟧fdp.exe"),
        ("a\nb\tc\rd", "a␊b␉c␍d"),
        ("\x1b[31mred\x00", "␛[31mred␀"),
        ("half\ud800", "half\ufffd"),
        ("...", "..."),
        ("a..b/c..", "a..b/c.."),
    ],
    ids=ascii,
)
def test_a_name_is_shown_with_what_is_unseen_in_it(name, shown):
    assert shown_name(name) == shown
    assert shown_name(shown) == shown


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "./", "..", "../x", "a/../x", "/etc/passwd", "//x", "a//b", "a/", "a/.", "a/./b"),
        *("..\\x", "a\\b", "C:/x", "c:x", "x" * (LONGEST_NAME + 1), "ä" * 600),
    ],
    ids=lambda name: ascii(name[:20]),
)
def test_a_name_that_leads_elsewhere_is_none(name):
    assert shown_name(name) is None


def test_the_longest_name_is_of_a_kilobyte_as_s3_counts_it():
    assert LONGEST_NAME == 1024
    for longest in ("x" * 1024, "ä" * 512):
        assert shown_name(longest) == longest
        assert shown_name(f"./{longest}") == longest
        assert shown_name(f"{longest}x") is None


@pytest.mark.parametrize("name", ["x", "x:", "ab:c", "a/b:c"])
def test_only_one_letter_before_a_colon_is_a_drive(name):
    assert (shown_name(name) is None) is (name == "x:")
