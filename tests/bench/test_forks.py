"""Each measurement is a fork's own, and a probe that fails ends the benchmark."""

import os

import pytest
from support.forks import Forks


def test_each_measurement_is_made_in_a_child_of_its_own():
    with Forks("echo", os.environ) as forks:
        first, second = (forks.measured(number=number) for number in (1, 2))
    assert [one["told"] for one in (first, second)] == [{"number": 1}, {"number": 2}]
    assert first["process"] != second["process"]
    assert first["parent"] == second["parent"]


def test_a_probe_that_fails_ends_the_benchmark_in_its_own_words():
    with Forks("echo", os.environ) as forks, pytest.raises(SystemExit, match="the probe's own words"):
        forks.measured(fails=True)
