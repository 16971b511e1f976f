"""How databases spell numbers, moments and truth in text, and how we quote what they hold."""

import re
from datetime import datetime
from decimal import Decimal

TRUE_TEXTS = frozenset({"1", "t", "true"})
FALSE_TEXTS = frozenset({"0", "f", "false"})
# Python reads more than databases do: 1_000, digits of other scripts, 24:00, any separator.
NUMBER = re.compile(
    r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d{1,6})?|nan|inf|infinity)", re.ASCII | re.IGNORECASE
)
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(-?\d)?)([T ](?!24).+)?", re.ASCII)
BEFORE_OFFSET = re.compile(r" +(?=[+-]\d\d|Z$)")


def number_in(text: str) -> Decimal | None:
    """Return the number that a text spells, `NaN` and `Infinity` included; None where none."""
    digits = text.strip()
    return Decimal(digits) if NUMBER.fullmatch(digits) else None


def moment_in(text: str) -> datetime | None:
    """Return the ISO 8601 date, or date and time, that a text spells; None where none."""
    moment = BEFORE_OFFSET.sub("", text.strip())
    if not MOMENT.fullmatch(moment):
        return None
    try:
        return datetime.fromisoformat(moment)
    except ValueError:
        return None


def truth_in(text: str) -> bool | None:
    """Return what `t`, `true`, `1` and their opposites say in any case; None for other texts."""
    word = text.strip().lower()
    return True if word in TRUE_TEXTS else False if word in FALSE_TEXTS else None


def shortened(value: object, most: int = 60) -> str:
    """Return a value in quotes, as much of it as a message can hold."""
    text = str(value)
    return repr(text if len(text) <= most else text[:most] + "…")
