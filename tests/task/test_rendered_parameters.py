"""Parameters as Airflow renders, stores and hands them over: native rendering, mapped tasks' results, nan and infinity."""

import json
import math
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.xcom_arg import _ConcatResult, _MapResult, _ZipResult
from airflow_names import DagSerialization
from dag_runs import DagRuns
from fakes import code, notebook, task_context
from operator_tasks import Tasks

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.task.parameters import plain
from airflow_nbjobs.task.prepare import prepare

CELL = "zip_code = '00000'\nrows = 5\nlr = 0.1\nitems = []\nanything = None\nname = 'a'\nday: str = ''"


class NativeTasks(Tasks):
    """Tasks of a DAG with native rendering."""

    def __init__(self, folder, *, native=True):
        super().__init__(folder)
        self.dag = DAG(
            "n", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=native
        )
        self.dag.fileloc = str(folder / "dag.py")
        (folder / "nb.ipynb").write_bytes(notebook(code(CELL, "parameters"), "print(rows)"))


@pytest.fixture
def native(tmp_path):
    return NativeTasks(tmp_path)


def rendered(task, **context):
    task.render_template_fields(context, task.dag.get_template_env())
    return task


@pytest.fixture
def arrives(native):
    """What a notebook gets of the parameters of a task with native rendering."""

    def arrive(parameters, **context):
        task = rendered(native(parameters=parameters), **context)
        job = prepare(task, task_context())
        (staged,) = [file for file in job.files if file.name == "nb.ipynb"]
        return values_of(staged.body, job.hyperparameters), job

    return arrive


def values_of(body, hyperparameters):
    """Run the cells that assign, with papermill's own, of texts, after the first."""
    declared, *more, _ = ["".join(cell["source"]) for cell in json.loads(body)["cells"]]
    namespace = {}
    for source in (declared, *(f"{name} = {text!r}" for name, text in hyperparameters.items()), *more):
        exec(source, namespace)  # noqa: S102 our own notebook
    return namespace


# -- native rendering ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "context", "text"),
    [
        *[
            ("{{ zip }}", {"zip": "12345"}, "12345"),
            ("{{ a }}{{ b }}", {"a": "12", "b": 345}, "12345"),
            ("12345", {}, "12345"),
        ],
        *[
            ("{{ zip }}", {"zip": "1_000"}, "1_000"),
            ("{{ zip }}", {"zip": "1e5"}, "1e5"),
            ("{{ zip }}", {"zip": "None"}, "None"),
        ],
        *[
            ("{{ zip }}", {"zip": "'x'"}, "'x'"),
            ("{{ zip }}", {"zip": "1, 2"}, "1, 2"),
            ("{{ zip }}", {"zip": "[1]"}, "[1]"),
        ],
        *[
            ("", {}, ""),
            ("{{ zip }}", {"zip": "00123"}, "00123"),
            ("{% if 1 %}7{% endif %}", {}, "7"),
            ("{{ 5 }}", {}, "5"),
        ],
    ],
)
def test_a_text_parameter_gets_the_text_that_native_rendering_would_change(arrives, template, context, text):
    values, job = arrives({"zip_code": template}, **context)
    assert values["zip_code"] == text
    assert values["rows"] == 5
    assert job.hyperparameters == {"zip_code": text}


def test_the_other_parameters_get_what_native_rendering_made(arrives):
    templates = {"rows": "{{ n }}", "lr": "{{ n }}", "items": "{{ [n, 'a'] }}", "anything": "{{ n }}"}
    values, _ = arrives(templates, n="7")
    found = {name: values[name] for name in templates}
    assert found == {"rows": 7, "lr": 7.0, "items": ["7", "a"], "anything": 7}
    assert type(found["lr"]) is float


def test_the_log_says_that_the_text_was_taken(arrives):
    _, job = arrives({"zip_code": "{{ zip }}"}, zip="12345")
    [note] = job.notes
    assert "the text '12345' is passed as a text" in note
    assert "native rendering (render_template_as_native_obj) has made an int of it" in note


def test_an_object_for_a_text_parameter_is_named(arrives):
    _, job = arrives({"zip_code": "{{ n }}"}, n=5)
    assert (
        "native rendering (render_template_as_native_obj) gives an int, 5, where the default is a text"
        in job.warnings[0]
    )


