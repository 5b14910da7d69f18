import ast
import datetime as dt
import decimal
import json
import math
import pathlib
import sys
import uuid
from types import SimpleNamespace

import pytest
from nbformat import NotebookNode

from airflow_nbjobs.core.notebook.document import code_cell, dumps, mark_of, parse_notebook
from airflow_nbjobs.core.values.outputs import (
    declare_outputs,
    has_record,
    prepare_outputs,
    read_outputs,
    recorded_names,
)
from airflow_nbjobs.core.values.recorded import read_scraps
from airflow_nbjobs.core.values.recording import OUTPUT_LIMIT_BYTES, RECORD_MIME_TYPE


def notebook_of(*sources, minor=5):
    cells = [code_cell(source, {}, nbformat_minor=minor) for source in sources]
    return parse_notebook(
        json.dumps({"nbformat": 4, "nbformat_minor": minor, "metadata": {}, "cells": cells}), source="nb"
    )


def executed_with(record, *sources, scraps=()):
    """An executed notebook whose recording cell left this record (text is taken as it is)."""
    nb = prepare_outputs(notebook_of("acc = 1\nmodel = 2\n_hidden = 3\nimport os\ndf = None", *sources), ["x"])
    text = record if isinstance(record, str) else json.dumps(record)
    nb.cells[-1].outputs = [NotebookNode(output_type="display_data", metadata={}, data={RECORD_MIME_TYPE: text})]
    nb.cells[0].outputs = [NotebookNode(output_type="display_data", metadata={}, data=scrap) for scrap in scraps]
    return nb


def recorded(**entries):
    return {"version": 1, "outputs": entries}


def entry(value, kind="builtins.float"):
    return {"type": kind, "json": json.dumps(value)}


def read(nb, outputs):
    return read_outputs(nb, declare_outputs(outputs, None))


@pytest.mark.parametrize(
    ("outputs", "types"),
    [
        (None, {}),
        ([], {}),
        (["a", "b"], {"a": None, "b": None}),
        (("a",), {"a": None}),
        ({"a": float, "b": "list", "c": None, "d": dict}, {"a": float, "b": list, "c": None, "d": dict}),
    ],
)
def test_outputs_are_names_or_names_to_types(outputs, types):
    declared = declare_outputs(outputs, None)
    assert (declared.types, declared.problems) == (types, ())


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ("accuracy", "give a list of names"),
        (5, "give a list of names"),
        (["return_value"], "reserved"),
        (["nbjobs_result"], "reserved"),
        (["_link_SageMaker"], "reserved"),
        (["skipmixin_key"], "reserved"),
        (["a.b"], "not a variable's name"),
        (["class"], "not a variable's name"),
        ([5], "not a variable's name"),
        (["a", "a"], "listed twice"),
        ({"a": set}, "has the type set; give one of str, int, float, bool, list, dict"),
        ({"a": "number"}, "has the type 'number'"),
        ({"a": list[int]}, "has the type"),
    ],
)
def test_a_wrong_declaration_is_a_problem(outputs, said):
    [problem] = declare_outputs(outputs, None).problems
    assert said in problem


def test_return_output_must_be_an_output():
    assert declare_outputs(["splits"], "splits").problems == ()
    assert "'splits' is not one of the outputs" in declare_outputs(["a"], "splits").problems[0]
    assert len(declare_outputs(None, "splits").problems) == 1


def test_the_recording_cell_comes_last_hidden_and_the_same_each_time():
    nb = notebook_of("a = 1")
    prepared = prepare_outputs(nb, ["a"])
    assert len(nb.cells) == 1
    assert mark_of(prepared.cells[-1]) == "outputs"
    assert prepared.cells[-1].metadata["tags"] == ["remove-cell"]
    assert dumps(prepared) == dumps(prepare_outputs(prepared, ["a"]))
    assert "id" not in prepare_outputs(notebook_of("a = 1", minor=4), ["a"]).cells[-1]


def test_without_outputs_there_is_no_recording_cell():
    nb = notebook_of("a = 1")
    assert prepare_outputs(nb, []) is nb


