"""
A task's parameters on their way from Airflow to its job: rendered, and without what Airflow wraps them in.

Called while a task's fields are rendered and by ``task/prepare.py``; never while DAGs are parsed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.parsers import json_object
from airflow_nbjobs.core.values.conversion import Spelled
from airflow_nbjobs.core.values.from_params import choose, unused_conf
from airflow_nbjobs.core.values.params_entry import KEY, VALUE, asks_for_params

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import BaseOperator, Context

_NATIVE = "native rendering (render_template_as_native_obj)"
_LEVELS = 60  # of lists and dicts: more than a parameter may have


class RenderedParameters(msgspec.Struct, frozen=True):
    """
    A task's rendered parameters, as Airflow stores them beside the task, and what the job gets in place of them.

    Stored are JSON values. The job gets nan and infinity as well, and with native rendering each text beside what was made of it:
    of "12345" native rendering makes a number, whatever the notebook's parameter is.

    :param instead: by name: the value as it is stored, and the one that it stands for.
    :param from_params: what is stored of the run's params, in place of the entry that asks for them (``core.values.params_entry``); None: nothing asks.
    """

    stored: Any
    instead: Mapping[str, tuple[Any, Any]]
    from_params: Mapping[str, Any] | None = None

    def for_job(self, parameters: Any) -> Any:
        """Return a task's parameters for its job; what a user has put there since they were rendered stays."""
        if not isinstance(parameters, dict):
            return parameters
        nothing = (object(), None)
        shown = self.from_params or {}
        pairs = (
            (name, value, self.instead.get(name, nothing))
            for name, value in parameters.items()
            if name not in shown or value is not shown[name]
        )
        asking = {} if self.from_params is None else {KEY: VALUE}
        return asking | {name: given if value is stored else value for name, value, (stored, given) in pairs}


def render_parameters(
    operator: BaseOperator,
    content: Any,
    *,
    context: Context,
    environment: Any,
    skip: set[int],
    render: Callable[[Any], Any],
) -> RenderedParameters:
    """
    Render a task's parameters.

    :param environment: jinja's.
    :param skip: ids of objects that Airflow leaves as they are: what a mapped task is expanded with.
    :param render: as Airflow renders anything.
    """
    if _is_native(operator):
        given = _native(content, lambda text: _native_text(text, context, environment), skip, render)
        if isinstance(given, Spelled):
            given = given.value  # all parameters come from one template
    else:
        given = render(content)
    given = plain(given)
    if isinstance(given, str):
        with suppress(ValueError):  # a text that says no mapping is refused with all that is wrong
            given = json_object(given)
    shown = None
    if asks_for_params(given):
        given = {name: value for name, value in given.items() if name != KEY}
        shown = _stored(_shown_params(operator, context, given), _LEVELS)
    stored = _stored(given, _LEVELS)
    if not isinstance(given, dict):
        return RenderedParameters(stored, {})
    return RenderedParameters(
        {**(shown or {}), **stored},
        {name: (stored[name], value) for name, value in given.items() if _is_stored_otherwise(value, _LEVELS)},
        shown,
    )


def with_returned(operator: BaseOperator, returned: dict[str, Any], *, context: Context) -> RenderedParameters:
    """
    Return a task's parameters with those over them that its function has returned: both may ask for the run's params.

    What the job gets of the task's own stays as it was rendered.

    :param operator: whose parameters are rendered, and a dictionary if anything.
    :param returned: JSON-like, never rendered.
    """
    rendered: RenderedParameters = getattr(operator, "_rendered_parameters", None) or RenderedParameters(None, {})
    task: Any = operator
    merged = {**(task.parameters or {}), **returned}
    instead = {name: pair for name, pair in rendered.instead.items() if name not in returned}
    earlier = {name: value for name, value in (rendered.from_params or {}).items() if name not in returned}
    if not asks_for_params(merged):
        return RenderedParameters(merged, instead, None if rendered.from_params is None else earlier)
    own = {
        name: value
        for name, value in merged.items()
        if name != KEY and not (name in earlier and value is earlier[name])
    }
    shown = _stored(_shown_params(operator, context, own), _LEVELS)
    return RenderedParameters({**shown, **own}, instead, shown)


