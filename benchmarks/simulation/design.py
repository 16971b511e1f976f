"""The sender of this program: what sync/push.py decides, with the state in plain arrays.

It asks the functions of core that the program asks, in the same order. What is left out is the
state's I/O and `budget.sane`, which only matters where a clock is set back.
"""

import heapq
import math
import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from benchmarks.simulation.product import BACK, START
from benchmarks.simulation.world import CONCURRENCY, TIMEOUT, Flight, World, echo
from meisa_cdc.core import breaker, budget, traffic
from meisa_cdc.core.backlog import favoured
from meisa_cdc.core.budget import Usage, Window
from meisa_cdc.core.delivery import SETTLES, Request, judge
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.outcome import Answer, Kind, delay
from meisa_cdc.sync.push import DEADLINE_MARGIN

NONE = 3
CLASSES = tuple(int(each) for each in Priority)


class Answered(Sequence[float]):
    """`Usage.done`: when requests were answered, newest first; those under way lie ahead."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: list[float] = []
        self.ahead: list[float] = []

    def __len__(self) -> int:
        return min(self._most, len(self._times) + len(self.ahead))

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[float]: ...
    def __getitem__(self, place: int | slice) -> float | Sequence[float]:
        """Return one of them by its place; nobody asks for several."""
        assert isinstance(place, int)
        ahead = len(self.ahead)
        return self.ahead[place] if place < ahead else self._times[ahead - place - 1]

    def __iter__(self) -> Iterator[float]:
        return (self[place] for place in range(len(self)))

    def start(self, deadline: float) -> None:
        """Count a request that will be over by then."""
        self.ahead.insert(0, deadline)

    def end(self, deadline: float, now: float) -> None:
        """Count it as answered."""
        self.ahead.remove(deadline)
        self._times.append(now)


@dataclass(frozen=True, slots=True)
class Note:
    """What a request carries."""

    deadline: float
    request: Request
    #: When the first change of each class happened that it carries; 0: none.
    firsts: tuple[float, ...]


class Design:
    """Delivers as the program does."""

    def __init__(self, world: World, windows: Sequence[Window], *, seed: int = 0) -> None:
        self.world = world
        self.windows = windows
        self.done = Answered(max(window.count for window in windows))
        self.usage = Usage(done=self.done)
        self._chance = random.Random(seed)
        contacts = world.changes.contacts
        self._rank = bytearray([NONE]) * contacts
        self._since = array("d", bytes(8 * contacts))
        self._firsts = [array("d", bytes(8 * contacts)) for _ in CLASSES]
        self._queues: list[list[tuple[float, int]]] = [[] for _ in CLASSES]
        self._attempts: dict[int, int] = {}
        #: Contacts that wait until a time, because of a failed attempt.
        self._deferred: dict[int, float] = {}
        #: When a request of theirs was given up, and when to send once more because of it.
        self._late: dict[int, float] = {}
        self._confirm: list[tuple[float, int]] = []
        #: Contacts of which what Meisa holds is uncertain.
        self._doubted: set[int] = set()
        for contact in range(world.changes.backlog):
            self.saw(-1, contact, Priority.BACKGROUND, START)

    # What the app does

    def saw(self, number: int, contact: int, kind: int, at: float) -> None:
        """Put a change into the backlog, or take what vanished out of it."""
        del number
        if kind == BACK and self._firsts[0][contact] and contact not in self.world.flights:
            self._firsts[0][contact] = 0.0
            self._requeue(contact, at)
            return
        rank = 0 if kind == BACK else kind
        firsts = self._firsts[rank]
        if not firsts[contact]:
            firsts[contact] = at
            if rank < self._rank[contact]:
                self._requeue(contact, at)

    def _requeue(self, contact: int, now: float) -> None:
        """Give a contact its class and place; since when it waits stays as it was."""
        rank = next((each for each in CLASSES if self._firsts[each][contact]), NONE)
        if rank == NONE and contact in self._doubted:
            rank = Priority.BACKGROUND
        before = self._rank[contact]
        if rank == before and before != NONE:
            return
        self._rank[contact] = rank
        if before == NONE:
            self._since[contact] = now
        self._enqueue(contact)

    def _enqueue(self, contact: int) -> None:
        if self._rank[contact] != NONE and contact not in self.world.flights:
            heapq.heappush(self._queues[self._rank[contact]], (self._since[contact], contact))

    def _next(self, favour: int | None) -> int | None:
        """Return the next contact: of the favoured class if it has any, else the most urgent."""
        for rank in (*(() if favour is None else (favour,)), *CLASSES):
            queue = self._queues[rank]
            while queue:
                since, contact = queue[0]
                if (
                    self._rank[contact] == rank
                    and self._since[contact] == since
                    and contact not in self.world.flights
                    and contact not in self._deferred
                ):
                    return int(contact)
                heapq.heappop(queue)
        return None

    def _promote(self, now: float) -> None:
        """Put back what has waited for long enough: failed attempts, and what to confirm."""
        for contact in [each for each, at in self._deferred.items() if at <= now]:
            del self._deferred[contact]
            self._enqueue(contact)
        while self._confirm and self._confirm[0][0] <= now:
            contact = heapq.heappop(self._confirm)[1]
            self._doubted.add(contact)
            self._requeue(contact, now)

    # What is sent

    def step(self, now: float) -> float:
        """Start what may start, as `Push.step`."""
        self._promote(now)
        flights = self.world.flights
        while True:
            if breaker.room(self.usage.breaker, CONCURRENCY, len(flights)) <= 0:
                return math.inf
            halt = breaker.wait(self.usage.breaker, now)
            if halt is None:
                return math.inf
            pause = max(budget.wait(self.windows, self.usage, now), halt)
            if pause > 0:
                return now + pause
            contact = self._next(favoured(self.usage.turn))
            if contact is None:
                return min([self.world.next_change, *self._deferred.values()])
            self._start(contact, now)

    def _start(self, contact: int, now: float) -> None:
        paces = budget.admit(self.windows, self.usage, now)
        assert paces is not None
        self.usage = replace(self.usage, paces=paces, turn=self.usage.turn + 1)
        deadline = now + TIMEOUT + DEADLINE_MARGIN
        self.done.start(deadline)
        firsts = tuple(each[contact] for each in self._firsts)
        for each in self._firsts:
            each[contact] = 0.0
        body = {**echo(contact), "custom_fields": {"plan": self.world.wanted[contact]}}
        request = Request(external_id=str(contact), fields={}, body=body, doubted=frozenset())
        note = Note(deadline=deadline, request=request, firsts=firsts)
        self.world.send(contact, self._rank[contact], now, note)

    def answered(self, flight: Flight, answer: Answer, now: float) -> None:
        """Record an outcome, as `Push._conclude`."""
        note, contact = flight.note, flight.contact
        outcome = judge(note.request, answer)
        self.done.end(note.deadline, now)
        self.usage = traffic.after(
            self.windows, self.usage, outcome, started=flight.started, now=now
        )
        if outcome.kind is Kind.ACCEPTED:
            self._accepted(flight, now)
            return
        for first, firsts in zip(note.firsts, self._firsts, strict=True):
            if first:
                firsts[contact] = first
        if outcome.kind is Kind.UNKNOWN:
            self._late[contact] = now
            self._doubted.add(contact)
        if outcome.attempt:
            self._attempts[contact] = self._attempts.get(contact, 0) + 1
            pause = delay(self._attempts[contact], self._chance.random())
            self._deferred[contact] = now + pause
        else:
            self._enqueue(contact)

    def _accepted(self, flight: Flight, now: float) -> None:
        contact = flight.contact
        for rank, first in enumerate(flight.note.firsts):
            if first:
                self.world.tally.waits[rank].append(now - first)
        self._attempts.pop(contact, None)
        self._doubted.discard(contact)
        late = self._late.pop(contact, None)
        if late is not None and flight.started - late < SETTLES:
            heapq.heappush(self._confirm, (now + SETTLES, contact))
        left = any(firsts[contact] for firsts in self._firsts)
        if not left:
            self._rank[contact] = NONE
            return
        # What changed meanwhile keeps the place, as in core/delivery.settle.
        self._rank[contact] = next(each for each in CLASSES if self._firsts[each][contact])
        self._enqueue(contact)

    def ended(self, now: float) -> None:
        """Count what still waits with its age."""
        for flight in self.world.flights.values():
            for rank, first in enumerate(flight.note.firsts):
                if first:
                    self.world.tally.waits[rank].append(now - first)
        for rank, firsts in enumerate(self._firsts):
            self.world.tally.waits[rank].extend(now - first for first in firsts if first)
