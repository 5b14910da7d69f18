"""``nbjobs run``: a data scientist's first minute, on the embedded SageMaker."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import venv
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from fakes import code, notebook

from airflow_nbjobs import cli
from airflow_nbjobs.aws.results.read import JobResult
from airflow_nbjobs.commands.run import _report, own_run
from airflow_nbjobs.commands.target import embedded, own_account
from airflow_nbjobs.commands.wording import in_flags
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookSkippedError
from airflow_nbjobs.local.embedded import EmbeddedSageMaker, EmbeddedSageMakerError
from airflow_nbjobs.testing import Faults

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NBJOBS = (sys.executable, "-m", "airflow_nbjobs.cli")


def run_command(*arguments, folder):
    return subprocess.run(
        [*NBJOBS, "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """A machine that knows of no AWS account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.local
@pytest.mark.usefixtures("no_account")
def test_the_readmes_example_runs_and_keeps_the_executed_notebook(tmp_path):
    (block,) = re.findall(r"<!-- runs: nbjobs run -->\n```bash\n(.*?)```", README, re.DOTALL)
    command, *arguments = shlex.split(block)
    assert command == "nbjobs"
    executed = tmp_path / "executed.ipynb"
    done = run_command(*arguments[1:], "--executed", str(executed), folder=ROOT)
    assert done.returncode == 0, done.stderr
    outputs = dict(line.split(" = ") for line in done.stdout.splitlines())
    assert json.loads(outputs["train_rows"]) == 200
    assert json.loads(outputs["train_s3_uri"]).startswith("s3://")
    cells = nbformat.read(executed, as_version=4).cells
    assert any(cell.cell_type == "code" and cell.outputs for cell in cells)
    assert re.search(r"cell \d+ of \d+", done.stderr)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run of a notebook with an unusual name and kernel, elsewhere, with a value of each type: (the command, its outputs, its folder)."""
    folder = tmp_path_factory.mktemp("ran")
    cell = (
        "zip_code = '00000'\nrows = 10 * 1000\nlr = 0.1\nitems = []\nother = None\nquoted = ''\nlimit: 'int | None' = 5"
    )
    kernel = "python3__SAGEMAKER_INTERNAL__arn:aws:sagemaker:us-east-1:123456789012:image/sagemaker-data-science-310-v1"
    seen = "import os\nregion = os.environ['AWS_REGION']\nseen = [zip_code, rows, lr, items, other, quoted, limit]"
    (folder / "日本.ipynb").write_bytes(notebook(code(cell, "parameters"), seen, kernel=kernel))
    given = ("zip_code=12345", "rows=7", "lr=1", "items=['a', 1]", 'other={"a": [1]}', 'quoted="00123"', "limit=null")
    parameters = [part for one in given for part in ("-p", one)]
    place = ("--local", "--region-name", "us-east-2", "--role", "NotebookJobs")
    done = run_command("日本.ipynb", *place, "--output", "seen", "--output", "region", *parameters, folder=folder)
    assert done.returncode == 0, done.stderr
    return done, dict(line.split(" = ", 1) for line in done.stdout.splitlines()), folder


@pytest.mark.local
def test_a_parameter_is_of_the_type_that_the_notebook_gives_it(ran):
    done, outputs, _ = ran
    seen = json.loads(outputs["seen"])
    assert seen == ["12345", 7, 1.0, ["a", 1], {"a": [1]}, "00123", None]
    assert type(seen[2]) is float
    assert "the text '12345' is passed as a text, as its default says" in done.stderr


@pytest.mark.local
def test_it_plays_the_region_that_is_asked_for(ran):
    assert ran[1]["region"] == '"us-east-2"'
    assert list(ran[1]) == ["seen", "region"], "in the order in which they were asked for, and nothing else"


@pytest.mark.local
def test_a_name_without_a_latin_letter_runs(ran):
    assert (ran[2] / "日本.executed.ipynb").exists()


@pytest.mark.local
def test_studio_classics_kernel_runs(ran):
    assert "kernel 'python3'" in ran[0].stderr


@pytest.fixture
def starts(embedded_sagemaker, monkeypatch):
    """The command in this process, on the tests' own server: to start another takes seconds, and is shown above. Returns a list, one entry a start."""
    made = []

    def start(server):
        server._facts = embedded_sagemaker.facts
        made.append(server)

    monkeypatch.setattr(EmbeddedSageMaker, "start", start)
    return made


