"""What counts as a number, in values that others have written. Called by ``core/job`` and ``ui``; the standard library alone."""

from __future__ import annotations

from typing import TypeGuard


def is_number(value: object) -> TypeGuard[int | float]:
    """Say whether a value is a number; to Python True is one, too."""
    return isinstance(value, int | float) and not isinstance(value, bool)
