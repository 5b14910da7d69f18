import datetime as dt
import decimal
import json
import math

import pytest

from airflow_nbjobs.core.notebook.document import MARK, code_cell, dumps, mark_of, parse_notebook
from airflow_nbjobs.core.values.not_known import NotKnown
from airflow_nbjobs.core.values.parameter_cell import hyperparameter_strings, prepare_parameters
from airflow_nbjobs.core.values.parameters import CheckedParameters, check_parameters

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


@pytest.mark.parametrize("annotation", ["Rows", "my.Rows", "'Rows'", "Rows[int]"])
def test_of_an_annotation_that_is_not_known_the_default_tells(annotation):
    nb = notebook_of(f"rows: {annotation} = 100\nother: {annotation}")
    checked = check({"rows": "5"}, nb)
    assert (checked.values, checked.problems) == ({"rows": 5}, ())
    (problem,) = check({"rows": "five"}, nb).problems
    assert "'rows'" in problem
    assert check({"other": "5"}, nb).values == {"other": "5"}
    assert check({"other": "5"}, nb).problems == ()  # its annotation alone names it
    assert check({"other": 5}, nb) == CheckedParameters({"other": 5}, (), (), ())


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


IMPORTS = (
    "import enum, pathlib\nimport pandas as pd\nfrom datetime import date, timedelta\nfrom decimal import Decimal as D"
)


@pytest.mark.parametrize(
    ("default", "later", "value", "said"),
    [
        (
            "date(2024, 1, 1)",
            "before = x - timedelta(days=1)",
            "2024-02-03",
            "its default is date(2024, 1, 1), an object",
        ),
        ("date.today() - timedelta(days=1)", "print(f'{x:%Y}')", "2024-02-03", "'2024-02-03' arrives as a text"),
        ("pathlib.Path('a') / 'b'", "print(x.name)", "c", "'c' arrives as a text"),
        ("pd.Timestamp('2024-01-01')", "print(x.year)", "2024-02-03", "arrives as a text"),
        ("D('1.1')", "print(D('2') * x)", 2.5, "2.5 arrives as a float"),
    ],
)
def test_a_value_for_an_object_that_later_cells_use_as_one_is_a_warning(default, later, value, said):
    """Such a text arrived without a word, and the notebook failed minutes later at an attribute that a text has not."""
    checked = check({"x": value}, notebook_of(f"x = {default}", IMPORTS, later))
    assert checked.values == {"x": value}
    assert len(checked.warnings) == 1
    assert said in checked.warnings[0]
    assert "make the object of it in a later cell" in checked.warnings[0]


def test_a_member_of_an_enumeration_and_an_object_of_the_cells_own_class_are_objects():
    cell = "from enum import Enum\nclass Mode(Enum):\n    FAST = 'fast'\nclass Config:\n    lr = 1\nmode = Mode.FAST\nconfig = Config()"
    checked = check({"mode": "fast", "config": {"lr": 2}}, notebook_of(cell, "print(mode.value, config.lr)"))
    assert [text.partition(",")[0] for text in checked.warnings] == [
        "parameter 'mode': its default is Mode.FAST",
        "parameter 'config': its default is Config()",
    ]


@pytest.mark.parametrize(
    ("default", "later"),
    [
        ("date(2024, 1, 1)", "x = date.fromisoformat(str(x))\nprint(x.year)"),
        ("date(2024, 1, 1)", "print(x, f'{x}', pd.Timestamp(x))"),
        ("pathlib.Path('a')", "open(x)"),
        ("pathlib.Path('a')", "def name(x):\n    return x.name"),
        ("pathlib.Path('a')", "names = [x.name for x in files]"),
        ("pathlib.Path('a')", "print('data/%s' % x)"),
        ("str(date(2024, 1, 1))", "print(x.upper())"),
        ("date(2024, 1, 1).isoformat()", "print(x.upper())"),
        ("load()", "print(x.name)"),
    ],
)
def test_a_text_that_does_as_well_as_the_default_is_no_warning(default, later):
    assert check({"x": "a"}, notebook_of(f"x = {default}", IMPORTS, later)).warnings == ()


def test_type_comments_say_types_as_annotations_do():
    """Papermill reads them too, and nothing else says what a default of None is."""
    nb = notebook_of(
        "n = None  # type: int  # of rows\nzip_code = 0  # type: str\nm = []  # type: ignore\nk = 1  # type: what is it"
    )
    assert check({"n": "4"}, nb).values == {"n": 4}
    plain = notebook_of("n = None  # type: int\nzip_code = 0  # type: str\nm = []  # type: ignore")
    checked = check({"n": "4", "zip_code": "07", "m": "[1]"}, plain)
    assert checked.values == {"n": 4, "zip_code": "07", "m": [1]}
    assert checked.warnings == ()


