"""Where files go: what an Airflow calls its tasks leads nowhere else, and no two jobs share a folder."""

from __future__ import annotations

import pytest

from airflow_nbjobs.commands.fetch.places import folder_name, task_folder, try_folders


@pytest.mark.parametrize("name", ["train", "group.train-1", "über_2"])
def test_a_tasks_id_is_its_folders_name(name):
    assert folder_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc", "/etc", "a/b", "a\\b", ".hidden", "a\0b", "a\nb", "x" * 250, "ü" * 250]
)
def test_no_id_leads_out_of_the_folder_or_is_hidden_or_too_long(name):
    made = folder_name(name)
    assert made
    assert not made.startswith(".")
    assert not set(made) & set("/\\\0\n")
    assert len(made.encode()) <= 200


def test_different_ids_have_different_folders():
    ids = ["a/b", "a%2Fb", "..", "%2E%2E", "x" * 250, "x" * 249, ".a", "a"]
    assert len({folder_name(each) for each in ids}) == len(ids)


def test_a_mapped_instance_has_a_folder_of_its_own():
    assert str(task_folder("score", 3)) == "score/3"
    assert str(task_folder("score", -1)) == "score"


def test_a_try_has_one_folder_and_its_further_jobs_have_their_own():
    assert try_folders([(2, 3), (2, 2), (1, 1), (1, 0)]) == ["try-2.attempt-3", "try-2", "try-1.attempt-1", "try-1"]
