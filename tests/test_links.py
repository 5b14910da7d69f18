"""The buttons on a task instance, and the addresses behind them."""

from types import SimpleNamespace

import pytest
from airflow.sdk import BaseOperatorLink
from airflow_names import TaskInstanceKey

from airflow_nbjobs import links
from airflow_nbjobs.links import (
    CloudWatchLogsLink,
    ExecutedNotebookLink,
    SageMakerConsoleLink,
    StudioLink,
    job_urls,
    logs_url,
    s3_object_url,
    studio_url,
)
from airflow_nbjobs.operators import SageMakerNotebookJobOperator


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_every_partition_has_its_console(region, host):
    urls = job_urls(region, "job-1", "s3://bucket/k/job-1/job-1.ipynb")
    assert urls["console_url"] == f"{host}/sagemaker/home?region={region}#/jobs/job-1"
    assert all(url.startswith(host) for url in urls.values() if url)
    assert [name for name, url in urls.items() if not url] == ["studio_url"]


@pytest.mark.parametrize(
    ("account", "is_there"), [("123456789012", False), ("000000000000", False), ("210987654321", True)]
)
def test_a_job_on_the_embedded_server_has_no_console_and_no_button_that_leads_to_one(account, is_there):
    arn = f"arn:aws:sagemaker:eu-west-1:{account}:training-job/job-1"
    urls = job_urls("eu-west-1", "job-1", "s3://b/k", job_arn=arn, studio_domain_arn=DOMAIN.format("aws"))
    assert {bool(url) for url in urls.values()} == {is_there}


def test_the_executed_notebook_is_in_the_tab_where_no_console_shows_it(monkeypatch):
    from airflow.sdk.execution_time.xcom import XCom

    job = dict.fromkeys(JOB, "") | {"executed_notebook_uri": "s3://b/k"}
    monkeypatch.setattr("airflow_nbjobs._compat.ui_address", lambda: "https://airflow.example")
    monkeypatch.setattr(XCom, "get_value", lambda **_: job)
    key = TaskInstanceKey("d", "t", "r", 1, -1)
    assert ExecutedNotebookLink().get_link(None, ti_key=key).endswith("/dags/d/runs/r/tasks/t/plugin/nbjobs_notebook")
    monkeypatch.setattr("airflow_nbjobs._compat.ui_address", lambda: None)
    assert ExecutedNotebookLink().get_link(None, ti_key=key) == ""


DOMAIN = "arn:{}:sagemaker:eu-west-1:123456789012:domain/d-abc"


@pytest.mark.parametrize(
    ("domain_arn", "url"),
    [
        (DOMAIN.format("aws"), "https://studio-d-abc.studio.eu-west-1.sagemaker.aws/jobs/train/job-1"),
        (DOMAIN.format("aws-cn"), ""),  # its form there is not known
        (None, ""),
    ],
)
def test_the_job_in_studio_needs_the_domain_that_the_task_names(domain_arn, url):
    assert studio_url("eu-west-1", "job-1", domain_arn) == url
    assert job_urls("eu-west-1", "job-1", "s3://b/k", studio_domain_arn=domain_arn)["studio_url"] == url


def test_the_log_link_shows_the_jobs_streams_only():
    """CloudWatch's console escapes twice, with $ for %."""
    assert logs_url("eu-west-1", "job-1").endswith(
        "#logsV2:log-groups/log-group/$252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3Djob-1$252F"
    )


def test_a_key_with_blanks_is_escaped():
    url = s3_object_url("eu-west-1", "s3://bucket/a b/ü.ipynb")
    assert url.endswith("/s3/object/bucket?region=eu-west-1&prefix=a%20b/%C3%BC.ipynb")


JOB = {
    "console_url": "https://c",
    "logs_url": "https://l",
    "executed_notebook_url": "https://e",
    "studio_url": "https://s",
}


