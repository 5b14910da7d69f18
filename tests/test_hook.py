"""The Airflow connection as boto3 clients; no network: clients are made, not used."""

import gc
import json
import threading
from pathlib import Path
from urllib.parse import urlencode

import certifi
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from airflow_nbjobs import hooks
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
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
def test_without_a_connection_the_machines_own_credentials_count(conn_id, no_pauses):
    """There are none on this one: said in the task's words by ``examine_job``, not raised here."""
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


def test_a_follower_of_logs_knows_its_one_operation_and_is_as_impatient(connection):
    hook = connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    client = hook.polled_logs._client
    assert set(client.meta.service_model.operation_names) == {"FilterLogEvents"}
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (10, 30, 1)
    assert config.retries["mode"] == "standard"


def test_a_client_may_be_of_another_region_or_have_a_configuration_of_its_own(connection):
    """Prices are in one region for all."""
    from botocore.config import Config

    hook = connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    assert hook.client("pricing", region_name="us-east-1").meta.region_name == "us-east-1"
    assert hook.client("s3").meta.region_name == "eu-west-1"
    config = hook.client("s3", Config(max_pool_connections=2)).meta.config
    assert config.max_pool_connections == 2
    assert hook.client("cloudwatch", Config(read_timeout=77)).meta.config.read_timeout == 77


def test_a_connection_that_is_read_again_keeps_what_the_task_said(connection, certificates):
    connection(login="old", password="s", extra={"region_name": "eu-west-1"})
    hook = SageMakerNotebookJobHook(
        aws_conn_id="aws_test", region_name="us-east-1", verify=certificates, config={"connect_timeout": 7}
    )
    assert hook.client("s3")
    connection(login="new", password="s", extra={"region_name": "eu-west-1", "config_kwargs": {"read_timeout": 9}})
    hook.reopen()
    client = hook.client("s3")
    assert (client.meta.region_name, client.meta.config.connect_timeout) == ("us-east-1", 7)
    assert client._request_signer._credentials.access_key == "new"
    assert verified_by(hook) == certificates


def test_clients_of_one_connection_share_its_session(connection):
    hook = connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    assert hook.session is hook.session
    assert hook.clients is hook.clients
    assert hook.client_config is hook.client_config


def test_credentials_are_asked_for_three_times_with_growing_pauses(monkeypatch):
    hook = SageMakerNotebookJobHook(aws_conn_id=None)
    slept, looks = [], []
    monkeypatch.setattr(hooks.time, "sleep", slept.append)
    monkeypatch.setattr(hook.session, "get_credentials", lambda: looks.append(1))
    assert hook.has_credentials is False
    assert len(looks) == 3
    assert slept == [0.5, 1.0]


def test_a_session_that_is_refused_for_another_reason_has_no_region(connection, monkeypatch):
    hook = connection(extra={"role_arn": "arn:aws:iam::123456789012:role/x"})

    def refuse(**_):
        raise CredentialRetrievalError(provider="custom-process", error_msg="timed out")

    monkeypatch.setattr(hook, "get_session", refuse)
    with pytest.raises(NotebookJobServiceError, match="sts:AssumeRole on 'connection aws_test'"):
        _ = hook.region


def test_a_verify_that_says_nothing_sensible_names_the_argument(connection):
    connection(extra={"region_name": "eu-west-1"})
    with pytest.raises(NotebookJobConfigError, match="verify"):
        SageMakerNotebookJobHook(aws_conn_id="aws_test", verify=3.5).client("sagemaker")


@pytest.mark.parametrize("asked", ["region", "has_credentials", "session"])
def test_a_profile_that_is_not_there_is_said_in_our_words(connection, asked):
    hook = connection(extra={"profile_name": "nobody"})
    text = "no AWS credentials for .*'connection aws_test': .*profile .nobody. could not be found"
    with pytest.raises(NotebookJobConfigError, match=text):
        getattr(hook, asked)


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr(hooks, "_CREDENTIAL_PAUSES_SECONDS", (0.0, 0.0))


def test_a_role_without_credentials_to_take_it_with_may_have_them_later(connection, no_pauses, monkeypatch):
    """An instance profile is late where a machine has just started; that there are none at all, ``examine_job`` says before anything is submitted."""
    hook = connection(extra={"role_arn": "arn:aws:iam::123456789012:role/x"})
    with pytest.raises(NotebookJobServiceError, match="Unable to locate credentials") as caught:
        _ = hook.session
    assert caught.value.is_retryable
    assert hook.has_credentials is False
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert hook.region == "eu-central-1"


def test_credentials_that_come_late_are_found(no_pauses, monkeypatch):
    hook = SageMakerNotebookJobHook(aws_conn_id=None)
    looks = []

    def get_credentials():
        looks.append(1)
        if len(looks) == 1:
            raise NoCredentialsError
        return object() if len(looks) == 3 else None

    monkeypatch.setattr(hook.session, "get_credentials", get_credentials)
    assert hook.has_credentials is True


def test_a_source_of_credentials_that_does_not_answer_is_no_answer(no_pauses, monkeypatch):
    hook = SageMakerNotebookJobHook(aws_conn_id=None)

    def get_credentials():
        raise CredentialRetrievalError(provider="custom-process", error_msg="timed out")

    monkeypatch.setattr(hook.session, "get_credentials", get_credentials)
    with pytest.raises(NotebookJobServiceError, match=r"no AWS credentials for .*timed out") as caught:
        _ = hook.has_credentials
    assert caught.value.is_retryable


