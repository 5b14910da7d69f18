"""From arguments to a job that can be submitted: real folders, every problem at once, and nothing written when there is one."""

import ast
import hashlib
import json
import re
from collections import Counter

import pytest
from fakes import ACCOUNT_ID, DISTRIBUTION_ACCOUNT_ID, REGION, FakeClients, code, notebook
from msgspec.structs import replace

from airflow_nbjobs.aws.submit.job import instance_choices
from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.commands.wording import in_flags
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0)
RUN = Run(label="d.t", readable="d-t", key=KEY, variables={"NBJOBS_TASK_ID": "t"}, tags={"airflow:task_id": "t"})
ARGUMENTS = {
    "input_notebook": "nb.ipynb",
    "image_uri": f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1",
    "role": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
    "s3_root_uri": "s3://bucket/nbjobs",
}
PLAIN = notebook("x = 1")
PARAMETERISED = notebook(code("epochs = 1\nname = 'a'", "parameters"), "score = epochs * 2")


@pytest.fixture
def clients():
    return FakeClients()


@pytest.fixture
def prepare(tmp_path, clients):
    """Prepares a job of the notebook that the test wrote to tmp_path; checks that nothing is ever written."""

    def run(*, region=REGION, has_credentials=True, **arguments):
        where = Surroundings(folders=[tmp_path], region=region, has_credentials=has_credentials, clients=clients)
        try:
            return examine_job(JobArguments(**ARGUMENTS | arguments), run=RUN, where=where).required()
        finally:
            assert clients.wrote_nothing

    (tmp_path / "nb.ipynb").write_bytes(PLAIN)
    return run


def staged(job, name="nb.ipynb"):
    (file,) = [file for file in job.files if file.name == name]
    return file.body if isinstance(file.body, bytes) else file.body.read_bytes()


# -- what is staged ----------------------------------------------------------------------------------------------------


def test_a_notebook_without_parameters_and_outputs_is_staged_byte_for_byte(prepare):
    """Whoever looks at the staged input must find the file that was reviewed."""
    job = prepare()
    assert staged(job) == PLAIN
    assert [file.name for file in job.files] == ["nb.ipynb"]


