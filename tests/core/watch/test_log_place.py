"""Which events of a container's log are new, and which of their lines are worth reading."""

import json

import pytest

from airflow_nbjobs.core.watch import log_place
from airflow_nbjobs.core.watch.log_place import LogEvent, LogPlace, readable_log

# As the driver, papermill and a kernel wrote it (sagemaker-headless-execution-driver 0.0.13, papermill 2.7).
REAL = [
    "+ TRAINING_OUTPUT_PATH=/opt/ml/output/data",
    "++ sed 's|\\.|-|g'",
    "No init-script is specified.",
    "Use Kernel python3 to execute nb.ipynb with output to /opt/ml/output/data/job.ipynb. Params: {}",
    "Executing:   0%|          | 0/3 [00:00<?, ?cell/s]",
    "\rExecuting:  33%|███       | 1/3 [00:00<00:01,  1.79cell/s]",
    "\rExecuting:  67%|██████    | 2/3 [00:06<00:03,  3.77s/cell]\rExecuting: 100%|██████████| 3/3 [00:06<00:00,  3.35s/cell]",
    "Execution complete",
    "\x1b[31mdone\x1b[0m",
]


def events(*messages, first=1, stream="job/algo-1-1"):
    return [LogEvent(id=f"{stream}{at}", stream=stream, at=at, message=text) for at, text in enumerate(messages, first)]


def test_a_real_log_becomes_a_line_for_each_step():
    assert LogPlace().take(events(*REAL)) == [
        "No init-script is specified.",
        "Use Kernel python3 to execute nb.ipynb with output to /opt/ml/output/data/job.ipynb. Params: {}",
        "cell 1 of 3 has ended",
        "cell 2 of 3 has ended",
        "cell 3 of 3 has ended",
        "Execution complete",
        "done",
    ]


def test_of_a_cell_that_fails_nothing_says_that_all_is_well():
    """papermill's bar counts each cell that has ended, the one that has failed as well."""
    failing = [*REAL[:7], 'Exception encountered at "In [3]":', "ValueError: no"]
    assert LogPlace().take(events(*failing))[4:] == ["cell 3 of 3 has ended", *failing[7:]]


def test_cells_are_numbered_as_the_author_numbers_them():
    place = LogPlace(added=(2, 3))
    assert [line for line in place.take(events(*REAL)) if line.startswith("cell")] == ["cell 1 of 1 has ended"]
    assert LogPlace.from_json(json.loads(json.dumps(place.to_json()))) == place


def test_a_place_knows_how_many_cells_have_run_of_how_many_also_when_another_process_goes_on():
    place = LogPlace()
    place.take(events(*REAL[:-3]))
    assert (place.cell, place.cells) == (1, 3)
    assert LogPlace.from_json(json.loads(json.dumps(place.to_json()))) == place


def test_what_a_cell_prints_behind_the_bar_is_kept():
    lines = LogPlace().take(
        events("Executing:  20%|██        | 1/5 [00:00<00:01,  2.2cell/s]one begins", "Executing:  4")
    )
    assert lines == ["cell 1 of 5 has ended", "one begins", "Executing:  4"]


def test_of_a_run_of_other_bars_the_last_stays_and_a_long_line_is_cut():
    bars = [f"train:  {n}%|#   | {n}/9 [00:01<00:02,  1.00it/s]" for n in (1, 5, 9)]
    assert LogPlace().take(events(*bars, "x" * 900)) == [bars[-1], "x" * 500 + "…"]


def test_each_event_counts_once_however_often_and_in_whatever_order_it_comes():
    place = LogPlace()
    first, second, third = events("a", "b", "c")
    assert place.take([third, first]) == ["a", "c"]
    assert place.take([first, second, third]) == ["b"]
    assert place.take([first, second, third]) == []


def test_what_is_older_than_the_floor_has_been_read():
    place = LogPlace()
    place.take(events("a", "b", "c"))
    place.forget_before(3)
    assert set(place.seen.values()) == {3}
    assert place.take(events("a", "b", "c", "d")) == ["d"]
    place.forget_before(1)
    assert place.floor == 3


