"""What a ``parameters`` cell offers to whoever fills in a form: names, defaults, comments, choices."""

import pytest

from airflow_nbjobs.core.values.cell_parameters import EXACT_INTEGER, cell_parameters, fits_json
from airflow_nbjobs.core.values.declaration import Declaration, read_tagged_cell


def parameters(source):
    cells = [{"cell_type": "code", "source": source, "metadata": {"tags": ["parameters"]}}]
    return {one.name: one for one in cell_parameters(read_tagged_cell({"cells": cells}))}


def parameter(source):
    return parameters(source)["x"]


@pytest.mark.parametrize(
    ("default", "shown", "is_exact", "expression"),
    [
        ("5", 5, True, ""),
        ("-5", -5, True, ""),
        ("'a'", "a", True, ""),
        ("None", None, True, ""),
        ("[1, {'a': None}]", [1, {"a": None}], True, ""),
        ("(1, 2)", [1, 2], False, "(1, 2)"),
        ("{1}", [1], False, "{1}"),
        ("set()", [], False, "set()"),
        ("{'a': (1,)}", {"a": [1]}, False, "{'a': (1,)}"),
        ("60 * 60", 3600, True, ""),
        ("7 - 2", 5, True, ""),
        ("7 + 2.5", 9.5, True, ""),
        ("7 // 2", 3, True, ""),
        ("7 % 4", 3, True, ""),
        ("7 / 2", 3.5, True, ""),
        ("2 ** 10", 1024, True, ""),
        ("-(2 * 3)", -6, True, ""),
        ("2 ** -1", 0.5, True, ""),
        ("10 ** 6 ** 1", 10**6, True, ""),
        ("(10 ** 6) ** 2", 10**12, True, ""),
        ("1000001 ** 2", None, False, "1000001 ** 2"),  # more than it is worked out for
        ("1.0 ** 64", 1.0, True, ""),
        ("1.0 ** 65", None, False, "1.0 ** 65"),
        ("(-8) ** 0.5", None, False, "(-8) ** 0.5"),  # a complex number
        ("1 / 0", None, False, "1 / 0"),
        ("True + 1", None, False, "True + 1"),
        ("'a' + 'b'", None, False, "'a' + 'b'"),
        ("1 << 3", None, False, "1 << 3"),
        ("~5", None, False, "~5"),
        ("+5", None, False, "+5"),
        ("f(5)", None, False, "f(5)"),
        ("y", None, False, "y"),
        (str(EXACT_INTEGER), EXACT_INTEGER, True, ""),
        (str(-EXACT_INTEGER), -EXACT_INTEGER, True, ""),
        (str(EXACT_INTEGER + 1), None, False, str(EXACT_INTEGER + 1)),
        (repr("a" * 8190), "a" * 8190, True, ""),
        (repr("a" * 8191), None, False, "'" + "a" * 78 + "…"),
        ("f(" + "a" * 77 + ")", None, False, "f(" + "a" * 77 + ")"),
        ("f(" + "a" * 78 + ")", None, False, "f(" + "a" * 77 + "…"),
        ("[" * 50 + "]" * 50, None, True, ""),
        ("[" * 51 + "]" * 51, None, False, "[" * 51 + "]" * 28 + "…"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_a_default_is_shown_where_it_has_a_json_form(default, shown, is_exact, expression):
    found = parameter(f"x = {default}")
    if default == "[" * 50 + "]" * 50:
        assert str(found.shown) == default
    else:
        assert repr(found.shown) == repr(shown)
    assert (found.is_exact, found.has_default) == (is_exact, True)
    assert found.expression == expression


@pytest.mark.parametrize(
    ("source", "shown", "has_default", "expression"),
    [
        ("x: int", None, False, "…"),
        ("x: int = 5", 5, True, ""),
        ("x = 1\nx = 2", 2, True, ""),
        ("x = 1\nx += 2", None, True, "…"),
        ("if y:\n    x = 1", None, True, "…"),
        ("try:\n    pass\nexcept E:\n    x = 1", None, True, "…"),
        ("try:\n    pass\nfinally:\n    x = 1", 1, True, ""),
        ("for y in z:\n    pass\nelse:\n    x = 1", None, True, "…"),
        ("match y:\n    case 1:\n        x = 1", None, True, "…"),
        ("with y:\n    x = 1", 1, True, ""),
        ("y, [x, *z] = 1, [2, 3]", None, True, "…"),
        ("y, (x, z) = 1, (2, 3)", 2, True, ""),
        ("*x, y = 1, 2", None, True, "…"),
    ],
)
def test_a_name_is_offered_wherever_the_cell_assigns_it(source, shown, has_default, expression):
    found = parameter(source)
    assert (found.shown, found.has_default, found.expression) == (shown, has_default, expression)


def test_names_come_in_the_order_of_their_first_assignment_and_no_others():
    source = (
        "a = 1\nimport b\ndef c():\n    d = 1\nclass E:\n    f = 1\nfor g in h:\n    i = 1\n__j__ = 1\n__k = 1\n_l = 1\n"
        "m.n = 1\no[0] = 1\nwith p as q:\n    r = 1\na = 2\n(s := 1)"
    )
    assert list(parameters(source)) == ["a", "i", "__k", "_l", "r"]
    assert parameters("x = (") == {}
    assert cell_parameters(Declaration()) == ()


@pytest.mark.parametrize(
    ("source", "admits_none"),
    [
        ("x: int | None = 5", True),
        ("x = None", True),
        ("x: int = None", True),
        ("x: int = 5", False),
        ("x: int | None = f()", False),
        ("x: int | None", False),
    ],
)
def test_none_may_be_a_value_of_its_own(source, admits_none):
    assert parameter(source).admits_none is admits_none


ENUM = (
    "import enum\nclass M(enum.Enum):\n    A = 'a'\n    B = 2\n    C = f()\n    D = '\\ud800'\n    def e(self): pass\n"
)


@pytest.mark.parametrize(
    ("source", "choices", "shown"),
    [
        ("x: Literal['a', 1, None] = 'a'", ("a", 1, None), "a"),
        ("x: Literal[1, True] = 1", (1, True), 1),
        ("x: Literal['a', 'a'] = 'a'", ("a",), "a"),
        (ENUM + "x: M = M.A", ("a", 2), "a"),
        (ENUM + "x = M.B", ("a", 2), 2),
        (ENUM + "x = M.B.value", (), 2),
        (ENUM + "x: M = M.B.value", ("a", 2), 2),
        (ENUM + "x = M.C", ("a", 2), None),
        (ENUM + "x = M.Z.value", (), None),
        (ENUM + "x = M", (), None),
        ("class M(Base):\n    A = 1\nx = M.A", (), None),
        ("class M(IntEnum):\n    A = B = 1\nx: M = 1", (1,), 1),
        ("class M(Other, StrEnum):\n    A = 'a'\nx: M = 'a'", ("a",), "a"),
        ("x = 5", (), 5),
    ],
)
def test_choices_are_an_annotations_or_an_enumerations(source, choices, shown):
    found = parameter(source)
    assert [(type(one), one) for one in found.choices] == [(type(one), one) for one in choices]
    assert found.shown == shown
    assert found.is_exact is (shown is not None and not source.endswith(("M.A", "= M.B")))


@pytest.mark.parametrize(
    ("source", "comment"),
    [
        ("x = 1  # a comment", "a comment"),
        ("x = 1 # a  # b", "a  # b"),
        ("x = 1 #: a", "a"),
        ("x = 1 ##  a", "a"),
        ("x = 1", ""),
        ("x = '# a'", ""),
        ("x = (1,  # a\n     2)  # b", "b"),
        ("x = (1,  # a\n     2)", "a"),
        ("x = (1,\n     2,  # b\n     3)", ""),
        ("x = 1; y = 2  # a", ""),
        ("y = 2; x = 1  # a", "a"),
        ("x = 1 # type: int", ""),
        ("x = 1 # type: int # a", "a"),
        ("x = 1 # type: list[int] | None  a", "a"),
        ("x = 1 # typed: a", "typed: a"),
        ("x = 1 # a # type: ignore", "a"),
        ("x = 1 # the type: csv or json", "the type: csv or json"),
        ("x = 1 # type: ignore[misc] # a", ""),
        ("x = 1 # noqa", ""),
        ("x = 1 # a # NOQA: E1", "a"),
        ("x = 1 # pylint: disable=x", ""),
        ("x = 1 # a # fmt: skip", "a"),
        ("x = 1 # " + "a" * 500, "a" * 500),
        ("x = 1 # " + "a" * 501, "a" * 499 + "…"),
        ("x = 'é' # ü", "ü"),
        ("x = '''\n# a\n''' # b", "b"),
    ],
    ids=lambda value: value[:30],
)
def test_the_comment_behind_an_assignment_is_its_description(source, comment):
    assert parameter(source).comment == comment


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        *((None, True), (True, True), (0.5, True), (EXACT_INTEGER, True), (EXACT_INTEGER + 1, False)),
        *((-EXACT_INTEGER - 1, False), (float("nan"), False), (float("-inf"), False), ("é", True), ("a\0", False)),
        *(("\ud800", False), ([1, ["\0"]], False), ({"a": [1]}, True), ({"\0": 1}, False), ({"a": 2**60}, False)),
        *((b"a", False), ((1,), False), ([], True)),
    ],
    ids=ascii,
)
def test_a_value_fits_where_a_browser_and_a_database_keep_it(value, fits):
    assert fits_json(value) is fits
