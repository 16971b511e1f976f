"""Push: the backlog to Meisa, one request a contact, inside the budget."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait as wait_for
from dataclasses import dataclass, field

from meisa_cdc.core import breaker, budget, traffic
from meisa_cdc.core.addresses import vacated
from meisa_cdc.core.backlog import favoured
from meisa_cdc.core.breaker import Breaker
from meisa_cdc.core.budget import Usage, Window
from meisa_cdc.core.contact import EMAIL, Contact, confirming, overdue
from meisa_cdc.core.delivery import REMOVE_TAG, Request, intend, judge, request_for, settle
from meisa_cdc.core.outcome import Answer, Kind, Outcome, delay
from meisa_cdc.core.values import email_key
from meisa_cdc.ports import Clock, Meisa, State
from meisa_cdc.records import Concluded, Grant, Settled
from meisa_cdc.sync.occurrences import FORBIDDEN, Chosen, OccurrencePush

#: Never wait longer than this in one go, so that a request to end is heard.
LONGEST_WAIT = 0.5
#: Seconds before the backlog is looked at again where a delivery could not start after all.
SOON = 0.05
#: A request counts as in flight this much longer than its time-out, for slow local work.
DEADLINE_MARGIN = 5.0
#: Contacts with something due that are looked at in one transaction.
MOST_PROMOTED = 500
#: Seconds between two looks at what is due.
PROMOTING = 0.5


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
    #: Does what is done once, in turn with the contacts.
    once: OccurrencePush
    #: Somebody is waiting: where deliveries are halted, try one at once instead of when it is time.
    at_once: bool = False
    flights: dict[str, Flight] = field(default_factory=dict)
    #: Outcomes so far.
    outcomes: Counter[Kind] = field(default_factory=Counter)
    #: Requests started so far.
    started: int = 0
    #: Failed attempts of contacts in a row; a restart begins anew, which only means sooner.
    attempts: Counter[str] = field(default_factory=Counter)
    #: Epoch seconds at which nothing more was due.
    _promoted_at: float = -math.inf

    def step(self, *, most: int | None = None) -> float | None:
        """Collect answers and start what may start, `most` further requests at most.

        Returns the seconds until there may be more to do; None where nothing is left: nothing
        under way, nothing deliverable now or later without a person's doing.
        """
        self._collect()
        self._promote()
        self.once.recover()
        most = self.concurrency if most is None else most
        while most > 0 and self.under_way < self.concurrency:
            now = self.clock.now()
            usage = self.state.usage(0)
            room = min(most, breaker.room(usage.breaker, self.concurrency, self.under_way))
            halt = 0.0 if self._tries_at_once(usage.breaker) else breaker.wait(usage.breaker, now)
            if halt is None:
                return LONGEST_WAIT if self.under_way else None
            if room <= 0:
                break
            if halt > 0:
                return halt
            wanted, started = self._start_some(usage, room, now)
            if not wanted:
                break
            if started < wanted:
                return self._wait(now) or SOON
            most -= started
        if self.under_way:
            return LONGEST_WAIT
        return self._until_next_attempt()

    def _start_some(self, usage: Usage, room: int, now: float) -> tuple[int, int]:
        """Start what goes next; return how many requests were to start, and how many did."""
        favour = [favoured(usage.turn + place) for place in range(room)]
        busy = [*self.flights, *self.once.busy]
        keys = self.state.next_deliveries(now, room, busy, favour=favour)
        if keys and usage.breaker.failures:
            # To find out whether Meisa works again, nothing goes that must not go twice.
            return len(keys), self._start(keys, now)
        before = self.state.load(keys[:1]).get(keys[0]) if keys else None
        chosen = self.once.choose(now, before=before, favour=favour[0], busy=busy)
        if chosen is None:
            return len(keys), self._start(keys, now) if keys else 0
        if chosen.occurrences:
            return 1, self._start_once(chosen, now)
        return 1, self._start([chosen.contact], now) if chosen.contact else 0

    def _start_once(self, chosen: Chosen, now: float) -> int:
        begun = self.once.start(
            chosen,
            now,
            deadline=now + self.timeout + DEADLINE_MARGIN,
            admit=lambda usage: budget.admit(self.windows, self._sane(usage), now),
            most=self._most,
            since=self._since(now),
        )
        self.started += begun
        self.at_once = self.at_once and not begun
        return int(begun)

    @property
    def concluded(self) -> int:
        """How many requests were answered so far."""
        return sum(self.outcomes.values()) + self.once.concluded

    @property
    def under_way(self) -> int:
        """How many requests are."""
        return len(self.flights) + len(self.once.flights)

    @property
    def breaker(self) -> Breaker:
        """How deliveries stand, as stored."""
        return self.state.usage(0).breaker

    @property
    def halted(self) -> bool:
        """Whether nothing is delivered for the time being, nor tried for who waits."""
        stands = self.breaker
        return bool(stands.halted) and not self._tries_at_once(stands)

    def _tries_at_once(self, stands: Breaker) -> bool:
        return self.at_once and stands.next_probe is not None

    def _wait(self, now: float) -> float:
        """Return the seconds until the windows have room again."""
        usage = self.state.usage(self._most, self._since(now))
        return budget.wait(self.windows, self._sane(usage), now)

    def _promote(self) -> None:
        """Make causes of what has ridden along, or may have been overwritten, for long enough."""
        now = self.clock.now()
        if 0 <= now - self._promoted_at < PROMOTING:
            return
        keys = self.state.due(now, MOST_PROMOTED)
        if len(keys) < MOST_PROMOTED:
            self._promoted_at = now
        if keys:
            self.state.settle(keys, lambda _, contact: _promoted(contact, now), now=now)

    def rest(self, seconds: float) -> None:
        """Wait that long, or until an answer came, or for a moment."""
        seconds = min(seconds, LONGEST_WAIT)
        futures = [flight.future for flight in self.flights.values()]
        futures += [flight.future for flight in self.once.flights.values()]
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
        while self.under_way and self.clock.now() < deadline:
            self.rest(deadline - self.clock.now())
            self._collect()

    def _collect(self) -> None:
        self._collect_deliveries()
        self.once.collect(self._conclude_once)

    def _conclude_once(self, grant: Grant, outcome: Outcome, started: float, came: float) -> None:
        """Store what came of a request about no contact's fields."""

        def reacted(usage: Usage, rejected: int) -> Usage:
            return traffic.after(
                self.windows, usage, outcome, started=started, now=came, rejected=rejected
            )

        # The key may not do this one kind of thing; the others go on.
        react = None if outcome.code == FORBIDDEN else reacted
        self.state.complete(
            Concluded(grant=grant, now=came, outcome=outcome, react=react),
            most=self._most if outcome.code == traffic.TOO_MANY else 0,
            since=self._since(self.clock.now()),
        )

    def _collect_deliveries(self) -> None:
        landed = {key: flight for key, flight in self.flights.items() if flight.future.done()}
        if not landed:
            return
        concluded = {key: self._concluded(flight) for key, flight in landed.items()}
        # How much of the windows was ours matters only where that was too much.
        contested = any(each.outcome.code == traffic.TOO_MANY for each in concluded.values())
        for key, each in concluded.items():
            if each.outcome.kind is Kind.ACCEPTED and landed[key].request.takes_over:
                self._take_over(landed[key].request)
        self.state.complete(
            *concluded.values(),
            most=self._most if contested else 0,
            since=self._since(self.clock.now()),
        )
        # An answer that could not be stored is not lost: it is collected again.
        for key, each in concluded.items():
            del self.flights[key]
            self.outcomes[each.outcome.kind] += 1
            self.attempts[key] = self.attempts[key] + 1 if each.outcome.attempt else 0
        self.attempts += Counter()  # without those that are at nought

    def _concluded(self, flight: Flight) -> Concluded:
        """Return what came of a request, and what that does to its contact and to the others."""
        started = flight.started
        answer, came = flight.future.result()
        outcome = judge(flight.request, answer)
        attempts = self.attempts[flight.request.external_id] + 1
        again = delay(attempts, self.jitter()) if outcome.attempt else 0.0

        def settled(contact: Contact) -> Contact:
            return settle(contact, flight.request, outcome, started=started, now=came)

        def reacted(usage: Usage, rejected: int) -> Usage:
            return traffic.after(
                self.windows, usage, outcome, started=started, now=came, rejected=rejected
            )

        return Concluded(
            grant=flight.grant,
            now=came,
            outcome=outcome,
            settle=settled,
            # Nobody who need not wait does, should the clock be set back.
            not_before=came + again if again else 0.0,
            react=reacted,
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

    def _start(self, keys: Sequence[str], now: float) -> int:
        """Start these deliveries in order, and return how many.

        The rest is left where a pass settled one, or the windows have no room for more.
        """
        grants = self.state.grant_deliveries(
            keys,
            now=now,
            deadline=now + self.timeout + DEADLINE_MARGIN,
            admit=lambda usage: budget.admit(self.windows, self._sane(usage), now),
            intend=_intent,
            most=self._most,
            since=self._since(now),
        )
        for grant in grants:
            if grant.request is not None:
                self._send(grant, grant.request, now)
        self.at_once = self.at_once and not grants
        return len(grants)

    def _send(self, grant: Grant, request: Request, now: float) -> None:
        def send() -> tuple[Answer, float]:
            if request.kind == REMOVE_TAG:
                answer = self.meisa.remove_tag(request.meisa_id, request.body)
            else:
                answer = self.meisa.upsert(request.body)
            return answer, self.clock.now()

        self.started += 1
        future = self.lanes.submit(send)
        self.flights[request.external_id] = Flight(
            grant=grant, request=request, started=now, future=future
        )

    def _until_next_attempt(self) -> float | None:
        attempts = (self.state.next_attempt(), self.once.next_attempt())
        again = min((at for at in attempts if at is not None), default=None)
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
