"""What somebody gets wrong who writes the first notebook task: said before anything is uploaded, all at once, with what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG
from fakes import code, notebook, task_context
from operator_tasks import Tasks, defer

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.task.prepare import prepare

CELL = code("epochs = 1\nday = ''\nzip_code = '0'\nmaybe = None", "parameters")


@pytest.fixture
def task(tmp_path):
    tasks = Tasks(tmp_path)
    (tmp_path / "nb.ipynb").write_bytes(notebook(CELL, "accuracy = 0.5"))
    return tasks


def rendered(operator, **context):
    operator.render_template_fields(context, operator.dag.get_template_env())
    return operator


@pytest.fixture
def problems(task):
    """What is wrong with a task of these arguments."""

    def refused(**arguments):
        operator = rendered(task(task_id=f"t{len(task.dag.task_dict)}", **arguments))
        operator._hook = task.hook
        with pytest.raises(NotebookJobConfigError) as caught:
            operator.execute(task_context())
        assert task.clients.wrote_nothing
        return list(caught.value.problems)

    return refused


@pytest.fixture
def prepared(task):
    def prepare_one(context=None, **arguments):
        operator = task(task_id=f"t{len(task.dag.task_dict)}", **arguments)
        return prepare(rendered(operator, **(context or {})), task_context())

    return prepare_one


# -- parameters in one text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{{ conf }}",
        "{{ conf | tojson }}",
        '{"epochs": 4, "day": "2026-01-01", "zip_code": "007"}',
    ],
)
def test_all_parameters_may_come_from_one_template(prepared, text):
    """Without native rendering, ``parameters="{{ dag_run.conf }}"`` arrives as the text of a dict."""
    job = prepared(parameters=text, context={"conf": {"epochs": 4, "day": "2026-01-01", "zip_code": "007"}})
    assert job.hyperparameters == {"epochs": "4", "day": "2026-01-01", "zip_code": "007"}
    assert b"epochs = 4\\n" in job.files[0].body
    assert b"zip_code = '007'" in job.files[0].body


def test_parameters_in_one_text_are_shown_as_the_mapping_that_they_are(task):
    operator = rendered(task(parameters="{{ conf }}"), conf={"epochs": 4})
    assert operator.parameters == {"epochs": 4}
    defer(operator, task_context())


def test_a_text_that_says_no_parameters_is_shown(problems):
    assert problems(parameters="epochs=3") == [
        "parameters must be a dictionary (or a JSON object as text), not 'epochs=3'"
    ]
    assert problems(parameters=["epochs"]) == [
        "parameters must be a dictionary (or a JSON object as text), not ['epochs']"
    ]


def test_parameters_that_a_template_leaves_empty_count_as_not_given(prepared):
    job = prepared(parameters="{{ none }}")
    assert job.hyperparameters == {}
    assert [warning for warning in job.warnings if warning.startswith("parameters is 'None'")]


# -- everything at once -------------------------------------------------------------------------------------------------


def test_parameters_are_looked_at_where_there_is_no_notebook(problems):
    found = problems(
        input_notebook="other.ipynb",
        parameters={"day": datetime(2026, 1, 1, tzinfo=UTC), 1: 2, "rows": [timedelta(1)], "fine": 1},
        unknown_parameters="ignore",
    )
    assert found[1:] == [
        "unknown_parameters must be 'error' or 'warn', not 'ignore'",
        "parameters['day'] is of type datetime.datetime; give text: .isoformat()",
        "parameter name 1 is of type int, not text",
        "parameters['rows'][0] is of type datetime.timedelta; give a number of seconds: .total_seconds()",
    ]


def test_parameters_are_looked_at_where_no_kernel_is_known(task, problems, tmp_path):
    (tmp_path / "bare.ipynb").write_bytes(notebook(CELL, kernel=None))
    assert problems(input_notebook="bare.ipynb", parameters={"epoch": 1}) == [
        "kernel_name is not set and the notebook's metadata names no kernel; give kernel_name, e.g. 'python3'",
        "parameter 'epoch' is not defined in the notebook's 'parameters' cell; did you mean 'epochs'?",
    ]


@pytest.mark.parametrize("name", ["unknown_parameters", "missing_dependencies"])
@pytest.mark.parametrize("value", [False, 0, "ignore", ["warn"]])
def test_a_choice_that_is_none_is_not_taken_for_the_default(problems, name, value):
    assert problems(**{name: value}) == [f"{name} must be 'error' or 'warn', not {value!r}"]


# -- where the notebook is ----------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    for name in ("notebooks/train.ipynb", "Report.ipynb", "deep/er/est.ipynb", ".hidden/secret.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(notebook(CELL))


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("nb", "nb.ipynb"),
        ("NB.ipynb", "nb.ipynb"),
        ("report.ipynb", "Report.ipynb"),
        ("Reprot.ipynb", "Report.ipynb"),
        (" nb.ipynb ", "nb.ipynb"),
        ("train.ipynb", "notebooks/train.ipynb"),
        ("notebooks\\train.ipynb", "notebooks/train.ipynb"),
        ("notebook/train.ipynb", "notebooks/train.ipynb"),
        ("dags/notebooks/train.ipynb", "notebooks/train.ipynb"),
        ("est.ipynb", "deep/er/est.ipynb"),
    ],
)
def test_a_notebook_that_is_there_under_a_near_name_is_named(problems, given, meant):
    (problem,) = problems(input_notebook=given)
    assert problem.startswith(f"input_notebook: there is no '{given}'; searched '")
    assert problem.endswith(f"; did you mean '{meant}'?")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    "given", ["secret.ipynb", "sales.ipynb", "../../../x.ipynb", "x" * 400 + ".ipynb", "a\0b.ipynb"]
)
def test_nothing_is_guessed_where_nothing_is_near(problems, given):
    (problem,) = problems(input_notebook=given)
    assert "did you mean" not in problem


def test_a_near_name_is_looked_for_for_every_file(problems, tmp_path):
    Path(tmp_path, "utils.py").touch()
    Path(tmp_path, "setup.sh").touch()
    found = problems(additional_dependencies=["util.py"], initialization_script="set-up.sh")
    assert [problem.rpartition("; ")[2] for problem in found] == [
        "did you mean 'utils.py'?",
        "did you mean 'setup.sh'?",
    ]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("https://github.com/x/nb.ipynb", "is no path; of URIs, 's3://bucket/key' is taken: put the file there"),
        ("file:///tmp/nb.ipynb", "is no path; of URIs, 's3://bucket/key' is taken: give '/tmp/nb.ipynb'"),
        ("s3a://bucket/nb.ipynb", "is no path; of URIs, 's3://bucket/key' is taken: give 's3://bucket/nb.ipynb'"),
        ("S3://bucket/nb.ipynb", "is no path; of URIs, 's3://bucket/key' is taken: give 's3://bucket/nb.ipynb'"),
        ("s3://bucket", "names no object; give 's3://bucket/key'"),
        ("s3://bucket/", "names no object; give 's3://bucket/key'"),
    ],
)
def test_a_uri_that_is_no_object_of_s3_is_not_looked_for_as_a_path(problems, given, why):
    assert problems(input_notebook=given) == [f"input_notebook: '{given}' {why}"]


@pytest.mark.parametrize("given", [["nb.ipynb"], {"path": "nb.ipynb"}, 5])
def test_a_notebook_that_is_no_text_is_not_looked_for(problems, given):
    assert problems(input_notebook=given) == [f"input_notebook: must be a path or an s3:// URI, not {given!r}"]


@pytest.mark.parametrize("template", ["{{ none }}", "null", " "])
def test_a_template_that_leaves_no_notebook_is_said_to(problems, template):
    (problem,) = problems(input_notebook=template)
    assert problem.startswith("input_notebook is not set")
    assert "as a template writes it" in problem


def test_commands_in_place_of_a_script_are_told_from_a_path(problems):
    (problem,) = problems(initialization_script="pip install pandas\nexport A=1")
    assert problem == (
        "initialization_script: must be the path of a script, not its text ('pip install pandas …'); write it into a file beside the DAG file"
    )


# -- values that templates leave behind ---------------------------------------------------------------------------------


def test_none_in_a_text_is_told(prepared):
    """``{{ dag_run.logical_date }}`` of a run by hand is None, which Jinja writes out."""
    job = prepared(
        parameters={"day": "{{ none }}"}, environment_variables={"DAY": "{{ none }}"}, tags={"day": "{{ none }}"}
    )
    told = "is 'None', as a template writes it for a value that is not there"
    assert [warning for warning in job.warnings if told in warning] == [
        f"environment_variables: 'DAY' {told}",
        f"tags: 'day' {told}",
        f"parameter 'day' {told}",
    ]


def test_none_for_a_number_is_told_where_it_comes_from(problems):
    assert problems(parameters={"epochs": "{{ none }}"}) == [
        "parameter 'epochs': the text 'None' is not exactly an int, as its default says; a template writes 'None' for a value that is not there"
    ]


def test_a_parameter_of_a_foreign_type_is_told_by_its_type_alone(problems):
    """Its comparison may do anything: numpy's gives no truth."""

    class Odd:
        def __eq__(self, other):
            raise RuntimeError

        __hash__ = None

    (problem,) = problems(parameters={"maybe": Odd()})
    assert problem.startswith("parameters['maybe'] is of type")


