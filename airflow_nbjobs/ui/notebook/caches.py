"""
Caches of the pages: values for some seconds, folders on disk up to a size.

Used by ``notebook/executed.py``, from many threads.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Value = TypeVar("Value")

_MOST_REMEMBERED = 2_000


class TimedCache(Generic[Value]):
    """
    Values that are made anew after a while.

    :param is_final: whether a value stays as it is for ever.
    :param most: values that are remembered.
    """

    def __init__(
        self, seconds: float, is_final: Callable[[Value], bool] = lambda _: False, *, most: int = _MOST_REMEMBERED
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._is_final = is_final
        self._values: OrderedDict[tuple[Any, ...], tuple[float, Value]] = OrderedDict()

    def get(self, key: tuple[Any, ...], make: Callable[[], Value]) -> Value:
        known = self._values.get(key)
        if known is not None and (time.monotonic() - known[0] < self._seconds or self._is_final(known[1])):
            return known[1]
        value = make()
        self._values[key] = (time.monotonic(), value)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
        return value


class FolderCache:
    """Folders by name below one, of which the least recently used go when all together are too large."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._busy: dict[str, list[Any]] = {}  # name -> [lock, users]

    @contextmanager
    def entry(self, name: str) -> Iterator[Path]:
        """Hold one folder: made where it is missing, used by one caller at a time, emptied where its making fails."""
        with self._lock:
            held = self._busy.setdefault(name, [threading.Lock(), 0])
            held[1] += 1
        folder = self._root / name
        try:
            with held[0]:
                is_new = name not in self._sizes
                folder.mkdir(parents=True, exist_ok=True)  # what tidies /tmp may have taken the root away
                try:
                    yield folder
                finally:
                    if is_new and not (folder / "outcome.json").exists():
                        shutil.rmtree(folder, ignore_errors=True)
                    else:
                        self._note(name, folder)
        finally:
            with self._lock:
                held[1] -= 1
                if held[1] == 0:
                    del self._busy[name]

    def _note(self, name: str, folder: Path) -> None:
        try:
            size = sum(each.stat().st_size for each in folder.iterdir())
        except OSError:  # tidied away
            size = 0
        with self._lock:
            self._sizes[name] = size
            self._sizes.move_to_end(name)
            for old in list(self._sizes):
                if sum(self._sizes.values()) <= self._limit_bytes or old == name:
                    break
                if old not in self._busy:
                    del self._sizes[old]
                    shutil.rmtree(self._root / old, ignore_errors=True)
