"""Submitting exactly once: one call on a first try, the adoption table on later ones."""

from datetime import UTC, datetime, timedelta

import pytest
from fakes import ACCOUNT_ID, REGION, FakeClients, LogLines, needs_preferences, notebook

from airflow_nbjobs.aws.errors import ZeroQuotaError
from airflow_nbjobs.aws.ports import NameTakenError
from airflow_nbjobs.aws.submit.job import Refused, submit
from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.core.errors import NotebookJobCapacityError, NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.core.job.submission_state import SubmissionState

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0)


@pytest.fixture
def clients():
    return FakeClients()


@pytest.fixture
def log():
    return LogLines()


@pytest.fixture
def job(tmp_path, clients):
    return prepared(tmp_path, clients, "x = 1")


def prepared(tmp_path, clients, source, **more):
    (tmp_path / "nb.ipynb").write_bytes(notebook(source))
    arguments = {
        "input_notebook": "nb.ipynb",
        "image_uri": f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1",
        "role": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
        "s3_root_uri": "s3://bucket/nbjobs",
    } | more
    where = Surroundings(folders=[tmp_path], region=REGION, has_credentials=True, clients=clients)
    return examine_job(JobArguments(**arguments), run=Run(label="d.t", readable="d-t", key=KEY), where=where).required()


@pytest.fixture
def first(job, clients, log):
    """The submission of a first try."""
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    clients.jobs.calls.clear()
    clients.objects.puts.clear()
    log.infos.clear()
    return submission


def retry(job, clients, log):
    return submit(job, clients, SubmissionState(), log=log)


def test_a_first_try_is_one_call_to_sagemaker_and_one_put_a_file(job, clients, log):
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert clients.jobs.calls == [("create", submission.job_name)]
    assert clients.objects.puts == [f"{submission.location.input_uri}/nb.ipynb"]
    assert (submission.state.attempt, submission.adopted) == (0, None)
    assert submission.arn.endswith(f"training-job/{submission.job_name}")


def test_the_input_is_staged_before_the_job_exists(job, clients, log):
    """SageMaker checks at the call that the prefix holds objects."""
    clients.objects.denied.add(f"{job.location(0).input_uri}/nb.ipynb")
    with pytest.raises(NotebookJobServiceError, match="AccessDenied on s3:PutObject"):
        submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert clients.jobs.calls == []


def test_the_log_says_what_was_staged(job, clients, log):
    submit(job, clients, SubmissionState(may_exist=False), log=log)
    (line,) = log.infos
    for part in (
        job.notebook_origin,
        job.notebook_sha256,
        "0 other file(s)",
        "bytes in all",
        job.location(0).input_uri,
    ):
        assert part in line


def test_a_retry_whose_earlier_tries_submitted_nothing_creates(job, clients, log):
    submission = retry(job, clients, log)
    behind = [("describe", job.location(k).job_name) for k in (1, 2, 3)]
    asked = [("describe", submission.job_name), ("list", "*"), *behind]
    assert clients.jobs.calls == [*asked, ("create", submission.job_name)]
    assert (submission.state.attempt, submission.adopted) == (0, None)


@pytest.mark.parametrize(
    ("then", "now"), [("report-try-1", "report-try-2"), (None, "report"), ("report", None)], ids=str
)
def test_a_job_whose_readable_name_was_another_is_found_by_its_hash(tmp_path, clients, log, then, now):
    """A name that is edited or rendered anew between two tries must not pay for a second job."""
    first = submit(
        prepared(tmp_path, clients, "x = 1", notebook_job_name=then), clients, SubmissionState(may_exist=False), log=log
    )
    job = prepared(tmp_path, clients, "x = 1", notebook_job_name=now, s3_root_uri="s3://other/root")
    submission = retry(job, clients, log)
    assert submission.job_name == first.job_name != job.location(0).job_name
    assert submission.adopted is not None
    assert submission.location.output_archive_uri == f"s3://bucket/nbjobs/{first.job_name}/output/output.tar.gz"
    assert len(clients.jobs.descriptions) == 1
    clients.jobs.set_status(first.job_name, "Completed")
    clients.objects.bodies[first.location.executed_notebook_uri] = b"{}"
    assert retry(job, clients, log).state.attempt == 1, "its results were handed over"


