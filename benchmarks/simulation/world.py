"""The world around a sender: what the app wants, what Meisa holds, and the server between them.

Events are few: the instants at which the server counts a request and at which its answer comes.
The app's changes and the other client's calls are looked up when somebody asks.
"""

import heapq
import math
import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.simulation.product import BACK, START, Changes
from benchmarks.simulation.servers import Server
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.outcome import Answer

CONCURRENCY = 4
#: Seconds after which the client gives a request up.
TIMEOUT = 30.0
USUAL = (0.1, 0.4)
SLOW = (2.0, 25.0)
SLOW_PART = 0.02
#: Of requests, so many get no answer at all, whether Meisa took them or not.
LOST_PART = 0.0005


@dataclass(slots=True, kw_only=True)
class Flight:
    """A request under way."""

    contact: int
    #: Epoch seconds.
    started: float
    #: What the app wanted for the contact when it was sent.
    value: int
    #: Whatever the sender has to remember.
    note: Any = None
    #: Whether there will be no answer.
    lost: bool = False
    #: Seconds that the server asked to wait; 0: it took the request, None: not counted yet.
    refused: float | None = None


class Sender(Protocol):
    """Decides what is sent when."""

    def saw(self, number: int, contact: int, kind: int, at: float) -> None:
        """Hear of the app's change of that number."""

    def step(self, now: float) -> float:
        """Start what may start; return the epoch second at which more may, inf: after an answer."""

    def answered(self, flight: Flight, answer: Answer, now: float) -> None:
        """Hear of an answer, or of a time-out."""

    def ended(self, now: float) -> None:
        """Account for what still waits."""


@dataclass(slots=True)
class Tally:
    """What came of a run."""

    sent: int = 0
    accepted: int = 0
    too_many: int = 0
    #: Requests that an oracle would have sent: Meisa held something else than the app wanted.
    needed: int = 0
    #: The other client's calls, and those of them that were refused.
    calls: int = 0
    refused: int = 0
    #: Requests started by class.
    grants: list[int] = field(default_factory=lambda: [0, 0, 0])
    #: Seconds from a change to its acceptance, by class; what still waits counts with its age.
    waits: Sequence["array[float]"] = field(default_factory=lambda: [array("d") for _ in Priority])


class World:
    """Everything outside the sender, and the clock."""

    def __init__(
        self,
        changes: Changes,
        server: Server,
        *,
        calls: Sequence[float] = (),
        says_when: bool = True,
        seed: int = 0,
    ) -> None:
        self.changes = changes
        self.tally = Tally()
        #: What the app wants and what Meisa holds of each contact: any number per state.
        self.wanted = array("l", bytes(8 * changes.contacts))
        self.held = array("l", bytes(8 * changes.contacts))
        for contact in range(changes.backlog):
            self.wanted[contact] = -1
        self.flights: dict[int, Flight] = {}
        self._server = server
        self._calls = calls
        self._called = 0
        self._says_when = says_when
        self._chance = random.Random(seed)
        self._before: dict[int, int] = {}
        self._seen = 0
        self._events: list[tuple[float, int, bool, Flight]] = []
        self._number = 0

    def run(self, sender: Sender) -> Tally:
        """Let the sender work until the changes end."""
        events, end = self._events, self.changes.end
        wake = START
        while True:
            now = min(wake, events[0][0]) if events else wake
            if now >= end:
                break
            if events and events[0][0] <= now:
                _, _, counted, flight = heapq.heappop(events)
                if counted:
                    flight.refused = self._count(flight, now)
                    continue
                self._answer(sender, flight, now)
            self._observe(sender, now)
            wake = max(sender.step(now), math.nextafter(now, math.inf))
        self._observe(sender, end)
        self._call(end)
        sender.ended(end)
        return self.tally

    def send(self, contact: int, rank: int, now: float, note: Any = None) -> None:
        """Start a request."""
        chance = self._chance
        slow = chance.random() < SLOW_PART
        takes = chance.uniform(*(SLOW if slow else USUAL))
        counted = now + takes * chance.random()
        lost = chance.random() < LOST_PART
        value = self.wanted[contact]
        flight = Flight(contact=contact, started=now, value=value, note=note, lost=lost)
        if not lost or chance.random() < 1 / 2:
            self._at(counted, flight, counted=True)
        self._at(now + (TIMEOUT if lost else takes), flight, counted=False)
        self.flights[contact] = flight
        self.tally.sent += 1
        self.tally.grants[rank] += 1

    @property
    def next_change(self) -> float:
        """Epoch seconds of the next change that nobody has seen yet."""
        return self.changes.times[self._seen] if self._seen < len(self.changes) else math.inf

    def _at(self, at: float, flight: Flight, *, counted: bool) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, counted, flight))

    def _observe(self, sender: Sender, now: float) -> None:
        made, number = self.changes, self._seen
        times, who, kinds = made.times, made.who, made.kinds
        while number < len(times) and times[number] <= now:
            contact, kind = who[number], kinds[number]
            if kind == BACK:
                self.wanted[contact] = self._before.get(contact, number + 1)
            else:
                if kind == Priority.URGENT:
                    self._before[contact] = self.wanted[contact]
                self.wanted[contact] = number + 1
            sender.saw(number, contact, kind, times[number])
            number += 1
        self._seen = number

    def _call(self, now: float) -> None:
        """Let the other client do what it has done by now."""
        calls, tally = self._calls, self.tally
        while self._called < len(calls) and calls[self._called] <= now:
            at = calls[self._called]
            refused = self._server.admit(at) > 0
            tally.calls += 1
            tally.refused += refused
            self._called += 1

    def _count(self, flight: Flight, now: float) -> float:
        self._call(now)
        wait = self._server.admit(now)
        if wait <= 0:
            contact = flight.contact
            self.tally.needed += self.held[contact] != flight.value
            self.held[contact] = flight.value
        return wait

    def _answer(self, sender: Sender, flight: Flight, now: float) -> None:
        del self.flights[flight.contact]
        if flight.lost:
            answer = Answer(error="timed out")
        elif flight.refused:
            self.tally.too_many += 1
            wait = float(math.ceil(flight.refused)) if self._says_when else None
            answer = Answer(status=429, retry_after=wait)
        else:
            self.tally.accepted += 1
            answer = Answer(status=200, body=echo(flight.contact))
        sender.answered(flight, answer, now)


def echo(contact: int) -> Mapping[str, Any]:
    """Return the body of a request, and what of it the answer repeats."""
    return {"id": contact + 1, "external_id": str(contact), "email": f"{contact}@example.com"}
