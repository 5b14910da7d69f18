"""How a client's description of its service is read: as botocore reads it, only sooner."""

import gzip
import json
import os
from pathlib import Path
from types import SimpleNamespace

import boto3
import botocore.loaders
import pytest
from botocore.exceptions import UnknownServiceError
from botocore.loaders import JSONFileLoader, Loader

from airflow_nbjobs.aws.client_models import QuickFiles, QuickLoader, only_operations, quick_models, reduced_model

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


@pytest.fixture
def session():
    return boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")


def client_of(session, service):
    with quick_models(session):
        return session.client(service)


@pytest.mark.parametrize(
    ("service", "kind"),
    [("s3", "service-2"), ("s3", "paginators-1"), ("s3", "waiters-2"), ("logs", "service-2"), ("ssm", "service-2")],
)
def test_a_service_is_read_as_botocore_reads_it(service, kind):
    """Also what it adds to a model from files of its own."""
    assert QuickLoader(file_loader=QuickFiles()).load_service_model(service, kind) == Loader(
        file_loader=JSONFileLoader()
    ).load_service_model(service, kind)


@pytest.mark.parametrize("name", ["partitions", "sdk-default-configuration", "_retry"])
def test_what_all_services_share_is_read_as_botocore_reads_it(name):
    assert QuickLoader(file_loader=QuickFiles()).load_data(name) == Loader(file_loader=JSONFileLoader()).load_data(name)


def test_no_folder_of_another_service_is_looked_into(session, monkeypatch):
    """Botocore looks into each of some 400, to name them all in an error that does not come."""
    looked_into, listdir = [], os.listdir
    monkeypatch.setattr(botocore.loaders.os, "listdir", lambda path: looked_into.append(path) or listdir(path))
    client_of(session, "s3")
    assert {Path(path).name for path in looked_into} == {"s3"}


def test_clients_of_a_session_share_what_was_read(session):
    assert client_of(session, "s3")._loader is client_of(session, "logs")._loader


def test_an_unknown_service_is_the_error_that_botocore_gives(session):
    errors = []
    for quickly in (True, False):
        with pytest.raises(UnknownServiceError) as caught:
            client_of(session, "sagemakr") if quickly else session.client("sagemakr")
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_the_sessions_own_loader_is_in_use_again_afterwards(session):
    own = session._session.get_component("data_loader")
    client_of(session, "s3")
    assert session._session.get_component("data_loader") is own
    assert "sagemaker" in session.get_available_services()


def test_a_loader_of_somebody_else_stays_in_use(session):
    class Theirs(Loader):
        pass

    theirs = Theirs()
    session._session.register_component("data_loader", theirs)
    assert client_of(session, "s3")._loader is theirs
    with only_operations(session, "logs", ("FilterLogEvents",)):
        assert not hasattr(client_of(session, "logs"), "create_log_group")


def test_a_users_own_model_is_found_and_may_hold_what_json_does_not_know(session, tmp_path):
    """In a folder of AWS_DATA_PATH; Python's reader takes NaN."""
    folder = tmp_path / "mine" / "2026-01-01"
    folder.mkdir(parents=True)
    metadata = {"apiVersion": "2026-01-01", "endpointPrefix": "mine", "protocol": "json", "serviceFullName": "Mine"}
    model = {"metadata": metadata | {"serviceId": "mine"}, "operations": {}, "shapes": {}, "x": float("nan")}
    (folder / "service-2.json").write_text(json.dumps(model))
    session._session.get_component("data_loader").search_paths.append(str(tmp_path))
    with quick_models(session):
        loader = session._session.get_component("data_loader")
        found = loader.load_service_model("mine", "service-2")
    assert found["metadata"]["serviceFullName"] == "Mine"
    assert list(found) == list(model)


def test_a_file_is_read_whether_it_is_compressed_or_not(tmp_path):
    (tmp_path / "a.json").write_text('{"a": "ü"}', encoding="utf-8")
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(b'{"b": [1]}'))
    read = QuickFiles().load_file
    assert (read(str(tmp_path / "a")), read(str(tmp_path / "b")), read(str(tmp_path / "c"))) == (
        {"a": "ü"},
        {"b": [1]},
        None,
    )


def test_a_model_keeps_the_operations_and_all_that_they_reach():
    reduced = reduced_model(MODEL, ["Get"])
    assert reduced["operations"] == {"Get": MODEL["operations"]["Get"]}
    assert set(reduced["shapes"]) == {"GetRequest", "Name", "Tree", "Missing", "Message"}
    assert reduced["metadata"] == MODEL["metadata"]
    assert len(MODEL["shapes"]) == 7, "the whole model is as it was"


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


def test_where_another_loader_is_in_use_a_client_is_reduced_all_the_same(session):
    theirs = SimpleNamespace()
    session._session.register_component("data_loader", theirs)
    with only_operations(session, "logs", ("FilterLogEvents",)):
        assert session.client("logs").meta.service_model.operation_names == ["FilterLogEvents"]
    assert session._session.get_component("data_loader") is theirs
