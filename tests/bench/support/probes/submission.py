"""One ``execute`` until the task defers, in a process that has what a worker has when it calls it: the task runner and the DAG file."""

import collections
import time
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import airflow.sdk.execution_time.supervisor
import airflow.sdk.execution_time.task_runner  # noqa: F401
from airflow.sdk import DAG

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # Airflow < 3.2
    from airflow.exceptions import TaskDeferred


def count_calls(calls):
    import botocore.client

    send = botocore.client.BaseClient._make_api_call

    def counted(client, operation, parameters):
        calls[f"{client.meta.service_model.service_name}:{operation}"] += 1
        return send(client, operation, parameters)

    botocore.client.BaseClient._make_api_call = counted


def ours(settings):
    from airflow_nbjobs.operators import SageMakerNotebookJobOperator

    return SageMakerNotebookJobOperator(
        task_id="t", input_notebook=settings["notebook"], outputs=["x"], deferrable=True
    )


def amazons(settings, name, **tuned):
    from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator

    source = {"S3DataType": "S3Prefix", "S3Uri": settings["input"]}
    config = {
        "TrainingJobName": name,
        "RoleArn": settings["role"],
        "AlgorithmSpecification": {
            "TrainingImage": settings["image"],
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["sleep", "600"],
        },
        "InputDataConfig": [{"ChannelName": "c", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": settings["root"]},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    return SageMakerTrainingOperator(task_id="t", config=config, deferrable=True, **tuned)


def measured(arguments):
    calls = collections.Counter()
    if arguments["counts"]:  # loads botocore before its time: such a run is not timed
        count_calls(calls)
    name = f"bench-{uuid.uuid4().hex[:12]}"
    now = datetime.now(tz=UTC)
    ti = SimpleNamespace(
        dag_id=name,
        run_id="r",
        task_id="t",
        map_index=-1,
        try_number=1,
        max_tries=0,
        start_date=now,
        xcom_push=lambda key, value: None,
    )
    context = {"ti": ti, "task_instance": ti, "dag_run": SimpleNamespace(start_date=now, run_after=now)}
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        match arguments["contender"]:
            case "ours":
                operator = ours(arguments)
            case "amazon, tuned":
                operator = amazons(arguments, name, print_log=False, check_if_job_exists=False)
            case "amazon, defaults":
                operator = amazons(arguments, name)
    began, cpu = time.perf_counter(), time.process_time()
    try:
        operator.execute(context)
    except TaskDeferred:
        return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "calls": calls}
    raise SystemExit("it did not defer")
