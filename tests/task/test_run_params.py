"""``parameters=FROM_PARAMS`` in a task: what arrives, what Airflow shows, and what the log says."""

import json

import pytest
from airflow.sdk import Param
from fakes import code, notebook, task_context
from operator_tasks import Tasks

from airflow_nbjobs import FROM_PARAMS
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.task.prepare import prepare

try:  # Airflow >= 3.1
    from airflow.sdk.definitions.param import process_params
except ImportError:
    from airflow.models.param import process_params

CELL = "epochs = 3\nlr: float = 0.1\nsizes = (1, 2)\nday: str = ''"


@pytest.fixture
def tasks(tmp_path):
    made = Tasks(tmp_path)
    (tmp_path / "nb.ipynb").write_bytes(notebook(code(CELL, "parameters"), "print(epochs)"))
    made.dag.params.update({"epochs": Param(3, type="integer"), "lr": Param(0.1, type="number"), "other": Param("x")})
    return made


def run(task, conf=None):
    """Render a task's fields as a worker does, with the params that it gives them; return what Airflow shows and what the job gets."""
    context = task_context()
    context["dag_run"].conf = conf
    context["params"] = process_params(task.dag, task, conf, suppress_exception=False)
    task.render_template_fields(context, task.dag.get_template_env())
    shown = task.parameters
    return shown, prepare(task, context)


def sent(job):
    return {name: value for name, value in job.hyperparameters.items() if not name.startswith("sagemaker")}


def test_the_runs_values_arrive_with_their_types_and_are_shown(tasks):
    shown, job = run(tasks(parameters=FROM_PARAMS), {"epochs": 5, "lr": 1})
    assert shown == {"epochs": 5, "lr": 1.0}
    assert sent(job) == {"epochs": "5", "lr": "1.0"}
    (staged,) = [file for file in job.files if file.name == "nb.ipynb"]
    (typed,) = [cell for cell in json.loads(staged.body)["cells"] if cell["metadata"].get("airflow_nbjobs")]
    assert "".join(typed["source"]).endswith("\nepochs = 5\nlr = 1.0")


def test_a_run_without_conf_has_the_params_defaults(tasks):
    """As one has that a schedule or an asset started."""
    for conf in (None, {}):
        shown, _ = run(tasks(parameters=FROM_PARAMS, task_id=f"t{conf is None}"), conf)
        assert shown == {"epochs": 3, "lr": 0.1}


def test_conf_without_a_param_of_that_name_arrives_too(tasks):
    shown, _ = run(tasks(parameters=FROM_PARAMS), {"day": "2026-01-01"})
    assert shown == {"epochs": 3, "lr": 0.1, "day": "2026-01-01"}


@pytest.mark.parametrize(
    "merged", [FROM_PARAMS | {"day": "{{ 1 + 1 }}", "epochs": 9}, {"day": "{{ 1 + 1 }}", "epochs": 9, **FROM_PARAMS}]
)
def test_other_parameters_are_merged_and_win(tasks, merged):
    shown, job = run(tasks(parameters=merged), {"epochs": 5})
    assert shown == {"epochs": 9, "lr": 0.1, "day": "2"}
    assert sent(job)["epochs"] == "9"


def test_no_template_in_a_value_is_rendered(tasks):
    shown, job = run(tasks(parameters=FROM_PARAMS), {"day": "{{ 1 + 1 }}"})
    assert shown["day"] == sent(job)["day"] == "{{ 1 + 1 }}"


def test_native_rendering_leaves_them_alone(tasks):
    tasks.dag.render_template_as_native_obj = True
    shown, job = run(tasks(parameters=FROM_PARAMS), {"day": "00123"})
    assert shown["day"] == sent(job)["day"] == "00123"


def test_a_params_of_the_task_wins_over_the_dags(tasks):
    shown, _ = run(tasks(parameters=FROM_PARAMS, params={"epochs": 7}))
    assert shown["epochs"] == 7


def test_the_log_names_params_that_the_notebook_does_not_have(tasks):
    _, job = run(tasks(parameters=FROM_PARAMS))
    assert job.notes[0].endswith("does not have, and does not get: other")


