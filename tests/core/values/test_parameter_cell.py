"""How parameters reach the notebook: as strings of the request, and as a cell with their types."""

import pytest
from cells import notebook_of

from airflow_nbjobs.core.notebook.document import MARK, mark_of
from airflow_nbjobs.core.values.parameter_cell import hyperparameter_strings, is_plain, prepare_parameters


@pytest.mark.parametrize("character", ["\n", "\r", "\x85", "\u2028", "\u2029", "\ud800"], ids=ascii)
def test_a_string_of_the_request_is_one_line_without_half_characters(character):
    assert not is_plain(f"a{character}b")
    text = hyperparameter_strings({"x": f"é{character}"})["x"]
    assert is_plain(text)
    assert text.startswith('"')
    nested = hyperparameter_strings({"x": [f"é{character}"]})["x"]
    assert is_plain(nested)


@pytest.mark.parametrize("text", ["", "a b\tc", "é😀", '"quoted"', "\x0b\x0c"], ids=ascii)
def test_a_plain_string_goes_as_it_is(text):
    assert is_plain(text)
    assert hyperparameter_strings({"x": text}) == {"x": text}
    assert hyperparameter_strings({"x": ["é"]}) == {"x": '["é"]'}


@pytest.mark.parametrize(("size", "is_there"), [(2500, True), (2501, False)])
def test_a_string_is_as_long_as_the_service_takes_it(size, is_there):
    values = {"text": "x" * size, "list": ["x" * (size - 4)], "lines": "\n" * ((size - 2) // 2) + "x" * (size % 2)}
    assert [name for name, text in hyperparameter_strings(values).items() if len(text) == size] == (
        list(values) if is_there else []
    )
    assert len(hyperparameter_strings(values)) == (3 if is_there else 0)


def tagged(*tags):
    nb = notebook_of(*(["x = 1"] * len(tags)))
    for cell, tag in zip(nb.cells, tags, strict=True):
        cell.metadata["tags"] = [tag] if tag else []
    return nb


@pytest.mark.parametrize(
    ("tags", "place"),
    [
        (("", ""), 0),
        (("", "parameters", ""), 2),
        (("parameters", "", "injected-parameters", ""), 3),
        (("injected-parameters", "parameters", ""), 1),
    ],
)
def test_the_cell_comes_where_its_values_win(tags, place):
    nb = prepare_parameters(tagged(*tags), {"x": 5, "y": [1]})
    assert [number for number, cell in enumerate(nb.cells) if mark_of(cell)] == [place]
    assert nb.cells[place].source.split("\n")[1:] == ["x = 5", "y = [1]"]
    assert (MARK in nb.metadata) is ("injected-parameters" in tags)


def test_a_cell_of_an_earlier_staging_goes_where_it_is_not_needed_any_more():
    staged = prepare_parameters(tagged("parameters"), {"x": 5})
    assert len(staged.cells) == 2
    assert len(prepare_parameters(staged, {"x": "5"}).cells) == 1
    assert len(staged.cells) == 2
    injected = tagged("injected-parameters")
    prepared = prepare_parameters(injected, {"x": "5"})
    assert (len(prepared.cells), prepared.metadata[MARK]) == (1, {"has_injected_parameters": True})
    assert MARK not in injected.metadata