def test_a_name_that_only_ends_in_the_same_hash_is_nobodys(tmp_path, clients, log):
    submit(
        prepared(tmp_path, clients, "x = 1", notebook_job_name="then"),
        clients,
        SubmissionState(may_exist=False),
        log=log,
    )
    (description,) = clients.jobs.descriptions.values()
    description["Environment"] = {}
    submission = retry(prepared(tmp_path, clients, "x = 1"), clients, log)
    assert (submission.state.attempt, submission.adopted) == (0, None)


def test_without_the_permission_to_list_the_name_alone_counts(job, clients, log):
    clients.jobs.errors["list"] = [NotebookJobServiceError("denied", code="AccessDeniedException")]
    submission = retry(job, clients, log)
    assert (submission.state.attempt, submission.adopted) == (0, None)
    assert any("under another notebook_job_name is not found" in line for line in log.infos)


@pytest.mark.parametrize("denied", ["describe", "delivery mark", "describe after a lost answer"])
def test_a_denial_that_leaves_open_whether_there_is_a_job_is_trouble_and_no_verdict(job, clients, log, first, denied):
    """A policy is edited while the task is retried: with retries left it must not fail with a job that runs for nobody."""
    error = NotebookJobServiceError("denied", code="AccessDeniedException", details={"next": "grant it"})
    state = SubmissionState()
    if denied == "describe":
        clients.jobs.errors["describe"] = [error]
    elif denied == "delivery mark":
        clients.jobs.set_status(first.job_name, "Completed")
        clients.objects.denied.add(first.location.executed_notebook_uri)
    else:
        state = SubmissionState(may_exist=False)
        clients.jobs.errors["describe"] = [error]
    outcome = submit(job, clients, state, log=log)
    assert isinstance(outcome, Refused)
    assert outcome.error.is_retryable
    assert outcome.state.may_exist
    assert f"whether '{first.job_name}' exists is not known" in str(outcome.error)
    assert len(clients.jobs.descriptions) == 1


def test_a_list_that_passing_trouble_refuses_makes_no_job(job, clients, log):
    clients.jobs.errors["list"] = [NotebookJobServiceError("no answer", code="ConnectTimeoutError", is_retryable=True)]
    outcome = retry(job, clients, log)
    assert isinstance(outcome, Refused)
    assert clients.jobs.descriptions == {}


def test_a_running_job_is_adopted_and_nothing_is_staged(job, clients, log, first):
    submission = retry(job, clients, log)
    assert submission.adopted is not None
    assert (submission.job_name, submission.arn) == (first.job_name, first.arn)
    assert clients.jobs.calls == [("describe", first.job_name)]
    assert clients.objects.puts == []
    assert "still running" in log.infos[0]
    assert log.warnings == []


def test_a_completed_job_whose_results_nobody_handed_over_is_adopted(job, clients, log, first):
    clients.jobs.set_status(first.job_name, "Completed")
    submission = retry(job, clients, log)
    assert submission.adopted is not None
    assert submission.adopted.state.is_terminal
    assert clients.jobs.count("create") == 0


def test_a_delivered_job_is_not_run_again_under_its_name(job, clients, log, first):
    """Airflow records a clear of a running task as a retry: better a second run than a green task that ran nothing."""
    clients.jobs.set_status(first.job_name, "Completed")
    clients.objects.bodies[first.location.executed_notebook_uri] = b"{}"
    submission = retry(job, clients, log)
    assert (submission.state.attempt, submission.adopted) == (1, None)
    assert submission.job_name != first.job_name
    assert "already delivered its results" in log.infos[0]


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Stopping"])
def test_a_job_that_did_not_succeed_is_followed_by_the_next(job, clients, log, first, status):
    clients.jobs.set_status(first.job_name, status)
    submission = retry(job, clients, log)
    assert (submission.state.attempt, submission.adopted) == (1, None)
    assert f"is {status}; going on to attempt 1" in log.infos[0]


