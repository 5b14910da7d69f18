"""
The wheels of all that is wanted, as pip finds or builds them with the Python that the environment runs; this package's own among them.

Called by ``nbjobs mwaa-plugins``.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

import airflow_nbjobs
from airflow_nbjobs.commands.mwaa_plugins.archive import add
from airflow_nbjobs.commands.mwaa_plugins.requirements import OWN_NAME
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_nbjobs.commands.mwaa_plugins.requirements import Requirements

# Of every image from Airflow 3.0.6 on, on Amazon Linux 2023 with glibc 2.34. Source: aws/amazon-mwaa-docker-images, Dockerfile.base.
MWAA_PYTHON = "3.12"
_GLIBC_MINOR = 34
_PROBE = """
import json, platform, sys
try:
    import pip
except ImportError:
    pip = None
print(json.dumps(["%d.%d" % sys.version_info[:2], pip is not None, sys.platform, platform.machine(), platform.libc_ver()[0]]))
"""
# What an installer adds to a wheel's files.
_OF_INSTALLER = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}


class PipError(NotebookJobError):
    """pip could not find or build what is wanted, or the environment could not install it."""


class Wheel(msgspec.Struct, frozen=True):
    """A file of the archive."""

    path: Path
    version: str


def find_python(version: str) -> str:
    """
    Return a Python of that version that makes what MWAA can install: markers and wheels are those of the Python that pip runs in.

    :raises NotebookJobConfigError: there is none here, it has no pip, or this machine is no Linux of MWAA's kind.
    """
    if not re.fullmatch(r"3\.\d+", version):
        raise NotebookJobConfigError(f"--python '{version}' is no version such as {MWAA_PYTHON}")
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    python = sys.executable if version == here else shutil.which(f"python{version}")
    done = python and subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, check=False)
    if not python or not done or done.returncode != 0:
        raise NotebookJobConfigError(
            f"the environment runs Python {version}, this is {here}, and no python{version} that works is on the PATH; install one,"
            " or give --python if the environment runs another"
        )
    found, has_pip, *machine = json.loads(done.stdout)
    if found != version:
        raise NotebookJobConfigError(f"'{python}' is Python {found}, not {version}")
    if machine != ["linux", "x86_64", "glibc"]:
        raise NotebookJobConfigError(
            f"MWAA is Linux on x86_64 with glibc, this is {' '.join(machine)}: wheels from here would not fit; run the command in a container,"
            f" such as docker run --platform linux/amd64 python:{version}"
        )
    if not has_pip:
        raise NotebookJobConfigError(f"'{python}' has no pip; '{python} -m ensurepip' installs it")
    return python


def collect(python: str, version: str, wanted: Requirements, constraints: str, folder: Path) -> dict[str, Wheel]:
    """
    Return the wheels of all that is wanted and of what that needs, by canonical name.

    :param version: of that Python.
    :param folder: empty; the wheels are written below it.
    :raises PipError: pip's own reasons; or wheels that MWAA could not install.
    """
    own, found = folder / "own", folder / "wheels"
    own.mkdir()
    found.mkdir()
    make_own_wheel(python, own)
    (folder / "wanted.txt").write_text(wanted.for_pip(), encoding="utf-8")
    (folder / "constraints.txt").write_text(
        f"{constraints}{OWN_NAME}=={airflow_nbjobs.__version__}\n", encoding="utf-8"
    )
    asked = ["-r", str(folder / "wanted.txt"), "-c", str(folder / "constraints.txt")]
    _pip(python, folder, ["wheel", "--wheel-dir", str(found), "--find-links", str(own), *asked])
    return _checked(found, version)


def _checked(folder: Path, version: str) -> dict[str, Wheel]:
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(_GLIBC_MINOR, 4, -1)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    python = tuple(int(part) for part in version.split("."))
    fitting = {*cpython_tags(python, platforms=platforms), *compatible_tags(python, platforms=platforms)}
    wheels: dict[str, Wheel] = {}
    unfit = []
    for path in sorted(folder.glob("*.whl")):
        name, number, _, tags = parse_wheel_filename(path.name)
        wheels[name] = Wheel(path, str(number))
        if not tags & fitting:
            unfit.append(path.name)
    if unfit:
        raise PipError(f"MWAA could not install: {', '.join(unfit)}; ask for versions that have a manylinux wheel")
    return wheels


def make_own_wheel(python: str, folder: Path) -> None:
    """Write this package's wheel, as it is installed or, in a checkout, as it is built."""
    root = Path(airflow_nbjobs.__file__).parents[1]
    if (root / "pyproject.toml").is_file():
        _pip(python, folder, ["wheel", "--no-deps", "--wheel-dir", str(folder), str(root)])
        return
    repack(importlib.metadata.distribution(OWN_NAME), folder)


def repack(distribution: importlib.metadata.Distribution, folder: Path) -> Path:
    """
    Write the wheel that a package of Python files was installed from, and return its path.

    Equal files give equal bytes. What installers add, and scripts, which they write anew, are left out.
    """
    files: dict[str, bytes] = {}
    for file in distribution.files or ():
        added = file.parent.name.endswith(".dist-info") and file.name in _OF_INSTALLER
        if not added and ".." not in file.parts and "__pycache__" not in file.parts:
            files[file.as_posix()] = Path(str(distribution.locate_file(file))).read_bytes()
    name = distribution.metadata["Name"].replace("-", "_")
    record = f"{name}-{distribution.version}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(body)},{len(body)}\n" for path, body in sorted(files.items())]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    path = folder / f"{name}-{distribution.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, body in sorted(files.items()):
            add(archive, each, body)
    return path


def _digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def _pip(python: str, folder: Path, arguments: Sequence[str]) -> None:
    """Run pip, its words on standard error and its temporary files in the folder; raise its errors."""
    # A build that dates its files gives the same bytes tomorrow. PIP_REQUIRE_VIRTUALENV would refuse the Python of the environment.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "PIP_REQUIRE_VIRTUALENV": "0", "TMPDIR": str(folder)}
    said = []
    command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, "--progress-bar", "off"]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                said.append(line)
                sys.stderr.write(line)
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        errors = [line.strip() for line in said if line.startswith("ERROR:")] or [line.strip() for line in said[-3:]]
        raise PipError("pip failed: " + "\n".join(errors))
