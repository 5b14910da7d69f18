"""What the parsers of arguments take, and what they say of what they do not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import PurePosixPath

import pytest

from airflow_nbjobs.core.job import parsers as parse


@pytest.mark.parametrize("value", [None, "", " \n", "None", " null "])
def test_what_a_template_writes_for_nothing_is_nothing(value):
    assert parse.is_absent(value)


@pytest.mark.parametrize("value", [0, False, (), "none", "NULL", "0", "Nones"])
def test_anything_else_is_something(value):
    assert not parse.is_absent(value)


def test_a_text_loses_the_blanks_around_it():
    assert parse.text(" a b\n") == "a b"


@pytest.mark.parametrize(
    ("value", "hint"), [("", ""), (" ", ""), (None, ""), (["a"], ""), (5, "native"), (0.5, "native")]
)
def test_what_is_no_text_is_refused_and_a_number_is_explained(value, hint):
    with pytest.raises(ValueError, match="must be a text that is not empty, not ") as raised:
        parse.text(value)
    assert ("render_template_as_native_obj" in str(raised.value)) is bool(hint)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((True, 1, "true", "True", " YES ", "on", "t", "y", "1"), True),
        ((False, 0, "false", "No", "off", "f", "n", "0"), False),
    ],
)
def test_a_boolean_is_read_from_its_texts(values, found):
    assert [parse.boolean(value) for value in values] == [found] * len(values)


@pytest.mark.parametrize("value", ["", "maybe", 2, None, "truee"])
def test_what_is_no_boolean_is_refused(value):
    with pytest.raises(ValueError, match="must be True or False, not "):
        parse.boolean(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [(None, None), ("None", None), (True, True), ("false", False), (" /etc/ca.pem ", "/etc/ca.pem")],
)
def test_certificates_are_verified_as_botocore_takes_it(value, found):
    assert parse.verify(value) == found
    assert type(parse.verify(value)) is type(found)


@pytest.mark.parametrize("value", [2, ["/ca.pem"]])
def test_what_says_nothing_of_certificates_is_refused(value):
    with pytest.raises(ValueError, match="must be True, False or the path"):
        parse.verify(value)


@pytest.mark.parametrize(("value", "found"), [(1, 1), ("9", 9), (9.0, 9), ("5.0", 5), (Decimal(7), 7)])
def test_a_whole_number_within_its_limits_is_read(value, found):
    assert parse.whole_number(minimum=1, maximum=9)(value) == found
    assert type(parse.whole_number(minimum=1, maximum=9)(value)) is int


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "must be from 1 to 9, not 0"),
        ("10", "must be from 1 to 9, not 10"),
        (1.5, "must be a whole number from 1 to 9, not 1.5"),
        (True, "must be a whole number from 1 to 9, not True"),
        ("x", "must be a whole number from 1 to 9, not 'x'"),
        (timedelta(seconds=2), "must be a whole number from 1 to 9, not "),
    ],
    ids=str,
)
def test_a_number_outside_its_limits_is_refused_with_them(value, said):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared
        parse.whole_number(minimum=1, maximum=9)(value)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("value", "found"), [(timedelta(minutes=1), 60), ("PT1M", 60), ("0:01:00", 60), (1, 1), ("90", 90)]
)
def test_a_duration_in_whole_seconds_has_many_forms(value, found):
    assert parse.whole_seconds(minimum=1, maximum=90)(value) == found


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (91, "must be from 1 to 90 seconds, not 91"),
        (timedelta(0), "must be from 1 to 90 seconds, not 0"),
        (timedelta(seconds=1.5), "must be a whole number of seconds from 1 to 90, or a timedelta, not "),
        ("soon", "must be a whole number of seconds from 1 to 90, or a timedelta, not 'soon'"),
    ],
    ids=str,
)
def test_a_duration_that_does_not_fit_is_refused_with_its_unit(value, said):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared
        parse.whole_seconds(minimum=1, maximum=90)(value)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("value", "found"), [(0, 0.0), ("0.5", 0.5), (366 * 86_400, 366 * 86_400.0), (timedelta(hours=1), 3600.0)], ids=str
)
def test_seconds_may_be_parts_of_one_up_to_a_year(value, found):
    assert parse.seconds(value) == found


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-0.1, "from 0 to 31622400 seconds"),
        (366 * 86_400 + 1, r"\(a year\)"),
        ("soon", "must be a number of seconds or a timedelta, not 'soon'"),
        (None, "must be a number of seconds or a timedelta"),
    ],
)
def test_what_is_no_duration_is_refused(value, said):
    with pytest.raises(ValueError, match=said):
        parse.seconds(value)


def test_a_text_of_one_form_is_the_whole_of_it():
    read = parse.matching("[a-z]+", "is no word")
    assert read(" abc ") == "abc"
    for wrong in ("abc1", "1abc", "a b"):
        with pytest.raises(ValueError, match=f"'{wrong}' is no word"):
            read(wrong)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ()),
        ("null", ()),
        ("a b.py, c.py\nd.py", ("a b.py", "c.py", "d.py")),
        (PurePosixPath("a/b.py"), ("a/b.py",)),
        ([PurePosixPath("a/b.py"), "c, d.py"], ("a/b.py", "c, d.py")),
        (("a.py",), ("a.py",)),
        ('["a.py", "b.py"]', ("a.py", "b.py")),
    ],
    ids=str,
)
def test_paths_are_read_from_a_list_or_its_text(value, found):
    assert parse.paths(value) == found


@pytest.mark.parametrize("value", [5, [5], [""], b"a.py"])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(ValueError, match=r"must be a list of texts|has an empty entry"):
        parse.paths(value)


def test_a_mapping_is_read_from_its_text_and_is_a_copy():
    given = {"a": 1}
    assert parse.json_object(given) == given
    assert parse.json_object(given) is not given
    assert parse.json_object('{"a": 1}') == parse.json_object("{'a': 1}") == given


@pytest.mark.parametrize("value", ["[1]", "x", 5, None, [("a", 1)]])
def test_what_is_no_mapping_is_refused(value):
    with pytest.raises(ValueError, match="must be a dictionary"):
        parse.json_object(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [("a", "a"), (5, "5"), (0.5, "0.5"), (True, "True"), (Decimal("1.10"), "1.10"), (None, None), ([], None)],
)
def test_numbers_have_a_text_and_nothing_else(value, found):
    assert parse.plain_text(value) == found
