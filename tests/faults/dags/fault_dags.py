"""
One DAG for each event of the fault suite, built from ``options/*.json`` beside this file: ``{"retries": 4, "tasks": 0, …}``.

An event may edit its own file between two tries, as an author edits a DAG.
"""

import json
import time
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, get_parsing_context

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

HERE = Path(__file__).parent


class PausingOperator(SageMakerNotebookJobOperator):
    """
    The operator, which waits at one place for as long as a file is there, so that a worker can be killed or frozen right then.

    :ivar pause_at: ``defer``: between the submission and the deferral; ``resume``: when its second leg begins; the key of an XCom: when that leg has
        pushed it.
    """

    pause_file = None
    pause_at = "defer"

    def defer(self, **arguments):
        self.pause("defer")
        super().defer(**arguments)

    def resume_execution(self, next_method, next_kwargs, context):
        self.pause("resume")
        kind = type(context["ti"])
        push = kind.xcom_push

        def push_and_pause(ti, key, value, *arguments, **named):
            push(ti, key, value, *arguments, **named)
            self.pause(key)

        kind.xcom_push = push_and_pause  # of this process alone
        return super().resume_execution(next_method, next_kwargs, context)

    def pause(self, place):
        pause = Path(self.pause_file)
        if place == self.pause_at and pause.exists():
            pause.with_suffix(".reached").touch()
            while pause.exists():
                time.sleep(0.1)


class FailingOperator(SageMakerNotebookJobOperator):
    """The operator; its author's own code fails, once, when Airflow resumes the task because its time is up, while the job runs."""

    def resume_execution(self, next_method, next_kwargs, context):
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        failed = HERE / f"{self.dag_id}.failed"
        if not failed.exists():
            failed.touch()
            raise RuntimeError("no yeast left")
        return self.execute(context)  # Airflow 3.0 resumes the retry of a leg that was resumed


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
    operator = SageMakerNotebookJobOperator
    if "pause_file" in arguments:
        members = {"pause_file": arguments.pop("pause_file"), "pause_at": arguments.pop("pause_at", "defer")}
        operator = type("Pausing", (PausingOperator,), members)
    if arguments.pop("fails_on_resume", False):
        operator = FailingOperator
    is_removed = arguments.pop("is_removed", False)
    with DAG(dag_id, schedule=None, max_active_tasks=64):
        if is_removed:
            EmptyOperator(task_id="other")
        elif tasks:
            operator.partial(**arguments).expand(environment_variables=[{"N": str(n)} for n in range(tasks)])
        else:
            operator(**arguments)


wanted = get_parsing_context().dag_id
for path in sorted((HERE / "options").glob("*.json")):
    if wanted in (None, path.stem):
        make_dag(path.stem, json.loads(path.read_text()))
