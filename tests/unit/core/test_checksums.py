"""Buckets, and where two sets of sums differ."""

from hypothesis import given, strategies as st

from meisa_cdc.core.checksums import Checksums, bits_for, differing, gathered

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
