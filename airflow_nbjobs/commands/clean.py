"""
``nbjobs clean``: what ended runs left in S3 and SageMaker, by DAG and age; with ``--yes`` it is deleted.

The arguments alone: what is done is in ``cleaning/command.py``, imported when it is called, so that the help needs no Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.commands.records import choice
from airflow_nbjobs.commands.records.standard_output import results_alone

if TYPE_CHECKING:
    import argparse

EXAMPLE = "nbjobs clean --older-than 30d --keep-last 3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--dag", action="append", default=[], metavar="DAG_ID", help="only this DAG; may be repeated (default: all)"
    )
    parser.add_argument(
        "--older-than", metavar="AGE", help="only runs that ended so long ago: 12h, 30d, 8w (default: any)"
    )
    parser.add_argument(
        "--keep-last", metavar="N", help="not the newest N runs of each DAG that have ended (default: 0)"
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="delete; needs --older-than or --keep-last (default: list what would be deleted)",
    )
    parser.add_argument(
        "-o", dest="form", choices=("text", "json"), default="text", help="form of the result (default: text)"
    )
    choice.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """List, and delete if asked to; 1 if something could not be asked or deleted, 2 if nothing was begun."""
    with results_alone() as out:
        from airflow_nbjobs.commands.cleaning.command import clean

        return clean(args, out)
