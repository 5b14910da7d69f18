"""``nbjobs run`` in an AWS account that is not always well: the job is billed, so that what passes is waited through."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError
from fakes import ACCOUNT_ID, REGION, FakeClients, archive, executed, failed_at, notebook

from airflow_nbjobs import cli
from airflow_nbjobs.commands import follow, run, target
from airflow_nbjobs.core.errors import NotebookJobCapacityError, NotebookJobConfigError, NotebookJobServiceError

RAW = notebook("accuracy = 0.5")
ROOT = "s3://bucket/nbjobs"


@pytest.fixture
def clients():
    return FakeClients()


@pytest.fixture
def clock(monkeypatch, clients):
    """Time that passes only in sleep; ``clock.at`` has what happens at which second."""

    class Clock:
        now = datetime(2026, 11, 29, tzinfo=UTC)
        slept = 0.0

        def __init__(self):
            self.at = {}

        def sleep(self, seconds):
            self.slept += seconds
            self.now += timedelta(seconds=seconds)
            for second in sorted(self.at):
                if second <= self.slept:
                    self.at.pop(second)()

    made = Clock()

    class Time(datetime):
        @classmethod
        def now(cls, tz=None):
            return made.now

    monkeypatch.setattr(follow, "datetime", Time)
    monkeypatch.setattr(follow.time, "sleep", made.sleep)
    return made


@pytest.fixture
def command(tmp_path, monkeypatch, clients, clock, capsys, caplog):  # noqa: PLR0917 - fixtures; the clock is asked for first
    """Run the notebook in the fakes' account; returns the exit code and what is printed and logged."""
    (tmp_path / "report.ipynb").write_bytes(RAW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        run,
        "own_account",
        lambda _: target.Target(region=REGION, has_credentials=True, checking=clients, start=lambda: clients),
    )

    def called(*arguments):
        with monkeypatch.context() as patch:
            # As in a process of its own: an Airflow < 3.1 that another test has imported logs to stdout.
            patch.setattr(logging.getLogger(), "handlers", [caplog.handler])
            code = cli.main(
                [
                    *("run", "report.ipynb", "--image-uri", f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1"),
                    *("--role", f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs", "--s3-root-uri", ROOT, *arguments),
                ]
            )
        said = capsys.readouterr()
        return code, said.out, said.err + caplog.text

    return called


def end(clients, ran=None, status="Completed", reason="", secondary=None):
    """Let the one job end, and leave its notebook behind."""
    (name,) = clients.jobs.descriptions
    clients.jobs.set_status(name, status, secondary, reason)
    if ran is not None:
        clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive({f"{name}.ipynb": ran})
    return name


RAN = executed(RAW, {"accuracy": 0.5})


def test_it_waits_and_prints_the_outputs(command, clients, clock, tmp_path):
    clock.at[20] = lambda: end(clients, RAN)
    code, out, _ = command("--output", "accuracy")
    assert (code, out) == (0, "accuracy = 0.5\n")
    assert (tmp_path / "report.executed.ipynb").read_bytes() == RAN


def test_a_completed_job_that_is_being_deleted_hands_over_its_outputs(command, clients, clock):
    clock.at[20] = lambda: end(clients, RAN, "Deleting", secondary="Completed")
    code, out, err = command("--output", "accuracy")
    assert (code, out) == (0, "accuracy = 0.5\n")
    assert "is being deleted" in err


def test_a_job_that_is_being_deleted_ends_the_wait(command, clients, clock):
    clock.at[20] = lambda: end(clients, None, "Deleting")
    code, _, err = command()
    assert code == 1
    assert clock.slept < 40
    assert "is being deleted, and SageMaker does not say any more how it ended" in err


def test_a_job_that_is_not_shown_for_some_seconds_is_looked_for_again(command, clients, clock, monkeypatch):
    shown = clients.jobs.describe
    monkeypatch.setattr(clients.jobs, "describe", lambda name: shown(name) if clock.slept >= 50 else None)
    clock.at[60] = lambda: end(clients, RAN)
    assert command("--output", "accuracy")[:2] == (0, "accuracy = 0.5\n")


def test_a_job_that_is_not_known_for_a_minute_is_said_to_be_unknown(command, clients, clock, monkeypatch):
    monkeypatch.setattr(clients.jobs, "describe", lambda _: None)
    code, _, err = command()
    assert code == 1
    assert 60 <= clock.slept < 70
    assert "SageMaker does not know training job 'report-" in err
    assert err.count("going on waiting") == 1
    assert "is left as it is" in err


@pytest.mark.parametrize(
    "error",
    [
        NotebookJobServiceError("ThrottlingException", code="ThrottlingException", is_retryable=True),
        NotebookJobServiceError("AccessDenied", code="AccessDeniedException"),
        NotebookJobConfigError("no AWS credentials: the profile could not be found"),
    ],
    ids=["throttled", "denied", "no profile"],
)
def test_a_look_that_fails_now_is_no_end_of_the_job(command, clients, clock, error):
    clients.jobs.errors["describe"] = [error] * 50
    clock.at[400] = lambda: end(clients, RAN)
    code, out, err = command("--output", "accuracy")
    assert (code, out) == (0, "accuracy = 0.5\n")
    assert err.count("; going on waiting") == 1


def test_a_log_that_may_not_be_read_keeps_no_result_back(command, clients, clock):
    clients.logs.error = NotebookJobServiceError("logs:GetLogEvents was denied", code="AccessDeniedException")
    clock.at[20] = lambda: end(clients, RAN)
    assert command("--output", "accuracy")[:2] == (0, "accuracy = 0.5\n")


def test_a_denial_that_lasts_ten_minutes_is_told_with_where_the_results_will_be(command, clients, clock):
    clients.jobs.errors["describe"] = [NotebookJobServiceError("AccessDenied", code="AccessDenied") for _ in range(500)]
    code, _, err = command()
    assert code == 1
    assert 600 <= clock.slept < 610
    (name,) = clients.jobs.descriptions
    assert f"{ROOT}/{name}/output/output.tar.gz" in err
    assert clients.jobs.count("stop") == 0


def test_results_that_cannot_be_read_now_are_read_again(command, clients, clock, monkeypatch):
    clock.at[10] = lambda: end(clients, RAN)
    opened = clients.objects.open

    def troubled(uri):
        if clock.slept < 60:
            raise NotebookJobServiceError("SlowDown", code="SlowDown", is_retryable=True)
        return opened(uri)

    monkeypatch.setattr(clients.objects, "open", troubled)
    assert command("--output", "accuracy")[:2] == (0, "accuracy = 0.5\n")


def test_an_archive_that_is_not_in_s3_yet_is_waited_for(command, clients, clock):
    def ended():
        name = end(clients)
        clients.jobs.descriptions[name] |= {"TrainingEndTime": clock.now}

    clock.at[10] = ended
    clock.at[30] = lambda: end(clients, RAN)
    assert command("--output", "accuracy")[:2] == (0, "accuracy = 0.5\n")


def test_a_request_whose_answer_is_lost_is_looked_for_before_another_is_sent(command, clients, clock, monkeypatch):
    """The job that a lost answer speaks of runs and is billed."""
    create, describe = clients.jobs.create, clients.jobs.describe

    def lost(request):
        create(request)
        raise NotebookJobServiceError("got no answer", code="ReadTimeoutError", is_retryable=True)

    def unreachable(name):
        if clock.slept < 5:
            raise NotebookJobServiceError("got no answer", code="ConnectTimeoutError", is_retryable=True)
        return describe(name)

    monkeypatch.setattr(clients.jobs, "create", lost)
    monkeypatch.setattr(clients.jobs, "describe", unreachable)
    clock.at[20] = lambda: end(clients, RAN)
    assert command("--output", "accuracy")[:2] == (0, "accuracy = 0.5\n")
    assert clients.jobs.count("create") == 1


def test_a_failed_cell_is_told_at_once(command, clients, clock, tmp_path):
    """What the notebook says does not pass: nothing is read again."""
    ran = failed_at(RAW, 0, "ValueError", "no bread left")
    clock.at[20] = lambda: end(clients, ran, "Failed", "AlgorithmError: ValueError: no bread left, exit code: 1")
    code, _, err = command()
    assert code == 1
    assert "failed in cell 1: ValueError: no bread left" in err
    assert "reading again" not in err
    assert clock.slept < 40
    assert (tmp_path / "report.executed.ipynb").read_bytes() == ran


def test_a_bucket_that_is_gone_when_the_job_has_ended_is_told_at_once(command, clients, clock, monkeypatch):
    def gone(uri):
        raise NotebookJobConfigError(f"the bucket of '{uri}' does not exist")

    monkeypatch.setattr(clients.objects, "open", gone)
    clock.at[20] = lambda: end(clients)
    code, _, err = command()
    assert code == 1
    assert "the bucket of 's3://bucket/nbjobs" in err
    assert "reading again" not in err


def test_want_of_capacity_is_told_at_once(command, clients, clock):
    clients.jobs.errors["create"] = [NotebookJobCapacityError("the quota is in use")]
    code, _, err = command()
    assert (code, clock.slept) == (1, 0)
    assert "the quota is in use" in err


def test_a_notebook_that_asks_to_be_skipped_ends_it_with_0_and_its_reason(command, clients, clock, tmp_path):
    skipped = failed_at(RAW, 1, "AirflowSkipException", "no rows today")
    clock.at[10] = lambda: end(clients, skipped, "Failed", "AlgorithmError: exit code 1")
    code, out, err = command()
    assert (code, out) == (0, "skipped: no rows today\n")
    assert "failed in cell" not in err
    assert (tmp_path / "report.executed.ipynb").read_bytes() == skipped


def test_ctrl_c_while_the_request_is_under_way_stops_the_job_that_it_made(command, clients, monkeypatch):
    create = clients.jobs.create

    def interrupted(request):
        create(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(clients.jobs, "create", interrupted)
    assert command()[0] == 130
    (name,) = clients.jobs.descriptions
    assert clients.jobs.descriptions[name]["TrainingJobStatus"] == "Stopping"


def test_ctrl_c_says_that_a_job_could_not_be_stopped(command, clients, clock, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    clock.at[5] = interrupt
    clients.jobs.errors["stop"] = [NotebookJobServiceError("AccessDenied on sagemaker:StopTrainingJob", code="x")]
    code, _, err = command()
    assert code == 130
    assert "AccessDenied on sagemaker:StopTrainingJob; the job runs on" in err


def test_an_executed_notebook_that_cannot_be_saved_keeps_no_output_back(command, clients, clock, tmp_path):
    clock.at[10] = lambda: (end(clients, RAN), (tmp_path / "report.executed.ipynb").mkdir())
    code, out, err = command("--output", "accuracy")
    assert (code, out) == (1, "accuracy = 0.5\n")
    assert "could not be saved" in err
    assert "output.tar.gz" in err


def test_credentials_that_aws_refuses_are_read_again(monkeypatch):
    """A key of SSO or of a shared file expires while a notebook of hours runs, and is renewed by its user."""
    opened = []

    class Session:
        region_name = REGION

        def __init__(self, **_):
            opened.append(self)

        def get_credentials(self):
            return object()

        def client(self, _service, **_options):
            return Client(is_expired=self is opened[0])

    class Client:
        def __init__(self, *, is_expired):
            self.is_expired = is_expired

        def describe_training_job(self, **_):
            code = "ExpiredTokenException" if self.is_expired else "ResourceNotFound"
            raise ClientError({"Error": {"Code": code, "Message": "m"}}, "DescribeTrainingJob")

    monkeypatch.setattr(boto3, "Session", Session)
    assert target.own_account(None).start().jobs.describe("job") is None
    assert len(opened) == 2


def test_a_profile_that_is_not_there_is_said_in_words(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    (tmp_path / "report.ipynb").write_bytes(RAW)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "report.ipynb"]) == 2
    assert "profile (nobody) could not be found" in capsys.readouterr().err
