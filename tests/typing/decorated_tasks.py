"""What a type checker sees of the decorator. ``mypy`` reads it (``pyproject.toml``); nothing runs it."""

from collections.abc import Callable, Mapping
from typing import Any, assert_type

from airflow.sdk import XComArg

from airflow_nbjobs.decorators import sagemaker_notebook_job


@sagemaker_notebook_job(
    input_notebook="score.ipynb", instance_type=["ml.m5.large"], outputs={"score": float}, retries=2, task_id="scored"
)
def score(region: str, depth: int = 3) -> dict[str, object]:
    return {"region": region, "depth": depth}


def uses() -> None:
    assert_type(score("eu"), XComArg)
    assert_type(score("eu", depth=4), XComArg)
    assert_type(score.override(instance_type="ml.m5.xlarge", retries=1)("eu"), XComArg)
    assert_type(score.expand(region=["eu", "us"]), XComArg)
    assert_type(score.partial(depth=4).expand(region=["eu"]), XComArg)
    assert_type(score.expand_kwargs([{"region": "eu"}]), XComArg)
    # The function itself, for a test of one's own.
    function: Callable[..., Mapping[str, Any]] = score.function
    assert_type(function("eu"), Mapping[str, Any])


def mistakes() -> None:
    score(3)  # type: ignore[arg-type]
    score()  # type: ignore[call-arg]
    score("eu", instance_type="ml.m5.large")  # type: ignore[call-arg]
    score.override(instance_typ="ml.m5.large")  # type: ignore[call-arg]
    score.override(volume_size=[30])  # type: ignore[arg-type]
    sagemaker_notebook_job("score.ipynb")  # type: ignore[call-arg]
    sagemaker_notebook_job(role="NotebookJobs")  # type: ignore[call-arg]
    sagemaker_notebook_job(input_notebook="score.ipynb", subnet=["subnet-1"])  # type: ignore[call-arg]
    sagemaker_notebook_job(input_notebook=3)  # type: ignore[arg-type]


@sagemaker_notebook_job(input_notebook="score.ipynb")  # type: ignore[arg-type]
def returns_a_list() -> list[int]:
    return [1]