def test_a_second_cell_with_the_tag_is_named_where_a_name_is_only_there():
    nb = notebook_of("a = 1", "b = 2")
    nb.cells[1].metadata["tags"] = ["parameters"]
    (problem,) = check({"b": 3}, nb).problems
    assert "cell 2, which defines it, is tagged 'parameters' as well, but only the first such cell counts" in problem


@pytest.mark.parametrize("magic", ["%%time", "%%prun -s cumulative"])
def test_a_cell_that_is_timed_hides_no_name(magic):
    (problem,) = check({"epoch": 3}, notebook_of(f"{magic}\nepochs = 1")).problems
    assert "did you mean 'epochs'?" in problem


def test_the_values_of_dict_with_keywords_have_their_types():
    checked = check({"config": {"lr": "0.2", "n": "x"}}, notebook_of("config = dict(lr=0.1, n='a')"))
    assert checked.values == {"config": {"lr": 0.2, "n": "x"}}


def test_many_defaults_made_of_a_given_one_share_a_warning():
    """A generated cell gave 7,000 warnings of 1.5 MB."""
    cell = "a = 1\n" + "\n".join(f"b{n} = a + {n}" for n in range(500))
    warnings = check({"a": 2}, notebook_of(cell)).warnings
    assert len(warnings) == 11
    assert warnings[-1].startswith(
        "490 more are made of defaults that way, and do not follow the values given: b10, b11, "
    )


def test_a_parameters_cell_that_is_nested_too_deep_is_read_as_far_as_it_goes():
    """Python parses a thousand ``elif``; whoever follows them calls itself for each."""
    branches = "".join(f"elif a == {n}:\n    b = {n}\n" for n in range(1500))
    found = check({"a": 2, "c": 3}, notebook_of(f"a = 1\nif a == 0:\n    b = 0\n{branches}"))
    assert found.values["a"] == 2
    (problem,) = found.problems
    assert "'c' is not defined" in problem


def test_a_notebook_that_defines_no_parameter_is_said_to():
    (problem,) = check({"rows": 1}, notebook_of("# none", "print(1)")).problems
    assert problem == "parameter 'rows' is not defined in the notebook's 'parameters' cell; it defines none"


@pytest.mark.parametrize(
    ("value", "words"),
    [(5, "is of type int; give text"), ("x" * 2501, "has 2,501 characters; the limit is 2,500"), ("a\nb", "line end")],
)
def test_another_kernel_gets_texts_of_one_line(value, words):
    nb = notebook_of("rows <- 1", kernel="ir")
    (problem,) = check({"rows": value}, nb, kernel_name="ir").problems
    assert problem.startswith("parameter 'rows' ")
    assert words in problem
    assert check({"rows": "x" * 2500}, nb, kernel_name="ir").problems == ()


@pytest.mark.parametrize(
    ("nb", "given", "said"),
    [
        (
            notebook_of("a = 1"),
            {"a": 1, "b": 2, "c": 3},
            ["parameter 'b' is not defined", "parameter 'c' is not defined"],
        ),
        (notebook_of("a = 1"), {"a": (1,), "a b": 1}, ["parameters['a'] is of type tuple", "parameter name 'a b'"]),
        (
            notebook_of("a = 1"),
            {"a b": "x", "c": NotKnown("{{ x }}")},
            ["parameter name 'a b'", "parameter 'c' is not"],
        ),
        (notebook_of("a = 1"), {"a": NotKnown("{{ x }}"), "1": NotKnown("{{ y }}")}, ["parameter name '1' is not a"]),
    ],
    ids=range(4),
)
def test_every_problem_has_its_line_in_the_order_given(nb, given, said):
    problems = check(given, nb).problems
    assert len(problems) == len(said)
    assert all(problem.startswith(start) for problem, start in zip(problems, said, strict=True))


def test_a_value_that_is_not_known_yet_is_not_among_the_values():
    checked = check({"day": NotKnown("{{ ds }}"), "rows": 5})
    assert checked == CheckedParameters({"rows": 5}, (), (), ())


def test_a_text_none_is_said_to_come_from_a_template():
    (problem,) = check({"rows": "None"}).problems
    assert problem.endswith("; a template writes 'None' for a value that is not there")
    (warning,) = check({"day": "None"}).warnings
    assert warning == "parameter 'day' is 'None', as a template writes it for a value that is not there"
    assert check({"n": "None"}).warnings == ()  # which is None there
    assert len(check({"limit": "None"}).warnings) == 1  # it is said once
    nb = notebook_of("rows <- 1", kernel="ir")
    assert check({"rows": "None"}, nb, kernel_name="ir").warnings == ()


@pytest.mark.parametrize(("text", "is_said"), [(" a", True), ("a\n", True), ("a b", False), ("", False)])
def test_blanks_at_either_end_are_said(text, is_said):
    warnings = check({"day": text}).warnings
    assert bool(warnings) is is_said
    assert check({"day": text}).values == {"day": text}


