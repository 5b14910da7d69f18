"""What ``nbjobs plan`` says of values that it does not know, that it must not tell, or that it cannot show."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest
from plans import DATED, WHOLE, in_dag, one

from airflow_nbjobs import cli

pytestmark = pytest.mark.usefixtures("no_network")


# -- values of which only a run can tell ----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_native", [False, True])
@pytest.mark.parametrize(
    "template",
    [
        "{{ var.json.cfg | tojson }}",
        "{{ 100 / var.json.n }}",
        "{{ -var.json.n }}",
        "{{ var.json.n | round }}",
        "{{ 7 // var.json.n }}",
        "{{ 2 ** var.json.n }}",
        "{{ macros.json.dumps(var.json.cfg) }}",
        "{{ macros.datetime.strptime(var.value.day, '%Y') }}",
        "{{ var.json.cfg['a'].b }}",
        "{% for each in var.json.cfg %}{{ each }}{% endfor %}",
        # What jinja's tests and the functions of an author say of such a value is not known either.
        "{{ 'a' if var.value.env is string else 'b' }}",
        "{{ 'a' if logical_date is none else 'b' }}",
        "{{ kind(ds) }}",
        "{{ kind(var.value.get('env', 'b')) }}",
        "{{ ti.start_date is none }}",
        "{{ 'x' ~ ti }}",
        "{{ 'a' if dag_run.conf is mapping else 'b' }}",
    ],
)
def test_what_is_made_of_a_value_that_is_not_known_is_neither_right_nor_wrong(template, is_native, plan):
    document, code_, _ = plan(
        in_dag(
            f"Job(task_id='t', input_notebook='nb.ipynb', parameters={{'name': {template!r}}})",
            f"schedule=None, user_defined_macros={{'kind': lambda x: type(x).__name__}}, render_template_as_native_obj={is_native}",
        )
    )
    row = one(document)["parameters"][-1]
    assert (row["given"], row["is_known"], one(document)["problems"], code_) == (template, False, [], 0)


def test_a_name_that_no_run_has_is_a_problem_beside_a_value_that_is_not_known(plan):
    document, code_, _ = plan(
        in_dag("Job(task_id='t', input_notebook='nb.ipynb', parameters={'name': '{{ var.value.x ~ ds ~ foo() }}'})")
    )
    assert code_ == 1
    assert "'foo' is undefined" in one(document)["problems"][0]


# -- what is secret -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [False, True])
def test_a_secret_is_in_no_part_of_the_plan(text, plan, monkeypatch):
    secrets = [
        "hunter2-of-the-database",
        'quoted"hunter\\3',
        "hunter4-of-a-key",
        "hunter5-of-a-connection",
        "hunter6-x",
    ]
    monkeypatch.setenv("AIRFLOW_VAR_DB_PASSWORD", secrets[0])
    monkeypatch.setenv("AIRFLOW_VAR_QUOTED_SECRET", secrets[1])
    monkeypatch.setenv("AIRFLOW_VAR_CFG", json.dumps({"api_key": secrets[2]}))
    connection = {
        "conn_type": "aws",
        "password": secrets[3],
        "extra": {"region_name": "eu-west-1", "token": secrets[4]},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    given = {"name": "{{ var.value.db_password }}", "day": "{{ var.value.quoted_secret }}"}
    environment = {
        "URL": "postgres://me:{{ var.value.db_password }}@db",
        "KEY": "{{ var.json.cfg.api_key }}",
        "QUOTED": "{{ var.value.quoted_secret }}",
        "LOST": secrets[3] + secrets[4],
    }
    arguments = WHOLE | {"parameters": given, "environment_variables": environment}
    wrong = WHOLE | {
        "parameters": given,
        "instance_type": "{{ var.value.db_password }}",
        "volume_size": "{{ var.value.quoted_secret }}",
    }
    said, _, error = plan(
        in_dag(
            f"Job(task_id='t', input_notebook='nb.ipynb', **{arguments!r}); "
            f"Job(task_id='u', input_notebook='nb.ipynb', **{wrong!r}); "
            f"Job(task_id='v', input_notebook='nb.ipynb', parameters={{'password': 'hunter7-literal'}})"
        ),
        "--show",
        "request",
        "--conf",
        '{"token": "hunter8-conf"}',
        text=text,
    )
    said = said if text else json.dumps(said)
    assert "instance_type" in said
    assert "postgres://me:***@db" in said
    assert re.findall(r"hunter\S*", said + error) == []


@pytest.mark.parametrize("text", [False, True])
def test_a_text_that_no_terminal_can_show_is_escaped(text, plan):
    said, _, _ = plan(
        in_dag("Job(task_id='t', input_notebook='nb.ipynb', environment_variables={'A': 'x\\ud800y'})"),
        "--show",
        "request",
        text=text,
    )
    assert "x\\\\ud800y" in (said if text else json.dumps(said))


def test_a_terminal_of_another_encoding_gets_what_it_can_show(folder, monkeypatch):
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        cli.main(["plan", str(folder / "nb.ipynb")])
        assert rb"\u27" in terminal.buffer.getvalue()


def test_a_request_that_cannot_be_shown_is_said(plan):
    document, code_, _ = plan(in_dag("Job(task_id='t', input_notebook='s3://acme/nb.ipynb')"), "--show", "request")
    task = one(document)
    assert (task["request"], task["estimate"], task["problems"], code_) == (None, None, [], 0)
    assert "request, estimate: both need the notebook, which is not known here" in task["not_known"]


def test_the_request_of_a_notebook_in_s3_cannot_be_shown_either(capsys):
    cli.main(["plan", "s3://acme/nb.ipynb", "--show", "request", "-o", "json"])
    (task,) = json.loads(capsys.readouterr().out)["notebooks"]
    assert task["request"] is None
    assert "request: it needs the notebook, which is not known here" in task["not_known"]


def test_a_number_of_runs_that_is_too_large_to_count_is_said_to_be(plan, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.commands.plan.dag_plans.MOST_RUNS", 50)
    monkeypatch.setattr("airflow_nbjobs.commands.plan.dag_plans.MOST_CATCHUP", 30)
    often = DATED.replace("catchup=False", "catchup=True").replace("@daily", "*/5 * * * *")
    often = often.replace("START", "datetime(2016, 1, 1)")
    document, _, _ = plan(often, "--backfill", "2016-01-01", "2026-01-01")
    (dag,) = document["dags"]
    assert (dag["catchup_runs"], dag["has_more_catchup_runs"]) == (30, True)
    assert (dag["backfill_runs"], dag["has_more_backfill_runs"]) == (50, True)
    assert any("that is more than 50 runs" in warning for warning in dag["warnings"])
    text, _, _ = plan(often, "--backfill", "2016-01-01", "2026-01-01", text=True)
    assert "backfill: more than 50 runs" in text
    assert "catchup: more than 30 runs as soon as" in text
