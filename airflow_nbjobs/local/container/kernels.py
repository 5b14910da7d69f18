"""The kernels that a job finds in the environment that plays its image. Asked by ``nbjobs run --local`` before it starts a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.local.container.image import kernel_folders

if TYPE_CHECKING:
    from pathlib import Path


def kernels_here(prefix: Path) -> frozenset[str] | None:
    """Return the kernels' names of the environment ``prefix``, this process's own; None where Jupyter is not installed, which the server says."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        return None
    folders = [str(folder) for folder in kernel_folders(prefix)]
    return frozenset(KernelSpecManager(kernel_dirs=folders).find_kernel_specs())