def test_right_values_come_back_as_declared():
    nb = executed_with(
        recorded(
            acc=entry(0.93),
            count=entry(5, "builtins.int"),
            price=entry("1.10", "decimal.Decimal"),
            day=entry("2026-01-01", "datetime.date"),
            flag=entry(True, "builtins.bool"),
            items=entry([1, {"a": None}], "builtins.list"),
        )
    )
    record = read(nb, {"acc": float, "count": float, "price": float, "day": str, "flag": bool, "items": list})
    assert record.values == {
        "acc": 0.93,
        "count": 5.0,
        "price": 1.1,
        "day": "2026-01-01",
        "flag": True,
        "items": [1, {"a": None}],
    }
    assert type(record.values["count"]) is float
    assert (record.problems, record.warnings, record.was_recorded) == ((), (), True)


@pytest.mark.parametrize(
    ("value", "kind", "declared"),
    [
        (True, "builtins.bool", int),
        (True, "builtins.bool", float),
        (1, "builtins.int", bool),
        (5.0, "numpy.float64", int),
        ("5", "builtins.str", float),
        (5, "builtins.int", str),
        (None, "builtins.NoneType", dict),
        ([1], "builtins.tuple", dict),
    ],
)
def test_a_wrong_type_is_a_problem_with_the_type_found(value, kind, declared):
    record = read(executed_with(recorded(x=entry(value, kind))), {"x": declared})
    assert record.values == {}
    [problem] = record.problems
    assert f"{kind.removeprefix('builtins.')} ({json.dumps(value)}), declared as {declared.__name__}" in problem


def test_an_int_too_large_for_a_float_is_a_problem():
    assert (
        "too large for a float"
        in read(executed_with(recorded(x=entry(10**400, "builtins.int"))), {"x": float}).problems[0]
    )


def test_one_wrong_output_does_not_take_the_right_ones_along():
    record = read(executed_with(recorded(a=entry(1.5), b={"type": "x.Y", "error": "unsupported"})), ["a", "b", "c"])
    assert record.values == {"a": 1.5}
    assert len(record.problems) == 2


def test_a_missing_output_names_what_the_notebook_defines():
    nb = executed_with(recorded(accc={"error": "missing"}))
    assert read(nb, ["accc"]).problems == (
        "output 'accc' is not a variable of the notebook; did you mean 'acc'? it defines: acc, model, df",
    )


def test_a_notebook_that_defines_nothing_is_said_to():
    nb = executed_with(recorded(x={"error": "missing"}))
    nb.cells[0].source = "_hidden = 3"
    assert read(nb, ["x"]).problems == ("output 'x' is not a variable of the notebook; it defines none",)


@pytest.mark.parametrize(("counts", "where"), [((), "before any cell ran"), ((1,), "in cell 1")])
def test_a_record_that_a_notebook_never_came_to_is_said_with_how_far_it_came(counts, where):
    nb = executed_with(recorded(), "y = 1")
    for cell in nb.cells:
        cell.outputs = []
    for cell, count in zip(nb.cells, counts, strict=False):
        cell.execution_count = count
    (problem,) = read(nb, ["x"]).problems
    assert f"output 'x' not recorded: the notebook ended {where}, before its last cell" in problem


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"type": "pandas.core.frame.DataFrame", "error": "unsupported"}, "write it to S3 and output its URI"),
        (
            {"type": "builtins.list", "error": "unsupported", "found": "builtins.set", "at": "[0]"},
            "holds a set at x[0]",
        ),
        ({"type": "builtins.dict", "error": "key", "found": "builtins.int", "at": ""}, "has a key of type int in x"),
        ({"type": "builtins.str", "error": "too-large"}, "(str) is larger than 48 KiB"),
        ({"type": "builtins.list", "error": "too-deep"}, "contains itself"),
        (
            {"type": "__main__.X", "error": "raised", "found": "builtins.KeyError"},
            "(X) could not be recorded: KeyError was raised",
        ),
        ({"type": 5, "error": ["?"]}, "cannot be read"),
        ({}, "cannot be read"),
        (7, "cannot be read"),
        ({"type": "a", "json": "{"}, "cannot be read"),
        ({"type": "a", "json": "[" * 40_000}, "cannot be read"),
        ({"type": "a", "json": "9" * 5000}, "cannot be read"),
        ({"type": "a", "json": 5}, "cannot be read"),
        ({"type": "a", "json": '"' + "x" * OUTPUT_LIMIT_BYTES + '"'}, "larger than 48 KiB"),
        ({"type": "a\n\x1b[31m" + "z" * 10_000, "error": "too-deep"}, "contains itself"),
    ],
)
def test_what_the_kernel_could_not_record_is_said_in_words(error, said):
    """Also when the record is forged: nothing is raised, and no text of it floods or colours the log."""
    record = read(executed_with(recorded(x=error)), ["x"])
    assert record.values == {}
    [problem] = record.problems
    assert said in problem
    assert problem.isprintable()
    assert len(problem) < 600


