"""
CloudWatch Logs: what the containers of training jobs write.

Made by ``clients.py``; ``log_follower.py``, ``log_reader.py`` and ``results/read.py`` read through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airflow_nbjobs.aws.connection import Port
from airflow_nbjobs.aws.errors import error_code
from airflow_nbjobs.core.job.naming import LOG_GROUP
from airflow_nbjobs.core.watch.log_lines import LogEvent, LogPage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_TAIL_PAGES = 5


class Boto3ContainerLogs(Port):
    def tail(self, job_name: str, *, limit: int) -> list[str] | None:
        from botocore.exceptions import ClientError

        def read(client: Any) -> list[str] | None:
            try:
                pages = client.get_paginator("describe_log_streams").paginate(
                    logGroupName=LOG_GROUP, logStreamNamePrefix=f"{job_name}/"
                )
                streams = [stream["logStreamName"] for page in pages for stream in page.get("logStreams", ())]
                # A restart by the platform opens another stream, whose name ends in a later time; only the last attempt's tail matters.
                return _last_messages(client, max(streams), limit) if streams else None
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return None
                raise

        return self.ask("logs:GetLogEvents", read, on=f"{LOG_GROUP} {job_name}/", job_name=job_name)

    def events(
        self,
        *,
        since: int,
        streams: Sequence[str] = (),
        prefix: str = "",
        phrase: str = "",
        next_token: str | None = None,
    ) -> LogPage:
        from botocore.exceptions import ClientError

        request: dict[str, Any] = {
            "logGroupName": LOG_GROUP,
            "startTime": since or None,
            "logStreamNames": list(streams) or None,
            "logStreamNamePrefix": prefix or None,
            "filterPattern": f'"{phrase}"' if phrase else None,
            "nextToken": next_token,
        }
        given = {name: value for name, value in request.items() if value is not None}

        def read(client: Any) -> Mapping[str, Any] | None:
            try:
                return cast("Mapping[str, Any]", client.filter_log_events(**given))
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException" and not streams:
                    return None
                raise

        answer = self.ask("logs:FilterLogEvents", read, on=f"{LOG_GROUP} {prefix or '*'}")
        if answer is None:
            return LogPage(())
        events = tuple(
            LogEvent(
                id=event["eventId"], stream=event["logStreamName"], at=event["timestamp"], message=event["message"]
            )
            for event in answer.get("events", ())
        )
        return LogPage(events, answer.get("nextToken") or None)


def _last_messages(client: Any, stream: str, limit: int) -> list[str]:
    """Read a stream backwards: a page may be empty and not the last one; the last one's token comes back."""
    request: dict[str, Any] = {
        "logGroupName": LOG_GROUP,
        "logStreamName": stream,
        "limit": limit,
        "startFromHead": False,
    }
    messages: list[str] = []
    for _ in range(_MOST_TAIL_PAGES):
        answer = client.get_log_events(**request)
        messages = [event["message"] for event in answer.get("events", ())] + messages
        token = answer.get("nextBackwardToken")
        if len(messages) >= limit or token in (None, request.get("nextToken")):
            break
        request["nextToken"] = token
    return messages[-limit:]
