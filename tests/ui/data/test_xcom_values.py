"""Values of XComs as they are stored, and through a backend that keeps them elsewhere."""

import pytest
from airflow.sdk.bases.xcom import BaseXCom

from airflow_nbjobs.ui.data.xcom_values import Remembered, backend_values, has_backend, plain

PUSHED_SET = {"__classname__": "builtins.set", "__version__": 1, "__data__": [1]}


@pytest.fixture
def elsewhere(monkeypatch):
    """Returns what is kept, by address; a missing address is an error of the backend's own."""
    kept = {}

    class Elsewhere(BaseXCom):
        @staticmethod
        def deserialize_value(result):
            return kept[result.value]

    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Elsewhere)
    return kept


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("no JSON", "no JSON"),
        ("[" * 100_000, "[" * 100_000),
        ({"a": 1}, {"a": 1}),
        (None, None),
    ],
    ids=["JSON", "text", "too deep", "value", "none"],
)
def test_json_in_a_text_is_its_value(stored, value):
    assert plain(stored) == value


def test_what_a_task_has_pushed_makes_no_object_in_the_api_server():
    assert backend_values([("a", PUSHED_SET), ("b", "3")]) == [PUSHED_SET, 3]


def test_values_of_a_backend_come_in_their_order_and_what_it_cannot_read_as_it_is_stored(elsewhere, caplog):
    elsewhere |= {"x": {"a": 1}, "y": 2}
    assert backend_values([("a", "y"), ("gone", "z"), ("none", None), ("b", "x")]) == [2, "z", None, {"a": 1}]
    assert [record.getMessage() for record in caplog.records] == ["XCom gone could not be read through Elsewhere: 'z'"]
    assert backend_values([]) == []


def test_what_stays_the_same_is_read_once_and_what_cannot_be_read_again(elsewhere):
    asked = []
    facts = Remembered(lambda key, value: asked.append(value) or (key, value))
    rows = [("one", "a", "x"), (None, "b", "x"), ("two", "c", "y")]
    elsewhere["x"] = 1
    assert facts.read(rows) == [("a", 1), ("b", 1), ("c", "y")]
    elsewhere |= {"x": 2, "y": 3}
    assert facts.read(rows) == [("a", 1), ("b", 2), ("c", 3)]
    assert facts.read(rows[::-1]) == [("c", 3), ("b", 2), ("a", 1)]
    assert asked == [1, 1, "y", 2, 3, 2]
    assert facts.read([]) == []


def test_as_many_facts_are_remembered_as_there_is_room_for_the_newest(elsewhere, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.data.xcom_values._MOST_REMEMBERED", 2)
    elsewhere["x"] = 1
    asked = []
    facts = Remembered(lambda key, _: asked.append(key) or key)
    for name in ("a", "b", "c", "b", "a"):
        facts.read([(name, name, "x")])
    assert asked == ["a", "b", "c", "a"]


def test_where_there_is_no_backend_facts_are_remembered_as_well():
    facts = Remembered(lambda _, value: value)
    assert facts.read([("one", "a", '{"a": 1}'), (None, "b", "text")]) == [{"a": 1}, "text"]
    assert facts.read([("one", "a", "another")]) == [{"a": 1}]


def test_the_places_of_what_cannot_be_read_are_told(elsewhere):
    elsewhere["x"] = 1
    unread = []
    assert backend_values([("a", "gone"), ("b", "x"), ("c", None), ("d", "lost")], unread=unread) == [
        "gone",
        1,
        None,
        "lost",
    ]
    assert sorted(unread) == [0, 3]


def test_a_backend_is_told_from_airflows_own(elsewhere, monkeypatch):
    assert has_backend()
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", BaseXCom)
    assert not has_backend()
