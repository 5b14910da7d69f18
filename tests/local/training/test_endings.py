"""How notebooks end in the real driver and kernel, and what is said of it: each line of the table is one job on the embedded SageMaker."""

import time

import pytest
from fakes import LogLines, code, notebook

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.results.read import Expectation, read_result
from airflow_nbjobs.aws.submit.job import submit
from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookOutputError,
    NotebookSkippedError,
)
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.core.job.submission_state import SubmissionState

pytestmark = [pytest.mark.local, pytest.mark.slow]  # a real job for each

QUIET = "class StopExecution(Exception):\n    def _render_traceback_(self):\n        {}\nraise StopExecution('nothing to do')"
SKIP = "class AirflowSkipException(Exception): ...\nraise AirflowSkipException('no new rows')"
VIEW = """
from IPython.display import publish_display_data
publish_display_data({"application/vnd.jupyter.widget-view+json": {"model_id": "abc"}, "text/plain": "bar"})
"""
SCRIPT = "with open('s.py', 'w') as file:\n    file.write('1 / 0')"
X_IS_1, NO_X = {"x": 1}, {}
# notebook's cells, arguments, error, its headline's end, a part of what is next, outputs
ENDINGS = {
    "unknown-format": (
        ["x = 1"],
        {"output_formats": ["foo"]},
        NotebookOutputError,
        "has run to its end; format 'foo' could not be written: ExporterNameError: Unknown exporter \"foo\"",
        "leave out the format",
        X_IS_1,
    ),
    "tagged": (
        ["x = 1", code("1 / 0", "raises-exception")],
        {},
        NotebookCellError,
        "has run to its end, but cell 2 shows an error: ZeroDivisionError: division by zero",
        "try/except",
        X_IS_1,
    ),
    "script": (
        ["x = 1", SCRIPT, "get_ipython().run_line_magic('run', 's.py')"],
        {},
        NotebookCellError,
        "has run to its end, but cell 3 shows an error: ZeroDivisionError: division by zero",
        "open the executed notebook at cell 3",
        X_IS_1,
    ),
    "no-kernel": (
        ["x = 1"],
        {"kernel_name": "conda_python3"},
        NotebookJobConfigError,
        "could not start: the image has no kernel 'conda_python3'",
        "set kernel_name",
        NO_X,
    ),
    "module": (
        ["%pip install --no-index nosuchpackage", "x = 1", "import nosuchpackage.part"],
        {},
        NotebookCellError,
        "failed in cell 3: ModuleNotFoundError: No module named 'nosuchpackage'",
        "list it in additional_dependencies",
        NO_X,
    ),
    "magic": (
        ["x = 1", "%nosuchmagic"],
        {},
        NotebookCellError,
        "failed in cell 2: UsageError: Line magic function `%nosuchmagic` not found.",
        "%load_ext",
        NO_X,
    ),
    "bash": (
        ["x = 1", "%%bash\necho problem >&2\nexit 3"],
        {},
        NotebookCellError,
        "returned non-zero exit status 3.",
        "open the executed notebook at cell 2",
        NO_X,
    ),
    "quiet-none": (
        ["x = 1", QUIET.format("return None"), "x = 2"],
        {},
        NotebookCellError,
        "failed in cell 2: StopExecution: nothing to do",
        "have it return []",
        NO_X,
    ),
    "quiet-empty": (
        ["x = 1", QUIET.format("return []")],
        {},
        NotebookCellError,
        "failed in cell 2: StopExecution: nothing to do",
        "open the executed notebook",
        NO_X,
    ),
    "quiet-raises": (
        ["x = 1", QUIET.format("raise ValueError(3)")],
        {},
        NotebookCellError,
        "failed in cell 2: StopExecution: nothing to do",
        "open the executed notebook",
        NO_X,
    ),
    "exit-text": (
        ["x = 1", "import sys; sys.exit('no rows')"],
        {},
        NotebookCellError,
        "failed in cell 2: SystemExit: no rows",
        "open the executed notebook",
        NO_X,
    ),
    "dead": (
        ["x = 1", "import os; os._exit(1)", "x = 2"],
        {},
        NotebookJobError,
        "failed in cell 2: its kernel died",
        "os._exit",
        NO_X,
    ),
    "skip": (["x = 1", SKIP], {}, NotebookSkippedError, "asks in cell 2 to be skipped: no new rows", "", NO_X),
    "widgets": (["x = 1", VIEW], {"output_formats": ["html"]}, type(None), "", "", X_IS_1),
}


@pytest.fixture(scope="module")
def results(embedded_sagemaker, tmp_path_factory):
    """Run all notebooks at once, and give what is read of each."""
    clients = Boto3Clients(embedded_sagemaker.client)
    jobs = {name: submitted(embedded_sagemaker, clients, tmp_path_factory.mktemp(name), name) for name in ENDINGS}
    return {name: ended(clients, job, submission) for name, (job, submission) in jobs.items()}


def submitted(server, clients, folder, name):
    cells, arguments, *_ = ENDINGS[name]
    content = notebook(*cells)
    if name == "widgets":  # as Colab saves them
        saved = b'{"widgets": {"application/vnd.jupyter.widget-state+json": {"abc": {"model_name": "HBoxModel"}}},'
        content = content.replace(b'"metadata": {\n  "kernelspec"', b'"metadata": ' + saved + b' "kernelspec"')
        assert b"HBoxModel" in content
    (folder / "nb.ipynb").write_bytes(content)
    key = RunKey(
        deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id=name, map_index=-1, generation=0
    )
    given = {
        "input_notebook": "nb.ipynb",
        "image_uri": server.facts.image_uri,
        "role": server.facts.role_arn,
        "s3_root_uri": f"s3://{server.facts.default_bucket}/nbjobs",
        "outputs": ["x"],
    }
    where = Surroundings(folders=[folder], region=server.facts.region, has_credentials=True, clients=clients)
    job = examine_job(
        JobArguments(**given | arguments), run=Run(label=f"d.{name}", readable=f"d-{name}", key=key), where=where
    ).required()
    return job, submit(job, clients, SubmissionState(may_exist=False), log=LogLines())


def ended(clients, job, submission):
    deadline = time.monotonic() + 240
    while not (snapshot := clients.jobs.describe(submission.job_name)).state.is_terminal:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    expected = Expectation(label=job.run.label, input_notebook=job.notebook_origin, declared=job.declared)
    return read_result(snapshot, submission.location, expected, clients)


@pytest.mark.parametrize("name", ENDINGS)
def test_a_notebook_that_ends_early_or_fails_late_is_said_to_and_hands_over_what_it_has(results, name):
    *_, error_type, headline, following, outputs = ENDINGS[name]
    result = results[name]
    assert type(result.error) is error_type, result.error
    assert result.outputs == outputs
    assert result.executed_notebook is not None or name == "no-kernel"
    if result.error is not None:
        assert headline in result.error.headline
        assert following in result.error.details.get("next", "")
        assert len(str(result.error).splitlines()) < 30 or name == "dead", "no stack of the driver's"
        assert ("not known" in str(result.error)) is (outputs == NO_X)


def test_the_failed_install_and_the_scripts_words_are_quoted(results):
    assert results["module"].error.details["not installed"].startswith("cell 1: ERROR: ")
    assert results["bash"].error.details["stderr"].strip() == "problem"