def test_a_value_that_may_be_none_is_not_told_twice(prepared):
    warnings = prepared(parameters={"maybe": "{{ none }}"}).warnings
    assert len([warning for warning in warnings if "'maybe'" in warning]) <= 1


@pytest.mark.parametrize(
    "name", ["execution_date", "next_ds", "prev_ds_nodash", "yesterday_ds", "tomorrow_ds_nodash", "next_execution_date"]
)
def test_names_that_airflow_3_has_given_up_are_told_what_took_their_place(task, name):
    operator = task(parameters={"day": f"{{{{ {name} }}}}"})
    with pytest.raises(NotebookJobConfigError) as caught:
        operator.render_template_fields({"logical_date": datetime(2026, 1, 1, tzinfo=UTC)}, task.dag.get_template_env())
    assert f"'{name}' is undefined" in str(caught.value)
    assert f"Airflow 3 has no '{name}' any more" in str(caught.value)
    assert "dag_run.data_interval_start or dag_run.run_after" in str(caught.value)


# -- AWS's own names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s3_kms_key", "volume_kms_key"])
def test_a_key_of_another_region_is_refused(problems, prepared, name):
    key = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    assert problems(**{name: key}) == [
        f"{name}: '{key}' lies in region 'us-east-1' but the job runs in 'eu-west-1'; give a key of 'eu-west-1'"
    ]
    prepared(**{name: key.replace("us-east-1", "eu-west-1")})
    prepared(**{name: "alias/nbjobs"})


