"""What one answer means for the requests after it."""

import pytest

from meisa_cdc.core.breaker import MOST_REJECTED, REJECTIONS, Breaker
from meisa_cdc.core.budget import Usage, parse_windows, windows_of
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.core.traffic import after, after_any

WINDOWS = windows_of(parse_windows("60/60s,1000/3600s"), 0.0)
NOW = 10_000.0
FAILING = Usage(breaker=Breaker(failures=4))
ACCEPTED = Outcome(kind=Kind.ACCEPTED, code="accepted")
REJECTED = Outcome(kind=Kind.REJECTED, code="rejected_422", message="bad", untouched=True)
STOPPED = Outcome(kind=Kind.STOPPED, code="http_401", message="bad key", untouched=True)
TOO_MANY = Outcome(kind=Kind.DEFERRED, code="http_429", pause=30.0)
TROUBLED = Outcome(kind=Kind.DEFERRED, code="http_503", message="down", pause=5.0)
UNKNOWN = Outcome(kind=Kind.UNKNOWN, code="no_answer", message="timed out", attempt=True)
NOT_SENT = Outcome(kind=Kind.DEFERRED, code="not_sent", untouched=True, attempt=True)


def following(outcome: Outcome, usage: Usage = FAILING, *, rejected: int = 0) -> Usage:
    """Return the use after a delivery that took a second."""
    return after(WINDOWS, usage, outcome, started=NOW - 1, now=NOW, rejected=rejected)


@pytest.mark.parametrize(
    ("outcome", "failures"),
    [
        (ACCEPTED, 0),
        (REJECTED, 0),
        (STOPPED, 4),
        (TOO_MANY, 4),
        (TROUBLED, 5),
        (UNKNOWN, 5),
        (NOT_SENT, 5),
    ],
    ids=lambda each: each.code if isinstance(each, Outcome) else str(each),
)
def test_failures_in_a_row_are_those_of_meisa(outcome: Outcome, failures: int):
    """That we are too fast is none, and what it refuses shows it at work."""
    assert following(outcome).breaker.failures == failures


def test_f64_a_refused_key_halts():
    """With what was said of it."""
    breaker = following(STOPPED).breaker
    assert (breaker.halted, breaker.message, breaker.since) == ("http_401", "bad key", NOW)


def test_f63_too_many_rejections_halt():
    """However many there were before in a row."""
    assert following(REJECTED, rejected=MOST_REJECTED - 1).breaker.halted == ""
    assert following(REJECTED, rejected=MOST_REJECTED).breaker.halted == REJECTIONS


@pytest.mark.parametrize(
    ("outcome", "until"), [(TOO_MANY, NOW + 30), (TROUBLED, NOW + 5), (ACCEPTED, 0.0)]
)
def test_f61_a_pause_is_everybodys(outcome: Outcome, until: float):
    """As long as the server said."""
    assert following(outcome).paused_until == until


def test_f61_only_an_answer_429_takes_from_our_share():
    """It says that somebody else uses the key."""
    assert following(TOO_MANY).throttle.share == pytest.approx(0.7)
    assert following(TROUBLED).throttle.share == 1.0


def test_a_request_that_is_no_delivery_leaves_the_deliveries_alone():
    """Its failure says nothing of upserts; an answer 429 is for all of us."""
    usage = after_any(WINDOWS, FAILING, TROUBLED, started=NOW - 1, now=NOW)
    assert (usage.breaker, usage.paused_until) == (FAILING.breaker, NOW + 5)
    usage = after_any(WINDOWS, FAILING, TOO_MANY, started=NOW - 1, now=NOW)
    assert usage.breaker == FAILING.breaker
    assert usage.throttle.share == pytest.approx(0.7)
