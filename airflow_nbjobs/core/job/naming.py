"""
Names of training jobs and their place in S3: the only memory of what was submitted.

Called by ``aws/submit/``, ``task/identity.py`` and the pages; pure: no clock, no counter, no client.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.errors import NotebookJobConfigError

# Shape ``TrainingJobName``: 1-63 characters of [a-zA-Z0-9] with single or repeated hyphens inside, none at either end.
NAME_LIMIT = 63
_HASH_LENGTH = 12  # hexadecimal digits: 48 bits; the owner check, not luck, decides whether a job is ours
_OWNER_LIMIT = 512  # shape ``TrainingEnvironmentValue``
_TAG_LIMIT = 256  # shape ``TagValue``
# Of a job, below its own folder.
INPUT_FOLDER, OUTPUT_FOLDER, LIVE_FOLDER = "input", "output", "live"
OUTPUT_ARCHIVE = f"{OUTPUT_FOLDER}/output.tar.gz"
_OWNER_FIELDS = (
    *("deployment", "dag_id", "run_id", "run_started_microseconds", "task_id", "map_index", "generation", "attempt"),
    *("region_id", "region_index"),
)
_OUTSIDE_LOOPS = [str, str, str, int, str, int, int, int]
_OWNER_TYPES = (_OUTSIDE_LOOPS, [*_OUTSIDE_LOOPS, str, int])
LOG_GROUP = "/aws/sagemaker/TrainingJobs"  # of CloudWatch: what the containers of all training jobs write


def microseconds(moment: datetime) -> int:
    """Return an instant in microseconds since the epoch; in integers throughout, since a float has no bits to spare there."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class RunKey(msgspec.Struct, frozen=True, kw_only=True):
    """
    What makes one attempt of one task different from every other.

    :param deployment: ``[nbjobs] deployment``: tells Airflow deployments apart that share an AWS account; usually empty.
    :param run_started_microseconds: ``dag_run.start_date`` in microseconds since the epoch. It differs between two Airflows in one account and between
        a run that was deleted and one made again under the same run id; it is stable over retries.
    :param generation: ``ti.max_tries``: Airflow changes it with every clear that it records, and with nothing else.
    :param attempt: k-th job of the generation, from 0.
    :param region_id: of a task in a loop (Airflow >= 3.4): iterations share every field above. Empty outside loops, where names are what they were
        before there were any.
    :param region_index: with ``region_id``: the iteration, or the map index of a task that is mapped within one.
    """

    deployment: str
    dag_id: str
    run_id: str
    run_started_microseconds: int
    task_id: str
    map_index: int
    generation: int
    attempt: int = 0
    region_id: str = ""
    region_index: int = -1

    def with_attempt(self, attempt: int) -> RunKey:
        return replace(self, attempt=attempt)

    def identity(self) -> str:
        """Return every field as one unambiguous text; equal texts mean the same attempt."""
        return json.dumps(
            [
                self.deployment,
                self.dag_id,
                self.run_id,
                self.run_started_microseconds,
                self.task_id,
                self.map_index,
                self.generation,
                self.attempt,
                *([self.region_id, self.region_index] if self.region_id else []),
            ],
            separators=(",", ":"),
            ensure_ascii=False,
        )

    def displayed_name(self) -> str:
        """
        Return what Studio shows as the job's name, ``dag/task/run``, at most 256 characters.

        Of ids that are too long together the longest loses its end first.
        """
        parts = [self.dag_id, self.task_id, self.run_id]
        parts += [str(index) for index in (self.region_index, self.map_index) if index >= 0]
        while len("/".join(parts)) > _TAG_LIMIT:
            longest = max(range(len(parts)), key=lambda position: len(parts[position]))
            parts[longest] = parts[longest][:-1]
        return "/".join(parts)

    def owner(self) -> str:
        """
        Return the value of ``NBJOBS_OWNER``: the identity, readable, at most 512 characters.

        Airflow's ids may have 250 characters each; an identity that is too long keeps its beginning and ends in its own hash.
        """
        identity = self.identity()
        if len(identity) <= _OWNER_LIMIT:
            return identity
        digest = hashlib.sha256(identity.encode()).hexdigest()
        return f"{identity[: _OWNER_LIMIT - len(digest) - 1]}#{digest}"


