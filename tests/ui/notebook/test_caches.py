"""What the API server keeps of AWS's answers and of rendered pages: for how long, how much, and whose turn it is to go."""

from __future__ import annotations

import shutil
import threading

import pytest

from airflow_nbjobs.ui.notebook import caches
from airflow_nbjobs.ui.notebook.caches import FolderCache, TimedCache


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(caches.time, "monotonic", lambda: now[0])
    return now


def test_a_value_is_made_anew_after_its_time_unless_it_is_final(clock):
    cache = TimedCache(5.0, is_final=lambda value: value == "ended")
    values = iter(["first", "second", "ended", "never"])
    made = []
    for moment in (100.0, 104.9, 105.0, 111.0, 999.0):
        clock[0] = moment
        made.append(cache.get(("a",), lambda: next(values)))
    assert made == ["first", "first", "second", "ended", "ended"]


def test_of_many_values_the_newest_are_remembered(clock):
    cache, made = TimedCache(5.0, most=2), []
    for name in ("a", "b", "c", "b", "a"):
        cache.get((name,), lambda name=name: made.append(name))
    assert made == ["a", "b", "c", "a"]


def fill(cache, name, size):
    with cache.entry(name) as folder:
        (folder / "outcome.json").write_bytes(b"x" * size)


def names(root):
    return sorted(each.name for each in root.iterdir())


def test_the_least_recently_used_folders_go_when_all_are_too_large(tmp_path):
    cache = FolderCache(tmp_path, 100)
    for name in ("a", "b"):
        fill(cache, name, 50)
    assert names(tmp_path) == ["a", "b"]
    with cache.entry("a"):  # is used
        pass
    fill(cache, "c", 1)
    assert names(tmp_path) == ["a", "c"]
    fill(cache, "d", 1000)
    assert names(tmp_path) == ["d"], "the newest stays, however large"


def test_a_folder_in_use_stays_though_all_are_too_large(tmp_path):
    cache = FolderCache(tmp_path, 100)
    fill(cache, "a", 60)
    with cache.entry("a") as folder:
        fill(cache, "b", 60)
        assert (folder / "outcome.json").exists()
    fill(cache, "c", 60)
    assert names(tmp_path) == ["c"]


@pytest.mark.parametrize("has_outcome", [False, True])
def test_a_folder_whose_making_fails_is_emptied_unless_it_says_how_it_went(tmp_path, has_outcome):
    cache = FolderCache(tmp_path, 100)
    with pytest.raises(KeyError), cache.entry("a") as folder:  # noqa: PT012 - what is made before it fails is the subject
        (folder / "document.html").touch()
        if has_outcome:
            (folder / "outcome.json").touch()
        raise KeyError
    assert names(tmp_path) == ["a"] * has_outcome
    fill(cache, "a", 1)
    with pytest.raises(KeyError), cache.entry("a"):
        raise KeyError
    assert names(tmp_path) == ["a"], "what was made before is not lost over one reader's failure"


def test_what_somebody_has_tidied_away_meanwhile_counts_nothing(tmp_path):
    root = tmp_path / "cache"
    cache = FolderCache(root, 100)
    fill(cache, "a", 60)
    with cache.entry("a") as folder:
        shutil.rmtree(folder)
    fill(cache, "b", 60)
    assert cache._sizes == {"a": 0, "b": 60}


def test_one_folder_has_one_user_at_a_time(tmp_path):
    cache, order = FolderCache(tmp_path, 100), []
    started = threading.Event()

    def second():
        started.set()
        with cache.entry("a"):
            order.append("second")

    with cache.entry("a"):
        thread = threading.Thread(target=second)
        thread.start()
        started.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert cache._busy == {}
