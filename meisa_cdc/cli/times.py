"""Epoch seconds in documents, written as UTC for people and scripts."""

from typing import Any

from meisa_cdc.core.durations import iso

#: Keys of documents whose values are epoch seconds.
MOMENTS = frozenset(
    {
        "approved_at", "as_of", "done_at", "ended_at", "full_scan_at", "next_try", "oldest",
        "passed_at", "paused_until", "pulled_at", "read_at", "recorded_at", "since",
        "started_at", "suppressed_at", "at",
    }
)  # fmt: skip


def dated(document: Any) -> Any:
    """Return the document with its epoch seconds as UTC texts, however deep."""
    if isinstance(document, dict):
        return {
            name: iso(value)
            if name in MOMENTS and isinstance(value, float | int) and not isinstance(value, bool)
            else dated(value)
            for name, value in document.items()
        }
    if isinstance(document, list | tuple):
        return [dated(each) for each in document]
    return document
