"""
``nbjobs``: the console script.

Each command is a module with ``EXAMPLE``, ``add_arguments(parser)`` and ``run(args) -> int``, imported when it is named, so that ``nbjobs --help`` needs no extra.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from airflow_nbjobs import __version__
from airflow_nbjobs.commands.parser import CommandParser
from airflow_nbjobs.core.errors import NotebookJobError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {
    "clean": ("airflow_nbjobs.commands.clean", "list what ended runs left in S3 and SageMaker, and delete it"),
    "demo": ("airflow_nbjobs.commands.demo", "run the sample DAG in a real Airflow on the embedded SageMaker"),
    "doctor": ("airflow_nbjobs.commands.doctor", "find what keeps notebook jobs from running, and what to change"),
    "iam-policy": ("airflow_nbjobs.commands.iam_policy", "print the least that AWS must allow, as an IAM policy"),
    "local": ("airflow_nbjobs.local.command", "start the embedded SageMaker"),
    "mwaa-plugins": (
        "airflow_nbjobs.commands.mwaa_plugins",
        "make plugins.zip for an Amazon MWAA without a package index",
    ),
    "outputs": ("airflow_nbjobs.commands.outputs", "fetch the notebooks, logs and outputs of a run"),
    "plan": ("airflow_nbjobs.commands.plan", "show what DAGs would run, and all that is wrong with it, without AWS"),
    "prices": ("airflow_nbjobs.commands.prices", "write what instances cost, from AWS's Price List, for the pages"),
    "run": ("airflow_nbjobs.commands.run", "run one notebook as a notebook job, without a DAG"),
}
_CLOSED_PIPE = 141  # as a shell says of a program that SIGPIPE has ended


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    :return: the process's exit code: 0 success, 1 the work failed, 2 it could not begin (arguments, environment), 130 Ctrl-C, 141 nobody reads its output.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller; what is printed to a None goes to the other one
            nowhere = open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115 - until the process ends
            setattr(sys, name, nowhere)
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except NotebookJobError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as in `nbjobs … | head`
        # The interpreter flushes standard output once more as it ends, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CLOSED_PIPE
    return code


def _run(arguments: Sequence[str]) -> int:
    parser = CommandParser(
        prog="nbjobs",
        description="Jupyter notebooks as SageMaker notebook jobs.",
        example="nbjobs run report.ipynb -p days=7 --local",
    )
    parser.add_argument("--version", action="version", version=f"nbjobs {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    named = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module_name, help_text) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if name == named:
            module = importlib.import_module(module_name)
            command.example = module.EXAMPLE
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands.choices[args.command].refuse(unknown)
    return int(args.run(args))


if __name__ == "__main__":
    raise SystemExit(main())
