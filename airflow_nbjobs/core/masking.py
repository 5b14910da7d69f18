"""
The beginning and the end of a long text, without half a secret where it is cut.

Called wherever a text is cut before Airflow's masker sees it. Standard library only; ``hooks.py`` says what masks. The process that renders notebooks masks
nothing: it shows them whole, and knows no secret of Airflow's.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A masker takes a second and more for a million characters. No secret is longer than this.
_LONGEST_SECRET = 100_000
_process = SimpleNamespace(mask=str)


def mask_with(mask: Callable[[str], str]) -> None:
    """Set what hides secrets in this process. Airflow's log masks whole secrets: it does not know one that was cut before."""
    _process.mask = mask


def masked(text: str) -> str:
    return str(_process.mask(text))


def masked_start(text: str, most: int) -> str:
    """Return the first characters of a text, masked before they are cut."""
    return masked(text[: most + _LONGEST_SECRET])[:most]


def masked_ends(text: str, head: int, tail: int, mask: Callable[[str], str] | None = None) -> tuple[str, str]:
    """
    Return the first and the last characters of a text that is longer, masked before they are cut.

    :param mask: instead of what ``mask_with`` has set.
    """
    hide = mask or masked
    return hide(text[: head + _LONGEST_SECRET])[:head], hide(text[-tail - _LONGEST_SECRET :])[-tail:]
