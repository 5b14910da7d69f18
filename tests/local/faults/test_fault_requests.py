"""Which faults can be asked for: a switch that means nothing is refused, rather than never hit. No server is needed."""

from __future__ import annotations

import threading
from random import Random

import pytest

from airflow_nbjobs.local.faults.switches import LONGEST_DELAY_SECONDS, Switch, parse_fault
from airflow_nbjobs.local.wire.formats import ValidationError


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "needs its effect"),
        ({"effect": "boom"}, "The effect is one of"),
        ({"effect": "error", "when": "during"}, "before or after"),
        ({"effect": "error", "operations": "CreateTrainingJob"}, "a list of names"),
        ({"effect": "error", "operations": [1]}, "a list of names"),
        ({"effect": "error", "colour": "red"}, "has no colour"),
        ({"effect": "delay", "seconds": -0.1}, "A delay lasts"),
        ({"effect": "delay", "seconds": LONGEST_DELAY_SECONDS + 1}, "A delay lasts"),
        ({"effect": "error", "probability": 1.1}, "A probability"),
        ({"effect": "error", "probability": -0.1}, "A probability"),
        ({"effect": "error", "status": 399}, "400 to 599"),
        ({"effect": "error", "status": 600}, "400 to 599"),
    ],
)
def test_a_fault_that_means_nothing_is_refused(document, words):
    with pytest.raises(ValidationError) as caught:
        parse_fault(document)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "document",
    [
        {"effect": "reset"},
        {"effect": "delay", "seconds": 0},
        {"effect": "delay", "seconds": LONGEST_DELAY_SECONDS, "when": "after"},
        {"effect": "error", "status": 400, "probability": 0},
        {"effect": "error", "status": 599, "probability": 1, "operations": ["s3:*"]},
    ],
)
def test_the_limits_themselves_are_taken(document):
    assert parse_fault(document).effect == document["effect"]


@pytest.mark.parametrize(
    ("document", "operation", "resource", "is_hit"),
    [
        ({}, "s3:PutObject", "b/k", True),
        ({"operations": ["s3:*"]}, "s3:PutObject", "b/k", True),
        ({"operations": ["Create*", "s3:*"]}, "DescribeTrainingJob", "j", False),
        ({"resource": "b/*"}, "s3:PutObject", "c/k", False),
        ({"operations": ["s3:*"], "resource": "b/*"}, "s3:PutObject", "b/k", True),
    ],
)
def test_a_fault_hits_calls_by_their_names_and_what_they_are_about(document, operation, resource, is_hit):
    assert parse_fault({"effect": "reset"} | document).matches(operation, resource) is is_hit


@pytest.mark.parametrize(
    ("document", "hits", "now", "is_spent"),
    [
        ({}, 1000, 1e9, False),
        ({"times": 2}, 1, 10.0, False),
        ({"times": 2}, 2, 10.0, True),
        ({"for_seconds": 5}, 0, 14.9, False),
        ({"for_seconds": 5}, 0, 15.0, True),
        ({"times": 2, "for_seconds": 5}, 0, 15.0, True),
    ],
)
def test_a_fault_ends_after_so_many_hits_or_so_long(document, hits, now, is_spent):
    fault = parse_fault({"effect": "reset"} | document)
    switch = Switch("1", fault, since=10.0, draws=Random(0), hits=hits, is_off=threading.Event())
    assert switch.is_spent(now) is is_spent
