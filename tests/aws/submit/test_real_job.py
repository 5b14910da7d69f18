"""From arguments to outputs through boto3 and the real driver, on the embedded SageMaker; and what a submission costs in calls."""

import collections

import pytest
from fakes import LogLines, code, notebook
from local_jobs import wait_until

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.results.read import Expectation, read_result
from airflow_nbjobs.aws.submit.job import submit
from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.core.errors import NotebookCellError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.core.job.submission_state import SubmissionState

pytestmark = pytest.mark.local

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0)


@pytest.fixture
def calls():
    return collections.Counter()


@pytest.fixture
def clients(embedded_sagemaker, calls):
    """boto3 clients that count what goes over the wire."""

    def make_client(service):
        client = embedded_sagemaker.client(service)
        client.meta.events.register("before-send.*.*", lambda event_name, **_: calls.update([event_name[12:]]))
        return client

    return Boto3Clients(make_client)


@pytest.fixture
def prepare(embedded_sagemaker, clients, tmp_path):
    facts = embedded_sagemaker.facts

    def run(task_id, **arguments):
        given = {
            "input_notebook": "nb.ipynb",
            "image_uri": facts.image_uri,
            "role": facts.role_arn,
            "s3_root_uri": f"s3://{facts.default_bucket}/nbjobs",
        }
        key = RunKey(**{name: getattr(KEY, name) for name in KEY.__slots__} | {"task_id": task_id})
        return examine_job(
            JobArguments(**given | arguments),
            run=Run(label=f"d.{task_id}", readable=f"d-{task_id}", key=key),
            where=Surroundings(folders=[tmp_path], region=facts.region, has_credentials=True, clients=clients),
        ).required()

    return run


def ended(clients, submission):
    wait_until(lambda: clients.jobs.describe(submission.job_name).state.is_terminal, seconds=120)
    return clients.jobs.describe(submission.job_name)


def result_of(job, clients, submission):
    expected = Expectation(label=job.run.label, input_notebook=job.notebook_origin, declared=job.declared)
    return read_result(ended(clients, submission), submission.location, expected, clients)


def test_typed_parameters_go_in_and_typed_outputs_come_back_for_one_call_to_sagemaker(
    prepare, clients, calls, tmp_path
):
    (tmp_path / "nb.ipynb").write_bytes(
        notebook(
            code("epochs = 1\nnames = []", "parameters"),
            "%run helper.ipynb",
            "total = double(epochs)\nkinds = [type(epochs).__name__, type(names).__name__]",
            "%%writefile prep.py\nanswer = 42",
            "%run prep.py",  # what its own cell has written
        )
    )
    (tmp_path / "helper.ipynb").write_bytes(notebook("def double(x):\n    return 2 * x"))
    job = prepare(
        "typed", parameters={"epochs": 3, "names": ["a"]}, outputs={"total": int, "kinds": list, "answer": int}
    )
    assert calls == {}
    submission = submit(job, clients, SubmissionState(may_exist=False), log=LogLines())
    assert calls == {"s3.PutObject": 2, "sagemaker.CreateTrainingJob": 1}

    result = result_of(job, clients, submission)
    assert result.error is None, result.error
    assert result.outputs == {"total": 6, "kinds": ["int", "list"], "answer": 42}
    assert result.facts["duration_seconds"] > 0
    assert any("Executing" in line for line in result.log_tail)

    retried = submit(job, clients, SubmissionState(), log=LogLines())
    assert retried.adopted is not None, "completed, and nobody has handed its results over"


def test_a_notebook_runs_and_reads_what_lies_above_its_folder(prepare, clients, tmp_path):
    """The driver changes to the folder of the notebook that it is given: a subfolder of the channel here, as on the author's machine."""
    files = {
        "notebooks/main.ipynb": notebook(
            "%run ../common/setup.ipynb\nprint(shared)",
            "text = open('../common/table.csv').read()",
            "import beside\nhere = open('beside.txt').read()",
        ),
        "notebooks/beside.py": b"",
        "common/setup.ipynb": notebook("%run ../common/more.py", "shared = more + 1"),
        "common/more.py": b"more = 1",
        "common/table.csv": b"a,b",
        "init.sh": b"cp beside.txt.in beside.txt",
        "notebooks/beside.txt.in": b"made",
    }
    for name, body in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(body)
    arguments = {
        "input_notebook": "notebooks/main.ipynb",
        "initialization_script": "init.sh",
        "additional_dependencies": ["common/table.csv", "notebooks/beside.py", "notebooks/beside.txt.in"],
        "outputs": ["shared", "text", "here"],
    }
    job = prepare("above", **arguments)
    result = result_of(job, clients, submit(job, clients, SubmissionState(may_exist=False), log=LogLines()))
    assert result.error is None, result.error
    assert result.outputs == {"shared": 2, "text": "a,b", "here": "made"}


def test_a_failed_cell_is_found_in_the_authors_own_count(prepare, clients, tmp_path):
    for folder in ("notebooks", "common"):
        (tmp_path / folder).mkdir()
    text = {"cell_type": "markdown", "source": "text", "metadata": {}}
    (tmp_path / "notebooks" / "main.ipynb").write_bytes(
        notebook(code("day = 0", "parameters"), text, "%run ../common/setup.ipynb\n1 / divisor")
    )
    (tmp_path / "common" / "setup.ipynb").write_bytes(notebook("divisor = day"))
    job = prepare("above_fails", input_notebook="notebooks/main.ipynb", parameters={"day": 0}, outputs=["day"])
    result = result_of(job, clients, submit(job, clients, SubmissionState(may_exist=False), log=LogLines()))
    assert type(result.error) is NotebookCellError
    assert (result.error.cell, result.error.ename) == (3, "ZeroDivisionError")
    assert "notebooks/main.ipynb" in str(result.error)
    assert "1 / divisor" in str(result.error)
    assert result.executed_notebook is not None
