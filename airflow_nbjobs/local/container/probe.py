"""
Which way of isolation works on this machine, found by trying.

Called once at start by ``server.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_nbjobs.local import StartError
from airflow_nbjobs.local.container.run import WorkDir, claim_direct_folders, start_container

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_nbjobs.local.container.image import Image

# In the order in which ``auto`` tries them; ``direct`` is taken only when it is asked for.
WAYS = ("userns", "root", "none")
DESCRIPTIONS = {
    "userns": "each job in its own user, mount and process namespaces: private /opt/ml, /tmp, /home/sagemaker-user and /proc",
    "root": "each job in its own mount and process namespaces (we are root): private /opt/ml, /tmp, /home/sagemaker-user and /proc",
    "direct": "no namespaces, one training job at a time: it has this machine's /opt/ml and /home/sagemaker-user, which are emptied after it; for a container "
    "that the server has to itself. Transform and processing jobs run as in the way none",
    "none": "no namespaces: the driver runs as a copy rewritten to each job's folders; notebooks that name /opt/ml themselves do not work",
}
NOT_ISOLATED = "not isolated: the network, the other files that you may read or write, CPU and memory; what a job installs with pip is its own"


@dataclass(frozen=True, slots=True)
class Isolation:
    """
    The way that jobs take.

    :param notes: why better ways were passed over.
    """

    way: str
    notes: tuple[str, ...] = ()


def choose_isolation(wanted: str, image: Image) -> Isolation:
    """Return the way wanted, or for ``auto`` the first that works; raises StartError where none does."""
    ways: Sequence[str] = WAYS if wanted == "auto" else (wanted,)
    notes: list[str] = []
    for way in ways:
        problem = try_way(way, image)
        if problem is None:
            return Isolation(way, tuple(notes))
        notes.append(f"{way}: {problem}")
    raise StartError("; ".join(notes))


def try_way(way: str, image: Image) -> str | None:
    """Run the image's interpreter once in this way; returns what is wrong with it."""
    if way == "none":
        return None if os.name == "posix" else "needs a POSIX system"
    if sys.platform != "linux":
        return "needs Linux"
    if way in {"root", "direct"} and os.geteuid() != 0:
        return "needs root"
    if way == "direct":
        return claim_direct_folders()
    with tempfile.TemporaryDirectory(prefix="nbjobs-probe-") as folder:
        work = WorkDir(Path(folder, "work"))
        work.make()
        python = str(image.prefix / "bin" / "python")
        check = "import os; assert os.getpid() == int(os.readlink('/proc/self')) and os.listdir('/opt/ml')"
        container = start_container(
            work,
            way=way,
            argv=[python, "-I", "-S", "-c", check],
            environment={"PATH": image.search_path},
            cwd="/home/sagemaker-user",
            keep=image.keep,
        )
        failure = container.wait_started()
        output = b"".join(iter(container.read, b"")).decode(errors="replace").strip()
        code = container.wait()
    if failure:
        return failure.text
    return f"the interpreter does not work inside (exit code {code}): {output[-500:]}" if code else None
