"""Python's cyclic collector, paused."""

import gc

import pytest

from airflow_nbjobs.aws.collector import paused_collector


def test_it_runs_again_after_an_error():
    with pytest.raises(ZeroDivisionError), paused_collector():
        1 / gc.isenabled()
    assert gc.isenabled()


def test_a_pause_within_a_pause_does_not_end_it():
    with paused_collector():
        with paused_collector():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
