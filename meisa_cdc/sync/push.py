"""Push: the backlog to Meisa, one request a contact, inside the budget."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait as wait_for
from dataclasses import dataclass, field

from meisa_cdc.core import budget
from meisa_cdc.core.budget import Window
from meisa_cdc.core.contact import Contact, overdue
from meisa_cdc.core.delivery import (
    Answer,
    Kind,
    Outcome,
    Request,
    delay,
    intend,
    judge,
    request_for,
    settle,
)
from meisa_cdc.ports import Clock, Grant, Meisa, Settled, State

#: Never wait longer than this in one go, so that a request to end is heard.
LONGEST_WAIT = 0.5
#: Seconds before the backlog is looked at again where a delivery could not start after all.
SOON = 0.05
#: Failures in a row after which nothing more is started.
MOST_FAILURES = 10
#: A request counts as in flight this much longer than its time-out, for slow local work.
DEADLINE_MARGIN = 5.0
UPSERT = "upsert"
#: Contacts whose riding fields become causes in one transaction.
MOST_PROMOTED = 500
#: Answers that show Meisa at work.
USEFUL = frozenset({Kind.ACCEPTED, Kind.REJECTED})
#: We are too fast, or somebody else is; that is no failure of Meisa's.
TOO_MANY = "http_429"


@dataclass(slots=True, kw_only=True)
class Flight:
    """A request under way."""

    grant: Grant
    request: Request
    #: Resolves to the answer and the time it came.
    future: Future[tuple[Answer, float]]


@dataclass(slots=True, kw_only=True)
class Push:
    """Delivers what is pending. Decisions and writes happen in the calling thread alone."""

    state: State
    meisa: Meisa
    clock: Clock
    windows: tuple[Window, ...]
    #: Seconds a request may take.
    timeout: float
    #: Requests under way at most.
    concurrency: int
    lanes: Executor
    #: Draws from 0..1; spreads retries.
    jitter: Callable[[], float]
    flights: dict[str, Flight] = field(default_factory=dict)
    #: Outcomes so far.
    outcomes: Counter[Kind] = field(default_factory=Counter)
    #: Requests started so far.
    started: int = 0
    #: Why delivery stopped altogether; None while it goes on.
    stopped: Outcome | None = None
    #: Failed attempts of any contact since the last answer that was of use.
    failed_in_a_row: int = 0
    #: Failed attempts of contacts in a row; a restart begins anew, which only means sooner.
    attempts: Counter[str] = field(default_factory=Counter)

    def step(self, *, most: int | None = None) -> float | None:
        """Collect answers and start what may start, `most` further requests at most.

        Returns the seconds until there may be more to do; None where nothing is left: nothing
        under way, nothing deliverable now or later.
        """
        self._collect()
        self._promote()
        while self.stopped is None and self._room > 0:
            if most is not None and most <= 0:
                break
            usage = self._sane(self.state.usage(self._most))
            pause = budget.wait(self.windows, usage, self.clock.now())
            if pause > 0:
                return self._first_of(pause)
            now = self.clock.now()
            following = self.state.next_deliveries(now, 1, list(self.flights))
            if not following:
                break
            if not self._start(following[0], now):
                return SOON
            most = None if most is None else most - 1
        if self.flights:
            return LONGEST_WAIT
        return self._until_next_attempt()

    def _promote(self) -> None:
        """Make causes of what has ridden along for as long as its mapping allows."""
        now = self.clock.now()
        keys = self.state.due(now, MOST_PROMOTED)
        if keys:
            self.state.settle(keys, lambda _, contact: _overdue(contact, now), now=now)

    def rest(self, seconds: float) -> None:
        """Wait that long, or until an answer came, or for a moment."""
        seconds = min(seconds, LONGEST_WAIT)
        futures = [flight.future for flight in self.flights.values()]
        if futures:
            wait_for(futures, timeout=seconds, return_when=FIRST_COMPLETED)
        else:
            self.clock.sleep(seconds)

    def finish(self, within: float) -> None:
        """Start nothing more; collect what is answered within that many seconds.

        What is not answered by then stays in doubt.
        """
        deadline = self.clock.now() + within
        self._collect()
        while self.flights and self.clock.now() < deadline:
            self.rest(deadline - self.clock.now())
            self._collect()

    def _collect(self) -> None:
        for key in [key for key, flight in self.flights.items() if flight.future.done()]:
            flight = self.flights.pop(key)
            answer, came = flight.future.result()
            self._conclude(key, flight, answer, came)

    def _conclude(self, key: str, flight: Flight, answer: Answer, came: float) -> None:
        outcome = judge(flight.request, answer)
        self.outcomes[outcome.kind] += 1
        if outcome.kind in USEFUL:
            self.failed_in_a_row = 0
        elif outcome.code != TOO_MANY:
            self.failed_in_a_row += 1
        if outcome.attempt:
            self.attempts[key] += 1
        else:
            self.attempts.pop(key, None)
        again = delay(self.attempts[key], self.jitter()) if outcome.attempt else 0.0
        if outcome.kind is Kind.STOPPED:
            self.stopped = outcome

        def settled(contact: Contact) -> Contact:
            return settle(contact, flight.request, outcome, came)

        self.state.complete(
            flight.grant,
            now=came,
            outcome=outcome,
            settle=settled,
            # Nobody who need not wait does, should the clock be set back.
            not_before=came + again if again else 0.0,
            paused_until=came + outcome.pause if outcome.pause else 0.0,
        )

    @property
    def exhausted(self) -> bool:
        """Whether so many attempts failed in a row that nothing more is started."""
        return self.failed_in_a_row >= MOST_FAILURES

    @property
    def _room(self) -> int:
        """How many more requests may be under way; a server in trouble gets ever fewer."""
        return min(self.concurrency, MOST_FAILURES - self.failed_in_a_row) - len(self.flights)

    @property
    def _most(self) -> int:
        return max(window.count for window in self.windows)

    def _sane(self, usage: budget.Usage) -> budget.Usage:
        longest = self.timeout + DEADLINE_MARGIN
        return budget.sane(self.windows, usage, self.clock.now(), longest)

    def _first_of(self, pause: float) -> float | None:
        """Return the budget's pause; None where nothing would be sent after it either."""
        if self.flights or self.state.next_deliveries(self.clock.now() + pause, 1):
            return pause
        return self._until_next_attempt()

    def _start(self, key: str, now: float) -> bool:
        """Start a delivery, unless a pass settled it or a process took its room meanwhile."""
        grant = self.state.grant(
            UPSERT,
            now=now,
            deadline=now + self.timeout + DEADLINE_MARGIN,
            paces=(),
            external_id=key,
            intend=_intent,
            admit=lambda usage: budget.admit(self.windows, self._sane(usage), now),
            most=self._most,
        )
        if grant is None or grant.request is None:
            return False
        self._send(key, grant, grant.request)
        return True

    def _send(self, key: str, grant: Grant, request: Request) -> None:
        def send() -> tuple[Answer, float]:
            answer = self.meisa.upsert(request.body)
            return answer, self.clock.now()

        self.started += 1
        self.flights[key] = Flight(grant=grant, request=request, future=self.lanes.submit(send))

    def _until_next_attempt(self) -> float | None:
        if self.stopped is not None:
            return None
        again = self.state.next_attempt()
        return None if again is None else max(0.0, again - self.clock.now())


def _overdue(contact: Contact | None, now: float) -> Settled:
    return Settled(contact=None if contact is None else overdue(contact, now))


def _intent(contact: Contact) -> tuple[Contact, Request] | None:
    if contact.rank is None or not contact.pending:
        return None
    request = request_for(contact)
    return intend(contact, request), request
