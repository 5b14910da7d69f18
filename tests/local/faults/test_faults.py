"""What the fault switches do to real calls of a real server, and that they do nothing until asked."""

from __future__ import annotations

import dataclasses
import http.client
import json
import threading
import time
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from local_jobs import notebook, wait_until

from airflow_nbjobs.local.faults.http import CONTROL_PATH
from airflow_nbjobs.testing import JOB_NAME, FaultError, Faults

pytestmark = pytest.mark.local


@pytest.fixture
def faults(embedded_sagemaker):
    faults = Faults(embedded_sagemaker.facts)
    yield faults
    faults.clear()


@pytest.fixture
def once(embedded_sagemaker):
    """Clients that make one attempt for each call."""
    facts = embedded_sagemaker.facts
    session = boto3.session.Session(facts.access_key_id, facts.secret_access_key, region_name=facts.region)
    config = Config(proxies={}, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return lambda service: session.client(service, endpoint_url=facts.endpoint_url, config=config)


def code_of(call):
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Message"]


def describe(client, name="no-such-job"):
    return lambda: client.describe_training_job(TrainingJobName=name)


UNKNOWN = ("ValidationException", 400, "Requested resource not found.")


def test_nothing_is_switched_on_at_first(faults, once):
    assert faults.request("list") == {"faults": []}
    assert code_of(describe(once("sagemaker"))) == UNKNOWN


def test_throttling_hits_as_many_calls_as_was_said(faults, once):
    fault = faults.throttle("Describe*", times=2)
    answers = [code_of(describe(once("sagemaker"))) for _ in range(3)]
    assert answers == [("ThrottlingException", 400, "Rate exceeded")] * 2 + [UNKNOWN]
    assert fault.hits == 2


def test_a_fault_is_for_its_operations_and_resources_only(faults, once, embedded_sagemaker):
    sagemaker = once("sagemaker")
    faults.internal_error("DescribeTrainingJob", resource="nightly-*")
    assert code_of(describe(sagemaker, "nightly-1"))[:2] == ("InternalFailure", 500)
    assert code_of(describe(sagemaker, "hourly-1")) == UNKNOWN
    assert code_of(lambda: sagemaker.stop_training_job(TrainingJobName="nightly-1")) == UNKNOWN


def test_a_fault_can_end_by_the_clock_and_by_hand(faults, once):
    faults.throttle("DescribeTrainingJob", for_seconds=0)
    assert code_of(describe(once("sagemaker"))) == UNKNOWN
    with faults.throttle("DescribeTrainingJob"):
        assert code_of(describe(once("sagemaker")))[0] == "ThrottlingException"
    assert code_of(describe(once("sagemaker"))) == UNKNOWN


def test_a_random_fault_is_the_same_for_the_same_seed(faults, once):
    client = once("sagemaker")

    def pattern(seed):
        with faults.throttle("DescribeTrainingJob", probability=0.5, seed=seed):
            return [code_of(describe(client))[0] for _ in range(12)]

    assert pattern(1) == pattern(1)
    assert len(set(pattern(1))) == 2
    assert pattern(1) != pattern(2)


def test_s3_is_refused_in_its_own_words(faults, once, embedded_sagemaker):
    s3, bucket = once("s3"), embedded_sagemaker.facts.default_bucket
    faults.deny("s3:PutObject", resource=f"{bucket}/secret/*")
    assert code_of(lambda: s3.put_object(Bucket=bucket, Key="secret/a", Body=b"1")) == (
        "AccessDenied",
        403,
        "Access Denied",
    )
    s3.put_object(Bucket=bucket, Key="open/a", Body=b"1")
    faults.deny("s3:GetObject")
    assert code_of(lambda: s3.get_object(Bucket=bucket, Key="open/a"))[:2] == ("AccessDenied", 403)
    faults.clear()
    faults.throttle("s3:*")
    assert code_of(lambda: s3.get_object(Bucket=bucket, Key="open/a"))[:2] == ("SlowDown", 503)
    faults.clear()
    assert s3.get_object(Bucket=bucket, Key="open/a")["Body"].read() == b"1"


@pytest.mark.parametrize(("when", "is_made"), [("before", False), ("after", True)])
def test_a_reset_before_or_after_commit_leaves_no_job_or_one(faults, once, jobs, when, is_made):
    request = jobs.request()
    jobs.stage(request["TrainingJobName"], {"report.ipynb": notebook("1")})
    faults.script_jobs()
    faults.reset("CreateTrainingJob", when=when, times=1)
    with pytest.raises(ConnectionClosedError):
        once("sagemaker").create_training_job(**request)
    if is_made:
        assert jobs.describe(request["TrainingJobName"])["TrainingJobStatus"] in ("InProgress", "Completed")
    else:
        assert code_of(describe(once("sagemaker"), request["TrainingJobName"])) == UNKNOWN
    (call,) = faults.calls("CreateTrainingJob", resource=request["TrainingJobName"])
    assert call.answer == "reset"


def test_an_internal_error_after_commit_leaves_the_job(faults, once, jobs):
    request = jobs.request()
    jobs.stage(request["TrainingJobName"], {"report.ipynb": notebook("1")})
    faults.script_jobs()
    faults.internal_error("CreateTrainingJob", when="after", times=1)
    assert code_of(lambda: once("sagemaker").create_training_job(**request))[1] == 500
    assert jobs.describe(request["TrainingJobName"])


def test_a_delay_holds_a_call_until_it_is_removed(faults, once):
    fault = faults.delay("DescribeTrainingJob", seconds=60)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(code_of(describe(once("sagemaker")))))
    waiting.start()
    wait_until(lambda: fault.hits)
    assert answers == []
    assert [call.answer for call in faults.calls("DescribeTrainingJob")][-1] == ""
    fault.remove()
    waiting.join(10)
    assert answers == [UNKNOWN]


