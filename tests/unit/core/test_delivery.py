"""From an answer to an outcome, and from an outcome to the contact."""

from dataclasses import replace
from typing import Any

import pytest

from meisa_cdc.core.contact import Contact, Late, Quarantined
from meisa_cdc.core.delivery import SETTLES, intend, judge, request_for, settle
from meisa_cdc.core.outcome import (
    FIRST_DELAY,
    LONGEST_DELAY,
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    Answer,
    Kind,
    Outcome,
    clamp_pause,
    delay,
    is_rejection,
)

NOW = 1_000.0
PLAN = "custom_fields.plan"
POSTS = "custom_fields.posts"


def new_contact(**changes: Any) -> Contact:
    """Return a contact that Meisa does not know yet."""
    given: dict[str, Any] = {
        "external_id": "7",
        "pending": {"email": "Ann@x.com", PLAN: "free"},
    } | changes
    return Contact(**given)


def known_contact(**changes: Any) -> Contact:
    """Return a contact whose plan changed since Meisa acknowledged it."""
    given: dict[str, Any] = {
        "external_id": "7",
        "ledger": {"email": "ann@x.com", PLAN: "free", POSTS: 3},
        "pending": {PLAN: "pro"},
        "meisa_id": "m-1",
    } | changes
    return Contact(**given)


def echo_plan(plan: object) -> dict[str, Any]:
    """Return Meisa's contact with this plan."""
    return {
        "id": "m-1",
        "email": "ann@x.com",
        "external_id": "7",
        "custom_fields": {"plan": plan, "untouched": 1},
        "tags": [],
    }


def delivered(contact: Contact, answer: Answer) -> tuple[Contact, Outcome]:
    """Send what is pending, get the answer, and return (the contact afterwards, the outcome)."""
    request = request_for(contact)
    outcome = judge(request, answer)
    return settle(intend(contact, request), request, outcome, started=NOW, now=NOW), outcome


def test_a_new_contact_is_sent_with_its_source():
    """Identifiers, what is pending, and where it comes from."""
    assert request_for(new_contact()).body == {
        "email": "Ann@x.com",
        "external_id": "7",
        "source": "api",
        "custom_fields": {"plan": "free"},
    }


@pytest.mark.parametrize(
    ("contact", "source"),
    [
        (new_contact(first_load=True), "initial_sync"),
        (
            new_contact(first_load=True, pending={"email": "ann@x.com", "source": "signup"}),
            "signup",
        ),
    ],
)
def test_the_source_of_a_new_contact(contact, source):
    """A mapping's word goes first; a first load is marked as one; Meisa is not asked to hold it."""
    request = request_for(contact)
    assert request.body["source"] == source
    assert "source" not in request.fields


def test_a_known_contact_is_sent_as_a_difference():
    """The identifiers and the changed fields alone, so that automations' changes survive."""
    request = request_for(known_contact(pending={PLAN: "pro", "first_name": "Ann"}))
    assert request.body == {
        "email": "ann@x.com",
        "external_id": "7",
        "first_name": "Ann",
        "custom_fields": {"plan": "pro"},
    }
    assert dict(request.fields) == {PLAN: "pro", "first_name": "Ann"}


@pytest.mark.parametrize(
    ("in_doubt", "sent"),
    [(frozenset(), ["b"]), (frozenset({"tag_names"}), ["a", "b"])],
)
def test_only_new_tags_are_added_unless_in_doubt(in_doubt, sent):
    """Adding a tag again could fire its automation again."""
    contact = known_contact(
        ledger={"email": "ann@x.com", "tag_names": ["a"]},
        pending={"tag_names": ["a", "b"]},
        in_doubt=in_doubt,
    )
    assert request_for(contact).body["tag_names"] == sent


def test_a_tag_list_that_is_no_list_sends_no_tags():
    """A tag that vanished with its whole list does nothing."""
    contact = known_contact(pending={"tag_names": None})
    assert request_for(contact).body["tag_names"] == []


def test_the_intent_puts_every_sent_field_in_doubt():
    """Whatever happens from here on, these fields are known to be uncertain."""
    contact = known_contact(in_doubt=frozenset({POSTS}))
    request = request_for(contact)
    assert intend(contact, request).in_doubt == {PLAN, POSTS}
    assert request.doubted == {PLAN}


