"""What IAM's simulation says of the identities: by an evaluator of ours in IAM's place, so that the statement to add is one that helps."""

from __future__ import annotations

import pytest
from doctor_doubles import PolicyAccount, patient, session

from airflow_nbjobs.aws.diagnosis import Decision, Identity, Role
from airflow_nbjobs.commands.doctor.account_checks import CHECKS
from airflow_nbjobs.commands.doctor.examination import Mark, examine
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.permission_scope import parse_scope
from airflow_nbjobs.core.job.permissions import build_policy

ACCOUNT = "123456789012"
SCOPE = parse_scope(
    bucket="acme",
    prefix="nb/daily",
    role_given=f"arn:aws:iam::{ACCOUNT}:role/path/Jobs",
    region_given="eu-west-1",
    kms=(f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd",),
    vpc=True,
)
USER = f"arn:aws:iam::{ACCOUNT}:user/airflow"
JOBS_ROLE = Role(f"arn:aws:iam::{ACCOUNT}:role/path/Jobs", {})
IMAGE = "885854791233.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-distribution-prod:4-cpu"
NAMES = {"caller": "permissions", "job": "role's permissions"}


def findings(kind, account, *, arn=USER, image=IMAGE):
    (check,) = [check for check in CHECKS if check.name == NAMES[kind]]
    examined = patient(
        session=session(account),
        identity=Identity(arn, ACCOUNT),
        spec=object(),
        role=JOBS_ROLE,
        image_uri=image,
        scope=SCOPE,
    )
    ((outcome),) = examine([check], examined)
    return list(outcome.findings)


def without(kind, action):
    policy = build_policy(kind, SCOPE)
    statements = [{**each, "Action": [one for one in each["Action"] if one != action]} for each in policy["Statement"]]
    return {"Statement": statements}


@pytest.mark.parametrize("kind", NAMES)
def test_the_printed_policy_is_all_that_is_needed(kind):
    (found,) = findings(kind, PolicyAccount(build_policy(kind, SCOPE)))
    assert found.mark is Mark.RIGHT
    assert "may do all that is needed, by IAM's simulation" in found.text


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (kind, action)
        for kind in NAMES
        for statement in build_policy(kind, SCOPE)["Statement"]
        for action in statement["Action"]
    ],
)
def test_every_action_that_is_taken_away_is_named_with_a_statement_that_gives_it_back(kind, action):
    policy = without(kind, action)
    lacking = [found for found in findings(kind, PolicyAccount(policy)) if found.statement]
    assert lacking
    assert all(action in found.text and found.statement["Action"] == [action] for found in lacking)
    mended = {"Statement": [*policy["Statement"], *(found.statement for found in lacking)]}
    assert [found.mark for found in findings(kind, PolicyAccount(mended))] == [Mark.RIGHT]


def test_what_may_be_left_out_is_not_wrong():
    (found,) = findings("caller", PolicyAccount(without("caller", "sagemaker:UpdateTrainingJob")))
    assert found.mark is Mark.UNKNOWN
    assert "not needed where no group of tasks keeps machines" in found.text


def test_metrics_that_nobody_keeps_are_no_fault():
    (found,) = findings("caller", PolicyAccount(without("caller", "cloudwatch:GetMetricData")))
    assert found.mark is Mark.UNKNOWN
    assert "may not cloudwatch:GetMetricData" in found.text
    assert "not needed where machine_metrics is not on" in found.text


def test_a_denial_that_no_statement_mends_is_told_apart():
    policy = build_policy("caller", SCOPE)
    deny = {"Effect": "Deny", "Action": ["iam:PassRole"], "Resource": "*"}
    (found,) = findings("caller", PolicyAccount({"Statement": [*policy["Statement"], deny]}))
    assert "a statement denies iam:PassRole: change it" in found.fix


@pytest.mark.parametrize(
    ("decision", "fix"),
    [
        (
            Decision("implicitDeny", is_within_boundary=False),
            "its permissions boundary does not allow iam:PassRole: add it there",
        ),
        (Decision("explicitDeny", is_within_boundary=False), "its permissions boundary does not allow iam:PassRole"),
        (
            Decision("implicitDeny", is_within_organization=False),
            "no policy here helps: a service control policy of the organisation does not allow iam:PassRole",
        ),
        (Decision("allowed", is_within_organization=False), "ask who manages it"),
    ],
)
def test_what_a_boundary_or_an_organisation_forbids_is_not_mended_by_the_identitys_policy(decision, fix):
    (found,) = findings("caller", PolicyAccount(build_policy("caller", SCOPE), iam_PassRole=decision))
    assert found.mark is Mark.WRONG
    assert "may not iam:PassRole" in found.text
    assert fix in found.fix


