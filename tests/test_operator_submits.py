"""The first process of a notebook task: submit or adopt, push what links need, then defer."""

import contextlib
import copy
import gc
from datetime import timedelta

import pytest
from airflow_names import AirflowFailException, TaskDeferred
from fakes import REGION, archive, executed, task_context
from msgspec.structs import replace
from operator_tasks import RAW, Tasks, defer, end, event_of

from airflow_nbjobs.core.errors import (
    NotebookJobConfigError,
    NotebookJobServiceError,
)
from airflow_nbjobs.task.identity import run_of


@pytest.fixture
def task(tmp_path):
    return Tasks(tmp_path)


@pytest.fixture
def clients(task):
    return task.clients


def test_it_submits_pushes_what_links_need_and_then_defers(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.links._NO_ACCOUNTS", ())  # the fake's is none that a console shows
    operator, context = task(parameters={"epochs": 3}), task_context()
    deferred = defer(operator, context)
    (job_name,) = clients.jobs.descriptions
    assert clients.jobs.calls == [("create", job_name)]
    assert (deferred.trigger.job_name, deferred.method_name, deferred.timeout) == (job_name, "execute_complete", None)
    job = context["ti"].xcoms["nbjobs_job"]
    assert list(context["ti"].xcoms) == ["nbjobs_job"]
    assert (job["job_name"], job["attempt"], job["was_adopted"], job["region"]) == (job_name, 0, False, REGION)
    assert job["console_url"].endswith(f"#/jobs/{job_name}")
    assert job["executed_notebook_uri"] == f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb"


@pytest.mark.parametrize("deferrable", [True, False])
def test_no_collection_runs_in_a_process_that_defers(task, clients, deferrable):
    """One that waits lives for hours; the other ends before a collection, which looks at all that Airflow has loaded, has found anything."""
    may_run, create = [], clients.jobs.create

    def creating(request):
        may_run.append(gc.isenabled())
        arn = create(request)
        end(clients, ran=executed(RAW))
        return arn

    clients.jobs.create = creating
    with contextlib.suppress(TaskDeferred):
        task(deferrable=deferrable).execute(task_context())
    assert may_run == [not deferrable]
    assert gc.isenabled()


class FakeStateStore:
    """Airflow's task state store: it outlives tries and clears."""

    def __init__(self):
        self.values = {}
        self.reads = 0
        self.is_broken = False

    def get(self, key):
        self.reads += 1
        if self.is_broken:
            raise RuntimeError("no API")
        return self.values.get(key)

    def set(self, key, value):
        self.values[key] = value


def test_pages_find_every_job_that_the_task_ever_had(task, clients):
    store, operator = FakeStateStore(), task()
    for max_tries in (0, 1):
        context = task_context(max_tries=max_tries, try_number=max_tries + 1) | {"task_state_store": store}
        defer(operator, context)
    jobs = store.values["nbjobs_attempts"]
    assert [each["job_name"] for each in jobs] == list(clients.jobs.descriptions)
    assert [(each["generation"], each["attempt"]) for each in jobs] == [(0, 0), (1, 0)]
    job = context["ti"].xcoms["nbjobs_job"]
    assert jobs[-1] == {name: job[name] for name in jobs[-1]}


def test_the_list_of_jobs_keeps_what_a_later_version_has_written(task, clients):
    store = FakeStateStore()
    later = [{"job_name": "j", "attempt": 0, "cost": 3}, {"version": 2, "job": {"name": "k"}}]
    store.values["nbjobs_attempts"] = copy.deepcopy(later)
    defer(task(), task_context(max_tries=1, try_number=2) | {"task_state_store": store})
    *kept, own = store.values["nbjobs_attempts"]
    assert kept == later
    assert own["job_name"] in clients.jobs.descriptions


def test_a_first_try_does_not_ask_for_a_list_that_nobody_can_have_written(task):
    store = FakeStateStore()
    defer(task(), task_context() | {"task_state_store": store})
    assert (store.reads, len(store.values["nbjobs_attempts"])) == (0, 1)
    defer(task(task_id="t2"), task_context(max_tries=1, try_number=2) | {"task_state_store": store})
    assert store.reads > 0


def test_a_store_that_fails_leaves_the_job_alone(task, clients):
    store = FakeStateStore()
    store.is_broken = True
    defer(task(), task_context() | {"task_state_store": store})
    assert len(clients.jobs.descriptions) == 1


def test_the_job_is_told_and_tagged_with_where_it_runs(task, clients):
    defer(task(), task_context(map_index=3, try_number=1))
    (request,) = clients.jobs.requests.values()
    environment = request["Environment"]
    assert environment["NBJOBS_DAG_ID"] == "d"
    assert environment["NBJOBS_MAP_INDEX"] == "3"
    assert "NBJOBS_DATA_INTERVAL_START" not in environment, "this run has none"
    assert {"Key": "airflow:task_id", "Value": "t"} in request["Tags"]
    assert request["TrainingJobName"].startswith("d-t-")


def test_what_is_left_of_execution_timeout_bounds_the_wait_and_the_job(task, clients):
    context = task_context()
    context["ti"].start_date -= timedelta(minutes=10)
    deferred = defer(task(execution_timeout=timedelta(minutes=30)), context)
    assert timedelta(minutes=19) < deferred.timeout <= timedelta(minutes=20)
    (request,) = clients.jobs.requests.values()
    assert 19 * 60 < request["StoppingCondition"]["MaxRuntimeInSeconds"] <= 20 * 60


def test_a_timeout_that_is_almost_over_waits_until_the_scheduler_has_read_the_deferral(task):
    """Airflow fails a task that is back before, and nobody would stop its job."""
    context = task_context()
    context["ti"].start_date -= timedelta(minutes=10)
    deferred = defer(task(execution_timeout=timedelta(minutes=10, seconds=2)), context)
    assert deferred.timeout == timedelta(seconds=10)


def test_a_shorter_runtime_of_the_users_stays(task, clients):
    defer(task(execution_timeout=timedelta(hours=5), max_runtime_in_seconds="60"), task_context())
    (request,) = clients.jobs.requests.values()
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == 60


@pytest.mark.parametrize(
    "asked", [timedelta(hours=3), "3:00:00", 10_800.0, "10800.0", "PT3H", None, "", "None"], ids=repr
)
def test_what_is_left_of_execution_timeout_bounds_a_runtime_in_every_form(task, clients, asked):
    context = task_context()
    context["ti"].start_date -= timedelta(minutes=10)
    defer(task(execution_timeout=timedelta(minutes=30), max_runtime_in_seconds=asked), context)
    (request,) = clients.jobs.requests.values()
    assert 19 * 60 < request["StoppingCondition"]["MaxRuntimeInSeconds"] <= 20 * 60


@pytest.mark.parametrize(
    "extra",
    [
        {"StoppingCondition": {"MaxRuntimeInSeconds": 86_400}},
        {"StoppingCondition": {"MaxRuntimeInSeconds": "86400"}, "Environment": {"A": "1"}},
        '{"StoppingCondition": {"MaxRuntimeInSeconds": 86400}}',
        {"StoppingCondition": '{"MaxRuntimeInSeconds": "86400"}'},
    ],
    ids=repr,
)
def test_what_is_left_of_execution_timeout_bounds_a_runtime_of_the_extra_request(task, clients, extra):
    context = task_context()
    context["ti"].start_date -= timedelta(minutes=10)
    defer(task(execution_timeout=timedelta(minutes=30), extra_request=extra), context)
    (request,) = clients.jobs.requests.values()
    assert 19 * 60 < request["StoppingCondition"]["MaxRuntimeInSeconds"] <= 20 * 60
    assert request["Environment"].get("A") == ("1" if "Environment" in extra else None)


def test_a_shorter_runtime_of_the_extra_request_stays(task, clients):
    extra = {"StoppingCondition": {"MaxRuntimeInSeconds": 60}}
    defer(task(execution_timeout=timedelta(hours=5), extra_request=extra), task_context())
    (request,) = clients.jobs.requests.values()
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == 60


@pytest.mark.parametrize(
    "asked",
    [
        {"enable_managed_spot_training": True, "max_wait_time_in_seconds": timedelta(days=3)},
        {
            "extra_request": {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 86_400, "MaxWaitTimeInSeconds": 3 * 86_400},
            }
        },
    ],
    ids=["argument", "extra"],
)
def test_a_spot_job_waits_no_longer_than_its_task(task, clients, asked):
    """Its time to wait counts the run as well: with Airflow gone, the job would run on after its task's time."""
    context = task_context()
    context["ti"].start_date -= timedelta(minutes=10)
    defer(task(execution_timeout=timedelta(minutes=30), **asked), context)
    (request,) = clients.jobs.requests.values()
    condition = request["StoppingCondition"]
    assert condition["MaxRuntimeInSeconds"] == condition["MaxWaitTimeInSeconds"]
    assert 19 * 60 < condition["MaxWaitTimeInSeconds"] <= 20 * 60