def parse_owner(owner: str) -> RunKey | None:
    """Return the attempt that a job's ``NBJOBS_OWNER`` names; None for another text, and for one that was cut for its length."""
    try:
        found = json.loads(owner)
    except ValueError:
        return None
    if not isinstance(found, list) or [type(each) for each in found] not in _OWNER_TYPES:
        return None
    key = RunKey(**dict(zip(_OWNER_FIELDS, found, strict=False)))
    return key if key.identity() == owner else None


def training_job_name(readable: str, run_key: RunKey) -> str:
    """
    Return the training-job name for one attempt of a task.

    Equal inputs give equal names, so a repeated submit collides instead of billing a second job.
    Does not check that the name is free, nor whose it is: see ``adoption.decide``.

    :param readable: what a person should recognise, e.g. ``nightly-report``; letters and digits are kept, everything else becomes a hyphen, and it is cut.
    :return: 1-63 characters, ``[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}``.
    :raises NotebookJobConfigError: ``readable`` has no ASCII letter or digit.

    Source: shape ``TrainingJobName``, botocore ``sagemaker/2017-07-24/service-2``.
    """
    prefix = name_prefix(readable)
    if not prefix:
        raise NotebookJobConfigError(
            f"notebook_job_name {readable!r} has no letter or digit from which a training-job name could be made; give one that has"
        )
    return f"{prefix}-{name_digest(run_key)}"


def name_prefix(readable: str) -> str:
    """Return what a training job's name begins with, before the hyphen and the hash; empty where there is no letter or digit."""
    prefix = re.sub(r"[^a-zA-Z0-9]+", "-", readable).strip("-")
    return prefix[: NAME_LIMIT - _HASH_LENGTH - 1].rstrip("-")


def name_digest(run_key: RunKey) -> str:
    """Return what a training job's name ends in: it tells the attempt whatever the name begins with."""
    return hashlib.sha256(run_key.identity().encode()).hexdigest()[:_HASH_LENGTH]


class JobLocation(msgspec.Struct, frozen=True):
    """
    Where the parts of one notebook job lie in S3.

    The layout is what SageMaker Studio expects to find (``{root}/{job}/input`` and ``{root}/{job}/output``), plus the executed notebook under a key
    of its own, which is written last and so marks a *delivered* job.

    :param root: ``s3_root_uri`` without a trailing slash.
    """

    root: str
    job_name: str

    @property
    def input_uri(self) -> str:
        """S3 prefix of the staged input, without a trailing slash (Studio looks for exactly this form)."""
        return f"{self.root}/{self.job_name}/{INPUT_FOLDER}"

    @property
    def output_archive_uri(self) -> str:
        return f"{self.root}/{self.job_name}/{OUTPUT_ARCHIVE}"

    @property
    def executed_notebook_uri(self) -> str:
        return f"{self.root}/{self.job_name}/{self.job_name}.ipynb"

    @property
    def live_prefix_uri(self) -> str:
        """S3 prefix to which SageMaker uploads what the job copies to its checkpoint folder, without a trailing slash."""
        return f"{self.root}/{self.job_name}/{LIVE_FOLDER}"

    @property
    def live_notebook_uri(self) -> str:
        """The notebook as far as it has run, of a job with ``live_notebook``."""
        return f"{self.live_prefix_uri}/{self.executed_notebook_name}"

    @property
    def executed_notebook_name(self) -> str:
        """
        ``SM_OUTPUT_NOTEBOOK_NAME``.

        The driver rewrites dots, colons and trailing hyphens of it; a job name has none of these, so it stays as it is.
        """
        return f"{self.job_name}.ipynb"


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` into bucket and key (the key may be empty); raises ValueError for anything else."""
    match = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", uri, re.DOTALL)
    if match is None:
        raise ValueError(f"{uri!r} is not an S3 URI of the form 's3://bucket/key'")
    return match[1], match[2] or ""
