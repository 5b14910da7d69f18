"""What Airflow can store of an output and give back as it was."""

import pytest

from airflow_nbjobs.core.values.storable import storage_problem


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0.5, "é😀", 2**64 - 1, -(2**63), [], {}, {"__type": 1}, {"__var": 1}, {"a": {"b": [1, "x"]}}),
        {"__classname": 1},
    ],
    ids=repr,
)
def test_what_airflow_stores_is_no_problem(value):
    assert storage_problem("x", value) is None
    assert storage_problem("x", [{"a": value}]) is None


@pytest.mark.parametrize(
    ("value", "said", "advice"),
    [
        (2**64, "an integer of more than 64 bits", "output str(…) of it"),
        (-(2**63) - 1, "an integer of more than 64 bits", "output str(…) of it"),
        ("a\0b", "a NUL character", "encode it, or write it to S3"),
        ("\ud800", "half of a surrogate pair", "encode it, or write it to S3"),
        ({"a\0": 1}, "a NUL character", "encode it"),
        ({"ok": 1, "\udfff": 1}, "half of a surrogate pair", "encode it"),
        ({"__classname__": 1}, "a dict with the key '__classname__'", "rename the key, or output json.dumps(…)"),
        ({"__id__": 1, "a": 2}, "a dict with the key '__id__'", "rename the key"),
        ({"__var": 1, "__type": 2}, "a dict with the keys '__type' and '__var'", "rename the key"),
        (
            {"__var": 1, "__type": 2, "__id__": 3},
            "a dict with the keys '__id__' and '__type' and '__var'",
            "rename the key",
        ),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_airflow_cannot_store_is_named_with_its_place(value, said, advice):
    assert storage_problem("x", value).startswith(f"output 'x' holds {said}, which Airflow cannot store; {advice}")
    within = storage_problem("x", {"rows": [0, value]})
    assert within.startswith(f"output 'x' holds {said} at x['rows'][1], which Airflow cannot store; {advice}")


def test_a_long_key_is_cut_in_the_place():
    said = storage_problem("x", {"k" * 500: 2**64})
    assert "kkk…]" in said
    assert len(said) < 250


@pytest.mark.parametrize(("levels", "is_right"), [(97, True), (98, False)])
def test_lists_and_dicts_lie_in_one_another_as_deep_as_the_databases_take_them(levels, is_right):
    value = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    said = storage_problem("x", value)
    assert (said is None) is is_right
    assert is_right or said.startswith(
        "output 'x' is nested too deep: Airflow stores 97 lists and dicts inside one another"
    )
