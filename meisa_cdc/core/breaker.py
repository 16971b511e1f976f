"""Whether deliveries go on at all: (breaker, what happened, now) -> breaker.

A server in trouble gets ever fewer requests at once, then one a minute. A key or an address that
is wrong gets one every quarter of an hour. Too many rejections wait for a person, since they are
more likely our mistake than the rows'.
"""

from dataclasses import dataclass, replace

#: Failed requests in a row after which only one at a time is tried.
MOST_FAILURES = 10
#: Of this many newest deliveries, so many rejected ones halt delivery.
JUDGED = 200
MOST_REJECTED = 11
#: Seconds between two tries: of a server in trouble, and with a key or address that is wrong.
PROBE_TROUBLED = 60.0
PROBE_REFUSED = 900.0
UNAVAILABLE = "unavailable"
REJECTIONS = "rejections"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """How deliveries stand."""

    #: Failed requests in a row.
    failures: int = 0
    #: Why deliveries are halted: UNAVAILABLE, REJECTIONS or `http_401`; empty while they go on.
    halted: str = ""
    #: What was said of it.
    message: str = ""
    #: Epoch seconds at which they were halted.
    since: float = 0.0
    #: Epoch seconds at which one is tried all the same; None: a person has to act.
    next_probe: float | None = None
    #: Rejections of requests up to this one are forgiven.
    forgiven: int = 0


def failed(breaker: Breaker, message: str, now: float) -> Breaker:
    """Return the breaker after a request that Meisa could not take."""
    failures = breaker.failures + 1
    if breaker.halted == REJECTIONS:
        return replace(breaker, failures=failures)
    if failures < MOST_FAILURES:
        # A probe that failed otherwise than before is no leave to go on: the next one waits too.
        probe = now + PROBE_TROUBLED if breaker.halted else None
        return replace(breaker, failures=failures, next_probe=probe)
    return replace(
        breaker,
        failures=failures,
        halted=UNAVAILABLE,
        message=message,
        since=breaker.since if breaker.halted == UNAVAILABLE else now,
        next_probe=now + PROBE_TROUBLED,
    )


def refused(breaker: Breaker, code: str, message: str, now: float) -> Breaker:
    """Return the breaker after an answer that says the key or the address is wrong."""
    if breaker.halted == REJECTIONS:
        return breaker
    return replace(
        breaker,
        halted=code,
        message=message,
        since=breaker.since if breaker.halted == code else now,
        next_probe=now + PROBE_REFUSED,
    )


def worked(breaker: Breaker) -> Breaker:
    """Return the breaker after an answer that shows Meisa at work."""
    if breaker.halted == REJECTIONS:
        return replace(breaker, failures=0)
    return Breaker(forgiven=breaker.forgiven)


def rejected(breaker: Breaker, count: int, message: str, now: float) -> Breaker:
    """Return the breaker where `count` of the JUDGED newest deliveries were rejected."""
    if count < MOST_REJECTED or breaker.halted == REJECTIONS:
        return breaker
    return replace(breaker, halted=REJECTIONS, message=message, since=now, next_probe=None)


def forgiving(breaker: Breaker, newest: int) -> Breaker:
    """Return the breaker after a person mended what was rejected; `newest` is the last request."""
    if breaker.halted == REJECTIONS:
        return Breaker(failures=breaker.failures, forgiven=newest)
    return replace(breaker, forgiven=newest)


def room(breaker: Breaker, concurrency: int, under_way: int) -> int:
    """Return how many more requests may be under way; a server in trouble gets ever fewer."""
    if breaker.halted:
        return 1 - under_way
    return min(concurrency, max(1, MOST_FAILURES - breaker.failures)) - under_way


def wait(breaker: Breaker, now: float) -> float | None:
    """Return the seconds until a request may be tried; None where a person has to act."""
    if not breaker.halted:
        return 0.0
    if breaker.next_probe is None:
        return None
    left = breaker.next_probe - now
    longest = PROBE_TROUBLED if breaker.halted == UNAVAILABLE else PROBE_REFUSED
    # A pause that is longer than it was meant to be: the clock was set back meanwhile.
    return 0.0 if left > longest else max(0.0, left)