@pytest.mark.local
def test_a_failed_cell_ends_it_with_1_its_error_and_the_notebook_so_far(
    tmp_path, monkeypatch, capsys, starts, embedded_sagemaker
):
    (tmp_path / "report.ipynb").write_bytes(notebook(code("print('first')"), code("1 / 0"), code("never")))
    monkeypatch.chdir(tmp_path)
    script = Faults(embedded_sagemaker.facts).script_jobs(
        "report-*", cell=2, error=("ZeroDivisionError", "division by zero")
    )
    assert cli.main(["run", "report.ipynb", "--local"]) == 1
    script.remove()
    said = capsys.readouterr().err
    assert len(starts) == 1
    assert "failed in cell 2: ZeroDivisionError: division by zero" in said
    assert "airflow_nbjobs/" not in said, "a traceback of ours"
    cells = nbformat.read(tmp_path / "report.executed.ipynb", as_version=4).cells
    assert [[output.get("ename") for output in cell.get("outputs", ())] for cell in cells] == [
        [],
        ["ZeroDivisionError"],
        [],
    ]


@pytest.fixture
def ctrl_c_is_heard():
    """Tests in the background of a script (``pytest &``) start with SIGINT ignored, and an ignored signal is inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.local
@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_stops_the_job(tmp_path):
    (tmp_path / "report.ipynb").write_bytes(notebook(code("import time"), code("time.sleep(600)")))
    with subprocess.Popen(
        [*NBJOBS, "run", "report.ipynb", "--local"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            for line in process.stderr:
                if line.startswith("cell "):
                    process.send_signal(signal.SIGINT)
                    break
            rest = process.communicate(timeout=120)[1]
        finally:
            process.kill()  # one that hears no signal ends with its test, not as a warning in a later one
    assert "Stopping notebook job 'report-" in rest
    assert process.returncode == 130
    assert "Traceback" not in rest


# -- on the embedded SageMaker: before it starts -------------------------------------------------------------------------


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a notebook that must be refused without a server; returns what is said."""

    def run(*cells, name="report.ipynb", arguments=(), **metadata):
        (tmp_path / name).write_bytes(notebook(*cells, **metadata))
        monkeypatch.chdir(tmp_path)
        assert cli.main(["run", f"./{name}", "--local", *arguments]) == 2
        return capsys.readouterr().err

    monkeypatch.setattr(EmbeddedSageMaker, "start", lambda _: pytest.fail("the server was started"))
    return run


@pytest.mark.usefixtures("no_account")
def test_a_wrong_notebook_is_refused_without_a_server(refused):
    said = refused(code("days = 7", "parameters"), "input()", arguments=("-p", "weeks=3"))
    assert "2 problems" in said
    assert "weeks" in said
    assert "cell 2 line 1 of 'report.ipynb' waits for an answer" in said


def test_a_name_that_papermill_cannot_open_is_refused_without_a_server(refused):
    assert "begins with a hyphen" in refused("1", name="-report.ipynb")


@pytest.mark.parametrize("kernel", ["conda_python3", ".venv", "no-such-kernel"])
def test_a_kernel_that_is_not_there_is_refused_with_those_that_are(refused, kernel):
    said = refused("1", kernel=kernel)
    assert f"kernel '{kernel}' (from the notebook's metadata) is not in the environment" in said
    assert "'python3'" in said
    assert "set --kernel-name='python3'" in said


def test_a_kernel_that_is_given_and_not_there_is_refused_too(refused):
    said = refused("1", arguments=("--kernel-name", "julia-1.11"))
    assert "kernel 'julia-1.11' (from --kernel-name) is not in the environment" in said


