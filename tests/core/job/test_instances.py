"""Instance types and what SageMaker refuses for their sake, before it is asked."""

import pytest

from airflow_nbjobs.core.job import instances

KNOWN = [
    *(f"ml.m5.{size}" for size in ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")),
    *("ml.p5.48xlarge", "ml.p5.4xlarge", "ml.g5.xlarge"),
]


@pytest.mark.parametrize(
    ("instance_type", "advice"),
    [
        ("ml.m5.lage", "did you mean 'ml.m5.large' or "),
        ("ml.m5.3xlarge", "did you mean 'ml.m5.xlarge'"),
        ("ml.m5.8xlarge", "is no size of ml.m5 for training jobs"),
        ("ml.m5.2x", "; ml.m5 has large, xlarge, 2xlarge, 4xlarge, 12xlarge, 24xlarge"),
    ],
)
def test_a_size_that_a_settled_family_lacks_is_a_problem(instance_type, advice):
    (problem,), warnings = instances.type_problems([instance_type], KNOWN)
    assert problem.startswith(f"instance_type: '{instance_type}'")
    assert advice in problem
    assert warnings == []


@pytest.mark.parametrize(
    ("instance_type", "advice"),
    [
        ("ml.p5.48xlrage", "is no instance type; did you mean 'ml.p5.48xlarge'"),
        ("ml.p5.48xl", "is no instance type; ml.p5 has 48xlarge, 4xlarge"),
        ("ml.gd5.xlrage", "is no instance type; did you mean 'ml.g5.xlarge'"),
        ("m5.large", "did you mean 'ml.m5.large'"),
    ],
)
def test_what_is_spelt_like_no_type_of_any_family_is_a_problem_where_one_is_near(instance_type, advice):
    """Sizes are called alike in old families and in new ones."""
    (problem,), warnings = instances.type_problems([instance_type], KNOWN, argument="extra_request: X")
    assert problem.startswith(f"extra_request: X: '{instance_type}'")
    assert advice in problem
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        *((text, "ml.m5.large") for text in ("m5.large", "ml.M5.Large", "ml.m5large", "m5large", "ml-m5-large")),
        *(
            (text, "ml.m5.large")
            for text in ("ml.m5-large", "mlm5.large", "ml m5 large", "ml..m5.large.", "ML/M5/LARGE")
        ),
        ("ml.p3.2.xlarge", "ml.p3.2xlarge"),
        ("g4dn.12xlarge", "ml.g4dn.12xlarge"),
        ("ml-m7i-flex-large", "ml.m7i-flex.large"),
        *((text, None) for text in ("local_gpu", "Standard_NC6", "large", "ml.m5", "ml.system.m5.large", "")),
    ],
)
def test_a_type_that_is_written_otherwise_is_known_by_its_form(text, meant):
    assert instances.meant_type(text) == meant


@pytest.mark.parametrize("instance_type", ["ml.p5.24xlarge", "ml.m55.large", "ml.q9.large"])
def test_what_aws_may_have_added_since_is_a_warning(instance_type):
    """An older botocore must not forbid a new family, or a new size of a young one."""
    problems, (warning,) = instances.type_problems([instance_type, "ml.m5.large"], KNOWN)
    assert problems == []
    assert "for SageMaker to decide" in warning
    assert ("did you mean" in warning) == (instance_type != "ml.q9.large")


@pytest.mark.parametrize(
    ("instance_type", "is_local"),
    [
        *((name, True) for name in ("ml.p4d.24xlarge", "ml.p4de.24xlarge", "ml.p5en.48xlarge", "ml.g4dn.xlarge")),
        *((name, True) for name in ("ml.g5.xlarge", "ml.g6e.xlarge", "ml.g7.2xlarge", "ml.trn1.2xlarge")),
        *(
            (name, True)
            for name in ("ml.r5d.large", "ml.p3dn.24xlarge", "ml.p6-b200.48xlarge", "ml.p6e-gb200.36xlarge")
        ),
        *((name, True) for name in ("ml.m5d.large", "ml.c6id.large", "ml.m5dn.large", "ml.i3en.large", "ml.i4i.large")),
        *((name, True) for name in ("ml.trn2u.48xlarge", "ml.g6f.large", "ml.gr6f.4xlarge", "ml.dl1.24xlarge")),
        *((name, False) for name in ("ml.inf2.xlarge", "ml.g5g.xlarge", "ml.hpc6a.48xlarge", "ml.dl2q.24xlarge")),
        *((name, False) for name in ("ml.m5.large", "ml.c5n.xlarge", "ml.p3.2xlarge", "ml.m7i-flex.large")),
        *((name, False) for name in ("ml.t3.medium", "ml.p2.xlarge", "ml.r8i.large", "nothing")),
    ],
)
def test_which_instances_have_disks_of_their_own(instance_type, is_local):
    assert instances.has_local_disk(instance_type) is is_local


