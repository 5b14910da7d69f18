"""What is taken for an output goes through Airflow's own XCom code and comes back as it was; what would not is a problem in words."""

import json

import msgspec
import pytest
from fakes import FakeTaskInstance, code, executed, notebook
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue, TypeAdapter

from airflow_nbjobs.aws.results.read import JobResult
from airflow_nbjobs.core.errors import NotebookOutputError
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.core.values.outputs import declare_outputs, read_outputs
from airflow_nbjobs.core.values.storable import DEPTH_LIMIT, storage_problem
from airflow_nbjobs.task.results import push_result

JSON = TypeAdapter(JsonValue)
KEYS = st.sampled_from(
    ["__classname__", "__id__", "__type", "__var", "__version__", "__data__", "__cache__", "__source", "a"]
)
TEXTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["\0", "\\u0000", "\ud800", "a\ud83dz", "set", "dict", "builtins.tuple", "datetime"]),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**400]),
    TEXTS,
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(KEYS, TEXTS), inner, max_size=3)),
    max_leaves=8,
)


def nested(levels, leaf=1, *, in_dicts=False):
    for _ in range(levels):
        leaf = {"k": leaf} if in_dicts else [leaf]
    return leaf


def pushed_and_pulled(value):
    """Return the value as a task that pulls it gets it: the worker's pipe, the API's two parsers, the database, and the way back."""
    from airflow.models.xcom import XComModel
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.comms import SetXCom, XComResult

    place = {"key": "k", "dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    sent = SetXCom(value=BaseXCom.serialize_value(value), **place)
    frame = msgspec.msgpack.decode(msgspec.msgpack.encode(sent.model_dump()))
    body = JSON.dump_json(SetXCom(**frame).value)
    stored = json.loads(XComModel.serialize_value(json.loads(body)))
    assert "\0" not in str(stored), "PostgreSQL refuses NUL"
    answer = JSON.validate_json(json.dumps({"key": "k", "value": stored}).encode())
    return BaseXCom.deserialize_value(XComResult(key="k", value=answer["value"]))


def comes_back(value):
    if storage_problem("x", value) is None:
        result = {"job_name": "j", "outputs": {"x": value}}
        assert pushed_and_pulled(value) == value
        assert pushed_and_pulled(result) == result


@given(VALUES)
@example({"__type": "set", "__var": [1]})
@example([{"a": {"__type": "dict", "__var": {"b": 1}}}])
@example({"__type": ["a"], "__var": 1})
@example({"x": [{"__classname__": "os.system", "__version__": 1, "__data__": "true"}]})
@example({"\0": 1})
@settings(deadline=None, max_examples=60)
def test_what_has_no_problem_comes_back_as_it_was_also_inside_the_result(value):
    comes_back(value)


@pytest.mark.slow
@given(VALUES)
@settings(deadline=None, max_examples=600)
def test_many_values_that_have_no_problem_come_back(value):
    comes_back(value)


@pytest.mark.parametrize("in_dicts", [False, True])
def test_the_deepest_output_comes_back_inside_the_result_and_one_level_more_is_a_problem(in_dicts):
    """MySQL's JSON has 100 levels, of which the result takes two and the innermost value one."""
    deepest = nested(DEPTH_LIMIT, in_dicts=in_dicts)
    assert storage_problem("x", deepest) is None
    result = {"outputs": {"x": deepest}}
    assert pushed_and_pulled(result) == result
    assert "nested too deep" in storage_problem("x", nested(DEPTH_LIMIT + 1, in_dicts=in_dicts))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"__classname__": "os.system"}, "holds a dict with the key '__classname__', which Airflow"),
        ({"a": [0, {"__id__": 1}]}, "holds a dict with the key '__id__' at x['a'][1], which Airflow"),
        ({"b": {"__type": "set", "__var": []}}, "with the keys '__type' and '__var' at x['b'], which"),
        ([2**64], "holds an integer of more than 64 bits at x[0], which Airflow"),
        (["a\0b"], "holds a NUL character at x[0], which Airflow"),
        ({"a\0b": 1}, "holds a NUL character, which Airflow"),
        ("\ud800", "holds half of a surrogate pair, which Airflow"),
    ],
)
def test_a_problem_names_the_output_the_path_and_the_key(value, said):
    text = storage_problem("x", value)
    assert text.startswith("output 'x' ")
    assert said in text