def test_attempts_are_walked_in_order_until_one_is_free_or_ours(job, clients, log, first):
    clients.jobs.set_status(first.job_name, "Failed")
    second = retry(job, clients, log)
    clients.jobs.set_status(second.job_name, "Failed")
    third = retry(job, clients, log)
    assert third.state.attempt == 2
    clients.jobs.calls.clear()
    again = retry(job, clients, log)
    assert (again.job_name, again.adopted is not None) == (third.job_name, True)
    assert [called for called, _ in clients.jobs.calls] == ["describe"] * 3


def test_a_job_of_our_name_that_is_not_ours_is_left_alone(job, clients, log, first):
    clients.jobs.descriptions[first.job_name]["Environment"]["NBJOBS_OWNER"] = "somebody"
    submission = retry(job, clients, log)
    assert submission.state.attempt == 1
    assert "is not this task's" in log.infos[0]


def test_a_status_that_is_not_known_counts_as_running(job, clients, log, first):
    clients.jobs.set_status(first.job_name, "SomethingOfNextYear")
    assert retry(job, clients, log).adopted is not None


@pytest.mark.parametrize("secondary", ["Failed", "Stopped", "Training"])
def test_a_job_that_is_being_deleted_is_followed_by_the_next(job, clients, log, first, secondary):
    clients.jobs.set_status(first.job_name, "Deleting", secondary)
    submission = retry(job, clients, log)
    assert (submission.state.attempt, submission.adopted) == (1, None)
    assert "is being deleted; going on to attempt 1" in log.infos[0]


def test_a_completed_job_that_is_being_deleted_hands_over_its_results(job, clients, log, first):
    clients.jobs.set_status(first.job_name, "Deleting", "Completed")
    submission = retry(job, clients, log)
    assert submission.job_name == first.job_name
    assert submission.adopted is not None
    assert submission.adopted.is_being_deleted


def test_a_name_that_is_taken_while_its_job_is_being_deleted_leads_to_the_next(job, clients, log, first):
    clients.jobs.set_status(first.job_name, "Deleting", "Failed")
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert (submission.state.attempt, submission.adopted) == (1, None)


def test_a_name_that_becomes_free_between_two_questions_is_asked_for_again(job, clients, log, first):
    """CreateTrainingJob is refused, and before Describe is answered the job is gone."""
    del clients.jobs.descriptions[first.job_name]
    clients.jobs.errors["create"] = [NameTakenError("taken")]
    refused = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert isinstance(refused, Refused)
    assert (refused.state.attempt, refused.state.may_exist) == (0, True)
    again = submit(job, clients, refused.state, log=log)
    assert (again.state.attempt, again.adopted) == (0, None)


@pytest.mark.parametrize("may_list", [True, False], ids=["listed", "denied"])
@pytest.mark.parametrize("deleted", [1, 2])
def test_a_job_behind_deleted_ones_is_found(job, clients, log, deleted, may_list):
    """Names are free again once their jobs are deleted: a free one says nothing of those after it."""
    names = [submit(job, clients, SubmissionState(may_exist=False), log=log).job_name]
    for _ in range(deleted):
        clients.jobs.set_status(names[-1], "Failed")
        names.append(retry(job, clients, log).job_name)
    for name in names[:-1]:
        del clients.jobs.descriptions[name]
    if not may_list:
        clients.jobs.errors["list"] = [NotebookJobServiceError("denied", code="AccessDeniedException")]
    submission = retry(job, clients, log)
    assert (submission.job_name, submission.state.attempt) == (names[-1], deleted)
    assert submission.adopted is not None
    assert len(clients.jobs.descriptions) == 1
    clients.jobs.set_status(names[-1], "Failed")
    assert retry(job, clients, log).state.attempt == deleted + 1


def test_a_later_job_under_another_readable_name_is_found_behind_a_deleted_one(tmp_path, clients, log):
    then = prepared(tmp_path, clients, "x = 1", notebook_job_name="then")
    first = submit(then, clients, SubmissionState(may_exist=False), log=log)
    clients.jobs.set_status(first.job_name, "Failed")
    second = retry(then, clients, log)
    del clients.jobs.descriptions[first.job_name]
    submission = retry(prepared(tmp_path, clients, "x = 1", notebook_job_name="now"), clients, log)
    assert (submission.job_name, submission.state.attempt) == (second.job_name, 1)
    assert submission.adopted is not None


