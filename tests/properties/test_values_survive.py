"""Any JSON-like value reaches the notebook, and comes back, with equal value and type: real driver, papermill and kernel."""

import ast
import base64
import json
import math
import pickle

import pytest
from building import notebook_of
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from airflow_nbjobs.core.notebook.document import is_python
from airflow_nbjobs.core.values.literals import literal
from airflow_nbjobs.core.values.outputs import declare_outputs, read_outputs
from airflow_nbjobs.core.values.parameters import check_parameters
from airflow_nbjobs.core.values.recording import OUTPUT_LIMIT_BYTES

TEXT = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=())),
    st.sampled_from(
        [
            *(
                "%matplotlib inline",
                "!ls",
                "?x",
                "x?",
                "%%bash\nls\n",
                "a\n%time\n!b\n?",
                "\n%run x.ipynb",
                "{x}",
                "$x",
            ),
            *(
                "'",
                '"',
                "'''",
                '"""',
                "\\",
                "\\'",
                "\\n",
                "\x00",
                "\r\n",
                "\x85\u2028\u2029",
                "\ud800",
                "😀",
                "ﬁ",
                ">>> 1",
                "In [1]: 1",
            ),
            *("", " ", "5", "NaN", "None", "true", "x" * 10_000, "é" * 2_501, "# -*- coding: latin-1 -*-"),
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.just(5000).map(lambda digits: -(10**digits)),  # more digits than Python 3.11 writes as a decimal
    st.floats(),
    st.sampled_from(
        [
            0,
            -1,
            2**63,
            10**3999,
            -0.0,
            math.inf,
            -math.inf,
            math.nan,
            5e-324,
            1.7976931348623157e308,
            0.1,
            1e16,
        ]
    ),
)
JSON_LIKE = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXT, inner, max_size=5)),
    max_leaves=12,
)
# One kernel run takes many values: a start costs seconds, a parameter nothing.
MANY = st.lists(JSON_LIKE, min_size=60, max_size=99)
THOROUGH = settings(
    max_examples=15,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
QUICK = settings(THOROUGH, max_examples=3)


def exact(value):
    """A text that tells values and types apart: 1, 1.0 and True, 0.0 and -0.0; equal for all nan."""
    match value:
        case list():
            return "[" + ", ".join(exact(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{exact(key)}: {exact(item)}" for key, item in value.items()) + "}"
        case int():
            return f"{type(value).__name__} {value:#x}"
        case _:
            return f"{type(value).__name__} {value!a}"


# The same function, as it runs in the notebook: independent of how outputs are recorded.
EXACT_CELL = """\
def exact(value):
    if isinstance(value, list):
        return "[" + ", ".join(exact(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{exact(key)}: {exact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, int):
        return f"{type(value).__name__} {value:#x}"
    return f"{type(value).__name__} {ascii(value)}"
print("\\n".join(exact(globals()[name]) for name in NAMES))
"""
# Names that literals which call something (float("nan"), json.loads(…)) would trip over.
AWKWARD_NAMES = ["float", "json", "str", "list", "dict_", "print_", "match", "type", "é"]


def check(run_by_driver, given, made):
    """
    Run one kernel for both ways: its start takes seconds.

    :param given: values of parameters.
    :param made: values that a cell makes, for outputs.
    """
    nb, parameters = arrival(given, source_that_makes(made))
    outputs = [f"o{n}" for n in range(len(made))]
    run = run_by_driver(nb, parameters=parameters, outputs=outputs)
    assert run.exit_code == 0, run.log[-3000:]
    (printed,) = [each.text for cell in run.executed.cells for each in cell.get("outputs", ()) if "text" in each]
    assert printed.splitlines() == [exact(value) for value in given]
    record = read_outputs(run.executed, declare_outputs(outputs, None))
    expected = {name: for_xcom(value) for name, value in zip(outputs, made, strict=True) if can_be_stored(value)}
    assert exact(record.values) == exact(expected)
    assert len(record.problems) == len(made) - len(expected)


def arrival(values, *sources):
    """Return a notebook that prints what has arrived and goes on with these cells, and the parameters that it is given."""
    names = AWKWARD_NAMES + [f"p{n}" for n in range(99)]
    assert len(values) <= len(names)
    parameters = dict(zip(names, values, strict=False))
    used = [name for name in parameters if name in {"str", "list", "type"}]
    defaults = "\n".join(f"{name} = None" for name in parameters)
    restore = "\n".join(f"arrived_{name} = {name}\ndel {name}" for name in used)
    seen = [f"arrived_{name}" if name in used else name for name in parameters]
    nb = notebook_of(defaults, restore, f"NAMES = {seen!r}\n{EXACT_CELL}", *sources, tags=["parameters"])
    assert is_python(nb, "python3")
    checked = check_parameters(nb, parameters, kernel_name="python3", unknown="error")
    assert checked.problems == ()
    return nb, checked.values


def for_xcom(value):
    match value:
        case list():
            return [for_xcom(item) for item in value]
        case dict():
            return {key: for_xcom(item) for key, item in value.items()}
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case _:
            return value


def can_be_stored(value):
    """Say whether Airflow stores the value: it has a JSON text, not too long, without NUL, half a surrogate pair or an integer of more than 64 bits."""
    try:
        text = json.dumps(value, separators=(",", ":"))
    except ValueError:  # more than 4,300 digits
        return False
    return len(text) <= OUTPUT_LIMIT_BYTES and all(map(is_storable, parts_of(value)))


def parts_of(value):
    yield value
    for part in value if isinstance(value, list) else [*value, *value.values()] if isinstance(value, dict) else ():
        yield from parts_of(part)


def is_storable(part):
    if isinstance(part, str):
        return "\0" not in part and not any(0xD800 <= ord(character) <= 0xDFFF for character in part)
    return not isinstance(part, int) or -(2**63) <= part < 2**64


def source_that_makes(values):
    packed = base64.b64encode(pickle.dumps(values)).decode()
    return f"import base64, pickle\nfor _n, _v in enumerate(pickle.loads(base64.b64decode({packed!r}))):\n    globals()[f'o{{_n}}'] = _v"


def deepest():
    """Return the deepest value that is accepted."""
    deep = "x"
    for level in range(50):
        deep = [deep] if level % 2 else {"k": deep}
    return deep


@pytest.mark.local
@seed(20261123)
@QUICK
@given(values=MANY)
def test_parameters_arrive_and_outputs_come_back_with_equal_value_and_type(run_by_driver, values):
    check(run_by_driver, [*values, deepest()], values)


@pytest.mark.slow
@THOROUGH
@given(given=MANY, made=MANY)
def test_many_parameters_arrive_and_outputs_come_back_with_equal_value_and_type(run_by_driver, given, made):
    check(run_by_driver, given, made)


@given(value=JSON_LIKE)
def test_a_literal_is_one_line_of_ascii_without_names(value):
    text = literal(value)
    assert text.isascii()
    assert text.isprintable()
    assert not [node for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)]
    assert exact(eval(text, {"__builtins__": {}})) == exact(value)  # noqa: S307 our own text


@given(value=JSON_LIKE)
def test_ipython_takes_no_literal_for_a_magic(value):
    line = f"x = {literal(value)}\n"
    assert TransformerManager().transform_cell(line) == line
