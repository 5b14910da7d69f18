"""Which rows of the Price List are the hour of a training job's instance."""

from __future__ import annotations

import pytest
from price_rows import REGION, row

from airflow_nbjobs.core.job.price_list import filters, parse_price_list
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
