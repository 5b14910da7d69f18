"""Checks of the two identities: the role of the jobs, and what IAM's simulation says that it and the caller may do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_nbjobs.commands.doctor.examination import Finding, right, unknown, wrong
from airflow_nbjobs.commands.doctor.patient import known
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.aws_parsers import is_role_arn
from airflow_nbjobs.core.job.images import parse_ecr_image
from airflow_nbjobs.core.job.permissions import document, statements
from airflow_nbjobs.core.job.trust import SAGEMAKER, read_trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from airflow_nbjobs.commands.doctor.patient import Patient
    from airflow_nbjobs.core.job.images import EcrImage
    from airflow_nbjobs.core.job.permissions import Kind, Statement

_EXAMPLE = "nbjobs-doctor"  # stands where a policy has a wildcard
_TRUST = f'{{"Effect": "Allow", "Principal": {{"Service": "{SAGEMAKER}"}}, "Action": "sts:AssumeRole"}}'
_ASSUMED = re.compile(r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+")
# What IAM cannot know when it only looks at an identity's policies.
_SIMULATED = "by IAM's simulation, which leaves out what buckets, keys and VPC endpoints say themselves"


def role(patient: Patient) -> Iterator[Finding]:
    spec, identity = known(patient.spec), patient.identity
    by_arn = is_role_arn(spec.role)
    if by_arn and identity is not None and (account := spec.role.split(":")[4]) != identity.account:
        yield wrong(
            f"'{spec.role}' is of account {account}, the caller of {identity.account}: only a role of the caller's own account can be passed",
            "set role to a role of that account, or aws_conn_id to a connection of the role's account",
        )
    name = spec.role.rpartition("/")[2]
    try:
        found = known(patient.session).account.role(name)
    except NotebookJobError as error:
        yield patient.finding_of(error, "iam:GetRole", is_needed=not by_arn)
        return
    if found is None or (by_arn and found.arn != spec.role):
        meant = f"; the role of that name is '{found.arn}'" if found else ""
        yield wrong(
            f"there is no role '{spec.role}'{meant}", "create it, or set role (argument, connection's extra, [nbjobs])"
        )
        return
    patient.role = found
    yield right(f"'{found.arn}' is there")


def trust(patient: Patient) -> Iterator[Finding]:
    scope, role = patient.scope, known(patient.role)
    trust = read_trust(
        role.trust, account=role.arn.split(":")[4], region=known(patient.spec).region, partition=scope.partition
    )
    if trust.is_trusted:
        yield right(f"{SAGEMAKER} may assume it")
    elif trust.is_trusted is None:
        yield unknown(trust.why, "whether it holds is seen with --run")
    else:
        yield wrong(f"SageMaker may not assume '{role.arn}': {trust.why}", f"add to its trust policy: {_TRUST}")


def permissions(patient: Patient) -> Iterator[Finding]:
    arn = known(patient.identity).arn
    if arn.endswith(":root"):
        yield right(f"'{arn}' may do everything; give Airflow an identity of its own")
        return
    principal = _principal(patient, arn)
    if principal is None:
        yield unknown(f"IAM does not simulate what '{arn}' may do: it is neither a user nor a role")
        return
    yield from _simulated(patient, principal, "caller")


def _principal(patient: Patient, arn: str) -> str | None:
    """Return the ARN of the user or role whose policies hold for a caller."""
    if (assumed := _ASSUMED.fullmatch(arn)) is not None:
        try:
            role = known(patient.session).account.role(assumed["role"])
        except NotebookJobError:  # the path of a role, which only GetRole tells, is most often none
            role = None
        return role.arn if role else f"arn:{assumed['partition']}:iam::{assumed['account']}:role/{assumed['role']}"
    return arn if re.fullmatch(r"arn:[\w-]+:iam::\d{12}:(user|role)/.+", arn) else None


def role_permissions(patient: Patient) -> Iterator[Finding]:
    yield from _simulated(patient, known(patient.role).arn, "job")


def _simulated(patient: Patient, principal: str, kind: Kind) -> Iterator[Finding]:
    """Ask for each statement of a policy whether it is allowed."""
    session, scope = known(patient.session), patient.scope
    image = parse_ecr_image(patient.image_uri or "")
    lacking = 0
    for row in statements(kind, scope):
        statement = document(row, scope)
        resources, context = _examples(statement, image)
        try:
            decisions = session.account.simulated(principal, row.actions, resources=resources, context=context)
        except NotebookJobError as error:
            finding = patient.finding_of(error, "iam:SimulatePrincipalPolicy", is_needed=False)
            yield unknown(
                f"what '{principal}' may do could not be asked: {finding.text}", finding.fix, finding.statement
            )
            return
        denied = [action for action in row.actions if decisions.get(action, "allowed") != "allowed"]
        if denied:
            lacking += 1
            yield _denied(principal, row, denied, decisions, statement)
    if not lacking:
        yield right(f"'{principal}' may do all that is needed, {_SIMULATED}")


def _denied(
    principal: str, row: Statement, denied: list[str], decisions: Mapping[str, str], statement: Mapping[str, Any]
) -> Finding:
    explicitly = [action for action in denied if decisions[action] == "explicitDeny"]
    text = f"'{principal}' may not {', '.join(denied)}, {_SIMULATED}"
    fix = (
        f"a statement denies {', '.join(explicitly)}: change it (policy, permissions boundary, organisation)"
        if explicitly
        else "add to its policy"
    )
    less = {**statement, "Action": denied}
    if row.unneeded:
        return unknown(f"{text}; not needed where {row.unneeded}", fix, less)
    return wrong(text, fix, less)


def _examples(statement: Mapping[str, Any], image: EcrImage | None) -> tuple[list[str], dict[str, str]]:
    """Return resources that stand for those of a statement, and the context in which it is meant."""
    resources = statement["Resource"]
    named = [resources] if isinstance(resources, str) else list(resources)
    context = {key: value for pairs in statement.get("Condition", {}).values() for key, value in pairs.items()}
    return [_example(resource, image) for resource in named if resource != "*"], context


def _example(resource: str, image: EcrImage | None) -> str:
    if image is not None and ":ecr:" in resource:
        return resource.replace(":*:repository/*", f":{image.registry}:repository/{image.repository}")
    return re.sub(r"\$\{([*?$])\}|\*", lambda found: found[1] or _EXAMPLE, resource)