def test_nan_and_infinity_become_texts_with_a_warning_each():
    nb = executed_with(recorded(x=entry(math.nan), y=entry([1.5, {"a": -math.inf}], "builtins.list")))
    record = read(nb, {"x": float, "y": list})
    assert record.values == {"x": "NaN", "y": [1.5, {"a": "-Infinity"}]}
    assert len(record.warnings) == 2
    assert "output y[1]['a'] is -Infinity" in record.warnings[1]


@pytest.mark.parametrize(
    "record",
    [
        *(
            "",
            "[1]",
            "not JSON",
            "[" * 100_000,
            '{"version": 2, "outputs": {}}',
            '{"version": true}',
            "null",
            "9" * 5000,
        ),
        {"outputs": {}},
    ],
)
def test_a_record_that_cannot_be_read_counts_as_none(record):
    found = read(executed_with(record), ["x"])
    assert not found.was_recorded
    assert len(found.problems) == 1


@pytest.mark.parametrize("outputs", [[], 5, {}])
def test_a_record_of_the_wrong_shape_has_no_outputs(outputs):
    assert len(read(executed_with({"version": 1, "outputs": outputs}), ["x"]).problems) == 1


def test_an_exit_before_the_last_cell_names_the_cell():
    nb = prepare_outputs(notebook_of("a = 1", "sys.exit(0)", "b = 1"), ["a", "b"])
    for cell in nb.cells[:2]:
        cell.execution_count = 1
    record = read(nb, ["a", "b"])
    assert not record.was_recorded
    [problem] = record.problems
    assert problem.startswith("outputs 'a', 'b' not recorded: the notebook ended in cell 2, before its last cell;")


def test_a_notebook_that_cannot_record_is_told_apart_from_one_that_did_not():
    assert "Python kernels only" in read(notebook_of("a <- 1"), ["a"]).problems[0]
    nb = prepare_outputs(notebook_of("a = 1"), ["a"])
    nb.cells[-1].execution_count = 2
    assert "its message did not arrive" in read(nb, ["a"]).problems[0]


def test_the_recording_cell_looks_up_no_name_and_runs_on_python_3_8():
    cell = prepare_outputs(notebook_of("a = 1"), ["a"]).cells[-1]
    tree = ast.parse(cell.source, feature_version=(3, 8))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assert [node.id for node in names] == ["_"]  # the loop variable of a generator, which is its own
    [recorder] = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and "def put_value" in str(n.value)]
    ast.parse(recorder, feature_version=(3, 8))


@pytest.fixture
def recorded_by_cell(monkeypatch):
    """Run the recording cell on these variables, as a kernel does, and read what it sends."""

    def run(**variables):
        sent = []
        kernel = SimpleNamespace(iopub_socket=None, send_response=lambda _, kind, content: sent.append((kind, content)))
        app = SimpleNamespace(instance=lambda: SimpleNamespace(kernel=kernel))
        monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", SimpleNamespace(IPKernelApp=app))
        nb = prepare_outputs(notebook_of("x = 1"), list(variables))
        exec(nb.cells[-1].source, dict(variables))  # noqa: S102 - what the kernel does
        ((_, content),) = [message for message in sent if message[0] == "display_data"]
        nb.cells[-1].outputs = [NotebookNode(output_type="display_data", metadata={}, data=content["data"])]
        return read(nb, list(variables))

    return run


