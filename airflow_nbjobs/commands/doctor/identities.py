"""Checks of the two identities: the role of the jobs, and what IAM's simulation says that it and the caller may do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_nbjobs.commands.doctor.examination import Finding, right, unknown, wrong
from airflow_nbjobs.commands.doctor.patient import known
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.aws_parsers import is_role_arn
from airflow_nbjobs.core.job.images import parse_ecr_image
from airflow_nbjobs.core.job.naming import LOG_GROUP
from airflow_nbjobs.core.job.permissions import document, statements
from airflow_nbjobs.core.job.trust import SAGEMAKER, read_trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from airflow_nbjobs.aws.diagnosis import Decision
    from airflow_nbjobs.commands.doctor.patient import Patient
    from airflow_nbjobs.core.job.images import EcrImage
    from airflow_nbjobs.core.job.permissions import Kind, Statement

_EXAMPLE = "nbjobs-doctor"  # stands where a policy has a wildcard
_OF_JOBS = ":training-job/"
_ALL_STREAMS = f":log-group:{LOG_GROUP}:*"
_TRUST = f'{{"Effect": "Allow", "Principal": {{"Service": "{SAGEMAKER}"}}, "Action": "sts:AssumeRole"}}'
_ASSUMED = re.compile(r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+")
# What IAM cannot know when it only looks at an identity's policies.
_SIMULATED = "by IAM's simulation, which leaves out what buckets, keys and VPC endpoints say themselves"


def role(patient: Patient) -> Iterator[Finding]:
    spec = known(patient.spec)
    by_arn = is_role_arn(spec.role)
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
    role = known(patient.role)
    _, partition, _, _, account, _ = role.arn.split(":", 5)
    trust = read_trust(role.trust, account=account, region=known(patient.spec).region, partition=partition)
    if trust.is_trusted:
        yield right(f"{SAGEMAKER} may assume it")
    elif trust.is_trusted is None:
        yield unknown(
            trust.why, "whether it holds is seen when one of your jobs runs (for a job named nbjobs-doctor: --run)"
        )
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
    session, scope = known(patient.session), known(patient.scope)
    image = parse_ecr_image(patient.image_uri or "")
    is_whole = True
    rows = statements(kind, scope)
    # IAM takes a key for missing that any statement of a policy names, of whatever action: those of our own policies are all said.
    of_others = {key: value for row in rows for key, value in _context(document(row, scope)).items()}
    for row in rows:
        statement = document(row, scope)
        if image is None and ":ecr:" in row.resource:
            is_whole = False
            yield unknown(f"whether '{principal}' may pull the image was not asked: no image in ECR is known")
            continue
        resources, context = _examples(statement, image), of_others | _context(statement)
        try:
            decisions = session.account.simulated(principal, row.actions, resources=resources, context=context)
        except NotebookJobError as error:
            finding = patient.finding_of(error, "iam:SimulatePrincipalPolicy", is_needed=False)
            yield unknown(
                f"what '{principal}' may do could not be asked: {finding.text}", finding.fix, finding.statement
            )
            return
        for finding in _judged(principal, row, statement, decisions):
            is_whole = False
            yield finding
    if is_whole:
        yield right(f"'{principal}' may do all that is needed, {_SIMULATED}")


def _judged(
    principal: str, row: Statement, statement: Mapping[str, Any], decisions: Mapping[str, Decision]
) -> Iterator[Finding]:
    """Yield what is not allowed, or not known to be, by what would mend it."""
    if silent := [action for action in row.actions if action not in decisions]:
        yield unknown(f"IAM's simulation says nothing of {', '.join(silent)} by '{principal}'")
    denied: dict[str, list[str]] = {}
    depending: dict[tuple[str, ...], list[str]] = {}
    for action, decision in decisions.items():
        # A key of a service plays no part in what another does.
        services = ("aws", action.partition(":")[0])
        if missing := tuple(key for key in decision.missing if key.partition(":")[0].lower() in services):
            depending.setdefault(missing, []).append(action)
        elif not decision.is_allowed:
            denied.setdefault(_remedy(decision), []).append(action)
    for keys, actions in depending.items():
        yield unknown(
            f"whether '{principal}' may {', '.join(actions)} depends on {', '.join(keys)}: its policies ask for what is known only when the call is made",
            "run the doctor with --run",
        )
    for remedy, actions in denied.items():
        text = f"'{principal}' may not {', '.join(actions)}, {_SIMULATED}"
        fix = remedy.format(actions=", ".join(actions))
        less = {**statement, "Action": actions}
        if row.unneeded:
            yield unknown(f"{text}; not needed where {row.unneeded}", fix, less)
        elif _OF_JOBS in row.resource:
            yield unknown(
                f"{text}; asked for a job named '{_EXAMPLE}', and a policy may allow others by their names", fix, less
            )
        else:
            yield wrong(text, fix, less)


def _remedy(decision: Decision) -> str:
    if not decision.is_within_organization:
        return "no policy here helps: a service control policy of the organisation does not allow {actions}; ask who manages it"
    if not decision.is_within_boundary:
        return "its permissions boundary does not allow {actions}: add it there, and to its policy if that lacks it as well"
    if decision.verdict == "explicitDeny":
        return "a statement denies {actions}: change it (policy, permissions boundary, organisation)"
    return "add to its policy"


def _context(statement: Mapping[str, Any]) -> dict[str, str]:
    """Return the context in which a statement is meant."""
    return {key: value for pairs in statement.get("Condition", {}).values() for key, value in pairs.items()}


def _examples(statement: Mapping[str, Any], image: EcrImage | None) -> list[str]:
    """Return resources that stand for those of a statement."""
    resources = statement["Resource"]
    named = [resources] if isinstance(resources, str) else list(resources)
    return [_example(resource, image) for resource in named if resource != "*"]


def _example(resource: str, image: EcrImage | None) -> str:
    if image is not None and ":ecr:" in resource:
        return resource.replace(":*:repository/*", f":{image.registry}:repository/{image.repository}")
    if resource.endswith(_ALL_STREAMS):
        return resource.removesuffix("*") + f"log-stream:{_EXAMPLE}/algo-1"
    return re.sub(r"\$\{([*?$])\}|\*", lambda found: found[1] or _EXAMPLE, resource)