@pytest.mark.parametrize("left", ["output_archive_uri", "executed_notebook_uri"])
def test_a_name_whose_deleted_job_has_left_files_is_not_taken_again(job, clients, log, first, left):
    """The new job would be told to have delivered, or to have left, what is the deleted one's."""
    del clients.jobs.descriptions[first.job_name]
    clients.objects.bodies[getattr(first.location, left)] = b"of the deleted job"
    submission = retry(job, clients, log)
    assert (submission.state.attempt, submission.adopted) == (1, None)
    assert any("was deleted" in line and "going on to attempt 1" in line for line in log.infos)


def test_files_that_may_not_be_looked_for_keep_no_name_from_being_taken(job, clients, log, first):
    """S3 denies the look at what is not there where s3:ListBucket is missing."""
    del clients.jobs.descriptions[first.job_name]
    clients.objects.denied |= {first.location.output_archive_uri, first.location.executed_notebook_uri}
    assert retry(job, clients, log).state.attempt == 0


def test_a_name_taken_at_the_call_is_adopted_when_the_job_is_ours(job, clients, log, first):
    """The answer to our own request was lost, or two workers run one try: the service's refusal decides."""
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert submission.adopted is not None
    assert submission.job_name == first.job_name
    assert clients.jobs.calls == [("create", first.job_name), ("describe", first.job_name)]


def test_a_name_taken_by_somebody_else_leads_to_the_next(job, clients, log, first):
    clients.jobs.descriptions[first.job_name]["Environment"] = {}
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert (submission.state.attempt, submission.adopted) == (1, None)


def test_a_name_taken_by_a_job_that_describe_does_not_show_yet_is_worth_a_retry(job, clients, log):
    """Going on to the next name would bill a second job, should the first turn out to be ours."""
    clients.jobs.errors["create"] = [NameTakenError("taken")]
    refused = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert isinstance(refused, Refused)
    assert "does not show it yet" in str(refused.error)
    assert (refused.state.attempt, refused.state.may_exist) == (0, True)
    assert clients.jobs.count("create") == 1


def test_a_job_whose_creation_was_not_answered_is_found_at_once(job, clients, log):
    """A task without retries would otherwise fail and leave its job running."""
    name = job.location(0).job_name
    lost = NotebookJobServiceError("no answer", code="ReadTimeoutError", is_retryable=True, job_name=name)
    create = clients.jobs.create

    def create_and_lose(request):
        create(request)
        raise lost

    clients.jobs.create = create_and_lose
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert submission.adopted is not None
    assert submission.job_name == name


def losing(clients, monkeypatch, *, status="Failed", created=None):
    """Let each job be created and end at once, and the answer be lost."""
    create = clients.jobs.create

    def create_and_lose(request):
        create(request)
        name = request["TrainingJobName"]
        clients.jobs.set_status(name, status)
        clients.jobs.descriptions[name]["CreationTime"] = created or datetime.now(UTC)
        raise NotebookJobServiceError("no answer", code="ReadTimeoutError", is_retryable=True, job_name=name)

    monkeypatch.setattr(clients.jobs, "create", create_and_lose)


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_job_that_has_ended_before_its_creation_was_known_is_this_trys_and_no_second_is_made(
    job, clients, log, monkeypatch, status
):
    losing(clients, monkeypatch, status=status)
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert submission.adopted.status == status
    assert (submission.state.attempt, submission.state.was_asked) == (0, False)
    assert clients.jobs.count("create") == 1
    monkeypatch.undo()
    assert retry(job, clients, log).state.attempt == 1


def test_it_is_this_trys_also_where_nobody_could_say_at_first_whether_it_was_made(job, clients, log, monkeypatch):
    losing(clients, monkeypatch)
    away = NotebookJobServiceError("away", code="InternalFailure", is_retryable=True, job_name=job.location(0).job_name)
    clients.jobs.errors["describe"] = [away]
    refused = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert isinstance(refused, Refused)
    clients.jobs.errors["describe"] = [away]
    refused = submit(job, clients, SubmissionState.from_json(refused.state.to_json()), log=log)
    assert isinstance(refused, Refused)
    submission = submit(job, clients, SubmissionState.from_json(refused.state.to_json()), log=log)
    assert (submission.adopted.status, submission.state.attempt) == ("Failed", 0)
    assert clients.jobs.count("create") == 1


