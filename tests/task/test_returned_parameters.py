"""What a decorated function returns, on its way to the job: before and after a deferral, and what is said of what is no parameters."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.sdk import DAG, task
from airflow_names import AirflowFailException, TaskDeferred, mask_secret
from decorated_tasks import CELL, DecoratedTasks, nothing, resumed
from fakes import code, executed, notebook, task_context
from operator_tasks import defer, end, event_of

from airflow_nbjobs import FROM_PARAMS
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.xcoms import PARAMETERS_KEY
from airflow_nbjobs.task.asset_events import masked_parameters
from airflow_nbjobs.task.prepare import prepare

RAW = notebook(code(CELL, "parameters"), "accuracy = 0.5")


@pytest.fixture
def tasks(tmp_path):
    return DecoratedTasks(tmp_path)


@pytest.fixture
def recall(monkeypatch):
    """What XComs give back: as Airflow stores them, in JSON."""

    def recall_from(context):
        def stored(key, **_):
            return json.loads(json.dumps(context["ti"].xcoms.get(key)))

        for module in ("returned_parameters", "resume"):
            monkeypatch.setattr(f"airflow_nbjobs.task.{module}.job_xcom", stored)

    return recall_from


def sent(tasks):
    """The parameters of the one job."""
    (request,) = tasks.hook.clients.jobs.requests.values()
    return request["HyperParameters"]


def deferred(tasks, operator, context=None):
    context = context or task_context()
    started = tasks.started(operator, context)
    return started, defer(started, context), context


# -- what the job gets ---------------------------------------------------------------------------------------------------


def test_the_notebook_gets_what_the_function_returns_of_its_arguments_and_of_the_context(tasks):
    def report(region, run_id, dag_run, *, depth=3):
        return {"region": f"{region}-{run_id}-{dag_run.run_after:%Y}", "epochs": depth}

    context = task_context() | {"run_id": "r1"}
    deferred(tasks, tasks.made(report, "eu"), context)
    assert sent(tasks)["region"] == "eu-r1-2026"
    assert sent(tasks)["epochs"] == "3"


def test_a_function_that_takes_all_of_the_context_gets_it(tasks):
    def report(region, **context):
        return {"region": region + context["run_id"]}

    deferred(tasks, tasks.made(report, "eu"), task_context() | {"run_id": "r1"})
    assert sent(tasks)["region"] == "eur1"


def test_a_value_that_is_given_wins_over_the_context(tasks):
    def report(ds):
        return {"day": ds}

    deferred(tasks, tasks.decorate(report)(ds="2020-01-01").operator, task_context() | {"ds": "2026-11-22"})
    assert sent(tasks)["day"] == "2020-01-01"


def test_braces_in_what_the_function_returns_arrive_as_they_are(tasks):
    def report(value):
        return {"region": value + "{{ run_id }}", "items": ["{% if %}"]}

    operator = tasks.made(report, "{{ '{{' }} x }}")
    deferred(tasks, operator, task_context() | {"run_id": "r1"})
    assert sent(tasks)["region"] == "{{ x }}{{ run_id }}"
    assert json.loads(sent(tasks)["items"]) == ["{% if %}"]


def test_parameters_of_the_decorator_are_added_rendered_and_the_functions_win(tasks):
    def report():
        return {"epochs": 7}

    operator = tasks.made(report, parameters={"epochs": "{{ 1 + 1 }}", "region": "{{ run_id }}"})
    started, _, _ = deferred(tasks, operator, task_context() | {"run_id": "r1"})
    assert started.parameters == {"epochs": 7, "region": "r1"}
    assert (sent(tasks)["epochs"], sent(tasks)["region"]) == ("7", "r1")


def test_parameters_of_the_decorator_that_are_no_dict_are_an_error(tasks):
    operator = tasks.made(nothing, parameters="{{ run_id }}", task_id="t")
    with pytest.raises(NotebookJobConfigError) as caught:
        deferred(tasks, operator, task_context() | {"run_id": "r1"})
    assert "task 't': parameters='r1' of the decorator is no dict" in str(caught.value)


def test_native_rendering_of_the_decorators_parameters_keeps_the_texts_of_those_that_the_function_leaves(tmp_path):
    tasks = DecoratedTasks(tmp_path)
    tasks.dag = DAG("n", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=True)
    tasks.dag.fileloc = str(tmp_path / "dag.py")

    def report():
        return {"epochs": 7}

    operator = tasks.made(report, parameters={"region": "{{ zip }}", "epochs": "{{ zip }}"})
    deferred(tasks, operator, task_context() | {"zip": "00123"})
    assert (sent(tasks)["epochs"], sent(tasks)["region"]) == ("7", "00123")


def test_templates_of_the_decorator_take_the_functions_arguments(tasks):
    def train(machine, epochs, run_id):
        return {"epochs": epochs}

    operator = tasks.made(
        train, "ml.m5.xlarge", 4, None, instance_type="{{ machine }}", notebook_job_name="train-{{ epochs }}"
    )
    deferred(tasks, operator, task_context() | {"run_id": "r1"})
    (request,) = tasks.hook.clients.jobs.requests.values()
    assert request["ResourceConfig"]["InstanceType"] == "ml.m5.xlarge"
    assert request["TrainingJobName"].startswith("train-4-")


def test_what_airflow_calls_so_stays_airflows_in_templates(tasks):
    def train(run_id):
        return {"region": run_id}

    operator = tasks.made(train, "mine", notebook_job_name="n-{{ run_id }}")
    deferred(tasks, operator, task_context() | {"run_id": "r1"})
    (request,) = tasks.hook.clients.jobs.requests.values()
    assert request["TrainingJobName"].startswith("n-r1-")
    assert sent(tasks)["region"] == "mine"


# -- a deferral ----------------------------------------------------------------------------------------------------------


def test_a_resumed_task_does_not_call_the_function_again_and_shows_what_was_sent(tasks, recall):
    calls = []

    def report(region):
        calls.append(region)
        return {"region": region, "epochs": 4}

    operator = tasks.made(report, "eu", parameters={"lr": 0.5}, outputs=["accuracy"])
    _, deferral, context = deferred(tasks, operator)
    end(tasks.hook.clients, ran=executed(RAW, {"accuracy": 0.5}))
    after = resumed(context)
    recall(context)
    task = tasks.started(operator, after)
    assert task.parameters == {"lr": 0.5, "region": "eu", "epochs": 4}
    assert "parameters" in task.template_fields  # what Airflow's Rendered tab is made of
    result = task.execute_complete(after, event_of(deferral))
    assert result["outputs"] == {"accuracy": 0.5}
    assert calls == ["eu"]


def test_a_task_that_waited_for_capacity_submits_what_the_function_has_returned(tasks, recall):
    calls = []

    def report():
        calls.append(1)
        return {"epochs": len(calls)}

    operator = tasks.made(report)
    _, deferral, context = deferred(tasks, operator)
    end(tasks.hook.clients, "Failed", reason="CapacityError: Unable to provision requested ML compute capacity.")
    after = resumed(context)
    recall(context)
    task = tasks.started(operator, after)
    with pytest.raises(TaskDeferred) as again:
        task.execute_complete(after, event_of(deferral, status="Failed"))
    last = resumed(after)
    task = tasks.started(operator, last)
    with pytest.raises(TaskDeferred):
        task.execute_complete(last, event_of(again.value, status="", job_name=""))
    assert [each["HyperParameters"]["epochs"] for each in tasks.hook.clients.jobs.requests.values()] == ["1", "1"]
    assert calls == [1]


def test_a_retry_that_airflow_3_0_resumes_calls_the_function(tasks, recall):
    calls = []

    def report():
        calls.append(1)
        return {"epochs": 4}

    operator = tasks.made(report)
    _, deferral, context = deferred(tasks, operator)
    retry = resumed(context)
    retry["ti"].try_number = 2
    recall(context)
    task = tasks.started(operator, retry)
    assert task.parameters is None
    with pytest.raises(TaskDeferred):
        task.execute_complete(retry, event_of(deferral, try_number=1))
    assert calls == [1, 1]


def test_a_record_that_cannot_be_read_is_told_and_the_job_is_finished(tasks, monkeypatch, recall, caplog):
    def report():
        return {"epochs": 4}

    operator = tasks.made(report)
    _, deferral, context = deferred(tasks, operator)
    end(tasks.hook.clients, ran=executed(RAW))
    recall(context)

    def away(*_, **__):
        raise ConnectionError("no API server")

    monkeypatch.setattr("airflow_nbjobs.task.returned_parameters.job_xcom", away)
    after = resumed(context)
    task = tasks.started(operator, after)
    assert task.execute_complete(after, event_of(deferral))["status"] == "Completed"


def test_the_record_survives_what_airflow_would_give_back_as_something_else(tasks, recall):
    tricky = {"__classname__": "builtins.set", "__version__": 1, "__data__": [1]}

    def report():
        return {"anything": tricky, "region": "\x00😀"}

    operator = tasks.made(report)
    started, _, context = deferred(tasks, operator)
    recall(context)
    assert tasks.started(operator, resumed(context)).parameters == started.parameters == report()


def test_a_function_that_fails_or_skips_does_so_before_anything_is_sent(tasks):
    def report():
        raise LookupError("no orders")

    context = task_context()
    started = tasks.started(tasks.made(report), context)
    with pytest.raises(LookupError, match="no orders"):
        started.execute(context)
    assert tasks.hook.clients.wrote_nothing
    assert context["ti"].xcoms["nbjobs_error"]["headline"] == "LookupError: no orders"


# -- what is no parameters -----------------------------------------------------------------------------------------------


MISTAKES = {
    "nothing": (None, "returned None; it has to return the notebook's parameters", "end the function in a return"),
    "a list": ([1, 2], "returned list [1, 2]", "give each value the name of a variable"),
    "a list of dicts": ([{"epochs": 1}], "returned list [{'epochs': 1}]", "map over it with .expand"),
    "a tuple": (({"epochs": 1}, 2), "returned tuple", "give each value the name"),
    "a text": ('{"epochs": 1}', "returned str", "return the dict itself, not a text of it"),
    "a number": (3, "returned int 3", "give each value the name"),
    "a set": ({"epochs"}, "returned set {'epochs'}", "give each value the name"),
    "a key that is no text": ({1: 2}, "a dict with the key 1; a notebook's parameters have names", "write '1'"),
    "keys that are no texts": (
        {1: 2, None: 3, "a": 4},
        "a dict with the keys 1, None",
        "the names that the notebook's",
    ),
    "nan": (
        {"lr": float("nan")},
        "returned parameters['lr'] = nan, which Airflow cannot store",
        "return the text 'nan'",
    ),
    "infinity, deep": (
        {"items": [{"a": [float("inf")]}]},
        "parameters['items'][0]['a'][0] = inf",
        "return the text 'inf'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_no_parameters_is_told_with_the_function_and_what_to_do(tasks, mistake):
    returned, said, advice = MISTAKES[mistake]

    def report():
        return returned

    context = task_context()
    started = tasks.started(tasks.made(report), context)
    with pytest.raises(NotebookJobConfigError) as caught:
        started.execute(context)
    assert said in caught.value.headline
    assert "task 't': the function 'report' (test_returned_parameters.py, line " in caught.value.headline
    assert advice in caught.value.details["next"]
    assert isinstance(caught.value, AirflowFailException)  # a retry returns the same
    assert tasks.hook.clients.wrote_nothing
    assert context["ti"].xcoms.keys() == {"nbjobs_error"}


def test_what_is_shown_of_a_wrong_value_is_masked_before_it_is_cut_and_may_have_no_text(tasks):
    mask_secret("swordfish99swordfish99")

    class Unspeakable:
        def __repr__(self):
            raise ValueError

    for number, (value, said) in enumerate(
        [(["x" * 70 + "swordfish99swordfish99"], "list"), (Unspeakable(), "ValueError in its repr")]
    ):
        started = tasks.started(tasks.made(lambda value=value: value, task_id=f"t{number}"), context := task_context())
        with pytest.raises(NotebookJobConfigError) as caught:
            started.execute(context)
        assert said in str(caught.value)
        assert "sword" not in str(caught.value)


def test_a_task_called_in_the_function_is_told(tasks):
    with tasks.dag:

        @task
        def other(): ...

        result = other()

    def report():
        return result

    started = tasks.started(tasks.made(report), context := task_context())
    with pytest.raises(NotebookJobConfigError) as caught:
        started.execute(context)
    assert "hand its result to this function as an argument" in str(caught.value)


def test_a_coroutine_that_a_plain_function_returns_is_told(tasks):
    async def asynchronous():
        return {}

    made = []

    def report():
        made.append(asynchronous())
        return made[-1]

    started = tasks.started(tasks.made(report), context := task_context())
    with pytest.raises(NotebookJobConfigError, match="returned coroutine") as caught:
        started.execute(context)
    made[-1].close()
    assert "make the function a plain def" in str(caught.value)


@pytest.mark.parametrize("value", [{1}, object(), datetime(2026, 1, 1, tzinfo=UTC), (1, 2), b"x", {"a": {2: 3}}])
def test_values_that_no_notebook_gets_are_refused_with_all_others(tasks, value):
    def report():
        return {"anything": value, "unknown": 1}

    started = tasks.started(tasks.made(report), context := task_context())
    with pytest.raises(NotebookJobConfigError) as caught:
        started.execute(context)
    assert len(caught.value.problems) == 2
    assert tasks.hook.clients.wrote_nothing


def test_any_dict_of_pythons_is_one(tasks):
    def report():
        return OrderedDict(epochs=4)

    deferred(tasks, tasks.made(report))
    assert sent(tasks)["epochs"] == "4"


def test_the_record_is_small_and_has_the_try(tasks):
    def report():
        return {"epochs": 4}

    _, _, context = deferred(tasks, tasks.made(report), task_context(try_number=3))
    assert context["ti"].xcoms[PARAMETERS_KEY] == {"version": 1, "try_number": 3, "parameters": '{"epochs": 4}'}


def test_results_of_mapped_tasks_become_lists(tasks):
    from airflow.sdk.definitions.xcom_arg import _ConcatResult

    def report():
        return {"items": _ConcatResult([[1], [2]])}

    deferred(tasks, tasks.made(report))
    assert json.loads(sent(tasks)["items"]) == [1, 2]


# -- the run's params, asked for by the decorator, by the function, or by both -------------------------------------------------

PARAMS_CELL = "epochs = 3\nlr: float = 0.1\nday: str = ''"
RUN_PARAMS = {"epochs": 5, "lr": 1, "other": "x"}
ASKING = {
    "the decorator": (FROM_PARAMS, {"epochs": 9}),
    "the function": (None, FROM_PARAMS | {"epochs": 9}),
    "both": (FROM_PARAMS | {"day": "{{ 1 + 1 }}"}, FROM_PARAMS | {"epochs": 9}),
    "the function over others": ({"day": "{{ 1 + 1 }}"}, FROM_PARAMS | {"epochs": 9}),
}


@pytest.fixture
def ask(tasks):
    """Run a decorated task whose parameters may ask for the run's params; return the task and its prepared job."""

    def run(parameters, returned, *, cell=PARAMS_CELL, params=RUN_PARAMS, raw=None, **arguments):
        raw = notebook(code(cell, "parameters"), "print(1)") if raw is None else raw
        (Path(tasks.dag.fileloc).parent / "nb.ipynb").write_bytes(raw)
        given = {} if parameters is None else {"parameters": parameters}
        operator = tasks.made(lambda: returned, **given | arguments)
        context = task_context() | {"params": params}
        started = tasks.started(operator, context)
        started._run_in(context)  # as `execute` does, which keeps the context
        started._take_returned(context)
        return started, context, lambda: prepare(started, context)

    return run


