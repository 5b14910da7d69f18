"""
Pages with opaque tokens, for the List operations, Search and FilterLogEvents. Pure.

A token marks the last item of its page, not a count, so that jobs created meanwhile neither repeat nor hide items; it belongs to one query.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULT_PAGE = 10  # Source: MaxResults of the List operations and of Search, API reference


Item = TypeVar("Item")


def take_page(
    items: Sequence[Item], request: Mapping[str, Any], *, key: Callable[[Item], list[Any]], default_order: str
) -> tuple[list[Item], dict[str, str]]:
    """
    Return one page, sorted by ``key``, and the answer's ``NextToken``, if there is another.

    :param key: a place of its own for each item; JSON holds it.
    :param default_order: ``Ascending`` or ``Descending``.
    :raises ServiceError: the token is of another query, or of nobody.
    """
    descending = request.get("SortOrder", default_order) == "Descending"
    digest = query_digest(request, without={"NextToken", "MaxResults"})
    ordered = sorted(items, key=key, reverse=descending)
    if token := request.get("NextToken"):
        after = read_token(token, digest)
        if after is None:
            raise ValidationError("Invalid NextToken: it was not made for this query.")
        ordered = [item for item in ordered if (key(item) < after if descending else key(item) > after)]
    size = int(request.get("MaxResults", DEFAULT_PAGE))
    page = ordered[:size]
    if len(ordered) <= size:
        return page, {}
    return page, {"NextToken": write_token(digest, key(page[-1]))}


def query_digest(request: Mapping[str, Any], *, without: set[str]) -> str:
    query = {name: value for name, value in request.items() if name not in without}
    return hashlib.sha256(json.dumps(query, sort_keys=True).encode()).hexdigest()[:16]


def write_token(digest: str, position: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([digest, position]).encode()).decode()


def read_token(token: str, digest: str) -> list[Any] | None:
    """Return the position that a token holds; None for one of another query, or of nobody."""
    with contextlib.suppress(ValueError, TypeError):
        found, position = json.loads(base64.urlsafe_b64decode(token))
        if found == digest:
            return list(position)
    return None