def test_without_waiting_it_returns_the_job(task, clients):
    context = task_context()
    value = task(wait_for_completion=False).execute(context)
    (job_name,) = clients.jobs.descriptions
    assert value["job_name"] == job_name
    assert value["status"] == "InProgress"
    assert "nbjobs_job" in context["ti"].xcoms


def test_a_wrong_argument_fails_the_task_without_a_retry_and_writes_nothing(task, clients):
    with pytest.raises(NotebookJobConfigError) as caught:
        task(instance_type="big", role=None).execute(task_context())
    assert isinstance(caught.value, AirflowFailException)
    assert len(caught.value.problems) == 2
    assert clients.wrote_nothing


def test_no_region_no_credentials_and_a_wrong_argument_are_one_error(task):
    """With the real connection code, on a machine that has neither."""
    operator = task(aws_conn_id=None, instance_type="big")
    operator._hook = None
    with pytest.raises(NotebookJobConfigError) as caught:
        operator.execute(task_context())
    first, second, third = caught.value.problems
    assert first.startswith("no AWS region is configured; set region_name on the task")
    assert second.startswith("no AWS credentials were found; give the AWS connection")
    assert third.startswith("instance_type")


def test_defaults_of_the_connection_fill_in_and_an_argument_wins(task, clients):
    task.hook.connection_extra = {
        "nbjobs": {"role": "arn:aws:iam::123456789012:role/Default", "s3_root_uri": "s3://other/x"}
    }
    defer(task(role=None), task_context())
    (request,) = clients.jobs.requests.values()
    assert request["RoleArn"].endswith("role/Default")
    assert request["OutputDataConfig"]["S3OutputPath"] == "s3://bucket/nbjobs"


