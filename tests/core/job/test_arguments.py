"""Parsers of single arguments: what they take, what they refuse, and in which words."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_nbjobs.core.job import aws_parsers as aws
from airflow_nbjobs.core.job import parsers as parse

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/nb:1"


@pytest.mark.parametrize("value", ["true", "True", " yes ", "1", "on", "ON", "t", 1, True])
def test_texts_that_jinja_renders_for_true_are_true(value):
    assert parse.boolean(value) is True


@pytest.mark.parametrize("value", ["false", "False", "no", "0", "off", " Off", "f", 0, False])
def test_texts_that_jinja_renders_for_false_are_false(value):
    assert parse.boolean(value) is False


@pytest.mark.parametrize("value", ["maybe", "", 2, None])
def test_anything_else_is_no_boolean(value):
    with pytest.raises(ValueError, match="must be True or False"):
        parse.boolean(value)


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("5", 5), (" 5 ", 5), ("0", 0), (5.0, 5), ("5.0", 5), ("1e1", 10)]
)
def test_numbers_may_be_texts(value, number):
    assert parse.whole_number(minimum=0, maximum=10)(value) == number


@pytest.mark.parametrize("value", ["five", "", "5.5", 5.5, "nan", float("inf"), "1e400", True, None, "None", [5]])
def test_what_is_no_whole_number_is_refused_with_the_limits(value):
    with pytest.raises(ValueError, match="must be a whole number from 0 to 10"):
        parse.whole_number(minimum=0, maximum=10)(value)


@pytest.mark.parametrize("value", [-1, 11, "11"])
def test_a_number_beyond_the_limits_is_refused_with_both(value):
    with pytest.raises(ValueError, match=f"must be from 0 to 10, not {value}"):
        parse.whole_number(minimum=0, maximum=10)(value)


@pytest.mark.parametrize(
    "image",
    [
        ECR,
        "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/team/nb@sha256:" + "0" * 64,
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/nb:1",
        "public.ecr.aws/sagemaker/sagemaker-distribution:4.4-cpu",
        "registry.example.com:5000/nb:Latest_1",
        "sagemaker-distribution:4-cpu",
        "sagemaker-distribution:4.4.1-gpu",
    ],
)
def test_images_with_a_registry_and_awss_short_names_are_taken(image):
    assert aws.image_uri(image) == image


@pytest.mark.parametrize("image", ["jupyter", "jupyter/base", "python:3.11", "localhost/nb:1"])
def test_an_image_without_registry_is_refused_with_the_short_form(image):
    """'python:3.11' has a dot, in its tag: that is no registry either."""
    with pytest.raises(ValueError, match=r"names no registry.*sagemaker-distribution:4-cpu"):
        aws.image_uri(image)


@pytest.mark.parametrize("image", ["https://x.y/z", "a b", ECR + "x" * 255, "", None, 5])
def test_what_is_no_image_at_all_is_refused(image):
    with pytest.raises(ValueError, match=r"is not an image URI|must be a text"):
        aws.image_uri(image)


@pytest.mark.parametrize(
    ("image", "region"),
    [
        (ECR, "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com/nb:1", "us-east-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/nb:1", "cn-north-1"),
        ("public.ecr.aws/sagemaker/sagemaker-distribution:4.4-cpu", None),
    ],
)
def test_the_region_of_an_ecr_image_is_read(image, region):
    assert aws.region_of(image) == region


@pytest.mark.parametrize(
    "role", ["arn:aws:iam::123456789012:role/NotebookJobs", "arn:aws-cn:iam::123456789012:role/path/Jobs", "Jobs_1"]
)
def test_a_role_is_an_arn_or_a_name(role):
    assert aws.role(role) == role


@pytest.mark.parametrize("role", ["arn:aws:iam::12:role/x", "arn:aws:iam::123456789012:user/x", "a/b", "x" * 65, ""])
def test_a_malformed_role_is_refused_with_the_form(role):
    with pytest.raises(ValueError, match=r"arn:aws:iam::123456789012:role/name|must be a text"):
        aws.role(role)


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("s3://my-bucket/nbjobs/", "s3://my-bucket/nbjobs"),
        ("s3://my-bucket", "s3://my-bucket"),
        (" s3://abc/d//", "s3://abc/d"),
    ],
)
def test_a_root_loses_its_trailing_slashes(uri, root):
    """A trailing slash gives S3 keys with an empty folder in them, which Studio does not find."""
    assert aws.s3_root_uri(uri) == root


@pytest.mark.parametrize("uri", ["my-bucket/x", "https://my-bucket", "s3:/my-bucket", "s3://", ""])
def test_a_root_that_is_no_s3_uri_is_refused_with_the_form(uri):
    with pytest.raises(ValueError, match=r"s3://bucket/prefix|must be a text"):
        aws.s3_root_uri(uri)


@pytest.mark.parametrize(
    "uri", ["s3://My-Bucket/x", "s3://ab/x", "s3://under_score/x", "s3://a..b/x", "s3://" + "a" * 64]
)
def test_a_malformed_bucket_is_refused_with_the_rule(uri):
    with pytest.raises(ValueError, match=r"is not a bucket name \(3-63 characters") as caught:
        aws.s3_root_uri(uri)
    assert str(caught.value).startswith(f"'{uri}': "), "a reader is told which argument"


def test_a_root_that_leaves_no_room_is_refused():
    with pytest.raises(ValueError, match="at most 900"):
        aws.s3_root_uri("s3://bucket/" + "x" * 900)


@pytest.mark.parametrize("value", ["1job", "-job", "my job", "jöb", ""])
def test_a_notebook_job_name_that_notebookjobstep_refuses_is_refused(value):
    with pytest.raises(ValueError, match=r"must begin with a letter|must be a text"):
        aws.notebook_job_name(value)


@pytest.mark.parametrize("value", ["m5.large", "ml.m5", "ml m5", "ML.m5.large", ""])
def test_a_malformed_instance_type_is_refused_with_an_example(value):
    with pytest.raises(ValueError, match=r"such as 'ml.m5.large'|must be a text"):
        aws.instance_type(value)


@pytest.mark.parametrize("value", ["ml.m5.large", "ml.p6-b300.48xlarge", "ml.trn2.3xlarge"])
def test_an_instance_type_of_next_year_is_taken(value):
    assert aws.instance_type(value) == value


@pytest.mark.parametrize("key", ["my key!", "arn:aws:s3:::x", "x:y", "arn:aws:kms:eu-west-1:12:key/x"])
def test_a_malformed_kms_key_is_refused(key):
    with pytest.raises(ValueError, match="is not a KMS key"):
        aws.kms_key(key)


@pytest.mark.parametrize("key", ["alias/mine", "1234abcd-12ab", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"])
def test_a_kms_key_is_an_id_an_alias_or_an_arn(key):
    assert aws.kms_key(key) == key


NUMBERS = {"WHOLE": 5, "BROKEN": 1.5, "YES": True, "TEXT": "007", "EXACT": Decimal("1.10"), "EMPTY": ""}
NUMBERS_AS_TEXTS = {"WHOLE": "5", "BROKEN": "1.5", "YES": "True", "TEXT": "007", "EXACT": "1.10", "EMPTY": ""}


def test_numbers_in_environment_variables_and_tags_are_their_texts():
    """As Jinja would have written them without native rendering."""
    assert aws.environment_variables(NUMBERS) == NUMBERS_AS_TEXTS
    assert aws.tags(NUMBERS) == NUMBERS_AS_TEXTS
    assert aws.tags([{"Key": name, "Value": value} for name, value in NUMBERS.items()]) == NUMBERS_AS_TEXTS


@pytest.mark.parametrize("text", ['{"A": "x", "B": 5}', "{'A': 'x', 'B': 5}", ' \n{"A": "x",\n "B": "5"}\n'])
def test_mappings_may_be_the_texts_that_json_and_jinja_make_of_them(text):
    assert aws.environment_variables(text) == aws.tags(text) == {"A": "x", "B": "5"}
    assert parse.json_object(text)["A"] == "x"


@pytest.mark.parametrize(
    "text", ['[{"Key": "a", "Value": "1"}]', "[{'Key': 'a', 'Value': 1}]", '"[{\\"Key\\": \\"a\\", \\"Value\\": 1}]"']
)
def test_a_list_of_tags_may_be_its_text(text):
    assert aws.tags(text) == {"a": "1"}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        ("", None),
        ("None", None),
        (True, True),
        ("true", True),
        (" True ", True),
        (False, False),
        ("false", False),
        ("False", False),
        ("0", False),
        ("/etc/ssl/ca.pem", "/etc/ssl/ca.pem"),
        (" /etc/ssl/ca.pem ", "/etc/ssl/ca.pem"),
    ],
)
def test_what_certificates_are_verified_by_may_be_a_text(value, read):
    """botocore takes the text 'false' for the path of a file, which is not there."""
    assert parse.verify(value) is read or parse.verify(value) == read


def test_a_verify_that_is_neither_is_refused():
    with pytest.raises(ValueError, match=r"must be True, False or the path of a file of CA certificates, not \['x'\]"):
        parse.verify(["x"])


@pytest.mark.parametrize(
    "value",
    [
        7200,
        7200.0,
        "7200",
        " 7200.0 ",
        timedelta(hours=2),
        "2:00:00",
        "PT2H",
        "PT1H60M",
        "0 days, 2:00:00",
        Decimal(7200),
    ],
)
def test_a_duration_is_taken_in_every_form_that_airflow_and_jinja_give_it(value):
    """``str(timedelta(hours=2))`` is what a template of one gives."""
    assert parse.whole_seconds(minimum=1, maximum=10_000)(value) == parse.seconds(value) == 7200


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1 day, 0:00:00", timedelta(days=1)),
        ("2 days, 3:04:05", timedelta(days=2, hours=3, minutes=4, seconds=5)),
        ("P1DT12H", timedelta(hours=36)),
        ("48:00:00", timedelta(days=2)),
    ],
)
def test_a_duration_of_days_is_read_from_its_text(text, length):
    assert parse.seconds(text) == length.total_seconds()


@pytest.mark.parametrize("value", [True, None, "", "soon", "2:00", "2h", "nan", "inf", "1e400", "P1M", "P", "PT", [5]])
def test_what_is_no_duration_is_refused_with_the_value(value):
    with pytest.raises(ValueError, match="must be a whole number of seconds from 1 to 9") as caught:
        parse.whole_seconds(minimum=1, maximum=9)(value)
    assert repr(value) in str(caught.value)
    with pytest.raises(ValueError, match="must be a number of seconds or a timedelta"):
        parse.seconds(value)


def test_half_a_second_is_no_whole_number_of_them():
    with pytest.raises(ValueError, match=r"must be a whole number of seconds .* not '0:00:01.500000'"):
        parse.whole_seconds(minimum=1, maximum=9)(str(timedelta(seconds=1.5)))
    assert parse.seconds(timedelta(seconds=1.5)) == 1.5


@pytest.mark.parametrize(
    "value", [-1, "-1", timedelta(seconds=-1), str(timedelta(seconds=-1)), 10**400, "9" * 4000, 10]
)
def test_a_duration_beyond_its_limits_is_refused(value):
    with pytest.raises(ValueError, match="must be from 0 to 9 seconds"):
        parse.whole_seconds(minimum=0, maximum=9)(value)


TWO = ("sg-1", "sg-2")


@pytest.mark.parametrize(
    "value",
    [
        ["sg-1", "sg-2"],
        ("sg-1", "sg-2"),
        "['sg-1', 'sg-2']",
        '["sg-1", "sg-2"]',
        '"[\\"sg-1\\", \\"sg-2\\"]"',
        "('sg-1', 'sg-2')",
        "[sg-1, sg-2]",
        "sg-1,sg-2",
        " sg-1 , sg-2, ",
        "\nsg-1\nsg-2\n",
        "'sg-1', \"sg-2\"",
        ["sg-1,sg-2"],
        ["['sg-1', 'sg-2']"],
        ["sg-1 ", " 'sg-2'"],
    ],
)
def test_a_list_may_be_its_text_in_every_form_that_jinja_and_configuration_give_it(value):
    assert aws.identifiers(most=5, prefix="sg-")(value) == TWO


@pytest.mark.parametrize("value", ["sg-1", "'sg-1'", "['sg-1']", "('sg-1',)", ["sg-1"], '["sg-1"]'])
def test_a_list_of_one_may_be_its_text(value):
    assert aws.identifiers(most=5, prefix="sg-")(value) == ("sg-1",)


@pytest.mark.parametrize("value", ["", "[]", "()", " , ", [], ()])
def test_a_list_of_none_may_be_its_text(value):
    assert aws.identifiers(most=5, prefix="sg-")(value) == ()


def test_instance_types_and_formats_are_read_from_texts_too():
    expected = ("ml.g5.xlarge", "ml.m5.large")
    for value in ("['ml.g5.xlarge', 'ml.m5.large']", '["ml.g5.xlarge","ml.m5.large"]', "\nml.g5.xlarge\nml.m5.large"):
        assert aws.instance_types(value) == expected
    assert aws.instance_types(" 'ml.m5.large' ") == ("ml.m5.large",)
    assert aws.output_formats("['html', 'pdf']") == aws.output_formats("html,pdf") == ("html", "pdf")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, ()),
        ("", ()),
        ("None", ()),
        ([], ()),
        ("[]", ()),
        ("lib", ("lib",)),
        (Path("lib"), ("lib",)),
        ([Path("lib"), "a b.csv"], ("lib", "a b.csv")),
        ("a.csv, b c.csv", ("a.csv", "b c.csv")),
        ("a.csv\nb.csv", ("a.csv", "b.csv")),
        ("['a.csv', 'b,c.csv']", ("a.csv", "b,c.csv")),
        ('["a.csv", "s3://b/k"]', ("a.csv", "s3://b/k")),
        ("('a.csv',)", ("a.csv",)),
        (["b,c.csv", "['d.csv', 'e.csv']"], ("b,c.csv", "d.csv", "e.csv")),
    ],
)
def test_paths_are_taken_as_a_list_or_as_its_text(value, read):
    """A list's entry keeps its commas: file names may hold some."""
    assert parse.paths(value) == read


