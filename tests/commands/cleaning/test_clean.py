"""What ``nbjobs clean`` deletes, keeps and leaves: by the naming rule and the owner, with an Airflow and an AWS account in memory."""

from __future__ import annotations

import json
import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
from cleaned_airflow import NOW, CleanedAirflow, clean, fates, left_keys, survey, why
from msgspec.structs import replace
from ui_account import ROOT, task_instance

from airflow_nbjobs import cli
from airflow_nbjobs.commands import clean as command
from airflow_nbjobs.commands.cleaning import deletion, report
from airflow_nbjobs.commands.cleaning.remains import (
    Amount,
    Fate,
    Part,
    digest_of,
    named_digests,
    parse_age,
    part_of,
    some,
)
from airflow_nbjobs.commands.parser import CommandParser
from airflow_nbjobs.commands.records import choice
from airflow_nbjobs.commands.records.port import AirflowError, Said
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.naming import parse_owner
from airflow_nbjobs.core.job.status import LONGEST_RUN
from airflow_nbjobs.ui.data.task_instance import TaskArguments

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
BUCKET = ROOT.split("/")[2]


@pytest.fixture
def airflow():
    return CleanedAirflow()


def test_the_last_runs_of_each_dag_are_kept_whole_and_the_others_deleted(airflow):
    old, new, other = airflow.add(2), airflow.add(1), airflow.add(3, dag_id="e")
    found, deleted = clean(airflow, keep_last=1)
    assert fates(found) == {old: Fate.REMOVE, new: Fate.KEEP, other: Fate.KEEP}
    assert {key.split("/")[0] for key in left_keys(airflow)} == {new, other}
    assert set(airflow.account.clients.jobs.descriptions) == {new, other}
    assert (deleted.jobs, deleted.amount, deleted.records) == (1, Amount(3, 18), 1)


def test_younger_runs_are_kept(airflow):
    old, new = airflow.add(1, days_old=8), airflow.add(2, days_old=6)
    found, _ = clean(airflow, hours=parse_age("7d"))
    assert fates(found) == {old: Fate.REMOVE, new: Fate.KEEP}


def test_only_the_dags_that_are_named_are_touched_or_listed(airflow):
    mine, other = airflow.add(1), airflow.add(2, dag_id="e")
    found, _ = clean(airflow, dags=["d"])
    assert fates(found) == {mine: Fate.REMOVE}
    assert {key.split("/")[0] for key in left_keys(airflow)} == {other}


@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_run_that_has_not_ended_is_kept(airflow, state):
    name = airflow.add(1, state=state, days_old=90)
    found, _ = clean(airflow)
    assert fates(found) == {name: Fate.KEEP}
    assert len(left_keys(airflow)) == 3


@pytest.mark.parametrize("status", ["InProgress", "Stopping", "SomethingNew"])
def test_a_live_job_of_an_ended_run_is_kept(airflow, status):
    name = airflow.add(1, status=status)
    found, deleted = clean(airflow)
    assert fates(found) == {name: Fate.KEEP}
    assert "has not ended" in why(found, name)
    assert (deleted.jobs, len(left_keys(airflow))) == (0, 3)


def test_a_task_that_is_deferred_running_or_up_for_retry_by_now_keeps_its_run(airflow):
    """The user clears a task between the survey and the deletion."""
    name = airflow.add(1)
    airflow.cleared_since.add(("d", "r1"))
    found, deleted = clean(airflow)
    assert fates(found) == {name: Fate.REMOVE}
    assert (deleted.jobs, len(left_keys(airflow)), len(deleted.notes)) == (0, 3, 1)


def test_a_job_that_runs_by_now_is_left(airflow):
    name = airflow.add(1)
    description = airflow.account.clients.jobs.descriptions[name]
    _, deleted = clean(airflow, meanwhile=lambda: description.update(TrainingJobStatus="InProgress"))
    assert (deleted.jobs, len(left_keys(airflow))) == (0, 3)
    assert deleted.notes[0].startswith(f"{ROOT}/{name} is left: its job has not ended")


