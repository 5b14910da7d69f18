"""
What a DAG file or a template asks for and Airflow cannot give, in words: a date that the run does not have, a number that JSON has not.

Called while DAGs are parsed and while a task's fields are rendered: the standard library only at module level.
"""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

_LEVELS = 60  # of lists and dicts: more than a parameter may have
# Airflow leaves these out of the context of a run without a logical date.
_DATES = r"(ds|ds_nodash|ts|ts_nodash|ts_nodash_with_tz|logical_date|data_interval_start|data_interval_end)"

_DATES_OF_AIRFLOW_2 = r"((?:next_|prev_|)execution_date(?:_success)?|(?:next|prev|yesterday|tomorrow)_ds(?:_nodash)?)"


@contextmanager
def explained_dates(content: Any, context: Context) -> Iterator[None]:
    """
    Let jinja's *undefined* error leave the block with what to write instead.

    :param content: what is rendered; only texts are looked at.
    :raises NotebookJobConfigError: the run has no logical date, and the template takes one.
    """
    try:
        yield
    except Exception as error:
        from jinja2 import UndefinedError

        values: Any = context
        if not isinstance(error, UndefinedError):
            raise
        why = _why_missing(str(error), content, has_date=values.get("logical_date") is not None)
        if why is None:
            raise
        from airflow_nbjobs.task.retryable import FatalNotebookJobConfigError

        raise FatalNotebookJobConfigError(
            f"{content!r} cannot be rendered: {error}",
            details={
                "why": why,
                "next": "take the time at which the run became due, which every run has: "
                "{{ (dag_run.data_interval_start or dag_run.run_after).strftime('%Y-%m-%d') }}",
            },
        ) from error


def rendered_texts(content: Any, context: Context, jinja_env: Any, render: Callable[[Any], Any]) -> Any:
    """
    Return a mapping or list with each text in it rendered to a text, also in a DAG with ``render_template_as_native_obj=True``.

    Native rendering makes 1.1 of '1.10', and 1000 of '1_000': of a variable or a tag, which are texts, it would lose what was written.

    :param render: Airflow's own way, for what is no text.
    """
    if isinstance(content, str):
        from jinja2 import Template
        from jinja2.compiler import CodeGenerator

        texts = jinja_env.overlay()
        texts.code_generator_class, texts.template_class, texts.concat = CodeGenerator, Template, "".join
        return texts.from_string(content).render(context)
    if isinstance(content, dict):
        return {name: rendered_texts(value, context, jinja_env, render) for name, value in content.items()}
    if isinstance(content, list):
        return [rendered_texts(value, context, jinja_env, render) for value in content]
    return render(content)


def _why_missing(message: str, content: Any, *, has_date: bool) -> str | None:
    gone = re.match(rf"'{_DATES_OF_AIRFLOW_2}' is undefined", message)
    if gone is not None:
        return f"Airflow 3 has no '{gone[1]}' any more"
    name = None if has_date else _missing_date(message, content)
    if name is None:
        return None
    return f"this run has no logical date (it was triggered by hand or by an asset), so '{name}' does not exist"


def _missing_date(message: str, content: Any) -> str | None:
    """Return which date jinja has missed: one of the context, or an attribute of ``dag_run``, which is there and None."""
    found = re.match(rf"'{_DATES}' is undefined", message)
    if found is None and message.startswith("'None' has no attribute"):
        found = re.search(rf"\b{_DATES}\b", str(content))
    return found[1] if found else None


def refuse_unstorable(parameters: Any, task_id: str) -> None:
    """
    Refuse nan and infinity in a DAG file's parameters.

    Airflow writes them into the serialized DAG, which is JSON and has none: PostgreSQL refuses the DAG, and its import shows no error.

    :raises NotebookJobConfigError: names the parameter.
    """
    path = unstorable(parameters)
    if path is None:
        return
    from airflow_nbjobs.core.errors import NotebookJobConfigError

    where, value = path
    raise NotebookJobConfigError(
        f"task '{task_id}': {where} is {value}, which Airflow cannot store in a DAG; give the text '{value}': it arrives as a "
        "float where the default or the annotation in the notebook's 'parameters' cell is a float"
    )


def unstorable(value: Any, path: str = "parameters", levels: int = _LEVELS) -> tuple[str, float] | None:
    """Return the first nan or infinity in a value of lists and dicts, and where it is; None where there is none."""
    if isinstance(value, float):
        return None if math.isfinite(value) else (path, float(value))
    if levels and isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, float | dict | list | tuple):
                found = unstorable(item, f"{path}[{key!r}]", levels - 1)
                if found is not None:
                    return found
    return None
