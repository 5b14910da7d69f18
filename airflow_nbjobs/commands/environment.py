"""An environment variable for as long as a command runs. Called by the commands; the standard library alone."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set a variable while the block runs."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def as_airflows_own() -> AbstractContextManager[None]:
    """Look for connections in the metadata database as well, as Airflow's own commands do."""
    return variable("_AIRFLOW_PROCESS_CONTEXT", "server")
