"""Airflow's REST API as it answers on a bad day: pages, refusals, a wrong address, what passes."""

from __future__ import annotations

import httpx
import pytest

from airflow_nbjobs.commands.records.port import AirflowError
from airflow_nbjobs.commands.records.rest_client import NotFoundError, RestClient, open_client


def client(*answers, pauses=None):
    """A client of an Airflow that gives these answers in turn, the last again and again; requests are kept in ``.seen``."""
    left, seen = list(answers), []

    def answer(request):
        seen.append(request)
        one = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(one, Exception):
            raise one
        return one(request) if callable(one) else one

    http = httpx.Client(base_url="https://airflow.test/team", transport=httpx.MockTransport(answer))
    made = RestClient(http, sleep=(pauses if pauses is not None else []).append)
    made.seen = seen
    return made


def page(request):
    offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
    items = list(range(250))
    return httpx.Response(
        200, json={"runs": [{"id": each} for each in items[offset : offset + limit]], "total_entries": 250}
    )


def test_a_name_is_quoted_below_the_root_that_airflow_has():
    made = client(httpx.Response(200, json={}))
    made.get("dags", "d", "dagRuns", "manual__2026-01-01T00:00:00+00:00/x")
    assert made.seen[0].url.raw_path == b"/team/api/v2/dags/d/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00%2Fx"


def test_all_pages_are_read():
    made = client(page)
    assert [each["id"] for each in made.pages("runs", items="runs", order_by="id")] == list(range(250))
    assert len(made.seen) == 3


class Moving:
    """
    A list in the order of its ids, of which something happens before a page is given.

    :param meanwhile: number of the page, from 1 -> what happens.
    """

    def __init__(self, meanwhile, count=250):
        self.tasks = {number: f"t{number}" for number in range(count)}
        self.meanwhile = meanwhile
        self.pages = 0

    def retry(self, *tasks):
        """Each gets another id, at the end."""
        for task in tasks:
            self.delete(task)
            self.tasks[max(self.tasks) + 1] = task

    def delete(self, *tasks):
        self.tasks = {number: task for number, task in self.tasks.items() if task not in tasks}

    def __call__(self, request):
        self.pages += 1
        self.meanwhile.get(self.pages, lambda _: None)(self)
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        items = [{"id": number, "task_id": task} for number, task in sorted(self.tasks.items())]
        return httpx.Response(200, json={"items": items[offset : offset + limit], "total_entries": len(items)})


@pytest.mark.parametrize(
    "meanwhile",
    [
        {2: lambda moving: moving.retry("t5")},
        {2: lambda moving: moving.retry("t5"), 3: lambda moving: moving.retry("t7", "t150")},
        {2: lambda moving: moving.retry("t99")},
        {2: lambda moving: moving.retry(*(f"t{number}" for number in range(60, 100)))},
        {3: lambda moving: moving.retry(*(f"t{number}" for number in range(199)))},
    ],
)
def test_a_task_that_is_tried_again_while_a_list_is_read_lets_none_be_left_out(meanwhile):
    """Its id is another then, all that follow move up, and one would fall between two pages."""
    made = client(Moving(meanwhile))
    found = [each["task_id"] for each in made.pages("x", items="items", order_by="id")]
    assert {f"t{number}" for number in range(250)} == set(found)


@pytest.mark.parametrize("page", [2, 3])
def test_what_is_deleted_while_a_list_is_read_lets_none_be_left_out(page):
    gone = [f"t{number}" for number in range(20, 90)]
    made = client(Moving({page: lambda moving: moving.delete(*gone)}))
    found = [each["task_id"] for each in made.pages("x", items="items", order_by="id")]
    assert {f"t{number}" for number in range(250)} - set(gone) <= set(found)
    assert len(found) == len(set(found))


def test_a_list_that_never_rests_is_an_error():
    def restless(request):
        offset = int(request.url.params["offset"])
        restless.number += 1000
        items = [{"id": restless.number + each} for each in range(100)]
        return httpx.Response(200, json={"items": items if offset < 900 else [], "total_entries": 1000})

    restless.number = 0
    with pytest.raises(AirflowError, match="moves the list x faster than it is read"):
        list(client(restless).pages("x", items="items"))


@pytest.mark.parametrize("total", [250, 101])
def test_fewer_than_there_are_is_an_error(total):
    """A server, or something before it, that always gives the first page."""
    first = {"items": [{"id": number} for number in range(100)], "total_entries": total}
    with pytest.raises(AirflowError, match=f"gives 100 of the {total} items of x"):
        list(client(httpx.Response(200, json=first)).pages("x", items="items"))


def test_a_list_that_does_not_say_how_long_it_is_is_an_error():
    with pytest.raises(AirflowError, match="does not say how many items there are"):
        list(client(httpx.Response(200, json={"items": [{"id": 1}]})).pages("x", items="items"))


def test_a_list_of_another_kind_is_an_error():
    with pytest.raises(AirflowError, match="answers without 'items'"):
        list(client(httpx.Response(200, json={"others": [], "total_entries": 0})).pages("x", items="items"))


def test_one_item_a_page_is_refused_and_not_read_for_ever():
    def single(request):
        offset = int(request.url.params["offset"])
        return httpx.Response(200, json={"items": [{"id": offset}], "total_entries": 7})

    with pytest.raises(AirflowError, match="maximum_page_limit"):
        list(client(single).pages("x", items="items"))


