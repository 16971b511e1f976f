"""When the next request may start."""

from dataclasses import replace

import pytest

from meisa_cdc.core.budget import (
    DEFAULT_WINDOWS,
    LONGEST_PAUSE,
    Usage,
    Window,
    admit,
    advance,
    forecast,
    left,
    parse_windows,
    sane,
    wait,
    windows_of,
)
from meisa_cdc.core.sharing import Throttle

NOW = 1_768_206_600.0
TEN = Window(count=10, period=60.0, burst=2)
DEFAULTS = windows_of(parse_windows(DEFAULT_WINDOWS), reserve=0.0)


# ---------------------------------------------------------------- reading limits


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("60/60s,1000/3600s", ((60, 60.0), (1000, 3600.0))),
        (" 5 / 1m , 1/500ms", ((5, 60.0), (1, 0.5))),
        ("24000/1d", ((24_000, 86_400.0),)),
    ],
)
def test_windows_are_read_in_the_order_they_are_written(text: str, windows):
    """Any number of them, with any unit of time."""
    assert parse_windows(text) == windows


@pytest.mark.parametrize(
    "text",
    ["", "60", "60/", "/60s", "0/60s", "-1/60s", "60/0s", "60/60", "1.5/60s", "60/60s,", "a/60s",
     "\uff16/60s", "1_0/60s", "60/60s/1h", "9999999999/60s"],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str):
    """The message quotes it."""
    with pytest.raises(ValueError, match=r"window|duration"):
        parse_windows(text)


@pytest.mark.parametrize(
    ("limit", "reserve", "count"),
    [
        (60, 0.1, 54),
        (1000, 0.1, 900),
        (1000, 0.0, 1000),
        (1000, 1.0, 1),
        (1, 0.5, 1),
        (3, 0.5, 1),
        (10, 0.3, 7),
        (100, 0.29, 71),
        (100, 0.43, 57),
        (1000, 0.001, 999),
        (60, 0.01, 59),
    ],
)
def test_the_reserve_is_left_to_others(limit: int, reserve: float, count: int):
    """Never a request more for us, none lost to float products, and never nothing."""
    (window,) = windows_of([(limit, 60.0)], reserve)
    assert window.count == count


@pytest.mark.parametrize("limit", [1, 7, 60, 1000, 12_345])
def test_no_reserve_costs_or_gives_a_request_by_rounding(limit: int):
    """The count is exactly what integers say."""
    for percent in range(101):
        (window,) = windows_of([(limit, 60.0)], percent / 100)
        assert window.count == max(1, limit * (100 - percent) // 100), percent


def test_the_shortest_window_bursts_most():
    """5 + 55 a minute, 50 + 950 an hour; sorted from short to long."""
    minute, hour = windows_of([(1000, 3600.0), (60, 60.0)], 0.0)
    assert (minute.count, minute.period, minute.burst) == (60, 60.0, 5)
    assert (hour.count, hour.period, hour.burst) == (1000, 3600.0, 50)
    assert minute.interval == pytest.approx(60 / 55)
    assert hour.interval == pytest.approx(3600 / 950)
    assert minute.tolerance == pytest.approx(4 * 60 / 55)


def test_a_window_of_one_request_has_no_burst():
    """The next one starts a whole period later."""
    (window,) = windows_of([(1, 60.0)], 0.0)
    assert (window.burst, window.interval, window.tolerance) == (1, 60.0, 0.0)


# ---------------------------------------------------------------- waiting


def test_the_first_request_starts_at_once():
    """Nothing was used yet."""
    assert wait(DEFAULTS, Usage(), NOW) == 0.0
    assert wait((), Usage(), NOW) == 0.0


def test_nothing_starts_during_a_pause():
    """The server said how long."""
    assert wait([TEN], Usage(paused_until=NOW + 30), NOW) == 30.0
    assert wait([TEN], Usage(paused_until=NOW - 30), NOW) == 0.0


def test_a_burst_then_an_even_pace():
    """Two at once, then one each 60 / 8 seconds."""
    starts, usage, now = [], Usage(), NOW
    for _ in range(5):
        now += wait([TEN], usage, now)
        starts.append(now - NOW)
        usage = replace(usage, paces=advance([TEN], usage, now))
    assert starts == pytest.approx([0.0, 0.0, 7.5, 15.0, 22.5])


def test_the_burst_comes_back_after_a_rest():
    """Not more than one burst, however long the rest."""
    usage = Usage(paces=advance([TEN], Usage(), NOW - 10_000))
    usage = Usage(paces=advance([TEN], usage, NOW))
    assert wait([TEN], usage, NOW) == 0.0
    usage = Usage(paces=advance([TEN], usage, NOW))
    assert wait([TEN], usage, NOW) == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("done", "seconds"),
    [
        ([NOW] * 9, 0.0),
        ([NOW] * 10, 60.0),
        ([NOW] * 9 + [NOW - 59], 1.0),
        ([NOW] * 9 + [NOW - 60], 0.0),
        ([NOW] * 10 + [NOW - 59], 60.0),
        ([NOW + 5] + [NOW - 50] * 9, 10.0),
        ([NOW + 5] * 10, 65.0),
    ],
    ids=["room", "full", "oldest leaves", "oldest left", "overfull", "in flight", "all in flight"],
)
def test_a_full_window_opens_when_its_oldest_answer_leaves_it(done: list[float], seconds: float):
    """A request in flight counts as answered when it will be given up at the latest."""
    assert wait([TEN], Usage(done=done), NOW) == pytest.approx(seconds)


