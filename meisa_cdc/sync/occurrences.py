"""What is done once: intended, sent and settled, beside the deliveries of contacts."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from meisa_cdc.core.attempt import (
    after,
    intended,
    judge,
    unanswered,
)
from meisa_cdc.core.breaker import PROBE_REFUSED
from meisa_cdc.core.budget import Usage
from meisa_cdc.core.mapping import EMAILS, EVENTS, ONCE, SEQUENCES
from meisa_cdc.core.occurrence import Occurrence, Status, bulk_body
from meisa_cdc.core.outcome import Answer, Kind, Outcome, delay
from meisa_cdc.ports import Clock, Meisa, State, SuppressionTable
from meisa_cdc.records import Grant
from meisa_cdc.sync.occurrence_choice import Chosen, OccurrenceChoice
from meisa_cdc.sync.scopes import ADVICE, KINDS as SCOPES, Lack

#: Seconds between two searches for requests that nobody waits for any more.
SEARCH_EVERY = 60.0
#: The key lacks the scope for one kind; the others go on.
FORBIDDEN = "http_403"

KEPT = "What waits is kept, and tried again every 15 minutes."

#: Stores what came of a request: (grant, outcome, started, when the answer came).
Conclude = Callable[[Grant, Outcome, float, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A request under way."""

    grant: Grant
    #: What it is for, as it was before the intent.
    occurrences: Sequence[Occurrence]
    #: The contact it is about; empty where it is about an address.
    contact: str
    #: Epoch seconds.
    started: float
    #: Resolves to the answer and the time it came.
    future: Future[tuple[Answer, float]]


@dataclass(slots=True, kw_only=True)
class OccurrencePush:
    """Does what waits to be done once. Decisions and writes happen in the calling thread alone."""

    state: State
    meisa: Meisa
    clock: Clock
    lanes: Executor
    suppressions: SuppressionTable
    #: Draws from 0..1; spreads retries.
    jitter: Callable[[], float]
    #: Kinds of mappings whose occurrences are sent.
    kinds: Sequence[str] = ONCE
    flights: dict[int, Flight] = field(default_factory=dict)
    #: What became of occurrences so far.
    outcomes: Counter[Status] = field(default_factory=Counter)
    #: Requests that were answered so far.
    concluded: int = 0
    #: Kinds that the key has no scope for -> epoch seconds of the next try.
    forbidden: dict[str, float] = field(default_factory=dict)
    #: What the key lacks, as far as it was told before anything was sent.
    lacks: Sequence[Lack] = ()
    _searched: float | None = None
    _choice: OccurrenceChoice = field(init=False)

    def __post_init__(self) -> None:
        """Leave alone, for a while, what the key is known not to be allowed to do."""
        lacks = {each.scope for each in self.lacks}
        again = self.clock.now() + PROBE_REFUSED
        self.forbidden |= {kind: again for kind, scope in SCOPES.items() if scope in lacks}
        self._choice = OccurrenceChoice(
            state=self.state, suppressions=self.suppressions, outcomes=self.outcomes
        )

    def recover(self) -> None:
        """Settle what was about to be sent by somebody who no longer waits for an answer."""
        now = self.clock.now()
        if self._searched is not None and 0 <= now - self._searched < SEARCH_EVERY:
            return
        first, self._searched = self._searched is None, now
        ours = {each.ref for flight in self.flights.values() for each in flight.occurrences}
        lost = self.state.sent_occurrences(None if first else now)
        settled = [unanswered(each, now) for each in lost if each.ref not in ours]
        if settled:
            self.state.store_occurrences(settled, before=Status.SENT)
            self.outcomes.update(each.status for each in settled)
        if first:
            self.state.unblock_occurrences()

    @property
    def busy(self) -> list[str]:
        """The contacts that a request is under way for."""
        return [flight.contact for flight in self.flights.values() if flight.contact]

    def choose(
        self, now: float, *, first: str, favour: int | None, busy: Collection[str]
    ) -> Chosen | None:
        """Return what goes now, see `OccurrenceChoice`; None where nothing that is allowed may."""
        return self._choice.choose(
            now, kinds=self._open(now), first=first, favour=favour, busy=busy
        )

    def _open(self, now: float) -> Sequence[str]:
        return [kind for kind in self.kinds if self.forbidden.get(kind, now) <= now]

    def start(
        self,
        chosen: Chosen,
        now: float,
        *,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        most: int,
        since: float,
    ) -> bool:
        """Start one request, unless they were settled or a process took its room meanwhile."""
        granted = self.state.grant_occurrences(
            [each.ref for each in chosen.occurrences if each.ref is not None],
            now=now,
            deadline=deadline,
            admit=admit,
            intend=lambda each: intended(each, now=now, deadline=deadline),
            most=most,
            since=since,
        )
        if granted is None:
            return False
        grant, waiting = granted
        future = self.lanes.submit(self._sending(waiting))
        self.flights[grant.id] = Flight(
            grant=grant, occurrences=waiting, contact=chosen.contact, started=now, future=future
        )
        return True

    def _sending(self, occurrences: Sequence[Occurrence]) -> Callable[[], tuple[Answer, float]]:
        kind = occurrences[0].kind
        call = {
            EVENTS: self.meisa.track_event,
            EMAILS: self.meisa.trigger_email,
            SEQUENCES: self.meisa.bulk_enroll,
        }[kind]
        body = bulk_body(occurrences) if kind == SEQUENCES else occurrences[0].body

        def send() -> tuple[Answer, float]:
            answer = call(body)
            return answer, self.clock.now()

        return send

    def waiting(self) -> Sequence[Future[tuple[Answer, float]]]:
        """Return the answers that are still to come."""
        return [each.future for each in self.flights.values()]

    def collect(self, conclude: Conclude) -> None:
        """Store what came of the requests that were answered."""
        for number in [number for number, each in self.flights.items() if each.future.done()]:
            flight = self.flights[number]
            answer, came = flight.future.result()
            self._settle(flight, judge(flight.occurrences[0].kind, answer), came, conclude)
            # Not before all of it is stored: otherwise it is stored at the next step.
            del self.flights[number]

    def _settle(self, flight: Flight, outcome: Outcome, came: float, conclude: Conclude) -> None:
        settled = [
            after(
                each,
                outcome,
                started=flight.started,
                now=came,
                again=delay(each.attempts + 1, self.jitter()),
            )
            for each in flight.occurrences
        ]
        self.state.store_occurrences(settled, before=Status.SENT)
        kind = flight.occurrences[0].kind
        if outcome.kind is Kind.STOPPED and outcome.code == FORBIDDEN:
            self.forbidden[kind] = came + PROBE_REFUSED
        elif outcome.kind in (Kind.ACCEPTED, Kind.REJECTED):
            self.forbidden.pop(kind, None)
        conclude(flight.grant, outcome, flight.started, came)
        self.outcomes.update(each.status for each in settled)
        self.concluded += 1

    def next_attempt(self) -> float | None:
        """Return the earliest epoch second at which something deferred may be tried again."""
        return self.state.next_occurrence_attempt(self._open(self.clock.now()))

    def problems(self) -> list[str]:
        """Return what the key may not do, and what is therefore not done, a sentence each."""
        named = {each.scope: each for each in self.lacks}
        lacks = [
            named.get(SCOPES[kind]) or Lack(scope=SCOPES[kind], needed_by=[f"{kind}/"])
            for kind in self.forbidden
        ]
        return [f"{each} {ADVICE} {KEPT}" for each in lacks]
