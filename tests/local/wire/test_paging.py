"""Pages of the List operations: each item once, in the order asked for, whatever is made meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_nbjobs.local.wire.formats import ValidationError
from airflow_nbjobs.local.wire.paging import query_digest, read_token, take_page, write_token

ITEMS = [*range(25)]


def page(
    request: dict[str, Any], items: list[int] | None = None, default: str = "Ascending"
) -> tuple[list[int], dict[str, str]]:
    return take_page(ITEMS if items is None else items, request, key=lambda item: [item], default_order=default)


@pytest.mark.parametrize(("order", "expected"), [("Ascending", ITEMS), ("Descending", ITEMS[::-1])])
def test_pages_give_each_item_once_in_order(order: str, expected: list[int]) -> None:
    found, sizes, request = [], [], {"SortOrder": order}
    while True:
        items, token = page(request)
        found += items
        sizes.append(len(items))
        if not token:
            break
        request = {"SortOrder": order, **token}
    assert found == expected
    assert sizes == [10, 10, 5]


def test_the_default_order_counts_where_none_is_asked_for() -> None:
    assert page({"MaxResults": 2})[0] == [0, 1]
    assert page({"MaxResults": 2}, default="Descending")[0] == [24, 23]
    assert page({"MaxResults": 2, "SortOrder": "Ascending"}, default="Descending")[0] == [0, 1]


@pytest.mark.parametrize(("size", "has_more"), [(24, True), (25, False), (26, False)])
def test_a_page_that_holds_the_last_item_has_no_token(size: int, has_more: bool) -> None:
    items, token = page({"MaxResults": size})
    assert len(items) == min(size, 25)
    assert ("NextToken" in token) is has_more


def test_the_size_of_a_page_may_change_and_the_query_not() -> None:
    _, token = page({"MaxResults": 2, "NameContains": "a"})
    assert page({"MaxResults": 3, "NameContains": "a", **token})[0] == [2, 3, 4]
    with pytest.raises(ValidationError, match="not made for this query"):
        page({"MaxResults": 2, "NameContains": "b", **token})


@pytest.mark.parametrize("token", ["x", "!!", "W10=", "bnVsbA==", write_token("other", [1])])
def test_a_token_of_nobody_holds_no_position(token: str) -> None:
    assert read_token(token, "digest") is None
    with pytest.raises(ValidationError):
        page({"NextToken": token})


def test_a_token_holds_a_position_of_one_query() -> None:
    digest = query_digest({"a": 1, "b": 2, "NextToken": "x"}, without={"NextToken"})
    assert digest == query_digest({"b": 2, "a": 1}, without=set())
    assert digest != query_digest({"a": 1}, without=set())
    assert read_token(write_token(digest, [1.5, "job"]), digest) == [1.5, "job"]
