"""
## Sentiment pipeline

Three notebooks, each a SageMaker notebook job:

1. **preprocess** takes the day's slice of SST2, sentences of movie reviews, and stores it in S3.
2. **training** fine-tunes BERT on it (`model_name` = `bert-base-cased`), plots the confusion matrix on SST2's test set (which
   `prepare-test-set.ipynb` brings in by `%run`) and stores the model in S3, together with `inference.py`, by which it can be served.
3. **transform-monitor** runs the model over the test set as a batch transform with data capture, describes the training set by Model Monitor's
   analyzer, and counts where the captured data differs from that baseline. It starts these jobs by the role that it runs with itself.

**This DAG asks for the model `baseline`**, TF-IDF with scikit-learn, unless the run says otherwise: BERT needs an image with PyTorch and Transformers
and the Hugging Face hub, and `nbjobs demo` must run on a laptop that has neither. `tiny` is BERT without the hub, from random weights.

The notebooks are plain: parameters come in by their `parameters` cell, and variables of theirs come out as XComs.

Each run works on the day on which its data interval starts; a run triggered by hand without one, on the day of the trigger. Change the other
values in the trigger form or with `airflow dags trigger --conf`.

Role, image and S3 location of the jobs come from the AWS connection's extra or from section `[nbjobs]` of the Airflow configuration; image, kernel
and who sees the jobs in Studio may also be said in `NOTEBOOK_JOBS` below.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset, Param

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

# `data_interval_start` itself is not defined in runs without a logical date; the run always knows when it became due.
DAY = "{{ (dag_run.data_interval_start or dag_run.run_after).strftime('%Y-%m-%d') }}"
BUCKET = "{{ params.default_s3_bucket or '' }}"

# Stands for the newest model, wherever in S3 it lies: `report_on_new_model` runs when the training has updated it.
MODEL = Asset(name="sentiment_model", uri="x-nbjobs://sentiment_pipeline/model")

# Arguments of SageMakerNotebookJobOperator that all three tasks share. One task alone takes them as its own arguments.
NOTEBOOK_JOBS = {
    # "sagemaker-distribution:4-cpu", "sagemaker-distribution:4-gpu", or the URI of an image in ECR. None: the connection's or [nbjobs]'s.
    "image_uri": None,
    # A kernel of that image. None: the one that the notebook names.
    "kernel_name": "python3",
    # "arn:aws:sagemaker:us-west-2:123456789012:domain/d-abc123": Studio lists the jobs, to everybody in that domain. None: to nobody.
    "studio_domain_arn": None,
    # With the domain: to this profile alone, or to this space alone.
    "studio_user_profile": None,
    "studio_space": None,
}

with DAG(
    "sentiment_pipeline",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1), **NOTEBOOK_JOBS},
    params={
        "default_s3_bucket": Param(
            None,
            type=["null", "string"],
            pattern="^(s3://.+)?$",
            title="Where results go",
            description="s3://bucket/prefix for the training set and the model. Empty: the account's default SageMaker bucket.",
        ),
        "model_name": Param(
            "baseline",
            enum=["bert-base-cased", "tiny", "baseline"],
            type="string",
            title="Model",
            description="bert-base-cased needs an image with PyTorch and Transformers, and the Hugging Face hub; tiny needs no hub; baseline needs scikit-learn only.",
        ),
        "rows": Param(500, type="integer", minimum=20, maximum=6920, title="Training sentences of a day"),
        "epochs": Param(5, type="integer", minimum=1, maximum=1000, title="Passes over the training set"),
    },
    tags=["sagemaker", "notebook", "sample"],
    doc_md=__doc__,
):
    preprocess = SageMakerNotebookJobOperator(
        task_id="preprocess",
        input_notebook="notebooks/preprocess.ipynb",
        parameters={"default_s3_bucket": BUCKET, "day": DAY, "rows": "{{ params.rows }}"},
        outputs={"train_rows": int, "train_s3_uri": str, "label_counts": dict},
        instance_type="ml.m5.large",
    )
    # Waits for preprocess, because it takes an output of it.
    training = SageMakerNotebookJobOperator(
        task_id="training",
        input_notebook="notebooks/training.ipynb",
        additional_dependencies=["notebooks/inference.py"],  # prepare-test-set.ipynb is found by its %run
        parameters={
            "default_s3_bucket": BUCKET,
            "train_s3_uri": preprocess.output["train_s3_uri"],
            "model_name": "{{ params.model_name }}",
            "epochs": "{{ params.epochs }}",
        },
        outputs={"accuracy": float, "model_s3_uri": str, "test_rows_used": int},
        outlets=[MODEL],
        instance_type="ml.m5.xlarge",
        live_notebook=True,  # its tab follows it as it runs
    )
    transform_monitor = SageMakerNotebookJobOperator(
        task_id="transform-monitor",
        input_notebook="notebooks/transform-monitor.ipynb",
        parameters={
            "default_s3_bucket": BUCKET,
            "train_s3_uri": preprocess.output["train_s3_uri"],
            "model_s3_uri": training.output["model_s3_uri"],
            "model_name": "{{ params.model_name }}",
        },
        outputs={
            "predictions_s3_uri": str,
            "baseline_s3_uri": str,
            "capture_s3_uri": str,
            "violations": int,
            "predicted_counts": dict,
        },
        instance_type="ml.m5.large",
    )