def test_an_accepted_answer_is_recorded():
    """The ledger holds what was sent; nothing is pending or in doubt."""
    contact, outcome = delivered(
        known_contact(quarantine=Quarantined(code="x", message="", payload=b"", since=1.0)),
        Answer(status=200, body=echo_plan("pro")),
    )
    assert (outcome.kind, outcome.code, outcome.meisa_id) == (Kind.ACCEPTED, "accepted", "m-1")
    assert contact.ledger == {"email": "ann@x.com", PLAN: "pro", POSTS: 3}
    assert (contact.pending, contact.in_doubt, contact.quarantine) == ({}, frozenset(), None)


def test_what_changed_during_the_request_stays_pending():
    """A newer observation is not lost to the answer of the older one."""
    contact = known_contact()
    request = request_for(contact)
    meanwhile = known_contact(pending={PLAN: "team", POSTS: 4}, in_doubt=frozenset({PLAN}))
    outcome = judge(request, Answer(status=200, body=echo_plan("pro")))
    after = settle(meanwhile, request, outcome, started=NOW, now=NOW)
    assert after.ledger[PLAN] == "pro"
    assert after.pending == {PLAN: "team", POSTS: 4}
    assert after.in_doubt == frozenset()


def test_doubt_about_fields_that_were_not_sent_stays():
    """An answer clears only the doubt about what it answers."""
    contact = known_contact(pending={PLAN: "pro"}, in_doubt=frozenset({POSTS}))
    request = request_for(contact)
    outcome = judge(request, Answer(status=200, body=echo_plan("pro")))
    meanwhile = known_contact(pending={PLAN: "pro", POSTS: 3}, in_doubt=frozenset({PLAN, POSTS}))
    after = settle(meanwhile, request, outcome, started=NOW, now=NOW)
    assert after.pending == {POSTS: 3}
    assert after.in_doubt == {POSTS}


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [
        (None, 60.0),
        (17.0, 17.0),
        (-30.0, SHORTEST_PAUSE),
        (0.0, SHORTEST_PAUSE),
        (1e9, LONGEST_PAUSE),
    ],
)
def test_f61_a_429_pauses_everything_and_blames_nobody(retry_after, pause):
    """Clamped to what is believable; no attempt of the contact, whose doubt stays."""
    contact, outcome = delivered(known_contact(), Answer(status=429, retry_after=retry_after))
    assert (outcome.kind, outcome.code, outcome.pause) == (Kind.DEFERRED, "http_429", pause)
    assert not outcome.attempt
    assert contact.in_doubt == {PLAN}
    assert contact.pending == {PLAN: "pro"}


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599, 101])
def test_f62_a_server_in_trouble_is_tried_again_in_doubt(status):
    """The request may have been taken all the same."""
    contact, outcome = delivered(known_contact(), Answer(status=status, error="not JSON"))
    assert (outcome.kind, outcome.code, outcome.attempt) == (Kind.DEFERRED, f"http_{status}", True)
    assert (outcome.pause, outcome.message) == (0.0, "not JSON")
    assert contact.in_doubt == {PLAN}


@pytest.mark.parametrize(("asked", "pause"), [(5.0, 5.0), (-1.0, SHORTEST_PAUSE), (1e9, 3600.0)])
def test_f61_a_server_in_trouble_may_name_the_time(asked, pause):
    """Retry-After is honoured for every status that defers, and is then no failed attempt."""
    outcome = judge(request_for(known_contact()), Answer(status=503, retry_after=asked))
    assert (outcome.pause, outcome.attempt) == (pause, False)


def test_what_was_not_sent_leaves_no_doubt():
    """Without a byte gone, Meisa holds what it held."""
    contact, outcome = delivered(known_contact(), Answer(sent=False, error="refused"))
    assert (outcome.kind, outcome.code, outcome.attempt) == (Kind.DEFERRED, "not_sent", True)
    assert outcome.message == "refused"
    assert (contact.in_doubt, contact.pending) == (frozenset(), {PLAN: "pro"})


