"""
Programs, each in a fork of a process that has imported what they all need, as Airflow parses files of DAGs: the import takes seconds, a fork none.

What a program finds imported is not what it imports itself: a test about that needs a process of its own.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# A program a line, [its file and arguments, module's name, folder, environment, file of its output]; its exit code is the answer.
SERVER = """
import importlib, json, os, runpy, sys, traceback, warnings
for module in sys.argv[1:]:
    importlib.import_module(module)
for line in sys.stdin:
    command, name, folder, environment, said = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            file = os.open(said, os.O_WRONLY)
            os.dup2(file, 1), os.dup2(file, 2)
            sys.argv, sys.path[0] = command, os.path.dirname(command[0])
            if name != "__main__":
                warnings.filterwarnings("error", category=DeprecationWarning, module=name)
            runpy.run_path(command[0], run_name=name)
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


# What every probe of "this loads little" imports first: it measures what comes on top.
AIRFLOW = ("airflow.sdk",)


@functools.cache
def _server(modules: tuple[str, ...]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, *modules],
        env={**os.environ, "MPLBACKEND": "agg"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)  # it ends with its input
    return process


def run_forked(
    program: Path,
    *arguments: str,
    modules: tuple[str, ...],
    name: str = "__main__",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """
    Return a program's exit code and what it has written.

    :param modules: imported beforehand; programs of the same share a process.
    :param name: of its module; given, a use of what is deprecated is an error in it.
    """
    process = _server(modules)
    assert process.stdin is not None
    assert process.stdout is not None
    with tempfile.NamedTemporaryFile("r", errors="replace") as said:
        order = [
            [str(program), *arguments],
            name,
            str(folder or program.parent),
            dict(os.environ if environment is None else environment),
            said.name,
        ]
        print(json.dumps(order), file=process.stdin, flush=True)
        return int(process.stdout.readline()), said.read()