def test_a_region_that_it_does_not_play_is_refused(refused):
    said = refused("1", arguments=("--region-name", "xx-nowhere-1"))
    assert "--region xx-nowhere-1: the embedded SageMaker does not play it; it plays af-south-1" in said
    assert "did you mean 'eu-west-1'?" in refused("1", arguments=("--region", "eu-west1"))


@pytest.mark.local
@pytest.mark.usefixtures("no_account")
def test_what_is_in_its_s3_is_looked_for_there(capsys, starts):
    """Preparing the job asks the server, which is started for it."""
    assert cli.main(["run", "s3://nowhere/report.ipynb", "--local"]) == 2
    assert "there is no object 's3://nowhere/report.ipynb'" in capsys.readouterr().err
    assert len(starts) == 1


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(EmbeddedSageMakerError("no port"), NotebookJobConfigError), (ZeroDivisionError("no port"), ZeroDivisionError)],
)
def test_what_breaks_in_the_server_is_not_called_a_mistake_of_the_user(monkeypatch, raised, expected):
    monkeypatch.setattr(EmbeddedSageMaker, "start", lambda _: (_ for _ in ()).throw(raised))
    with contextlib.ExitStack() as stack, pytest.raises(expected, match=r"^no port$"):
        embedded(stack, None).start()


# -- the AWS CLI in a notebook -------------------------------------------------------------------------------------------

CALLS_AWS = "!aws s3 cp report.ipynb s3://bucket/report.ipynb"


@pytest.fixture
def path_without_aws(monkeypatch, tmp_path):
    """A PATH of this machine on which no AWS CLI lies; returns its first folder."""
    if any((Path(folder) / "aws").exists() for folder in (Path(sys.prefix) / "bin", "/usr/local/bin", "/usr/bin")):
        pytest.skip("every job of this machine finds an AWS CLI")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "bin"


def remarks_of(cells, tmp_path, monkeypatch, *options):
    (tmp_path / "report.ipynb").write_bytes(notebook(*cells))
    monkeypatch.chdir(tmp_path)
    said = []
    monkeypatch.setattr(EmbeddedSageMaker, "start", lambda _: (_ for _ in ()).throw(EmbeddedSageMakerError("enough")))
    monkeypatch.setattr(logging.getLogger("nbjobs"), "info", lambda text, *args: said.append(text % args))
    assert cli.main(["run", "report.ipynb", "--local", *options]) == 2
    return said


@pytest.mark.usefixtures("path_without_aws")
def test_a_notebook_that_calls_aws_where_there_is_none_is_told_so_before_it_runs(tmp_path, monkeypatch):
    (remark,) = remarks_of(["1", CALLS_AWS], tmp_path, monkeypatch)
    assert remark.startswith("cell 2 of 'report.ipynb' calls the AWS CLI, and this machine has no 'aws' on its PATH")
    assert "pipx install awscli" in remark


@pytest.mark.usefixtures("path_without_aws")
def test_a_shipped_file_that_is_no_notebook_whatever_its_name_hides_no_remark(tmp_path, monkeypatch):
    (tmp_path / "a.ipynb").write_text("data")
    (remark,) = remarks_of([CALLS_AWS], tmp_path, monkeypatch, "--additional-dependency", "a.ipynb")
    assert remark.startswith("cell 1 of 'report.ipynb' calls the AWS CLI")


def test_one_that_does_not_run_is_named(tmp_path, monkeypatch, path_without_aws):
    (path_without_aws / "aws").write_text("#!/bin/sh\necho no version is set >&2\nexit 3\n")
    (path_without_aws / "aws").chmod(0o755)
    (remark,) = remarks_of([CALLS_AWS], tmp_path, monkeypatch)
    assert f"'{path_without_aws / 'aws'}' does not run: no version is set" in remark


def test_one_that_runs_needs_no_word(tmp_path, monkeypatch, path_without_aws):
    (path_without_aws / "aws").write_text("#!/bin/sh\necho aws-cli/2\n")
    (path_without_aws / "aws").chmod(0o755)
    assert remarks_of([CALLS_AWS], tmp_path, monkeypatch) == []