@pytest.mark.parametrize(
    "value",
    [
        "\\u0000",
        {"\\u0000": ["a\\u0000b"]},
        {"__version__": "1.0", "__data__": 3},
        {"__type": "model"},
        {"__var": [1]},
        2**64 - 1,
        "\N{GRINNING FACE}",
    ],
)
def test_what_only_looks_like_it_is_an_output_and_comes_back(value):
    """Six characters of an author's text are no NUL, and Airflow reserves neither ``__version__`` nor ``__type`` alone."""
    assert storage_problem("x", value) is None
    assert pushed_and_pulled({"outputs": {"x": value}}) == {"outputs": {"x": value}}


def scrap(name, data):
    payload = {"name": name, "data": data, "encoder": "json", "version": 1}
    return {
        "output_type": "display_data",
        "metadata": {},
        "data": {"application/scrapbook.scrap.json+json": payload},
    }


@pytest.mark.parametrize("levels", [98, 150, 199, 253, 300, 800])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_glued_value_that_is_too_deep_is_a_problem_and_the_others_are_outputs(levels, as_text):
    deep = "[" * levels + "]" * levels
    glued = code("glue()", outputs=[scrap("deep", "DEEP"), scrap("good", 5)])
    raw = executed(notebook(glued), {"other": 1}).replace(
        b'"DEEP"', json.dumps(deep).encode() if as_text else deep.encode()
    )
    nb, _ = parse_executed(raw, source="nb")
    record = read_outputs(nb, declare_outputs(["deep", "good", "other"], None))
    assert record.values == {"good": 5, "other": 1}
    (problem,) = record.problems
    assert problem.startswith("output 'deep' is nested too deep")


@pytest.mark.parametrize("key", ["__classname__", "__id__"])
def test_a_glued_value_with_a_reserved_key_is_a_problem(key):
    glued = code("glue()", outputs=[scrap("bad", {"a": {key: "x"}}), scrap("good", 5)])
    nb, _ = parse_executed(executed(notebook(glued), {"other": 1}), source="nb")
    record = read_outputs(nb, declare_outputs(["bad", "good"], None))
    assert record.values == {"good": 5}
    assert record.problems[0].startswith(f"output 'bad' holds a dict with the key '{key}' at bad['a']")


@pytest.mark.parametrize("names", [["__classname__"], ["__id__"], ["__type", "__var"]])
def test_names_that_the_result_could_not_hold_are_refused(names):
    assert declare_outputs(names, None).problems


def test_a_large_whole_number_is_an_output_where_a_float_is_declared():
    nb, _ = parse_executed(executed(notebook("x = 2**70"), {"x": 2**70}), source="nb")
    assert read_outputs(nb, declare_outputs({"x": float}, None)).values == {"x": float(2**70)}
    assert "more than 64 bits" in read_outputs(nb, declare_outputs(["x"], None)).problems[0]


def test_what_a_container_wrote_into_the_log_cannot_break_the_push_of_the_end():
    """A format's failure is quoted from the log, which may hold any byte."""
    ti = FakeTaskInstance()
    facts = {"job_name": "j", "status": "Failed"}
    push_result(ti, JobResult(facts=facts, error=NotebookOutputError("no \0 and \ud800 here")), None)
    end = ti.xcoms["nbjobs_end"]
    assert end["error"]["headline"] == "no \N{REPLACEMENT CHARACTER} and ? here"
    assert pushed_and_pulled(end) == end
