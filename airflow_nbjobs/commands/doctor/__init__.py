"""
``nbjobs doctor``: what keeps notebook jobs from running in this account and this Airflow, and what to change.

Asks with a task's own connection and defaults; changes nothing but an object of its own, and with ``--run`` runs one short job.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import warnings
from typing import TYPE_CHECKING, TextIO

from airflow_nbjobs.commands.environment import as_airflows_own, variable
from airflow_nbjobs.core import defaults

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXAMPLE = "nbjobs doctor --aws-conn-id aws_default --instance-type ml.m5.xlarge --run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--aws-conn-id",
        default=defaults.AWS_CONN_ID,
        metavar="ID",
        help=f"Airflow connection of the tasks (default: {defaults.AWS_CONN_ID})",
    )
    where = "as a task has it that does not say: the connection's extra, [nbjobs]"
    parser.add_argument("--role", metavar="ROLE", help=f"name or ARN of the role of the jobs (default: {where})")
    parser.add_argument("--image", metavar="IMAGE", help=f"image of the jobs (default: {where})")
    parser.add_argument(
        "--instance-type", metavar="TYPE", help=f"machine of the jobs (default: {defaults.INSTANCE_TYPE})"
    )
    parser.add_argument(
        "--run", dest="with_run", action="store_true", help="also run a notebook of one cell, which is billed"
    )
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="form of the report (default: text)"
    )


def run(args: argparse.Namespace) -> int:
    """Examine; 1 if anything is wrong, 0 if nothing is, though something may not be known; 2 if Airflow itself does not start."""
    try:
        # As Airflow's own commands, which look for connections in the metadata database as well.
        with _quiet() as out, as_airflows_own():
            return _examined(args, out)
    except _NoAirflowError as error:
        print(f"Airflow cannot be started here: {error}; mend its configuration or installation first", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: not everything was checked", file=sys.stderr)
        raise


def _examined(args: argparse.Namespace, out: TextIO) -> int:
    from airflow_nbjobs.commands.doctor import account_checks, airflow_checks, report, trial
    from airflow_nbjobs.commands.doctor.airflow_side import AirflowSide
    from airflow_nbjobs.commands.doctor.examination import Mark, examine
    from airflow_nbjobs.commands.doctor.patient import Asked, Patient

    asked = Asked(aws_conn_id=args.aws_conn_id, role=args.role, image_uri=args.image, instance_type=args.instance_type)
    checks = [*airflow_checks.CHECKS, *account_checks.CHECKS, *([trial.CHECK] if args.with_run else [])]
    outcomes = []
    signs = report.signs_of(out)
    for outcome in examine(checks, Patient(asked=asked, airflow=AirflowSide())):
        outcomes.append(outcome)
        if args.output == "text":
            for line in report.lines_of(outcome, signs):
                print(line, file=out, flush=True)
    if args.output == "json":
        print(json.dumps(report.document(outcomes), indent=2), file=out)
    else:
        print(f"\n{report.summary(outcomes)}", file=out)
    return 1 if report.counts(outcomes)[Mark.WRONG] else 0


class _NoAirflowError(Exception):
    """Airflow's own modules cannot be imported."""


@contextlib.contextmanager
def _quiet() -> Iterator[TextIO]:
    """Give the report's stream, and keep from it what Airflow and boto3 say while they are asked; how a job goes is told on standard error."""
    with variable("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR"):
        try:
            import airflow.settings  # noqa: F401 - sets logging up, and not later
        except Exception as error:  # its configuration is read as it is imported
            from airflow_nbjobs.commands.doctor.examination import first_line

            raise _NoAirflowError(f"{type(error).__name__}: {first_line(error)}") from error

    out = sys.stdout
    ours, airflows = logging.getLogger("nbjobs"), logging.getLogger("airflow")
    before = ours.propagate, ours.level, airflows.level
    handler = logging.StreamHandler()
    ours.addHandler(handler)
    ours.propagate = False
    ours.setLevel(logging.INFO)
    airflows.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield out
    finally:
        ours.removeHandler(handler)
        ours.propagate = before[0]
        ours.setLevel(before[1])
        airflows.setLevel(before[2])
