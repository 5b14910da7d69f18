"""
## Report on a new model

Runs whenever `sentiment_pipeline` has trained a model: on the *asset* that its task `training` updates (`outlets=[MODEL]`), not on a schedule, and without
knowing that DAG.

1. **new_models** reads what the training notebooks have returned from the events that started this run. There may be several: models that were
   trained while an earlier report was still running are reported together. A run that was triggered by hand has none, and skips its notebook.
2. **report** is one notebook for all of them. It gets the models as a list of dictionaries, typed, and compares their accuracy.

Airflow leaves a new DAG paused; events that come meanwhile are not kept for it.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset, task

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

# The same asset as in sentiment_pipeline.py. It stands for "the newest model", wherever in S3 that lies: its event says where.
MODEL = Asset(name="sentiment_model", uri="x-nbjobs://sentiment_pipeline/model")

with DAG(
    "report_on_new_model",
    schedule=[MODEL],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1)},
    tags=["sagemaker", "notebook", "sample"],
    doc_md=__doc__,
):

    @task.short_circuit
    def new_models(triggering_asset_events) -> list[dict]:
        return [
            {
                "job_name": event.extra["job_name"],
                "model_name": event.extra["parameters"]["model_name"],
                "model_s3_uri": event.extra["outputs"]["model_s3_uri"],
                "accuracy": event.extra["outputs"]["accuracy"],
                "billable_seconds": event.extra["billable_seconds"],
            }
            for event in triggering_asset_events.get(MODEL, ())
            if "job_name" in event.extra  # somebody may create an event in Airflow's UI
        ]

    SageMakerNotebookJobOperator(
        task_id="report",
        input_notebook="notebooks/model-report.ipynb",
        parameters={"models": new_models()},
        outputs={"best": dict, "report": str},
    )
