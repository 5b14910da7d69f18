"""What ``nbjobs plan`` prints for a person of each thing that a plan says."""

from __future__ import annotations

import pytest

from airflow_nbjobs.commands.plan.records import (
    DagPlan,
    Estimate,
    File,
    FileProblem,
    Output,
    Parameter,
    Plan,
    RunPlan,
    TaskPlan,
)
from airflow_nbjobs.commands.plan.text import plan_text


def page(**what):
    return plan_text(Plan(**what)).splitlines()


def dag(*tasks, run=None, **more):
    return DagPlan(dag_id="d", file="dags/d.py", run=run or RunPlan(), tasks=list(tasks), **more)


def task_lines(task, **of_dag):
    """Return the lines of the only task, without the DAG's and the summary."""
    first, _, *lines = page(dags=[dag(task, **of_dag)])
    assert first.startswith("DAG d ")
    return lines[:-2]


def estimate(**given):
    known = {"instance_type": "ml.m5.large", "jobs": 1, "runs": 1, "seconds": 90.0, "earlier_jobs": 3}
    return Estimate(**known | {"most_seconds": 3600, "hours": 0.025, "cost": "$0.01"} | given)


def parameter(name, given=None, default=None, type=None, **more):  # noqa: A002 - the field's name
    return Parameter(name=name, type=type, default=default, given=given, **more)


def test_a_page_has_files_dags_notebooks_and_the_counts_in_this_order():
    told = dag(
        TaskPlan(
            task_id="t",
            notebook="dags/nb.ipynb",
            kernel="python3",
            parameters=(parameter("day", "'x'", "'2026-01-01'", "str"), parameter("other", "1")),
            files=(File(name="nb.ipynb", origin="dags/nb.ipynb", bytes=2048),),
            outputs=(Output(name="best", type="int", cell=3, notebook="nb.ipynb"),),
            problems=("one\ntwo", "three"),
            warnings=("careful",),
            not_known=("role: who knows",),
            estimate=estimate(),
            request={"RoleArn": "<é>"},
        ),
        other_tasks=2,
        warnings=("of the file",),
    )
    alone = TaskPlan(task_id="nb", notebook="nb.ipynb")
    assert page(
        file_problems=[FileProblem(file="dags/bad.py", text="Traceback\n\n  at 3")], dags=[told], notebooks=[alone]
    ) == [
        "✘ dags/bad.py",
        "  Traceback",
        "",
        "    at 3",
        "",
        "DAG d (dags/d.py): 1 task with a notebook, 2 without",
        "  ! of the file",
        "",
        "✘ t: dags/nb.ipynb, kernel python3",
        "  parameter  type  default       given",
        "  day        str   '2026-01-01'  'x'",
        "  other      any   -             1",
        "  files: nb.ipynb 2.0 KiB",
        "  output best (int): cell 3",
        "  ✘ one",
        "    two",
        "  ✘ three",
        "  ! careful",
        "  ? role: who knows",
        "  estimate: 1 min 30 s of ml.m5.large (median of 3 jobs) = 0.03 instance hours, $0.01 at the configured price",
        "  request:",
        "    {",
        '      "RoleArn": "<é>"',
        "    }",
        "",
        "✔ nb: nb.ipynb",
        "",
        "2 tasks, 3 problems, 2 warnings",
    ]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({}, "0 tasks, 0 problems, 0 warnings"),
        ({"notebooks": [TaskPlan(task_id="a")]}, "1 notebook, 0 problems, 0 warnings"),
        ({"notebooks": [TaskPlan(task_id=each) for each in "ab"]}, "2 notebooks, 0 problems, 0 warnings"),
        ({"dags": [dag(TaskPlan(task_id="a", problems=("x",)))]}, "1 task, 1 problem, 0 warnings"),
        # The indexes of a task are one task; a problem of each counts.
        (
            {"dags": [dag(*(TaskPlan(task_id="a", map_index=n, problems=("x",), warnings=("y",)) for n in range(2)))]},
            "1 task, 2 problems, 2 warnings",
        ),
        (
            {"dags": [dag(TaskPlan(task_id="a"), warnings=("x",)), dag(TaskPlan(task_id="a"))]},
            "2 tasks, 0 problems, 1 warning",
        ),
    ],
    ids=["nothing", "notebook", "notebooks", "task", "indexes", "dags"],
)
def test_the_last_line_counts(plan, said):
    assert page(**plan)[-1] == said


