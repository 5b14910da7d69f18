"""
``@task.sagemaker_notebook_job``: a notebook as a task whose function returns the notebook's parameters.

Imported whenever a DAG file uses it: nothing but ``airflow.sdk`` and the operator at module level; the rest is imported as the task runs.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

# Not `task_decorator_factory`: what it makes knows the function's arguments only, and cannot say where one of the operator's belongs.
from airflow.sdk.bases.decorator import DecoratedOperator, _TaskDecorator

from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.task.groups import groups_around
from airflow_nbjobs.task.template_fields import TemplateFields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import _GeneratorContextManager
    from typing import ParamSpec, Protocol, Unpack

    from airflow.sdk import Context, XComArg

    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.task.argument_types import DecoratorArguments, OverrideArguments
    from airflow_nbjobs.task.run import TaskRun

_NAME = "@task.sagemaker_notebook_job"
_OF_FUNCTION = ("op_args", "op_kwargs")


class _FieldsAndFunction(TemplateFields):
    """The operator's template fields, after the arguments of the function where it has any."""

    def __get__(self, operator: Any, owner: type) -> Sequence[str]:
        fields = super().__get__(operator, owner)
        if operator is None:
            return (*_OF_FUNCTION, *fields)
        value_of = vars(operator).get
        return (*[name for name in _OF_FUNCTION if value_of(name)], *fields)


class _DecoratedNotebookJobOperator(DecoratedOperator, SageMakerNotebookJobOperator):
    """A notebook task whose parameters a function returns, in the first process of a try."""

    custom_operator_name = _NAME
    template_fields = _FieldsAndFunction()
    template_fields_renderers = {  # noqa: RUF012 - Airflow's own form
        **DecoratedOperator.template_fields_renderers,
        **SageMakerNotebookJobOperator.template_fields_renderers,
    }
    # The parameters are known once the function has been called.
    overwrite_rtif_after_execution = True

    def __init__(self, *, python_callable: Callable[..., Any], **arguments: Any) -> None:
        try:
            super().__init__(python_callable=python_callable, **arguments)
        except TypeError as error:
            raise _explained(error, python_callable) from error

    def _hook_apply_defaults(self, *args: Any, **arguments: Any) -> tuple[Any, Any]:
        """Leave the function's arguments to its call: Airflow would fill them from ``default_args``, which are the operator's."""
        return args, arguments

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        if parent is not self:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
            return
        from airflow_nbjobs.task.returned_parameters import recall_returned, show_arguments

        fields = list(template_fields)
        first = [name for name in fields if name in _OF_FUNCTION]
        BaseOperator._do_render_template_fields(self, self, first, context, jinja_env, seen_oids)  # noqa: SLF001
        show_arguments(self, context)
        others = [name for name in fields if name not in _OF_FUNCTION]
        super()._do_render_template_fields(self, others, context, jinja_env, seen_oids)
        self._has_returned = recall_returned(self, context)

    def _run_in(self, context: Context) -> _GeneratorContextManager[TaskRun]:
        self._context = context
        return super()._run_in(context)

    def execute(self, context: Context) -> Any:
        """
        Call the function, then submit the job with what it returns and wait for it as asked.

        :raises NotebookJobConfigError: the function returns no parameters, and as the operator does.
        """
        from airflow_nbjobs.task.error_recording import recorded_error

        with recorded_error(self, context):
            self._take_returned(context)
        # Not Airflow's own `execute` of decorated tasks, which fails in 3.0.6 and adds nothing here.
        return SageMakerNotebookJobOperator.execute(self, context)

    def job_arguments(self) -> JobArguments:
        if not getattr(self, "_has_returned", False):
            # Resumed without what the function has returned in this try: Airflow 3.0 resumes a retry in place of beginning it anew.
            self._take_returned(self._context)
        return super().job_arguments()

    def _take_returned(self, context: Context) -> None:
        from airflow_nbjobs.task.rendered_again import refuse_unrendered
        from airflow_nbjobs.task.returned_parameters import call_function, remember_returned, take_returned

        refuse_unrendered(self)
        returned = call_function(self, context)
        take_returned(self, returned, context)
        remember_returned(self, returned, context)
        self._has_returned = True