@mock_aws(config={"core": {"mock_credentials": False}})
@set_initial_no_auth_action_count(0)
def test_a_refused_key_names_the_permission_that_its_role_needs(connection):
    extra = {"region_name": "eu-west-1", "role_arn": "arn:aws:iam::123456789012:role/x"}
    hook = connection(login="AKIAUNKNOWN", password="secret", extra=extra)
    with pytest.raises(NotebookJobServiceError, match=r"does not accept the credentials .*sts:AssumeRole") as caught:
        _ = hook.session
    assert caught.value.is_retryable


JOB = {
    "TrainingJobName": "job",
    "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:1:training-job/job",
    "TrainingJobStatus": "InProgress",
}


@pytest.fixture
def sagemaker(monkeypatch):
    """SageMaker and STS behind every client, which take one key alone; what each call was signed with."""
    calls, accepted = [], {"new"}

    def answer(self, operation, arguments):
        key = self._request_signer._credentials.access_key
        calls.append((operation, key))
        if key not in accepted:
            refusal = {"Error": {"Code": "UnrecognizedClientException", "Message": "The security token is invalid."}}
            raise ClientError(refusal, operation)
        return JOB

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    return calls


def test_a_key_that_was_rotated_is_read_again_before_anybody_is_told(connection, sagemaker):
    hook = connection(login="old", password="s", extra={"region_name": "eu-west-1"})
    jobs = hook.clients.jobs
    assert hook.session.get_credentials().access_key == "old"
    connection(login="new", password="s", extra={"region_name": "eu-west-1", "nbjobs": {"role": "Jobs"}})
    assert jobs.describe("job").status == "InProgress"
    assert sagemaker == [("DescribeTrainingJob", "old"), ("DescribeTrainingJob", "new")]
    assert hook.connection_extra["nbjobs"] == {"role": "Jobs"}
    assert hook.session.get_credentials().access_key == "new"
    assert hook.clients.jobs.describe("job").status == "InProgress"
    assert [key for _, key in sagemaker] == ["old", "new", "new"]


def test_a_fresh_connection_that_is_refused_as_well_is_an_error_that_is_worth_a_retry(connection, sagemaker):
    jobs = connection(login="old", password="s", extra={"region_name": "eu-west-1"}).clients.jobs
    connection(login="wrong", password="s", extra={"region_name": "eu-west-1"})
    with pytest.raises(NotebookJobServiceError, match="does not accept the credentials") as caught:
        jobs.describe("job")
    assert caught.value.is_retryable
    assert [key for _, key in sagemaker] == ["old", "wrong"]


def test_a_connection_that_is_gone_when_it_is_read_again_leaves_the_refusal(connection, sagemaker, monkeypatch, caplog):
    """It may be there again in a moment: a key is rotated by deleting the connection and making it anew."""
    jobs = connection(login="old", password="s", extra={"region_name": "eu-west-1"}).clients.jobs
    monkeypatch.delenv("AIRFLOW_CONN_AWS_TEST")
    with pytest.raises(NotebookJobServiceError, match="does not accept the credentials") as caught:
        jobs.describe("job")
    assert caught.value.is_retryable
    connection(login="new", password="s", extra={"region_name": "eu-west-1"})
    assert jobs.describe("job").status == "InProgress"


def test_a_pollers_ports_leave_the_connection_to_the_poller(connection, sagemaker):
    hook = connection(login="old", password="s", extra={"region_name": "eu-west-1"})
    assert hook.session
    connection(login="new", password="s", extra={"region_name": "eu-west-1"})
    with pytest.raises(NotebookJobServiceError, match="does not accept the credentials"):
        hook.polled_jobs.describe("job")
    assert [key for _, key in sagemaker] == ["old"]


def test_in_a_triggerer_no_plain_thread_asks_airflow_for_the_connection(connection, sagemaker):
    """Its stream of messages with the supervisor would break on Airflow 3.0 and 3.1."""
    hook = connection(login="old", password="s", extra={"region_name": "eu-west-1"})
    reading = threading.Thread(target=lambda: hook.conn_config)
    reading.start()
    reading.join()
    connection(login="new", password="s", extra={"region_name": "eu-west-1"})
    with pytest.raises(NotebookJobServiceError, match="does not accept the credentials"):
        hook.clients.jobs.describe("job")
    assert [key for _, key in sagemaker] == ["old"]


def test_the_user_agent_names_the_hook_without_a_walk_of_the_call_stack(connection, monkeypatch):
    """Reading the source file of every frame took a tenth of a submission."""

    def walk():
        raise AssertionError("the call stack was walked")

    monkeypatch.setattr("inspect.stack", walk)
    hook = connection(login="key", password="secret", extra={"region_name": "eu-west-1"})
    assert "Caller/SageMakerNotebookJobHook" in hook.client("sagemaker").meta.config.user_agent_extra


def test_nobody_waits_for_minutes_for_metrics(connection):
    """A network without a way to CloudWatch must not hold a finished task, nor a thread of the API server, whatever the connection says of other calls."""
    extra = {"region_name": "eu-west-1"}
    hook = connection(login="key", password="secret", extra=extra)
    config = hook.clients.metrics._client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (5, 15, 2)
    patient = {"connect_timeout": 60, "read_timeout": 600, "retries": {"max_attempts": 10}, "proxies": {"https": "p"}}
    hook = connection(login="key", password="secret", extra=extra | {"config_kwargs": patient})
    config = hook.clients.metrics._client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (5, 15, 2)
    assert config.proxies == {"https": "p"}
