"""One try: what its answer means for each kind, and what becomes of the occurrence."""

from dataclasses import replace

import pytest

from meisa_cdc.core.attempt import (
    LONGEST_LOOK,
    Standing,
    after,
    intended,
    judge,
    may_repeat,
    ready,
    unanswered,
)
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.occurrence import Occurrence, Status
from meisa_cdc.core.outcome import Answer, Kind, Outcome

EVENT = Occurrence(mapping="events/a", kind="events", key="1", external_id="7", body={"a": 1})
MAIL = Occurrence(mapping="emails/a", kind="emails", key="1", email="A@x.com", body={"a": 1})
TRIAL = Occurrence(
    mapping="sequences/a", kind="sequences", key="t a@x.com", email="a@x.com", slug="t"
)
KNOWN = Contact(external_id="7", ledger={"email": "7@x.com"})
UNKNOWN = Outcome(kind=Kind.UNKNOWN, code="no_answer", attempt=True)
BUSY = Outcome(kind=Kind.DEFERRED, code="http_429", pause=60.0)
FRESH = Standing(as_of=1000.0)


@pytest.mark.parametrize(
    ("kind", "answer", "expected", "code"),
    [
        ("events", Answer(status=200, body={"status": "tracked"}), Kind.ACCEPTED, "tracked"),
        ("events", Answer(status=200, body={"status": "noted"}), Kind.ACCEPTED, "accepted"),
        ("events", Answer(status=200, body={"status": 5}), Kind.UNKNOWN, "not_understood"),
        ("events", Answer(status=200, body=[]), Kind.UNKNOWN, "not_understood"),
        ("events", Answer(status=200, body={"status": "failed"}), Kind.UNKNOWN, "not_understood"),
        ("events", Answer(status=404, body={"m": 1}), Kind.REJECTED, "rejected_404"),
        ("events", Answer(status=404), Kind.STOPPED, "http_404"),
        ("events", Answer(status=401, body={}), Kind.STOPPED, "http_401"),
        ("events", Answer(status=500), Kind.DEFERRED, "http_500"),
        ("events", Answer(sent=False), Kind.DEFERRED, "not_sent"),
        ("events", Answer(), Kind.UNKNOWN, "no_answer"),
        ("emails", Answer(status=200, body={"status": "sent"}), Kind.ACCEPTED, "sent"),
        ("emails", Answer(status=202, body={"status": "scheduled"}), Kind.ACCEPTED, "scheduled"),
        ("emails", Answer(status=200, body={"status": "skipped"}), Kind.ACCEPTED, "skipped"),
        ("emails", Answer(status=404, body={"m": 1}), Kind.STOPPED, "http_404"),
        ("emails", Answer(status=422, body={"m": 1}), Kind.REJECTED, "rejected_422"),
        ("sequences", Answer(status=200, body={"enrolled": 2}), Kind.ACCEPTED, "enrolled"),
        ("sequences", Answer(status=201, body={"x": "y"}), Kind.ACCEPTED, "enrolled"),
        ("sequences", Answer(status=200, body={}), Kind.UNKNOWN, "not_understood"),
        ("sequences", Answer(status=404, body={"m": 1}), Kind.REJECTED, "rejected_404"),
    ],
)
def test_what_an_answer_means(kind, answer, expected, code):
    """Only what the documents show, and nothing that looks like an error, is success."""
    outcome = judge(kind, answer)
    assert (outcome.kind, outcome.code) == (expected, code)


def test_what_meisa_says_is_kept():
    """Reasons and figures go into the message."""
    skipped = Answer(status=200, body={"status": "skipped", "reason": "conditions_not_met"})
    assert judge("emails", skipped).message == "conditions_not_met"
    counted = Answer(status=200, body={"enrolled": 3, "skipped": 1})
    assert judge("sequences", counted).message == "3 enrolled, 1 skipped"


def test_an_event_that_may_have_happened_is_parked():
    """Unless it may happen twice."""
    assert after(EVENT, UNKNOWN, started=10, now=40, again=5).status is Status.PARKED
    again = after(replace(EVENT, at_least_once=True), UNKNOWN, started=10, now=40, again=5)
    assert (again.status, again.not_before, again.tried_at, again.attempts) == (
        Status.WAITING,
        45,
        10,
        1,
    )


