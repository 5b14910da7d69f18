"""What users import: ``airflow_nbjobs`` itself, and ``airflow_nbjobs.exceptions``, where the errors are described."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_nbjobs
from airflow_nbjobs import core, exceptions
from airflow_nbjobs.core import errors

ROOT = str(Path(airflow_nbjobs.__file__).parents[1])
OURS = sorted(
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.NotebookJobError)
)


@pytest.mark.parametrize("name", airflow_nbjobs.__all__)
def test_every_public_name_can_be_imported_and_is_listed(name):
    assert getattr(airflow_nbjobs, name) is not None
    assert name in dir(airflow_nbjobs)


def test_public_are_all_errors_and_what_a_dag_file_takes():
    assert exceptions.__all__ == OURS
    assert set(airflow_nbjobs.__all__) == {
        *OURS,
        "NotebookTaskGroup",
        "SageMakerNotebookJobHook",
        "SageMakerNotebookJobOperator",
        "SageMakerNotebookJobSensor",
        "FROM_PARAMS",
        "failure_summary",
        "notebook_params",
        "__version__",
    }


def test_a_class_is_the_one_of_its_module():
    from airflow_nbjobs import hooks, operators, sensors

    assert airflow_nbjobs.SageMakerNotebookJobHook is hooks.SageMakerNotebookJobHook
    assert airflow_nbjobs.SageMakerNotebookJobOperator is operators.SageMakerNotebookJobOperator
    assert airflow_nbjobs.SageMakerNotebookJobSensor is sensors.SageMakerNotebookJobSensor
    assert all(getattr(airflow_nbjobs, name) is getattr(exceptions, name) for name in OURS)


def test_an_error_is_pickled_under_the_path_it_always_had():
    """What is stored outlives a deploy."""
    error = exceptions.NotebookCellError("a cell raised", cell=3)
    assert type(error).__module__ == "airflow_nbjobs.core.errors"
    assert pickle.loads(pickle.dumps(error)).cell == 3  # noqa: S301 - our own


def test_a_name_that_is_not_there_is_an_attribute_error_and_a_module_is_a_module():
    with pytest.raises(AttributeError, match="module 'airflow_nbjobs' has no attribute 'Operator'"):
        airflow_nbjobs.Operator  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Operator'"):
        exec("from airflow_nbjobs import Operator")  # noqa: S102
    assert core.__name__ == "airflow_nbjobs.core"


def test_the_package_alone_and_its_errors_load_no_airflow_and_nothing_heavy():
    """Airflow imports it as it looks for providers, before its own configuration is there."""
    probe = (
        "import sys; import airflow_nbjobs; dir(airflow_nbjobs); alone = set(sys.modules)\n"
        "from airflow_nbjobs import NotebookJobError\n"
        "print(*sorted(name for name in alone if name.startswith('airflow')))\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {ROOT!r}); {probe}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "airflow_nbjobs\n__main__ airflow_nbjobs\n"


def test_every_error_is_in_the_table_of_the_exceptions():
    rows = [line.split(" ")[0] for line in exceptions.__doc__.splitlines() if line.startswith("Notebook")]
    assert sorted(rows) == OURS


def test_the_snippet_that_the_type_checker_reads_names_all_of_them():
    tree = ast.parse((Path(__file__).parent / "typing" / "public_names.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported >= set(airflow_nbjobs.__all__)
