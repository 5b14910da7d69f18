"""
## Drift monitor

Does the newest model still fit what comes in? A notebook measures it, and its answer decides whether the model is trained again.

1. **newest_model** looks up the model that was trained last: by the events of the *asset* that `sentiment_pipeline` updates, and this DAG as well.
   Without one there is nothing to measure, and the way leads straight to the training.
2. **drift** is `transform-monitor.ipynb`: the model runs over the test set, and Model Monitor's analyzer compares what it was given, and what it said, with
   the data that it was trained on. Its output `violations` counts what differs.
3. **retrain** branches: more violations than the run tolerates lead to the training, others to **keep_model**.
4. **preprocess** and **training** make a model of the day's data. As the asset is updated, `report_on_new_model` runs.

Put your own data in place of `prepare-test-set.ipynb`, which the drift notebook reads.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, Param, task

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

MODEL = Asset(name="sentiment_model", uri="x-nbjobs://sentiment_pipeline/model")  # as in sentiment_pipeline.py
DAY = "{{ (dag_run.data_interval_start or dag_run.run_after).strftime('%Y-%m-%d') }}"

with DAG(
    "drift_monitor",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1)},
    params={
        "tolerated": Param(0, type="integer", minimum=0, title="Violations with which the model is kept"),
        "rows": Param(500, type="integer", minimum=20, maximum=6920, title="Training sentences"),
    },
    tags=["sagemaker", "notebook", "sample"],
    doc_md=__doc__,
):

    @task(inlets=[MODEL])
    def newest_model(inlet_events) -> dict:
        """The drift notebook's parameters; without a model, none."""
        trained = [event.extra for event in inlet_events[MODEL] if "job_name" in event.extra]
        if not trained:
            return {}
        given, returned = trained[-1]["parameters"], trained[-1]["outputs"]
        return {
            "model_s3_uri": returned["model_s3_uri"],
            "train_s3_uri": given["train_s3_uri"],
            "model_name": given["model_name"],
        }

    @task.branch
    def has_model(model: dict) -> str:
        return "drift" if model else "preprocess"

    @task.branch
    def retrain(violations: int, params: dict) -> str:
        return "preprocess" if violations > params["tolerated"] else "keep_model"

    model = newest_model()
    drift = SageMakerNotebookJobOperator(
        task_id="drift",
        input_notebook="notebooks/transform-monitor.ipynb",
        parameters=model,
        outputs={"violations": int, "predicted_counts": dict},
    )
    preprocess = SageMakerNotebookJobOperator(
        task_id="preprocess",
        input_notebook="notebooks/preprocess.ipynb",
        parameters={"day": DAY, "rows": "{{ params.rows }}"},
        outputs={"train_s3_uri": str},
        trigger_rule="none_failed_min_one_success",  # on either of its two ways
    )
    training = SageMakerNotebookJobOperator(
        task_id="training",
        input_notebook="notebooks/training.ipynb",
        additional_dependencies=["notebooks/inference.py"],
        parameters={"train_s3_uri": preprocess.output["train_s3_uri"], "model_name": "baseline"},
        outputs={"accuracy": float, "model_s3_uri": str},
        outlets=[MODEL],
    )

    has_model(model) >> [drift, preprocess]
    retrain(drift.output["violations"]) >> [preprocess, EmptyOperator(task_id="keep_model")]
