"""The CreateTrainingJob request, against the protocol, botocore's model and the service's limits."""

import copy
import inspect
import json

import botocore
import pytest
from botocore.validate import ParamValidator
from fakes import request_shape
from msgspec.structs import replace

from airflow_nbjobs.aws.submit.extra import CHANNEL, extra_problems, merge_extra
from airflow_nbjobs.aws.submit.prepared_job import PreparedJob, Run
from airflow_nbjobs.aws.submit.request_checks import request_problems, rewritten_tags
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey, training_job_name
from airflow_nbjobs.core.job.spec import parse_spec
from airflow_nbjobs.core.values.outputs import declare_outputs

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0)
JOB = training_job_name("preprocess", KEY)
ROLE = "arn:aws:iam::123456789012:role/NbJobExec"
IMAGE = "542918446943.dkr.ecr.us-west-2.amazonaws.com/sagemaker-distribution-prod:4.4-cpu"
MINIMAL = {"image_uri": IMAGE, "kernel_name": "python3", "role": ROLE, "s3_root_uri": "s3://bucket/nbjobs"}
VPC = {"subnets": ["subnet-1"], "security_group_ids": ["sg-1", "sg-2"]}


def spec_of(**arguments):
    parsed = parse_spec(JobArguments(**MINIMAL | arguments), region="us-west-2")
    assert parsed.problems == ()
    return parsed.spec


def build(spec=None, *, staged=None, run_variables=None, run_tags=None, **arguments):
    run = Run(label="d.t", readable="preprocess", key=KEY, variables=run_variables or {}, tags=run_tags or {})
    return PreparedJob(
        run=run,
        spec=spec or spec_of(**arguments),
        files=(),
        declared=declare_outputs(None, None),
        notebook_origin="preprocess.ipynb",
        notebook_sha256="of the notebook",
        input_sha256="of the input",
        **{"staged_notebook": "preprocess.ipynb", **(staged or {})},
    ).request(0)


def tags_of(request):
    pairs = [(tag["Key"], tag["Value"]) for tag in request["Tags"]]
    assert len(dict(pairs)) == len(pairs), "SageMaker refuses duplicate keys"
    return dict(pairs)


def test_a_minimal_job_is_the_protocols_minimal_request():
    staged = {"staged_notebook": "preprocess.ipynb", "hyperparameters": {"company": "amazon"}}
    domain = "arn:aws:sagemaker:us-west-2:123456789012:domain/d-abc"
    assert build(staged=staged, name="preprocess", studio_domain_arn=domain) == {
        "TrainingJobName": JOB,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["amazon_sagemaker_scheduler"],
        },
        "InputDataConfig": [
            {
                "ChannelName": "sagemaker_headless_execution_pipelinestep",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://bucket/nbjobs/{JOB}/input",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/nbjobs"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 172_800},
        "RetryStrategy": {"MaximumRetryAttempts": 1},
        "EnableInterContainerTrafficEncryption": True,
        "HyperParameters": {"company": "amazon"},
        "Environment": {
            "AWS_DEFAULT_REGION": "us-west-2",
            "SM_JOB_DEF_VERSION": "1.0",
            "SM_ENV_NAME": "sagemaker-default-env",
            "SM_SKIP_EFS_SIMULATION": "true",
            "SM_EXECUTION_INPUT_PATH": "/opt/ml/input/data/sagemaker_headless_execution_pipelinestep",
            "SM_KERNEL_NAME": "python3",
            "SM_INPUT_NOTEBOOK_NAME": "preprocess.ipynb",
            "SM_OUTPUT_NOTEBOOK_NAME": f"{JOB}.ipynb",
            "NBJOBS_NOTEBOOK_SHA256": "of the notebook",
            "NBJOBS_INPUT_SHA256": "of the input",
            "NBJOBS_OWNER": KEY.owner(),
        },
        "Tags": [
            {"Key": "sagemaker:name", "Value": "preprocess"},
            {"Key": "sagemaker:notebook-name", "Value": "preprocess.ipynb"},
            {"Key": "sagemaker:notebook-job-origin", "Value": "PIPELINE_STEP"},
            {"Key": "sagemaker:is-scheduling-notebook-job", "Value": "true"},
            {"Key": "sagemaker:is-studio-archived", "Value": "false"},
            {"Key": "sagemaker:domain-arn", "Value": domain},
        ],
    }


FULL = VPC | {
    "s3_kms_key": "alias/nb",
    "volume_kms_key": "1234abcd",
    "environment_variables": {"A": "1"},
    "tags": {"team": "x"},
    "enable_managed_spot_training": True,
    "max_wait_time_in_seconds": 200_000,
    "enable_network_isolation": True,
    "output_formats": ["html", "script"],
    "extra_request": {"ExperimentConfig": {"ExperimentName": "e"}},
}


@pytest.mark.parametrize(
    "arguments",
    [{}, FULL, {"install_driver": True}, {"keep_alive_period_in_seconds": 0}, {"max_retry_attempts": 0}],
    ids=["minimal", "full", "install", "warm", "no-retry"],
)
def test_every_request_passes_botocores_model_and_limits(arguments):
    request = build(**arguments)
    assert not ParamValidator().validate(request, request_shape()).has_errors()
    assert request_problems(request, request_shape()) == []


def test_optional_parts_are_where_the_api_has_them():
    request = build(**FULL)
    assert request["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1", "sg-2"]}
    assert request["OutputDataConfig"]["KmsKeyId"] == "alias/nb"
    assert request["ResourceConfig"]["VolumeKmsKeyId"] == "1234abcd"
    assert request["StoppingCondition"]["MaxWaitTimeInSeconds"] == 200_000
    assert request["EnableManagedSpotTraining"] is True
    assert request["EnableNetworkIsolation"] is True
    assert request["Environment"]["SM_OUTPUT_FORMATS"] == "ipynb,html,script"
    assert request["ExperimentConfig"] == {"ExperimentName": "e"}


