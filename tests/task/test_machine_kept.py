"""What a job used of its machine is kept with its results where that is asked for, and nothing depends on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fakes import FakeTaskInstance, executed, task_context
from operator_tasks import RAW, defer, end, event_of

from airflow_nbjobs._compat import AirflowTaskTimeout
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.metrics import parse_kept
from airflow_nbjobs.core.job.xcoms import MACHINE_KEY, read_record
from airflow_nbjobs.settings import keeps_machine_metrics, read_settings

BEGUN = (datetime.now(tz=UTC) - timedelta(minutes=10)).replace(second=0, microsecond=0)


def finished(task, *, measured=True, status="Completed", **job):
    """Run a task to its end; return its XComs."""
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    name = end(task.clients, status, **{"ran": executed(RAW)} | job)
    # A job of today: of an old one CloudWatch has coarser points, and then none.
    task.clients.jobs.descriptions[name] |= {
        "TrainingStartTime": BEGUN,
        "TrainingEndTime": BEGUN + timedelta(seconds=90),
    }
    if measured:
        moment = BEGUN.timestamp()
        task.clients.metrics.points[name] = {"cpu": [(moment, 40.0), (moment + 60, 80.0)], "memory": [(moment, 25.0)]}
    if status == "Completed":
        operator.execute_complete(context, event_of(deferred))
    else:
        with pytest.raises(Exception, match=name):
            operator.execute_complete(context, event_of(deferred, status=status))
    return context["ti"].xcoms


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__MACHINE_METRICS", "True")


@pytest.mark.usefixtures("kept")
def test_figures_and_points_are_kept_with_the_moment_of_asking(task):
    before = datetime.now(tz=UTC)
    record = parse_kept(read_record(MACHINE_KEY, finished(task)[MACHINE_KEY]))
    assert record.figures["cpu"].maximum == 40  # of the two vCPUs of an ml.m5.large
    assert record.points["memory"] == ((BEGUN.timestamp(), 25.0),)
    assert record.period_seconds == 60
    assert before <= record.until <= datetime.now(tz=UTC)
    assert [period for _, period in task.clients.metrics.asked] == [60]


def test_by_default_cloudwatch_is_not_asked(task):
    assert MACHINE_KEY not in finished(task)
    assert task.clients.metrics.asked == []


@pytest.mark.usefixtures("kept")
def test_a_job_without_points_keeps_nothing(task):
    assert MACHINE_KEY not in finished(task, measured=False)


@pytest.mark.usefixtures("kept")
def test_a_failed_jobs_machine_is_kept_too(task):
    assert MACHINE_KEY in finished(task, status="Failed")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("reason", "killed"),
    [
        ("AlgorithmError: , exit code: 137", True),
        ("AlgorithmError: DeadKernelError: Kernel died", True),
        ("AlgorithmError: [SM-111] Error", False),
    ],
)
def test_that_a_job_was_killed_is_kept_with_its_end_and_its_figures(task, reason, killed):
    xcoms = finished(task, status="Failed", reason=reason, ran=None)
    assert xcoms["nbjobs_end"]["error"].get("was_killed", False) is killed
    assert xcoms[MACHINE_KEY]["was_killed"] is killed


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("code", ["AccessDenied", "Throttling", "EndpointConnectionError"])
def test_a_cloudwatch_that_does_not_answer_is_a_warning_and_no_result_is_lost(task, code, caplog, capsys):
    task.clients.metrics.error = NotebookJobServiceError(
        f"{code} on cloudwatch:GetMetricData", code=code, details={"next": "needs cloudwatch:GetMetricData"}
    )
    xcoms = finished(task)
    assert MACHINE_KEY not in xcoms
    assert xcoms["nbjobs_end"]["status"] == "Completed"
    said = caplog.text + capsys.readouterr().out
    assert "is not kept with its results" in said
    assert "(needs cloudwatch:GetMetricData)" in said


@pytest.mark.parametrize(
    "failure", [ValueError("Invalid endpoint: no-url"), RuntimeError(""), AirflowTaskTimeout("1 s")], ids=repr
)
@pytest.mark.parametrize("where", ["CloudWatch's client", "Airflow"])
def test_no_exception_of_any_kind_fails_the_job(task, failure, where, monkeypatch, capsys):
    """As botocore's of an endpoint that is no URL, Airflow's of an XCom backend that refuses the record, or the task's time-out just then."""
    monkeypatch.setenv("AIRFLOW__NBJOBS__MACHINE_METRICS", "True")
    push = FakeTaskInstance.xcom_push

    def refuse(ti, key, value):
        if key == MACHINE_KEY:
            raise failure
        push(ti, key, value)

    if where == "Airflow":
        monkeypatch.setattr(FakeTaskInstance, "xcom_push", refuse)
    else:
        task.clients.metrics.error = failure
    xcoms = finished(task)
    assert xcoms["nbjobs_end"]["status"] == "Completed"
    assert MACHINE_KEY not in xcoms
    assert f"is not kept with its results: {type(failure).__name__}" in capsys.readouterr().out


@pytest.mark.usefixtures("kept")
def test_cloudwatch_is_asked_when_all_results_are_delivered(task):
    delivered = []

    def read(names, **_):
        delivered.extend(uri for uri in task.clients.objects.bodies if uri.endswith(f"{names[0]}.ipynb"))
        return {}

    task.clients.metrics.read = read
    finished(task)
    assert len(delivered) == 1


def test_the_connection_says_it_as_well_and_wins(monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__MACHINE_METRICS", "True")
    assert keeps_machine_metrics(read_settings({}))
    assert not keeps_machine_metrics(read_settings({"nbjobs": {"machine_metrics": False}}))


def test_what_is_neither_yes_nor_no_is_refused_before_anything_is_billed(task, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__MACHINE_METRICS", "perhaps")
    operator = task()
    with pytest.raises(
        NotebookJobConfigError, match=r"machine_metrics \(from \[nbjobs\] machine_metrics\): must be True or False"
    ):
        operator.execute(task_context())
    assert task.clients.wrote_nothing
