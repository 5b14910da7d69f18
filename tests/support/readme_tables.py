"""
README.md's tables: of arguments and settings, made from the docstrings and the provider's metadata, which are what users' tools show; of versions.

Usage: python tests/support/readme_tables.py — writes them into README.md. ``tests/test_readme.py`` checks that they are up to date.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import versions

from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.provider_info import get_provider_info
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor

README = Path(__file__).parents[2] / "README.md"


def arguments(documented: type) -> list[str]:
    """Return a row for each argument that the docstring of an operator or sensor describes, in its order."""
    signature = inspect.signature(documented.__init__).parameters
    described = re.findall(
        r"^ *:param (\w+): (.*?)(?=^ *:param |\Z)", documented.__doc__ or "", re.MULTILINE | re.DOTALL
    )
    rows = ["| argument | default | |", "|---|---|---|"]
    for name, text in described:
        parameter = signature.get(name)  # None: every sensor has it
        default = "" if parameter is None or parameter.default is None else f"`{parameter.default!r}`"
        if parameter is not None and parameter.default is inspect.Parameter.empty:
            default = "needed"
        rows.append(f"| `{name}` | {default} | {_cell(text)} |")
    return rows


def settings() -> list[str]:
    """Return a row for each option of section ``[nbjobs]``."""
    options = get_provider_info()["config"]["nbjobs"]["options"]
    rows = ["| option | | example |", "|---|---|---|"]
    for name, option in options.items():
        example = f"`{option['example']}`" if option["example"] else ""
        rows.append(f"| `{name}` | {_cell(option['description'])} | {example} |")
    return rows


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


TABLES = {
    "arguments: operator": arguments(SageMakerNotebookJobOperator),
    "arguments: sensor": arguments(SageMakerNotebookJobSensor),
    "configuration": settings(),
    "versions": versions.table(),
}


def filled_in(readme: str) -> str:
    """Return the text with each table up to date: after the comment that names it, up to the next empty line."""
    for name, rows in TABLES.items():
        mark = f"<!-- {name} -->\n"
        before, found, after = readme.partition(mark)
        if not found:
            raise ValueError(f"README.md has no {mark.strip()}")
        old = re.match(r"(?:\|.*\n)*", after)[0]  # type: ignore[index]
        readme = before + mark + "\n".join(rows) + "\n" + after.removeprefix(old)
    return readme


if __name__ == "__main__":
    README.write_text(filled_in(README.read_text(encoding="utf-8")), encoding="utf-8")