def test_an_airflow_that_gives_fewer_than_asked_is_read_to_its_end():
    """``[api] maximum_page_limit`` may be below what is asked for."""

    def short(request):
        offset = int(request.url.params["offset"])
        found = list(range(7))[offset : offset + 3]
        return httpx.Response(200, json={"runs": [{"id": each} for each in found], "total_entries": 7})

    assert [each["id"] for each in client(short).pages("runs", items="runs")] == list(range(7))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(401, json={"detail": "Token Expired"}), "does not accept the token: Token Expired"),
        (httpx.Response(403, json={"detail": "Invalid JWT token"}), "does not accept the token"),
        (httpx.Response(403, json={"detail": "Forbidden"}), "does not let the token's user read /api/v2/dags/d"),
        (httpx.Response(302, headers={"location": "https://sso/login"}), "leads elsewhere"),
        (httpx.Response(404, text="<html>nginx</html>"), "what is no JSON"),
        (httpx.Response(200, text="<html>sign in</html>"), "what is no JSON"),
        (httpx.Response(200, json=[1]), "answers with 200"),
        (httpx.Response(422, json={"detail": "bad"}), "answers with 422: bad"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_is_told_from_another_at_once(answer, words):
    pauses = []
    with pytest.raises(AirflowError) as caught:
        client(answer, pauses=pauses).get("dags", "d")
    assert words in str(caught.value)
    assert "next:" in str(caught.value)
    assert not isinstance(caught.value, NotFoundError)
    assert pauses == []


def test_what_is_not_there_is_told_from_a_wrong_address():
    with pytest.raises(NotFoundError, match="nothing of it"):
        client(httpx.Response(404, json={"detail": "nothing of it"})).get("dags", "d")


def test_what_passes_is_asked_for_again_with_the_pause_that_airflow_names():
    pauses = []
    made = client(
        httpx.Response(503),
        httpx.ConnectError("refused"),
        httpx.Response(429, headers={"retry-after": "7"}),
        httpx.Response(200, json={"a": 1}),
        pauses=pauses,
    )
    assert made.get("dags") == {"a": 1}
    assert pauses == [1.0, 4.0, 7.0]


@pytest.mark.parametrize("answer", [httpx.Response(500, json={"detail": "boom"}), httpx.ReadTimeout("late")])
def test_what_does_not_pass_is_given_up(answer):
    pauses = []
    with pytest.raises(AirflowError, match=r"fails \(500\): boom|got no answer: late"):
        client(answer, pauses=pauses).get("dags")
    assert len(pauses) == 3


@pytest.mark.parametrize("url", ["", "airflow.test", "ftp://a", "https://", "https://u:p@a", "https://a?x=1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="address"):
        open_client(url, "t")


def test_a_token_in_the_open_is_warned_of():
    for url, is_warned in (("http://a.test", True), ("https://a.test", False), ("http://127.0.0.1:8080", False)):
        http, warning = open_client(url, "secret-token")
        assert bool(warning) is is_warned
        assert "secret-token" not in warning
        assert http.headers["Authorization"] == "Bearer secret-token"
        http.close()


@pytest.mark.parametrize(
    ("headers", "pause"),
    [({"retry-after": "7"}, 7.0), ({"retry-after": "600"}, 60.0), ({"retry-after": "-5"}, 1.0), ({"retry-after": "soon"}, 1.0), ({}, 1.0)],
    ids=str,
)  # fmt: skip
def test_a_pause_is_the_servers_up_to_a_minute(headers, pause):
    pauses = []
    made = client(httpx.Response(429, headers=headers), httpx.Response(200, json={}), pauses=pauses)
    assert made.get("dags") == {}
    assert pauses == [pause]


@pytest.mark.parametrize(
    ("status", "passes"), [(429, True), (500, True), (503, True), (499, False), (404, False), (302, False)]
)
def test_only_what_may_pass_is_asked_for_again(status, passes):
    made = client(httpx.Response(status, json={"detail": "x"}), httpx.Response(200, json={"a": 1}))
    if passes:
        assert made.get("dags") == {"a": 1}
    else:
        with pytest.raises(AirflowError):
            made.get("dags")
    assert len(made.seen) == 1 + passes


def test_an_address_that_no_client_takes_is_said_at_once():
    pauses = []
    with pytest.raises(AirflowError, match="got no answer: bad scheme"):
        client(httpx.UnsupportedProtocol("bad scheme"), pauses=pauses).get("dags")
    assert pauses == []


def test_an_error_without_words_is_told_by_its_kind_and_a_long_one_is_cut():
    with pytest.raises(AirflowError, match=r"got no answer: ReadTimeout") as error:
        client(httpx.ReadTimeout("")).get("dags")
    assert error.value.details["next"] == "check --airflow-url, and that this machine reaches it"
    with pytest.raises(AirflowError, match=r"x{300}…"):
        client(httpx.Response(422, json={"detail": "x" * 301})).get("dags")
    with pytest.raises(AirflowError, match=r"x{300}\n"):
        client(httpx.Response(401, json={"detail": "x" * 300})).get("dags")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://a.test", "https://a.test"),
        ("https://a.test/", "https://a.test/"),
        ("https://a.test/team/api/v2/", "https://a.test/team/"),
        ("http://localhost:8080/api/v2", "http://localhost:8080"),
    ],
)
def test_the_root_of_an_airflow_may_be_given_with_the_apis_path(url, base):
    http, warning = open_client(url, "t")
    http.close()
    assert (str(http.base_url).rstrip("/"), warning) == (base.rstrip("/"), "")
    assert http.headers["Accept"] == "application/json"
    assert not http.follow_redirects, "the token goes nowhere else"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_hears_no_token_that_is_in_the_open(host):
    http, warning = open_client(f"http://{host}:8080", "t")
    http.close()
    assert warning == ""


@pytest.mark.parametrize("url", ["https://u@a.test", "https://a.test?x=1", "https://a.test#x"])
def test_a_root_has_no_user_query_or_fragment(url):
    with pytest.raises(ValueError, match="has a user, a query or a fragment"):
        open_client(url, "t")
