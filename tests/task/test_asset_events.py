"""What the notebook job of a task tells the DAGs that are scheduled on the task's outlets."""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors, TriggeringAssetEventsAccessor
from airflow_names import AirflowFailException
from fakes import code, executed, failed_at, notebook, task_context
from operator_tasks import RAW, defer, end, event_of

from airflow_nbjobs.core.errors import NotebookCellError, NotebookOutputError
from airflow_nbjobs.task import asset_events

MODEL = Asset(name="model", uri="s3://acme/models/current")
REPORT = Asset("s3://acme/reports")


def context_with_events(**task_instance):
    return task_context(**task_instance) | {"outlet_events": OutletEventAccessors()}


def ended(task, operator, *, context=None, ran=None, **record):
    """Run both legs of the task; return the context of the second, as another process has it."""
    deferred = defer(operator, context_with_events())
    end(task.clients, ran=ran or executed(RAW, record))
    second = context or context_with_events()
    operator.execute_complete(second, event_of(deferred))
    return second


def said(capsys):
    return capsys.readouterr().out


def events(context, outlet):
    accessor = context["outlet_events"][outlet]
    return accessor.asset_alias_events if isinstance(outlet, AssetAlias) else accessor.extra


def test_the_event_says_which_job_made_what_of_what_and_what_it_cost(task, clients):
    operator = task(outputs=["accuracy", "splits"], parameters={"epochs": 3}, outlets=[MODEL, REPORT])
    ran = executed(RAW, {"accuracy": 0.5, "splits": [1, 2]})
    context = ended(task, operator, ran=ran)
    (job_name,) = clients.jobs.descriptions
    extra = events(context, MODEL)
    assert extra == {
        "job_name": job_name,
        "job_arn": clients.jobs.descriptions[job_name]["TrainingJobArn"],
        "status": "Completed",
        "input_notebook": "nb.ipynb",
        "notebook_sha256": hashlib.sha256(RAW).hexdigest(),
        "executed_notebook_uri": f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb",
        "executed_notebook_sha256": hashlib.sha256(ran).hexdigest(),
        "instance_type": "ml.m5.large",
        "started_at": "2026-11-22T03:00:00+00:00",
        "ended_at": "2026-11-22T03:01:30+00:00",
        "billable_seconds": 90,
        "outputs": {"accuracy": 0.5, "splits": [1, 2]},
        "parameters": {"epochs": 3},
    }
    assert events(context, REPORT) == extra
    assert (
        hashlib.sha256(clients.objects.bodies[extra["executed_notebook_uri"]]).hexdigest()
        == extra["executed_notebook_sha256"]
    )
    json.dumps(extra, allow_nan=False)


def test_a_task_without_outlets_says_nothing(task):
    context = ended(task, task(outputs=["accuracy"]), accuracy=0.5)
    assert len(context["outlet_events"]) == 0


def test_a_context_without_events_is_no_trouble(task):
    """As of ``execute`` in somebody's own test."""
    context = ended(task, task(outputs=["accuracy"], outlets=[MODEL]), context=task_context(), accuracy=0.5)
    assert context["ti"].xcoms["accuracy"] == 0.5


def test_with_return_output_the_event_is_the_same(task):
    operator = task(outputs=["splits", "accuracy"], return_output="splits", outlets=[MODEL])
    context = ended(task, operator, splits=[1, 2], accuracy=0.5)
    assert events(context, MODEL)["outputs"] == {"splits": [1, 2], "accuracy": 0.5}


def test_a_task_that_waits_in_its_worker_says_the_same(task, clients):
    operator, context = task(outputs=["accuracy"], outlets=[MODEL], deferrable=False), context_with_events()
    create = clients.jobs.create

    def create_and_end(request):
        arn = create(request)
        end(clients, ran=executed(RAW, {"accuracy": 0.5}))
        return arn

    clients.jobs.create = create_and_end
    operator.execute(context)
    assert events(context, MODEL)["outputs"] == {"accuracy": 0.5}


def test_a_job_of_an_earlier_try_is_told_as_well(task, clients):
    first = task(outputs=["accuracy"], outlets=[MODEL], retries=1)
    defer(first, context_with_events(max_tries=1))
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    context = context_with_events(try_number=2, max_tries=1)
    first.execute(context)
    assert list(clients.jobs.requests) == [job_name]
    assert events(context, MODEL)["job_name"] == job_name
    assert events(context, MODEL)["outputs"] == {"accuracy": 0.5}


def test_without_waiting_the_event_says_that_the_job_runs(task, clients, capsys):
    operator, context = task(outlets=[MODEL], wait_for_completion=False), context_with_events()
    operator.execute(context)
    extra = events(context, MODEL)
    assert (extra["job_name"], extra["status"]) == (*clients.jobs.descriptions, "InProgress")
    assert extra["notebook_sha256"] == hashlib.sha256(RAW).hexdigest()
    assert extra["outputs"] == {}
    assert extra["executed_notebook_sha256"] is None
    assert "give the outlets to the SageMakerNotebookJobSensor" in said(capsys)


