"""One job at a time, whatever is deleted between a task's tries: names are free again then, and the list of jobs lags behind."""

import copy
import random
from datetime import timedelta

import pytest
from fakes import ACCOUNT_ID, REGION, STARTED, FakeClients, FakeTrainingJobs, LogLines, notebook
from msgspec.structs import replace

from airflow_nbjobs.aws.submit import earlier_jobs
from airflow_nbjobs.aws.submit.earlier_jobs import LaterJobs, stop_abandoned
from airflow_nbjobs.aws.submit.job import Refused, submit
from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.core.job.submission_state import SubmissionState
from airflow_nbjobs.core.watch.plan import Page

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0)
LIVE = ("InProgress", "Completed")  # a retry must take up the one, and the other, whose results nobody has


class LaggingJobs(FakeTrainingJobs):
    """
    Training jobs of which some are deleted, and whose list is that of a while ago.

    :ivar listed: what the list shows; None: all that there is.
    :ivar before_describe: by number of the call, what happens right before it is answered.
    """

    def __init__(self):
        super().__init__()
        self.listed = None
        self.made = []
        self.before_describe = {}

    def create(self, request):
        arn = super().create(request)
        name = request["TrainingJobName"]
        self.made.append(name)
        self.descriptions[name]["CreationTime"] = STARTED + timedelta(seconds=len(self.made))
        return arn

    def describe(self, job_name):
        self.before_describe.pop(self.count("describe"), lambda: None)()
        return super().describe(job_name)

    def list_page(self, call):
        now = self.descriptions
        if self.listed is not None:
            self.descriptions = self.listed
        try:
            return super().list_page(call)
        finally:
            self.descriptions = now

    def live(self):
        return self.of_status(*LIVE)

    def of_status(self, *statuses):
        return [name for name, job in self.descriptions.items() if job["TrainingJobStatus"] in statuses]

    def forget(self, *names):
        for name in names:
            self.descriptions.pop(name, None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "nb.ipynb").write_bytes(notebook("x = 1"))
    where = Surroundings(folders=[folder], region=REGION, has_credentials=True, clients=FakeClients())
    arguments = JobArguments(
        input_notebook="nb.ipynb",
        image_uri=f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1",
        role=f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
        s3_root_uri="s3://bucket/nbjobs",
    )
    return examine_job(arguments, run=Run(label="d.t", readable="d-t", key=KEY), where=where).required()


class Task:
    """One task, its tries one after another."""

    def __init__(self, prepared):
        self.job = prepared
        self.clients = FakeClients(jobs=LaggingJobs())
        self.jobs = self.clients.jobs

    def again(self):
        """Begin another try, and go on for as long as AWS does not answer."""
        outcome = submit(self.job, self.clients, SubmissionState(), log=LogLines())
        return self.again() if isinstance(outcome, Refused) else outcome

    def fail(self):
        for name in self.jobs.live():
            self.jobs.set_status(name, "Failed")

    def longest_gap(self, *gone):
        """Return how many names in a row are free before one that is taken, once these jobs are gone."""
        names = [self.job.location(k).job_name for k in range(len(self.jobs.made) + 1)]
        taken = "".join("-" if name in self.jobs.descriptions and name not in gone else "." for name in names)
        return max(map(len, taken.rpartition("-")[0].split("-")))


@pytest.fixture
def task(prepared):
    return Task(prepared)


def failed_twice_then_running(task):
    """Return the names of attempts 0, 1 and 2, of which the last runs."""
    names = [task.again().job_name]
    for _ in range(2):
        task.fail()
        names.append(task.again().job_name)
    return names


@pytest.mark.parametrize("gone", [(0,), (1,), (0, 1)], ids=str)
def test_a_job_is_found_that_neither_its_neighbours_nor_the_list_lead_to(task, gone):
    """The list is that of before the job was made."""
    names = failed_twice_then_running(task)
    task.jobs.forget(*(names[k] for k in gone))
    task.jobs.listed = {}
    submission = task.again()
    assert (submission.job_name, submission.state.attempt) == (names[2], 2)
    assert submission.adopted is not None
    assert task.jobs.made == names


def test_a_job_is_found_behind_the_newest_that_the_list_shows(task):
    """The list shows attempt 0, which has failed; 1 is deleted, and 2 too new for the list."""
    names = failed_twice_then_running(task)
    task.jobs.listed = {names[0]: copy.deepcopy(task.jobs.descriptions[names[0]])}
    task.jobs.forget(names[0], names[1])
    assert task.again().job_name == names[2]
    assert task.jobs.made == names


@pytest.mark.parametrize("moment", range(1, 6))
@pytest.mark.parametrize("gone", [0, 1])
@pytest.mark.parametrize("lags", [False, True], ids=["", "the list lags"])
def test_a_job_that_goes_between_two_questions_frees_no_name_for_a_second_job(task, moment, gone, lags):
    names = failed_twice_then_running(task)
    task.jobs.listed = {names[0]: copy.deepcopy(task.jobs.descriptions[names[0]])} if lags else None
    asked = task.jobs.count("describe")
    task.jobs.before_describe[asked + moment - 1] = lambda: task.jobs.forget(names[gone])
    assert task.again().job_name == names[2]
    assert task.jobs.made == names


