"""
Where our job may differ from ``NotebookJobStep``'s, and why: everything else must be equal.

Used by ``test_requests.py``. Each deviation has one function, which takes away what it knows from *both* sides and leaves alone what it does not
recognise, so that any other difference stays and is found. ``PYTHONPATH=tests/support python tests/golden/deviations.py`` prints the table.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from our_job import DAG_ID, INPUTS, RUN_ID, TASK_ID, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from step_cases import Arguments

PIPELINE = "golden-pipeline"  # of record.py
READABLE_CHARACTERS = 50  # of a job's name, before its hash
TYPED_CELL = "typed-parameters"


@dataclass
class Pair:
    """
    One case's two jobs, on their way to being equal.

    :ivar sdk: as recorded; becomes the common form.
    :ivar ours: as sent; becomes the common form.
    :ivar sdk_name: the job's name before any change.
    """

    arguments: Arguments
    sdk: Job
    ours: Job
    sdk_name: str = field(init=False)
    our_name: str = field(init=False)

    def __post_init__(self) -> None:
        self.sdk, self.ours = copy.deepcopy(self.sdk), copy.deepcopy(self.ours)
        self.sdk_name, self.our_name = (job.request["TrainingJobName"] for job in (self.sdk, self.ours))

    @property
    def step_name(self) -> str:
        return self.arguments.get("name") or self.sdk_name_by_file

    @property
    def sdk_name_by_file(self) -> str:
        """The name that the SDK derives from the notebook's; ``TIME`` is the recording's word for the time in it."""
        notebook = self.arguments["input_notebook"].rpartition("/")[2]
        return f"{re.sub('[^a-zA-Z0-9-]', '-', re.sub('^[^a-zA-Z0-9]+', '', notebook))}-TIME"

    @property
    def is_named(self) -> bool:
        return bool(self.arguments.get("notebook_job_name"))


@dataclass(frozen=True, slots=True)
class Deviation:
    """One row of the table."""

    title: str
    sdk: str
    ours: str
    reason: str
    take_away: Callable[[Pair], None]


DEVIATIONS: list[Deviation] = []


def deviation(title: str, *, sdk: str, ours: str, reason: str) -> Callable[[Callable[[Pair], None]], Any]:
    def register(take_away: Callable[[Pair], None]) -> Callable[[Pair], None]:
        DEVIATIONS.append(Deviation(title, sdk, ours, reason, take_away))
        return take_away

    return register


def common_forms(pair: Pair) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both jobs without what the deviations explain; equal unless there is a difference that none of them knows."""
    for known in DEVIATIONS:
        known.take_away(pair)
    sdk, ours = ({"request": _plain(job.request), "files": job.files} for job in (pair.sdk, pair.ours))
    return sdk, ours


def _plain(request: dict[str, Any]) -> dict[str, Any]:
    """Tags are a set to SageMaker: their order says nothing, their number does."""
    return request | {"Tags": sorted((tag["Key"], tag["Value"]) for tag in request["Tags"])}


@deviation(
    "Place in S3",
    sdk="`{root}/{pipeline}/{step}/input-{time}`, output under `{root}/{pipeline}/{execution}/{step}`",
    ours="`{root}/{job}/input`, output under `{root}`, so that it lies in `{root}/{job}/output`",
    reason="there is no pipeline; Studio finds a job's files only in this form",
)
def place_in_s3(pair: Pair) -> None:
    places = [job.request["InputDataConfig"][0]["DataSource"]["S3DataSource"] for job in (pair.sdk, pair.ours)]
    endings = (f"/{PIPELINE}/{pair.step_name}/input-TIME", f"/{pair.our_name}/input")
    for place, ending in zip(places, endings, strict=True):
        if place["S3Uri"].endswith(ending):
            place["S3Uri"] = place["S3Uri"].removesuffix(ending) + "/INPUT"
    output = pair.sdk.request["OutputDataConfig"]
    parts = output["S3OutputPath"]["Std:Join"]["Values"]
    if parts[1:] == [PIPELINE, {"Get": "Execution.PipelineExecutionId"}, pair.step_name]:
        output["S3OutputPath"] = parts[0].rstrip("/")


