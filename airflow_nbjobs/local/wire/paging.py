"""
Pages with opaque tokens, for the List operations and Search. Pure.

A token marks the last item of its page, not a count, so that jobs created meanwhile neither repeat nor hide items; it belongs to one query.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airflow_nbjobs.local.wire.formats import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Named(Protocol):
    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)


def take_page(
    jobs: Sequence[Item],
    request: Mapping[str, Any],
    *,
    key: Callable[[Item], Any],
    descending: bool,
    default_size: int,
) -> tuple[list[Item], str | None]:
    """
    Return one page, sorted by ``key`` (then name), and the token of the next, if there is one.

    :raises ServiceError: the token is of another query, or of nobody.
    """
    query = {name: value for name, value in request.items() if name not in {"NextToken", "MaxResults"}}
    digest = hashlib.sha256(json.dumps(query, sort_keys=True).encode()).hexdigest()[:16]
    ordered = sorted(jobs, key=lambda job: (key(job), job.name), reverse=descending)
    if token := request.get("NextToken"):
        after = _read_token(token, digest)
        ordered = [job for job in ordered if _is_after([key(job), job.name], after, descending=descending)]
    size = int(request.get("MaxResults", default_size))
    page = ordered[:size]
    if len(ordered) <= size:
        return page, None
    mark = {"query": digest, "after": [key(page[-1]), page[-1].name]}
    return page, base64.urlsafe_b64encode(json.dumps(mark).encode()).decode()


def _is_after(position: list[Any], mark: list[Any], *, descending: bool) -> bool:
    return position < mark if descending else position > mark


def _read_token(token: str, digest: str) -> list[Any]:
    try:
        mark = json.loads(base64.urlsafe_b64decode(token))
        if mark["query"] == digest:
            return list(mark["after"])
    except (ValueError, KeyError, TypeError):
        pass
    raise ServiceError("ValidationException", "Invalid NextToken: it was not made for this query.")
