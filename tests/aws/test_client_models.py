"""Clients that know only some of a service's operations, and the shapes that these reach."""

import boto3
import pytest

from airflow_nbjobs.aws.client_models import only_operations, reduced_model

MODEL = {
    "metadata": {"serviceId": "x"},
    "operations": {
        "Get": {"input": {"shape": "GetRequest"}, "errors": [{"shape": "Missing"}]},
        "Put": {"input": {"shape": "PutRequest"}},
    },
    "shapes": {
        "GetRequest": {"type": "structure", "members": {"Name": {"shape": "Name"}, "Tree": {"shape": "Tree"}}},
        "Tree": {"type": "list", "member": {"shape": "Tree"}},
        "Missing": {"type": "structure", "members": {"shape": {"shape": "Message"}}},
        "Message": {"type": "string"},
        "Name": {"type": "string", "enum": ["shape", "Put"]},
        "PutRequest": {"type": "structure", "members": {"Body": {"shape": "Body"}}},
        "Body": {"type": "blob"},
    },
}


def test_a_model_keeps_the_operations_and_all_that_they_reach():
    reduced = reduced_model(MODEL, ["Get"])
    assert reduced["operations"] == {"Get": MODEL["operations"]["Get"]}
    assert set(reduced["shapes"]) == {"GetRequest", "Name", "Tree", "Missing", "Message"}
    assert reduced["metadata"] == MODEL["metadata"]
    assert len(MODEL["shapes"]) == 7, "the whole model is as it was"


@pytest.fixture
def session():
    return boto3.Session("key", "secret", region_name="eu-west-1")


def test_only_the_clients_of_the_block_and_the_service_are_reduced(session):
    with only_operations(session, "logs", ("FilterLogEvents",)):
        reduced, other = session.client("logs"), session.client("sts")
    assert reduced.meta.service_model.operation_names == ["FilterLogEvents"]
    assert len(other.meta.service_model.operation_names) > 5
    assert len(session.client("logs").meta.service_model.operation_names) > 50
    assert reduced.can_paginate("filter_log_events")


def test_a_session_is_as_ever_after_an_error_in_the_block(session):
    loader = session._session.get_component("data_loader")
    with pytest.raises(KeyError), only_operations(session, "logs", ()):
        raise KeyError("x")
    assert session._session.get_component("data_loader") is loader