def test_f60_no_answer_leaves_the_fields_in_doubt():
    """After a reset or a time-out nobody knows."""
    contact, outcome = delivered(known_contact(), Answer(error="reset"))
    assert (outcome.kind, outcome.code, outcome.attempt) == (Kind.UNKNOWN, "no_answer", True)
    assert contact.in_doubt == {PLAN}
    assert contact.ledger[PLAN] == "free"


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_f63_a_rejection_quarantines_the_payload(status):
    """The contact waits for another payload; its fields are no longer in doubt."""
    before = known_contact()
    contact, outcome = delivered(before, Answer(status=status, body={"detail": "bad plan"}))
    assert (outcome.kind, outcome.code) == (Kind.REJECTED, f"rejected_{status}")
    assert contact.quarantine == Quarantined(
        code=f"rejected_{status}",
        message="bad plan",
        payload=request_for(before).fingerprint,
        since=NOW,
    )
    assert contact.in_doubt == frozenset()


def test_f63_a_rejection_keeps_the_doubt_of_an_earlier_attempt():
    """That the second request was refused says nothing about the first."""
    doubtful = known_contact(pending={PLAN: "pro", POSTS: 4}, in_doubt=frozenset({PLAN}))
    contact, _ = delivered(doubtful, Answer(status=422))
    assert contact.in_doubt == {PLAN}


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 401, 403, 404, 405, 410, 451])
def test_f64_a_wrong_key_or_path_stops_and_quarantines_nobody(status):
    """It is no contact's fault, and certainly not applied."""
    contact, outcome = delivered(known_contact(), Answer(status=status))
    assert (outcome.kind, outcome.code) == (Kind.STOPPED, f"http_{status}")
    assert not outcome.attempt
    assert (contact.quarantine, contact.in_doubt, contact.pending) == (
        None,
        frozenset(),
        {PLAN: "pro"},
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "ok",
        0,
        {},
        {"id": None, "email": "ann@x.com", "external_id": "7"},
        {"id": "", "email": "ann@x.com", "external_id": "7"},
        {"id": True, "email": "ann@x.com", "external_id": "7"},
        {"id": ["m-1"], "email": "ann@x.com", "external_id": "7"},
        {"email": "ann@x.com", "external_id": "7"},
    ],
)
def test_f65_a_success_without_a_contact_is_none(status, body):
    """HTML, empty, null, truncated or wrongly typed: in doubt, and tried again."""
    contact, outcome = delivered(known_contact(), Answer(status=status, body=body))
    assert (outcome.kind, outcome.code, outcome.attempt) == (Kind.UNKNOWN, "not_a_contact", True)
    assert outcome.message == "the answer is not a contact"
    assert contact.in_doubt == {PLAN}
    assert contact.ledger[PLAN] == "free"


def test_f65_the_clients_words_are_kept():
    """Whoever reads the history sees what came instead of a contact."""
    outcome = judge(request_for(known_contact()), Answer(status=200, error="the answer is empty"))
    assert outcome.message == "the answer is empty"


@pytest.mark.parametrize(
    "changes",
    [
        {"external_id": "8"},
        {"external_id": None},
        {"email": "bob@x.com"},
        {"email": None},
        {"email": 5},
    ],
)
def test_f66_an_answer_for_another_contact_is_not_recorded(changes):
    """Nothing is taken as sent; the contact waits for a person."""
    before = known_contact()
    contact, outcome = delivered(before, Answer(status=200, body=echo_plan("pro") | changes))
    assert (outcome.kind, outcome.code) == (Kind.REJECTED, "identity_mismatch")
    assert contact.ledger == before.ledger
    assert contact.in_doubt == {PLAN}
    assert contact.quarantine is not None
    assert contact.quarantine.code == "identity_mismatch"


@pytest.mark.parametrize("changes", [{"external_id": 7}, {"email": " ANN@x.com"}, {"id": 5}])
def test_f66_another_spelling_is_the_same_contact(changes):
    """A number as id, or the e-mail in another case, is no mismatch."""
    _, outcome = delivered(known_contact(), Answer(status=200, body=echo_plan("pro") | changes))
    assert outcome.kind is Kind.ACCEPTED


