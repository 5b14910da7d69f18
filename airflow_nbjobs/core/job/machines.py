"""
What the machines of training jobs have: vCPUs, memory, GPUs, by instance type, and the next size up and down.

Called by ``core/job/metrics.py``, ``core/job/machine_advice.py`` and the embedded SageMaker; pure.
"""

from __future__ import annotations

from functools import cache

import msgspec

# Source: EC2's DescribeInstanceTypes, as moto 5.2.5 ships it, read on 2026-11-30, for the types that botocore 1.44.8 lists for training jobs; p2 and p3: EC2's page of
# previous generations. A type of SageMaker's is the machine of EC2's name. Of a family each size: vCPUs, memory in GiB, GPUs where it has some.
_TYPES = """
c4: xlarge 4 7.5, 2xlarge 8 15, 4xlarge 16 30, 8xlarge 36 60
c5: xlarge 4 8, 2xlarge 8 16, 4xlarge 16 32, 9xlarge 36 72, 18xlarge 72 144
c5n: xlarge 4 10.5, 2xlarge 8 21, 4xlarge 16 42, 9xlarge 36 96, 18xlarge 72 192
c6i: xlarge 4 8, 2xlarge 8 16, 4xlarge 16 32, 8xlarge 32 64, 12xlarge 48 96, 16xlarge 64 128, 24xlarge 96 192, 32xlarge 128 256
c7i: large 2 4, xlarge 4 8, 2xlarge 8 16, 4xlarge 16 32, 8xlarge 32 64, 12xlarge 48 96, 16xlarge 64 128, 24xlarge 96 192, 48xlarge 192 384
c7i-flex: xlarge 4 8, 2xlarge 8 16, 4xlarge 16 32, 8xlarge 32 64, 12xlarge 48 96, 16xlarge 64 128
c8i: xlarge 4 8, 2xlarge 8 16, 4xlarge 16 32, 8xlarge 32 64, 12xlarge 48 96, 16xlarge 64 128, 24xlarge 96 192, 32xlarge 128 256, 48xlarge 192 384, 96xlarge 384 768
c8i-flex: xlarge 4 8, 2xlarge 8 16, 4xlarge 16 32, 8xlarge 32 64, 12xlarge 48 96, 16xlarge 64 128
g4dn: xlarge 4 16 1, 2xlarge 8 32 1, 4xlarge 16 64 1, 8xlarge 32 128 1, 12xlarge 48 192 4, 16xlarge 64 256 1
g5: xlarge 4 16 1, 2xlarge 8 32 1, 4xlarge 16 64 1, 8xlarge 32 128 1, 12xlarge 48 192 4, 16xlarge 64 256 1, 24xlarge 96 384 4, 48xlarge 192 768 8
g6: xlarge 4 16 1, 2xlarge 8 32 1, 4xlarge 16 64 1, 8xlarge 32 128 1, 12xlarge 48 192 4, 16xlarge 64 256 1, 24xlarge 96 384 4, 48xlarge 192 768 8
g6e: xlarge 4 32 1, 2xlarge 8 64 1, 4xlarge 16 128 1, 8xlarge 32 256 1, 12xlarge 48 384 4, 16xlarge 64 512 1, 24xlarge 96 768 4, 48xlarge 192 1536 8
g7: 2xlarge 8 32 1, 4xlarge 16 64 1, 8xlarge 32 128 1, 12xlarge 48 192 2, 24xlarge 96 384 4, 48xlarge 192 768 8
g7e: 2xlarge 8 64 1, 4xlarge 16 128 1, 8xlarge 32 256 1, 12xlarge 48 512 2, 24xlarge 96 1024 4, 48xlarge 192 2048 8
m4: xlarge 4 16, 2xlarge 8 32, 4xlarge 16 64, 10xlarge 40 160, 16xlarge 64 256
m5: large 2 8, xlarge 4 16, 2xlarge 8 32, 4xlarge 16 64, 12xlarge 48 192, 24xlarge 96 384
m6i: large 2 8, xlarge 4 16, 2xlarge 8 32, 4xlarge 16 64, 8xlarge 32 128, 12xlarge 48 192, 16xlarge 64 256, 24xlarge 96 384, 32xlarge 128 512
m7i: large 2 8, xlarge 4 16, 2xlarge 8 32, 4xlarge 16 64, 8xlarge 32 128, 12xlarge 48 192, 16xlarge 64 256, 24xlarge 96 384, 48xlarge 192 768
m7i-flex: large 2 8, xlarge 4 16, 2xlarge 8 32, 4xlarge 16 64, 8xlarge 32 128, 12xlarge 48 192, 16xlarge 64 256
m8i: large 2 8, xlarge 4 16, 2xlarge 8 32, 4xlarge 16 64, 8xlarge 32 128, 12xlarge 48 192, 16xlarge 64 256, 24xlarge 96 384, 32xlarge 128 512, 48xlarge 192 768, 96xlarge 384 1536
m8i-flex: large 2 8, xlarge 4 16, 2xlarge 8 32, 4xlarge 16 64, 8xlarge 32 128, 12xlarge 48 192, 16xlarge 64 256
p2: xlarge 4 61 1, 8xlarge 32 488 8, 16xlarge 64 732 16
p3: 2xlarge 8 61 1, 8xlarge 32 244 4, 16xlarge 64 488 8
p3dn: 24xlarge 96 768 8
p4d: 24xlarge 96 1152 8
p4de: 24xlarge 96 1152 8
p5: 4xlarge 16 256 1, 48xlarge 192 2048 8
p5e: 48xlarge 192 2048 8
p5en: 48xlarge 192 2048 8
p6-b200: 48xlarge 192 2048 8
p6-b300: 48xlarge 192 4096 8
r5: large 2 16, xlarge 4 32, 2xlarge 8 64, 4xlarge 16 128, 8xlarge 32 256, 12xlarge 48 384, 16xlarge 64 512, 24xlarge 96 768
r5d: large 2 16, xlarge 4 32, 2xlarge 8 64, 4xlarge 16 128, 8xlarge 32 256, 12xlarge 48 384, 16xlarge 64 512, 24xlarge 96 768
r6i: large 2 16, xlarge 4 32, 2xlarge 8 64, 4xlarge 16 128, 8xlarge 32 256, 12xlarge 48 384, 16xlarge 64 512, 24xlarge 96 768, 32xlarge 128 1024
r7i: large 2 16, xlarge 4 32, 2xlarge 8 64, 4xlarge 16 128, 8xlarge 32 256, 12xlarge 48 384, 16xlarge 64 512, 24xlarge 96 768, 48xlarge 192 1536
r8i: large 2 16, xlarge 4 32, 2xlarge 8 64, 4xlarge 16 128, 8xlarge 32 256, 12xlarge 48 384, 16xlarge 64 512, 24xlarge 96 768, 32xlarge 128 1024, 48xlarge 192 1536, 96xlarge 384 3072
r8i-flex: large 2 16, xlarge 4 32, 2xlarge 8 64, 4xlarge 16 128, 8xlarge 32 256, 12xlarge 48 384, 16xlarge 64 512
t3: medium 2 4, large 2 8, xlarge 4 16, 2xlarge 8 32
trn1: 2xlarge 8 32, 32xlarge 128 512
trn1n: 32xlarge 128 512
trn2: 48xlarge 192 2048
"""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one instance has.

    :param memory_gib: of main memory.
    :param gpus: of NVIDIA's; Trainium's chips are none, and have no metrics.
    """

    instance_type: str
    vcpus: int
    memory_gib: float
    gpus: int = 0

    @property
    def family(self) -> str:
        return self.instance_type.rpartition(".")[0]

    def __str__(self) -> str:
        gpus = f", {self.gpus} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else ", no GPU"
        return f"{self.vcpus} vCPUs, {self.memory_gib:g} GiB of memory{gpus}"


@cache
def _machines() -> dict[str, Machine]:
    found = {}
    for line in _TYPES.strip().splitlines():
        family, _, sizes = line.partition(": ")
        for each in sizes.split(", "):
            size, vcpus, memory, *gpus = each.split()
            name = f"ml.{family}.{size}"
            found[name] = Machine(
                instance_type=name,
                vcpus=int(vcpus),
                memory_gib=float(memory),
                gpus=int(gpus[0]) if gpus else 0,
            )
    return found


def machine_of(instance_type: object) -> Machine | None:
    """Return what a type has; None for one that is not in the table."""
    return _machines().get(instance_type) if isinstance(instance_type, str) else None


def _sizes(machine: Machine) -> list[Machine]:
    same = [each for each in _machines().values() if each.family == machine.family]
    return sorted(same, key=lambda each: (each.vcpus, each.memory_gib))


def smaller_than(machine: Machine) -> Machine | None:
    """Return the next smaller size of the family: less memory, and no more vCPUs or GPUs, which would cost more."""
    fitting = [
        each
        for each in _sizes(machine)
        if each.vcpus <= machine.vcpus and each.gpus <= machine.gpus and each.memory_gib < machine.memory_gib
    ]
    return fitting[-1] if fitting else None


def with_more_memory(machine: Machine) -> Machine | None:
    """Return the next larger size of the family by its memory: with as many GPUs if there is one, else with more, never with fewer."""
    larger = [each for each in _sizes(machine) if each.memory_gib > machine.memory_gib and each.gpus >= machine.gpus]
    return min(larger, key=lambda each: (each.gpus, each.memory_gib, each.vcpus), default=None)
