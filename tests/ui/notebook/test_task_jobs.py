"""Which of an account's jobs is a task instance's own, what is asked for it, and where it can be looked at in AWS's consoles."""

import pytest
from fakes import REGION
from msgspec.structs import replace
from ui_account import ROOT, Account, hint, task_instance

from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments
from airflow_nbjobs.ui.notebook.jobs import Jobs
from airflow_nbjobs.ui.notebook.problems import ProblemError


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def jobs(account):
    return Jobs(account.access, live_seconds=60)


def refused(jobs, of, asked=None):
    with pytest.raises(ProblemError) as caught:
        jobs.find(of, asked)
    return caught.value.problem


TWO = {"job": hint(attempt=1), "attempts": (hint(attempt=0),)}


def two_jobs(account):
    last = account.add_job(task_instance(**TWO))
    first = account.add_job(task_instance(job=hint(attempt=0)))
    return first, last


def test_the_last_job_is_found_and_an_earlier_one_by_its_name(account, jobs):
    first, last = two_jobs(account)
    ti = task_instance(**TWO)
    assert [name for name, _ in jobs.names(ti)] == [last, first]
    found = jobs.find(ti, None)
    assert (found.name, found.is_earlier, found.location.root) == (last, False, ROOT)
    assert (jobs.find(ti, first).name, jobs.find(ti, first).is_earlier) == (first, True)
    # A name that cannot be this task instance's is as good as none.
    assert jobs.find(ti, "somebody-elses").name == last


def test_without_a_job_of_its_last_try_every_job_is_an_earlier_one(account, jobs):
    first, _ = two_jobs(account)
    ti = task_instance(job=None, attempts=(hint(attempt=0),))
    assert (jobs.find(ti, None).name, jobs.find(ti, None).is_earlier) == (first, True)


WAITING = {"for": "an instance or quota", "reason": "in use", "until": "2026-01-02 03:04:05"}


def test_a_task_that_waits_has_no_job_yet_but_earlier_ones(account, jobs):
    first, _ = two_jobs(account)
    waits = task_instance(state="deferred", job=hint(attempt=1, waiting=WAITING), attempts=(hint(attempt=0),))
    problem = refused(jobs, waits)
    assert (problem.code, problem.details) == ("waiting", ("in use",))
    assert "03:04:05" in problem.text
    assert problem.title == "The task waits for an instance or quota"
    assert jobs.find(waits, first).name == first


def test_a_task_that_waited_in_vain_has_had_no_job(account, jobs):
    ended = task_instance(state="failed", job=hint(waiting=WAITING))
    assert refused(jobs, ended).code == "no-job"
    assert refused(jobs, task_instance(state="failed")).code == "unknown-job"
    # One that was submitted after all is shown.
    account.add_job(ended)
    assert Jobs(account.access, live_seconds=0).find(ended, None).is_earlier is False


@pytest.mark.parametrize(
    ("changed", "code", "details"),
    [
        ({"Environment": {"NBJOBS_OWNER": "somebody"}}, "not-ours", None),
        ({"Environment": {}}, "not-ours", None),
        ({"OutputDataConfig": {"S3OutputPath": "s3://other/x"}}, "moved", ("s3://other/x",)),
        ({"OutputDataConfig": {}}, "moved", ("",)),
    ],
)
def test_a_job_that_is_not_shown_to_be_the_tasks_own_is_not_opened(account, jobs, changed, code, details):
    name = account.add_job(task_instance())
    account.clients.jobs.descriptions[name] |= changed
    problem = refused(jobs, task_instance())
    assert (problem.code, problem.details) == (code, details or (name,))


def test_where_no_root_is_known_nothing_is_opened(account, jobs):
    account.root = None
    account.add_job(task_instance())
    assert refused(jobs, task_instance()).code == "moved"


