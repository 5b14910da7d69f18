"""The spec: every problem of a job's arguments, all at once, each naming its argument and the remedy."""

from datetime import timedelta

import msgspec
import pytest

from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.job import spec as specs
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.spec import NotebookJobSpec
from airflow_nbjobs.core.job.variables import RESERVED_VARIABLES

ROLE = "arn:aws:iam::123456789012:role/NotebookJobs"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/nb:1"
RIGHT = {
    "image_uri": IMAGE,
    "kernel_name": "python3",
    "role": ROLE,
    "s3_root_uri": "s3://bucket/nbjobs",
    "region": "eu-west-1",
}


def parse_spec(arguments):
    region = arguments.get("region")
    return specs.parse_spec(
        JobArguments(**{name: value for name, value in arguments.items() if name != "region"}), region=region
    )


def test_a_minimal_job_has_notebookjobsteps_defaults():
    parsed = parse_spec(RIGHT)
    assert parsed.problems == parsed.warnings == ()
    assert parsed.spec is not None
    assert parsed.spec.instance_type == ("ml.m5.large",)
    assert parsed.spec.volume_size == 30
    assert parsed.spec.max_runtime_in_seconds == 172_800
    assert parsed.spec.max_retry_attempts == 1
    assert parsed.spec.encrypt_inter_container_traffic is True


def test_what_a_run_may_vary_is_taken_as_jinja_writes_it():
    spec = parse_spec(
        RIGHT
        | {
            "instance_type": "['ml.g5.xlarge', 'ml.m5.large']",
            "subnets": '["subnet-1", "subnet-2"]',
            "security_group_ids": "sg-1",
            "volume_size": "30.0",
            "max_runtime_in_seconds": str(timedelta(days=1, hours=2)),
            "enable_managed_spot_training": "on",
            "max_wait_time_in_seconds": timedelta(days=2),
            "keep_alive_period_in_seconds": "0:00:00",
            "environment_variables": "{'A': 1}",
            "tags": [{"Key": "cost", "Value": 7}],
            "output_formats": "html",
        }
    ).spec
    assert spec is not None
    assert spec.instance_type == ("ml.g5.xlarge", "ml.m5.large")
    assert (spec.subnets, spec.security_group_ids) == (("subnet-1", "subnet-2"), ("sg-1",))
    assert (spec.volume_size, spec.max_runtime_in_seconds, spec.max_wait_time_in_seconds) == (30, 93_600, 172_800)
    assert spec.keep_alive_period_in_seconds == 0
    assert (spec.environment_variables, spec.tags, spec.output_formats) == ({"A": "1"}, {"cost": "7"}, ("html",))


def test_none_means_the_default():
    nothing = {field.name: None for field in msgspec.structs.fields(NotebookJobSpec)}
    assert parse_spec(nothing | RIGHT).spec == parse_spec(RIGHT).spec


def test_numbers_and_booleans_may_be_texts():
    """Jinja renders to strings."""
    spec = parse_spec(
        RIGHT | {"volume_size": "50", "max_runtime_in_seconds": "3600", "encrypt_inter_container_traffic": "False"}
    ).spec
    assert spec is not None
    assert (spec.volume_size, spec.max_runtime_in_seconds, spec.encrypt_inter_container_traffic) == (50, 3600, False)


@pytest.mark.parametrize("name", ["image_uri", "role", "s3_root_uri"])
@pytest.mark.parametrize("absent", [None, ""])
def test_what_is_missing_everywhere_is_an_error_that_names_the_three_places(name, absent):
    (problem,) = parse_spec(RIGHT | {name: absent}).problems
    assert problem.startswith(f"{name} is not set")
    assert f"the argument '{name}'" in problem
    assert "AWS connection's extra" in problem
    assert "section [nbjobs] of the Airflow configuration" in problem


