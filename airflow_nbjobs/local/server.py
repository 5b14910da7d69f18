"""
The embedded SageMaker: one WSGI server, on loopback unless told otherwise, with everything behind it.

Started by ``command.py``. Routes each request by the service that its signature names, after ``access.py`` has let it in.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local import StartError
from airflow_nbjobs.local.api.backends import Backends
from airflow_nbjobs.local.api.operations import Registries, SageMakerOperations
from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.container.probe import choose_isolation
from airflow_nbjobs.local.faults.http import CONTROL_SERVICE, FaultLayer
from airflow_nbjobs.local.faults.jobs import JobScripts
from airflow_nbjobs.local.platform.clients import connect
from airflow_nbjobs.local.platform.runner import JobRunner, Platform
from airflow_nbjobs.local.sample_data import sample_objects
from airflow_nbjobs.local.state.facts import ROLE_NAME, ServerFacts, build_facts
from airflow_nbjobs.local.training.warm_pools import WarmPools
from airflow_nbjobs.local.wire.access import check_access, parse_caller
from airflow_nbjobs.local.wire.formats import (
    Caller,
    Environ,
    ServiceError,
    ValidationError,
    check_length,
    error_response,
    json_response,
    parse_json_object,
    read_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from werkzeug.wrappers import Response

    from airflow_nbjobs.local.container.probe import Isolation
    from airflow_nbjobs.local.keys import Key
    from airflow_nbjobs.local.platform.clients import ServiceClients

LOG = logging.getLogger(__name__)

_SPECIAL_ADDRESSES = frozenset({"127.0.0.1", "0.0.0.0"})  # noqa: S104 - 127.0.0.1 is allowed anyway, 0.0.0.0 names no host
TARGET = "SageMaker."
TRUST_POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}'


class Application:
    """The WSGI application. ``operations`` comes last, since its clients call this very application."""

    def __init__(self, facts: ServerFacts, allowed_hosts: Collection[str]) -> None:
        self._facts = facts
        self._allowed_hosts = allowed_hosts
        self.faults = FaultLayer()
        self._backends = Backends(facts, self._quotas)
        self.operations: SageMakerOperations | None = None

    def _quotas(self) -> Mapping[str, int]:
        return self.faults.scripts.quotas() if self.faults.scripts else {}

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        caller = parse_caller(environ)
        try:
            response = self._answer(caller, environ)
        except ServiceError as error:
            response = error_response(environ, error, caller.service)
        except ConnectionResetError:
            raise  # by a fault switch: the connection is gone already
        except Exception:
            LOG.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            text = "The embedded SageMaker failed on this request; its own output says why."
            response = error_response(environ, ServiceError("InternalFailure", text, 500), caller.service)
        return response(environ, start_response)

    def _answer(self, caller: Caller, environ: Environ) -> Response:
        check_access(environ, caller, self._facts.access_key_id, allowed_hosts=self._allowed_hosts)
        check_length(environ)
        if caller.service == CONTROL_SERVICE:
            return self.faults.control(environ)
        if caller.service != "sagemaker":
            return self.faults.around(caller.service, environ, partial(self._backends.answer, caller.service))
        if caller.region != self._facts.region:
            raise ValidationError(
                f"The embedded SageMaker plays the region {self._facts.region}; this request is for {caller.region}. Set AWS_DEFAULT_REGION, or "
                "start it with --region."
            )
        return self.faults.around(caller.service, environ, self._sagemaker)

    def _sagemaker(self, environ: Environ) -> Response:
        target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
        if not target.startswith(TARGET) or self.operations is None:
            called = target or f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
            raise ServiceError(
                "UnknownOperationException",
                f"The embedded SageMaker has SageMaker's JSON operations only, no endpoints or metrics, and so not {called!r}.",
            )
        request = parse_json_object(read_body(environ))
        return json_response(self.operations.call(target.removeprefix(TARGET), request))


@contextmanager
def serve(
    *,
    port: int,
    data_dir: Path | None,
    region: str,
    image_prefix: Path,
    isolation: str,
    parallel_jobs: int,
    bind: str,
    allow_hosts: Sequence[str],
    key: Key,
    warm_pool_quota: int,
    start_seconds: float,
    metrics_seconds: float,
) -> Iterator[tuple[ServerFacts, Isolation]]:
    """
    Run the server in threads of this process until the block ends; then kill the jobs and remove what was made.

    :param port: 0 takes a free one.
    :param data_dir: where jobs' folders are kept; absent: a private temporary folder, removed at the end.
    :param isolation: ``auto``, ``direct`` or one of ``probe.WAYS``.
    :param bind: IPv4 address to listen on.
    :param allow_hosts: host names under which requests may come, beside loopback's and ``bind`` itself.
    :param warm_pool_quota: how many instances of each type warm pools may hold.
    :param start_seconds: how long a job without a machine of a warm pool takes to start.
    :param metrics_seconds: between two points of a training job's metrics.
    :raises StartError: the port is taken, ``bind`` is no address of this machine, or the image or the isolation that was asked for does not work.
    """
    own_hosts = {bind} - _SPECIAL_ADDRESSES
    listener = _listen(bind, port)
    try:
        image = inspect_image(image_prefix)
        chosen = choose_isolation(isolation, image)
        facts = build_facts(
            port=listener.getsockname()[1],
            region=region,
            access_key_id=key.access_key_id,
            secret_access_key=key.secret_access_key,
            isolation=chosen.way,
            host=bind if own_hosts else "127.0.0.1",
        )
        application = Application(facts, own_hosts.union(name.lower() for name in allow_hosts))
        with _jobs_dir(data_dir) as jobs_dir, _listening(listener, application):
            clients = connect(facts)
            keep_work = data_dir is not None
            platform = Platform(
                facts, image, clients, jobs_dir, chosen.way, parallel_jobs, keep_work, metrics_seconds=metrics_seconds
            )
            runners = _assemble(application, platform, quota=warm_pool_quota, start_seconds=start_seconds)
            try:
                furnish(facts, clients)
                yield facts, chosen
            finally:
                application.faults.switches.clear()  # lets go of calls that are held back
                for runner in runners:
                    runner.close()
    finally:
        listener.close()


def _assemble(
    application: Application, platform: Platform, *, quota: int, start_seconds: float
) -> tuple[JobRunner, JobRunner]:
    # A notebook that waits for the transform job it has started holds /opt/ml: such jobs then take folders of their own.
    batch_platform = replace(platform, way="none") if platform.way == "direct" else platform
    registries = Registries(platform.facts)
    runners = JobRunner(platform, name="job"), JobRunner(batch_platform, name="batch job")
    application.faults.scripts = scripts = JobScripts(registries.training, platform.clients)
    application.faults.pools = pools = WarmPools(registries.training, quota=quota, start_seconds=start_seconds)
    application.operations = SageMakerOperations(registries, *runners, scripts=scripts, pools=pools)
    return runners


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StartError(
            f"port {port} of {address} cannot be used: {error.strerror}; choose another with --port (0 takes a free one)"
        ) from error
    return listener


@contextmanager
def _jobs_dir(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        jobs_dir = data_dir.absolute() / "jobs"
        jobs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield jobs_dir
        return
    with tempfile.TemporaryDirectory(prefix="nbjobs-local-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _listening(listener: socket.socket, application: Application) -> Iterator[None]:
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):  # type: ignore[misc] # moto has no type information
        # Headers and body are two writes; Nagle's algorithm would hold the second back for 40 ms.
        disable_nagle_algorithm = True

        def connection_dropped(self, *_: object) -> None:
            # By the client, or by a fault switch: there is no next request to read.
            self.close_connection = True

        def log_request(self, *_: object) -> None:
            """One line for each request would bury what matters."""

    host, port = listener.getsockname()
    server = make_server(host, port, application, threaded=True, request_handler=Handler, fd=os.dup(listener.fileno()))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def furnish(facts: ServerFacts, clients: ServiceClients) -> None:
    """Make what an account of the sample's users has: the buckets, the public sample data, the execution role."""
    clients.iam.create_role(
        RoleName=ROLE_NAME, AssumeRolePolicyDocument=TRUST_POLICY, Description="Execution role of notebook jobs"
    )
    location = (
        {} if facts.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": facts.region}}
    )
    for bucket in (facts.default_bucket, facts.sample_bucket):
        clients.s3.create_bucket(Bucket=bucket, **location)
    for key, body in sample_objects().items():
        clients.s3.put_object(Bucket=facts.sample_bucket, Key=key, Body=body)
