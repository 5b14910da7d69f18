"""What ``nbjobs plan`` says of mapped tasks, and of classes of an author's own."""

from __future__ import annotations

import pytest
from plans import in_dag, one, tasks_of

pytestmark = pytest.mark.usefixtures("no_network")


def test_literal_values_beside_those_that_a_run_gives_are_each_checked(plan):
    document, code_, _ = plan(
        "with DAG('d', schedule=None):\n"
        "    @task\n    def many(): return [1]\n"
        "    Job.partial(task_id='t', input_notebook='nb.ipynb').expand(parameters=many(), volume_size=[0, 10, 20])\n"
    )
    task = one(document)
    assert task["problems"] == ["with volume_size=0: volume_size: must be from 1 to 16384, not 0"]
    assert task["estimate"]["jobs"] is None
    assert any(text.startswith("what is shown is for volume_size=0") for text in task["not_known"])
    assert code_ == 1


def test_the_indexes_of_a_task_are_one_task(plan):
    said, _, _ = plan(
        in_dag("Job.partial(task_id='t', input_notebook='nb.ipynb').expand(volume_size=[10, 20])"), text=True
    )
    assert said.splitlines()[-1].startswith("1 task, ")


@pytest.mark.parametrize(
    "arguments",
    [
        "parameters=[{'rows': n} for n in range(1100)]",
        "parameters=[{'rows': n} for n in range(20)], volume_size=list(range(10, 65))",
    ],
)
def test_of_more_than_1024_indexes_the_first_are_checked_and_the_plan_says_so(arguments, plan, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.commands.plan.mapping._MOST_INDEXES", 7)
    document, code_, _ = plan(in_dag(f"Job.partial(task_id='t', input_notebook='nb.ipynb').expand({arguments})"))
    tasks = tasks_of(document)
    assert [index for _, index in tasks] == list(range(7))
    assert [text for task in tasks.values() for text in task["problems"]] == []
    assert tasks["t", 0]["estimate"]["jobs"] == 1100
    assert "its first 7 indexes are looked at, and 1,093 more are not" in tasks["t", 0]["not_known"]
    assert code_ == 0


def test_an_index_whose_arguments_a_run_gives_is_no_index_without_arguments(plan):
    document, code_, _ = plan(
        "with DAG('d', schedule=None):\n"
        "    @task\n    def one(): return {}\n"
        "    given = one()\n"
        "    Job.partial(task_id='t').expand_kwargs([{'input_notebook': 'nb.ipynb', 'parameters': {'rows': 1}}, given])\n"
        "    Job.partial(task_id='u').expand_kwargs(given)\n"
        "    Job.partial(task_id='v', input_notebook='nb.ipynb', parameters={'rows': 2}).expand_kwargs(given)\n"
    )
    tasks = tasks_of(document)
    first, second, whole, rest = (tasks[key] for key in (("t", 0), ("t", 1), ("u", None), ("v", None)))
    assert first["estimate"]["jobs"] == 2  # Airflow makes one index of each entry, whatever it resolves to
    assert {row["name"]: row["is_known"] for row in first["parameters"]}["rows"] is True
    for task in (second, whole):
        assert task["notebook"] is None
        assert "input_notebook: XCom of 'one'" in task["not_known"]
    for task in (second, whole, rest):
        assert task["problems"] == []
        assert "arguments: XCom of 'one' may give any of them" in task["not_known"]
    assert {(row["given"], row["is_known"]) for row in rest["parameters"]} == {("2", False), ("XCom of 'one'", False)}
    assert code_ == 0


def test_a_decorated_task_is_mapped_over_what_a_run_gives(plan):
    document, code_, _ = plan(
        "with DAG('d', schedule=None):\n"
        "    @task\n    def many(): return [1]\n"
        "    @sagemaker_notebook_job(input_notebook='nb.ipynb')\n    def f(a, b, c=1): return {}\n"
        "    f.expand(a=many(), b=[1, 2])\n"
        "    f.override(task_id='g').expand_kwargs(many())\n"
        "    f.override(task_id='h').partial(a=1).expand_kwargs([many(), {'b': 2}])\n"
        "    f.override(task_id='i').expand(a=[], b=[])\n"
        "    f.override(task_id='j').expand(a=many(), b=[])\n"
    )
    tasks = tasks_of(document)
    assert [text for task in tasks.values() for text in task["problems"]] == []
    jobs = {name: (tasks[name, None]["estimate"] or {}).get("jobs") for name in "fghij"}
    assert jobs == dict.fromkeys("fgij") | {"h": 2}
    assert all(tasks[name, None]["warnings"] == ["the task is mapped over nothing; Airflow skips it"] for name in "ij")
    assert code_ == 0


def test_what_a_class_of_an_authors_raises_ends_no_plan(plan):
    document, code_, _ = plan(
        "class Mine(SageMakerNotebookJobSensor):\n    def get_template_env(self):\n        raise ZeroDivisionError('mine')\n"
        + in_dag("Mine(task_id='s', job_name='x'); Job(task_id='u', input_notebook='nb.ipynb')")
    )
    tasks = tasks_of(document)
    assert tasks["s", None]["problems"] == ["the task cannot be looked at: ZeroDivisionError: mine"]
    assert tasks["s", None]["kind"] == "sensor"
    assert tasks["u", None]["problems"] == []
    assert code_ == 1
