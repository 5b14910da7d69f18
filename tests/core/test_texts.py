"""What a text says, where something else is due."""

from types import SimpleNamespace

import pytest
from airflow.sdk import Asset

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.pool_members import Member, member_problems
from airflow_nbjobs.core.texts import is_template
from airflow_nbjobs.params import notebook_params
from airflow_nbjobs.task.asset_events import outlet_problems
from airflow_nbjobs.ui.data.task_instance import _is_plain

TEMPLATES = ["s3://b/{{ ds }}", "s3://b/{% if 1 %}x{% endif %}", "s3://b/x{# by night #}"]


def test_jinja_has_three_marks():
    assert [is_template(text) for text in (*TEMPLATES, "s3://b/{a}", "{ {a} }", "")] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("text", TEMPLATES)
def test_everybody_takes_the_same_texts_for_templates(text):
    path = text.removeprefix("s3://b/") + ".ipynb"
    with pytest.raises(NotebookJobConfigError, match="is a template"):
        notebook_params(path)
    (problem,) = outlet_problems(SimpleNamespace(outlets=[Asset(name=text, uri="s3://b/model")]))
    assert "Airflow renders no outlet" in problem
    assert not _is_plain(text)
    known = {"instance_type": ["ml.m5.large"]}
    assert member_problems("g", [Member("'a'", known), Member("'b'", {"instance_type": [text]})]) == []