@pytest.mark.parametrize("item", [[1], [], (2,), {"a": [1]}, {}], ids=repr)
def test_any_number_of_lists_and_dicts_may_lie_side_by_side(recorded_by_cell, item):
    """Their depth is limited, not their number."""
    rows = [item] * 150
    record = recorded_by_cell(rows=rows, named={f"n{place}": item for place in range(150)})
    assert record.problems == ()
    plain = list(item) if isinstance(item, tuple) else item
    assert record.values == {"rows": [plain] * 150, "named": {f"n{place}": plain for place in range(150)}}


def test_lists_that_lie_too_deep_in_each_other_are_a_problem_of_that_output(recorded_by_cell):
    deep = [1]
    for _ in range(150):
        deep = [deep]
    record = recorded_by_cell(deep=deep, good=[[1]])
    assert record.values == {"good": [[1]]}
    assert "nested too deep" in record.problems[0]


def test_without_declared_outputs_nothing_is_missed():
    record = read(notebook_of("a = 1"), None)
    assert (record.values, record.problems, record.was_recorded) == ({}, (), False)


@pytest.mark.parametrize(
    "nb", [NotebookNode(), NotebookNode(cells=5), NotebookNode(cells=[1, {"outputs": 2}, {"outputs": [3]}])]
)
def test_a_malformed_notebook_raises_nothing(nb):
    assert len(read(nb, ["x"]).problems) == 1
    assert read_scraps(nb) == {}


def scrap(name, data, encoder="json"):
    payload = {"name": name, "data": data, "encoder": encoder, "version": 1}
    return {f"application/scrapbook.scrap.{encoder}+json": payload}


def test_glued_values_are_read_with_scrapbooks_encoders():
    nb = executed_with(
        recorded(),
        scraps=[
            *(
                scrap("a", 1),
                scrap("a", 2),
                scrap("text", "5", "text"),
                scrap("json_text", "[1]"),
                scrap("word", "x y"),
            ),
            {"application/papermill.record+json": {"old": 7}},
            {
                "application/scrapbook.scrap.pandas+json": {
                    "name": "df",
                    "data": "UEFS",
                    "encoder": "pandas",
                    "version": 1,
                }
            },
            {"application/scrapbook.scrap.json+json": {"name": 5, "data": 1, "encoder": "json"}},
            {"application/scrapbook.scrap.json+json": "broken", "text/plain": "x"},
        ],
    )
    assert read_scraps(nb) == {"a": 2, "text": "5", "json_text": [1], "word": "x y", "old": 7}


def test_a_glued_text_that_is_nested_too_deep_to_be_read_is_a_problem_of_that_output():
    nb = executed_with(recorded(), scraps=[scrap("deep", "[" * 200_000), scrap("good", "[1]")])
    record = read(nb, {"deep": list, "good": list})
    assert record.values == {"good": [1]}
    assert record.problems == ("output 'deep' is nested too deep; output a part of it",)


def test_a_glued_value_counts_where_no_variable_does():
    nb = executed_with(recorded(a={"error": "missing"}, b=entry(1.5)), scraps=[scrap("a", 3), scrap("b", 9)])
    assert read(nb, {"a": int, "b": float}).values == {"a": 3, "b": 1.5}
    unrecorded = executed_with("", scraps=[scrap("a", 3)])
    assert read(unrecorded, {"a": int}).problems == ()


def test_a_glued_value_is_bound_by_the_same_limits():
    nb = executed_with(recorded(), scraps=[scrap("a", "x" * 50_000, "text"), scrap("b", [1])])
    record = read(nb, {"a": str, "b": dict})
    assert record.values == {}
    assert "larger than 48 KiB" in record.problems[0]
    assert "declared as dict" in record.problems[1]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        (b"a", "outputs is b'a'; give a list of names, or names to types"),
        ({"a", "b"}, "give a list of names, or names to types"),
        (["__id__"], "output '__id__' has a name that is reserved ("),
        (["a b"], "output 'a b' is not a variable's name"),
        ([None], "output None is not a variable's name"),
        ({"a": bytes}, "output 'a' has the type bytes; give one of"),
        ({"a": 5}, "output 'a' has the type 5; give one of"),
        (
            [SimpleNamespace(uri="s3://b/model")],
            "outputs names variables of the notebook, and 's3://b/model' is an asset; write outlets=[Asset('s3://b/model')]",
        ),
        (["__type", "__var"], "outputs '__type' and '__var' cannot be stored together"),
    ],
    ids=lambda value: repr(value)[:40] if not isinstance(value, set) else "a set",
)
def test_a_wrong_declaration_says_what_to_write(outputs, said):
    [problem] = declare_outputs(outputs, None).problems
    assert said in problem