def test_string_parameters_need_no_cell_of_ours(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    job = prepare(parameters={"name": "b"})
    assert staged(job) == PARAMETERISED
    assert job.request(0)["HyperParameters"] == {"name": "b"}


def test_typed_parameters_get_a_cell_after_the_parameters_cell(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    job = prepare(parameters={"epochs": 3})
    sources = [cell["source"] for cell in json.loads(staged(job))["cells"]]
    assert len(sources) == 3
    assert "epochs = 3" in "".join(sources[1])
    assert job.request(0)["HyperParameters"] == {"epochs": "3"}


def test_outputs_get_a_cell_at_the_end(prepare):
    cells = json.loads(staged(prepare(outputs=["x"])))["cells"]
    assert len(cells) == 2
    assert "remove-cell" in cells[-1]["metadata"]["tags"]


def test_what_templates_wrote_in_extra_request_goes_out_as_numbers(prepare):
    request = prepare(
        extra_request={
            "ResourceConfig": {"VolumeSizeInGB": "77", "InstanceCount": "1.0"},
            "EnableInterContainerTrafficEncryption": "False",
        }
    ).request(0)
    assert (request["ResourceConfig"]["VolumeSizeInGB"], request["ResourceConfig"]["InstanceCount"]) == (77, 1)
    assert request["EnableInterContainerTrafficEncryption"] is False


def test_dependencies_may_be_the_text_of_their_list(prepare, tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("1")
    for text in ("['a.csv', 'b.csv']", '["a.csv", "b.csv"]', "a.csv, b.csv", "a.csv\nb.csv"):
        names = sorted(file.name for file in prepare(additional_dependencies=text).files)
        assert names == ["a.csv", "b.csv", "nb.ipynb"]


@pytest.mark.parametrize("empty", ["", "  ", "None", "null"])
def test_what_a_template_writes_for_nothing_is_not_given_and_said(prepare, empty):
    names = ("kernel_name", "notebook_job_name", "name", "initialization_script", "instance_type", "volume_size")
    names += ("security_group_ids", "subnets", "tags", "additional_dependencies", "live_notebook", "extra_request")
    job = prepare(**dict.fromkeys(names, empty))
    assert job.request(0) == prepare().request(0)
    assert job.warnings == tuple(
        f"{name} is {empty!r}, as a template writes it for a value that is not there: it counts as not given"
        for name in names
    )


def test_the_authors_file_is_never_changed(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    prepare(parameters={"epochs": 3}, outputs=["score"])
    assert (tmp_path / "nb.ipynb").read_bytes() == PARAMETERISED


def test_run_targets_are_found_and_shipped_without_being_listed(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("%run 'a.ipynb'\n%run tools.py"))
    (tmp_path / "a.ipynb").write_bytes(notebook("%run b.ipynb"))
    (tmp_path / "b.ipynb").write_bytes(notebook("y = 1"))
    (tmp_path / "tools.py").write_text("z = 1")
    assert sorted(file.name for file in prepare().files) == ["a.ipynb", "b.ipynb", "nb.ipynb", "tools.py"]


def test_a_run_target_that_is_also_listed_is_shipped_once(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("%run a.ipynb\n%run lib/c.ipynb"))
    (tmp_path / "a.ipynb").write_bytes(PLAIN)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "c.ipynb").write_bytes(PLAIN)
    job = prepare(additional_dependencies=["a.ipynb", "lib"])
    assert sorted(file.name for file in job.files) == ["a.ipynb", "lib/c.ipynb", "nb.ipynb"]


def test_a_run_target_may_come_from_elsewhere_when_it_is_listed(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("%run a.ipynb"))
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "a.ipynb").write_bytes(PLAIN)
    job = prepare(additional_dependencies=["shared/a.ipynb"])
    assert sorted(file.name for file in job.files) == ["a.ipynb", "nb.ipynb"]


def test_an_init_script_is_staged_and_named_to_the_driver(prepare, tmp_path):
    (tmp_path / "setup.sh").write_bytes(b"pip install x\r\n")
    job = prepare(initialization_script="setup.sh")
    assert staged(job, "setup.sh") == b"pip install x\r\n"
    assert job.request(0)["Environment"]["SM_INIT_SCRIPT"] == "setup.sh"
    assert any("Windows line endings" in warning for warning in job.warnings)


def test_a_notebook_in_s3_brings_its_run_targets(prepare, clients):
    clients.objects.bodies |= {"s3://code/nb/train.ipynb": notebook("%run a.ipynb"), "s3://code/nb/a.ipynb": PLAIN}
    job = prepare(input_notebook="s3://code/nb/train.ipynb")
    assert sorted(file.name for file in job.files) == ["a.ipynb", "train.ipynb"]
    assert job.notebook_origin == "s3://code/nb/train.ipynb"


# -- what nobody answers -----------------------------------------------------------------------------------------------


def test_a_cell_that_waits_for_an_answer_is_an_error_beside_the_others(refused, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = 1", "name = input('Name? ')"))
    problems = refused(role=None)
    assert len(problems) == 2
    assert any("cell 2 line 1 of 'nb.ipynb' waits for an answer (input())" in problem for problem in problems)


def test_one_that_a_job_may_come_to_is_a_warning(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = 1", "if not x:\n    x = input('x? ')"))
    (warning,) = prepare().warnings
    assert "cell 2 line 2 of 'nb.ipynb'" in warning


def test_another_language_is_not_read_as_python(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = input()", kernel="ir", language="R"))
    assert prepare().warnings == ()


@pytest.mark.parametrize("name", ["-name.ipynb", "--help.ipynb", "-.ipynb", "----.ipynb"])
def test_a_name_that_papermill_takes_for_its_standard_input_is_an_error(refused, tmp_path, name):
    (tmp_path / name).write_bytes(PLAIN)
    (problem,) = refused(input_notebook=f"./{name}")
    assert problem == (
        f"input_notebook: '{name}' begins with a hyphen, which the driver's papermill takes for its standard input; rename it"
    )


@pytest.mark.parametrize(
    "name",
    [
        "it's.ipynb",
        'a "b".ipynb',
        " a  b.ipynb",
        "$HOME.ipynb",
        "`id`.ipynb",
        "a\nb.ipynb",
        "100%.ipynb",
        "日本.ipynb",
        "a...ipynb",
        ".ipynb",
        "a-.ipynb",
        "a:b.ipynb",
    ],
)
def test_a_name_that_the_driver_opens_stays_allowed(prepare, tmp_path, name):
    (tmp_path / name).write_bytes(PLAIN)
    assert prepare(input_notebook=name).staged_notebook == name


# -- the kernel --------------------------------------------------------------------------------------------------------


def test_the_kernel_that_studio_classic_saved_runs_as_the_kernel_of_the_jobs_image(prepare, tmp_path):
    classic = (
        "python3__SAGEMAKER_INTERNAL__arn:aws:sagemaker:us-east-1:123456789012:image/sagemaker-data-science-310-v1"
    )
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = 1", kernel=classic))
    job = prepare()
    assert job.request(0)["Environment"]["SM_KERNEL_NAME"] == "python3"
    assert len(job.notes) == 1
    (tmp_path / "nb.ipynb").write_bytes(PLAIN)
    assert prepare(kernel_name=classic).request(0)["Environment"]["SM_KERNEL_NAME"] == "python3"


def test_a_kernel_that_the_image_hardly_has_is_warned_of_and_asked_for_all_the_same(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = 1", kernel="conda_python3"))
    job = prepare(image_uri="sagemaker-distribution:4-cpu")
    assert job.request(0)["Environment"]["SM_KERNEL_NAME"] == "conda_python3"
    (warning,) = job.warnings
    assert "set kernel_name='python3'" in warning
    assert prepare(image_uri="sagemaker-distribution:4-cpu", kernel_name="python3").warnings == ()
    (tmp_path / "setup.sh").write_text("true")
    given = {"image_uri": "sagemaker-distribution:4-cpu", "kernel_name": "conda_python3"}
    assert len(prepare(**given).warnings) == 1
    assert prepare(**given, initialization_script="setup.sh").warnings == (), "the script may install it"


# -- what is asked of AWS, and what the job is told --------------------------------------------------------------------


def test_the_kernel_is_the_notebooks_own_unless_given(prepare):
    assert prepare().request(0)["Environment"]["SM_KERNEL_NAME"] == "python3"
    assert prepare(kernel_name="conda-env").request(0)["Environment"]["SM_KERNEL_NAME"] == "conda-env"


def test_a_short_image_name_and_a_role_name_are_expanded(prepare):
    request = prepare(image_uri="sagemaker-distribution:4-cpu", role="Jobs").request(0)
    assert request["AlgorithmSpecification"]["TrainingImage"] == (
        f"{DISTRIBUTION_ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/sagemaker-distribution-prod:4-cpu"
    )
    assert request["RoleArn"] == f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/Jobs"


def test_a_short_image_name_in_china_has_chinas_domain(prepare):
    image = prepare(image_uri="sagemaker-distribution:4-cpu", region="cn-north-1").request(0)["AlgorithmSpecification"]
    assert image["TrainingImage"].endswith(".dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-distribution-prod:4-cpu")


def test_each_attempt_has_a_name_an_owner_and_a_place_of_its_own(prepare):
    job = prepare()
    requests = [job.request(attempt) for attempt in range(3)]
    for part in (
        [request["TrainingJobName"] for request in requests],
        [request["Environment"]["NBJOBS_OWNER"] for request in requests],
        [request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] for request in requests],
    ):
        assert len(set(part)) == 3
    assert requests[0]["TrainingJobName"].startswith("d-t-")


def test_a_notebook_job_name_is_the_readable_part(prepare):
    assert prepare(notebook_job_name="nightly").location(0).job_name.startswith("nightly-")


def test_the_digest_of_the_input_changes_with_a_parameter_and_with_a_file(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    (tmp_path / "d.csv").write_text("1")
    arguments = {"parameters": {"epochs": 3}, "additional_dependencies": ["d.csv"]}
    first = prepare(**arguments).input_sha256
    assert prepare(**arguments).input_sha256 == first
    assert prepare(**arguments | {"parameters": {"epochs": 4}}).input_sha256 != first
    (tmp_path / "d.csv").write_text("2")
    assert prepare(**arguments).input_sha256 != first


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"print(1)", "not JSON"),
        (b"", "is empty"),
        (b'{"nbformat": 3, "worksheets": []}', "nbformat 3.*nbconvert --to notebook"),
        (b'{"nbformat": 4, "cells": []}', "no code cell"),
        (b"[1]", "not an object"),
        (b'{"nbformat": 4}', "'cells' is missing"),
    ],
)
def test_a_file_that_is_no_notebook_of_nbformat_4_is_refused(refused, tmp_path, content, text):
    (tmp_path / "nb.ipynb").write_bytes(content)
    (problem,) = refused()
    assert str(tmp_path / "nb.ipynb") in problem
    assert re.search(text, problem)


def test_a_missing_notebook_names_the_places_searched(refused, tmp_path):
    (problem,) = refused(input_notebook="none.ipynb")
    assert problem == f"input_notebook: there is no 'none.ipynb'; searched '{tmp_path / 'none.ipynb'}'"


@pytest.mark.parametrize("value", [None, ""])
def test_a_notebook_that_is_not_given_is_said(refused, value):
    (problem,) = refused(input_notebook=value)
    assert problem.startswith("input_notebook is not set; give the path")


@pytest.mark.parametrize("name", ["a{x}.ipynb", "a}.ipynb"])
def test_braces_in_the_name_are_refused(refused, tmp_path, name):
    (tmp_path / name).write_bytes(PLAIN)
    (problem,) = refused(input_notebook=name)
    assert "has a brace in its name" in problem
    assert "rename it" in problem


def test_a_file_that_is_not_named_ipynb_is_refused(refused, tmp_path):
    (tmp_path / "nb.py").write_bytes(PLAIN)
    assert refused(input_notebook="nb.py") == [
        "input_notebook: 'nb.py' is no Jupyter notebook (.ipynb); did you mean 'nb.ipynb'?"
    ]


def test_a_notebook_that_names_no_kernel_needs_one(refused, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = 1", kernel=None))
    (problem,) = refused()
    assert problem.startswith("kernel_name is not set")


def test_a_kernel_that_is_no_text_is_refused_not_a_crash(refused):
    (problem,) = refused(kernel_name=3)
    assert problem.startswith("kernel_name: must be a text")


def test_a_missing_run_target_is_an_error_now_not_in_five_minutes(refused, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("%run none.ipynb"))
    (problem,) = refused()
    assert "none.ipynb" in problem


def test_a_missing_target_of_a_target_names_both(refused, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("%run a.ipynb"))
    (tmp_path / "a.ipynb").write_bytes(notebook("%run none.ipynb"))
    (problem,) = refused()
    assert "none.ipynb" in problem
    assert "a.ipynb" in problem


def test_a_run_cycle_is_refused_with_its_members(refused, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("%run a.ipynb"))
    (tmp_path / "a.ipynb").write_bytes(notebook("%run nb.ipynb"))
    problems = refused()
    assert problems
    assert all(name in problems[0] for name in ("nb.ipynb", "a.ipynb"))


def test_a_run_target_that_is_no_notebook_is_refused(refused, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("%run a.ipynb"))
    (tmp_path / "a.ipynb").write_text("no")
    (problem,) = refused()
    assert "a.ipynb' is not a notebook: not JSON" in problem


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"additional_dependencies": ["none.py"]}, "additional_dependencies: there is no 'none.py'"),
        ({"additional_dependencies": 5}, "additional_dependencies: must be a list of texts, not 5"),
        ({"initialization_script": "none.sh"}, "initialization_script: there is no 'none.sh'"),
        ({"parameters": "a=1"}, "parameters must be a dictionary (or a JSON object as text), not 'a=1'"),
        ({"missing_dependencies": "ignore"}, "missing_dependencies must be 'error' or 'warn', not 'ignore'"),
        ({"unknown_parameters": "ignore"}, "unknown_parameters must be 'error' or 'warn', not 'ignore'"),
        ({"outputs": ["return_value"]}, "output 'return_value' has a name that is reserved"),
        ({"outputs": ["nbjobs_x"]}, "reserved"),
        ({"outputs": ["a b"]}, "is not a variable's name"),
        ({"return_output": "y"}, "return_output 'y' is not one of the outputs"),
        ({"extra_request": {"TrainingJobName": "x"}}, "extra_request: TrainingJobName"),
        ({"region": None}, "no AWS region is configured; set region_name"),
        ({"has_credentials": False}, "no AWS credentials were found; give the AWS connection"),
        (
            {"extra_request": {"ResourceConfig": {"VolumeSizeInGB": "big"}}},
            "extra_request: ResourceConfig.VolumeSizeInGB must be a whole number, not 'big'",
        ),
        ({"s3_kms_key": ""}, "s3_kms_key is '', as a template writes it for a value that is not there; leave the"),
        ({"volume_kms_key": "None"}, "volume_kms_key is 'None', as a template writes it"),
        ({"enable_network_isolation": "None"}, "enable_network_isolation is 'None', as a template writes it"),
        ({"extra_request": {"NoSuchField": 1}}, "extra_request: NoSuchField is no field of CreateTrainingJob"),
        ({"environment_variables": {f"V{n}": "" for n in range(95)}}, "Environment has 1"),
        ({"tags": {f"t{n}": "" for n in range(48)}}, "Tags has 5"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_one_problem_with_its_name(refused, arguments, text):
    (problem,) = refused(**arguments)
    assert text in problem


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"epoch": 1}, "epoch"),
        ({"epochs": object()}, "epochs"),
        ({"name": "x", "epochs": {1, 2}}, "epochs"),
        ({"epochs": "three"}, "epochs"),
    ],
)
def test_a_wrong_parameter_is_one_problem_with_its_name(refused, tmp_path, parameters, text):
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    (problem,) = refused(parameters=parameters)
    assert text in problem


