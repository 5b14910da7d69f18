"""Checks of the AWS side: what a task's job would need, asked with the task's own connection."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from msgspec.structs import replace

from airflow_nbjobs.aws.errors import is_denied, is_throttled
from airflow_nbjobs.commands.doctor import identities, keys
from airflow_nbjobs.commands.doctor.connection import open_session
from airflow_nbjobs.commands.doctor.examination import Check, Finding, right, unknown, wrong
from airflow_nbjobs.commands.doctor.patient import known
from airflow_nbjobs.commands.doctor.quotas import quota
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError, NotebookJobServiceError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.images import distribution_driver, parse_ecr_image
from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.core.job.permission_scope import parse_scope
from airflow_nbjobs.core.job.spec import parse_spec
from airflow_nbjobs.core.notebook.kernels import DISTRIBUTION_KERNELS
from airflow_nbjobs.core.watch.plan import ListJobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from airflow_nbjobs.commands.doctor.patient import Patient, Session
    from airflow_nbjobs.core.job.spec import NotebookJobSpec

log = logging.getLogger("nbjobs")

KERNEL = "python3"  # of the doctor's own notebook; a task's notebook names its own
_MARKER_FOLDER = "nbjobs-doctor"
# What errors of ``parse_scope`` call its options here.
_OPTIONS = {
    "bucket": "s3_root_uri",
    "prefix": "s3_root_uri",
    "role": "role",
    "region": "region",
    "account": "the caller's account",
    "kms": "KMS key",
}
_MARKER = b"written by 'nbjobs doctor'; may be deleted\n"


def _connection(patient: Patient) -> Iterator[Finding]:
    conn_id = patient.asked.aws_conn_id
    session = open_session(conn_id)
    is_there = bool(session.hook.conn_config)
    hint = "" if patient.has_database else "; those stored in the metadata database are not seen from here"
    yield right(
        f"'{conn_id}' is there"
        if is_there
        else f"there is none of the id '{conn_id}', so that boto3's own chain of credentials is used{hint}"
    )
    patient.region = session.hook.region
    patient.session = session


def _region(patient: Patient) -> Iterator[Finding]:
    if patient.region is None:
        yield wrong(
            "no region is configured", "set region_name in the connection's extra or on the task, or AWS_DEFAULT_REGION"
        )
    else:
        yield right(patient.region)


def _credentials(patient: Patient) -> Iterator[Finding]:
    session = known(patient.session)
    if not session.hook.has_credentials:
        yield wrong(
            "there are none",
            "give the connection a key or a role (login and password, role_arn in its extra), or let this machine have some",
        )
        return
    patient.identity = session.account.identity()
    yield right(patient.identity.arn)


def _arguments(patient: Patient) -> Iterator[Finding]:
    asked, settings = patient.asked, known(patient.session).settings
    given = JobArguments(role=asked.role, image_uri=asked.image_uri, instance_type=asked.instance_type)
    completed, problems, warnings = settings.completed(given).without_absent()
    parsed = parse_spec(replace(completed, kernel_name=KERNEL), region=patient.region)
    for problem in (*problems, *parsed.problems):
        yield wrong(problem)
    if parsed.spec is None or problems:
        return
    for warning in (*warnings, *parsed.warnings):
        yield unknown(warning)
    patient.arguments, patient.spec = completed, parsed.spec
    yield from _scope(patient, parsed.spec)
    for name in ("role", "s3_root_uri", "image_uri", "instance_type"):
        value = getattr(parsed.spec, name)
        text = ", ".join(value) if isinstance(value, tuple) else value
        place = settings.place(name, given) or ("the operator's default" if getattr(given, name) is None else "option")
        yield right(f"{name} = {text} ({place})")


def _scope(patient: Patient, spec: NotebookJobSpec) -> Iterator[Finding]:
    """Find where the policies have to hold, for the statements of later findings; not known without the caller's account."""
    if patient.identity is None:
        return
    bucket, prefix = parse_s3_uri(spec.s3_root_uri)
    try:
        patient.scope = parse_scope(
            bucket=bucket,
            prefix=prefix,
            role_given=spec.role,
            region_given=spec.region,
            account=patient.identity.account,
            kms=tuple(key for key in (spec.s3_kms_key, spec.volume_kms_key) if key and not keys.is_alias(key)),
            vpc=bool(spec.subnets),
            words=_OPTIONS.__getitem__,
        )
    except NotebookJobConfigError as error:
        for problem in error.problems or (error.headline,):
            yield wrong(
                problem, "name what the caller's account and region have, or let aws_conn_id and region_name lead to it"
            )


