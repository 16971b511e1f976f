"""Buckets, and where two sets of sums differ."""

from hypothesis import given, strategies as st

from meisa_cdc.core.checksums import (
    Checksums,
    Within,
    bits_for,
    coarser,
    differing,
    gathered,
    replaced,
    unlike,
)

ROWS = st.dictionaries(
    st.integers(0, 15), st.tuples(st.integers(1, 99), st.none() | st.integers(-(2**70), 2**70))
)


def sums(rows: dict[int, tuple[int, int | None]], unsettled: frozenset[int] = frozenset()):
    """Return checksums on record."""
    groups = ((bucket, *each) for bucket, each in rows.items())
    return Checksums(scheme="s", buckets=gathered(4, groups), unsettled=unsettled, full_at=1.0)


@given(before=ROWS, now=ROWS, unsettled=st.frozensets(st.integers(0, 15)))
def test_what_may_have_changed_differs(before, now, unsettled):
    """Another number, another sum modulo 2**64, an unknown sum, or one that was unsettled."""
    expected = {
        bucket
        for bucket in range(16)
        if bucket in unsettled
        or None in (before.get(bucket, (0, 0))[1], now.get(bucket, (0, 0))[1])
        or wrapped(before.get(bucket)) != wrapped(now.get(bucket))
    }
    assert differing(sums(before, unsettled), sums(now).buckets) == expected


def wrapped(row: tuple[int, int | None] | None) -> tuple[int, int]:
    """Return rows and sum as they are kept."""
    count, total = row or (0, 0)
    return count, (total or 0) % 2**64


def test_buckets_hold_about_sixteen_rows():
    """Within bounds."""
    assert [bits_for(rows) for rows in (0, 1000, 1_000_000, 10**9)] == [4, 6, 16, 18]


def test_rows_and_occupied_buckets_are_counted():
    """And a place names its bucket by its last bits."""
    buckets = sums({3: (2, 5), 7: (40, 0)}).buckets
    assert (buckets.rows, buckets.occupied, buckets.bucket(0x70003)) == (42, 2, 3)


@given(rows=ROWS, bits=st.integers(0, 4))
def test_fewer_buckets_hold_the_same_rows(rows, bits):
    """As if they had been added up in fewer buckets at once, but for what nobody can tell."""
    groups: dict[int, tuple[int, int | None]] = {}
    for bucket, (count, total) in rows.items():
        few = bucket % 2**bits
        counted, added = groups.get(few, (0, 0))
        known = total is not None and added is not None
        groups[few] = (counted + count, added + total if known else None)
    found = coarser(sums(rows).buckets, bits)
    expected = gathered(bits, ((bucket, *each) for bucket, each in groups.items()))
    assert (found.counts, found.unknown) == (expected.counts, expected.unknown)
    assert all(
        found.sums[bucket] == expected.sums[bucket]
        for bucket in set(range(2**bits)) - found.unknown
    )


@given(before=ROWS, now=ROWS, bits=st.integers(0, 4))
def test_fine_sums_where_coarse_ones_differ_are_those_of_now(before, now, bits):
    """Unless two differences cancel each other out, which hashes of 64 bits do not."""
    then, today = sums(before).buckets, sums(now).buckets
    within = Within(buckets=unlike(coarser(then, bits), coarser(today, bits)), bits=bits)
    inside = {bucket for bucket in range(16) if bucket % 2**bits in within.buckets}
    assert set(within.of(4)) == inside
    found = replaced(
        then, within, gathered(4, ((b, *each) for b, each in now.items() if b in inside))
    )
    assert unlike(found, today) - today.unknown == unlike(then, today) - inside - today.unknown
    assert inside <= set(range(16)) - unlike(found, today) | today.unknown
