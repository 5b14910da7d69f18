"""Two jobs side by side: their facts, what of those differs, and the sentence that says so."""

from datetime import UTC, datetime, timedelta

import pytest
from ui_account import hint, task_instance

from airflow_nbjobs.core.error_record import ErrorRecord
from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.core.job.status import parse_description
from airflow_nbjobs.ui.compared_jobs import Looked, compared_facts, counted, verdict
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.jobs import Job

STARTED = datetime(2026, 1, 2, 3, tzinfo=UTC)
PRICES = Prices({"ml.m5.large": 3.6})


def job(*, status="Completed", minutes=10, is_earlier=False, environment=None, **described):
    ended = {} if minutes is None else {"TrainingEndTime": STARTED + timedelta(minutes=minutes)}
    snapshot = parse_description(
        {
            "TrainingJobName": "j",
            "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/j",
            "TrainingJobStatus": status,
            "SecondaryStatus": status,
            "CreationTime": STARTED,
            "TrainingStartTime": STARTED,
            "BillableTimeInSeconds": None if minutes is None else 60 * minutes,
            "ResourceConfig": {"InstanceType": "ml.m5.large"},
            "AlgorithmSpecification": {"TrainingImage": "image:4"},
            "Environment": {"NBJOBS_TRY_NUMBER": "1"} | (environment or {}),
        }
        | ended
        | described
    )
    return Job(name="j", snapshot=snapshot, location=JobLocation("s3://b/x", "j"), is_earlier=is_earlier)


def looked(found=None, *, problem=None, **fields):
    return Looked(ti=task_instance(**fields), job=found, problem=problem)


def rows(left, right, *, sides=({}, {}), prices=PRICES):
    return {row["name"]: row for row in compared_facts((left, right), sides, prices)}


def test_equal_jobs_have_no_fact_that_differs():
    found = rows(looked(job()), looked(job()))
    assert [row["name"] for row in found.values() if row["differs"]] == []
    assert [row["name"] for row in found.values() if row["difference"]] == []
    assert [row["name"] for row in found.values()] == [
        *("status", "instance_type", "image"),
        *("job_name", "try", "started", "duration", "billable", "cost"),
    ]
    assert {row["label"] for row in found.values() if row["is_own"]} == {
        *("Job", "Try", "Started", "Duration", "Billed", "Cost")
    }
    assert (found["status"]["left"], found["cost"]["left"]) == ("success", "$0.6000")


def test_times_and_costs_are_told_with_their_difference_and_are_no_change():
    found = rows(looked(job()), looked(job(minutes=15)))
    assert found["duration"]["difference"] == "+5 min 0 s (+50 %)"
    assert found["billable"]["difference"] == "+5 min 0 s (+50 %)"
    assert found["cost"]["difference"] == "+$0.3000"
    assert [name for name, row in found.items() if row["differs"]] == []
    assert rows(looked(job()), looked(job(minutes=15)), prices=Prices({})).get("cost") is None


def test_the_billed_time_is_of_all_instances():
    two = {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}}
    found = rows(looked(job()), looked(job(**two)))
    assert found["billable"]["difference"] == "+10 min 0 s (+100 %)"
    assert found["cost"]["difference"] == "+$0.6000"


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("status", {"status": "Stopped"}),
        ("instance_type", {"ResourceConfig": {"InstanceType": "ml.p3.2xlarge"}}),
        ("image", {"AlgorithmSpecification": {"TrainingImage": "image:5"}}),
        ("notebook", {"environment": {"SM_INPUT_NOTEBOOK_NAME": "other.ipynb"}}),
        ("sha256", {"environment": {"NBJOBS_NOTEBOOK_SHA256": "other"}}),
    ],
)
def test_what_the_jobs_are_is_compared(name, changed):
    same = {"SM_INPUT_NOTEBOOK_NAME": "n.ipynb", "NBJOBS_NOTEBOOK_SHA256": "s"}
    changed = changed | {"environment": same | changed.get("environment", {})}
    found = rows(looked(job(environment=same)), looked(job(**changed)))
    assert name in [each for each, row in found.items() if row["differs"]]
    assert found[name]["is_own"] is False


def test_what_one_side_does_not_know_is_neither_the_same_nor_different():
    without = job(AlgorithmSpecification={})
    for sides, which in (((without, job()), "left"), ((job(), without), "right")):
        image = rows(*map(looked, sides))["image"]
        assert (image["difference"], image["is_unknown"], image["differs"]) == (
            f"not known on the {which}",
            True,
            False,
        )
    assert "image" not in rows(looked(without), looked(without))
    # Also of a time: without both there is no difference of them.
    assert rows(looked(job()), looked(job(minutes=None)))["duration"]["difference"] == "not known on the right"


def test_an_error_that_one_side_has_is_a_difference():
    failed = {"index": 3, "ename": "ValueError", "evalue": "no"}
    sides = ({"failed": failed}, {"failed": None})
    error = rows(looked(job(status="Failed"), state="failed"), looked(job()), sides=sides)["error"]
    assert (error["left"], error["right"]) == ("Cell 3: ValueError: no", None)
    assert (error["differs"], error["is_unknown"], error["difference"]) == (True, False, "")
    of_none = ({"failed": failed | {"index": None}}, {})
    assert (
        rows(looked(job(), state="failed"), looked(job()), sides=of_none)["error"]["left"] == "A cell: ValueError: no"
    )


