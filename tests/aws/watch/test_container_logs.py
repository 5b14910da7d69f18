"""CloudWatch Logs through boto3's own calls: what is asked for, and what each answer means."""

import pytest
from botocore.exceptions import ClientError

from airflow_nbjobs.aws.watch.container_logs import Boto3ContainerLogs
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.watch.log_place import LogEvent, LogPage

GROUP = "/aws/sagemaker/TrainingJobs"


def refusal(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "Call")


class Logs:
    """
    One job's streams.

    :ivar pages: what GetLogEvents answers, one after the other.
    """

    meta = type("Meta", (), {"region_name": "eu-west-1"})

    def __init__(self, *, streams=(), pages=(), found=None, error=None):
        self.streams, self.pages, self.found, self.error = streams, list(pages), found or {}, error
        self.asked = []

    def _note(self, operation, request):
        self.asked.append((operation, request))
        if self.error is not None:
            raise self.error

    def get_paginator(self, operation):
        def paginate(**request):
            self._note(operation, request)
            return [{"logStreams": [{"logStreamName": name}]} for name in self.streams] + [{}]

        return type("Paginator", (), {"paginate": staticmethod(paginate)})

    def get_log_events(self, **request):
        self._note("get_log_events", request)
        return self.pages.pop(0)

    def filter_log_events(self, **request):
        self._note("filter_log_events", request)
        return self.found


def page(*messages, token=None):
    return {"events": [{"message": message} for message in messages]} | ({"nextBackwardToken": token} if token else {})


def test_a_tail_is_asked_for_from_the_end_of_the_jobs_last_stream():
    client = Logs(streams=("job/algo-1-9", "job/algo-1-10", "job/algo-1-2"), pages=[page("a", "b", "c", token="t")])
    assert Boto3ContainerLogs(client).tail("job", limit=2) == ["b", "c"]
    asked = {"logGroupName": GROUP, "logStreamName": "job/algo-1-9", "limit": 2, "startFromHead": False}
    assert client.asked == [
        ("describe_log_streams", {"logGroupName": GROUP, "logStreamNamePrefix": "job/"}),
        ("get_log_events", asked),
    ]


def test_a_tail_goes_back_page_by_page_until_it_is_long_enough():
    client = Logs(streams=("job/a",), pages=[page("d", token="1"), page("b", "c", token="2"), page("a", token="3")])
    assert Boto3ContainerLogs(client).tail("job", limit=3) == ["b", "c", "d"]
    assert len(client.asked) == 3
    assert client.asked[-1][1]["nextToken"] == "1"


@pytest.mark.parametrize(
    ("pages", "lines"),
    [
        ([page("a")], ["a"]),
        ([page("b", token="1"), page("a", token="1")], ["a", "b"]),
        ([{}], []),
        ([page(f"line {number}", token=str(number)) for number in range(5)], [f"line {n}" for n in (4, 3, 2, 1, 0)]),
    ],
    ids=["no token", "its own token", "no events", "five pages"],
)
def test_a_tail_ends_where_the_stream_does_or_after_five_pages(pages, lines):
    """The token of the first page comes back as the next one."""
    client = Logs(streams=("job/a",), pages=[*pages, page("too far", token="x")])
    assert Boto3ContainerLogs(client).tail("job", limit=50) == lines
    assert len(client.asked) == 1 + len(pages)


@pytest.mark.parametrize("client", [Logs(), Logs(error=refusal("ResourceNotFoundException"))], ids=["stream", "group"])
def test_a_job_that_has_written_nothing_has_no_tail(client):
    assert Boto3ContainerLogs(client).tail("job", limit=5) is None


def test_a_tail_that_may_not_be_read_names_the_permission_and_the_job():
    with pytest.raises(NotebookJobServiceError, match=f"logs:GetLogEvents for '{GROUP} job/'") as caught:
        Boto3ContainerLogs(Logs(error=refusal("AccessDeniedException"))).tail("job", limit=5)
    assert caught.value.job_name == "job"


EVENT = {"eventId": "e", "logStreamName": "job/a", "timestamp": 7, "message": "m", "ingestionTime": 9}


@pytest.mark.parametrize(
    ("given", "request_"),
    [
        ({"since": 0}, {}),
        ({"since": 5, "prefix": "job/"}, {"startTime": 5, "logStreamNamePrefix": "job/"}),
        ({"since": 5, "streams": ("a", "b")}, {"startTime": 5, "logStreamNames": ["a", "b"]}),
        (
            {"since": 5, "phrase": "SM_X", "next_token": "t"},
            {"startTime": 5, "filterPattern": '"SM_X"', "nextToken": "t"},
        ),
    ],
    ids=["all", "prefix", "streams", "phrase"],
)
def test_events_are_searched_as_asked_and_nothing_more_is_said(given, request_):
    client = Logs(found={"events": [EVENT], "nextToken": "next"})
    assert Boto3ContainerLogs(client).events(**given) == LogPage((LogEvent("e", "job/a", 7, "m"),), "next")
    assert client.asked == [("filter_log_events", {"logGroupName": GROUP} | request_)]


@pytest.mark.parametrize("answer", [{}, {"events": [], "nextToken": ""}], ids=["nothing", "no more"])
def test_an_answer_without_events_is_an_empty_last_page(answer):
    assert Boto3ContainerLogs(Logs(found=answer)).events(since=1) == LogPage((), None)


def test_without_a_log_group_there_are_no_events_but_a_stream_that_is_gone_is_told():
    client = Logs(error=refusal("ResourceNotFoundException"))
    assert Boto3ContainerLogs(client).events(since=1, prefix="job/") == LogPage(())
    with pytest.raises(NotebookJobServiceError) as caught:
        Boto3ContainerLogs(client).events(since=1, streams=("job/a",))
    assert caught.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize(("prefix", "on"), [("job/", "job/"), ("", "\\*")])
def test_a_search_that_is_denied_says_of_what(prefix, on):
    client = Logs(error=refusal("AccessDeniedException"))
    with pytest.raises(NotebookJobServiceError, match=rf"logs:FilterLogEvents for '{GROUP} {on}'"):
        Boto3ContainerLogs(client).events(since=1, prefix=prefix)