@pytest.mark.usefixtures("path_without_aws")
@pytest.mark.parametrize("cells", [["print('aws s3')"], ["%pip install awscli", CALLS_AWS]])
def test_a_notebook_that_does_not_call_it_or_brings_it_needs_no_word(tmp_path, monkeypatch, cells):
    assert remarks_of(cells, tmp_path, monkeypatch) == []


@pytest.mark.local
@pytest.mark.slow  # installs the AWS CLI from the package index
@pytest.mark.usefixtures("no_account")
def test_a_notebooks_aws_commands_reach_the_embedded_s3(tmp_path, monkeypatch, path_without_aws):
    venv.create(tmp_path / "cli", with_pip=True)
    pip = [tmp_path / "cli" / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "awscli"]
    subprocess.run(pip, check=True, capture_output=True)
    monkeypatch.setenv("PATH", f"{tmp_path / 'cli' / 'bin'}:/usr/bin:/bin")
    cells = [
        "bucket = 's3://sagemaker-eu-west-1-123456789012/post'",
        "open('rows.csv', 'w').write('a,b')",
        "!aws s3 cp rows.csv {bucket}/rows.csv",
        "listing = !aws s3 ls {bucket}/",
        "copied = !aws s3 cp {bucket}/rows.csv -",
        "import boto3\nbody = boto3.client('s3').get_object(Bucket='sagemaker-eu-west-1-123456789012', Key='post/rows.csv')['Body'].read().decode()",
        "listing, copied = list(listing), list(copied)",
    ]
    (tmp_path / "report.ipynb").write_bytes(notebook(*cells))
    outputs = ("--output", "listing", "--output", "copied", "--output", "body")
    done = run_command("report.ipynb", "--local", *outputs, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" = ", 1) for line in done.stdout.splitlines())
    assert json.loads(found["listing"])[0].endswith(" 3 rows.csv")
    assert (json.loads(found["copied"]), json.loads(found["body"])) == (["a,b"], "a,b")
    assert "AWS CLI" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report.ipynb", "-p", "days"), "-p 'days' is no parameter; write NAME=VALUE"),
        (("report.ipynb", "-p", "=7"), "-p '=7' is no parameter; write NAME=VALUE"),
        (
            ("report.ipynb", "-p", "days=1", "-p", "days=2"),
            "-p days is given twice: 'days=1', then 'days=2'; give it once",
        ),
        (("report.ipynb", "--executed", "nowhere/x.ipynb"), "there is no such folder"),
        (("report.ipynb", "--executed", "reprots/x.ipynb"), "there is no such folder; did you mean 'reports'?"),
        (
            (".",),
            "'.' is a folder; a notebook is needed; in it: 'report.ipynb', 'reports/daily.ipynb'\n",
        ),
        (("reports/old",), "'reports/old' is a folder; a notebook is needed; there is none in it"),
        (("reports/dialy.ipynb",), "did you mean 'reports/daily.ipynb'?"),
        (("report.py",), "'report.py' is no Jupyter notebook (.ipynb); did you mean 'report.ipynb'?"),
        (("copy.ipynb.txt",), "is no Jupyter notebook (.ipynb); if it is one, rename it to 'copy.ipynb'"),
        (
            ("report.ipynb", "--region", "eu-west1"),
            "--region: 'eu-west1' is no name of a region; did you mean 'eu-west-1'?",
        ),
        (("report.ipynb", "--executed", "."), "that is a folder; name a file"),
        (("report.ipynb", "--executed", "reports/../report.ipynb"), "would take the place of 'report.ipynb': name"),
        (("missing.ipynb", "--role", "r", "--image-uri", "i", "--s3-root-uri", "s3://b"), "missing.ipynb"),
        (("report.ipynb", "-p", "weeks=3"), "weeks"),
        (("report.ipynb", "-p", "days=seven"), "the text 'seven' is not exactly an int"),
        (("report.ipynb",), "role"),
        (("report.ipynb",), "credentials"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("no_account")
def test_what_is_wrong_is_said_before_anything_is_sent(tmp_path, monkeypatch, capsys, arguments, words):
    (tmp_path / "reports" / "old").mkdir(parents=True)
    for name in ("report.ipynb", "report.executed.ipynb", "report.py", "copy.ipynb.txt", "reports/daily.ipynb"):
        (tmp_path / name).write_bytes(notebook(code("days = 7", "parameters")))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("no_account")
def test_what_is_missing_is_named_by_its_option_not_by_a_place_in_airflow(tmp_path, monkeypatch, capsys):
    (tmp_path / "report.ipynb").write_bytes(notebook("1", kernel=None))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "report.ipynb"]) == 2
    said = capsys.readouterr().err
    for option in ("--role", "--image-uri", "--s3-root-uri"):
        assert f"  - {option} is needed\n" in said
    assert "give --kernel-name, e.g. 'python3'" in said
    assert "no AWS region is configured; give --region, or set AWS_DEFAULT_REGION" in said
    for word in ("[nbjobs]", "Airflow", "connection", "the task", "_uri", "kernel_name", "region_name"):
        assert word not in said


