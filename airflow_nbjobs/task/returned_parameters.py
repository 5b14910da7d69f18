"""
The parameters that a decorated function returns: checked, merged with those of the decorator, and kept over a deferral.

Called by the decorated operator, in a worker; never while DAGs are parsed.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import is_resumed, job_xcom, task_instance_key
from airflow_nbjobs.core.job.xcoms import PARAMETERS_KEY, VERSION, read_record
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.task.index_names import own_name, set_name
from airflow_nbjobs.task.masking import masked_value
from airflow_nbjobs.task.parameters import plain, with_returned
from airflow_nbjobs.task.retryable import FatalNotebookJobConfigError
from airflow_nbjobs.task.template_dates import unstorable

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context


def call_function(task: Any, context: Context) -> dict[str, Any]:
    """
    Call a decorated task's function as Airflow calls those of its own decorators, and return the parameters that it returns.

    What of the context the function names, it gets; what was given to it wins.

    :param task: with rendered ``op_args`` and ``op_kwargs``.
    :raises NotebookJobConfigError: it returns no parameters; names the function and its file.
    """
    values: Any = context
    arguments = _arguments(task.python_callable, len(task.op_args), {**values, **task.op_kwargs})
    return _checked(task.python_callable(*task.op_args, **arguments), task)


def _arguments(function: Callable[..., Any], given: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a function takes by name, beside its first ``given`` arguments."""
    parameters = inspect.signature(function).parameters
    taken = {*list(parameters)[:given]} | {
        name for name, each in parameters.items() if each.kind is each.POSITIONAL_ONLY
    }
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    names = values if takes_all else parameters
    return {name: values[name] for name in names if name in values and name not in taken}


