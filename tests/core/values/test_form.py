"""The fields of a trigger form, from a notebook's ``parameters`` cell: types, defaults, descriptions, choices."""

import json
import math

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_nbjobs.core.values.cell_parameters import EXACT_INTEGER, cell_parameters, fits_json
from airflow_nbjobs.core.values.declaration import read_tagged_cell
from airflow_nbjobs.core.values.form import build_form
from airflow_nbjobs.core.values.literals import literal


def declared(source):
    cells = [{"cell_type": "code", "source": source, "metadata": {"tags": ["parameters"]}}]
    return read_tagged_cell({"cells": cells})


def form(source, *, only=None, titles=None):
    return build_form(cell_parameters(declared(source)), only=only, titles=titles or {})


def field(source, name="x"):
    """One field, whose default its own schema admits: a DAG with another would not parse."""
    found = form(source).fields[name]
    jsonschema.validate(found.value, found.schema)
    json.dumps(found.value, allow_nan=False)
    return found


ANYTHING = ["string", "number", "boolean", "array", "object", "null"]


@pytest.mark.parametrize(
    ("source", "value", "types"),
    [
        ("x = 3", 3, "integer"),
        ("x = True", True, "boolean"),
        ("x: int = True", True, ["boolean", "integer"]),
        ("x = 0.5", 0.5, "number"),
        ("x: float = 1", 1, "number"),
        ("x: int = 1.5", 1.5, "number"),
        ("x = -5", -5, "integer"),
        ("x = 60 * 60", 3600, "integer"),
        ("x = 1 / 4", 0.25, "number"),
        ("x = 'a'", "a", "string"),
        ("x = ['a']", ["a"], "array"),
        ("x = {'a': 1}", {"a": 1}, "object"),
        ("x: str = 5", 5, ["integer", "string"]),
        ("x: int | str = 'a'", "a", ["string", "integer"]),
        ("from typing import Any\nx: Any = 'a'", "a", ["string", "number", "boolean", "array", "object", "null"]),
        ("width, x = 640, 480", 480, "integer"),
        ("x = 1; y = 2", 1, "integer"),
        ("x = 1\nx = 'b'", "b", "string"),
        ("%%time\nx = 3", 3, "integer"),
        ("%matplotlib inline\nx = 3", 3, "integer"),
    ],
)
def test_a_default_and_its_annotation_say_the_type(source, value, types):
    found = field(source)
    assert (found.value, found.schema["type"]) == (value, types)
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    ("source", "types"),
    [
        ("x = None", ANYTHING),
        ("x: int = None", ["integer", "null"]),
        ("x: int | None = None", ["integer", "null"]),
        ("from typing import Optional\nx: Optional[float] = None", ["number", "null"]),
        ("x = None  # type: Optional[bool]", ["boolean", "null"]),
    ],
)
def test_a_default_of_none_makes_a_field_that_may_stay_empty(source, types):
    found = field(source)
    assert (found.value, found.schema["type"], found.description) == (None, types, None)


def test_an_optional_parameter_with_a_default_may_be_emptied():
    found = field("x: int | None = 5")
    assert (found.value, found.schema["type"]) == (5, ["integer", "null"])


@pytest.mark.parametrize("source", ["x = ''", "x = []"])
def test_what_is_empty_by_default_is_not_demanded(source):
    """Airflow's form demands a text where null is not admitted, and gives null for an empty one."""
    assert field(source).schema["type"][-1] == "null"


@pytest.mark.parametrize(
    ("source", "types", "said"),
    [
        ("x = float('nan')", ["number", "null"], "float('nan')"),
        ("import math\nx = math.inf", ["number", "null"], "math.inf"),
        ("x = 1e999", ["number", "null"], "1e309"),
        ("x = 2**60", ["integer", "null"], "2 ** 60"),
        (f"x = {EXACT_INTEGER + 1}", ["integer", "null"], str(EXACT_INTEGER + 1)),
        ("import datetime\nx = datetime.date.today().isoformat()", ["string", "null"], "datetime.date.today()"),
        ("import os\nx: str = os.environ['DAY']", ["string", "null"], "os.environ['DAY']"),
        ("x = b'a'", ANYTHING, "b'a'"),
        ("x = '\\x00'", ["string", "null"], "'\\x00'"),
        ("x = '\\ud800'", ["string", "null"], "'\\ud800'"),
        ("x = {1: 2}", ["object", "null"], "{1: 2}"),
        ("x = [float('inf')]", ["array", "null"], "[float('inf')]"),
        ("x = 9 ** 9 ** 9", ["number", "null"], "9 ** 9 ** 9"),
        ("x = 1 / 0", ["number", "null"], "1 / 0"),
        (f"x = {'[' * 51}{']' * 51}", ["array", "null"], "[[["),  # no parameter may be nested so deep
        ("y = 1\nx = y", ["integer", "null"], "y"),
        (f"x = 'a' * 3 + {'b' * 9000!r}", ["string", "null"], "'a' * 3"),
    ],
)
def test_a_default_without_a_json_form_stays_the_notebooks_own(source, types, said):
    found = field(source)
    assert (found.value, found.schema["type"]) == (None, types)
    assert found.description.startswith("Left empty: the notebook's own ")
    assert said in found.description
    assert not cell_parameters(declared(source))[-1].admits_none


