"""
A training job that somebody else started: what names it, and where its parts lie in S3.

Called by the sensor and its trigger, and by ``aws/results/read.py``; pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.parsers import is_absent
from airflow_nbjobs.core.job.variables import LIVE_VARIABLE, OUTPUT_NOTEBOOK_VARIABLE

SENSOR_TYPE = "SageMakerNotebookJobSensor"  # the name of the class that waits for one
# A smaller archive is read sooner than a second object is asked for.
_LARGE_ARCHIVE_BYTES = 1024 * 1024
_NAME = r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}"
_ARN = re.compile(rf"arn:aws[a-z-]*:sagemaker:([a-z0-9-]+):([0-9]{{12}}):training-job/({_NAME})")


class JobReference(msgspec.Struct, frozen=True):
    """
    Which training job is meant.

    :param region: None: the connection's.
    :param account_id: None: only the name is known.
    """

    job_name: str
    region: str | None = None
    account_id: str | None = None


def parse_job_reference(value: object, *, region_name: str | None) -> JobReference:
    """
    Read a training job's name or ARN, or the dictionary that a notebook task returned.

    :param value: of a dictionary, ``job_arn`` or else ``job_name`` counts.
    :param region_name: what the task says; an ARN's own region is used where it says nothing.
    :raises NotebookJobConfigError: no training job is named, or the ARN lies in another region than the task says.

    Source: shapes ``TrainingJobName`` and ``TrainingJobArn``, botocore ``sagemaker/2017-07-24/service-2``.
    """
    region_name = None if region_name is None or is_absent(region_name) else region_name.strip()
    if isinstance(value, Mapping):
        value = value.get("job_arn") or value.get("job_name")
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(_NAME, text):
        return JobReference(text, region_name)
    arn = _ARN.fullmatch(text)
    if arn is None:
        raise NotebookJobConfigError(
            f"job_name is {value!r}, which names no training job; give its name, its ARN, or what a notebook task returned"
        )
    region, account_id, name = arn.groups()
    if region_name and region_name != region:
        raise NotebookJobConfigError(
            f"job_name '{text}' lies in region '{region}', but region_name is '{region_name}'; leave region_name out, or correct one of them"
        )
    return JobReference(name, region, account_id)


def is_notebook_job(environment: Mapping[str, str]) -> bool:
    """Say whether a training job's environment is that of a notebook job, whoever started it."""
    return bool(environment.get(OUTPUT_NOTEBOOK_VARIABLE))


def is_live(environment: Mapping[str, str]) -> bool:
    """Say whether the job has its notebook copied to S3 as it runs, under ``JobLocation.live_notebook_uri``."""
    return environment.get(LIVE_VARIABLE) == "1"


def may_spare_archive(environment: Mapping[str, str], archive_bytes: int) -> bool:
    """Say whether an ended job's live copy is looked at before its archive; it is shown in the archive's place if its last cell has run."""
    return is_live(environment) and archive_bytes > _LARGE_ARCHIVE_BYTES


def executed_notebook_name(environment: Mapping[str, str]) -> str | None:
    r"""
    Return the executed notebook's name in ``output.tar.gz``, None for a job that is no notebook job.

    The driver changes the name: dots and colons become hyphens, and hyphens before the ending go.

    Source: ``sed 's|\.|-|g; s|:|-|g; s|-*ipynb$|.ipynb|g;'`` in sagemaker-headless-execution-driver 0.0.13.
    """
    name = environment.get(OUTPUT_NOTEBOOK_VARIABLE)
    if not name:
        return None
    return re.sub(r"-*ipynb$", ".ipynb", re.sub(r"[.:]", "-", name))
