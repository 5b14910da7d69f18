"""What ``nbjobs clean`` keeps because a run needs it: one that goes on, in whatever way, or that nobody has asked to clean."""

from __future__ import annotations

import pytest
from cleaned_airflow import CleanedAirflow, arguments, clean, fates, left_keys, survey, why
from msgspec.structs import replace
from ui_account import ROOT

from airflow_nbjobs.commands.cleaning import report
from airflow_nbjobs.commands.cleaning.deletion import NO_DELETION
from airflow_nbjobs.commands.cleaning.remains import Fate, some
from airflow_nbjobs.commands.records.port import CUT, FORGOTTEN, AirflowError, Said
from airflow_nbjobs.core.errors import NotebookJobConfigError


@pytest.fixture
def airflow():
    return CleanedAirflow()


def give(airflow, name, run_id, dag_id="d"):
    """The run was given a model in that job's folder."""
    run = airflow.all_runs[dag_id, run_id]
    airflow.mentions.append(Said(run, f"{ROOT}/{name}/output/model.tar.gz"))


def test_an_ended_run_whose_job_lives_keeps_what_it_was_given(airflow):
    """``wait_for_completion=False``: the task has ended, its job reads the model."""
    old, live = airflow.add(2), airflow.add(1, status="InProgress")
    give(airflow, old, "r1")
    found, _ = clean(airflow)
    assert fates(found) == {old: Fate.KEEP, live: Fate.KEEP}
    assert "run 'r1' of DAG 'd', whose job has not ended, names it" in why(found, old)
    assert len(left_keys(airflow)) == 6


def test_an_ended_run_whose_jobs_have_ended_keeps_nothing(airflow):
    old, new = airflow.add(2), airflow.add(1)
    give(airflow, old, "r1")
    assert fates(survey(airflow)) == {old: Fate.REMOVE, new: Fate.REMOVE}


def test_a_run_marked_as_failed_of_which_a_task_goes_on_is_kept_with_what_it_was_given(airflow):
    old, marked = airflow.add(2), airflow.add(1, state="failed")
    airflow.going_on.add(("d", "r1"))
    give(airflow, old, "r1")
    found, _ = clean(airflow)
    assert fates(found) == {old: Fate.KEEP, marked: Fate.KEEP}
    assert why(found, marked) == "a task of its run is under way"
    assert "run 'r1' of DAG 'd', which is kept, names it" in why(found, old)


@pytest.mark.parametrize("state", ["success", "running"])
def test_with_a_dag_named_any_run_of_another_keeps_what_it_was_given(airflow, state):
    old = airflow.add(2)
    airflow.add(1, dag_id="serve", state=state)
    give(airflow, old, "r1", dag_id="serve")
    found, _ = clean(airflow, dags=["d"])
    assert fates(found) == {old: Fate.KEEP}
    assert "of DAG 'serve'" in why(found, old)


@pytest.mark.parametrize("what", ["root", "access", "region"])
def test_an_ended_run_of_whose_jobs_not_all_is_known_keeps_what_it_was_given(airflow, what):
    old = airflow.add(2)
    other = airflow.add(1, root="s3://bucket/other" if what == "root" else ROOT)
    give(airflow, old, "r1")
    if what == "root":
        airflow.account.clients.objects.denied.add("s3://bucket/other")
    elif what == "access":
        airflow.instances[1] = replace(airflow.instances[1], task_id="u", arguments=arguments("gone"))
        airflow.refused["u", "r1"] = NotebookJobConfigError("no connection 'gone'")
    else:
        airflow.forget_job(other)
        for part in ("output/output.tar.gz", f"{other}.ipynb"):
            airflow.account.clients.objects.bodies.pop(f"{ROOT}/{other}/{part}")
        airflow.account.clients.storage.modified = airflow.instances[1].run_started
    found, _ = clean(airflow)
    assert fates(found)[old] is Fate.KEEP
    assert "names it" in why(found, old)
    assert any(key.startswith(old) for key in left_keys(airflow))


def test_airflow_is_asked_what_runs_name_only_if_anything_would_go_and_told_which_still_run(airflow, monkeypatch):
    asked = []
    read = airflow.texts
    monkeypatch.setattr(airflow, "texts", lambda runs, *, in_use: asked.append(in_use) or read(runs, in_use=in_use))
    running = airflow.add(1, state="running")
    survey(airflow)
    assert asked == []
    airflow.add(2)
    airflow.add(3)
    give(airflow, running, "r1")
    found = survey(airflow, keep_last=1)
    assert asked == [{("d", "r1")}]
    assert why(found, running) == "its run is running", "and not that it names itself"