@deviation(
    "Names of the job and of the executed notebook",
    sdk="`notebook_job_name`, or the notebook's name and the time; of any length (Pipelines makes it unique and cuts it)",
    ours="`notebook_job_name`, or DAG and task, cut to 50 characters, and a hash of the run; the executed notebook is named like the job in both",
    reason="SageMaker takes 63 characters; a retry must find the job that an earlier try submitted, and nothing but the name tells it",
)
def names(pair: Pair) -> None:
    readable = re.sub("-+", "-", pair.sdk_name).strip("-") if pair.is_named else f"{DAG_ID}-{TASK_ID}"
    prefix = readable[:READABLE_CHARACTERS].rstrip("-")
    if not re.fullmatch(f"{prefix}-[0-9a-f]{{12}}", pair.our_name):
        return
    for job, name in ((pair.sdk, pair.sdk_name), (pair.ours, pair.our_name)):
        if job.request["TrainingJobName"] == name:
            job.request["TrainingJobName"] = "NAME"
        if job.request["Environment"].get("SM_OUTPUT_NOTEBOOK_NAME") == f"{name}.ipynb":
            job.request["Environment"]["SM_OUTPUT_NOTEBOOK_NAME"] = "NAME.ipynb"


@deviation(
    "Name that Studio shows (tag `sagemaker:name`)",
    sdk="`notebook_job_name`, or the notebook's name and the time",
    ours="`notebook_job_name`, or `name`, or DAG, task and run",
    reason="what the job is in Airflow can be read and searched for; a hash cannot",
)
def displayed_name(pair: Pair) -> None:
    if not pair.is_named:
        _take_tag(pair.sdk, "sagemaker:name", pair.sdk_name_by_file)
        _take_tag(pair.ours, "sagemaker:name", pair.arguments.get("name") or f"{DAG_ID}/{TASK_ID}/{RUN_ID}")


@deviation(
    "Further variables",
    sdk="none",
    ours="`NBJOBS_*`: DAG, task, run, map index, try, data interval; owner and digests of the input",
    reason="the notebook can know its run; a later try knows the job as its own, and whether its input has changed",
)
def run_variables(pair: Pair) -> None:
    environment = pair.ours.request["Environment"]
    for name in [name for name in environment if re.fullmatch("NBJOBS_[A-Z0-9_]+", name)]:
        del environment[name]


@deviation(
    "Further tags",
    sdk="none; users add `is-scheduling-notebook-job` themselves",
    ours="`sagemaker:is-scheduling-notebook-job` = `true`; `airflow:*`: DAG, task, run, map index, try",
    reason="Studio lists the job in its dashboard also where it filters for that tag; costs and access can be told apart by DAG",
)
def further_tags(pair: Pair) -> None:
    _take_tag(pair.ours, "sagemaker:is-scheduling-notebook-job", "true")
    for tag in list(pair.ours.request["Tags"]):
        if re.fullmatch("airflow:[a-z_]+", tag["Key"]):
            pair.ours.request["Tags"].remove(tag)


@deviation(
    "A tag given twice, or over the system's",
    sdk="sends both",
    ours="merges them: the user's wins over the system's, of two of the user's the last",
    reason="CreateTrainingJob refuses two tags of one key",
)
def merged_tags(pair: Pair) -> None:
    given = pair.arguments.get("tags") or []
    users = dict(given) if isinstance(given, dict) else {tag["Key"]: tag["Value"] for tag in given}
    tags = pair.sdk.request["Tags"]
    keys = [tag["Key"] for tag in tags]
    for key in {key for key in keys if keys.count(key) > 1}:
        tags[:] = [tag for tag in tags if tag["Key"] != key] + [{"Key": key, "Value": users[key]}]