def test_more_parameters_than_the_service_takes_are_refused(refused, tmp_path):
    names = [f"p{n}" for n in range(101)]
    (tmp_path / "nb.ipynb").write_bytes(notebook(code("\n".join(f"{name} = 0" for name in names), "parameters")))
    problems = refused(parameters=dict.fromkeys(names, 1))
    assert any("101" in problem and "100" in problem for problem in problems)


def test_typed_parameters_for_another_language_are_refused(refused, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook(code("x <- 1", "parameters"), kernel="ir", language="R"))
    (problem,) = refused(parameters={"x": 3})
    assert "parameter 'x'" in problem


def test_outputs_of_another_language_are_refused(refused, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("x <- 1", kernel="ir", language="R"))
    (problem,) = refused(outputs=["x"])
    assert "kernel 'ir' runs another language: leave outputs out" in problem


def test_two_dependencies_under_one_name_are_refused(refused, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "u.py").write_text("")
    (problem,) = refused(additional_dependencies=["a/u.py", "b/u.py"])
    assert "would both be staged as 'u.py'" in problem


def test_a_dependency_that_collides_with_the_notebook_is_refused(refused, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "nb.ipynb").write_bytes(PLAIN)
    (problem,) = refused(additional_dependencies=["other/nb.ipynb"])
    assert "would both be staged as 'nb.ipynb'" in problem