def test_a_retry_adopts_the_running_job(task, clients):
    defer(task(retries=2), task_context(max_tries=2))
    context = task_context(try_number=2, max_tries=2)
    deferred = defer(task(task_id="t2", retries=2), context)
    assert len(clients.jobs.descriptions) == 1
    assert deferred.trigger.was_adopted is True
    assert context["ti"].xcoms["nbjobs_job"]["was_adopted"] is True


def test_a_clear_begins_a_new_generation_with_a_job_of_its_own(task, clients):
    """Airflow sets max_tries to try_number + retries: the next try is the first of another generation."""
    defer(task(retries=2), task_context(max_tries=2))
    defer(task(task_id="t2", retries=2), task_context(try_number=2, max_tries=3))
    assert len(clients.jobs.descriptions) == 2


@pytest.mark.parametrize(
    ("arguments", "status"),
    [({}, "Stopping"), ({"stop_on_kill": False}, "InProgress"), ({"wait_for_completion": False}, "InProgress")],
    ids=str,
)
def test_a_cleared_task_stops_the_job_that_its_earlier_life_has_left_running(task, clients, arguments, status):
    """Its triggerer was down when the user cleared it, or its worker had died without a retry: nobody else stops the job."""
    defer(task(retries=2), task_context(max_tries=2))
    (first,) = clients.jobs.descriptions
    with contextlib.suppress(TaskDeferred):
        task(task_id="t2", retries=2, **arguments).execute(task_context(try_number=2, max_tries=3))
    assert len(clients.jobs.descriptions) == 2
    assert clients.jobs.descriptions[first]["TrainingJobStatus"] == status