def test_a_failed_job_of_days_ago_whose_name_is_asked_for_again_is_not_this_trys(job, clients, log, monkeypatch):
    """Airflow's database was restored: the try is the first there, and not the first in SageMaker."""
    create = clients.jobs.create
    losing(clients, monkeypatch, created=datetime.now(UTC) - timedelta(days=3))
    with pytest.raises(NotebookJobServiceError):
        clients.jobs.create(job.request(0, instance_types=("ml.m5.large",)))
    monkeypatch.setattr(clients.jobs, "create", create)
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert (submission.state.attempt, submission.adopted) == (1, None)


def test_a_creation_that_was_not_answered_and_made_no_job_yet_is_told_as_such(job, clients, log):
    lost = NotebookJobServiceError(
        "no answer", code="ReadTimeoutError", is_retryable=True, job_name=job.location(0).job_name
    )
    clients.jobs.errors["create"] = [lost]
    refused = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert (refused.error, refused.state.attempt, refused.state.may_exist) == (lost, 0, True)


def test_a_refused_call_is_raised_and_nothing_runs(job, clients, log):
    refusal = NotebookJobServiceError("AccessDenied", code="AccessDeniedException")
    clients.jobs.errors["create"] = [refusal]
    with pytest.raises(NotebookJobServiceError) as caught:
        submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert caught.value is refusal
    assert clients.jobs.descriptions == {}


def test_an_unanswered_describe_never_leads_to_a_second_job(job, clients, log, first):
    throttled = NotebookJobServiceError("throttled", code="Throttling", is_retryable=True)
    clients.jobs.errors["describe"] = [throttled]
    assert retry(job, clients, log).error is throttled
    assert clients.jobs.count("create") == 0


def test_adopting_a_job_that_runs_on_other_input_is_a_warning(tmp_path, clients, log, first):
    changed = prepared(tmp_path, clients, "x = 2")
    submission = retry(changed, clients, log)
    assert submission.adopted is not None
    (warning,) = log.warnings
    assert first.job_name in warning
    assert "clear the task to run it anew" in warning