def test_what_a_kept_run_names_is_kept(airflow):
    """A sensor of another DAG that has watched the job, or an artifact that a kept run was given."""
    old, _ = airflow.add(2), airflow.add(1)
    kept = airflow.all_runs["d", "r1"]
    airflow.mentions = [Said(kept, json.dumps({"model": f"{ROOT}/{old}/output/model.tar.gz"}))]
    found, _ = clean(airflow, keep_last=1)
    assert fates(found)[old] is Fate.KEEP
    assert "names it" in why(found, old)
    assert any(key.startswith(old) for key in left_keys(airflow))


def test_what_belongs_to_nobody_here_is_left_and_said(airflow):
    job = airflow.add(1)
    clients = airflow.account.clients
    foreign = {
        "studio-0123456789ab": ({}, "no NBJOBS_OWNER"),
        "forged-0123456789ab": (
            {"NBJOBS_OWNER": clients.jobs.descriptions[job]["Environment"]["NBJOBS_OWNER"]},
            "name",
        ),
        "cut-0123456789ab": ({"NBJOBS_OWNER": "[1,2#abc"}, "does not tell the run"),
    }
    for name, (environment, _) in foreign.items():
        clients.jobs.descriptions[name] = clients.jobs.descriptions[job] | {
            "TrainingJobName": name,
            "Environment": environment,
        }
        airflow.put(f"{name}/output/output.tar.gz")
    airflow.put("unknown-0123456789ab/input/x")
    airflow.put("data/train.csv", b"12")
    airflow.put("readme.txt", b"1")
    airflow.put(f"{job}/model.pkl", b"1234")
    found, _ = clean(airflow)
    for name, (_, words) in foreign.items():
        assert fates(found)[name] is Fate.LEAVE
        assert words in why(found, name)
    assert "SageMaker knows no such job" in why(found, "unknown-0123456789ab")
    assert found.elsewhere == Amount(2, 3)
    assert left_keys(airflow) == {
        *(f"{name}/output/output.tar.gz" for name in foreign),
        *("unknown-0123456789ab/input/x", "data/train.csv", "readme.txt", f"{job}/model.pkl"),
    }


def test_another_deployments_job_of_the_same_run_is_left(airflow):
    ti = task_instance(dag_id="d", run_id="r1", run_started=NOW - timedelta(minutes=1), job=None)
    airflow.add(1)
    key = replace(ti.run_keys(deployment="other")[0])
    name = ti.job_name(key)
    airflow.account.clients.jobs.descriptions[name] = airflow.account.clients.jobs.descriptions[airflow.add_job(ti)] | {
        "TrainingJobName": name,
        "Environment": {"NBJOBS_OWNER": key.owner()},
    }
    airflow.put(f"{name}/output/output.tar.gz")
    found, _ = clean(airflow)
    assert "belongs to deployment 'other'" in why(found, name)
    assert f"{name}/output/output.tar.gz" in left_keys(airflow)


@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_job_of_before_a_clear_is_the_runs_only_if_airflow_remembers_that_start(airflow, is_remembered):
    """A clear of an ended run gives it another start; another Airflow may have a run of the same name, too."""
    airflow.add(1)
    earlier = task_instance(dag_id="d", run_id="r1", run_started=NOW - timedelta(days=3), job=None)
    name = airflow.add_job(earlier)
    airflow.put(f"{name}/output/output.tar.gz")
    if is_remembered:
        start = earlier.run_keys(deployment="")[0].run_started_microseconds
        airflow.starts["d", "r1", "t", -1] = {start}
    found, _ = clean(airflow)
    assert fates(found)[name] is (Fate.REMOVE if is_remembered else Fate.LEAVE)


