"""
``nbjobs iam-policy``: the least that AWS must allow, as JSON on standard output and what to know of it on standard error.

Asks nobody: the policy is made of the options alone. The table of statements is ``core/job/permissions.py``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.permission_scope import DEFAULTS, PLACEHOLDERS, parse_scope
from airflow_nbjobs.core.job.permissions import KINDS, build_policy, policy_text, statements

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_nbjobs.core.job.permissions import Statement

EXAMPLE = "nbjobs iam-policy caller --bucket acme --account 123456789012"
_NAMES = ("bucket", "prefix", "role", "region", "account")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "kind",
        choices=KINDS,
        help="whose policy: caller, the identity of Airflow's workers and triggerers; job, the role that the jobs run with; "
        "ui, the identity of an API server with credentials of its own; doctor, who runs 'nbjobs doctor'; prices, who runs 'nbjobs prices'",
    )
    parser.add_argument(
        "--bucket", metavar="NAME", help=f"bucket of s3_root_uri (default: {PLACEHOLDERS['bucket']}, to be replaced)"
    )
    parser.add_argument(
        "--prefix",
        metavar="PREFIX",
        help=f"what follows the bucket in s3_root_uri; '' for the whole bucket (default: {DEFAULTS['prefix']})",
    )
    parser.add_argument(
        "--role", metavar="ROLE", help=f"name or ARN of the role that the jobs run with (default: {DEFAULTS['role']})"
    )
    parser.add_argument(
        "--region", metavar="REGION", help=f"AWS region of the jobs (default: {PLACEHOLDERS['region']}, to be replaced)"
    )
    parser.add_argument(
        "--account",
        metavar="ID",
        help=f"id of the AWS account (default: that of the role's ARN, else {PLACEHOLDERS['account']}, to be replaced)",
    )
    parser.add_argument(
        "--kms",
        action="append",
        default=[],
        metavar="KEY",
        help="ARN or id of a KMS key of files or volumes (s3_kms_key, volume_kms_key); may be repeated",
    )
    parser.add_argument(
        "--vpc", action="store_true", help="the jobs run in your subnets (default: in the network of SageMaker)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the policy; 2 if an option means nothing, with all that is wrong."""
    try:
        scope = parse_scope(
            bucket=args.bucket,
            prefix=args.prefix,
            role_given=args.role,
            region_given=args.region,
            account=args.account,
            kms=tuple(args.kms),
            vpc=args.vpc,
        )
    except NotebookJobConfigError as error:
        print(error, file=sys.stderr)
        return 2
    policy = policy_text(build_policy(args.kind, scope))
    print(policy)
    for note in _notes(args, statements(args.kind, scope), scope.names()):
        print(note, file=sys.stderr)
    return 0


def _notes(args: argparse.Namespace, rows: list[Statement], names: dict[str, str]) -> Iterator[str]:
    """Say what has to be replaced, what was assumed, what may be left out, and which option plays no part."""
    texts = [
        row.resource + "".join(value for pairs in row.condition.values() for value in pairs.values()) for row in rows
    ]
    used = [name for name in _NAMES if any(f"{{{name}}}" in text for text in texts)]
    missing = [name for name in used if names[name] == PLACEHOLDERS.get(name)]
    if missing:
        options = ", ".join(f"{PLACEHOLDERS[name]} (--{name})" for name in missing)
        yield f"to be replaced: {options}"
    for name in used:
        if name in DEFAULTS and getattr(args, name) is None:
            yield f"--{name} is not given: {DEFAULTS[name]}"
    for name in _NAMES:
        given = getattr(args, name)
        if name not in used and given is not None and not (name == "role" and given.startswith("arn:")):
            yield f"--{name} plays no part in the policy of '{args.kind}'"
    if args.vpc and not any(row.only_with == "vpc" for row in rows):
        yield f"--vpc plays no part in the policy of '{args.kind}'"
    for row in rows:
        if row.unneeded:
            yield f"'{row.sid}' may be left out where {row.unneeded}"