def test_names_do_not_run_on_for_ever(job, clients, log, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.aws.submit.job._MOST_ATTEMPTS", 3)
    for attempt in range(3):
        name = clients.jobs.create(job.request(attempt)).rpartition("/")[2]
        clients.jobs.descriptions[name]["Environment"] = {}  # somebody else's
    with pytest.raises(NotebookJobServiceError, match=r"no free training-job name among 3 for 'd.t'"):
        submit(job, clients, SubmissionState(may_exist=False), log=log)


def test_a_name_that_nobody_gets_says_so_by_its_code(job, clients, log, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.aws.submit.job._MOST_ATTEMPTS", 0)
    with pytest.raises(NotebookJobServiceError) as caught:
        submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert (caught.value.code, caught.value.is_retryable) == ("ResourceInUse", False)


def test_a_job_that_was_made_is_asked_for_by_whoever_goes_on(job, clients, log):
    """If it ends without an instance, the next request begins where this one was."""
    staged = {"staged_attempt": 0, "staged_sha256": job.input_sha256}
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert submission.state == SubmissionState(attempt=0, choice=0, may_exist=True, was_asked=False, **staged)


def test_an_adopted_job_leaves_nothing_of_the_request_before(job, clients, log, first):
    adopted = submit(job, clients, SubmissionState(choice=1, was_asked=True), log=log)
    assert adopted.state == SubmissionState(attempt=0, choice=0, may_exist=True, was_asked=False)
    assert (adopted.arn, adopted.location) == (first.arn, first.location)


def test_after_a_name_that_is_somebody_elses_the_next_is_asked_for_before_it_is_taken(job, clients, log):
    """It may be this task's: the first try of a restored database is not the first in SageMaker."""
    foreign = clients.jobs.create(job.request(0)).rpartition("/")[2]
    clients.jobs.descriptions[foreign]["Environment"] = {}
    clients.jobs.create(job.request(1))
    submission = submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert (submission.adopted.job_name, submission.state.attempt) == (job.location(1).job_name, 1)
    assert clients.jobs.calls[-1] == ("describe", job.location(1).job_name), "it is not asked to be made"
    assert not any(job.location(1).job_name in uri for uri in clients.objects.puts)


def test_trouble_behind_a_name_that_is_somebody_elses_is_gone_on_with_there(job, clients, log, monkeypatch):
    foreign = clients.jobs.create(job.request(0)).rpartition("/")[2]
    clients.jobs.descriptions[foreign]["Environment"] = {}
    describe = clients.jobs.describe

    def troubled(name):
        if name == job.location(1).job_name:
            raise NotebookJobServiceError("busy", code="503", is_retryable=True)
        return describe(name)

    monkeypatch.setattr(clients.jobs, "describe", troubled)
    refused = submit(job, clients, SubmissionState(was_asked=True), log=log)
    assert refused.state == SubmissionState(attempt=1, choice=0, may_exist=True, was_asked=False)


def test_what_was_asked_of_an_earlier_name_makes_no_other_job_this_trys(job, clients, log):
    """A failed job of the next name is an earlier try's, and is not handed over as this one's."""
    foreign = clients.jobs.create(job.request(0)).rpartition("/")[2]
    clients.jobs.descriptions[foreign]["Environment"] = {}
    failed = clients.jobs.create(job.request(1)).rpartition("/")[2]
    clients.jobs.set_status(failed, "Failed")
    submission = submit(job, clients, SubmissionState(was_asked=True), log=log)
    assert (submission.adopted, submission.state.attempt) == (None, 2)


def test_an_upload_that_fails_asks_for_no_job_and_is_done_again(job, clients, log, monkeypatch):
    trouble = NotebookJobServiceError("SlowDown", code="SlowDown", is_retryable=True)

    def slow(*_, **__):
        raise trouble

    monkeypatch.setattr(clients.objects, "put", slow)
    refused = submit(job, clients, SubmissionState(was_asked=True, choice=1), log=log)
    assert refused.error is trouble
    assert refused.state == SubmissionState(attempt=0, choice=0, may_exist=True, was_asked=False)
    assert clients.jobs.count("create") == 0


@pytest.mark.parametrize("is_retryable", [True, False])
def test_trouble_that_is_not_of_the_job_is_no_question_after_it(job, clients, log, is_retryable):
    """Only what was said of this very request leaves open whether the job was made."""
    clients.jobs.errors["create"] = [
        NotebookJobServiceError("x", code="x", is_retryable=is_retryable, job_name="another" if is_retryable else None)
    ]
    try:
        outcome = submit(job, clients, SubmissionState(may_exist=False), log=log)
    except NotebookJobServiceError as error:
        outcome = error
    assert isinstance(outcome, Refused) is is_retryable
    assert clients.jobs.count("describe") == 0


def test_a_clear_refusal_of_the_job_itself_is_raised_without_a_question(job, clients, log):
    refusal = NotebookJobServiceError("x", code="x", job_name=job.location(0).job_name)
    clients.jobs.errors["create"] = [refusal]
    with pytest.raises(NotebookJobServiceError) as caught:
        submit(job, clients, SubmissionState(may_exist=False), log=log)
    assert caught.value is refusal
    assert clients.jobs.count("describe") == 0


# -- capacity and quota ------------------------------------------------------------------------------------------------

FULL = NotebookJobCapacityError("the account's quota for this instance type is in use")
TYPES = ["ml.m5.large", "ml.m5.xlarge"]


@pytest.fixture
def of_two(tmp_path, clients):
    """A job that may run on either of two instance types, which SageMaker is not left to choose from."""
    return prepared(
        tmp_path,
        clients,
        "x = 1",
        instance_type=TYPES,
        enable_managed_spot_training=True,
        max_wait_time_in_seconds=172_800,
    )


def submit_first(job, clients, log, **state):
    return submit(job, clients, SubmissionState(may_exist=False, **state), log=log)


def asked(clients):
    """The instances of the one job there is."""
    (request,) = clients.jobs.requests.values()
    resources = request["ResourceConfig"]
    return resources.get("InstanceType") or [each["InstanceType"] for each in resources["InstancePreferences"]]


def test_a_full_quota_is_told_with_what_the_next_leg_needs(job, clients, log):
    """A refused name stays free, and the input lies where it is."""
    clients.jobs.errors["create"] = [FULL]
    refused = submit_first(job, clients, log)
    assert (refused.error, refused.state.attempt, refused.state.may_exist) == (FULL, 0, False)
    assert (refused.state.staged_attempt, refused.state.staged_sha256) == (0, job.input_sha256)
    assert clients.jobs.count("describe") == 0


def test_the_next_leg_stages_nothing_anew(job, clients, log):
    clients.jobs.errors["create"] = [FULL]
    refused = submit_first(job, clients, log)
    clients.objects.puts.clear()
    clients.jobs.calls.clear()
    submission = submit(job, clients, refused.state, log=log)
    assert clients.objects.puts == []
    assert clients.jobs.calls == [("create", submission.job_name)]


def test_a_later_attempt_has_its_input_where_studio_looks_for_it(job, clients, log):
    """Under the job's own name, though its predecessor, which failed for want of capacity, had the same."""
    submission = submit_first(job, clients, log, attempt=1, staged_attempt=0, staged_sha256=job.input_sha256)
    assert clients.objects.puts == [f"{job.location(1).input_uri}/nb.ipynb"]
    (request,) = clients.jobs.requests.values()
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert source["S3Uri"] == job.location(1).input_uri
    assert (submission.state.staged_attempt, submission.state.staged_sha256) == (1, job.input_sha256)
    assert submission.job_name == job.location(1).job_name == request["TrainingJobName"]


def test_an_input_that_was_edited_meanwhile_is_staged_anew(tmp_path, job, clients, log):
    changed = prepared(tmp_path, clients, "x = 2")
    submission = submit_first(changed, clients, log, attempt=1, staged_attempt=0, staged_sha256=job.input_sha256)
    assert clients.objects.puts == [f"{submission.location.input_uri}/nb.ipynb"]
    assert (submission.state.staged_attempt, submission.state.staged_sha256) == (1, changed.input_sha256)


def test_a_throttled_creation_is_a_queue_as_a_full_quota_is(job, clients, log):
    clients.jobs.errors["create"] = [
        NotebookJobServiceError("Rate exceeded", code="ThrottlingException", is_retryable=True)
    ]
    refused = submit_first(job, clients, log)
    assert type(refused.error) is NotebookJobCapacityError
    assert not refused.state.may_exist


def test_of_two_instance_types_the_next_is_asked_for_under_the_same_name(of_two, clients, log):
    clients.jobs.errors["create"] = [FULL]
    submission = submit_first(of_two, clients, log)
    assert asked(clients) == "ml.m5.xlarge"
    assert (submission.state.attempt, submission.state.choice) == (0, 1)
    assert [called for called, _ in clients.jobs.calls] == ["create", "create"]
    assert len(clients.objects.puts) == 1


def test_all_types_are_refused_before_the_task_waits(of_two, clients, log):
    clients.jobs.errors["create"] = [FULL, FULL]
    assert submit_first(of_two, clients, log).error is FULL
    assert clients.jobs.count("create") == 2


def test_a_later_choice_begins_there_and_goes_round(of_two, clients, log):
    clients.jobs.errors["create"] = [FULL]
    submission = submit_first(of_two, clients, log, choice=1)
    assert (asked(clients), submission.state.choice) == ("ml.m5.large", 0)


def test_a_type_whose_quota_is_zero_is_left_out_and_said(of_two, clients, log):
    clients.jobs.errors["create"] = [ZeroQuotaError("the account's quota for this instance type is zero: ml.m5.large")]
    submission = submit_first(of_two, clients, log)
    assert submission.state.choice == 1
    assert "quota for this instance type is zero: ml.m5.large" in log.warnings[0]


def test_zero_for_every_type_is_a_user_error_that_names_them(of_two, clients, log):
    clients.jobs.errors["create"] = [ZeroQuotaError(f"quota is zero: {each}") for each in TYPES]
    with pytest.raises(NotebookJobConfigError) as caught:
        submit_first(of_two, clients, log)
    assert type(caught.value) is NotebookJobConfigError
    assert caught.value.problems == tuple(f"quota is zero: {each}" for each in TYPES)


def test_zero_for_the_only_type_is_told_once(job, clients, log):
    zero = ZeroQuotaError("quota is zero", details={"next": "use another instance_type"}, job_name="j")
    clients.jobs.errors["create"] = [zero]
    with pytest.raises(NotebookJobConfigError) as caught:
        submit_first(job, clients, log)
    error = caught.value
    assert (error.headline, error.problems, error.job_name) == ("quota is zero", (), "j")
    assert error.details["next"] == "use another instance_type"
    assert log.warnings == []


def test_zero_for_every_type_has_the_headline_of_the_last(of_two, clients, log):
    clients.jobs.errors["create"] = [ZeroQuotaError(each, details={"next": each}, job_name=each) for each in TYPES]
    with pytest.raises(NotebookJobConfigError) as caught:
        submit_first(of_two, clients, log)
    last = TYPES[1]
    assert (caught.value.headline, caught.value.details["next"], caught.value.job_name) == (last, last, last)


def test_of_several_refusals_the_last_is_told_and_the_next_round_begins_at_the_first_type(of_two, clients, log):
    clients.jobs.errors["create"] = [NotebookJobCapacityError("first"), NotebookJobCapacityError("second")]
    refused = submit_first(of_two, clients, log, choice=1)
    assert refused.error.headline == "second"
    assert (refused.state.choice, refused.state.was_asked, refused.state.may_exist) == (0, False, False)
    assert log.infos[-2:] == ["first", "second"]


def test_a_choice_beyond_the_list_begins_anew(of_two, clients, log):
    """The list may have become shorter since."""
    submission = submit_first(of_two, clients, log, choice=5)
    assert (asked(clients), submission.state.choice) == ("ml.m5.large", 0)


def test_a_throttled_creation_keeps_its_words_and_says_to_wait(job, clients, log):
    clients.jobs.errors["create"] = [
        NotebookJobServiceError("Rate exceeded", code="ThrottlingException", is_retryable=True, job_name="j")
    ]
    error = submit_first(job, clients, log).error
    assert (error.headline, error.details["next"], error.job_name) == ("Rate exceeded", "retry later", "j")


def test_zero_for_one_type_and_a_full_quota_of_the_other_is_a_queue(of_two, clients, log):
    clients.jobs.errors["create"] = [ZeroQuotaError("zero"), FULL]
    assert submit_first(of_two, clients, log).error is FULL


@needs_preferences
def test_sagemaker_chooses_among_several_types_where_it_can(tmp_path, clients, log):
    job = prepared(tmp_path, clients, "x = 1", instance_type=TYPES)
    submission = submit_first(job, clients, log)
    assert asked(clients) == TYPES
    assert submission.state.choice == 0


@needs_preferences
def test_what_sagemaker_refuses_as_a_list_is_asked_for_one_by_one(tmp_path, clients, log):
    """Each type has a quota of its own."""
    job = prepared(tmp_path, clients, "x = 1", instance_type=TYPES)
    clients.jobs.errors["create"] = [FULL, FULL]
    submission = submit_first(job, clients, log)
    assert (asked(clients), submission.state.choice) == ("ml.m5.xlarge", 2)


def test_the_name_is_noted_before_each_request(job, clients, log):
    """From there on the job may exist, whether or not its answer arrives."""
    order = []
    create = clients.jobs.create
    clients.jobs.create = lambda request: (order.append("create"), create(request))[1]
    submit(job, clients, SubmissionState(may_exist=False), log=log, expect=lambda *noted: order.append(noted))
    assert order == [(job.location(0).job_name, job.owner(0)), "create"]


def test_each_of_several_requests_is_asked_for_before_it_is_made(of_two, clients, log):
    """The worker may stand still between two of them, and lose its task meanwhile."""
    clients.jobs.errors["create"] = [FULL]
    noted = []

    def refuse_the_second(*job):
        if noted:
            raise RuntimeError("the try is over")
        noted.append(job)

    with pytest.raises(RuntimeError, match="the try is over"):
        submit(of_two, clients, SubmissionState(may_exist=False), log=log, expect=refuse_the_second)
    assert clients.jobs.count("create") == 1
