import datetime as dt
import decimal
import json
import math

import pytest

from airflow_nbjobs.core.notebook import MARK, code_cell, dumps, mark_of, parse_notebook
from airflow_nbjobs.core.parameters import check_parameters, hyperparameter_strings, prepare_parameters

DEFAULTS = "day = '2026-01-01'\nrows = 100\nlr = 0.1\nshuffle = False\nlimit = None\nspan: float = 1\nn: 'int | None' = None\nneg = -1"


def notebook_of(*sources, tags=("parameters",), kernel="python3", minor=5):
    cells = [code_cell(s, {"tags": list(tags)} if not n else {}, nbformat_minor=minor) for n, s in enumerate(sources)]
    metadata = {"kernelspec": {"name": kernel}}
    text = json.dumps({"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": cells})
    return parse_notebook(text, source="nb.ipynb")


NB = notebook_of(DEFAULTS, "print(day)")


def check(parameters, nb=NB, *, kernel_name="python3", unknown="error"):
    return check_parameters(nb, parameters, kernel_name=kernel_name, unknown=unknown)


def test_json_like_values_pass_as_they_are():
    values = {"day": "x", "rows": 5, "lr": math.inf, "shuffle": None, "limit": [1, {"a": [True, None, "é", 0.5]}]}
    checked = check(values)
    assert checked.values == values
    assert (checked.problems, checked.warnings, checked.notes) == ((), (), ())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *[("rows", "5", 5), ("rows", "-05", -5), ("neg", "+7", 7), ("n", "3", 3)],
        *[
            ("lr", "0.1", 0.1),
            ("lr", "5", 5.0),
            ("lr", "1e-5", 1e-5),
            ("lr", "-Infinity", -math.inf),
            ("span", "2", 2.0),
        ],
        *[("shuffle", "true", True), ("shuffle", "False", False)],
    ],
)
def test_rendered_strings_are_read_as_the_default_or_annotation_says(name, text, value):
    checked = check({name: text})
    assert checked.values == {name: value}
    assert type(checked.values[name]) is type(value)
    assert checked.problems == ()
    assert f"parameter '{name}': the text {text!r} is passed as" in checked.notes[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[
            ("rows", "5.0"),
            ("rows", "five"),
            ("rows", ""),
            ("rows", " 5"),
            ("rows", "1_000"),
            ("rows", "٣"),
            ("rows", "9" * 4301),
        ],
        *[
            ("lr", "0,1"),
            ("lr", "1e"),
            ("lr", "0.1 "),
            ("shuffle", "yes"),
            ("shuffle", "TRUE"),
            ("shuffle", "1"),
            ("n", "none"),
        ],
    ],
)
def test_a_string_that_is_not_exactly_the_declared_type_is_a_problem(name, text):
    [problem] = check({name: text}).problems
    assert f"parameter '{name}'" in problem
    assert "is not exactly a" in problem


def test_strings_for_strings_and_for_unknown_types_stay_strings():
    values = {"day": "5", "limit": "5"}
    assert check(values).values == values
    nb = notebook_of("a: str = 5\nb: bytes = None\nc = f()\nd: Any = 3")
    values = dict.fromkeys("abcd", "7")
    assert check(values, nb).values == values


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((1, 2), "parameters['limit'] is of type tuple; give a list"),
        ({1, 2}, "give a list"),
        (b"x", "is of type bytes; give text"),
        (
            [0, {"a": [1, dt.date(2026, 1, 1)]}],
            "parameters['limit'][1]['a'][1] is of type datetime.date; give text: .isoformat()",
        ),
        (decimal.Decimal(1), "decimal.Decimal"),
        ({1: 2}, "parameters['limit'] has the key 1 of type int; keys must be str"),
        ({10**5000: 2}, "thousands of digits"),
        (object(), "parameters are str, int, float, bool, None, list and dict"),
        (type("Text", (str,), {})("x"), "Text"),
    ],
)
def test_other_types_are_named_with_the_path_to_them(value, said):
    [problem] = check({"limit": value}).problems
    assert said in problem


