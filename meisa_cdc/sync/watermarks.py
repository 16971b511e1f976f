"""Watermarks in our state, as notes."""

from collections.abc import Iterable
from typing import Any

from meisa_cdc.core.watermark import Watermark
from meisa_cdc.ports import Records
from meisa_cdc.sync.captured import Captured


def stored(records: Records, mappings: Iterable[str]) -> dict[str, Watermark]:
    """Return the watermarks on record of these mappings, by name."""
    notes = {name: records.note(_name(name)) for name in mappings}
    return {name: _watermark(note) for name, note in notes.items() if note is not None}


def store(records: Records, captured: Captured) -> None:
    """Remember the watermarks of a pass, now that what they stand for is stored."""
    for name, marked in captured.marked.items():
        mark = marked.watermark
        note = None
        if mark is not None:
            again = sorted(mark.again)
            note = {"scheme": mark.scheme, "at": mark.at, "full_at": mark.full_at, "again": again}
        records.set_note(_name(name), note)


def _name(mapping: str) -> str:
    return f"watermark {mapping}"


def _watermark(note: Any) -> Watermark:
    return Watermark(
        scheme=note["scheme"],
        at=note["at"],
        full_at=note["full_at"],
        again=frozenset(note["again"]),
    )
