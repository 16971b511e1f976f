"""Push: the backlog to Meisa, one request a contact, inside the budget."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait as wait_for
from dataclasses import dataclass, field

from meisa_cdc.core import breaker, budget, traffic
from meisa_cdc.core.addresses import vacated
from meisa_cdc.core.backlog import favoured
from meisa_cdc.core.breaker import Breaker
from meisa_cdc.core.budget import Usage, Window
from meisa_cdc.core.contact import EMAIL, Contact, confirming, overdue
from meisa_cdc.core.delivery import (
    REMOVE_TAG,
    UPSERT,
    Answer,
    Kind,
    Request,
    delay,
    intend,
    judge,
    request_for,
    settle,
)
from meisa_cdc.core.values import email_key
from meisa_cdc.ports import Clock, Meisa, State
from meisa_cdc.records import Grant, Settled

#: Never wait longer than this in one go, so that a request to end is heard.
LONGEST_WAIT = 0.5
#: Seconds before the backlog is looked at again where a delivery could not start after all.
SOON = 0.05
#: A request counts as in flight this much longer than its time-out, for slow local work.
DEADLINE_MARGIN = 5.0
#: Contacts with something due that are looked at in one transaction.
MOST_PROMOTED = 500


@dataclass(slots=True, kw_only=True)
class Flight:
    """A request under way."""

    grant: Grant
    request: Request
    #: Epoch seconds.
    started: float
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
    #: Somebody is waiting: where deliveries are halted, try one at once instead of when it is time.
    at_once: bool = False
    flights: dict[str, Flight] = field(default_factory=dict)
    #: Outcomes so far.
    outcomes: Counter[Kind] = field(default_factory=Counter)
    #: Requests started so far.
    started: int = 0
    #: Failed attempts of contacts in a row; a restart begins anew, which only means sooner.
    attempts: Counter[str] = field(default_factory=Counter)

    def step(self, *, most: int | None = None) -> float | None:
        """Collect answers and start what may start, `most` further requests at most.

        Returns the seconds until there may be more to do; None where nothing is left: nothing
        under way, nothing deliverable now or later without a person's doing.
        """
        self._collect()
        self._promote()
        while most is None or most > 0:
            now = self.clock.now()
            usage = self._sane(self.state.usage(self._most, self._since(now)))
            if breaker.room(usage.breaker, self.concurrency, len(self.flights)) <= 0:
                break
            pause = self._pause(usage, now)
            if pause is None:
                return LONGEST_WAIT if self.flights else None
            if pause > 0:
                return self._first_of(pause)
            following = self.state.next_deliveries(
                now, 1, list(self.flights), favour=favoured(usage.turn)
            )
            if not following:
                break
            if not self._start(following[0], now):
                return SOON
            most = None if most is None else most - 1
        if self.flights:
            return LONGEST_WAIT
        return self._until_next_attempt()

    @property
    def breaker(self) -> Breaker:
        """How deliveries stand, as stored."""
        return self.state.usage(0).breaker

    @property
    def halted(self) -> bool:
        """Whether nothing is delivered for the time being, nor tried for who waits."""
        return bool(self.breaker.halted) and not self._tries_at_once

    @property
    def _tries_at_once(self) -> bool:
        return self.at_once and self.breaker.next_probe is not None

    def _pause(self, usage: Usage, now: float) -> float | None:
        """Return the seconds until a delivery may start; None where a person has to act."""
        halt = breaker.wait(usage.breaker, now)
        if halt is None:
            return None
        return max(budget.wait(self.windows, usage, now), 0.0 if self.at_once else halt)

    def _promote(self) -> None:
        """Make causes of what has ridden along, or may have been overwritten, for long enough."""
        now = self.clock.now()
        keys = self.state.due(now, MOST_PROMOTED)
        if keys:
            self.state.settle(keys, lambda _, contact: _promoted(contact, now), now=now)

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
        if outcome.attempt:
            self.attempts[key] += 1
        else:
            self.attempts.pop(key, None)
        again = delay(self.attempts[key], self.jitter()) if outcome.attempt else 0.0
        started = flight.started

        def settled(contact: Contact) -> Contact:
            return settle(contact, flight.request, outcome, started=started, now=came)

        def reacted(usage: Usage, rejected: int) -> Usage:
            return traffic.after(
                self.windows, usage, outcome, started=started, now=came, rejected=rejected
            )

        if outcome.kind is Kind.ACCEPTED and flight.request.takes_over:
            self._take_over(flight.request)
        self.state.complete(
            flight.grant,
            now=came,
            outcome=outcome,
            settle=settled,
            # Nobody who need not wait does, should the clock be set back.
            not_before=came + again if again else 0.0,
            react=reacted,
            # How much of the windows was ours matters only where that was too much.
            most=self._most if outcome.code == traffic.TOO_MANY else 0,
            since=self._since(came),
        )

    def _take_over(self, request: Request) -> None:
        """Take the address from those who are gone; before anything that a crash could cut off."""
        claims = self.state.claims([email_key(str(request.body[EMAIL]))])
        gone = [c.external_id for c in claims if c.holds and c.external_id != request.external_id]
        self.state.settle(sorted(gone), _vacated, now=self.clock.now())

    @property
    def _most(self) -> int:
        return max(window.count for window in self.windows)

    def _since(self, now: float) -> float:
        return now - budget.period_of(self.windows)

    def _sane(self, usage: Usage) -> Usage:
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
            external_id=key,
            intend=_intent,
            admit=lambda usage: budget.admit(self.windows, self._sane(usage), now),
            most=self._most,
            since=self._since(now),
        )
        if grant is None or grant.request is None:
            return False
        self.at_once = False
        self._send(key, grant, grant.request, now)
        return True

    def _send(self, key: str, grant: Grant, request: Request, now: float) -> None:
        def send() -> tuple[Answer, float]:
            if request.kind == REMOVE_TAG:
                answer = self.meisa.remove_tag(request.meisa_id, request.body)
            else:
                answer = self.meisa.upsert(request.body)
            return answer, self.clock.now()

        self.started += 1
        future = self.lanes.submit(send)
        self.flights[key] = Flight(grant=grant, request=request, started=now, future=future)

    def _until_next_attempt(self) -> float | None:
        again = self.state.next_attempt()
        return None if again is None else max(0.0, again - self.clock.now())


def _promoted(contact: Contact | None, now: float) -> Settled:
    return Settled(contact=None if contact is None else overdue(confirming(contact, now), now))


def _vacated(_: str, contact: Contact | None) -> Settled:
    return Settled(contact=None if contact is None or contact.present else vacated(contact))


def _intent(contact: Contact) -> tuple[Contact, Request] | None:
    if contact.rank is None or not contact.pending:
        return None
    request = request_for(contact)
    return intend(contact, request), request