@pytest.mark.parametrize("value", ["LazyXComSequence([3 items])", "LazyXComSequence(<unevaluated length>)"])
def test_the_text_of_a_mapped_tasks_results_is_refused_with_what_to_write(value):
    for read in (aws.identifiers(most=5, prefix="sg-"), aws.instance_types, aws.output_formats, parse.paths):
        with pytest.raises(ValueError, match=r"end the template in '\| list'"):
            read(value)


@pytest.mark.parametrize("value", [5, {"a": 1}, b"sg-1", ["a", 5], ["a", ["b"]], "['a', 5]"])
def test_what_is_no_list_of_texts_is_refused(value):
    for read in (aws.output_formats, parse.paths):
        with pytest.raises(ValueError, match="must be a list of texts"):
            read(value)


@pytest.mark.parametrize("value", [["sg-1", ""], ["  "], "['sg-1', '']"])
def test_an_empty_entry_of_a_list_is_refused(value):
    """A template that gave nothing: a group that is left out in silence is a door that stays open, or shut."""
    with pytest.raises(ValueError, match="has an empty entry"):
        aws.identifiers(most=5, prefix="sg-")(value)


def test_a_number_for_a_text_names_native_rendering():
    with pytest.raises(ValueError, match=r"not 20261122 .*render_template_as_native_obj=True"):
        parse.text(20261122)


