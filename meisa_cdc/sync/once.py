"""One run of `sync`: look, admit, deliver, and look again while delivering."""

from collections.abc import Callable, Iterable, Mapping as Dict
from concurrent.futures import Executor, Future, wait as wait_for
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from meisa_cdc.core.breaker import JUDGED, MOST_REJECTED, REJECTIONS, UNAVAILABLE, Breaker
from meisa_cdc.core.errors import MappingError, RetryLater
from meisa_cdc.core.guard import Hold
from meisa_cdc.core.occurrence import Status
from meisa_cdc.core.outcome import Kind
from meisa_cdc.core.plan import Plan
from meisa_cdc.ports import Clock
from meisa_cdc.sync.judging import Held
from meisa_cdc.sync.passes import Passes
from meisa_cdc.sync.push import LONGEST_WAIT, Push

#: Seconds that requests under way are given to end when the run is asked to.
GRACE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a run ends although there is something left to deliver."""

    #: Do not wait for the budget.
    no_wait: bool = False
    #: Requests at most; None: any number.
    requests: int | None = None
    #: Seconds at most; None: any time.
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one run did."""

    plan: Plan
    #: Holds that are in force since the last look.
    held: tuple[Hold, ...]
    #: Rows and single fields that could not be used, in the look that had most of them.
    invalid: int
    accepted: int
    rejected: int
    deferred: int
    unknown: int
    requests: int
    #: What became of occurrences, as often.
    occurrences: Dict[Status, int] = field(default_factory=dict)
    #: What failed, one sentence each.
    failures: tuple[str, ...] = ()
    interrupted: bool = False


@dataclass(slots=True, kw_only=True)
class Run:
    """Delivers until nothing is left, while the app database is looked at again and again."""

    passes: Passes
    push: Push
    clock: Clock
    #: Runs the repeated looks beside the delivery.
    aside: Executor
    #: Seconds between two looks.
    every: float
    due: frozenset[str]
    stopping: Callable[[], bool]
    limits: Limits = field(default_factory=Limits)
    #: Around the part in which a request to end is heard without being interrupted.
    graceful: Callable[[], AbstractContextManager[None]] = nullcontext
    #: Called with the deliveries concluded so far, after each step.
    progress: Callable[[int], None] = lambda _: None
    failures: list[str] = field(default_factory=list)
    _looking: Future[tuple[Plan, tuple[Held, ...]]] | None = None
    _held: tuple[Hold, ...] = ()
    _invalid: int = 0

    def run(self, *, approve: str = "", planned: Callable[[Plan], None] = lambda _: None) -> Ran:
        """Do it all. Raises what makes the first look impossible, and LeaseLost."""
        started = self.clock.now()
        self.push.at_once = True
        with self.passes.look(self.due, whole=True) as look:
            planned(look.plan)
            held = self.passes.admit(look, approve=approve, replace_holds=True)
            plan = look.plan
        self._saw(plan, held)
        with self.graceful():
            self._deliver(started)
            self._end()
        if self._looking is not None and not self.stopping():
            wait_for([self._looking])
            self._conclude_look()
        outcomes = self.push.deliveries.outcomes
        return Ran(
            plan=plan,
            held=self._held,
            invalid=self._invalid,
            accepted=outcomes[Kind.ACCEPTED],
            rejected=outcomes[Kind.REJECTED],
            deferred=outcomes[Kind.DEFERRED],
            unknown=outcomes[Kind.UNKNOWN] + len(self.push.deliveries.flights),
            requests=self.push.started,
            occurrences={**self.push.once.outcomes, Status.SENT: self._unanswered},
            failures=tuple(self.failures),
            interrupted=self.stopping(),
        )

    def _deliver(self, started: float) -> None:
        looked = started
        while not self.stopping() and self._time_left(started):
            left = self.limits.requests
            left = None if left is None else left - self.push.started
            wait = self.push.step(most=left)
            self.progress(self.push.concluded)
            if self._done(wait, left):
                if self._looking is None:
                    break
            elif self.clock.now() - looked >= self.every and self._looking is None:
                looked = self.clock.now()
                self._looking = self.aside.submit(self._look_again)
            self._rest(LONGEST_WAIT if wait is None else wait)
            self._conclude_look()

    def _rest(self, seconds: float) -> None:
        """Wait for an answer, or for the look beside where no request is under way."""
        if self._looking is not None and not self.push.under_way:
            wait_for([self._looking], timeout=min(seconds, LONGEST_WAIT))
        else:
            self.push.rest(seconds)

    def _end(self) -> None:
        self.push.finish(GRACE)
        self.progress(self.push.concluded)
        if self.push.halted:
            self.failures.append(halted_because(self.push.breaker))
        self.failures += self.push.once.problems()

    @property
    def _unanswered(self) -> int:
        return sum(len(each.occurrences) for each in self.push.once.flights.values())

    def _time_left(self, started: float) -> bool:
        limit = self.limits.seconds
        return limit is None or self.clock.now() - started < limit

    def _done(self, wait: float | None, left: int | None) -> bool:
        if self.push.under_way:
            return False
        spent = left is not None and left <= 0
        waiting = self.limits.no_wait and wait is not None and wait > 0
        return wait is None or spent or waiting or self.push.halted

    def _look_again(self) -> tuple[Plan, tuple[Held, ...]]:
        with self.passes.look(self.due, whole=False) as look:
            held = self.passes.admit(look, replace_holds=False)
        return look.plan, held

    def _conclude_look(self) -> None:
        if self._looking is None or not self._looking.done():
            return
        looking, self._looking = self._looking, None
        try:
            plan, held = looking.result()
        except (RetryLater, MappingError) as error:
            self._failed(str(error))
        else:
            self._saw(plan, held)

    def _saw(self, plan: Plan, held: tuple[Held, ...]) -> None:
        """Note what a look found; the newest one says what is held."""
        self._held = tuple(each.hold for each in held)
        self._invalid = max(self._invalid, plan.invalid_rows)
        for failure in plan.failures.values():
            self._failed(failure)

    def _failed(self, failure: str) -> None:
        if failure not in self.failures:
            self.failures.append(failure)


def halted_because(breaker: Breaker) -> str:
    """Return why deliveries are halted, and what to do about it."""
    said = f" Meisa said: {breaker.message.rstrip('.')}." if breaker.message else ""
    if breaker.halted == UNAVAILABLE:
        return (
            f"Meisa did not take the last {breaker.failures} requests.{said} What is left stays "
            "in the backlog and is tried again."
        )
    if breaker.halted == REJECTIONS:
        return (
            f"Delivery stopped: {MOST_REJECTED} or more of the last {JUDGED} contacts were "
            f"rejected.{said} Look at `meisa-cdc quarantine`, correct the mapping, or the data "
            "and then `meisa-cdc quarantine retry`. The backlog is kept."
        )
    advice = {
        "http_401": "The API key is missing, wrong or revoked.",
        "http_403": "The API key lacks the scope contacts:write.",
        "http_404": "Meisa has no such address; check meisa.base_url.",
    }.get(breaker.halted, "Check meisa.base_url: a redirect is never followed.")
    return f"Delivery stopped: {breaker.halted}.{said} {advice} The backlog is kept."


def all_due(passes: Passes, selected: Iterable[str] | None = None) -> frozenset[str]:
    """Return the names of the enabled mappings, or of those among them that were selected."""
    names = {name for name, mapping in passes.mappings.items() if mapping.enabled}
    return frozenset(names if selected is None else names & set(selected))