def test_wrong_declarations_come_all_at_once_and_the_right_ones_stay():
    declared = declare_outputs({"a": int, "b": set, "c d": None, "e": "str"}, "e")
    assert declared.types == {"a": int, "e": str}
    assert len(declared.problems) == 2
    assert declare_outputs(["__type"], None).problems == ()
    assert declare_outputs(["a b"], "a b").problems == ("output 'a b' is not a variable's name",)


def test_preparing_again_replaces_the_cell_or_takes_it_away():
    prepared = prepare_outputs(notebook_of("a = 1", "b = 2"), ["a"])
    again = prepare_outputs(prepared, ["b"])
    assert [mark_of(cell) for cell in again.cells] == [None, None, "outputs"]
    assert "'b'" in again.cells[-1].source
    assert [mark_of(cell) for cell in prepare_outputs(prepared, []).cells] == [None, None]
    assert len(prepared.cells) == 3


def test_what_another_task_declares_is_named_where_an_output_was_not_recorded():
    record = read(executed_with(recorded(a=entry(1.0), b=entry(2.0))), ["z"])
    assert record.problems == (
        "output 'z' was not recorded: the task that started the job declares a, b; declare it there as well",
    )
    many = read(executed_with(recorded(**{f"n{number}": entry(1.0) for number in range(20)})), ["z"])
    assert "declares n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11; declare" in many.problems[0]
    assert "declares none;" in read(executed_with(recorded()), ["z"]).problems[0]


def test_the_nearest_names_come_first_and_no_more_than_twelve():
    nb = executed_with(recorded(modell={"error": "missing"}))
    nb.cells[0].source = "\n".join(f"name{number} = 1" for number in range(20)) + "\nmodel = 2\nmodels = 3"
    [problem] = read(nb, ["modell"]).problems
    defines = problem.partition("it defines: ")[2]
    assert "did you mean 'model'?" in problem
    assert defines.split(", ")[:2] == ["model", "models"]
    assert defines.endswith(", name9, …")
    assert len(defines.split(", ")) == 13


def test_outputs_that_were_recorded_tell_their_problems_apart_from_those_that_are_unknown():
    nb = prepare_outputs(notebook_of("a = 1", "b = 1"), ["a", "b"])
    nb.cells[0].outputs = [NotebookNode(output_type="display_data", metadata={}, data=scrap("a", "x"))]
    record = read(nb, {"a": int, "b": int, "c": int})
    assert record.unknown == ("b", "c")
    assert len(record.problems) == 2
    assert [text.partition(" (")[0] for text in record.known_problems] == ["output 'a' is a str"]
    assert "outputs 'b', 'c' not recorded" in record.problems[-1]
    whole = read(executed_with(recorded(x={"error": "missing"})), ["x"])
    assert (whole.unknown, whole.known_problems) == ((), whole.problems)


def test_whether_and_what_a_notebook_has_recorded_is_told():
    nb = executed_with(recorded(b=entry(1), a={"error": "missing"}), scraps=[scrap("glued", 1)])
    assert has_record(nb)
    assert recorded_names(nb) == ["b", "a"]
    bare = executed_with("", scraps=[scrap("glued", 1), scrap("more", 2)])
    assert not has_record(bare)
    assert recorded_names(bare) == ["glued", "more"]


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ([1], "builtins.list", "output 'x' is a list ([1]), declared as float; convert it in the notebook"),
        (1.5, "", "output 'x' is a str"),
        ("nan?", "decimal.Decimal", "output 'x' is too large for a float"),
        ("1.5", "builtins.str", "output 'x' is a str"),
        (True, "", "output 'x' is a bool (true), declared as float"),
    ],
)
def test_a_float_comes_from_a_number_or_a_decimal_alone(value, kind, said):
    found = {"json": json.dumps(value)} | ({"type": kind} if kind else {})
    record = read(executed_with(recorded(x=found)), {"x": float})
    if value == 1.5:
        assert (record.values, record.problems) == ({"x": 1.5}, ())
    else:
        assert record.problems[0].startswith(said)


