"""Keys of KMS, by answers that a test decides: the embedded SageMaker has none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from doctor_doubles import patient, session

from airflow_nbjobs.aws.diagnosis import Encryption, Key
from airflow_nbjobs.commands.doctor.account_checks import CHECKS
from airflow_nbjobs.commands.doctor.examination import Mark
from airflow_nbjobs.commands.doctor.keys import encryption, keys
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.permission_scope import parse_scope

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"
OTHER = "arn:aws:kms:eu-west-1:123456789012:key/5678"


class Keys:
    """An account with some keys, whose bucket has one of its own or none; a name that it does not have may not be asked for."""

    def __init__(self, known=None, of_bucket=""):
        self.known = known or {}
        self.of_bucket = of_bucket

    def encryption(self, bucket):
        return Encryption("aws:kms", self.of_bucket) if self.of_bucket else None

    def key(self, name):
        if name not in self.known:
            raise NotebookJobServiceError("AccessDenied on kms:DescribeKey", code="AccessDenied")
        return self.known[name]


def look(account, *, files=None, volumes=None, in_scope=()):
    scope = parse_scope(
        bucket="acme", role_given="Jobs", region_given="eu-west-1", account="123456789012", kms=in_scope
    )
    spec = SimpleNamespace(s3_kms_key=files, volume_kms_key=volumes, s3_root_uri="s3://acme/x")
    examined = patient(session=session(account), spec=spec, scope=scope)
    list(encryption(examined))
    return list(keys(examined)), examined.scope.kms_keys


@pytest.mark.parametrize(
    ("found", "mark", "text"),
    [
        (Key(KEY, "Enabled"), Mark.RIGHT, "is enabled"),
        (Key(KEY, "Disabled"), Mark.WRONG, "is in state Disabled"),
        (Key(KEY, "PendingDeletion"), Mark.WRONG, "is in state PendingDeletion"),
        (None, Mark.WRONG, f"there is no key {KEY}"),
    ],
)
@pytest.mark.parametrize("name", ["files", "volumes"])
def test_the_state_of_a_key(found, mark, text, name):
    ((finding,), _) = look(Keys({KEY: found}), **{name: KEY})
    assert finding.mark is mark
    assert text in finding.text
    assert {"files": "s3_kms_key", "volumes": "volume_kms_key"}[name] in finding.text


def test_without_keys_there_is_nothing_to_say():
    assert look(Keys()) == ([], ())


@pytest.mark.parametrize(
    ("files", "of_bucket", "text"),
    [
        (KEY, OTHER, f"files are encrypted with s3_kms_key, {KEY}"),
        (None, "", "files are encrypted by S3 itself; s3_kms_key is not set"),
        (
            None,
            KEY,
            f"files are encrypted with the bucket's own key, {KEY}: both identities need it, as 'nbjobs iam-policy … --kms {KEY}' prints",
        ),
        (None, "alias/x", "files are encrypted with the bucket's own key, alias/x: both identities need it"),
    ],
)
def test_it_is_said_what_files_are_encrypted_with(files, of_bucket, text):
    spec = SimpleNamespace(s3_kms_key=files, volume_kms_key=None, s3_root_uri="s3://acme/x")
    (finding,) = encryption(patient(session=session(Keys(of_bucket=of_bucket)), spec=spec))
    assert (finding.mark, finding.text) == (Mark.RIGHT, text)


def test_only_an_alias_is_said_not_to_be_in_the_policies():
    (found, _) = look(Keys(), files=KEY)
    assert [each.mark for each in found] == [Mark.UNKNOWN]


def test_where_the_buckets_encryption_may_not_be_asked_for_that_is_said_alone():
    class Closed(Keys):
        def encryption(self, bucket):
            raise NotebookJobServiceError("AccessDenied on s3:GetEncryptionConfiguration", code="AccessDenied")

    spec = SimpleNamespace(s3_kms_key=None, volume_kms_key=None, s3_root_uri="s3://acme/x")
    (finding,) = encryption(patient(session=session(Closed()), spec=spec))
    assert (finding.mark, "s3:GetEncryptionConfiguration" in finding.text) == (Mark.UNKNOWN, True)


def test_the_key_of_an_alias_is_the_one_that_policies_name():
    assert look(Keys({"alias/mine": Key(KEY, "Enabled")}), files="alias/mine")[1] == (KEY,)
    both = {"alias/mine": Key(KEY, "Enabled"), OTHER: Key(OTHER, "Enabled")}
    assert look(Keys(both), files=OTHER, volumes="alias/mine", in_scope=(OTHER,))[1] == (OTHER, KEY)


def test_an_alias_that_may_not_be_asked_for_is_said_not_to_be_in_the_policies():
    (found, scope) = look(Keys(), files="alias/mine")
    assert [each.mark for each in found] == [Mark.UNKNOWN, Mark.UNKNOWN]
    assert found[1].text == "IAM is not asked about s3_kms_key: alias/mine is an alias, and policies name keys"
    assert scope == ()


@pytest.mark.parametrize("name", [KEY, "1234abcd", "alias/of-bucket"])
def test_the_buckets_own_key_is_looked_at_and_in_the_policies(name):
    (found, scope) = look(Keys({name: Key(KEY, "Disabled")}, of_bucket=name))
    assert [each.mark for each in found] == [Mark.WRONG]
    assert found[0].text == f"the bucket's own key {name} is in state Disabled"
    assert scope == (KEY,)


@pytest.mark.parametrize("name", [KEY, "1234abcd"])
def test_the_buckets_own_key_is_in_the_policies_where_it_may_not_be_asked_for(name):
    assert look(Keys(of_bucket=name))[1] == (KEY,)


def test_a_key_of_awss_own_needs_no_permission():
    of_aws = Key(KEY, "Enabled", is_of_aws=True)
    assert look(Keys({"alias/aws/s3": of_aws}), files="alias/aws/s3")[1] == ()
    assert look(Keys({KEY: of_aws}, of_bucket=KEY))[1] == ()


def test_keys_are_looked_at_before_what_their_policies_are_needed_for():
    names = [check.name for check in CHECKS]
    assert names.index("encryption") < names.index("keys") < min(names.index("files"), names.index("permissions"))