def test_what_is_not_asked_for_is_not_in_the_request():
    absent = {"HyperParameters", "VpcConfig", "EnableNetworkIsolation", "EnableManagedSpotTraining", "RetryStrategy"}
    assert absent.isdisjoint(build(max_retry_attempts=0))


@pytest.mark.parametrize("is_live", [True, False])
def test_whether_the_notebook_is_copied_as_it_runs_is_said_in_the_job(is_live):
    """Whoever reads the job later looks for the copy by this variable, of jobs of earlier versions as well."""
    environment = build(live_notebook=is_live)["Environment"]
    assert environment.get("NBJOBS_LIVE_NOTEBOOK") == ("1" if is_live else None)


def test_an_init_script_is_told_to_the_driver():
    staged = {"staged_notebook": "nb.ipynb", "initialization_script": "setup.sh"}
    assert build(staged=staged)["Environment"]["SM_INIT_SCRIPT"] == "setup.sh"


def test_install_driver_installs_it_and_becomes_it():
    algorithm = build(install_driver=True)["AlgorithmSpecification"]
    assert algorithm["ContainerEntrypoint"] == ["/bin/bash"]
    assert algorithm["ContainerArguments"][-1].endswith("&& exec amazon_sagemaker_scheduler")
    assert all(len(argument) <= 256 for argument in algorithm["ContainerArguments"])


def test_the_notebook_is_told_where_it_runs_and_the_owner_cannot_be_forged():
    variables = {"NBJOBS_TASK_ID": "train", "NBJOBS_OWNER": "somebody"}
    environment = build(run_variables=variables, environment_variables={"A": "1"})["Environment"]
    assert environment["NBJOBS_TASK_ID"] == "train"
    assert environment["NBJOBS_OWNER"] == KEY.owner()
    assert environment["A"] == "1"


def test_a_users_tag_wins_over_the_systems_and_the_runs():
    tags = tags_of(
        build(run_tags={"airflow:task_id": "train"}, tags={"sagemaker:name": "mine", "airflow:task_id": "theirs"})
    )
    assert tags["sagemaker:name"] == "mine"
    assert tags["airflow:task_id"] == "theirs"


def test_ids_that_tags_cannot_hold_are_made_fit():
    tags = tags_of(build(run_tags={"airflow:run_id": "what? [x]" + "y" * 300}))
    assert tags["airflow:run_id"].startswith("what_ _x_")
    assert len(tags["airflow:run_id"]) == 256


def test_studio_is_offered_the_executed_notebook_among_the_formats_once():
    """It takes for the list of downloads what the variable lists; without one it takes the notebook."""
    for formats in (["html"], ["html", "ipynb"], ["ipynb", "html"]):
        assert build(output_formats=formats)["Environment"]["SM_OUTPUT_FORMATS"] == "ipynb,html"
    assert "SM_OUTPUT_FORMATS" not in build()["Environment"]