def test_a_failed_job_tells_nothing(task, clients):
    operator, context = task(outlets=[MODEL]), context_with_events()
    deferred = defer(operator, context_with_events())
    end(clients, "Failed", reason="AlgorithmError", ran=failed_at(RAW, 2, "ValueError", "no"))
    with pytest.raises(NotebookCellError):
        operator.execute_complete(context, event_of(deferred, status="Failed"))
    assert len(context["outlet_events"]) == 0


def test_what_a_users_own_hook_has_put_into_the_event_stays(task):
    context = context_with_events()
    context["outlet_events"][MODEL].extra = {"reviewed_by": "ada", "status": "approved"}
    ended(task, task(outlets=[MODEL]), context=context)
    extra = events(context, MODEL)
    assert (extra["reviewed_by"], extra["status"]) == ("ada", "approved")
    assert extra["billable_seconds"] == 90


def test_secrets_among_the_parameters_are_masked(task, tmp_path):
    raw = notebook(code("password = ''\nepochs = 1", "parameters"), "accuracy = 0.5")
    (tmp_path / "nb.ipynb").write_bytes(raw)
    operator = task(parameters={"password": "hunter2-hunter2", "epochs": 3}, outlets=[MODEL])
    context = ended(task, operator, ran=executed(raw))
    assert events(context, MODEL)["parameters"] == {"password": "***", "epochs": 3}


def test_an_output_too_large_for_the_event_is_named_in_it_and_in_the_log(task, capsys):
    operator = task(outputs=["accuracy", "splits"], outlets=[MODEL])
    context = ended(task, operator, accuracy=0.5, splits=["x" * 1_000] * 40)
    assert events(context, MODEL)["outputs"] == {"accuracy": 0.5}
    assert events(context, MODEL)["left_out"] == ["outputs.splits"]
    assert context["ti"].xcoms["splits"] == ["x" * 1_000] * 40
    assert "goes without outputs.splits" in said(capsys)


# -- aliases ------------------------------------------------------------------------------------------------------------


def test_an_alias_becomes_the_assets_that_the_output_of_its_name_holds(task):
    operator = task(outputs=["splits", "accuracy"], outlets=[AssetAlias("splits"), AssetAlias("accuracy")])
    context = ended(task, operator, splits=["s3://acme/de", "s3://acme/fr"], accuracy="s3://acme/accuracy")
    assert [event.dest_asset_key.uri for event in events(context, AssetAlias("splits"))] == [
        "s3://acme/de",
        "s3://acme/fr",
    ]
    (event,) = events(context, AssetAlias("accuracy"))
    assert event.dest_asset_key.uri == "s3://acme/accuracy"
    assert event.extra["outputs"]["accuracy"] == "s3://acme/accuracy"


@pytest.mark.parametrize("value", [0.5, "model", [], ["s3://acme/de", 5]], ids=str)
def test_an_alias_whose_output_holds_no_uri_fails_the_task_with_its_outputs_pushed(task, value):
    operator, context = task(outputs=["accuracy"], outlets=[AssetAlias("accuracy")]), context_with_events()
    with pytest.raises(NotebookOutputError, match=r"AssetAlias\('accuracy'\) needs a URI") as caught:
        ended(task, operator, context=context, accuracy=value)
    assert isinstance(caught.value, AirflowFailException)
    assert context["ti"].xcoms["accuracy"] == value
    assert events(context, AssetAlias("accuracy")) == []


def test_a_uri_that_airflow_does_not_take_fails_the_task_as_well(task):
    operator, context = task(outputs=["accuracy"], outlets=[AssetAlias("accuracy")]), context_with_events()
    with pytest.raises(NotebookOutputError, match="output 'accuracy' holds what Airflow takes for no asset's URI"):
        ended(task, operator, context=context, accuracy=f"s3://acme/{'x' * 1500}")
    assert events(context, AssetAlias("accuracy")) == []


def test_a_completed_job_without_an_asset_for_its_alias_is_delivered_and_its_end_says_why(task, clients):
    """A retry would run the notebook anew where it were not; and the page says what the task failed with."""
    operator, context = task(outputs=["accuracy"], outlets=[AssetAlias("accuracy")], retries=1), context_with_events()
    with pytest.raises(NotebookOutputError):
        ended(task, operator, context=context, accuracy=0.5)
    (job_name,) = clients.jobs.descriptions
    assert f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb" in clients.objects.bodies
    assert context["ti"].xcoms["nbjobs_end"]["error"]["type"] == "NotebookOutputError"