def test_every_option_of_a_job_is_told_by_its_own_name(refused):
    said = refused(
        "%run other.ipynb",
        arguments=(
            "--role",
            "?",
            "--instance-type",
            "?",
            "--max-runtime-in-seconds",
            "?",
            "--image-uri",
            "?",
            "--initialization-script",
            "?",
        ),
    )
    for option in ("role", "instance-type", "max-runtime-in-seconds", "image-uri", "initialization-script"):
        assert f"  - --{option}: " in said, said
    assert "list it in --additional-dependency" in said


def test_a_path_of_the_users_keeps_its_name():
    text = "initialization_script: there is no 'kernel_name.sh'; searched '/a/role/kernel_name.sh'"
    assert in_flags(text, ("kernel_name", "role", "initialization_script")) == text.replace(
        "initialization_script", "--initialization-script"
    )


def test_a_region_that_boto3_does_not_know_is_doubted_but_not_refused(monkeypatch):
    """It may be newer than this boto3."""
    said = []
    monkeypatch.setattr(logging.getLogger("nbjobs"), "info", lambda text, *args: said.append(text % args))
    own_account("eu-wset-1")
    own_account("eu-west-1")
    own_account("us-gov-west-1")
    assert said == ["region 'eu-wset-1' is none that this machine's boto3 knows; did you mean 'eu-west-1'?"]


def test_outputs_that_nobody_reads_do_not_cost_the_executed_notebook(tmp_path):
    def closed(_):
        raise BrokenPipeError

    result = JobResult(outputs={"x": 1}, executed_notebook=b"{}", facts={})
    with pytest.raises(BrokenPipeError), contextlib.redirect_stdout(SimpleNamespace(write=closed)):
        _report(result, tmp_path / "executed.ipynb")
    assert (tmp_path / "executed.ipynb").read_bytes() == b"{}"


# -- what is left at the end ------------------------------------------------------------------------------------------------


@pytest.fixture
def reported(tmp_path, capsys, monkeypatch):
    """Reports a result; returns the exit code, what is printed, and what is logged."""
    logged = []
    for level in ("info", "warning"):
        monkeypatch.setattr(
            logging.getLogger("nbjobs"), level, lambda text, *args, level=level: logged.append((level, text % args))
        )

    def report(*, path="x.ipynb", **result):
        facts = {"output_archive_uri": "s3://b/output.tar.gz"}
        found = JobResult(**{"outputs": {}, "executed_notebook": b"{}", "facts": facts} | result)
        code = _report(found, tmp_path / path)
        return code, capsys.readouterr().out, logged

    return report


def test_outputs_are_printed_as_json_and_the_notebook_is_saved(reported, tmp_path):
    code, out, logged = reported(outputs={"a": "é", "b": [1, None]}, warnings=("role: is odd",))
    assert (code, out) == (0, 'a = "\\u00e9"\nb = [1, null]\n')
    assert logged == [
        ("warning", "--role: is odd"),
        ("info", f"Executed notebook: {tmp_path / 'x.ipynb'}"),
    ]
    assert (tmp_path / "x.ipynb").read_bytes() == b"{}"