def test_a_run_that_airflow_does_not_show_is_left(airflow):
    airflow.add(1)
    gone = task_instance(dag_id="d", run_id="deleted", job=None)
    name = airflow.add_job(gone)
    airflow.put(f"{name}/output/output.tar.gz")
    found, _ = clean(airflow)
    assert "Airflow has no run 'deleted' of DAG 'd'" in why(found, name)


def test_what_was_staged_for_a_job_that_never_was_is_deleted_once_no_region_can_run_it(airflow):
    """Described in the wrong region, a job that runs looks like one that never was."""
    name = airflow.add(1, delivered=False)
    airflow.forget_job(name)
    airflow.account.clients.storage.modified = NOW - timedelta(days=3)
    assert "may still run in another region" in why(survey(airflow), name)
    airflow.account.clients.storage.modified = NOW - LONGEST_RUN
    found, _ = clean(airflow)
    assert fates(found) == {name: Fate.REMOVE}
    assert left_keys(airflow) == set()


def test_files_of_a_job_whose_record_is_gone_are_deleted_by_its_name(airflow):
    name = airflow.add(1)
    airflow.forget_job(name)
    _, deleted = clean(airflow)
    assert (left_keys(airflow), deleted.records) == (set(), 0)


def test_a_record_whose_files_are_gone_is_deleted(airflow):
    name = airflow.add(1)
    airflow.account.clients.objects.bodies.clear()
    found, deleted = clean(airflow)
    assert fates(found) == {name: Fate.REMOVE}
    assert (deleted.records, airflow.account.clients.jobs.descriptions) == (1, {})


def test_a_boto3_that_deletes_no_records_deletes_the_files_and_says_so(airflow, monkeypatch):
    """That of Airflow 3.0.6's constraints."""
    airflow.add(2)
    name = airflow.add(1)
    monkeypatch.setattr(airflow.account.clients.jobs, "can_delete", False)
    _, deleted = clean(airflow)
    assert (left_keys(airflow), deleted.problems, deleted.records) == (set(), [], 0)
    assert deleted.notes == [deletion.NO_DELETION]
    assert name in airflow.account.clients.jobs.descriptions
    assert survey(airflow).findings == [], "what cannot be deleted is not offered again"


def test_files_go_first_the_notebook_after_them_and_the_record_last(airflow):
    """Killed anywhere, what is left is still known: a try takes a Completed job without its notebook for one whose results nobody has pushed."""
    name = airflow.add(1)
    clean(airflow)
    first, second = airflow.account.clients.storage.deleted
    assert second == [f"nbjobs/{name}/{name}.ipynb"]
    assert f"nbjobs/{name}/{name}.ipynb" not in first
    assert airflow.account.clients.jobs.calls[-1] == ("delete", name)


@pytest.mark.parametrize("part", ["input/report.ipynb", "{name}.ipynb"])
def test_a_key_that_s3_does_not_delete_is_reported_and_its_record_kept(airflow, part):
    name, other = airflow.add(1), airflow.add(2)
    key = f"nbjobs/{name}/{part.format(name=name)}"
    airflow.account.clients.storage.refused = {key}
    _, deleted = clean(airflow)
    assert key in deleted.problems[0]
    assert "AccessDenied" in deleted.problems[0]
    assert set(airflow.account.clients.jobs.descriptions) == {name}, "its owner has to be known the next time"
    assert not any(left.startswith(other) for left in left_keys(airflow))
    airflow.account.clients.storage.refused = set()
    _, deleted = clean(airflow)
    assert (deleted.problems, left_keys(airflow), airflow.account.clients.jobs.descriptions) == ([], set(), {})


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_deletion_that_is_broken_off_anywhere_is_repeated_with_the_same_end(airflow, monkeypatch, step, when):
    """As by a kill, before or after each of its calls: files, the notebook, the record."""
    airflow.add(1)
    keep = airflow.add(0)
    clients, calls = airflow.account.clients, []

    def counted(original):
        def call(*arguments):
            calls.append(original)
            if len(calls) == step and when == "before":
                raise KeyboardInterrupt
            answer = original(*arguments)
            if len(calls) == step:
                raise KeyboardInterrupt
            return answer

        return call

    with monkeypatch.context() as patch:
        patch.setattr(clients.storage, "delete", counted(clients.storage.delete))
        patch.setattr(clients.jobs, "delete", counted(clients.jobs.delete))
        with pytest.raises(KeyboardInterrupt):
            clean(airflow, keep_last=1)
    clean(airflow, keep_last=1)
    assert {key.split("/")[0] for key in left_keys(airflow)} == {keep}
    assert set(clients.jobs.descriptions) == {keep}


