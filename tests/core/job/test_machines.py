"""What the machines have, and which size is next."""

from __future__ import annotations

import botocore.session
import pytest

from airflow_nbjobs.core.job.machines import machine_of, smaller_than, with_more_memory

# Of no public record at hand: nothing is said of it.
NOT_IN_THE_TABLE = {"ml.p6e-gb200.36xlarge"}


def types():
    return botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType").enum


def test_every_type_that_botocore_knows_for_training_jobs_is_in_the_table():
    assert {each for each in types() if machine_of(each) is None} <= NOT_IN_THE_TABLE
    assert len(types()) > 100


@pytest.mark.parametrize(
    ("instance_type", "vcpus", "memory", "gpus"),
    [
        ("ml.m5.large", 2, 8, 0),
        ("ml.c5.xlarge", 4, 8, 0),
        ("ml.c4.xlarge", 4, 7.5, 0),
        ("ml.g4dn.12xlarge", 48, 192, 4),
        ("ml.p3.2xlarge", 8, 61, 1),
        ("ml.p4d.24xlarge", 96, 1152, 8),
        ("ml.trn1.32xlarge", 128, 512, 0),
        ("ml.m7i-flex.large", 2, 8, 0),
    ],
)
def test_a_type_has_what_ec2_says(instance_type, vcpus, memory, gpus):
    """Source: EC2's page of instance types."""
    machine = machine_of(instance_type)
    assert (machine.vcpus, machine.memory_gib, machine.gpus) == (vcpus, memory, gpus)


@pytest.mark.parametrize(
    "unknown", [None, 3, "", "m5.large", "ml.m5", "ml.m5.huge", "ml.m5.large\0", "ML.M5.LARGE", b"ml.m5.large"]
)
def test_what_is_no_type_of_the_table_is_not_known(unknown):
    assert machine_of(unknown) is None


@pytest.mark.parametrize(
    ("instance_type", "smaller", "larger"),
    [
        ("ml.m5.large", None, "ml.m5.xlarge"),
        ("ml.m5.xlarge", "ml.m5.large", "ml.m5.2xlarge"),
        ("ml.m5.12xlarge", "ml.m5.4xlarge", "ml.m5.24xlarge"),
        ("ml.m5.24xlarge", "ml.m5.12xlarge", None),
        ("ml.t3.large", "ml.t3.medium", "ml.t3.xlarge"),
        ("ml.g5.8xlarge", "ml.g5.4xlarge", "ml.g5.16xlarge"),
        ("ml.g5.12xlarge", "ml.g5.8xlarge", "ml.g5.24xlarge"),
        ("ml.g5.16xlarge", "ml.g5.8xlarge", "ml.g5.24xlarge"),
        ("ml.p4d.24xlarge", None, None),
    ],
)
def test_the_next_size_is_of_the_same_family(instance_type, smaller, larger):
    machine = machine_of(instance_type)
    assert getattr(smaller_than(machine), "instance_type", None) == smaller
    assert getattr(with_more_memory(machine), "instance_type", None) == larger


def test_a_smaller_one_has_no_more_of_anything_and_a_larger_one_no_fewer_gpus():
    for machine in filter(None, map(machine_of, types())):
        smaller, larger = smaller_than(machine), with_more_memory(machine)
        if smaller is not None:
            assert smaller.memory_gib < machine.memory_gib
            assert (smaller.vcpus <= machine.vcpus, smaller.gpus <= machine.gpus) == (True, True), machine
        if larger is not None:
            assert larger.memory_gib > machine.memory_gib
            assert larger.gpus >= machine.gpus, machine


def test_a_machine_says_what_it_has():
    assert str(machine_of("ml.c4.xlarge")) == "4 vCPUs, 7.5 GiB of memory, no GPU"
    assert str(machine_of("ml.g4dn.12xlarge")) == "48 vCPUs, 192 GiB of memory, 4 GPUs"
    assert str(machine_of("ml.g5.xlarge")).endswith(", 1 GPU")


@pytest.mark.parametrize(
    ("instance_type", "family"),
    [("ml.m5.large", "ml.m5"), ("ml.m7i-flex.large", "ml.m7i-flex"), ("ml.p6-b200.48xlarge", "ml.p6-b200")],
)
def test_a_family_is_all_but_the_size(instance_type, family):
    assert machine_of(instance_type).family == family


@pytest.mark.parametrize(
    ("instance_type", "said"),
    [
        ("ml.m5.large", "2 vCPUs, 8 GiB of memory, no GPU"),
        ("ml.g5.xlarge", "4 vCPUs, 16 GiB of memory, 1 GPU"),
        ("ml.g7.12xlarge", "48 vCPUs, 192 GiB of memory, 2 GPUs"),
    ],
)
def test_a_machine_is_said_with_all_that_it_has(instance_type, said):
    assert str(machine_of(instance_type)) == said


@pytest.mark.parametrize(
    ("instance_type", "smaller", "larger"),
    [
        ("ml.p3.8xlarge", "ml.p3.2xlarge", "ml.p3.16xlarge"),
        ("ml.p2.xlarge", None, "ml.p2.8xlarge"),
        ("ml.g6.16xlarge", "ml.g6.8xlarge", "ml.g6.24xlarge"),
        ("ml.g6.48xlarge", "ml.g6.24xlarge", None),
        ("ml.c4.8xlarge", "ml.c4.4xlarge", None),
        ("ml.t3.medium", None, "ml.t3.large"),
    ],
)
def test_the_next_size_where_gpus_or_memory_do_not_grow_evenly(instance_type, smaller, larger):
    machine = machine_of(instance_type)
    assert getattr(smaller_than(machine), "instance_type", None) == smaller
    assert getattr(with_more_memory(machine), "instance_type", None) == larger
