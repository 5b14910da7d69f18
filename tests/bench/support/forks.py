"""
A process that has loaded Airflow and forks a child for each measurement, as Airflow's own supervisors start tasks and parse DAG files.

Used by the benchmarks above it. Run as a script it is that process: it imports the probe, whose ``measured(arguments)`` each child calls.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROBES = Path(__file__).with_name("probes")
_MARK = "RESULT "  # Airflow logs to standard output as well


class Forks:
    """
    Measures in forked children::

        with Forks("parsing", environment) as forks:
            forks.measured(file="…")

    :param probe: name of a module in ``probes/``; what it imports is loaded before any clock starts.
    """

    def __init__(self, probe: str, environment: Mapping[str, str]) -> None:
        self._probe = probe
        self._process = subprocess.Popen(
            [sys.executable, __file__, probe],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # An installed package has its bytecode; a worker does not compile it for each task.
            env={**environment, "PYTHONDONTWRITEBYTECODE": ""},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends with its standard input

    def measured(self, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            if line.startswith(_MARK):
                result: dict[str, Any] | None = json.loads(line.removeprefix(_MARK))
                if result is None:
                    break
                return result
            said.append(line)
        raise SystemExit(f"the probe '{self._probe}' failed on {arguments}\n{''.join(said)}")


def main() -> None:
    spec = importlib.util.spec_from_file_location("probe", _PROBES / f"{sys.argv[1]}.py")
    assert spec is not None
    assert spec.loader is not None
    probe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(probe)
    for line in sys.stdin:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                _tell(probe.measured(json.loads(line)))
            except BaseException:  # noqa: BLE001 - a child must end here, and say why
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            _tell(None)


def _tell(result: object) -> None:
    sys.stdout.flush()
    os.write(1, f"\n{_MARK}{json.dumps(result)}\n".encode())


if __name__ == "__main__":
    main()