def of_job(job):
    return {name: value for name, value in job.hyperparameters.items() if not name.startswith("sagemaker")}


@pytest.mark.parametrize("who", ASKING)
def test_the_runs_params_are_chosen_and_shown_whoever_asks(ask, who):
    parameters, returned = ASKING[who]
    task, _, job = ask(parameters, returned)
    expected = {"epochs": 9, "lr": 1.0} | ({"day": "2"} if parameters and "day" in parameters else {})
    assert task.parameters == expected
    assert of_job(job()) == {name: str(value) for name, value in expected.items()}
    assert any("does not get: other" in note for note in job().notes)


@pytest.mark.parametrize("who", ASKING)
def test_after_a_deferral_the_runs_params_are_as_before(tasks, ask, recall, who):
    parameters, returned = ASKING[who]
    task, context, job = ask(parameters, returned)
    before = of_job(job())
    recall(context)
    again = tasks.started(tasks.dag.get_task("t"), following := resumed(context) | {"params": RUN_PARAMS})
    assert again._has_returned
    assert again.parameters == task.parameters
    assert of_job(prepare(again, following)) == before


@pytest.mark.parametrize("who", ASKING)
def test_what_reads_the_parameters_sees_the_runs_own(ask, who):
    """The event of an outlet and lineage, as those of a plain task."""
    task, _, _ = ask(*ASKING[who])
    assert masked_parameters(task.parameters)["lr"] == 1.0
    assert "**" not in task.parameters