def record(headline):
    return ErrorRecord(try_number=1, kind="E", headline=headline)


def test_without_a_notebook_the_tasks_own_error_is_told():
    left = looked(job(), state="failed", error=record("it broke"))
    right = looked(problem=problems.NOT_STARTED, state="failed", error=record("refused"))
    found = rows(left, right)
    assert (found["error"]["left"], found["error"]["right"]) == ("It broke", "Refused")
    assert (found["status"]["left"], found["status"]["right"]) == ("success", "failed")
    assert rows(looked(), looked(state="queued"))["status"]["right"] == "waiting for a slot"


def test_a_task_without_a_job_has_what_it_recorded():
    end = {"job_name": "j", "duration_seconds": 61, "billable_seconds": 60}
    ti = {
        "job": hint(job_name="j", instance_type="ml.m5.large", input_notebook="a/n.ipynb"),
        "end": end,
        "try_number": 3,
    }
    found = rows(looked(**ti), looked(job()))
    assert [found[name]["left"] for name in ("job_name", "try", "duration", "billable", "cost", "notebook")] == [
        *("j", "3", "1 min 1 s", "1 min 0 s", "$0.0600", "a/n.ipynb")
    ]


def test_a_notebook_is_called_as_the_job_calls_it_or_as_the_task_did():
    recorded = {"job": hint(input_notebook="a/b/n.ipynb")}
    assert rows(looked(job(), **recorded), looked(job()))["notebook"]["left"] == "n.ipynb"
    staged = job(environment={"SM_INPUT_NOTEBOOK_NAME": "staged.ipynb"})
    assert rows(looked(staged, **recorded), looked(job()))["notebook"]["left"] == "staged.ipynb"
    # What the task used last says nothing of an earlier job.
    assert "notebook" not in rows(looked(job(is_earlier=True), **recorded), looked(job()))


def test_an_earlier_job_is_of_the_try_that_it_says():
    earlier = job(is_earlier=True, environment={"NBJOBS_TRY_NUMBER": "1"})
    found = rows(looked(earlier, try_number=3), looked(job(), try_number=3))
    assert (found["try"]["left"], found["try"]["right"]) == ("1", "3")


@pytest.mark.parametrize(
    ("one", "has_notebook", "is_earlier", "is_passing"),
    [
        (looked(), False, False, False),
        (looked(job()), True, False, False),
        (looked(job(is_earlier=True)), True, True, False),
        (looked(job(status="InProgress")), True, False, True),
        (looked(job(), problem=problems.GONE), False, False, False),
        (looked(job(), problem=problems.FINISHING), False, False, True),
        (looked(problem=problems.NOT_STARTED), False, False, True),
    ],
    ids=["nothing", "ended", "earlier", "running", "gone", "on its way", "not started"],
)
def test_what_there_is_of_one_job(one, has_notebook, is_earlier, is_passing):
    assert (one.has_notebook, one.is_earlier, one.is_passing) == (has_notebook, is_earlier, is_passing)


def answer(*, unknown=False, own=False, **counts):
    given = {"parameters": 0, "outputs": 0, "cells": 0, "facts": 0} | counts
    return {"counts": given, "facts": [{"is_unknown": unknown, "is_own": own, "differs": False}]}


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"parameters": 1}, "1 parameter differs."),
        ({"outputs": 2}, "2 outputs differ."),
        ({"cells": 1}, "1 cell differs."),
        ({"facts": 1}, "1 fact about the jobs differs."),
        ({"facts": 2}, "2 facts about the jobs differ."),
        ({"parameters": 1, "outputs": 1}, "1 parameter and 1 output differ."),
        (
            {"parameters": 2, "outputs": 1, "cells": 11, "facts": 1},
            "2 parameters, 1 output, 11 cells and 1 fact about the jobs differ.",
        ),
        ({"cells": 11}, "11 cells differ."),
    ],
)
def test_one_sentence_says_what_differs(counts, said):
    assert verdict(answer(**counts), {}, is_whole=True) == said
    for summary, is_whole, unknown in (({}, False, False), ({"uncompared": ["x"]}, True, False), ({}, True, True)):
        found = verdict(answer(unknown=unknown, **counts), summary, is_whole=is_whole)
        assert found == f"{said} Not everything could be compared."


def test_where_nothing_differs_it_is_said_of_how_much():
    assert verdict(answer(), {}, is_whole=True) == "Nothing differs, but for when the jobs ran, and for how long."
    assert verdict(answer(unknown=True, own=True), {"uncompared": []}, is_whole=True).startswith("Nothing differs, but")
    for summary, is_whole, unknown in (({}, False, False), ({"uncompared": ["x"]}, True, False), ({}, True, True)):
        found = verdict(answer(unknown=unknown), summary, is_whole=is_whole)
        assert found == "Nothing differs in what could be compared."


def test_what_differs_is_counted():
    differs, same = {"differs": True}, {"differs": False}
    of = {"facts": [differs, same], "parameters": [differs, differs], "outputs": []}
    cells = {"same": 5, "unknown": 2, "changed": 1, "moved": 2, "added": 3, "removed": 4}
    assert counted(of, {"counts": cells}) == {"facts": 1, "parameters": 2, "outputs": 0, "cells": 10}
    assert counted(of, {})["cells"] == 0
