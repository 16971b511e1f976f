"""Request limits, counted when a request arrives, in whole microseconds."""

from collections import deque
from collections.abc import Collection, Sequence

from meisa_cdc.sandbox.options import Window, WindowKind

_MICROSECOND = 1_000_000


class _FixedWindow:
    """Counts anew at each multiple of the period since the epoch."""

    def __init__(self, count: int, period: int) -> None:
        self._count = count
        self._period = period
        self._index = -1
        self._used = 0

    def wait(self, now: int) -> int:
        """Microseconds until one more request would be admitted; 0 is now."""
        if now // self._period != self._index or self._used < self._count:
            return 0
        return (self._index + 1) * self._period - now

    def take(self, now: int) -> None:
        if now // self._period != self._index:
            self._index = now // self._period
            self._used = 0
        self._used += 1


class _SlidingWindow:
    """Looks back one period from each request; one exactly a period old is out."""

    def __init__(self, count: int, period: int) -> None:
        self._period = period
        self._admitted: deque[int] = deque(maxlen=count)

    def wait(self, now: int) -> int:
        """Microseconds until one more request would be admitted; 0 is now."""
        if len(self._admitted) < (self._admitted.maxlen or 0):
            return 0
        return max(0, self._admitted[0] + self._period - now)

    def take(self, now: int) -> None:
        self._admitted.append(now)


class RateLimits:
    """The windows of one key. A request counts in all of them or, refused, in none."""

    def __init__(self, windows: Sequence[Window], kinds: Collection[WindowKind]) -> None:
        self._windows: list[_FixedWindow | _SlidingWindow] = []
        for window in windows:
            period = round(window.period * _MICROSECOND)
            if "fixed" in kinds:
                self._windows.append(_FixedWindow(window.count, period))
            if "sliding" in kinds:
                self._windows.append(_SlidingWindow(window.count, period))

    def admit(self, at: float) -> int | None:
        """Count a request that arrived then (epoch seconds).

        None if it is admitted, else the whole seconds (at least 1) after which it would be.
        """
        now = round(at * _MICROSECOND)
        wait = max((window.wait(now) for window in self._windows), default=0)
        if wait > 0:
            return -(-wait // _MICROSECOND)
        self.recall(at)
        return None

    def recall(self, at: float) -> None:
        """Count a request that was admitted then."""
        for window in self._windows:
            window.take(round(at * _MICROSECOND))
