"""What the tab says of a job's machine: curves, cells, advice; and that nothing that goes wrong there breaks it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from job_rows import add_jobs, open_database
from msgspec.structs import replace
from sqlalchemy import update
from ui_account import hint, in_routes, task_instance
from ui_site import SUMMARY, Site

from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.machines import machine_of
from airflow_nbjobs.core.job.metrics import MachineRecord, figures_of, kept
from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui.data import queries
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments, TaskRun
from airflow_nbjobs.ui.notebook.machine import Seen

NOW = datetime.now(tz=UTC).replace(microsecond=0)
STARTED = NOW - timedelta(minutes=30)
ENDED = STARTED + timedelta(minutes=10)
CELLS = [
    {
        "anchor": "cell-1",
        "label": "Cell 1",
        "source": "x = 1",
        "start": STARTED.timestamp() + 30,
        "end": STARTED.timestamp() + 90,
        "is_failed": False,
    },
    {
        "anchor": "cell-2",
        "label": "Cell 2",
        "source": "1 / 0",
        "start": STARTED.timestamp() + 90,
        "end": None,
        "is_failed": True,
    },
]
DENIED = NotebookJobServiceError(
    "AccessDenied on cloudwatch:GetMetricData for '*': no",
    code="AccessDenied",
    details={"next": "the identity that Airflow uses needs cloudwatch:GetMetricData on '*'"},
)

SILENT = NotebookJobServiceError(
    "ConnectTimeoutError on cloudwatch:GetMetricData for '*'", code="ConnectTimeoutError", is_retryable=True
)


class MachineSite(Site):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.kept, self.past = {}, []
        in_routes(monkeypatch, "read_kept_machine", lambda *_: self.kept)
        in_routes(monkeypatch, "read_runs", lambda *_, **__: self.past)
        in_routes(monkeypatch, "read_prices", lambda: Prices({"ml.m5.xlarge": 0.3, "ml.m5.large": 0.15}))
        self.name = self.add_job()
        self.describe(TrainingStartTime=STARTED, TrainingEndTime=ENDED, BillableTimeInSeconds=600)
        self.metrics = self.account.clients.metrics

    def describe(self, **fields):
        self.account.clients.jobs.descriptions[self.name] |= fields

    def measured(self, name=None, *, cpu=50.0, memory=30.0, started=STARTED, minutes=10):
        moments = [started.timestamp() + 60 * place for place in range(minutes)]
        self.metrics.points[name or self.name] = {
            "cpu": [(moment, cpu) for moment in moments],
            "memory": [(moment, memory) for moment in moments],
        }

    def run(self, number, *, instance_type="ml.m5.large", machine=None, end_type=None, **end):
        """Add one run before this one; return its job's name."""
        end |= {"instance_type": end_type} if end_type else {}
        started = STARTED - timedelta(days=number)
        ti = task_instance(
            run_id=f"r{number}",
            job=hint(instance_type=instance_type, job_name="what an XCom says"),
            end={
                "status": "Completed",
                "started_at": started.isoformat(),
                "ended_at": (started + timedelta(minutes=10)).isoformat(),
                "billable_seconds": 600,
            }
            | end,
        )
        self.past.append(TaskRun(ti=ti, machine=machine))
        return ti.job_name(ti.run_keys(deployment="")[0]), started

    def answer(self, **query):
        found = self.get("/machine.json", **query)
        assert found.status_code == 200
        return found.json()


@pytest.fixture
def site(monkeypatch):
    made = MachineSite(monkeypatch)
    yield made
    made.notebooks.close()


def record(name, points, until=ENDED):
    return kept(
        MachineRecord(
            job_name=name,
            instance_type="ml.m5.large",
            period_seconds=60,
            until=until,
            points=points,
            figures=figures_of(points),
        )
    )


def test_curves_are_of_the_machine_over_the_jobs_time_with_its_cells_below(site, monkeypatch):
    site.measured()
    monkeypatch.setitem(SUMMARY, "spans", CELLS)
    answer = site.answer()
    assert answer["status"] == "ok"
    assert answer["title"] == "ml.m5.large: 2 vCPUs, 8 GiB of memory, no GPU"
    assert answer["seconds"] == 600
    cpu, memory = answer["curves"]
    assert cpu["text"] == "CPU: at most 25 %, for 95 % of the time at most 25 %"  # of two vCPUs
    assert cpu["points"][1] == [60.0, 25.0]
    assert memory["points"][-1] == [540.0, 30.0]
    assert [(each["start"], each["end"], each["is_failed"]) for each in answer["spans"]] == [
        (30, 90, False),
        (90, 600, True),
    ]
    assert answer["spans"][0]["text"] == "Cell 1, 1 min 0 s: x = 1"
    assert answer["notes"] == ["One point a minute."]
    assert [each["kind"] for each in answer["advice"]] == ["too-few"]


