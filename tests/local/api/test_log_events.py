"""CloudWatch Logs of the embedded SageMaker: what its API says of streams, windows, patterns, order and pages."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from airflow_nbjobs.local.api.log_events import parse_pattern
from airflow_nbjobs.local.wire.formats import ServiceError

if TYPE_CHECKING:
    from local_jobs import Jobs

pytestmark = pytest.mark.local

GROUP = "/test/events"
_numbers = itertools.count()


@pytest.fixture
def group(jobs: Jobs) -> tuple[Any, str, int]:
    """A group with the streams a/1, a/2, ab/1 and b/1, each with one event a millisecond, and when the first one was."""
    logs, name = jobs.logs, f"{GROUP}/{next(_numbers)}"
    logs.create_log_group(logGroupName=name)
    begin = int(time.time() * 1000) - 60_000
    for place, stream in enumerate(("a/1", "a/2", "ab/1", "b/1")):
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
        events = [{"timestamp": begin + 4 * n + place, "message": f"{stream} line {n}"} for n in range(5)]
        logs.put_log_events(logGroupName=name, logStreamName=stream, logEvents=events)
    return logs, name, begin


def found(group: tuple[Any, str, int], **question: Any) -> list[str]:
    logs, name, _ = group
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=name, **question)
    return [event["message"] for page in pages for event in page["events"]]


def test_events_are_of_the_streams_that_are_named_or_begin_so_in_the_order_of_time(group) -> None:
    assert found(group, logStreamNamePrefix="a/") == [f"a/{s} line {n}" for n in range(5) for s in (1, 2)]
    assert found(group, logStreamNamePrefix="ab") == [f"ab/1 line {n}" for n in range(5)]
    assert found(group, logStreamNamePrefix="none") == []
    assert found(group, logStreamNames=["b/1", "a/2"]) == [
        f"{s}/{m} line {n}" for n in range(5) for s, m in ("a2", "b1")
    ]
    assert len(found(group)) == 20
    assert found(group, startFromHead=False) == found(group)[::-1]


def test_the_window_holds_both_its_ends_and_of_one_stream_its_first(group) -> None:
    logs, name, begin = group
    assert found(group, startTime=begin + 4, endTime=begin + 5) == ["a/1 line 1", "a/2 line 1"]
    window = {"startTime": begin + 4, "endTime": begin + 8}
    page = logs.get_log_events(logGroupName=name, logStreamName="a/1", startFromHead=True, **window)
    assert [event["message"] for event in page["events"]] == ["a/1 line 1"]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_pages_give_each_event_once_also_while_others_are_written(group, size) -> None:
    logs, name, begin = group
    messages, token = [], None
    while True:
        given = {"nextToken": token} if token else {}
        page = logs.filter_log_events(logGroupName=name, logStreamNamePrefix="a/", limit=size, **given)
        messages += [event["message"] for event in page["events"]]
        token = page.get("nextToken")
        if len(messages) == size:
            early = [{"timestamp": begin - 1, "message": "a/2 comes late"}]
            logs.put_log_events(logGroupName=name, logStreamName="a/2", logEvents=early)
        if token is None:
            break
    assert messages == [f"a/{s} line {n}" for n in range(5) for s in (1, 2)]


def test_a_page_holds_at_most_a_mebibyte(group) -> None:
    logs, name, begin = group
    for n in range(3):
        big = [{"timestamp": begin + 100 + n, "message": "x" * 200_000} for n in range(3)]
        logs.put_log_events(logGroupName=name, logStreamName="b/1", logEvents=big)
    page = logs.filter_log_events(logGroupName=name, logStreamNames=["b/1"])
    assert len(page["events"]) == 5 + 5
    assert len(found(group, logStreamNames=["b/1"])) == 5 + 9


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"logStreamNames": ["a/1"], "logStreamNamePrefix": "a"}, "InvalidParameterException"),
        ({"logStreamNames": ["a/1", "a/9"]}, "ResourceNotFoundException"),
        ({"logGroupName": "/no/such"}, "ResourceNotFoundException"),
        ({"logGroupIdentifier": "/no/such"}, "InvalidParameterException"),
        ({"nextToken": "xyz"}, "InvalidParameterException"),
        ({"limit": 10_001}, "InvalidParameterException"),
        ({"logStreamNames": [f"s{n}" for n in range(101)]}, "InvalidParameterException"),
        ({"logStreamNamePrefix": "a:*"}, "InvalidParameterException"),
        ({"filterPattern": "{ $.level = 1 }"}, "InvalidParameterException"),
    ],
)
def test_what_the_api_refuses_is_refused_by_its_code(group, question, code) -> None:
    logs, name, _ = group
    with pytest.raises(ClientError) as error:
        logs.filter_log_events(**{"logGroupName": name, **question})
    assert error.value.response["Error"]["Code"] == code


def test_a_token_belongs_to_its_question(group) -> None:
    logs, name, _ = group
    token = logs.filter_log_events(logGroupName=name, limit=1)["nextToken"]
    with pytest.raises(ClientError, match="nextToken is invalid"):
        logs.filter_log_events(logGroupName=name, logStreamNamePrefix="a", nextToken=token)


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("", ["anything"], []),
        ('"two words"', ["has two words in it"], ["two other words"]),
        ("one two", ["two and one"], ["one only"]),
        ("?one ?two", ["one", "two"], ["three"]),
        ("one -two", ["one"], ["one two", "three"]),
        ('"say \\"x\\""', ['I say "x"'], ["say x"]),
        ("%line [0-9]+%", ["line 7"], ["line x"]),
        ("Error", ["Error: x"], ["error: x"]),
    ],
)
def test_a_pattern_is_read_as_its_guide_says(pattern, matches, others) -> None:
    says = parse_pattern(pattern)
    assert [text for text in (*matches, *others) if says(text)] == matches


def test_a_pattern_that_is_no_expression_is_refused() -> None:
    with pytest.raises(ServiceError, match="Invalid filter pattern"):
        parse_pattern("%(%")
