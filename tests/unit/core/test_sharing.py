"""How much of the windows we take once others were seen to use the key."""

import pytest
from hypothesis import given, strategies as st

from meisa_cdc.core.sharing import (
    BELOW,
    FLOOR,
    MOST_RESERVE,
    PROBE,
    REMEMBERED,
    SHRINK,
    Throttle,
    admitted,
    seen,
    share,
    shrunk,
    suggested_reserve,
)

NOW = 1_768_206_600.0
MINUTE = 60.0
HOUR = 3600.0


def refused(throttle: Throttle | None = None, *, others: float = 0.4, now: float = NOW) -> Throttle:
    """Return the throttle after one request that was answered 429 a second after its start."""
    return shrunk(throttle or Throttle(), others=others, started=now - 1, now=now)


def taken(throttle: Throttle, now: float) -> Throttle:
    """Return the throttle after a request that Meisa took."""
    return admitted(throttle, started=now)


def test_all_of_the_windows_is_ours_while_nobody_else_is_seen():
    """A key of one's own is never throttled."""
    assert share(Throttle(), NOW) == 1.0


def test_a_429_takes_three_tenths_at_once():
    """Whoever else uses the key gets room from now on."""
    assert share(refused(), NOW) == SHRINK


def test_a_clean_minute_gives_a_hundredth_back():
    """Up to the ceiling, which lies below what was too much."""
    throttle = refused()
    assert share(throttle, NOW + MINUTE) == pytest.approx(SHRINK + 0.01)
    assert share(throttle, NOW + 10 * MINUTE) == pytest.approx(BELOW)


def test_beyond_the_ceiling_hours_pass_before_it_is_too_much_again():
    """Each such answer may cost the others the rest of an hour."""
    throttle = refused()
    at_ceiling = NOW + 10 * MINUTE
    assert share(throttle, at_ceiling + HOUR) < BELOW + 0.003
    assert share(throttle, at_ceiling + 2 * HOUR) < BELOW + 0.02
    assert share(throttle, at_ceiling + 4.5 * HOUR) < 1.0
    assert share(throttle, at_ceiling + 5 * HOUR) == 1.0


def test_everything_is_ours_again_hours_after_the_others_left():
    """Even where next to nothing was left to us."""
    throttle = Throttle(share=FLOOR, since=NOW, ceiling=FLOOR, others=0.9, others_at=NOW)
    assert share(throttle, NOW + PROBE / 2) < 0.2
    assert share(throttle, NOW + PROBE) == 1.0


def test_a_clock_set_back_gives_nothing_back():
    """Time that did not pass is no clean time."""
    assert share(refused(), NOW - HOUR) == SHRINK


def test_something_is_always_left_to_us():
    """However often we are refused, urgent changes trickle through."""
    throttle = Throttle()
    for minute in range(50):
        throttle = refused(taken(throttle, NOW + minute * MINUTE), now=NOW + minute * MINUTE + 1)
    assert share(throttle, throttle.since) == FLOOR
    assert throttle.ceiling == FLOOR


def test_requests_that_were_under_way_tell_nothing_new():
    """Four at once that are refused together are one event."""
    throttle = refused()
    assert shrunk(throttle, others=0.9, started=NOW - 1, now=NOW + 2) == throttle


def test_refused_again_before_anything_was_taken_is_still_the_same_event():
    """A window that stays shut for an hour must not teach us that nothing is ours."""
    throttle = refused()
    for minute in range(1, 30):
        throttle = refused(throttle, others=0.9, now=NOW + minute * MINUTE)
    assert (throttle.share, throttle.ceiling, throttle.others) == (SHRINK, BELOW, 0.4)
    assert share(throttle, throttle.since) == SHRINK


def test_refused_again_after_something_was_taken_is_a_new_event():
    """Then it is our share that is too large."""
    later = NOW + 10 * MINUTE
    throttle = refused(taken(refused(), NOW + MINUTE), now=later)
    assert throttle.share == pytest.approx(BELOW * SHRINK)
    assert throttle.ceiling == pytest.approx(BELOW * BELOW)


def test_what_was_taken_before_does_not_open_the_window():
    """Its answer only came after the one that said no."""
    throttle = refused()
    assert admitted(throttle, started=NOW - 1) == throttle
    assert admitted(throttle, started=NOW + 1) != throttle


def test_an_open_window_stays_open():
    """The common case stores nothing."""
    throttle = Throttle()
    assert admitted(throttle, started=NOW) is throttle


def test_the_most_that_others_used_lately_is_kept():
    """Their busiest hour of the day is what the reserve has to leave room for."""
    throttle = taken(refused(others=0.5), NOW + 1)
    assert refused(throttle, others=0.2, now=NOW + HOUR).others == 0.5
    assert refused(throttle, others=0.6, now=NOW + HOUR).others == 0.6


def test_what_others_used_days_ago_is_forgotten():
    """They may have got a key of their own."""
    throttle = taken(refused(others=0.5), NOW + 1)
    assert seen(throttle, NOW + HOUR)
    assert not seen(throttle, NOW + REMEMBERED)
    assert refused(throttle, others=0.2, now=NOW + REMEMBERED).others == 0.2


def test_nobody_was_ever_seen():
    """So no advice is due."""
    assert not seen(Throttle(), NOW)


@pytest.mark.parametrize(
    ("others", "reserve", "suggested"),
    [
        (0.0, 0.1, 0.1),
        (0.5, 0.1, 0.55),
        (0.51, 0.1, 0.6),
        (0.2, 0.6, 0.6),
        (0.97, 0.1, MOST_RESERVE),
        (0.97, 0.95, 0.95),
    ],
)
def test_a_reserve_is_suggested_that_leaves_them_what_they_use(others, reserve, suggested):
    """And a little more, never less than is set, and never all."""
    assert suggested_reserve(Throttle(others=others), reserve) == suggested


@given(
    events=st.lists(
        st.tuples(st.floats(0.0, 10 * HOUR), st.floats(0.0, 1.0), st.booleans()), max_size=30
    )
)
def test_the_share_stays_within_bounds_and_only_a_429_makes_it_smaller(
    events: list[tuple[float, float, bool]],
):
    """Whatever happens in whatever order."""
    throttle, now = Throttle(), NOW
    for passed, others, no in events:
        before = share(throttle, now)
        now += passed
        assert FLOOR <= before <= share(throttle, now) <= 1.0
        if no:
            throttle = refused(throttle, others=others, now=now)
            assert share(throttle, now) < 1.0
        else:
            throttle = admitted(throttle, started=now)
