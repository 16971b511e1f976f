"""The sender that everybody writes first: each change in turn, at full pace, again after a 429."""

import math
from collections import deque

from benchmarks.simulation.product import BACK, START
from benchmarks.simulation.world import CONCURRENCY, Flight, World
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.outcome import BUSY, Answer

#: Seconds to wait after an answer 429 that does not say.
PAUSE = 60.0


class Fifo:
    """Sends a request a change, the oldest first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._queue: deque[int] = deque(range(-world.changes.backlog, 0))
        self._paused_until = 0.0

    def saw(self, number: int, contact: int, kind: int, at: float) -> None:
        """Queue a change; numbers below 0 are those of the backlog."""
        del contact, kind, at
        self._queue.append(number)

    def step(self, now: float) -> float:
        """Send as much as there are lanes for."""
        if now < self._paused_until:
            return self._paused_until
        waiting: list[int] = []
        while len(self.world.flights) < CONCURRENCY and self._queue:
            number = self._queue.popleft()
            contact = number + self.world.changes.backlog
            if number >= 0:
                contact = self.world.changes.who[number]
            if contact in self.world.flights:
                waiting.append(number)
                continue
            self.world.send(contact, self._class(number), now, number)
        self._queue.extendleft(reversed(waiting))
        return math.inf if self._queue else self.world.next_change

    def answered(self, flight: Flight, answer: Answer, now: float) -> None:
        """Count what was accepted; put everything else back to the front."""
        number = flight.note
        if answer.status == 200:  # noqa: PLR2004 - success
            self._over(number, now)
            return
        if answer.status == BUSY:
            pause = PAUSE if answer.retry_after is None else answer.retry_after
            self._paused_until = max(self._paused_until, now + pause)
        self._queue.appendleft(number)

    def ended(self, now: float) -> None:
        """Count what still waits with its age."""
        for number in [*self._queue, *(each.note for each in self.world.flights.values())]:
            self._over(number, now)

    def _over(self, number: int, now: float) -> None:
        first = self.world.changes.times[number] if number >= 0 else START
        self.world.tally.waits[self._class(number)].append(now - first)

    def _class(self, number: int) -> int:
        if number < 0:
            return int(Priority.BACKGROUND)
        kind = self.world.changes.kinds[number]
        return int(Priority.URGENT) if kind == BACK else kind