def test_two_spellings_of_one_name_are_named():
    assert check({"ﬁt": 1, "fit": 2}, notebook_of("fit = 0")).problems[-1] == (
        "parameters 'ﬁt' and 'fit' are one and the same name to Python"
    )


@pytest.mark.parametrize("count", [9, 10, 11, 20, 21])
def test_ten_warnings_of_what_is_made_of_a_default_are_told_and_ten_more_named(count):
    cell = "a = 1\n" + "\n".join(f"b{n} = a + {n}" for n in range(count))
    warnings = check({"a": 2}, notebook_of(cell)).warnings
    told = [warning for warning in warnings if warning.startswith("parameter 'a': b")]
    assert len(told) == min(count, 10)
    assert told[0].endswith(", or give 'b0' as well")
    rest = warnings[len(told) :]
    if count <= 10:
        assert rest == ()
    else:
        shown = ", ".join(f"b{n}" for n in range(10, min(count, 20)))
        assert rest[0].endswith(
            f"{count - 10} more are made of defaults that way, and do not follow the values given: {shown}"
            + (", …" if count > 20 else "")
        )


def test_what_is_no_name_cannot_be_given_as_well():
    (warning,) = check({"a": 2}, notebook_of("a = 1\nc = {}\nc['x'] = a")).warnings
    assert "so c['x'] does not follow it: move that line into a later cell" in warning
    assert "as well" not in warning


def test_one_name_or_several_that_would_be_lost():
    (one,) = check({"a": 1}, notebook_of("a = 2", tags=())).problems
    assert one == (
        "parameter 'a' would not reach the notebook, which assigns over what is given: 'a' in cell 1, line 1: a = 2. "
        "The notebook has no cell tagged 'parameters'; tag cell 1 with 'parameters': in JupyterLab the property inspector, 'Cell Tags'"
    )
    (two,) = check({"a": 1, "b": 2}, notebook_of("a = 2\nb = 3", tags=())).problems
    assert two.startswith("parameters 'a', 'b' would not reach the notebook")
    assert "move the other assignments" not in two  # they are in the same cell
    (spread,) = check({"a": 1, "b": 2}, notebook_of("a = 2", "b = 3", tags=())).problems
    assert "tag cell 1 with 'parameters', and move the other assignments into it" in spread


def test_an_assignment_that_may_win_names_the_place_and_the_missing_tag():
    warnings = check({"a": 1}, notebook_of("if x:\n    a = 2", tags=())).warnings
    assert (
        "parameter 'a' may be assigned over in cell 1, line 2: a = 2; the notebook has no cell tagged 'parameters'"
        in warnings
    )


def test_values_of_an_earlier_run_are_named_where_nothing_replaces_them():
    nb = notebook_of("a = 1\nb = 2\na = 3", tags=["injected-parameters"])
    assert check({}, nb).warnings == (
        "the notebook has an 'injected-parameters' cell of an earlier run, whose values win over the 'parameters' cell: a, b",
    )
    assert not any("earlier run" in warning for warning in check({"b": 2}, nb).warnings)
    assert check({}, notebook_of("# nothing", tags=["injected-parameters"])).warnings == ()
    assert check({}, notebook_of("a = (", tags=["injected-parameters"])).warnings == ()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            5,
            "parameter 'a' is of type int; give text and convert it in the notebook (kernel 'ir' gets hyperparameters: strings",
        ),
        (None, "parameter 'a' is of type NoneType; give text"),
        (["x"], "parameter 'a' is of type list; give text"),
        ("x" * 2501, "parameter 'a' has 2,501 characters; the limit is 2,500 (kernel 'ir'"),
        ("a\nb", "parameter 'a' has a line end or a lone surrogate in it (kernel 'ir'"),
        ("\ud800", "parameter 'a' has a line end or a lone surrogate in it"),
    ],
    ids=range(6),
)
def test_what_another_kernel_cannot_get_is_said(value, problem):
    checked = check({"a": value}, notebook_of("a <- 1", kernel="ir"), kernel_name="ir")
    assert len(checked.problems) == 1
    assert checked.problems[0].startswith(problem)


def test_an_objects_warning_is_not_given_where_nothing_is_given_or_more_is_wrong():
    nb = notebook_of("x = date(2024, 1, 1)", "from datetime import date", "print(x.year)")
    assert check({"x": None}, nb).warnings == ()
    assert "an object that no parameter can be; 5 arrives as an int" in check({"x": 5}, nb).warnings[0]


@pytest.mark.parametrize(("levels", "is_right"), [(50, True), (51, False)])
def test_a_value_given_or_read_from_a_text_is_fifty_levels_deep_at_most(levels, is_right):
    text = "[" * levels + "]" * levels
    for value in (json.loads(text), text):
        checked = check({"x": value}, notebook_of("x = []"))
        assert (checked.problems == ()) is is_right
        assert is_right or "nested more than 50 levels deep" in checked.problems[0]