def test_an_availability_zone_is_no_region(task, problems):
    task.hook.region = "eu-west-1a"
    assert problems()[0] == "region_name: 'eu-west-1a' is an availability zone; its region is 'eu-west-1'"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("eu-west1", "; did you mean 'eu-west-1'?"),
        ("EU_WEST_1", "; did you mean 'eu-west-1'?"),
        ("ireland", ", such as 'eu-west-1'"),
    ],
)
def test_a_region_of_no_such_form_is_refused(task, problems, given, told):
    task.hook.region = given
    assert problems()[0] == f"region_name: '{given}' is no name of a region{told}"


def test_a_folder_is_refused_with_the_notebooks_in_it(problems, tmp_path):
    (tmp_path / "daily").mkdir()
    assert problems(input_notebook="daily") == [
        "input_notebook: 'daily' is a folder, a file is needed; there is none in it"
    ]
    (tmp_path / "daily" / "sales.ipynb").write_bytes(notebook(CELL))
    (problem,) = problems(input_notebook="daily")
    assert problem.endswith(f"; in it: '{tmp_path / 'daily' / 'sales.ipynb'}'")


def test_a_format_is_no_suffix(problems):
    assert problems(output_formats=[".html", "pdf"]) == [
        "output_formats: '.html' is no name of an nbconvert format such as 'html'"
    ]


def test_what_jupyter_shows_is_no_kernels_name(prepared):
    (warning,) = [told for told in prepared(kernel_name="Python 3 (ipykernel)").warnings if "kernel" in told]
    assert "what Jupyter shows" in warning
    assert "kernel_name='python3'" in warning


# -- the notebook itself ------------------------------------------------------------------------------------------------


def test_a_pointer_of_git_lfs_is_told(problems, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
    (tmp_path / "big.ipynb").write_bytes(pointer)
    (problem,) = problems(input_notebook="big.ipynb")
    assert problem.endswith(
        "is a Git LFS pointer, not the notebook; fetch it where the DAGs are deployed: git lfs pull"
    )


def test_a_second_tagged_cell_is_told(problems, tmp_path):
    raw = notebook(code("x = 1", "parameters"), code("z = 1", "parameters"))
    (tmp_path / "two.ipynb").write_bytes(raw)
    (problem,) = problems(input_notebook="two.ipynb", parameters={"x": 1, "z": 2})
    assert problem == (
        "parameter 'z' is not defined in the notebook's first 'parameters' cell; cell 2, which defines it, is tagged 'parameters' as well, "
        "but only the first such cell counts: move the line there"
    )


def test_default_args_of_a_dag_do_not_hide_a_good_default(tmp_path):
    dag = DAG(
        "d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args={"parameters": "{{ none }}"}
    )
    tasks = Tasks(tmp_path)
    dag.fileloc, tasks.dag = tasks.dag.fileloc, dag
    assert prepare(rendered(tasks()), task_context()).hyperparameters == {}


def test_an_organisations_volume_key_is_no_mistake_of_a_task_whose_instance_takes_none(task, prepared, problems):
    task.hook.connection_extra = {"nbjobs": {"volume_kms_key": "alias/volumes"}}
    job = prepared(instance_type="ml.g5.xlarge")
    assert "VolumeKmsKeyId" not in job.request(0)["ResourceConfig"]
    assert prepared().request(0)["ResourceConfig"]["VolumeKmsKeyId"] == "alias/volumes"
    (problem,) = problems(instance_type="ml.g5.xlarge", volume_kms_key="alias/mine")
    assert "SageMaker takes no key for ml.g5.xlarge" in problem