@deviation(
    "Parameters that are no strings",
    sdk="sends them as they are, which botocore refuses",
    ours="HyperParameters hold JSON text for Studio to show; a cell of the staged copy assigns the values with their types",
    reason="CreateTrainingJob takes strings only; a notebook should get 5, not '5'",
)
def typed_parameters(pair: Pair) -> None:
    sent = pair.sdk.request.get("HyperParameters", {})
    values = {name: value for name, value in sent.items() if not _is_sendable(value)}
    if not values:
        return
    for name, value in values.items():
        text = json.dumps(value, separators=(",", ":"))
        if len(text) <= 2500:
            sent[name] = text
        else:
            del sent[name]
    if not sent:
        del pair.sdk.request["HyperParameters"]
    name = pair.sdk.request["Environment"]["SM_INPUT_NOTEBOOK_NAME"]
    notebook = json.loads(pair.ours.bodies[name])
    added = [cell for cell in notebook["cells"] if cell["metadata"].get("airflow_nbjobs") == TYPED_CELL]
    assigned: dict[str, Any] = {}
    for cell in added:
        exec("".join(cell["source"]), assigned)  # noqa: S102 - the cell under test
    if len(added) == 1 and all(assigned.get(name) == value for name, value in values.items()):
        notebook["cells"] = [cell for cell in notebook["cells"] if cell not in added]
        if notebook == json.loads((INPUTS / pair.arguments["input_notebook"]).read_text()):
            pair.ours.files[name]["sha256"] = pair.sdk.files[name]["sha256"]


@deviation(
    "Notebooks that the notebook runs",
    sdk="stages what `additional_dependencies` lists",
    ours="stages `%run` targets beside the notebook as well",
    reason="the job would fail in its fifth minute for want of a file that lay there",
)
def run_targets(pair: Pair) -> None:
    folder = (INPUTS / pair.arguments["input_notebook"]).parent
    source = (INPUTS / pair.arguments["input_notebook"]).read_text()
    for name in pair.ours.files.keys() - pair.sdk.files.keys():
        if f"%run {name}" in source:
            beside = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if pair.ours.files[name] == {"sha256": beside, "encryption": {}}:
                del pair.ours.files[name]


@deviation(
    "Variables that are numbers",
    sdk="sends them as they are, which botocore refuses",
    ours="their texts",
    reason="CreateTrainingJob takes strings only; `1` has one text",
)
def numbers_in_the_environment(pair: Pair) -> None:
    environment = pair.sdk.request["Environment"]
    for name, value in pair.arguments.get("environment_variables", {}).items():
        if not isinstance(value, str) and environment.get(name) == value:
            environment[name] = str(value)


@deviation(
    "`max_retry_attempts=0`",
    sdk="sends 0",
    ours="sends no RetryStrategy",
    reason="the API takes 1 to 30; none is how it says 'no retry'",
)
def no_retries(pair: Pair) -> None:
    if pair.sdk.request.get("RetryStrategy") == {"MaximumRetryAttempts": 0}:
        del pair.sdk.request["RetryStrategy"]


def _take_tag(job: Job, key: str, value: str) -> None:
    tag = {"Key": key, "Value": value}
    if tag in job.request["Tags"]:
        job.request["Tags"].remove(tag)


