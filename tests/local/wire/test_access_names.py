"""Which names are this machine's own, and how patterns of AWS's model are read."""

from __future__ import annotations

import pytest

from airflow_nbjobs.local.wire.access import _host_name, _is_loopback
from airflow_nbjobs.local.wire.validation import _matches


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("localhost:5000", True),
        ("LOCALHOST", True),
        ("127.0.0.1:5000", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("10.0.0.1", False),
        ("example.com:80", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_a_name_of_this_machine(host, is_loopback):
    assert _is_loopback(_host_name(host)) is is_loopback


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("[a-z]+", "abc", True),
        ("[a-z]+", "abc1", False),
        (r"[\p{L}\p{N}]*", "é٣x", True),
        (r"[\p{L}]*", "a b", False),
        (r"[\p{L}\p{Z}]*", "a\u00a0b", True),
        ("(?<x>a)", "anything", True),
    ],
)
def test_a_pattern_is_javas_and_one_that_only_java_knows_refuses_nothing(pattern, value, matches):
    assert _matches(pattern, value) is matches
