"""Use case: pull the suppression list into the app's table."""

from meisa_cdc.core.errors import MeisaCdcError
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.core.suppression import PullFailed
from meisa_cdc.pacing import Pacing, pause_after, plain_failure, within_budget
from meisa_cdc.ports import Budget, Clock, Meisa, SuppressionResult, SuppressionTable

#: How the request is called in the history.
KIND = "unsubscribed_emails"


def pull(
    meisa: Meisa,
    table: SuppressionTable,
    budget: Budget,
    clock: Clock,
    *,
    pacing: Pacing,
    max_release: float,
    approve: str = "",
) -> SuppressionResult:
    """Request the list once, within the budget, and make the table equal it.

    `max_release` is the share of the table (0..1) above which releases are held, `approve` the
    digest that lets them go.
    Raises MeisaUnavailable where no turn came, SuppressionFailed where the list is not whole or
    the table refuses; the table then keeps its contents.
    """
    pulled = within_budget(
        KIND, meisa.unsubscribed_emails, budget, clock, pacing, outcome_of=outcome_of
    )
    return table.replace(pulled, now=clock.now(), max_release=max_release, approve=approve)


def outcome_of(error: MeisaCdcError) -> Outcome:
    """Return the outcome to record of a pull that brought no list."""
    if not isinstance(error, PullFailed):
        return plain_failure(error)
    return Outcome(
        kind=Kind.DEFERRED,
        code=_code(error),
        message=error.message,
        untouched=not error.sent,
        pause=pause_after(error.status, error.retry_after),
    )


def _code(error: PullFailed) -> str:
    if error.status == 0:
        return "no_answer" if error.sent else "not_sent"
    if 200 <= error.status < 300:  # noqa: PLR2004 - an answer, but not the list
        return "list_not_whole"
    return f"http_{error.status}"
