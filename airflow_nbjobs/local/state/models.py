"""Models: what CreateModel checks, what Describe and List say. Called by ``api/operations.py``; ``batch/transform.py`` serves a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.container.image import is_pullable
from airflow_nbjobs.local.platform.storage import has_objects
from airflow_nbjobs.local.state.resource import Document, Resource, new_fields, timestamp
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_nbjobs.local.platform.clients import ServiceClients
    from airflow_nbjobs.local.state.facts import ServerFacts

SUPPORTED_IMAGES = (
    "huggingface-*-inference, pytorch-inference and sagemaker-scikit-learn, each with the model's own code/inference.py"
)
_FAMILIES = {
    "huggingface": re.compile(r"huggingface-[a-z0-9-]*inference[a-z0-9-]*"),
    "pytorch": re.compile(r"pytorch-inference[a-z0-9-]*"),
    "sklearn": re.compile(r"sagemaker-scikit-learn"),
}
_REPOSITORY = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/([^:@\s]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Resource):
    @property
    def container(self) -> Mapping[str, Any]:
        container: Mapping[str, Any] = self.request["PrimaryContainer"]
        return container

    def describe(self) -> Document:
        return {
            **self.request,
            **self.summary(),
            "PrimaryContainer": {"Mode": "SingleModel", "Environment": {}, **self.container},
            "EnableNetworkIsolation": self.request.get("EnableNetworkIsolation", False),
        }

    def summary(self) -> Document:
        return {"ModelName": self.name, "ModelArn": self.arn, "CreationTime": timestamp(self.created)}


def new_model(request: Mapping[str, Any], *, arn: str, now: float) -> Model:
    return Model(**new_fields("Model", request, arn=arn, now=now))


def repository(image_uri: str) -> str:
    """Return the name of an ECR repository; empty for what is no ECR address."""
    match = _REPOSITORY.match(image_uri)
    return match[1] if match else ""


def image_family(image_uri: str) -> str | None:
    """Say whose conventions an inference image follows: ``huggingface``, ``pytorch`` or ``sklearn``; nothing for one that is not supported here."""
    name = repository(image_uri)
    return next((family for family, pattern in _FAMILIES.items() if pattern.fullmatch(name)), None)


def check_region(image_uri: str, region: str) -> None:
    """Raise ServiceError for an image that a job of ``region`` cannot pull; the words are ours."""
    if not is_pullable(image_uri, region):
        raise ValidationError(
            f"The image '{image_uri}' is of another region than {region}, from which SageMaker cannot pull it."
        )


def check_model(request: Mapping[str, Any], *, facts: ServerFacts, clients: ServiceClients) -> None:
    """Raise ServiceError for the first thing that the service finds at once in a valid request, or that cannot be served here."""
    for feature in _unsupported(request):
        raise ValidationError(f"The embedded SageMaker does not support {feature}.")
    if "PrimaryContainer" not in request:
        raise ValidationError("You must provide either PrimaryContainer or Containers.")  # our words
    container = request["PrimaryContainer"]
    if "ExecutionRoleArn" not in request:
        raise ValidationError("CreateModel needs ExecutionRoleArn.")  # our words
    image = container.get("Image", "")
    if not repository(image):
        raise ValidationError(f'Using non-ECR image "{image}" without Vpc repository access mode is not supported.')
    if image_family(image) is None:
        raise ValidationError(
            f"The embedded SageMaker does not support the inference image '{repository(image)}'; it serves {SUPPORTED_IMAGES}."
        )
    check_region(image, facts.region)
    url = container.get("ModelDataUrl")
    if url and not has_objects(clients.s3, url):
        raise ValidationError(
            f'Could not find model data at {url}. Please ensure that the role "{request["ExecutionRoleArn"]}" exists and that its trust relationship policy '
            'allows the action "sts:AssumeRole" for the service principal "sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" '
            f"permissions and that the object is located in {facts.region}."
        )


def _unsupported(request: Mapping[str, Any]) -> Iterator[str]:
    container = request.get("PrimaryContainer", {})
    if request.get("Containers"):
        yield "Containers (inference pipelines): only PrimaryContainer"
    names = ("ModelDataSource", "AdditionalModelDataSources", "ModelPackageName", "MultiModelConfig", "ImageConfig")
    yield from (f"PrimaryContainer.{name}" for name in names if name in container)
    if container.get("Mode", "SingleModel") != "SingleModel":
        yield f"PrimaryContainer.Mode {container['Mode']}"
