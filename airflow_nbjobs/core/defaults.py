"""
Defaults of the operator's arguments, each with its unit.

Read by ``operators.py`` at DAG-parse time and by ``core/job/spec.py``; imports nothing at all, so that parsing stays cheap.
The job arguments' values are ``NotebookJobStep``'s (sagemaker 2.257), so that a step's arguments can be pasted.
"""

INSTANCE_TYPE = "ml.m5.large"
VOLUME_SIZE = 30  # GiB of the instance's EBS volume
MAX_RETRY_ATTEMPTS = 1  # of the platform, after an InternalServerError; 0 = none
MAX_RUNTIME_IN_SECONDS = 172_800  # 2 days
ENCRYPT_INTER_CONTAINER_TRAFFIC = True

CAPACITY_TIMEOUT = 21_600  # seconds to wait for an instance or for quota: 6 hours
WAITER_DELAY = 30  # seconds between two polls of a running job
AWS_CONN_ID = "aws_default"
UNKNOWN_PARAMETERS = "error"
MISSING_DEPENDENCIES = "error"