def test_a_value_that_several_statements_make_stays_the_notebooks_own():
    source = "x = 1\nif True:\n    x = 2"
    assert field(source).description == "Left empty: what the notebook makes of it."


@pytest.mark.parametrize(
    ("source", "value", "expression"),
    [("x = (1, 2)", [1, 2], "(1, 2)"), ("x = {'a'}", ["a"], "{'a'}"), ("x = [(1, 2)]", [[1, 2]], "[(1, 2)]")],
)
def test_what_json_has_in_another_form_is_shown_and_left_to_the_notebook(source, value, expression):
    found = field(source)
    assert (found.value, found.description) == (value, f"Left as it is: the notebook's own {expression}.")


def test_a_name_without_a_default_is_said_to_be_needed_and_breaks_no_scheduled_dag():
    found = field("x: int  # rows")
    assert (found.value, found.schema["type"]) == (None, ["integer", "null"])
    assert found.description == "rows. Needed: the notebook has no default for it."


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 3  # passes over the data", "passes over the data"),
        ("x = '#'", None),
        ("x = '# no'  # yes", "yes"),
        ("x = 3  # noqa: E501", None),
        ("x = 3  # passes  # noqa", "passes"),
        ("x = 3  # type: int", None),
        ("x = 3  # type: int passes", "passes"),
        ("x = 3  # type: Dict[str, int]  # passes", "passes"),
        ("x = 3  # pragma: no cover", None),
        ("x = 3  # type: ignore", None),
        ("x = 3;  # passes", "passes"),
        ("x = [  # the sizes\n    1,  # one\n]", "the sizes"),
        ("x = [\n    1,  # one\n]  # all", "all"),
        ("x = 'é€😀'  # déjà", "déjà"),
        ("x = (\n    3\n)", None),
        ("x = 3  #: passes", "passes"),
        ("# above\nx = 3", None),
        (f"x = 3  # {'w' * 600}", f"{'w' * 499}…"),
    ],
)
def test_the_comment_behind_a_line_is_the_description(source, said):
    assert field(source).description == said


@pytest.mark.parametrize(
    ("source", "schema"),
    [
        ("from typing import Literal\nx: Literal['a', 'b'] = 'a'", {"type": "string", "enum": ["a", "b"]}),
        ("from typing import Literal\nx: Literal[1, 2] = 1", {"type": "integer", "enum": [1, 2]}),
        ("from typing import Literal\nx: Literal['a'] = 'c'", {"type": "string", "enum": ["a", "c"]}),
        ("from typing import Literal\nx: Literal[True, False] = True", {"type": "boolean"}),
        (
            "from enum import StrEnum\nclass M(StrEnum):\n    A = 'a'\n    B = 'b'\nx: M = 'a'",
            {"type": "string", "enum": ["a", "b"]},
        ),
        (
            "import enum\nclass M(str, enum.Enum):\n    A = 'a'\n    B = 'b'\nx = M.B",
            {"type": "string", "enum": ["a", "b"]},
        ),
        (
            "import enum\nclass M(enum.Enum):\n    A = 1\n    B = 2\nx: M = M.A.value",
            {"type": "integer", "enum": [1, 2]},
        ),
    ],
)
def test_choices_come_from_literals_and_enumerations(source, schema):
    assert field(source).schema == schema


