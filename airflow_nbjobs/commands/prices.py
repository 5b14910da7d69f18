"""
``nbjobs prices``: what an hour of each instance type costs, from AWS's Price List into the configuration or a Variable.

The arguments alone: what is done is in ``pricing/update.py``, imported when it is called, so that the help needs no Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.commands.environment import as_airflows_own
from airflow_nbjobs.commands.records.standard_output import results_alone
from airflow_nbjobs.core import defaults

if TYPE_CHECKING:
    import argparse

EXAMPLE = "nbjobs prices update --region eu-west-1 --to variable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("action", choices=("update",), help="update: ask the Price List, and write what it says")
    parser.add_argument(
        "--region",
        "--region-name",
        metavar="REGION",
        help="AWS region of the jobs (default: that of the connection)",
    )
    parser.add_argument(
        "--instance-type",
        action="append",
        default=[],
        metavar="TYPE",
        help="only this type; may be repeated (default: all that the region has for training jobs)",
    )
    parser.add_argument(
        "--to",
        default="-",
        metavar="PLACE",
        help="-: the lines for airflow.cfg, on standard output (default); variable: the Variable that the pages read, in Airflow's database; "
        "else a file for 'airflow variables import'",
    )
    parser.add_argument(
        "--aws-conn-id",
        default=defaults.AWS_CONN_ID,
        metavar="ID",
        help=f"Airflow connection to ask with; needs pricing:GetProducts (default: {defaults.AWS_CONN_ID})",
    )


def run(args: argparse.Namespace) -> int:
    """Write the prices; 1 if a type that was asked for has none, 2 if nothing was written."""
    with results_alone() as out, as_airflows_own():
        from airflow_nbjobs.commands.pricing.update import update

        return update(args, out)
