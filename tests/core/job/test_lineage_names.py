"""Which datasets a job's values name."""

import pytest

from airflow_nbjobs.core.job.lineage import DatasetName, dataset_name, datasets_in, is_written, read_and_written


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("s3://bucket/a/b.csv", DatasetName("s3://bucket", "a/b.csv")),
        ("s3a://bucket/a/", DatasetName("s3://bucket", "a")),  # Spark's word for the same
        ("s3://bucket//a", DatasetName("s3://bucket", "a")),
        ("s3://bucket", None),
        ("s3://bucket/", None),
        ("s3://Bucket_/a", None),
        ("https://bucket/a", None),
        ("see s3://bucket/a", None),
        ("", None),
    ],
)
def test_an_s3_uri_is_named_as_openlineage_names_it(uri, named):
    assert dataset_name(uri) == named


def test_uris_are_found_in_lists_and_mappings_each_once():
    value = {
        "a": ["s3://bkt/1", {"deep": "s3://bkt/2"}],
        "c": "s3://bkt/1",
        "n": 5,
        "none": None,
        "bytes": b"s3://bkt/3",
    }
    assert datasets_in(value) == (DatasetName("s3://bkt", "1"), DatasetName("s3://bkt", "2"))


def test_a_list_of_every_object_of_a_day_is_cut():
    assert len(datasets_in([f"s3://bkt/{n}" for n in range(5_000)])) == 200


def test_what_refers_to_itself_ends():
    knot = ["s3://bkt/1"]
    knot.append(knot)
    assert datasets_in(knot) == (DatasetName("s3://bkt", "1"),)


@pytest.mark.parametrize("name", ["output_uri", "outputPath", "results_s3", "target", "dest_prefix"])
def test_a_parameters_name_says_that_it_is_written(name):
    assert is_written(name)


@pytest.mark.parametrize("name", ["train_s3_uri", "input_path", "outputting", "resultset"])
def test_other_parameters_are_read(name):
    assert not is_written(name)


def test_what_is_read_stays_read_though_an_output_repeats_it():
    read, written = read_and_written(
        {"train_s3_uri": "s3://bkt/train", "output_uri": "s3://bkt/out"},
        ["lookup.csv", "s3://bkt/lookup.csv"],
        {"train_s3_uri": "s3://bkt/train", "model": "s3://bkt/model", "out": "s3://bkt/out", "accuracy": 0.5},
    )
    assert [each.name for each in read] == ["train", "lookup.csv"]
    assert [each.name for each in written] == ["out", "model"]


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        (" s3://bucket/a\n", DatasetName("s3://bucket", "a")),
        ("s3n://bucket/a", DatasetName("s3://bucket", "a")),
        ("s3x://bucket/a", None),
        ("s3://abc/a//", DatasetName("s3://abc", "a")),
        ("s3://ab/a", None),
        (f"s3://{'a' * 63}/a", DatasetName(f"s3://{'a' * 63}", "a")),
        (f"s3://{'a' * 64}/a", None),
        ("s3://bucket/a b\nc", DatasetName("s3://bucket", "a b\nc")),
        ("s3://bucket/ a", None),
    ],
)
def test_a_bucket_is_one_that_s3_may_have(uri, named):
    assert dataset_name(uri) == named


def test_lists_in_lists_are_read_to_a_depth_that_nobody_writes():
    def nested(levels):
        value = "s3://bkt/deep"
        for _ in range(levels):
            value = [value]
        return value

    assert datasets_in(nested(20)) == (DatasetName("s3://bkt", "deep"),)
    assert datasets_in(nested(21)) == ()
    assert datasets_in("s3://bkt/deep") == (DatasetName("s3://bkt", "deep"),)


def test_names_of_a_mapping_are_no_datasets():
    assert datasets_in({"s3://bkt/name": 5}) == ()


@pytest.mark.parametrize(
    "word",
    [
        "output",
        "outputs",
        "out",
        "target",
        "targets",
        "destination",
        "dest",
        "sink",
        "result",
        "results",
        "save",
        "write",
    ],
)
def test_each_word_of_writing_counts_wherever_it_stands(word):
    for name in (word, word.upper(), f"{word}_uri", f"s3_{word}", f"model{word.capitalize()}Path"):
        assert is_written(name), name


def test_what_is_written_is_cut_as_well_and_named_once():
    parameters = {"output_uris": [f"s3://bkt/{number}" for number in range(150)], "out": "s3://bkt/1"}
    _, written = read_and_written(parameters, None, {"more": [f"s3://bkt/{number}" for number in range(100, 400)]})
    assert len(written) == len(set(written)) == 200


def test_a_dependency_may_be_one_path():
    read, written = read_and_written({}, "s3://bkt/lookup.csv", {})
    assert (read, written) == ((DatasetName("s3://bkt", "lookup.csv"),), ())