def test_what_certainly_did_not_happen_leaves_no_trace():
    """Its hour does not begin, and 429 is no failed try."""
    same = after(MAIL, BUSY, started=10, now=11, again=5)
    assert (same.status, same.tried_at, same.attempts, same.not_before) == (
        Status.WAITING,
        None,
        0,
        0,
    )
    tried = replace(MAIL, tried_at=5.0)
    assert after(tried, BUSY, started=10, now=11, again=5).tried_at == 5.0


@pytest.mark.parametrize("occurrence", [MAIL, TRIAL])
def test_within_the_hour_a_mail_is_tried_again(occurrence):
    """The first try that may have reached Meisa counts, less a margin."""
    told = after(occurrence, UNKNOWN, started=10, now=40, again=5)
    assert (told.status, told.tried_at) == (Status.WAITING, 10)
    told = after(told, UNKNOWN, started=3000, now=3309, again=5)
    assert (told.status, told.tried_at) == (Status.WAITING, 10)
    assert after(told, UNKNOWN, started=3000, now=3310, again=5).status is Status.PARKED
    assert not may_repeat(told, 9.0)


def test_an_intent_is_found_by_whoever_comes_after():
    """As no answer at all."""
    sent = intended(replace(EVENT, blocked="x"), now=10, deadline=40)
    assert (sent.status, sent.not_before, sent.tried_at, sent.blocked) == (
        Status.SENT,
        40,
        10,
        "",
    )
    lost = unanswered(sent, 50)
    assert (lost.status, lost.code) == (Status.PARKED, "no_answer")
    assert unanswered(intended(MAIL, now=10, deadline=40), 50).status is Status.WAITING
    assert unanswered(intended(MAIL, now=10, deadline=40), 9000).status is Status.PARKED


def test_what_is_settled_has_no_body():
    """It is never needed again; what was refused may be."""
    taken = Outcome(kind=Kind.ACCEPTED, code="sent")
    assert after(MAIL, taken, started=1, now=2, again=0).body == {}
    refused = after(
        MAIL, Outcome(kind=Kind.REJECTED, code="rejected_400"), started=1, now=2, again=0
    )
    assert (refused.status, refused.body) == (Status.REJECTED, {"a": 1})


@pytest.mark.parametrize("contact", [None, Contact(external_id="7")])
def test_an_event_is_blocked_without_an_accepted_contact(contact):
    """It is looked at again, the more seldom the longer it waits."""
    seen = ready(EVENT, contact, None, 10.0)
    assert (seen.blocked, seen.not_before) == ("no_contact", 70.0)
    assert ready(EVENT, contact, None, 3000.0).not_before == 3300.0
    assert ready(EVENT, contact, None, 1e6).not_before == 1e6 + LONGEST_LOOK


def test_what_is_blocked_no_more_may_go():
    """The reason is forgotten."""
    assert ready(replace(EVENT, blocked="no_contact"), KNOWN, None, 10.0).blocked == ""
    assert ready(replace(MAIL, blocked="x"), None, FRESH, 1000.0).blocked == ""
    assert ready(TRIAL, None, None, 1000.0) == TRIAL


@pytest.mark.parametrize(
    "standing",
    [None, Standing(as_of=None), replace(FRESH, as_of=-90_000.0), replace(FRESH, as_of=2000.0)],
)
def test_a_mail_is_blocked_without_a_list_of_today(standing):
    """Nobody knows who must not be written to."""
    assert ready(MAIL, None, standing, 1000.0).blocked == "no_suppression_list"


def test_a_mail_to_a_suppressed_address_is_skipped():
    """For ever, in any spelling."""
    seen = ready(MAIL, None, replace(FRESH, suppressed={"a@x.com"}), 1000.0)
    assert (seen.status, seen.code, seen.body) == (Status.SKIPPED, "suppressed", {})


def test_a_mail_whose_hour_is_over_is_parked():
    """Even a fresh list does not help."""
    seen = ready(replace(MAIL, tried_at=10.0), None, FRESH, 3310.0)
    assert (seen.status, seen.code) == (Status.PARKED, "too_late")