@pytest.mark.parametrize(("status", "meisa_id"), [(201, "m-1"), (201, "m-2"), (200, "m-2")])
def test_f66_a_contact_made_anew_holds_only_what_was_sent(status, meisa_id):
    """It was deleted over there: the rest of what it once held becomes pending."""
    contact, outcome = delivered(
        known_contact(), Answer(status=status, body=echo_plan("pro") | {"id": meisa_id})
    )
    assert outcome.kind is Kind.ACCEPTED
    assert contact.ledger == {"email": "ann@x.com", PLAN: "pro"}
    assert contact.pending == {POSTS: 3}
    assert (contact.meisa_id, contact.in_doubt) == (meisa_id, frozenset())


def test_f66_a_contact_made_anew_gets_its_old_tags_again():
    """Only the new tags were in the body, so only these does the new contact have."""
    before = known_contact(
        ledger={"email": "ann@x.com", "tag_names": ["a"]}, pending={"tag_names": ["a", "b"]}
    )
    contact, _ = delivered(before, Answer(status=201, body=echo_plan("pro")))
    assert contact.ledger == {"email": "ann@x.com", "tag_names": ["b"]}
    assert contact.pending == {"tag_names": ["a", "b"]}
    assert request_for(contact).body["tag_names"] == ["a"]


def test_f66_the_first_answer_of_a_new_contact_is_no_surprise():
    """A 201 where our ledger was empty is what a create looks like."""
    contact, outcome = delivered(new_contact(), Answer(status=201, body=echo_plan("free")))
    assert outcome.created
    assert contact.ledger == {"email": "Ann@x.com", PLAN: "free"}
    assert contact.pending == {}


def test_f67_a_normalised_value_is_recorded_as_sent_and_shown():
    """What Meisa made of it is told, and causes no further request."""
    before = known_contact(pending={PLAN: " Pro ", "first_name": "ann"})
    contact, outcome = delivered(
        before, Answer(status=200, body=echo_plan("pro") | {"first_name": "Ann"})
    )
    assert outcome.normalised == {PLAN: "pro", "first_name": "Ann"}
    assert outcome.message == f"normalised by Meisa: {PLAN}, first_name"
    assert contact.ledger[PLAN] == " Pro "
    assert contact.pending == {}


@pytest.mark.parametrize(
    ("sent", "returned"), [(1, 1), ("é", "e\u0301"), ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
)
def test_f67_equal_values_are_not_called_normalised(sent, returned):
    """Another order of keys or another composition of letters is the same value."""
    contact = known_contact(pending={PLAN: sent})
    outcome = judge(request_for(contact), Answer(status=200, body=echo_plan(returned)))
    assert outcome.normalised == {}


def test_f67_a_value_nested_beyond_reason_is_another_value():
    """It is shown as different; it breaks nothing."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    outcome = judge(request_for(known_contact()), Answer(status=200, body=echo_plan(deep)))
    assert (outcome.kind, list(outcome.normalised)) == (Kind.ACCEPTED, [PLAN])


@pytest.mark.parametrize("custom", [None, [], "x", {}])
def test_f67_an_answer_without_fields_is_an_answer(custom):
    """Fields that are not returned are taken as sent."""
    body = echo_plan("pro") | {"custom_fields": custom}
    contact, outcome = delivered(known_contact(), Answer(status=200, body=body))
    assert (outcome.kind, outcome.normalised) == (Kind.ACCEPTED, {})
    assert contact.ledger[PLAN] == "pro"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "m", "detail": "d"}, "m"),
        ({"detail": "d"}, "d"),
        ({"error": "e"}, "e"),
        ({"email": ["bad"]}, "{'email': ['bad']}"),
        ({}, "cut"),
        (None, "cut"),
        ({"message": "x" * 1000}, "x" * 300),
    ],
)
def test_the_message_of_a_refusal_is_the_servers(body, message):
    """Shortened; the client's words where there are none."""
    answer = Answer(status=400, body=body, error="cut")
    assert judge(request_for(known_contact()), answer).message == message


def test_a_pause_that_was_not_named_is_the_callers():
    """Clamping applies to what a server says."""
    assert clamp_pause(None, otherwise=0.0) == 0.0


def test_delays_grow_and_end():
    """Exponential with full jitter, to a quarter of an hour."""
    assert delay(0, 1.0) == FIRST_DELAY
    assert delay(3, 1.0) == 8 * FIRST_DELAY
    assert delay(3, 0.5) == 4 * FIRST_DELAY
    assert delay(1_000_000, 1.0) == LONGEST_DELAY
    assert delay(5, 0.0) == 0.0


# ---------------------------------------------------------------- late answers

UNANSWERED = Answer(error="timed out")


def late_contact(answer: Answer = UNANSWERED, *, started: float = NOW) -> Contact:
    """Return a contact whose request came to this end at NOW."""
    contact = known_contact()
    request = request_for(contact)
    outcome = judge(request, answer)
    return settle(intend(contact, request), request, outcome, started=started, now=NOW)


def resent(contact: Contact, started: float, **changes: Any) -> Contact:
    """Return the contact after a request that started then was accepted two seconds later."""
    contact = replace(contact, **changes)
    request = request_for(contact)
    outcome = judge(request, Answer(status=200, body=echo_plan("pro")))
    return settle(intend(contact, request), request, outcome, started=started, now=started + 2)


@pytest.mark.parametrize(
    "answer",
    [
        UNANSWERED,
        Answer(error="connection reset"),
        Answer(status=408),
        Answer(status=502),
        Answer(status=504),
        Answer(status=200, body="<html>"),
    ],
    ids=["timeout", "reset", "408", "502", "504", "html"],
)
def test_f60_a_request_that_was_given_up_may_be_carried_out_late(answer: Answer):
    """It is remembered with what it carried; nothing is confirmed yet."""
    assert late_contact(answer).late == Late(fields=frozenset({PLAN}), at=NOW)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=200, body=echo_plan("pro")),
        Answer(status=500),
        Answer(status=503),
        Answer(status=429),
        Answer(status=422),
        Answer(status=401),
        Answer(sent=False, error="refused"),
    ],
    ids=lambda each: str(each.status),
)
def test_f60_an_answer_leaves_nothing_late(answer: Answer):
    """Meisa told what became of it."""
    assert late_contact(answer).late is None