def test_what_goes_wrong_with_the_events_leaves_the_job_to_a_retry(task, clients, monkeypatch):
    """A job whose results count as delivered would be run, and paid for, once more."""
    operator = task(outputs=["accuracy"], outlets=[MODEL], retries=1)
    deferred = defer(operator, context_with_events(max_tries=1))
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    monkeypatch.setattr(asset_events, "event_extra", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        operator.execute_complete(context_with_events(max_tries=1), event_of(deferred))
    assert f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb" not in clients.objects.bodies


def test_a_reference_that_airflow_knows_no_asset_of_costs_its_event_alone(task, monkeypatch, capsys):
    def unknown(*_):
        raise RuntimeError("no such asset")

    operator = task(outputs=["accuracy"], outlets=[Asset.ref(name="elsewhere"), MODEL])
    monkeypatch.setattr(OutletEventAccessors, "_resolve_asset_ref", unknown)
    context = ended(task, operator, accuracy=0.5)
    assert events(context, MODEL)["outputs"] == {"accuracy": 0.5}
    assert "goes without what the job has made: no such asset" in capsys.readouterr().out


def test_an_alias_takes_no_uri_of_one_run(task, clients):
    """Airflow never forgets an asset that an alias has led to."""
    operator, context = task(outputs=["accuracy"], outlets=[AssetAlias("accuracy")]), context_with_events()
    deferred = defer(operator, context_with_events())
    (job_name,) = clients.jobs.descriptions
    end(clients, ran=executed(RAW, {"accuracy": f"s3://acme/{job_name}/model"}))
    with pytest.raises(NotebookOutputError, match="of this run alone") as caught:
        operator.execute_complete(context, event_of(deferred))
    assert "for ever" in str(caught.value)


def test_an_alias_of_no_output_is_said_before_the_job_is_paid_for(task, capsys):
    operator, context = task(outputs=["accuracy"], outlets=[AssetAlias("model")]), context_with_events()
    defer(operator, context)
    log = said(capsys)
    assert "AssetAlias('model') gets no event of this task: no output is called 'model'" in log
    assert "outputs has accuracy" in log


def test_an_asset_without_a_uri_is_said_and_gets_its_event(task, capsys):
    named = Asset("model")
    context = ended(task, task(outlets=[named]))
    assert "write Asset(name='model', uri='s3://bucket/place')" in said(capsys)
    assert events(context, named)["status"] == "Completed"


# -- partitions ---------------------------------------------------------------------------------------------------------


def test_a_run_of_a_partition_says_its_key_to_the_notebook(task, clients):
    context = context_with_events()
    context["dag_run"].partition_key = "eu|2026-01-05"
    defer(task(outlets=[MODEL]), context)
    (request,) = clients.jobs.requests.values()
    assert request["Environment"]["NBJOBS_PARTITION_KEY"] == "eu|2026-01-05"
    # A tag takes no bar.
    assert {"Key": "airflow:partition_key", "Value": "eu_2026-01-05"} in request["Tags"]


def test_a_run_without_a_partition_says_none(task, clients):
    defer(task(), context_with_events())
    (request,) = clients.jobs.requests.values()
    assert "NBJOBS_PARTITION_KEY" not in request["Environment"]


def test_the_day_of_the_run_in_a_static_uri_is_nobodys_business(task):
    """``s3://acme/baseline-2026-01-05`` may well be a stable place; what Airflow never renders cannot be of one run."""
    context = ended(task, task(outlets=[Asset("s3://acme/baseline-2026-01-05")]))
    assert events(context, Asset("s3://acme/baseline-2026-01-05"))["status"] == "Completed"


# -- the README's consumer ------------------------------------------------------------------------------------------------


def test_the_readmes_consumer_reads_every_event_typed_and_by_its_template():
    """Airflow 3.0's accessor has no ``for_asset``: the expressions use none."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = [
        block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "triggering_asset_events" in block
    ]
    made = {}
    exec(compile(block, "readme.py", "exec"), made)  # noqa: S102 - our own page
    model = made["MODEL"]
    seen = [
        SimpleNamespace(
            asset=SimpleNamespace(name=model.name, uri=model.uri),
            source_aliases=[],
            extra={"outputs": {"accuracy": accuracy, "model_s3_uri": f"s3://acme/{accuracy}"}},
        )
        for accuracy in (0.5, 0.75)
    ]
    events = TriggeringAssetEventsAccessor.build(seen)
    assert made["models"].function(events) == ["s3://acme/0.5", "s3://acme/0.75"]
    report = made["report"]
    template = report.parameters["accuracies"]
    rendered = report.render_template(template, {"triggering_asset_events": events}, report.dag.get_template_env())
    assert rendered == "[0.5, 0.75]"