def test_a_run_that_began_since_and_was_given_the_model_keeps_it(airflow):
    old, other = airflow.add(2), airflow.add(3)

    def begin():
        airflow.add(0, state="running")
        give(airflow, old, "r0")

    found, deleted = clean(airflow, meanwhile=begin)
    assert fates(found) == {old: Fate.REMOVE, other: Fate.REMOVE}
    assert [note for note in deleted.notes if note != NO_DELETION] == [
        "kept by now: 1 of the jobs that were listed: run 'r0' of DAG 'd', which is kept, names it"
    ]
    assert any(key.startswith(old) for key in left_keys(airflow))
    assert not any(key.startswith(other) for key in left_keys(airflow))


def test_a_run_that_was_cleared_since_is_kept(airflow):
    name = airflow.add(1)
    _, deleted = clean(airflow, meanwhile=lambda: airflow.going_on.add(("d", "r1")))
    assert "a task of its run is under way" in deleted.notes[0]
    assert any(key.startswith(name) for key in left_keys(airflow))


def test_a_run_that_ends_since_pushes_none_of_the_last_out(airflow):
    old, last = airflow.add(2), airflow.add(1)
    found, _ = clean(airflow, keep_last=1, meanwhile=lambda: airflow.add(0))
    assert fates(found) == {old: Fate.REMOVE, last: Fate.KEEP}
    assert any(key.startswith(last) for key in left_keys(airflow))


@pytest.mark.parametrize("ends_with", [None, "mention"])
def test_a_run_that_ends_since_keeps_what_it_has_come_to_name(airflow, ends_with):
    """It was kept when the jobs were listed; what it has pushed last may be read by whatever it has started."""
    old = airflow.add(2)
    airflow.add(1, state="running")

    def end():
        airflow.all_runs["d", "r1"] = replace(airflow.all_runs["d", "r1"], state="success")
        if ends_with:
            give(airflow, old, "r1")

    clean(airflow, meanwhile=end)
    assert any(key.startswith(old) for key in left_keys(airflow)) is (ends_with is not None)


@pytest.mark.parametrize("method", ["runs", "under_way", "texts"])
def test_nothing_is_deleted_if_airflow_does_not_answer_once_more(airflow, monkeypatch, method):
    airflow.add(1)

    def silent(*_, **__):
        raise AirflowError("no answer")

    _, deleted = clean(airflow, meanwhile=lambda: monkeypatch.setattr(airflow, method, silent))
    assert "nothing was deleted" in deleted.problems[0]
    assert len(left_keys(airflow)) == 3


def test_the_last_runs_are_the_last_that_have_ended(airflow):
    running = [airflow.add(number, state=state) for number, state in ((0, "running"), (1, "queued"))]
    last, old = airflow.add(2), airflow.add(3)
    marked = airflow.add(4, days_old=-1, state="failed")
    airflow.going_on.add(("d", "r4"))
    found = survey(airflow, keep_last=1)
    assert fates(found) == {**dict.fromkeys([*running, last, marked], Fate.KEEP), old: Fate.REMOVE}
    assert why(found, last) == "its run is one of the last 1"


def test_what_of_a_kept_run_cannot_be_read_is_said(airflow):
    airflow.add(1)
    for number in range(5):
        airflow.add(number + 2, dag_id="e")
    airflow.mentions = [Said(airflow.all_runs["e", f"r{number + 2}"], "", FORGOTTEN) for number in range(5)]
    airflow.mentions.append(Said(airflow.all_runs["e", "r2"], "", CUT))
    found, deleted = clean(airflow, dags=["d"])
    assert len(found.notes) == 2
    assert any(CUT in note and "'r2' of 'e'" in note for note in found.notes)
    assert any(FORGOTTEN in note and "'r2' of 'e', 'r3' of 'e', 'r4' of 'e' and 2 more" in note for note in found.notes)
    assert deleted.notes == [], "once"
    assert report.document(found, deleted, [])["notes"] == found.notes


def test_of_many_names_the_first_are_told_and_how_many_there_are_besides():
    assert [some("abcd"[:count], 3) for count in (1, 3, 4)] == ["a", "a, b, c", "a, b, c and 1 more"]
