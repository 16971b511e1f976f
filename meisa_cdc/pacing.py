"""A single request within the budget, outside of the backlog."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from meisa_cdc.core.budget import Usage, Window, admit, period_of, sane, wait
from meisa_cdc.core.durations import spoken
from meisa_cdc.core.errors import MeisaCdcError, MeisaUnavailable
from meisa_cdc.core.outcome import BUSY, Kind, Outcome, clamp_pause
from meisa_cdc.core.traffic import after_any
from meisa_cdc.ports import Budget, Clock
from meisa_cdc.records import Concluded, Grant

#: Seconds a request waits for its turn before it is left to the next run.
PATIENCE = 120.0
#: Pause after an answer 429 that names none, in seconds.
UNTOLD_PAUSE = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """When a single request may start."""

    windows: Sequence[Window]
    #: Seconds the request may take.
    timeout: float
    #: Seconds to wait for its turn; after that it fails.
    patience: float = PATIENCE


def plain_failure(error: MeisaCdcError) -> Outcome:
    """Return the outcome to record of a request that failed, where no more is known."""
    return Outcome(kind=Kind.DEFERRED, code="failed", message=error.message)


def within_budget(
    kind: str,
    call: Callable[[], T],
    budget: Budget,
    clock: Clock,
    pacing: Pacing,
    *,
    outcome_of: Callable[[MeisaCdcError], Outcome] = plain_failure,
) -> T:
    """Make one request when the budget admits it; return what `call` returns.

    Raises what `call` raises, and MeisaUnavailable where no turn came within the patience or
    the process is to end.
    """
    grant, started = _granted(kind, budget, clock, pacing)
    try:
        result = call()
    except MeisaCdcError as error:
        now, outcome = clock.now(), outcome_of(error)

        def reacted(usage: Usage, _: int) -> Usage:
            return after_any(pacing.windows, usage, outcome, started=started, now=now)

        most, since = _extent(pacing.windows, now)
        failed = Concluded(grant=grant, now=now, outcome=outcome, react=reacted)
        budget.complete(failed, most=most, since=since)
        raise
    accepted = Outcome(kind=Kind.ACCEPTED, code="accepted")
    budget.complete(Concluded(grant=grant, now=clock.now(), outcome=accepted))
    return result


def pause_after(status: int, retry_after: float | None) -> float:
    """Return the seconds during which nothing is sent after a failed request."""
    return clamp_pause(retry_after, otherwise=UNTOLD_PAUSE if status == BUSY else 0.0)


def _extent(windows: Sequence[Window], now: float) -> tuple[int, float]:
    """Return how many newest answers count, and since when."""
    return max(window.count for window in windows), now - period_of(windows)


def _granted(kind: str, budget: Budget, clock: Clock, pacing: Pacing) -> tuple[Grant, float]:
    """Return the permission to send, and when it was given, once there is room for a request."""
    windows = pacing.windows
    give_up = clock.now() + pacing.patience
    while True:
        now = clock.now()

        def admitted(usage: Usage, now: float = now) -> tuple[float, ...] | None:
            return admit(windows, sane(windows, usage, now, pacing.timeout), now)

        deadline = now + pacing.timeout
        most, since = _extent(windows, now)
        grant = budget.grant(
            kind, now=now, deadline=deadline, admit=admitted, most=most, since=since
        )
        if grant is not None:
            return grant, now
        pause = wait(windows, sane(windows, budget.usage(most, since), now, pacing.timeout), now)
        if now + pause > give_up:
            raise MeisaUnavailable(
                f"The request budget is spent; the next request is free in {spoken(pause)}."
            )
        clock.sleep(pause)
        if clock.now() < now + pause / 2:
            # Sleep ends early only when the process is to end.
            raise MeisaUnavailable("The process is to end; no further request is made.")