@pytest.mark.parametrize(
    ("link", "url"),
    [
        (SageMakerConsoleLink(), "https://c"),
        (CloudWatchLogsLink(), "https://l"),
        (ExecutedNotebookLink(), "https://e"),
        (StudioLink(), "https://s"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize(("job", "is_there"), [(JOB, True), (None, False), ({}, False), ("text", False)], ids=str)
def test_a_link_reads_what_the_task_pushed_and_is_empty_without_a_job(monkeypatch, link, url, job, is_there):
    from airflow.sdk.execution_time.xcom import XCom

    asked = []
    monkeypatch.setattr("airflow_nbjobs._compat.ui_address", lambda: None)
    monkeypatch.setattr(XCom, "get_value", lambda **arguments: asked.append(arguments) or job)
    key = TaskInstanceKey("d", "t", "r", 1, -1)
    assert link.get_link(None, ti_key=key) == (url if is_there else "")
    assert asked == [{"ti_key": key, "key": "nbjobs_job"}]


def test_what_the_process_has_pushed_itself_is_not_asked_for(monkeypatch):
    from airflow.sdk.execution_time.xcom import XCom

    asked = []
    monkeypatch.setattr(links, "_pushed", {})
    monkeypatch.setattr(XCom, "get_value", lambda **arguments: asked.append(arguments))
    key, other = TaskInstanceKey("d", "t", "r", 1, 0), TaskInstanceKey("d", "t", "r", 1, 1)
    links.note_pushed_job(key, JOB)
    assert SageMakerConsoleLink().get_link(None, ti_key=key) == "https://c"
    assert asked == []
    assert SageMakerConsoleLink().get_link(None, ti_key=other) == ""
    assert asked == [{"ti_key": other, "key": "nbjobs_job"}]
    links.note_pushed_job(other, JOB | {"console_url": "https://c2"})
    assert SageMakerConsoleLink().get_link(None, ti_key=other) == "https://c2"


@pytest.mark.parametrize(
    "other",
    [{"try_number": 2}, {"region_index": 1}, {"region_id": "another-loop"}, {"task_id": "u"}, {"run_id": "r2"}],
    ids=str,
)
def test_a_try_without_a_job_does_not_show_what_another_has_pushed(monkeypatch, other):
    """``dag.test()`` runs every try, and every iteration of a loop, in one process."""
    from airflow.sdk.execution_time.xcom import XCom

    names = ("dag_id", "run_id", "task_id", "map_index", "try_number", "region_id", "region_index")
    first = SimpleNamespace(**dict(zip(names, ("d", "r", "t", -1, 1, "a-loop", 0), strict=True)))
    monkeypatch.setattr(links, "_pushed", {})
    monkeypatch.setattr(XCom, "get_value", lambda **_: None)
    links.note_pushed_job(first, JOB)
    assert SageMakerConsoleLink().get_link(None, ti_key=first) == "https://c"
    assert SageMakerConsoleLink().get_link(None, ti_key=SimpleNamespace(**vars(first) | other)) == ""


class Runbook(BaseOperatorLink):
    """A link of somebody else's."""

    name = "Runbook"

    def get_link(self, operator, *, ti_key):
        return ""


def test_links_without_an_address_are_not_stored_and_others_always_are(monkeypatch):
    """A link that is not stored is no button, as an empty one is."""
    key = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
    monkeypatch.setattr("airflow_nbjobs._compat.ui_address", lambda: None)
    monkeypatch.setattr(links, "_pushed", {})
    links.note_pushed_job(key, JOB | {"logs_url": "", "studio_url": None})
    runbook = Runbook()
    stored = links.links_with_address((*SageMakerNotebookJobOperator.operator_extra_links, runbook), None, key)
    assert [link.name for link in stored] == ["SageMaker console", "Executed notebook", "Runbook"]


@pytest.mark.parametrize(("map_index", "mapped"), [(None, ""), (-1, ""), (0, "/mapped/0"), (12, "/mapped/12")])
def test_addresses_in_airflows_ui_escape_what_names_may_hold(map_index, mapped):
    run = "/dags/a%2Fb/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00"
    run_id = "manual__2026-01-01T00:00:00+00:00"
    assert links.run_path("a/b", run_id) == run
    assert links.task_path("a/b", run_id, "g.t/1", map_index) == f"{run}/tasks/g.t%2F1{mapped}"
    assert links.tab_path("a/b", run_id, "t", map_index) == f"{run}/tasks/t{mapped}/plugin/nbjobs_notebook"


def test_an_account_is_looked_for_as_a_whole():
    """An account's number may begin or end as that of AWS's examples does."""
    assert links.has_console("arn:aws:sagemaker:eu-west-1:0123456789012:training-job/000000000000")
    assert links.has_console("")
    assert not links.has_console("arn:aws:sagemaker:eu-west-1:000000000000:training-job/j")


def test_without_a_notebook_or_an_address_there_is_no_link_to_one(monkeypatch):
    from airflow.sdk.execution_time.xcom import XCom

    key = TaskInstanceKey("d", "t", "r", 1, -1)
    monkeypatch.setattr("airflow_nbjobs._compat.ui_address", lambda: "https://airflow.example")
    for job, is_there in (
        ({}, False),
        ({"executed_notebook_uri": "s3://b/k"}, True),
        ({"executed_notebook_url": "u"}, True),
    ):
        monkeypatch.setattr(XCom, "get_value", lambda job=job, **_: job)
        assert bool(ExecutedNotebookLink().get_link(None, ti_key=key)) is is_there


def test_only_the_last_push_of_a_process_is_kept(monkeypatch):
    monkeypatch.setattr(links, "_pushed", {})
    for index in range(3):
        links.note_pushed_job(TaskInstanceKey("d", "t", "r", 1, index), JOB)
    assert len(links._pushed) == 1


def test_a_domain_is_named_by_the_end_of_its_arn():
    url = studio_url("eu-west-1", "job", "arn:aws:sagemaker:eu-west-1:1:domain/x/d-1")
    assert url == "https://studio-d-1.studio.eu-west-1.sagemaker.aws/jobs/train/job"
    assert studio_url("eu-west-1", "job", "") == ""


def test_an_object_at_a_buckets_root_has_its_whole_key():
    assert s3_object_url("eu-west-1", "s3://bucket/k").endswith("/s3/object/bucket?region=eu-west-1&prefix=k")


def test_a_task_that_goes_on_stores_others_links_only():
    class Runbook(BaseOperatorLink):
        name = "Runbook"

        def get_link(self, operator, *, ti_key):
            return "https://runbook"

    runbook = Runbook()
    assert links.links_of_others((*SageMakerNotebookJobOperator.operator_extra_links, runbook)) == (runbook,)


@pytest.mark.parametrize(("map_index", "mapped"), [(-1, ""), (3, "/mapped/3")])
def test_the_executed_notebook_is_the_tasks_tab_where_airflow_has_tabs(monkeypatch, map_index, mapped):
    from airflow.sdk.execution_time.xcom import XCom

    monkeypatch.setattr("airflow_nbjobs._compat.ui_address", lambda: "https://airflow.example/team")
    monkeypatch.setattr(XCom, "get_value", lambda **_: JOB)
    key = TaskInstanceKey("d", "group.t", "manual__2026-01-01T00:00:00+00:00", 1, map_index)
    assert ExecutedNotebookLink().get_link(None, ti_key=key) == (
        f"https://airflow.example/team/dags/d/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00/tasks/group.t{mapped}/plugin/nbjobs_notebook"
    )


def test_every_link_of_the_operator_has_a_name_and_a_key_of_its_own():
    links = SageMakerNotebookJobOperator.operator_extra_links
    assert len({link.name for link in links}) == len({link.xcom_key for link in links}) == 4
