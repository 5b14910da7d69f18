"""
Run one of amazon's own SageMaker operators, as it is, and print a line when it defers and what ``execute`` returns as JSON.

A program of its own, ``python foreign_client.py CLASS ARGUMENTS_JSON``: Airflow reads its settings when it is imported, and the deferrable runs need another
environment than the tests'. A deferral is played as Airflow plays it: the trigger rebuilt from its serialized form, its event given to ``execute_complete``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import Any

from airflow.providers.amazon.aws.operators import sagemaker
from airflow_names import TaskDeferred


class TaskInstance:
    """What the operators' links ask of a task instance."""

    def xcom_push(self, key: str, value: Any) -> None:
        json.dumps({key: value})


def resume(operator: Any, context: Any, deferred: TaskDeferred) -> Any:
    path, arguments = deferred.trigger.serialize()
    module, _, name = path.rpartition(".")
    trigger = getattr(import_module(module), name)(**arguments)
    event = asyncio.run(anext(trigger.run()))
    return getattr(operator, deferred.method_name)(context, event=event.payload)


def main(class_name: str, arguments: str) -> None:
    operator = getattr(sagemaker, class_name)(task_id="foreign", **json.loads(arguments))
    context = {"ti": TaskInstance()}
    try:
        result = operator.execute(context)
    except TaskDeferred as deferred:
        sys.stdout.write("DEFERRED\n")
        sys.stdout.flush()
        result = resume(operator, context, deferred)
    sys.stdout.write(f"RESULT{json.dumps(result, default=str)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