def test_a_root_with_a_slash_at_its_end_is_the_same(account, jobs):
    name = account.add_job(task_instance(), root=f"{ROOT}/")
    assert jobs.find(task_instance(), None).location.executed_notebook_uri == f"{ROOT}/{name}/{name}.ipynb"


def sensor(job_name, **arguments):
    return task_instance(
        kind=Kind.SENSOR, arguments=TaskArguments({"job_name": job_name, "aws_conn_id": "aws_default"} | arguments)
    )


def test_a_sensors_job_is_the_one_that_it_names_wherever_it_wrote(account, jobs):
    name = account.add_job(task_instance(), root="s3://studio/x/", owner="somebody")
    found = jobs.find(sensor(name), "another")
    assert (found.name, found.location.root, found.is_earlier) == (name, "s3://studio/x", False)
    account.clients.jobs.descriptions[name]["Environment"] = {}
    assert refused(Jobs(account.access, live_seconds=0), sensor(name)).code == "no-notebook-job"
    assert refused(jobs, sensor("not-there-0123")).code == "unknown-job"
    assert refused(jobs, sensor("no name!")).code == "misconfigured"


def test_an_ended_job_is_described_once_and_a_running_one_for_a_while(account):
    jobs = Jobs(account.access, live_seconds=0)
    name = account.add_job(task_instance(), status="InProgress")
    for _ in range(2):
        jobs.find(task_instance(), None)
    account.clients.jobs.descriptions[name] |= {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}
    before = len(account.clients.jobs.calls)
    for _ in range(3):
        assert jobs.find(task_instance(), None).snapshot.status == "Completed"
    assert (before, len(account.clients.jobs.calls)) == (2, 3)
    patient = Jobs(account.access, live_seconds=60)
    account.clients.jobs.descriptions[name] |= {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}
    for _ in range(3):
        patient.find(task_instance(), None)
    assert len(account.clients.jobs.calls) == 4


def test_what_aws_refuses_is_told_with_what_to_do(account, jobs):
    error = NotebookJobServiceError("no", code="AccessDeniedException", details={"next": "allow it"})
    account.clients.jobs.errors["describe"] = [error]
    assert refused(jobs, task_instance()).details == ("allow it",)


def test_a_job_leads_to_its_consoles(account, jobs):
    name = account.add_job(task_instance())
    job = jobs.find(task_instance(), None)
    found = jobs.links(task_instance(), job)
    assert list(found) == ["SageMaker", "CloudWatch", "S3"]
    assert all(REGION in address and name in address for address in found.values())
    assert f"{name}.ipynb" in found["S3"]
    of_sensor = jobs.links(sensor(name), job)
    assert "output.tar.gz" in of_sensor["S3"]


def test_where_there_is_no_console_there_are_no_links(account):
    account.add_job(task_instance())
    without = Jobs(lambda ti: replace(account.access(ti), has_console=False), live_seconds=60)
    job = without.find(task_instance(), None)
    assert without.links(task_instance(), job) == {}
    jobs = Jobs(account.access, live_seconds=60)
    assert jobs.links(task_instance(), replace(job, snapshot=replace(job.snapshot, arn="no arn"))) == {}


def test_the_studio_that_shows_a_job_is_a_link_too(account):
    account.add_job(task_instance())
    arn = f"arn:aws:sagemaker:{REGION}:123456789012:domain/d-1"
    jobs = Jobs(lambda ti: replace(account.access(ti), studio_domain_arn=arn), live_seconds=60)
    assert "d-1" in jobs.links(task_instance(), jobs.find(task_instance(), None))["Studio"]


def test_a_log_has_as_many_lines_as_are_asked_for(account, jobs):
    name = account.add_job(task_instance())
    job = jobs.find(task_instance(), None)
    assert jobs.log_lines(task_instance(), job, limit=2) is None
    account.clients.logs.lines[name] = ["a", "b", "c"]
    assert jobs.log_lines(task_instance(), job, limit=2) == ["b", "c"]
