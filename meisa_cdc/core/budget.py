"""The request windows: (windows, grants, now) -> how long to wait. Never sleeps.

Two rules hold together. The hard one: a request may start only while fewer than `count`
requests are in flight or were answered within the last `period`, because the server counts a
request at an unknown instant between our start and its answer. The soft one spreads them: a
small burst, then an even pace, so that an hour's budget lasts the hour and approximate counters
on the server stay content.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from meisa_cdc.core.breaker import Breaker
from meisa_cdc.core.durations import duration
from meisa_cdc.core.sharing import Throttle, share, shrunk

#: Burst as a part of the count: the shortest window may be less even than the long ones.
SHORT_BURST = 12
LONG_BURST = 20
DEFAULT_WINDOWS = "60/60s,1000/3600s"
COUNT = re.compile(r"\d{1,9}", re.ASCII)
#: Seconds; nobody is made to pause for longer.
LONGEST_PAUSE = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most `count` requests within any `period`."""

    count: int
    #: Seconds.
    period: float
    #: Requests that may start at once after a rest.
    burst: int
    #: What the server admits to everyone with the key; 0: no more than `count`.
    limit: int = 0

    @property
    def interval(self) -> float:
        """Seconds between two starts once the burst is spent."""
        return self.period / max(self.count - self.burst, 1)

    @property
    def tolerance(self) -> float:
        """Seconds by which a start may be ahead of the even pace."""
        return (self.burst - 1) * self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was started and answered so far, as the state remembers it."""

    #: Epoch seconds at which each recent request was answered, or will at the latest be given
    #: up; newest first, at least the largest window's count of them if there are as many.
    done: Sequence[float] = ()
    #: Epoch seconds of the next even start, by the window's place in the list.
    paces: Sequence[float] = ()
    #: Nothing starts before this; set when the server told us to wait.
    paused_until: float = 0.0
    #: How much of the windows is ours, as far as others were seen to use the key.
    throttle: Throttle = field(default_factory=Throttle)
    #: Whether deliveries go on.
    breaker: Breaker = field(default_factory=Breaker)
    #: Deliveries started so far; says whose turn is next.
    turn: int = 0


def parse_windows(text: str) -> tuple[tuple[int, float], ...]:
    """Return ((count, seconds), …) of `60/60s,1000/3600s`. Raises ValueError otherwise."""
    windows: list[tuple[int, float]] = []
    for part in text.split(","):
        count, slash, period = part.strip().partition("/")
        if not slash or not COUNT.fullmatch(count.strip()) or int(count) < 1:
            message = f"{part.strip()!r} is not a request window; write 60/60s"
            raise ValueError(message)
        seconds = duration(period)
        if seconds <= 0:
            message = f"the window {part.strip()!r} has no length"
            raise ValueError(message)
        windows.append((int(count), seconds))
    return tuple(windows)


def windows_of(limits: Sequence[tuple[int, float]], reserve: float) -> tuple[Window, ...]:
    """Return the windows left to us when `reserve` (0..1) of each belongs to others."""
    shortest = min(period for _, period in limits)
    windows = []
    for limit, period in sorted(limits, key=lambda each: each[1]):
        # A float product such as 1000 * (1 - 0.1) must not lose a whole request.
        count = max(1, math.floor(limit * (1 - reserve) + 1e-9))
        part = SHORT_BURST if period == shortest else LONG_BURST
        burst = max(1, count // part)
        windows.append(Window(count=count, period=period, burst=burst, limit=limit))
    return tuple(windows)


def taken(windows: Sequence[Window], usage: Usage, now: float) -> Sequence[Window]:
    """Return the windows that we take at present, where others were seen to use the key too."""
    part = share(usage.throttle, now)
    if part >= 1.0:
        return windows
    return [
        replace(
            window,
            count=max(1, math.floor(window.count * part + 1e-9)),
            burst=max(1, math.floor(window.burst * part)),
        )
        for window in windows
    ]


def wait(windows: Sequence[Window], usage: Usage, now: float) -> float:
    """Return the seconds until the next request may start; 0 where it may start now."""
    return _wait(taken(windows, usage, now), usage, now)


def _wait(windows: Sequence[Window], usage: Usage, now: float) -> float:
    start = max(now, usage.paused_until)
    for place, window in enumerate(windows):
        start = max(start, _free_again(window, usage.done, now))
        start = max(start, _pace(usage, place) - window.tolerance)
    return max(0.0, start - now)


def advance(windows: Sequence[Window], usage: Usage, now: float) -> tuple[float, ...]:
    """Return the paces after a request that starts now."""
    return tuple(
        max(now, _pace(usage, place)) + window.interval
        for place, window in enumerate(taken(windows, usage, now))
    )


def admit(windows: Sequence[Window], usage: Usage, now: float) -> tuple[float, ...] | None:
    """Return the paces after a request that starts now; None where none may start."""
    return None if wait(windows, usage, now) > 0 else advance(windows, usage, now)


def begun(usage: Usage, paces: Sequence[float], deadline: float) -> Usage:
    """Return the usage once a delivery has started that is given up by then at the latest."""
    done = tuple(sorted((deadline, *usage.done), reverse=True))
    return replace(usage, done=done, paces=tuple(paces), turn=usage.turn + 1)


def paused(usage: Usage, until: float) -> Usage:
    """Return the usage after we were told to wait; a shorter wait does not end a longer one."""
    return replace(usage, paused_until=max(usage.paused_until, until))


def contested(windows: Sequence[Window], usage: Usage, *, started: float, now: float) -> Usage:
    """Return the usage after a request that started then was answered 429.

    We kept within the windows, so in at least one of them others used what we did not.
    """
    others = min(
        1.0 - min(1.0, (window.count - left(window, usage, now)) / (window.limit or window.count))
        for window in windows
    )
    throttle = shrunk(usage.throttle, others=others, started=started, now=now)
    return replace(usage, throttle=throttle)


def sane(windows: Sequence[Window], usage: Usage, now: float, timeout: float) -> Usage:
    """Return the usage without what lies too far ahead to be true: the clock was set back.

    `timeout` is the longest a request can be in flight. What it leaves out cannot be dated any
    more, so the bursts are taken as spent: the even pace alone keeps within the windows then.
    """
    paces = []
    for place, window in enumerate(taken(windows, usage, now)):
        pace, spent = _pace(usage, place), now + window.tolerance
        paces.append(spent if pace > spent + window.interval + timeout else pace)
    done = [each for each in usage.done if each <= now + timeout]
    throttle = usage.throttle
    if throttle.since > now + timeout:
        throttle = replace(throttle, since=now, others_at=now)
    return replace(
        usage,
        done=tuple(sorted(done, reverse=True)),
        paces=tuple(paces),
        paused_until=usage.paused_until if usage.paused_until <= now + LONGEST_PAUSE else 0.0,
        throttle=throttle,
    )


def forecast(windows: Sequence[Window], usage: Usage, requests: int, now: float) -> float:
    """Return the seconds until that many further requests have started.

    Where others use the key, this is what the present share allows; it may grow meanwhile.
    """
    if requests <= 0:
        return 0.0
    windows = taken(windows, usage, now)
    first = now + _wait(windows, usage, now)
    last = first
    for place, window in enumerate(windows):
        pace = max(first, _pace(usage, place))
        last = max(last, pace + (requests - 1) * window.interval - window.tolerance)
        last = max(last, _room_for(window, usage.done, requests, now))
    return last - now


def _room_for(window: Window, done: Sequence[float], requests: int, now: float) -> float:
    """Return when the last of the requests has room beside what was answered before."""
    within = min(requests, window.count)
    if len(done) <= window.count - within:
        return now
    return done[window.count - within] + window.period


def period_of(windows: Sequence[Window]) -> float:
    """Return the seconds of the longest window: what was answered before counts no more."""
    return max(window.period for window in windows)


def left(window: Window, usage: Usage, now: float) -> int:
    """Return how many more requests the window admits at this instant."""
    return max(0, window.count - sum(1 for done in usage.done if done > now - window.period))


def _free_again(window: Window, done: Sequence[float], now: float) -> float:
    if len(done) < window.count:
        return now
    return done[window.count - 1] + window.period


def _pace(usage: Usage, place: int) -> float:
    return usage.paces[place] if place < len(usage.paces) else 0.0
