"""
Airflow's REST API as JSON documents: pages followed, what passes asked for again, every refusal in words.

Called by ``rest.py``; knows no path and no field of a document.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx

from airflow_nbjobs.commands.records.port import AirflowError
from airflow_nbjobs.core.texts import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

API = "/api/v2"
_PAGE = 100  # Airflow's own maximum, unless it is configured
_BACK = 20  # items, at least, where a list has moved
_MOST_BACKS = 200
# What tells an item of a list from another: a run, a task instance (its id changes with each try), an XCom, an event.
_NAMES = ("dag_id", "dag_run_id", "run_id", "task_id", "map_index", "key", "id")
_TIMEOUT_SECONDS = 60.0
_PAUSES_SECONDS = (1.0, 4.0, 10.0)
_LONGEST_PAUSE_SECONDS = 60.0
_TEXT_CHARACTERS = 300
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NotFoundError(AirflowError):
    """Airflow has nothing of that name."""


class RestClient:
    """
    One Airflow's API.

    :param http: with the base URL and the token.
    """

    def __init__(self, http: httpx.Client, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self._http = http
        self._sleep = sleep
        self.address = str(http.base_url).rstrip("/")

    def get(self, *path: str, **query: Any) -> dict[str, Any]:
        """
        Return one document.

        :param path: its parts below ``/api/v2``; each is quoted.
        :raises NotFoundError: there is none.
        :raises AirflowError: Airflow refuses it, or does not answer in four tries.
        """
        address = "/".join((API, *(quote(part, safe="~") for part in path)))
        for pause_seconds in (*_PAUSES_SECONDS, None):
            try:
                answer = self._http.get(address.lstrip("/"), params=query)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if pause_seconds is None or isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
                    raise self._error(
                        f"got no answer: {str(error) or type(error).__name__}",
                        "check --airflow-url, and that this machine reaches it",
                    ) from error
            else:
                if pause_seconds is None or not _is_passing(answer.status_code):
                    return self._document(answer, address)
                pause_seconds = _told_pause(answer.headers) or pause_seconds  # noqa: PLW2901 - of this round alone
            self._sleep(pause_seconds)
        raise AssertionError  # the last round returns or raises

    def pages(self, *path: str, items: str, **query: Any) -> Iterator[dict[str, Any]]:
        """
        Yield the items of a list, page after page.

        A list moves under its reader: a retry gives a task instance another id, and what is deleted lets all that follow move up. So each page begins with the last
        item of the one before; where that has another there, the reader goes back until it meets what it knows. Nothing that was there all the time is left out; what
        was given another id meanwhile comes twice.

        :raises AirflowError: Airflow gives fewer items than it says there are, or the list moves faster than it is read.
        """
        known: set[tuple[Any, ...]] = set()
        offset = backs = 0
        while True:
            document = self.get(*path, limit=_PAGE, offset=offset, **query)
            found = document.get(items)
            if not isinstance(found, list):
                raise self._error(f"answers without '{items}'", "check that --airflow-url is that of an Airflow 3")
            if offset and (not found or _name(found[0]) not in known):
                offset, backs = max(offset - max(len(found), _BACK), 0), backs + 1
                if backs > _MOST_BACKS:
                    raise self._error(
                        f"moves the list {'/'.join(path)} faster than it is read",
                        "run the command again, at a quieter time",
                    )
                continue
            fresh = [each for each in found if _name(each) not in known]
            known |= {_name(each) for each in fresh}
            yield from fresh
            end, total = offset + len(found), document.get("total_entries")
            if not isinstance(total, int):
                raise self._error(
                    f"does not say how many {items} there are", "check that --airflow-url is that of an Airflow 3"
                )
            if end >= total:
                if len(known) < total:
                    raise self._error(
                        f"gives {len(known)} of the {total} items of {'/'.join(path)}",
                        "run the command again; if that does not help, look at the API server's log",
                    )
                return
            if len(found) == 1:
                raise self._error("gives one item a page", "raise its [api] maximum_page_limit")
            offset = end - 1

    def _document(self, answer: httpx.Response, address: str) -> dict[str, Any]:
        status = answer.status_code
        try:
            document: Any = answer.json()
        except ValueError:
            document = None
        said = document.get("detail") if isinstance(document, dict) else None
        if status == httpx.codes.FORBIDDEN and "JWT" in str(said):  # so Airflow says of a text that is no token of its
            status = httpx.codes.UNAUTHORIZED
        said = f": {shortened(str(said), _TEXT_CHARACTERS)}" if said else ""
        match status:
            case 200 if isinstance(document, dict):
                return document
            case 401:
                raise self._error(
                    f"does not accept the token{said}", "make a new one (POST /auth/token, or your platform's own way)"
                )
            case 403:
                raise self._error(
                    f"does not let the token's user read {address}{said}",
                    "give the user's role permission to read DAG runs, task instances and XComs of this DAG",
                )
            case 404 if isinstance(document, dict):
                raise NotFoundError(f"{self.address} has no {address}{said}")
            case _ if status >= 500 or status == 429:
                raise self._error(f"fails ({status}){said}", "look at the API server's log; a later call may do better")
            case _ if 300 <= status < 400:
                raise self._error(
                    f"leads elsewhere ({status}, {answer.headers.get('location', '')})",
                    "give the address of Airflow itself; a sign-in page in front of it takes no token",
                )
        what = "with what is no JSON" if document is None else f"with {status}{said}"
        raise self._error(f"answers {what}", "check that --airflow-url is the root of an Airflow 3, without /api/v2")

    def _error(self, what: str, advice: str) -> AirflowError:
        return AirflowError(f"Airflow at {self.address} {what}", details={"next": advice})


def open_client(url: str, token: str) -> tuple[httpx.Client, str]:
    """
    Return an HTTP client for an Airflow, and what is worth a warning.

    :param url: its root, as ``https://airflow.example.com/deployment``.
    :raises ValueError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of an Airflow, such as https://airflow.example.com")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("the address has a user, a query or a fragment; give the root of Airflow alone")
    is_open = parts.scheme == "http" and parts.hostname not in _LOOPBACK
    client = httpx.Client(
        base_url=url.removesuffix("/").removesuffix(API),
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        timeout=_TIMEOUT_SECONDS,
    )
    return client, f"the token goes to {parts.hostname} unencrypted (http)" if is_open else ""


def _name(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in _NAMES)


def _is_passing(status: int) -> bool:
    return status == 429 or status >= 500


def _told_pause(headers: Mapping[str, str]) -> float | None:
    try:
        return min(max(float(headers["retry-after"]), 0.0), _LONGEST_PAUSE_SECONDS)
    except (KeyError, ValueError):
        return None
