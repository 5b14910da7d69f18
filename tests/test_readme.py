"""README.md keeps its word: its Python runs, its permissions cover the calls that are made, and its commands exist."""

import ast
import configparser
import contextlib
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import boto3
import moto
import moto.backends
import pytest
import readme_tables
from accounts import ScriptedAccount, ScriptedJob
from airflow_names import DagBag
from forked_programs import run_forked
from mail import mail_server
from slack_calls import slack_server

from airflow_nbjobs import cli
from airflow_nbjobs.commands.parser import CommandParser
from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.core.values.declaration import read_declaration
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.provider_info import get_provider_info
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
# Every block of another language has a comment in front that says what becomes of it.
MARKED_BLOCKS = re.findall(
    r"(?:<!-- ([\w ]+): ([^\n]*) -->\n)?```(?!python)(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE
)
WAY_IN, _, REFERENCE = README.partition("\n## Reference\n")
WAY_IN_BYTES = 20_480


def blocks(kind, name):
    return [text for mark, which, _, text in MARKED_BLOCKS if (mark, which) == (kind, name)]


def anchor(heading):
    """Return the address that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_first_sentence_is_the_packages_description():
    from importlib.metadata import metadata

    assert README.startswith(f"# airflow_nbjobs\n\n{metadata('airflow-nbjobs')['Summary']} ")


def test_every_option_of_nbjobs_that_is_named_exists():
    """Inline; the blocks are executed or parsed."""
    named = {
        option
        for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", code)
    }
    theirs = {
        "--include-deferred",
        "--reprocess-behavior",
        "--section",
        "--include-descriptions",
        "--check",
        "--no-index",
        "--no-deps",
    }  # airflow, ruff, pip
    known = set()
    for module_name, _ in cli._COMMANDS.values():
        parser = CommandParser(prog="nbjobs", description="", example="")
        importlib.import_module(module_name).add_arguments(parser)
        known |= {option for action in parser._actions for option in action.option_strings}
    assert {"--local", "--conf", "--image-prefix"} <= named
    assert named - theirs - known == set()


def test_what_comes_before_the_reference_is_short_enough_to_be_read():
    assert REFERENCE
    assert len(WAY_IN.encode()) <= WAY_IN_BYTES


def test_the_contents_name_every_section_and_every_link_of_the_page_leads_somewhere():
    text = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^(#+) (.+)$", text, re.MULTILINE)
    anchors = [anchor(heading) for _, heading in headings]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) - set(anchors) == set()
    contents = re.search(r"^## Contents\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)[1]
    listed = re.findall(r"\[(.+?)\]\(#([^)]+)\)", contents)
    assert [anchor(title) for title, _ in listed] == [target for _, target in listed]
    sections = [heading for level, heading in headings if level in ("##", "###") and heading != "Contents"]
    assert [title for title, _ in listed] == sections


def test_every_block_is_executed_or_says_why_not():
    kinds = {(mark, name) for mark, name, _, _ in MARKED_BLOCKS}
    reasons = {name for mark, name in kinds if mark == "not run"}
    assert kinds - {("not run", reason) for reason in reasons} == {
        ("command", "demo"),
        ("command", "tests"),  # both by .ci/run
        ("policy", "doctor"),
        ("policy", "caller"),  # the policies by tests/commands/test_iam_policy.py
        ("policy", "job"),
        ("policy", "ui"),
        ("policy", "prices"),
        ("put", "lifecycle"),
        ("runs", "nbjobs clean"),
        ("shown", "outputs"),
        ("shown", "clean"),
        ("read", "airflow"),
        ("read", "error"),
        ("read", "plan"),  # by tests/commands/test_plan_command.py, as the recipes
        ("read", "pre-commit"),
        ("read", "workflow"),
        ("read", "helm values"),  # this and the next four by tests/test_where_it_runs.py
        ("read", "image"),
        ("read", "mwaa options"),
        ("read", "mwaa printed"),
        ("read", "mwaa requirements"),
        ("read", "settings"),
        ("read", "tree"),
        ("printed", "nbjobs doctor"),  # by tests/commands/doctor/test_doctor.py, as the command is run
        ("runs", "nbjobs doctor"),
        ("runs", "nbjobs iam-policy"),  # by tests/commands/test_iam_policy.py
        ("runs", "nbjobs plan"),  # by tests/commands/test_plan_command.py
        ("runs", "nbjobs mwaa-plugins"),  # by tests/commands/test_mwaa_plugins.py
        ("runs", "nbjobs prices"),  # by tests/commands/test_prices_command.py
        ("runs", "nbjobs run"),  # by tests/commands/test_run.py
        ("runs", "shell"),
    }
    assert all(len(reason) > 10 for reason in reasons)
    assert len(MARKED_BLOCKS) + len(PYTHON_BLOCKS) == len(re.findall(r"^```\w", README, re.MULTILINE))


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_a_command_is_found_by_ci(name):
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "readme_command.py", name], capture_output=True, text=True, check=True
    )
    assert done.stdout in blocks("command", name)
    assert f"readme_command.py {name}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_airflow_takes_its_commands():
    from airflow.cli.cli_parser import get_parser

    lines = [line for block in blocks("read", "airflow") for line in block.splitlines()]
    assert len(lines) >= 4
    for line in lines:
        command, *arguments = shlex.split(line)
        assert command == "airflow"
        get_parser().parse_args(arguments)


def test_the_settings_are_settings():
    (block,) = blocks("read", "settings")
    parser = configparser.ConfigParser()
    parser.read_string(block)
    assert parser.sections() == ["nbjobs"]
    assert set(parser["nbjobs"]) <= set(get_provider_info()["config"]["nbjobs"]["options"])


def test_the_example_of_an_error_is_laid_out_and_labelled_as_errors_are():
    from airflow_nbjobs.core.errors import NotebookCellError

    (block,) = blocks("read", "error")
    headline, rest = block.rstrip("\n").split("\n", 1)
    details = dict(re.findall(r"^  (\w+): *(.*(?:\n    .*)*)", rest, re.MULTILINE))
    assert str(NotebookCellError(headline, details=details)) == block.rstrip("\n")
    results = "".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "airflow_nbjobs" / "aws" / "results").glob("*.py")
    )
    assert len(details) == 7
    assert [label for label in details if f'"{label}"' not in results] == []


def test_s3_takes_the_lifecycle_rule():
    (block,) = blocks("put", "lifecycle")
    with moto.mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
        s3.create_bucket(Bucket="acme")
        s3.put_bucket_lifecycle_configuration(Bucket="acme", LifecycleConfiguration=json.loads(block))
        (rule,) = s3.get_bucket_lifecycle_configuration(Bucket="acme")["Rules"]
    assert rule["Expiration"] == {"Days": 90}


def test_the_shell_lines_run(tmp_path):
    (block,) = blocks("runs", "shell")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{block}\necho $IPYTHONDIR"],
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    (written,) = Path(done.stdout.strip()).rglob("*.py")
    ast.parse(written.read_text(encoding="utf-8"))


def test_the_tables_of_arguments_and_settings_are_up_to_date():
    """If not: python tests/support/readme_tables.py."""
    assert readme_tables.filled_in(README) == README


def test_the_tags_that_studio_looks_for_are_those_that_a_job_gets():
    source = (ROOT / "airflow_nbjobs" / "aws" / "submit" / "prepared_job.py").read_text(encoding="utf-8")
    is_tag = re.compile(r"(sagemaker[:-]|AmazonDataZone)[\w-]+").fullmatch
    (function,) = [node for node in ast.walk(ast.parse(source)) if getattr(node, "name", "") == "tags"]
    sent = {
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_tag(node.value)
    }
    section = re.search(r"^## In Studio\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)[1]
    assert len(sent) > 8
    assert {name for name in re.findall(r"`([^`]+)`", section) if is_tag(name)} == sent


def test_what_a_job_leaves_in_s3_is_where_the_table_says():
    from airflow_nbjobs.core.job.naming import JobLocation

    section = re.search(r"^## Clean up\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)[1]
    place = JobLocation(root="{s3_root_uri}", job_name="{job}")
    assert re.findall(r"^\| `({s3_root_uri}[^`]*)` \|", section, re.MULTILINE) == [
        f"{place.input_uri}/",
        place.output_archive_uri,
        place.executed_notebook_uri,
        f"{place.live_prefix_uri}/",
    ]


@pytest.mark.parametrize("source", PYTHON_BLOCKS, ids=lambda source: source.strip().splitlines()[0])
def test_python_blocks_run(source, tmp_path):
    """In a process of its own, a fork of one that has imported Airflow, as Airflow parses a DAG file."""
    file = tmp_path / "block.py"
    file.write_text(source, encoding="utf-8")
    (tmp_path / "notebooks").symlink_to(ROOT / "dags" / "notebooks")
    code, said = run_forked(file, modules=("airflow.sdk", "airflow_nbjobs.operators"), name="block")
    assert code == 0, said
    assert "The form has no fields" not in said


def test_the_form_has_a_field_for_each_parameter_of_the_sample(tmp_path):
    (source,) = [block for block in PYTHON_BLOCKS if "notebook_params(" in block]
    (tmp_path / "notebooks").symlink_to(ROOT / "dags" / "notebooks")
    file = tmp_path / "block.py"
    file.write_text(source, encoding="utf-8")
    (dag,) = DagBag(dag_folder=str(file)).dags.values()
    parameters = read_declaration(
        parse_notebook((file.parent / "notebooks" / "training.ipynb").read_bytes(), source="nb")
    )
    assert set(dag.params) == {name for name in parameters.kinds if not name.startswith("_")} >= {"epochs"}
    assert dag.params.get_param("epochs").schema["title"] == "Passes over the data"


@pytest.fixture
def notifiers():
    (source,) = [block for block in PYTHON_BLOCKS if "failure_summary(" in block]
    namespace = {"__name__": "block"}
    exec(source, namespace)  # noqa: S102 - ours
    return namespace


@pytest.fixture
def failure():
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, max_tries=0)
    return {"ti": ti, "exception": ValueError("{{ conn.warehouse.host }} <!channel>")}


def test_the_notifications_are_sent_with_the_summary(notifiers, failure, monkeypatch):
    """By SNS as moto plays it, and as a mail to a server on loopback; what an exception says is never a template."""
    with mail_server() as (port, mails):
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port}
        connection["extra"] = {"disable_ssl": True, "disable_tls": True}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        notifiers["tell_by_mail"](failure)
    (mail,) = mails
    assert mail["Subject"] == "Airflow: task 't' of DAG 'd' failed"
    body = mail.get_body(("html",)).get_content()
    assert "Error: ValueError: {{ conn.warehouse.host }} &lt;!channel&gt;" in body

    for name, value in {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    with moto.mock_aws():
        sns = boto3.client("sns", region_name="eu-west-1")
        sns.create_topic(Name="oncall")
        notifiers["tell_sns"](failure)
        backend = moto.backends.get_backend("sns")["123456789012"]["eu-west-1"]
        (topic,) = backend.topics.values()
        ((_, message, subject, *_),) = topic.sent_notifications
    assert subject == "Airflow: task 't' of DAG 'd' failed"
    assert "Error: ValueError: {{ conn.warehouse.host }}" in message


@pytest.mark.slow
def test_slack_gets_the_summary_too(notifiers, failure, monkeypatch):
    """By Slack's own client, to a server on loopback in its place; nothing in it is a mention or a template."""
    pytest.importorskip("airflow.providers.slack", reason="needs apache-airflow-providers-slack")
    with slack_server() as (address, calls):
        connection = {"conn_type": "slack", "password": "xoxb-token", "extra": {"base_url": address}}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK", json.dumps(connection))
        notifiers["tell_slack"](failure)
    (call,) = calls
    assert (call["method"], call["token"], call["channel"]) == ("chat.postMessage", "Bearer xoxb-token", "#oncall")
    assert call["text"].startswith("Airflow: task 't' of DAG 'd' failed\n")
    assert "Error: ValueError: {{ conn.warehouse.host }} &lt;!channel&gt;" in call["text"]