@pytest.mark.parametrize(
    ("value", "is_absent"),
    [(None, True), ("", True), (" ", True), ("None", True), ("null", True), (0, False), (False, False), ([], False)],
)
def test_what_templates_and_json_write_for_nothing_is_absent(value, is_absent):
    assert parse.is_absent(value) is is_absent


def test_ids_are_taken_as_a_list_or_as_one_text():
    """The Airflow configuration holds texts only."""
    read = aws.identifiers(most=5, prefix="sg-")
    assert read("sg-1, sg-2,") == read(["sg-1", "sg-2"]) == ("sg-1", "sg-2")
    assert read("") == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["sg-1"] * 6, "at most 5"),
        (["subnet-1"], "'subnet-1' must look like 'sg-"),
        (["sg-" + "x" * 30], "must look like"),
        ([1], "must be a list of texts"),
        ({"a": 1}, "must be a list of texts"),
    ],
)
def test_malformed_ids_are_refused(value, text):
    with pytest.raises(ValueError, match=text):
        aws.identifiers(most=5, prefix="sg-")(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"1X": "v"}, "'1X' is not a variable name"),
        ({"A-B": "v"}, "'A-B' is not a variable name"),
        ({1: "v"}, "1 is not a variable name"),
        ({"X" * 513: "v"}, "at most 512"),
        ({"X": [5]}, "the value of 'X' must be a text or a number, not list.*render_template_as_native_obj"),
        ({"X": None}, "the value of 'X' must be a text or a number, not None: give an empty text, or leave it out"),
        ({"X": "v" * 513}, "has 513 characters; at most 512"),
        ({"SM_KERNEL_NAME": "x"}, "'SM_KERNEL_NAME' is set by the operator"),
        ({"AWS_DEFAULT_REGION": "x"}, "set by the operator"),
        ({"NBJOBS_OWNER": "x"}, "'NBJOBS_OWNER' is set by the operator"),
        (["A=1"], "must be a dictionary"),
        ("[1]", "must be a dictionary"),
    ],
)
def test_a_wrong_environment_is_refused_by_the_variables_name(value, text):
    with pytest.raises(ValueError, match=text):
        aws.environment_variables(value)


