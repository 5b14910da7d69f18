"""The evaluator that the policies are held with: what it says is what IAM's rules say."""

import pytest
from iam_evaluator import Request, allows

OBJECT = "arn:aws:s3:::acme/nbjobs/a.txt"


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*"} | each for each in statements]}


@pytest.mark.parametrize(
    ("statement", "request_", "is_allowed"),
    [
        ({"Action": "s3:GetObject"}, Request("s3:GetObject", OBJECT), True),
        ({"Action": ["s3:PutObject", "S3:getobject"]}, Request("s3:GetObject", OBJECT), True),
        ({"Action": "s3:Get*"}, Request("s3:GetObjectAcl", OBJECT), True),
        ({"Action": "s3:Get?bject"}, Request("s3:GetObject", OBJECT), True),
        ({"Action": "s3:Get?"}, Request("s3:GetObject", OBJECT), False),
        ({"Action": "s3.GetObject"}, Request("s3:GetObject", OBJECT), False),
        ({"NotAction": "s3:Put*"}, Request("s3:GetObject", OBJECT), True),
        ({"NotAction": ["s3:Put*", "s3:Get*"]}, Request("s3:GetObject", OBJECT), False),
        ({"Action": "*", "Resource": "arn:aws:s3:::acme/nbjobs/*"}, Request("s3:GetObject", OBJECT), True),
        ({"Action": "*", "Resource": "arn:aws:s3:::ACME/nbjobs/*"}, Request("s3:GetObject", OBJECT), False),
        ({"Action": "*", "Resource": "arn:aws:s3:::acme/nbjobs"}, Request("s3:GetObject", OBJECT), False),
        ({"Action": "*", "Resource": "arn:aws:s3:::a.me/*"}, Request("s3:GetObject", OBJECT), False),
        ({"Action": "*", "Resource": "arn:aws:s3:::acme/${*}/*"}, Request("s3:GetObject", OBJECT), False),
        (
            {"Action": "*", "Resource": "arn:aws:s3:::acme/${*}/*"},
            Request("s3:GetObject", "arn:aws:s3:::acme/*/b"),
            True,
        ),
        (
            {"Action": "*", "Resource": "arn:aws:s3:::acme/${$}{x}"},
            Request("s3:GetObject", "arn:aws:s3:::acme/${x}"),
            True,
        ),
    ],
    ids=str,
)
def test_actions_and_resources(statement, request_, is_allowed):
    assert allows(policy(statement), request_) is is_allowed


@pytest.mark.parametrize(
    ("condition", "context", "is_allowed"),
    [
        ({"StringEquals": {"k": "v"}}, {"k": "v"}, True),
        ({"StringEquals": {"K": ["u", "v"]}}, {"k": "v"}, True),
        ({"StringEquals": {"k": "V"}}, {"k": "v"}, False),
        ({"StringEquals": {"k": "*"}}, {"k": "v"}, False),
        ({"StringEquals": {"k": "v"}}, {}, False),
        ({"StringLike": {"k": "v*"}}, {"k": "vw"}, True),
        ({"StringLike": {"k": "v*"}}, {"k": "wv"}, False),
        ({"Bool": {"k": "true"}}, {"k": "True"}, True),
        ({"StringEquals": {"k": "v"}, "StringLike": {"j": "*"}}, {"k": "v"}, False),
    ],
    ids=str,
)
def test_conditions(condition, context, is_allowed):
    assert allows(policy({"Action": "*", "Condition": condition}), Request("a:B", "*", context)) is is_allowed


def test_a_denial_wins_wherever_it_stands_and_nothing_is_allowed_by_itself():
    allow, deny = {"Action": "*"}, {"Effect": "Deny", "Action": "s3:Get*"}
    for statements in ((allow, deny), (deny, allow)):
        assert not allows(policy(*statements), Request("s3:GetObject", OBJECT))
        assert allows(policy(*statements), Request("s3:PutObject", OBJECT))
    assert not allows(policy(), Request("s3:GetObject", OBJECT))


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "*", "Principal": "*"},
        {"Action": "*", "Resource": "arn:aws:s3:::${aws:username}"},
        {"Action": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Action": "*", "NotAction": "*"},
    ],
    ids=str,
)
def test_what_it_does_not_know_is_no_answer(statement):
    with pytest.raises(ValueError, match=r"not known here|unpack"):
        allows(policy(statement), Request("s3:GetObject", OBJECT))
