"""The sample DAG, imported as a DAG processor imports it: from a folder of its own, in a process of its own."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from forked_programs import AIRFLOW, run_forked

DAGS = Path(__file__).parents[2] / "dags"

PROBE = """
import json, sys, warnings
from datetime import datetime, timezone
from types import SimpleNamespace
import airflow.sdk

loaded_before = set(sys.modules)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import sentiment_pipeline
loaded = set(sys.modules) - loaded_before
dag = sentiment_pipeline.preprocess.dag
dag.validate()

start, after = datetime(2026, 1, 5, tzinfo=timezone.utc), datetime(2026, 1, 7, 9, 30, tzinfo=timezone.utc)
runs = {
    "scheduled": SimpleNamespace(data_interval_start=start, run_after=after),
    "manual": SimpleNamespace(data_interval_start=None, run_after=after),
}

dags, leave = [], airflow.sdk.DAG.__exit__
airflow.sdk.DAG.__exit__ = lambda dag, *error: dags.append(dag) or leave(dag, *error)
import nightly_report
(nightly,) = dags[0].tasks

def render(task, run):
    context = {"dag_run": run, "params": task.dag.params.dump()}
    return task.render_template({**task.parameters}, context, task.dag.get_template_env())

print(json.dumps({
    "warnings": [str(each.message) for each in caught],
    "loaded": sorted(loaded),
    "dag_id": dag.dag_id,
    "catchup": dag.catchup,
    "schedule": dag.schedule,
    "doc": dag.doc_md,
    "params": {name: param.schema for name, param in dag.params.items()},
    "values": dag.params.dump(),
    "upstream": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
    "notebooks": {task.task_id: task.input_notebook for task in dag.tasks},
    "parameters": {task.task_id: sorted(task.parameters) for task in dag.tasks},
    "outputs": {task.task_id: {name: kind.__name__ for name, kind in task.outputs.items()} for task in dag.tasks},
    "rendered": {name: render(sentiment_pipeline.preprocess, run) for name, run in runs.items()},
    "nightly": {name: render(nightly, run) for name, run in runs.items()},
    "shared": sentiment_pipeline.NOTEBOOK_JOBS,
    "taken": {task.task_id: {name: getattr(task, name) for name in sentiment_pipeline.NOTEBOOK_JOBS} for task in dag.tasks},
}))
"""


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("dags")
    shutil.copytree(DAGS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "probe.py").write_text(PROBE)
    code, said = run_forked(folder / "probe.py", modules=AIRFLOW)
    assert code == 0, said
    return json.loads(said.splitlines()[-1])


def test_parsing_warns_of_nothing_and_loads_no_aws_library(dag):
    assert dag["warnings"] == []
    assert "airflow_nbjobs.operators" in dag["loaded"]
    assert {"boto3", "botocore", "nbformat"} & set(dag["loaded"]) == set()


def test_it_runs_daily_without_catching_up_and_documents_itself(dag):
    assert (dag["dag_id"], dag["schedule"], dag["catchup"]) == ("sentiment_pipeline", "@daily", False)
    assert dag["doc"].lstrip().startswith("## Sentiment pipeline")


def test_each_notebook_waits_for_those_whose_outputs_it_takes(dag):
    assert dag["upstream"] == {
        "preprocess": [],
        "training": ["preprocess"],
        "transform-monitor": ["preprocess", "training"],
    }


def test_the_values_are_typed_params(dag):
    types = {name: schema["type"] for name, schema in dag["params"].items()}
    assert types == {
        "default_s3_bucket": ["null", "string"],
        "model_name": "string",
        "rows": "integer",
        "epochs": "integer",
    }
    assert dag["values"] == {"default_s3_bucket": None, "model_name": "baseline", "rows": 500, "epochs": 5}
    assert dag["params"]["model_name"]["enum"] == ["bert-base-cased", "tiny", "baseline"]


def test_the_notebook_says_at_first_sight_that_it_fine_tunes_bert_and_why_the_dag_does_not_by_default(dag):
    notebook = nbformat.read(DAGS / dag["notebooks"]["training"], as_version=4)
    title, declared = (cell.source for cell in notebook.cells[:2])
    assert title.startswith("# Fine-tune BERT")
    assert 'model_name = "bert-base-cased"' in declared
    assert re.findall(r"^\| `(.+?)`", title, re.MULTILINE)[1:] == dag["params"]["model_name"]["enum"]
    default = dag["values"]["model_name"]
    assert f"asks for `{default}`" in title
    assert f"asks for the model `{default}`" in dag["doc"]


def test_every_task_takes_the_image_kernel_and_studio_arguments_that_the_file_shows(dag):
    assert dag["shared"].keys() == {
        "image_uri",
        "kernel_name",
        "studio_domain_arn",
        "studio_user_profile",
        "studio_space",
    }
    assert dag["taken"] == dict.fromkeys(dag["notebooks"], dag["shared"])


def test_a_run_reads_the_day_of_its_data_interval_and_a_manual_one_that_of_its_trigger(dag):
    """``data_interval_start`` is undefined in the context of a run without a logical date, and undefined names fail the task."""
    assert dag["rendered"] == {
        "scheduled": {"default_s3_bucket": "", "day": "2026-01-05", "rows": "500"},
        "manual": {"default_s3_bucket": "", "day": "2026-01-07", "rows": "500"},
    }
    assert dag["nightly"] == {"scheduled": {"day": "2026-01-05"}, "manual": {"day": "2026-01-07"}}


@pytest.mark.parametrize("task_id", ["preprocess", "training", "transform-monitor"])
def test_parameters_and_outputs_are_names_of_the_notebook(dag, task_id):
    notebook = nbformat.read(DAGS / dag["notebooks"][task_id], as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (declared,) = [cell.source for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert set(dag["parameters"][task_id]) - _assigned(declared) == set()
    everything = "\n".join(cell.source for cell in code)
    assigned = _assigned("\n".join(line for line in everything.splitlines() if not line.startswith("%")))
    assert dag["outputs"][task_id] != {}
    assert set(dag["outputs"][task_id]) - assigned == set()


def _assigned(source: str) -> set[str]:
    return {
        target.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