def show_arguments(task: Any, context: Context) -> None:
    """
    Let the task's templates and its ``map_index_template`` take the function's arguments by name, as those of ``@task`` do once it has run.

    An argument that is not given has the function's default. What Airflow itself calls so stays Airflow's.

    :param task: with rendered ``op_args`` and ``op_kwargs``.
    """
    values: Any = context
    parameters = inspect.signature(task.python_callable).parameters.values()
    given = {each.name: each.default for each in parameters if each.default is not each.empty}
    by_place = [each.name for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
    given |= dict(zip(by_place, task.op_args, strict=False))
    given |= {
        each.name: tuple(task.op_args[len(by_place) :]) for each in parameters if each.kind is each.VAR_POSITIONAL
    }
    given |= task.op_kwargs
    values.update({name: value for name, value in given.items() if name not in values})


def _checked(returned: Any, task: Any) -> dict[str, Any]:
    returned = plain(returned)
    where = described(task.python_callable)
    if not isinstance(returned, Mapping):
        raise FatalNotebookJobConfigError(
            f"task '{task.task_id}': {where} returned {_what(returned)}; it has to return the notebook's parameters, a dict by name",
            details={"next": _advice(returned)},
        )
    wrong = [name for name in returned if not isinstance(name, str)]
    if wrong:
        raise FatalNotebookJobConfigError(
            f"task '{task.task_id}': {where} returned a dict with the key{'s' * (len(wrong) > 1)} "
            f"{shortened(', '.join(map(repr, wrong)))}; a notebook's parameters have names, which are texts",
            details={"next": f"write {str(wrong[0])!r}, or what the notebook's 'parameters' cell calls it"}
            if len(wrong) == 1
            else {"next": "take the names that the notebook's 'parameters' cell assigns"},
        )
    found = {str(name): plain(value) for name, value in returned.items()}
    path = unstorable(found)
    if path is not None:
        place, value = path
        raise FatalNotebookJobConfigError(
            f"task '{task.task_id}': {where} returned {place} = {value}, which Airflow cannot store: JSON has no such number",
            details={
                "next": f"return the text '{value}': it arrives as a float where the default or the annotation in the notebook's "
                "'parameters' cell is a float"
            },
        )
    return found


def _what(returned: Any) -> str:
    if returned is None:
        return "None"
    return f"{type(returned).__name__} {shortened(_repr(returned))}"


def _repr(value: Any) -> str:
    # Masked here, before it is cut: the task's hook, which has texts masked everywhere, is made later.
    try:
        return masked_value(value, repr)
    except Exception as error:  # noqa: BLE001 - of any type, whose repr may do anything
        return f"<{type(error).__name__} in its repr>"


def _advice(returned: Any) -> str:
    match returned:
        case None:
            return "end the function in a return, such as `return {'epochs': 3}`; `return {}` leaves the notebook its own defaults"
        case str():
            return "return the dict itself, not a text of it"
        case list() | tuple() if returned and all(isinstance(each, Mapping) for each in returned):
            return "a job for each of these dicts: let an upstream @task return the list, and map over it with .expand"
        case _ if inspect.isawaitable(returned):
            return "make the function a plain def that returns its dict: nothing awaits it"
    if hasattr(returned, "iter_references"):
        return "call the other task where the DAG is built, and hand its result to this function as an argument"
    return "give each value the name of a variable of the notebook's 'parameters' cell: `return {'rows': rows}`"


def described(function: Callable[..., Any]) -> str:
    """Return a decorated function in words, with its file and line: ``the function 'score' (dag.py, line 31)``."""
    function = inspect.unwrap(function)
    name = getattr(function, "__name__", type(function).__name__)
    code = getattr(function, "__code__", None)
    return f"the function '{name}'" + (f" ({Path(code.co_filename).name}, line {code.co_firstlineno})" if code else "")


def take_returned(task: Any, returned: dict[str, Any], context: Context) -> None:
    """
    Make what the function has returned the task's parameters: over those of the decorator, name by name; ``FROM_PARAMS`` may be in either.

    :raises NotebookJobConfigError: the decorator's are no mapping.
    """
    given = task.parameters
    if given is not None and not isinstance(given, Mapping):
        raise FatalNotebookJobConfigError(
            f"task '{task.task_id}': parameters={shortened(_repr(given))} of the decorator is no dict by name, "
            f"into which what {described(task.python_callable)} returns could be merged",
            details={"next": "give the decorator a dict, or leave parameters= to the function"},
        )
    task._rendered_parameters = with_returned(task, returned, context=context)  # noqa: SLF001 - of an operator of ours
    task.parameters = task._rendered_parameters.stored  # noqa: SLF001


def remember_returned(task: Any, returned: dict[str, Any], context: Context) -> None:
    """
    Push what the function has returned, for the process that resumes this try: it must not ask twice.

    As one JSON text, since Airflow gives some dicts back as something else. Values that have no JSON are left to the check of all parameters, which
    refuses them before the task can defer.
    """
    ti: Any = context["ti"]
    try:
        text = json.dumps(returned)
    except (TypeError, ValueError, RecursionError):
        return
    try:
        name = own_name(task, context)
    except Exception:  # noqa: BLE001 - told at the end, if it is no better then
        name = None
    record = {"version": VERSION, "try_number": int(ti.try_number), "parameters": text}
    ti.xcom_push(key=PARAMETERS_KEY, value=record | ({"index_name": name} if name else {}))


def recall_returned(task: Any, context: Context) -> bool:
    """
    Make what the function returned before this try deferred the task's parameters again, and its index's name; say whether there was anything.

    A record that cannot be read is told in the log: only a job that is still to be submitted needs it.
    """
    ti: Any = context["ti"]
    if not is_resumed(ti):
        return False
    try:
        record = read_record(PARAMETERS_KEY, job_xcom(PARAMETERS_KEY, **task_instance_key(ti)))
        # Airflow 3.0 resumes a retry with what the try before it has left.
        if record.get("try_number") != int(ti.try_number):
            return False
        returned = json.loads(record["parameters"])
    except Exception as error:  # noqa: BLE001 - as said above
        task.log.warning("What %s returned cannot be read: %s", described(task.python_callable), error)
        return False
    take_returned(task, returned, context)
    if name := record.get("index_name"):
        set_name(context, name)
    return True