BAD = [
    ({"role": "arn:aws:iam::12:role/x"}, "role", "arn:aws:iam::123456789012:role/name"),
    ({"s3_root_uri": "bucket/x"}, "s3_root_uri", "s3://bucket/prefix"),
    ({"s3_root_uri": "s3://Bucket/x"}, "s3_root_uri", "is not a bucket name"),
    ({"image_uri": "nb"}, "image_uri", "names no registry"),
    ({"image_uri": IMAGE.replace("eu-west-1", "us-east-1")}, "image_uri", "set region_name='us-east-1'"),
    ({"instance_type": "m5.large"}, "instance_type", "ml.m5.large"),
    ({"volume_size": 0}, "volume_size", "from 1 to 16384"),
    ({"volume_size": "big"}, "volume_size", "must be a whole number"),
    ({"max_runtime_in_seconds": 28 * 86_400 + 1}, "max_runtime_in_seconds", "from 1 to 2419200"),
    ({"max_retry_attempts": 31}, "max_retry_attempts", "from 0 to 30"),
    ({"keep_alive_period_in_seconds": 3601}, "keep_alive_period_in_seconds", "from 0 to 3600"),
    ({"tags": {"aws:x": "1"}}, "tags", "AWS's own"),
    ({"environment_variables": {"A": None}}, "environment_variables", "must be a text"),
    ({"notebook_job_name": "1"}, "notebook_job_name", "must begin with a letter"),
    ({"s3_kms_key": "a b"}, "s3_kms_key", "is not a KMS key"),
    ({"volume_kms_key": ""}, "volume_kms_key", "not empty"),
    ({"encrypt_inter_container_traffic": "perhaps"}, "encrypt_inter_container_traffic", "True or False"),
    ({"extra_request": "x"}, "extra_request", "must be a dictionary"),
    ({"output_formats": ["no such!"]}, "output_formats", "nbconvert"),
    ({"security_group_ids": ["sg-1"]}, "security_group_ids is given without subnets", "needs both"),
    ({"subnets": ["subnet-1"]}, "subnets is given without security_group_ids", "needs both"),
    ({"subnets": "subnet-1", "security_group_ids": " , "}, "subnets is given without security_group_ids", "needs both"),
    ({"max_wait_time_in_seconds": 5}, "max_wait_time_in_seconds", "set enable_managed_spot_training=True"),
    ({"enable_managed_spot_training": True}, "enable_managed_spot_training", "needs max_wait_time_in_seconds"),
    (
        {"enable_managed_spot_training": True, "max_wait_time_in_seconds": 5},
        "max_wait_time_in_seconds (5) is less than max_runtime_in_seconds (172800)",
        "counts waiting and running",
    ),
    (
        {
            "enable_managed_spot_training": True,
            "max_wait_time_in_seconds": 172_800,
            "keep_alive_period_in_seconds": 60,
        },
        "keep_alive_period_in_seconds",
        "leave out one",
    ),
    ({"studio_domain_arn": "d-1"}, "studio_domain_arn", "is not a domain ARN"),
    ({"studio_user_profile": "me"}, "studio_domain_arn is missing", "domain named in its tags"),
    (
        {"studio_user_profile": "Me (x)", "studio_domain_arn": "arn:aws:sagemaker:eu-west-1:123456789012:domain/d-1"},
        "studio_user_profile",
        "no name of Studio's",
    ),
    ({"studio_domain_arn": "arn:aws:sagemaker:eu-west-1:123456789012:domain/x"}, "studio_domain_arn", "domain/d-abc"),
    ({"unified_studio_domain_id": "dzd_3is8"}, "unified_studio_project_id is missing", "together"),
    ({"unified_studio_project_id": "6jw4"}, "unified_studio_domain_id is missing", "together"),
    (
        {"unified_studio_domain_id": "d-abc", "unified_studio_project_id": "6jw4"},
        "unified_studio_domain_id",
        "dzd_3is8hf193ykyc0",
    ),
    ({"instance_type": "m5.large"}, "instance_type", "did you mean 'ml.m5.large'?"),
    ({"instance_type": "ML.M5.xLarge"}, "instance_type", "did you mean 'ml.m5.xlarge'?"),
    ({"volume_kms_key": "arn:aws:iam::123456789012:role/x"}, "volume_kms_key", "is not a KMS key"),
    ({"s3_kms_key": "arn:aws:kms:eu-west-1:12:key/x"}, "s3_kms_key", "is not a KMS key"),
    ({"s3_kms_key": "key:1234abcd"}, "s3_kms_key", "alias/name"),
    ({"install_driver": True, "enable_network_isolation": True}, "install_driver", "use an image that has the driver"),
]


