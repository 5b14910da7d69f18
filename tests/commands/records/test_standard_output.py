"""Standard output for results alone, and what Airflow says meanwhile."""

import os
import sys

import pytest

from airflow_nbjobs.commands.records.standard_output import results_alone

LEVEL = "AIRFLOW__LOGGING__LOGGING_LEVEL"


@pytest.mark.parametrize(("given", "within"), [(None, "WARNING"), ("DEBUG", "DEBUG")])
def test_airflow_says_no_more_than_warnings_unless_it_is_told_to(monkeypatch, given, within):
    monkeypatch.delenv(LEVEL, raising=False)
    if given:
        monkeypatch.setenv(LEVEL, given)
    with results_alone():
        assert os.environ[LEVEL] == within
    assert os.environ.get(LEVEL) == given


def test_what_is_printed_goes_to_standard_error_and_a_result_to_standard_output(capsys):
    with results_alone() as out:
        sys.stdout.write("said\n")
        out.write("result\n")
        assert sys.stdout is sys.stderr
    sys.stdout.write("after\n")
    assert tuple(capsys.readouterr()) == ("result\nafter\n", "said\n")
