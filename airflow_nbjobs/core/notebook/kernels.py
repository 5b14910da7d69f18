"""
Which kernel a job asks for, and what is known of whether it will be there.

Called by ``aws/submit/prepare.py``. Pure; must never import airflow, boto3 or anything that touches disk or network.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.notebook.document import kernel_name as saved_kernel_name
from airflow_nbjobs.core.notebook.document import language

if TYPE_CHECKING:
    from collections.abc import Collection

    from nbformat import NotebookNode

# Studio Classic writes the kernel and the image that it came from as one name: "python3__SAGEMAKER_INTERNAL__arn:aws:sagemaker:…:image/datascience-1.0".
_STUDIO_CLASSIC = "__SAGEMAKER_INTERNAL__"
# Source: the kernelspecs in the images of github.com/aws/sagemaker-distribution, versions 1 to 4.
DISTRIBUTION_KERNELS = ("python3", "glue_pyspark", "glue_spark", "pysparkkernel", "sparkkernel")
# What kernel packages call their own kernel, in whatever image: ipykernel and IRkernel.
_COMMON_KERNELS = frozenset({*DISTRIBUTION_KERNELS, "ir"})
# The SparkAnalytics images of Studio Classic, and the same kernels in SageMaker Distribution.
_SPARK_ANALYTICS = {
    "conda-env-sm_glue_is-glue_pyspark": "glue_pyspark",
    "conda-env-sm_glue_is-glue_spark": "glue_spark",
    "conda-env-sm_sparkmagic-pysparkkernel": "pysparkkernel",
    "conda-env-sm_sparkmagic-sparkkernel": "sparkkernel",
}
_DISTRIBUTION_IMAGE = re.compile(r"(?:.*/)?sagemaker-distribution(?:-prod)?(?:[:@].*)?")
# Names that belong to a machine, not to an image: SageMaker's notebook instances (conda_python3), virtual environments, VS Code, Azure.
_OF_A_MACHINE = re.compile(
    r"conda_\w+|\.?v?env|python\d+(?:jvsc|64bit).*|python[\w.]*-(?:azureml|sdkv2).*|conda-(?:base|root)-py",
    re.IGNORECASE,
)
_PYTHON = "python3"


class KernelChoice(msgspec.Struct, frozen=True):
    """The kernel of a job."""

    # None where neither the argument nor the notebook names one; what is no text is left to the argument's own check
    name: object
    notes: tuple[str, ...] = ()  # what was made of the name
    warnings: tuple[str, ...] = ()  # what is likely wrong
    problems: tuple[str, ...] = ()  # what is certain to fail


def choose_kernel(
    kernel_name: object,
    notebook: NotebookNode | None,
    *,
    image_uri: object = None,
    has_script: bool = False,
    available: Collection[str] | None = None,
) -> KernelChoice:
    """
    Return the kernel that the job runs on: the argument ``kernel_name``, else the one that the notebook was saved with.

    :param kernel_name: the argument; so is ``image_uri``.
    :param has_script: whether an initialization script runs before the notebook.
    :param available: kernels of the environment that will run the job; None where that is an image, which cannot be looked into.
    """
    wanted = kernel_name or (notebook and saved_kernel_name(notebook))
    if not isinstance(wanted, str):
        return KernelChoice(wanted or None)
    name, marker, image = wanted.partition(_STUDIO_CLASSIC)
    name = name.strip() if marker else name
    if notebook is None or not name:
        return KernelChoice(name or None)
    origin = "kernel_name" if kernel_name else "the notebook's metadata"
    notes = (
        (
            f"kernel '{name}': {origin} names it as Studio Classic does, together with the image '{image}'; the job runs on the kernel '{name}' of its image_uri",
        )
        if marker
        else ()
    )
    if available is not None:
        missing = _missing(name, origin, notebook, available)
        # An initialization script may install the kernel.
        return KernelChoice(name, notes, warnings=missing if has_script else (), problems=() if has_script else missing)
    doubt = _doubt(name, str(image_uri or ""), is_given=bool(kernel_name), has_script=has_script)
    if doubt is None:
        return KernelChoice(name, notes)
    return KernelChoice(name, notes, (f"kernel '{name}' (from {origin}): {doubt}; {_advice(name, notebook)}",))


def _missing(name: str, origin: str, notebook: NotebookNode, available: Collection[str]) -> tuple[str, ...]:
    if name.lower() in {kernel.lower() for kernel in available}:  # Jupyter looks for kernels without regard to case
        return ()
    there = ", ".join(f"'{kernel}'" for kernel in sorted(available)) or "no kernel at all (pip install ipykernel)"
    advice = (
        _advice(name, notebook)
        if _suggestion(name, notebook) in available
        else "install it there, or set kernel_name to one of them"
    )
    return (
        f"kernel '{name}' (from {origin}) is not in the environment that would run the job, which has {there}; {advice}",
    )


def _doubt(name: str, image: str, *, is_given: bool, has_script: bool) -> str | None:
    """Say why the kernel may be missing; None where nothing suggests it, or where the author has seen to it."""
    if _DISTRIBUTION_IMAGE.fullmatch(image):
        if name.lower() in DISTRIBUTION_KERNELS or (is_given and has_script):
            return None
        return (
            f"SageMaker Distribution images have {', '.join(DISTRIBUTION_KERNELS[:-1])} and {DISTRIBUTION_KERNELS[-1]}; "
            "unless an initialization_script makes this one, the job fails with 'No such kernel'"
        )
    if re.search(r"[\s()]", name):
        return (
            "that is what Jupyter shows for a kernel, not the kernel's name (the metadata's kernelspec.name, or "
            "'jupyter kernelspec list'); the job fails with 'No such kernel'"
        )
    if name.lower() in _COMMON_KERNELS or (is_given and (has_script or not _OF_A_MACHINE.fullmatch(name))):
        return None
    return (
        "a job can use the kernels of its image only, which are not known before it runs; if this is a kernel of the machine that the notebook "
        "was written on, the job fails with 'No such kernel'"
    )


def _suggestion(name: str, notebook: NotebookNode) -> str | None:
    if name.lower() in _SPARK_ANALYTICS:
        return _SPARK_ANALYTICS[name.lower()]
    return _PYTHON if language(notebook) in {"python", "ipython"} else None


def _advice(name: str, notebook: NotebookNode) -> str:
    suggestion = _suggestion(name, notebook)
    if suggestion is None:
        return "take an image that has it, and name it in kernel_name"
    return f"set kernel_name='{suggestion}'" + (
        "" if suggestion != _PYTHON else ", which images for Python notebooks have"
    )