def test_a_deletion_makes_the_calls_that_are_broken_off_above(airflow, monkeypatch):
    airflow.add(1)
    clean(airflow)
    clients = airflow.account.clients
    assert len(clients.storage.deleted) + clients.jobs.count("delete") == 3


def test_what_cannot_be_asked_deletes_nothing_and_is_said(airflow):
    airflow.add(1)
    airflow.account.clients.jobs.errors["describe"] = [
        NotebookJobServiceError("ThrottlingException", code="Throttling")
    ]
    found, deleted = clean(airflow)
    assert "nothing of it is deleted" in found.problems[0]
    assert (deleted.jobs, len(left_keys(airflow))) == (0, 3)


def test_a_versioned_bucket_is_said(airflow):
    airflow.add(1)
    airflow.account.clients.storage.is_versioned = True
    found = survey(airflow)
    assert any("keeps versions" in line for line in report.text_lines(found, None, now=NOW))
    assert report.document(found, None, [])["versioned_buckets"] == [BUCKET]


def test_the_table_counts_what_would_go_by_dag_and_age(airflow):
    airflow.add(1, days_old=40)
    airflow.add(2, days_old=40)
    airflow.add(3)
    lines = report.text_lines(survey(airflow), None, now=NOW)
    rows = [line.split("  ") for line in lines[:3]]
    assert [row[0].strip() for row in rows] == ["DAG", "d", "d"]
    assert "under 1 day" in lines[1]
    assert "30 to 90 days" in lines[2]
    assert lines[2].split()[-9:] == ["2", "2", "2", "2", "0", "2", "36", "bytes", "2"]
    assert lines[-1].startswith("nothing was deleted")


def test_the_tables_columns_stand_below_each_other_and_know_the_oldest(airflow):
    airflow.add(1)
    airflow.add(2, days_old=100)
    lines = report.text_lines(survey(airflow), None, now=NOW)
    assert lines[0].startswith("DAG  age           runs  jobs  inputs  outputs")
    assert lines[1].startswith("d    under 1 day      1     1       1        1")
    assert lines[2].startswith("d    over 90 days     1     1       1        1")


def test_a_job_whose_run_is_not_known_or_has_no_end_is_listed_without(airflow):
    airflow.put("unknown-0123456789ab/input/x")
    running, ended = airflow.add(1, state="running"), airflow.add(2)
    airflow.all_runs["d", "r1"] = replace(airflow.all_runs["d", "r1"], ended=None)
    jobs = {job["job_name"]: job for job in report.document(survey(airflow), None, [])["jobs"]}
    unknown = jobs["unknown-0123456789ab"]
    assert (unknown["dag_id"], unknown["run_id"], unknown["run_ended_at"]) == (None, None, None)
    assert "SageMaker knows no such job" in unknown["why"]
    assert (jobs[running]["run_id"], jobs[running]["run_ended_at"]) == ("r1", None)
    assert jobs[ended]["run_ended_at"] == (NOW - timedelta(minutes=2)).isoformat()
    assert jobs[ended]["why"] is None


@pytest.mark.parametrize(("number", "fate"), [(0, Fate.REMOVE), (-1, Fate.KEEP)])
def test_a_run_is_old_from_its_hour_on(airflow, number, fate):
    name = airflow.add(number, days_old=1)
    assert fates(survey(airflow, hours=24)) == {name: fate}


