"""What the rows of a mapping add up to now, asked for in as few sums as tell."""

from collections.abc import Mapping as Dict, Sequence
from dataclasses import dataclass, field

from meisa_cdc.core.checksums import (
    COARSER_BY,
    FEWEST_BITS,
    Buckets,
    Checksums,
    Within,
    coarser,
    replaced,
    unlike,
)
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.ports import Snapshot

#: Keys that are listed at most.
MOST_LISTED = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the rows of a mapping add up to."""

    buckets: Buckets
    #: Keys as rows have them, by bucket, of those buckets that were looked at closely enough.
    keys: Dict[int, Sequence[object]] = field(default_factory=dict)


def sums_now(snapshot: Snapshot, mapping: Mapping, before: Checksums) -> Sums:
    """Return the sums of now in as many buckets as before: few first, finer where those differ."""
    buckets = before.buckets
    bits = max(buckets.bits - COARSER_BY, FEWEST_BITS)
    now = snapshot.checksums(mapping, bits)
    if bits == buckets.bits:
        return Sums(buckets=now)
    differ = unlike(coarser(buckets, bits), now)
    if not differ:
        return Sums(buckets=buckets)
    # Their rows are going to be read as well.
    unsettled = {bucket & ((1 << bits) - 1) for bucket in before.unsettled}
    within = Within(buckets=differ | unsettled, bits=bits)
    if sum(now.counts[bucket] for bucket in within.buckets) <= MOST_LISTED:
        found, keys = snapshot.listed(mapping, buckets.bits, within)
        return Sums(buckets=replaced(buckets, within, found), keys=keys)
    within = Within(buckets=differ, bits=bits)
    found = snapshot.checksums(mapping, buckets.bits, within)
    return Sums(buckets=replaced(buckets, within, found))
