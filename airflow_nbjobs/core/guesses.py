"""The known word that somebody may have meant who typed another one; pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> str:
    """
    Return ``; did you mean '…' or '…'?``, nearest first, to be put behind a message; empty where nothing is near.

    :param most: how many of the known to name.
    :param cutoff: how alike they have to be, as ``difflib`` counts it.
    """
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), names, n=most, cutoff=cutoff)
    meant = " or ".join(f"'{names[name]}'" for name in close)
    return f"; did you mean {meant}?" if meant else ""
