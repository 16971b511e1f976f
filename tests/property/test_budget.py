"""No server, however it counts, sees more requests than it allows; little is left unused."""

import bisect
import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from meisa_cdc.core.budget import Usage, Window, advance, sane, wait, windows_of

START = 1_768_206_600.0
#: Doubles of this size are exact to less than a microsecond; no server counts finer.
ROUNDING = 1e-5

Limits = Sequence[tuple[int, float]]


@dataclass(slots=True)
class Driver:
    """Starts requests when the budget admits them, as a use case does; time is real time."""

    windows: tuple[Window, ...]
    #: Seconds from start to answer, and the part of them after which the server counts.
    latency: Callable[[], tuple[float, float]]
    concurrency: int = 1
    timeout: float = 30.0
    #: How far the wall clock is ahead of real time.
    clock_off: float = 0.0
    now: float = START
    #: On record, in order: wall clock time of each answer, or of giving up.
    done: list[float] = field(default_factory=list)
    paces: tuple[float, ...] = ()
    #: Real time of the answers on their way, with the time on record until then.
    flights: list[tuple[float, float]] = field(default_factory=list)
    #: Real times at which requests were started, and counted by the server.
    started: list[float] = field(default_factory=list)
    counted: list[float] = field(default_factory=list)

    def usage(self) -> Usage:
        """Return what the state tells, cleared of what cannot be true."""
        most = max(window.count for window in self.windows)
        usage = Usage(done=self.done[: -most - 1 : -1], paces=self.paces)
        return sane(self.windows, usage, self.wall(), self.timeout)

    def wall(self) -> float:
        """Return what the wall clock shows."""
        return self.now + self.clock_off

    def collect(self) -> None:
        """Record the answers that came."""
        while self.flights and self.flights[0][0] <= self.now:
            came, deadline = heapq.heappop(self.flights)
            del self.done[bisect.bisect_left(self.done, deadline)]
            bisect.insort(self.done, came + self.clock_off)

    def step(self) -> None:
        """Start one request as soon as the budget and the lanes admit it."""
        while True:
            self.collect()
            pause = wait(self.windows, self.usage(), self.wall())
            if pause <= 0 and len(self.flights) < self.concurrency:
                return self.start()
            events = [self.now + pause] if pause > 0 else []
            events += [self.flights[0][0]] if self.flights else []
            # An answer may open a window sooner than the deadline that stood for it.
            self.now = max(min(events), math.nextafter(self.now, math.inf))

    def start(self) -> None:
        """Send a request now."""
        self.paces = advance(self.windows, self.usage(), self.wall())
        whole, part = self.latency()
        self.started.append(self.now)
        self.counted.append(self.now + whole * part)
        deadline = self.wall() + self.timeout
        bisect.insort(self.done, deadline)
        heapq.heappush(self.flights, (self.now + whole, deadline))


def most_in_sliding(times: Sequence[float], period: float) -> int:
    """Return the most requests that a sliding log of this length ever held."""
    times = sorted(times)
    return max(
        place - bisect.bisect_right(times, at - period + ROUNDING) + 1
        for place, at in enumerate(times)
    )


def most_in_fixed(times: Sequence[float], period: float, offset: float) -> int:
    """Return the most requests in one aligned window."""
    counts: dict[int, int] = {}
    for at in times:
        number = math.floor((at - offset) / period)
        counts[number] = counts.get(number, 0) + 1
    return max(counts.values())


def latencies(seed: int, usual: float, slow: float) -> Callable[[], tuple[float, float]]:
    """Return answers that mostly take `usual` seconds, sometimes `slow` ones."""
    chance = random.Random(seed)

    def one() -> tuple[float, float]:
        longest = slow if chance.random() < 0.05 else usual
        return chance.uniform(0.0, longest), chance.choice([0.0, 1.0, chance.random()])

    return one


limits_of_servers = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([1.0, 5.0, 10.0, 60.0, 300.0])),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each[1],
)