@pytest.mark.parametrize("has_store", [True, False])
def test_a_clear_of_a_run_that_had_ended_stops_the_job_of_the_start_before(task, clients, has_store):
    """Airflow gives the run a new start then, so that the earlier job's name cannot be computed."""
    store = {"task_state_store": FakeStateStore()} if has_store else {}
    defer(task(retries=0), task_context(max_tries=0) | store)
    (first,) = clients.jobs.descriptions
    cleared = task_context(try_number=2, max_tries=1) | store
    cleared["dag_run"].start_date += timedelta(hours=1)
    defer(task(task_id="t2", retries=0), cleared)
    assert len(clients.jobs.descriptions) == 2
    assert clients.jobs.descriptions[first]["TrainingJobStatus"] == "Stopping"


def test_a_store_that_fails_costs_a_cleared_task_no_stop_of_its_earlier_job(task, clients):
    """The job of the same start of the run has a name that can be computed."""
    defer(task(retries=0), task_context(max_tries=0))
    (first,) = clients.jobs.descriptions
    store = FakeStateStore()
    store.is_broken = True
    defer(task(task_id="t2", retries=0), task_context(try_number=2, max_tries=1) | {"task_state_store": store})
    assert len(clients.jobs.descriptions) == 2
    assert clients.jobs.descriptions[first]["TrainingJobStatus"] == "Stopping"


@pytest.mark.parametrize(
    "other",
    [
        {"dag_id": "d2"},
        {"run_id": "another"},
        {"task_id": "t9"},
        {"map_index": 7},
        {"deployment": "staging"},
        {"run_started_microseconds": 4 * 10**15},  # of another Airflow, whose run began later
        {},  # its own
    ],
    ids=str,
)
def test_a_clear_stops_no_job_of_another_task(task, clients, other):
    context = task_context(try_number=2, max_tries=1)
    context["dag_run"].start_date += timedelta(hours=1)
    key = run_of(context, deployment="").key
    earlier = replace(key, run_started_microseconds=key.run_started_microseconds - 1) if other else key
    clients.jobs.create(
        {
            "TrainingJobName": "d-t-000000000000",
            "RoleArn": "arn:aws:iam::123456789012:role/NotebookJobs",
            "AlgorithmSpecification": {"TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/k"},
            "ResourceConfig": {"VolumeSizeInGB": 1},
            "StoppingCondition": {},
            "Environment": {"NBJOBS_OWNER": replace(earlier, **other).owner()},
        }
    )
    defer(task(retries=0), context)
    assert clients.jobs.count("stop") == 0


def test_a_job_of_a_dead_life_that_appears_meanwhile_is_stopped_when_the_task_ends(task, clients):
    """A worker stood still before its request while the task was failed, cleared and begun anew; then its request arrived."""
    operator = task(retries=0, outputs=["accuracy"])
    cleared = task_context(try_number=2, max_tries=1)
    deferred = defer(operator, cleared)
    (job_name,) = clients.jobs.descriptions
    dead = replace(run_of(task_context(), deployment="").key, generation=0)
    request = clients.jobs.requests[job_name]
    late = {**request, "TrainingJobName": "d-t-000000000000", "Environment": {"NBJOBS_OWNER": dead.owner()}}
    clients.jobs.create(late)
    clients.jobs.set_status(job_name, "Completed")
    uri = f"s3://bucket/nbjobs/{job_name}/output/output.tar.gz"
    clients.objects.bodies[uri] = archive({f"{job_name}.ipynb": executed(RAW, {"accuracy": 0.5})})
    assert operator.execute_complete(cleared, event_of(deferred))["outputs"] == {"accuracy": 0.5}
    assert clients.jobs.descriptions["d-t-000000000000"]["TrainingJobStatus"] == "Stopping"


