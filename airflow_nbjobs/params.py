"""
The trigger form of a DAG, made of its notebook: ``notebook_params`` gives the fields, ``FROM_PARAMS`` hands what was filled in to the notebook.

Imported whenever a DAG file is parsed: the standard library only at module level.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.values.params_entry import KEY, VALUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import Param

    from airflow_nbjobs.core.values.form import Form

FROM_PARAMS: dict[str, Any] = {KEY: VALUE}
"""
As a task's ``parameters``: those of the run's params that the notebook's ``parameters`` cell has, with their types.

``parameters=FROM_PARAMS | {"day": "{{ ds }}"}`` adds others, which win. It is a dict of one entry that stands for the run's params, so it can be merged,
mapped over, put into ``default_args`` and returned by a decorated task, as any other.
"""


def notebook_params(
    notebook: str, *, only: str | Iterable[str] | None = None, titles: Mapping[str, str] | None = None
) -> dict[str, Param]:
    """
    Return the ``params`` of a DAG as its notebook's ``parameters`` cell defines them: Airflow makes the trigger form of them.

    .. code-block:: python

        with DAG("train", params=notebook_params("notebooks/training.ipynb")):
            SageMakerNotebookJobOperator(
                task_id="train", input_notebook="notebooks/training.ipynb", parameters=FROM_PARAMS
            )

    A field's type comes from the annotation, else from the default; a comment behind the line describes it; ``Literal[…]`` and the values of an enumeration
    are its choices. A default that is an expression, nan or infinity is a field that may stay empty: the notebook's own default counts then. Airflow shows
    the params of a *DAG* in the form, not those of a task.

    The file is read at every parse, so a change of the cell is a change of the DAG; a change of outputs is none. Nothing of the notebook is run.

    A notebook that is missing, cannot be read or has no such cell costs no DAG its life: the one field of the form then says what is wrong, and so does a
    warning.

    :param notebook: a path as ``input_notebook`` takes it: beside the DAG file, below the bundle's root, or absolute. At most 10 MiB.
    :param only: the names to ask for, in this order; default: all that do not begin with an underscore.
    :param titles: of fields, by the parameter's name; default: the name.
    :raises TypeError: an argument is of another type.
    :raises NotebookJobConfigError: the path is a URI or a template, which cannot be read while DAGs are parsed.
    """
    wanted = _checked(notebook, only, titles)
    from airflow.sdk import Param

    from airflow_nbjobs.core.errors import NotebookJobConfigError

    try:
        form = _form(str(notebook), _folders(sys._getframe(1)), wanted, titles or {})  # noqa: SLF001 - as Airflow finds a DAG's file
    except NotebookJobConfigError as error:
        said = f"The form has no fields for the notebook's parameters: {error}"
        warnings.warn(said, stacklevel=2)
        # A name that no parameter of a notebook has.
        return {f"Parameters of {notebook}": Param(said, type=["string", "null"], format="multiline")}
    for warning in form.warnings:
        warnings.warn(f"notebook_params('{notebook}'): {warning}", stacklevel=2)
    return {
        name: Param(field.value, description=field.description, **field.schema) for name, field in form.fields.items()
    }


def _checked(notebook: object, only: Any, titles: object) -> list[str] | None:
    """Return the names asked for; refuse what only the DAG file's author can have got wrong."""
    if not isinstance(notebook, str | Path):
        raise TypeError(f"notebook_params: the notebook must be a path, not {notebook!r}")
    from airflow_nbjobs.core.texts import is_template

    path = str(notebook)
    if "://" in path or is_template(path):
        from airflow_nbjobs.core.errors import NotebookJobConfigError

        what = "a URI" if "://" in path else "a template"
        raise NotebookJobConfigError(
            f"notebook_params: '{path}' is {what}, and the form is made while the DAG is parsed, from a file of this machine; give the path of the "
            "notebook beside the DAG file, or write params={'name': Param(…)}"
        )
    names: list[Any] | None = None
    if only is not None:
        names = [only] if isinstance(only, str) or not hasattr(only, "__iter__") else list(only)
    if names is not None and not all(isinstance(name, str) for name in names):
        raise TypeError(f"notebook_params: only must be names of parameters, not {only!r}")
    if titles is not None and not (
        isinstance(titles, dict) and all(isinstance(part, str) for pair in titles.items() for part in pair)
    ):
        raise TypeError(f"notebook_params: titles must be texts by the parameters' names, not {titles!r}")
    return names


def _form(notebook: str, folders: list[Path], only: list[str] | None, titles: Mapping[str, str]) -> Form:
    from airflow_nbjobs.core.errors import NotebookJobConfigError
    from airflow_nbjobs.core.values.cell_parameters import cell_parameters
    from airflow_nbjobs.core.values.form import build_form
    from airflow_nbjobs.task.notebook_cell import read_cell

    declaration = read_cell(notebook, folders, argument="notebook_params")
    if declaration.tree is None:
        advice = (
            ""
            if declaration.has_cell
            else "; tag the cell that sets them: in JupyterLab the property inspector, 'Cell Tags'"
        )
        raise NotebookJobConfigError(f"notebook_params: '{notebook}': {declaration.doubt}{advice}")
    form = build_form(cell_parameters(declaration), only=only, titles=titles)
    if not form.fields and not form.warnings and only is None:
        raise NotebookJobConfigError(f"notebook_params: '{notebook}': its 'parameters' cell assigns no variable")
    return form


def _folders(caller: Any) -> list[Path]:
    """
    Return where a relative path is looked up: beside the DAG file, then in those folders above it that Python imports from, as the root of a bundle.

    Airflow says which file it parses; a DAG file that runs as a program is the caller's own.
    """
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    module = sys.modules.get(DagContext.current_autoregister_module_name or "")
    file = getattr(module, "__file__", None) or caller.f_globals.get("__file__")
    if not file:  # an interactive session
        return [Path.cwd()]
    folder = Path(file).absolute().parent
    return [folder, *(above for above in folder.parents if str(above) in sys.path)]