@pytest.mark.parametrize("hint", ["Literal['a', 'b'] | None", "Optional[Literal['a', 'b']]", "Literal['a', 'b', None]"])
def test_choices_with_none_are_suggested_since_airflow_3_0_draws_no_null_among_choices(hint):
    found = field(f"from typing import Literal, Optional\nx: {hint} = None")
    assert found.schema["examples"] == ["a", "b"]
    for value in ("a", None):
        jsonschema.validate(value, found.schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate("c", found.schema)


def test_the_member_of_an_enumeration_is_shown_by_its_value_and_left_to_the_notebook():
    found = field("import enum\nclass M(enum.Enum):\n    A = 'a'\nx: M = M.A")
    assert (found.value, found.description) == ("a", "Left as it is: the notebook's own M.A.")


@pytest.mark.parametrize(
    ("source", "items"),
    [
        ("x = ['a']", "string"),
        ("x = [1, 2]", "number"),
        ("x: list[str] = []", "string"),
        ("x: list[int] = [1]", "number"),
        ("x = [[1]]", "array"),
        ("x = ['a', 1]", ["number", "string"]),
        ("x = []", ANYTHING),
    ],
)
def test_a_list_of_texts_has_a_line_each_and_any_other_is_json(source, items):
    assert field(source).schema["items"] == {"type": items}


def test_a_text_of_several_lines_has_a_field_of_several_lines():
    assert field("x = 'a\\nb'").schema["format"] == "multiline"


def test_imports_functions_classes_loop_variables_and_dunders_are_no_parameters():
    source = "import os\nfrom a import b\ndef f(): pass\nclass C: pass\nfor i in range(3):\n    total = i\n__all__ = []\nwith open('a') as file:\n    pass\nx = 1"
    assert list(form(source).fields) == ["total", "x"]


def test_private_names_are_asked_for_by_name_only():
    assert list(form("_x = 1\ny = 2").fields) == ["y"]
    assert list(form("_x = 1\ny = 2", only=["_x"]).fields) == ["_x"]


def test_only_says_which_and_in_which_order_and_titles_name_them():
    found = form("a = 1\nb = 2\nc = 3", only=["c", "a", "c"], titles={"a": "The first"})
    assert list(found.fields) == ["c", "a"]
    assert found.fields["a"].schema["title"] == "The first"
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("only", "titles", "warning"),
    [
        (["epoch"], {}, "only: 'epoch' is not defined in the notebook's 'parameters' cell; did you mean 'epochs'?"),
        (["zzz"], {}, "only: 'zzz' is not defined in the notebook's 'parameters' cell; it defines: epochs, rows"),
        (
            None,
            {"Epochs": "t"},
            "titles: 'Epochs' is not defined in the notebook's 'parameters' cell; did you mean 'epochs'?",
        ),
        (["rows"], {"epochs": "t"}, "titles: 'epochs' is not among only, so the form has no such field"),
    ],
)
def test_what_is_asked_for_and_is_not_there_is_said(only, titles, warning):
    assert form("epochs = 1\nrows = 2", only=only, titles=titles).warnings == (warning,)


JSON_LIKE = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(codec=None, exclude_categories=()))
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=8,
)
HINTS = st.sampled_from(
    [
        "",
        ": int",
        ": float",
        ": str",
        ": bool",
        ": list",
        ": dict",
        ": None",
        ": int | None",
        ": 'list[str]'",
        ": object",
        ": nonsense",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    value=JSON_LIKE,
    hint=HINTS,
    comment=st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x0c\x00"), max_size=20),
)
def test_any_default_gives_a_field_that_airflow_takes_or_stays_the_notebooks_own(value, hint, comment):
    """A DAG with a default that its schema refuses does not parse."""
    source = f"x{hint} = {literal(value)}  #{comment}"
    (parameter,) = cell_parameters(declared(source))
    found = form(source).fields["x"]
    jsonschema.validate(found.value, found.schema)
    assert fits_json(found.value)
    json.dumps(found.schema, allow_nan=False)
    if fits_json(value) and len(json.dumps(value)) <= 8192 and not _is_negative_zero_or_deep(value):
        assert parameter.is_exact
        assert found.value == value
        assert type(found.value) is type(value)
    else:
        assert found.value is None or parameter.is_exact


def _is_negative_zero_or_deep(value):
    """-0.0 equals 0.0, and the literal of a long text is shortened nowhere: nothing is left out but nan, which fits no JSON."""
    return isinstance(value, float) and math.isnan(value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    source=st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(
                [
                    "x",
                    "y",
                    "=",
                    ":",
                    ";",
                    ",",
                    "(",
                    ")",
                    "[",
                    "]",
                    "#",
                    "1",
                    "'a'",
                    "int",
                    "\n",
                    "for",
                    "in",
                    "if",
                    "else",
                    ":",
                    "*",
                    "**",
                    "lambda",
                    "{}",
                    "import",
                    "class",
                    "def",
                    "%time",
                    "!ls",
                ]
            ),
            max_size=15,
        ).map(" ".join),
    )
)
def test_no_cell_breaks_the_form(source):
    for found in form(source).fields.values():
        jsonschema.validate(found.value, found.schema)
        json.dumps([found.value, found.schema, found.description], allow_nan=False)


def test_of_a_cell_without_parameters_it_is_said_that_there_are_none():
    found = form("# none", only=["rows"])
    assert found.warnings == ("only: 'rows' is not defined in the notebook's 'parameters' cell; it defines none",)
    assert found.fields == {}