def test_the_driver_begins_in_the_notebooks_folder():
    environment = build(staged={"staged_notebook": "nb.ipynb", "staged_folder": "team/b"})["Environment"]
    assert environment["SM_EXECUTION_INPUT_PATH"] == f"/opt/ml/input/data/{CHANNEL}/team/b"
    assert environment["SM_INPUT_NOTEBOOK_NAME"] == "nb.ipynb"


def test_tags_that_hold_something_else_than_they_should_are_said():
    wanted = {"sagemaker:name": "Report (daily) #3", "airflow:run_id": "a~b", "airflow:task_id": "t", "mine": "x?"}
    request = build(name=wanted["sagemaker:name"], run_tags={"airflow:run_id": "a~b", "airflow:task_id": "t"})
    said = rewritten_tags(request, wanted)
    assert len(said) == 2
    assert said[0].startswith("tag 'sagemaker:name' is 'Report _daily_ _3' and not 'Report (daily) #3': a tag holds")
    assert "'airflow:run_id' is 'a_b'" in said[1]


def test_unified_studio_finds_the_job_by_three_tags():
    """Held against the search of its own client, which amazon's provider brings along."""
    utils = pytest.importorskip("sagemaker_studio.execution.utils").ExecutionUtils
    ids = ("dzd_3is8hf193ykyc0", "6jw4wtluwzqx47")
    tags = tags_of(build(unified_studio_domain_id=ids[0], unified_studio_project_id=ids[1]))
    search = utils.create_sagemaker_search_expression_for_training
    environment = (
        ("env",) if "datazone_environment_id" in inspect.signature(search).parameters else ()
    )  # sagemaker_studio < 1.1
    filters = search(*ids, *environment)["Filters"]
    assert len(filters) == 3
    assert {each["Name"].removeprefix("Tags."): each["Value"] for each in filters}.items() <= tags.items()
    assert not any(key.startswith(("Amazon", "sagemaker-")) for key in tags_of(build()))


def test_a_job_may_be_shown_in_a_space_and_to_a_profile():
    """The extension looks for the one or the other, as its app has it; Studio's own jobs have both."""
    domain = "arn:aws:sagemaker:us-west-2:123456789012:domain/d-abc"
    tags = tags_of(build(studio_user_profile="me", studio_space="ours", studio_domain_arn=domain))
    assert (tags["sagemaker:user-profile-name"], tags["sagemaker:shared-space-name"]) == ("me", "ours")


@pytest.mark.parametrize(
    ("argument", "tag"),
    [("studio_user_profile", "sagemaker:user-profile-name"), ("studio_space", "sagemaker:shared-space-name")],
)
def test_studio_is_told_whose_job_it_is(argument, tag):
    domain = "arn:aws:sagemaker:us-west-2:123456789012:domain/d-abc"
    assert tags_of(build(**{argument: "me"}, studio_domain_arn=domain))[tag] == "me"


def test_building_a_request_changes_nothing_of_the_spec_and_shares_nothing_with_it():
    """One spec makes several requests, one an attempt."""
    spec = spec_of(**FULL)
    before = copy.deepcopy(spec)
    first = build(spec)
    first["Environment"]["A"] = "changed"
    first["Tags"].clear()
    first["VpcConfig"]["Subnets"].clear()
    first["AlgorithmSpecification"]["ContainerEntrypoint"].clear()
    assert spec == before
    assert build(spec)["Environment"]["A"] == "1"
    assert build(spec)["AlgorithmSpecification"]["ContainerEntrypoint"] == ["amazon_sagemaker_scheduler"]


# -- extra_request -----------------------------------------------------------------------------------------------------


def test_extra_request_is_merged_deeply_and_last():
    extra = {
        "ResourceConfig": {"VolumeSizeInGB": 99},
        "ProfilerConfig": {"DisableProfiler": True},
        "InputDataConfig": [{"ChannelName": "data"}],
        "Tags": [{"Key": "sagemaker:name", "Value": "mine"}, {"Key": "more", "Value": "1"}],
        "Environment": {"B": "2"},
        "AlgorithmSpecification": {"ContainerEntrypoint": ["/bin/other"]},
    }
    request = build(extra_request=extra, environment_variables={"A": "1"})
    assert request["ResourceConfig"] == {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 99}
    assert request["ProfilerConfig"] == {"DisableProfiler": True}
    assert [channel["ChannelName"] for channel in request["InputDataConfig"]] == [CHANNEL, "data"]
    assert tags_of(request)["sagemaker:name"] == "mine"
    assert tags_of(request)["more"] == "1"
    assert {"A", "B", "NBJOBS_OWNER"} <= set(request["Environment"])
    assert request["AlgorithmSpecification"]["ContainerEntrypoint"] == ["/bin/other"]