def test_what_only_lies_where_a_jobs_folder_could_be_is_no_job(airflow):
    airflow.add(1)
    airflow.put("data/input/x", b"123")
    airflow.put("n-0123456789ab", b"1")
    airflow.put("other-0123456789ab/notes.txt", b"12")
    found = survey(airflow)
    assert len(found.findings) == 1
    assert found.elsewhere == Amount(3, 6)


def test_a_job_is_listed_for_programs_with_its_parts(airflow):
    name = airflow.add(1)
    (job,) = report.document(survey(airflow), deletion.Deleted(), [])["jobs"]
    assert (job["job_name"], job["dag_id"], job["run_id"], job["fate"]) == (name, "d", "r1", "remove")
    assert job["parts"]["output"] == {"objects": 1, "bytes": 10}


def test_nothing_is_deleted_unless_it_is_said_what_to_keep(capsys):
    assert cli.main(["clean", "--yes"]) == 2
    said = capsys.readouterr()
    assert (said.out, "--keep-last 0 keeps no ended run" in said.err) == ("", True)


@pytest.mark.parametrize("options", [["--older-than", "soon"], ["--keep-last", "-1"], ["--keep-last", "x"]])
def test_an_option_that_means_nothing_is_refused(capsys, options):
    assert cli.main(["clean", *([f"{options[0]}={options[1]}"])]) == 2
    assert options[0] in capsys.readouterr().err


def test_the_readmes_example_is_taken():
    (block,) = re.findall(r"<!-- runs: nbjobs clean -->\n```bash\n(.*?)```", README, re.DOTALL)
    parser = CommandParser(prog="nbjobs clean")
    command.add_arguments(parser)
    args = parser.parse_args(shlex.split(block)[2:])
    assert (args.older_than, args.keep_last, args.yes) == ("30d", "3", False)


def run_clean(monkeypatch, airflow, *options):
    monkeypatch.setattr(choice, "open_records", lambda *_: airflow)
    return cli.main(["clean", *options])


def test_the_command_deletes_and_says_how_much(airflow, monkeypatch, capsys):
    airflow.add(1)
    assert run_clean(monkeypatch, airflow, "--keep-last", "0", "--yes") == 0
    assert "deleted: 1 job, 3 objects, 18 bytes, 1 records" in capsys.readouterr().out
    assert left_keys(airflow) == set()


def test_ctrl_c_says_how_far_it_came(airflow, monkeypatch, capsys):
    airflow.add(1)
    airflow.add(2)
    deletions = iter([""])

    def once(_name):
        try:
            return next(deletions)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(airflow.account.clients.jobs, "delete", once)
    assert run_clean(monkeypatch, airflow, "--keep-last", "0", "--yes") == 130
    said = capsys.readouterr()
    assert said.out == ""
    assert (
        said.err.splitlines()[-1] == "stopped; 1 jobs were deleted, 6 objects; the same command goes on with the rest"
    )


