"""Errors: what they say, and that nothing of them is lost between processes."""

import copy
import inspect
import pickle
import re

import pytest

from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookOutputError,
    NotebookSkippedError,
    bounded,
)

FIELDS = {
    "details": {"notebook": "a.ipynb", "next": "look"},
    "job_name": "nightly-7f3a",
    "problems": ("one", "two"),
    "cell": 7,
    "ename": "ZeroDivisionError",
    "evalue": "division by zero",
    "reason": "no new rows",
    "code": "AccessDenied",
    "is_retryable": True,
}


def subclasses_of(base):
    return {base}.union(*(subclasses_of(child) for child in base.__subclasses__()))


def every_error():
    from airflow_nbjobs.task import retryable as failures  # noqa: F401 - its classes are found through their bases

    return sorted(subclasses_of(NotebookJobError), key=lambda error_type: error_type.__name__)


def made(error_type):
    """The error with every field that its constructor takes set to something that is no default."""
    accepted = inspect.signature(error_type).parameters
    return error_type("It failed", **{name: value for name, value in FIELDS.items() if name in accepted})


def test_every_error_pickles_with_its_fields_and_its_text():
    """Airflow and multiprocessing send exceptions between processes; ``BaseException`` alone would forget keyword arguments."""
    checked = []
    for error_type in every_error():
        error = made(error_type)
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 - our own bytes
            assert type(other) is error_type
            assert vars(other) == vars(error)
            assert str(other) == str(error)
        checked.append(error_type.__name__)
    assert {"NotebookJobTimeoutError", "NotebookJobCapacityError", "FatalNotebookCellError"} <= set(checked)
    assert len(checked) >= 13


def test_details_stand_below_the_headline_in_their_order_with_texts_aligned():
    error = NotebookJobError("It failed", details={"notebook": "a.ipynb", "next": "look"})
    assert str(error).splitlines() == ["It failed", "  notebook: a.ipynb", "  next:     look"]


@pytest.mark.parametrize("error_type", [NotebookJobConfigError, NotebookOutputError])
def test_problems_are_listed_between_headline_and_details(error_type):
    error = error_type("2 problems", problems=["one", "two"], details={"next": "look"})
    assert str(error).splitlines() == ["2 problems", "  - one", "  - two", "  next: look"]


def test_an_error_without_details_is_its_headline():
    assert str(NotebookJobServiceError("It failed")) == "It failed"
    assert NotebookJobError("It failed").details == {}


def test_an_error_keeps_its_details_when_the_callers_mapping_changes():
    details = {"notebook": "a.ipynb"}
    error = NotebookCellError("It failed", details=details)
    details.clear()
    assert error.details == {"notebook": "a.ipynb"}


@pytest.mark.parametrize("text", ["x" * 20_000_000, "x y\n" * 5_000_000, "\n" * 20_000_000])
def test_no_error_is_larger_than_a_log_and_a_database_hold(text):
    """A notebook's exception may have a text of any size; it may be raised, logged, pickled and stored as what it is."""
    cell = NotebookCellError(text, evalue=text, details={"traceback": text})
    cell.details["outputs"] = text
    skipped = NotebookSkippedError(text, reason=text)
    wrong = NotebookOutputError(text, problems=[text])
    for error in (cell, skipped, wrong):
        assert len(str(error)) < 100_000
        assert len(repr(error)) < 50_000
    del cell.details["outputs"]
    for error in (cell, skipped, wrong):
        assert len(pickle.dumps(error)) < 100_000
    assert cell.headline.startswith(text[:100])
    assert cell.headline.endswith(text[-100:])
    left_out = int(re.search(r"(\d+) more characters", cell.headline)[1])
    assert len(text) - 4000 <= left_out <= len(text) - 3000


@pytest.mark.parametrize("place", range(2950, 3010, 7))
def test_no_word_is_cut_in_two_so_that_what_masks_secrets_finds_them_whole(place):
    """A secret is masked where the text is shown, and so after it was cut."""
    secret = "password-of-the-database"
    head = bounded("x " * (place // 2) + secret + " y" * 5000)
    tail = bounded("y " * 5000 + secret + " x" * ((place - 2000) // 2))
    for text in (head, tail):
        assert "pass" not in text.replace(secret, "***")
        assert "base" not in text.replace(secret, "***")


@pytest.mark.parametrize(
    ("made", "most"),
    [
        (lambda text: NotebookJobError(text).headline, 4_000),
        (lambda text: NotebookJobError("h", problems=[text]).problems[0], 4_000),
        (lambda text: NotebookJobError("h", details={"a": text}).details["a"], 20_000),
        (lambda text: NotebookCellError("h", evalue=text).evalue, 10_000),
        (lambda text: NotebookSkippedError("h", reason=text).reason, 10_000),
    ],
)
def test_a_text_is_whole_up_to_its_limit_and_loses_its_middle_beyond(made, most):
    words = "a " * (most // 2)
    assert made(words) == words
    assert " … " in made(words + "b")
    assert len(made(words + "b")) < most + 100


def test_a_text_that_is_cut_says_how_much_is_left_out():
    cut = bounded("a " * 500 + "b " * 500, 400)
    head, middle, tail = cut.split(" … ")
    assert set(head.split()) == {"a"}
    assert set(tail.split()) == {"b"}
    assert len(head) > len(tail)  # what happened says more than how it ended
    assert middle == f"{2000 - len(head) - len(tail)} more characters"


def test_a_text_is_masked_before_it_is_cut_as_it_is_asked_to_be():
    cut = bounded("pw " * 500, 100, lambda text: text.replace("pw", "*"))
    assert "pw" not in cut
    assert cut.startswith("* *")


def test_a_word_that_is_longer_than_any_secret_is_cut_all_the_same():
    cut = bounded("x" * 10_000)
    assert cut.startswith("x" * 2000)
    assert cut.endswith("x" * 400)


def test_details_are_texts_and_a_text_on_lines_of_its_own_leaves_no_blanks():
    error = NotebookJobError("h", details={"cell": 5, "traceback": "\n    line"})
    assert error.details == {"cell": "5", "traceback": "\n    line"}
    assert str(error) == "h\n  cell:      5\n  traceback:\n    line"


def test_a_field_that_is_not_given_says_nothing():
    cell = NotebookCellError("h")
    assert (cell.cell, cell.ename, cell.evalue, cell.is_retryable, cell.job_name) == (None, "", "", True, None)
    skipped = NotebookSkippedError("h")
    assert (skipped.cell, skipped.reason, skipped.job_name) == (None, "", None)
    service = NotebookJobServiceError("h")
    assert (service.code, service.is_retryable, service.problems) == ("", False, ())


def test_every_field_that_is_given_is_the_errors():
    compared = []
    for error_type in every_error():
        error = made(error_type)
        given = {name: value for name, value in FIELDS.items() if name in inspect.signature(error_type).parameters}
        assert {name: getattr(error, name) for name in given} == given
        assert error.headline == "It failed"
        compared += given
    assert set(compared) == set(FIELDS)


@pytest.mark.parametrize("most", range(400, 404))
def test_a_text_is_cut_between_words(most):
    head, _, tail = bounded("abc " * 500, most).split(" … ")
    assert set(head.split()) == set(tail.split()) == {"abc"}
    assert len(head) + len(tail) > most - 10
