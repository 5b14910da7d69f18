"""
What an index of a mapped notebook task is called in Airflow's UI, where its author has not said it: "region=eu, depth=3".

Called as a task's fields are rendered and as its run ends, in a worker; never while DAGs are parsed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.values.params_entry import KEY
from airflow_nbjobs.task.groups import groups_around
from airflow_nbjobs.task.masking import masked_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow.sdk import Context

_TEMPLATE = "map_index_template"  # Airflow's, in a task's context; it renders it from there at the task's start and end
_OWN_TEMPLATE = "{{ nbjobs_index_name }}"
_OWN_VARIABLE = "nbjobs_index_name"
NAME_CHARACTERS = 100  # of 250 that Airflow stores
_VALUE_CHARACTERS = 39
_SHOWN_ITEMS = 10
# Their values say what they are.
_SPEAK_FOR_THEMSELVES = ("input_notebook", "instance_type")


@contextmanager
def named_index(task: Any, context: Context) -> Iterator[None]:
    """
    Render a task's fields inside the block; then the index of a mapped task, or of a task in a mapped group, is named after what differs between indexes.

    A ``map_index_template`` of the task wins; a task that is not mapped has no name. An index whose values cannot be told keeps its number, and a warning is logged.
    """
    values: Any = context
    index = getattr(values.get("ti"), "map_index", None)
    # As they were given, before a group added its own: rendering changes them.
    given = dict(getattr(task, "_own_arguments", None) or getattr(task, "_BaseOperator__init_kwargs", {}))
    yield
    if index is None or index < 0:
        return
    try:
        name = _default_name(task, given)
    except Exception as error:  # noqa: BLE001 - values of any type, whose text may do anything
        name = ""
        task.log.warning(
            "index %s of task '%s' is named by its number: a value that it is mapped over has no text (%s)",
            index,
            task.task_id,
            type(error).__name__,
        )
    task._index_name = name  # noqa: SLF001 - of an operator of ours
    if values.get(_TEMPLATE) is None and task._index_name:  # noqa: SLF001
        set_name(context, task._index_name)  # noqa: SLF001


def set_name(context: Context, name: str) -> None:
    """Let Airflow show this name, which is no template."""
    values: Any = context
    values[_OWN_VARIABLE], values[_TEMPLATE] = name, _OWN_TEMPLATE


def own_name(task: Any, context: Context) -> str | None:
    """
    Return what the task's own ``map_index_template`` gives now; None where it has none.

    :raises Exception: whatever its template raises.
    """
    values: Any = context
    template = values.get(_TEMPLATE)
    if template is None or template == _OWN_TEMPLATE:
        return None
    return str(task.get_template_env().from_string(template).render(context))


def keep_index_name(task: Any, context: Context) -> None:
    """
    Let a ``map_index_template`` that cannot be rendered cost a warning: Airflow would fail the task whose job has succeeded.

    Called once all is done.
    """
    try:
        own_name(task, context)
    except Exception as error:  # noqa: BLE001 - a template of the user, which may call anything
        values: Any = context
        name = getattr(task, "_index_name", "")
        task.log.warning(
            "map_index_template %r of task '%s' cannot be rendered (%s: %s): correct it; this index is named %s",
            values[_TEMPLATE],
            task.task_id,
            type(error).__name__,
            error,
            f"'{name}'" if name else "by its number",
        )
        values[_TEMPLATE] = None
        if name:
            set_name(context, name)


def _default_name(task: Any, given: Mapping[str, Any]) -> str:
    """Return a name of at most 100 characters, without secrets; empty where nothing of the task is mapped."""
    dag = task.get_dag()
    made = dag.task_dict.get(task.task_id) if dag is not None else None
    if made is None:
        return ""
    if hasattr(made, "partial_kwargs"):
        mapped, constant = _of_mapped_task(task, made, given), _constant_labels(made)
    else:
        mapped, constant = _of_task_in_mapped_group(task, made), frozenset()
    labelled = dict(_labelled(mapped))
    return _text({label: value for label, value in labelled.items() if label not in constant} or labelled)


def _of_mapped_task(task: Any, made: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the index was expanded with, by the operator's argument, rendered."""
    if hasattr(made, "op_kwargs_expand_input"):
        fixed = made.partial_kwargs.get("op_kwargs") or {}
        return {"op_kwargs": {name: value for name, value in (task.op_kwargs or {}).items() if name not in fixed}}
    expanded = made.expand_input.value
    names = expanded if isinstance(expanded, Mapping) else _names_of_dicts(task, made, given)
    fields = set(type(task).template_fields)
    return {name: _as_rendered(given.get(name), getattr(task, name)) for name in names if name in fields}


