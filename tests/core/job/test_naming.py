"""Names: the only memory of what was submitted, so equal must mean equal, and different different."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.naming import (
    NAME_LIMIT,
    JobLocation,
    RunKey,
    microseconds,
    name_digest,
    name_prefix,
    parse_owner,
    parse_s3_uri,
    training_job_name,
)

KEY = RunKey(
    deployment="",
    dag_id="nightly",
    run_id="manual__2026-11-22T00:00:00+00:00",
    run_started_microseconds=1_700_000_000_000_001,
    task_id="train",
    map_index=-1,
    generation=0,
)
OTHER_VALUES = {
    "deployment": "staging",
    "dag_id": "nightly2",
    "run_id": "manual__2026-11-23T00:00:00+00:00",
    "run_started_microseconds": 1_700_000_000_000_002,
    "task_id": "train2",
    "map_index": 0,
    "generation": 1,
    "attempt": 1,
    "region_id": "0199c2f0-0000-7000-8000-000000000001",
    "region_index": 3,
}
LOOPED = replace(KEY, region_id="0199c2f0-0000-7000-8000-000000000000", region_index=2)
# Shape ``TrainingJobName`` of botocore's sagemaker model.
PATTERN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")

texts = st.text(max_size=260)
keys = st.builds(
    RunKey,
    deployment=texts,
    dag_id=texts,
    run_id=texts,
    run_started_microseconds=st.integers(0, 2**53),
    task_id=texts,
    map_index=st.integers(-1, 2000),
    generation=st.integers(0, 100),
    attempt=st.integers(0, 1000),
    region_id=st.uuids().map(str) | st.just(""),
    region_index=st.integers(-1, 2000),
)


def test_equal_keys_give_equal_names_in_every_process():
    """A changed recipe would orphan every running job at an upgrade, so this name is spelled out."""
    assert training_job_name("nightly-train", KEY) == "nightly-train-" + training_job_name("x", KEY)[2:]
    assert training_job_name("nightly-train", KEY) == "nightly-train-c13c44cc1c55"


@pytest.mark.parametrize("field", [field.name for field in fields(RunKey)])
def test_every_field_of_the_key_changes_name_and_owner(field):
    for key in (LOOPED, KEY)[: 1 if field == "region_index" else 2]:
        other = replace(key, **{field: OTHER_VALUES[field]})
        assert training_job_name("nightly", other) != training_job_name("nightly", key)
        assert other.owner() != key.owner()


def test_outside_loops_the_identity_is_what_it_was_before_there_were_any():
    """Spelled out: names and owners of jobs are stored, at AWS."""
    expected = '["","nightly","manual__2026-11-22T00:00:00+00:00",1700000000000001,"train",-1,0,0]'
    assert KEY.identity() == KEY.owner() == expected
    assert LOOPED.identity() == expected[:-1] + ',"0199c2f0-0000-7000-8000-000000000000",2]'


def test_fields_cannot_run_into_each_other():
    """'a' + 'bc' and 'ab' + 'c' are different runs."""
    one = replace(KEY, dag_id="a", run_id="bc")
    other = replace(KEY, dag_id="ab", run_id="c")
    assert training_job_name("x", one) != training_job_name("x", other)


@given(readable=st.from_regex(r".*[a-zA-Z0-9].*", fullmatch=True), key=keys)
def test_every_name_is_one_that_sagemaker_takes(readable, key):
    name = training_job_name(readable, key)
    assert PATTERN.fullmatch(name)
    assert len(name) <= NAME_LIMIT


@given(key=keys)
def test_every_owner_fits_an_environment_variable(key):
    assert 1 <= len(key.owner()) <= 512


@pytest.mark.parametrize(
    ("readable", "prefix"),
    [
        ("nightly-report", "nightly-report"),
        ("team.nightly__report", "team-nightly-report"),
        ("--Übersicht--", "bersicht"),
        ("a" * 300, "a" * 50),
        ("a" * 49 + "-b", "a" * 49),  # a cut that would end in a hyphen
    ],
)
def test_the_prefix_is_what_a_person_recognises(readable, prefix):
    assert training_job_name(readable, KEY).rpartition("-")[0] == prefix


@pytest.mark.parametrize("readable", ["", "---", "Ünïçødé"[0:1], "日本"])
def test_a_name_without_letter_or_digit_is_an_error_that_quotes_it(readable):
    with pytest.raises(NotebookJobConfigError, match="has no letter or digit") as caught:
        training_job_name(readable, KEY)
    assert repr(readable) in str(caught.value)


def test_long_ids_keep_distinct_owners():
    """Ids of 250 characters each exceed a variable's 512; what is cut away must still count."""
    long = replace(KEY, dag_id="d" * 250, run_id="r" * 250, task_id="t" * 250)
    other = replace(long, map_index=3)
    assert len(long.owner()) == 512
    assert long.owner() != other.owner()
    assert long.owner().startswith('["","ddd')


def test_an_owner_is_readable():
    assert KEY.owner() == '["","nightly","manual__2026-11-22T00:00:00+00:00",1700000000000001,"train",-1,0,0]'


def test_the_layout_is_the_one_that_studio_looks_for():
    place = JobLocation("s3://bucket/nbjobs", "job-1")
    assert place.input_uri == "s3://bucket/nbjobs/job-1/input"
    assert place.output_archive_uri == "s3://bucket/nbjobs/job-1/output/output.tar.gz"
    assert place.executed_notebook_uri == "s3://bucket/nbjobs/job-1/job-1.ipynb"
    assert place.executed_notebook_name == "job-1.ipynb"


