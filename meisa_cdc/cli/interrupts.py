"""Ctrl-C and SIGTERM: the first lets requests under way end, the second ends at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
#: Seconds after the first signal at which the process ends whatever still hangs.
LAST_MOMENT = 9.5


class Interrupts:
    """While the block runs, a signal sets `stop`; outside of graceful parts it also interrupts.

    `terminated` is the exit code after SIGTERM.
    """

    def __init__(self, stop: Event, *, terminated: int = INTERRUPTED) -> None:
        self._stop = stop
        self._terminated = terminated
        self._waits = False
        self._before: dict[int, Any] = {}
        # All that a handler may touch: threads it interrupts hold locks, `stop`'s own among them.
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._watch = Thread(target=self._attend, name="interrupts", daemon=True)
        #: The signal that asked to end; 0 while none did.
        self.number = 0

    @property
    def code(self) -> int:
        """The exit code that the signal asks for; 0 while there was none."""
        codes = {0: 0, int(signal.SIGTERM): self._terminated}
        return codes.get(self.number, INTERRUPTED)

    def __enter__(self) -> Self:
        self._watch.start()
        self._before = {each: signal.signal(each, self._on_signal) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)
        self._asked.put(0)
        self._watch.join()

    @contextmanager
    def graceful(self) -> Iterator[None]:
        """Here a first signal is not raised: whoever works looks at `stop` often enough."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.number:
            # Nothing that is under way is lost: its intent is stored.
            os._exit(INTERRUPTED)
        self.number = number
        self._asked.put(number)
        if not self._waits:
            raise KeyboardInterrupt

    def _attend(self) -> None:
        if not self._asked.get():
            return
        self._stop.set()
        try:
            self._asked.get(timeout=LAST_MOMENT)
        except Empty:
            os._exit(self.code)
