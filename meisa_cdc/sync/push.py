"""Push: the backlog to Meisa, one request a contact, inside the budget."""

import math
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait as wait_for
from dataclasses import dataclass

from meisa_cdc.core import breaker, budget, traffic
from meisa_cdc.core.backlog import favoured
from meisa_cdc.core.breaker import Breaker
from meisa_cdc.core.budget import Usage, Window
from meisa_cdc.core.contact import Contact, confirming, overdue
from meisa_cdc.core.delivery import Request, intend, request_for
from meisa_cdc.core.outcome import Outcome
from meisa_cdc.ports import Clock, State
from meisa_cdc.records import Concluded, Grant, Settled
from meisa_cdc.sync.deliveries import Deliveries
from meisa_cdc.sync.occurrence_choice import Chosen
from meisa_cdc.sync.occurrences import FORBIDDEN, OccurrencePush

#: Never wait longer than this in one go, so that a request to end is heard.
LONGEST_WAIT = 0.5
#: With more lanes than these, as many intents again are stored ahead. Whoever has few has windows
#: that leave the lanes idle most of the time, and wants little in doubt after a kill.
FEW_LANES = 4
#: Seconds before the backlog is looked at again where a delivery could not start after all.
SOON = 0.05
#: A request counts as in flight this much longer than its time-out, for slow local work.
DEADLINE_MARGIN = 5.0
#: Contacts with something due that are looked at in one transaction.
MOST_PROMOTED = 500
#: Seconds between two looks at what is due.
PROMOTING = 0.5


