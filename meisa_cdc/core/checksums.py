"""Checksums of a mapping's rows by buckets of their keys, and where two of them differ."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

#: Rows that share a bucket, about, when the number of buckets is chosen.
ROWS_A_BUCKET = 16
#: A table has 2**4 buckets at least and 2**18 at most, 4 MiB of checksums.
FEWEST_BITS = 4
MOST_BITS = 18
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


def differing(before: Checksums, now: Buckets) -> frozenset[int]:
    """Return the buckets whose rows have to be looked at; both have the same number of them."""
    known = before.buckets
    always = before.unsettled | known.unknown | now.unknown
    if known.counts == now.counts and known.sums == now.sums:
        return always
    pairs = zip(known.counts, now.counts, known.sums, now.sums, strict=True)
    return always | {
        bucket
        for bucket, (rows_then, rows_now, then, total) in enumerate(pairs)
        if rows_then != rows_now or then != total
    }