def _is_sendable(value: object) -> bool:
    return isinstance(value, str) and "\n" not in value and len(value) <= 2500


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A case that the SDK compiles, and that is an error here before anything is uploaded.

    :param says: part of our error.
    :param evidence: shows in what was asked and what the SDK sends that the job could not do it.
    """

    title: str
    says: str
    reason: str
    evidence: Callable[[Arguments, Job], bool]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """
    A case that the SDK refuses, and that is a job here.

    :param like: the case whose recorded job ours must equal.
    """

    title: str
    like: str
    reason: str


def _breaks(field_name: str) -> Callable[[Arguments, Job], bool]:
    """Say whether CreateTrainingJob would refuse that field."""
    from request_limits import violations

    return lambda _, job: any(text.startswith(field_name) for text in violations(job.request))


_HALF_A_VPC = "half of a VPC (`subnets` or `security_group_ids` alone)"
_OUTSIDE = "the SDK drops it in silence, and the job runs outside the VPC"
REFUSED_HERE: dict[str, Refusal] = {
    "role-missing": Refusal(
        "no `role`, neither as argument nor configured",
        "role is not set",
        "the SDK takes the caller's: on a worker that is Airflow's own role, with Airflow's rights",
        lambda _, job: job.request["RoleArn"].endswith(":role/service-role/NotebookJobs"),
    ),
    "root-missing": Refusal(
        "no `s3_root_uri`, neither as argument nor configured",
        "s3_root_uri is not set",
        "the SDK takes, and even makes, the region's default bucket",
        lambda _, job: job.request["OutputDataConfig"]["S3OutputPath"]["Std:Join"]["Values"][0].startswith(
            "s3://sagemaker-eu-west-1-"
        ),
    ),
    "vpc-without-subnets": Refusal(
        _HALF_A_VPC, "without subnets", _OUTSIDE, lambda _, job: "VpcConfig" not in job.request
    ),
    "vpc-without-groups": Refusal(
        _HALF_A_VPC, "without security_group_ids", _OUTSIDE, lambda _, job: "VpcConfig" not in job.request
    ),
    "variable-of-the-driver": Refusal(
        "a variable of the driver (`SM_KERNEL_NAME`, …)",
        "is set by the operator",
        "the SDK overwrites it in silence",
        lambda asked, job: any(
            job.request["Environment"][name] != value for name, value in asked["environment_variables"].items()
        ),
    ),
    "variable-of-formats": Refusal(
        "the variable `SM_OUTPUT_FORMATS`",
        "is set by the operator",
        "it is an argument here, `output_formats`",
        lambda _, job: "SM_OUTPUT_FORMATS" in job.request["Environment"],
    ),
    "dependencies-collide": Refusal(
        "two dependencies of one name",
        "would both be staged as 'helper.ipynb'",
        "the SDK lets the second overwrite the first in silence",
        lambda _, job: (
            job.files["helper.ipynb"]["sha256"]
            == hashlib.sha256((INPUTS / "other/helper.ipynb").read_bytes()).hexdigest()
        ),
    ),
    "parameter-unknown": Refusal(
        "a parameter that the notebook does not define",
        "compnay",
        "papermill only warns, and the notebook runs on its default; `unknown_parameters='warn'` allows it",
        lambda _, job: "compnay" in job.request["HyperParameters"],
    ),
    "parameter-no-name": Refusal(
        "a parameter that is no variable name",
        "a-b",
        "the injected cell would not parse",
        lambda _, job: not all(name.isidentifier() for name in job.request["HyperParameters"]),
    ),
    "tag-malformed": Refusal(
        "a tag with characters that tags cannot hold", "may hold letters", "the API refuses it", _breaks("Tags")
    ),
    "too-many-retries": Refusal(
        "more than 30 `max_retry_attempts`", "max_retry_attempts", "the API refuses it", _breaks("RetryStrategy")
    ),
    "notebook-with-brace": Refusal(
        "a brace in the notebook's name",
        "has a brace in its name",
        "papermill takes it for a parameter's place and opens another file",
        lambda _, job: job.request["Environment"]["SM_INPUT_NOTEBOOK_NAME"] == "{day}.ipynb",
    ),
}
ACCEPTED_HERE: dict[str, Acceptance] = {
    "kernel-of-the-notebook": Acceptance("no `kernel_name`", "minimal", "the notebook's own metadata name its kernel"),
    "image-by-short-name": Acceptance(
        "`image_uri='sagemaker-distribution:4-cpu'`",
        "minimal",
        "AWS publishes the account of its images in each region; nobody should have to look it up",
    ),
    "dependency-folder-with-slash": Acceptance(
        "a dependency folder written with a slash", "dependency-folder", "it is the same folder"
    ),
    "empty-vpc": Acceptance("empty lists for the VPC", "minimal", "a template that renders to nothing means none"),
}
# What neither takes, with the argument that our error names.
REFUSED_BY_BOTH = {
    "notebook-missing": "input_notebook",
    "script-missing": "initialization_script",
    "dependency-missing": "additional_dependencies",
    "image-of-another-region": "image_uri",
    "name-malformed": "notebook_job_name",
}


def table() -> Iterator[str]:
    """Return the table's lines in Markdown."""
    yield "| | `NotebookJobStep` | `SageMakerNotebookJobOperator` | Why |"
    yield "| --- | --- | --- | --- |"
    for row in DEVIATIONS:
        yield f"| {row.title} | {row.sdk} | {row.ours} | {row.reason} |"
    for title, reason in {refusal.title: refusal.reason for refusal in REFUSED_HERE.values()}.items():
        yield f"| {title} | compiles | an error before anything is uploaded | {reason} |"
    for acceptance in ACCEPTED_HERE.values():
        yield f"| {acceptance.title} | an error | taken | {acceptance.reason} |"


if __name__ == "__main__":
    print("\n".join(table()))  # noqa: T201 - a command