def _names_of_dicts(task: Any, made: Any, given: Mapping[str, Any]) -> list[str]:
    """Return the arguments that ``expand_kwargs`` has given: neither ``partial`` nor ``default_args`` have."""
    inherited = [each.default_args or {} for each in groups_around(task.task_group)] + [
        task.get_dag().default_args or {}
    ]
    return [
        name
        for name, value in given.items()
        if name not in made.partial_kwargs
        and not any(name in defaults and defaults[name] is value for defaults in inherited)
    ]


def _as_rendered(given: Any, rendered: Any) -> Any:
    if isinstance(given, Mapping) and isinstance(rendered, Mapping):  # without what a group has added
        return {key: rendered.get(key, value) for key, value in given.items()}
    return rendered


def _of_task_in_mapped_group(task: Any, made: Any) -> dict[str, Any]:
    """Return what comes of the group's argument, or of another task: the rest is the same in all."""
    found: dict[str, Any] = {}
    for name in task.template_fields:
        raw, rendered = getattr(made, name, None), getattr(task, name, None)
        if name == "op_args" and raw:
            names = list(inspect.signature(task.python_callable).parameters)
            raw, rendered = dict(zip(names, raw, strict=False)), dict(zip(names, rendered or (), strict=False))
        if isinstance(raw, Mapping) and isinstance(rendered, Mapping):
            varying = {key: rendered[key] for key, value in raw.items() if key in rendered and _refers(value)}
            if varying:
                found[name] = varying
        elif _refers(raw):
            found[name] = rendered
    return found


def _refers(value: Any) -> bool:
    """Say whether a value of a DAG file stands for one that is known when the task runs: of a mapped group, or another task's result."""
    if hasattr(value, "iter_references"):
        return True
    if isinstance(value, Mapping):
        return any(map(_refers, value.values()))
    return isinstance(value, list | tuple) and any(map(_refers, value))


def _constant_labels(made: Any) -> frozenset[str]:
    """Return what is the same in all indexes, as far as the DAG file says."""
    expand = getattr(made, "op_kwargs_expand_input", None)
    wrap = (lambda item: {"op_kwargs": item}) if expand is not None else (lambda item: item)
    given = getattr(expand or made.expand_input, "value", None)
    lists: Iterable[Sequence[Any]]
    if isinstance(given, Mapping):
        lists = [[{name: value} for value in values] for name, values in given.items() if isinstance(values, list)]
    else:
        lists = [given] if isinstance(given, list) else []
    return frozenset(chain.from_iterable(_same_in_all([wrap(item) for item in items]) for items in lists))


def _same_in_all(items: Sequence[Any]) -> Iterator[str]:
    if len(items) < 2 or not all(isinstance(item, Mapping) for item in items):
        return
    first, *others = [dict(_labelled(item)) for item in items]
    for label, value in first.items():
        try:
            if all(label in other and bool(other[label] == value) for other in others):
                yield label
        except Exception:  # noqa: BLE001, S112 - values of any type, whose comparison may do anything
            continue


def _labelled(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a name is made of: each parameter, each argument of a decorated function, each argument of the operator."""
    for name, value in arguments.items():
        if name in {"op_kwargs", "op_args"} and isinstance(value, Mapping):
            for key, each in value.items():
                # An argument that is a dict stands for what is in it.
                yield from _entries(each) if isinstance(each, Mapping) and each else [(key, each)]
        elif isinstance(value, Mapping):
            yield from _entries(value)
        else:
            yield name, value


def _entries(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    # That the run's params are asked for is no value of the index.
    return ((name, value) for name, value in parameters.items() if name != KEY)


def _text(labelled: Mapping[Any, Any]) -> str:
    plain = {label: value for label, value in labelled.items() if not isinstance(value, Mapping | list | tuple | set)}
    parts = [_part(str(label), value) for label, value in (plain or labelled).items()]
    return shortened(", ".join(parts), NAME_CHARACTERS - 1)


def _part(label: str, value: Any) -> str:
    flat = " ".join(masked_value(_beginning(value), str, name=label).split())
    if label in _SPEAK_FOR_THEMSELVES and isinstance(value, str):
        return flat if len(flat) <= _VALUE_CHARACTERS else f"…{flat[-_VALUE_CHARACTERS:]}"  # a path's end says more
    return f"{shortened(label, _VALUE_CHARACTERS)}={shortened(flat, _VALUE_CHARACTERS)}"


def _beginning(value: Any) -> Any:
    """Return a value; of a long list or dict its beginning."""
    if isinstance(value, Mapping):
        return dict(islice(value.items(), _SHOWN_ITEMS))
    return list(value[:_SHOWN_ITEMS]) if isinstance(value, list | tuple) else value
