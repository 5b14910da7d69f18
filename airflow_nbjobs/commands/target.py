"""
Where ``nbjobs run`` runs a job: in the machine's own AWS account, or on an embedded SageMaker that starts only when it is needed.

Called by ``run.py``.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.errors import translated
from airflow_nbjobs.aws.ports import UPLOAD_THREADS
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job.aws_parsers import region as parse_region
from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.core.notebook.shell_calls import cells_calling

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Collection, Iterator, Mapping

    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob

_POLL_SECONDS = 5.0
_LOCAL_POLL_SECONDS = 0.5
_AWS_SECONDS = 30.0
_AWS = "aws"
_OWN = "this machine"

log = logging.getLogger("nbjobs")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a job runs.

    :param defaults: job arguments where none are given.
    :param checking: clients for preparing the job.
    :param start: returns the clients for running it; call it once.
    :param kernels: those that are there; None where they cannot be known.
    :param remarks: what is worth saying of a prepared job before it runs here.
    """

    region: str | None
    has_credentials: bool
    checking: AwsClients
    start: Callable[[], AwsClients]
    poll_seconds: float = _POLL_SECONDS
    defaults: Mapping[str, Any] = msgspec.field(default_factory=dict)
    kernels: Collection[str] | None = None
    remarks: Callable[[PreparedJob], Iterator[str]] = lambda _: iter(())


def own_account(region_name: str | None) -> Target:
    """
    Return the AWS account of this machine's credentials, which are read again where AWS refuses them.

    :raises NotebookJobConfigError: the profile that the environment names is not there.
    """
    account = _OwnAccount(region_name)
    if account.region and (hint := account.region_meant()):
        log.info("region '%s' is none that this machine's boto3 knows%s", account.region, hint)
    return Target(
        region=account.region,
        has_credentials=account.has_credentials,
        checking=account.clients,
        start=lambda: account.clients,
    )


class _OwnAccount:
    def __init__(self, region_name: str | None) -> None:
        self._region_name = region_name
        self._reopen()
        self.clients = Boto3Clients(self._client, self._reopen)

    def _reopen(self) -> None:
        import boto3

        with translated("credentials", on=_OWN):
            self._session = boto3.Session(region_name=self._region_name)

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        with translated(service, on=_OWN):
            return self._session.client(service, config=Config(max_pool_connections=UPLOAD_THREADS))

    @property
    def region(self) -> str | None:
        with translated("credentials", on=_OWN):
            return self._session.region_name  # type: ignore[no-any-return]

    def region_meant(self) -> str:
        """Return the known region that an unknown one resembles, as the end of a message; it may also be newer than boto3, or be refused as no name at all."""
        try:
            parse_region(self.region)
        except ValueError:
            return ""
        from botocore.loaders import Loader

        known = {name for one in Loader().load_data("endpoints")["partitions"] for name in one["regions"]}
        return "" if self.region in known else did_you_mean(str(self.region), sorted(known))

    @property
    def has_credentials(self) -> bool:
        with translated("credentials", on=_OWN):
            return self._session.get_credentials() is not None


def embedded(stack: contextlib.ExitStack, region_name: str | None) -> Target:
    """
    Return an embedded SageMaker of the caller's own: a notebook that is wrong is refused without starting it.

    It starts while the job is prepared only if preparing asks it something (a notebook in its S3, a role by its name, an image by its short name).

    :param stack: stops it.
    :raises NotebookJobConfigError: the region is none that it plays.
    """
    from airflow_nbjobs.local.command import DEFAULT_REGION
    from airflow_nbjobs.local.container.image import kernels_here
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker, EmbeddedSageMakerError, make_client
    from airflow_nbjobs.local.state.facts import DISTRIBUTION_ACCOUNTS, build_facts

    region = region_name or DEFAULT_REGION
    if region not in DISTRIBUTION_ACCOUNTS:
        raise NotebookJobConfigError(
            f"--region {region}: the embedded SageMaker does not play it"
            + (did_you_mean(region, DISTRIBUTION_ACCOUNTS) or f"; it plays {', '.join(DISTRIBUTION_ACCOUNTS)}")
        )
    # What it will be called is known before it starts, but for its port and its key.
    no_key = {"access_key_id": "none", "secret_access_key": "none"}
    facts = build_facts(port=0, region=region, isolation="", **no_key)
    server = EmbeddedSageMaker(region=region)
    started: list[AwsClients] = []

    def start() -> AwsClients:
        if not started:
            try:
                stack.enter_context(server)
            except EmbeddedSageMakerError as error:
                raise NotebookJobConfigError(str(error)) from error
            started.append(Boto3Clients(server.client))
        return started[0]

    def checking_client(service: str) -> Any:
        if service == "sagemaker":  # preparing reads botocore's description of the request off it, and calls nothing
            return make_client(facts, service)
        start()
        return server.client(service)

    return Target(
        region=region,
        has_credentials=True,
        checking=Boto3Clients(checking_client),
        start=start,
        poll_seconds=_LOCAL_POLL_SECONDS,
        defaults={
            "role": facts.role_arn,
            "s3_root_uri": f"s3://{facts.default_bucket}/nbjobs",
            "image_uri": facts.image_uri,
        },
        kernels=kernels_here(Path(sys.prefix)),
        remarks=_aws_remarks,
    )


def _aws_remarks(job: PreparedJob) -> Iterator[str]:
    """Say that a notebook calls the AWS CLI where a job finds none that runs; images have one."""
    places: list[str] = []
    for file in job.files:
        if not file.name.endswith(".ipynb"):
            continue
        body = file.body if isinstance(file.body, bytes) else file.body.read_bytes()
        try:
            cells = cells_calling(parse_notebook(body, source=file.origin), _AWS)
        except NotebookJobConfigError:  # a file that is shipped and never run
            continue
        if b"awscli" not in body:  # it installs its own
            places += [f"cell {cell} of '{file.name}'" for cell in cells]
    if places and (problem := _aws_problem()):
        yield (
            f"{', '.join(places)} calls the AWS CLI, and {problem}; the command fails in the job, which goes on. SageMaker's images have it; here, "
            "install it on its own (pipx install awscli, or AWS CLI 2), so that 'aws' is on your PATH: a job's calls go to the embedded SageMaker"
        )


def _aws_problem() -> str | None:
    from airflow_nbjobs.local.container.image import find_aws_cli, system_environment

    path = find_aws_cli(Path(sys.prefix))
    if path is None:
        return "this machine has no 'aws' on its PATH"
    with tempfile.TemporaryDirectory(prefix="nbjobs-") as home:
        environment = system_environment(Path(sys.prefix), home)
        try:
            done = subprocess.run(
                [path, "--version"],
                env=environment,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=_AWS_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"'{path}' does not run: {error}"
    words = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
    return f"'{path}' does not run: {words[-1]}" if done.returncode else None