def test_cloudwatch_is_asked_once_however_many_look(site):
    site.measured()
    for _ in range(3):
        assert site.answer()["curves"]
    assert site.metrics.asked == [((site.name,), 60)]


def test_a_denial_names_the_permission_and_the_tab_is_shown_as_ever(site):
    site.metrics.error = DENIED
    answer = site.answer()
    assert (answer["status"], answer["curves"]) == ("ok", [])
    assert answer["notes"] == [
        "Airflow's API server may not read the metrics of this job's machine: the identity that Airflow uses needs cloudwatch:GetMetricData on '*'"
    ]
    assert site.get("/notebook.json").json()["status"] == "ok"
    assert site.get().status_code == 200
    site.metrics.error = None
    site.measured()
    assert site.answer()["curves"]  # what is allowed meanwhile counts at once


def test_what_is_kept_is_shown_where_cloudwatch_may_not_be_asked_and_says_until_when(site):
    site.metrics.error = DENIED
    points = {"memory": ((STARTED.timestamp(), 40.0),)}
    site.kept = record(site.name, points)
    answer = site.answer()
    assert answer["curves"][0]["points"] == [[0.0, 40.0]]
    assert "cloudwatch:GetMetricData" in answer["notes"][0]
    assert f"Kept with the results as CloudWatch had it at {ENDED.isoformat()}" in answer["notes"][1]


def test_what_is_kept_to_the_jobs_end_costs_no_call(site):
    site.kept = record(site.name, {"cpu": ((STARTED.timestamp() + 540, 5.0),)})
    assert site.answer()["curves"][0]["label"] == "CPU"
    assert site.metrics.asked == []


def test_what_is_kept_of_another_job_or_makes_no_sense_is_not_shown(site):
    for value in (record("job-of-others", {"cpu": ((STARTED.timestamp() + 540, 5.0),)}), {"points": "</script>"}, {}):
        site.kept = value
        assert site.answer()["curves"] == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"TrainingEndTime": STARTED + timedelta(seconds=90)}, "a job of under two minutes most often has none"),
        ({}, "CloudWatch has no points of this job"),
        ({"TrainingJobStatus": "InProgress", "TrainingEndTime": None}, "No points yet"),
        (
            {"TrainingJobStatus": "InProgress", "TrainingEndTime": None, "TrainingStartTime": None},
            "has not started yet",
        ),
        ({"ResourceConfig": {"InstanceType": "ml.x9.huge"}}, "What ml.x9.huge has is not known here"),
        ({"ResourceConfig": {}}, "What an instance type that SageMaker does not say has is not known"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # no moment: each worker of pytest has its own now
)
def test_where_there_are_no_points_it_says_why(site, fields, words):
    site.describe(**fields)
    answer = site.answer()
    assert answer["curves"] == []
    assert words in " ".join(answer["notes"])
    is_known = fields.get("ResourceConfig") is None
    assert bool(site.metrics.asked) is (is_known and "TrainingStartTime" not in fields)


def test_an_old_jobs_points_are_asked_for_as_coarse_as_cloudwatch_has_them(site):
    started = NOW - timedelta(days=40)
    site.describe(TrainingStartTime=started, TrainingEndTime=started + timedelta(minutes=30))
    site.measured(started=started)
    assert site.answer()["curves"]
    assert site.metrics.asked == [((site.name,), 300)]


# -- what several runs say ---------------------------------------------------------------------------------------------------


def test_five_runs_give_an_advice_with_one_call_for_all_others(site):
    site.describe(ResourceConfig={"InstanceType": "ml.m5.xlarge"})
    site.measured()
    site.run(0, instance_type="ml.m5.xlarge")  # of another run id than the one that is looked at
    for number in range(1, 5):
        name, started = site.run(number, instance_type="ml.m5.xlarge")
        site.measured(name, started=started)
    name, started = site.run(9, instance_type="ml.m5.24xlarge")
    site.measured(name, memory=99.0, started=started)
    site.measured(site.past[0].ti.job_name(site.past[0].ti.run_keys(deployment="")[0]))
    (only,) = site.answer()["advice"]
    assert only["kind"] == "smaller"
    assert only["text"].startswith(
        "ml.m5.large (2 vCPUs, 8 GiB of memory, no GPU) is enough: none of 5 jobs used more than 30 %"
    )
    assert "would cost $0.0250 in place of $0.0500" in only["text"]
    assert [len(names) for names, _ in site.metrics.asked] == [1, 5]
    site.answer()
    assert len(site.metrics.asked) == 2


