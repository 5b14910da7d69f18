"""Outputs as a notebook has recorded or glued them, read with distrust."""

import json

import pytest
from nbformat import NotebookNode

from airflow_nbjobs.core.values.recorded import article, clean, from_scrap, read_entry, read_record, read_scraps
from airflow_nbjobs.core.values.recording import OUTPUT_LIMIT_BYTES, RECORD_MIME_TYPE


@pytest.mark.parametrize("value", [object(), 10**5000, {(1, 2): 3}], ids=["object", "digits", "key"])
def test_a_glued_value_that_no_json_holds_is_a_problem(value):
    found = from_scrap("x", value)
    assert found.problem == "output 'x' has a glued record that cannot be read"
    assert (found.value, found.is_missing) == (None, False)


@pytest.mark.parametrize(("size", "is_right"), [(OUTPUT_LIMIT_BYTES - 2, True), (OUTPUT_LIMIT_BYTES - 1, False)])
def test_a_glued_value_is_as_large_as_an_output_may_be(size, is_right):
    found = from_scrap("x", "a" * size)
    assert (found.problem is None) is is_right
    assert found.value == ("a" * size if is_right else None)
    assert is_right or found.problem.startswith("output 'x' (glued) is larger than 48 KiB as JSON")
    many = from_scrap("x", ["a"] * (OUTPUT_LIMIT_BYTES // 4 - 1))
    assert many.problem is None  # compact, as XCom has it


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"error": "too-large"}, "output 'x' is larger than 48 KiB as JSON; write it to S3 and output its URI"),
        (
            {"type": "a.B", "error": "too-deep"},
            "output 'x' (a.B) contains itself, or is nested too deep; output a part",
        ),
        (
            {"type": "a.B", "error": "key", "at": "[0]"},
            "output 'x' has a key of type a.B in x[0]; keys must be str: {str(k): v for …}",
        ),
        (
            {"type": "torch.Tensor", "error": "unsupported"},
            "output 'x' is a torch.Tensor, which has no JSON form; output .item()",
        ),
        (
            {"type": "a.Unknown", "error": "unsupported"},
            "output 'x' is an a.Unknown, which has no JSON form; output a str",
        ),
        (
            {"type": "builtins.list", "error": "unsupported", "found": "numpy.ndarray", "at": "[3]"},
            "output 'x' holds a numpy.ndarray at x[3], which has no JSON form; output .tolist()",
        ),
        ({"type": "a.B", "error": "raised"}, "output 'x' (a.B) could not be recorded: a.B was raised"),
        ({"error": "raised"}, "output 'x' () could not be recorded: an error was raised"),
        ({"error": "new"}, "output 'x' has a record that cannot be read"),
        ("text", "output 'x' has a record that cannot be read"),
    ],
)
def test_each_reason_why_a_value_was_not_recorded_has_its_words(entry, problem):
    found = read_entry("x", entry)
    assert found.problem.startswith(problem)
    assert not found.is_missing


def test_what_was_not_there_is_missing():
    for entry in (None, {"error": "missing"}):
        found = read_entry("x", entry)
        assert (found.is_missing, found.problem) == (True, None)
    found = read_entry("x", {"type": "__main__.A", "json": "[1]"})
    assert (found.value, found.kind, found.is_missing) == ([1], "A", False)


def cell(*texts, mark="outputs"):
    outputs = [{"output_type": "display_data", "data": {RECORD_MIME_TYPE: text}} for text in texts]
    return {"cell_type": "code", "metadata": {"airflow_nbjobs": mark}, "outputs": outputs}


def record(*names):
    return json.dumps({"version": 1, "outputs": dict.fromkeys(names, 1)})


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ([cell(record("a")), cell(record("b"))], ["b"]),  # the last one counts
        ([cell(record("a"), record("b"))], ["b"]),
        ([cell(record("a"), "broken", '{"version": 2}')], ["a"]),
        ([cell(record("a")), cell()], ["a"]),
        ([cell(record("a"), mark="other")], None),
        ([cell('{"version": 1, "outputs": 5}')], []),
        ([cell(5)], None),
        ([{"cell_type": "code", "metadata": {"airflow_nbjobs": "outputs"}, "outputs": [{"data": 5}, {}]}], None),
        ([], None),
    ],
)
def test_the_last_record_that_can_be_read_counts(cells, names):
    found = read_record(NotebookNode(cells=cells))
    assert (None if found is None else list(found)) == names


@pytest.mark.parametrize(
    ("mime_type", "payload", "scraps"),
    [
        ("application/scrapbook.scrap.json+json", {"name": "a", "data": [1], "encoder": "json"}, {"a": [1]}),
        ("application/scrapbook.scrap.json+json", {"name": "a", "data": "[1", "encoder": "json"}, {"a": "[1"}),
        ("application/scrapbook.scrap.text+json", {"name": "a", "data": "[1]", "encoder": "text"}, {"a": "[1]"}),
        ("application/scrapbook.scrap.json+json", {"name": "a", "data": None, "encoder": "json"}, {"a": None}),
        ("application/scrapbook.scrap.json+json", {"name": "a", "encoder": "json"}, {}),
        ("application/scrapbook.scrap.json+json", {"data": 1, "encoder": "json"}, {}),
        ("application/scrapbook.scrap.json+json", {"name": "a", "data": 1, "encoder": "display"}, {}),
        ("application/other+json", {"name": "a", "data": 1, "encoder": "json"}, {}),
        ("application/papermill.record+json", {"a": 1, "b": "x"}, {"a": 1, "b": "x"}),
    ],
)
def test_what_scrapbook_and_its_predecessor_glue_is_read(mime_type, payload, scraps):
    nb = NotebookNode(cells=[{"outputs": [{"data": {"text/plain": "x", mime_type: payload}}]}])
    assert read_scraps(nb) == scraps


@pytest.mark.parametrize(
    ("text", "said"),
    [(5, ""), ("a\n\tb  c", "a??b c"), ("a\x1b[1m", "a?[1m"), ("x" * 300, "x" * 200), ("é", "é")],
    ids=lambda value: str(value)[:10],
)
def test_a_text_of_the_record_is_one_printable_line(text, said):
    assert clean(text) == said


def test_a_class_has_its_article():
    assert [article(kind) for kind in ("int", "str", "Index")] == ["an int", "a str", "a Index"]
