"""What counts as a number, in values that others have written."""

import pytest

from airflow_nbjobs.core.numbers import is_number


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (0.5, True), (float("nan"), True), (True, False), ("1", False), (None, False), (1j, False)],
)
def test_a_boolean_and_a_text_are_none(value, expected):
    assert is_number(value) is expected
