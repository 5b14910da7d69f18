"""What the waiting tasks of a process share, and until when."""

import asyncio

import loops
import pytest

from airflow_nbjobs.aws.watch.shared import PollerKey, shared_log_reader, shared_poller
from airflow_nbjobs.core.watch.log_place import LogPlace

KEY = PollerKey("aws_default", "eu-west-1", "None", "null")


async def never():
    await asyncio.sleep(1e9)


def log_reader(key):
    return shared_log_reader(key, never)


def poller(key):
    return shared_poller(key, never)


@pytest.mark.parametrize("make", [poller, log_reader])
@pytest.mark.parametrize(
    "other",
    [
        {"aws_conn_id": "another"},
        {"aws_conn_id": None},
        {"region_name": "us-east-1"},
        {"verify": "False"},
        {"botocore_config": "{}"},
    ],
    ids=str,
)
async def test_who_asks_with_other_credentials_or_elsewhere_has_one_of_its_own(make, other):
    assert make(KEY) is make(KEY._replace())
    assert make(KEY._replace(**other)) is not make(KEY)


@pytest.mark.parametrize("make", [poller, log_reader])
def test_each_loop_has_its_own(make):
    async def made():
        return make(KEY)

    first, second = loops.run(made()), loops.run(made())
    assert first is not second


async def test_a_log_reader_is_let_go_with_its_last_job():
    reader = log_reader(KEY)
    one, other = reader.follow("a", LogPlace()), reader.follow("b", LogPlace())
    reader.leave(one)
    assert log_reader(KEY) is reader
    reader.leave(other)
    assert log_reader(KEY) is not reader


async def test_one_that_is_in_use_again_is_kept():
    """Its last waiter has left, and the next has come, before it was told that it is idle."""
    first = log_reader(KEY)
    one = first.follow("a", LogPlace())
    first.leave(one)
    again = log_reader(KEY)
    again.follow("b", LogPlace())
    first._on_idle()
    assert log_reader(KEY) is again
