"""Checksums of a mapping's rows by buckets of their keys, and where two of them differ."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: Rows that share a bucket, about, when the number of buckets is chosen.
ROWS_A_BUCKET = 16
#: A table has 2**4 buckets at least and 2**18 at most, 4 MiB of checksums.
FEWEST_BITS = 4
MOST_BITS = 18
#: Sums are first asked for in fewer buckets, by so many bits: nearly all passes need no others.
COARSER_BY = 4
#: Sums are kept in 64 bits.
WRAP = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """How many rows each bucket has, and what the hashes of those rows add up to."""

    #: There are 2**bits buckets; that of a key is the last `bits` bits of its place.
    bits: int
    #: Rows by bucket.
    counts: "array[int]"
    #: Sums of the rows' 64-bit hashes, modulo 2**64, by bucket.
    sums: "array[int]"
    #: Buckets whose sum the database could not tell.
    unknown: frozenset[int] = frozenset()

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return sum(self.counts)

    @property
    def occupied(self) -> int:
        """How many buckets have a row."""
        return len(self.counts) - self.counts.count(0)

    def bucket(self, place: int) -> int:
        """Return the bucket of a key with this place."""
        return place & ((1 << self.bits) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Some of 2**bits buckets."""

    buckets: frozenset[int]
    bits: int

    def of(self, bits: int) -> Iterator[int]:
        """Yield the numbers of the same rows' buckets where there are 2**bits, which is more."""
        return (
            bucket
            for first in range(0, 1 << bits, 1 << self.bits)
            for bucket in (first + each for each in self.buckets)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksums:
    """What a mapping's rows added up to when their consequences were stored."""

    #: What the hashes depend on beside the rows; with another one nothing can be compared.
    scheme: str
    buckets: Buckets
    #: Buckets with rows whose consequences were not stored: they are looked at every time.
    unsettled: frozenset[int] = field(default_factory=frozenset)
    #: Epoch seconds of the last time that every row was read.
    full_at: float


def bits_for(rows: int) -> int:
    """Return how many bits number the buckets of so many rows."""
    return min(max((rows // ROWS_A_BUCKET).bit_length(), FEWEST_BITS), MOST_BITS)


def gathered(bits: int, groups: Iterable[tuple[int, int, int | None]]) -> Buckets:
    """Return the buckets of (bucket, rows, sum of their hashes) triples; others are empty.

    A sum of any sign and size is taken modulo 2**64; None: the database could not tell it.
    """
    counts, sums = array("Q", bytes(8 << bits)), array("Q", bytes(8 << bits))
    unknown = set()
    for bucket, rows, total in groups:
        counts[bucket] = rows
        if total is None:
            unknown.add(bucket)
        else:
            sums[bucket] = total & WRAP
    return Buckets(bits=bits, counts=counts, sums=sums, unknown=frozenset(unknown))


def coarser(buckets: Buckets, bits: int) -> Buckets:
    """Return the same rows in 2**bits buckets, which are fewer: a hash table that fits a cache."""
    size = 1 << bits
    parts = range(0, len(buckets.counts), size)
    counts = zip(*(buckets.counts[start : start + size] for start in parts), strict=True)
    sums = zip(*(buckets.sums[start : start + size] for start in parts), strict=True)
    return Buckets(
        bits=bits,
        counts=array("Q", map(sum, counts)),
        sums=array("Q", (sum(each) & WRAP for each in sums)),
        unknown=frozenset(bucket % size for bucket in buckets.unknown),
    )


def replaced(buckets: Buckets, within: Within, now: Buckets) -> Buckets:
    """Return these buckets but for those that lie within others, which are taken from `now`."""
    counts, sums = buckets.counts[:], buckets.sums[:]
    inside = frozenset(within.of(buckets.bits))
    for bucket in inside:
        counts[bucket], sums[bucket] = now.counts[bucket], now.sums[bucket]
    return Buckets(
        bits=buckets.bits,
        counts=counts,
        sums=sums,
        unknown=(buckets.unknown - inside) | now.unknown,
    )


def unlike(one: Buckets, other: Buckets) -> frozenset[int]:
    """Return the buckets that differ, of two times as many of them, or that nobody can tell."""
    unknown = one.unknown | other.unknown
    if one.counts == other.counts and one.sums == other.sums:
        return unknown
    pairs = zip(one.counts, other.counts, one.sums, other.sums, strict=True)
    return unknown | {
        bucket
        for bucket, (rows_then, rows_now, then, total) in enumerate(pairs)
        if rows_then != rows_now or then != total
    }


def differing(before: Checksums, now: Buckets) -> frozenset[int]:
    """Return the buckets whose rows have to be looked at; both have the same number of them."""
    return before.unsettled | unlike(before.buckets, now)
