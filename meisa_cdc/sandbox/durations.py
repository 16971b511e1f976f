"""Durations as people write them."""

import re

from meisa_cdc.sandbox.errors import OptionError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Seconds in `500ms`, `30s`, `5m`, `1h`, `7d`. Raises OptionError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise OptionError(f"{text!r} is not a duration; write it like 200ms, 30s, 5m, 1h or 7d")
    return int(found[1]) * _SECONDS[found[2]]
