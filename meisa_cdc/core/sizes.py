"""Amounts of bytes, as people write them: `512MB`, `2GB`."""

import re

_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_WRITTEN = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})")


def parse_size(text: str) -> int:
    """Return the bytes. Raises ValueError for another spelling."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        message = f"{text!r} is no size; write 512MB or 2GB"
        raise ValueError(message)
    return round(float(found[1]) * _UNITS[found[2]])


def told_size(size: int) -> str:
    """Return an amount of bytes in the largest unit that it fills."""
    unit = next((name for name, each in reversed(_UNITS.items()) if size >= each), None)
    return f"{size} bytes" if unit is None else f"{size / _UNITS[unit]:.3g} {unit}"