def test_a_problem_of_native_rendering_names_it(arrives):
    with pytest.raises(NotebookJobConfigError) as caught:
        arrives({"anything": "{{ n }}"}, n="1, 2")
    assert "native rendering (render_template_as_native_obj) has made a tuple of the text '1, 2'" in str(caught.value)


def test_a_template_is_rendered_once(native):
    calls = []
    rendered(native(parameters={"zip_code": "{{ draw() }}"}), draw=lambda: calls.append(1) or "5")
    assert calls == [1]


def test_what_airflow_stores_of_the_parameters_is_plain(native):
    task = rendered(native(parameters={"zip_code": "{{ zip }}", "deep": [{"a": "{{ zip }}"}]}), zip="12345")
    assert task.parameters == {"zip_code": 12345, "deep": [{"a": 12345}]}
    json.dumps(task.parameters, allow_nan=False)


def test_what_is_set_after_rendering_is_what_the_job_gets(native):
    task = rendered(native(parameters={"zip_code": "{{ zip }}", "rows": "{{ zip }}"}), zip="12345")
    task.parameters["zip_code"] = "new"
    given = task.job_arguments().parameters
    assert given["zip_code"] == "new"
    assert given["rows"].text == "12345"


def test_without_native_rendering_texts_are_texts(tmp_path):
    task = rendered(NativeTasks(tmp_path, native=False)(parameters={"zip_code": "{{ zip }}"}), zip=12345)
    assert task.job_arguments().parameters == {"zip_code": "12345"}


def test_an_undefined_name_is_an_error_with_native_rendering_too(native):
    from jinja2 import StrictUndefined, UndefinedError

    native.dag.template_undefined = StrictUndefined
    with pytest.raises(UndefinedError, match="nothing"):
        rendered(native(parameters={"zip_code": "{{ nothing }}"}))


# -- what mapped tasks give ---------------------------------------------------------------------------------------------


def test_airflows_sequences_become_lists_wherever_they_are():
    zipped = _ZipResult([[1, 2], ["a", "b"]])
    mapped = _MapResult([1, 2], [lambda n: n * 10])
    joined = _ConcatResult([[1], mapped, zipped])
    value = {"a": [mapped, {"b": zipped}], "c": joined, "d": (1,), "e": "text"}
    assert plain(value) == {
        "a": [[10, 20], {"b": [[1, "a"], [2, "b"]]}],
        "c": [1, 10, 20, [1, "a"], [2, "b"]],
        "d": (1,),
        "e": "text",
    }


def test_an_error_in_the_middle_of_a_sequence_is_no_end_of_it():
    """Python's own iteration takes an IndexError for the end: half of the values would be lost."""
    with pytest.raises(IndexError):
        plain(_MapResult([[1], [], [3]], [lambda items: items[0]]))


# -- nan and infinity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"lr": math.nan}, "parameters['lr'] is nan"),
        ({"rows": 5, "lr": -math.inf}, "parameters['lr'] is -inf"),
        ({"a": [1, {"b": math.inf}]}, "parameters['a'][1]['b'] is inf"),
    ],
)
def test_a_number_that_json_has_not_is_an_error_of_the_dag_file(tmp_path, parameters, said):
    dag = DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(NotebookJobConfigError) as caught:
        SageMakerNotebookJobOperator(task_id="t", dag=dag, input_notebook="nb.ipynb", parameters=parameters)
    assert f"task 't': {said}, which Airflow cannot store in a DAG; give the text" in str(caught.value)


def test_default_args_are_looked_at_too():
    dag = DAG(
        "d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args={"parameters": {"lr": math.nan}}
    )
    with pytest.raises(NotebookJobConfigError, match="lr"):
        SageMakerNotebookJobOperator(task_id="t", dag=dag, input_notebook="nb.ipynb")


def test_a_mapped_tasks_numbers_are_stored_as_text_and_arrive():
    """Airflow stores what a task is expanded with in another way, which knows nan."""
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        SageMakerNotebookJobOperator.partial(task_id="t", input_notebook="nb.ipynb").expand(
            parameters=[{"lr": math.nan}]
        )
        SageMakerNotebookJobOperator.partial(task_id="u", parameters={"lr": math.inf}).expand(input_notebook=["a", "b"])
    assert json.dumps(DagSerialization.to_dict(dag), allow_nan=False)


