"""
FilterLogEvents over moto's log groups: streams by name or prefix, the window, the pattern, the order and the pages as CloudWatch Logs has them.

Called by ``backends.py``; moto's own looks at no prefix. Source: botocore's documentation of FilterLogEvents and GetLogEvents; CloudWatch Logs user guide, filter
pattern syntax.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.wire.formats import ServiceError
from airflow_nbjobs.local.wire.paging import query_digest, read_token, write_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGE_EVENTS = 10_000
PAGE_BYTES = 1024 * 1024
_EVENT_OVERHEAD_BYTES = 26
_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]+)%|(\S+))')

Event = dict[str, Any]


def check_group(request: Mapping[str, Any]) -> None:
    """Raise ServiceError for a request that names no log group, or two."""
    if ("logGroupName" in request) is ("logGroupIdentifier" in request):
        raise _invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")  # our words


def filter_log_events(request: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    """
    Answer a FilterLogEvents request that is valid by the model.

    :param groups: moto's, by name.
    :raises ServiceError: in the service's words where they are known.
    """
    matches = parse_pattern(request.get("filterPattern", ""))
    start, end = request.get("startTime", 0), request.get("endTime", float("inf"))
    events = [
        {**event.to_filter_dict(), "logStreamName": stream.log_stream_name}
        for stream in _streams(request, groups)
        for event in list(stream.events)  # a container may be writing
        if start <= event.timestamp <= end and matches(event.message)
    ]
    is_backward = not request.get("startFromHead", True)
    events.sort(key=_position, reverse=is_backward)
    digest = query_digest(request, without={"nextToken", "limit"})
    if "nextToken" in request:
        if (after := read_token(request["nextToken"], digest)) is None:
            raise _invalid("The specified nextToken is invalid.")
        events = [event for event in events if (_position(event) < after if is_backward else _position(event) > after)]
    page = _page(events, int(request.get("limit", PAGE_EVENTS)))
    answer = {"events": page, "searchedLogStreams": []}
    return {**answer, "nextToken": write_token(digest, _position(page[-1]))} if len(page) < len(events) else answer


def end_exclusively(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a GetLogEvents request as moto is to read it: there the last millisecond belongs to the window, on AWS not."""
    if "endTime" not in request:
        return dict(request)
    return {**request, "endTime": request["endTime"] - 1 or -1}


def parse_pattern(pattern: str) -> Callable[[str], bool]:
    """
    Return what says whether a message matches: all its terms, none of those after ``-``, of those after ``?`` one where there is no other.

    :raises ServiceError: a pattern for JSON or for columns, which is refused here rather than taken for another.
    """
    if pattern.strip()[:1] in {"{", "["}:
        raise _invalid(
            "The embedded SageMaker does not support filter patterns for JSON ({…}) or columns ([…]), only terms."
        )
    terms: dict[str, list[Callable[[str], bool]]] = {"": [], "?": [], "-": []}
    for sign, phrase, expression, word in _TERM.findall(pattern):
        terms[sign].append(_term(re.sub(r"\\(.)", r"\1", phrase) or word, expression))

    def matches(message: str) -> bool:
        if any(term(message) for term in terms["-"]):
            return False
        if terms[""] or not terms["?"]:
            return all(term(message) for term in terms[""])
        return any(term(message) for term in terms["?"])

    return matches


def _term(text: str, expression: str) -> Callable[[str], bool]:
    if not expression:
        return lambda message: text in message
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise _invalid(f"Invalid filter pattern: {error}") from error
    return lambda message: compiled.search(message) is not None


def _streams(request: Mapping[str, Any], groups: Mapping[str, Any]) -> list[Any]:
    check_group(request)
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix", "")
    if names and prefix:
        raise _invalid("LogStreamNames and LogStreamNamePrefix are mutually exclusive.")  # our words
    # An ARN ends in ":log-group:NAME", or ":*" behind that.
    wanted = request.get("logGroupName") or request["logGroupIdentifier"].removesuffix(":*").rpartition(":")[2]
    if wanted not in groups:
        raise ServiceError("ResourceNotFoundException", "The specified log group does not exist.")
    streams = dict(groups[wanted].streams)
    if unknown := [name for name in names or () if name not in streams]:
        raise ServiceError("ResourceNotFoundException", f"The specified log stream does not exist: {unknown[0]}")
    return [stream for name, stream in streams.items() if (name in names if names else name.startswith(prefix))]


def _page(events: list[Event], limit: int) -> list[Event]:
    page: list[Event] = []
    room = PAGE_BYTES
    for event in events[:limit]:
        room -= len(event["message"].encode(errors="replace")) + _EVENT_OVERHEAD_BYTES
        if room < 0 and page:
            break
        page.append(event)
    return page


def _position(event: Event) -> list[int]:
    return [event["timestamp"], int(event["eventId"])]


def _invalid(text: str) -> ServiceError:
    return ServiceError("InvalidParameterException", text)
