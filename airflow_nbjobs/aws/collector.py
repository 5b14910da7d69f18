"""
Python's cyclic collector, paused where a lot is made and none of it is garbage.

Used by the hook and the operator.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def paused_collector() -> Iterator[None]:
    """
    Let no collection run in the block.

    The number of new objects starts them, and each looks at all that Airflow has loaded: a service's model alone is some 100,000 objects, what is imported for
    it as many again. A collector that is off stays off.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
