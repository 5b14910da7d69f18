"""How arguments of tasks and of the groups around them are compared, merged and shown, whatever their type."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.task.groups import completed, is_same, shared_arguments
from airflow_nbjobs.task.identity import shortened
from airflow_nbjobs.task.index_names import _same_in_all


class Odd:
    """As an array or an XCom's reference: a comparison with it is no answer."""

    def __eq__(self, other):
        raise TypeError("ambiguous")

    __hash__ = None


ODD = Odd()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(1, 1, True), (1, True, False), (1, 1.0, False), ([1], [1], True), ([1], (1,), False), (ODD, ODD, True), (ODD, Odd(), False)],
)  # fmt: skip
def test_arguments_are_the_same_only_where_that_can_be_said(one, other, same):
    assert is_same(one, other) is same


def test_what_cannot_be_compared_is_not_the_same_in_all_indexes():
    items = [{"a": 1, "odd": Odd(), "b": 2, "c": 3}, {"a": 1, "odd": Odd(), "b": 3}]
    assert list(_same_in_all([{"parameters": each} for each in items])) == ["a"]
    assert list(_same_in_all([{"parameters": items[0]}])) == []


def group(group_id, parent=None, **arguments):
    return SimpleNamespace(group_id=group_id, parent_group=parent, notebook_arguments=arguments)


def test_groups_in_groups_are_merged_by_name_and_the_nearer_wins():
    outer = group("outer", None, tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}], role="outer", parameters={"x": 1})
    plain = SimpleNamespace(group_id="plain", parent_group=outer)
    inner = group("inner", plain, tags={"a": "2"}, role="inner", parameters=None)
    assert shared_arguments(inner) == {"tags": {"a": "2", "b": ""}, "role": "inner", "parameters": {"x": 1}}


@pytest.mark.parametrize(("outer", "inner"), [(None, {"x": 1}), ({"x": 1}, None), ({"x": 2}, {"x": 1})])
def test_a_group_that_says_nothing_hides_nothing(outer, inner):
    assert shared_arguments(group("inner", group("outer", None, parameters=outer), parameters=inner)) == {
        "parameters": {"x": 1}
    }


def test_groups_that_only_the_run_knows_are_not_merged_in_silence():
    outer = group("outer", None, parameters={"x": 1})
    with pytest.raises(NotebookJobConfigError, match=r"parameters of NotebookTaskGroup 'inner' .* '\{\{ x \}\}'"):
        shared_arguments(group("inner", outer, parameters="{{ x }}"))
    with pytest.raises(NotebookJobConfigError, match="tags of task 't'"):
        completed({"task_id": "t", "tags": ["a"]}, {"tags": {"a": "1"}}, {})


def test_each_task_has_its_own_copy_and_its_own_say():
    shared = {"parameters": {"x": [1]}, "role": "r", "tags": {"a": "1"}}
    found = completed({"task_id": "t", "parameters": {"y": 2}, "tags": None}, shared, {"role": "own"})
    assert found == {"task_id": "t", "parameters": {"x": [1], "y": 2}, "tags": {"a": "1"}}
    found["parameters"]["x"].append(2)
    assert shared["parameters"] == {"x": [1]}


def test_a_value_of_any_size_is_shown_in_200_characters():
    assert shortened(10**5000) == "a int too large to be shown"
    assert len(shortened("x" * 1000)) < 250
    assert shortened("x") == "'x'"
