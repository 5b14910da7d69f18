"""
A notebook's ``parameters`` cell, read from a file of this machine and from nothing else.

Called while DAGs are parsed (``params.py``) and while a task's fields are rendered; imports neither nbformat nor boto3, and asks no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.aws.submit.local_files import find_file
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook.document import is_python, kernel_name, read_cells
from airflow_nbjobs.core.values.declaration import Declaration, read_tagged_cell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST_BYTES = 10 * 1024 * 1024  # of a notebook that is read at every parse of its DAG


def read_cell(path: str, folders: Sequence[Path], *, argument: str = "input_notebook") -> Declaration:
    """
    Return what the notebook's ``parameters`` cell says.

    :param folders: where a relative path is looked up, in this order.
    :param argument: names the path in errors.
    :raises NotebookJobConfigError: there is no such file on this machine, it is larger than 10 MiB, no notebook, or one of another language.
    """
    file = find_file(argument, str(path), folders, has_notebooks=True)
    try:
        size_bytes = file.stat().st_size
        if size_bytes > MOST_BYTES:
            raise NotebookJobConfigError(
                f"{argument}: '{file}' has {size_bytes / 2**20:.1f} MiB, and more than {MOST_BYTES // 2**20} are not read at every parse of the DAG; "
                "clear its outputs (JupyterLab: Edit, Clear Outputs of All Cells)"
            )
        body = file.read_bytes()
    except OSError as error:
        raise NotebookJobConfigError(f"{argument}: '{file}' cannot be read: {error.strerror or error}") from error
    raw = read_cells(body, str(file))
    kernel = kernel_name(raw) or "unknown"
    if not is_python(raw, kernel):
        raise NotebookJobConfigError(
            f"{argument}: '{file}' is a notebook for kernel '{kernel}', and only Python's parameters are read"
        )
    return read_tagged_cell(raw)
