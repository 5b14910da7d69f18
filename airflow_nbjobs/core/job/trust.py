"""
Whether a role's trust policy lets SageMaker assume it; pure.

Called by ``commands/doctor/``. Source: IAM user guide, *AWS JSON policy elements: Principal*; SageMaker developer guide, *Cross-service confused deputy prevention*.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAGEMAKER = "sagemaker.amazonaws.com"
_ACTION = "sts:assumerole"
_JOBS = ":training-job/"
# What SageMaker sends along for a training job of an account.
_COMPARISONS = ("stringequals", "stringlike", "arnequals", "arnlike")


class Trust(NamedTuple):
    """
    What a trust policy says of SageMaker.

    :param is_trusted: None where it depends on what cannot be known here.
    :param why: in words, where it is not a plain yes.
    """

    is_trusted: bool | None
    why: str = ""


def read_trust(policy: Mapping[str, Any], *, account: str, region: str, partition: str = "aws") -> Trust:
    """
    Say whether SageMaker may assume a role for a training job.

    :param policy: the role's ``AssumeRolePolicyDocument``.
    """
    context = {
        "aws:sourceaccount": account,
        "aws:sourcearn": f"arn:{partition}:sagemaker:{region}:{account}{_JOBS}nbjobs-doctor",
    }
    doubts: list[str] = []
    denials: list[str] = []  # that may hold
    refusals: list[str] = []
    is_allowed = False
    statements = policy.get("Statement", [])
    for statement in [statements] if isinstance(statements, dict) else statements:
        if not _is_about_sagemaker(statement):
            continue
        holds, said = _condition(statement.get("Condition", {}), context)
        if statement.get("Effect") == "Deny":
            if holds:
                return Trust(False, "a statement denies it")
            if holds is None:
                denials.append(said)
        elif holds is None:
            doubts.append(said)
        elif not holds:
            refusals.append(said)
        else:
            is_allowed = True
    if is_allowed or doubts:
        trusted = [] if is_allowed else [f"it is trusted on a condition that is not known here: {'; '.join(doubts)}"]
        denied = (
            [f"a statement denies it on a condition that is not known here: {'; '.join(denials)}"] if denials else []
        )
        return Trust(None if trusted or denied else True, "; ".join(trusted + denied))
    if refusals:
        return Trust(False, f"a condition excludes the jobs: {'; '.join(refusals)}")
    return Trust(False, f"no statement names the service {SAGEMAKER}")


def _is_about_sagemaker(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal", {})
    # {"AWS": "*"} says the same as "*".
    everybody = _texts(principal.get("AWS", [])) if isinstance(principal, dict) else _texts(principal)
    services = _texts(principal.get("Service", [])) if isinstance(principal, dict) else []
    actions = [action.lower() for action in _texts(statement.get("Action", []))]
    return (SAGEMAKER in services or "*" in [*services, *everybody]) and any(
        fnmatchcase(_ACTION, pattern) for pattern in actions
    )


def _condition(condition: Mapping[str, Any], context: Mapping[str, str]) -> tuple[bool | None, str]:
    """Say whether a statement's condition holds, None if that is not known; and the part that decides."""
    unknown = ""
    for operator, pairs in condition.items():
        for key, values in pairs.items():
            said = f"{operator} {key} = {', '.join(_texts(values))}"
            given = context.get(key.lower())
            name = operator.lower().removesuffix("ifexists")
            if given is None or name not in _COMPARISONS:
                unknown = unknown or said
                continue
            matches = str.__eq__ if name == "stringequals" else fnmatchcase
            if any(matches(given, value) for value in _texts(values)):
                continue
            if not any(_is_of_other_names(given, value, matches) for value in _texts(values)):
                return False, said
            unknown = unknown or said
    return (None, unknown) if unknown else (True, "")


def _is_of_other_names(arn: str, pattern: str, matches: Callable[[str, str], bool]) -> bool:
    """Say whether a pattern may mean jobs of the same account and region, whose names nobody knows here."""
    place, of_jobs, name = pattern.partition(_JOBS)
    return bool(of_jobs and name) and matches(arn.partition(_JOBS)[0], place)


def _texts(value: object) -> list[str]:
    return [str(value)] if isinstance(value, str | bool | int) else [str(each) for each in value]  # type: ignore[attr-defined]