def test_a_job_that_the_list_shows_and_that_is_gone_by_then_is_none(task):
    """All that there were are deleted at once."""
    names = failed_twice_then_running(task)
    task.fail()
    task.jobs.listed = copy.deepcopy(task.jobs.descriptions)
    task.jobs.forget(*names)
    submission = task.again()
    assert (submission.job_name, submission.adopted) == (names[0], None)


def test_the_newest_is_behind_another_gap(task):
    """Each job that is found leads to the names behind it."""
    for _ in range(7):
        task.again()
        task.fail()
    names = [task.job.location(k).job_name for k in range(7)]
    task.jobs.listed = {}
    task.jobs.forget(*(names[k] for k in (0, 1, 2, 4, 5)))
    attempt, snapshot = LaterJobs(task.job, task.clients, LogLines()).newest_from(0)
    assert (attempt, snapshot.job_name) == (6, names[6])


@pytest.mark.parametrize("gone", [(), (0,), (1,), (0, 1)], ids=str)
def test_an_abandoned_job_behind_deleted_ones_is_stopped(task, gone):
    """The jobs may not be listed, so names are all that leads to it."""
    names = failed_twice_then_running(task)
    task.jobs.forget(*(names[k] for k in gone))
    task.jobs.errors["list"] = [NotebookJobServiceError("denied", code="AccessDeniedException")]
    stop_abandoned(replace(KEY, generation=1), "d-t", task.clients, log=LogLines(), generations=[0])
    assert task.jobs.descriptions[names[2]]["TrainingJobStatus"] == "Stopping"


# -- what a clear has left running --------------------------------------------------------------------------------------


def stop(task, log=None, *, generations=(0,), generation=1, **arguments):
    """Stop what earlier generations have left; return the names of the jobs that were stopped."""
    log = LogLines() if log is None else log
    stop_abandoned(
        replace(KEY, generation=generation), "d-t", task.clients, log=log, generations=generations, **arguments
    )
    return [name for operation, name in task.jobs.calls if operation == "stop"]


def test_the_job_of_an_earlier_generation_is_stopped_and_said_to_be(task):
    name = task.again().job_name
    log = LogLines()
    assert stop(task, log) == [name]
    assert log.infos == [f"Stopping training job '{name}': the task was cleared since"]


@pytest.mark.parametrize("remembered", [False, True], ids=["looked for", "remembered"])
@pytest.mark.parametrize("status", ["Stopping", "Completed", "Failed", "Deleting"])
def test_a_job_that_does_not_run_is_not_stopped(task, status, remembered):
    name = task.again().job_name
    task.jobs.set_status(name, status)
    assert stop(task, remembered=[name] if remembered else None) == []


@pytest.mark.parametrize("remembered", [False, True], ids=["looked for", "remembered"])
def test_this_generations_own_job_and_others_of_the_name_are_left_alone(task, remembered):
    name = task.again().job_name
    given = [name] if remembered else None
    assert stop(task, generation=0, remembered=given) == []
    task.jobs.descriptions[name]["Environment"] = {}
    assert stop(task, remembered=given) == []


def test_remembered_jobs_are_asked_for_by_name_newest_first_and_the_last_ten_alone(task):
    names = [f"job-{number}" for number in range(12)]
    assert stop(task, remembered=names) == []
    assert task.jobs.calls == [("describe", name) for name in reversed(names[2:])]


def test_where_airflow_remembers_none_they_are_looked_for(task):
    name = task.again().job_name
    task.jobs.calls.clear()
    assert stop(task, remembered=[]) == [name]
    assert task.jobs.calls == [("list", "*"), ("describe", name), ("stop", name)]


def test_whoever_has_lost_the_task_stops_nothing(task):
    """Right before each stop it is asked once more whose the task is."""
    task.again()

    def superseded():
        raise KeyError("another try")

    with pytest.raises(KeyError):
        stop(task, before_stop=superseded)
    assert task.jobs.count("stop") == 0


def test_of_many_that_run_under_one_name_the_newest_hundred_are_looked_at(task, monkeypatch):
    monkeypatch.setattr(earlier_jobs, "_MOST_DESCRIBED", 2)
    names = failed_twice_then_running(task)
    for name in names:
        task.jobs.set_status(name, "InProgress")
    log = LogLines()
    assert stop(task, log) == [names[2], names[1]]
    (warning,) = log.warnings
    assert warning.startswith("3 training jobs run under the name 'd-t'; only the newest 2 were looked at")
    monkeypatch.setattr(earlier_jobs, "_MOST_DESCRIBED", 3)
    log = LogLines()
    stop(task, log)
    assert log.warnings == []


