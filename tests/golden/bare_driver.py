"""
The real ``sagemaker-headless-execution-driver`` with nothing of this package around it: an ordinary process in a private ``/opt/ml`` and ``/tmp``.

Used by ``test_driver.py`` to know what the driver itself leaves behind. The namespaces are util-linux's, made by a shell script.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KILL_SECONDS = 300.0
DRIVER = "amazon_sagemaker_scheduler"
HOME = "/home/sagemaker-user"
# $1 an empty folder, $2 /opt/ml, $3 /tmp, $4 the home folder, $5 folders below /tmp that stay, separated by colons.
_IN_PRIVATE_FOLDERS = f"""
set -e
place() {{  # all of $1 stays, but its $2 is the folder $3
    mount -t tmpfs tmpfs "$stage"
    for entry in "$1"/*; do
        name=${{entry##*/}}
        if [ ! -e "$entry" ] || [ "$name" = "$2" ]; then continue; fi
        if [ -d "$entry" ]; then mkdir "$stage/$name"; else : > "$stage/$name"; fi
        mount --rbind "$entry" "$stage/$name"
    done
    mkdir "$stage/$2"
    mount --bind "$3" "$stage/$2"
    mount --move "$stage" "$1"
}}
stage=$1
place /opt ml "$2"
place /home sagemaker-user "$4"
IFS=:
for kept in $5; do
    mkdir -p "$3${{kept#/tmp}}"
    mount --rbind "$kept" "$3${{kept#/tmp}}"
done
mount --rbind "$3" /tmp
cd {HOME}
set +e
exec 3>&2 2> /dev/null  # not the shell's own word on a driver that was killed
{DRIVER} 2>&3 3>&-
exit $?
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """
    What a container leaves behind.

    :param exit_code: 128 + n where a signal ended it.
    :param failure: content of ``/opt/ml/output/failure``; None where there is no such file.
    :param output: files below ``/opt/ml/output/data``, by path.
    :param model: files below ``/opt/ml/model``, by path.
    :param printed: stdout and stderr together.
    """

    exit_code: int
    failure: str | None
    output: dict[str, bytes]
    model: dict[str, bytes]
    printed: str


@functools.cache
def unshare_command() -> tuple[str, ...] | None:
    """Return the command that makes namespaces for this user; None where there is none."""
    namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    for command in (namespaces, (*namespaces, "--user", "--map-root-user")):
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    return None


def run_bare(
    folder: Path,
    *,
    channel: str,
    files: Mapping[str, bytes],
    environment: Mapping[str, str],
    hyperparameters: Mapping[str, str],
    stop_when_printed: str | None = None,
) -> Ending:
    """
    Run the driver of this Python environment on the files and return how it ended.

    :param folder: empty; everything is left in it.
    :param stop_when_printed: send SIGTERM once this has been printed.
    """
    ml, tmp, home, stage = (folder / name for name in ("ml", "tmp", "home", "stage"))
    for path in (ml / "input/config", ml / "input/data" / channel, ml / "output/data", ml / "model", tmp, home, stage):
        path.mkdir(parents=True)
    (ml / "input/config/hyperparameters.json").write_text(json.dumps(dict(hyperparameters)))
    for name, body in files.items():
        file = ml / "input/data" / channel / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    command = unshare_command()
    assert command is not None
    process = subprocess.Popen(
        [*command, "/bin/sh", "-c", _IN_PRIVATE_FOLDERS, "sh", *map(str, (stage, ml, tmp, home)), ":".join(_kept())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"HOME": HOME, "LANG": "C.UTF-8", "SHELL": "/bin/bash", **environment, "PATH": _search_path()},
    )
    printed = b""
    killer = threading.Timer(KILL_SECONDS, process.kill)  # --kill-child takes the rest along
    killer.start()
    assert process.stdout is not None
    with process.stdout as stream:
        while part := os.read(stream.fileno(), 1 << 16):
            printed += part
            if stop_when_printed is not None and stop_when_printed.encode() in printed:
                os.kill(_driver_of(process.pid), signal.SIGTERM)
                stop_when_printed = None
    exit_code = process.wait()
    killer.cancel()
    failure = ml / "output/failure"
    return Ending(
        exit_code if exit_code >= 0 else 128 - exit_code,
        failure.read_text(errors="replace") if failure.is_file() else None,
        _files_below(ml / "output/data"),
        _files_below(ml / "model"),
        printed.decode(errors="replace"),
    )


def _search_path() -> str:
    return f"{sys.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _kept() -> Sequence[str]:
    """Return what the driver's Python needs of the folder that it no longer sees."""
    needed = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
    return sorted(path for path in needed if path.startswith("/tmp/"))


def _driver_of(unshare: int) -> int:
    """Return the driver's process: the child of the shell, which is the child of unshare."""
    pid = unshare
    for _ in range(2):
        (pid,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return pid


def _files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