def params_of(context: Context) -> dict[str, Any]:
    """Return the run's params: its conf over the task's over the DAG's, as Airflow has checked them."""
    params: Any = context.get("params")
    return {str(name): params[name] for name in params} if params else {}


def unused_conf_of(context: Context) -> str:
    """Say what of the run's conf Airflow's configuration keeps from being a param; empty where nothing is."""
    from airflow.configuration import conf

    if conf.getboolean("core", "dag_run_conf_overrides_params", fallback=True):
        return ""
    dag_run: Any = context.get("dag_run")
    return unused_conf(getattr(dag_run, "conf", None), params_of(context))


def _shown_params(operator: Any, context: Context, given: dict[str, Any]) -> dict[str, Any]:
    """
    Return what Airflow shows of the run's params beside the task: those that the notebook gets.

    All of them where that is not known yet, of a notebook in S3; one that cannot be read fails the task later, with all else that is wrong.
    """
    from airflow_nbjobs.task.identity import search_folders
    from airflow_nbjobs.task.notebook_cell import read_cell

    params = params_of(context)
    try:
        declaration = read_cell(operator.input_notebook, search_folders(operator, context))
    except NotebookJobConfigError:
        return params
    return dict(choose(declaration, params, given).values) if declaration.tree is not None else params


def _is_native(operator: BaseOperator) -> bool:
    own = getattr(operator, "render_template_as_native_obj", None)  # Airflow 3.2 and later
    dag = operator.get_dag()
    return bool(own if own is not None else dag is not None and dag.render_template_as_native_obj)


def _native(value: Any, text: Callable[[str], Any], skip: set[int], render: Callable[[Any], Any]) -> Any:
    if id(value) in skip:
        return value
    if isinstance(value, str):
        return text(value)
    if type(value) is list:
        return [_native(part, text, skip, render) for part in value]
    if type(value) is dict:
        return {key: _native(part, text, skip, render) for key, part in value.items()}
    return render(value)


def _native_text(template: str, context: Context, environment: Any) -> Any:
    """Return what jinja makes of the template; with the text, where it was one and is another value now."""
    from jinja2 import Undefined
    from jinja2.nativetypes import native_concat

    parts = list(environment.from_string(template).generate(context))  # once: a template may ask Airflow, or draw lots
    whole = parts[0] if len(parts) == 1 else "".join(map(str, parts))
    if isinstance(whole, Undefined):
        return str(whole)  # an error, unless the DAG allows what is undefined
    if not isinstance(whole, str):
        return Spelled(whole, None, _NATIVE)
    value = native_concat(parts)
    return value if type(value) is str and value == whole else Spelled(value, whole, _NATIVE)


def plain(value: Any, levels: int = _LEVELS) -> Any:
    """Return the value with the sequences of mapped tasks as lists: ``expand(…).output``, and what ``map``, ``zip`` and ``concat`` make of it."""
    kind = type(value)
    if not levels or kind in {str, int, float, bool, type(None)}:
        return value
    if kind is list:
        return [plain(item, levels - 1) for item in value]
    if kind is dict:
        return {key: plain(item, levels - 1) for key, item in value.items()}
    if isinstance(value, Spelled):
        return value if value.text is not None else Spelled(plain(value.value, levels), None, value.by)
    if not kind.__module__.startswith("airflow."):
        return value
    if isinstance(value, Mapping):
        return {key: plain(value[key], levels - 1) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | tuple | list):
        items = value[:] if kind.__name__ == "LazyXComSequence" else [value[index] for index in range(len(value))]
        # zip() gives tuples.
        return [plain(list(item) if type(item) is tuple else item, levels - 1) for item in items]
    return value


def _is_stored_otherwise(value: Any, levels: int) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if levels and type(value) in {list, dict}:
        parts = value.values() if isinstance(value, dict) else value
        return any(_is_stored_otherwise(part, levels - 1) for part in parts)
    return isinstance(value, Spelled)


def _stored(value: Any, levels: int) -> Any:
    if isinstance(value, Spelled):
        return _stored(value.value, levels)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if levels and type(value) is list:
        return [_stored(item, levels - 1) for item in value]
    if levels and type(value) is dict:
        return {key: _stored(item, levels - 1) for key, item in value.items()}
    return value
