"""CSV files that are opened in a spreadsheet: texts stay texts, numbers numbers."""

import csv
import io

import pytest

from airflow_nbjobs.core.csv_text import csv_chunks, csv_field


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\N{FULLWIDTH EQUALS SIGN}1",
        "-Infinity",
        '=cmd|" /C calc"!A0',
        float("-inf"),
    ],
)
def test_a_text_that_a_spreadsheet_would_compute_is_quoted_as_text(text):
    assert csv_field(text).startswith("'")
    assert csv_field(text)[1:2] == csv_field(f"x{text}")[1:2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a;=1+1", "a;'=1+1"),
        ("a; \t@x;-2", "a; \t'@x;'-2"),
        ("a\t=1", "a\t'=1"),
        ("a; b", "a; b"),
        ("one;\ntwo", "one;\ntwo"),
        (";", ";"),
    ],
)
def test_where_a_semicolon_or_a_tab_separates_the_cell_behind_it_is_text_too(text, said):
    assert csv_field(text) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-1, "-1"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (2**64, str(2**64)),
        (True, "true"),
        (None, ""),
        ("a-b", "a-b"),
        ("", ""),
    ],
)
def test_numbers_stay_numbers(value, said):
    assert csv_field(value) == said


def test_the_file_is_read_back_as_it_was_whatever_the_texts_hold():
    rows = [["a,b", 'say "x"', "two\nlines", 1.5], *([["x", "y", "z", number] for number in range(1000)])]
    chunks = list(csv_chunks(["one", "two", "=three", "four"], rows))
    assert len(chunks) > 3
    read = list(csv.reader(io.StringIO("".join(chunks), newline="")))
    assert read[0] == ["one", "two", "'=three", "four"]
    assert read[1] == ["a,b", 'say "x"', "two\nlines", "1.5"]
    assert (len(read), read[-1]) == (1002, ["x", "y", "z", "999"])


def test_what_is_unseen_is_seen():
    assert csv_field("\u202e=1+1") == "⟦U+202E⟧=1+1"
    assert csv_field("a\0b") == "a␀b"


@pytest.mark.parametrize(
    "text", ["\N{FULLWIDTH PLUS SIGN}1", "\N{FULLWIDTH HYPHEN-MINUS}1", "\N{FULLWIDTH COMMERCIAL AT}A"]
)
def test_the_wide_forms_of_east_asia_begin_a_formula_too(text):
    assert csv_field(text) == f"'{text}"
    assert csv_field(f"a;{text}") == f"a;'{text}"


@pytest.mark.parametrize(
    ("value", "said"), [(False, "false"), (0, "0"), (float("nan"), "nan"), (float("inf"), "inf"), ([1], "[1]")]
)
def test_what_is_no_finite_number_is_a_text(value, said):
    assert csv_field(value) == said


def test_an_empty_table_is_its_heads_and_every_row_comes_once():
    assert "".join(csv_chunks(["a", None], [])) == "a,\r\n"
    for count in (199, 200, 201, 400):
        text = "".join(csv_chunks(["n"], ([number] for number in range(count))))
        assert text.split("\r\n") == ["n", *map(str, range(count)), ""]


def test_rows_are_handed_on_before_the_last_one_is_read():
    """A table of a million rows never lies in memory whole."""
    read = []
    chunks = csv_chunks(["n"], ([read.append(number)] for number in range(10_000)))
    next(chunks)
    assert 0 < len(read) < 1000
