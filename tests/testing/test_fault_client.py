"""What a test says to the embedded SageMaker: each switch as the server reads it. The server's own parts answer, without a server."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_nbjobs.core.values.recording import RECORD_MIME_TYPE
from airflow_nbjobs.local.faults.http import CONTROL_PATH, FaultLayer
from airflow_nbjobs.local.faults.jobs import JobScripts
from airflow_nbjobs.local.faults.scripts import JobEnd
from airflow_nbjobs.local.state.facts import build_facts
from airflow_nbjobs.local.state.jobs import TrainingJob, new_job
from airflow_nbjobs.local.state.registry import Registry
from airflow_nbjobs.local.training.warm_pools import WarmPools
from airflow_nbjobs.local.wire.formats import ServiceError
from airflow_nbjobs.testing.faults import JOB_NAME, FaultError, Faults

FACTS = build_facts(port=9, region="eu-west-1", access_key_id="A", secret_access_key="s", isolation="none")


class Direct(Faults):
    """The client of a server's fault layer in this process."""

    def __init__(self) -> None:
        super().__init__(FACTS)
        self.registry: Registry[TrainingJob] = Registry(
            arn_prefix="arn:", unknown="no {name}", taken=("InUse", "{arn}")
        )
        self.layer = FaultLayer()
        self.layer.scripts = JobScripts(self.registry, SimpleNamespace(s3=None))  # type: ignore[arg-type]
        self.layer.pools = WarmPools(self.registry)

    def request(self, action: str, **members: Any) -> dict[str, Any]:
        body = json.dumps({"action": action, **members}).encode()
        environ = {
            "PATH_INFO": CONTROL_PATH,
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        answer: dict[str, Any] = json.loads(self.layer.control(environ).get_data())
        return answer

    def job(self, name: str = "job", instance_type: str = "ml.m5.large", **environment: str) -> bool:
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {},
            "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
            "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": 1},
            "Environment": environment,
        }
        assert self.layer.scripts is not None
        return self.layer.scripts.register(new_job(request, arn=f"arn:{name}", now=1e9))


@pytest.fixture
def faults() -> Direct:
    return Direct()


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        (
            lambda faults: faults.throttle("CreateTrainingJob", times=2),
            {"effect": "error", "code": "ThrottlingException", "message": "Rate exceeded", "status": 400, "times": 2},
        ),
        (
            lambda faults: faults.internal_error("CreateTrainingJob", when="after"),
            {"effect": "error", "code": "InternalFailure", "status": 500, "when": "after"},
        ),
        (lambda faults: faults.reset("CreateTrainingJob", resource="a*"), {"effect": "reset", "resource": "a*"}),
        (
            lambda faults: faults.delay("CreateTrainingJob", seconds=3, for_seconds=9),
            {"effect": "delay", "seconds": 3, "for_seconds": 9},
        ),
        (
            lambda faults: faults.deny("CreateTrainingJob", probability=0.5, seed=7),
            {"code": "AccessDeniedException", "status": 400, "probability": 0.5, "seed": 7},
        ),
        (
            lambda faults: faults.refuse("CreateTrainingJob", code="X", message="my words", status=418),
            {"effect": "error", "code": "X", "message": "my words", "status": 418},
        ),
        (
            lambda faults: faults.refuse("CreateTrainingJob", code="X", message="my words"),
            {"effect": "error", "status": 400},
        ),
    ],
    ids=["throttle", "internal error", "reset", "delay", "deny", "refuse", "refuse by default"],
)
def test_a_fault_is_switched_on_as_it_was_said(faults: Direct, switch: Any, expected: dict[str, Any]) -> None:
    fault = switch(faults)
    (document,) = faults.request("list")["faults"]
    assert document["id"] == fault.id
    assert document["fault"] | expected == document["fault"]
    assert document["fault"]["operations"] == ["CreateTrainingJob"]
    assert fault.hits == 0


def test_a_fault_ends_with_its_block_or_when_it_is_removed(faults: Direct) -> None:
    with faults.throttle() as fault:
        faults.layer.switches.hitting("Search", "")
        assert fault.hits == 1
    assert faults.request("list") == {"faults": []}
    faults.reset().remove()
    assert faults.request("list") == {"faults": []}


def test_calls_come_back_by_their_globs(faults: Direct) -> None:
    for operation, resource in (("Search", ""), ("s3:GetObject", "b/k")):
        with faults.layer.journal.noting(operation, resource, ()) as noted:
            noted.answer = "200"
    with faults.layer.platform_journal.noting("s3:PutObject", "b/k", ()):
        pass
    assert [call.operation for call in faults.calls()] == ["Search", "s3:GetObject"]
    assert [call.number for call in faults.calls("s3:*")] == [2]
    assert [call.number for call in faults.calls(resource="b/*")] == [2]
    assert [call.number for call in faults.calls(after=1)] == [2]
    assert [call.operation for call in faults.calls(by_platform=True)] == ["s3:PutObject"]
    (call,) = faults.calls("Search")
    assert (call.answer, call.resource, tuple(call.faults)) == ("200", "", ())


# -- scripted jobs -----------------------------------------------------------------------------------------------------


def test_jobs_are_scripted_by_name_machine_and_variables(faults: Direct) -> None:
    faults.script_jobs(
        "nightly-*",
        after_seconds=None,
        instance_type="ml.m5.*",
        environment={"NBJOBS_TASK_ID": "train*"},
        secondary_status="Downloading",
        times=1,
    )
    assert not faults.job("weekly-1", NBJOBS_TASK_ID="train")
    assert not faults.job("nightly-1", "ml.c5.large", NBJOBS_TASK_ID="train")
    assert not faults.job("nightly-2", NBJOBS_TASK_ID="score")
    assert faults.job("nightly-3", NBJOBS_TASK_ID="train_a")
    assert not faults.job("nightly-4", NBJOBS_TASK_ID="train_b"), "one job"
    (held,) = faults.held_jobs()
    assert (held.job_name, held.secondary_status) == ("nightly-3", "Downloading")
    assert held.environment == {"NBJOBS_TASK_ID": "train_a"}


