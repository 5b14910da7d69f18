"""
``nbjobs``: the console script.

Each command is a module with ``add_arguments(parser)`` and ``run(args) -> int``, imported when it is named, so that ``nbjobs --help`` needs no extra.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING

from airflow_nbjobs import __version__
from airflow_nbjobs.core.errors import NotebookJobError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {
    "demo": ("airflow_nbjobs.commands.demo", "run the sample DAG in a real Airflow on the embedded SageMaker"),
    "local": ("airflow_nbjobs.local.command", "start the embedded SageMaker"),
    "run": ("airflow_nbjobs.commands.run", "run one notebook as a notebook job, without a DAG"),
}
_USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    :return: the process's exit code: 0 success, 1 the work failed, 2 it could not begin (arguments, environment).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="nbjobs", description="Jupyter notebooks as SageMaker notebook jobs.")
    parser.add_argument("--version", action="version", version=f"nbjobs {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    named = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module_name, help_text) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if name == named:
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except NotebookJobError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