def test_a_smaller_machine_saves_on_all_instances(site):
    site.describe(ResourceConfig={"InstanceType": "ml.m5.xlarge"})
    site.measured()
    for number in range(5):
        name, started = site.run(number, instance_type="ml.m5.xlarge", instance_count=2)
        site.measured(name, started=started)
    (only,) = site.answer()["advice"]
    assert "A job of 1200 s billed, their median, would cost $0.0500 in place of $0.1000" in only["text"]


def test_runs_of_which_something_is_kept_are_not_asked_for(site):
    site.describe(ResourceConfig={"InstanceType": "ml.m5.xlarge"})
    site.measured()
    for number in range(5):
        name, started = site.run(number, instance_type="ml.m5.xlarge")
        points = {key: tuple((started.timestamp() + after, 20.0) for after in (480, 540)) for key in ("cpu", "memory")}
        site.past[-1] = TaskRun(ti=site.past[-1].ti, machine=record(name, points))
    assert [each["kind"] for each in site.answer()["advice"]] == ["smaller"]
    assert [names for names, _ in site.metrics.asked] == [(site.name,)]


def test_the_job_that_is_looked_at_counts_once(site):
    site.describe(ResourceConfig={"InstanceType": "ml.m5.xlarge"})
    site.measured()
    site.ti = task_instance(job=hint(instance_type="ml.m5.xlarge"))
    end = {"status": "Completed", "started_at": STARTED.isoformat(), "ended_at": ENDED.isoformat()}
    site.past.append(TaskRun(ti=task_instance(job=hint(instance_type="ml.m5.xlarge"), end=end)))
    (only,) = site.answer()["advice"]
    assert "there is 1." in only["text"]
    assert site.metrics.asked == [((site.name,), 60)]


@pytest.mark.parametrize(
    "end",
    [
        {"started_at": "<b>", "ended_at": None, "billable_seconds": "x", "status": 5, "error": {"headline": 7}},
        {
            "started_at": "0001-01-01T00:00:00",
            "ended_at": "9999-12-31T23:59:59+00:00",
            "billable_seconds": float("inf"),
        },
        {"started_at": "2026-01-01T00:00:00", "ended_at": "2025-01-01T00:00:00", "billable_seconds": -1},
        {"error": {"headline": "x" * 100_000, "was_killed": "yes"}, "billable_seconds": float("nan")},
    ],
    ids=["types", "far", "backwards", "long"],
)
def test_what_the_xcoms_of_other_runs_hold_breaks_nothing(site, end):
    site.measured()
    for number in range(6):
        site.run(number, **end)
    answer = site.answer()
    assert answer["status"] == "ok"
    assert answer["advice"]


def test_runs_that_were_killed_ask_for_a_larger_machine_also_where_nothing_is_measured(site):
    """Most often the kernel is killed, and not the container: the task knows it, its headline does not say so."""
    for number in range(1, 6):
        headline = f"Notebook job 'x' failed in cell {number}: its kernel died"
        site.run(number, status="Failed", error={"headline": headline, "was_killed": True})
    (only,) = site.answer()["advice"]
    assert (only["kind"], only["text"]) == (
        "larger",
        "Take ml.m5.xlarge (4 vCPUs, 16 GiB of memory, no GPU): of the newest 5 jobs 5 were killed, most likely for want of memory.",
    )


def test_of_several_types_the_one_counts_on_which_a_job_has_run(site):
    for number in range(1, 6):
        name, started = site.run(
            number,
            instance_type="ml.m5.2xlarge, ml.m5.large",
            end_type="ml.m5.large" if number > 1 else "ml.m5.2xlarge",
        )
        site.measured(name, started=started)
    assert "there are 4." in site.answer()["advice"][0]["text"]


@pytest.mark.parametrize("error", [DENIED, SILENT], ids=["denied", "silent"])
def test_why_nothing_is_known_of_other_runs_is_said_where_the_jobs_own_record_is_kept(site, error):
    site.kept = record(site.name, {"cpu": ((STARTED.timestamp() + 540, 5.0),)})
    site.run(1)
    site.metrics.error = error
    notes = site.answer()["notes"]
    assert len(notes) == 2
    wanted = "may not read the metrics of the task's other runs" if error is DENIED else "CloudWatch does not answer"
    assert wanted in notes[1]


