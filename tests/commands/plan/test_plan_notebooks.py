"""The plan of a notebook without a DAG."""

from __future__ import annotations

import json

import pytest

from airflow_nbjobs.commands.plan.notebooks import plan_notebook

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture(autouse=True)
def no_region(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)


def test_it_has_the_notebooks_own_facts(folder):
    path = str(folder / "nb.ipynb")
    plan = plan_notebook(path, shows_request=False)
    assert (plan.task_id, plan.kind, plan.notebook, plan.kernel) == ("nb", "notebook", path, "python3")
    assert [(each.name, each.given, each.is_known) for each in plan.parameters] == [
        (name, None, True) for name in ("day", "rows", "ratio", "name")
    ]
    assert [each.name for each in plan.files] == ["nb.ipynb", "helper.ipynb"]
    assert (plan.request, plan.not_known, plan.outputs, plan.estimate) == (None, (), (), None)


def test_its_request_says_what_the_deployment_gives(folder, monkeypatch):
    request = plan_notebook(str(folder / "nb.ipynb"), shows_request=True).request
    assert request["RoleArn"] == "<role of the deployment>"
    assert request["AlgorithmSpecification"]["TrainingImage"] == "<image_uri of the deployment>"
    assert request["OutputDataConfig"]["S3OutputPath"].startswith("<s3_root_uri of the deployment>")
    assert "not-known" not in json.dumps(request)
    monkeypatch.setenv("AIRFLOW__NBJOBS__ROLE", "Jobs")
    monkeypatch.setenv("AIRFLOW__NBJOBS__S3_ROOT_URI", "s3://acme/nb")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    request = plan_notebook(str(folder / "nb.ipynb"), shows_request=True).request
    assert request["RoleArn"] == "<ARN of role 'Jobs'>"
    assert request["OutputDataConfig"]["S3OutputPath"].startswith("s3://acme/nb")
    assert request["Environment"]["AWS_DEFAULT_REGION"] == "eu-west-3"


def test_a_settings_problem_of_this_machine_is_one(folder, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__ROLE", "a b c")
    plan = plan_notebook(str(folder / "nb.ipynb"), shows_request=True)
    assert [text.split()[0].strip(":") for text in plan.problems] == ["role"]
    assert plan.request is None


@pytest.mark.parametrize(
    ("shows_request", "said"),
    [(False, []), (True, ["request: it needs the notebook, which is not known here"])],
)
def test_a_notebook_in_s3_is_not_looked_at(shows_request, said):
    plan = plan_notebook("s3://acme/nb.ipynb", shows_request=shows_request)
    assert (plan.task_id, plan.notebook, plan.problems, plan.files) == ("nb", "s3://acme/nb.ipynb", (), ())
    assert list(plan.not_known) == ["input_notebook: 's3://acme/nb.ipynb' lies in S3, which is not asked", *said]


def test_what_is_wrong_with_a_notebook_in_s3_apart_from_that_is_said(monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__ROLE", "a b c")
    plan = plan_notebook("s3://acme/nb.ipynb", shows_request=False)
    assert [text.split()[0].strip(":") for text in plan.problems] == ["role"]