def request_of(*, stopping=None, **resources):
    return {
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1} | resources,
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600} | (stopping or {}),
    }


def test_an_ordinary_request_has_no_problem():
    assert instances.resource_problems(request_of(VolumeKmsKeyId="k"), ["ml.m5.large"]) == []
    pending = request_of(InstanceType="ml.g5.xlarge", stopping={"MaxPendingTimeInSeconds": 7200})
    assert instances.resource_problems(pending, ["ml.g5.xlarge"]) == []
    assert (
        instances.resource_problems(
            request_of(stopping={"MaxPendingTimeInSeconds": 7200}), ["ml.m5.large", "ml.g5.xlarge"]
        )
        == []
    )


@pytest.mark.parametrize(
    ("request_", "types", "texts"),
    [
        (request_of(VolumeKmsKeyId="k"), ["ml.m5.large", "ml.g5.xlarge"], ["volume_kms_key", "ml.g5.xlarge, whose"]),
        (request_of(VolumeKmsKeyId="k"), ["ml.p4d.24xlarge"], ["for ml.p4d.24xlarge"]),
        (request_of(InstanceCount=2), ["ml.m5.large"], ["InstanceCount is 2", "one instance"]),
        (request_of(InstanceCount=0), ["ml.m5.large"], ["InstanceCount is 0"]),
        (request_of(InstanceGroups=[]), ["ml.m5.large"], ["InstanceGroups", "give instance_type"]),
        (request_of(InstancePreferences=[]), ["ml.m5.large"], ["InstancePreferences", "in order of preference"]),
        (
            request_of(stopping={"MaxPendingTimeInSeconds": 7200}),
            ["ml.m5.large"],
            ["MaxPendingTimeInSeconds", "accelerated", "not for ml.m5.large", "capacity_timeout"],
        ),
        (request_of(stopping={"MaxWaitTimeInSeconds": 7200}), ["ml.m5.large"], ["spot training only"]),
        (request_of() | {"EnableManagedSpotTraining": True}, ["ml.m5.large"], ["needs StoppingCondition", "is None"]),
        (
            request_of(stopping={"MaxWaitTimeInSeconds": 60}) | {"EnableManagedSpotTraining": True},
            ["ml.m5.large"],
            ["is 60", "(3600)"],
        ),
        (
            request_of(KeepAlivePeriodInSeconds=60, stopping={"MaxWaitTimeInSeconds": 7200})
            | {"EnableManagedSpotTraining": True},
            ["ml.m5.large"],
            ["warm pool"],
        ),
        (request_of() | {"Tags": [{"Key": "a"}, {"Key": "a"}]}, ["ml.m5.large"], ["Tags has 'a' 2 times"]),
        (
            request_of() | {"InputDataConfig": [{"ChannelName": "a"}, {"ChannelName": "a"}]},
            ["ml.m5.large"],
            ["InputDataConfig has 'a' 2 times"],
        ),
    ],
)
def test_fields_that_exclude_each_other_are_one_problem_that_says_what_to_do(request_, types, texts):
    (problem,) = instances.resource_problems(request_, types)
    for text in texts:
        assert text in problem


@pytest.mark.parametrize(("field", "key"), [("Tags", "Key"), ("InputDataConfig", "ChannelName")])
def test_a_name_that_is_given_twice_is_a_problem(field, key):
    given = [{key: "a"}, {key: "b"}]
    assert instances.resource_problems(request_of() | {field: given}, ["ml.m5.large"]) == []
    assert instances.resource_problems(request_of() | {field: [*given, {key: "a"}]}, ["ml.m5.large"]) == [
        f"extra_request: {field} has 'a' 2 times; SageMaker takes each once"
    ]


def test_what_is_like_no_known_type_is_said_without_a_hint_and_may_be_new():
    problems, (warning,) = instances.type_problems(["ml.zz9.large"], KNOWN)
    assert problems == []
    assert "has " not in warning
    assert "did you mean" not in warning


@pytest.mark.parametrize(("wait", "count"), [(3599, 1), (3600, 0)])
def test_a_spot_job_waits_at_least_as_long_as_it_may_run(wait, count):
    request = request_of(stopping={"MaxWaitTimeInSeconds": wait}) | {"EnableManagedSpotTraining": True}
    assert len(instances.resource_problems(request, ["ml.m5.large"])) == count


