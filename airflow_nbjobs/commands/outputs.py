"""
``nbjobs outputs``: the executed notebooks, HTML, logs, parameters and outputs of a run, in a folder a task.

The arguments alone: what is done is in ``fetch/command.py``, imported when it is called, so that the help needs no Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.commands.records import choice
from airflow_nbjobs.commands.records.standard_output import results_alone

if TYPE_CHECKING:
    import argparse

EXAMPLE = "nbjobs outputs nightly manual__2026-11-29T08:00:00+00:00 --to nightly"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("dag_id", metavar="DAG_ID", help="the DAG")
    parser.add_argument("run_id", metavar="RUN_ID", help="the run, as Airflow's UI names it")
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="TASK_ID",
        help="only this task, TASK_ID[3] for one of its mapped instances; may be repeated (default: all)",
    )
    parser.add_argument(
        "--to", required=True, metavar="DIR", help="folder to write into, made by default if it is not there"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="overwrite files that this command has not written, or somebody has changed (default: refuse before anything is fetched)",
    )
    parser.add_argument(
        "-o", dest="form", choices=("text", "json"), default="text", help="form of the result (default: text)"
    )
    choice.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch the files; 1 if something of them could not be had, 2 if nothing was begun."""
    with results_alone() as out:
        from airflow_nbjobs.commands.fetch.command import fetch_outputs

        return fetch_outputs(args, out)
