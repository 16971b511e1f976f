"""A clock that stands still until it is told otherwise."""

import threading

#: 1 January 2026, 00:00 UTC.
NEW_YEAR = 1_767_225_600.0


class HandClock:
    """`ports.Clock` for tests: sleeping takes no time and moves it on."""

    def __init__(self, now: float = NEW_YEAR) -> None:
        self._now = now
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the time on by that many seconds."""
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Move the time by that many seconds; back where they are negative."""
        with self._lock:
            self._now += seconds

    def set(self, now: float) -> None:
        """Set the time."""
        with self._lock:
            self._now = now
