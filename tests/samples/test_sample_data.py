"""The embedded copy of the public sample bucket: SST2's format, the same everywhere, and said to be synthetic."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from airflow_nbjobs.local.sample_data import README_KEY, TEST_KEY, TEST_LINES, TRAIN_KEY, TRAIN_LINES, sample_objects

LINE = re.compile(r"[01] [a-z][a-z' ,.-]*[a-z.]")


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    return sample_objects()


def test_the_keys_are_those_of_the_public_bucket_and_a_readme(objects):
    assert sorted(objects) == sorted([TRAIN_KEY, TEST_KEY, README_KEY])
    assert (TRAIN_KEY, TEST_KEY) == ("datasets/text/SST2/sst2.train", "datasets/text/SST2/sst2.test")


@pytest.mark.parametrize(("key", "count"), [(TRAIN_KEY, TRAIN_LINES), (TEST_KEY, TEST_LINES)])
def test_each_line_is_a_label_a_blank_and_lower_case_text(objects, key, count):
    lines = objects[key].decode("ascii").splitlines()
    assert len(lines) == count
    assert [line for line in lines if not LINE.fullmatch(line)] == []


@pytest.mark.parametrize("key", [TRAIN_KEY, TEST_KEY])
def test_both_labels_are_about_as_frequent(objects, key):
    labels = Counter(line.split(" ", 1)[0] for line in objects[key].decode().splitlines())
    assert 0.45 < labels["1"] / labels.total() < 0.6


def test_the_test_set_is_not_a_part_of_the_training_set(objects):
    train, test = (set(objects[key].decode().splitlines()) for key in (TRAIN_KEY, TEST_KEY))
    assert len(test & train) < len(test) * 0.05  # a few short sentences coincide


def test_every_process_generates_the_same_bytes(objects):
    """A hash seed, a locale or the order of a set would make two runs of one day train on different data."""
    code = (
        "import hashlib; from airflow_nbjobs.local.sample_data import sample_objects; "
        "print(hashlib.sha256(b''.join(sample_objects().values())).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {hashlib.sha256(b"".join(objects.values())).hexdigest()}


def test_the_readme_says_that_the_data_is_synthetic(objects):
    text = objects[README_KEY].decode()
    assert "generated" in text
    assert "no evidence of the quality of any model" in text
