"""Reading the rows of a mapping that may differ by what the database says its rows add up to."""

from collections import Counter
from collections.abc import Sequence

from meisa_cdc.core.checksums import Buckets, Checksums, Within, bits_for, differing
from meisa_cdc.core.errors import InvalidValue, MappingFailed
from meisa_cdc.core.keys import canonical_key
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.sync.captured import Taken
from meisa_cdc.sync.observing import scheme_of
from meisa_cdc.sync.rows import Batches, Rows
from meisa_cdc.sync.sums import Sums, sums_now

#: Where a larger share of the buckets differs, every row is read.
LARGEST_SHARE = 0.5
#: Rows that are read by key at most: they are held in memory until all of them are there.
MOST_BY_KEY = 10_000
#: Bits for the buckets of a mapping that nobody knows the size of.
USUAL_BITS = 16


def scheme(rows: Rows, mapping: Mapping) -> str | None:
    """Return what the checksums of a mapping depend on beside its rows; None: it has none."""
    source = rows.snapshot.scheme(mapping)
    missing = rows.captured.readings[mapping.name].missing
    return None if source is None else scheme_of(source, mapping, missing, rows.zone)


def read_summed(rows: Rows, mapping: Mapping, depends_on: str, *, whole: bool) -> None:
    """Spool what differs among the rows that may, or among all; `depends_on` is their scheme."""
    before = None if whole else _comparable(rows, mapping, depends_on)
    if before is None or not _read_differing(rows, mapping, before):
        _read_whole(rows, mapping, depends_on)


def _comparable(rows: Rows, mapping: Mapping, depends_on: str) -> Checksums | None:
    """Return the checksums on record, where they tell all that differs."""
    before = rows.contacts.checksums(mapping.name)
    if before is None or before.scheme != depends_on or mapping.name not in rows.records:
        return None
    return before if rows.suffices(mapping, before.full_at) else None


def _read_whole(rows: Rows, mapping: Mapping, depends_on: str) -> None:
    """Spool what differs among all rows, and add them up."""
    covered = rows.covered(mapping.name)
    bits = bits_for(covered) if covered else USUAL_BITS
    # First, so that a database without snapshots shows too old a sum rather than too new.
    buckets = rows.snapshot.checksums(mapping, bits)
    taken = _take(rows, mapping, depends_on, buckets, rows.now)
    stream = rows.stream(mapping, placed=True, taken=taken)
    rows.read_all(stream, rows.snapshot.placed(mapping))


def _take(rows: Rows, mapping: Mapping, depends_on: str, buckets: Buckets, full_at: float) -> Taken:
    taken = Taken(scheme=depends_on, buckets=buckets, full_at=full_at)
    rows.captured.taken[mapping.name] = taken
    return taken


def _read_differing(rows: Rows, mapping: Mapping, before: Checksums) -> bool:
    """Spool what differs among the rows that may; return False where those are too many."""
    sums = sums_now(rows.snapshot, mapping, before)
    now, bits = sums.buckets, before.buckets.bits
    buckets = differing(before, now)
    if len(buckets) > LARGEST_SHARE * max(before.buckets.occupied, now.occupied):
        return False
    taken = _take(rows, mapping, before.scheme, now, before.full_at)
    stream = rows.stream(
        mapping, some=True, placed=True, taken=taken, buckets=buckets, disturbs=set(buckets)
    )
    if buckets:
        for batch in _rows_in(rows, mapping, sums, Within(buckets=buckets, bits=bits)):
            stream.take(batch)
        # Where all was settled, there were no more contacts than rows: if as many were met
        # again, none of them is gone.
        there = sum(before.buckets.counts[bucket] for bucket in buckets)
        if there > stream.still or buckets & before.unsettled:
            stream.miss(rows.contacts.vanished(mapping.name, stream.seen, buckets, bits))
    rows.conclude_some(stream)
    return True


def _rows_in(rows: Rows, mapping: Mapping, sums: Sums, within: Within) -> Batches:
    """Return the rows of these buckets: by key where that is known to find them, else by bucket."""
    found = _by_key(rows, mapping, sums, within)
    return rows.snapshot.placed(mapping, within=within) if found is None else found


def _by_key(rows: Rows, mapping: Mapping, sums: Sums, within: Within) -> Batches | None:
    """Return the rows of these buckets, read by key, which spares one pass through the query.

    None: some key is not known, there are too many, or not all of the rows answer to theirs.
    """
    there = {bucket: sums.buckets.counts[bucket] for bucket in within.buckets}
    occupied = [bucket for bucket, count in there.items() if count]
    if sum(there.values()) > MOST_BY_KEY or not sums.keys.keys() >= set(occupied):
        return None
    try:
        listed = (canonical_key(raw) for bucket in occupied for raw in sums.keys[bucket])
        keys = list(dict.fromkeys(listed))
        batches = [*rows.snapshot.placed(mapping, keys=keys)] if keys else []
    except (InvalidValue, MappingFailed):
        # A row without a usable key; a query that is too slow in this form, or does not work.
        return None
    found = [[row for row in batch if _bucket(sums, row) in there] for batch in batches]
    read = Counter(_bucket(sums, row) for batch in found for row in batch)
    return found if all(read[bucket] == count for bucket, count in there.items()) else None


def _bucket(sums: Sums, row: Sequence[object]) -> int:
    place = row[-1]
    assert isinstance(place, int)  # noqa: S101 - for the type checker
    return sums.buckets.bucket(place)
