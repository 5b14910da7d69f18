"""Durations as every page writes them; used by the pages and by the rendering process, so it imports nothing."""


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: ``5 s``, ``2 min 5 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
