"""Which of many points are drawn."""

import pytest

from airflow_nbjobs.core.chart.thinning import thinned


def evenly(values, *, stretches):
    """Thins values that lie at equal distances, from 0 to just below 1."""
    return thinned([place / len(values) for place in range(len(values))], values, stretches=stretches)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([5, 1, 9, 4, 6], [0, 1, 2, 4]),
        ([1, 5, 9, 4, 6], [0, 2, 4]),
        ([9, 5, 4, 1, 6], [0, 3, 4]),
        ([1, 2, 3, 4, 5], [0, 4]),
        ([5, 4, 3, 2, 1], [0, 4]),
        ([1, 1, 1, 1, 1], [0, 4]),
        ([3, 1, 1, 5, 5, 3], [0, 1, 3, 5]),  # of equal ones the first
    ],
    ids=str,
)
def test_of_one_stretch_the_first_the_last_the_least_and_the_greatest(values, kept):
    assert evenly(values, stretches=1) == kept


def test_each_stretch_has_its_own():
    first, second = [5, 1, 9, 4, 6], [50, 10, 90, 40, 60]
    assert evenly(first + second, stretches=2) == [0, 1, 2, 4, 5, 6, 7, 9]


def test_a_point_at_the_very_end_is_of_the_last_stretch():
    shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert thinned(shares, [5, 6, 7, 8, 9, 1, 9, 3, 4, 2], stretches=2) == [0, 4, 5, 6, 9]


def test_a_stretch_without_points_costs_none():
    shares = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.9, 0.91, 0.92, 0.93]
    kept = thinned(shares, [5, 1, 9, 4, 6, 7, 3, 0, 8, 2], stretches=2)
    assert kept == [0, 1, 2, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(("count", "drawn"), [(8, 8), (9, 4)])
def test_four_points_a_stretch_are_all_drawn(count, drawn):
    assert len(evenly([1.0] * count, stretches=2)) == drawn
