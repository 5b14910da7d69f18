"""
Checks of what encrypts files and volumes: the bucket's own way, and keys of KMS, which are put into the scope of the policies.

Called by ``account_checks.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from airflow_nbjobs.commands.doctor.examination import Finding, right, unknown, wrong
from airflow_nbjobs.commands.doctor.patient import known
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.naming import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.aws.diagnosis import Key
    from airflow_nbjobs.commands.doctor.patient import Patient
    from airflow_nbjobs.core.job.permission_scope import Scope


def encryption(patient: Patient) -> Iterator[Finding]:
    spec = known(patient.spec)
    if spec.s3_kms_key:
        yield right(f"files are encrypted with s3_kms_key, {spec.s3_kms_key}")
        return
    bucket, _ = parse_s3_uri(spec.s3_root_uri)
    try:
        found = known(patient.session).account.encryption(bucket)
    except NotebookJobError as error:
        yield patient.finding_of(error, "s3:GetEncryptionConfiguration", is_needed=False)
        return
    if found is None or not found.key:
        yield right(f"files are encrypted by {found.algorithm if found else 'S3 itself'}; s3_kms_key is not set")
        return
    patient.bucket_key = found.key
    if patient.scope is not None and not is_alias(found.key):
        patient.scope = _with(patient.scope, _arn(found.key, patient.scope))
    printed = "" if is_alias(found.key) else f", as 'nbjobs iam-policy … --kms {found.key}' prints"
    yield right(f"files are encrypted with the bucket's own key, {found.key}: both identities need it{printed}")


def keys(patient: Patient) -> Iterator[Finding]:
    spec = known(patient.spec)
    named = {
        "s3_kms_key": spec.s3_kms_key,
        "volume_kms_key": spec.volume_kms_key,
        "the bucket's own key": patient.bucket_key,
    }
    for name, key in named.items():
        if not key:
            continue
        try:
            found = known(patient.session).account.key(key)
        except NotebookJobError as error:
            yield patient.finding_of(error, "kms:DescribeKey", is_needed=False)
            if is_alias(key):
                yield unknown(
                    f"IAM is not asked about {name}: {key} is an alias, and policies name keys",
                    "give the key's ARN or id",
                )
            continue
        yield _state(name, key, found)
        if found is not None and patient.scope is not None:
            patient.scope = (_without if found.is_of_aws else _with)(patient.scope, found.arn)


def _state(name: str, key: str, found: Key | None) -> Finding:
    if found is None:
        return wrong(f"{name}: there is no key {key}", "create it, or name another key")
    if found.state == "Enabled":
        return right(f"{name} {key} is enabled")
    return wrong(f"{name} {key} is in state {found.state}", "enable it, or name another key")


def is_alias(key: str) -> bool:
    return "alias/" in key


def _arn(key: str, scope: Scope) -> str:
    return key if key.startswith("arn:") else f"arn:{scope.partition}:kms:{scope.region}:{scope.account}:key/{key}"


def _with(scope: Scope, arn: str) -> Scope:
    return replace(scope, kms_keys=tuple(dict.fromkeys((*scope.kms_keys, arn))))


def _without(scope: Scope, arn: str) -> Scope:
    return replace(scope, kms_keys=tuple(key for key in scope.kms_keys if key != arn))