@dataclass(slots=True, kw_only=True)
class Push:
    """Delivers what is pending. Decisions and writes happen in the calling thread alone."""

    state: State
    clock: Clock
    windows: tuple[Window, ...]
    #: Seconds a request may take.
    timeout: float
    #: Requests under way at most; the lanes of `deliveries` are as many.
    concurrency: int
    #: Requests about contacts.
    deliveries: Deliveries
    #: Requests about what is done once, in turn with those about contacts.
    once: OccurrencePush
    #: Somebody is waiting: where deliveries are halted, try one at once instead of when it is time.
    at_once: bool = False
    _started: int = 0
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
        wait = self._start(self.concurrency + self._ahead if most is None else most)
        self.deliveries.store()
        return wait

    def _start(self, most: int) -> float | None:
        """Start what may start; return what `step` does."""
        while most > 0 and self.under_way < self.concurrency + self._ahead:
            now = self.clock.now()
            usage = self._usage()
            room = min(most, self._room(usage.breaker))
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

    @property
    def _ahead(self) -> int:
        """How many intents are stored while all lanes are busy, so that none waits for the disk."""
        return self.concurrency if self.concurrency > FEW_LANES else 0

    def _room(self, stands: Breaker) -> int:
        """Return how many more requests may start; beyond the lanes only while all goes well."""
        ahead = 0 if stands.halted or stands.failures else self._ahead
        return breaker.room(stands, self.concurrency, self.under_way - ahead)

    def _start_some(self, usage: Usage, room: int, now: float) -> tuple[int, int]:
        """Start what goes next; return how many requests were to start, and how many did."""
        favour = [favoured(usage.turn + place) for place in range(room)]
        keys = self.state.next_deliveries(now, room, self._busy, favour=favour)
        if not keys and self.deliveries.answered:
            # What came of those may leave something more to send to them.
            self.deliveries.store()
            keys = self.state.next_deliveries(now, room, self._busy, favour=favour)
        if keys and usage.breaker.failures:
            # To find out whether Meisa works again, nothing goes that must not go twice.
            return len(keys), self._start_deliveries(keys, now)
        first = keys[0] if keys else ""
        chosen = self.once.choose(now, first=first, favour=favour[0], busy=self._busy)
        if chosen is None:
            return len(keys), self._start_deliveries(keys, now) if keys else 0
        if chosen.occurrences and self.under_way >= self.concurrency:
            # What must not go twice never waits for a lane, and nothing else takes the next one.
            return 0, 0
        if chosen.occurrences:
            return 1, self._start_once(chosen, now)
        return 1, self._start_deliveries([chosen.contact], now) if chosen.contact else 0

    def _usage(self) -> Usage:
        """Return the use as far as it says whether anything may start at all."""
        usage = self.state.usage(0)
        stands = usage.breaker
        if self.deliveries.answered and (stands.halted or stands.failures):
            # What was answered shows Meisa at work again.
            self.deliveries.store()
            return self.state.usage(0)
        return usage

    @property
    def _busy(self) -> list[str]:
        """The contacts that no request may start for."""
        return [*self.deliveries.flights, *self.once.busy]

    def _start_once(self, chosen: Chosen, now: float) -> int:
        self.deliveries.store()
        begun = self.once.start(
            chosen,
            now,
            deadline=now + self._longest(),
            admit=lambda usage: budget.admit(self.windows, self._sane(usage), now),
            most=self._most,
            since=self._since(now),
        )
        self._started += begun
        self.at_once = self.at_once and not begun
        return int(begun)

    @property
    def started(self) -> int:
        """How many requests left so far, or wait for a lane."""
        return self._started - self.deliveries.withheld

    @property
    def concluded(self) -> int:
        """How many requests were answered so far."""
        return sum(self.deliveries.outcomes.values()) + self.once.concluded

    @property
    def under_way(self) -> int:
        """How many requests are."""
        return self.deliveries.under_way + len(self.once.flights)

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
        futures = [*self.deliveries.waiting(), *self.once.waiting()]
        if futures:
            wait_for(futures, timeout=seconds, return_when=FIRST_COMPLETED)
        else:
            self.clock.sleep(seconds)

    def finish(self, within: float) -> None:
        """Start nothing more; collect what is answered within that many seconds.

        What is not answered by then stays in doubt.
        """
        deadline = self.clock.now() + within
        self.deliveries.withhold()
        self._collect()
        self.deliveries.store()
        while self.under_way and self.clock.now() < deadline:
            self.rest(deadline - self.clock.now())
            self._collect()
            self.deliveries.store()

    def _collect(self) -> None:
        self.deliveries.collect()
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

    @property
    def _most(self) -> int:
        return max(window.count for window in self.windows)

    def _since(self, now: float) -> float:
        return now - budget.period_of(self.windows)

    def _sane(self, usage: Usage) -> Usage:
        longest = self._longest(waits=True)
        return budget.sane(self.windows, usage, self.clock.now(), longest)

    def _longest(self, *, waits: bool = False) -> float:
        """Return the seconds that a request takes at most, the wait for a lane included."""
        return self.timeout * (1 + waits) + DEADLINE_MARGIN

    def _start_deliveries(self, keys: Sequence[str], now: float) -> int:
        """Start these deliveries in order, and return how many.

        The rest is left where a pass settled one, or the windows have no room for more. What came
        of earlier ones is stored in the same transaction.
        """
        grants = self.state.grant_deliveries(
            keys,
            now=now,
            deadline=now + self._longest(waits=self.under_way + len(keys) > self.concurrency),
            admit=lambda usage: budget.admit(self.windows, self._sane(usage), now),
            intend=_intent,
            most=self._most,
            since=self._since(now),
            concluded=tuple(self.deliveries.answered.values()),
        )
        self.deliveries.stored()
        for grant in grants:
            if grant.request is not None:
                self.deliveries.send(grant, grant.request, now)
        self._started += len(grants)
        self.at_once = self.at_once and not grants
        return len(grants)

    def _until_next_attempt(self) -> float | None:
        attempts = (self.state.next_attempt(), self.once.next_attempt())
        again = min((at for at in attempts if at is not None), default=None)
        return None if again is None else max(0.0, again - self.clock.now())


def _promoted(contact: Contact | None, now: float) -> Settled:
    return Settled(contact=None if contact is None else overdue(confirming(contact, now), now))


def _intent(contact: Contact) -> tuple[Contact, Request] | None:
    if contact.rank is None or not contact.pending:
        return None
    request = request_for(contact)
    return intend(contact, request), request
