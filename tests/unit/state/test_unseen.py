"""Finding the bits that are not set."""

from hypothesis import given, strategies as st

from meisa_cdc.state.unseen import gaps


@given(
    seen=st.sets(st.integers(0, 300)),
    last=st.integers(0, 300),
    size=st.integers(1, 50),
    spare=st.integers(0, 9),
)
def test_every_ref_is_either_seen_or_a_gap(seen: set[int], last: int, size: int, spare: int):
    """From 1 to the last ref, each without its bit comes once, in order."""
    bitmap = bytearray(max(seen, default=0) // 8 + 1 + spare)
    for ref in seen:
        bitmap[ref // 8] |= 1 << ref % 8
    batches = list(gaps(bitmap, last, size))
    assert [ref for batch in batches for ref in batch] == sorted(set(range(1, last + 1)) - seen)
    assert all(len(batch) < size + 8 for batch in batches)
