"""
One DAG for each event of the fault suite, built from ``options/*.json`` beside this file: ``{"retries": 4, "tasks": 0, …}``.

An event may edit its own file between two tries, as an author edits a DAG.
"""

import json
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

HERE = Path(__file__).parent


class PausingOperator(SageMakerNotebookJobOperator):
    """The operator; between the submission and the deferral it waits for as long as a file is there, so that a worker can be killed right then."""

    pause_file = None

    def defer(self, **arguments):
        pause = Path(self.pause_file)
        if pause.exists():
            pause.with_suffix(".reached").touch()
            while pause.exists():
                time.sleep(0.1)
        super().defer(**arguments)


def make_dag(dag_id, options):
    tasks = options.pop("tasks", 0)
    seconds = options.pop("execution_timeout", None)
    arguments = {
        "task_id": "run",
        "input_notebook": str(HERE / options.pop("notebook", "short.ipynb")),
        "outputs": ["token"],
        "retries": 4,
        "retry_delay": timedelta(seconds=1),
        "waiter_delay": 1,
        "execution_timeout": timedelta(seconds=seconds) if seconds else None,
        **options,
    }
    pause = arguments.pop("pause_file", None)
    operator = PausingOperator if pause else SageMakerNotebookJobOperator
    operator.pause_file = pause
    with DAG(dag_id, schedule=None, max_active_tasks=64):
        if tasks:
            operator.partial(**arguments).expand(environment_variables=[{"N": str(n)} for n in range(tasks)])
        else:
            operator(**arguments)


wanted = get_parsing_context().dag_id
for path in sorted((HERE / "options").glob("*.json")):
    if wanted in (None, path.stem):
        make_dag(path.stem, json.loads(path.read_text()))
