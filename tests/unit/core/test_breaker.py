"""Whether deliveries go on, and when one is tried all the same."""

from dataclasses import replace

import pytest

from meisa_cdc.core.breaker import (
    MOST_FAILURES,
    MOST_REJECTED,
    PROBE_REFUSED,
    PROBE_TROUBLED,
    REJECTIONS,
    UNAVAILABLE,
    Breaker,
    failed,
    forgiving,
    refused,
    rejected,
    room,
    wait,
    worked,
)

NOW = 10_000.0
REJECTING = Breaker(halted=REJECTIONS, message="no", since=1.0, failures=2)


def after_failures(count: int, breaker: Breaker | None = None, *, now: float = NOW) -> Breaker:
    """Return a breaker after that many failures in a row, a second apart."""
    breaker = breaker or Breaker()
    for number in range(count):
        breaker = failed(breaker, f"failure {number}", now + number)
    return breaker


def test_the_tenth_failure_in_a_row_halts():
    """From then on one is tried a minute."""
    nearly = after_failures(MOST_FAILURES - 1)
    assert (nearly.halted, wait(nearly, NOW + 9)) == ("", 0.0)
    halted = failed(nearly, "503", NOW + 9)
    assert (halted.halted, halted.message, halted.since) == (UNAVAILABLE, "503", NOW + 9)
    assert wait(halted, NOW + 9) == PROBE_TROUBLED
    assert wait(halted, NOW + 60) == 9.0
    assert wait(halted, NOW + 69) == 0.0
    assert wait(halted, NOW + 1e6) == 0.0


def test_a_probe_in_vain_puts_the_next_one_off():
    """It is the same halt still."""
    halted = after_failures(MOST_FAILURES)
    again = failed(halted, "504", NOW + 100)
    assert (again.since, again.failures, again.message) == (halted.since, 11, "504")
    assert wait(again, NOW + 100) == PROBE_TROUBLED


def test_whatever_works_ends_the_series():
    """What was forgiven stays so."""
    halted = after_failures(MOST_FAILURES, Breaker(forgiven=7))
    assert worked(halted) == Breaker(forgiven=7)
    assert worked(after_failures(3)) == Breaker()


def test_f64_a_refused_key_is_tried_every_quarter_of_an_hour():
    """The time of the halt is that of the first refusal."""
    halted = refused(Breaker(), "http_401", "bad key", NOW)
    assert (halted.halted, halted.message, halted.since) == ("http_401", "bad key", NOW)
    assert wait(halted, NOW) == PROBE_REFUSED
    again = refused(halted, "http_401", "still bad", NOW + 900)
    assert (again.since, again.message) == (NOW, "still bad")
    assert wait(again, NOW + 900) == PROBE_REFUSED
    other = refused(again, "http_404", "", NOW + 1800)
    assert (other.halted, other.since) == ("http_404", NOW + 1800)


def test_a_probe_of_a_refused_key_that_fails_otherwise_waits_too():
    """A server in trouble says nothing of the key, and is no reason to try at once."""
    halted = refused(Breaker(), "http_401", "bad key", NOW)
    after = failed(halted, "timed out", NOW + 900)
    assert (after.halted, after.failures) == ("http_401", 1)
    assert wait(after, NOW + 900) == PROBE_TROUBLED
    assert after_failures(MOST_FAILURES, halted).halted == UNAVAILABLE


def test_f63_the_eleventh_rejection_of_the_newest_halts_until_somebody_acts():
    """No time ends it."""
    assert rejected(Breaker(), MOST_REJECTED - 1, "no", NOW) == Breaker()
    halted = rejected(Breaker(), MOST_REJECTED, "no", NOW)
    assert (halted.halted, halted.message, halted.since) == (REJECTIONS, "no", NOW)
    assert wait(halted, NOW + 1e9) is None
    assert rejected(halted, MOST_REJECTED + 1, "again", NOW + 5) == halted


def test_nothing_but_a_person_ends_a_halt_for_rejections():
    """Answers to what was under way change the figures alone."""
    assert failed(REJECTING, "503", NOW) == replace(REJECTING, failures=3)
    assert after_failures(20, REJECTING).halted == REJECTIONS
    assert refused(REJECTING, "http_401", "bad key", NOW) == REJECTING
    assert worked(REJECTING) == replace(REJECTING, failures=0)


def test_forgiving_ends_a_halt_for_rejections_alone():
    """A server in trouble is one still."""
    assert forgiving(REJECTING, 42) == Breaker(failures=2, forgiven=42)
    halted = after_failures(MOST_FAILURES)
    assert forgiving(halted, 42) == replace(halted, forgiven=42)


@pytest.mark.parametrize(
    ("failures", "under_way", "free"),
    [(0, 0, 4), (0, 4, 0), (6, 0, 4), (7, 0, 3), (9, 0, 1), (9, 1, 0), (9, 4, -3)],
)
def test_a_server_in_trouble_has_fewer_requests_at_once(failures: int, under_way: int, free: int):
    """At least one, so that it can be seen to work again."""
    assert room(Breaker(failures=failures), 4, under_way) == free


def test_while_halted_one_request_is_under_way_at_most():
    """Whatever the concurrency."""
    halted = refused(Breaker(), "http_401", "", NOW)
    assert (room(halted, 4, 0), room(halted, 4, 1)) == (1, 0)


@pytest.mark.parametrize("back", [10.0, 3600.0, 1e6])
def test_f13_a_clock_set_back_makes_no_pause_longer(back: float):
    """What lies further ahead than it can is due."""
    troubled = after_failures(MOST_FAILURES)
    assert wait(troubled, NOW - back) == 0.0
    refusing = refused(Breaker(), "http_401", "", NOW)
    assert wait(refusing, NOW - back) == 0.0
