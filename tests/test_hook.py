"""The Airflow connection as boto3 clients; no network: clients are made, not used."""

import gc
import json
from pathlib import Path
from urllib.parse import urlencode

import certifi
import pytest
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.hooks import SageMakerNotebookJobHook


@pytest.fixture
def connection(monkeypatch):
    """Gives Airflow the connection 'aws_test'."""

    def define(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_AWS_TEST", json.dumps({"conn_type": "aws"} | fields))
        return SageMakerNotebookJobHook(aws_conn_id="aws_test")

    return define


def test_key_region_and_endpoint_come_from_the_connection(connection):
    hook = connection(
        login="key", password="secret", extra={"region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:9"}
    )
    client = hook.clients.jobs._client
    assert (hook.region, hook.has_credentials) == ("eu-west-1", True)
    assert client.meta.endpoint_url == "http://127.0.0.1:9"
    assert client.meta.region_name == "eu-west-1"


@pytest.fixture
def certificates(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(Path(certifi.where()).read_bytes())
    return str(path)


def verified_by(hook):
    return hook.clients.jobs._client._endpoint.http_session._verify


@pytest.mark.parametrize(("text", "verify"), [("false", False), ("False", False), (" true ", True), ("off", False)])
def test_a_text_says_whether_certificates_are_verified(monkeypatch, connection, text, verify):
    """botocore takes 'false' for the path of a file. A template gives texts, and so does the query of a connection's URI."""
    connection(extra={"region_name": "eu-west-1"})
    assert verified_by(SageMakerNotebookJobHook(aws_conn_id="aws_test", verify=text)) is verify
    monkeypatch.setenv("AIRFLOW_CONN_AWS_URI", f"aws://?{urlencode({'region_name': 'eu-west-1', 'verify': text})}")
    assert verified_by(SageMakerNotebookJobHook(aws_conn_id="aws_uri")) is verify


def test_certificates_may_be_a_path(connection, certificates):
    connection(extra={"region_name": "eu-west-1"})
    assert verified_by(SageMakerNotebookJobHook(aws_conn_id="aws_test", verify=f" {certificates}\n")) == certificates


@pytest.mark.parametrize("empty", [None, "", " ", "None"])
def test_an_empty_verify_or_region_hides_nothing_that_the_connection_says(connection, empty):
    connection(extra={"region_name": " eu-west-1 ", "verify": False})
    hook = SageMakerNotebookJobHook(aws_conn_id="aws_test", verify=empty, region_name=empty)
    assert (verified_by(hook), hook.region) == (False, "eu-west-1")


def test_blanks_around_a_region_are_none_of_it(connection):
    connection(extra={"region_name": "us-east-1"})
    assert SageMakerNotebookJobHook(aws_conn_id="aws_test", region_name=" eu-west-1\n").region == "eu-west-1"


@pytest.mark.parametrize("verify", ["flase", "/no/such/ca.pem"])
def test_a_verify_that_is_neither_is_an_error_that_names_it(connection, verify):
    connection(extra={"region_name": "eu-west-1"})
    with pytest.raises(
        NotebookJobConfigError, match=f"verify is '{verify}', which is neither True nor False nor a file"
    ):
        SageMakerNotebookJobHook(aws_conn_id="aws_test", verify=verify).client("sagemaker")


def test_no_collection_runs_while_a_service_is_read(connection):
    """Each would look at all that Airflow has loaded, and find nothing: half of a submission's time."""
    hook = connection(extra={"region_name": "eu-west-1"})
    collections = []

    def note(phase, info):
        if phase == "start":
            collections.append(info["generation"])

    assert hook.session
    gc.collect()
    gc.callbacks.append(note)
    try:
        hook.client("sagemaker")
        seen = len(collections)
    finally:
        gc.callbacks.remove(note)
    assert seen <= 1  # the one that was due when it was allowed again
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off(connection):
    hook = connection(extra={"region_name": "eu-west-1"})
    gc.disable()
    try:
        hook.client("s3")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_service_may_have_an_endpoint_of_its_own(connection):
    config = {"service_config": {"s3": {"endpoint_url": "http://127.0.0.1:8"}}}
    hook = connection(login="key", password="secret", extra={"region_name": "eu-west-1"} | config)
    assert hook.client("s3").meta.endpoint_url == "http://127.0.0.1:8"
    assert "amazonaws.com" in hook.client("sagemaker").meta.endpoint_url


def test_an_argument_wins_over_the_connections_region(connection, monkeypatch):
    connection(extra={"region_name": "eu-west-1"})
    hook = SageMakerNotebookJobHook(aws_conn_id="aws_test", region_name="us-east-1")
    assert hook.region == "us-east-1"


def test_the_environment_gives_the_region_where_nothing_else_does(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert SageMakerNotebookJobHook(aws_conn_id=None).region == "eu-central-1"


@pytest.mark.parametrize("conn_id", [None, "aws_default"])
def test_without_a_connection_the_machines_own_credentials_count(conn_id):
    """There are none on this one: said in the task's words by ``prepare_job``, not raised here."""
    hook = SageMakerNotebookJobHook(aws_conn_id=conn_id)
    assert (hook.region, hook.has_credentials, dict(hook.connection_extra)) == (None, False, {})


def test_a_named_connection_that_does_not_exist_is_an_error_not_another_account():
    hook = SageMakerNotebookJobHook(aws_conn_id="nowhere")
    with pytest.raises(NotebookJobConfigError, match="there is no Airflow connection 'nowhere'; create it"):
        _ = hook.region


def test_the_extra_carries_the_organisations_defaults(connection):
    hook = connection(extra={"nbjobs": {"role": "Jobs"}})
    assert hook.connection_extra["nbjobs"] == {"role": "Jobs"}


def test_every_upload_thread_has_a_connection_of_the_pool(connection):
    hook = connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    assert hook.client("s3").meta.config.max_pool_connections == 16


def test_the_users_botocore_config_is_kept_and_wins(connection):
    connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    hook = SageMakerNotebookJobHook(
        aws_conn_id="aws_test", config={"max_pool_connections": 3, "connect_timeout": 7}, verify=False
    )
    config = hook.client("s3").meta.config
    assert (config.max_pool_connections, config.connect_timeout) == (3, 7)


def test_a_pollers_client_repeats_nothing_by_itself_and_is_not_patient(connection):
    """The poller paces its calls; botocore would send a refused one four more times."""
    connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    for asked, connect_timeout in (({}, 10), ({"connect_timeout": 7, "retries": {"max_attempts": 9}}, 7)):
        hook = SageMakerNotebookJobHook(aws_conn_id="aws_test", config=asked)
        config = hook.polled_jobs._client.meta.config
        assert config.retries["total_max_attempts"] == 1
        assert (config.connect_timeout, config.read_timeout) == (connect_timeout, 30)
    assert hook.clients.jobs._client.meta.config.retries["total_max_attempts"] == 10


def test_a_pollers_client_knows_the_two_operations_that_it_calls_and_others_all(connection):
    hook = connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    polled, others = hook.polled_jobs._client.meta.service_model, hook.clients.jobs._client.meta.service_model
    assert set(polled.operation_names) == {"ListTrainingJobs", "DescribeTrainingJob"}
    assert len(others.operation_names) > 300
    for name in polled.operation_names:
        ours, theirs = polled.operation_model(name), others.operation_model(name)
        assert described(ours.input_shape) == described(theirs.input_shape)
        assert described(ours.output_shape) == described(theirs.output_shape)
        assert [shape.name for shape in ours.error_shapes] == [shape.name for shape in theirs.error_shapes]


def described(shape, depth=0):
    """A shape with all that it is made of."""
    members = dict(getattr(shape, "members", {}))
    members |= {name: getattr(shape, name) for name in ("member", "key", "value") if hasattr(shape, name)}
    inner = {name: described(member, depth + 1) for name, member in members.items()} if depth < 8 else "deeper"
    return shape.name, shape.type_name, getattr(shape, "required_members", []), inner


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"profile_name": "nobody"}, "profile .nobody. could not be found"),
        ({"role_arn": "arn:aws:iam::123456789012:role/x"}, "Unable to locate credentials"),
    ],
)
@pytest.mark.parametrize("asked", ["region", "has_credentials", "session"])
def test_a_profile_or_role_that_cannot_be_taken_is_said_in_our_words(connection, extra, text, asked):
    hook = connection(extra=extra)
    with pytest.raises(NotebookJobConfigError, match=f"no AWS credentials for .*'connection aws_test': .*{text}"):
        getattr(hook, asked)


@mock_aws(config={"core": {"mock_credentials": False}})
@set_initial_no_auth_action_count(0)
def test_a_refused_key_names_the_permission_that_its_role_needs(connection):
    extra = {"region_name": "eu-west-1", "role_arn": "arn:aws:iam::123456789012:role/x"}
    hook = connection(login="AKIAUNKNOWN", password="secret", extra=extra)
    with pytest.raises(NotebookJobConfigError, match=r"does not accept the credentials .*sts:AssumeRole"):
        _ = hook.session


def test_the_user_agent_names_the_hook_without_a_walk_of_the_call_stack(connection, monkeypatch):
    """Reading the source file of every frame took a tenth of a submission."""

    def walk():
        raise AssertionError("the call stack was walked")

    monkeypatch.setattr("inspect.stack", walk)
    hook = connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    assert "Caller/SageMakerNotebookJobHook" in hook.client("sagemaker").meta.config.user_agent_extra
