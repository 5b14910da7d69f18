"""
``nbjobs demo``: the sample pipeline in a real Airflow on the embedded SageMaker, and nothing of it left afterwards.

Called by the CLI. Airflow's processes import ``settings`` below this package, so nothing is imported here before the command runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

DEFAULT_DAG_ID = "sentiment_pipeline"
DEFAULT_TIMEOUT_SECONDS = 900
EXAMPLE = "nbjobs demo --dags my-dags --dag-id nightly --conf '{\"rows\": 100}'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--exit", action="store_true", help="end after the run, instead of staying up until Ctrl-C")
    parser.add_argument("--dags", type=Path, metavar="DIR", help="folder of the DAGs (default: the samples)")
    parser.add_argument("--dag-id", default=DEFAULT_DAG_ID, metavar="ID", help=f"DAG to run (default {DEFAULT_DAG_ID})")
    parser.add_argument(
        "--conf",
        type=_json_object,
        default={},
        metavar="JSON",
        help="the run's params, a JSON object (default: the DAG's own)",
    )
    parser.add_argument("--port", type=int, metavar="N", help="of Airflow's UI on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"give up when start and run together take longer (default {DEFAULT_TIMEOUT_SECONDS})",
    )


def run(args: argparse.Namespace) -> int:
    """
    Run the demo.

    :return: 0 all tasks succeeded; 1 one did not, or the run took too long; 2 it could not start, said in one line on stderr;
        130 stopped by Ctrl-C before the run was over, 143 by SIGTERM.
    """
    from airflow_nbjobs.commands.demo.app import run_demo

    return run_demo(args)


def _json_object(text: str) -> dict[str, Any]:
    from argparse import ArgumentTypeError

    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ArgumentTypeError(f"{text!r} is no JSON object, as in '{{\"rows\": 100}}'")
    return value
