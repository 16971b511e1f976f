"""Places in a log, transactions that a snapshot sees, and how far it may be cut off."""

import pytest
from hypothesis import given, strategies as st

from meisa_cdc.core.changelog import WRAP, Trail, Visible, place_of, seen_upto, written

wide = st.integers(3, 5 * WRAP)


@given(st.integers(0, 2**64 - 1))
def test_a_place_is_written_as_it_was_read(place: int):
    """In two halves, as the server does it."""
    assert place_of(written(place)) == place
    high, low = written(place).split("/")
    assert (int(high, 16) << 32 | int(low, 16)) == place


def test_places_are_read_as_the_server_writes_them():
    """Without leading zeros, the halves in hexadecimal."""
    assert place_of("16/B374D848") == 0x16B374D848
    assert written(0x16B374D848) == "16/B374D848"
    assert written(0x16000000A8) == "16/A8"


def test_a_snapshot_is_read_as_the_server_writes_it():
    """With and without transactions that run."""
    assert Visible.parse("10:20:10,14") == Visible(end=20, running=frozenset({10, 14}))
    assert Visible.parse("20:20:") == Visible(end=20, running=frozenset())


@given(wide, st.sets(st.integers(0, 1000)), st.integers(-(2**31) + 1, 2**31 - 1))
def test_transactions_are_told_apart_by_the_lower_half_of_their_number(
    end: int, running: set[int], distance: int
):
    """However often numbers have started again from zero."""
    visible = Visible(end=end, running=frozenset(end - 1 - each for each in running))
    number = max(0, end + distance)
    expected = number < end and number not in visible.running
    assert visible.sees(number % WRAP) == expected


VISIBLE = Visible(end=10, running=frozenset({7}))


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ([], (None, True)),
        ([(5, 100), (6, 110)], (110, True)),
        # The number does not tell the order in which transactions ended.
        ([(9, 100), (5, 110)], (110, True)),
        ([(5, 100), (7, 110), (6, 120)], (100, False)),
        ([(7, 100), (5, 110)], (None, False)),
        ([(5, 100), (10, 110)], (100, False)),
    ],
)
def test_the_log_may_be_cut_off_before_the_first_that_is_not_seen(
    ended: list[tuple[int, int]], expected: tuple[int | None, bool]
):
    """Though later ones are."""
    assert seen_upto(ended, VISIBLE) == expected


@pytest.mark.parametrize(
    ("start", "end", "reached"),
    [(10, None, True), (11, None, False), (1, 10, True), (1, 9, False)],
)
def test_a_log_reaches_back_to_a_place_that_it_has(start: int, end: int | None, *, reached: bool):
    """Neither to what was cut off, nor to what a server that was set back has yet to write."""
    assert Trail(identity="", start=start, end=end).reaches(10) is reached


@pytest.mark.parametrize(
    ("passed", "reached"), [(None, True), (frozenset(), False), (frozenset([10]), True)]
)
def test_a_log_that_went_another_way_does_not_reach_back(
    passed: frozenset[int] | None, *, reached: bool
):
    """Though its places go on past the one that is asked about."""
    assert Trail(identity="", start=1, end=20, passed=passed).reaches(10) is reached
