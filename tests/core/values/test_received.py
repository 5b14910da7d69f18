"""What a notebook was given and recorded, read from the executed notebook, and values as rows."""

import json
import math

import pytest
from fakes import code, executed, notebook

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.core.values.parameter_cell import prepare_parameters
from airflow_nbjobs.core.values.received import read_parameters, read_recorded, value_rows

RAW = notebook(code("x = 1", "parameters"), "y = 2")


def given(**values):
    staged = prepare_parameters(parse_notebook(RAW, source="nb"), values)
    return read_parameters(parse_executed(executed(json.dumps(staged).encode()), source="nb")[0])


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        10**5000,
        -0.5,
        1e300,
        math.inf,
        -math.inf,
        True,
        None,
        [1, [2.5, "a\nb", None]],
        {"a": {"b": [True]}, "": "é\u2028"},
        [],
        {},
    ],
    ids=lambda value: repr(value)[:30] if not (isinstance(value, int) and abs(value) > 9**99) else "huge",
)
def test_typed_parameters_come_back_as_they_were_given(value):
    found = given(x=value, y="7")
    assert (found["x"], type(found["x"])) == (value, type(value))
    assert found["y"] == "7"


def test_nan_comes_back():
    assert math.isnan(given(x=math.nan)["x"])


def test_without_a_parameters_cell_nothing_is_known():
    assert read_parameters(parse_executed(executed(RAW), source="nb")[0]) is None


def test_of_a_job_that_studio_started_the_cell_that_papermill_injected_tells():
    raw = notebook(code("x = 1", "parameters"), code('# Parameters\nx = "5"\n', "injected-parameters"), "y = 2")
    assert read_parameters(parse_executed(executed(raw), source="nb")[0]) == {"x": "5"}


def test_a_cell_with_types_wins_over_papermills_own():
    staged = prepare_parameters(parse_notebook(RAW, source="nb"), {"x": 5})
    content = json.loads(json.dumps(staged))
    content["cells"].insert(1, code('x = "5"', "injected-parameters"))
    assert read_parameters(parse_executed(executed(json.dumps(content).encode()), source="nb")[0]) == {"x": 5}


def test_outputs_are_those_recorded_and_what_is_wrong_is_said():
    recorded = executed(RAW, {"y": 2, "frame": {"type": "pandas.DataFrame", "error": "unsupported"}})
    values, problems = read_recorded(parse_executed(recorded, source="nb")[0])
    assert values == {"y": 2}
    assert "to_dict" in problems[0]


def test_rows_name_types_and_hold_whole_values():
    rows = value_rows({"a": "x" * 90_000, "b": 1.0, "c": None, "d": [10**5000]}, is_python=True)
    assert [row["type"] for row in rows] == ["str", "float", "None", "list"]
    assert rows[0]["text"] == repr("x" * 90_000)
    assert rows[3]["text"].startswith("[0x")
    assert [row["text"] for row in value_rows({"a": "3", "b": 3, "c": True})] == ['"3"', "3", "true"]


def test_rows_are_bounded():
    rows = value_rows({f"n{number}": "x" * 200_000 for number in range(2_000)})
    assert sum(len(row["text"]) for row in rows) < 1_200_000
    assert rows[0]["text"].endswith("(200,002 characters)")
    assert rows[-1]["text"] == "1,000 more"


def test_what_no_json_holds_is_replaced():
    assert value_rows({"a": "\ud800"})[0]["text"] == '"?"'


def test_the_last_cell_with_types_tells():
    staged = prepare_parameters(parse_notebook(RAW, source="nb"), {"x": 5})
    content = json.loads(json.dumps(staged))
    again = json.loads(json.dumps(prepare_parameters(parse_notebook(RAW, source="nb"), {"x": 6})))
    content["cells"].insert(2, again["cells"][1])
    assert read_parameters(parse_executed(executed(json.dumps(content).encode()), source="nb")[0]) == {"x": 6}


@pytest.mark.parametrize("source", ["x = f()", "x += 1", "x.y = 1", "x = y = 1", "print(1)", "x ="])
def test_a_cell_that_assigns_no_values_tells_nothing(source):
    raw = notebook(code("x = 1", "parameters"), code(source, "injected-parameters"), "y = 2")
    assert read_parameters(parse_executed(executed(raw), source="nb")[0]) is None


def test_a_cell_with_types_that_cannot_be_read_leaves_papermills_own():
    staged = json.loads(json.dumps(prepare_parameters(parse_notebook(RAW, source="nb"), {"x": 5})))
    staged["cells"][1]["source"] = "x = f()"
    staged["cells"].insert(1, code('x = "5"', "injected-parameters"))
    assert read_parameters(parse_executed(executed(json.dumps(staged).encode()), source="nb")[0]) == {"x": "5"}


def test_an_author_s_own_injected_cell_is_none_of_the_jobs():
    raw = notebook(code('x = "5"', "injected-parameters"), "y = 2")
    staged = prepare_parameters(parse_notebook(raw, source="nb"), {})
    assert read_parameters(parse_executed(executed(json.dumps(staged).encode()), source="nb")[0]) is None


@pytest.mark.parametrize(("size", "is_whole"), [(100_000, True), (100_001, False)])
def test_a_value_of_a_row_is_whole_up_to_its_limit(size, is_whole):
    [row] = value_rows({"a": "x" * (size - 2)})
    assert row["text"] == (
        '"' + "x" * (size - 2) + '"' if is_whole else '"' + "x" * 99_999 + f"… ({size:,} characters)"
    )
    rows = value_rows({f"n{number}": "x" * 99_998 for number in range(11)})
    assert [len(row["text"]) for row in rows[:10]] == [100_000] * 10
    assert rows[10]["text"] == "… (100,000 characters)"


@pytest.mark.parametrize(("count", "more"), [(999, []), (1000, []), (1001, ["1 more"])])
def test_a_thousand_rows_are_shown(count, more):
    rows = value_rows({f"n{number}": number for number in range(count)})
    assert [row["text"] for row in rows] == [*map(str, range(min(count, 1000))), *more]
    assert [row["name"] for row in rows[1000:]] == ["…"] * len(more)


def test_names_are_texts_and_bounded():
    rows = value_rows({5: 1, "n" * 201: 2})
    assert [row["name"] for row in rows] == ["5", "n" * 200]
    assert [row["type"] for row in rows] == ["int", "int"]


@pytest.mark.parametrize(
    ("value", "text"),
    [({1}, "a set that cannot be shown"), ("é\n", '"é\\n"'), ((1,), "[1]"), (True, "true"), (None, "null")],
)
def test_a_value_that_json_does_not_write_is_named(value, text):
    assert value_rows({"a": value})[0]["text"] == text
    assert value_rows({"a": (1,)}, is_python=True)[0]["text"] == "(1,)"
    assert value_rows({"a": 10**5000})[0]["text"] == hex(10**5000)


def test_of_two_cells_that_papermill_injected_the_last_one_tells():
    cells = [code(f'x = "{value}"', "injected-parameters") for value in (5, 6)]
    raw = notebook(code("x = 1", "parameters"), *cells, "y = 2")
    assert read_parameters(parse_executed(executed(raw), source="nb")[0]) == {"x": "6"}