def test_a_default_key_is_no_problem_of_the_task():
    types = ["ml.m5.large", "ml.g5.xlarge"]
    assert instances.resource_problems(request_of(VolumeKmsKeyId="k"), types, is_volume_key_default=True) == []


def test_the_type_of_an_extra_request_replaces_those_of_the_argument():
    assert instances.asked_types({}, ["a", "b"]) == ("a", "b")
    assert instances.asked_types({"InstanceType": "c"}, ["a", "b"]) == ("c",)


def test_a_chosen_size_of_a_volume_that_is_none_is_said():
    warnings = instances.resource_warnings(["ml.m5.large", "ml.g5.xlarge"], volume_size=100, usual_size=30)
    assert warnings == [
        "volume_size plays no part on ml.g5.xlarge: its storage is the instance's own disk, as large as it is"
    ]
    assert instances.resource_warnings(["ml.g5.xlarge"], volume_size=30, usual_size=30) == []
    assert instances.resource_warnings(["ml.m5.large"], volume_size=100, usual_size=30) == []


def test_what_is_asked_of_a_network_of_instances_says_nothing_else():
    (problem,) = instances.resource_problems(
        request_of(InstanceGroups=[], InstanceCount=2, VolumeKmsKeyId="k"), ["ml.g5.xlarge"]
    )
    assert "InstanceGroups" in problem


def test_all_that_is_wrong_with_a_request_is_said():
    request = request_of(
        InstanceCount=2,
        VolumeKmsKeyId="k",
        KeepAlivePeriodInSeconds=60,
        stopping={"MaxPendingTimeInSeconds": 7200, "MaxWaitTimeInSeconds": 5},
    ) | {"EnableManagedSpotTraining": True, "Tags": [{"Key": "a"}] * 3}
    problems = instances.resource_problems(request, ["ml.m5d.large"])
    assert len(problems) == 6
    assert problems[-1] == "extra_request: Tags has 'a' 3 times; SageMaker takes each once"


@pytest.mark.parametrize(
    ("instance_type", "is_accelerated"),
    [
        *(
            (name, True)
            for name in ("ml.p3.2xlarge", "ml.g5.xlarge", "ml.gr6.4xlarge", "ml.trn1.2xlarge", "ml.dl1.24xlarge")
        ),
        *((name, False) for name in ("ml.m5.large", "ml.c5.large", "ml.inf2.xlarge", "ml.r5.large", "ml.t3.medium")),
    ],
)
def test_only_an_accelerated_instance_may_be_waited_for(instance_type, is_accelerated):
    request = request_of(stopping={"MaxPendingTimeInSeconds": 7200})
    assert bool(instances.resource_problems(request, [instance_type])) is not is_accelerated


def test_a_request_without_a_count_is_said_to_have_none():
    request = request_of()
    del request["ResourceConfig"]["InstanceCount"]
    (problem,) = instances.resource_problems(request, ["ml.m5.large"])
    assert "InstanceCount is None" in problem


def test_a_spot_job_of_an_extra_request_may_run_as_long_as_it_waits_without_a_limit():
    request = {"ResourceConfig": {"InstanceCount": 1}, "StoppingCondition": {"MaxWaitTimeInSeconds": 0}}
    assert instances.resource_problems(request | {"EnableManagedSpotTraining": True}, ["ml.m5.large"]) == []
    assert len(instances.resource_problems(request, ["ml.m5.large"])) == 1


def test_known_types_need_no_word_and_each_other_has_one():
    assert instances.type_problems(["ml.m5.large", "ml.g5.xlarge"], KNOWN) == ([], [])
    problems, warnings = instances.type_problems(
        ["ml.m5.8xlarge", "ml.m5.large", "ml.q9.large", "ml.m5.9xlarge"], KNOWN
    )
    assert (len(problems), len(warnings)) == (2, 1)


@pytest.mark.parametrize(("sizes", "is_settled"), [(3, False), (4, True)])
def test_a_family_of_four_sizes_has_all_of_them(sizes, is_settled):
    known = [f"ml.z9.{size}" for size in ("large", "xlarge", "2xlarge", "4xlarge")[:sizes]]
    problems, warnings = instances.type_problems(["ml.z9.96xlarge"], known)
    assert (len(problems), len(warnings)) == ((1, 0) if is_settled else (0, 1))


def test_a_volume_of_another_size_is_warned_of_for_each_type_with_its_own_disk():
    (warning,) = instances.resource_warnings(["ml.g5.xlarge", "ml.m5d.large"], volume_size=29, usual_size=30)
    assert "ml.g5.xlarge, ml.m5d.large" in warning
