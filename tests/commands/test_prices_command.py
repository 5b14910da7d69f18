"""``nbjobs prices update``: from the Price List to where the pages read."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path

import boto3
import pytest
from airflow.models.variable import Variable
from botocore.stub import Stubber
from job_rows import open_database
from price_rows import row
from sqlalchemy.exc import OperationalError

from airflow_nbjobs import cli
from airflow_nbjobs.aws.price_list import endpoint_region
from airflow_nbjobs.commands.pricing import update
from airflow_nbjobs.core.job.prices import parse_prices
from airflow_nbjobs.settings import PRICES_VARIABLE
from airflow_nbjobs.ui.data.prices import stored_prices


@pytest.fixture
def price_list(monkeypatch):
    """AWS's Price List by pages; notes what it is asked."""
    client = boto3.client("pricing", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    client.meta.events.register(
        "provide-client-params.pricing.GetProducts", lambda params, **_: stub.asked.append(dict(params))
    )
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": {"region_name": "eu-west-1"}})
    )
    monkeypatch.setattr(update, "_client", lambda _hook, region: stub.regions.append(region) or client)
    with Stubber(client) as stub:
        stub.asked, stub.regions = [], []
        yield stub


def add(price_list, *pages):
    for number, rows in enumerate(pages, 1):
        more = {} if number == len(pages) else {"NextToken": str(number)}
        price_list.add_response("get_products", {"FormatVersion": "aws_v1", "PriceList": list(rows)} | more)


@pytest.fixture
def prices(capsys):
    def run(*arguments, code=0):
        assert cli.main(["prices", "update", *arguments]) == code
        return capsys.readouterr()

    return run


def test_all_pages_become_lines_for_the_configuration(price_list, prices):
    add(
        price_list,
        [row(), row("ml.c5.xlarge", "0.2240")],
        [row("ml.m5.large", "9", platoinstancetype="Hosting", usagetype="x")],
    )
    said = prices()
    parser = configparser.ConfigParser()
    parser.read_string(said.out)
    text = parser["nbjobs"]["instance_prices"]
    assert parse_prices(text, "").per_hour == {"ml.c5.xlarge": 0.224, "ml.m5.large": 0.138}
    assert json.loads(text)["region"] == "eu-west-1"
    assert price_list.regions == ["eu-west-1"]
    assert [request.get("NextToken") for request in price_list.asked] == [None, "1"]
    assert price_list.asked[0]["ServiceCode"] == "AmazonSageMaker"
    assert "2 prices of eu-west-1: list prices, without storage, S3, logs, transfer and discounts" in said.err


def test_only_the_types_that_are_asked_for_and_the_region_that_is_given(price_list, prices):
    add(price_list, [row(regionCode="eu-west-3"), row("ml.m5.xlarge", "5", regionCode="eu-west-3")])
    add(price_list, [])
    said = prices("--region", "eu-west-3", "--instance-type", "ml.m5.large", "--instance-type", "ml.p2.xlarge", code=1)
    assert '"ml.m5.large": 0.138' in said.out
    assert "ml.m5.xlarge" not in said.out
    assert "no price of ml.p2.xlarge for training jobs in eu-west-3\n" in said.err
    wanted = [{each["Field"]: each["Value"] for each in request["Filters"]} for request in price_list.asked]
    assert [(each["regionCode"], each["instanceName"]) for each in wanted] == [
        ("eu-west-3", "ml.m5.large"),
        ("eu-west-3", "ml.p2.xlarge"),
    ]


@pytest.mark.parametrize(("currency", "shown"), [("CNY", "CN¥"), ("EUR", "€"), ("XYZ", "XYZ ")])
def test_a_type_is_asked_for_once_and_its_price_has_the_lists_currency(price_list, prices, currency, shown):
    add(price_list, [row(currency=currency)])
    said = prices("--instance-type", "ml.m5.large", "--instance-type", "ml.m5.large")
    parser = configparser.ConfigParser()
    parser.read_string(said.out)
    assert parse_prices(parser["nbjobs"]["instance_prices"], "").currency == shown


def test_the_readmes_command_writes_what_the_configuration_takes(price_list, prices):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- runs: nbjobs prices -->\n```bash\n(.*?)```", readme, re.DOTALL)
    command, first, second, *arguments, redirection, _file = shlex.split(block)
    assert (command, first, second, redirection) == ("nbjobs", "prices", "update", ">")
    add(price_list, [row()])
    add(price_list, [row("ml.m5.xlarge", "0.276")])
    parser = configparser.ConfigParser()
    parser.read_string(prices(*arguments).out)
    assert len(parse_prices(parser["nbjobs"]["instance_prices"], "").per_hour) == 2


def test_a_file_is_what_airflow_imports(price_list, prices, tmp_path):
    add(price_list, [row()])
    file = tmp_path / "prices.json"
    assert prices("--to", str(file)).out == ""
    stored = json.loads(file.read_text())[PRICES_VARIABLE]
    # `airflow variables import` stores what is no text as JSON.
    assert parse_prices("", "", json.dumps(stored)).per_hour == {"ml.m5.large": 0.138}


