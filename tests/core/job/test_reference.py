"""Which training job is meant: name, ARN, or what a notebook task returned."""

import pytest

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job import reference
from airflow_nbjobs.core.job.reference import (
    JobReference,
    executed_notebook_name,
    is_notebook_job,
    may_spare_archive,
    parse_job_reference,
)

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/nightly-7f3a"


@pytest.mark.parametrize("region", [None, "", " ", "None"])
def test_an_empty_region_leaves_the_arns_own(region):
    assert parse_job_reference(ARN, region_name=region) == JobReference("nightly-7f3a", "eu-west-1", "123456789012")
    assert parse_job_reference("nightly-7f3a", region_name=region) == JobReference("nightly-7f3a")


def test_blanks_around_a_region_are_none_of_it():
    assert parse_job_reference(ARN, region_name=" eu-west-1\n").region == "eu-west-1"
    assert parse_job_reference("nightly-7f3a", region_name=" eu-west-1 ").region == "eu-west-1"


@pytest.mark.parametrize("value", [{"job_arn": ARN, "job_name": "other"}, {"job_name": ARN}, f" {ARN}\n"])
def test_what_a_notebook_task_returned_names_its_job(value):
    assert parse_job_reference(value, region_name=None) == JobReference("nightly-7f3a", "eu-west-1", "123456789012")


@pytest.mark.parametrize("value", [None, 5, "", "a b", {}, {"job_name": None}, ARN.replace("training", "transform")])
def test_what_names_no_training_job_is_refused(value):
    with pytest.raises(NotebookJobConfigError, match="names no training job"):
        parse_job_reference(value, region_name=None)


def test_two_regions_for_one_job_are_refused():
    with pytest.raises(NotebookJobConfigError, match="lies in region 'eu-west-1', but region_name is 'eu-west-3'"):
        parse_job_reference(ARN, region_name="eu-west-3")


@pytest.mark.parametrize(
    ("name", "found"), [("a.b:c.ipynb", "a-b-c.ipynb"), ("a-.ipynb", "a.ipynb"), ("a", "a"), ("", None), (None, None)]
)
def test_the_driver_changes_the_executed_notebooks_name(name, found):
    environment = {} if name is None else {"SM_OUTPUT_NOTEBOOK_NAME": name}
    assert executed_notebook_name(environment) == found
    assert is_notebook_job(environment) is (found is not None)


@pytest.mark.parametrize(
    ("live", "extra", "may"), [("1", 1, True), ("1", 0, False), ("0", 1, False), (None, 1, False), ("true", 1, False)]
)
def test_a_large_archive_is_spared_where_there_is_a_live_copy(live, extra, may):
    environment = {} if live is None else {"NBJOBS_LIVE_NOTEBOOK": live}
    assert may_spare_archive(environment, reference._LARGE_ARCHIVE_BYTES + extra) is may


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("a--b", True),
        ("-a", False),
        ("a-", False),
        ("a_b", False),
        ("a.b", False),
    ],
)
def test_a_name_is_one_that_sagemaker_takes(name, is_one):
    for value in (name, f"arn:aws-cn:sagemaker:cn-north-1:123456789012:training-job/{name}"):
        if is_one:
            assert parse_job_reference(value, region_name=None).job_name == name
        else:
            with pytest.raises(NotebookJobConfigError, match="names no training job"):
                parse_job_reference(value, region_name=None)


@pytest.mark.parametrize(
    "arn", [ARN.replace("123456789012", "12"), ARN.replace("aws:", "gcp:", 1), f"x{ARN}", f"{ARN}/x", ARN.upper()]
)
def test_what_is_like_an_arn_and_none_is_refused(arn):
    with pytest.raises(NotebookJobConfigError, match="names no training job"):
        parse_job_reference(arn, region_name=None)


def test_a_region_that_agrees_is_no_second_one():
    assert parse_job_reference(ARN, region_name="eu-west-1") == JobReference(
        "nightly-7f3a", "eu-west-1", "123456789012"
    )


def test_the_arn_of_what_a_task_returned_counts_and_without_one_its_name():
    returned = {"job_arn": None, "job_name": "nightly-7f3a"}
    assert parse_job_reference(returned, region_name="eu-west-3") == JobReference("nightly-7f3a", "eu-west-3")


@pytest.mark.parametrize(("value", "live"), [("1", True), ("0", False), ("", False), ("true", False)])
def test_a_job_is_live_if_its_variable_says_so(value, live):
    assert reference.is_live({"NBJOBS_LIVE_NOTEBOOK": value}) is live
    assert reference.is_live({}) is False


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a---.ipynb", "a.ipynb"),
        ("a.b.ipynb", "a-b.ipynb"),
        ("a-b.ipynb", "a-b.ipynb"),
        ("ipynb", ".ipynb"),
        ("a.ipynb.txt", "a-ipynb-txt"),
    ],
)
def test_only_the_ending_gets_its_dot_back(name, found):
    assert executed_notebook_name({"SM_OUTPUT_NOTEBOOK_NAME": name}) == found
