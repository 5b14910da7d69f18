"""What a task says when it fails, as an XCom holds it: bounded, masked, and read with distrust."""

import json
import time

import pytest
from airflow_names import AirflowSkipException

from airflow_nbjobs.core.error_record import (
    ErrorRecord,
    details_of,
    error_record,
    parse_error_record,
    short_record,
)
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobConfigError,
    NotebookJobTimeoutError,
    NotebookSkippedError,
)
from airflow_nbjobs.task.retryable import FatalNotebookJobConfigError


def recorded(error, mask=lambda text: text):
    made = error_record(error, try_number=2, mask=mask)
    json.dumps(made, allow_nan=False)
    return made


def test_an_error_is_read_back_as_it_was_said():
    error = NotebookJobTimeoutError("Its time was used up", details={"logs": "l", "next": "raise it"}, job_name="j")
    assert parse_error_record(recorded(error)) == ErrorRecord(
        try_number=2,
        kind="NotebookJobTimeoutError",
        headline="Its time was used up",
        advice="raise it",
        text="Its time was used up\n  logs: l\n  next: raise it",
        job_name="j",
    )


def test_it_has_the_name_that_users_know_and_every_problem():
    found = parse_error_record(recorded(FatalNotebookJobConfigError("two", problems=["a", "b"])))
    assert (found.kind, found.problems) == ("NotebookJobConfigError", ("a", "b"))


def test_the_cell_is_there_and_an_exception_of_others_names_its_class():
    assert recorded(NotebookCellError("x", cell=3))["cell"] == 3
    assert recorded(KeyError("day"))["headline"] == "KeyError: 'day'"
    assert recorded(RuntimeError())["headline"] == "RuntimeError"


def test_it_is_bounded_and_keeps_its_end_where_the_advice_is():
    error = NotebookJobConfigError(
        "h" * 5_000_000, problems=["p" * 5000] * 100, details={"a": "x" * 5_000_000, "next": "do this"}
    )
    made = recorded(error)
    assert len(json.dumps(made)) < 40_000
    assert made["text"].endswith("do this")
    assert made["problems"][-1] == "… and 80 more"
    assert len(json.dumps(short_record(made))) < 8_000


@pytest.mark.parametrize("blanks", [0, 2_991, 49_990, 99_990, 3_999_990])
def test_no_part_of_a_secret_is_left_wherever_the_text_is_cut(blanks):
    text = "x" * blanks + "my-long-password" + "x" * 4_000_000
    for error in (NotebookJobConfigError(text), NotebookJobConfigError(text, details={"next": "look"}), OSError(text)):
        assert "my-l" not in json.dumps(recorded(error, lambda text: text.replace("my-long-password", "***")))


@pytest.mark.parametrize("shift", [5, 12, 20])
def test_a_secret_with_blanks_is_masked_before_it_is_cut(shift):
    secret = "correct horse battery staple"
    error = OSError(("\x1b[0m" * 18_750)[:-24] + "x" * (24 - shift) + " " + secret + "\x1b[0m" * 1_000_000)
    assert "correct" not in json.dumps(recorded(error, lambda text: text.replace(secret, "***")))


def test_a_text_of_codes_alone_is_recorded_in_no_time():
    began = time.monotonic()
    recorded(ValueError("\x1b[0m" * 5_000_000))
    assert time.monotonic() - began < 3


def test_what_a_log_or_a_database_cannot_hold_is_replaced():
    made = recorded(RuntimeError("\x1b[31mred\x1b[0m \0 \ud800"))
    assert made["headline"] == "RuntimeError: red � ?"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [],
        {},
        {"version": 2, "try_number": 1, "headline": "x"},
        {"version": 1, "try_number": "1", "headline": "x"},
        {"version": 1, "try_number": True, "headline": "x"},
        {"version": 1, "try_number": 10**12, "headline": "x"},
        {"version": 1, "try_number": 1, "headline": ""},
        {"version": 1, "try_number": 1, "headline": {"x": 1}},
    ],
)
def test_what_is_no_record_says_nothing(value):
    assert parse_error_record(value) is None


def test_a_doctored_record_is_cut_and_its_wrong_parts_are_left_out():
    found = parse_error_record(
        {
            "version": 1,
            "try_number": 1,
            "headline": "h" * 10**6,
            "problems": [1, None, {"a": 1}, "p" * 10**6, *["q"] * 10**5],
            "next": 5,
            "text": "t" * 10**6,
            "type": "T" * 10**6,
            "cell": "3",
            "job_name": "j" * 10**6,
        }
    )
    assert len(found.headline) == 1000
    assert len(found.problems) <= 21
    assert (found.advice, found.cell, len(found.text)) == ("", None, 8000)
    assert parse_error_record({"version": 1, "try_number": 1, "headline": "x", "problems": "no list"}).problems == ()


