"""Under which names faults and the journal know a call, and what a fault does to it. No server is needed."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from airflow_nbjobs.local.faults.http import CONTROL_PATH, FaultLayer, identify, strike
from airflow_nbjobs.local.faults.switches import FaultSwitches, Journal, parse_fault
from airflow_nbjobs.local.wire.formats import ServiceError, ValidationError, json_response, read_body


def environ(
    method: str = "POST", path: str = "/", *, body: bytes = b"", query: str = "", target: str = "", **more: str
) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **({"HTTP_X_AMZ_TARGET": target} if target else {}),
        **more,
    }


@pytest.mark.parametrize(
    ("method", "path", "query", "name", "resource"),
    [
        ("PUT", "/bucket/a%20b/k", "", "s3:PutObject", "bucket/a b/k"),
        ("GET", "/bucket/k", "", "s3:GetObject", "bucket/k"),
        ("HEAD", "/bucket/k", "", "s3:HeadObject", "bucket/k"),
        ("DELETE", "/bucket/k", "", "s3:DeleteObject", "bucket/k"),
        ("PUT", "/bucket", "", "s3:CreateBucket", "bucket"),
        ("GET", "/bucket", "list-type=2&prefix=x", "s3:ListObjects", "bucket"),
        ("HEAD", "/bucket", "", "s3:HeadBucket", "bucket"),
        ("DELETE", "/bucket", "", "s3:DeleteBucket", "bucket"),
        ("GET", "/bucket", "encryption", "s3:GetBucketEncryption", "bucket"),
        ("GET", "/bucket/", "location", "s3:GetBucketLocation", "bucket"),
        ("GET", "/bucket", "versioning=", "s3:GetBucketVersioning", "bucket"),
        ("GET", "/bucket/k", "versioning", "s3:GetObject", "bucket/k"),
        ("POST", "/bucket", "delete", "s3:DeleteObjects", "bucket"),
        ("POST", "/bucket/k", "uploads", "s3:MultipartUpload", "bucket/k"),
        ("DELETE", "/bucket/k", "uploadId=1", "s3:AbortMultipartUpload", "bucket/k"),
        ("PATCH", "/bucket/k", "", "s3:PATCH", "bucket/k"),
    ],
)
def test_a_call_of_s3_is_named_by_what_it_does_to_what(
    method: str, path: str, query: str, name: str, resource: str
) -> None:
    assert identify("s3", environ(method, path, query=query)) == (name, resource)


def test_a_copy_within_s3_is_no_upload() -> None:
    assert identify("s3", environ("PUT", "/b/k", HTTP_X_AMZ_COPY_SOURCE="/b/a"))[0] == "s3:CopyObject"


@pytest.mark.parametrize(
    ("service", "target", "request_", "name", "resource"),
    [
        ("sagemaker", "SageMaker.CreateTrainingJob", {"TrainingJobName": "j"}, "CreateTrainingJob", "j"),
        ("sagemaker", "SageMaker.DescribeModel", {"ModelName": "m"}, "DescribeModel", "m"),
        ("sagemaker", "SageMaker.AddTags", {"ResourceArn": "arn"}, "AddTags", "arn"),
        ("sagemaker", "SageMaker.Search", {"Resource": "TrainingJob"}, "Search", ""),
        ("logs", "Logs_20140328.GetLogEvents", {"logGroupName": "g", "logStreamName": "s"}, "logs:GetLogEvents", "g:s"),
        ("logs", "Logs_20140328.CreateLogGroup", {"logGroupName": "g"}, "logs:CreateLogGroup", "g"),
        ("ssm", "AmazonSSM.GetParameter", {"Name": "/p"}, "ssm:GetParameter", "/p"),
        ("monitoring", "GraniteService.GetMetricData", {}, "cloudwatch:GetMetricData", ""),
    ],
)
def test_a_call_of_json_is_named_by_its_target_and_what_it_is_about(
    service: str, target: str, request_: dict[str, Any], name: str, resource: str
) -> None:
    body = json.dumps(request_).encode()
    asked = environ(target=target, body=body)
    assert identify(service, asked) == (name, resource)
    assert read_body(asked) == body, "whoever answers reads it again"


def test_a_body_that_cannot_be_read_names_no_resource() -> None:
    assert identify("sagemaker", environ(target="SageMaker.Search", body=b"{")) == ("Search", "")


@pytest.mark.parametrize(
    ("body", "name", "resource"),
    [
        (b"Action=GetRole&RoleName=r", "iam:GetRole", "r"),
        (b"Action=SimulatePrincipalPolicy&PolicySourceArn=arn%3Ax", "iam:SimulatePrincipalPolicy", "arn:x"),
        (b"", "iam:?", ""),
    ],
)
def test_a_call_by_form_is_named_by_its_action(body: bytes, name: str, resource: str) -> None:
    assert identify("iam", environ(body=body)) == (name, resource)


def test_a_call_by_cbor_is_named_by_its_path() -> None:
    path = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
    assert identify("monitoring", environ(path=path)) == ("cloudwatch:PutMetricData", "")


# -- what a fault does -------------------------------------------------------------------------------------------------


def hit(**fault: Any) -> Any:
    return FaultSwitches().add(parse_fault({"effect": "error"} | fault))


@pytest.mark.parametrize(
    ("service", "fault", "expected"),
    [
        ("sagemaker", {}, ("InternalFailure", 500)),
        ("sagemaker", {"code": "ThrottlingException", "status": 400}, ("ThrottlingException", 400)),
        ("s3", {"code": "ThrottlingException", "status": 400}, ("SlowDown", 503)),
        ("s3", {}, ("InternalError", 500)),
        ("s3", {"code": "AccessDeniedException", "status": 400}, ("AccessDenied", 403)),
        ("s3", {"code": "NoSuchBucket", "status": 404}, ("NoSuchBucket", 404)),
    ],
)
def test_an_error_is_in_the_words_of_the_service(
    service: str, fault: dict[str, Any], expected: tuple[str, int]
) -> None:
    with pytest.raises(ServiceError) as caught:
        strike(hit(**fault), service, {})
    assert (caught.value.code, caught.value.status) == expected
    if service == "sagemaker" or fault.get("code") == "NoSuchBucket":
        assert caught.value.message.startswith("The request processing has failed")
    with pytest.raises(ServiceError, match="my words"):
        strike(hit(code="X", message="my words"), service, {})


def test_a_delay_that_was_switched_off_is_over() -> None:
    switches = FaultSwitches()
    delayed = switches.add(parse_fault({"effect": "delay", "seconds": 600}))
    switches.remove(delayed.id)
    strike(delayed, "s3", {})


@pytest.mark.parametrize(("when", "answered"), [("before", 0), ("after", 1)])
def test_a_fault_strikes_before_or_after_the_service_has_answered(when: str, answered: int) -> None:
    layer, calls = FaultLayer(), []
    switch = layer.switches.add(parse_fault({"effect": "error", "when": when, "times": 1}))

    def answer(_: Any) -> Any:
        calls.append(1)
        return json_response({})

    asked = environ(target="SageMaker.Search", body=b"{}")
    with pytest.raises(ServiceError):
        layer.around("sagemaker", asked, answer)
    assert len(calls) == answered
    assert layer.around("sagemaker", asked, answer).status_code == 200
    first, second = layer.journal.calls()
    assert (first["answer"], first["faults"]) == ("500 InternalFailure", (switch.id,))
    assert (second["answer"], second["faults"], second["operation"]) == ("200", (), "Search")


def test_the_platforms_own_calls_are_noted_apart_and_never_hit() -> None:
    layer = FaultLayer()
    switch = layer.switches.add(parse_fault({"effect": "error"}))
    asked = environ("PUT", "/b/k", HTTP_USER_AGENT="Boto3 nbjobs-platform")
    layer.around("s3", asked, lambda _: json_response({}, 201))
    assert (switch.hits, layer.journal.calls()) == (0, [])
    (call,) = layer.platform_journal.calls()
    assert (call["operation"], call["resource"], call["answer"]) == ("s3:PutObject", "b/k", "201")


# -- the switches and the journal --------------------------------------------------------------------------------------


def test_switches_have_ids_and_hit_in_their_order() -> None:
    switches = FaultSwitches()
    first = switches.add(parse_fault({"effect": "error", "operations": ["s3:*"]}))
    second = switches.add(parse_fault({"effect": "error"}))
    assert (first.id, second.id) == ("fault-1", "fault-2")
    assert [each.id for each in switches.hitting("s3:GetObject", "b/k")] == ["fault-1", "fault-2"]
    assert [each.id for each in switches.hitting("Search", "")] == ["fault-2"]
    assert (first.hits, second.hits) == (1, 2)
    assert second.document() | {"fault": None} == {"id": "fault-2", "hits": 2, "fault": None}
    assert switches.remove("fault-1") is first
    assert first.is_off.is_set()
    assert switches.all() == [second]
    with pytest.raises(ValidationError, match="No fault has the id 'fault-1'"):
        switches.get("fault-1")
    switches.clear()
    assert switches.all() == []


def test_a_spent_switch_hits_no_more_and_is_still_there() -> None:
    switches = FaultSwitches()
    switch = switches.add(parse_fault({"effect": "error", "times": 2}))
    assert [len(switches.hitting("Search", "")) for _ in range(3)] == [1, 1, 0]
    assert switches.get(switch.id).hits == 2


@pytest.mark.parametrize(("probability", "hits"), [(0, 0), (1, 100)])
def test_certain_and_impossible_faults(probability: int, hits: int) -> None:
    switches = FaultSwitches()
    switches.add(parse_fault({"effect": "error", "probability": probability}))
    assert sum(len(switches.hitting("Search", "")) for _ in range(100)) == hits


def test_equal_seeds_hit_the_same_calls() -> None:
    def drawn(seed: int) -> list[int]:
        switches = FaultSwitches()
        switches.add(parse_fault({"effect": "error", "probability": 0.5, "seed": seed}))
        return [len(switches.hitting("Search", "")) for _ in range(50)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 0 < sum(drawn(1)) < 50


def test_calls_are_kept_by_number_with_their_answers() -> None:
    journal = Journal()
    with journal.noting("Search", "a", ("fault-1",)) as call:
        call.answer = "200"
    with pytest.raises(ConnectionResetError), journal.noting("CreateTrainingJob", "b", ()):
        raise ConnectionResetError
    calls = journal.calls()
    assert [(each["number"], each["answer"]) for each in calls] == [(1, "200"), (2, "reset")]
    assert calls[0]["faults"] == ("fault-1",)
    assert [each["number"] for each in journal.calls(operation="Create*")] == [2]
    assert [each["number"] for each in journal.calls(resource="a")] == [1]
    assert [each["number"] for each in journal.calls(after=1)] == [2]
    assert journal.calls(after=2) == []


# -- control -----------------------------------------------------------------------------------------------------------


def told(layer: FaultLayer, action: Any, **members: Any) -> Any:
    body = json.dumps({"action": action, **members}).encode()
    return json.loads(layer.control(environ(path=CONTROL_PATH, body=body)).get_data())


def test_faults_are_switched_by_actions() -> None:
    layer = FaultLayer()
    added = told(layer, "add", fault={"effect": "error", "times": 3})
    assert (added["id"], added["hits"], added["fault"]["times"]) == ("fault-1", 0, 3)
    assert told(layer, "get", id="fault-1") == added
    assert told(layer, "list") == {"faults": [added]}
    assert told(layer, "remove", id="fault-1") == added
    told(layer, "add", fault={"effect": "reset"})
    assert told(layer, "clear") == {}
    assert told(layer, "list") == {"faults": []}
    with layer.journal.noting("Search", "", ()):
        pass
    assert [each["operation"] for each in told(layer, "calls", after=0)["calls"]] == ["Search"]
    assert told(layer, "calls", by_platform=True) == {"calls": []}


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        (environ("GET", CONTROL_PATH), 404, "Faults are switched by POST"),
        (environ(path="/elsewhere"), 404, "Faults are switched by POST"),
        (environ(path=CONTROL_PATH, body=b'{"action": "x"}'), 400, "The action is one of add, remove"),
        (environ(path=CONTROL_PATH, body=b'{"action": "get"}'), 400, "get: "),
    ],
    ids=["method", "path", "action", "member"],
)
def test_a_control_request_that_is_none_is_refused(asked: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(ServiceError) as caught:
        FaultLayer().control(asked)
    assert (caught.value.status, words in caught.value.message) == (status, True)