def test_a_notebook_that_cannot_be_saved_is_a_failure_that_says_where_it_is(reported, tmp_path):
    code, out, logged = reported(path="gone/x.ipynb", outputs={"a": 1})
    assert (code, out) == (1, "a = 1\n")
    said = f"The executed notebook could not be saved as '{tmp_path / 'gone/x.ipynb'}': No such file or directory; it is in s3://b/output.tar.gz"
    assert logged == [("warning", said)]


def test_a_job_without_an_executed_notebook_saves_none(reported, tmp_path):
    assert reported(executed_notebook=None) == (0, "", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("reason", "said"), [("no rows", "skipped: no rows\n"), ("", "skipped\n")])
def test_a_notebook_that_asks_to_be_skipped_is_no_failure(reported, reason, said):
    code, out, _ = reported(error=NotebookSkippedError("x", reason=reason))
    assert (code, out) == (0, said)


def test_an_error_is_raised_once_everything_else_is_said(reported, tmp_path, capsys):
    with pytest.raises(NotebookJobConfigError):
        reported(outputs={"a": 1}, error=NotebookJobConfigError("wrong"))
    assert capsys.readouterr().out == "a = 1\n"
    assert (tmp_path / "x.ipynb").exists()


def test_two_runs_of_a_notebook_are_two_jobs_with_a_name_that_sagemaker_takes():
    first, second = own_run("dags/report.ipynb"), own_run("dags/report.ipynb")
    assert (first.label, first.readable) == ("dags/report.ipynb", "report")
    assert first.key != second.key
    assert (first.key.dag_id, first.key.task_id, first.key.map_index, first.key.deployment) == (
        "",
        "",
        -1,
        "nbjobs run",
    )
    assert own_run("отчёт.ipynb").readable == "notebook"
    assert own_run("отчёт 7.ipynb").readable == "отчёт 7"


@pytest.mark.parametrize(("name", "region"), [("eu-west-3", "eu-west-3"), (None, "us-west-2")])
def test_the_account_is_that_of_the_environments_credentials(monkeypatch, no_account, name, region):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert own_account(name).has_credentials is False
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    target = own_account(name)
    assert (target.region, target.has_credentials, target.kernels, dict(target.defaults)) == (region, True, None, {})
    assert target.start() is target.checking
    assert list(target.remarks(None)) == []


def test_the_embedded_sagemaker_gives_what_a_job_cannot_do_without():
    with contextlib.ExitStack() as stack:
        target = embedded(stack, "eu-west-3")
    assert (target.region, target.has_credentials) == ("eu-west-3", True)
    assert set(target.defaults) == {"role", "s3_root_uri", "image_uri"}
    assert target.defaults["role"].startswith("arn:aws:iam::")
    assert target.defaults["s3_root_uri"].endswith("/nbjobs")
    assert "python3" in target.kernels
    assert target.poll_seconds < own_account("eu-west-3").poll_seconds


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("no such interpreter"), "does not run: no such interpreter"),
        (subprocess.TimeoutExpired("aws", 1), "does not run: "),
    ],
    ids=["broken", "slow"],
)
def test_an_aws_cli_that_cannot_be_started_is_named(tmp_path, monkeypatch, path_without_aws, error, said):
    (path_without_aws / "aws").write_text("#!/bin/sh\n")
    (path_without_aws / "aws").chmod(0o755)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("airflow_nbjobs.commands.target.subprocess.run", fail)
    (remark,) = remarks_of([CALLS_AWS], tmp_path, monkeypatch)
    assert f"'{path_without_aws / 'aws'}' {said}" in remark


def test_one_that_fails_without_a_word_is_named(tmp_path, monkeypatch, path_without_aws):
    (path_without_aws / "aws").write_text("#!/bin/sh\nexit 3\n")
    (path_without_aws / "aws").chmod(0o755)
    (remark,) = remarks_of([CALLS_AWS], tmp_path, monkeypatch)
    assert "does not run: it says nothing" in remark
