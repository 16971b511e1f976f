"""What an answer teaches of others who use the same key."""

import pytest

from meisa_cdc.core.budget import Usage, windows_of
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.core.sharing import Throttle
from meisa_cdc.core.traffic import TOO_MANY, after

NOW = 1_768_206_600.0
WINDOWS = windows_of([(60, 60.0), (1000, 3600.0)], 0.1)
REFUSED = Outcome(kind=Kind.DEFERRED, code=TOO_MANY, pause=60.0)


def refused() -> Usage:
    """Return the use after a first request that was answered 429."""
    return after(WINDOWS, Usage(), REFUSED, started=NOW - 1, now=NOW)


def test_a_429_pauses_and_makes_our_share_smaller():
    """Nothing is left of what we believed to be ours alone."""
    usage = refused()
    assert usage.paused_until == NOW + 60.0
    assert usage.throttle.share < 1.0
    assert usage.throttle.shut


@pytest.mark.parametrize("kind", [Kind.ACCEPTED, Kind.REJECTED])
def test_what_meisa_looked_at_was_admitted(kind: Kind):
    """A contact that it refuses has counted as well."""
    outcome = Outcome(kind=kind, code=kind.value)
    usage = after(WINDOWS, refused(), outcome, started=NOW + 60, now=NOW + 61)
    assert not usage.throttle.shut


@pytest.mark.parametrize("kind", [Kind.DEFERRED, Kind.UNKNOWN, Kind.STOPPED])
def test_no_clear_answer_tells_nothing_of_the_windows(kind: Kind):
    """Nobody knows whether the limits were even looked at."""
    before = refused()
    outcome = Outcome(kind=kind, code="http_503")
    usage = after(WINDOWS, before, outcome, started=NOW + 60, now=NOW + 61)
    assert usage.throttle == before.throttle


def test_an_accepted_request_changes_nothing_of_a_key_of_our_own():
    """There is nothing to store then."""
    outcome = Outcome(kind=Kind.ACCEPTED, code="accepted")
    assert after(WINDOWS, Usage(), outcome, started=NOW, now=NOW).throttle == Throttle()