@pytest.mark.parametrize(("count", "shown"), [(20, 20), (21, 21), (22, 21)])
def test_twenty_problems_are_shown_and_how_many_more_there_are(count, shown):
    made = recorded(NotebookJobConfigError("x", problems=[f"p{number}" for number in range(count)]))
    found = parse_error_record(made)
    assert found.problems[:20] == tuple(f"p{number}" for number in range(20))
    assert found.problems[20:] == ((f"… and {count - 20} more",) if count > 20 else ())
    assert len(parse_error_record(made | {"problems": ["q"] * count}).problems) == shown
    assert short_record(made)["problems"] == ["p0", "p1", "p2"]


@pytest.mark.parametrize("most", [1000, 8000])
def test_a_text_is_cut_in_its_middle_where_it_is_longer_than_there_is_room_for(most):
    def read(text):
        found = parse_error_record({"version": 1, "try_number": 0, "headline": "x", "text": text, "next": text})
        return found.text if most == 8000 else found.advice

    assert read("a" * most) == "a" * most
    cut = read("a" * most + "b")
    assert (len(cut), cut[most // 2 - 1 : most // 2 + 4], cut[-1]) == (most, "a … a", "b")


@pytest.mark.parametrize(("number", "is_one"), [(-1, False), (0, True), (10**9 - 1, True), (10**9, False)])
def test_numbers_are_those_that_a_database_holds(number, is_one):
    whole = {"version": 1, "try_number": 1, "headline": "x"}
    assert (parse_error_record(whole | {"try_number": number}) is not None) is is_one
    assert parse_error_record(whole | {"cell": number}).cell == (number if is_one else None)


def test_names_are_cut_to_what_they_may_be():
    found = parse_error_record(
        {"version": 1, "try_number": 1, "headline": "x", "type": "T" * 101, "job_name": "j" * 64}
    )
    assert (found.kind, found.job_name) == ("T" * 100, "j" * 63)
    assert parse_error_record({"version": 1, "headline": "x"}) is None
    assert parse_error_record({"version": 1, "try_number": 1, "headline": "x"}).cell is None


def test_a_records_fields_are_those_of_its_error():
    error = NotebookCellError(
        "cell 3 failed", cell=3, evalue="no", details={"next": "open it", "notebook": "a.ipynb"}, job_name="j-1"
    )
    assert recorded(error) == {
        "version": 1,
        "try_number": 2,
        "type": "NotebookCellError",
        "headline": "cell 3 failed",
        "problems": [],
        "next": "open it",
        "text": "cell 3 failed\n  next:     open it\n  notebook: a.ipynb",
        "cell": 3,
        "job_name": "j-1",
    }
    assert recorded(NotebookJobConfigError("no role"))["text"] == ""  # the headline says it all


def test_a_skip_that_stands_for_a_failure_has_its_facts():
    skip = AirflowSkipException("skipped: no rows\nmore")
    skip.__cause__ = NotebookSkippedError("no rows", cell=4, details={"next": "wait"}, job_name="j-1")
    made = recorded(skip)
    assert (made["type"], made["headline"]) == ("AirflowSkipException", "skipped: no rows")
    assert (made["cell"], made["next"], made["job_name"]) == (4, "wait", "j-1")
    skip.__cause__ = KeyError("x")
    made = recorded(skip)
    assert (made["cell"], made["next"], made["job_name"], made["problems"]) == (None, "", None, [])


def test_another_exception_is_its_class_and_its_first_line():
    error = ValueError("\n  bad day  \nof many")
    made = recorded(error)
    assert (made["type"], made["headline"]) == ("ValueError", "ValueError: bad day  ")
    assert made["text"] == "\n  bad day  \nof many"
    assert recorded(AssertionError(" \n"))["headline"] == "AssertionError"


def test_every_text_of_a_record_is_masked():
    error = NotebookJobConfigError("h pw", problems=["p pw"], details={"next": "n pw", "a": "d pw"})
    made = recorded(error, lambda text: text.replace("pw", "***"))
    assert (made["headline"], made["problems"], made["next"]) == ("h ***", ["p ***"], "n ***")
    assert "pw" not in json.dumps(made)


def test_a_short_record_keeps_all_but_the_text():
    made = recorded(NotebookJobConfigError("h", problems=["a"], details={"next": "n"}, job_name="j"))
    assert short_record(made) == made | {"text": ""}


def record_of(text):
    return ErrorRecord(try_number=1, kind="E", headline="h", text=text)


def test_details_are_read_by_their_labels():
    text = "h\n  - a problem\n  notebook:  a.ipynb\n  job name:  j\n  source:\n    a = 1\n\n      b = 2\n  next:      look\ntail\n    x"
    assert details_of(record_of(text)) == {
        "notebook": "a.ipynb",
        "job name": "j",
        "source": "a = 1\n\n  b = 2",
        "next": "look",
    }
    assert details_of(record_of("h\n    next: x\n  Next: y\n next: z")) == {}
    assert details_of(record_of("")) == {}
