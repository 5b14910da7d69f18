"""What tasks have logged, once."""

from __future__ import annotations

from typing import Any


def task_log(caplog: Any, capsys: Any) -> str:
    """Return it from where this Airflow has it: before 3.1 `logging` gets it and prints it as well, later versions print it alone."""
    printed: str = capsys.readouterr().out
    return str(caplog.text) if "airflow.task" in caplog.text else caplog.text + printed
