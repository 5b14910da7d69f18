"""
The Python environment that plays the container's image.

Read once at start by ``server.py``; ``container.py`` builds each job's environment from it.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_ASK = """
import importlib.util, json, os, sys
driver = importlib.util.find_spec("sagemaker_headless_execution_driver")
print(json.dumps({
    "paths": [sys.prefix, sys.base_prefix, sys.base_exec_prefix, os.path.realpath(sys.executable), *filter(os.path.isabs, sys.path)],
    "driver": os.path.dirname(driver.origin) if driver and driver.origin else "",
}))
"""
_REGION = re.compile(r"^\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?/[^:@\s]+([:@][^\s]+)?$")


class ImageError(Exception):
    """The environment cannot play an image; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """
    What a container needs of the environment.

    :param prefix: the environment's ``sys.prefix``.
    :param keep: folders that must stay visible in a container: the environment, its base interpreter, what is on ``sys.path``.
    :param driver_script: the headless execution driver's shell script, where the driver is installed.
    """

    prefix: Path
    keep: tuple[str, ...]
    driver_script: Path | None

    @property
    def search_path(self) -> str:
        return f"{self.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def inspect_image(prefix: Path) -> Image:
    """
    Look at an environment by asking its own interpreter.

    :raises ImageError: there is no interpreter, or this user may not run it.
    """
    prefix = prefix.absolute()
    python = prefix / "bin" / "python"
    user = f"the user {getpass.getuser()!r}"
    try:
        answer = subprocess.run(
            [python, "-I", "-c", _ASK], check=True, capture_output=True, text=True, timeout=60, cwd="/"
        )
    except FileNotFoundError as error:
        raise ImageError(
            f"{prefix} is no Python environment: there is no {python} (or its interpreter is gone); name one with --image-prefix"
        ) from error
    except PermissionError as error:
        raise ImageError(
            f"{user} may not run {python} -> {python.resolve()}: its base interpreter lies where only others may read; "
            "make the environment from an interpreter that everybody can read, or name another with --image-prefix"
        ) from error
    except subprocess.SubprocessError as error:
        raise ImageError(f"{python} does not work: {getattr(error, 'stderr', '') or error}") from error
    found = json.loads(answer.stdout)
    folders = {str(prefix)} | {
        path if Path(path).is_dir() else str(Path(path).parent) for path in found["paths"] if Path(path).exists()
    }
    keep = {*folders, *(os.path.realpath(folder) for folder in folders)}
    script = Path(found["driver"], "scripts", "headless_execution.sh")
    return Image(prefix, tuple(sorted(keep)), script if found["driver"] and script.is_file() else None)


def is_pullable(image_uri: str, region: str) -> bool:
    """Say whether a job of ``region`` could pull the image: an ECR address of that region. Any repository and tag will do."""
    match = _REGION.match(image_uri)
    return match is not None and match[1] == region
