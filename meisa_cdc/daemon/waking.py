"""Noticing changes before any schedule does, where the app database keeps a log of them."""

from collections.abc import Callable
from dataclasses import dataclass

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.ports import Clock, Watch

#: Seconds between two looks at the log.
EVERY = 1.0
#: A pass took so long: for so many times as long, there is no other because of the log.
REST = 5.0
#: The same of looks, which take long where the app has a long transaction open.
REST_OF_LOOKS = 20.0
#: Seconds before a log that cannot be looked at is tried again.
RETRY = 30.0


@dataclass(slots=True, kw_only=True)
class Waking:
    """Looks at the log now and then; the schedules hold whatever it tells."""

    watch: Watch
    clock: Clock
    _next: float = 0.0

    def due(self, woken: Callable[[], frozenset[str]]) -> frozenset[str]:
        """Return the mappings to read now, where the log tells something new; often nothing.

        `woken` returns those that it may have read; it is asked only when it is time to look.
        """
        now = self.clock.now()
        if now < self._next:
            return frozenset()
        self._next = now + EVERY
        names = woken()
        try:
            moved = bool(names) and self.watch.moved()
        except SourceUnavailable:
            # The passes tell of it.
            self._next = now + RETRY
            return frozenset()
        took = self.clock.now() - now
        self._next = now + max(EVERY, took * REST_OF_LOOKS)
        return names if moved else frozenset()

    def passed(self, seconds: float) -> None:
        """Take note of how long a pass took that has just ended."""
        self._next = self.clock.now() + max(EVERY, seconds * REST)