def test_every_window_has_to_admit_a_request():
    """The longest wait counts."""
    short = Window(count=2, period=1.0, burst=2)
    usage = Usage(done=[NOW] * 2)
    assert wait([short, TEN], usage, NOW) == pytest.approx(1.0)
    assert wait([short, TEN], replace(usage, paces=[0.0, NOW + 50]), NOW) == pytest.approx(42.5)
    assert wait([short, TEN], replace(usage, paused_until=NOW + 99), NOW) == pytest.approx(99.0)


def test_a_request_is_admitted_with_the_paces_to_store():
    """Or not at all."""
    assert admit([TEN], Usage(), NOW) == (NOW + 7.5,)
    assert admit([TEN], Usage(paused_until=NOW + 1), NOW) is None


def test_a_window_that_is_new_in_the_settings_starts_afresh():
    """The state knows paces of fewer windows then."""
    assert advance(DEFAULTS, Usage(paces=[NOW + 9]), NOW)[1] == NOW + DEFAULTS[1].interval


@pytest.mark.parametrize(
    ("done", "requests"),
    [([], 10), ([NOW] * 4, 6), ([NOW - 60] * 4, 10), ([NOW + 5] * 4, 6), ([NOW] * 12, 0)],
    ids=["unused", "used", "long ago", "in flight", "overfull"],
)
def test_what_is_left_of_a_window_is_told(done: list[float], requests: int):
    """Never less than nothing."""
    assert left(TEN, Usage(done=done), NOW) == requests


# ---------------------------------------------------------------- the clock steps


def test_f13_what_can_be_true_is_believed():
    """A request in flight, a burst just spent, a pause the server asked for."""
    paces = Usage()
    for _ in range(TEN.burst):
        paces = Usage(paces=advance([TEN], paces, NOW))
    usage = replace(paces, done=(NOW + 35, NOW, NOW - 5), paused_until=NOW + LONGEST_PAUSE)
    assert sane([TEN], usage, NOW, 35.0) == usage


def test_f13_what_lies_too_far_ahead_is_left_out_and_the_burst_taken_as_spent():
    """The clock was set back an hour: nothing stalls, nothing bursts."""
    usage = Usage(
        done=(NOW + 3600, NOW + 36, NOW - 5), paces=(NOW + 3607,), paused_until=NOW + 3601
    )
    after = sane([TEN], usage, NOW, 35.0)
    assert after.done == (NOW - 5,)
    assert wait([TEN], after, NOW) == 0.0
    started = replace(after, paces=advance([TEN], after, NOW))
    assert wait([TEN], sane([TEN], started, NOW, 35.0), NOW) == pytest.approx(7.5)


def test_a_share_that_began_in_the_future_begins_now():
    """The clock was set back since others were seen to use the key."""
    ahead = Throttle(share=0.5, since=NOW + 3600, others=0.4, others_at=NOW + 3600)
    after = sane([TEN], Usage(throttle=ahead), NOW, 35.0).throttle
    assert after == replace(ahead, since=NOW, others_at=NOW)
    close = replace(ahead, since=NOW + 5, others_at=NOW + 5)
    assert sane([TEN], Usage(throttle=close), NOW, 35.0).throttle == close


def test_f13_answers_are_put_in_order():
    """Newest first, as the windows are counted."""
    assert sane([TEN], Usage(done=(NOW - 9, NOW, NOW - 3)), NOW, 35.0).done == (
        NOW,
        NOW - 3,
        NOW - 9,
    )


# ---------------------------------------------------------------- forecast


def run_forward(windows, usage: Usage, requests: int) -> float:
    """Return when the last of these requests starts if each is answered at once."""
    now = NOW
    for _ in range(requests):
        now += wait(windows, usage, now)
        usage = replace(usage, done=[now, *usage.done], paces=advance(windows, usage, now))
    return now - NOW


def test_nothing_takes_no_time():
    """Not even the rest of a pause."""
    assert forecast(DEFAULTS, Usage(paused_until=NOW + 9), 0, NOW) == 0.0


@pytest.mark.parametrize("requests", [1, 2, 5, 6, 54, 60, 61, 200, 1000, 1500])
def test_a_forecast_is_the_budget_run_forward(requests: int):
    """To the second, from an unused budget."""
    seconds = forecast(DEFAULTS, Usage(), requests, NOW)
    assert seconds == pytest.approx(run_forward(DEFAULTS, Usage(), requests), abs=1.0)


@pytest.mark.parametrize("used", [1, 40, 300])
@pytest.mark.parametrize("pause", [0.0, 600.0])
@pytest.mark.parametrize("requests", [1, 10, 100])
def test_a_forecast_starts_from_what_is_used_and_paused(used: int, pause: float, requests: int):
    """A pause delays everything after it."""
    usage, now = Usage(), NOW - 1500
    for _ in range(used):
        now += wait(DEFAULTS, usage, now)
        usage = replace(usage, done=[now, *usage.done], paces=advance(DEFAULTS, usage, now))
    usage = replace(usage, paused_until=NOW + pause)
    seconds = forecast(DEFAULTS, usage, requests, NOW)
    assert seconds == pytest.approx(run_forward(DEFAULTS, usage, requests), abs=1.0)
    assert seconds >= pause


def test_a_forecast_sees_a_window_that_is_full_though_its_pace_is_not():
    """As after a change of the limits: ten answers a moment ago, and no pace on record."""
    usage = Usage(done=[NOW - 1] * 10)
    assert forecast([TEN], usage, 1, NOW) == pytest.approx(59.0)
    assert forecast([TEN], usage, 12, NOW) == pytest.approx(run_forward([TEN], usage, 12), rel=0.1)


def test_fifty_thousand_contacts_take_days():
    """The hour binds: 900 an hour with the reserve."""
    windows = windows_of(parse_windows(DEFAULT_WINDOWS), 0.1)
    assert forecast(windows, Usage(), 50_000, NOW) / 3600 == pytest.approx(58.4, abs=0.2)
