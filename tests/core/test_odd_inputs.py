"""Texts that somebody else has written, however long, deep or large: each is read, or known as none, and never raises what nobody expects."""

from __future__ import annotations

import ast
import math
from datetime import timedelta

import pytest

from airflow_nbjobs.core import texts
from airflow_nbjobs.core.chart import scales
from airflow_nbjobs.core.job import metrics, price_list, prices
from airflow_nbjobs.core.notebook import run_targets
from airflow_nbjobs.core.values import conversion, kinds, received, recorded
from airflow_nbjobs.core.watch.log_place import LogPlace

DEEP = "[" * 100_000
CHAIN = "+".join(["1"] * 5_000)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{'a': (1, None)}", {"a": (1, None)}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ("{a: 1}", None),
        ("{[]: 1}", None),
        (DEEP, None),
        ("", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_text_is_read_as_json_else_as_python(text, value):
    assert texts.structure(text) == value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("7", 7),
        (" 7.5 ", 7.5),
        ("1e400", None),
        ("nan", None),
        (math.inf, None),
        (10**400, 10**400),
        ("9" * 5000, None),
        (True, None),
        (None, None),
        ([], None),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else "",
)
def test_a_number_is_finite_and_no_boolean(value, found):
    assert texts.number(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (timedelta(minutes=2), 120.0),
        ("0:02:00", 120.0),
        ("PT2M", 120.0),
        ("P1W", 604_800.0),
        ("P999999999W", None),
        ("P999999999DT", None),
        ("soon", None),
        (None, None),
    ],
)
def test_a_duration_is_one_that_a_clock_can_show(value, found):
    assert texts.seconds(value) == found


@pytest.mark.parametrize(("seconds", "is_moment"), [(0.0, True), (1e10, True), (1e15, False), (-1e15, False)])
def test_a_moment_beyond_the_calendar_is_none(seconds, is_moment):
    assert (scales._moment(seconds) is not None) is is_moment


@pytest.mark.parametrize("text", ["", "x", "[]", "5", DEEP, '{"ml.m5.large": "x"}', '{"ml.m5.large": null}'])
def test_what_is_no_object_of_prices_is_no_price(text):
    assert prices.parse_prices(text, "").per_hour == {}
    assert prices.parse_prices("", "", text).per_hour == {}


@pytest.mark.parametrize(
    ("price", "found"), [("0.5", {("USD", 0.5)}), ("free", set()), ("0", set()), (None, set()), ("1e7", set())]
)
def test_of_a_product_only_what_an_hour_costs_counts(price, found):
    row = {"unit": "Hrs", "pricePerUnit": {"USD": price}}
    product = {"terms": {"OnDemand": {"a": {"priceDimensions": {"b": row}}, "c": "x", "d": DEEP}}}
    assert price_list._prices(product) == found
    assert price_list._prices({"terms": DEEP}) == set()


KEPT = {
    "job_name": "j",
    "instance_type": "ml.m5.large",
    "period_seconds": 60,
    "until": "2026-01-02T03:04:05+00:00",
    "figures": {},
    "points": {},
}


@pytest.mark.parametrize(
    "changes",
    [
        {"until": "x"},
        {"until": 5},
        {"figures": [1]},
        {"figures": {min(metrics._KEYS): 5}},
        {"figures": {min(metrics._KEYS): {}}},
        {"points": {min(metrics._KEYS): 5}},
        {"points": {min(metrics._KEYS): [[1]]}},
        {"points": {min(metrics._KEYS): [[10**400, 5]]}},
        {"job_name": ""},
        {"instance_type": None},
        {"period_seconds": True},
    ],
    ids=str,
)
def test_a_record_of_a_machine_that_somebody_has_edited_is_none(changes):
    assert metrics.parse_kept(KEPT) is not None
    assert metrics.parse_kept(KEPT | changes) is None


KEY = min(metrics._KEYS)


def test_the_limits_of_a_machines_record_are_read():
    kept = metrics.parse_kept(
        KEPT | {"period_seconds": 86_400, "until": "2026-01-02T03:04:05", "points": {KEY: [[5, 0], [0, 1.5]]}}
    )
    assert kept.period_seconds == 86_400
    assert kept.until.isoformat() == "2026-01-02T03:04:05+00:00"
    assert kept.points == {KEY: ((0.0, 1.5), (5.0, 0.0))}
    for moment in (1e11, -1):
        assert metrics.parse_kept(KEPT | {"points": {KEY: [[moment, 1]]}}) is None
    for period in (0, 86_401):
        assert metrics.parse_kept(KEPT | {"period_seconds": period}) is None


def test_as_many_points_as_are_kept_stay_as_they_are():
    points = tuple((float(number), 1.0) for number in range(5))
    assert metrics.thinned(points, 5) == points
    assert len(metrics.thinned(points, 4)) == 4


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ("a.ipynb", "a.ipynb"),
        ("-i 'a b.ipynb' x", None),
        ("a.ipynb # it's", "a.ipynb"),
        ("'a.ipynb", None),
        ("-m package", None),
        ("", None),
        ("# it", None),
        ("-i", None),
    ],
)
def test_the_file_of_a_run_magic_is_its_last_word_that_is_no_comment(arguments, file):
    found = run_targets._file_argument(arguments)
    assert found == ("a b.ipynb" if arguments.startswith("-i '") else file)


@pytest.mark.parametrize("text", ["{", DEEP, "f(x)", "[1e999]", "1 +", "[" + CHAIN + "]"], ids=lambda text: text[:10])
def test_what_is_no_list_or_mapping_is_refused_in_one_way(text):
    with pytest.raises(ValueError):  # noqa: PT011 - what it says is for the caller
        conversion._container(text)


@pytest.mark.parametrize("text", ["[1, 2]", "(1, 2)", "[1,\t2]"])
def test_a_list_is_read_however_it_is_written(text):
    assert conversion._container(text) == [1, 2]


@pytest.mark.parametrize(
    "source", ["x = ", "x = f()", f"x = {DEEP}", "x = \0", f"x = {CHAIN}", "print(1)"], ids=lambda s: s[:10]
)
def test_a_cell_of_parameters_that_is_none_is_not_read(source):
    assert received._assigned(source) is None
    assert received._assigned("x = 1\ny = 'a'") == {"x": 1, "y": "a"}


@pytest.mark.parametrize(("text", "found"), [("{}", {}), ("{", None), (DEEP, None), ("5", 5)], ids=lambda v: str(v)[:9])
def test_a_record_is_json_or_none(text, found):
    assert recorded._json_or_none(text) == found


def test_an_expression_that_is_nested_too_deep_is_of_no_known_kind():
    with_depth = ast.parse("1", mode="eval").body
    for _ in range(3_000):
        with_depth = ast.UnaryOp(op=ast.USub(), operand=with_depth)
    assert kinds.kind_of(with_depth, {}) == kinds.UNKNOWN


@pytest.mark.parametrize(
    "value",
    [None, {}, [], 5, {"floor": "x"}, {"floor": math.inf}, {"seen": [1]}, {"seen": {"a": None}}, {"streams": 5}, {"added": "x"}],
    ids=str,
)  # fmt: skip
def test_a_place_in_a_log_that_is_none_is_its_beginning(value):
    assert LogPlace.from_json(value) == LogPlace()