def test_a_program_gets_the_report_as_json_alone(airflow, monkeypatch, capsys):
    airflow.add(1)
    assert run_clean(monkeypatch, airflow, "-o", "json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["version"], said["deleted"], said["notes"], said["problems"]) == (1, None, [], [])
    airflow.cleared_since.add(("d", "r1"))
    assert run_clean(monkeypatch, airflow, "-o", "json", "--keep-last", "0", "--yes") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["deleted"] == {"jobs": 0, "objects": 0, "bytes": 0, "records": 0}
    assert said["notes"] == ["run 'r1' of DAG 'd' is left: it is under way again, or gone"]


def test_notes_and_problems_are_said_to_a_reader_and_a_problem_is_the_exit_code(airflow, monkeypatch, capsys):
    airflow.add(1)
    airflow.unknown = {"d": 3}
    assert run_clean(monkeypatch, airflow, "--dag", "d") == 0
    said = capsys.readouterr()
    assert said.out.endswith("nothing was deleted; --yes deletes what the table lists\n")
    assert "version of the DAG Airflow has no more (3)" in said.err
    monkeypatch.setattr(airflow.account.clients.jobs, "delete", lambda _: "ValidationException: no")
    airflow.cleared_since.add(("d", "r2"))
    airflow.add(2)
    assert run_clean(monkeypatch, airflow, "--keep-last", "0", "--yes") == 1
    said = capsys.readouterr().err
    assert "run 'r2' of DAG 'd' is left: it is under way again, or gone" in said
    assert "SageMaker keeps its record of" in said


def test_ctrl_c_before_the_deletion_says_that_nothing_was_deleted(airflow, monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    airflow.runs = stop
    assert run_clean(monkeypatch, airflow, "--keep-last", "0", "--yes") == 130
    assert "stopped; nothing was deleted" in capsys.readouterr().err


def test_a_record_that_sagemaker_keeps_is_a_problem_and_its_job_no_deleted_one(airflow, monkeypatch):
    name = airflow.add(1)
    monkeypatch.setattr(airflow.account.clients.jobs, "delete", lambda _: "ValidationException: no")
    _, deleted = clean(airflow)
    assert deleted.problems == [f"SageMaker keeps its record of '{name}': ValidationException: no"]
    assert (deleted.jobs, deleted.records, deleted.amount) == (0, 0, Amount(3, 18))


@pytest.mark.parametrize("asks", ["is_under_way", "runs"])
def test_without_airflows_answer_right_before_the_deletion_nothing_is_deleted(airflow, monkeypatch, asks):
    airflow.add(1)

    def refuse(*_):
        raise AirflowError("Airflow is away")

    _, deleted = clean(airflow, meanwhile=lambda: monkeypatch.setattr(airflow, asks, refuse))
    assert "Airflow is away" in deleted.problems[0]
    assert (deleted.jobs, len(left_keys(airflow))) == (0, 3)


def test_a_deletion_says_how_far_it_has_come_and_goes_from_the_oldest_run_to_the_newest(airflow, monkeypatch, capsys):
    """Broken off, it has taken what is needed least."""
    for number in (1, 3, 2):
        airflow.add(number)
    assert run_clean(monkeypatch, airflow, "--keep-last", "0", "--yes") == 0
    assert [
        line for line in capsys.readouterr().err.splitlines() if "looking" not in line and "SageMaker" not in line
    ] == [
        "asking Airflow once more what its runs need",
        *(f"deleting what 'r{number}' of DAG 'd' left" for number in (3, 2, 1)),
    ]


def test_with_nothing_to_delete_airflow_is_not_asked_again(airflow, monkeypatch, capsys):
    airflow.add(1, state="running")
    assert run_clean(monkeypatch, airflow, "--keep-last", "0", "--yes") == 0
    said = capsys.readouterr()
    assert "once more" not in said.err
    assert "deleted: 0 jobs, 0 objects, 0 bytes, 0 records" in said.out


def test_a_job_that_cannot_be_deleted_is_a_problem_of_its_own(airflow, monkeypatch):
    first, second = airflow.add(2), airflow.add(1)
    describe = airflow.account.clients.jobs.describe
    refused = NotebookJobServiceError("ThrottlingException", code="Throttling")

    def fails_for_the_first(name):
        if name == first:
            raise refused
        return describe(name)

    _, deleted = clean(
        airflow, meanwhile=lambda: monkeypatch.setattr(airflow.account.clients.jobs, "describe", fails_for_the_first)
    )
    assert deleted.problems == [f"{ROOT}/{first}: {refused.headline}"]
    assert {key.split("/")[0] for key in left_keys(airflow)} == {first}
    assert second not in airflow.account.clients.jobs.descriptions


@pytest.mark.parametrize(("count", "end"), [(5, "AccessDenied: Access Denied"), (7, "; and 2 more")])
def test_of_many_keys_that_s3_does_not_delete_five_are_shown_and_none_counts_as_deleted(airflow, count, end):
    name = airflow.add(1, delivered=False)
    for number in range(count):
        airflow.put(f"{name}/input/{number}")
    airflow.account.clients.storage.refused = {f"nbjobs/{name}/input/{number}" for number in range(count)}
    _, deleted = clean(airflow)
    (problem,) = deleted.problems
    assert problem.count("AccessDenied") == 5
    assert problem.endswith(end)
    assert deleted.amount == Amount(1, 5)


def test_what_is_kept_and_left_is_summed_up_by_its_reason(airflow):
    for number in (1, 2):
        airflow.add(number, state="running")
    airflow.add(3, status="InProgress")
    airflow.put("unknown-0123456789ab/input/x", b"12")
    airflow.put("data/train.csv", b"1234567")
    airflow.put("unknown-0123456789ab/extra.txt", b"123")
    lines = report.text_lines(survey(airflow), None, now=NOW)
    assert lines[0] == "there is nothing to delete"
    assert [line.split(": ")[:2] for line in lines[1:]] == [
        ["kept", "2 jobs, 36 bytes"],
        ["kept", "1 job, 18 bytes"],
        ["left", "1 job, 2 bytes"],
        ["left", "2 objects, 10 bytes"],
    ]


def test_a_misspelt_dag_is_said(airflow, monkeypatch, capsys):
    airflow.add(1, dag_id="nightly")
    assert run_clean(monkeypatch, airflow, "--dag", "nigthly") == 2
    assert "nightly" in capsys.readouterr().err


# -- pure ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("30d", 720), ("8w", 1344), ("0d", 0)])
def test_an_age(text, hours):
    assert parse_age(text) == hours


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 d", "1m", "٣d", "999999d"])
def test_no_age(text):
    with pytest.raises(ValueError, match="12h, 30d or 8w"):
        parse_age(text)


@pytest.mark.parametrize(
    ("rest", "part"),
    [
        ("input/a/b", Part.INPUT),
        ("output/output.tar.gz", Part.OUTPUT),
        ("debug-output/x", Part.OUTPUT),
        ("live/j-0123456789ab.ipynb", Part.LIVE),
        ("j-0123456789ab.ipynb", Part.NOTEBOOK),
        ("other.ipynb", None),
        ("inputs/x", None),
        ("input", None),
    ],
)
def test_only_what_a_job_makes_is_a_jobs(rest, part):
    assert part_of("j-0123456789ab", rest) is part


def test_a_name_of_ours_has_its_hash_at_the_end():
    assert digest_of("nightly-0123456789ab") == "0123456789ab"
    assert [digest_of(name) for name in ("nightly", "0123456789ab", "n-0123456789AB", "n_x-0123456789ab")] == [None] * 4
    assert named_digests("s3://b/n-0123456789ab/x n-0123456789abc") == {"0123456789ab"}


def test_an_owner_reads_back_to_its_attempt():
    key = task_instance().run_keys(deployment="é")[0]
    assert parse_owner(key.owner()) == key
    looped = replace(key, region_id="x", region_index=3)
    assert parse_owner(looped.owner()) == looped
    assert [
        parse_owner(text)
        for text in ("", "[]", "{}", '["", 1]', f"{key.owner()} ", replace(key, run_id="r" * 600).owner())
    ] == [None] * 6


def test_a_skipped_task_has_nothing_to_clean(airflow):
    airflow.instances.append(task_instance(state="skipped", try_number=0, arguments=TaskArguments({})))
    assert survey(airflow).findings == []


def test_of_many_names_some_are_said():
    assert (some(["a", "b"], 2), some(["a", "b", "c"], 2)) == ("a, b", "a, b and 1 more")


def test_a_skipped_task_that_had_a_job_before_has_it_cleaned(airflow):
    """Cleared, and then skipped: the job of its first try is its own all the same."""
    name = airflow.add(1)
    airflow.forget_job(name)
    airflow.instances[0] = replace(airflow.instances[0], state="skipped", try_number=1)
    assert fates(survey(airflow)) == {name: Fate.REMOVE}
