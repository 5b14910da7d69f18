"""
Clients that know only some of a service's operations.

Called by the hook for the triggerer's client: SageMaker's model has some 400 operations, 8 MiB of memory for the two that a poller calls.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


def with_operations(model: Mapping[str, Any], operations: Collection[str]) -> dict[str, Any]:
    """
    Return a service's model with these operations, and the shapes that they reach, alone.

    :param model: botocore's ``service-2.json``.
    """
    kept = {name: operation for name, operation in model["operations"].items() if name in operations}
    shapes: dict[str, Any] = {}
    references: list[Any] = list(kept.values())
    while references:
        found = references.pop()
        if isinstance(found, dict):
            name = found.get("shape")
            if isinstance(name, str) and name not in shapes:
                shapes[name] = model["shapes"][name]
                references.append(shapes[name])
            references.extend(found.values())
        elif isinstance(found, list):
            references.extend(found)
    return {**model, "operations": kept, "shapes": shapes}


@contextmanager
def only_operations(session: Any, service_name: str, operations: Collection[str]) -> Iterator[None]:
    """
    Let the clients that a boto3 session makes in this block know only these operations of a service.

    The whole model is read by a loader of its own, and forgotten; other clients of the session are as ever. Not for a session that another thread uses.
    """
    from botocore.loaders import create_loader

    inner = session._session  # noqa: SLF001 - boto3 has no public name for the botocore session beneath
    loader = inner.get_component("data_loader")
    own = _SlimLoader(create_loader(inner.get_config_variable("data_path")), service_name, operations)
    inner.register_component("data_loader", own)
    try:
        yield
    finally:
        inner.register_component("data_loader", loader)
        own.forget(loader)


class _SlimLoader:
    def __init__(self, loader: Any, service_name: str, operations: Collection[str]) -> None:
        self._loader = loader
        self._service_name = service_name
        self._operations = operations

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        model = self._loader.load_service_model(service_name, type_name, api_version=api_version)
        is_meant = (service_name, type_name) == (self._service_name, "service-2")
        return with_operations(model, self._operations) if is_meant else model

    def forget(self, loader: Any) -> None:
        """Go on with the session's loader: a client keeps the one that it was made with, and a loader all that it has read."""
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
