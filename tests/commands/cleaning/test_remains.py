"""What lies under an S3 root and whose it is by its name; which ended runs the rules of ``nbjobs clean`` keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_nbjobs.commands.cleaning.remains import (
    Amount,
    Folder,
    Part,
    Rules,
    digest_of,
    hours_between,
    kept_runs,
    may_live_unseen,
    named_digests,
    parse_age,
    part_of,
    read_folders,
    refusal_of_owner,
    some,
)
from airflow_nbjobs.commands.records.port import Run
from airflow_nbjobs.core.job.naming import RunKey, training_job_name
from airflow_nbjobs.core.job.status import LONGEST_RUN

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAME = "d-t-0123456789ab"


def stored(key, size=1, day=0):
    return SimpleNamespace(key=key, size_bytes=size, modified=NOW + timedelta(days=day))


@pytest.mark.parametrize(
    ("rest", "part"),
    [
        ("input/nb.ipynb", Part.INPUT),
        ("live/x.ipynb", Part.LIVE),
        ("output/output.tar.gz", Part.OUTPUT),
        ("debug-output/a/b", Part.OUTPUT),
        ("profiler-output/a", Part.OUTPUT),
        (f"{NAME}.ipynb", Part.NOTEBOOK),
        ("other.ipynb", None),
        ("input", None),
        ("mine/x", None),
        ("", None),
    ],
)
def test_a_part_is_told_by_where_it_lies(rest, part):
    assert part_of(NAME, rest) is part


def test_folders_are_those_with_a_jobs_name_and_something_of_a_job():
    objects = [
        stored(f"x/{NAME}/input/nb.ipynb", 1, day=3),
        stored(f"x/{NAME}/input/b.csv", 2, day=1),
        stored(f"x/{NAME}/output/model.tar.gz", 4),
        stored(f"x/{NAME}/mine.txt", 8, day=9),
        stored("x/a-ba9876543210/other.txt", 16),
        stored("x/readme.txt", 32),
        stored("x/data/input/x", 64),
        stored(f"x/{NAME}", 128),
    ]
    (folder,), elsewhere = read_folders("s3://b/x", objects, "x/")
    assert (folder.root, folder.name) == ("s3://b/x", NAME)
    assert folder.parts == {Part.INPUT: Amount(2, 3), Part.OUTPUT: Amount(1, 4)}
    assert (folder.amount, folder.other) == (Amount(3, 7), Amount(1, 8))
    assert (folder.newest, folder.has_ended) == (NOW + timedelta(days=3), False)
    assert elsewhere == Amount(4, 16 + 32 + 64 + 128)


@pytest.mark.parametrize("rest", ["output/output.tar.gz", f"{NAME}.ipynb"])
def test_a_job_that_left_its_archive_or_its_notebook_has_ended(rest):
    objects = [stored(f"{NAME}/{rest}"), stored(f"{NAME}/input/x")]
    for each in (objects, objects[::-1]):
        (folder,), _ = read_folders("s3://b", each, "")
        assert folder.has_ended


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        (NAME, "0123456789ab"),
        ("a--b-0123456789ab", "0123456789ab"),
        ("d-t-0123456789AB", None),
        ("d-t-0123456789a", None),
        ("d-t-0123456789abc", None),
        ("0123456789ab", None),
        ("-0123456789ab", None),
        ("ü-0123456789ab", None),
    ],
)
def test_a_jobs_name_ends_with_the_digest(name, digest):
    assert digest_of(name) == digest


def test_a_text_may_name_jobs_in_any_form():
    text = f"s3://b/x/{NAME}/output, '{NAME.replace('ab', 'cd')}.ipynb' e-0123456789abf f-0123456789abZ 0123456789ef"
    assert named_digests(text) == {"0123456789ab", "0123456789cd"}


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("30d", 720), ("8w", 1344), (" 1d ", 24), ("0h", 0)])
def test_an_age_is_read_in_hours(text, hours):
    assert parse_age(text) == hours


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "1m", "100000d", "1d 2h"])
def test_what_is_no_age_is_said(text):
    with pytest.raises(ValueError, match="is no age; write 12h, 30d or 8w"):
        parse_age(text)


def run(number, *, hours, dag_id="d", state="success", ended_hours=None):
    return Run(
        dag_id=dag_id,
        run_id=f"r{number}",
        state=state,
        run_after=NOW - timedelta(hours=hours),
        ended=None if ended_hours is None else NOW - timedelta(hours=ended_hours),
    )


def kept(*runs, older_than=None, keep_last=None, under_way=()):
    rules = Rules(older_than_hours=older_than, keep_last=keep_last)
    return {name[1]: why for name, why in kept_runs(runs, rules, under_way=set(under_way), now=NOW).items()}


def test_a_run_that_goes_on_is_kept_whatever_the_rules():
    runs = [
        run(1, hours=9, state="running"),
        run(2, hours=9, state="failed"),
        run(3, hours=9),
        run(4, hours=9, state="queued"),
    ]
    assert kept(*runs, under_way=[("d", "r2")]) == {
        "r1": "its run is running",
        "r2": "a task of its run is under way",
        "r4": "its run is queued",
    }


def test_an_age_keeps_what_has_ended_since():
    runs = [run(1, hours=23.9), run(2, hours=24), run(3, hours=99, ended_hours=1), run(4, hours=1, ended_hours=30)]
    why = "its run is younger than --older-than"
    assert kept(*runs, older_than=24) == {"r1": why, "r3": why}
    assert kept(*runs, older_than=0) == {}


def test_the_last_of_each_dag_are_kept_by_when_they_were_due():
    runs = [
        run(1, hours=3),
        run(2, hours=1),
        run(3, hours=2),
        run(4, hours=9, dag_id="e"),
        run(5, hours=0, state="running"),
    ]
    assert kept(*runs, keep_last=2) == {
        **dict.fromkeys(("r2", "r3", "r4"), "its run is one of the last 2"),
        "r5": "its run is running",
    }
    assert kept(*runs[:4], keep_last=0) == {}
    assert kept(run(1, hours=1), run(2, hours=1), keep_last=1) == {"r2": "its run is one of the last 1"}


def test_of_two_rules_the_age_is_said():
    runs = [run(1, hours=1), run(2, hours=30), run(3, hours=40)]
    assert kept(*runs, older_than=24, keep_last=2) == {
        "r1": "its run is younger than --older-than",
        "r2": "its run is one of the last 2",
    }


@pytest.mark.parametrize(
    ("rules", "says"), [((None, None), False), ((0, None), True), ((None, 0), True), ((1, 1), True)]
)
def test_rules_say_something_once_one_is_given(rules, says):
    assert Rules(older_than_hours=rules[0], keep_last=rules[1]).says_something is says


def test_hours_are_counted_with_their_fractions():
    assert hours_between(NOW - timedelta(minutes=90), NOW) == 1.5


@pytest.mark.parametrize(
    ("age", "has_ended", "may"),
    [(LONGEST_RUN - timedelta(seconds=1), False, True), (LONGEST_RUN, False, False), (timedelta(), True, False), (None, False, False)],
)  # fmt: skip
def test_a_job_that_is_not_known_here_may_run_elsewhere_as_long_as_any_may(age, has_ended, may):
    newest = None if age is None else NOW - age
    folder = Folder(root="s3://b", name=NAME, parts={}, newest=newest, has_ended=has_ended)
    assert may_live_unseen(folder, now=NOW) is may


@pytest.mark.parametrize(
    ("names", "text"), [(["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more"), ([], "")]
)
def test_of_many_names_the_first_are_said(names, text):
    assert some(names, 2) == text


def test_an_owner_must_have_given_the_job_its_name_in_this_airflow():
    key = RunKey(
        deployment="here", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0
    )
    name = training_job_name("d-t", key)
    assert refusal_of_owner(key, name, deployment="here") == ""
    assert refusal_of_owner(key, name, deployment="") == "it belongs to deployment 'here', this one is ''"
    assert refusal_of_owner(key, NAME, deployment="here") == "its name is not that of its NBJOBS_OWNER"