def test_a_cloudwatch_that_is_silent_is_not_asked_again_and_again(site, monkeypatch):
    """Each open drawer asks every half minute, and would hold a thread of the API server for as long as the network lets it wait."""
    site.run(1)
    site.metrics.error = SILENT
    for _ in range(3):
        assert "CloudWatch does not answer the API server" in site.answer()["notes"][0]
    assert len(site.metrics.asked) == 1
    site.metrics.error = None
    site.measured()
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.machine._SILENT_SECONDS", 0)
    assert site.answer()["curves"]


def test_a_sensors_job_has_curves_and_no_advice_of_other_runs(site):
    site.ti = task_instance(
        kind=Kind.SENSOR, arguments=TaskArguments({"job_name": site.name, "aws_conn_id": "aws_default"})
    )
    site.describe(Environment={"SM_OUTPUT_NOTEBOOK_NAME": "x.ipynb", "SM_JOB_DEF_VERSION": "1.0"})
    site.measured()
    site.run(1)
    answer = site.answer()
    assert answer["curves"]
    assert "there are 0" in answer["advice"][0]["text"]


def test_hostile_texts_of_cells_stay_texts(site, monkeypatch):
    site.measured()
    monkeypatch.setitem(SUMMARY, "spans", [CELLS[0] | {"source": "</script><img src=x onerror=alert(1)> \u202e"}])
    found = site.get("/machine.json")
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "⟦U+202E⟧" in found.json()["spans"][0]["text"]


def test_very_many_cells_are_the_longest(site, monkeypatch):
    site.measured()
    begin = STARTED.timestamp()
    cells = [CELLS[0] | {"start": begin + place / 10, "end": begin + place / 10 + place % 7} for place in range(2000)]
    monkeypatch.setitem(SUMMARY, "spans", cells)
    spans = site.answer()["spans"]
    assert len(spans) == 300
    assert min(each["end"] - each["start"] for each in spans) >= 5


# -- from Airflow's database -------------------------------------------------------------------------------------------------


@pytest.fixture
def database(monkeypatch):
    session = open_database("sqlite://", RenderedTaskInstanceFields, SerializedDagModel)
    arguments = TaskArguments({"aws_conn_id": "aws_default"})
    monkeypatch.setattr(queries, "_arguments", lambda *_: (Kind.OPERATOR, arguments))
    with session:
        yield session


def rows(count, **fields):
    return [
        {
            "dag_id": "d",
            "run_id": f"r{number}",
            "task_id": "t",
            "state": "success",
            "started": STARTED + timedelta(minutes=number),
            "seconds": 60.0,
            "notebook": "n",
            "done": 1,
            "error": None,
        }
        | fields
        for number in range(count)
    ]


def test_the_newest_runs_are_read_with_what_is_kept_of_them(database):
    add_jobs(
        database, [*rows(30), *rows(1, run_id="running", seconds=None), *rows(3, run_id="mapped", task_id="other")][:31]
    )
    found = queries.read_runs(database, task_instance(), most=20)
    assert [run.ti.run_id for run in found] == [f"r{number}" for number in range(29, 9, -1)]
    assert all(run.ti.end["billable_seconds"] == 3600 and run.ti.job["instance_type"] == "ml.m5.large" for run in found)
    assert {run.machine for run in found} == {None}


def test_a_run_that_never_began_or_has_not_ended_is_none(database):
    add_jobs(database, rows(2) + rows(1, run_id="running", seconds=None))
    database.execute(update(TaskInstance).where(TaskInstance.run_id == "r1").values(start_date=None))
    assert [run.ti.run_id for run in queries.read_runs(database, task_instance(), most=20)] == ["r0"]


# -- one job and its runs, without a page ----------------------------------------------------------------------------------------


LARGE = machine_of("ml.m5.large")


def look(site, kept_record=None):
    machines, job = site.notebooks.machines, site.notebooks.jobs.find(site.ti, None)
    return machines.look(site.ti, job, LARGE, kept_record or {})


