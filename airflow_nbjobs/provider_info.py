"""
What Airflow's provider discovery reads.

Called through the entry point ``apache_airflow_provider`` in every Airflow process, before its configuration is ready: imports nothing.
"""

from __future__ import annotations

from typing import Any

_INTEGRATION = "SageMaker notebook jobs"
# Section [nbjobs]: by name what each option says, and an example.
_OPTIONS = {
    "role": ("Name or ARN of the jobs' execution role.", "arn:aws:iam::123456789012:role/NotebookJobs"),
    "s3_root_uri": ("S3 prefix under which each job has a folder.", "s3://my-bucket/nbjobs"),
    "image_uri": ("Image of the jobs.", "sagemaker-distribution:4-cpu"),
    "s3_kms_key": ("KMS key of staged inputs and of results.", None),
    "volume_kms_key": ("KMS key of the instances' volumes.", None),
    "security_group_ids": ("Comma-separated security groups; needs subnets as well.", "sg-0123456789abcdef0"),
    "subnets": ("Comma-separated subnets; needs security_group_ids as well.", "subnet-0123456789abcdef0"),
    "tags": ("Tags of every job, as a JSON object.", '{"team": "forecasting"}'),
    "live_notebook": ("Whether notebooks are copied to S3 as they run, so that their tabs follow them.", "True"),
    "cell_output_in_logs": ("Whether what cells print is written to the container's log as well.", "True"),
    "stream_logs": (
        "Whether a container's log is written into its task's as it comes; True unless said otherwise.",
        "False",
    ),
    "machine_metrics": (
        "Whether what a job used of its machine is read from CloudWatch when it ends and kept with its results; the tab reads it when it is opened, whatever is said here.",
        "True",
    ),
    "instance_prices": (
        "What an hour of each instance type costs you, as a JSON object; the pages then show what jobs cost. `nbjobs prices update` writes it, or a Variable over which it wins.",
        '{"ml.m5.large": 0.138}',
    ),
    "currency": ("Shown before those costs; prices of the Variable keep their own.", "€"),
    "deployment": (
        "Tells this Airflow apart from others that share an AWS account and have the same DAGs; part of every job's identity.",
        "production",
    ),
    "list_calls_per_second": (
        "ListTrainingJobs calls a second that a triggerer may make for all waiting notebook jobs (DescribeTrainingJob: five times as many); 1 unless said otherwise.",
        "0.5",
    ),
    "polling_interval": (
        "Shortest seconds between two polls of a waiting job, while the budget allows it; 5 unless said otherwise. waiter_delay, if shorter, wins.",
        "30",
    ),
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata; shape: ``airflow/provider_info.schema.json``."""
    options = {
        name: {"description": text, "version_added": "0.1.0", "type": "string", "example": example, "default": ""}
        for name, (text, example) in _OPTIONS.items()
    }
    return {
        "package-name": "airflow-nbjobs",
        "name": "Notebook jobs on SageMaker",
        "description": "Run Jupyter notebooks in production, as SageMaker training jobs in the notebook-job protocol.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.aws.amazon.com/sagemaker/latest/dg/notebook-auto-run.html",
                "tags": ["aws"],
            }
        ],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_nbjobs.operators"]}],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_nbjobs.sensors"]}],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_nbjobs.hooks"]}],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_nbjobs.triggers"]}],
        "task-decorators": [
            {"name": "sagemaker_notebook_job", "class-name": "airflow_nbjobs.decorators.sagemaker_notebook_job"}
        ],
        "extra-links": [
            "airflow_nbjobs.links.SageMakerConsoleLink",
            "airflow_nbjobs.links.CloudWatchLogsLink",
            "airflow_nbjobs.links.ExecutedNotebookLink",
            "airflow_nbjobs.links.StudioLink",
        ],
        "config": {
            "nbjobs": {
                "description": "Defaults of notebook jobs. The AWS connection's extra (key 'nbjobs') wins over them, a task's argument over both.",
                "options": options,
            }
        },
    }
