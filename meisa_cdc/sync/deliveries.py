"""The deliveries of contacts that are under way: sending them, and what came of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

from meisa_cdc.core import budget, traffic
from meisa_cdc.core.addresses import vacated
from meisa_cdc.core.budget import Usage, Window
from meisa_cdc.core.contact import EMAIL, Contact
from meisa_cdc.core.delivery import REMOVE_TAG, Request, judge, settle
from meisa_cdc.core.outcome import WITHHELD, Answer, Kind, Outcome, delay
from meisa_cdc.core.values import email_key
from meisa_cdc.ports import Clock, Meisa, State
from meisa_cdc.records import Concluded, Grant, Settled


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
class Deliveries:
    """Requests from their intent until what came of them is stored."""

    state: State
    meisa: Meisa
    clock: Clock
    windows: tuple[Window, ...]
    lanes: Executor
    #: Draws from 0..1; spreads retries.
    jitter: Callable[[], float]
    #: By contact; one stays until what came of it is stored.
    flights: dict[str, Flight] = field(default_factory=dict)
    #: What came of those that were answered, not stored yet, by contact.
    answered: dict[str, Concluded] = field(default_factory=dict)
    #: Outcomes so far.
    outcomes: Counter[Kind] = field(default_factory=Counter)
    #: Failed attempts of contacts in a row; a restart begins anew, which only means sooner.
    attempts: Counter[str] = field(default_factory=Counter)
    #: How many requests were taken back before they left.
    withheld: int = 0

    @property
    def under_way(self) -> int:
        """How many requests were not answered yet, those that wait for a lane among them."""
        return len(self.flights) - len(self.answered)

    def send(self, grant: Grant, request: Request, now: float) -> None:
        """Send a request whose intent is stored."""

        def exchanged() -> tuple[Answer, float]:
            if request.kind == REMOVE_TAG:
                answer = self.meisa.remove_tag(request.meisa_id, request.body)
            else:
                answer = self.meisa.upsert(request.body)
            return answer, self.clock.now()

        future = self.lanes.submit(exchanged)
        self.flights[request.external_id] = Flight(
            grant=grant, request=request, started=now, future=future
        )

    def collect(self) -> None:
        """Take the answers that came; store them at once where others depend on them.

        Those of contacts that were simply accepted are stored with the next intents: one commit
        instead of two.
        """
        for key, flight in self.flights.items():
            if key not in self.answered and flight.future.done():
                self.answered[key] = self._concluded(flight)
        outcomes = [each.outcome for each in self.answered.values()]
        if any(each.concerns_others for each in outcomes):
            # What has a lane by now goes out; nothing more does before this is stored.
            self.withhold()
            self.store()
        elif any(each.kind is Kind.REJECTED for each in outcomes):
            self.store()
            if self.state.usage(0).breaker.halted:
                self.withhold()
                self.store()

    def withhold(self) -> None:
        """Take back what still waits for a lane: nothing of it has left."""
        for key, flight in self.flights.items():
            if key not in self.answered and flight.future.cancel():
                self.answered[key] = self._settling(flight, WITHHELD, self.clock.now())

    def store(self) -> None:
        """Store what came of those that were answered."""
        if not self.answered:
            return
        # How much of the windows was ours matters only where that was too much.
        contested = any(each.outcome.code == traffic.TOO_MANY for each in self.answered.values())
        self.state.complete(
            *self.answered.values(),
            most=max(window.count for window in self.windows) if contested else 0,
            since=self.clock.now() - budget.period_of(self.windows),
        )
        self.stored()

    def stored(self) -> None:
        """Forget those that were answered, now that it is stored.

        An answer that could not be stored is not lost: it is stored next time.
        """
        for key, each in self.answered.items():
            del self.flights[key]
            if each.outcome is WITHHELD:
                self.withheld += 1
                continue
            self.outcomes[each.outcome.kind] += 1
            self.attempts[key] = self.attempts[key] + 1 if each.outcome.attempt else 0
        self.attempts += Counter()  # without those that are at nought
        self.answered.clear()

    def _concluded(self, flight: Flight) -> Concluded:
        """Return what came of a request, and what that does to its contact and to the others."""
        request, started = flight.request, flight.started
        answer, came = flight.future.result()
        outcome = judge(request, answer)
        if outcome.kind is Kind.ACCEPTED and request.takes_over:
            self._take_over(request)
        again = 0.0
        if outcome.attempt:
            again = delay(self.attempts[request.external_id] + 1, self.jitter())

        def reacted(usage: Usage, rejected: int) -> Usage:
            return traffic.after(
                self.windows, usage, outcome, started=started, now=came, rejected=rejected
            )

        return replace(
            self._settling(flight, outcome, came),
            # Nobody who need not wait does, should the clock be set back.
            not_before=came + again if again else 0.0,
            react=reacted,
        )

    def _settling(self, flight: Flight, outcome: Outcome, came: float) -> Concluded:
        """Return what came of a request, and what that does to its contact."""

        def settled(contact: Contact) -> Contact:
            return settle(contact, flight.request, outcome, started=flight.started, now=came)

        return Concluded(grant=flight.grant, now=came, outcome=outcome, settle=settled)

    def _take_over(self, request: Request) -> None:
        """Take the address from those who are gone; before anything that a crash could cut off."""
        claims = self.state.claims([email_key(str(request.body[EMAIL]))])
        gone = [c.external_id for c in claims if c.holds and c.external_id != request.external_id]
        self.state.settle(sorted(gone), _vacated, now=self.clock.now())

    def waiting(self) -> Sequence[Future[tuple[Answer, float]]]:
        """Return the answers that are still to come."""
        return [each.future for key, each in self.flights.items() if key not in self.answered]


def _vacated(_: str, contact: Contact | None) -> Settled:
    return Settled(contact=None if contact is None or contact.present else vacated(contact))