@pytest.mark.parametrize("verdict", ["allowed", "implicitDeny", "explicitDeny"])
def test_a_condition_on_what_the_simulation_was_not_told_leaves_the_answer_open(verdict):
    missing = Decision(verdict, missing=("aws:SourceIp", "AWS:SourceVpce"))  # as whoever wrote the policy spells them
    (found,) = findings("caller", PolicyAccount(build_policy("caller", SCOPE), iam_PassRole=missing))
    assert found.mark is Mark.UNKNOWN
    assert "may iam:PassRole depends on aws:SourceIp, AWS:SourceVpce" in found.text


def test_a_key_of_another_service_leaves_no_answer_open():
    policy = build_policy("caller", SCOPE)
    other = {"Effect": "Allow", "Action": ["ec2:DeleteVolume"], "Resource": "*"}
    tagged = other | {"Condition": {"StringEquals": {"ec2:ResourceTag/x": "1"}}}
    (found,) = findings("caller", PolicyAccount({"Statement": [*policy["Statement"], tagged]}))
    assert found.mark is Mark.RIGHT
    by_address = other | {"Condition": {"StringEquals": {"aws:SourceIp": "10.0.0.1"}}}
    found = findings("caller", PolicyAccount({"Statement": [*policy["Statement"], by_address]}))
    assert {each.mark for each in found} == {Mark.UNKNOWN}
    assert all("depends on aws:SourceIp" in each.text for each in found)


def test_an_action_that_iam_says_nothing_of_is_not_taken_for_allowed():
    class Silent(PolicyAccount):
        def simulated(self, *args, **more):
            return {
                action: each for action, each in super().simulated(*args, **more).items() if action != "iam:PassRole"
            }

    (found,) = findings("caller", Silent(build_policy("caller", SCOPE)))
    assert found.mark is Mark.UNKNOWN
    assert "says nothing of iam:PassRole" in found.text


def narrowed(kind, resource, narrower):
    policy = build_policy(kind, SCOPE)
    assert resource in [each["Resource"] for each in policy["Statement"]]
    return {
        "Statement": [
            each | {"Resource": narrower} if each["Resource"] == resource else each for each in policy["Statement"]
        ]
    }


@pytest.mark.parametrize("kind", NAMES)
def test_a_policy_on_the_log_groups_streams_is_enough(kind):
    group = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/sagemaker/TrainingJobs"
    policy = narrowed(kind, f"{group}:*", f"{group}:log-stream:*")
    assert [found.mark for found in findings(kind, PolicyAccount(policy))] == [Mark.RIGHT]


def test_a_policy_on_jobs_of_some_names_is_left_open():
    jobs = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:training-job"
    found = findings("caller", PolicyAccount(narrowed("caller", f"{jobs}/*", f"{jobs}/report-*")))
    assert {each.mark for each in found} == {Mark.UNKNOWN}
    assert "may not sagemaker:CreateTrainingJob" in found[0].text
    assert "asked for a job named 'nbjobs-doctor', and a policy may allow others by their names" in found[0].text
    assert found[0].statement["Resource"] == f"{jobs}/*"


@pytest.mark.parametrize("image", [None, "public.ecr.aws/team/mine:1"])
def test_without_an_image_of_ecr_nobody_asks_whether_it_may_be_pulled(image):
    account = PolicyAccount(build_policy("job", SCOPE))
    (found,) = findings("job", account, image=image)
    assert found.mark is Mark.UNKNOWN
    assert "may pull the image was not asked" in found.text
    assert "ecr:BatchGetImage" not in {action for _, action in account.asked}


def test_an_assumed_role_is_looked_at_as_the_role_with_its_path():
    assumed = f"arn:aws:sts::{ACCOUNT}:assumed-role/Airflow/session"
    account = PolicyAccount(build_policy("caller", SCOPE))
    findings("caller", account, arn=assumed)
    assert {principal for principal, _ in account.asked} == {f"arn:aws:iam::{ACCOUNT}:role/Airflow"}
    account.roles["Airflow"] = Role(f"arn:aws:iam::{ACCOUNT}:role/sso/Airflow", {})
    account.asked.clear()
    findings("caller", account, arn=assumed)
    assert {principal for principal, _ in account.asked} == {f"arn:aws:iam::{ACCOUNT}:role/sso/Airflow"}


def test_the_root_user_may_do_everything_and_a_federated_one_is_not_simulated():
    account = PolicyAccount({"Statement": []})
    assert [found.mark for found in findings("caller", account, arn=f"arn:aws:iam::{ACCOUNT}:root")] == [Mark.RIGHT]
    federated = findings("caller", account, arn=f"arn:aws:sts::{ACCOUNT}:federated-user/x")
    assert [found.mark for found in federated] == [Mark.UNKNOWN]
    assert account.asked == []


def test_who_may_not_ask_for_a_simulation_is_told_what_would_allow_it():
    class Denying(PolicyAccount):
        def simulated(self, *_args, **_more):
            raise NotebookJobServiceError("AccessDenied on iam:SimulatePrincipalPolicy", code="AccessDenied")

    (found,) = findings("caller", Denying({}))
    assert found.mark is Mark.UNKNOWN
    assert "could not be asked" in found.text
    assert "iam:SimulatePrincipalPolicy" in found.statement["Action"]