def test_merging_changes_neither_the_request_nor_the_extra():
    request, extra = {"A": {"B": {"C": 1}}}, {"A": {"B": {"D": 2}}}
    before = json.dumps([request, extra])
    assert merge_extra(request, extra) == {"A": {"B": {"C": 1, "D": 2}}}
    assert json.dumps([request, extra]) == before


@pytest.mark.parametrize(
    ("extra", "names", "remedy"),
    [
        ({"TrainingJobName": "x"}, "TrainingJobName", "use notebook_job_name"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://x/y"}}, "S3OutputPath", "s3_root_uri"),
        ({"InputDataConfig": [{"ChannelName": CHANNEL}]}, CHANNEL, "another ChannelName"),
        ({"InputDataConfig": {"ChannelName": "x"}}, "InputDataConfig", "must be a list"),
        ({"Environment": {"NBJOBS_OWNER": "x", "NBJOBS_A": "y"}}, "NBJOBS_A, NBJOBS_OWNER", "are the operator's"),
        ({"OutputDataConfig": {"CompressionType": "NONE"}}, "CompressionType", "output.tar.gz"),
        ({"Environment": {"SM_OUTPUT_NOTEBOOK_NAME": "x"}}, "SM_OUTPUT_NOTEBOOK_NAME", "set by the operator"),
        ({"Environment": {"AWS_DEFAULT_REGION": "x"}}, "AWS_DEFAULT_REGION", "set by the operator"),
        ({"Tags": [{"Key": "team", "Value": "a,b"}]}, "Tags: 'team': 'a,b'", "may hold letters"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "Tags: 'aws:x'", "AWS's own"),
        ({"Tags": "team"}, "Tags", "must be"),
    ],
)
def test_extra_request_may_not_touch_what_is_ours(extra, names, remedy):
    (problem,) = extra_problems(extra)
    assert problem.startswith("extra_request: ")
    assert names in problem
    assert remedy in problem


@pytest.mark.parametrize("extra", [{}, {"OutputDataConfig": {"CompressionType": "GZIP"}}, {"Environment": {"A": "1"}}])
def test_extra_request_may_touch_all_else(extra):
    assert extra_problems(extra) == []


# -- limits ------------------------------------------------------------------------------------------------------------


def wrong(**parts):
    return "\n".join(request_problems(build() | parts, shape=request_shape()))


@pytest.mark.parametrize(
    ("parts", "texts"),
    [
        ({"RoleArn": "x"}, ["RoleArn"]),
        ({"NoSuchField": 1}, ["NoSuchField"]),
        ({"Environment": {f"V{n}": "x" for n in range(101)}}, ["Environment has 101 entries", "at most 100"]),
        ({"HyperParameters": {f"p{n}": "x" for n in range(101)}}, ["HyperParameters has 101", "at most 100"]),
        ({"HyperParameters": {"p": "x" * 2501}}, ["HyperParameters['p'] has 2501 characters", "at most 2500"]),
        ({"HyperParameters": {"p" * 257: "x"}}, ["HyperParameters", "has 257 characters", "at most 256"]),
        ({"Tags": [{"Key": f"t{n}", "Value": ""} for n in range(51)]}, ["Tags has 51 entries", "at most 50"]),
        ({"InputDataConfig": [{"ChannelName": "a/b", "DataSource": {}}]}, ["InputDataConfig[0].ChannelName", "a/b"]),
        ({"RetryStrategy": {"MaximumRetryAttempts": 31}}, ["RetryStrategy.MaximumRetryAttempts is 31", "at most 30"]),
        (
            {"InputDataConfig": [{"ChannelName": f"c{n}", "DataSource": {}} for n in range(21)]},
            ["InputDataConfig has 21 entries", "at most 20"],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_the_service_would_refuse_is_a_problem_before_it_is_asked(parts, texts):
    """botocore alone checks names, types and minimums."""
    found = wrong(**parts)
    assert "CreateTrainingJob request: " in found
    for text in texts:
        assert text in found


@pytest.mark.parametrize(
    "stopping",
    [
        {"MaxRuntimeInSeconds": 60, "MaxPendingTimeInSeconds": 60},
        {"MaxRuntimeInSeconds": 60, "MaxPendingTimeInSeconds": 10**7},
    ],
    ids=["minimum", "maximum"],
)
def test_a_limit_is_that_of_the_installed_botocore_which_can_be_older_than_the_services(stopping):
    (problem,) = request_problems(build() | {"StoppingCondition": stopping}, request_shape())
    assert "StoppingCondition.MaxPendingTimeInSeconds" in problem
    assert problem.endswith(f" by the installed botocore {botocore.__version__} (if AWS allows it, upgrade boto3)")


def test_what_no_boto3_sends_asks_for_no_newer_one():
    assert "boto3" not in wrong(RoleArn=1)


def test_an_enum_value_of_next_year_is_no_problem():
    spec = replace(spec_of(), instance_type=("ml.q9.large",))
    assert request_problems(build(spec), request_shape()) == []


# -- what only some jobs have --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ({"max_retry_attempts": 3}, "RetryStrategy", {"MaximumRetryAttempts": 3}),
        ({"max_retry_attempts": 0}, "RetryStrategy", None),
        (VPC, "VpcConfig", {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1", "sg-2"]}),
        ({}, "VpcConfig", None),
        ({"enable_network_isolation": True}, "EnableNetworkIsolation", True),
        ({}, "EnableNetworkIsolation", None),
        (
            {"enable_managed_spot_training": True, "max_wait_time_in_seconds": 172_800},
            "EnableManagedSpotTraining",
            True,
        ),
        ({}, "EnableManagedSpotTraining", None),
        ({}, "CheckpointConfig", None),
        ({}, "HyperParameters", None),
        ({"s3_kms_key": "alias/k"}, "OutputDataConfig", {"S3OutputPath": "s3://bucket/nbjobs", "KmsKeyId": "alias/k"}),
        ({"encrypt_inter_container_traffic": False}, "EnableInterContainerTrafficEncryption", False),
    ],
    ids=str,
)
def test_each_part_is_there_where_it_was_asked_for_alone(arguments, field, value):
    assert build(**arguments).get(field) == value


def test_the_machine_is_as_asked():
    resources = build(
        instance_type="ml.m5.xlarge", volume_size=77, volume_kms_key="alias/v", keep_alive_period_in_seconds=60
    )["ResourceConfig"]
    assert resources == {
        "InstanceType": "ml.m5.xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 77,
        "VolumeKmsKeyId": "alias/v",
        "KeepAlivePeriodInSeconds": 60,
    }


def test_a_live_job_copies_to_its_own_place():
    request = build(live_notebook=True)
    uri = request["CheckpointConfig"]["S3Uri"]
    assert request["CheckpointConfig"] == {"S3Uri": uri, "LocalPath": "/opt/ml/checkpoints"}
    assert uri.startswith(f"s3://bucket/nbjobs/{JOB}/")
    assert request["Environment"]["NBJOBS_LIVE_NOTEBOOK"] == "1"
    assert "NBJOBS_LIVE_NOTEBOOK" not in build()["Environment"]


def prepared(*types, is_default=True, **arguments):
    spec = spec_of(instance_type=list(types), **arguments)
    return PreparedJob(
        run=Run(label="d.t", readable="preprocess", key=KEY),
        spec=spec,
        files=(),
        declared=declare_outputs(None, None),
        notebook_origin="preprocess.ipynb",
        notebook_sha256="",
        input_sha256="",
        staged_notebook="preprocess.ipynb",
        is_volume_key_default=is_default,
    )


EBS, LOCAL_DISK = "ml.m5.large", "ml.g5.xlarge"


@pytest.mark.parametrize(
    ("types", "arguments", "may"),
    [
        ([EBS, "ml.m5.xlarge"], {"volume_kms_key": "alias/v"}, True),
        ([LOCAL_DISK, "ml.g5.2xlarge"], {"volume_kms_key": "alias/v"}, True),
        ([EBS, LOCAL_DISK], {"volume_kms_key": "alias/v"}, False),
        ([EBS, LOCAL_DISK], {}, True),
        ([EBS, LOCAL_DISK], {"volume_kms_key": "alias/v", "is_default": False}, True),
    ],
    ids=["all take it", "none takes it", "some take it", "no key", "the task's own key"],
)
def test_sagemaker_chooses_among_types_that_take_the_organisations_key_alike(types, arguments, may):
    assert prepared(*types, **arguments).may_state_preferences is may


def test_a_key_that_no_machine_takes_is_left_out_there_and_said_to_be():
    job = prepared(EBS, LOCAL_DISK, volume_kms_key="alias/v")
    with_key, without = (job.request(0, instance_types=[each])["ResourceConfig"] for each in (EBS, LOCAL_DISK))
    assert (with_key.get("VolumeKmsKeyId"), without.get("VolumeKmsKeyId")) == ("alias/v", None)
    (note,) = job.key_notes()
    assert note.startswith(f"volume_kms_key, not the task's own, is left out on {LOCAL_DISK}: ")
    assert prepared(EBS, volume_kms_key="alias/v").key_notes() == []
    assert prepared(LOCAL_DISK, volume_kms_key="alias/v", is_default=False).key_notes() == []


def test_each_type_is_asked_for_alone_or_all_in_the_order_that_was_given():
    job = prepared("ml.m5.xlarge", EBS)
    assert job.request(0)["ResourceConfig"]["InstanceType"] == "ml.m5.xlarge"
    both = job.request(0, instance_types=["ml.m5.xlarge", EBS])["ResourceConfig"]
    assert both["InstancePreferences"] == [{"InstanceType": "ml.m5.xlarge"}, {"InstanceType": EBS}]
    assert "InstanceType" not in both


def test_a_job_of_no_task_is_shown_by_its_notebook_and_one_of_a_task_by_that():
    job = prepared(EBS)
    of_command = replace(job, run=Run(label="report.ipynb", readable="report", key=replace(KEY, dag_id="", task_id="")))
    assert job.displayed_name != "d.t"
    assert of_command.displayed_name == "report.ipynb"
    assert prepared(EBS, name="Mine").displayed_name == "Mine"


# -- limits of the service ----------------------------------------------------------------------------------------------


def limits(**changes):
    return request_problems(build() | changes, request_shape())


@pytest.mark.parametrize(
    ("within", "beyond", "said"),
    [
        (
            {"RoleArn": f"{ROLE}{'x' * (2048 - len(ROLE))}"},
            {"RoleArn": f"{ROLE}{'x' * (2049 - len(ROLE))}"},
            "RoleArn has 2049 characters; at most 2048 are allowed",
        ),
        (
            {"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(50)]},
            {"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]},
            "Tags has 51 entries; at most 50 are allowed, the operator's own included",
        ),
        (
            {"RetryStrategy": {"MaximumRetryAttempts": 30}},
            {"RetryStrategy": {"MaximumRetryAttempts": 31}},
            "RetryStrategy.MaximumRetryAttempts is 31; at most 30 is allowed",
        ),
        (
            {"HyperParameters": {"k" * 256: "v"}},
            {"HyperParameters": {"k" * 257: "v"}},
            "has 257 characters; at most 256 are allowed",
        ),
        (
            {"HyperParameters": {"k": "v" * 2500}},
            {"HyperParameters": {"k": "v" * 2501}},
            "HyperParameters['k'] has 2501 characters; at most 2500 are allowed",
        ),
    ],
    ids=["text", "list", "number", "name", "value"],
)
def test_a_request_is_taken_up_to_each_limit_and_refused_beyond_it(within, beyond, said):
    assert limits(**within) == []
    (problem,) = limits(**beyond)
    assert problem.startswith("CreateTrainingJob request: ")
    assert said in problem
    assert f"by the installed botocore {botocore.__version__}" in problem


def test_a_value_of_another_form_is_told_with_the_form():
    (problem,) = limits(TrainingJobName="no name")
    assert "TrainingJobName: 'no name' does not match" in problem


def test_tags_that_are_sent_as_they_should_be_are_not_told():
    request = {"Tags": [{"Key": "a", "Value": "x"}, {"Key": "b", "Value": "y z"}]}
    assert rewritten_tags(request, {"a": "x", "b": "y z"}) == ()
    assert rewritten_tags(request, {"a": "of a user who wins"}) == ()