def test_a_long_value_of_the_wrong_type_is_cut_in_its_problem():
    [problem] = read(executed_with(recorded(x=entry("y" * 5000, "builtins.str"))), {"x": int}).problems
    assert "yyyy…), declared as int" in problem
    assert len(problem) < 200


def test_infinities_and_nan_are_told_apart():
    record = read(executed_with(recorded(x=entry([math.inf, -math.inf, math.nan, 0.5]))), ["x"])
    assert record.values == {"x": ["Infinity", "-Infinity", "NaN", 0.5]}
    assert record.warnings[0] == "output x[0] is Infinity, which XCom cannot hold; it is pushed as the text 'Infinity'"
    assert len(record.warnings) == 3


@pytest.mark.parametrize(("levels", "is_right"), [(97, True), (98, False)])
def test_an_output_is_as_deep_as_airflow_stores_it(levels, is_right):
    record = read(executed_with(recorded(x={"type": "builtins.list", "json": "[" * levels + "]" * levels})), ["x"])
    assert ("x" in record.values) is is_right
    assert [("nested too deep" in problem) for problem in record.problems] == ([] if is_right else [True])


@pytest.mark.parametrize(("size", "is_right"), [(OUTPUT_LIMIT_BYTES - 2, True), (OUTPUT_LIMIT_BYTES - 1, False)])
def test_an_output_is_as_large_as_its_limit_and_no_larger(size, is_right, recorded_by_cell):
    text = "x" * size
    for record in (
        read(executed_with(recorded(x=entry(text, "builtins.str"))), ["x"]),
        read(executed_with(recorded(x={"error": "missing"}), scraps=[scrap("x", text, "text")]), ["x"]),
        recorded_by_cell(x=text),
        recorded_by_cell(x=["", "x" * (size - 5)]),
    ):
        assert bool(record.values) is is_right
        assert [("larger than 48 KiB" in problem) for problem in record.problems] == ([] if is_right else [True])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, {"a b": {1}}], 'holds a set at x[1]["a b"], which has no JSON form; output sorted(…)'),
        ({1: 2}, "has a key of type int in x; keys must be str"),
        ([{None: 2}], "has a key of type NoneType in x[0]; keys must be str"),
        (b"a", "is a bytes, which has no JSON form; output text, or write it to S3"),
        (range(3), "is a range, which has no JSON form; output list(…)"),
        (1j, "is a complex, which has no JSON form; output its parts"),
        (object(), "is an object, which has no JSON form; output a str, int, float, bool, None, list or dict"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:20],
)
def test_what_has_no_json_form_is_named_with_the_place_where_it_lies(value, said, recorded_by_cell):
    [problem] = recorded_by_cell(x=value).problems
    assert said in problem


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05+00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(3, 4), "03:04:00"),
        (dt.timedelta(minutes=1, milliseconds=500), 60.5),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        ((1, (2.5, None)), [1, [2.5, None]]),
        ({'é\n"\\': "😀\u2028\x7f"}, {'é\n"\\': "😀\u2028\x7f"}),
        ([True, False, None, -7, 10**15, 1e300], [True, False, None, -7, 10**15, 1e300]),
        (type("Text", (str,), {"__str__": lambda self: "no"})("yes"), "yes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_recorded_as_json_has_them(value, stored, recorded_by_cell):
    record = recorded_by_cell(x=value, nested={"a": [value]})
    assert (record.problems, record.warnings) == ((), ())
    assert record.values == {"x": stored, "nested": {"a": [stored]}}
    assert type(record.values["x"]) is type(stored)
