"""
The Python environment that plays the container's image.

Read once at start by ``server.py``; ``container/run.py`` builds each job's environment from it. ``nbjobs run --local`` asks for kernels and the AWS CLI.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local import StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ASK = """
import glob, importlib.util, json, os, site, sys, sysconfig
driver = importlib.util.find_spec("sagemaker_headless_execution_driver")
# Environments that uv makes have no pip, images have it; the interpreter brings one along.
ensurepip = None if importlib.util.find_spec("pip") else importlib.util.find_spec("ensurepip")
wheels = sorted(glob.glob(os.path.join(os.path.dirname(ensurepip.origin), "_bundled", "pip-*.whl"))) if ensurepip else []
scheme = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
print(json.dumps({
    "paths": [sys.prefix, sys.base_prefix, sys.base_exec_prefix, os.path.realpath(sys.executable), *filter(os.path.isabs, sys.path)],
    "driver": os.path.dirname(driver.origin) if driver and driver.origin else "",
    "base_python": getattr(sys, "_base_executable", "") or os.path.realpath(sys.executable),
    "version": ".".join(map(str, sys.version_info[:3])),
    "site_folders": site.getsitepackages(),
    "pip_wheel": wheels[-1] if wheels else "",
    "site_packages": sysconfig.get_path("purelib", scheme, {"base": "", "platbase": ""}).lstrip("/"),
}))
"""
# Where Jupyter looks beside the environment's own. Source: jupyter_core.paths.SYSTEM_JUPYTER_PATH.
_SYSTEM_JUPYTER = (Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter"))
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REGION = re.compile(r"^\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?/[^:@\s]+([:@][^\s]+)?$")


@dataclass(frozen=True, slots=True)
class Image:
    """
    What a container needs of the environment.

    :param prefix: the environment's ``sys.prefix``.
    :param keep: folders that must stay visible in a container: the environment, its base interpreter, what is on ``sys.path``.
    :param driver_script: the headless execution driver's shell script, where the driver is installed.
    :param base_python: the interpreter that the environment was made of; the environment's own where it is no virtual one.
    :param version: of the interpreter, ``3.12.1``.
    :param site_folders: the environment's site-packages, in their order.
    :param pip_wheel: the pip that the interpreter brings along, where the environment has none; empty otherwise.
    :param site_packages: where a virtual environment of this interpreter has its own, relative to its folder.
    :param own_kernels: kernelspecs that name the environment's interpreter by its path, with ``python`` in its place.
    :param aws_cli: the AWS CLI of who runs this, where the search path leads to none.
    """

    prefix: Path
    keep: tuple[str, ...]
    driver_script: Path | None
    base_python: Path
    version: str
    site_folders: tuple[str, ...]
    pip_wheel: str
    site_packages: str
    own_kernels: Mapping[str, Any]
    aws_cli: Path | None

    @property
    def search_path(self) -> str:
        return _search_path(self.prefix)


def inspect_image(prefix: Path) -> Image:
    """Ask an environment's own interpreter about it; raises StartError where there is none, or this user may not run it."""
    prefix = prefix.absolute()
    python = prefix / "bin" / "python"
    user = f"the user {getpass.getuser()!r}"
    try:
        answer = subprocess.run(
            [python, "-I", "-c", _ASK], check=True, capture_output=True, text=True, timeout=60, cwd="/"
        )
    except FileNotFoundError as error:
        raise StartError(
            f"{prefix} is no Python environment: there is no {python} (or its interpreter is gone); name one with --image-prefix"
        ) from error
    except PermissionError as error:
        raise StartError(
            f"{user} may not run {python} -> {python.resolve()}: its base interpreter lies where only others may read; "
            "make the environment from an interpreter that everybody can read, or name another with --image-prefix"
        ) from error
    except subprocess.SubprocessError as error:
        raise StartError(f"{python} does not work: {getattr(error, 'stderr', '') or error}") from error
    found = json.loads(answer.stdout)
    folders = {str(prefix)} | {
        path if Path(path).is_dir() else str(Path(path).parent) for path in found["paths"] if Path(path).exists()
    }
    aws_cli = find_aws_cli(prefix)
    if aws_cli is not None:
        folders |= {str(aws_cli.parent), str(aws_cli.resolve().parents[1])}
    keep = {*folders, *(os.path.realpath(folder) for folder in folders)}
    script = Path(found["driver"], "scripts", "headless_execution.sh")
    return Image(
        prefix,
        tuple(sorted(keep)),
        script if found["driver"] and script.is_file() else None,
        base_python=Path(found["base_python"]),
        version=found["version"],
        site_folders=tuple(found["site_folders"]),
        pip_wheel=found["pip_wheel"],
        site_packages=found["site_packages"],
        own_kernels=_own_kernels(prefix),
        aws_cli=aws_cli if aws_cli and not shutil.which("aws", path=_search_path(prefix)) else None,
    )


def find_aws_cli(prefix: Path) -> Path | None:
    """Return the AWS CLI that a job finds: the image's, the system's, else that of the PATH of who runs this."""
    found = shutil.which("aws", path=_search_path(prefix)) or shutil.which("aws")
    return Path(found).absolute() if found else None


def system_environment(prefix: Path, home: str) -> dict[str, str]:
    """Return the variables that every container has of its image."""
    return {"PATH": _search_path(prefix), "HOME": home, "LANG": "C.UTF-8", "SHELL": "/bin/bash"}


def _search_path(prefix: Path) -> str:
    return f"{prefix}/bin:{_SYSTEM_PATH}"


def _kernel_folders(prefix: Path) -> list[Path]:
    """Return where a job of the environment finds kernels, in Jupyter's order; those of this user's home are not among them."""
    return [folder / "kernels" for folder in (prefix / "share" / "jupyter", *_SYSTEM_JUPYTER)]


def kernels_here(prefix: Path) -> frozenset[str] | None:
    """Return the kernels' names of the environment ``prefix``, this process's own; None where Jupyter is not installed, which the server says."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        return None
    folders = [str(folder) for folder in _kernel_folders(prefix)]
    return frozenset(KernelSpecManager(kernel_dirs=folders).find_kernel_specs())


def _own_kernels(prefix: Path) -> dict[str, Any]:
    """``ipykernel install`` writes the interpreter's path: a kernel started by it installs into the image."""
    specs: dict[str, Any] = {}
    for file in (file for folder in _kernel_folders(prefix) for file in sorted(folder.glob("*/kernel.json"))):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            specs.setdefault(file.parent.name, json.loads(file.read_bytes()))
    pythons = {str(prefix / "bin"), os.path.realpath(prefix / "bin")}
    return {
        name: {**spec, "argv": ["python", *spec["argv"][1:]]}
        for name, spec in specs.items()
        if isinstance(spec, dict)
        and isinstance(argv := spec.get("argv"), list)
        and argv
        and os.path.dirname(str(argv[0])) in pythons  # noqa: PTH120 - a text of somebody else's, perhaps no path
        and os.path.basename(str(argv[0])).startswith("python")  # noqa: PTH119
    }


def is_pullable(image_uri: str, region: str) -> bool:
    """Say whether a job of ``region`` could pull the image: an ECR address of that region. Any repository and tag will do."""
    match = _REGION.match(image_uri)
    return match is not None and match[1] == region
