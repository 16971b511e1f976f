"""Four ways in which a server may count requests, all with the same limits."""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

Limits = Sequence[tuple[int, float]]
LIMITS: Limits = ((60, 60.0), (1000, 3600.0))


class Counter(ABC):
    """One window of `count` requests in `period` seconds."""

    def __init__(self, count: int, period: float) -> None:
        self.count = count
        self.period = period

    @abstractmethod
    def wait(self, now: float) -> float:
        """Return the seconds until one more request is admitted; 0 is now."""

    @abstractmethod
    def take(self, now: float) -> None:
        """Count a request."""


class FixedWindow(Counter):
    """Counts anew at each multiple of the period."""

    def __init__(self, count: int, period: float) -> None:
        super().__init__(count, period)
        self._index = -1
        self._used = 0

    def wait(self, now: float) -> float:
        """Return the seconds until one more request is admitted; 0 is now."""
        if now // self.period != self._index or self._used < self.count:
            return 0.0
        return (self._index + 1) * self.period - now

    def take(self, now: float) -> None:
        """Count a request."""
        index = int(now // self.period)
        if index != self._index:
            self._index, self._used = index, 0
        self._used += 1


class SlidingLog(Counter):
    """Remembers each request for one period."""

    def __init__(self, count: int, period: float) -> None:
        super().__init__(count, period)
        self._log: deque[float] = deque(maxlen=count)

    def wait(self, now: float) -> float:
        """Return the seconds until one more request is admitted; 0 is now."""
        if len(self._log) < self.count:
            return 0.0
        return max(0.0, self._log[0] + self.period - now)

    def take(self, now: float) -> None:
        """Count a request."""
        self._log.append(now)


class SlidingCounter(Counter):
    """Two fixed windows, the earlier one weighted by the part of it that still counts."""

    def __init__(self, count: int, period: float) -> None:
        super().__init__(count, period)
        self._index = -1
        self._used = 0
        self._before = 0

    def wait(self, now: float) -> float:
        """Return the seconds until one more request is admitted; 0 is now."""
        self._turn(now)
        passed = now - self._index * self.period
        room = self.count - 1 - self._used
        if self._before * (1 - passed / self.period) <= room:
            return 0.0
        if room < 0:
            # In the next window, as soon as this one weighs little enough.
            return self.period * (2 - (self.count - 1) / self._used) - passed
        return self.period * (1 - room / self._before) - passed

    def take(self, now: float) -> None:
        """Count a request."""
        self._turn(now)
        self._used += 1

    def _turn(self, now: float) -> None:
        index = int(now // self.period)
        if index != self._index:
            self._before = self._used if index == self._index + 1 else 0
            self._index, self._used = index, 0


class TokenBucket(Counter):
    """Fills evenly up to `count` tokens; a request takes one."""

    def __init__(self, count: int, period: float) -> None:
        super().__init__(count, period)
        self._tokens = float(count)
        self._at = -math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until one more request is admitted; 0 is now."""
        return max(0.0, (1.0 - self._filled(now)) * self.period / self.count)

    def take(self, now: float) -> None:
        """Count a request."""
        self._tokens = self._filled(now) - 1.0
        self._at = now

    def _filled(self, now: float) -> float:
        if self._at == -math.inf:
            return self._tokens
        filled = self._tokens + (now - self._at) * self.count / self.period
        # A token that rounding leaves a hair short is whole.
        return min(float(self.count), filled + 1e-9)


MODELS: dict[str, type[Counter]] = {
    "fixed window": FixedWindow,
    "sliding log": SlidingLog,
    "sliding counter": SlidingCounter,
    "token bucket": TokenBucket,
}
#: Counts in all four ways at once. A sender that is never refused there is refused nowhere, and
#: does the same everywhere.
ALL = "all four"


class Server:
    """Admits a request where every window does; a refused one counts in none."""

    def __init__(self, model: str, limits: Limits = LIMITS, *, offset: float = 0.0) -> None:
        kinds = MODELS.values() if model == ALL else [MODELS[model]]
        self._counters = [kind(count, period) for kind in kinds for count, period in limits]
        self._offset = offset

    def admit(self, at: float) -> float:
        """Count a request that arrives then; return 0, or the seconds after which to come again.

        `offset` moves its windows against the clock of those who ask.
        """
        at += self._offset
        wait = max(counter.wait(at) for counter in self._counters)
        if wait <= 0:
            for counter in self._counters:
                counter.take(at)
        return wait
