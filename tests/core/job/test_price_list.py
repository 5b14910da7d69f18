"""Which rows of the Price List are the hour of a training job's instance."""

from __future__ import annotations

import json

import pytest
from price_rows import REGION, row

from airflow_nbjobs.core.job.price_list import PriceList, filters, parse_price_list
from airflow_nbjobs.core.job.prices import Prices, parse_prices, written


def prices(*rows, region=REGION):
    return parse_price_list(rows, region).per_hour


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"as_text": False},
        {"platoinstancetype": None, "component": "Training"},
        {"platoinstancetype": None, "component": None},
        {"instanceName": None, "instanceType": "ml.m5.large-Training"},
        {"usagetype": "Train:ml.m5.large"},
        {"usagetype": None},
        {"usagetype": None, "instanceName": None, "platoinstancename": "ml.m5.large"},
        {"usagetype": None, "instanceName": None, "instanceType": "ml.m5.large-Training"},
        {"regionCode": None},
        {"unit": "Hour"},
    ],
    ids=str,
)
def test_a_training_jobs_hour_is_found_in_each_spelling(form):
    assert prices(row(**form)) == {"ml.m5.large": 0.138}


@pytest.mark.parametrize(
    "form",
    [
        {"platoinstancetype": "Hosting", "usagetype": "EU-Host:ml.m5.large"},
        {"platoinstancetype": "Processing", "usagetype": "EU-Processing:ml.m5.large"},
        {"platoinstancetype": "Studio-JupyterLab"},
        {"platoinstancetype": "Training-Free"},
        {"platoinstancetype": "Processing_Geo"},
        {"platoinstancetype": "Training", "usagetype": "EU-Train_Geo:ml.m5.large"},
        {"usagetype": "EU-TrainingPlan:ml.m5.large"},
        {"usagetype": "EU-FreeTier-Train:ml.m5.large"},
        {"usagetype": "EU-SpotTrain:ml.m5.large"},
        {"regionCode": "eu-west-3"},
        {"price": "0.0000000000"},
        {"price": "free"},
        {"price": "NaN"},
        {"price": "Infinity"},
        {"price": "-1"},
        {"price": None},
        {"unit": "GB-Mo"},
        {"usagetype": None, "instanceName": "m5.large"},
        {"usagetype": None, "instanceName": 5},
        {"usagetype": None, "instanceName": "</script>"},
    ],
    ids=str,
)
def test_what_is_of_another_component_region_or_unit_is_none(form):
    assert prices(row(**form)) == {}


@pytest.mark.parametrize(
    "entry", ["", "x", "[]", "{}", None, 5, "[" * 100_000, '{"product": 5, "terms": []}', '{"terms": {"OnDemand": 3}}']
)
def test_what_is_no_entry_is_passed_over(entry):
    assert prices(entry, row()) == {"ml.m5.large": 0.138}


def test_equal_prices_are_one_and_different_ones_are_none():
    found = parse_price_list([row(), row(), row("ml.c5.xlarge", "0.2"), row("ml.c5.xlarge", "0.3")], REGION)
    assert found.per_hour == {"ml.m5.large": 0.138}
    assert found.unclear == ("ml.c5.xlarge",)


def test_a_row_whose_usage_says_training_wins_over_one_that_does_not():
    assert prices(row(price="0.9", usagetype="EU-Other:ml.m5.large"), row()) == {"ml.m5.large": 0.138}


def test_the_currency_is_the_lists():
    found = parse_price_list([row(currency="CNY", regionCode="cn-north-1")], "cn-north-1")
    assert (found.currency, found.per_hour) == ("CNY", {"ml.m5.large": 0.138})


def test_the_service_is_asked_for_what_both_spellings_have():
    assert {each["Field"]: each["Value"] for each in filters(REGION, "ml.m5.large")} == {
        "regionCode": REGION,
        "productFamily": "ML Instance",
        "instanceName": "ml.m5.large",
    }
    assert {each["Type"] for each in filters(REGION)} == {"TERM_MATCH"}


# -- what is written is what is read ----------------------------------------------------------------------------------------


def test_what_is_written_is_read_with_its_currency():
    text = written({"ml.m5.large": 0.138, "ml.c5.xlarge": 0.2}, currency="CN¥", region="cn-north-1", date="2026-11-30")
    assert parse_prices("", "", text) == Prices({"ml.c5.xlarge": 0.2, "ml.m5.large": 0.138}, "CN¥")
    assert parse_prices(text, "") == Prices({"ml.c5.xlarge": 0.2, "ml.m5.large": 0.138}, "CN¥")
    assert parse_prices(text, "€").currency == "€"  # as [nbjobs] currency says


@pytest.mark.parametrize(
    ("given", "currency", "kept", "known"),
    [
        ('{"a": 1}', "", "CN¥", ({"a": 1.0}, "$")),
        ('{"a": 1, "currency": "CN¥"}', "", "CN¥", ({"a": 1.0, "b": 2.0}, "CN¥")),
        ('{"a": 1, "currency": "CN¥"}', "", "$", ({"a": 1.0}, "CN¥")),
        ('{"a": 1}', "€", "$", ({"a": 1.0}, "€")),
        ('{"a": 1}', "", "$", ({"a": 1.0, "b": 2.0}, "$")),
        ("{}", "", "CN¥", ({"b": 2.0}, "CN¥")),
        ('{"currency": "€"}', "", "CN¥", ({"b": 2.0}, "CN¥")),
        ("{}", "€", "CN¥", ({"b": 2.0}, "CN¥")),
        ("{}", "€", "", ({"b": 2.0}, "€")),
    ],
)
def test_prices_of_two_currencies_are_not_mixed(given, currency, kept, known):
    stored = written({"b": 2.0}, currency=kept, region="r", date="d")
    assert parse_prices(given, currency, stored) == Prices(*known)