def _bucket(patient: Patient) -> Iterator[Finding]:
    spec, account = known(patient.spec), known(patient.session).account
    bucket, _ = parse_s3_uri(spec.s3_root_uri)
    try:
        found = account.bucket_region(bucket)
    except NotebookJobError as error:
        finding = patient.finding_of(error, "s3:ListBucket")
        if is_denied(error):
            finding = wrong(
                f"{finding.text} (or the bucket is another account's, whose bucket policy has to allow it)",
                finding.fix,
                finding.statement,
            )
        yield finding
        return
    patient.bucket_region = found or spec.region
    if found is None:
        yield unknown(f"'{bucket}' is there; S3 does not say where it lies")
    elif found != spec.region:
        yield wrong(
            f"'{bucket}' lies in {found}, the jobs run in {spec.region}: SageMaker takes buckets of its own region only",
            f"set s3_root_uri to a bucket of {spec.region}, or region_name to {found}",
        )
    else:
        yield right(f"'{bucket}' is there, in {found}")


def _marker(patient: Patient) -> Iterator[Finding]:
    session, spec = known(patient.session), known(patient.spec)
    uri = f"{spec.s3_root_uri}/{_MARKER_FOLDER}/{uuid.uuid4().hex}"
    try:
        yield from _written_and_read(patient, uri)
    except KeyboardInterrupt:  # a request that was sent may have been carried out
        try:
            _delete(session, uri)
        except NotebookJobError as error:
            log.info("the doctor's object may stay, %s: %s", uri, error.headline)
        raise


def _written_and_read(patient: Patient, uri: str) -> Iterator[Finding]:
    session, objects = known(patient.session), known(patient.session).clients.objects
    stays = "stays"
    try:
        objects.put(uri, _MARKER, kms_key=known(patient.spec).s3_kms_key)
    except NotebookJobError as error:
        yield patient.finding_of(error, _action_of(error, "s3:PutObject", "kms:GenerateDataKey"))
        if not isinstance(error, NotebookJobServiceError) or not error.is_retryable or is_throttled(error):
            return
        stays = "may have been written, and may stay"  # the answer was lost, not the request
    else:
        try:
            yield _read_back(objects.open(uri), uri)
        except NotebookJobError as error:
            yield patient.finding_of(error, _action_of(error, "s3:GetObject", "kms:Decrypt"))
    try:
        _delete(session, uri)
    except NotebookJobError as error:
        left = patient.finding_of(error, "s3:DeleteObject", is_needed=False)
        yield unknown(f"the doctor's object {stays}, {uri}: {left.text}", left.fix, left.statement)


def _delete(session: Session, uri: str) -> None:
    """
    Delete the doctor's object; of a bucket that keeps versions, its newest.

    :raises NotebookJobError: S3 does not, be it in an answer that is otherwise right.
    """
    bucket, key = parse_s3_uri(uri)
    for problem in session.clients.storage.delete(bucket, [key]).values():
        code = problem.partition(":")[0]
        raise NotebookJobServiceError(f"s3:DeleteObject on '{uri}' failed: {problem}", code=code)


def _read_back(body: BinaryIO | None, uri: str) -> Finding:
    if body is None:
        return wrong(f"{uri} was written, and S3 does not have it", "look for a rule of the bucket that deletes it")
    with body as stream:
        is_same = stream.read() == _MARKER
    if is_same:
        return right("an object was written and read")
    return wrong(f"{uri} is not what was written", "look for what else writes there")


def _action_of(error: NotebookJobError, action: str, of_key: str) -> str:
    return of_key if "kms:" in str(error) else action


def _image(patient: Patient) -> Iterator[Finding]:
    spec, session = known(patient.spec), known(patient.session)
    try:
        patient.image_uri = _full_image(spec, session)
    except NotebookJobError as error:
        yield patient.finding_of(error, "ssm:GetParameter")
        return
    image = parse_ecr_image(patient.image_uri)
    if image is None:
        yield unknown(f"'{patient.image_uri}' is no image of ECR, and the doctor asks no other registry")
        return
    try:
        problem = session.account.image_problem(image.registry, image.repository, image.identifier)
    except NotebookJobError as error:
        finding = patient.finding_of(error, "ecr:BatchGetImage", is_needed=False)
        yield unknown(
            f"whether ECR has '{patient.image_uri}' could not be asked: {finding.text}", finding.fix, finding.statement
        )
        return
    if problem:
        yield wrong(problem, "correct image_uri (argument, connection's extra, [nbjobs]), or push the image")
    else:
        yield right(f"ECR has '{patient.image_uri}'")