def test_every_wrong_variable_is_named_at_once():
    with pytest.raises(ValueError, match=r"'1A'.*'B'.*'NBJOBS_X'"):
        aws.environment_variables({"1A": "v", "B": [], "NBJOBS_X": "v"})


def test_the_callers_environment_is_copied():
    given = {"A": "1"}
    aws.environment_variables(given)["B"] = "2"
    assert given == {"A": "1"}


def test_tags_are_taken_in_both_forms_and_as_json():
    expected = {"team": "a b", "cost": ""}
    assert aws.tags({"team": "a b", "cost": ""}) == expected
    assert aws.tags([{"Key": "team", "Value": "a b"}, {"Key": "cost", "Value": ""}]) == expected
    assert aws.tags('{"team": "a b", "cost": ""}') == expected
    assert aws.tags([]) == {}


def test_of_two_tags_with_one_key_the_last_counts():
    assert aws.tags([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]) == {"a": "2"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"": "v"}, "1-128 characters"),
        ({"k" * 129: "v"}, "1-128 characters"),
        ({"k": "v" * 257}, "at most 256"),
        ({"k": None}, "'k': the value must be a text or a number, not None"),
        ({"k": ["a"]}, "'k': the value must be a text or a number, not list.*render_template_as_native_obj"),
        ({5: "v"}, "5: the key must be a text"),
        ("[1]", "must be a dictionary or a list of"),
        (["k"], "must be a dictionary or a list of"),
        ({"aws:x": "v"}, "'aws:' is AWS's own"),
        ({"AWS:x": "v"}, "'aws:' is AWS's own"),
        ({"k": "a;b"}, "may hold letters, digits"),
        ({"k": "two\nlines"}, "may hold letters, digits"),
        ([{"key": "a", "value": "b"}], "must be a dictionary or a list of"),
        ("team=a", "must be a dictionary"),
    ],
)
def test_a_wrong_tag_is_refused_by_its_key(value, text):
    with pytest.raises(ValueError, match=text):
        aws.tags(value)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("manual__2026-11-22T00:00:00+00:00", "manual__2026-11-22T00:00:00+00:00"),
        ("what? a [run]", "what_ a _run_"),
        ("two\nlines\tand tab", "two_lines_and tab"),
        ("x" * 300, "x" * 256),
        ("größe", "größe"),
    ],
)
def test_any_text_is_made_fit_for_a_tag(text, tag):
    assert aws.tag_text(text) == tag
    assert aws.tags({"k": tag}) == {"k": tag}