@pytest.mark.parametrize(
    ("number", "others", "said"),
    [(0, 0, "0 tasks with a notebook"), (1, 1, "1 task with a notebook, 1 without"), (2, 0, "2 tasks with a notebook")],
)
def test_a_dag_says_how_many_tasks_it_has_of_either_kind(number, others, said):
    tasks = [TaskPlan(task_id=f"t{each}") for each in range(number)]
    assert page(dags=[dag(*tasks, other_tasks=others)])[0] == f"DAG d (dags/d.py): {said}"


@pytest.mark.parametrize(
    ("run", "more", "said"),
    [
        ({}, {}, []),
        ({"logical_date": "L"}, {}, ["run: by hand, logical date L"]),
        (
            {"logical_date": "L", "run_id": "scheduled__L", "data_interval_start": "A", "data_interval_end": "B"},
            {},
            ["run: scheduled__L, logical date L, data interval A to B"],
        ),
        ({"conf": {"rows": 9}}, {}, ['conf: {"rows": 9}']),
        ({"conf": {}}, {}, []),
        ({}, {"backfill_runs": 0}, ["backfill: 0 runs"]),
        ({}, {"backfill_runs": 1}, ["backfill: 1 run"]),
        ({}, {"backfill_runs": 5000, "has_more_backfill_runs": True}, ["backfill: more than 5,000 runs"]),
        ({}, {"backfill_runs": 5000, "has_more_catchup_runs": True}, ["backfill: 5000 runs"]),
        ({}, {"catchup_runs": 0}, []),
        ({}, {"catchup_runs": 2}, ["catchup: 2 runs as soon as the DAG is unpaused"]),
        (
            {},
            {"catchup_runs": 1000, "has_more_catchup_runs": True},
            ["catchup: more than 1,000 runs as soon as the DAG is unpaused"],
        ),
        ({}, {"catchup_runs": 1000, "has_more_backfill_runs": True}, ["catchup: 1000 runs as soon as the DAG is unpaused"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_dag_says_its_run_and_how_many_there_would_be(run, more, said):
    lines = page(dags=[dag(run=RunPlan(**run), **more)])
    assert lines[1:-2] == [f"  {each}" for each in said]


def test_what_is_not_known_of_every_notebook_is_said_once():
    tasks = [
        TaskPlan(task_id="a", not_known=("region: x", "role: a")),
        TaskPlan(task_id="s", kind="sensor", not_known=("job_name: x",)),
        TaskPlan(task_id="b", not_known=("region: x", "role: b")),
    ]
    assert page(dags=[dag(*tasks)])[1:-2] == [
        "  ? region: x",
        "",
        "✔ a: the notebook is not known",
        "  ? role: a",
        "",
        "✔ s: waits for a job, starts none",
        "  ? job_name: x",
        "",
        "✔ b: the notebook is not known",
        "  ? role: b",
    ]


def test_what_is_not_known_of_the_only_notebook_stands_with_it():
    assert page(dags=[dag(TaskPlan(task_id="a", not_known=("x",)), TaskPlan(task_id="s", kind="sensor"))])[2:4] == [
        "✔ a: the notebook is not known",
        "  ? x",
    ]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"map_index": 0}, "✔ t [0]: the notebook is not known"),
        ({"map_index": 3, "notebook": "nb.ipynb"}, "✔ t [3]: nb.ipynb"),
        ({"notebook": "nb.ipynb", "kernel": "ir"}, "✔ t: nb.ipynb, kernel ir"),
        ({"kernel": "ir"}, "✔ t: the notebook is not known"),
        ({"kind": "sensor", "notebook": "nb.ipynb"}, "✔ t: waits for a job, starts none"),
    ],
    ids=str,
)
def test_a_task_is_named_with_its_index_and_what_it_runs(task, said):
    assert task_lines(TaskPlan(task_id="t", **task)) == [said]


def test_a_notebook_below_the_working_directory_is_shown_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, there = tmp_path / "dags" / "nb.ipynb", tmp_path.parent / "nb.ipynb"
    assert task_lines(TaskPlan(task_id="t", notebook=str(here))) == ["✔ t: dags/nb.ipynb"]
    assert task_lines(TaskPlan(task_id="t", notebook=str(there))) == [f"✔ t: {there}"]


