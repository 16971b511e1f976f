"""Up to where changes were looked at, as notes in our state."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from meisa_cdc.core.changelog import Bookmark
from meisa_cdc.core.watermark import Watermark
from meisa_cdc.ports import Records
from meisa_cdc.sync.captured import Captured, Mark


def stored(records: Records, mappings: Iterable[str]) -> dict[str, Mark]:
    """Return the marks on record of these mappings, by name."""
    notes = {name: records.note(_name(name)) for name in mappings}
    return {name: _mark(note) for name, note in notes.items() if note is not None}


def store(records: Records, captured: Captured) -> None:
    """Remember the marks of a pass, now that what they stand for is stored."""
    for name, marked in captured.marked.items():
        mark = marked.stored
        records.set_note(_name(name), None if mark is None else _noted(mark))


def _noted(mark: Mark) -> dict[str, Any]:
    note = {**asdict(mark), "again": sorted(mark.again)}
    if isinstance(mark, Bookmark):
        # JSON has no integers of more than 64 bits.
        note["upto"] = str(mark.upto)
    return note


def _name(mapping: str) -> str:
    return f"watermark {mapping}"


def _mark(note: Any) -> Mark:
    again = frozenset(note["again"])
    if "upto" in note:
        return Bookmark(**{**note, "upto": int(note["upto"]), "again": again})
    return Watermark(**{**note, "again": again})
