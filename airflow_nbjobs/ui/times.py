"""Numbers, durations and instants that somebody else wrote; read by the pages and by the rendering process. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_nbjobs.core.numbers import is_number


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: ``5 s``, ``2 min 5 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def checked_duration(seconds: object) -> str | None:
    """Return what an XCom or AWS says took so long, in words; None for what is no duration."""
    return duration_text(seconds) if is_number(seconds) and 0 <= seconds < 1e10 else None


def time_text(moment: object) -> str | None:
    """Return an instant as ISO text in UTC; the page's script shows it in the reader's own time zone."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if not isinstance(moment, datetime):
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")
    except OverflowError:  # of the calendar's first or last day, in another zone
        return None
