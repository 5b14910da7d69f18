"""What the doctor makes of a call that has failed: whose fault it is, and what would mend it."""

from __future__ import annotations

import pytest
from doctor_doubles import patient

from airflow_nbjobs.aws.diagnosis import Identity
from airflow_nbjobs.commands.doctor.examination import Mark
from airflow_nbjobs.commands.doctor.patient import known
from airflow_nbjobs.core.errors import NotebookJobCapacityError, NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.permission_scope import parse_scope

ACCOUNT = "123456789012"
ARN = f"arn:aws:iam::{ACCOUNT}:user/airflow"
SCOPE = parse_scope(bucket="acme", role_given="Jobs", region_given="eu-west-1", account=ACCOUNT)
ADVICE = {"next": "ask somebody"}


def service_error(code, **facts):
    return NotebookJobServiceError(f"{code} on x", code=code, **facts)


@pytest.mark.parametrize(
    ("action", "is_needed", "facts", "mark", "fix", "has_statement"),
    [
        ("sagemaker:CreateTrainingJob", True, {"scope": SCOPE, "identity": Identity(ARN, ACCOUNT)}, Mark.WRONG, f"allow '{ARN}' this (tasks need it)", True),
        ("s3:PutObject", True, {"scope": SCOPE}, Mark.WRONG, "allow the identity of the connection this (tasks need it)", True),
        ("s3:GetEncryptionConfiguration", True, {"scope": SCOPE}, Mark.WRONG, "allow the identity of the connection this (tasks need it)", True),
        ("iam:GetRole", False, {"scope": SCOPE}, Mark.UNKNOWN, "allow the identity of the connection this (only the doctor asks for it)", True),
        ("sagemaker:CreateTrainingJob", False, {"scope": SCOPE}, Mark.UNKNOWN, "ask somebody", False),
        ("s3:PutObject", True, {}, Mark.WRONG, "ask somebody", False),
        ("", True, {"scope": SCOPE}, Mark.WRONG, "ask somebody", False),
    ],
)  # fmt: skip
def test_a_denial_says_who_needs_what(action, is_needed, facts, mark, fix, has_statement):  # noqa: PLR0917 - the columns of its table
    found = patient(**facts).finding_of(service_error("AccessDenied", details=ADVICE), action, is_needed=is_needed)
    assert (found.mark, found.text, found.fix) == (mark, "AccessDenied on x", fix)
    assert (found.statement is not None) is has_statement
    if has_statement:
        assert action in found.statement["Action"]


@pytest.mark.parametrize(
    ("error", "needed", "not_needed", "fix"),
    [
        (NotebookJobConfigError("x is wrong", details=ADVICE), Mark.WRONG, Mark.WRONG, "ask somebody"),
        (service_error("InvalidClientTokenId", details=ADVICE), Mark.WRONG, Mark.WRONG, "ask somebody"),
        (service_error("ConnectTimeoutError", is_retryable=True), Mark.WRONG, Mark.UNKNOWN, ""),
        (NotebookJobCapacityError("all are in use", details=ADVICE), Mark.WRONG, Mark.WRONG, "ask somebody"),
        (service_error("Throttling", is_retryable=True), Mark.UNKNOWN, Mark.UNKNOWN, "run the doctor again"),
        (service_error("Throttling", is_retryable=True, details=ADVICE), Mark.UNKNOWN, Mark.UNKNOWN, "ask somebody"),
        (service_error("Odd"), Mark.WRONG, Mark.UNKNOWN, ""),
    ],
    ids=str,
)
def test_every_other_failure_is_the_accounts_the_doctors_or_nobodys(error, needed, not_needed, fix):
    found = [patient(scope=SCOPE).finding_of(error, "s3:PutObject", is_needed=is_needed) for is_needed in (True, False)]
    assert [each.mark for each in found] == [needed, not_needed]
    assert {(each.fix, each.statement) for each in found} == {(fix, None)}
    is_passing = needed is Mark.UNKNOWN
    assert [each.text.startswith("could not be checked now: ") for each in found] == [is_passing] * 2


def test_all_problems_of_an_error_are_in_the_finding():
    found = patient().finding_of(NotebookJobConfigError("2 problems", problems=["a", "b"]))
    assert found.text == "2 problems; a; b"


def test_a_check_that_does_not_name_its_needs_is_an_error_of_ours():
    assert known("fact") == "fact"
    with pytest.raises(LookupError, match="among its needs"):
        known(None)