@pytest.mark.parametrize(
    ("value", "text"), [(["html", "p df"], "'p df' is no name"), (["x" * 600], "longer than the 512")]
)
def test_wrong_output_formats_are_refused(value, text):
    with pytest.raises(ValueError, match=text):
        aws.output_formats(value)


def test_a_domain_that_is_no_arn_is_refused_with_the_form():
    with pytest.raises(ValueError, match="arn:aws:sagemaker:eu-west-1:123456789012:domain/d-abc123"):
        aws.studio_domain_arn("d-abc")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("eu-west-1a", "is an availability zone; its region is 'eu-west-1'"),
        ("EU_West1", "is no name of a region; did you mean 'eu-west-1'?"),
        ("eu west 1", "did you mean 'eu-west-1'?"),
        ("Ireland", "is no name of a region, such as 'eu-west-1'"),
    ],
)
def test_what_is_no_region_is_refused_with_what_was_meant(name, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        aws.region(name)


@pytest.mark.parametrize("name", ["eu-west-1", "us-gov-west-1", "cn-northwest-1", "us-iso-east-1"])
def test_a_region_is_taken(name):
    assert aws.region(name) == name


@pytest.mark.parametrize(
    ("value", "words"),
    [([], "is empty"), ("ml.m5.large, ml.m5.large", "names 'ml.m5.large' twice"), (["x"], "such as")],
)
def test_a_list_of_instance_types_has_each_once(value, words):
    with pytest.raises(ValueError, match=words):
        aws.instance_types(value)


ROLE = "arn:aws:iam::123456789012:role/"


@pytest.mark.parametrize(
    ("read", "longest"),
    [
        (aws.image_uri, "123456789012.dkr.ecr.eu-west-1.amazonaws.com/" + "x" * 210),
        (aws.role, ROLE + "x" * (2048 - len(ROLE))),
        (aws.role, "x" * 64),
        (aws.s3_root_uri, "s3://bucket/" + "x" * 888),
        (aws.output_formats, "a" * (512 - len("ipynb,"))),
        (lambda text: aws.environment_variables({"A": text}), "x" * 512),
        (lambda text: aws.tags({text: "v"}), "x" * 128),
        (lambda text: aws.tags({"k": text}), "x" * 256),
        (aws.studio_name, "x" * 63),
    ],
    ids=lambda each: each[:20] if isinstance(each, str) else None,
)
def test_a_limit_is_what_may_just_be(read, longest):
    read(longest)
    with pytest.raises(ValueError, match=r"."):
        read(f"{longest}x")


def test_as_many_ids_as_a_job_may_have_are_taken():
    assert len(aws.identifiers(most=5, prefix="sg-")([f"sg-{number}" for number in range(5)])) == 5
