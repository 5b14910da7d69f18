"""
Run Jupyter notebooks in production from Apache Airflow, as SageMaker notebook jobs.

What users import is here: the operator, the sensor, the hook, a DAG's params from its notebook, the summary of a failure, and the errors that ``airflow_nbjobs.exceptions`` describes. Each is loaded when it is asked for (PEP 562):
Airflow imports this package as it looks for providers, before its own configuration is there.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "FROM_PARAMS",
    "NotebookCellError",
    "NotebookJobCapacityError",
    "NotebookJobConfigError",
    "NotebookJobError",
    "NotebookJobServiceError",
    "NotebookJobStoppedError",
    "NotebookJobTimeoutError",
    "NotebookOutputError",
    "NotebookSkippedError",
    "NotebookTaskGroup",
    "SageMakerNotebookJobHook",
    "SageMakerNotebookJobOperator",
    "SageMakerNotebookJobSensor",
    "__version__",
    "failure_summary",
    "notebook_params",
]

if TYPE_CHECKING:
    from airflow_nbjobs.exceptions import (
        NotebookCellError,
        NotebookJobCapacityError,
        NotebookJobConfigError,
        NotebookJobError,
        NotebookJobServiceError,
        NotebookJobStoppedError,
        NotebookJobTimeoutError,
        NotebookOutputError,
        NotebookSkippedError,
    )
    from airflow_nbjobs.hooks import SageMakerNotebookJobHook
    from airflow_nbjobs.notifications import failure_summary
    from airflow_nbjobs.operators import SageMakerNotebookJobOperator
    from airflow_nbjobs.params import FROM_PARAMS, notebook_params
    from airflow_nbjobs.sensors import SageMakerNotebookJobSensor
    from airflow_nbjobs.task_groups import NotebookTaskGroup
else:  # a type checker that saw these would take any name for one of ours
    _MODULES = {
        "FROM_PARAMS": "params",
        "NotebookTaskGroup": "task_groups",
        "SageMakerNotebookJobHook": "hooks",
        "SageMakerNotebookJobOperator": "operators",
        "SageMakerNotebookJobSensor": "sensors",
        "failure_summary": "notifications",
        "notebook_params": "params",
    }

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'exceptions')}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