def test_the_platforms_own_calls_are_never_hit(faults, jobs):
    """A job's input and output are SageMaker's affair: a fault there would be another one than the test asked for."""
    request = jobs.request()
    jobs.stage(request["TrainingJobName"], {"report.ipynb": notebook("1")})
    faults.internal_error("s3:*", "logs:*", "iam:*")
    jobs.sagemaker.create_training_job(
        **{**request, "AlgorithmSpecification": jobs.algorithm("/bin/bash", "-c", "true")}
    )
    assert jobs.wait(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_a_scripted_job_ends_when_told_and_leaves_what_was_said(faults, jobs):
    faults.script_jobs(after_seconds=None, secondary_status="Starting")
    name = jobs.submit({"report.ipynb": notebook("1", "accuracy = 0.5")})
    assert [job.job_name for job in faults.held_jobs()] == [name]
    assert jobs.describe(name)["SecondaryStatus"] == "Starting"
    faults.move_job(name, "Training")
    assert jobs.describe(name)["SecondaryStatus"] == "Training"
    faults.end_job(name, outputs={"accuracy": 0.5, "of": JOB_NAME})
    document = jobs.describe(name)
    assert document["TrainingJobStatus"] == "Completed"
    assert [one["Status"] for one in document["SecondaryStatusTransitions"]] == ["Starting", "Training", "Completed"]
    (output,) = jobs.executed(name).cells[-1].outputs
    (text,) = [value for mime_type, value in output.data.items() if "nbjobs" in mime_type]
    assert json.loads(text)["outputs"]["of"]["json"] == f'"{name}"'
    assert [cell.execution_count for cell in jobs.executed(name).cells] == [1, 2]
    with pytest.raises(FaultError, match="is no scripted job that waits for its end"):
        faults.end_job(name)


def test_a_scripted_job_fails_in_a_cell(faults, jobs):
    faults.script_jobs(cell=1, error=("ValueError", "no bread left"))
    name = jobs.submit({"report.ipynb": notebook("1", "2")})
    document = jobs.wait(name)
    assert (document["TrainingJobStatus"], document["FailureReason"]) == (
        "Failed",
        "AlgorithmError: ValueError: no bread left, exit code: 1",
    )
    first, second = jobs.executed(name).cells
    assert first.outputs[0].ename == "ValueError"
    assert (first.execution_count, second.execution_count) == (1, None)


def test_a_scripted_job_can_be_stopped_and_keeps_its_max_runtime(faults, jobs):
    faults.script_jobs(after_seconds=None)
    name = jobs.submit()
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.describe(name)["TrainingJobStatus"] == "Stopped"
    name = jobs.submit(StoppingCondition={"MaxRuntimeInSeconds": 1})
    document = jobs.wait(name)
    assert (document["TrainingJobStatus"], document["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_the_newest_script_that_matches_takes_a_job(faults, jobs):
    faults.script_jobs(status="Failed", failure_reason="ClientError: all of them")
    faults.script_jobs(environment={"SM_KERNEL_NAME": "python*"}, times=1)
    assert [jobs.wait(jobs.submit())["TrainingJobStatus"] for _ in range(2)] == ["Completed", "Failed"]


def test_missing_capacity_fails_jobs_in_the_services_words(faults, jobs):
    script = faults.lack_capacity(instance_type="ml.m5.*")
    document = jobs.wait(jobs.submit())
    assert document["FailureReason"].startswith("CapacityError: Unable to provision requested ML compute capacity.")
    assert "TrainingStartTime" not in document
    script.remove()
    assert jobs.wait(jobs.submit_script("true"))["TrainingJobStatus"] == "Completed"


def test_a_quota_is_full_until_a_job_ends(faults, jobs):
    def submit():
        return jobs.submit(ResourceConfig={"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30})

    faults.script_jobs(after_seconds=None)
    faults.quota("ml.c5.xlarge", 1)
    first = submit()
    code, status, message = code_of(submit)
    assert (code, status) == ("ResourceLimitExceeded", 400)
    assert message.startswith(
        "The account-level service limit 'ml.c5.xlarge for training job usage' is 1 Instances, with current utilization of 1 Instances "
        "and a request delta of 1 Instances."
    )
    faults.end_job(first)
    faults.end_job(submit())
    faults.quota("ml.c5.xlarge", 0)
    assert " is 0 Instances" in code_of(submit)[2]
    faults.quota("ml.c5.xlarge", None)
    faults.end_job(submit())


def test_search_can_be_behind_and_describe_is_not(faults, jobs):
    faults.script_jobs(after_seconds=None)
    name = jobs.submit()
    search = {
        "Resource": "TrainingJob",
        "SearchExpression": {"Filters": [{"Name": "TrainingJobName", "Operator": "Equals", "Value": name}]},
    }

    def searched():
        return [one["TrainingJob"]["TrainingJobStatus"] for one in jobs.sagemaker.search(**search)["Results"]]

    assert searched() == ["InProgress"]
    faults.search_delay(3600)
    assert searched() == []
    faults.search_delay(0.5)
    assert wait_until(searched) == ["InProgress"]
    faults.end_job(name)
    assert searched() == ["InProgress"]
    assert jobs.describe(name)["TrainingJobStatus"] == "Completed"
    assert wait_until(lambda: searched() == ["Completed"])


def test_an_ended_job_can_be_deleted_and_its_name_is_free_again(faults, jobs):
    faults.script_jobs(after_seconds=None)
    name = jobs.submit()

    def delete():
        return jobs.sagemaker.delete_training_job(TrainingJobName=name)

    def refused_in(status):
        return "ResourceInUse", 400, f"The request was rejected because the training job is in status {status}."

    assert code_of(delete) == refused_in("InProgress")
    faults.end_job(name)
    faults.deletion_delay(3600)
    delete()
    deleting = jobs.describe(name)
    assert (deleting["TrainingJobStatus"], deleting["SecondaryStatus"]) == ("Deleting", "Completed")
    listed = jobs.sagemaker.list_training_jobs(StatusEquals="Deleting", NameContains=name)["TrainingJobSummaries"]
    assert [(one["TrainingJobName"], one["TrainingJobStatus"]) for one in listed] == [(name, "Deleting")]
    assert code_of(delete) == refused_in("Deleting")
    assert code_of(lambda: jobs.sagemaker.stop_training_job(TrainingJobName=name))[2].endswith("in status Deleting.")
    assert code_of(lambda: jobs.submit(name=name))[0] == "ResourceInUse"

    other = jobs.submit()
    faults.end_job(other)
    faults.deletion_delay(0.2)
    jobs.sagemaker.delete_training_job(TrainingJobName=other)
    assert wait_until(lambda: not jobs.sagemaker.list_training_jobs(NameContains=other)["TrainingJobSummaries"])
    assert code_of(describe(jobs.sagemaker, other)) == UNKNOWN
    code, _, text = code_of(lambda: jobs.sagemaker.delete_training_job(TrainingJobName=other))
    assert (code, text) == ("ResourceNotFound", "Requested resource not found.")
    assert jobs.submit(name=other) == other
    faults.end_job(other)


def last_number(faults, **which):
    """Count the calls so far; of a server that was just started, none."""
    return max((call.number for call in faults.calls(**which)), default=0)


def test_calls_are_kept_with_their_answers(faults, jobs):
    faults.script_jobs()
    begun = last_number(faults)
    name = jobs.submit()
    kept = [(call.operation, call.resource, call.answer) for call in faults.calls(after=begun)]
    bucket = jobs.facts.default_bucket
    assert kept == [
        ("s3:PutObject", f"{bucket}/nbjobs/{name}/input/report.ipynb", "200"),
        ("CreateTrainingJob", name, "200"),
    ]
    assert abs(faults.calls("CreateTrainingJob")[-1].at - time.time()) < 30


def test_calls_of_the_other_services_are_kept_with_what_they_are_about(faults, jobs, once):
    """A permission is held against what was asked for, not only against the operation."""
    begun = last_number(faults)
    bucket = jobs.facts.default_bucket
    upload = jobs.s3.create_multipart_upload(Bucket=bucket, Key="a/b c")["UploadId"]
    jobs.s3.abort_multipart_upload(Bucket=bucket, Key="a/b c", UploadId=upload)
    jobs.s3.delete_object(Bucket=bucket, Key="a/b c")
    group, stream = "/aws/sagemaker/TrainingJobs", "job/algo-1"
    logs = once("logs")
    for call in (
        lambda: logs.get_log_events(logGroupName=group, logStreamName=stream),
        lambda: logs.get_log_events(logGroupName="/none", logStreamName=stream),
        lambda: logs.describe_log_streams(logGroupName="/none", logStreamNamePrefix="job/"),
        lambda: once("iam").get_role(RoleName="Nobody"),
        lambda: once("ssm").get_parameter(Name="/no/such"),
    ):
        with pytest.raises(ClientError):
            call()
    assert [(call.operation, call.resource) for call in faults.calls(after=begun)] == [
        ("s3:MultipartUpload", f"{bucket}/a/b c"),
        ("s3:AbortMultipartUpload", f"{bucket}/a/b c"),
        ("s3:DeleteObject", f"{bucket}/a/b c"),
        ("logs:GetLogEvents", f"{group}:{stream}"),
        ("logs:GetLogEvents", f"/none:{stream}"),
        ("logs:DescribeLogStreams", "/none"),
        ("iam:GetRole", "Nobody"),
        ("ssm:GetParameter", "/no/such"),
    ]


def test_calls_of_the_platform_itself_are_kept_apart(faults, jobs):
    """They stand for what a job's role is used for; no fault hits them."""
    begun, own = last_number(faults), last_number(faults, by_platform=True)
    denial = faults.deny("s3:GetObject")
    name = jobs.run()["TrainingJobName"]
    assert denial.hits == 0
    made = {(call.operation, call.resource) for call in faults.calls(after=own, by_platform=True)}
    root = f"{jobs.facts.default_bucket}/nbjobs/{name}"
    assert {
        ("s3:GetObject", f"{root}/input/report.ipynb"),
        ("s3:PutObject", f"{root}/output/output.tar.gz"),
        ("logs:CreateLogGroup", "/aws/sagemaker/TrainingJobs"),
    } <= made
    theirs = {(call.operation, call.resource) for call in faults.calls(after=begun)}
    assert ("CreateTrainingJob", name) in theirs
    assert not any(operation.startswith("logs:") for operation, _ in theirs)


def test_only_the_owner_of_the_key_switches_faults(faults, embedded_sagemaker):
    stranger = Faults(dataclasses.replace(embedded_sagemaker.facts, access_key_id="AKIALOCALWRONG"))
    with pytest.raises(FaultError, match="carries another access key id"):
        stranger.throttle()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(embedded_sagemaker.endpoint_url + CONTROL_PATH, data=b'{"action": "list"}')
    caught.value.close()
    assert caught.value.code == http.client.FORBIDDEN
    assert faults.request("list") == {"faults": []}


@pytest.mark.parametrize(
    ("action", "members", "problem"),
    [
        ("explode", {}, "The action is one of add, remove"),
        ("add", {"fault": {"effect": "explode"}}, "The effect is one of error, reset, delay"),
        ("add", {"fault": {"effect": "error", "colour": "red"}}, "A fault has no colour"),
        ("add", {"fault": {"effect": "error", "operations": "CreateTrainingJob"}}, "operations is a list"),
        ("add", {"fault": {"effect": "error", "status": 200}}, "The HTTP status of an error is 400 to 599"),
        ("add", {"fault": {}}, "A fault needs its effect"),
        ("remove", {"id": "fault-0"}, "No fault has the id"),
        ("remove", {}, "remove: "),
        ("script", {"script": {"end": {"status": "Deleted"}}}, "A job ends Completed, Failed or Stopped"),
        ("script", {"script": {"end": {"status": "Failed"}}}, "has a failure_reason"),
        ("script", {"script": {"secondary_status": "Completed"}}, "No job stays in the secondary status"),
        ("end", {"job_name": "no-such-job", "end": {}}, "is no scripted job"),
    ],
)
def test_a_control_request_that_means_nothing_is_refused(faults, action, members, problem):
    with pytest.raises(FaultError, match=problem):
        faults.request(action, **members)