@pytest.mark.parametrize(
    ("source", "schema"),
    [
        ("x: int = 5", {"type": "integer"}),
        ("x: float = 5.5", {"type": "number"}),
        ("x: int | float = 5", {"type": "number"}),
        ("x: int | str = 5", {"type": ["integer", "string"]}),
        ("x: float | str = 5", {"type": ["number", "string"]}),
        ("x: bool = 'a'", {"type": ["string", "boolean"]}),
        ("x: tuple[int, ...] = f()", {"type": ["array", "null"], "items": {"type": "number"}}),
        ("x: set[str] = f()", {"type": ["array", "null"], "items": {"type": "string"}}),
        ("x: list = [1]", {"type": "array", "items": {"type": "number"}}),
        ("x: list[int] = ['a']", {"type": "array", "items": {"type": ["number", "string"]}}),
        ("x: list[int | None] = [1]", {"type": "array", "items": {"type": ["number", "null"]}}),
        ("x = [None, True, {}]", {"type": "array", "items": {"type": ["boolean", "object", "null"]}}),
        ("x = ''", {"type": ["string", "null"]}),
        ("x = {}", {"type": "object"}),
        ("x = 0", {"type": "integer"}),
        ("x = False", {"type": "boolean"}),
        ("x: str | None = 'a'", {"type": ["string", "null"]}),
        ("x: None = None", {"type": ANYTHING}),
        ("x = 'a\\nb'", {"type": "string", "format": "multiline"}),
        ("x: Literal['a\\nb'] = 'a\\nb'", {"type": "string", "enum": ["a\nb"]}),
        ("x: Literal[True] = True", {"type": "boolean"}),
        ("x: Literal['a', 1] = 1", {"type": ["integer", "string"], "enum": ["a", 1]}),
        ("x: Literal[1, True] = 1", {"type": ["integer", "boolean"], "enum": [1, True]}),
        ("x: Literal[1] = True", {"type": ["boolean", "integer"], "enum": [1, True]}),
        (
            "x: Literal['a', 'b'] = f()",
            {"type": ["string", "null"], "examples": ["a", "b"], "anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]},
        ),
        (
            "x: Literal[1, 2] | None = 1",
            {"type": ["integer", "null"], "examples": ["1", "2"], "anyOf": [{"enum": [1, 2]}, {"type": "null"}]},
        ),
    ],
)
def test_each_field_has_the_schema_that_airflow_draws(source, schema):
    found = form(source).fields["x"].schema
    assert {name: value for name, value in found.items() if name != "items" or name in schema} == schema


@pytest.mark.parametrize(
    ("source", "description"),
    [
        ("x = 5", None),
        ("x = 5  # rows", "rows"),
        ("x = (1,)  # rows", "rows. Left as it is: the notebook's own (1,)."),
        ("x = (1,)  # rows.", "rows. Left as it is: the notebook's own (1,)."),
        ("x = (1,)  # rows?", "rows? Left as it is: the notebook's own (1,)."),
        ("x = f()", "Left empty: the notebook's own f()."),
        ("x = f()  # rows", "rows. Left empty: the notebook's own f()."),
        ("x = None  # rows", "rows"),
        ("if y:\n    x = 1", "Left empty: what the notebook makes of it."),
        ("x: int", "Needed: the notebook has no default for it."),
        ("x: int  # rows!", "rows! Needed: the notebook has no default for it."),
    ],
)
def test_a_field_is_described_by_its_comment_and_by_what_leaving_it_means(source, description):
    assert form(source).fields["x"].description == description


@pytest.mark.parametrize(
    ("only", "titles", "fields", "warnings"),
    [
        (None, {}, ["a", "b"], 0),
        (["b"], {}, ["b"], 0),
        ([], {}, [], 0),
        (["b", "_c"], {"_c": "C"}, ["b", "_c"], 0),
        (None, {"a": "A"}, ["a", "b"], 0),
        (None, {"_c": "C"}, ["a", "b"], 1),
        (None, {"d": "D"}, ["a", "b"], 1),
        (["d"], {"d": "D"}, [], 1),
        (["a"], {"b": "B", "e": "E"}, ["a"], 2),
    ],
)
def test_fields_are_those_asked_for_and_each_other_name_is_said_once(only, titles, fields, warnings):
    found = form("a = 1\nb = 2\n_c = 3", only=only, titles=titles)
    assert list(found.fields) == fields
    assert len(found.warnings) == warnings
    assert {name: field.schema["title"] for name, field in found.fields.items() if "title" in field.schema} == {
        name: title for name, title in titles.items() if name in fields
    }
