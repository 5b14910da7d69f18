"""What ``nbjobs clean`` says of what it found and deleted, to a reader and to a program."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_nbjobs.commands.cleaning.deletion import Deleted
from airflow_nbjobs.commands.cleaning.remains import Amount, Fate, Finding, Folder, Part
from airflow_nbjobs.commands.cleaning.report import document, text_lines
from airflow_nbjobs.commands.cleaning.survey import Survey
from airflow_nbjobs.commands.records.port import Run

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SIZES = {
    Part.OUTPUT: Amount(2, 200),
    Part.INPUT: Amount(1, 100),
    Part.LIVE: Amount(3, 300),
    Part.NOTEBOOK: Amount(4, 424),
}
ONE = {Part.NOTEBOOK: Amount(1, 10)}
NOTHING = Amount()


def run(number=0, *, hours=1.0, dag_id="d"):
    moment = NOW - timedelta(hours=hours)
    return Run(dag_id=dag_id, run_id=f"r{number}", state="success", run_after=moment, ended=moment)


def finding(of=None, fate=Fate.REMOVE, *, name="x", parts=ONE, other=NOTHING, why="", has_record=True):
    folder = Folder(root="s3://b/x", name=name, parts=parts, other=other)
    return Finding(folder=folder, fate=fate, why=why, run=of, has_record=has_record, clients=None)


def survey(*findings, **more):
    nothing = {"elsewhere": NOTHING, "versioned": [], "notes": [], "problems": []}
    return Survey(findings=list(findings), **nothing | more)


def lines(*findings, deleted=None, **more):
    return text_lines(survey(*findings, **more), deleted, now=NOW)


def test_a_row_counts_the_runs_jobs_and_objects_of_a_dag_and_age():
    one, two = run(1), run(2)
    found = [finding(one, parts=SIZES), finding(one, name="y", parts={Part.OUTPUT: Amount(5, 0)})]
    assert lines(*found, finding(two, parts=SIZES, has_record=False)) == [
        "DAG  age          runs  jobs  inputs  outputs  live copies  notebooks     size  records",
        "d    under 1 day     2     3       2        9            6          8  2.0 KiB        2",
        "nothing was deleted; --yes deletes what the table lists",
    ]


@pytest.mark.parametrize(
    ("days", "age"),
    [
        (0, "under 1 day"),
        (0.99, "under 1 day"),
        (1, "1 to 7 days"),
        (6.9, "1 to 7 days"),
        (7, "7 to 30 days"),
        (29.9, "7 to 30 days"),
        (30, "30 to 90 days"),
        (89.9, "30 to 90 days"),
        (90, "over 90 days"),
        (900, "over 90 days"),
    ],
)
def test_an_age_is_that_of_the_run(days, age):
    assert f" {age} " in lines(finding(run(hours=24 * days)))[1]


def test_rows_are_in_the_order_of_dags_and_the_youngest_comes_first():
    found = [finding(run(hours=hours, dag_id=dag_id)) for hours in (3000, 1, 200, 30, 800) for dag_id in ("e", "d")]
    told = [tuple(line.split()[:3]) for line in lines(*found)[1:-1]]
    ages = [("under", "1"), ("1", "to"), ("7", "to"), ("30", "to"), ("over", "90")]
    assert told == [(dag_id, *age) for dag_id in ("d", "e") for age in ages]


def test_what_is_kept_and_left_is_counted_by_its_reason_the_most_common_first():
    found = [
        finding(run(), Fate.KEEP, why="young"),
        *(finding(run(), Fate.KEEP, why="under way", parts=SIZES) for _ in range(2)),
        finding(None, Fate.LEAVE, why="whose?"),
    ]
    assert lines(*found) == [
        "there is nothing to delete",
        "kept: 2 jobs, 2.0 KiB: under way",
        "kept: 1 job, 10 bytes: young",
        "left: 1 job, 10 bytes: whose?",
    ]


def test_objects_of_nobody_are_left_and_said_wherever_they_lie():
    found = finding(run(), Fate.KEEP, why="young", other=Amount(2, 20))
    said = "objects, 50 bytes: no notebook job makes such"
    assert lines(found, elsewhere=Amount(1, 30))[-1] == f"left: 3 {said}"
    assert lines(elsewhere=Amount(1, 50)) == ["there is nothing to delete", f"left: 1 {said}"]


def test_a_bucket_that_keeps_versions_is_said():
    (_, said) = lines(versioned=["b"])
    assert said.startswith("bucket 'b' keeps versions: ")
    assert "lifecycle rule (NoncurrentVersionExpiration)" in said


def test_what_was_deleted_is_counted_and_no_advice_is_given_then():
    deleted = Deleted(jobs=1, amount=Amount(7, 2048), records=3)
    assert lines(finding(run()), deleted=deleted)[2:] == ["deleted: 1 job, 7 objects, 2.0 KiB, 3 records"]
    assert lines(deleted=Deleted())[1:] == ["deleted: 0 jobs, 0 objects, 0 bytes, 0 records"]


def test_a_program_gets_each_job_with_what_becomes_of_it():
    of = run(3)
    found = survey(
        finding(of, name="a", parts=SIZES, has_record=None, other=Amount(1, 5)),
        finding(None, Fate.LEAVE, name="b", why="whose?", has_record=False),
        elsewhere=Amount(2, 6),
        versioned=["bucket"],
        notes=["noted"],
    )
    told = document(found, None, ["bad"])
    assert told == {
        "version": 1,
        "jobs": [
            {
                "job_name": "a",
                "s3_uri": "s3://b/x/a/",
                "dag_id": "d",
                "run_id": "r3",
                "run_ended_at": of.ended.isoformat(),
                "fate": "remove",
                "why": None,
                "has_record": None,
                "parts": {
                    "input": {"objects": 1, "bytes": 100},
                    "live": {"objects": 3, "bytes": 300},
                    "notebook": {"objects": 4, "bytes": 424},
                    "output": {"objects": 2, "bytes": 200},
                },
            },
            {
                "job_name": "b",
                "s3_uri": "s3://b/x/b/",
                "dag_id": None,
                "run_id": None,
                "run_ended_at": None,
                "fate": "leave",
                "why": "whose?",
                "has_record": False,
                "parts": {"notebook": {"objects": 1, "bytes": 10}},
            },
        ],
        "other_objects": {"objects": 3, "bytes": 11},
        "versioned_buckets": ["bucket"],
        "deleted": None,
        "notes": ["noted"],
        "problems": ["bad"],
    }
    assert list(told["jobs"][0]["parts"]) == ["input", "live", "notebook", "output"]
    deleted = Deleted(jobs=2, amount=Amount(3, 4), records=5, notes=["of it"])
    told = document(found, deleted, [])
    assert told["deleted"] == {"jobs": 2, "objects": 3, "bytes": 4, "records": 5}
    assert (told["notes"], told["problems"]) == (["noted", "of it"], [])
