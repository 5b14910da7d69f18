"""
Clients that know only some of a service's operations.

Called by the hook for the triggerer's clients: SageMaker's model has some 400 operations, 8 MiB of memory for the two that a poller calls.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


@contextmanager
def only_operations(session: Any, service_name: str, operations: Collection[str]) -> Iterator[None]:
    """
    Let the clients that a boto3 session makes in this block know only these operations of a service.

    A loader of this block alone reads the whole model and forgets it; other clients of the session are as ever. Not for a session that another thread uses.
    """
    from botocore.loaders import create_loader

    inner = session._session  # noqa: SLF001 - boto3 has no public name for the botocore session beneath
    loader = inner.get_component("data_loader")
    reduced = _ReducedLoader(create_loader(inner.get_config_variable("data_path")), service_name, operations)
    inner.register_component("data_loader", reduced)
    try:
        yield
    finally:
        inner.register_component("data_loader", loader)
        # A client keeps the loader that it was made with, and a loader all that it has read.
        reduced.loader = loader


class _ReducedLoader:
    def __init__(self, loader: Any, service_name: str, operations: Collection[str]) -> None:
        self.loader = loader
        self._reduced = (service_name, "service-2")
        self._operations = operations

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        model = self.loader.load_service_model(service_name, type_name, api_version=api_version)
        return reduced_model(model, self._operations) if (service_name, type_name) == self._reduced else model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def reduced_model(model: Mapping[str, Any], operations: Collection[str]) -> dict[str, Any]:
    """Return botocore's ``service-2.json`` with these operations, and the shapes that they reach, alone."""
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
