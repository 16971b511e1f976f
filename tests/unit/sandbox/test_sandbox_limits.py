"""Request limits under both ways of counting."""

import pytest

from meisa_cdc.sandbox import ApiKey, parse_limits
from meisa_cdc.sandbox.limits import RateLimits

MINUTE = 1_768_219_200.0  # divisible by 60


def _limits(text, *kinds):
    return RateLimits(parse_limits(text), kinds or ("fixed", "sliding"))


def _admitted(counted, times):
    return [counted.admit(at) is None for at in times]


def test_a_fixed_window_begins_anew_at_each_multiple_of_its_period():
    """A full window empties at the boundary, however late it was filled."""
    counted = _limits("2/60s", "fixed")
    assert _admitted(counted, [MINUTE + 58, MINUTE + 59, MINUTE + 59.999]) == [True, True, False]
    assert _admitted(counted, [MINUTE + 60, MINUTE + 60, MINUTE + 61]) == [True, True, False]


def test_a_sliding_window_looks_back_one_period():
    """What a fixed window would admit at the boundary is refused until the oldest is out."""
    counted = _limits("2/60s", "sliding")
    assert _admitted(counted, [MINUTE + 58, MINUTE + 59]) == [True, True]
    assert _admitted(counted, [MINUTE + 60, MINUTE + 117.999999]) == [False, False]
    assert _admitted(counted, [MINUTE + 118, MINUTE + 118.5]) == [True, False]


def test_with_both_kinds_the_stricter_one_decides():
    """Across the boundary the sliding window refuses, although the fixed one would admit."""
    times = [MINUTE + 59, MINUTE + 59, MINUTE + 60]
    assert _admitted(_limits("2/60s"), times) == [True, True, False]
    assert _admitted(_limits("2/60s", "fixed"), times) == [True, True, True]


def test_a_refused_request_counts_in_no_window():
    """A client that keeps asking is admitted as soon as one that waited."""
    counted = _limits("1/10s,2/60s", "sliding")
    times = [MINUTE, *(MINUTE + second for second in range(1, 10)), MINUTE + 10]
    assert _admitted(counted, times) == [True, *[False] * 9, True]


def test_every_window_holds():
    """The hour refuses although the minute has room."""
    counted = _limits("2/60s,3/3600s")
    times = [MINUTE, MINUTE, MINUTE + 60, MINUTE + 120]
    assert _admitted(counted, times) == [True, True, True, False]


@pytest.mark.parametrize("kind", ["fixed", "sliding"])
def test_waiting_as_told_is_enough(kind):
    """The seconds of Retry-After are whole, at least 1, and lead to an admitted request."""
    counted = _limits("1/60s", kind)
    assert counted.admit(MINUTE) is None
    assert counted.admit(MINUTE + 0.5) == 60
    assert counted.admit(MINUTE + 59.9) == 1
    assert counted.admit(MINUTE + 60) is None


def test_the_longest_wait_of_all_windows_is_told():
    """A full hour is told as an hour, although the minute is over sooner."""
    counted = _limits("1/60s,1/3600s")
    assert counted.admit(MINUTE) is None
    assert counted.admit(MINUTE + 1) == 3599


def test_periods_below_a_second_hold_exactly():
    """Windows of 100 ms have no rounding gap at their boundary."""
    counted = _limits("1/100ms")
    times = [MINUTE + tenth / 10 for tenth in range(50)]
    assert all(_admitted(counted, times))
    assert counted.admit(times[-1]) == 1


def test_without_windows_everything_is_admitted():
    """`none` means no limit."""
    assert all(_admitted(_limits("none"), [MINUTE] * 1000))


def test_over_the_limit_is_429_with_retry_after(desk_with):
    """The answer is JSON, says how long to wait, and nothing of the request takes effect."""
    desk = desk_with(limits=parse_limits("1/60s"))
    assert desk.ping()[0] == 200
    reply = desk.send("POST", "/contacts/upsert/", b'{"email": "a@example.com"}').reply
    assert reply.status == 429
    assert reply.headers["retry-after"] == "60"
    assert "60 seconds" in reply.document()["message"]
    assert desk.account.contacts() == []
    desk.clock.now += 60
    assert desk.ping()[0] == 200


def test_each_key_has_a_count_of_its_own(desk_with):
    """One key at its limit leaves the other's alone."""
    keys = (ApiKey(secret="one", name="one"), ApiKey(secret="two", name="two"))
    desk = desk_with(keys=keys, limits=parse_limits("1/60s"))
    statuses = [desk.ping(key=key)[0] for key in ("one", "one", "two")]
    assert statuses == [200, 429, 200]


def test_requests_with_a_valid_key_count_even_if_they_are_refused_later(desk_with):
    """A body in error uses the budget; a wrong key or path does not."""
    desk = desk_with(limits=parse_limits("1/60s"))
    assert desk.answer("POST", "/nowhere/")[0] == 404
    assert desk.ping(key="wrong")[0] == 401
    assert desk.upsert(email="nonsense")[0] == 400
    assert desk.ping()[0] == 429