def test_problems_of_every_kind_are_reported_together(refused, tmp_path):
    """A person who fixes one at a time waits for as many scheduler runs as there are mistakes."""
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    problems = refused(
        region=None,
        has_credentials=False,
        role=None,
        instance_type="big",
        parameters={"epoch": 1},
        outputs=["return_value"],
        additional_dependencies=["none.py"],
        initialization_script="none.sh",
        extra_request={"TrainingJobName": "x"},
        subnets=["subnet-1"],
    )
    for text in (
        "no AWS region",
        "no AWS credentials",
        "role is not set",
        "instance_type",
        "epoch",
        "return_value",
        "none.py",
        "none.sh",
        "extra_request",
        "subnets",
    ):
        assert sum(text in problem for problem in problems) == 1, text
    assert len(problems) == 10


# -- warnings ----------------------------------------------------------------------------------------------------------


def test_the_number_of_problems_is_said_in_words(prepare):
    for arguments, count in (({"role": None}, "1 problem "), ({"role": None, "volume_size": -1}, "2 problems ")):
        with pytest.raises(NotebookJobConfigError) as caught:
            prepare(**arguments)
        assert caught.value.headline == (f"notebook job of 'd.t' cannot run: {count}(nothing was uploaded or billed)")


@pytest.mark.parametrize(
    ("region", "has_credentials", "said"),
    [
        (None, True, ["no AWS region is configured; set region_name on the task"]),
        (REGION, False, ["no AWS credentials were found; give the AWS connection a key or a role"]),
        (None, False, ["no AWS region is configured;", "no AWS credentials were found;"]),
    ],
)
def test_what_the_surroundings_lack_is_told(refused, region, has_credentials, said):
    problems = refused(region=region, has_credentials=has_credentials)
    found = [problem for problem in problems if problem.startswith("no AWS")]
    assert len(found) == len(said)
    assert all(problem.startswith(text) for problem, text in zip(found, said, strict=True))


