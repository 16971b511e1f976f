"""Reading the rows of a mapping that may differ by what a log tells of changed rows."""

from itertools import chain

from meisa_cdc.core.captures import SCAN, Capture
from meisa_cdc.core.changelog import Bookmark, Trail
from meisa_cdc.core.errors import MappingError, MappingFailed
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.sync.captured import Marked
from meisa_cdc.sync.observing import scheme_of
from meisa_cdc.sync.rows import MOST_RESTRICTED, Rows


def read_logged(rows: Rows, mapping: Mapping, trail: Trail, *, whole: bool) -> None:
    """Spool what differs among the rows that the log tells of, or among all."""
    missing = rows.captured.readings[mapping.name].missing
    scheme = scheme_of(trail.identity, mapping, missing, rows.zone)
    before = None if whole else _bookmark(rows, mapping, scheme, trail)
    full_at = rows.now if before is None else before.full_at
    if before is None or not _read_changed(rows, mapping, before):
        full_at = rows.now
        rows.read_all(rows.stream(mapping), rows.snapshot.read(mapping))
    upto = rows.snapshot.upto()
    if upto is None:
        why = f"every row is read, since {rows.snapshot.silence()}"
        rows.captured.captures[mapping.name] = Capture(kind=SCAN, why=why)
        return
    rows.captured.upto = upto
    mark = Bookmark(scheme=scheme, upto=upto, full_at=full_at)
    rows.captured.marked[mapping.name] = Marked(mark)


def put_off(rows: Rows, mapping: Mapping, trail: Trail) -> None:
    """Remember whom the log tells of until the mapping is due, so that it may be cut off."""
    missing = rows.captured.readings[mapping.name].missing
    scheme = scheme_of(trail.identity, mapping, missing, rows.zone)
    before = _bookmark(rows, mapping, scheme, trail)
    upto = rows.snapshot.upto()
    if before is None or upto is None:
        # It is read in full when it is due: the log will have been cut off behind its bookmark.
        return
    marked = Marked(Bookmark(scheme=scheme, upto=upto, full_at=before.full_at))
    rows.captured.upto = upto
    rows.captured.marked[mapping.name] = marked
    try:
        changed = rows.snapshot.changed(mapping, before.upto)
        for batch in chain([before.again], (None,) if changed is None else changed):
            marked.unsettle_all(batch)
    except (MappingFailed, MappingError):
        # It is told of when it is due, if it is not better by then.
        marked.unsettle_all(None)


def _bookmark(rows: Rows, mapping: Mapping, scheme: str, trail: Trail) -> Bookmark | None:
    """Return the bookmark on record, where the log tells all that may differ since."""
    before = rows.marks.get(mapping.name)
    if not isinstance(before, Bookmark) or before.scheme != scheme:
        return None
    known = mapping.name in rows.records and trail.reaches(before.upto)
    return before if known and rows.suffices(mapping, before.full_at) else None


def _read_changed(rows: Rows, mapping: Mapping, before: Bookmark) -> bool:
    """Spool what differs among the rows that may; return False where those are too many."""
    keys = dict.fromkeys(sorted(before.again))
    try:
        changed = rows.snapshot.changed(mapping, before.upto)
        if changed is None:
            return False
        for batch in changed:
            keys |= dict.fromkeys(batch)
            if len(keys) > MOST_RESTRICTED:
                return False
    except MappingFailed:
        # It took too long, for one, and might do so each time. Every row tells as well.
        return False
    rows.read_some(mapping, list(keys))
    return True
