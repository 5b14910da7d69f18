"""Scripted jobs, played on a registry and objects of this process: when they end, as what, and what they leave in S3."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import time
from types import SimpleNamespace
from typing import Any

import pytest
from memory_s3 import MemoryS3

from airflow_nbjobs.local.faults import jobs as module
from airflow_nbjobs.local.faults.jobs import JobScripts
from airflow_nbjobs.local.faults.scripts import parse_end, parse_script
from airflow_nbjobs.local.state.jobs import TrainingJob, new_job
from airflow_nbjobs.local.state.registry import Registry
from airflow_nbjobs.local.wire.formats import ValidationError

STAGED = {"cells": [{"cell_type": "code", "source": "1", "metadata": {}, "outputs": []}], "metadata": {}}


class Played:
    def __init__(self) -> None:
        self.s3 = MemoryS3()
        self.s3.objects["s3://b/in/nb.ipynb"] = json.dumps(STAGED).encode()
        self.registry: Registry[TrainingJob] = Registry(
            arn_prefix="arn:", unknown="no {name}", taken=("InUse", "{arn}")
        )
        self.scripts = JobScripts(self.registry, SimpleNamespace(s3=self.s3))  # type: ignore[arg-type]

    def script(self, **document: Any) -> None:
        self.scripts.add(parse_script(document))

    def job(self, name: str = "job", **changes: Any) -> bool:
        source = {"S3DataSource": {"S3Uri": "s3://b/in/"}}
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {},
            "InputDataConfig": [{"ChannelName": "c", "DataSource": source}],
            "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
            "Environment": {"SM_INPUT_NOTEBOOK_NAME": "nb.ipynb", "SM_OUTPUT_NOTEBOOK_NAME": "done.ipynb"},
            **changes,
        }
        return self.scripts.register(new_job(request, arn=f"arn:{name}", now=time.time()))

    def until_ended(self, name: str = "job") -> TrainingJob:
        end = time.monotonic() + 10
        while not self.registry.get(name).is_terminal:
            assert time.monotonic() < end
            time.sleep(0.002)
        return self.registry.get(name)

    def left(self, name: str = "job") -> dict[str, Any]:
        body = self.s3.objects[f"s3://b/out/{name}/output/output.tar.gz"]
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
            return {each.name: json.load(tar.extractfile(each) or io.StringIO("null")) for each in tar}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    monkeypatch.setattr(module, "_TICK_SECONDS", 0.002)
    return Played()


@pytest.mark.parametrize(
    ("end", "status", "reason", "leaves"),
    [
        ({}, "Completed", None, True),
        ({"without_archive": True}, "Completed", None, False),
        ({"status": "Failed", "failure_reason": "CapacityError: none"}, "Failed", "CapacityError: none", False),
        ({"status": "Failed", "failure_reason": "AlgorithmError: x", "cell": 1}, "Failed", "AlgorithmError: x", True),
        ({"status": "Stopped"}, "Stopped", None, True),
    ],
    ids=str,
)
def test_a_job_ends_by_the_clock_as_was_said(
    played: Played, end: dict[str, Any], status: str, reason: str | None, leaves: bool
) -> None:
    played.script(after_seconds=0, end=end)
    assert played.job()
    ended = played.until_ended()
    assert (ended.status, ended.secondary_status, ended.failure_reason) == (status, status, reason)
    assert ended.started is not None
    assert ("s3://b/out/job/output/output.tar.gz" in played.s3.objects) is leaves
    if leaves:
        (cell,) = played.left()["done.ipynb"]["cells"]
        assert cell["execution_count"] == 1
    assert played.scripts.held() == []


def test_several_jobs_end_and_another_after_them(played: Played) -> None:
    played.script(after_seconds=0)
    for name in ("a", "b", "c"):
        played.job(name)
    assert {played.until_ended(name).status for name in ("a", "b", "c")} == {"Completed"}
    played.job("d")
    assert played.until_ended("d").status == "Completed"


def test_a_job_that_is_held_ends_when_its_time_is_over(played: Played) -> None:
    played.script()
    played.job("held")
    played.job("over", StoppingCondition={"MaxRuntimeInSeconds": 0})
    over = played.until_ended("over")
    assert (over.status, over.secondary_status) == ("Stopped", "MaxRuntimeExceeded")
    assert [each["job_name"] for each in played.scripts.held()] == ["held"]


def test_a_job_that_has_not_begun_does_not_use_up_its_time(played: Played) -> None:
    played.script(secondary_status="Starting")
    played.script(job_name="other", after_seconds=0)
    played.job(StoppingCondition={"MaxRuntimeInSeconds": 0})
    assert played.registry.get("job").started is None
    played.job("other")
    played.until_ended("other")
    assert played.scripts.held()[0]["secondary_status"] == "Starting"
    played.scripts.move("job", "Training")
    assert played.until_ended().secondary_status == "MaxRuntimeExceeded"


def test_an_archive_of_ones_own_is_left_as_it_is(played: Played) -> None:
    played.script()
    played.job()
    played.scripts.end("job", parse_end({"archive": base64.b64encode(b"any bytes").decode()}))
    assert played.s3.objects["s3://b/out/job/output/output.tar.gz"] == b"any bytes"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"archive": "no base64!"}, "ClientError: Artifact upload failed:archive is no base64"),
        ({}, "ClientError: Artifact upload failed:Unable to download object s3://b/in//nb.ipynb"),
    ],
    ids=["archive", "notebook"],
)
def test_an_archive_that_cannot_be_left_fails_the_job(played: Played, end: dict[str, Any], words: str) -> None:
    del played.s3.objects["s3://b/in/nb.ipynb"]
    played.script()
    played.job()
    played.scripts.end("job", parse_end(end))
    ended = played.registry.get("job")
    assert ended.status == "Failed"
    assert str(ended.failure_reason).startswith(words.replace("in//", "in/"))


def test_a_job_that_is_stopped_ends_at_once_and_only_a_scripted_one(played: Played) -> None:
    played.script(job_name="mine")
    played.job("mine")
    assert not played.job("theirs")
    played.registry.change("mine", lambda one: one.stopping(now=time.time()))
    assert played.scripts.stop("mine")
    assert played.registry.get("mine").status == "Stopped"
    assert not played.scripts.stop("mine")
    assert not played.scripts.stop("theirs")


def test_a_job_in_a_phase_again_keeps_when_it_began(played: Played) -> None:
    played.script()
    played.job()
    began = played.registry.get("job").started
    played.scripts.move("job", "Training")
    assert played.registry.get("job").started == began
    played.scripts.move("job", "Uploading")
    assert [each.status for each in played.registry.get("job").transitions] == ["Starting", "Training", "Uploading"]
    with pytest.raises(ValidationError, match="'other' is no scripted job"):
        played.scripts.move("other", "Training")
