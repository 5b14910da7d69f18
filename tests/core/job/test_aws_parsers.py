"""What AWS gives a form: what is taken, what is refused before it is asked, and what the author is told."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core.job import aws_parsers as parse

REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab"
DOMAIN = "arn:aws:sagemaker:eu-west-1:123456789012:domain/d-abc123"
ROLE = "arn:aws:iam::123456789012:role/service/name"


def refusal(read, value):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared
        read(value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (parse.notebook_job_name, "Nightly-report_2"),
        (parse.studio_domain_arn, DOMAIN),
        (parse.studio_name, "a"),
        (parse.studio_name, "a" * 63),
        (parse.studio_name, "a--b"),
        (parse.unified_studio_domain_id, "dzd_3is8hf193ykyc0"),
        (parse.unified_studio_domain_id, f"dzd-{'a' * 36}"),
        (parse.unified_studio_project_id, "6jw4wtluwzqx47"),
        (parse.image_uri, f"{REGISTRY}/name:tag"),
        (parse.image_uri, f"{REGISTRY}/a/b@sha256:{'0a' * 32}"),
        (parse.image_uri, "localhost.local:5000/name"),
        (parse.image_uri, "sagemaker-distribution:4-cpu"),
        (parse.image_uri, f"{REGISTRY}/{'a' * (254 - len(REGISTRY))}"),
        (parse.role, ROLE),
        (parse.role, "Notebook.Jobs_1"),
        (parse.role, "a" * 64),
        (parse.bucket_name, "abc"),
        (parse.bucket_name, "a" * 63),
        (parse.bucket_name, "my.bucket-1"),
        (parse.kms_key, "1234abcd-12ab"),
        (parse.kms_key, "alias/mine"),
        (parse.kms_key, KEY),
        (parse.kms_key, KEY.replace("key/", "alias/")),
        (parse.kms_key, "a" * 2048),
        (parse.region, "eu-west-1"),
        (parse.region, "us-gov-east-1"),
        (parse.instance_type, "ml.m5.large"),
        (parse.instance_type, "ml.p6-b200.48xlarge"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_aws_takes_is_read_as_it_is(read, value):
    assert read(f" {value}\n") == value


@pytest.mark.parametrize(
    ("read", "values", "said"),
    [
        (parse.notebook_job_name, ("1a", "-a", "a b", "ä"), "must begin with a letter"),
        (parse.studio_domain_arn, ("d-abc123", DOMAIN + "/x", DOMAIN.replace("d-abc", "abc")), "is not a domain ARN"),
        (parse.studio_name, ("-a", "a-", "a" * 64, "a_b"), "is no name of Studio's"),
        (parse.unified_studio_domain_id, ("3is8", "dzd_", f"dzd_{'a' * 37}"), "is no id such as 'dzd_"),
        (parse.unified_studio_project_id, ("a b", "a" * 37), "is no id such as '6jw4"),
        (
            parse.image_uri,
            ("a b", f"{REGISTRY}/Name", f"{REGISTRY}/{'a' * (255 - len(REGISTRY))}", f"{REGISTRY}/a:{'t' * 129}"),
            "is not an image URI",
        ),
        (parse.image_uri, ("name:tag", "team/name:tag", "my.name:tag"), "names no registry"),
        (parse.role, ("a b", "a" * 65, "arn:aws:iam::1:role/x", f"{ROLE}{'x' * 2048}"), "is neither a role ARN"),
        (parse.bucket_name, ("ab", "a" * 64, "-ab", "ab-", "Abc", "a..b", "a_b"), "is not a bucket name"),
        (
            parse.kms_key,
            ("a b", "a:b", "a" * 2049, "arn:aws:kms:eu-west-1:1:key/a", KEY.replace("key/", "grant/")),
            "is not a KMS key",
        ),
        (parse.region, ("europe", "eu-west"), "is no name of a region, such as 'eu-west-1'"),
        (parse.instance_type, ("large", "m5", "ml.m5."), "is not an instance type such as 'ml.m5.large'"),
    ],
)
def test_what_aws_would_refuse_is_refused_and_named(read, values, said):
    for value in values:
        found = refusal(read, value)
        assert said in found
        assert repr(value) in found


@pytest.mark.parametrize(
    ("value", "region"),
    [
        ("EU-West-1", "eu-west-1"),
        ("eu west 1", "eu-west-1"),
        ("eu_west_1", "eu-west-1"),
        ("eu-west1", "eu-west-1"),
        ("us-gov-east1", "us-gov-east-1"),
    ],
)
def test_a_region_spelt_in_another_way_is_suggested(value, region):
    assert refusal(parse.region, value).endswith(f"did you mean '{region}'?")


def test_an_availability_zone_names_its_region():
    assert refusal(parse.region, "eu-west-1a") == "'eu-west-1a' is an availability zone; its region is 'eu-west-1'"


@pytest.mark.parametrize("value", ["m5.large", "ml-m5-large", "ML.M5.LARGE", "m5large"])
def test_an_instance_type_spelt_in_another_way_is_suggested(value):
    assert refusal(parse.instance_type, value).endswith("did you mean 'ml.m5.large'?")


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("sagemaker-distribution:4-cpu", "4-cpu"),
        (f"{REGISTRY}/sagemaker-distribution:4-cpu", None),
        ("sagemaker-distribution", None),
    ],
)
def test_a_short_name_of_awss_own_image_has_a_tag(image, tag):
    assert parse.short_image_tag(image) == tag


@pytest.mark.parametrize(
    ("resource", "region"),
    [
        (f"{REGISTRY}/name:tag", "eu-west-1"),
        (f"{REGISTRY.replace('ecr.eu', 'ecr-fips.eu')}/name", "eu-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/name", "cn-north-1"),
        (KEY, "eu-west-1"),
        (DOMAIN, "eu-west-1"),
        ("1234abcd-12ab", None),
        ("sagemaker-distribution:4-cpu", None),
        ("public.ecr.aws/name", None),
        (ROLE, None),
    ],
)
def test_the_region_of_a_resource_is_in_its_name(resource, region):
    assert parse.region_of(resource) == region


def test_a_root_uri_loses_its_last_slash_and_keeps_room_for_the_jobs_own_folder():
    assert parse.s3_root_uri(" s3://my-bucket/a/b/ ") == "s3://my-bucket/a/b"
    assert parse.s3_root_uri("s3://my-bucket") == parse.s3_root_uri("s3://my-bucket//") == "s3://my-bucket"
    longest = "s3://my-bucket/".ljust(900, "a")
    assert parse.s3_root_uri(f"{longest}/") == longest
    assert refusal(parse.s3_root_uri, longest + "a").startswith("has 901 characters; at most 900 leave room")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("my-bucket/a", "'my-bucket/a' must be of the form 's3://bucket/prefix'"),
        ("https://my-bucket/a", "must be of the form"),
        ("s3:///a", "must be of the form"),
        ("s3://My_Bucket/a", "'s3://My_Bucket/a': 'My_Bucket' is not a bucket name"),
    ],
)
def test_a_root_uri_that_is_none_is_refused(value, said):
    assert said in refusal(parse.s3_root_uri, value)


def test_several_instance_types_are_in_order_and_each_once():
    assert parse.instance_types("ml.m5.xlarge, ml.m5.large") == ("ml.m5.xlarge", "ml.m5.large")
    assert parse.instance_types(["ml.m5.large"]) == parse.instance_types("ml.m5.large") == ("ml.m5.large",)
    assert refusal(parse.instance_types, []).startswith("is empty; give an instance type")
    given = ["ml.m5.large", "ml.c5.large", "ml.m5.large", "ml.c5.large", "ml.r5.large"]
    assert refusal(parse.instance_types, given).startswith("names 'ml.c5.large', 'ml.m5.large' twice")
    assert "did you mean 'ml.c5.large'?" in refusal(parse.instance_types, ["ml.m5.large", "c5.large"])


def test_ids_of_ec2_have_their_prefix_and_a_number_at_most():
    read = parse.identifiers(most=2, prefix="sg-")
    assert read("sg-1, sg-2") == read(["sg-1", "sg-2"]) == ("sg-1", "sg-2")
    assert read("") == ()
    assert read(f"sg-{'a' * 29}") == (f"sg-{'a' * 29}",)
    assert refusal(read, ["sg-1", "sg-2", "sg-3"]) == "has 3 entries; at most 2 are allowed"
    for wrong in ("subnet-1", "sg-", f"sg-{'a' * 30}", "xsg-1", "sg-1_"):
        assert refusal(read, ["sg-1", wrong]) == f"{wrong!r} must look like 'sg-0123456789abcdef0'"


def test_output_formats_are_names_of_exporters():
    assert parse.output_formats("html, my_package.MyExporter") == ("html", "my_package.MyExporter")
    assert (
        refusal(parse.output_formats, "html, a-b, .c") == "'a-b', '.c' is no name of an nbconvert format such as 'html'"
    )
    longest = "a" * (512 - len("ipynb,"))
    assert parse.output_formats([longest]) == (longest,)
    assert "512 characters" in refusal(parse.output_formats, [longest + "a"])
    assert parse.output_formats([]) == ()


def test_variables_are_texts():
    assert parse.environment_variables({"A_1": "x", "_b": 5, "c": True, "d": 0.5, "e": ""}) == {
        "A_1": "x",
        "_b": "5",
        "c": "True",
        "d": "0.5",
        "e": "",
    }
    assert parse.environment_variables('{"A": 1}') == {"A": "1"}
    assert parse.environment_variables({"a" * 512: "x" * 512}) == {"a" * 512: "x" * 512}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"1a": "x"}, "'1a' is not a variable name (letters, digits, underscores; at most 512)"),
        ({"a" * 513: "x"}, "is not a variable name"),
        ({5: "x"}, "5 is not a variable name"),
        ({"NBJOBS_X": "x"}, "'NBJOBS_X' is set by the operator for the driver; remove it"),
        (
            {"SM_KERNEL_NAME": "x"},
            "'SM_KERNEL_NAME' is set by the operator for the driver, as kernel_name says; remove it",
        ),
        ({"SM_ENV_NAME": "x"}, "'SM_ENV_NAME' is set by the operator for the driver; remove it"),
        ({"A": None}, "the value of 'A' must be a text or a number, not None: give an empty text, or leave it out"),
        ({"A": ["x"]}, "the value of 'A' must be a text or a number, not list (with render_template_as_native_obj"),
        ({"A": "x" * 513}, "the value of 'A' has 513 characters; at most 512 are allowed"),
        ({"1a": "x", "b-": "y"}, "; 'b-' is not a variable name"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_variables_that_a_job_cannot_have_are_all_named(given, said):
    assert said in refusal(parse.environment_variables, given)


def test_tags_are_read_from_each_of_their_forms():
    expected = {"team": "data", "cost": "5"}
    assert parse.tags({"team": "data", "cost": 5}) == expected
    assert parse.tags([{"Key": "team", "Value": "data"}, {"Key": "cost", "Value": 5}]) == expected
    assert parse.tags('[{"Key": "team", "Value": "data"}, {"Key": "cost", "Value": "5"}]') == expected
    assert parse.tags([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]) == {"a": "2"}
    assert parse.tags({"k" * 128: "v" * 256, "a": ""}) == {"k" * 128: "v" * 256, "a": ""}
    assert parse.tags({"größe": "a b_.:/=+-@1"}) == {"größe": "a b_.:/=+-@1"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("x", "must be a dictionary or a list of {'Key'"),
        (5, "must be a dictionary or a list of {'Key'"),
        ([{"Key": "a"}], "must be a dictionary or a list of {'Key'"),
        (["a"], "must be a dictionary or a list of {'Key'"),
        ({5: "a"}, "5: the key must be a text"),
        ({"a": None}, "'a': the value must be a text or a number, not None: give an empty text"),
        ({"a": {}}, "'a': the value must be a text or a number, not dict"),
        ({"": "a"}, "a key has 1-128 characters, a value at most 256"),
        ({"k" * 129: "a"}, "a key has 1-128 characters, a value at most 256"),
        ({"a": "v" * 257}, "a key has 1-128 characters, a value at most 256"),
        ({"a;": "x"}, "may hold letters, digits, blanks and"),
        ({"a": "x;"}, "may hold letters, digits, blanks and"),
        ({"a": "x\ny"}, "may hold letters, digits, blanks and"),
        ({"aws:a": "x"}, "the prefix 'aws:' is AWS's own"),
        ({"AWS:a": "x"}, "the prefix 'aws:' is AWS's own"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_tags_that_aws_refuses_are_refused(given, said):
    assert said in refusal(parse.tags, given)


def test_any_text_is_made_fit_for_a_tag():
    assert parse.tag_text("a;b\nc*d") == "a_b_c_d"
    assert parse.tag_text("größe: a/b=1+2-3@x_y.z") == "größe: a/b=1+2-3@x_y.z"
    assert parse.tag_text("x" * 300) == "x" * 256