def test_conf_that_the_configuration_switches_off_is_said(tasks, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS", "False")
    task = tasks(parameters=FROM_PARAMS)
    said = []
    monkeypatch.setattr(type(task), "log", property(lambda _: _Log(said)))
    shown, _ = run(task, {"epochs": 5})
    assert shown["epochs"] == 3
    assert said == [
        "[core] dag_run_conf_overrides_params is False, so what the run was started with is not used: epochs=5"
    ]


class _Log:
    def __init__(self, said):
        self._said = said

    def warning(self, text, *arguments):
        self._said.append(text % arguments)

    def info(self, *_):
        pass


def test_without_from_params_nothing_is_passed_on(tasks):
    shown, job = run(tasks(parameters={"epochs": 4}), {"lr": 0.5})
    assert (shown, sent(job)) == ({"epochs": 4}, {"epochs": "4"})


def test_mapped_tasks_get_them_with_their_own(tasks, tmp_path):
    from airflow_nbjobs.operators import SageMakerNotebookJobOperator

    mapped = SageMakerNotebookJobOperator.partial(task_id="m", dag=tasks.dag, input_notebook="nb.ipynb").expand(
        parameters=[FROM_PARAMS | {"epochs": 1}, FROM_PARAMS]
    )
    context = task_context()
    context["params"] = {"epochs": 5, "lr": 0.5, "other": "x"}
    for given, expected in (
        (FROM_PARAMS | {"epochs": 1}, {"epochs": 1, "lr": 0.5}),
        (FROM_PARAMS, {"epochs": 5, "lr": 0.5}),
    ):
        task = mapped.unmap({"parameters": given})
        task.render_template_fields(context, tasks.dag.get_template_env())
        assert task.parameters == expected


def test_a_notebook_in_s3_gets_its_own_of_them(tasks):
    """Which it has is known once it is read; until then Airflow shows them all."""
    tasks.clients.objects.bodies["s3://bucket/nb.ipynb"] = notebook(code(CELL, "parameters"))
    shown, job = run(tasks(parameters=FROM_PARAMS, input_notebook="s3://bucket/nb.ipynb"))
    assert shown == {"epochs": 3, "lr": 0.1, "other": "x"}
    assert sent(job) == {"epochs": "3", "lr": "0.1"}


def test_what_a_subclass_puts_there_before_it_runs_stays(tasks):
    task = tasks(parameters=FROM_PARAMS)
    context = task_context()
    context["params"] = {"epochs": 5, "lr": 0.5}
    task.render_template_fields(context, tasks.dag.get_template_env())
    task.parameters = {**task.parameters, "lr": 0.25}
    assert sent(prepare(task, context)) == {"epochs": "5", "lr": "0.25"}


def test_parameters_that_were_never_rendered_are_resolved_as_well(tasks):
    """As those that a decorated function returns."""
    task = tasks(parameters=None)
    task.parameters = FROM_PARAMS | {"epochs": 8}
    assert sent(prepare(task, task_context() | {"params": {"epochs": 5, "lr": 0.5}})) == {"epochs": "8", "lr": "0.5"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            notebook("epochs = 3"),
            "FROM_PARAMS gives nothing to this notebook: the notebook has no cell tagged 'parameters'",
        ),
        (
            notebook(code("epochs = (", "parameters")),
            "FROM_PARAMS gives nothing to this notebook: the 'parameters' cell is not plain Python",
        ),
        (notebook(code("rows: int\nepochs = 1", "parameters")), "parameter 'rows' has no default in the notebook"),
        (b"no notebook", "not JSON"),
        (None, "there is no 'nb.ipynb'"),
    ],
)
def test_a_notebook_that_cannot_take_them_fails_the_task_with_the_reason(tasks, tmp_path, body, said):
    file = tmp_path / "nb.ipynb"
    file.unlink() if body is None else file.write_bytes(body)
    with pytest.raises(NotebookJobConfigError) as caught:
        run(tasks(parameters=FROM_PARAMS))
    assert said in str(caught.value)


@pytest.mark.parametrize("given", [{"**": "other"}, {"*": "params"}])
def test_another_entry_of_that_look_is_no_name(tasks, given):
    with pytest.raises(NotebookJobConfigError, match="is not a variable's name"):
        run(tasks(parameters=given))
