"""Training jobs that really run: the real driver, a real kernel."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_jobs import CHANNEL, Jobs, notebook, stream_text, wait_until

from airflow_nbjobs.local.api.operations import Registries
from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.platform.clients import connect
from airflow_nbjobs.local.platform.runner import JobRunner, Platform
from airflow_nbjobs.local.state.jobs import new_job
from airflow_nbjobs.local.training.work import TrainingWork

pytestmark = pytest.mark.local


def statuses(document: dict[str, Any]) -> list[str]:
    return [transition["Status"] for transition in document["SecondaryStatusTransitions"]]


def test_a_notebook_gets_its_parameters_runs_its_neighbours_and_reaches_the_same_server(jobs: Jobs) -> None:
    buckets = "import boto3\nprint([bucket['Name'] for bucket in boto3.client('s3').list_buckets()['Buckets']])"
    cells = "%run helper.ipynb", "print(company, double(4))", buckets
    files = {
        "report.ipynb": notebook(*cells, parameters="company = 'nobody'"),
        "helper.ipynb": notebook("def double(x):\n    return 2 * x"),
    }
    done = jobs.run(files, HyperParameters={"company": "amazon"})
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Completed", "Completed"), done.get("FailureReason")
    name = done["TrainingJobName"]
    assert "amazon 8" in stream_text(jobs.executed(name))
    assert jobs.facts.sample_bucket in stream_text(jobs.executed(name))
    assert set(jobs.archive(name)) == {"report.ipynb", f"{name}.ipynb", "sagemaker_job_execution.log"}
    assert statuses(done) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all("EndTime" in transition for transition in done["SecondaryStatusTransitions"])
    assert "Notebook execution is complete" in jobs.log(name)


def test_nothing_of_the_servers_environment_is_in_the_container(jobs: Jobs) -> None:
    name = jobs.submit_script('env > /opt/ml/output/data/env; echo "$PWD" >> /opt/ml/output/data/env')
    jobs.wait(name)
    lines = jobs.archive(name)["env"].decode().splitlines()
    names = {line.split("=")[0] for line in lines if "=" in line}
    shell = {"PWD", "SHLVL", "_", "OLDPWD"}
    platform = {
        "TRAINING_JOB_NAME",
        "TRAINING_JOB_ARN",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    }
    image = {"PATH", "HOME", "LANG", "SHELL", "AWS_EC2_METADATA_DISABLED"}
    image |= {"VIRTUAL_ENV", "UV_PYTHON", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH"}  # of the job's own Python environment
    assert names - shell == platform | image | set(jobs.environment(name))
    assert "HOME=/home/sagemaker-user" in lines


def test_the_configuration_files_are_those_of_the_platform(jobs: Jobs) -> None:
    script = "cp /opt/ml/input/config/* /opt/ml/output/data"
    name = jobs.submit_script(script, HyperParameters={"epochs": "3"})
    jobs.wait(name)
    files = {path: json.loads(body) for path, body in jobs.archive(name).items()}
    assert files["hyperparameters.json"] == {"epochs": "3"}
    assert files["resourceconfig.json"]["hosts"] == ["algo-1"]
    assert files["inputdataconfig.json"][CHANNEL]["TrainingInputMode"] == "File"


def test_network_isolation_leaves_a_job_the_loopback_and_nothing_else(jobs: Jobs) -> None:
    """A kernel talks over it, as the next test shows."""
    if jobs.facts.isolation == "none":
        pytest.skip("needs namespaces")
    code = "import socket as s; l = s.create_server(('127.0.0.1', 0)); s.create_connection(l.getsockname()); print(s.if_nameindex())"
    name = jobs.submit_script(f'python3 -c "{code}" > /opt/ml/output/data/found', EnableNetworkIsolation=True)
    assert jobs.wait(name)["TrainingJobStatus"] == "Completed", jobs.log(name)
    assert jobs.archive(name)["found"] == b"[(1, 'lo')]\n"


@pytest.mark.slow  # a kernel; that one fails the job, and what it leaves, is shown in test_local_isolation and test_real_job
def test_a_failing_cell_fails_the_job_and_still_leaves_the_executed_notebook(jobs: Jobs) -> None:
    """Under network isolation, which must leave the loopback that a kernel talks over."""
    is_isolated = jobs.facts.isolation != "none"
    cells = notebook("import socket\nprint(socket.if_nameindex())", "1 / 0")
    done = jobs.run({"report.ipynb": cells}, EnableNetworkIsolation=is_isolated)
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"].startswith("AlgorithmError: [SM-111] Error with executing notebook")
    assert len(done["FailureReason"]) <= 1024
    executed = jobs.executed(done["TrainingJobName"])
    errors = [
        output.ename for cell in executed.cells for output in cell.get("outputs", ()) if output.output_type == "error"
    ]
    assert errors == ["ZeroDivisionError"]
    assert ("[(1, 'lo')]" in stream_text(executed)) is is_isolated


def test_an_exit_code_without_a_failure_file_is_the_whole_reason(jobs: Jobs) -> None:
    done = jobs.wait(jobs.submit_script("exit 7"))
    assert (done["TrainingJobStatus"], done["FailureReason"]) == ("Failed", "AlgorithmError: , exit code: 7")


def test_a_silent_container_leaves_no_log_stream(jobs: Jobs) -> None:
    name = jobs.submit_script("true")
    jobs.submit_script("echo so that the group exists")
    jobs.wait(name)
    jobs.wait(jobs.submit_script("echo again"))
    assert jobs.streams(name) == []


def test_a_model_is_uploaded_only_when_there_is_one(jobs: Jobs) -> None:
    name = jobs.submit_script("echo weights > /opt/ml/model/weights.txt")
    document = jobs.wait(name)
    assert jobs.archive(name, "model") == {"weights.txt": b"weights\n"}
    assert jobs.archive(name) == {}
    empty = jobs.submit_script("true")
    jobs.wait(empty)
    with pytest.raises(ClientError, match="NoSuchKey"):
        jobs.archive(empty, "model")
    assert document["ModelArtifacts"]["S3ModelArtifacts"].endswith(f"/nbjobs/{name}/output/model.tar.gz")


def test_a_missing_entrypoint_is_the_container_runtimes_error(jobs: Jobs) -> None:
    done = jobs.run(AlgorithmSpecification=jobs.algorithm("no-such-driver", "its-argument"))
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"].startswith(
        "ClientError: Artifact upload failed:API error (400): OCI runtime create failed: "
    )
    assert 'exec: "no-such-driver": executable file not found in $PATH: unknown' in done["FailureReason"]
    assert jobs.streams(done["TrainingJobName"]) == []


@pytest.mark.parametrize(
    "image", ["819792524951.dkr.ecr.us-east-1.amazonaws.com/sagemaker-distribution-prod:4-cpu", "python:3.12"]
)
def test_an_image_that_cannot_be_pulled_fails_the_job(jobs: Jobs, image: str) -> None:
    done = jobs.run(AlgorithmSpecification=jobs.algorithm("amazon_sagemaker_scheduler", image=image))
    assert done["FailureReason"] == (
        "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are incorrect."
    )
    assert "TrainingStartTime" not in done
    assert "BillableTimeInSeconds" not in done


def test_a_missing_output_bucket_fails_the_upload(jobs: Jobs) -> None:
    done = jobs.wait(jobs.submit_script("true", OutputDataConfig={"S3OutputPath": "s3://no-such-bucket-here/x"}))
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"].startswith("ClientError: Artifact upload failed:")
    assert "NoSuchBucket" in done["FailureReason"]


def test_a_stopped_job_is_asked_first_and_keeps_its_output(jobs: Jobs) -> None:
    script = (
        "trap 'echo asked; echo rest > /opt/ml/output/data/rest; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    )
    name = jobs.submit_script(script)
    wait_until(lambda: jobs.describe(name)["SecondaryStatus"] == "Training")
    wait_until(lambda: "ready" in jobs.log(name) if group_exists(jobs) else False)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.describe(name)["TrainingJobStatus"] in {"Stopping", "Stopped"}
    done = jobs.wait(name)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "FailureReason" not in done
    assert jobs.archive(name) == {"rest": b"rest\n"}
    assert "asked" in jobs.log(name)
    assert statuses(done)[-2:] == ["Stopping", "Stopped"]
    with pytest.raises(ClientError) as error:
        jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert error.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "The request was rejected because the training job is in status Stopped.",
    }


@pytest.mark.slow  # half a minute, of waiting only
def test_the_driver_stops_in_its_own_time(jobs: Jobs) -> None:
    """Its `sleep 30` after SIGTERM is the driver's, on AWS as well; the notebook so far is kept."""
    name = jobs.submit({"report.ipynb": notebook("print('first')", "import time\ntime.sleep(600)")})
    wait_until(lambda: "1/2" in jobs.log(name) if group_exists(jobs) else False)
    begin = time.monotonic()
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    done = jobs.wait(name, seconds=60)
    assert done["TrainingJobStatus"] == "Stopped"
    assert 29 < time.monotonic() - begin < 40
    assert "first" in stream_text(jobs.executed(name))


