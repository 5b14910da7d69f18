"""
``nbjobs mwaa-plugins``: a plugins.zip with all wheels that an Amazon MWAA environment without a way to a package index needs.

The requirements.txt that goes with it is printed on standard output, pip's progress on standard error. Asks pip and the package index, not AWS.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_nbjobs import __version__
from airflow_nbjobs.commands.mwaa_plugins import archive, requirements, wheels
from airflow_nbjobs.core.errors import NotebookJobConfigError

if TYPE_CHECKING:
    import argparse

EXAMPLE = "nbjobs mwaa-plugins requirements.txt --to plugins.zip"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "requirements",
        nargs="?",
        type=Path,
        metavar="REQUIREMENTS",
        help="your requirements.txt (default: this package with its extra ui, and nothing else)",
    )
    parser.add_argument(
        "--to",
        type=Path,
        default=Path("plugins.zip"),
        metavar="FILE",
        help="the archive to write (default: plugins.zip)",
    )
    parser.add_argument(
        "--constraint",
        metavar="FILE",
        help="path or URL of the constraints of the environment's Airflow (default: those that REQUIREMENTS names)",
    )
    parser.add_argument(
        "--python",
        default=wheels.MWAA_PYTHON,
        metavar="VERSION",
        help=f"Python of the environment (default: {wheels.MWAA_PYTHON}, as MWAA has it for Airflow 3)",
    )
    parser.add_argument(
        "--with",
        dest="plugins",
        type=Path,
        metavar="FOLDER",
        help="your own plugins, to lie beside the wheels (default: none)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def run(args: argparse.Namespace) -> int:
    """Write the archive and print its requirements.txt; 1 if pip fails, 2 if an argument or file means nothing. FILE is whole or not there."""
    try:
        archive.check_target(args.to, force=args.force)
        plugins = archive.read_plugins(args.plugins) if args.plugins else {}
        wanted = _wanted(args.requirements)
        constraints = _constraints(wanted, args)
        python = wheels.find_python(args.python)
    except NotebookJobConfigError as error:
        print(error, file=sys.stderr)
        return 2
    for note in wanted.notes:
        print(note, file=sys.stderr)
    if not constraints:
        print(f"{wanted.unconstrained} does without constraints, as it does on MWAA", file=sys.stderr)
    try:
        with tempfile.TemporaryDirectory(prefix="nbjobs-mwaa-") as folder:
            found = wheels.collect(python, args.python, wanted, constraints, Path(folder))
            versions = {name: wheel.version for name, wheel in found.items()}
            text = wanted.for_mwaa(versions, constrained=bool(constraints))
            files: dict[str, Path | bytes] = {**plugins, **{wheel.path.name: wheel.path for wheel in found.values()}}
            if constraints:
                files[requirements.CONSTRAINTS_NAME] = constraints.encode()
            size = archive.write(args.to, files)
    except wheels.PipError as error:
        print(f"{error}\nnothing was written", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error}; nothing was written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        raise
    for line in wanted.left_out(versions):
        print(
            f"'{line}' has no wheel in the archive: its marker leaves it out on Python {args.python}", file=sys.stderr
        )
    print(f"{args.to}: {len(found)} wheels, {size / 1e6:.1f} MB", file=sys.stderr)
    print(text, end="")
    return 0


def _wanted(path: Path | None) -> requirements.Requirements:
    if path is None:
        return requirements.parse("", source="no REQUIREMENTS", own_version=__version__)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotebookJobConfigError(f"cannot read '{path}': {error}") from error
    return requirements.parse(text, source=str(path), folder=path.parent, own_version=__version__)


def _constraints(wanted: requirements.Requirements, args: argparse.Namespace) -> str:
    """Return the text of all constraints; empty where a comment says that there are to be none."""
    named = (args.constraint,) if args.constraint else wanted.constraints
    if not named and not wanted.unconstrained:
        raise NotebookJobConfigError(
            "no constraints are given, and MWAA then forces its own, which these wheels need not fit; add to REQUIREMENTS, or give as --constraint, those of the"
            " environment's Airflow, for example\n"
            f'  --constraint "https://raw.githubusercontent.com/apache/airflow/constraints-3.3.1/constraints-{args.python}.txt"\n'
            "(a line '# --constraint none' does without, on MWAA as well)"
        )
    folder = args.requirements.parent if args.requirements and not args.constraint else Path()
    return "".join(requirements.read_constraints(name, folder=folder) for name in named)
