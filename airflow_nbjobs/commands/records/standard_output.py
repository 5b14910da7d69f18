"""
Standard output for a command's result alone: Airflow logs to it from the moment it is imported.

Called by ``nbjobs outputs``, ``nbjobs clean`` and ``nbjobs prices``, before anything imports Airflow.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

from airflow_nbjobs.commands.environment import variable

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVEL = "AIRFLOW__LOGGING__LOGGING_LEVEL"


@contextlib.contextmanager
def results_alone() -> Iterator[TextIO]:
    """
    Give where results go; whatever else is printed in this block, or by what was set up in it, goes to standard error.

    Airflow says no more than warnings, unless the environment says how much it is to say.
    """
    out = sys.stdout
    with variable(_LEVEL, os.environ.get(_LEVEL, "WARNING")), contextlib.redirect_stdout(sys.stderr):
        yield out