def test_a_number_that_is_rendered_arrives_and_is_stored_as_text(arrives, native):
    values, _ = arrives({"lr": "{{ n }}", "anything": ["{{ n }}"]}, n=math.inf)
    assert (values["lr"], values["anything"]) == (math.inf, [math.inf])
    task = rendered(native(task_id="other", parameters={"lr": "{{ n }}"}), n=math.inf)
    assert task.parameters == {"lr": "inf"}


@pytest.mark.slow
def test_postgresql_refuses_what_the_error_is_about():
    import psycopg2
    from postgres import PostgresServer

    with PostgresServer() as server:
        for text, is_taken in (('{"lr": NaN}', False), ('{"lr": "nan"}', True)):
            with psycopg2.connect(server.url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
                try:
                    cursor.execute("select %s::json", (text,))
                    found = True
                except psycopg2.errors.InvalidTextRepresentation:
                    found = False
            connection.close()
            assert found is is_taken


# -- a real Airflow -----------------------------------------------------------------------------------------------------------

DAG_FILE = """
import math
from datetime import datetime
from airflow.sdk import DAG, task
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

COMMON = {"input_notebook": "seen.ipynb", "waiter_delay": 1}

with DAG("mapped", schedule=None, start_date=datetime(2026, 1, 1), render_template_as_native_obj=True):

    @task
    def double(n):
        return n * 2

    @task
    def texts():
        return ["a", "b"]

    doubled, letters = double.expand(n=[1, 2, 3]), texts()
    SageMakerNotebookJobOperator(
        task_id="job",
        parameters={
            "x": {
                "all": doubled,
                "nested": [{"deep": doubled}],
                "mapped": doubled.map(lambda n: n + 1),
                "zipped": doubled.zip(letters),
                "joined": letters.concat(doubled),
                "chained": doubled.zip(letters).map(lambda pair: pair[1]),
                "digits": "{{ '12345' }}",
            },
            "zip_code": "{{ ['12345'] | first }}",
        },
        **COMMON,
    )
    SageMakerNotebookJobOperator.partial(task_id="each", **COMMON).expand(parameters=[{"x": math.nan}, {"x": [math.inf, "{{ 1 }}"]}])
"""


@pytest.mark.slow
@pytest.mark.local
def test_in_a_real_airflow_they_arrive(nbjobs_sagemaker, tmp_path, tmp_path_factory):
    """In the notebooks that are staged; that a kernel runs those is shown with more values in ``properties``."""
    (tmp_path / "mapped.py").write_text(DAG_FILE, encoding="utf-8")
    (tmp_path / "seen.ipynb").write_bytes(notebook(code("x = None\nzip_code = '00000'", "parameters"), "x"))
    nbjobs_sagemaker.faults.script_jobs()
    home = tmp_path_factory.mktemp("airflow")
    with DagRuns(home, dags=tmp_path, environment=nbjobs_sagemaker.environment) as airflow:
        run = airflow.run("mapped")
    assert run.state == "success", run.log[-5000:]
    seen = {}
    for job in nbjobs_sagemaker.jobs():
        bucket, _, key = job["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"][5:].partition("/")
        staged = nbjobs_sagemaker.client("s3").get_object(Bucket=bucket, Key=f"{key}/seen.ipynb")["Body"].read()
        values = values_of(staged, job.get("HyperParameters", {}))
        task = job["Environment"]["NBJOBS_TASK_ID"], job["Environment"]["NBJOBS_MAP_INDEX"]
        seen[task] = values["x"], values["zip_code"]
    x, zip_code = seen.pop(("job", "-1"))
    assert zip_code == "12345"
    assert x == {
        "all": [2, 4, 6],
        "nested": [{"deep": [2, 4, 6]}],
        "mapped": [3, 5, 7],
        "zipped": [[2, "a"], [4, "b"]],
        "joined": ["a", "b", 2, 4, 6],
        "chained": ["a", "b"],
        "digits": 12345,
    }
    assert repr(sorted(seen.items())) == "[(('each', '0'), (nan, '00000')), (('each', '1'), ([inf, 1], '00000'))]"