def test_the_clock_is_warned_of_in_a_run_of_a_data_interval_alone(tmp_path, clients):
    """A run that somebody triggers by hand is about no other day."""
    (tmp_path / "nb.ipynb").write_bytes(notebook("import datetime\nday = datetime.date.today()"))
    where = Surroundings(folders=[tmp_path], region=REGION, has_credentials=True, clients=clients)
    for has_interval in (True, False):
        run = replace(RUN, variables={"NBJOBS_DATA_INTERVAL_START": "2026-01-01"} if has_interval else {})
        job = examine_job(JobArguments(**ARGUMENTS), run=run, where=where).required()
        assert [("reads the clock (cell 1: " in warning) for warning in job.warnings] == [True] * has_interval


def test_an_examined_job_with_problems_has_no_job_and_its_files_all_the_same(tmp_path, clients):
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    where = Surroundings(folders=[tmp_path], region=REGION, has_credentials=True, clients=clients)
    arguments = JobArguments(**ARGUMENTS | {"role": None, "parameters": {"epochs": 3}})
    found = examine_job(arguments, run=RUN, where=where, problems=["told before"])
    assert (found.job, found.problems[0], len(found.problems)) == (None, "told before", 2)
    assert (found.kernel_name, found.values, found.label) == ("python3", {"epochs": 3}, "d.t")
    assert found.content.origin == str(tmp_path / "nb.ipynb")


