"""What the rows of a mapping add up to now, asked for in as few sums as tell."""

from meisa_cdc.core.checksums import (
    COARSER_BY,
    FEWEST_BITS,
    Buckets,
    Within,
    coarser,
    replaced,
    unlike,
)
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.ports import Snapshot


def sums_now(snapshot: Snapshot, mapping: Mapping, before: Buckets) -> Buckets:
    """Return the sums of now in as many buckets as before: few first, finer where those differ."""
    bits = max(before.bits - COARSER_BY, FEWEST_BITS)
    now = snapshot.checksums(mapping, bits)
    if bits == before.bits:
        return now
    within = Within(buckets=unlike(coarser(before, bits), now), bits=bits)
    if not within.buckets:
        return before
    return replaced(before, within, snapshot.checksums(mapping, before.bits, within))
