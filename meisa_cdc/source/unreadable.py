"""Column values that no Python value stands for: set aside one by one, never the whole fetch."""

import json
from collections.abc import Callable
from typing import Any

from meisa_cdc.core.values import Unreadable

#: Nesting of JSON that is followed.
DEEPEST = 100
OUT_OF_RANGE = "no date or time between the years 1 and 9999; correct it or cast it to text"
SHOWN = 100


def text_or_unreadable(raw: bytes) -> str | Unreadable:
    """Return the text of UTF-8 bytes, or why there is none."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        shown = raw[:SHOWN].decode(errors="backslashreplace")
        return Unreadable(shown, "the bytes are not UTF-8; convert the column in the mapping")


def guarded(
    convert: Callable[[str], object], reason: str = OUT_OF_RANGE
) -> Callable[[str], object]:
    """Return a conversion whose failure concerns the one value alone."""

    def converted(text: str) -> object:
        try:
            return convert(text)
        except (ValueError, OverflowError):
            return Unreadable(text, reason)

    return converted


def json_or_unreadable(text: str | bytes) -> Any:
    """Return what a JSON text holds: exact integers, the last of duplicate keys."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        shown = text[:SHOWN]
        shown = shown.decode(errors="backslashreplace") if isinstance(shown, bytes) else shown
        return Unreadable(shown, "no JSON that can be read; cast it to text in the mapping")
    if _nested(text) and _depth(value) > DEEPEST:
        return Unreadable(f"JSON nested over {DEEPEST} deep", "pick what is needed in the mapping")
    return value


def _nested(text: str | bytes) -> bool:
    """Tell whether there are brackets enough to be nested deeply; costs next to nothing."""
    if isinstance(text, bytes):
        return text.count(b"[") + text.count(b"{") > DEEPEST
    return text.count("[") + text.count("{") > DEEPEST


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            break
        inner = [each for each in level if isinstance(each, list | dict)]
        level = [
            part for each in inner for part in (each.values() if isinstance(each, dict) else each)
        ]
    return depth
