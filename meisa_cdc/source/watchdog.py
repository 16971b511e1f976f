"""Ends a call to the database that does not come back, from a thread beside it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread

#: Seconds by which the server's own time limit goes first, and between two steps of ours.
GRACE = 5.0
#: Seconds after which a thread ends that nobody needs.
IDLE = 2.0


class Watchdog:
    """Takes one step after another, each a little harsher, until the call returns.

    Its thread serves one call after the other: to start one for each takes longer than most calls.
    """

    def __init__(
        self, *steps: Callable[[], None], grace: float = GRACE, between: float = GRACE
    ) -> None:
        self._steps = steps
        self._grace = grace
        self._between = between
        self._changed = Condition()
        self._thread: Thread | None = None
        #: When the next step is due, and which it is; None: no call is under way.
        self._due: float | None = None
        self._next = 0
        #: When the thread looks again by itself.
        self._looks = 0.0

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Allow the block this many seconds and the grace, then take one step after another."""
        with self._changed:
            self._due = time.monotonic() + seconds + self._grace
            self._next = 0
            if self._thread is None:
                self._thread = Thread(target=self._watch, daemon=True)
                self._thread.start()
            elif self._due < self._looks:
                self._changed.notify()
        try:
            yield
        finally:
            # A step that is under way ends first: later it would hit whatever runs next.
            with self._changed:
                self._due = None

    def _watch(self) -> None:
        with self._changed:
            while True:
                idle = self._due is None
                wait = IDLE if self._due is None else self._due - time.monotonic()
                if wait > 0:
                    self._looks = time.monotonic() + wait
                    self._changed.wait(wait)
                    if idle and self._due is None and time.monotonic() >= self._looks:
                        self._thread = None
                        return
                else:
                    self._step()

    def _step(self) -> None:
        self._steps[self._next]()
        self._next += 1
        last = self._next == len(self._steps)
        self._due = None if last else time.monotonic() + self._between
