"""
## Hyperparameter sweep

One notebook, trained with several settings side by side; the best of them is measured further, if it is good enough.

1. **preprocess** stores a training set.
2. **training** is `training.ipynb`, mapped over `epochs`: a notebook job for each, no more than two at once. The function below it returns what the
   notebook gets; in Airflow's UI each is named by its value.
3. **best** reads the accuracy of all, as numbers, and takes the highest.
4. **good_enough** branches: below the threshold of the run, nothing follows.
5. **transform-monitor** runs the best model over the test set.

Try other values in the trigger form: any number of settings makes as many jobs.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, task

from airflow_nbjobs.decorators import sagemaker_notebook_job
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

DAY = "{{ (dag_run.data_interval_start or dag_run.run_after).strftime('%Y-%m-%d') }}"

with DAG(
    "hyperparameter_sweep",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1)},
    params={
        "epochs": Param([1, 5, 20], type="array", items={"type": "integer", "minimum": 1}, title="Passes to try"),
        "rows": Param(300, type="integer", minimum=20, maximum=6920, title="Training sentences"),
        "accuracy": Param(0.7, type="number", minimum=0, maximum=1, title="A model below this is not used"),
    },
    tags=["sagemaker", "notebook", "sample"],
    doc_md=__doc__,
):
    preprocess = SageMakerNotebookJobOperator(
        task_id="preprocess",
        input_notebook="notebooks/preprocess.ipynb",
        parameters={"day": DAY, "rows": "{{ params.rows }}"},
        outputs={"train_s3_uri": str},
    )

    @task
    def settings(params: dict) -> list[int]:
        return params["epochs"]

    @sagemaker_notebook_job(
        input_notebook="notebooks/training.ipynb",
        additional_dependencies=["notebooks/inference.py"],
        outputs={"accuracy": float, "model_s3_uri": str},
        max_active_tis_per_dagrun=2,  # no more machines than the account's quota
    )
    def training(epochs: int, train_s3_uri: str) -> dict:
        return {"model_name": "baseline", "epochs": epochs, "train_s3_uri": train_s3_uri}

    @task
    def best(epochs: list[int], accuracies: list[float], models: list[str]) -> dict:
        """Of equally good ones, the first: fewer passes."""
        accuracy, _, number = max((accuracy, -n, n) for n, accuracy in enumerate(accuracies))
        return {"epochs": epochs[number], "accuracy": accuracy, "model_s3_uri": models[number]}

    @task.branch
    def good_enough(model: dict, params: dict) -> str:
        return "transform-monitor" if model["accuracy"] >= params["accuracy"] else "not_good_enough"

    epochs = settings()
    trained = training.partial(train_s3_uri=preprocess.output["train_s3_uri"]).expand(epochs=epochs)
    winner = best(epochs, trained["accuracy"], trained["model_s3_uri"])

    transform_monitor = SageMakerNotebookJobOperator(
        task_id="transform-monitor",
        input_notebook="notebooks/transform-monitor.ipynb",
        parameters={"train_s3_uri": preprocess.output["train_s3_uri"], "model_s3_uri": winner["model_s3_uri"]},
        outputs={"violations": int, "predicted_counts": dict},
    )
    good_enough(winner) >> [transform_monitor, EmptyOperator(task_id="not_good_enough")]