class _NotebookJobTask(_TaskDecorator[Any, Any, Any]):
    """A decorated function: called, it becomes a task; says which of the many arguments belongs where."""

    def __call__(self, *args: Any, **kwargs: Any) -> XComArg:
        _refuse_arguments_of_operator(self.function, kwargs, "call")
        return super().__call__(*args, **kwargs)

    def _validate_arg_names(self, func: Any, kwargs: dict[str, Any]) -> None:
        _refuse_arguments_of_operator(self.function, kwargs, func)
        super()._validate_arg_names(func, kwargs)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> XComArg:
        for each in kwargs if isinstance(kwargs, list | tuple) else ():
            if isinstance(each, dict):
                _refuse_arguments_of_operator(self.function, each, "expand_kwargs")
        return super().expand_kwargs(kwargs, strict=strict)

    def _expand(self, expand_input: Any, *, strict: bool) -> XComArg:
        mapped: Any = super()._expand(expand_input, strict=strict)
        # Airflow makes the operator of a mapped task on the worker only.
        operator = mapped.operator
        sources: tuple[Any, ...] = (
            self.kwargs,
            self.kwargs.get("default_args"),
            operator.dag and operator.dag.default_args,
        )
        for group in groups_around(operator.task_group):
            sources += (group.default_args, getattr(group, "notebook_arguments", None))
        if not any("input_notebook" in (source or {}) for source in sources):
            raise TypeError(_needs_notebook(self.function))
        return mapped  # type: ignore[no-any-return]

    def override(self, **arguments: Any) -> _NotebookJobTask:
        _refuse_unknown(self.function, arguments)
        arguments.pop("multiple_outputs", None)  # False, as it is
        overridden: Any = super().override(**arguments)
        return overridden  # type: ignore[no-any-return]


def _decorated(function: Any, arguments: dict[str, Any]) -> _NotebookJobTask:
    if isinstance(function, _TaskDecorator) or getattr(function, "_airflow_is_task_decorator", False):
        raise TypeError(
            f"{_place(function.function)} is a task already: one @task… decorator makes one task; remove one of the two"
        )
    if isinstance(function, staticmethod | classmethod | type) or not callable(function):
        raise TypeError(f"{_NAME}(…) goes above a function (def …), not above {function!r}")
    _refuse_kind(function)
    _refuse_unknown(function, arguments)
    return _NotebookJobTask(
        function=function,
        # A function that is annotated `-> dict` returns the notebook's parameters: they are no results to be pushed one by one.
        multiple_outputs=False,
        operator_class=_DecoratedNotebookJobOperator,
        kwargs={name: value for name, value in arguments.items() if name != "multiple_outputs"},
        decorator_name=_NAME.removeprefix("@"),
    )


def _refuse_kind(function: Any) -> None:
    plain = inspect.unwrap(function)
    plain = getattr(plain, "func", plain)  # of functools.partial
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        raise TypeError(
            f"{_place(function)} is async: {_NAME} takes a plain def, which returns the notebook's parameters before the job is submitted. "
            "Remove 'async'; the task waits for its job without a worker anyway"
        )
    if inspect.isgeneratorfunction(plain):
        raise TypeError(
            f"{_place(function)} has a yield: it has to return one dict, the notebook's parameters. "
            "For a job for each of many dicts, let an upstream @task return a list, and map over it with .expand"
        )


def _refuse_unknown(function: Any, arguments: Mapping[str, Any]) -> None:
    if arguments.get("multiple_outputs"):
        raise TypeError(
            f"multiple_outputs on {_place(function)}: what the function returns are the notebook's parameters. Its results are named by outputs=[…], "
            "and each is an XCom of its own: result = …(…); result['accuracy']"
        )
    arguments_of_task = _operator_arguments()
    unknown = [name for name in arguments if name not in arguments_of_task and name != "multiple_outputs"]
    if unknown:
        raise TypeError(f"{_NAME} on {_place(function)}: {'; '.join(_unknown(name, function) for name in unknown)}")


def _unknown(name: str, function: Any) -> str:
    if name in _signature(function):
        return f"'{name}' is an argument of the function: pass it in the call, {function.__name__}({name}=…)"
    near = _near(name, _operator_arguments())
    return f"there is no argument '{name}'" + (
        near or f"; a parameter of the notebook goes into parameters={{'{name}': …}}, or is returned"
    )


def _refuse_arguments_of_operator(function: Any, arguments: Mapping[str, Any], called: str) -> None:
    """Refuse what the function does not take; of a function that takes everything, what it would take from the notebook job."""
    if not arguments:
        return  # most calls give theirs by their place
    signature = _signature(function)
    takes_all = any(each.kind is each.VAR_KEYWORD for each in signature.values())
    of_operator = _operator_arguments()
    wrong = [name for name in arguments if name not in signature and (name in of_operator or not takes_all)]
    if not wrong:
        return
    place, name = _place(function), wrong[0]
    call = f"{function.__name__ if called == 'call' else f'{function.__name__}.{called}'}({name}=…)"
    if name in of_operator:
        raise TypeError(
            f"{call}: '{name}' is an argument of the notebook job and none of {place}; {_where_to(name, function, called)}"
        )
    raise TypeError(f"{call}: {place} takes ({', '.join(signature)}) and no '{name}'{_near(str(name), signature)}")


