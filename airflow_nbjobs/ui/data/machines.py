"""
The instance type of a job whose end does not say it, as the ends of jobs of earlier versions: cut out of the stored job by the database.

Called by ``listing.py`` and ``trend.py``: a stored job is a kilobyte or two, of which this is all that a sum needs.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import String, cast, func

# After its name in a stored job, whether that is JSON or JSON within JSON.
_INSTANCE_TYPE = re.compile(r'"instance_type\\?": ?\\?"([A-Za-z0-9._-]{1,64})\\?"')
_KEY = '"instance_type'
_CHARACTERS = 90


def machine_text(value: Any, *, is_postgres: bool) -> Any:
    """Return the expression of what a stored job says from its instance type on."""
    stored = cast(value, String)
    place = func.strpos(stored, _KEY) if is_postgres else func.instr(stored, _KEY)
    return func.substr(stored, place, _CHARACTERS)


def machine_of(text: str | None) -> str | None:
    """Return the instance type that such a text begins with."""
    found = _INSTANCE_TYPE.match(text) if text else None
    return found[1] if found else None
