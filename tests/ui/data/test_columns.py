"""Which columns a reader of the list of jobs is offered."""

from __future__ import annotations

from airflow_nbjobs.ui.data import columns


def test_what_is_chosen_comes_first_and_nothing_twice(monkeypatch):
    monkeypatch.setattr(columns, "_MOST_OFFERED", 2)
    assert columns._with(["b", "gone"], ["a", "b", "c"]) == ["b", "gone", "a"]
    assert columns._with([], ["a", "b", "c"]) == ["a", "b"]
