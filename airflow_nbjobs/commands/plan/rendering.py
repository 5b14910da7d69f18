"""
A task's arguments, rendered as far as the given run tells.

Called by ``tasks.py``. What is not known is left out of the task, with a stand-in where the checks need a value, and said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.param import DagParam

from airflow_nbjobs.commands.plan.context import NeedsRun
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job.parsers import is_absent
from airflow_nbjobs.core.job.xcoms import is_output
from airflow_nbjobs.core.texts import is_template, shortened
from airflow_nbjobs.core.values.not_known import NotKnown
from airflow_nbjobs.task.groups import is_notebook_task
from airflow_nbjobs.task.parameters import render_parameters
from airflow_nbjobs.task.template_dates import explained_dates, rendered_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.commands.plan.context import Context

_TEXTS = ("environment_variables", "tags")
_OF_FUNCTION = ("op_args", "op_kwargs")


class RenderedTask:
    """
    A task whose fields are rendered in place.

    :param task: a copy that is the caller's.
    """

    def __init__(self, task: Any, context: Context) -> None:
        self.task = task
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.not_known: dict[str, str] = {}  # argument -> what it is made of
        self.tokens: dict[str, str] = {}  # stand-in of a text -> the template
        self.parameters: dict[str, NotKnown] = {}  # those whose values are not known
        self._context = context
        self._environment = task.get_template_env()
        context.watch(self._environment)
        for name in task.template_fields:
            if name not in _OF_FUNCTION:
                self._render_field(name)

    def _render_field(self, name: str) -> None:
        value = getattr(self.task, name, None)
        if name == "parameters":
            self._render_parameters(value)
        elif name in (*_TEXTS, "extra_request") and isinstance(value, dict | list):
            setattr(self.task, name, self._with_tokens(name, value))
        elif name == "additional_dependencies" and isinstance(value, list | tuple):
            rendered = [self._rendered(name, each) for each in value]
            unknown = [each.text for each in rendered if isinstance(each, NotKnown)]
            if unknown:
                self.not_known[name] = ", ".join(unknown)
            self.task.additional_dependencies = [each for each in rendered if not isinstance(each, NotKnown)]
        else:
            rendered = self._rendered(name, value)
            if isinstance(rendered, NotKnown):
                self.not_known[name] = rendered.text
                rendered = None
            setattr(self.task, name, rendered)

    def _render_parameters(self, value: Any) -> None:
        if isinstance(value, dict):
            value = {key: self._of_params(each) if isinstance(each, DagParam) else each for key, each in value.items()}
            rendered = {name: self._rendered(f"parameters[{name!r}]", each) for name, each in value.items()}
            self.parameters = {name: each for name, each in rendered.items() if isinstance(each, NotKnown)}
            value = {name: each for name, each in value.items() if name not in self.parameters}
        else:
            whole = self._rendered("parameters", value)
            if isinstance(whole, NotKnown):
                self.not_known["parameters"], value = whole.text, None
        if value is None:
            self.task.parameters = None
            return
        known = render_parameters(
            self.task,
            value,
            context=self._context,  # type: ignore[arg-type]  # with what a run would add left out
            environment=self._environment,
            skip=set(),
            render=self._plain,
        )
        self.task._rendered_parameters = known  # noqa: SLF001 - of an operator of ours
        stored = known.stored
        self.task.parameters = {**stored, **self.parameters} if isinstance(stored, dict) else stored

    def _plain(self, value: Any) -> Any:
        context: Any = self._context
        return BaseOperator.render_template(self.task, value, context, self._environment)

    def _rendered(self, name: str, value: Any) -> Any:
        """Return the value, or ``NotKnown`` if a part of it is not known; what cannot be rendered at all is a problem."""
        if isinstance(value, DagParam):
            value = self._of_params(value)
        parts = list(_unresolved(value))
        if parts:
            self.warnings += [f"{name}: {text}" for each in parts if (text := missing_output(each))]
            return NotKnown(", ".join(map(reference_text, parts)))
        if not any(is_template(text) for text in _texts(value)):
            return value
        shown = value if isinstance(value, str) else shortened(repr(value))
        self._context.has_asked = False
        try:
            with explained_dates(value, self._context):  # type: ignore[arg-type]
                rendered = _defined(self._plain(value))
        except NotebookJobConfigError as error:
            self.problems.append(f"{name}: {'; '.join([error.headline, *error.details.values()])}")
            return NotKnown(shown)
        except Exception as error:  # noqa: BLE001 - a template may do whatever its macros do
            if not self._context.has_asked or _names_nothing(error):
                self.problems.append(f"{name}: {shown!r} cannot be rendered: {error}")
            return NotKnown(shown)
        if self._context.has_asked or self._is_left_to_conf(name, value, rendered):
            return NotKnown(shown)
        return rendered

    def _of_params(self, reference: DagParam) -> Any:
        """Return what ``dag.param("name")`` stands for: the run's param of that name."""
        name = reference._name  # noqa: SLF001 - Airflow has no public name for it
        return self._context["params"].get(name, reference._default)  # noqa: SLF001

    def _is_left_to_conf(self, name: str, value: Any, rendered: Any) -> bool:
        """Say whether an argument is empty because its param has no more than a place to be filled in, and no conf was given; to a notebook, an empty text is a value."""
        if name.startswith("parameters") or not is_absent(rendered) or not isinstance(value, str):
            return False
        return "params" in value and isinstance(self._context["dag_run"].conf, NeedsRun)

    def _with_tokens(self, name: str, value: Any) -> Any:
        """Return a mapping or list with a token in place of each text that is not known."""
        if isinstance(value, dict):
            return {key: self._with_tokens(f"{name}[{key!r}]", each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._with_tokens(name, each) for each in value]
        rendered = self._rendered(name, value)
        if isinstance(rendered, NotKnown):
            token = f"nbjobsnotknown{len(self.tokens):04d}x"
            self.tokens[token] = rendered.text
            return token
        if isinstance(value, str) and name.startswith(_TEXTS):
            return rendered_texts(value, self._context, self._environment, lambda part: part)  # type: ignore[arg-type]
        return rendered


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what a value holds at any depth that is no collection itself."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        yield value
        return
    for each in value:
        yield from _leaves(each)


def _unresolved(value: Any) -> Iterator[Any]:
    """Yield the references to what another task will give."""
    return filter(is_reference, _leaves(value))


def _texts(value: Any) -> Iterator[str]:
    return (each for each in _leaves(value) if isinstance(each, str))


def is_reference(value: object) -> bool:
    """Say whether a value is what an upstream task or a mapped group gives."""
    return hasattr(value, "resolve") and hasattr(value, "iter_references")


def reference_text(reference: Any) -> str:
    """Return in words what an upstream task or a mapped group gives."""
    operator = getattr(reference, "operator", None)
    if operator is not None and hasattr(reference, "key"):
        key = "" if reference.key == "return_value" else f" '{reference.key}'"
        return f"XCom{key} of '{operator.task_id}'"
    tasks = dict.fromkeys(task.task_id for task, _ in reference.iter_references())
    if isinstance(reference, DagParam):
        return "a param of the run"
    return f"XComs of {', '.join(repr(each) for each in tasks)}" if tasks else "what its group is mapped over"


def missing_output(reference: Any) -> str | None:
    """Return what is wrong with a reference to an XCom that its task, a notebook's, never pushes."""
    operator, key = getattr(reference, "operator", None), getattr(reference, "key", None)
    if operator is None or not isinstance(key, str) or not is_output(key) or not is_notebook_task(operator):
        return None
    declared = getattr(operator, "partial_kwargs", vars(operator)).get("outputs")
    names = [str(each) for each in declared or ()] if not isinstance(declared, str) else []
    if key in names or "outputs" in getattr(getattr(operator, "expand_input", None), "value", ()):
        return None
    hint = did_you_mean(key, names) or (f"; it declares {', '.join(names)}" if names else "; it declares none")
    return f"task '{operator.task_id}' declares no output '{key}'{hint}"


def _defined(value: Any) -> Any:
    """Return what was rendered; of native rendering, which gives jinja's *undefined* as it is, the text that it becomes, or its error."""
    from jinja2 import Undefined

    return str(value) if isinstance(value, Undefined) else value


def _names_nothing(error: Exception) -> bool:
    """Say whether a template has named what no run has."""
    from jinja2 import UndefinedError

    return isinstance(error, UndefinedError) and str(error).endswith("is undefined")
