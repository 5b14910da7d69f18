"""
Make the environment in which ``record.py`` runs, and print its path; one that fits ``requirements.txt`` is left as it is.

It lies in ``build/golden-sdk`` of this checkout, or where ``NBJOBS_GOLDEN_SDK`` says. Needs a package index; the SDK brings some 80 packages (a minute).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REQUIREMENTS = FOLDER / "requirements.txt"


def main() -> int:
    environment = Path(os.environ.get("NBJOBS_GOLDEN_SDK") or FOLDER.parents[1] / "build" / "golden-sdk")
    python = environment / "bin" / "python"
    done = environment / "requirements.txt"  # written last: an environment that was begun only is made anew
    if not done.is_file() or done.read_text() != REQUIREMENTS.read_text():
        _make(environment, python)
        done.write_text(REQUIREMENTS.read_text())
    print(environment)  # noqa: T201 - a command
    return 0


def _make(environment: Path, python: Path) -> None:
    uv = shutil.which("uv")  # seconds instead of minutes
    if uv:
        commands = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment],
            [uv, "pip", "install", "--quiet", "--python", python, "--requirement", REQUIREMENTS],
        ]
    else:
        venv.create(environment, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        commands = [[*pip, "--requirement", REQUIREMENTS]]
    for command in commands:
        subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