def test_only_jobs_of_the_readable_name_since_the_earliest_that_may_run_are_listed(task, monkeypatch):
    asked = []
    listing = task.jobs.list_page
    monkeypatch.setattr(task.jobs, "list_page", lambda call: asked.append(call) or listing(call))
    run_started = STARTED
    key = replace(KEY, run_started_microseconds=int(run_started.timestamp() * 1_000_000) + 999_999, generation=1)
    stop_abandoned(key, "d-t", task.clients, log=LogLines(), generations=[0])
    (call,) = asked
    assert (call.name_contains, call.is_newest_first) == ("d-t-", True)
    assert call.created_after == run_started - timedelta(days=29, minutes=10)


@pytest.mark.parametrize("is_named", [True, False])
def test_a_list_that_has_no_end_is_looked_through_so_far_and_said_to_be(task, monkeypatch, is_named):
    monkeypatch.setattr(earlier_jobs, "_MOST_PAGES", 2)
    asked = []

    def endless(call):
        asked.append(call.next_token)
        return Page((), f"t{len(asked)}", STARTED)

    monkeypatch.setattr(task.jobs, "list_page", endless)
    log = LogLines()
    if is_named:
        stop(task, log)
    else:
        LaterJobs(task.job, task.clients, log).newest_from(0)
    assert asked == [None, "t1"]
    (warning,) = log.warnings
    assert warning.startswith("Only the newest pages (2) of the jobs")
    assert ("with 'd-t-' in their names" in warning) is is_named
    assert ("since the run began" in warning) is not is_named


def test_a_list_of_just_so_many_pages_is_whole(task, monkeypatch):
    monkeypatch.setattr(earlier_jobs, "_MOST_PAGES", 1)
    log = LogLines()
    stop(task, log)
    assert log.warnings == []


def test_where_jobs_may_not_be_listed_each_generation_is_looked_through_by_names(task):
    task.jobs.errors["list"] = [NotebookJobServiceError("denied", code="AccessDeniedException")]
    log = LogLines()
    assert stop(task, log, generations=[0, 1], generation=2) == []
    assert task.jobs.count("describe") == 6, "three free names in a row are the end of each"
    assert log.infos == ["denied; only jobs of the same start of the run are found"]


@pytest.mark.parametrize("what", ["list", "describe"])
def test_trouble_is_told_where_jobs_are_looked_for(task, what):
    task.again()
    task.jobs.errors[what] = [NotebookJobServiceError("busy", code="503", is_retryable=True)]
    with pytest.raises(NotebookJobServiceError, match="busy"):
        stop(task)
    task.jobs.errors[what] = [NotebookJobServiceError("busy", code="503", is_retryable=True)]
    with pytest.raises(NotebookJobServiceError, match="busy"):
        LaterJobs(task.job, task.clients, LogLines()).newest_from(0)


def test_the_list_is_read_once_however_often_a_free_name_is_met(task):
    later = LaterJobs(task.job, task.clients, LogLines())
    assert later.newest_from(0) == (0, None)
    assert later.newest_from(2) == (2, None)
    assert task.jobs.count("list") == 1
    assert task.jobs.count("describe") == 6


def test_a_denied_list_is_said_and_names_are_described(task):
    task.jobs.errors["list"] = [NotebookJobServiceError("denied", code="AccessDeniedException")]
    log = LogLines()
    assert LaterJobs(task.job, task.clients, log).newest_from(0) == (0, None)
    assert log.infos == ["denied; a job that an earlier try has started under another notebook_job_name is not found"]


class Fate:
    """What may happen to a task's jobs between two tries, and to what the list shows of them: what there was when it was last brought up to date."""

    def __init__(self, task):
        self.task, self.jobs = task, task.jobs
        self.jobs.listed = {}

    def next_try(self):
        live = self.jobs.live()
        submission = self.task.again()
        assert self.jobs.live() == (live or [submission.job_name])
        assert submission.job_name in self.jobs.live()

    def next_try_without_an_answer_at_first(self):
        self.jobs.errors["describe"] = [NotebookJobServiceError("reset", is_retryable=True)]
        self.next_try()

    def failure(self):
        self.task.fail()

    def completion(self):
        for name in self.jobs.live():
            self.jobs.set_status(name, "Completed")

    def deletion(self):
        for name in self.jobs.of_status("Failed"):
            self.jobs.set_status(name, "Deleting", "Failed")

    def end_of_deletion(self):
        """As many in a row are gone before one that is there as names are described behind a free one."""
        for name in self.jobs.of_status("Deleting"):
            if self.task.longest_gap(name) <= 3:
                self.jobs.forget(name)

    def list_up_to_date(self):
        self.jobs.listed = copy.deepcopy(self.jobs.descriptions)

    def list_denied(self):
        self.jobs.errors["list"] = [NotebookJobServiceError("denied", code="AccessDeniedException")]


OFTEN = [Fate.next_try, Fate.failure, Fate.deletion, Fate.end_of_deletion]
SELDOM = [Fate.completion, Fate.list_up_to_date, Fate.list_denied, Fate.next_try_without_an_answer_at_first]


@pytest.mark.parametrize("seed", range(25))
def test_no_second_job_is_made_while_one_lives(task, seed):
    fate = Fate(task)
    for step in [Fate.next_try, *random.Random(seed).choices([*OFTEN, *OFTEN, *OFTEN, *SELDOM], k=24), Fate.next_try]:
        step(fate)
