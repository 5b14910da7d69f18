"""README.md keeps its word: its Python runs, its permissions cover the calls that are made, and its commands exist."""

import ast
import contextlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from accounts import ScriptedAccount, ScriptedJob

from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("source", PYTHON_BLOCKS, ids=lambda source: source.strip().splitlines()[0])
def test_python_blocks_run(source, tmp_path):
    """In a process of its own, as Airflow parses a DAG file."""
    file = tmp_path / "block.py"
    file.write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:block", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_there_is_a_python_block():
    assert PYTHON_BLOCKS


@pytest.mark.parametrize("explained", [SageMakerNotebookJobOperator, SageMakerNotebookJobSensor])
def test_help_documents_every_argument_once(explained):
    """README sends the reader there."""
    arguments = set(inspect.signature(explained.__init__).parameters) - {"self", "kwargs"}
    documented = re.findall(r":param (\w+):", explained.__doc__)
    assert len(documented) == len(set(documented))
    assert arguments <= set(documented)  # a sensor's, too, that every sensor has


def permissions_in_code():
    """Return every IAM action that a call is made or translated with."""
    found = set()
    for file in (ROOT / "airflow_nbjobs" / "aws").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and {getattr(node.func, name, "") for name in ("id", "attr")} & {
                "translated",
                "ask",
            }:
                found |= {argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    return found


def test_the_policy_allows_every_call_that_is_made():
    policy = json.loads(re.search(r"<!-- policy: caller -->\s*```json\n(.*?)```", README, re.DOTALL)[1])
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    called = permissions_in_code()
    assert "sagemaker:CreateTrainingJob" in called
    assert called <= allowed


def test_the_policy_allows_nothing_that_is_not_needed():
    """CreateTrainingJob with tags needs AddTags, with a role PassRole; a log's tail needs its streams' names."""
    policy = json.loads(re.search(r"<!-- policy: caller -->\s*```json\n(.*?)```", README, re.DOTALL)[1])
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert allowed - permissions_in_code() == {"sagemaker:AddTags", "iam:PassRole", "logs:DescribeLogStreams"}


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
