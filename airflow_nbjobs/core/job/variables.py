"""
Environment variables of a job that this package sets; whose job it is, ``adoption.OWNER_VARIABLE`` tells.

Read wherever a job is made or read back; pure.
"""

from __future__ import annotations

RESERVED_VARIABLE_PREFIX = "NBJOBS_"
INTERVAL_VARIABLE = "NBJOBS_DATA_INTERVAL_START"
INPUT_DIGEST_VARIABLE = "NBJOBS_INPUT_SHA256"
NOTEBOOK_DIGEST_VARIABLE = "NBJOBS_NOTEBOOK_SHA256"
LIVE_VARIABLE = "NBJOBS_LIVE_NOTEBOOK"
OUTPUT_NOTEBOOK_VARIABLE = "SM_OUTPUT_NOTEBOOK_NAME"
# What the driver reads, and the argument that says its value, if one does; a user's own would break the job or be overwritten in silence.
RESERVED_VARIABLES = {
    "AWS_DEFAULT_REGION": "region_name",
    "SM_JOB_DEF_VERSION": "",
    "SM_ENV_NAME": "",
    "SM_SKIP_EFS_SIMULATION": "",
    "SM_EXECUTION_INPUT_PATH": "",
    "SM_KERNEL_NAME": "kernel_name",
    "SM_INPUT_NOTEBOOK_NAME": "input_notebook",
    OUTPUT_NOTEBOOK_VARIABLE: "",
    "SM_INIT_SCRIPT": "initialization_script",
    "SM_OUTPUT_FORMATS": "output_formats",
}