@pytest.mark.parametrize(
    ("began", "confirm_at"),
    [(0.0, NOW + 2 + SETTLES), (SETTLES - 1, NOW + SETTLES + 1 + SETTLES), (SETTLES, None)],
)
def test_f60_a_resend_within_ten_minutes_is_confirmed_ten_minutes_later(
    began: float, confirm_at: float | None
):
    """A later one cannot be overtaken any more."""
    late = resent(late_contact(), NOW + began).late
    assert (late.confirm_at if late else None) == confirm_at


def test_f60_the_date_of_the_confirmation_stands():
    """Another delivery meanwhile does not put it off."""
    once = resent(late_contact(), NOW)
    again = resent(once, NOW + 300, pending={POSTS: 4})
    assert again.late == once.late
    assert again.late is not None


def test_f60_further_requests_without_an_answer_add_up():
    """All they carried is confirmed, ten minutes after the last resend."""
    first = replace(late_contact(), pending={POSTS: 4})
    request = request_for(first)
    second = settle(
        intend(first, request), request, judge(request, UNANSWERED), started=NOW + 5, now=NOW + 35
    )
    assert second.late == Late(fields=frozenset({PLAN, POSTS}), at=NOW + 35)


def test_f60_a_rejected_resend_changes_nothing_of_it():
    """What came before it may still be carried out."""
    contact = late_contact()
    request = request_for(contact)
    after = settle(
        intend(contact, request),
        request,
        judge(request, Answer(status=422)),
        started=NOW,
        now=NOW,
    )
    assert after.late == contact.late


def test_an_accepted_contact_inherits_nothing_more():
    """What was left under its address is overwritten; another new field still waits."""
    contact = known_contact(
        pending={PLAN: "pro", POSTS: 4}, novel=frozenset({POSTS}), inherits=frozenset({PLAN})
    )
    request = request_for(replace(contact, pending={PLAN: "pro"}))
    outcome = judge(request, Answer(status=200, body=echo_plan("pro")))
    after = settle(intend(contact, request), request, outcome, started=NOW, now=NOW)
    assert after.inherits == frozenset()
    assert after.novel == {POSTS}


@pytest.mark.parametrize(
    ("code", "rejection"),
    [("rejected_400", True), ("identity_mismatch", True), ("accepted", False), ("http_503", False)],
)
def test_rejections_are_told_by_their_codes(code: str, rejection: bool):
    """An answer about somebody else is one too."""
    assert is_rejection(code) is rejection