def _where_to(name: str, function: Any, called: str) -> str:
    if called in {"call", "partial"}:
        return f"give it to the decorator, {_NAME}({name}=…), or write {function.__name__}.override({name}=…)"
    if name not in SageMakerNotebookJobOperator.template_fields:
        return f"it is the same for all that is mapped: give it to the decorator, {_NAME}({name}=…)"
    named = [each for each, parameter in _signature(function).items() if parameter.kind is not parameter.VAR_KEYWORD]
    return (
        "only the function's own arguments can be mapped. Give it one, and take it in the decorator: "
        f"{_NAME}({name}='{{{{ choice }}}}') above def {function.__name__}({', '.join([*named, 'choice'])}), then .{called} over choice"
    )


def _explained(error: TypeError, function: Any) -> TypeError:
    said = str(error)
    if "'input_notebook'" in said and "missing keyword argument" in said:
        return TypeError(_needs_notebook(function))
    if any(
        each in said for each in ("a required argument", "positional arguments", "keyword argument", "multiple values")
    ):
        return TypeError(f"{_place(function)} takes ({', '.join(_signature(function))}): {said}")
    return error


def _needs_notebook(function: Any) -> str:
    return f"{_place(function)} has no notebook: write {_NAME}(input_notebook='notebooks/report.ipynb') above it"


def _near(name: str, names: Iterable[str]) -> str:
    from airflow_nbjobs.core.guesses import (
        did_you_mean,
    )  # difflib: a millisecond of each parse that nobody's mistake needs

    return did_you_mean(name, names)


def _place(function: Any) -> str:
    from airflow_nbjobs.task.returned_parameters import described

    return described(function)


def _signature(function: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


@cache
def _operator_arguments() -> frozenset[str]:
    """Return every argument that the operator takes, with Airflow's own."""
    of_all = (inspect.signature(each.__init__).parameters for each in (SageMakerNotebookJobOperator, BaseOperator))
    return frozenset().union(*of_all) - {"self", "kwargs"} | {"on_failure_fail_dagrun"}


if TYPE_CHECKING:
    P = ParamSpec("P")

    class NotebookJobTask(Protocol[P]):
        """A decorated function, as a type checker sees it."""

        @property
        def __wrapped__(self) -> Callable[P, Mapping[str, Any]]: ...
        @property
        def function(self) -> Callable[P, Mapping[str, Any]]: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> XComArg: ...
        def partial(self, **kwargs: Any) -> NotebookJobTask[...]: ...
        def expand(self, **kwargs: Any) -> XComArg: ...
        def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> XComArg: ...
        def override(self, **arguments: Unpack[OverrideArguments]) -> NotebookJobTask[P]: ...

    def sagemaker_notebook_job(
        **arguments: Unpack[DecoratorArguments],
    ) -> Callable[[Callable[P, Mapping[str, Any]]], NotebookJobTask[P]]:
        """Run a notebook as a SageMaker notebook job, with the parameters that the decorated function returns."""

else:

    def sagemaker_notebook_job(*function: Any, **arguments: Any) -> Any:
        """
        Run a notebook as a SageMaker notebook job, with the parameters that the decorated function returns.

        .. code-block:: python

            @task.sagemaker_notebook_job(input_notebook="notebooks/score.ipynb", outputs=["score"])
            def score(orders: list, params: dict) -> dict:
                return {"amounts": [order["amount"] for order in orders], "limit": params["limit"]}


            scored = score(load_orders())
            report(scored["score"])

        The function runs in the worker, before the job is submitted, once a try; what of the context it names, it gets. It returns a dict: the notebook's
        parameters, which are passed as they are and never rendered. Those of ``parameters=`` are added where it does not return a value of that name.
        Templates of the other arguments may take the function's own arguments: ``instance_type="{{ machine }}"``.

        :param arguments: ``SageMakerNotebookJobOperator``'s, by name; ``task_id`` is the function's name unless given.
        :raises TypeError: an argument that belongs elsewhere, or a function that cannot return a dict; says what to write.
        """
        if not function:
            return lambda decorated: _decorated(decorated, dict(arguments))
        if isinstance(function[0], str):
            raise TypeError(f"{_NAME}({function[0]!r}): name the argument, {_NAME}(input_notebook={function[0]!r})")
        if len(function) > 1:
            raise TypeError(f"{_NAME} takes its arguments by name: {_NAME}(input_notebook='notebooks/report.ipynb')")
        return _decorated(function[0], arguments)