@pytest.mark.parametrize(
    ("wrong", "begins", "remedy"), BAD, ids=[f"{n}-{next(iter(case[0]))}" for n, case in enumerate(BAD)]
)
def test_a_wrong_argument_is_one_problem_that_begins_with_its_name_and_says_what_to_do(wrong, begins, remedy):
    parsed = parse_spec(RIGHT | wrong)
    (problem,) = parsed.problems
    assert parsed.spec is None
    assert problem.startswith(begins)
    assert remedy in problem


def test_several_problems_are_reported_together():
    parsed = parse_spec(
        {"kernel_name": "python3", "region": "eu-west-1", "volume_size": 0, "tags": 5, "subnets": ["subnet-1"]}
    )
    assert [problem.partition(" ")[0].rstrip(":") for problem in parsed.problems] == [
        "image_uri",
        "role",
        "s3_root_uri",
        "volume_size",
        "tags",
        "subnets",
    ]


@pytest.mark.parametrize("name", ["kernel_name", "region"])
def test_a_missing_kernel_or_region_is_left_to_whoever_looked_for_it(name):
    parsed = parse_spec({key: value for key, value in RIGHT.items() if key != name})
    assert (parsed.spec, parsed.problems) == (None, ())


def test_an_image_of_another_region_is_allowed_where_the_request_says_how_it_is_pulled():
    image = IMAGE.replace("eu-west-1", "us-east-1")
    extra = {"TrainingImageConfig": {"TrainingRepositoryAccessMode": "Vpc"}}
    assert parse_spec(RIGHT | {"image_uri": image, "extra_request": extra}).problems == ()


@pytest.mark.parametrize("variable", sorted(RESERVED_VARIABLES))
def test_no_variable_of_the_protocol_can_be_overwritten(variable):
    (problem,) = parse_spec(RIGHT | {"environment_variables": {variable: "x"}}).problems
    assert variable in problem
    assert f"as {RESERVED_VARIABLES[variable]} says" in problem or not RESERVED_VARIABLES[variable]


@pytest.mark.parametrize(("root", "warns"), [("s3://bucket/output", True), ("s3://bucket/nbjobs", False)])
def test_a_root_that_studio_would_cut_is_a_warning(root, warns):
    assert bool(parse_spec(RIGHT | {"s3_root_uri": root}).warnings) is warns


def test_spot_training_warns_that_cells_run_again():
    parsed = parse_spec(RIGHT | {"enable_managed_spot_training": True, "max_wait_time_in_seconds": 200_000})
    assert parsed.spec is not None
    assert "safe to repeat" in parsed.warnings[0]


def test_the_name_shown_is_the_job_name_before_the_steps_name():
    assert parse_spec(RIGHT | {"name": "a", "notebook_job_name": "b"}).spec.displayed_name == "b"
    assert parse_spec(RIGHT | {"name": "a"}).spec.displayed_name == "a"
    assert parse_spec(RIGHT).spec.displayed_name is None


def test_the_signatures_defaults_pass_their_own_validation():
    given = {
        name.lower(): value
        for name, value in vars(defaults).items()
        if name.lower() in {field.name for field in msgspec.structs.fields(NotebookJobSpec)}
    }
    assert len(given) == 5
    assert parse_spec(RIGHT | given).spec == parse_spec(RIGHT).spec