def _full_image(spec: NotebookJobSpec, session: Session) -> str:
    from airflow_nbjobs.aws.submit.prepare import full_image_uri  # of seconds, with what reads notebooks

    return full_image_uri(spec, session.clients)


def _driver(patient: Patient) -> Iterator[Finding]:
    image = parse_ecr_image(known(patient.image_uri))
    has_driver = distribution_driver(image) if image else None
    if has_driver:
        yield right("images of SageMaker Distribution have the notebook-job driver")
    elif has_driver is False:
        yield wrong(
            "SageMaker Distribution has the notebook-job driver from 0.9 on, this image is older",
            "take a newer image, or set install_driver=True",
        )
    else:
        yield unknown(
            "only a job tells whether this image has the notebook-job driver (amazon_sagemaker_scheduler)",
            "run the doctor with --run; install_driver=True installs it",
        )


def _kernel(patient: Patient) -> Iterator[Finding]:
    image = parse_ecr_image(known(patient.image_uri))
    if image is not None and distribution_driver(image) is not None:
        yield right(f"images of SageMaker Distribution have {', '.join(DISTRIBUTION_KERNELS)}")
    else:
        yield unknown(
            "only a job tells which kernels this image has", f"run the doctor with --run, which asks for {KERNEL}"
        )


def _listing(patient: Patient) -> Iterator[Finding]:
    jobs = known(patient.session).clients.jobs
    try:
        page = jobs.list_page(ListJobs(is_newest_first=True))
    except NotebookJobError as error:
        yield patient.finding_of(error, "sagemaker:ListTrainingJobs")
        return
    if page.summaries:
        patient.newest_job = page.summaries[0].job_name
    try:
        jobs.describe(patient.newest_job)
    except NotebookJobError as error:
        yield patient.finding_of(error, "sagemaker:DescribeTrainingJob")
        return
    yield right("ListTrainingJobs and DescribeTrainingJob answer")


def _logs(patient: Patient) -> Iterator[Finding]:
    clients = known(patient.session).clients
    is_right = True
    newest = patient.newest_job
    for action, ask in (
        ("logs:DescribeLogStreams", lambda: clients.logs.tail(newest, limit=1)),
        ("logs:FilterLogEvents", lambda: clients.logs.events(since=0, prefix=f"{newest}/")),
    ):
        try:
            ask()
        except NotebookJobError as error:
            is_right = False
            yield patient.finding_of(error, "logs:GetLogEvents" if "GetLogEvents" in error.headline else action)
    if is_right:
        yield right("CloudWatch Logs lets the jobs' log group be read")


def _network(patient: Patient) -> Iterator[Finding]:
    spec = known(patient.spec)
    if spec.subnets:
        yield unknown(
            f"not checked: whether jobs in {', '.join(spec.subnets)} reach S3, CloudWatch and ECR depends on routes and endpoints of the VPC",
            "run the doctor with --run",
        )


CHECKS = (
    Check("connection", _connection),
    Check("region", _region, needs=("session",)),
    Check("credentials", _credentials, needs=("session", "region")),
    Check("arguments", _arguments, needs=("session", "region")),
    Check("bucket", _bucket, needs=("identity", "spec")),
    Check("encryption", keys.encryption, needs=("identity", "bucket_region")),
    Check("keys", keys.keys, needs=("identity", "spec")),
    Check("files", _marker, needs=("identity", "bucket_region")),
    Check("role", identities.role, needs=("identity", "spec", "scope")),
    Check("trust", identities.trust, needs=("role",)),
    Check("image", _image, needs=("identity", "spec")),
    Check("driver", _driver, needs=("image_uri",)),
    Check("kernel", _kernel, needs=("image_uri",)),
    Check("permissions", identities.permissions, needs=("identity", "spec", "scope")),
    Check("role's permissions", identities.role_permissions, needs=("scope", "role")),
    Check("quota", quota, needs=("identity", "spec")),
    Check("jobs", _listing, needs=("identity",)),
    Check("logs", _logs, needs=("identity",)),
    Check("network", _network, needs=("spec",)),
)