@pytest.mark.parametrize("seconds", [10**400, float("inf"), float("nan"), -5, -(10**400), 1e300])
def test_what_is_no_time_costs_nothing_that_can_be_said(seconds):
    prices = Prices({"a": 1.0})
    assert (prices.amount("a", seconds), prices.cost("a", seconds)) == (None, None)


def test_the_configuration_wins_type_by_type():
    stored = written({"ml.m5.large": 0.1, "ml.c5.xlarge": 0.2}, currency="€", region="r", date="d")
    assert parse_prices('{"ml.m5.large": 9}', "€", stored) == Prices({"ml.m5.large": 9.0, "ml.c5.xlarge": 0.2}, "€")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -1}',
        '{"a": true}',
        '{"a": "1"}',
        '{"a": 1' + "0" * 400 + "}",
        "[" * 100_000,
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_price_is_none(text):
    assert parse_prices(text, "") == Prices({})
    assert parse_prices("", "", text) == Prices({})


def test_a_price_has_four_digits_and_its_currency():
    prices = Prices({"a": 3.6}, "€")
    assert prices.cost("a", 3600) == "€3.6000"
    assert prices.cost("a", 1) == "€0.0010"
    assert prices.cost("a", 3_600_000) == "€3,600.0000"
    assert prices.cost("a", 0) == "€0.0000"
    assert prices.amount("a", 1800.0) == 1.8
    assert prices.text(1234.5) == "€1,234.5000"
    assert Prices({}).currency == "$"


@pytest.mark.parametrize(
    ("instance_type", "seconds"),
    [("b", 60), (None, 60), (["a"], 60), ("a", None), ("a", "60"), ("a", True), ("a", 1e15)],
)
def test_without_a_price_or_a_time_there_is_no_cost(instance_type, seconds):
    assert Prices({"a": 1.0}).amount(instance_type, seconds) is None
    assert Prices({"a": 1.0}).cost(instance_type, seconds) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 0}', {"a": 0.0}),
        ('{"a": 999999999}', {"a": 999_999_999.0}),
        ('{"a": 1e9}', {}),
        ('{"a": 1, "b": null}', {"a": 1.0}),
    ],
)
def test_prices_are_numbers_from_nothing_to_a_billion(text, found):
    assert parse_prices(text, "").per_hour == found


def test_a_currency_is_short_and_a_text():
    assert parse_prices('{"a": 1, "currency": "a long currency"}', "").currency == "a long c"
    assert parse_prices('{"a": 1, "currency": 5}', "").currency == "$"


def test_what_is_written_says_where_and_when_it_is_from():
    assert json.loads(written({"b": 2.0, "a": 1.0}, currency="€", region="eu-west-1", date="2026-11-30")) == {
        "currency": "€",
        "region": "eu-west-1",
        "date": "2026-11-30",
        "a": 1.0,
        "b": 2.0,
    }
    assert written({"b": 2.0, "a": 1.0}, currency="€", region="r", date="d").index('"a"') < written(
        {"b": 2.0, "a": 1.0}, currency="€", region="r", date="d"
    ).index('"b"')


def test_types_are_in_order_and_those_with_several_prices_too():
    rows = [row(name, price) for name in ("ml.m5.large", "ml.c5.xlarge") for price in ("0.1", "0.2")]
    found = parse_price_list([row("ml.r5.large", "0.3"), row("ml.g5.xlarge", "0.4"), *rows], REGION)
    assert list(found.per_hour.items()) == [("ml.g5.xlarge", 0.4), ("ml.r5.large", 0.3)]
    assert found.unclear == ("ml.c5.xlarge", "ml.m5.large")


def test_without_a_price_the_currency_is_dollars_and_of_several_the_most_frequent():
    assert parse_price_list([], REGION).currency == "USD"
    rows = [row("ml.m5.large", currency="CNY"), row("ml.c5.large", currency="CNY"), row("ml.r5.large")]
    assert parse_price_list(rows, REGION).currency == "CNY"


def test_a_price_in_dollars_is_taken_where_there_are_several():
    entry = row(as_text=False)
    dimension = entry["terms"]["OnDemand"]["x.y"]["priceDimensions"]["x.y.z"]
    dimension["pricePerUnit"] = {"CNY": "7", "USD": "1"}
    assert parse_price_list([entry], REGION) == PriceList(per_hour={"ml.m5.large": 1.0}, currency="USD")


@pytest.mark.parametrize(("price", "is_one"), [("999999", True), ("1000000", False), ("0.0000000001", True)])
def test_a_price_is_one_that_an_hour_may_have(price, is_one):
    assert bool(prices(row(price=price))) is is_one


def test_a_filter_without_a_type_asks_for_all():
    assert {each["Field"] for each in filters(REGION)} == {"regionCode", "productFamily"}
