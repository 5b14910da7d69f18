"""Which way to AWS the API server takes for a task: its own connection, region and root, else what is configured."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.exceptions import ProfileNotFound
from ui_account import ROOT, task_instance

from airflow_nbjobs import hooks
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments
from airflow_nbjobs.ui.notebook.aws_access import access_key, airflow_access, as_problem, clients_key
from airflow_nbjobs.ui.notebook.problems import ProblemError

ARN = "arn:aws:sagemaker:eu-west-3:123456789012:training-job/x-0123456789ab"


@pytest.fixture
def hook(monkeypatch):
    """The hooks that are made, by their arguments; ``endpoint_url`` and the connection's ``extra`` are a test's to set."""
    made = SimpleNamespace(asked=[], extra={}, endpoint_url="https://api.sagemaker.eu-west-1.amazonaws.com")

    def make(**arguments):
        made.asked.append(arguments)
        clients = SimpleNamespace(jobs=SimpleNamespace(endpoint_url=made.endpoint_url))
        return SimpleNamespace(connection_extra=made.extra, clients=clients)

    monkeypatch.setattr(hooks, "SageMakerNotebookJobHook", make)
    return made


def instance(kind=Kind.OPERATOR, **arguments):
    return task_instance(kind=kind, arguments=TaskArguments(arguments))


def test_a_tasks_own_arguments_count(hook):
    given = {"aws_conn_id": "mine", "region_name": "eu-west-1", "verify": "/ca.pem"}
    access = airflow_access(instance(**given, s3_root_uri=f"{ROOT}/", studio_domain_arn="arn:studio"))
    assert hook.asked == [given]
    assert (access.root, access.studio_domain_arn, access.has_console) == (ROOT, "arn:studio", True)


def test_what_it_does_not_say_is_the_connections(hook):
    hook.extra = {"nbjobs": {"s3_root_uri": "s3://configured/x"}}
    assert airflow_access(instance()).root == "s3://configured/x"
    assert airflow_access(instance(s3_root_uri=ROOT)).root == ROOT


def test_without_any_root_there_is_none(hook):
    access = airflow_access(instance())
    assert (access.root, access.studio_domain_arn) == (None, None)


def test_a_root_that_is_none_is_said(hook):
    with pytest.raises(NotebookJobConfigError, match="s3_root_uri: '/tmp/x' must be of the form"):
        airflow_access(instance(s3_root_uri="/tmp/x"))


def test_an_endpoint_of_somebody_elses_has_no_console_of_awss(hook):
    hook.endpoint_url = "http://127.0.0.1:4566"
    assert airflow_access(instance()).has_console is False


def test_a_sensors_job_is_in_the_region_that_its_arn_names(hook):
    airflow_access(instance(Kind.SENSOR, job_name=ARN))
    airflow_access(instance(Kind.SENSOR, job_name="x-0123456789ab", region_name="eu-west-1"))
    assert [each["region_name"] for each in hook.asked] == ["eu-west-3", "eu-west-1"]


def test_tasks_share_clients_where_connection_region_and_certificates_are_the_same():
    same = {"aws_conn_id": "a", "region_name": "r", "verify": None}
    assert clients_key(instance(**same)) == clients_key(instance(**same, s3_root_uri=ROOT, job_name="x"))
    others = [same | {name: "other"} for name in same]
    assert len({clients_key(instance(**each)) for each in (same, *others)}) == 4
    assert clients_key(instance(Kind.SENSOR, **same, job_name=ARN)) != clients_key(instance(Kind.SENSOR, **same))
    assert access_key(instance(**same, s3_root_uri=ROOT)) != access_key(instance(**same))
    assert access_key(instance(**same, studio_domain_arn="x")) != access_key(instance(**same))


@pytest.mark.parametrize("error", [NotebookJobConfigError("no such thing"), ProfileNotFound(profile="x")])
def test_what_keeps_aws_from_being_asked_is_a_problem_for_the_reader(error):
    with pytest.raises(ProblemError) as caught, as_problem():
        raise error
    assert str(error) in "".join((caught.value.problem.text, *caught.value.problem.details))


def test_an_error_of_ours_is_none_for_the_reader():
    with pytest.raises(KeyError), as_problem():
        raise KeyError("x")