def test_a_clear_says_so_if_there_are_more_jobs_than_it_looks_through(task, monkeypatch, capsys):
    monkeypatch.setattr("airflow_nbjobs.aws.submit.earlier_jobs._MOST_PAGES", 1)
    monkeypatch.setattr("fakes.PAGE_SIZE", 1)
    for number in (1, 2):
        defer(task(task_id=f"t{number}", notebook_job_name="report"), task_context(map_index=number))
    defer(task(retries=0, notebook_job_name="report"), task_context(try_number=2, max_tries=1))
    said = capsys.readouterr().out
    assert "Only the newest pages (1) of the jobs with 'report-' in their names were looked through" in said


def test_a_cleared_task_leaves_alone_what_only_has_its_earlier_name(task, clients):
    defer(task(retries=2), task_context(max_tries=2))
    (description,) = clients.jobs.descriptions.values()
    description["Environment"] = {}
    defer(task(task_id="t2", retries=2), task_context(try_number=2, max_tries=3))
    assert description["TrainingJobStatus"] == "InProgress"


def test_a_cleared_task_runs_though_its_earlier_job_cannot_be_stopped(task, clients):
    defer(task(retries=2), task_context(max_tries=2))
    clients.jobs.errors["stop"] = [NotebookJobServiceError("denied", code="AccessDenied")]
    defer(task(task_id="t2", retries=2), task_context(try_number=2, max_tries=3))
    assert len(clients.jobs.descriptions) == 2


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AccessDeniedException", ("Stopping", "only jobs of the same start of the run are found")),
        ("ThrottlingException", ("InProgress", "Jobs from before the task was cleared may still run")),
    ],
)
def test_where_jobs_may_not_be_listed_names_are_computed_and_what_passes_is_said(task, clients, capsys, code, expected):
    """Without the permission there is another way to the jobs; a list that fails in passing has found none of them."""
    defer(task(retries=2), task_context(max_tries=2))
    (first,) = clients.jobs.descriptions
    clients.jobs.errors["list"] = [NotebookJobServiceError("not listed", code=code)]
    defer(task(task_id="t2", retries=2), task_context(try_number=2, max_tries=3))
    status, said = expected
    assert clients.jobs.descriptions[first]["TrainingJobStatus"] == status
    assert said in capsys.readouterr().out
    assert len(clients.jobs.descriptions) == 2


def test_a_retry_asks_for_no_earlier_generation(task, clients):
    defer(task(retries=2), task_context(max_tries=2))
    clients.jobs.calls.clear()
    defer(task(task_id="t2", retries=2), task_context(try_number=2, max_tries=2))
    assert [called for called, _ in clients.jobs.calls] == ["describe"]


@pytest.mark.parametrize(("before", "after"), [(2, 5), (5, 2), (2, 1), (0, 3)])
def test_retries_edited_between_two_tries_change_nothing_about_the_job(task, clients, before, after):
    """Airflow keeps max_tries; the second try adopts what the first has started."""
    defer(task(retries=before), task_context(max_tries=before))
    deferred = defer(task(task_id="t2", retries=after), task_context(try_number=2, max_tries=before))
    assert deferred.trigger.was_adopted
    assert len(clients.jobs.descriptions) == 1
    assert clients.jobs.count("stop") == 0


def test_a_clear_after_retries_was_lowered_runs_the_notebook_anew(task, clients):
    """Both generations have one max_tries then; what became of the first job decides."""
    defer(task(retries=2), task_context(max_tries=2))
    end(clients, "Failed", reason="AlgorithmError: x")
    deferred = defer(task(task_id="t2", retries=1), task_context(try_number=2, max_tries=2))
    assert not deferred.trigger.was_adopted
    assert len(clients.jobs.descriptions) == 2


def test_a_retry_hands_over_the_results_of_a_job_that_has_completed_meanwhile(task, clients):
    defer(task(retries=1), task_context(max_tries=1))
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    context = task_context(try_number=2, max_tries=1)
    value = task(task_id="t2", retries=1, outputs=["accuracy"]).execute(context)
    assert value["outputs"] == {"accuracy": 0.5}
    assert len(clients.jobs.descriptions) == 1