def test_numpy_scalars_are_told_how_to_become_python_values():
    numpy = pytest.importorskip("numpy")
    problems = check({"rows": numpy.int64(5), "limit": [numpy.float64(1)], "day": numpy.array([1])}).problems
    assert problems == (
        "parameters['rows'] is of type numpy.int64; give a Python value: .item()",
        "parameters['limit'][0] is of type numpy.float64; give a Python value: .item()",
        "parameters['day'] is of type numpy.ndarray; give a list: .tolist()",
    )


def test_all_problems_come_at_once_and_the_rest_of_the_values_stays():
    checked = check({"day": "ok", "rows": "x", "limit": {1}, "dya": 1})
    assert len(checked.problems) == 3
    assert checked.values["day"] == "ok"


def test_a_value_nested_too_deep_is_a_problem_even_when_it_contains_itself():
    cyclic = []
    cyclic.append(cyclic)
    [problem] = check({"limit": cyclic}).problems
    assert "nested more than 50 levels deep" in problem
    assert len(problem) < 400


@pytest.mark.parametrize("name", ["", "a b", "a-b", "1a", "class", "None", "__builtins__", "a\nb", "a.b", 5, "x" * 257])
def test_what_is_no_variable_name_is_a_problem(name):
    assert len(check({name: 1}, notebook_of("a = 1")).problems) == 1


def test_two_spellings_of_one_name_are_a_problem():
    """Python reads the ligature ﬁ as fi: one would silently overwrite the other."""
    assert "one and the same name" in " ".join(check({"ﬁt": 1, "fit": 2}, notebook_of("fit = 0")).problems)


def test_a_value_that_contains_itself_many_times_is_judged_at_once():
    cyclic = []
    cyclic += [cyclic] * 9
    [problem] = check({"limit": cyclic}).problems
    assert "nested more than 50 levels deep" in problem


def test_an_unknown_name_is_a_problem_with_the_nearest_known_one():
    assert check({"row": 1}).problems == (
        "parameter 'row' is not defined in the notebook's 'parameters' cell; did you mean 'rows'?",
    )
    [problem] = check({"zzz": 1}).problems
    assert "it defines: day, rows, lr" in problem


def test_an_unknown_name_is_a_warning_where_asked_and_still_passed():
    checked = check({"row": 1}, unknown="warn")
    assert checked.problems == ()
    assert checked.values == {"row": 1}
    assert len(checked.warnings) == 1


@pytest.mark.parametrize(
    ("nb", "said"),
    [
        (notebook_of("x = 1", tags=()), "no cell tagged 'parameters'"),
        (notebook_of("x = 1", tags=("Parameters",)), "cell 1 is tagged 'Parameters', which counts for nothing"),
        (notebook_of("this is no Python"), "not plain Python"),
        (notebook_of("from defaults import *"), "cannot be seen"),
        (notebook_of("%%capture\nx = 1"), "cannot be seen"),
    ],
)
def test_an_unknown_name_is_only_a_warning_where_the_cell_hides_what_it_defines(nb, said):
    checked = check({"other": 1}, nb)
    assert checked.problems == ()
    assert said in checked.warnings[0]


def test_magics_in_the_parameters_cell_do_not_hide_it():
    nb = notebook_of("%load_ext dotenv\n!ls\n?x\nfiles = !ls\nrows = 5")
    assert check({"rows": "7", "files": []}, nb).values == {"rows": 7, "files": []}
    assert check({"other": 1}, nb).problems != ()


def test_blanks_around_a_string_are_a_warning():
    checked = check({"day": " 2026-01-01\n"})
    assert checked.values == {"day": " 2026-01-01\n"}
    assert "begins or ends with blanks" in checked.warnings[0]


def test_more_than_a_hundred_parameters_are_a_problem():
    nb = notebook_of("\n".join(f"p{n} = 0" for n in range(101)))
    assert "at most 100" in check({f"p{n}": n for n in range(101)}, nb).problems[0]
    assert check({f"p{n}": n for n in range(100)}, nb).problems == ()