def test_too_long_a_run_is_stopped_not_failed(jobs: Jobs) -> None:
    name = jobs.submit_script("while :; do sleep 0.05; done", StoppingCondition={"MaxRuntimeInSeconds": 1})
    done = jobs.wait(name)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert "FailureReason" not in done


def test_a_container_that_ignores_sigterm_is_killed_after_the_grace(jobs: Jobs, tmp_path: Path) -> None:
    platform = Platform(
        jobs.facts,
        inspect_image(Path(os.sys.prefix)),
        connect(jobs.facts),
        tmp_path,
        jobs.facts.isolation,
        parallel_jobs=1,
        keep_work=False,
        stop_grace_seconds=0.5,
    )
    registry = Registries(jobs.facts).training
    runner = JobRunner(platform, name="job")
    request = jobs.request(
        AlgorithmSpecification=jobs.algorithm(
            "/bin/bash", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"
        )
    )
    del request["InputDataConfig"]
    job = new_job(request, arn="arn:aws:sagemaker:eu-west-1:123456789012:training-job/x", now=time.time())
    registry.add(job)
    runner.submit(job, TrainingWork(job, registry, platform), registry)
    # Before its trap is set the shell would end at once, as any program does that has just begun.
    wait_until(lambda: "ready" in jobs.log(job.name) if group_exists(jobs) else False)
    registry.change(job.name, lambda current: current.stopping(now=time.time()))
    runner.stop(job.arn)
    begin = time.monotonic()
    wait_until(lambda: registry.get(job.name).is_terminal, seconds=10)
    assert time.monotonic() - begin >= 0.5
    assert registry.get(job.name).status == "Stopped"
    runner.close()
    wait_until(lambda: not list(tmp_path.iterdir()), seconds=5)


