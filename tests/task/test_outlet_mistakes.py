"""What somebody gets wrong who gives a notebook task its first outlets: said as the DAG file is parsed, with what to write instead."""

from datetime import UTC, datetime

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors
from fakes import task_context
from operator_tasks import defer

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor

MODEL = Asset(name="model", uri="s3://acme/models/current")


def now():
    return f"{datetime.now(tz=UTC):%Y%m%dT%H%M%S}"


MISTAKES = {
    "a text": (
        "s3://acme/model",
        r"outlets\[0\] is the text 's3://acme/model'.*outlets=\[Asset\('s3://acme/model'\)\]",
    ),
    "texts": ([MODEL, "s3://acme/b"], r"outlets\[1\] is the text 's3://acme/b'.*Asset\('s3://acme/b'\)"),
    "a dictionary": (
        {"model": MODEL},
        r"outlets\[0\] is (the text 'model'|a dict)",
    ),  # Airflow takes its keys; 3.0 does not
    "a list in a list": ([MODEL, [MODEL]], r"outlets\[1\] is a list; outlets takes one list of assets"),
    "nothing": ([None], r"outlets\[0\] is a NoneType; outlets takes one list of assets"),
    "the class": ([Asset], r"outlets\[0\] is the class Asset; write outlets=\[Asset\('s3://bucket/place'\)\]"),
    "a condition": ([MODEL | Asset("s3://acme/b")], r"outlets\[0\] is a condition.*outlets=\[first, second\]"),
    "a template": (
        [Asset("s3://acme/{{ ds }}/model")],
        r"outlets\[0\] is 's3://acme/{{ ds }}/model': Airflow renders no outlet.*for ever",
    ),
    "a name that is a template": ([Asset(name="model {{ ds }}", uri="s3://acme/model")], r"Airflow renders no outlet"),
    "the time of parsing": (
        lambda: [Asset(f"s3://acme/{now()}/model")],
        r"holds the time at which this file is parsed",
    ),
    "two of one name": (
        [MODEL, Asset(name="model", uri="s3://acme/other")],
        r"one asset for each name and for each URI",
    ),
    "two of one URI": ([MODEL, Asset(name="other", uri=MODEL.uri)], r"one asset for each name and for each URI"),
}


@pytest.mark.parametrize(("outlets", "said"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_wrong_outlet_is_said_when_the_file_is_parsed(task, outlets, said):
    with pytest.raises(NotebookJobConfigError, match=said) as caught:
        task(outlets=outlets() if callable(outlets) else outlets)
    assert "task 't' has wrong outlets or inlets" in str(caught.value)


def test_another_tasks_output_is_no_outlet(task):
    with pytest.raises(NotebookJobConfigError, match=r"outlets\[0\] is another task's output.*AssetAlias\('name'\)"):
        task(task_id="second", outlets=[task(outputs=["uri"]).output["uri"]])


def test_a_text_is_no_inlet_either(task):
    with pytest.raises(NotebookJobConfigError, match=r"inlets\[0\] is the text 's3://acme/a'.*inlets=\[Asset"):
        task(inlets=["s3://acme/a"])


def test_all_mistakes_are_said_at_once(task):
    with pytest.raises(NotebookJobConfigError) as caught:
        task(outlets=["s3://acme/a", Asset("s3://acme/{{ ds }}")], inlets=["s3://acme/b"])
    assert len(caught.value.problems) == 3


def test_what_is_added_to_the_outlets_later_is_said_before_anything_is_sent(task):
    operator = task()
    operator.add_outlets(["s3://acme/a"])
    with pytest.raises(NotebookJobConfigError, match=r"outlets\[0\] is the text") as caught:
        operator.execute(task_context() | {"outlet_events": OutletEventAccessors()})
    assert "nothing was uploaded or billed" in str(caught.value)
    assert task.clients.wrote_nothing


def test_an_output_named_twice_is_said_before_anything_is_sent(task):
    with pytest.raises(NotebookJobConfigError, match="output 'accuracy' is listed twice"):
        task(outputs=["accuracy", "accuracy"], outlets=[MODEL]).execute(task_context())
    assert task.clients.wrote_nothing


def test_an_asset_among_the_outputs_is_told_where_it_belongs(task):
    with pytest.raises(NotebookJobConfigError, match=r"outlets=\[Asset"):
        task(outputs=[MODEL]).execute(task_context())


def test_the_sensor_says_the_same():
    with pytest.raises(NotebookJobConfigError, match=r"outlets\[0\] is the text"):
        SageMakerNotebookJobSensor(task_id="s", job_name="j", outlets=["s3://acme/a"])


@pytest.mark.parametrize(
    "outlets",
    [
        [MODEL, AssetAlias("model"), Asset.ref(name="other"), Asset.ref(uri="s3://acme/c")],
        [MODEL, MODEL],
        [Asset("s3://acme/0b1f6d4e-7c55-4c5e-9b7e-0d6b0f4f9a11"), Asset("s3://acme/2020-01-01")],
        MODEL,
        None,
    ],
    ids=str,
)
def test_what_is_right_is_taken(task, outlets):
    defer(task(outlets=outlets), task_context())
