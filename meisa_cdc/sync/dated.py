"""Reading the rows of a mapping that may differ by a time in them."""

from meisa_cdc.core.mapping import Mapping
from meisa_cdc.core.watermark import OVERLAP, Watermark, earliest_wall
from meisa_cdc.sync.captured import Marked
from meisa_cdc.sync.observing import scheme_of
from meisa_cdc.sync.rows import MOST_RESTRICTED, Rows


def read_dated(rows: Rows, mapping: Mapping, *, whole: bool) -> None:
    """Spool what differs among the rows that changed lately, or among all."""
    missing = rows.captured.readings[mapping.name].missing
    scheme = scheme_of("watermark", mapping, missing, rows.zone)
    before = None if whole else _watermark(rows, mapping, scheme)
    full_at = rows.now if before is None else before.full_at
    if before is None or not _read_changed(rows, mapping, before):
        full_at = rows.now
        rows.read_all(rows.stream(mapping), rows.snapshot.read(mapping))
    rows.captured.marked[mapping.name] = Marked(
        Watermark(scheme=scheme, at=rows.now, full_at=full_at)
    )


def _watermark(rows: Rows, mapping: Mapping, scheme: str) -> Watermark | None:
    """Return the watermark on record, where it tells all that may differ."""
    before = rows.marks.get(mapping.name)
    if not isinstance(before, Watermark) or before.scheme != scheme:
        return None
    if mapping.name not in rows.records:
        return None
    # One from the future: our clock was set back, and rows may have changed before that time since.
    known = before.at <= rows.now and rows.suffices(mapping, before.full_at)
    return before if known else None


def _read_changed(rows: Rows, mapping: Mapping, before: Watermark) -> bool:
    """Spool what differs among the rows that changed; return False where they are too many.

    They are read by key, whole: a condition on the time may stand where it leaves out a part of
    what a row is made of.
    """
    wall = earliest_wall(before.at - OVERLAP, rows.now, rows.zone)
    keys = dict.fromkeys(before.again)
    for batch in rows.snapshot.keys_since(mapping, wall):
        keys |= dict.fromkeys(batch)
        if len(keys) > MOST_RESTRICTED:
            return False
    rows.read_some(mapping, list(keys))
    return True
