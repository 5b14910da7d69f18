"""What a text says, where something else is due."""

import re
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.pool_members import Member, member_problems
from airflow_nbjobs.core.texts import is_template, lines, number, seconds, shortened, structure, words
from airflow_nbjobs.params import notebook_params
from airflow_nbjobs.task.asset_events import outlet_problems
from airflow_nbjobs.ui.data.task_instance import _is_plain

TEMPLATES = ["s3://b/{{ ds }}", "s3://b/{% if 1 %}x{% endif %}", "s3://b/x{# by night #}"]


def test_jinja_has_three_marks():
    assert [is_template(text) for text in (*TEMPLATES, "s3://b/{a}", "{ {a} }", "")] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("text", TEMPLATES)
def test_everybody_takes_the_same_texts_for_templates(text):
    path = text.removeprefix("s3://b/") + ".ipynb"
    with pytest.raises(NotebookJobConfigError, match="is a template"):
        notebook_params(path)
    (problem,) = outlet_problems(SimpleNamespace(outlets=[Asset(name=text, uri="s3://b/model")]))
    assert "Airflow renders no outlet" in problem
    assert not _is_plain(text)
    known = {"instance_type": ["ml.m5.large"]}
    assert member_problems("g", [Member("'a'", known), Member("'b'", {"instance_type": [text]})]) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"a": 1} ', {"a": 1}),
        ("{'a': (1, None)}", {"a": (1, None)}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        (r'"\"[1]\""', [1]),
        (r'"\"\\\"[1]\\\"\""', "[1]"),
        ("a", None),
        ("[" * 9999, None),
    ],
)
def test_what_a_text_says_is_read_up_to_a_text_in_a_text_in_a_text(text, value):
    assert structure(text) == value


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ("a, b\nc", ("a", "b", "c")),
        ("[a, b]", ("a", "b")),
        ("('a', \"b\")", ("a", "b")),
        ("'a', \"b\", 'c\"", ("a", "b", "'c\"")),
        ("', x", ("'", "x")),
        ("'' , x", ("x",)),
        ("aba", ("aba",)),
        (["a,b", "['c', 'd']", "[e]"], ("a", "b", "c", "d", "e")),
        (("a",), ("a",)),
        ("", ()),
    ],
)
def test_names_are_read_from_a_list_or_its_text(value, entries):
    assert words(value) == entries


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ("a, b\nc", ("a", "b", "c")),
        (["a, b", " c "], ("a, b", "c")),
        (["['a, b', 'c']", '("d",)', "[e, f]", "'g'"], ("a, b", "c", "d", "[e, f]", "'g'")),
    ],
)
def test_a_comma_in_an_entry_of_a_list_of_texts_is_its_own(value, entries):
    assert lines(value) == entries


