"""Parsers of single arguments: what they take, what they refuse, and in which words."""

import pytest

from airflow_nbjobs.core import arguments as parse

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/nb:1"


@pytest.mark.parametrize("value", ["true", "True", " yes ", "1", True])
def test_texts_that_jinja_renders_for_true_are_true(value):
    assert parse.boolean(value) is True


@pytest.mark.parametrize("value", ["false", "False", "no", "0", False])
def test_texts_that_jinja_renders_for_false_are_false(value):
    assert parse.boolean(value) is False


@pytest.mark.parametrize("value", ["maybe", "", 2, None])
def test_anything_else_is_no_boolean(value):
    with pytest.raises(ValueError, match="must be True or False"):
        parse.boolean(value)


@pytest.mark.parametrize(("value", "number"), [(5, 5), ("5", 5), (" 5 ", 5), ("0", 0)])
def test_numbers_may_be_texts(value, number):
    assert parse.whole_number(minimum=0, maximum=10)(value) == number


@pytest.mark.parametrize("value", ["five", "", "5.0", 5.0, True, None, "None"])
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
    assert parse.image_uri(image) == image


@pytest.mark.parametrize("image", ["jupyter", "jupyter/base", "python:3.11", "localhost/nb:1"])
def test_an_image_without_registry_is_refused_with_the_short_form(image):
    """'python:3.11' has a dot, in its tag: that is no registry either."""
    with pytest.raises(ValueError, match=r"names no registry.*sagemaker-distribution:4-cpu"):
        parse.image_uri(image)


@pytest.mark.parametrize("image", ["https://x.y/z", "a b", ECR + "x" * 255, "", None, 5])
def test_what_is_no_image_at_all_is_refused(image):
    with pytest.raises(ValueError, match=r"is not an image URI|must be a text"):
        parse.image_uri(image)


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
    assert parse.ecr_region(image) == region


@pytest.mark.parametrize(
    "role", ["arn:aws:iam::123456789012:role/NotebookJobs", "arn:aws-cn:iam::123456789012:role/path/Jobs", "Jobs_1"]
)
def test_a_role_is_an_arn_or_a_name(role):
    assert parse.role(role) == role


@pytest.mark.parametrize("role", ["arn:aws:iam::12:role/x", "arn:aws:iam::123456789012:user/x", "a/b", "x" * 65, ""])
def test_a_malformed_role_is_refused_with_the_form(role):
    with pytest.raises(ValueError, match=r"arn:aws:iam::123456789012:role/name|must be a text"):
        parse.role(role)


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
    assert parse.s3_root_uri(uri) == root


@pytest.mark.parametrize("uri", ["my-bucket/x", "https://my-bucket", "s3:/my-bucket", "s3://", ""])
def test_a_root_that_is_no_s3_uri_is_refused_with_the_form(uri):
    with pytest.raises(ValueError, match=r"s3://bucket/prefix|must be a text"):
        parse.s3_root_uri(uri)


@pytest.mark.parametrize(
    "uri", ["s3://My-Bucket/x", "s3://ab/x", "s3://under_score/x", "s3://a..b/x", "s3://" + "a" * 64]
)
def test_a_malformed_bucket_is_refused_with_the_rule(uri):
    with pytest.raises(ValueError, match=r"is not a bucket name \(3-63 characters"):
        parse.s3_root_uri(uri)


def test_a_root_that_leaves_no_room_is_refused():
    with pytest.raises(ValueError, match="at most 900"):
        parse.s3_root_uri("s3://bucket/" + "x" * 900)


@pytest.mark.parametrize("value", ["1job", "-job", "my job", "jöb", ""])
def test_a_notebook_job_name_that_notebookjobstep_refuses_is_refused(value):
    with pytest.raises(ValueError, match=r"must begin with a letter|must be a text"):
        parse.notebook_job_name(value)


@pytest.mark.parametrize("value", ["m5.large", "ml.m5", "ml m5", "ML.m5.large", ""])
def test_a_malformed_instance_type_is_refused_with_an_example(value):
    with pytest.raises(ValueError, match=r"such as 'ml.m5.large'|must be a text"):
        parse.instance_type(value)


@pytest.mark.parametrize("value", ["ml.m5.large", "ml.p6-b300.48xlarge", "ml.trn2.3xlarge"])
def test_an_instance_type_of_next_year_is_taken(value):
    assert parse.instance_type(value) == value


def test_a_malformed_kms_key_is_refused():
    with pytest.raises(ValueError, match="is not a KMS key"):
        parse.kms_key("my key!")


def test_ids_are_taken_as_a_list_or_as_one_text():
    """The Airflow configuration holds texts only."""
    read = parse.identifiers(most=5, prefix="sg-")
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
        parse.identifiers(most=5, prefix="sg-")(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"1X": "v"}, "'1X' is not a variable name"),
        ({"A-B": "v"}, "'A-B' is not a variable name"),
        ({1: "v"}, "1 is not a variable name"),
        ({"X" * 513: "v"}, "at most 512"),
        ({"X": 5}, "the value of 'X' must be a text, not int"),
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
        parse.environment_variables(value)


def test_every_wrong_variable_is_named_at_once():
    with pytest.raises(ValueError, match=r"'1A'.*'B'.*'NBJOBS_X'"):
        parse.environment_variables({"1A": "v", "B": 5, "NBJOBS_X": "v"})


def test_the_callers_environment_is_copied():
    given = {"A": "1"}
    parse.environment_variables(given)["B"] = "2"
    assert given == {"A": "1"}


def test_tags_are_taken_in_both_forms_and_as_json():
    expected = {"team": "a b", "cost": ""}
    assert parse.tags({"team": "a b", "cost": ""}) == expected
    assert parse.tags([{"Key": "team", "Value": "a b"}, {"Key": "cost", "Value": ""}]) == expected
    assert parse.tags('{"team": "a b", "cost": ""}') == expected
    assert parse.tags([]) == {}


def test_of_two_tags_with_one_key_the_last_counts():
    assert parse.tags([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]) == {"a": "2"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"": "v"}, "1-128 characters"),
        ({"k" * 129: "v"}, "1-128 characters"),
        ({"k": "v" * 257}, "at most 256"),
        ({"k": 5}, "must be texts"),
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
        parse.tags(value)


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
    assert parse.tag_text(text) == tag
    assert parse.tags({"k": tag}) == {"k": tag}


@pytest.mark.parametrize(
    ("value", "text"), [(["html", "p df"], "'p df' is no name"), (["x" * 600], "longer than the 512")]
)
def test_wrong_output_formats_are_refused(value, text):
    with pytest.raises(ValueError, match=text):
        parse.output_formats(value)


def test_a_domain_that_is_no_arn_is_refused_with_the_form():
    with pytest.raises(ValueError, match="arn:aws:sagemaker:eu-west-1:123456789012:domain/d-abc123"):
        parse.studio_domain_arn("d-abc")