@pytest.mark.parametrize("who", ASKING)
def test_a_required_parameter_that_the_run_has_no_value_for_is_refused(ask, who):
    _, _, job = ask(*ASKING[who], cell="epochs = 3\nlr: float = 0.1\nday = ''\nmodel: int")
    with pytest.raises(
        NotebookJobConfigError, match="'model' has no default in the notebook, and the run has no value"
    ):
        job()


@pytest.mark.parametrize("who", ASKING)
def test_a_notebook_without_a_parameters_cell_is_told_that_it_gets_nothing(ask, who):
    _, _, job = ask(*ASKING[who], raw=notebook("print(1)"))
    with pytest.raises(NotebookJobConfigError, match="FROM_PARAMS gives nothing to this notebook"):
        job()


@pytest.mark.parametrize("who", ASKING)
def test_of_a_notebook_in_s3_the_params_are_chosen_when_it_is_read(tasks, ask, who):
    body = notebook(code(PARAMS_CELL, "parameters"), "print(1)")
    tasks.hook.clients.objects.bodies["s3://bucket/nb.ipynb"] = body
    task, _, job = ask(*ASKING[who], input_notebook="s3://bucket/nb.ipynb")
    assert task.parameters["other"] == "x"  # shown: all of them, since no one has read the notebook
    assert "other" not in of_job(job())
    assert of_job(job())["lr"] == "1.0"