def test_the_variable_is_what_the_pages_read_and_is_replaced(price_list, prices, monkeypatch):
    from contextlib import contextmanager

    session = open_database("sqlite://", Variable)

    @contextmanager
    def create_session():
        yield session
        session.commit()

    monkeypatch.setattr("airflow.utils.session.create_session", create_session)
    assert stored_prices(session) == ""
    for price in ("0.5", "0.75"):
        add(price_list, [row(price=price)])
        assert f"written to the Variable {PRICES_VARIABLE}" in prices("--to", "variable").err
        assert parse_prices("", "", stored_prices(session)).per_hour == {"ml.m5.large": float(price)}
    session.close()


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("x", {}, Exception("no such host")),
        RuntimeError("Session must be set before!"),
        PermissionError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_without_a_database_it_says_how_else(price_list, prices, monkeypatch, error):
    def create_session():
        raise error

    monkeypatch.setattr("airflow.utils.session.create_session", create_session)
    add(price_list, [row()])
    said = prices("--to", "variable", code=2)
    assert said.out == ""
    assert "airflow variables import prices.json" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--instance-type", "ml.m5.lage"), "did you mean 'ml.m5.large'"),
        (("--instance-type", "m5.large"), "no instance type of training jobs"),
        (("--to", "/nowhere/prices.json"), "its folder has to be there"),
        (("--to", "/"), "not a file that can be written"),
        (("--aws-conn-id", "nobody"), "there is no Airflow connection 'nobody'"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_before_aws_is_asked(price_list, prices, arguments, problem):
    said = prices(*arguments, code=2)
    assert said.out == ""
    assert problem in said.err
    assert price_list.asked == []


def test_a_denial_names_the_permission(price_list, prices):
    price_list.add_client_error("get_products", "AccessDeniedException", "no", 400)
    said = prices(code=2)
    assert "pricing:GetProducts" in said.err
    assert "Traceback" not in said.err


def test_ctrl_c_says_that_nothing_was_written(price_list, prices, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(update, "parse_price_list", stop)
    add(price_list, [row()])
    said = prices(code=130)
    assert (said.out, "stopped; nothing was written" in said.err) == ("", True)


def test_without_a_region_nothing_is_asked(price_list, prices, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws"}))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert "no AWS region is known; give --region" in prices(code=2).err
    assert price_list.asked == []


def test_a_file_that_cannot_be_written_is_a_line(price_list, prices, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(update, "whole_file", full)
    add(price_list, [row()])
    said = prices("--to", str(tmp_path / "prices.json"), code=2)
    assert said.err.endswith("prices.json: No space left on device\n")


def test_a_list_without_training_jobs_is_an_error_and_writes_nothing(price_list, prices, tmp_path):
    add(price_list, [row(platoinstancetype="Hosting", usagetype="x")])
    file = tmp_path / "prices.json"
    said = prices("--region", "eu-west-9", "--to", str(file), code=2).err
    assert "(1 entries were read)" in said
    assert "no price of any instance for training jobs in eu-west-9; is that the region's name?" in said
    assert not file.exists()


def test_what_the_list_says_in_two_ways_is_named(price_list, prices):
    add(price_list, [row(), row("ml.c5.xlarge", "1"), row("ml.c5.xlarge", "2")])
    assert "ml.c5.xlarge: the Price List has several prices of it" in prices().err


@pytest.mark.parametrize("is_one_clear", [True, False])
def test_of_types_that_are_asked_for_each_has_its_own_reason(price_list, prices, is_one_clear):
    """Several prices are not none; and one type without any is said beside those with several."""
    wanted = ["ml.m5.large"] * is_one_clear + ["ml.c5.xlarge", "ml.p2.xlarge"]
    add(price_list, [row()] * is_one_clear + [row("ml.c5.xlarge", "1"), row("ml.c5.xlarge", "2")])
    for _ in wanted[1:]:
        add(price_list, [])
    said = prices(*(f"--instance-type={name}" for name in wanted), code=1 if is_one_clear else 2)
    assert bool(said.out) is is_one_clear
    assert said.err.count("ml.c5.xlarge: the Price List has several prices of it") == 1
    assert "no price of ml.p2.xlarge for training jobs in eu-west-1\n" in said.err


@pytest.mark.parametrize(
    ("region", "asked"), [("eu-west-1", "us-east-1"), ("us-gov-west-1", "us-east-1"), ("cn-north-1", "cn-northwest-1")]
)
def test_the_list_is_asked_where_it_is(region, asked):
    assert endpoint_region(region) == asked


def test_the_client_is_of_the_lists_region_and_the_connections_endpoint(monkeypatch):
    from airflow_nbjobs.hooks import SageMakerNotebookJobHook

    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT",
        json.dumps({"conn_type": "aws", "login": "a", "password": "b", "extra": {"region_name": "cn-north-1"}}),
    )
    hook = SageMakerNotebookJobHook(aws_conn_id="aws_default")
    meta = update._client(hook, "cn-north-1").meta
    assert (meta.region_name, meta.endpoint_url) == (
        "cn-northwest-1",
        "https://api.pricing.cn-northwest-1.amazonaws.com.cn",
    )


def test_an_endpoint_that_is_no_url_is_said_in_a_line(monkeypatch, prices):
    extra = {"region_name": "eu-west-1", "service_config": {"pricing": {"endpoint_url": "no-url"}}}
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "login": "a", "password": "b", "extra": extra})
    )
    said = prices(code=2)
    assert "no-url" in said.err
    assert "Traceback" not in said.err
