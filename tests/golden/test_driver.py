"""
The embedded SageMaker's verdict on every end of the real driver, against a bare run of it: status, reason, archive members, contents, log.

The bare run says what the driver leaves behind; what the service makes of that (the table in ``expected``) is written down here once more.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from bare_driver import Ending, run_bare, unshare_command
from driver_scenarios import EXECUTED, INPUT, LOG, SCENARIOS, Scenario

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.local,
    pytest.mark.slow,  # two kernels a scenario
    pytest.mark.skipif(unshare_command() is None, reason="no namespaces for a bare run of the driver"),
]

CHANNEL = "sagemaker_headless_execution_pipelinestep"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
REASON_CHARACTERS = 1024
TIMEOUT_SECONDS = 300
LINES_LOST = 20  # of a log's end: two on an idle machine; nine have been lost on a busy one


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the embedded SageMaker shows of a job."""

    description: dict[str, Any]
    output: dict[str, bytes] | None
    model: dict[str, bytes] | None
    log: str

    @property
    def status(self) -> tuple[str, str]:
        return self.description["TrainingJobStatus"], self.description["SecondaryStatus"]


class Jobs:
    """A client that knows nothing but boto3."""

    def __init__(self, server: EmbeddedSageMaker) -> None:
        self._facts = server.facts
        self._sagemaker, self._s3, self._logs = (server.client(name) for name in ("sagemaker", "s3", "logs"))

    def environment(self, name: str, scenario: Scenario) -> dict[str, str]:
        variables = {
            "AWS_DEFAULT_REGION": self._facts.region,
            "SM_JOB_DEF_VERSION": "1.0",
            "SM_ENV_NAME": "sagemaker-default-env",
            "SM_SKIP_EFS_SIMULATION": "true",
            "SM_EXECUTION_INPUT_PATH": f"/opt/ml/input/data/{CHANNEL}",
            "SM_KERNEL_NAME": "python3",
            "SM_INPUT_NOTEBOOK_NAME": INPUT,
            "SM_OUTPUT_NOTEBOOK_NAME": f"{name}.ipynb",
        } | scenario.environment
        return {variable: value for variable, value in variables.items() if value}

    def submit(self, name: str, scenario: Scenario, *, max_runtime_seconds: int = 3600) -> None:
        bucket = self._facts.default_bucket
        for path, body in scenario.files.items():
            self._s3.put_object(Bucket=bucket, Key=f"golden/{name}/input/{path}", Body=body)
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/golden/{name}/input"}
        self._sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=self._facts.role_arn,
            AlgorithmSpecification={
                "TrainingImage": self._facts.image_uri,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["amazon_sagemaker_scheduler"],
            },
            InputDataConfig=[{"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}],
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/golden"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            StoppingCondition={"MaxRuntimeInSeconds": max_runtime_seconds},
            Environment=self.environment(name, scenario),
            HyperParameters=scenario.hyperparameters,
        )

    def stop(self, name: str) -> None:
        self._sagemaker.stop_training_job(TrainingJobName=name)

    def wait_for_log(self, name: str, text: str) -> None:
        self._poll(lambda: text in self.log(name))

    def verdict(self, name: str) -> Verdict:
        def ended() -> dict[str, Any] | None:
            description: dict[str, Any] = self._sagemaker.describe_training_job(TrainingJobName=name)
            return description if description["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        return Verdict(self._poll(ended), self._archive(name, "output"), self._archive(name, "model"), self.log(name))

    def _poll(self, ask: Any) -> Any:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not (answer := ask()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return answer

    def _archive(self, name: str, kind: str) -> dict[str, bytes] | None:
        try:
            answer = self._s3.get_object(Bucket=self._facts.default_bucket, Key=f"golden/{name}/output/{kind}.tar.gz")
        except self._s3.exceptions.NoSuchKey:
            return None
        with tarfile.open(fileobj=io.BytesIO(answer["Body"].read())) as tar:
            return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]

    def log(self, name: str) -> str:
        try:
            streams = self._logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")
        except self._logs.exceptions.ResourceNotFoundException:
            return ""
        return "\n".join(
            event["message"]
            for stream in streams["logStreams"]
            for event in self._logs.get_log_events(
                logGroupName=LOG_GROUP, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        )


@pytest.fixture(scope="module")
def jobs(server: EmbeddedSageMaker) -> Jobs:
    return Jobs(server)


def run_both(name: str, scenario: Scenario, jobs: Jobs, folder: Path) -> tuple[Ending, Verdict]:
    """Run the scenario in the embedded SageMaker and bare at the same time: each takes a core, and most of the seconds are a kernel's start."""
    jobs.submit(name, scenario)
    bare = run_bare(
        folder,
        channel=CHANNEL,
        files=scenario.files,
        environment=jobs.environment(name, scenario),
        hyperparameters=scenario.hyperparameters,
        stop_when_printed=scenario.stop_when_printed,
    )
    if scenario.stop_when_printed:
        jobs.wait_for_log(name, scenario.stop_when_printed)
        jobs.stop(name)
    return bare, jobs.verdict(name)


def run_both_with_log(scenario: Scenario, jobs: Jobs, folder: Path) -> tuple[str, Ending, Verdict]:
    """
    Run the scenario until the driver has found its own log in both, and return the job's name as well.

    A driver that ends within milliseconds may be faster than the tee that is to begin its log: ``cp`` then finds no log, bash leaves the exit hook
    with its code, and there is neither a failure file nor a log. Such an end is checked for what it is.
    """
    attempts = 10 if scenario.ends_at_once else 1
    for attempt in range(attempts):
        name = f"golden-{uuid.uuid4().hex[:12]}"
        bare, verdict = run_both(name, scenario, jobs, folder / str(attempt))
        has_lost = [LOG in scenario.members and LOG not in (output or {}) for output in (bare.output, verdict.output)]
        if has_lost[0]:
            assert (bare.exit_code, bare.failure) == (1, None)
        if has_lost[1]:
            assert verdict.status == ("Failed", "Failed")
            assert verdict.description["FailureReason"] == "AlgorithmError: , exit code: 1"
        if not any(has_lost):
            return name, bare, verdict
    pytest.fail(f"no log in {attempts} runs")


def expected(bare: Ending, scenario: Scenario) -> tuple[tuple[str, str], str | None]:
    """Return the status and the uncut FailureReason that the service makes of a container's end. Source: SageMaker developer guide, training output."""
    if scenario.stop_when_printed:
        return ("Stopped", "Stopped"), None
    if bare.exit_code == 0:
        return ("Completed", "Completed"), None
    return ("Failed", "Failed"), f"AlgorithmError: {bare.failure or ''}, exit code: {bare.exit_code}"


# -- what may differ between two runs of one driver --------------------------------------------------------------------

_VARIABLE = (
    # papermill's bar: how often it is drawn is a matter of time; others write on in its line.
    (r"\r?Executing: +\d+%\|[^|]*\| \d+/\d+ \[[^\]]*\]", "\n"),
    (r"\[IPKernelApp\][^\r\n]*", ""),  # the kernel's own word on its transport comes in between somewhere
    (r"ipykernel_\d+[/\\]\d+", "ipykernel"),
    (r"0x[0-9a-f]+", "0x"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:\+00:00|Z)?", "TIME"),
    (r"('!' -z |papermill_process=|wait |kill -SIGTERM |headless_execution\.sh: line \d+: +)\d+", r"\1PID"),
    # Each of our jobs has a Python environment of its own over the one that a bare run has.
    (rf"(?:/home/sagemaker-user/\.job-environment|{re.escape(sys.prefix)})/bin/", "ENVIRONMENT/bin/"),
    # Bash starts the two sides of a pipe at once, and either may be traced first.
    (r"(\+\+ sed '[^']*')\s+(\+\+ echo \S+)", r"\2 \1"),
)


def steady(text: str) -> str:
    """Return the text without times, process ids, addresses and progress; blanks are one, since a log cuts lines at its own moments."""
    for pattern, replacement in _VARIABLE:
        text = re.sub(pattern, replacement, text)
    return " ".join(text.split())


def assert_same_log(one: str, other: str) -> None:
    """
    Compare what bash traces without its order, since it traces what it runs in the background when that runs, and all else with it.

    The container ends with the driver, which does not wait for the tee that its output goes through: the end of either log may be missing.
    """
    shorter, longer = sorted((_lines(one), _lines(other)), key=lambda lines: sum(map(len, lines)))
    if shorter != longer:
        shorter = shorter[:-1]
    assert _traces(shorter) - _traces(longer) == Counter()
    words = _words(shorter)
    assert words == _words(longer)[: len(words)]
    assert len(longer) - len(shorter) <= LINES_LOST


def _lines(log: str) -> list[str]:
    texts = (steady(line) for line in re.sub(*_VARIABLE[0], log).splitlines())
    return [text for text in texts if text]


def _traces(lines: list[str]) -> Counter[str]:
    return Counter(line for line in lines if line.startswith("+"))


def _words(lines: list[str]) -> list[str]:
    return " ".join(line for line in lines if not line.startswith("+")).split()


def assert_begins_with(log: str, copy: str, *, at_least: float) -> None:
    """The driver copies its log while tee still writes it, so the copy's end may be missing."""
    words, whole = steady(copy).split()[:-1], steady(log).split()
    assert whole[: len(words)] == words
    assert len(words) >= at_least * len(whole)


def steady_notebook(raw: bytes) -> Any:
    """Return an executed notebook without the run's times and random ids."""
    content = json.loads(raw)
    content["metadata"].get("papermill", {}).update(dict.fromkeys(("start_time", "end_time", "duration")))
    for cell in content["cells"]:
        cell.pop("id", None)
        if "iopub.status.idle" not in cell["metadata"].pop("execution", {}):
            cell["execution_count"] = None  # a kernel that dies in the cell may or may not have told it
        cell["metadata"].get("papermill", {}).update(dict.fromkeys(("start_time", "end_time", "duration")))
    return json.loads(steady(json.dumps(content)))


def steady_page(raw: bytes) -> str:
    """Return an exported page without the random ids of cells."""
    return steady(re.sub(r"cell-id=[0-9a-f-]+", "cell-id=", raw.decode()))


def assert_same_files(embedded: dict[str, bytes], bare: dict[str, bytes]) -> None:
    assert embedded.keys() == bare.keys()
    for path, body in bare.items():
        if path == LOG:
            continue  # compared with its own run's log
        if path.endswith(".html"):
            assert steady_page(embedded[path]) == steady_page(body)
        elif path.endswith(".ipynb") and path != INPUT and body.startswith(b"{"):
            assert steady_notebook(embedded[path]) == steady_notebook(body)
        else:
            assert embedded[path] == body


def members_of(scenario: Scenario, name: str) -> set[str]:
    names = {EXECUTED: f"{name}.ipynb", f"{EXECUTED}.html": f"{name}.html"}
    return {names.get(member, member) for member in scenario.members}


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(scenario, id=name) for name, scenario in SCENARIOS.items()],
)
def test_the_verdict_is_what_a_bare_run_of_the_driver_deserves(scenario: Scenario, jobs: Jobs, tmp_path: Path) -> None:
    name, bare, verdict = run_both_with_log(scenario, jobs, tmp_path)

    # The driver itself does what its script says …
    assert bare.exit_code == scenario.exit_code, bare.printed[-2000:]
    assert set(bare.output) == members_of(scenario, name)
    assert set(bare.model) == scenario.model
    if scenario.reason is not None:
        begin, part = scenario.reason
        assert (bare.failure or "").startswith(begin)
        assert part in f"{bare.failure}{bare.printed}"

    # … and the embedded SageMaker makes of it what the service makes.
    status, reason = expected(bare, scenario)
    assert verdict.status == status, verdict.description.get("FailureReason")
    assert_same_reason(verdict.description.get("FailureReason"), reason)
    if reason is not None and scenario.reason is not None:
        assert verdict.description["FailureReason"].startswith(f"AlgorithmError: {scenario.reason[0]}")
    assert verdict.output is not None
    assert_same_files(verdict.output, bare.output)
    assert (verdict.model or {}) == bare.model
    assert_same_log(verdict.log, bare.printed)
    for log, members in ((verdict.log, verdict.output), (bare.printed, bare.output)):
        if LOG in scenario.members:
            assert_begins_with(log, members[LOG].decode(), at_least=0 if scenario.ends_at_once else 0.3)


def assert_same_reason(found: str | None, whole: str | None) -> None:
    """Compare up to the service's cut; its place among times and bars of other lengths is a matter of luck, so the last word does not count."""
    if found is None or whole is None or len(whole.splitlines()) == 1:
        assert found == whole
        return
    assert len(found) <= REASON_CHARACTERS
    *whole_words, _, _, code = steady(whole).split()  # …, exit code: 1
    words = steady(found).split()
    if len(found) < REASON_CHARACTERS:
        assert words[-1] == code
        words = words[:-3]
    # The driver cuts the text out of its log, whose end tee may not have written yet.
    shared = min(len(words), len(whole_words)) - 1
    assert words[:shared] == whole_words[:shared]


def test_a_run_that_is_too_long_ends_like_one_that_is_stopped(jobs: Jobs, tmp_path: Path) -> None:
    """SIGTERM as well; only the status tells them apart."""
    scenario = SCENARIOS["stopped"]
    name = f"golden-{uuid.uuid4().hex[:12]}"
    jobs.submit(name, scenario, max_runtime_seconds=20)
    verdict = jobs.verdict(name)
    assert verdict.status == ("Stopped", "MaxRuntimeExceeded")
    assert "FailureReason" not in verdict.description
    bare = run_bare(
        tmp_path,
        channel=CHANNEL,
        files=scenario.files,
        environment=jobs.environment(name, scenario),
        hyperparameters={},
        stop_when_printed=scenario.stop_when_printed,
    )
    assert verdict.output is not None
    assert_same_files(verdict.output, bare.output)