@pytest.mark.parametrize(
    ("uri", "parts"),
    [("s3://b/k/l", ("b", "k/l")), ("s3://b", ("b", "")), ("s3://b/", ("b", "")), ("s3://b//k", ("b", "/k"))],
)
def test_an_s3_uri_splits_into_bucket_and_key(uri, parts):
    assert parse_s3_uri(uri) == parts


@pytest.mark.parametrize("uri", ["", "s3://", "s3:///k", "b/k", "https://b/k", "S3://b/k"])
def test_what_is_no_s3_uri_is_refused_by_name(uri):
    with pytest.raises(ValueError, match="is not an S3 URI"):
        parse_s3_uri(uri)


def test_studio_shows_dag_task_and_run_and_where_a_mapped_task_stands():
    key = RunKey(
        deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="g.t", map_index=-1, generation=0
    )
    assert key.displayed_name() == "d/g.t/r"
    assert replace(key, map_index=3, attempt=2).displayed_name() == "d/g.t/r/3"
    long = replace(key, dag_id="d" * 250, run_id="r" * 60, map_index=0).displayed_name()
    assert len(long) == 256
    assert long.endswith(f"/g.t/{'r' * 60}/0")
    assert len(replace(key, dag_id="d" * 250, run_id="r" * 250, task_id="t" * 250).displayed_name()) == 256


@pytest.mark.parametrize("key", [KEY, LOOPED, replace(KEY, attempt=7, deployment="é")])
def test_an_owner_names_its_attempt(key):
    assert parse_owner(key.owner()) == key


@pytest.mark.parametrize(
    "owner",
    [
        *("", "x", "5", "{}", "[]", '["", 1]', "[" * 512),
        f" {KEY.owner()}",
        KEY.owner().replace("-1", "-1.0"),
        KEY.owner().replace('"train"', "null"),
        KEY.owner().replace(",", ", "),
        replace(KEY, run_id="r" * 600).owner(),
    ],
    ids=lambda owner: owner[:20],
)
def test_what_is_no_owner_names_nothing(owner):
    assert parse_owner(owner) is None


def test_an_owner_of_just_the_length_that_a_variable_may_have_is_not_cut():
    room = 512 - len(replace(KEY, run_id="").identity())
    longest = replace(KEY, run_id="r" * room)
    assert len(longest.owner()) == 512
    assert parse_owner(longest.owner()) == longest
    cut = replace(KEY, run_id="r" * (room + 1)).owner()
    assert len(cut) == 512
    assert parse_owner(cut) is None


def test_a_displayed_name_has_the_indexes_that_there_are_and_loses_the_end_of_its_longest_part():
    assert replace(KEY, run_id="r").displayed_name() == "nightly/train/r"
    assert replace(KEY, run_id="r", map_index=0).displayed_name() == "nightly/train/r/0"
    assert replace(LOOPED, run_id="r", map_index=7).displayed_name() == "nightly/train/r/2/7"
    cut = replace(KEY, run_id="r" * 300).displayed_name()
    assert cut == f"nightly/train/{'r' * (256 - len('nightly/train/'))}"


def test_an_instant_is_in_microseconds():
    assert microseconds(datetime(1970, 1, 2, 0, 0, 1, 5, tzinfo=UTC)) == 86_401_000_005
    east = timezone(timedelta(hours=2))
    assert microseconds(datetime(1970, 1, 1, 2, tzinfo=east)) == 0


def test_the_copy_of_a_running_notebook_lies_beside_the_jobs_other_parts():
    place = JobLocation("s3://bucket/nbjobs", "job-1")
    assert place.live_prefix_uri == "s3://bucket/nbjobs/job-1/live"
    assert place.live_notebook_uri == "s3://bucket/nbjobs/job-1/live/job-1.ipynb"


def test_a_name_ends_in_what_tells_the_attempt_whatever_it_begins_with():
    assert training_job_name("nightly", KEY) == f"{name_prefix('nightly')}-{name_digest(KEY)}"
    assert re.fullmatch("[0-9a-f]{12}", name_digest(KEY))
    assert name_prefix("日本") == ""
    assert name_prefix("a" * 300) == "a" * 50
    assert len(training_job_name("a" * 300, KEY)) == NAME_LIMIT == 63


def test_a_later_attempt_differs_in_nothing_else():
    assert KEY.with_attempt(3) == replace(KEY, attempt=3)
    assert KEY.with_attempt(3).with_attempt(0) == KEY


def test_a_displayed_name_of_just_256_characters_is_whole():
    room = 256 - len("nightly/train/")
    assert replace(KEY, run_id="r" * room).displayed_name() == f"nightly/train/{'r' * room}"
    assert replace(KEY, run_id="r" * (room + 1)).displayed_name() == f"nightly/train/{'r' * room}"
    twins = replace(KEY, dag_id="d" * 200, task_id="t" * 200, run_id="r").displayed_name()
    assert sorted(map(len, twins.split("/"))) == [1, 126, 127]


def test_a_cut_owner_keeps_its_beginning_and_ends_in_a_hash_of_all_of_it():
    long = replace(KEY, run_id="r" * 600)
    begin, mark, digest = long.owner().rpartition("#")
    assert mark
    assert long.identity().startswith(begin)
    assert re.fullmatch("[0-9a-f]{64}", digest)


def test_letters_of_any_language_stay_readable_in_an_owner():
    assert '"é日"' in replace(KEY, deployment="é日").owner()
