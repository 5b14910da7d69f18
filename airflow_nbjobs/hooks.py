"""The AWS connection, as boto3 clients for everything in ``aws/``; built on amazon's own hook, so that every form of its connections works."""

from __future__ import annotations

import threading
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from airflow_nbjobs._compat import masked_text
from airflow_nbjobs.aws.client_models import only_operations, quick_models
from airflow_nbjobs.aws.clients import Boto3Clients, Boto3TrainingJobs
from airflow_nbjobs.aws.collector import paused_collector
from airflow_nbjobs.aws.errors import translated
from airflow_nbjobs.aws.ports import UPLOAD_THREADS
from airflow_nbjobs.aws.watch.container_logs import Boto3ContainerLogs
from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job import parsers as parse
from airflow_nbjobs.core.masking import mask_with

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.aws.ports import AwsClients, ContainerLogs, TrainingJobs

# Whatever asks AWS imports this module: in its process errors are masked before they are cut.
mask_with(masked_text)
_client_lock = threading.Lock()
# An instance's metadata service, which botocore asks once and for a second, is late where a machine has just started or many tasks ask it.
_CREDENTIAL_PAUSES_SECONDS = (0.5, 1.0)


class SageMakerNotebookJobHook(AwsBaseHook):  # type: ignore[misc]  # amazon's package is not followed by mypy
    """
    Talk to SageMaker, S3 and CloudWatch Logs with one Airflow connection.

    Takes amazon's arguments: ``aws_conn_id, region_name, verify, config``. All clients share one session. The connection is read once, and again where AWS refuses
    its credentials.

    :raises NotebookJobConfigError: there is no connection of that id (``aws_default`` may be absent: then boto3's own chain of credentials is used).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "sagemaker"
        # An empty text, as of a template, hides nothing that the connection says.
        kwargs |= {name: None for name in ("region_name", "verify") if parse.is_absent(kwargs.get(name))}
        super().__init__(*args, **kwargs)
        self._was_read_by_main_thread = False

    @cached_property
    def conn_config(self) -> Any:
        config = super().conn_config
        self._was_read_by_main_thread = threading.current_thread() is threading.main_thread()
        # Amazon's hook goes on with an empty connection where the named one does not exist, only the log says so; the job would then run
        # in whatever account the machine's own credentials belong to.
        if self.aws_conn_id and self.aws_conn_id != defaults.AWS_CONN_ID and not config:
            raise NotebookJobConfigError(
                f"there is no Airflow connection '{self.aws_conn_id}'; create it, or set aws_conn_id to one that exists (None: the machine's own credentials)"
            )
        config.region_name = None if parse.is_absent(config.region_name) else str(config.region_name).strip()
        config.verify = _certificates(config.verify)
        return config

    @cached_property
    def session(self) -> Any:
        # Made of the connection's role or profile: both may be refused here, before any call of ours.
        with translated("sts:AssumeRole", on=f"connection {self.aws_conn_id}"):
            return self.get_session(region_name=self.region_name)

    @property
    def connection_extra(self) -> Mapping[str, Any]:
        return self.conn_config.extra_config or {}

    def reopen(self) -> None:
        """Read the connection again, and make all clients from now on with what it says."""
        fresh = type(self)(
            aws_conn_id=self.aws_conn_id, region_name=self._region_name, verify=self._verify, config=self._config
        )
        read = {"conn_config": fresh.conn_config, "session": fresh.session, "client_config": fresh.client_config}
        with _client_lock:
            self.__dict__.update(read)

    @property
    def region(self) -> str | None:
        """Where the job runs: argument, connection, then boto3's own configuration (AWS_DEFAULT_REGION, profile)."""
        name = self.region_name or self._region_of_session()
        return str(name) if name else None

    def _region_of_session(self) -> str | None:
        try:
            return self.session.region_name  # type: ignore[no-any-return]
        except NotebookJobServiceError as error:
            if error.code != "NoCredentialsError":
                raise
        # A role for which there are no credentials yet: `has_credentials` says so.
        import boto3

        return boto3.session.Session().region_name  # type: ignore[no-any-return]

    @property
    def has_credentials(self) -> bool:
        """
        Say whether there are any: they are asked for three times before the answer is no.

        :raises NotebookJobServiceError: their source could not be asked.
        """
        for pause_seconds in (*_CREDENTIAL_PAUSES_SECONDS, None):
            try:
                with translated("credentials", on=f"connection {self.aws_conn_id}"):
                    if self.session.get_credentials() is not None:
                        return True
            except NotebookJobServiceError as error:
                if error.code != "NoCredentialsError":
                    raise
            if pause_seconds is not None:
                time.sleep(pause_seconds)
        return False

    @cached_property
    def clients(self) -> AwsClients:
        _ = self.conn_config
        # In a triggerer, only the event loop's own thread may ask Airflow for a connection: on 3.0 and 3.1 any other would break the stream of messages between it and
        # its supervisor. There a poller opens another hook instead.
        return Boto3Clients(self.client, self.reopen if self._was_read_by_main_thread else None)

    def _get_caller(self, *_: Any, **__: Any) -> str:
        # Amazon's hook, for its user agent, looks for an operator in the source files of the whole call stack: 30 to 80 ms of a submission.
        return type(self).__name__

    @cached_property
    def client_config(self) -> Any:
        """The connection's botocore configuration, and a pool that holds every upload thread (urllib3 would open and drop connections all the time)."""
        from botocore.config import Config

        # Once instead of once a client: amazon's hook makes a user agent each time.
        return Config(max_pool_connections=UPLOAD_THREADS).merge(self._get_config())

    @cached_property
    def polled_jobs(self) -> TrainingJobs:
        """The port for a poller: it paces its calls itself, so botocore may not repeat them, and a dead endpoint may not hold its thread for minutes."""
        with only_operations(self.session, "sagemaker", ("ListTrainingJobs", "DescribeTrainingJob")):
            return Boto3TrainingJobs(self.client("sagemaker", self._patient_config()))

    @cached_property
    def polled_logs(self) -> ContainerLogs:
        """The port for what follows many jobs' logs, which paces its calls as well."""
        with only_operations(self.session, "logs", ("FilterLogEvents",)):
            return Boto3ContainerLogs(self.client("logs", self._patient_config()))

    def _patient_config(self) -> Any:
        from botocore.config import Config

        patience = Config(connect_timeout=10, read_timeout=30).merge(self.client_config)
        return patience.merge(Config(retries={"total_max_attempts": 1, "mode": "standard"}))

    def _brief_config(self) -> Any:
        """
        Return a configuration for what no result depends on: a network without a way to the service must not hold a finished task for minutes.

        It wins over the connection's own, whose many retries are meant for calls that a job needs.
        """
        from botocore.config import Config

        brief = Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2, "mode": "standard"})
        return self.client_config.merge(brief)

    def client(self, service_name: str, config: Any = None, *, region_name: str | None = None) -> Any:
        """
        Return a new boto3 client of this connection.

        :param config: in place of ``client_config``.
        :param region_name: in place of the connection's, of a service that is not in every region.
        """
        # boto3 sessions are not thread-safe while a client is made.
        with (
            _client_lock,
            paused_collector(),
            translated(service_name, on=f"connection {self.aws_conn_id}"),
            quick_models(self.session),
        ):
            return self.session.client(
                service_name,
                region_name=region_name,
                endpoint_url=self.conn_config.get_service_endpoint_url(service_name=service_name),
                config=config or (self._brief_config() if service_name == "cloudwatch" else self.client_config),
                verify=self.verify,
            )


def _certificates(given: object) -> bool | str | None:
    """
    Return what botocore verifies certificates by: it takes the text 'false' of a template or of a connection's URI for the path of a file.

    :raises NotebookJobConfigError: it says neither yes nor no, and there is no such file.
    """
    try:
        verify = parse.verify(given)
    except ValueError as error:
        raise NotebookJobConfigError(f"verify: {error}") from error
    if isinstance(verify, str) and not Path(verify).exists():
        raise NotebookJobConfigError(
            f"verify is {verify!r}, which is neither True nor False nor a file or folder of CA certificates on this machine"
        )
    return verify
