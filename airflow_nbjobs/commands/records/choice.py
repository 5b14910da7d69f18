"""
The options by which a command reaches an Airflow, and what they mean.

Called by ``nbjobs outputs`` and ``nbjobs clean``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_nbjobs.core.errors import NotebookJobConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from airflow_nbjobs.commands.records.port import AllRecords

TOKEN_VARIABLE = "AIRFLOW_CLI_TOKEN"  # noqa: S105 - a variable's name, which airflowctl reads as well


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--airflow-url",
        metavar="URL",
        help="root of a remote Airflow, asked by its REST API; AWS is then asked with this machine's own credentials "
        "(default: the metadata database of the Airflow that is configured here, and its AWS connections)",
    )
    parser.add_argument(
        "--airflow-token-file",
        metavar="PATH",
        help=f"file that holds the token for it (default: the environment variable {TOKEN_VARIABLE})",
    )
    parser.add_argument(
        "--region",
        dest="region_name",
        metavar="REGION",
        help="with --airflow-url: AWS region of the jobs (default: what the job's record says, else your AWS configuration's)",
    )


def open_records(args: argparse.Namespace, warn: Callable[[str], object]) -> AllRecords:
    """
    Return what knows the runs.

    :raises NotebookJobConfigError: the options do not fit together, or there is no token.
    """
    if args.airflow_url is None:
        for option in ("airflow_token_file", "region_name"):
            if getattr(args, option) is not None:
                flag = "--region" if option == "region_name" else f"--{option.replace('_', '-')}"
                raise NotebookJobConfigError(f"{flag} goes with --airflow-url, which is not given")
        from airflow_nbjobs.commands.records.database import DatabaseRecords

        return DatabaseRecords()
    from airflow_nbjobs.commands.records.rest import RestRecords
    from airflow_nbjobs.commands.records.rest_client import RestClient, open_client

    token = _token(args.airflow_token_file)
    try:
        http, warning = open_client(args.airflow_url, token)
    except ValueError as error:
        raise NotebookJobConfigError(f"--airflow-url: {error}") from error
    if warning:
        warn(warning)
    return RestRecords(RestClient(http), region_name=args.region_name)


def _token(path: str | None) -> str:
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        place = f"the environment variable {TOKEN_VARIABLE}"
    else:
        place = f"--airflow-token-file '{path}'"
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotebookJobConfigError(f"{place} cannot be read: {error}") from error
    if not token:
        raise NotebookJobConfigError(
            f"--airflow-url needs a token, and {place} has none; POST /auth/token gives one, or your platform's own way"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise NotebookJobConfigError(f"{place} holds more than a token: one line without blanks is expected")
    return token