@pytest.mark.parametrize("value", [7, None, b"a", [1], ["a", ""], ["a", " "], "LazyXComSequence([1 item])"])
def test_what_is_no_list_of_texts_is_refused(value):
    for read in (words, lines):
        with pytest.raises(ValueError, match=r"must be a list of texts|has an empty entry|end the template in"):
            read(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        *((5, 5), ("5", 5), (" 5 ", 5), ("0x5", None), (5.5, 5.5), ("5.5", 5.5), (10**400, 10**400)),
        *((float("inf"), None), ("inf", None), (float("nan"), None), (True, None), ([], None), (-1e308, -1e308)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_number_is_finite_and_no_boolean(value, found):
    assert number(value) == found
    assert type(number(value)) is type(found)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        *[("PT2H30M", 9000), ("P1W2DT1S", 9 * 86_400 + 1), ("0:01:05", 65), ("P", None), ("PT", None), ("soon", None)],
        *[
            (timedelta(minutes=1), 60),
            (timedelta(days=1, milliseconds=500), 86_400.5),
            (90, 90),
            ("90", 90),
            (0.5, 0.5),
        ],
        *[("1 day, 2:03:04.5", 93_784.5), ("2 days, 0:00:00", 172_800), ("-1 day, 23:00:00", -3600), (" 0:00:01 ", 1)],
        *[("100:00:00", 360_000), ("0:60:00", None), ("0:00:60", None), ("1:00", None), ("1:2:3", None)],
        *[(" PT1M ", 60), ("PT0.25S", 0.25), ("P1D", 86_400), ("PT1H1M1S", 3661), ("P1Y", None), ("P1DT", None)],
        *[("pt1m", None), ("PT1", None), ("", None), (None, None), (True, None), ([1], None), ("inf", None)],
        ("999999999 days, 999999999:00:00", None),  # no timedelta holds it
    ],
    ids=str,
)
def test_a_duration_is_in_seconds(value, found):
    assert seconds(value) == found


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7, "must be a list of texts, not 7"),
        (b"a", "must be a list of texts, not b'a'"),
        (bytearray(b"a"), "must be a list of texts, not bytearray"),
        (["a", 1], "must be a list of texts, not ['a', 1]"),
        ("[1, 2]", "must be a list of texts, not [1, 2]"),
        ("('a', None)", "must be a list of texts, not ('a', None)"),
        (["a", " "], "has an empty entry: ['a', ' ']"),
        ("['a', '']", "has an empty entry: ['a', '']"),
        (
            " LazySelectSequence([3 items]) ",
            "'LazySelectSequence([3 items])' is what a template makes of a mapped task's",
        ),
    ],
)
def test_a_list_that_is_refused_says_what_is_wrong(value, said):
    for read in (words, lines):
        with pytest.raises(ValueError, match=re.escape(said)):
            read(value)


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        (" a ", ("a",)),
        ("a,,b,\n", ("a", "b")),
        ("[ 'a' , b ]", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ('"[\\"a\\", \\"b\\"]"', ("a", "b")),
        ('"a"', ("a",)),
        ("{'a': 1}", ("{'a': 1}",)),
        ("[a", ("[a",)),
        ("a]", ("a]",)),
        (["[a, b]", "c"], ("a", "b", "c")),
        (["' a '"], ("a",)),
        ([], ()),
        ("[]", ()),
        ('""', ()),
    ],
)
def test_names_between_commas_brackets_and_quotes(value, entries):
    assert words(value) == entries


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ("[a, b]", ("[a", "b]")),
        ('["a, b", "c"]', ("a, b", "c")),
        ("a\n b ", ("a", "b")),
        ([" (a "], ("(a",)),
        ([" 'a, b' "], ("'a, b'",)),
        (["['a', ['b', 'c']]"], None),
        ([], ()),
    ],
)
def test_texts_of_any_kind_stay_whole(value, entries):
    if entries is None:
        with pytest.raises(ValueError, match="must be a list of texts"):
            lines(value)
    else:
        assert lines(value) == entries


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("null", None),
        ('"a"', None),
        ('"5"', 5),
        ("True", True),
        ("{1, 2}", {1, 2}),
        ("f()", None),
        ("", None),
    ],
)
def test_a_text_says_a_value_in_json_or_as_python_writes_it(text, value):
    assert structure(text) == value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        *[(Decimal("1.5"), 1.5), (Decimal(2), 2.0), (Decimal("NaN"), None), (Decimal("Infinity"), None)],
        *[("-7", -7), ("1e3", 1000.0), ("1e999", None), ("", None), ("5 s", None), (None, None), (b"5", None), (0, 0)],
        ("9" * 5000, None),  # Python refuses to read so many digits, and no float holds them
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_number_is_read_from_its_text_and_from_a_decimal(value, found):
    assert number(value) == found
    assert type(number(value)) is type(found)


def test_a_text_that_is_short_enough_stays_whole():
    assert (shortened("a" * 80), shortened("a" * 81)) == ("a" * 80, "a" * 80 + "…")
    assert (shortened("abc", 3), shortened("abcd", 3)) == ("abc", "abc…")
