"""AWS's Price List page by page, by botocore's own client with scripted answers."""

import boto3
import pytest
from botocore.stub import ANY, Stubber

from airflow_nbjobs.aws import price_list
from airflow_nbjobs.aws.price_list import Boto3PriceList, endpoint_region
from airflow_nbjobs.core.errors import NotebookJobServiceError


@pytest.fixture
def stubbed():
    client = boto3.Session("key", "secret", region_name="us-east-1").client("pricing")
    with Stubber(client) as stub:
        yield Boto3PriceList(client), stub


ASKED = {"ServiceCode": "AmazonSageMaker", "Filters": ANY, "FormatVersion": "aws_v1", "MaxResults": 100}


def test_all_pages_are_read(stubbed):
    prices, stub = stubbed
    stub.add_response("get_products", {"PriceList": ["1", "2"], "NextToken": "t"}, ASKED)
    stub.add_response("get_products", {"PriceList": ["3"], "NextToken": ""}, ASKED | {"NextToken": "t"})
    assert list(prices.entries("eu-west-1")) == ["1", "2", "3"]


def test_a_region_and_an_instance_type_are_asked_for_by_filters(stubbed):
    prices, stub = stubbed
    filters = price_list.filters("eu-west-1", "ml.m5.large")
    assert {"eu-west-1", "ml.m5.large"} <= {each["Value"] for each in filters}
    stub.add_response("get_products", {"PriceList": []}, ASKED | {"Filters": filters})
    assert list(prices.entries("eu-west-1", "ml.m5.large")) == []


def test_an_answer_without_a_list_is_none_of_aws(stubbed):
    prices, stub = stubbed
    stub.add_response("get_products", {}, ASKED)
    with pytest.raises(NotebookJobServiceError, match="not from AWS"):
        list(prices.entries("eu-west-1"))


@pytest.mark.parametrize("pages", [2, 3])
def test_an_answer_without_an_end_is_none_of_aws(stubbed, monkeypatch, pages):
    monkeypatch.setattr(price_list, "_MOST_PAGES", 2)
    prices, stub = stubbed
    for number in range(2):
        more = {"NextToken": "t"} if number < pages - 1 else {}
        stub.add_response("get_products", {"PriceList": [str(number)]} | more)
    entries = prices.entries("eu-west-1")
    assert [next(entries), next(entries)] == ["0", "1"]
    if pages == 2:
        assert list(entries) == []
        return
    with pytest.raises(NotebookJobServiceError, match="its answer has no end after 2 pages"):
        next(entries)


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [("eu-west-1", "us-east-1"), ("us-gov-west-1", "us-east-1"), ("cn-north-1", "cn-northwest-1")],
)
def test_prices_are_asked_for_where_their_partition_has_them(region, endpoint):
    assert endpoint_region(region) == endpoint
