"""Ends a call to the database that does not come back, from a thread beside it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

#: Seconds by which the server's own time limit goes first, and between two steps of ours.
GRACE = 5.0


class Watchdog:
    """Takes one step after another, each a little harsher, until the call returns."""

    def __init__(
        self, *steps: Callable[[], None], grace: float = GRACE, between: float = GRACE
    ) -> None:
        self._steps = steps
        self._grace = grace
        self._between = between

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Allow the block this many seconds and the grace, then take one step after another."""
        done = Event()
        thread = Thread(target=self._watch, args=(seconds, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            # A step that comes after the block would hit whatever runs next.
            thread.join()

    def _watch(self, seconds: float, done: Event) -> None:
        wait = seconds + self._grace
        for step in self._steps:
            if done.wait(wait):
                return
            step()
            wait = self._between
