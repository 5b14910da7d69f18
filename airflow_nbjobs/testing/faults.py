"""
The client of the fault switches: what a test says to the embedded SageMaker.

Used through ``airflow_nbjobs.testing``; speaks HTTP to the control path, with the key that every other call carries.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack
from urllib.parse import urlsplit

import msgspec

from airflow_nbjobs.core.values.recording import RECORD_MIME_TYPE, RECORD_VERSION
from airflow_nbjobs.local.faults.http import CONTROL_PATH, CONTROL_SERVICE
from airflow_nbjobs.local.faults.scripts import LACK_OF_CAPACITY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.local.faults.switches import Effect, When
    from airflow_nbjobs.local.state.facts import ServerFacts

JOB_NAME = "$TRAINING_JOB_NAME"  # in an output of a scripted job: becomes that job's name
_CALL_SECONDS = 30.0


class FaultError(RuntimeError):
    """The server refuses what it was asked to do, or is gone; the text says why."""


class Fault(msgspec.Struct, frozen=True):
    """A fault that is switched on; ``with`` switches it off at the end of the block."""

    id: str
    _faults: Faults

    @property
    def hits(self) -> int:
        """How many calls it has hit; a call that is being delayed counts."""
        return int(self._faults.request("get", id=self.id)["hits"])

    def remove(self) -> None:
        """Switch it off; calls that it delays go on at once."""
        self._faults.request("remove", id=self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Script(msgspec.Struct, frozen=True):
    """Which jobs run no container; see ``Faults.script_jobs``."""

    id: str
    _faults: Faults

    def remove(self) -> None:
        """Let jobs that are created from now on run; those that it has taken stay scripted."""
        self._faults.request("unscript", id=self.id)


class Call(msgspec.Struct, frozen=True):
    """
    One call that the server answered, or did not.

    :param number: counts all calls.
    :param at: seconds since the epoch.
    :param operation: ``CreateTrainingJob``, ``s3:PutObject``.
    :param resource: training job, ``bucket/key``, ``log group`` or ``log group:stream``, name of a role or of an SSM parameter.
    :param faults: ids of the faults that hit it.
    :param answer: ``"200"``, ``"400 ThrottlingException"``, ``"reset"``; empty while it is being answered.
    """

    number: int
    at: float
    operation: str
    resource: str
    faults: Sequence[str]
    answer: str


class HeldJob(msgspec.Struct, frozen=True):
    """A scripted job that waits for its end."""

    job_name: str
    secondary_status: str
    environment: Mapping[str, str]


class Which(TypedDict, total=False):
    """
    Which of an operation's calls a fault hits; every one unless said otherwise.

    :ivar resource: glob of the training job's name, or of ``bucket/key``.
    :ivar when: ``before`` the service has done anything, or ``after`` it has committed and before it answers.
    :ivar times: how many calls.
    :ivar for_seconds: how long it stands.
    :ivar probability: that a call is hit, drawn from ``seed``: a run can be repeated.
    """

    resource: str
    when: When
    times: int | None
    for_seconds: float | None
    probability: float
    seed: int


class Faults:
    """
    The fault switches of one embedded SageMaker. None is on at first; the ``nbjobs_sagemaker`` fixture clears them after each test.

    Calls that the platform itself makes, for a job's input, output and logs, are never hit.

    :param facts: ``EmbeddedSageMaker.facts``, or a ready file's.
    """

    def __init__(self, facts: ServerFacts) -> None:
        self._facts = facts

    def throttle(self, *operations: str, **which: Unpack[Which]) -> Fault:
        """
        Answer ``ThrottlingException: Rate exceeded`` (S3: ``SlowDown``).

        :param operations: globs, ``"CreateTrainingJob"``, ``"s3:*"``; none: every call.
        :param which: see ``Which``; botocore itself makes up to three calls for one.
        """
        return self.add("error", operations, code="ThrottlingException", message="Rate exceeded", status=400, **which)

    def internal_error(self, *operations: str, **which: Unpack[Which]) -> Fault:
        """Answer HTTP 500 ``InternalFailure``; with ``when="after"``, although the call has been performed."""
        return self.add("error", operations, **which)

    def reset(self, *operations: str, **which: Unpack[Which]) -> Fault:
        """Reset the connection without an answer; with ``when="after"``, after the call has been performed: its answer is lost."""
        return self.add("reset", operations, **which)

    def delay(self, *operations: str, seconds: float, **which: Unpack[Which]) -> Fault:
        """Let the caller wait, before the call is performed or before it is answered; ``remove`` ends all waits at once."""
        return self.add("delay", operations, seconds=seconds, **which)

    def deny(self, *operations: str, **which: Unpack[Which]) -> Fault:
        """Answer ``AccessDenied`` (JSON services: ``AccessDeniedException``), as without a permission."""
        return self.refuse(
            *operations,
            code="AccessDeniedException",
            message="User is not authorized to perform this action",
            **which,
        )

    def refuse(self, *operations: str, code: str, message: str, status: int = 400, **which: Unpack[Which]) -> Fault:
        """Answer any error, in your words."""
        return self.add("error", operations, code=code, message=message, status=status, **which)

    def add(self, effect: Effect, operations: Sequence[str] = (), **members: Any) -> Fault:
        """
        Switch on any fault.

        :param members: of ``airflow_nbjobs.local.faults.switches.Fault``.
        :raises FaultError: they mean nothing.
        """
        document = {"effect": effect, "operations": list(operations), **members}
        return Fault(str(self.request("add", fault=document)["id"]), self)

    def calls(
        self, operation: str = "*", *, resource: str = "*", after: int = 0, by_platform: bool = False
    ) -> list[Call]:
        """
        Return the newest 20,000 calls of these globs, oldest first, those numbered above ``after``.

        :param by_platform: those that the embedded SageMaker itself made for jobs, in the place of their role; they are numbered by themselves.
        """
        found = self.request("calls", operation=operation, resource=resource, after=after, by_platform=by_platform)[
            "calls"
        ]
        return [Call(**call) for call in found]

    def script_jobs(
        self,
        job_name: str = "*",
        *,
        after_seconds: float | None = 0.0,
        status: str = "Completed",
        outputs: Mapping[str, Any] | None = None,
        failure_reason: str | None = None,
        secondary_status: str = "Training",
        instance_type: str = "*",
        environment: Mapping[str, str] | None = None,
        times: int | None = None,
        **end: Any,
    ) -> Script:
        """
        Let jobs that are created from now on run no container, and end by the clock or when told.

        The newest script that matches a job takes it. A scripted job honours StopTrainingJob and its MaxRuntime.

        :param job_name: glob.
        :param after_seconds: when it ends; None: when ``end_job`` says so.
        :param status, outputs, failure_reason, end: how it ends, as ``end_job`` has it.
        :param secondary_status: where it stays until then.
        :param instance_type: glob.
        :param environment: globs of variables that the job must have, ``{"NBJOBS_TASK_ID": "train*"}``.
        :param times: how many jobs it takes.
        """
        script = {
            "job_name": job_name,
            "after_seconds": after_seconds,
            "secondary_status": secondary_status,
            "instance_type": instance_type,
            "environment": dict(environment or {}),
            "times": times,
            "end": _end(status, outputs, failure_reason, end),
        }
        return Script(str(self.request("script", script=script)["id"]), self)

    def lack_capacity(self, *, instance_type: str = "*", times: int | None = None) -> Script:
        """Let jobs fail for want of instances, in the service's words; ``times`` None: until removed."""
        return self.script_jobs(
            instance_type=instance_type,
            times=times,
            secondary_status="Starting",
            status="Failed",
            failure_reason=LACK_OF_CAPACITY,
        )

    def held_jobs(self) -> list[HeldJob]:
        """Return the scripted jobs that have not ended."""
        return [HeldJob(**job) for job in self.request("held")["jobs"]]

    def move_job(self, job_name: str, secondary_status: str) -> None:
        """Show a scripted job in another phase: Starting, Downloading, Training, Uploading."""
        self.request("move", job_name=job_name, secondary_status=secondary_status)

    def end_job(
        self,
        job_name: str,
        status: str = "Completed",
        *,
        outputs: Mapping[str, Any] | None = None,
        failure_reason: str | None = None,
        **end: Any,
    ) -> None:
        """
        End a scripted job now.

        :param status: ``Completed``, ``Failed``, or ``Stopped`` as somebody in the console would.
        :param outputs: values of the notebook's variables, as JSON-like values; ``JOB_NAME`` in a text becomes the job's name.
        :param failure_reason: of a failed job, in AWS' words; for one whose cell fails, give ``cell=…, error=(ename, evalue)`` instead.
        :param end: further members of ``airflow_nbjobs.local.faults.scripts.JobEnd``: ``archive``, ``without_archive``, ``cell``.
        """
        self.request("end", job_name=job_name, end=_end(status, outputs, failure_reason, end))

    def quota(self, instance_type: str, limit: int | None) -> None:
        """Let at most so many training jobs of an instance type exist at once (``ResourceLimitExceeded`` beyond); None lifts it."""
        self.request("quota", instance_type=instance_type, limit=limit)

    def warm_pool_quota(self, instance_type: str, limit: int | None) -> None:
        """Let warm pools hold so many instances of a type; None: as the server was started, which is none, as in a new AWS account."""
        self.request("warm_pool_quota", instance_type=instance_type, limit=limit)

    def start_delay(self, seconds: float) -> None:
        """Let jobs that are not scripted and find no machine in a warm pool stay so long in ``Starting``."""
        self.request("start_delay", seconds=seconds)

    def search_delay(self, seconds: float) -> None:
        """Let Search show jobs as they were so many seconds ago, as AWS' index does."""
        self.request("search_delay", seconds=seconds)

    def deletion_delay(self, seconds: float) -> None:
        """Let jobs that are deleted from now on be ``Deleting`` for so long before their names are free; a second unless set."""
        self.request("deletion_delay", seconds=seconds)

    def clear(self) -> None:
        """Switch off every fault, script and quota, and give back the machines in warm pools. Jobs that a script has taken stay as they are."""
        self.request("clear")

    def request(self, action: str, **members: Any) -> dict[str, Any]:
        """
        Send one control request.

        :raises FaultError: the server refuses it, or does not answer.
        """
        facts = self._facts
        address = urlsplit(facts.endpoint_url)
        connection = http.client.HTTPConnection(
            address.hostname or "127.0.0.1", address.port or 80, timeout=_CALL_SECONDS
        )
        # The same key as for every other call; its signature is verified for none.
        scope = f"{facts.access_key_id}/20260101/{facts.region}/{CONTROL_SERVICE}/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none",
            "Content-Type": "application/x-amz-json-1.1",
        }
        try:
            connection.request("POST", CONTROL_PATH, json.dumps({"action": action, **members}), headers)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise FaultError(f"the embedded SageMaker at {facts.endpoint_url} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise FaultError(f"the embedded SageMaker refuses '{action}': {text}")
        answer: dict[str, Any] = json.loads(text)
        return answer


def _end(
    status: str, outputs: Mapping[str, Any] | None, failure_reason: str | None, members: Mapping[str, Any]
) -> dict[str, Any]:
    end = dict(members)
    cell_outputs = list(end.pop("cell_outputs", ()))
    error = end.pop("error", None)
    if outputs is not None:
        cell_outputs.append(_record(outputs))
    if error is not None:
        ename, evalue = error
        traceback = [f"{ename}: {evalue}"]
        cell_outputs.append({"output_type": "error", "ename": ename, "evalue": evalue, "traceback": traceback})
        status = "Failed"
        failure_reason = failure_reason or f"AlgorithmError: {ename}: {evalue}, exit code: 1"
    return {"status": status, "failure_reason": failure_reason, "cell_outputs": cell_outputs, **end}


def _record(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the display data that the recording cell would have left for these variables."""
    entries = {
        name: {"type": f"builtins.{type(value).__name__}", "json": json.dumps(value)} for name, value in outputs.items()
    }
    text = json.dumps({"version": RECORD_VERSION, "outputs": entries})
    return {"output_type": "display_data", "metadata": {}, "data": {RECORD_MIME_TYPE: text, "text/plain": ""}}
