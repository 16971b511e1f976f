"""What one answer means for the requests after it, and when the next delivery may start."""

from collections.abc import Sequence
from dataclasses import replace

from meisa_cdc.core import breaker, budget
from meisa_cdc.core.breaker import Breaker
from meisa_cdc.core.budget import Usage, Window
from meisa_cdc.core.outcome import BUSY, Kind, Outcome
from meisa_cdc.core.sharing import admitted

#: Code of an outcome that says we are too fast, or somebody else is.
TOO_MANY = f"http_{BUSY}"


def after(
    windows: Sequence[Window],
    usage: Usage,
    outcome: Outcome,
    *,
    started: float,
    now: float,
    rejected: int = 0,
) -> Usage:
    """Return the usage after a delivery that started then had this outcome.

    `rejected` of the newest `breaker.JUDGED` deliveries were, this one included.
    """
    usage = after_any(windows, usage, outcome, started=started, now=now)
    return replace(usage, breaker=_breaker(usage.breaker, outcome, rejected, now))


def after_any(
    windows: Sequence[Window], usage: Usage, outcome: Outcome, *, started: float, now: float
) -> Usage:
    """Return the usage after a request of any kind: a pause, and less of a key that is shared."""
    if outcome.pause:
        usage = budget.paused(usage, now + outcome.pause)
    if outcome.code == TOO_MANY:
        return budget.contested(windows, usage, started=started, now=now)
    if outcome.kind in {Kind.ACCEPTED, Kind.REJECTED}:
        return replace(usage, throttle=admitted(usage.throttle, started=started))
    return usage


def _breaker(before: Breaker, outcome: Outcome, rejected: int, now: float) -> Breaker:
    if outcome.kind is Kind.STOPPED:
        return breaker.refused(before, outcome.code, outcome.message, now)
    if outcome.kind is Kind.REJECTED:
        return breaker.rejected(breaker.worked(before), rejected, outcome.message, now)
    if outcome.kind is Kind.ACCEPTED:
        return breaker.worked(before)
    if outcome.code == TOO_MANY:
        # We are too fast, or somebody else is; that is no failure of Meisa's.
        return before
    return breaker.failed(before, outcome.message, now)
