"""
Where a policy holds: bucket, role, account, region and keys, as the options of ``nbjobs iam-policy`` give them.

Called by ``commands/iam_policy.py`` and ``commands/doctor/``; pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.aws_parsers import bucket_name, is_role_arn, kms_key, region, region_of, role
from airflow_nbjobs.core.job.naming import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

# Stand where nothing is given, so that a policy can be read, and edited, without any option.
PLACEHOLDERS = {"bucket": "BUCKET", "region": "REGION", "account": "ACCOUNT"}
DEFAULTS = {"role": "NotebookJobs", "prefix": "nbjobs"}

_KEY_BYTES = 1024  # of S3
_ROLE_ARN = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):role/(?P<name>.+)")


class _Partition(msgspec.Struct, frozen=True):
    name: str
    suffix: str  # of the services' names


_COMMERCIAL = _Partition("aws", "amazonaws.com")
# By the beginning of their regions. Source: botocore's ``partitions.json``.
_PARTITIONS = {
    "cn-": _Partition("aws-cn", "amazonaws.com.cn"),
    "eu-isoe-": _Partition("aws-iso-e", "cloud.adc-e.uk"),
    "eusc-": _Partition("aws-eusc", "amazonaws.eu"),
    "us-gov-": _Partition("aws-us-gov", "amazonaws.com"),
    "us-iso-": _Partition("aws-iso", "c2s.ic.gov"),
    "us-isob-": _Partition("aws-iso-b", "sc2s.sgov.gov"),
    "us-isof-": _Partition("aws-iso-f", "csp.hci.ic.gov"),
}


class Scope(msgspec.Struct, frozen=True):
    """
    Where the policies hold; made by ``parse_scope``.

    :param prefix: of ``s3_root_uri``, without slashes at its ends; empty: the whole bucket.
    :param role: name of the jobs' role, with its path if it has one.
    :param suffix: end of the services' names in this partition.
    :param kms_keys: ARNs of the keys of files and volumes.
    :param vpc: whether the jobs run in subnets of the account.
    """

    bucket: str = PLACEHOLDERS["bucket"]
    prefix: str = DEFAULTS["prefix"]
    role: str = DEFAULTS["role"]
    region: str = PLACEHOLDERS["region"]
    account: str = PLACEHOLDERS["account"]
    partition: str = _COMMERCIAL.name
    suffix: str = _COMMERCIAL.suffix
    kms_keys: tuple[str, ...] = ()
    vpc: bool = False

    def names(self) -> dict[str, str]:
        """Return what stands for each ``{name}`` of the table of statements."""
        return {
            "bucket": self.bucket,
            "prefix": f"{_escaped(self.prefix)}/" if self.prefix else "",
            "role": self.role,
            "region": self.region,
            "account": self.account,
            "partition": self.partition,
            "suffix": self.suffix,
        }


def _escaped(literal: str) -> str:
    """Return a text in which IAM finds neither wildcard nor variable."""
    return re.sub(r"[*?$]", r"${\g<0>}", literal)


def parse_scope(
    *,
    bucket: str | None = None,
    prefix: str | None = None,
    role_given: str | None = None,
    region_given: str | None = None,
    account: str | None = None,
    kms: tuple[str, ...] = (),
    vpc: bool = False,
    words: Callable[[str], str] = "--{}".format,
) -> Scope:
    """
    Return where a policy is to hold, with placeholders for what is not given.

    :param role_given: name, or ARN, which says the account and the partition as well.
    :param kms: key ids or ARNs; ids need ``region_given`` and the account.
    :param words: what the errors call an option; takes ``bucket``, ``prefix``, ``role``, ``region``, ``account`` and ``kms``.
    :raises NotebookJobConfigError: something means nothing, or two things contradict each other; says all that is wrong.
    """
    checked = _Checked(words)
    place = checked.value("region", region, region_given)
    own_account = checked.value("account", _account, account)
    found_role = checked.value("role", _role, role_given)
    partition = _partition_of(place or "")
    arn = _ROLE_ARN.fullmatch(found_role or "")
    if arn:
        checked.problems += _misfits(arn, place, own_account, words)
        own_account = own_account or arn["account"]
        if place is None:
            partition = next((each for each in _PARTITIONS.values() if each.name == arn["partition"]), _COMMERCIAL)
    keys = [checked.value("kms", lambda key: _key_arn(key, place, own_account, partition, words), key) for key in kms]
    scope = Scope(
        bucket=checked.value("bucket", _bucket, bucket) or PLACEHOLDERS["bucket"],
        prefix=DEFAULTS["prefix"] if (given := checked.value("prefix", _prefix, prefix)) is None else given,
        role=(arn["name"] if arn else found_role) or DEFAULTS["role"],
        region=place or PLACEHOLDERS["region"],
        account=own_account or PLACEHOLDERS["account"],
        partition=partition.name,
        suffix=partition.suffix,
        kms_keys=tuple(dict.fromkeys(key for key in keys if key)),
        vpc=vpc,
    )
    if len(checked.problems) == 1:
        raise NotebookJobConfigError(checked.problems[0])
    if checked.problems:
        raise NotebookJobConfigError(f"{len(checked.problems)} problems", problems=checked.problems)
    return scope


class _Checked:
    """Options that are read, and what is wrong with those that cannot be."""

    def __init__(self, words: Callable[[str], str]) -> None:
        self.problems: list[str] = []
        self._words = words

    def value(self, option: str, parse: Callable[[str], Value], given: str | None) -> Value | None:
        if given is None:
            return None
        try:
            return parse(given)
        except ValueError as error:
            self.problems.append(f"{self._words(option)}: {error}")
            return None


def _partition_of(region_name: str) -> _Partition:
    return next((each for start, each in _PARTITIONS.items() if region_name.startswith(start)), _COMMERCIAL)


def _misfits(
    arn: re.Match[str], region_name: str | None, account: str | None, words: Callable[[str], str]
) -> list[str]:
    """Say where the ARN of a role contradicts the other options."""
    problems = []
    if account is not None and arn["account"] != account:
        problems.append(
            f"{words('role')}: {arn[0]!r} is of account {arn['account']}, not of {words('account')} {account}; only a role of the caller's own account can be passed"
        )
    if region_name is not None and arn["partition"] != (expected := _partition_of(region_name).name):
        problems.append(
            f"{words('role')}: {arn[0]!r} is of partition '{arn['partition']}', {words('region')} {region_name} of '{expected}'; a role serves its own partition only"
        )
    return problems


def _account(value: str) -> str:
    digits = value.replace("-", "")  # as the console shows it
    if not re.fullmatch(r"[0-9]{12}", digits):
        raise ValueError(f"{value!r} is not the id of an account: 12 digits, such as 123456789012")
    return digits


def _role(value: str) -> str:
    found = role(value)
    if is_role_arn(found) and not _ROLE_ARN.fullmatch(found):
        raise ValueError(f"{found!r} names no role; a role's ARN is 'arn:aws:iam::123456789012:role/name'")
    return found


def _bucket(value: str) -> str:
    if value.startswith("s3://"):
        bucket, key = parse_s3_uri(value)
        bucket_name(bucket)
        prefix = f" --prefix {key.strip('/')}" if key.strip("/") else ""
        raise ValueError(f"{value!r} is a URI; did you mean '--bucket {bucket}{prefix}'?")
    return bucket_name(value)


def _prefix(value: str) -> str:
    if value.startswith(("s3://", "arn:")):
        raise ValueError(f"{value!r} is no prefix; give what follows the bucket in s3_root_uri, such as 'nbjobs'")
    if len(value.encode()) > _KEY_BYTES or not value.isprintable():
        raise ValueError(f"{value!r} is no prefix of keys: at most {_KEY_BYTES} bytes, no control characters")
    return value.strip("/")


def _key_arn(
    value: str, region_name: str | None, account: str | None, partition: _Partition, words: Callable[[str], str]
) -> str:
    key = kms_key(value)
    if "alias/" in key:
        raise ValueError(f"{key!r} is an alias, and a policy's Resource matches keys only; give the key's ARN or id")
    if not key.startswith("arn:"):
        if region_name is None or account is None:
            raise ValueError(
                f"{key!r} is an id, which is a key together with {words('region')} and {words('account')}; or give its ARN"
            )
        return f"arn:{partition.name}:kms:{region_name}:{account}:key/{key}"
    if region_name is not None and region_of(key) != region_name:
        raise ValueError(
            f"{key!r} is of another region than {words('region')} {region_name}; S3 and SageMaker take keys of their own"
        )
    return key
