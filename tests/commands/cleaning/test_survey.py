"""Where ``nbjobs clean`` looks: several roots, regions and accounts, of which one gives no answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cleaned_airflow import NOW, CleanedAirflow, arguments, clean, fates, left_keys, needs_of, survey, why
from msgspec.structs import replace
from ui_account import ROOT, task_instance

from airflow_nbjobs.aws.ports import MOST_DELETED
from airflow_nbjobs.commands.cleaning import report
from airflow_nbjobs.commands.cleaning.remains import Amount, Fate
from airflow_nbjobs.commands.cleaning.survey import Surveyor
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError

THROTTLED = NotebookJobServiceError("ThrottlingException", code="Throttling")
OTHER_ROOT = "s3://bucket/other"


@pytest.fixture
def airflow():
    return CleanedAirflow()


def test_a_root_of_which_the_last_describe_fails_is_left_whole(airflow, monkeypatch):
    names = sorted(airflow.add(number) for number in range(6))
    describe = airflow.account.clients.jobs.describe

    def fails_at_the_last(name):
        if name == names[-1]:
            raise THROTTLED
        return describe(name)

    monkeypatch.setattr(airflow.account.clients.jobs, "describe", fails_at_the_last)
    found, deleted = clean(airflow)
    assert found.findings == []
    assert "nothing of it is deleted" in found.problems[0]
    assert (deleted.jobs, len(left_keys(airflow)), len(airflow.account.clients.jobs.descriptions)) == (0, 18, 6)


def test_a_root_that_cannot_be_read_leaves_no_other_out(airflow):
    here = airflow.add(1)
    there = airflow.add(2, root=OTHER_ROOT)
    airflow.account.clients.objects.denied.add(OTHER_ROOT)
    found, _ = clean(airflow)
    assert fates(found) == {here: Fate.REMOVE}
    assert there in airflow.account.clients.jobs.descriptions, "of it, also a record is left"


def test_a_job_of_a_task_without_access_is_left_though_another_task_writes_to_the_same_root(airflow):
    good, bad = airflow.add(1), airflow.add(2, task_id="u", arguments=arguments("gone"))
    airflow.refused["u", "r2"] = NotebookJobConfigError("no connection 'gone'")
    found, _ = clean(airflow)
    assert fates(found) == {good: Fate.REMOVE, bad: Fate.LEAVE}
    assert "no way to AWS" in why(found, bad)
    assert found.problems == ["d.u: no connection 'gone'; nothing of it is deleted"]
    assert {key.split("/")[0] for key in left_keys(airflow)} == {bad}
    assert set(airflow.account.clients.jobs.descriptions) == {bad}


def test_jobs_of_two_roots_are_listed_once_and_each_at_its_own(airflow):
    here = airflow.add(1)
    there = airflow.add(2, root=OTHER_ROOT)
    found = survey(airflow)
    assert {(each.folder.root, each.folder.name, each.fate) for each in found.findings} == {
        (ROOT, here, Fate.REMOVE),
        (OTHER_ROOT, there, Fate.REMOVE),
    }
    assert len(found.findings) == 2
    assert airflow.account.clients.jobs.count("list") == 1


def test_a_survey_asks_for_no_more_than_it_needs_and_says_where_it_is(airflow, monkeypatch):
    for number in (1, 2):
        airflow.add(number)
    airflow.add(3, dag_id="e")
    wanted, said = [], []
    read = airflow.all_task_instances
    monkeypatch.setattr(
        airflow, "all_task_instances", lambda dags, *, unknown: wanted.append(dags) or read(dags, unknown=unknown)
    )
    Surveyor(airflow, needs_of(airflow, dags=["d"]), now=NOW, say=said.append).survey()
    assert wanted == [{"d"}]
    assert airflow.account.asked == 1, "two tasks of one connection"
    assert said == [
        f"looking through {ROOT}/",
        f"{ROOT}/: 3 jobs; asking SageMaker for those that no kept run has",
    ]


def test_jobs_are_listed_by_root_and_name(airflow):
    there = airflow.add(1, root=OTHER_ROOT)
    here = sorted(airflow.add(number) for number in (2, 3))
    found = [(each.folder.root, each.folder.name) for each in survey(airflow).findings]
    assert found == sorted(found) == [(ROOT, here[0]), (ROOT, here[1]), (OTHER_ROOT, there)]


def test_a_record_without_files_is_found_at_its_own_root(airflow):
    airflow.add(1)
    there = airflow.add(2, root=OTHER_ROOT)
    for uri in [uri for uri in airflow.account.clients.objects.bodies if there in uri]:
        del airflow.account.clients.objects.bodies[uri]
    found, deleted = clean(airflow)
    assert [(each.folder.root, each.fate) for each in found.findings if each.folder.name == there] == [
        (OTHER_ROOT, Fate.REMOVE)
    ]
    assert (deleted.records, airflow.account.clients.jobs.descriptions) == (2, {})


def test_records_without_files_are_looked_for_back_to_the_oldest_run(airflow):
    airflow.add(1)
    name = airflow.add(2, days_old=40)
    for uri in [uri for uri in airflow.account.clients.objects.bodies if name in uri]:
        del airflow.account.clients.objects.bodies[uri]
    assert fates(survey(airflow))[name] is Fate.REMOVE


def without_files(airflow, *names):
    for uri in [uri for uri in airflow.account.clients.objects.bodies if any(name in uri for name in names)]:
        del airflow.account.clients.objects.bodies[uri]


def test_records_without_files_are_listed_to_the_last_page(airflow, monkeypatch):
    names = [airflow.add(number) for number in range(3)]
    without_files(airflow, *names)
    jobs = airflow.account.clients.jobs
    read = jobs.list_page

    def one_by_one(call):
        found = read(replace(call, next_token=None)).summaries
        place = int(call.next_token or 0)
        more = str(place + 1) if place + 1 < len(found) else None
        return SimpleNamespace(summaries=found[place : place + 1], next_token=more)

    monkeypatch.setattr(jobs, "list_page", one_by_one)
    assert fates(survey(airflow)) == dict.fromkeys(names, Fate.REMOVE)


@pytest.mark.parametrize(
    ("error", "place", "words"),
    [
        (
            NotebookJobServiceError("AccessDenied on sagemaker:ListTrainingJobs", code="AccessDenied"),
            "notes",
            "records of jobs whose files are gone are not found: AccessDenied",
        ),
        (THROTTLED, "problems", "records of jobs whose files are gone: ThrottlingException; none of them is deleted"),
    ],
)
def test_where_records_cannot_be_listed_that_is_said_and_files_are_cleaned_all_the_same(airflow, error, place, words):
    """Who may not list jobs has chosen so; what passes is worth another call."""
    name = airflow.add(1)
    without_files(airflow, airflow.add(2))
    airflow.account.clients.jobs.errors["list"] = [error]
    found = survey(airflow)
    assert fates(found) == {name: Fate.REMOVE}
    said = {"notes": found.notes, "problems": found.problems}
    assert words in said.pop(place)[0]
    assert said.popitem()[1] == []


def test_a_record_without_files_is_found_once_where_two_connections_lead_to_one_account(airflow):
    airflow.add(1)
    airflow.others.append(("aws_conn_id", "second", airflow.account))
    name = airflow.add(2, arguments=arguments("second"))
    for uri in [uri for uri in airflow.account.clients.objects.bodies if name in uri]:
        del airflow.account.clients.objects.bodies[uri]
    found, deleted = clean(airflow)
    assert [each.fate for each in found.findings if each.folder.name == name] == [Fate.REMOVE]
    assert deleted.records == 2


@pytest.mark.parametrize("place", [{"conn": "second"}, {"region": "eu-west-1"}])
def test_a_job_is_asked_for_in_its_tasks_own_account_and_region(airflow, place):
    """Two accounts in one region have one endpoint; in the wrong one a job that runs looks like one whose record is gone."""
    airflow.add(1)
    second = airflow.second_account(place)
    name = airflow.add(2, arguments=arguments(**place), status="InProgress", account=second)
    found, _ = clean(airflow)
    assert fates(found)[name] is Fate.KEEP
    assert "has not ended" in why(found, name)
    assert any(key.startswith(name) for key in left_keys(airflow))


def test_a_job_of_no_known_task_is_asked_for_everywhere(airflow):
    """Its run is known to no naming rule here, such as of an eleventh attempt: the second region knows it."""
    airflow.add(1)
    place = {"region": "eu-west-1"}
    second = airflow.second_account(place)
    airflow.add(2, arguments=arguments(**place), account=second)
    late = task_instance(dag_id="d", run_id="r2", run_started=airflow.instances[1].run_started, job={"attempt": 12})
    name = airflow.add_job(late, account=second)
    airflow.put(f"{name}/output/output.tar.gz")
    found = survey(airflow)
    assert fates(found)[name] is Fate.REMOVE
    (finding,) = [each for each in found.findings if each.folder.name == name]
    assert finding.clients is second.clients


def test_a_job_that_writes_elsewhere_is_left(airflow):
    name = airflow.add(1)
    airflow.account.clients.jobs.descriptions[name]["OutputDataConfig"] = {"S3OutputPath": "s3://bucket/elsewhere"}
    found, _ = clean(airflow)
    assert fates(found) == {name: Fate.LEAVE}
    assert "its job writes elsewhere (s3://bucket/elsewhere)" in why(found, name)
    assert len(left_keys(airflow)) == 3


def test_a_program_is_told_which_jobs_nobody_was_asked_about(airflow):
    kept, gone, known = airflow.add(1, state="running"), airflow.add(2), airflow.add(3)
    airflow.forget_job(gone)
    jobs = report.document(survey(airflow), None, [])["jobs"]
    assert {job["job_name"]: job["has_record"] for job in jobs} == {kept: None, gone: False, known: True}


def test_what_is_not_looked_for_is_said(airflow):
    airflow.add(1)
    for run_id in ("a", "b"):
        airflow.instances.append(task_instance(task_id="u", run_id=run_id, arguments=arguments(root=None), job=None))
    airflow.unknown = {"d": 3}
    found = survey(airflow)
    assert any("without an s3_root_uri left (1): d.u" in note for note in found.notes)
    assert any("Airflow has no more (3): 'd' (3)" in note for note in found.notes)


@pytest.mark.parametrize("ends", [KeyboardInterrupt, THROTTLED])
def test_more_than_a_call_deletes_is_counted_call_by_call(airflow, monkeypatch, ends):
    name = airflow.add(1, delivered=False)
    for number in range(MOST_DELETED + 5):
        airflow.put(f"{name}/input/{number}", b"12")
    storage = airflow.account.clients.storage
    delete = storage.delete

    def fails_at_the_second(bucket, keys):
        if storage.deleted:
            raise ends
        return delete(bucket, keys)

    monkeypatch.setattr(storage, "delete", fails_at_the_second)
    try:
        clean(airflow)
    except KeyboardInterrupt:
        assert ends is KeyboardInterrupt
    assert airflow.deleted.amount == Amount(MOST_DELETED, 2 * MOST_DELETED)
    assert len(left_keys(airflow)) == 6