def test_a_held_job_is_moved_and_ended_when_told(faults: Direct) -> None:
    script = faults.script_jobs(after_seconds=None)
    assert faults.job()
    faults.move_job("job", "Uploading")
    assert faults.registry.get("job").secondary_status == "Uploading"
    faults.end_job("job", "Failed", failure_reason="AlgorithmError: x")
    ended = faults.registry.get("job")
    assert (ended.status, ended.failure_reason) == ("Failed", "AlgorithmError: x")
    assert faults.held_jobs() == []
    with pytest.raises(ServiceError, match="'job' is no scripted job that waits for its end"):
        faults.end_job("job")
    script.remove()
    assert not faults.job("next")
    with pytest.raises(ServiceError, match="No script has the id"):
        script.remove()


def test_a_job_that_is_stopped_by_the_console_is_stopped(faults: Direct) -> None:
    faults.script_jobs(after_seconds=None)
    faults.job()
    faults.end_job("job", "Stopped", without_archive=True)
    assert faults.registry.get("job").status == "Stopped"


def test_the_newest_script_takes_a_job_first(faults: Direct) -> None:
    faults.script_jobs(after_seconds=None)
    faults.script_jobs("special", after_seconds=None, secondary_status="Starting")
    assert faults.job("special")
    assert faults.job("other")
    assert {job.job_name: job.secondary_status for job in faults.held_jobs()} == {
        "special": "Starting",
        "other": "Training",
    }


def script_of(faults: Direct) -> Any:
    assert faults.layer.scripts is not None
    (active,) = faults.layer.scripts._scripts.values()
    return active.script


def test_outputs_are_recorded_as_the_notebook_would(faults: Direct) -> None:
    faults.script_jobs(outputs={"revenue": 12.5, "who": JOB_NAME})
    script = script_of(faults)
    assert (script.after_seconds, script.end.status, script.end.failure_reason) == (0.0, "Completed", None)
    (shown,) = script.end.cell_outputs
    record = json.loads(shown["data"][RECORD_MIME_TYPE])
    assert record["outputs"] == {
        "revenue": {"type": "builtins.float", "json": "12.5"},
        "who": {"type": "builtins.str", "json": f'"{JOB_NAME}"'},
    }


def test_an_error_of_a_cell_fails_the_job_with_its_words(faults: Direct) -> None:
    faults.script_jobs(cell=3, error=("ValueError", "no rows"), cell_outputs=[{"output_type": "stream"}])
    end = script_of(faults).end
    assert (end.status, end.cell) == ("Failed", 3)
    assert end.failure_reason == "AlgorithmError: ValueError: no rows, exit code: 1"
    assert end.cell_outputs == (
        {"output_type": "stream"},
        {
            "output_type": "error",
            "ename": "ValueError",
            "evalue": "no rows",
            "traceback": ["ValueError: no rows"],
        },
    )


def test_an_error_with_a_reason_of_its_own_keeps_that(faults: Direct) -> None:
    faults.script_jobs(error=("E", "v"), failure_reason="mine")
    assert script_of(faults).end.failure_reason == "mine"


def test_without_capacity_a_job_fails_as_it_starts(faults: Direct) -> None:
    faults.lack_capacity(instance_type="ml.p5.*", times=2)
    script = script_of(faults)
    assert (script.instance_type, script.times, script.secondary_status) == ("ml.p5.*", 2, "Starting")
    assert script.end == JobEnd(status="Failed", failure_reason=script.end.failure_reason)
    assert script.end.failure_reason.startswith("CapacityError: Unable to provision")


# -- limits and delays -------------------------------------------------------------------------------------------------


def test_a_quota_refuses_the_job_beyond_it_until_it_is_lifted(faults: Direct) -> None:
    faults.script_jobs(after_seconds=None)
    faults.quota("ml.m5.large", 1)
    faults.job("one")
    with pytest.raises(ServiceError, match="is 1 Instances, with current utilization of 1") as caught:
        faults.job("two")
    assert caught.value.code == "ResourceLimitExceeded"
    faults.job("another type", "ml.c5.large")
    faults.end_job("one", "Stopped", without_archive=True)
    faults.job("two")
    faults.quota("ml.m5.large", None)
    faults.job("three")


def test_delays_are_set_and_all_is_cleared(faults: Direct) -> None:
    scripts, pools = faults.layer.scripts, faults.layer.pools
    assert scripts is not None
    assert pools is not None
    faults.search_delay(3)
    faults.deletion_delay(0)
    faults.start_delay(2)
    faults.quota("ml.m5.large", 0)
    faults.warm_pool_quota("ml.m5.large", 2)
    faults.script_jobs(after_seconds=None)
    assert (scripts.search_delay_seconds, scripts.deletion_seconds, pools.start_seconds) == (3.0, 0.0, 2.0)
    assert scripts.quotas() == {"ml.m5.large": 0}
    faults.clear()
    assert (scripts.search_delay_seconds, scripts.deletion_seconds, pools.start_seconds) == (0.0, 1.0, 0.0)
    assert scripts.quotas() == {}
    assert not faults.job()


def test_a_server_that_is_gone_is_said_to_be() -> None:
    with pytest.raises(FaultError, match=r"the embedded SageMaker at http://127\.0\.0\.1:9 does not answer"):
        Faults(FACTS).clear()