@given(
    limits=limits_of_servers,
    reserve=st.sampled_from([0.0, 0.1, 0.5]),
    concurrency=st.integers(1, 4),
    usual=st.sampled_from([0.0, 0.05, 2.0, 20.0]),
    slow=st.sampled_from([0.0, 5.0, 29.0]),
    offset=st.floats(0.0, 300.0),
    rests=st.lists(st.tuples(st.integers(1, 40), st.floats(0.0, 400.0)), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150)
def test_no_window_is_ever_exceeded(
    limits: Limits,
    reserve: float,
    concurrency: int,
    usual: float,
    slow: float,
    offset: float,
    rests: list[tuple[int, float]],
    seed: int,
):
    """Whenever between start and answer the server counts, and however its windows lie."""
    driver = Driver(
        windows=windows_of(limits, reserve),
        latency=latencies(seed, usual, slow),
        concurrency=concurrency,
    )
    for requests, rest in rests:
        for _ in range(requests):
            driver.step()
        driver.now += rest
    for (limit, period), window in zip(
        sorted(limits, key=lambda e: e[1]), driver.windows, strict=True
    ):
        most = most_in_sliding(driver.counted, period)
        assert most <= window.count <= limit
        assert most_in_fixed(driver.counted, period, offset) <= window.count


@given(
    limits=limits_of_servers,
    requests=st.integers(1, 80),
    rest=st.floats(0.0, 400.0),
)
@settings(max_examples=100)
def test_the_even_pace_alone_keeps_within_the_windows(limits: Limits, requests: int, rest: float):
    """Starts never exceed a window even where no answer is on record, as after a clock step."""
    windows = windows_of(limits, 0.0)
    now, starts = START, []
    paces: tuple[float, ...] = ()
    for number in range(2 * requests):
        now += wait(windows, Usage(paces=paces), now)
        now += rest if number == requests else 0.0
        paces = advance(windows, Usage(paces=paces), now)
        starts.append(now)
    for window in windows:
        assert most_in_sliding(starts, window.period) <= window.count


@pytest.mark.parametrize(
    ("limits", "share", "hours"),
    [
        ([(60, 60.0), (1000, 3600.0)], 0.94, 2.0),
        ([(60, 60.0), (24_000, 86_400.0)], 0.94, 1.0),
        ([(100, 10.0), (600, 600.0)], 0.94, 0.5),
        ([(60, 60.0)], 0.91, 0.5),
        ([(30, 60.0)], 0.91, 0.5),
    ],
    ids=["defaults", "minute and day", "seconds and minutes", "minute", "half"],
)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_little_of_the_budget_is_left_unused(
    limits: Limits, share: float, hours: float, concurrency: int
):
    """Of the smallest rate that any window allows, once the bursts are spent.

    The shortest window gives up a twelfth for its burst, the longer ones a twentieth.
    """
    driver = Driver(
        windows=windows_of(limits, 0.0), latency=latencies(1, 0.2, 0.5), concurrency=concurrency
    )
    first = START + hours * 1800
    while driver.now < first + hours * 3600:
        driver.step()
    allowed = min(count / period for count, period in limits)
    after = [each for each in driver.started if each >= first]
    assert len(after) / (driver.now - first) >= share * allowed
    for count, period in limits:
        assert most_in_sliding(driver.counted, period) <= count


def stepped(step: float, before: int, reserve: float) -> tuple[Driver, float]:
    """Return a driver that went on after its clock was moved, and the real time of that."""
    driver = Driver(
        windows=windows_of([(60, 60.0), (1000, 3600.0)], reserve), latency=latencies(7, 0.2, 0.5)
    )
    for _ in range(before):
        driver.step()
    driver.clock_off = step
    at = driver.now
    return driver, at


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -600.0, -40.0, -1.0])
@pytest.mark.parametrize("before", [1, 60, 900])
def test_f13_a_clock_set_back_neither_stalls_nor_bursts(step: float, before: int):
    """The state is full of moments that have not come yet; an even pace makes up for them."""
    driver, at = stepped(step, before, 0.1)
    while driver.now < at + 4500:
        driver.step()
    starts = [at, *(each for each in driver.started if each > at)]
    # Within a minute after the step, and never later than a window allows.
    assert starts[1] - at <= 60.0
    assert max(after - first for first, after in pairwise(starts)) <= 3600.0
    assert most_in_sliding(driver.counted, 60.0) <= 60
    assert most_in_sliding(driver.counted, 3600.0) <= 1000


@pytest.mark.parametrize("step", [3600.0, 86_400.0])
def test_f13_a_clock_set_forward_lets_no_more_than_one_burst_through(step: float):
    """It looks like a long rest, after which a burst is due, and then the even pace."""
    driver, at = stepped(step, 150, 0.1)
    for _ in range(200):
        driver.step()
    minute, hour = driver.windows
    after = [each for each in driver.started if each > at]
    for seconds in (1.0, 10.0, 60.0, 600.0):
        started = sum(each <= at + seconds for each in after)
        assert started <= minute.burst + seconds / minute.interval + 1
        assert started <= hour.burst + seconds / hour.interval + 1
    assert after[0] - at <= minute.interval


@given(
    steps=st.lists(st.floats(-100_000.0, 100_000.0), min_size=1, max_size=4),
    used=st.integers(0, 120),
)
@settings(max_examples=60)
def test_f13_whatever_the_clock_does_a_request_starts_within_a_window(
    steps: list[float], used: int
):
    """Steps of any size in any order."""
    driver, _ = stepped(0.0, used, 0.1)
    for step in steps:
        driver.clock_off += step
        at = driver.now
        driver.step()
        assert driver.now - at <= 3600.0 + driver.timeout


@given(
    limits=limits_of_servers,
    done=st.lists(st.floats(-400.0, 400.0), max_size=60),
    paces=st.lists(st.floats(-1000.0, 100_000.0), max_size=3),
    paused=st.floats(-1000.0, 100_000.0),
)
def test_a_wait_that_was_waited_is_over(
    limits: Limits, done: list[float], paces: list[float], paused: float
):
    """Or as good as: no caller goes round in circles; and clearing up twice changes nothing."""
    windows = windows_of(limits, 0.0)
    usage = Usage(
        done=[START + each for each in done],
        paces=[START + each for each in paces],
        paused_until=START + paused,
    )
    clear = sane(windows, usage, START, 30.0)
    assert replace(clear, paces=()) == replace(sane(windows, clear, START, 30.0), paces=())
    pause = wait(windows, clear, START)
    assert pause >= 0.0
    assert wait(windows, clear, START + pause) <= ROUNDING