def test_without_a_notebook_its_parameters_are_checked_as_values(refused, tmp_path):
    (tmp_path / "nb.ipynb").unlink()
    problems = refused(parameters={"a": object()})
    assert len(problems) == 2
    assert any("there is no 'nb.ipynb'" in problem for problem in problems)
    assert any("'a'" in problem for problem in problems)


def test_an_output_that_no_cell_assigns_is_a_warning(prepare):
    (warning,) = prepare(outputs=["x", "y"]).warnings
    assert "output 'y' is assigned by no cell" in warning


def test_an_output_that_is_misspelt_is_told_with_the_variable_that_was_meant(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("accuracy = 1"))
    (warning,) = prepare(outputs=["acuracy"]).warnings
    assert warning.endswith("; did you mean 'accuracy'?")
    assert "the task" not in in_flags(warning, ())  # `nbjobs run` has none


def test_an_output_that_a_run_target_assigns_is_none(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("%run a.ipynb"))
    (tmp_path / "a.ipynb").write_bytes(notebook("y = 1"))
    assert prepare(outputs=["y"]).warnings == ()


def test_an_unknown_parameter_may_be_a_warning(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    job = prepare(parameters={"epochs": 2, "other": 1}, unknown_parameters="warn")
    assert any("other" in warning for warning in job.warnings)


def test_a_text_for_a_number_is_converted_and_said(prepare, tmp_path):
    """Jinja renders to strings."""
    (tmp_path / "nb.ipynb").write_bytes(PARAMETERISED)
    job = prepare(parameters={"epochs": "3"})
    assert any("epochs" in note for note in job.notes)
    assert "epochs = 3" in "".join(json.loads(staged(job))["cells"][1]["source"])


@pytest.mark.parametrize(
    "source", ["rows = 5\nlabel = (\n    '%d rows'\n    % rows\n)", "  rows = 5\n", "%time rows = 5"]
)
def test_a_parameters_cell_is_read_as_ipython_reads_it(prepare, refused, tmp_path, source):
    (tmp_path / "nb.ipynb").write_bytes(notebook(code(source, "parameters")))
    job = prepare(parameters={"rows": "7"})
    assert "rows = 7" in "".join(json.loads(staged(job))["cells"][1]["source"])
    assert any("'row' is not defined" in problem for problem in refused(parameters={"row": 7}))


def test_preparing_changes_no_argument(prepare):
    parameters, tags = {}, {"team": "x"}
    before = replace(RUN)
    prepare(parameters=parameters, tags=tags)
    assert (parameters, tags, before) == ({}, {"team": "x"}, RUN)


# -- what would fail after the notebook has run ------------------------------------------------------------------------


def test_what_is_likely_to_fail_after_the_notebook_has_run_is_warned_of(prepare, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = 1", code("1 / 0", "raises-exception")))
    warnings = prepare(output_formats=["html", "pdf"]).warnings
    assert any(warning.startswith("cell 2 is tagged 'raises-exception'") for warning in warnings)
    assert any("'pdf' needs TeX" in warning for warning in warnings)
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = 1"))
    assert prepare(output_formats=["html"]).warnings == ()


@pytest.mark.parametrize("kernel", ["python3", "ir"])
def test_the_state_that_widgets_saved_in_an_earlier_run_is_not_staged(prepare, tmp_path, kernel):
    """Colab saves it without the key that nbconvert looks up, and papermill keeps it: every further format would fail."""
    plain = json.loads(notebook("x = 1", kernel=kernel, language="python" if kernel == "python3" else "R"))
    widgets = {"application/vnd.jupyter.widget-state+json": {"abc": {"model_name": "HBoxModel"}}}
    saved = plain | {"metadata": plain["metadata"] | {"widgets": widgets}}
    (tmp_path / "nb.ipynb").write_text(json.dumps(saved))
    job = prepare()
    assert json.loads(staged(job))["metadata"] == plain["metadata"]
    assert job.notebook_sha256 == hashlib.sha256(json.dumps(saved).encode()).hexdigest(), "of what the author wrote"
    (tmp_path / "nb.ipynb").write_text(json.dumps(plain))
    assert staged(prepare()) == json.dumps(plain).encode(), "the author's own bytes"


# -- how long it takes -------------------------------------------------------------------------------------------------


def test_each_cell_is_read_once_however_many_checks_look_at_it(prepare, tmp_path, monkeypatch):
    """A cell of 150 kB was taken apart 19 times and parsed 16 times: a minute on a busy worker."""
    parsed = Counter()
    parse = ast.parse

    def counting(source, *args, **kwargs):
        parsed[source] += 1
        return parse(source, *args, **kwargs)

    monkeypatch.setattr("airflow_nbjobs.core.notebook.syntax_trees.ast.parse", counting)
    (tmp_path / "nb.ipynb").write_bytes(
        notebook(code("epochs = 1", "parameters"), "%matplotlib inline\nscore = epochs")
    )
    prepare(parameters={"epochs": 2}, outputs=["score"])
    assert parsed["epochs = 1\n"] == 1
    assert parsed["pass\nscore = epochs\n"] == 1


def test_cells_of_the_same_text_keep_their_own_place_in_the_flow(prepare, tmp_path):
    """The second stopwatch is not the first one: each time is taken from the reading before it."""
    watch = "import time\nstart = time.time()\nrows = load()\nseconds = time.time() - start"
    (tmp_path / "nb.ipynb").write_bytes(notebook(watch, "start = read_start()\nreport(start)", watch))
    clocked = replace(RUN, variables={"NBJOBS_DATA_INTERVAL_START": "2026-01-01T00:00:00+00:00"})
    where = Surroundings(folders=[tmp_path], region=REGION, has_credentials=True, clients=FakeClients())
    assert examine_job(JobArguments(**ARGUMENTS), run=clocked, where=where).required().warnings == ()


def test_what_sagemaker_would_refuse_for_the_instances_sake_is_refused_before_anything_is_uploaded(refused, prepare):
    assert "did you mean 'ml.m5.large' or " in refused(instance_type="ml.m5.lage")[0]
    assert "takes no key for ml.g5.xlarge" in refused(instance_type="ml.m5.large, ml.g5.xlarge", volume_kms_key="k")[0]
    extra = {"ResourceConfig": {"InstanceCount": 2}, "StoppingCondition": {"MaxPendingTimeInSeconds": 7200}}
    assert len(refused(extra_request=extra)) == 2
    assert "unknown to the installed botocore" in prepare(instance_type="ml.q9.large").warnings[0]


def test_a_field_of_extra_request_that_is_misspelt_is_told_without_a_list_of_all(refused):
    (problem,) = refused(extra_request={"StoppingCondition": {"MaxRuntimeInSecond": 60}})
    assert problem.endswith("did you mean 'MaxRuntimeInSeconds'?")


def test_a_type_in_extra_request_is_looked_at_as_the_argument_is(refused):
    (problem,) = refused(extra_request={"ResourceConfig": {"InstanceType": "ml.m5.larg"}})
    assert problem.startswith("extra_request: ResourceConfig.InstanceType: 'ml.m5.larg' is no size of ml.m5")


@pytest.mark.parametrize(
    ("arguments", "keys", "told"),
    [
        ({"instance_type": "ml.g5.xlarge"}, [None], "is left out on ml.g5.xlarge: SageMaker takes none"),
        ({"instance_type": "ml.m5.large"}, ["k"], None),
        ({"instance_type": "ml.m5.large, ml.p4d.24xlarge"}, ["k", None], "is left out on ml.p4d.24xlarge: "),
        (
            {"extra_request": {"ResourceConfig": {"InstanceType": "ml.g5.xlarge"}}},
            [None],
            "is left out on ml.g5.xlarge",
        ),
    ],
)
def test_an_organisations_volume_key_is_left_out_where_sagemaker_takes_none(tmp_path, clients, arguments, keys, told):
    where = Surroundings(folders=[tmp_path], region=REGION, has_credentials=True, clients=clients)
    (tmp_path / "nb.ipynb").write_bytes(PLAIN)
    given = ARGUMENTS | {"volume_kms_key": "k"} | arguments
    job = examine_job(JobArguments(**given), run=RUN, where=where, is_volume_key_default=True).required()
    requests = [job.request(0, instance_types=choice) for choice in instance_choices(job, clients)]
    assert [request["ResourceConfig"].get("VolumeKmsKeyId") for request in requests] == keys
    assert any(told in note for note in job.notes) if told else not any("volume_kms_key" in note for note in job.notes)


def test_a_key_that_the_task_asks_for_in_extra_request_is_no_default(tmp_path, clients):
    where = Surroundings(folders=[tmp_path], region=REGION, has_credentials=True, clients=clients)
    (tmp_path / "nb.ipynb").write_bytes(PLAIN)
    extra = {"ResourceConfig": {"VolumeKmsKeyId": "own"}}
    given = ARGUMENTS | {"volume_kms_key": "k", "instance_type": "ml.g5.xlarge", "extra_request": extra}
    with pytest.raises(NotebookJobConfigError) as caught:
        examine_job(JobArguments(**given), run=RUN, where=where, is_volume_key_default=True).required()
    assert "takes no key for ml.g5.xlarge" in str(caught.value)


def test_a_name_that_a_tag_cannot_hold_is_said(prepare):
    (warning,) = prepare(name="Report (daily)").warnings
    assert "'Report _daily_' and not 'Report (daily)'" in warning
    assert {"Key": "sagemaker:name", "Value": "d/t/r"} in prepare().request(0)["Tags"]


def test_a_domain_of_another_region_is_said(prepare):
    (warning,) = prepare(studio_domain_arn="arn:aws:sagemaker:eu-south-2:123456789012:domain/d-1").warnings
    assert "lies in region 'eu-south-2'" in warning