def test_there_is_a_python_block():
    assert PYTHON_BLOCKS


@pytest.mark.parametrize("explained", [SageMakerNotebookJobOperator, SageMakerNotebookJobSensor])
def test_help_documents_every_argument_once(explained):
    """README sends the reader there."""
    arguments = set(inspect.signature(explained.__init__).parameters) - {"self", "kwargs"}
    documented = re.findall(r":param (\w+):", explained.__doc__)
    assert len(documented) == len(set(documented))
    assert arguments <= set(documented)  # a sensor's, too, that every sensor has


def test_every_exception_of_the_table_exists():
    from airflow_nbjobs.core import errors

    named = set(re.findall(r"^\| `(Notebook\w+Error)`", README, re.MULTILINE))
    assert named == {name for name in vars(errors) if re.fullmatch(r"Notebook\w+Error", name)} - {"NotebookJobError"}


def test_the_table_of_calls_is_what_a_look_and_the_schedule_give():
    """``tests/aws/watch/test_poller.py`` counts the same for whole pollers."""
    from airflow_nbjobs.core import defaults
    from airflow_nbjobs.core.watch import pace as polling
    from airflow_nbjobs.core.watch import plan as looks

    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| (\d+) \|$", README, re.MULTILINE)
    assert len(rows) >= 4
    for row in rows:
        count, *a_minute = (int(cell.replace(",", "")) for cell in row)
        account = ScriptedAccount(lambda: 0.0)
        account.add(ScriptedJob(f"job-{number:05}", -600 + 0.05 * number) for number in range(count))
        look = looks.sweep({name: account.time(job.created) for name, job in account.jobs.items()}, looks.Coverage())
        answer = None
        with contextlib.suppress(StopIteration):
            while True:
                answer = account.answer(look.send(answer))
        calls = account.count()
        for pace, expected in zip((polling.Pace(), polling.Pace(polling_interval_seconds=30)), a_minute, strict=True):
            interval = polling.interval_seconds(calls, waiter_delay_seconds=defaults.WAITER_DELAY, pace=pace)
            assert 60 * calls / max(interval, calls / pace.list_calls_per_second) == pytest.approx(expected)


def test_the_rooms_in_the_design_are_those_on_disk():
    tree = re.search(r"```text\nairflow_nbjobs/\n(.*?)```", README, re.DOTALL)[1]
    told = {line.split()[0].rstrip("/"): set(line.split()[1:]) for line in tree.splitlines()}
    package = ROOT / "airflow_nbjobs"

    def folders(of):
        return {each.name for each in of.iterdir() if each.is_dir() and any(each.glob("*.*"))}

    assert told == {room: folders(package / room) - {"__pycache__"} for room in folders(package) - {"__pycache__"}}
