"""Which models the embedded SageMaker takes. No server is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_nbjobs.local.state import models
from airflow_nbjobs.local.state.models import check_model, image_family
from airflow_nbjobs.local.wire.formats import ValidationError

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
IMAGE = f"{ECR}/pytorch-inference:2.3"
CONTAINER = {"Image": IMAGE, "ModelDataUrl": "s3://b/model.tar.gz"}
REQUEST = {"ModelName": "m", "ExecutionRoleArn": "arn:aws:iam::123456789012:role/x", "PrimaryContainer": CONTAINER}
FACTS: Any = SimpleNamespace(region="eu-west-1")


@pytest.fixture
def check(monkeypatch):
    there = {"s3://b/model.tar.gz"}
    monkeypatch.setattr(models, "has_objects", lambda _, uri: uri in there)
    return lambda request: check_model(request, facts=FACTS, clients=SimpleNamespace(s3=None))  # type: ignore[arg-type]


def test_a_model_that_can_be_served_is_taken(check):
    check(REQUEST)
    check(REQUEST | {"PrimaryContainer": {"Image": IMAGE, "Mode": "SingleModel"}, "Containers": []})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"PrimaryContainer": None}, "either PrimaryContainer or Containers"),
        ({"ExecutionRoleArn": None}, "needs ExecutionRoleArn"),
        ({"Containers": [CONTAINER]}, "Containers (inference pipelines)"),
        ({"PrimaryContainer": CONTAINER | {"ModelDataSource": {}}}, "PrimaryContainer.ModelDataSource"),
        ({"PrimaryContainer": CONTAINER | {"ImageConfig": {}}}, "PrimaryContainer.ImageConfig"),
        ({"PrimaryContainer": CONTAINER | {"Mode": "MultiModel"}}, "PrimaryContainer.Mode MultiModel"),
        ({"PrimaryContainer": CONTAINER | {"Image": "docker.io/x"}}, 'Using non-ECR image "docker.io/x"'),
        ({"PrimaryContainer": {}}, 'Using non-ECR image ""'),
        ({"PrimaryContainer": CONTAINER | {"Image": f"{ECR}/mine:1"}}, "inference image 'mine'"),
        ({"PrimaryContainer": CONTAINER | {"Image": IMAGE.replace("eu-west-1", "eu-west-3")}}, "of another region"),
        ({"PrimaryContainer": CONTAINER | {"ModelDataUrl": "s3://b/none"}}, "Could not find model data at s3://b/none"),
    ],
    ids=str,
)
def test_any_other_is_refused_with_the_reason(check, change, words):
    request = {name: value for name, value in (REQUEST | change).items() if value is not None}
    with pytest.raises(ValidationError) as caught:
        check(request)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("huggingface-pytorch-inference:2", "huggingface"),
        ("pytorch-inference-graviton", "pytorch"),
        ("sagemaker-scikit-learn:1.2-1", "sklearn"),
        ("huggingface-pytorch-training", None),
        ("sagemaker-scikit-learn-x", None),
    ],
)
def test_the_family_of_an_image_is_known_by_its_repository(name, family):
    assert image_family(f"{ECR}/{name}") == family
    assert image_family(name) is None
