"""
The Python environment of one job: over the image's, a folder of the job's own that takes what the job installs.

Made by ``platform/runner.py`` before a container starts, and gone with the job's folders. The image is often the environment that Airflow
runs in, and in a container, too, what a notebook installs is lost with it.

The folder is a virtual environment written by hand (``venv`` takes seconds): pip installs there, and neither changes nor removes what lies outside. Its
site-packages come first on ``sys.path``, then the image's, ``.pth`` files included. It holds no path of its own, so a container may see it elsewhere.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_nbjobs.local.container.image import Image

FOLDER = ".job-environment"  # below the job's home
# "pip" beside the image's python would install there, whoever calls it.
_PIP = '#!/bin/sh\nexec "${0%/*}/python" -m pip "$@"\n'


def make_overlay(image: Image, home: Path) -> None:
    """Make the environment below ``home``, where a job's home folder lies on this machine."""
    folder = home / FOLDER
    site_packages = folder / image.site_packages
    bin_ = folder / "bin"
    for path in (site_packages, bin_):
        path.mkdir(parents=True)
    # 64-bit Pythons install compiled packages below lib64, where the image's Python is built that way.
    (folder / "lib64").symlink_to("lib")
    # With "true" `pip install --user` works, as in a container. The base interpreter's site-packages come with the image's, where it sees them: see below.
    (folder / "pyvenv.cfg").write_text(
        f"home = {image.base_python.parent}\ninclude-system-site-packages = true\nversion = {image.version}\n"
    )
    for name in ("python", "python3", f"python{'.'.join(image.version.split('.')[:2])}"):
        (bin_ / name).symlink_to(image.base_python)
    for name in ("pip", "pip3", f"pip{'.'.join(image.version.split('.')[:2])}"):
        (bin_ / name).write_text(_PIP)
        (bin_ / name).chmod(0o755)
    if image.aws_cli is not None:
        (bin_ / "aws").write_text(f'#!/bin/sh\nexec {shlex.quote(str(image.aws_cli))} "$@"\n')
        (bin_ / "aws").chmod(0o755)
    # site.PREFIXES, as documented, is where site looks for further site-packages: without the clear, in the base interpreter's.
    (site_packages / "_job_environment.pth").write_text(
        f"import site; site.PREFIXES.clear(); any(map(site.addsitedir, {list(image.site_folders)!r}))\n{image.pip_wheel}\n"
    )
    for name, spec in image.own_kernels.items():
        kernel = folder / "share" / "jupyter" / "kernels" / name
        kernel.mkdir(parents=True)
        (kernel / "kernel.json").write_text(json.dumps(spec))


def activated(environment: Mapping[str, str], image: Image, home: str) -> dict[str, str]:
    """Return a container's variables with the job's environment in front of the image's; ``home`` is the container's path."""
    folder = f"{home}/{FOLDER}"
    image_bin = f"{image.prefix}/bin"
    path = environment["PATH"].split(":")
    # A job that asks for a PATH without the image's Python does not get this one either.
    position = path.index(image_bin) if image_bin in path else len(path)
    search_path = [*path[:position], f"{folder}/bin", *path[position:]]
    # Jupyter looks for kernels, templates and configuration below sys.prefix, which is now the folder.
    jupyter = [environment.get("JUPYTER_PATH"), f"{folder}/share/jupyter", f"{image.prefix}/share/jupyter"]
    configuration = [environment.get("JUPYTER_CONFIG_PATH"), f"{image.prefix}/etc/jupyter"]
    return {
        "UV_PYTHON": f"{folder}/bin/python",  # for `uv pip install --system`, too
        **environment,
        "PATH": ":".join(search_path),
        "VIRTUAL_ENV": folder,
        "JUPYTER_PATH": ":".join(filter(None, jupyter)),
        "JUPYTER_CONFIG_PATH": ":".join(filter(None, configuration)),
    }


def python_of(home: str) -> str:
    """Return the job's interpreter, by the path of its container."""
    return f"{home}/{FOLDER}/bin/python"