def test_another_process_goes_on_where_the_first_left_off():
    place = LogPlace()
    place.take(events(*REAL[:6]))
    again = LogPlace.from_json(json.loads(json.dumps(place.to_json())))
    assert again == place
    assert again.take(events(*REAL)) == ["cell 2 of 3 has ended", "cell 3 of 3 has ended", "Execution complete", "done"]


def test_a_place_stays_small_and_loses_nothing_that_is_newer():
    place = LogPlace()
    place.take(events(*map(str, range(1000))))
    value = place.to_json()
    assert len(value["seen"]) == 200
    assert LogPlace.from_json(value).take(events(*map(str, range(1003)))) == ["1000", "1001", "1002"]


@pytest.mark.parametrize(
    "value", [None, {}, {"floor": "x"}, {"seen": [1]}, {"seen": {"a": None}}, {"floor": float("inf")}, "text", 7]
)
def test_what_is_no_place_is_the_beginning(value):
    assert LogPlace.from_json(value) == LogPlace()


def test_what_lies_at_the_floor_is_new_and_what_is_older_is_not():
    place = LogPlace(floor=5)
    assert place.take(events("old", "new", first=4)) == ["new"]
    assert place.seen == {"job/algo-1-15": 5}


def test_streams_are_those_that_have_had_something_new():
    place = LogPlace(floor=5)
    place.take(events("old", first=4, stream="gone"))
    place.take([*events("a", first=6, stream="b"), *events("c", first=6, stream="a")])
    assert place.streams == {"a", "b"}
    assert place.to_json()["streams"] == ["a", "b"]


def test_of_many_streams_the_last_ten_travel():
    place = LogPlace(streams={f"s{number:02}" for number in range(15)})
    assert place.to_json()["streams"] == [f"s{number:02}" for number in range(5, 15)]
    assert len(place.streams) == 15


def test_what_is_sent_leaves_the_place_itself_as_it_is():
    place = LogPlace()
    place.take(events(*map(str, range(10))))
    sent = place.to_json(most_seen=3)
    assert (sent["floor"], sorted(sent["seen"].values())) == (8, [8, 9, 10])
    assert (place.floor, len(place.seen)) == (0, 10)


@pytest.mark.parametrize(
    ("times", "most", "kept", "floor"),
    [
        ([1, 2, 3], 3, [1, 2, 3], 0),
        ([1, 2, 3], 2, [2, 3], 2),
        ([1, 2, 2, 3], 2, [3], 3),  # of one millisecond some would be new twice
        ([1, 2, 2, 3], 3, [2, 2, 3], 2),
        ([2, 2, 2], 2, [], 3),
    ],
)
def test_events_of_one_millisecond_stay_or_go_together(times, most, kept, floor):
    place = LogPlace()
    place.take([LogEvent(id=str(number), stream="s", at=at, message="x") for number, at in enumerate(times)])
    place.keep_newest(most)
    assert sorted(place.seen.values()) == kept
    assert place.floor == floor


def test_a_burst_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(log_place, "_MOST_HELD", 3)
    place = LogPlace()
    assert len(place.take(events("a", "b", "c", "d"))) == 4
    assert len(place.seen) == 3


def test_a_bar_that_goes_back_ends_no_cell_again():
    place = LogPlace()
    bar = "Executing:  33%|###   | {}/3 [00:00<00:01,  1.79cell/s]"
    assert place.readable([bar.format(2), bar.format(1), bar.format(2), bar.format(3)]) == [
        "cell 2 of 3 has ended",
        "cell 3 of 3 has ended",
    ]
    assert (place.cell, place.cells) == (3, 3)


def test_a_whole_log_is_read_as_line_by_line():
    assert readable_log(REAL, added=(2, 3)) == LogPlace(added=(2, 3)).readable(REAL)
    assert readable_log(REAL) == LogPlace().take(events(*REAL))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"floor": "5", "cell": 2.0, "cells": None}, LogPlace(floor=5, cell=2)),
        ({"seen": {"a": "7"}, "streams": ["s"], "added": ["3"]}, LogPlace(seen={"a": 7}, streams={"s"}, added=(3,))),
        ({"seen": None, "streams": None, "added": None, "more": 1}, LogPlace()),
        ({"added": ["x"], "floor": 5}, LogPlace()),
    ],
    ids=str,
)
def test_a_place_is_read_from_what_a_database_makes_of_it(value, expected):
    assert LogPlace.from_json(value) == expected
