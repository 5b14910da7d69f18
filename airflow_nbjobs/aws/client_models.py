"""
How a client's description of its service is read: quickly, and for a triggerer's clients in part.

Called by the hook. Reading it is most of what a client costs: each process of a task makes two or three. SageMaker's has some 400 operations, 8 MiB of memory
for the two that a poller calls.
"""

from __future__ import annotations

import gzip
from collections.abc import Collection
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from botocore.exceptions import DataNotFoundError
from botocore.loaders import JSONFileLoader, Loader, create_loader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# By the botocore session that has made clients with it: they share what it has read.
_quick_loaders: WeakKeyDictionary[Any, QuickLoader] = WeakKeyDictionary()


class QuickFiles(JSONFileLoader):  # type: ignore[misc]  # botocore is not followed by mypy
    """Botocore's data files as it reads them, but with plain dicts, in a quarter of the time."""

    def load_file(self, file_path: str) -> Any:
        for ending, unpacked in ((".json", bytes), (".json.gz", gzip.decompress)):
            path = Path(file_path + ending)
            if path.is_file():
                try:
                    return msgspec.json.decode(unpacked(path.read_bytes()))
                except msgspec.DecodeError:  # the standard library's reader allows more, in a user's own model
                    return super().load_file(file_path)
        return None


class QuickLoader(Loader):  # type: ignore[misc]  # as above
    """Botocore's loader, which does not look at each of 400 services to find that the one it is to read is among them."""

    def list_available_services(self, type_name: str) -> Collection[str]:
        return _Services(self, type_name)


class _Services(Collection[str]):
    """The services that have a file of one kind."""

    def __init__(self, loader: QuickLoader, type_name: str) -> None:
        self._loader = loader
        self._type_name = type_name

    def __contains__(self, name: object) -> bool:
        try:
            return bool(self._loader.list_api_versions(name, self._type_name))
        except DataNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        names: list[str] = Loader.list_available_services(self._loader, self._type_name)
        return iter(names)

    def __len__(self) -> int:
        return len(list(iter(self)))


@contextmanager
def quick_models(session: Any) -> Iterator[None]:
    """
    Let the clients that a boto3 session makes in this block read their service's model quickly.

    Not for a session that another thread uses, nor needed where another loader than botocore's own is in use.
    """
    inner = session._session  # noqa: SLF001 - boto3 has no public name for the botocore session beneath
    loader = inner.get_component("data_loader")
    if type(loader) is not Loader:
        yield
        return
    quick = _quick_loaders.get(inner)
    if quick is None:
        quick = _quick_loaders[inner] = _like(loader)
    inner.register_component("data_loader", quick)
    try:
        yield
    finally:
        inner.register_component("data_loader", loader)


def _like(loader: Any) -> QuickLoader:
    return QuickLoader(
        extra_search_paths=list(loader.search_paths), file_loader=QuickFiles(), include_default_search_paths=False
    )


@contextmanager
def only_operations(session: Any, service_name: str, operations: Collection[str]) -> Iterator[None]:
    """
    Let the clients that a boto3 session makes in this block know only these operations of a service.

    A loader of this block alone reads the whole model and forgets it; other clients of the session are as ever. Not for a session that another thread uses.
    """
    inner = session._session  # noqa: SLF001 - as above
    loader = inner.get_component("data_loader")
    whole = _like(create_loader(inner.get_config_variable("data_path")))
    reduced = _ReducedLoader(whole, service_name, operations)
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