def test_a_misspelt_param_of_the_run_is_told(ask):
    _, _, job = ask(FROM_PARAMS, {}, params={"Epoch": 5, "lr": 1})
    (warning,) = job().warnings
    assert "the run's param 'Epoch' reaches no parameter of the notebook" in warning
    assert warning.endswith("did you mean 'epochs'?")


# -- secrets in an error, and what templates may take --------------------------------------------------------------------------


@dataclass
class Login:
    password: str


@pytest.mark.parametrize(
    "returned",
    [
        [{"password": "hunter2"}],
        [{"db": {"password": "hunter2", "api_key": ["hunter2"]}}],
        ({"password": "hunter2"},),
        '{"password": "hunter2"}',
        Login("hunter2"),
        [Login("hunter2")],
    ],
    ids=["dicts", "nested", "a tuple", "a JSON text", "a dataclass", "dataclasses"],
)
def test_an_error_hides_what_is_secret_by_its_key(tasks, returned):
    operator = tasks.made(lambda: returned)
    with pytest.raises(NotebookJobConfigError, match=r"\*\*\*") as caught:
        deferred(tasks, operator)
    assert "hunter2" not in str(caught.value)


def test_templates_take_a_functions_defaults(tasks):
    def train(day, machine="ml.m5.large", *rest, region="eu", **more):
        return {"day": day}

    templates = {"kernel_name": "{{ region }}", "instance_type": "{{ machine }}", "notebook_job_name": "{{ rest }}"}
    started = tasks.started(tasks.made(train, "x", **templates), task_context())
    assert (started.instance_type, started.kernel_name, started.notebook_job_name) == ("ml.m5.large", "eu", "()")
    operator = tasks.decorate(train, task_id="u", **templates)("x", "ml.t3.medium", 1, 2, region="us").operator
    started = tasks.started(operator, task_context())
    assert (started.instance_type, started.kernel_name, started.notebook_job_name) == ("ml.t3.medium", "us", "(1, 2)")


def test_what_airflow_calls_so_wins_over_a_functions_default(tasks):
    started = tasks.started(
        tasks.made(lambda run_id=None: {}, kernel_name="{{ run_id }}"), task_context() | {"run_id": "r1"}
    )
    assert started.kernel_name == "r1"