def test_values_left_by_an_earlier_run_are_a_warning():
    nb = notebook_of("rows = 9", tags=["injected-parameters"])
    assert "earlier run" in check({}, nb).warnings[0]


def test_kernels_other_than_python_take_short_strings_of_one_line_only():
    nb = notebook_of("rows <- 5", kernel="ir")
    good = check({"rows": "5", "with.dot": "x"}, nb, kernel_name="ir")
    assert good.values == {"rows": "5", "with.dot": "x"}
    assert (good.problems, good.warnings) == ((), ())
    bad = check({"a": 5, "b": "x" * 2501, "c": "x\ny", "d": None, "e-f": "x"}, nb, kernel_name="ir")
    assert len(bad.problems) == 5
    assert "parameter 'a' is of type int; give text" in bad.problems[0]
    assert "kernel 'ir'" in bad.problems[0]


def test_hyperparameters_are_strings_as_they_are_and_compact_json():
    values = {
        "text": 'plain "é" 😀',
        "number": 5,
        "real": math.nan,
        "low": -math.inf,
        "none": None,
        "nested": {"a": [1, True, "é\n"]},
        "lines": "a\nb",
        "separator": "a\u2028b",
        "surrogate": "\ud800",
    }
    assert hyperparameter_strings(values) == {
        "text": 'plain "é" 😀',
        "number": "5",
        "real": "NaN",
        "low": "-Infinity",
        "none": "null",
        "nested": '{"a":[1,true,"é\\n"]}',
        "lines": '"a\\nb"',
        "separator": '"a\\u2028b"',
        "surrogate": '"\\ud800"',
    }


def test_a_form_over_the_limit_is_left_out_and_kept_by_the_typed_cell():
    values = {"exact": "x" * 2500, "over": "x" * 2501, "digits": 10**5000, "items": list(range(1000))}
    assert list(hyperparameter_strings(values)) == ["exact"]
    nb = prepare_parameters(NB, values)
    namespace = {}
    exec(nb.cells[1].source, namespace)  # noqa: S102 our own cell
    assert {name: namespace[name] for name in values} == values


def test_the_typed_cell_comes_after_the_parameters_cell():
    nb = prepare_parameters(NB, {"rows": 5})
    assert [mark_of(cell) for cell in nb.cells] == [None, "typed-parameters", None]
    assert nb.cells[1].source.splitlines()[1:] == ["rows = 5"]
    assert "tags" not in nb.cells[1].metadata
    assert len(NB.cells) == 2


def test_the_typed_cell_comes_after_injected_parameters_else_first():
    injected = notebook_of("a = 1", "b", tags=["injected-parameters"])
    assert [mark_of(c) for c in prepare_parameters(injected, {"a": 2}).cells] == [None, "typed-parameters", None]
    assert prepare_parameters(injected, {}).metadata[MARK] == {"has_injected_parameters": True}
    bare = notebook_of("a = 1", tags=())
    assert [mark_of(c) for c in prepare_parameters(bare, {"a": 2}).cells] == ["typed-parameters", None]


def test_strings_that_travel_unchanged_need_no_cell():
    assert prepare_parameters(NB, {"day": "2026-02-03"}) is NB
    assert prepare_parameters(NB, {}) is NB
    assert prepare_parameters(NB, {"day": "two\nlines"}) is not NB


def test_preparing_again_replaces_the_cell():
    again = prepare_parameters(prepare_parameters(NB, {"rows": 5}), {"rows": 6})
    assert again == prepare_parameters(NB, {"rows": 6})
    assert dumps(again) == dumps(prepare_parameters(NB, {"rows": 6}))


def test_the_cell_has_an_id_only_where_the_format_has_one():
    old = notebook_of("rows = 1", minor=4)
    assert "id" not in prepare_parameters(old, {"rows": 5}).cells[1]
    assert "id" in prepare_parameters(NB, {"rows": 5}).cells[1]