def test_points_a_period_before_and_after_the_job_are_asked_for(site):
    site.metrics.points[site.name] = {
        "cpu": [((STARTED + timedelta(seconds=after)).timestamp(), 100.0) for after in (-61, -60, 0, 600, 659, 660)]
    }
    found = look(site).record
    assert [round(moment - STARTED.timestamp()) for moment, _ in found.points["cpu"]] == [-60, 0, 600, 659]
    assert {value for _, value in found.points["cpu"]} == {50.0}  # of two vCPUs
    assert (found.job_name, found.instance_type, found.period_seconds) == (site.name, "ml.m5.large", 60)
    assert (found.figures["cpu"].maximum, found.figures["cpu"].count) == (50.0, 4)
    assert look(site).is_kept is False


def test_of_very_many_points_the_peaks_are_kept(site, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.machine._MOST_POINTS", 3)
    site.measured(minutes=10)
    site.metrics.points[site.name]["cpu"][4] = (STARTED.timestamp() + 240, 180.0)
    found = look(site).record
    assert len(found.points["cpu"]) == 3
    assert max(value for _, value in found.points["cpu"]) == 90.0
    assert found.figures["cpu"].count == 10


@pytest.mark.parametrize(("minutes", "is_final"), [(14, False), (16, True)])
def test_a_quarter_of_an_hour_after_its_end_a_jobs_points_stay(site, minutes, is_final):
    ended = datetime.now(tz=UTC) - timedelta(minutes=minutes)
    site.describe(TrainingStartTime=ended - timedelta(minutes=10), TrainingEndTime=ended)
    assert look(site).record.is_final is is_final


def test_a_job_that_runs_is_not_final_and_one_that_was_killed_is_said(site):
    site.describe(TrainingJobStatus="InProgress", TrainingStartTime=STARTED - timedelta(days=1), TrainingEndTime=None)
    assert look(site).record.is_final is False
    site.ti = task_instance(task_id="other")
    site.name = site.add_job(status="Failed")
    site.describe(TrainingStartTime=STARTED, TrainingEndTime=ENDED, FailureReason="AlgorithmError: x, exit code: 137")
    assert look(site).record.was_killed is True


def test_a_job_that_has_not_started_costs_no_call(site):
    site.describe(TrainingStartTime=None, TrainingEndTime=None, TrainingJobStatus="InProgress")
    assert look(site).record is None
    assert site.metrics.asked == []


def points_of(minute):
    return {"cpu": ((STARTED.timestamp() + 60 * minute, 5.0),)}


def test_what_is_kept_is_shown_where_it_is_whole_or_all_there_is(site):
    whole = look(site, record(site.name, points_of(8)))
    assert (whole.is_kept, whole.record.points, site.metrics.asked) == (True, points_of(8), [])
    cut = look(site, record(site.name, points_of(7)))
    assert (cut.is_kept, cut.record.points) == (True, points_of(7))
    assert len(site.metrics.asked) == 1
    site.notebooks.machines._seen._values.clear()
    site.measured()
    fresh = look(site, record(site.name, points_of(7)))
    assert (fresh.is_kept, len(fresh.record.points["cpu"])) == (False, 10)


def test_of_a_job_that_runs_nothing_kept_is_whole(site):
    site.describe(TrainingJobStatus="InProgress", TrainingEndTime=None)
    site.measured()
    assert look(site, record(site.name, points_of(29), until=NOW)).is_kept is False


def test_without_an_answer_what_is_kept_is_shown_with_the_reason(site):
    site.metrics.error = DENIED
    seen = look(site, record(site.name, points_of(7)))
    assert (seen.is_kept, seen.record.points) == (True, points_of(7))
    assert seen.trouble == (
        "Airflow's API server may not read the metrics of this job's machine:",
        "the identity that Airflow uses needs cloudwatch:GetMetricData on '*'",
    )
    assert look(site) == Seen(trouble=seen.trouble)
    site.metrics.error = SILENT
    assert look(site).trouble[0] == "CloudWatch does not answer the API server:"
    assert "ConnectTimeoutError" in look(site).trouble[1]


def test_a_denial_is_asked_about_again_and_a_silence_forgotten_with_an_answer(site, monkeypatch):
    site.metrics.error = DENIED
    for _ in range(2):
        look(site)
    assert len(site.metrics.asked) == 2
    site.metrics.error = SILENT
    for _ in range(2):
        look(site)
    assert len(site.metrics.asked) == 3
    # Another connection's silence is not this one's.
    other = TaskArguments({"aws_conn_id": "other", "s3_root_uri": "s3://bucket/nbjobs"})
    job = site.notebooks.jobs.find(site.ti, None)
    site.notebooks.machines.look(task_instance(arguments=other), job, LARGE, {})
    assert len(site.metrics.asked) == 4
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.machine._SILENT_SECONDS", 0)
    site.metrics.error = None
    look(site)
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.machine._SILENT_SECONDS", 120)
    site.notebooks.machines._seen._values.clear()
    assert look(site).trouble == ()


def runs(site, seen=None):
    return site.notebooks.machines.runs(site.ti, seen, LARGE, site.past)


def test_a_run_is_told_by_its_end_and_its_figures(site):
    name, started = site.run(1, instance_count=2)
    site.measured(name, started=started, cpu=100.0, memory=40.0)
    site.run(2, status="Failed", error={"was_killed": True})
    site.run(3, status="Stopped", billable_seconds=None)
    found, trouble = runs(site)
    assert trouble == ()
    assert [(each.has_completed, each.was_killed, each.billed_seconds) for each in found] == [
        (True, False, 1200),
        (False, True, 600),
        (False, False, None),
    ]
    assert (found[0].maximum("cpu"), found[0].maximum("memory")) == (50.0, 40.0)
    assert found[1].figures == found[2].figures == {}


def test_runs_on_another_machine_do_not_count(site):
    site.run(1, instance_type="ml.m5.xlarge")
    site.run(2)
    site.run(3, instance_type="ml.m5.xlarge", end_type="ml.m5.large")
    site.run(4, end_type="ml.m5.xlarge")
    assert len(runs(site)[0]) == 2


@pytest.mark.parametrize(
    ("end", "is_asked"),
    [
        ({}, True),
        ({"started_at": None}, False),
        ({"ended_at": None}, False),
        ({"started_at": "no time"}, False),
        ({"ended_at": (STARTED - timedelta(days=2)).isoformat()}, False),
        ({"ended_at": (NOW + timedelta(minutes=50)).isoformat()}, True),
        ({"ended_at": (NOW + timedelta(minutes=70)).isoformat()}, False),
        ({"started_at": (NOW - timedelta(days=500)).isoformat()}, False),
        ({"started_at": (NOW - timedelta(days=100)).isoformat()}, False),
        (
            {
                "started_at": (STARTED - timedelta(days=1)).replace(tzinfo=None).isoformat(),
                "ended_at": (STARTED - timedelta(days=1)).replace(tzinfo=None).isoformat(),
            },
            True,
        ),
    ],
    ids=[
        *("ran", "no start", "no end", "no time", "backwards", "a clock that is fast", "the future", "too long ago"),
        *("too coarse", "without a zone"),
    ],
)
def test_only_a_run_whose_time_can_be_is_asked_for(site, end, is_asked):
    name, _ = site.run(1, **end)
    assert len(runs(site)[0]) == 1
    assert [names for names, _ in site.metrics.asked] == ([(name,)] if is_asked else [])


def test_runs_are_asked_for_at_once_as_coarse_as_the_oldest_needs(site):
    young, _ = site.run(1)
    old, started = site.run(40)
    site.measured(old, started=started, memory=33.0)
    found, _ = runs(site)
    assert site.metrics.asked == [(tuple(sorted((young, old))), 300)]
    assert [each.maximum("memory") for each in found] == [None, 33.0]
    runs(site)
    assert len(site.metrics.asked) == 1


def test_the_run_that_is_looked_at_has_its_own_figures(site):
    name, started = site.run(1)
    seen = MachineRecord(
        job_name=name,
        instance_type="ml.m5.large",
        period_seconds=60,
        until=NOW,
        points=points_of(1),
        figures=figures_of({"cpu": ((started.timestamp(), 77.0),)}),
        was_killed=True,
    )
    (found,), _ = runs(site, seen)
    assert (found.maximum("cpu"), found.was_killed, site.metrics.asked) == (77.0, True, [])
    # Of another job it says nothing.
    (found,), _ = runs(site, replace(seen, job_name="another"))
    assert (found.maximum("cpu"), found.was_killed) == (None, False)
    assert len(site.metrics.asked) == 1


def test_as_many_runs_as_count_are_the_newest(site, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.notebook.machine.MOST_RUNS", 2)
    for number in range(1, 4):
        site.run(number, billable_seconds=number)
    assert [each.billed_seconds for each in runs(site)[0]] == [1, 2]


def test_without_an_answer_runs_have_no_figures_and_it_is_said_of_them(site):
    site.run(1)
    site.metrics.error = DENIED
    (found,), trouble = runs(site)
    assert found.figures == {}
    assert trouble[0] == "Airflow's API server may not read the metrics of the task's other runs:"