@pytest.mark.parametrize(
    ("arguments", "name", "limits"),
    [
        ({}, "volume_size", (1, 16_384)),
        ({}, "max_retry_attempts", (0, 30)),
        ({}, "max_runtime_in_seconds", (1, 28 * 86_400)),
        ({}, "keep_alive_period_in_seconds", (0, 3_600)),
        (
            {"enable_managed_spot_training": True, "max_runtime_in_seconds": 1},
            "max_wait_time_in_seconds",
            (1, 28 * 86_400),
        ),
    ],
)
def test_a_number_may_be_either_of_its_limits_and_no_more(arguments, name, limits):
    for value in limits:
        assert getattr(parse_spec(RIGHT | arguments | {name: value}).spec, name) == value
    for value in (limits[0] - 1, limits[1] + 1):
        problems = parse_spec(RIGHT | arguments | {name: value}).problems
        assert [
            problem for problem in problems if problem.startswith(f"{name}: must be from {limits[0]} to {limits[1]}")
        ]


@pytest.mark.parametrize(("name", "prefix", "most"), [("security_group_ids", "sg-", 5), ("subnets", "subnet-", 16)])
def test_a_network_has_so_many_parts_at_most(name, prefix, most):
    given = RIGHT | {"security_group_ids": ["sg-1"], "subnets": ["subnet-1"]}
    ids = [f"{prefix}{number}" for number in range(most + 1)]
    assert getattr(parse_spec(given | {name: ids[:most]}).spec, name) == tuple(ids[:most])
    assert parse_spec(given | {name: ids}).problems == (f"{name}: has {most + 1} entries; at most {most} are allowed",)


def test_what_is_not_asked_for_is_off():
    spec = parse_spec(RIGHT).spec
    switches = ("enable_managed_spot_training", "enable_network_isolation", "install_driver", "live_notebook")
    assert [getattr(spec, name) for name in (*switches, "cell_output_in_logs")] == [False] * 5
    nothing = ("s3_kms_key", "volume_kms_key", "keep_alive_period_in_seconds", "max_wait_time_in_seconds")
    assert [getattr(spec, name) for name in (*nothing, "studio_domain_arn", "studio_space")] == [None] * 6
    assert (spec.environment_variables, spec.tags, spec.extra_request) == ({}, {}, {})
    assert (spec.subnets, spec.security_group_ids, spec.output_formats) == ((), (), ())