def test_a_parameter_says_what_the_cell_and_the_task_give():
    """*needed* is what the cell annotates without a value; what a run gives has a question mark."""
    rows = (
        parameter("plain", "1", "2", "int"),
        parameter("must", None, None, "str"),
        parameter("unknown", "{{ ds }}", "''", is_known=False),
        parameter("of_the_task", "7"),
        parameter("long", "g" * 61, "d" * 61, "list"),
        parameter("fits", "g" * 60, "d" * 60),
    )
    head, *lines = task_lines(TaskPlan(task_id="t", parameters=rows))[1:]
    assert head.split() == ["parameter", "type", "default", "given"]
    assert [line.split() for line in lines] == [
        ["plain", "int", "2", "1"],
        ["must", "str", "needed", "-"],
        ["unknown", "any", "''", "?", "{{", "ds", "}}"],
        ["of_the_task", "any", "-", "7"],
        ["long", "list", "d" * 60 + "…", "g" * 60 + "…"],
        ["fits", "any", "d" * 60, "g" * 60],
    ]
    assert len({line.index(line.split()[2]) for line in (head, *lines)}) == 1  # one column
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([10], "f0 10 bytes"),
        ([10, 20], "f0 10 bytes, f1 20 bytes = 30 bytes"),
        ([None], "f0 (in S3)"),
        ([10, None, 0], "f0 10 bytes, f1 (in S3), f2 0 bytes = 10 bytes"),
        ([1] * 12, ", ".join(f"f{n} 1 bytes" for n in range(12)) + " = 12 bytes"),
        ([1] * 14, ", ".join(f"f{n} 1 bytes" for n in range(12)) + ", and 2 more = 14 bytes"),
    ],
    ids=["one", "two", "s3", "partly", "twelve", "fourteen"],
)
def test_files_have_their_sizes_and_the_sum(sizes, said):
    files = tuple(File(name=f"f{number}", origin="", bytes=size) for number, size in enumerate(sizes))
    assert task_lines(TaskPlan(task_id="t", files=files))[1:] == [f"  files: {said}"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"type": "int", "cell": 2, "notebook": "nb.ipynb"}, "x (int): cell 2"),
        ({"cell": 1, "notebook": "helper.ipynb"}, "x: cell 1 of helper.ipynb"),
        ({"type": "str"}, "x (str): no cell assigns it in plain Python"),
    ],
    ids=str,
)
@pytest.mark.parametrize("notebook", ["nb.ipynb", "dags/nb.ipynb"])
def test_an_output_says_the_cell_that_assigns_it(output, said, notebook):
    found = Output(name="x", **{"type": None, "cell": None, "notebook": None} | output)
    assert task_lines(TaskPlan(task_id="t", notebook=notebook, outputs=(found,)))[1:] == [f"  output {said}"]


def test_an_output_of_a_sensor_has_no_cell():
    found = Output(name="x", type="int", cell=None, notebook=None)
    assert task_lines(TaskPlan(task_id="t", kind="sensor", outputs=(found,)))[1:] == ["  output x (int)"]


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_problem_is_one_all_the_same(text):
    assert task_lines(TaskPlan(task_id="t", problems=(text,)))[1:] == ["  ✘ "]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "1 min 30 s of ml.m5.large (median of 3 jobs) = 0.03 instance hours, $0.01 at the configured price"),
        ({"earlier_jobs": 1, "hours": 1234.5, "cost": None}, "1 min 30 s of ml.m5.large (median of 1 job) = 1,234.50 instance hours; [nbjobs] instance_prices has no price of it"),
        ({"jobs": 2}, "1 min 30 s of ml.m5.large (median of 3 jobs) x 2 jobs = 0.03 instance hours, $0.01 at the configured price"),
        ({"jobs": 2, "runs": 7}, "1 min 30 s of ml.m5.large (median of 3 jobs) x 2 jobs x 7 runs = 0.03 instance hours, $0.01 at the configured price"),
        ({"jobs": None, "hours": None, "cost": None}, "1 min 30 s of ml.m5.large (median of 3 jobs) a job"),
        ({"jobs": None, "runs": 7, "hours": None, "cost": None}, "1 min 30 s of ml.m5.large (median of 3 jobs) a job, 7 runs"),
        ({"instance_type": None}, "1 min 30 s of an instance that is not known (median of 3 jobs) = 0.03 instance hours, $0.01 at the configured price"),
        ({"seconds": None}, "ml.m5.large; no earlier job is known here; at most 1 h 0 min each"),
        ({"seconds": None, "jobs": 2, "most_seconds": None}, "ml.m5.large x 2 jobs; no earlier job is known here"),
        ({"seconds": None, "runs": 3}, "ml.m5.large x 3 runs; no earlier job is known here; at most 1 h 0 min each"),
    ],
    ids=str,
)  # fmt: skip
def test_an_estimate_says_what_it_is_made_of(given, said):
    task = TaskPlan(task_id="t", estimate=estimate(**given))
    assert task_lines(task)[1:] == [f"  estimate: {said}"]
