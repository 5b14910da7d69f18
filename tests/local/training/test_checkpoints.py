"""A job's checkpoint folder, as it lies in S3 while the job runs and afterwards."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from local_jobs import Jobs, notebook, stream_text, wait_until

from airflow_nbjobs.core.job.init_script import INIT_SCRIPT_NAME, init_script
from airflow_nbjobs.local.platform.checkpoints import Checkpoints, is_checkpoint_folder
from airflow_nbjobs.local.platform.clients import connect

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.local


@pytest.fixture
def stored(jobs: Jobs) -> Callable[[str], bytes | None]:
    """Reads an object below ``checkpoints/`` in the default bucket, None where there is none."""

    def read(key: str) -> bytes | None:
        try:
            answer = jobs.s3.get_object(Bucket=jobs.facts.default_bucket, Key=f"checkpoints/{key}")
        except ClientError:
            return None
        return bytes(answer["Body"].read())

    return read


def config(jobs: Jobs, folder: str, **more: str) -> dict[str, Any]:
    return {"CheckpointConfig": {"S3Uri": f"s3://{jobs.facts.default_bucket}/checkpoints/{folder}"} | more}


def test_what_s3_refuses_is_said_once_and_sent_again(jobs, tmp_path, caplog):
    s3, bucket, folder = connect(jobs.facts).s3, f"refused-{uuid.uuid4().hex[:12]}", tmp_path / "checkpoints"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": jobs.facts.region})
    checkpoints = Checkpoints(s3, {"S3Uri": f"s3://{bucket}/c"}, tmp_path)
    checkpoints.restore()
    s3.delete_bucket(Bucket=bucket)
    with checkpoints:
        (folder / "step").write_text("1")
        wait_until(lambda: "a checkpoint was not uploaded: Unable to upload" in caplog.text)
    checkpoints.finish()
    assert caplog.text.count("was not uploaded") == 1
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": jobs.facts.region})
    checkpoints.finish()
    assert s3.get_object(Bucket=bucket, Key="c/step")["Body"].read() == b"1"


def test_what_the_container_writes_is_in_s3_while_it_runs_and_as_it_was_at_its_end(jobs, stored):
    script = (
        "cd /opt/ml/checkpoints; mkdir deep; echo one > deep/step; while [ ! -e go ]; do sleep 0.1; done; echo two > deep/step; "
        "ln -s /etc/hostname link; echo last > last"
    )
    name = jobs.submit_script(script, **config(jobs, "written"))
    wait_until(lambda: stored("written/deep/step") == b"one\n")
    assert jobs.describe(name)["TrainingJobStatus"] == "InProgress"
    assert jobs.describe(name)["CheckpointConfig"]["S3Uri"].endswith("/checkpoints/written")
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    jobs.wait(name)
    assert stored("written/deep/step") == b"one\n"
    assert stored("written/link") is None


def test_a_job_begins_with_what_an_earlier_one_left(jobs, stored):
    jobs.s3.put_object(Bucket=jobs.facts.default_bucket, Key="checkpoints/left/a/step", Body=b"7")
    script = "cd /opt/ml/own; echo $(( $(cat a/step) + 1 )) > a/step"
    done = jobs.wait(jobs.submit_script(script, **config(jobs, "left", LocalPath="/opt/ml/own")))
    assert done["TrainingJobStatus"] == "Completed"
    assert stored("left/a/step") == b"8\n"


def test_a_place_that_cannot_be_read_fails_the_job_before_it_starts(jobs):
    done = jobs.wait(
        jobs.submit_script(
            "echo 1 > /opt/ml/checkpoints/a", CheckpointConfig={"S3Uri": "s3://no-such-bucket-of-ours/x"}
        )
    )
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"].startswith("ClientError: Data download failed:")


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/opt/ml/checkpoints", True),
        ("/opt/ml/checkpoints/", True),
        ("/opt/ml/own/deep", True),
        ("/opt/ml/output/x", False),
        ("/opt/ml", False),
        ("/opt/ml/a/../output", False),
        ("/tmp/x", False),
    ],
)
def test_only_a_folder_of_its_own_can_be_had_here(path, is_one):
    assert is_checkpoint_folder(path) is is_one


def test_a_notebook_is_in_s3_as_far_as_it_has_run(jobs, stored):
    """The driver and a kernel as they are; our init script in front of a user's, which has IPython set a renderer, as the README does for Altair."""
    name, bucket = "job-live-0", jobs.facts.default_bucket
    pause = (
        "import boto3, os, time\n"
        f"while not boto3.client('s3').list_objects_v2(Bucket='{bucket}', Prefix='checkpoints/go')['KeyCount']: time.sleep(0.1)"
    )
    files = {
        "report.ipynb": notebook(
            "print('first')", pause, "print(os.environ['FROM_USER'], os.environ['PLOTLY_RENDERER'], renderer)"
        ),
        INIT_SCRIPT_NAME: (init_script("user.sh", live=True, cell_output=False) or "").encode(),
        "user.sh": (
            b"export FROM_USER=1 IPYTHONDIR=$(mktemp -d)\nmkdir -p $IPYTHONDIR/profile_default/startup\n"
            b"echo 'renderer = \"svg\"' > $IPYTHONDIR/profile_default/startup/renderer.py"
        ),
    }
    environment = jobs.environment(name) | {"SM_INIT_SCRIPT": INIT_SCRIPT_NAME, "PLOTLY_RENDERER": "notebook"}
    jobs.submit(files, name=name, Environment=environment, **config(jobs, "live"))

    def cells() -> list[Any]:
        body = stored(f"live/{name}.ipynb")
        return json.loads(body)["cells"] if body else []

    wait_until(lambda: [bool(cell["outputs"]) for cell in cells()] == [True, False, False])
    assert cells()[0]["outputs"][0]["text"] == ["first\n"]
    assert jobs.describe(name)["TrainingJobStatus"] == "InProgress"
    jobs.s3.put_object(Bucket=bucket, Key="checkpoints/go", Body=b"")
    assert jobs.wait(name)["TrainingJobStatus"] == "Completed"
    assert "1 notebook svg" in stream_text(jobs.executed(name))
