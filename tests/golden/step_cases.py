"""
The argument sets that are compiled by the SageMaker SDK and by this package, each of which must give the same job.

Read by ``record.py`` in the SDK's environment and by ``test_requests.py``; standard library only. Paths are relative to ``inputs/``.
"""

from __future__ import annotations

from typing import Any

Arguments = dict[str, Any]

IMAGE_URI = "819792524951.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-distribution-prod:4-cpu"
KMS_KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

# Without these the SDK compiles nothing, or asks AWS for a default.
BASE: Arguments = {
    "input_notebook": "report.ipynb",
    "image_uri": IMAGE_URI,
    "kernel_name": "python3",
    "role": "arn:aws:iam::123456789012:role/NotebookJobs",
    "s3_root_uri": "s3://bucket/nbjobs",
}

# Every other argument, with a value that shows in the job.
ALONE: Arguments = {
    "name": "nightly-step",
    "display_name": "Nightly report",
    "description": "Sums up the day.",
    "notebook_job_name": "nightly-report",
    "parameters": {"company": "amazon"},
    "environment_variables": {"STAGE": "test", "EMPTY": ""},
    "initialization_script": "init.sh",
    "s3_kms_key": KMS_KEY,
    "instance_type": "ml.m5.4xlarge",
    "volume_size": 100,
    "volume_kms_key": KMS_KEY,
    "encrypt_inter_container_traffic": False,
    "max_retry_attempts": 3,
    "max_runtime_in_seconds": 3600,
    "tags": [{"Key": "team", "Value": "data science"}],
    "additional_dependencies": ["helper.ipynb", "lib"],
}
_VPC: Arguments = {"security_group_ids": ["sg-0123456789abcdef0"], "subnets": ["subnet-0a", "subnet-0b"]}
_ALL: Arguments = BASE | ALONE | _VPC


def _more(**arguments: Any) -> Arguments:
    return BASE | arguments


def _without(*names: str) -> Arguments:
    return {name: value for name, value in BASE.items() if name not in names}


CASES: dict[str, Arguments] = {
    "minimal": BASE,
    **{f"alone-{name}": _more(**{name: value}) for name, value in ALONE.items()},
    "alone-vpc": BASE | _VPC,
    "all": _ALL,
    **{f"all-but-{name}": {key: value for key, value in _ALL.items() if key != name} for name in ALONE},
    "all-but-vpc": BASE | ALONE,
    # Further values of the same arguments.
    "role-name": _more(role="NotebookJobs"),
    "root-is-a-bucket": _more(s3_root_uri="s3://bucket"),
    "root-with-slash": _more(s3_root_uri="s3://bucket/nbjobs/"),
    "tags-as-mapping": _more(tags={"team": "data", "stage": "test"}),
    "tag-twice": _more(tags=[{"Key": "team", "Value": "a"}, {"Key": "team", "Value": "b"}]),
    "tag-of-the-system": _more(tags={"sagemaker:is-studio-archived": "true"}),
    "studio-tags": _more(
        tags={
            "sagemaker:domain-arn": "arn:aws:sagemaker:eu-west-1:123456789012:domain/d-abc",
            "sagemaker:user-profile-name": "ann",
        }
    ),
    "name-with-underscores": _more(notebook_job_name="My_Report__Job_1_"),
    "name-too-long": _more(notebook_job_name="nightly-" + "long-" * 14 + "report"),
    "notebook-in-a-folder": _more(input_notebook="other/helper.ipynb"),
    "parameters-typed": _more(
        parameters={"company": "amazon", "rows": 5, "share": 0.5, "is_full": True, "days": ["mo", None]}
    ),
    "parameters-of-several-lines": _more(parameters={"company": "one\ntwo"}),
    "parameter-too-long-to-show": _more(parameters={"company": "x" * 2501}),
    "parameters-of-another-language": _more(
        input_notebook="weekly report.ipynb", kernel_name="ir", parameters={"company": "amazon"}
    ),
    "empty-values": _more(parameters={}, environment_variables={}, tags=[], additional_dependencies=[]),
    "empty-vpc": _more(subnets=[], security_group_ids=[]),
    "no-retries": _more(max_retry_attempts=0),
    "run-target": _more(input_notebook="runs.ipynb"),
    "dependency-folder": _more(additional_dependencies=["lib"]),
    "dependency-folder-with-slash": _more(additional_dependencies=["lib/"]),
    "kernel-of-the-notebook": _without("kernel_name") | {"kernel_name": None},
    "image-by-short-name": _more(image_uri="sagemaker-distribution:4-cpu"),
    # What only one of the two takes, or neither does.
    "role-missing": _without("role"),
    "root-missing": _without("s3_root_uri"),
    "vpc-without-subnets": _more(security_group_ids=_VPC["security_group_ids"]),
    "vpc-without-groups": _more(subnets=_VPC["subnets"]),
    "variable-a-number": _more(environment_variables={"STAGE": 1}),
    "variable-of-the-driver": _more(environment_variables={"SM_KERNEL_NAME": "other"}),
    "variable-of-formats": _more(environment_variables={"SM_OUTPUT_FORMATS": "html"}),
    "dependencies-collide": _more(additional_dependencies=["helper.ipynb", "other/helper.ipynb"]),
    "parameter-unknown": _more(parameters={"compnay": "amazon"}),
    "parameter-no-name": _more(parameters={"a-b": "amazon"}),
    "tag-malformed": _more(tags={"team": "a,b"}),
    "too-many-retries": _more(max_retry_attempts=31),
    "notebook-with-brace": _more(input_notebook="{day}.ipynb"),
    "notebook-missing": _more(input_notebook="absent.ipynb"),
    "script-missing": _more(initialization_script="absent.sh"),
    "dependency-missing": _more(additional_dependencies=["absent.csv"]),
    "image-of-another-region": _more(image_uri=IMAGE_URI.replace("eu-west-1", "us-east-1")),
    "name-malformed": _more(notebook_job_name="1 report"),
}