@pytest.mark.parametrize(
    ("types", "more", "may"),
    [
        (1, {}, False),
        (2, {}, True),
        (5, {}, True),
        (6, {}, False),
        (2, {"enable_managed_spot_training": True, "max_wait_time_in_seconds": 172_800}, False),
        (2, {"keep_alive_period_in_seconds": 60}, False),
        (2, {"keep_alive_period_in_seconds": 0}, True),
        (2, {"extra_request": {"ResourceConfig": {"InstanceType": "ml.m5.large"}}}, False),
        (2, {"extra_request": {"ResourceConfig": {"InstanceGroups": []}}}, False),
        (2, {"extra_request": {"ResourceConfig": {"VolumeSizeInGB": 5}}}, True),
        (2, {"extra_request": {"ResourceConfig": "x"}}, True),
    ],
    ids=str,
)
def test_sagemaker_itself_chooses_among_two_to_five_types_where_nothing_speaks_against_it(types, more, may):
    given = [f"ml.m5.{size}" for size in ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")]
    assert parse_spec(RIGHT | {"instance_type": given[:types]} | more).spec.may_state_preferences is may


def test_an_extra_requests_resources_are_read_if_they_are_some():
    resources = {"InstanceCount": 1}
    assert parse_spec(RIGHT | {"extra_request": {"ResourceConfig": resources}}).spec.extra_resources == resources
    assert parse_spec(RIGHT | {"extra_request": {"ResourceConfig": [1]}}).spec.extra_resources == {}
    assert parse_spec(RIGHT).spec.extra_resources == {}


DOMAIN = "arn:aws:sagemaker:{}:123456789012:domain/d-abc"


@pytest.mark.parametrize(
    "fitting",
    [
        {"install_driver": True},
        {"enable_network_isolation": True},
        {"live_notebook": True, "extra_request": {"Environment": {}}},
        {"extra_request": {"CheckpointConfig": {}}},
        {"s3_kms_key": "1234abcd", "volume_kms_key": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"},
        {"security_group_ids": ["sg-1"], "subnets": ["subnet-1"]},
        {"studio_domain_arn": DOMAIN.format("eu-west-1"), "studio_user_profile": "me"},
        {"studio_domain_arn": DOMAIN.format("eu-west-1"), "studio_space": "ours"},
        {"studio_domain_arn": DOMAIN.format("eu-west-1")},
        {"unified_studio_domain_id": "dzd_3is8", "unified_studio_project_id": "6jw4"},
        {"keep_alive_period_in_seconds": 60},
        {"image_uri": "sagemaker-distribution:4-cpu"},
    ],
    ids=str,
)
def test_arguments_that_go_together_are_no_problem(fitting):
    parsed = parse_spec(RIGHT | fitting)
    assert parsed.problems == parsed.warnings == ()
    assert parsed.spec is not None


@pytest.mark.parametrize(
    ("wrong", "begins", "remedy"),
    [
        (
            {"live_notebook": True, "extra_request": {"CheckpointConfig": {}}},
            "live_notebook takes the job's one checkpoint folder",
            "leave out one of the two",
        ),
        (
            {"volume_kms_key": "arn:aws:kms:eu-west-3:123456789012:key/1234abcd"},
            "volume_kms_key: 'arn:aws:kms:eu-west-3:123456789012:key/1234abcd' lies in region 'eu-west-3'",
            "give a key of 'eu-west-1'",
        ),
        (
            {"s3_kms_key": "arn:aws:kms:eu-west-3:123456789012:key/1234abcd"},
            "s3_kms_key: ",
            "the job runs in 'eu-west-1'",
        ),
        ({"studio_space": "ours"}, "studio_domain_arn is missing", "domain named in its tags"),
    ],
    ids=["live", "volume key", "file key", "space"],
)
def test_arguments_that_exclude_each_other_are_one_problem(wrong, begins, remedy):
    (problem,) = parse_spec(RIGHT | wrong).problems
    assert problem.startswith(begins)
    assert remedy in problem


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (
            {"studio_domain_arn": DOMAIN.format("eu-west-3")},
            "the domain lies in region 'eu-west-3' and the job in 'eu-west-1'",
        ),
        (
            {"environment_variables": {"A": "None", "B": "x"}},
            "environment_variables: 'A' is 'None', as a template writes it",
        ),
        ({"tags": {"team": "None"}}, "tags: 'team' is 'None', as a template writes it"),
        *(({"s3_root_uri": f"s3://bucket/x{letter}"}, "ends in one of the letters of '/input'") for letter in "input"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_what_is_probably_not_meant_is_a_warning_and_no_problem(doubtful, said):
    parsed = parse_spec(RIGHT | doubtful)
    (warning,) = parsed.warnings
    assert said in warning
    assert parsed.spec is not None


def test_a_spot_job_may_wait_just_as_long_as_it_may_run():
    spot = RIGHT | {"enable_managed_spot_training": True, "max_runtime_in_seconds": 60}
    assert parse_spec(spot | {"max_wait_time_in_seconds": 60}).problems == ()
    assert len(parse_spec(spot | {"max_wait_time_in_seconds": 59}).problems) == 1
    assert parse_spec(spot | {"max_wait_time_in_seconds": 60, "keep_alive_period_in_seconds": 0}).problems == ()


def test_a_problem_with_the_region_is_one_of_region_name():
    (problem,) = parse_spec(RIGHT | {"region": "eu-west1", "image_uri": "sagemaker-distribution:4-cpu"}).problems
    assert problem.startswith("region_name: 'eu-west1' is no name of a region")