def test_a_job_that_waits_for_its_turn_stops_at_once(jobs: Jobs) -> None:
    running = [jobs.submit_script("while :; do sleep 0.05; done") for _ in range(os.cpu_count() or 1)]
    for name in running:
        wait_until(lambda name=name: jobs.describe(name)["SecondaryStatus"] == "Training")
    waiting = jobs.submit_script("true")
    document = jobs.describe(waiting)
    assert (document["TrainingJobStatus"], document["SecondaryStatus"]) == ("InProgress", "Starting")
    assert document["SecondaryStatusTransitions"][-1]["StatusMessage"].startswith("Pending")
    jobs.sagemaker.stop_training_job(TrainingJobName=waiting)
    done = jobs.describe(waiting)
    assert (done["TrainingJobStatus"], "TrainingStartTime" in done) == ("Stopped", False)
    for name in running:
        jobs.sagemaker.stop_training_job(TrainingJobName=name)
        assert jobs.wait(name)["TrainingJobStatus"] == "Stopped"


def test_two_jobs_at_once_keep_their_logs_apart(jobs: Jobs) -> None:
    script = "for n in $(seq 40); do echo {0}-$n; sleep 0.01; done"
    names = [jobs.submit_script(script.format(word)) for word in ("alpha", "beta")]
    for name in names:
        jobs.wait(name)
    logs = [jobs.log(name).splitlines() for name in names]
    assert logs == [[f"{word}-{n}" for n in range(1, 41)] for word in ("alpha", "beta")]


def test_progress_reaches_the_log_before_its_line_ends(jobs: Jobs) -> None:
    """papermill's bar is one line until the last cell; who watches must see it move."""
    name = jobs.submit_script("printf '\\rExecuting: 1/3'; while [ ! -e /opt/ml/stop ]; do sleep 0.05; done")
    wait_until(lambda: "1/3" in jobs.log(name) if group_exists(jobs) else False, seconds=10)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    jobs.wait(name)


def test_of_many_creates_with_one_name_exactly_one_gets_in(jobs: Jobs) -> None:
    request = jobs.request(AlgorithmSpecification=jobs.algorithm("/bin/true"))
    jobs.stage(request["TrainingJobName"], {"report.ipynb": b"{}"})
    results: list[str] = []

    def create() -> None:
        try:
            jobs.sagemaker.create_training_job(**request)
            results.append("created")
        except ClientError as error:
            results.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["ResourceInUse"] * 7 + ["created"]
    jobs.wait(request["TrainingJobName"])


def group_exists(jobs: Jobs) -> bool:
    return bool(jobs.logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/TrainingJobs")["logGroups"])
