"""Durations and shares as people write them: `30s`, `1h`, `10%`."""

import re
from datetime import UTC, datetime

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d{1,9}(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
SHARE = re.compile(r"(\d{1,9}(?:\.\d+)?)\s*%", re.ASCII)


def duration(text: str) -> float:
    """Return the seconds of `500ms`, `30s`, `5m`, `1h` or `7d`. Raises ValueError otherwise."""
    match = DURATION.fullmatch(text.strip())
    if match is None:
        message = f"{text!r} is not a duration; write 500ms, 30s, 5m, 1h or 7d"
        raise ValueError(message)
    return float(match[1]) * UNITS[match[2]]


def share(text: str) -> float:
    """Return 0.1 for `10%`. Raises ValueError unless it lies between 0 % and 100 %."""
    match = SHARE.fullmatch(text.strip())
    if match is None or float(match[1]) > 100:  # noqa: PLR2004 - per cent
        message = f"{text!r} is not a share; write it as 10%"
        raise ValueError(message)
    return float(match[1]) / 100


def spoken(seconds: float) -> str:
    """Return a duration for people: `2.5 s`, `4 min`, `50 h 10 min`."""
    if seconds < 120:  # noqa: PLR2004 - below two minutes seconds say more
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"  # noqa: PLR2004
    minutes = round(seconds / 60)
    if minutes < 120:  # noqa: PLR2004
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def iso(at: float) -> str:
    """Return epoch seconds as UTC text to the second, `2026-01-12T08:30:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
