"""
The driver's shell script with this job's folders in place of ``/opt/ml``, ``/tmp`` and ``/home/sagemaker-user``: the way without namespaces.

Called by ``training/work.py`` where ``isolation.py`` runs in the way ``none`` (macOS, hardened kernels, most Docker containers). The copy is private to the
job; the installed driver is not touched. Notebooks that name ``/opt/ml`` themselves do not work this way.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_nbjobs.local.container.run import WorkDir

ENTRYPOINT = "amazon_sagemaker_scheduler"

# GNU sed's address 0,/x/ is unknown to macOS' sed; awk says the same everywhere: drop up to the first line with the step's text, and trace lines.
_GNU_SED = 'sed "0,/$SM_EXEC_STEP/d;/^+ /d" ${LOCAL_LOG_FOLDER}'
_PORTABLE = (
    """awk -v step="$SM_EXEC_STEP" 'seen && !/^[+] / { print } index($0, step) { seen = 1 }' ${LOCAL_LOG_FOLDER}"""
)


class DriverError(Exception):
    """The driver's script is not the one that this module knows how to rewrite."""


def rewrite_script(script: str, work: WorkDir) -> str:
    """Return the script for one job's folders; raises DriverError where a line to rewrite is not there (another version of the driver)."""
    replacements = (
        ('LOCAL_LOG_FOLDER="/tmp"', f'LOCAL_LOG_FOLDER="{work.tmp}"'),
        ("/opt/ml", str(work.opt_ml)),
        ('"/home/sagemaker-user"', f'"{work.home}"'),
        (_GNU_SED, _PORTABLE),
    )
    for found, replacement in replacements:
        if found not in script:
            raise DriverError(
                f"the installed headless execution driver has no {found!r}; version 0.0.13 is the one that is known to work without namespaces"
            )
        script = script.replace(found, replacement)
    return script


def install_copy(driver_script: Path, work: WorkDir) -> None:
    """Put the rewritten script, under the driver's own command name, into the job's ``bin``, which comes first on its PATH."""
    copy = work.bin / "headless_execution.sh"
    copy.write_text(rewrite_script(driver_script.read_text(), work))
    command = work.bin / ENTRYPOINT
    command.write_text(f"#!/bin/sh\nexec /bin/bash {shlex.quote(str(copy))}\n")
    command.chmod(0o755)
