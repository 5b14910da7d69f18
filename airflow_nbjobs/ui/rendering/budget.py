"""
How much of each kind of output a notebook's page may still show, and the state that its outputs share.

Made by ``document.py``, spent by ``outputs.py`` and ``text.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.ui.rendering.formulas import Formulas
from airflow_nbjobs.ui.rendering.guard import Guard

if TYPE_CHECKING:
    from airflow_nbjobs.ui.rendering.widgets import Widgets

_ALL_HTML_TAGS = 60_000
_ALL_IMAGES_CHARACTERS = 24 * 1024 * 1024
_ALL_HTML_CHARACTERS = 4 * 1024 * 1024
_ALL_TEXT_CHARACTERS = 8 * 1024 * 1024
_ALL_SCRIPTED_CHARACTERS = 24 * 1024 * 1024
_OWN_SECONDS = 12.0


class Budget(msgspec.Struct):
    """
    What the page of one notebook may still show.

    :param metadata: the notebook's, where the state of its widgets is.
    :ivar scripted: outputs that do more with scripts.
    :ivar carried: libraries that the outputs so far bring along.
    :ivar styled: outputs that have a style sheet.
    :ivar masks: something of the outputs is not compared with another notebook's, since it differs each time.
    """

    with_scripts: bool = False
    guard: Guard = msgspec.field(default_factory=lambda: Guard(_OWN_SECONDS))
    metadata: object = None
    left: dict[str, int] = msgspec.field(
        default_factory=lambda: {
            "image": _ALL_IMAGES_CHARACTERS,
            "html": _ALL_HTML_CHARACTERS,
            "tags": _ALL_HTML_TAGS,
            "text": _ALL_TEXT_CHARACTERS,
            "scripted": _ALL_SCRIPTED_CHARACTERS,
        }
    )
    refused: int = 0
    scripted: int = 0
    carried: frozenset[str] = frozenset()
    styled: int = 0
    masks: bool = False
    formulas: Formulas = msgspec.field(default_factory=Formulas)
    widgets: Widgets | None = None

    def take(self, kind: str, characters: int, limit: int) -> bool:
        if characters > limit or characters > self.left[kind]:
            self.refused += 1
            return False
        self.left[kind] -= characters
        return True

    def notices(self) -> list[str]:
        """Return what a reader should know of all that is not shown as it should be."""
        found = []
        if self.masks:
            found.append(
                "Places in memory (<… at 0x…>) and names of elements that are made up anew each time are not compared."
            )
        if self.refused:
            found.append(f"{self.refused} large output(s) are shown in part or not at all; the .ipynb has them.")
        if self.guard.unrendered:
            found.append(f"{self.guard.unrendered} piece(s) could not be rendered; each says why, in its place.")
        if self.guard.is_out_of_time:
            found.append("Rendering all of the notebook would take too long: some of it is shown as plain text.")
        return found
