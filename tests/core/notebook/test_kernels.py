"""The kernel of a job: what is made of the name that the notebook was saved with, and what is said of it before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from airflow_nbjobs.core.notebook.kernels import DISTRIBUTION_KERNELS, choose_kernel

if TYPE_CHECKING:
    import nbformat

DISTRIBUTION = "sagemaker-distribution:4-cpu"
CUSTOM = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/notebooks:7"
CLASSIC = "__SAGEMAKER_INTERNAL__arn:aws:sagemaker:us-east-1:081325390199:image/datascience-1.0"


def saved(name: str | None, language: str = "python") -> nbformat.NotebookNode:
    kernelspec = {"kernelspec": {"name": name, "language": language, "display_name": "x"}} if name else {}
    return new_notebook(cells=[new_code_cell("1")], metadata=kernelspec)


def choice(
    name, *, language="python", image=DISTRIBUTION, available=None, kernel_name=None, initialization_script=None
):
    return choose_kernel(
        kernel_name, saved(name, language), image_uri=image, has_script=bool(initialization_script), available=available
    )


@pytest.mark.parametrize(
    ("written", "kernel"),
    [
        (f"python3{CLASSIC}", "python3"),
        (f"ir{CLASSIC}", "ir"),
        ("python3__SAGEMAKER_INTERNAL__arn:aws-cn:sagemaker:cn-north-1:1:image/x-v1", "python3"),
        (f"python3 {CLASSIC}", "python3"),
        ("python3__SAGEMAKER_INTERNAL__", "python3"),
    ],
)
@pytest.mark.parametrize("is_argument", [False, True], ids=["saved", "kernel_name"])
def test_studio_classics_name_is_cut_to_its_kernel_which_a_note_says(written, kernel, is_argument):
    found = choice(None, kernel_name=written, image=CUSTOM) if is_argument else choice(written, image=CUSTOM)
    assert found.name == kernel
    (note,) = found.notes
    assert f"kernel '{kernel}'" in note
    assert written.partition("INTERNAL__")[2] in note
    assert (found.warnings, found.problems) == ((), ())


def test_an_image_without_a_kernel_names_none():
    assert choice(CLASSIC).name is None


@pytest.mark.parametrize("name", DISTRIBUTION_KERNELS)
@pytest.mark.parametrize("image", [DISTRIBUTION, CUSTOM])
def test_the_kernels_of_sagemaker_distribution_are_taken_without_a_word(name, image):
    found = choice(name, image=image)
    assert (found.name, found.notes, found.warnings, found.problems) == (name, (), (), ())


@pytest.mark.parametrize(
    "image",
    [
        DISTRIBUTION,
        "sagemaker-distribution",
        "819792524951.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-distribution-prod:4-cpu",
        "public.ecr.aws/sagemaker/sagemaker-distribution:4.4-cpu",
        "819792524951.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-distribution-prod@sha256:00",
    ],
)
@pytest.mark.parametrize(
    "name", ["conda_python3", "conda_pytorch_p310", "conda-env-nb-py", ".venv", "myproject", "venv", "xpython"]
)
def test_a_kernel_that_sagemaker_distribution_does_not_have_is_warned_of(name, image):
    found = choice(name, image=image)
    (warning,) = found.warnings
    assert (found.name, found.problems) == (name, ())
    assert f"kernel '{name}' (from the notebook's metadata)" in warning
    assert "python3, glue_pyspark, glue_spark, pysparkkernel and sparkkernel" in warning
    assert "set kernel_name='python3'" in warning


def test_the_spark_kernels_of_studio_classic_get_their_name_in_sagemaker_distribution():
    found = choice(f"conda-env-sm_glue_is-glue_pyspark{CLASSIC}")
    assert found.name == "conda-env-sm_glue_is-glue_pyspark"
    assert "set kernel_name='glue_pyspark'" in found.warnings[0]


def test_r_is_no_kernel_of_sagemaker_distribution_but_may_be_one_of_another_image():
    (warning,) = choice("ir", language="R").warnings
    assert "python3'" not in warning
    assert "take an image that has it" in warning
    assert choice("ir", language="R", image=CUSTOM).warnings == ()


@pytest.mark.parametrize("name", ["conda_python3", "python311jvsc74a57bd0aee8b7b2", ".venv", "python310-sdkv2"])
def test_a_name_of_some_machine_is_warned_of_whatever_the_image_and_whoever_gives_it(name):
    assert choice(name, image=CUSTOM).warnings
    assert choice(None, kernel_name=name, image=CUSTOM).warnings


def test_a_kernel_that_is_given_for_an_image_of_ones_own_is_no_ones_business():
    assert choice(None, kernel_name="forecasting", image=CUSTOM).warnings == ()
    assert choice("conda_python3", kernel_name="forecasting", image=CUSTOM).warnings == ()
    (warning,) = choice("forecasting", image=CUSTOM).warnings
    assert "a job can use the kernels of its image only" in warning


def test_an_initialization_script_may_make_the_kernel_that_is_given():
    assert choice(None, kernel_name="mine", initialization_script="init.sh").warnings == ()
    assert choice("mine", initialization_script="init.sh").warnings


# -- where the environment can be looked into ---------------------------------------------------------------------------


def test_a_kernel_that_is_not_there_is_an_error_that_says_which_are_and_what_to_give():
    found = choice("conda_python3", available=["python3", "bash"])
    (problem,) = found.problems
    assert problem.startswith("kernel 'conda_python3' (from the notebook's metadata) is not in the environment")
    assert "which has 'bash', 'python3'; set kernel_name='python3'" in problem
    assert found.warnings == ()


def test_what_is_there_is_taken_whatever_its_name():
    assert choice("MyProject", available=["myproject"]).problems == ()
    assert choice("myproject", available=["python3", "MyProject"]).warnings == ()


def test_python3_is_not_advised_where_it_is_not_there():
    (problem,) = choice("myproject", available=["bash"]).problems
    assert "set kernel_name='python3'" not in problem
    assert "which has 'bash'; install it there" in problem
    (problem,) = choice("python3", available=[]).problems
    assert "no kernel at all (pip install ipykernel)" in problem


def test_an_initialization_script_may_make_a_kernel_that_is_not_there_yet():
    found = choice("mine", available=["python3"], initialization_script="init.sh")
    assert found.problems == ()
    assert "'mine'" in found.warnings[0]


# -- what is no name -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [["python3"], 3])
def test_what_is_no_text_is_left_to_the_arguments_own_check(value):
    found = choice("python3", kernel_name=value)
    assert (found.name, found.warnings, found.problems) == (value, (), ())


def test_no_name_anywhere_is_none():
    assert choice(None).name is None
    assert choose_kernel("conda_python3", None).name == "conda_python3"


@pytest.mark.parametrize(
    ("name", "image", "said"),
    [
        ("Python 3 (ipykernel)", CUSTOM, "that is what Jupyter shows for a kernel, not the kernel's name"),
        ("my\tkernel", CUSTOM, "that is what Jupyter shows for a kernel"),
        ("Python 3", DISTRIBUTION, "SageMaker Distribution images have python3, glue_pyspark"),
        ("mine", CUSTOM, "a job can use the kernels of its image only"),
        ("mine", None, "a job can use the kernels of its image only"),
        ("mine", "team/sagemaker-distribution-of-ours:1", "a job can use the kernels of its image only"),
    ],
)
def test_a_doubt_says_why(name, image, said):
    (warning,) = choice(name, image=image).warnings
    assert f"kernel '{name}' (from the notebook's metadata): " in warning
    assert said in warning
    assert "No such kernel" in warning
    assert warning.endswith("; set kernel_name='python3', which images for Python notebooks have")


@pytest.mark.parametrize("name", ["IR", "Python3", "Glue_PySpark"])
def test_jupyter_looks_for_kernels_without_regard_to_case(name):
    assert choice(name, image=CUSTOM).warnings == ()
    assert (choice(name).warnings == ()) is (name != "IR")


def test_where_a_name_comes_from_is_said():
    assert "(from kernel_name)" in choice(None, kernel_name="conda_x", image=CUSTOM).warnings[0]
    assert "(from kernel_name)" in choice("a", kernel_name="b", available=["c"]).problems[0]
    assert (
        f"kernel 'ir': kernel_name names it as Studio Classic does, together with the image '{CLASSIC[22:]}'"
        in (choice(None, kernel_name=f"ir{CLASSIC}", image=CUSTOM).notes[0])
    )


@pytest.mark.parametrize(
    ("name", "language", "advice"),
    [
        ("conda-env-sm_glue_is-glue_spark", "scala", "set kernel_name='glue_spark'"),
        ("Conda-env-sm_sparkmagic-pysparkkernel", "python", "set kernel_name='pysparkkernel'"),
        ("mine", "ipython", "set kernel_name='python3', which images for Python notebooks have"),
        ("mine", "julia", "take an image that has it, and name it in kernel_name"),
    ],
)
def test_the_advice_fits_the_notebooks_language(name, language, advice):
    assert choice(name, language=language).warnings[0].endswith(f"; {advice}")


def test_an_initialization_script_makes_no_doubt_of_a_kernel_that_is_given_for_any_image():
    for image in (DISTRIBUTION, CUSTOM):
        assert choice(None, kernel_name="conda_x", image=image, initialization_script="x").warnings == ()
        assert choice(None, kernel_name="conda_x", image=image).warnings


def test_what_is_missing_is_a_problem_or_with_a_script_a_warning():
    assert choice("mine", available=["python3"]).warnings == ()
    with_script = choice("mine", available=["python3"], initialization_script="x")
    assert (with_script.problems, len(with_script.warnings)) == ((), 1)
    (problem,) = choice("mine", language="r", available=["b", "a"]).problems
    assert problem.endswith("which has 'a', 'b'; install it there, or set kernel_name to one of them")
    noted = choice(f"python3{CLASSIC}", available=["python3"])
    assert (noted.name, len(noted.notes), noted.problems) == ("python3", 1, ())


def test_blanks_around_a_plain_name_stay():
    assert choice(" python3", image=CUSTOM).name == " python3"
