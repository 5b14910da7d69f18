"""
Rendering piece by piece: a piece that fails, or takes too long, becomes a note that says why, and its text; the rest is rendered.

Called by ``document.py`` and ``outputs.py`` around each source, text and output.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from contextlib import contextmanager
from html import unescape
from html.entities import html5
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE_SECONDS = 5.0
_TEXT_CHARACTERS = 20_000
_ALL_TEXT_CHARACTERS = 8 * 1024 * 1024
_MOST_FAILURES = 20
# As a character, or as what stands for one in HTML: a browser reads it without its semicolon too.
_NAMED = "|".join(sorted({name.rstrip(";") for name, char in html5.items() if visible(char) != char}))
_ENTITY = re.compile(rf"&(?:#[xX][0-9a-fA-F]{{1,12}}|#[0-9]{{1,12}}|(?:{_NAMED})(?![A-Za-z0-9]));?")
# Of formulas, where browsers know them: function application, times, separator, plus.
_MATH = re.compile(r"(<math\b[^<]*(?:<(?!/?math\b)[^<]*)*</math>)")
_OPERATORS = "\u2061\u2062\u2063\u2064"


class _OutOfTimeError(BaseException):
    """Not an ``Exception``: what renders a piece catches those of its libraries."""


class Guard:
    """
    Renders the pieces of one document.

    :param seconds: of processor time, for all pieces together; what comes after is shown as text.
    :param with_scripts: scripts of a piece stay word for word, and what is unseen in it with them.
    :ivar failures: which pieces could not be rendered, and why.
    :ivar unrendered: how many these are.
    """

    def __init__(self, seconds: float, *, with_scripts: bool = False) -> None:
        self._left = seconds
        self._with_scripts = with_scripts
        self._is_within = self._is_late = False
        self._text_left = _ALL_TEXT_CHARACTERS
        self.failures: list[str] = []
        self.unrendered = 0
        self.is_out_of_time = False

    def piece(self, what: str, render: Callable[[], Markup], text: Callable[[], str]) -> Markup:
        """
        Return a piece of the page, in which what is unseen is marked.

        A piece may hold others, of an output within a widget, say: the time is that of the outermost.

        :param what: where it is, for the log: ``"cell 3, output 1"``.
        :param text: what is shown if it cannot be rendered.
        """
        if self._is_within:
            return self._plain(text) if self._is_late else self._rendered(what, render, text)
        if self._left <= 0:
            self.is_out_of_time = True
            return self._plain(text)
        started = time.process_time()
        self._is_within = True
        try:
            with _limited(min(_PIECE_SECONDS, self._left)):
                return self._rendered(what, render, text)
        except _OutOfTimeError:  # once more, while the reason was being written
            return self._given_up(what, "rendering it took too long", text)
        finally:
            self._is_within = self._is_late = False
            self._left -= time.process_time() - started

    def _rendered(self, what: str, render: Callable[[], Markup], text: Callable[[], str]) -> Markup:
        try:
            shown = render()
            return shown if self._with_scripts and "<script" in shown else _marked(shown)
        except _OutOfTimeError:
            self._is_late = True
            reason = "rendering it took too long"
        except MemoryError:
            reason = "rendering it took too much memory"
        except RecursionError:
            reason = "it is nested too deep"
        except Exception as error:  # noqa: BLE001 - whatever a library raises for what a notebook holds
            reason = f"{type(error).__name__}: {error}"[:300]
        return self._given_up(what, reason, text)

    def _given_up(self, what: str, reason: str, text: Callable[[], str]) -> Markup:
        self.unrendered += 1
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(visible(f"{what}: {reason}"))
        return _marked(_NOTE.format(reason)) + self._plain(text)

    def _plain(self, text: Callable[[], str]) -> Markup:
        try:
            found = text()
        except Exception as error:  # noqa: BLE001 - as above
            found = f"({type(error).__name__})"
        shown = found[: min(_TEXT_CHARACTERS, self._text_left)]
        self._text_left -= len(shown)
        more = f"\n… {len(found) - len(shown):,} more characters are in the .ipynb" if len(shown) < len(found) else ""
        return (
            _marked(Markup('<div class="nb-text nb-plain"><pre>{}{}</pre></div>').format(shown, more))
            if found
            else Markup("")
        )


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """
    Raise ``_OutOfTimeError`` in the block after so much processor time; Python's own loops and regular expressions end at it, a library in C after its call.

    Signals reach the main thread only; the rendering process has no other.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def out_of_time(_signal: int, _frame: Any) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGPROF, out_of_time)
    try:
        # Again after a while: an exception raised in a destructor is lost.
        signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _marked(shown: str) -> Markup:
    parts = _MATH.split(shown)
    seen = [visible(part, but=_OPERATORS if place % 2 else "") for place, part in enumerate(parts)]
    return Markup(_ENTITY.sub(_of_entity, "".join(seen)))  # noqa: S704 - nothing but marks is put in


def _of_entity(found: re.Match[str]) -> str:
    character = unescape(found[0])
    mark = visible(character, but=_OPERATORS)
    return found[0] if mark == character else mark


_NOTE = Markup('<p class="nb-notice">This cannot be shown as it should: {}.</p>')
