"""What every state promises of requests: windows, intents, outcomes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from meisa_cdc.core.breaker import JUDGED, REJECTIONS, Breaker
from meisa_cdc.core.budget import Usage, paused
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import Request, intend, request_for, settle
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.core.sharing import Throttle
from meisa_cdc.ports import State
from meisa_cdc.records import Concluded, Grant, Settled

ACCEPTED = Outcome(kind=Kind.ACCEPTED, code="accepted", meisa_id="m-1")
TIMED_OUT = Outcome(kind=Kind.UNKNOWN, code="no_answer", message="timed out", attempt=True)


def intent(contact: Contact) -> tuple[Contact, Request]:
    """Put what is pending in doubt, and return the request for it."""
    request = request_for(contact)
    return intend(contact, request), request


def pending(state: State, key: str = "7", **fields) -> None:
    """Store a contact that Meisa knows, with these custom fields pending."""
    known = Contact(
        external_id=key,
        ledger={"email": f"{key}@example.com"},
        pending={f"custom_fields.{name}": value for name, value in fields.items()},
        rank=1,
        since=1.0,
    )
    state.settle([key], lambda *_: Settled(contact=known), now=1.0)


def accepted(contact: Contact, request: Request) -> Contact:
    """Return the contact after an accepted request."""
    return settle(contact, request, ACCEPTED, started=10.0, now=12.0)


def pausing(until: float) -> Callable[[Usage, int], Usage]:
    """Return the reaction to an answer that told us to wait."""
    return lambda usage, _: paused(usage, until)


def start(
    state: State, admit: Callable[[Usage], Sequence[float] | None] = lambda _: (11.0, 14.0)
) -> Grant | None:
    """Start a delivery of the contact, if it is admitted."""
    grants = state.grant_deliveries(
        ["7"], now=10.0, deadline=40.0, intend=intent, admit=admit, most=2
    )
    return grants[0] if grants else None


def started(state: State) -> Grant:
    """Start a delivery of the contact."""
    grant = start(state)
    assert grant is not None
    return grant


def test_a_new_state_has_used_nothing(state: State):
    """Nothing was asked yet, and nothing is paused."""
    usage = state.usage(10)
    assert (list(usage.done), list(usage.paces), usage.paused_until) == ([], [], 0.0)


def test_a_request_counts_until_its_deadline(state: State):
    """While a request is under way it counts as done at the latest time it can be."""
    assert state.grant("ping", now=10.0, deadline=40.0, admit=lambda _: (11.5, 14.0)) is not None
    usage = state.usage(10)
    assert list(usage.done) == [40.0]
    assert list(usage.paces) == [11.5, 14.0]


def test_an_answer_replaces_the_deadline(state: State):
    """Once answered, a request counts from its answer."""
    grant = state.grant("ping", now=10.0, deadline=40.0, admit=lambda _: ())
    assert grant is not None
    state.complete(Concluded(grant=grant, now=12.5, outcome=ACCEPTED))
    assert list(state.usage(10).done) == [12.5]


def test_usage_has_the_newest_first_and_no_more_than_asked(state: State):
    """The latest times come first, whatever the order of the requests."""
    for deadline in (30.0, 50.0, 10.0, 40.0):
        state.grant("ping", now=1.0, deadline=deadline, admit=lambda _: ())
    assert list(state.usage(3).done) == [50.0, 40.0, 30.0]


def test_a_pause_is_not_cut_short(state: State):
    """A pause holds for everyone; a shorter one that is asked for later does not end it."""
    for until in (100.0, 60.0, 0.0):
        grant = state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: ())
        assert grant is not None
        state.complete(Concluded(grant=grant, now=2.0, outcome=TIMED_OUT, react=pausing(until)))
    assert state.usage(1).paused_until == 100.0


def test_the_intent_is_stored_with_the_grant(state: State):
    """Before a request leaves, its fields are in doubt and it is on record."""
    pending(state, plan="pro", seats=3)
    grant = started(state)
    assert grant.request is not None
    assert grant.request.body["custom_fields"] == {"plan": "pro", "seats": 3}
    assert state.load(["7"])["7"].in_doubt == {"custom_fields.plan", "custom_fields.seats"}
    (record,) = state.deliveries()
    assert (record.kind, record.external_id, record.started_at) == ("upsert", "7", 10.0)
    assert (record.done_at, record.code) == (None, "")
    assert list(record.fields) == ["custom_fields.plan", "custom_fields.seats"]


@pytest.mark.parametrize("key", ["7", "unknown"])
def test_with_nothing_left_to_send_nothing_is_stored(state: State, key: str):
    """No intent, or no such contact: no grant, no pace, no row."""
    pending(state, plan="pro")
    before = state.usage(10)
    grants = state.grant_deliveries(
        [key],
        now=10.0,
        deadline=40.0,
        admit=lambda _: (99.0,),
        intend=lambda _: None,
    )
    assert list(grants) == []
    assert state.usage(10) == before
    assert list(state.deliveries()) == []
    assert state.load(["7"])["7"].in_doubt == frozenset()


def test_an_error_in_the_intent_stores_nothing(state: State):
    """A grant is stored whole or not at all."""
    pending(state, plan="pro")

    def broken(_: Contact) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        state.grant_deliveries(["7"], now=1.0, deadline=2.0, admit=lambda _: (9.0,), intend=broken)
    assert list(state.usage(9).done) == []
    assert list(state.usage(9).paces) == []


def test_an_accepted_request_moves_into_the_ledger(state: State):
    """The outcome and what it does to the contact are stored together."""
    pending(state, plan="pro")
    grant = started(state)
    request = grant.request
    assert request is not None
    state.complete(
        Concluded(grant=grant, now=12.0, outcome=ACCEPTED, settle=lambda c: accepted(c, request))
    )
    stored = state.load(["7"])["7"]
    assert (stored.ledger["custom_fields.plan"], stored.meisa_id) == ("pro", "m-1")
    assert (stored.pending, stored.in_doubt) == ({}, frozenset())
    (record,) = state.deliveries()
    assert (record.done_at, record.code, record.message) == (12.0, "accepted", "")


def test_an_outcome_meets_the_contact_as_it_is_by_then(state: State):
    """What was observed while the request was under way is not lost."""
    pending(state, plan="pro")
    grant = started(state)
    request = grant.request
    assert request is not None

    def newer(_: str, known: Contact | None) -> Settled:
        assert known is not None
        return Settled(contact=replace(known, pending={"custom_fields.plan": "free"}))

    state.settle(["7"], newer, now=11.0)
    state.complete(
        Concluded(grant=grant, now=12.0, outcome=ACCEPTED, settle=lambda c: accepted(c, request))
    )
    stored = state.load(["7"])["7"]
    assert stored.ledger["custom_fields.plan"] == "pro"
    assert stored.pending == {"custom_fields.plan": "free"}


def test_what_nobody_knows_stays_in_doubt(state: State):
    """A request without an answer is on record with its reason, its fields in doubt."""
    pending(state, plan="pro")
    state.complete(Concluded(grant=started(state), now=40.0, outcome=TIMED_OUT, not_before=50.0))
    assert state.load(["7"])["7"].in_doubt == {"custom_fields.plan"}
    (record,) = state.deliveries()
    assert (record.code, record.message) == ("no_answer", "timed out")


def test_an_error_while_settling_leaves_the_request_open(state: State):
    """The outcome of a request is stored whole or not at all."""
    pending(state, plan="pro")
    grant = started(state)

    def broken(_: Contact) -> Contact:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        state.complete(
            Concluded(grant=grant, now=12.0, outcome=ACCEPTED, settle=broken, react=pausing(99.0))
        )
    (record,) = state.deliveries()
    assert record.done_at is None
    assert state.usage(1).paused_until == 0.0


def test_a_request_that_is_no_delivery_has_no_contact(state: State):
    """Any kind of request takes its grant from the same budget."""
    grant = state.grant("ping", now=10.0, deadline=40.0, admit=lambda _: (11.0,))
    assert grant is not None
    assert grant.request is None
    state.complete(Concluded(grant=grant, now=11.0, outcome=ACCEPTED))
    (record,) = state.deliveries()
    assert (record.kind, record.external_id, list(record.fields)) == ("ping", "", [])


def test_another_process_may_take_the_place_in_between(state: State):
    """Admission is asked with the use as it is inside the transaction, and may be refused."""
    pending(state, plan="pro")
    for deadline in (40.0, 50.0, 60.0):
        state.grant("ping", now=10.0, deadline=deadline, admit=lambda _: (11.0,))
    asked = []

    def refused(usage: Usage) -> None:
        asked.append((list(usage.done), list(usage.paces)))

    assert start(state, admit=refused) is None
    assert asked == [([60.0, 50.0], [11.0])]
    assert len(list(state.deliveries())) == 3
    assert state.load(["7"])["7"].in_doubt == frozenset()
    assert start(state, admit=lambda _: (77.0,)) is not None
    assert list(state.usage(0).paces) == [77.0]


# ---------------------------------------------------------------- since when


def test_usage_leaves_out_what_was_answered_before(state: State):
    """Exactly then counts as before; what is under way counts by its deadline."""
    for deadline in (30.0, 50.0, 10.0, 40.0):
        state.grant("ping", now=1.0, deadline=deadline, admit=lambda _: ())
    assert list(state.usage(9, 30.0).done) == [50.0, 40.0]
    assert list(state.usage(1, 30.0).done) == [50.0]
    assert list(state.usage(9, 50.0).done) == []


def test_admission_and_reaction_see_the_use_since_then(state: State):
    """As much of it as was asked for."""
    for deadline in (30.0, 50.0, 10.0, 40.0):
        state.grant("ping", now=1.0, deadline=deadline, admit=lambda _: ())
    seen: list[list[float]] = []

    def admitting(usage: Usage) -> Sequence[float]:
        seen.append(list(usage.done))
        return ()

    def reacting(usage: Usage, _: int) -> Usage:
        seen.append(list(usage.done))
        return usage

    grant = state.grant("ping", now=55.0, deadline=60.0, admit=admitting, most=3, since=30.0)
    assert grant is not None
    state.complete(
        Concluded(grant=grant, now=57.0, outcome=ACCEPTED, react=reacting), most=2, since=20.0
    )
    other = state.grant("ping", now=55.0, deadline=60.0, admit=lambda _: ())
    assert other is not None
    state.complete(Concluded(grant=other, now=58.0, outcome=ACCEPTED, react=reacting))
    assert seen == [[50.0, 40.0], [57.0, 50.0], []]


# ---------------------------------------------------------------- what is learnt

REJECTED = Outcome(kind=Kind.REJECTED, code="rejected_422", message="no", untouched=True)
MISMATCH = Outcome(kind=Kind.REJECTED, code="identity_mismatch", message="other")
BREAKER = Breaker(
    failures=3, halted="http_401", message="bad key", since=9.5, next_probe=909.5, forgiven=0
)
THROTTLE = Throttle(share=0.49, since=12.5, ceiling=0.66, others=0.25, others_at=12.5)


def deliver(state: State, outcome: Outcome, key: str = "7") -> list[int]:
    """Deliver the contact with this outcome; return the rejections that the reaction was told."""
    pending(state, key, plan="pro")
    told: list[int] = []

    def reacting(usage: Usage, rejected: int) -> Usage:
        told.append(rejected)
        return usage

    (grant,) = state.grant_deliveries(
        [key], now=1.0, deadline=2.0, intend=intent, admit=lambda _: ()
    )
    state.complete(Concluded(grant=grant, now=2.0, outcome=outcome, react=reacting))
    return told


def learn(state: State, usage: Usage) -> None:
    """Store what a reaction makes of pause, throttle and breaker."""
    grant = state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: (5.0,))
    assert grant is not None
    state.complete(
        Concluded(
            grant=grant,
            now=2.0,
            outcome=TIMED_OUT,
            react=lambda now, _: replace(
                now,
                paused_until=usage.paused_until,
                throttle=usage.throttle,
                breaker=usage.breaker,
            ),
        )
    )


def test_a_new_state_shares_with_nobody_and_delivers(state: State):
    """Nothing was learnt yet."""
    assert state.usage(0) == Usage(done=state.usage(0).done)


def test_what_was_learnt_is_stored_whole(state: State):
    """Pause, share and halt, beside the paces of the request."""
    learn(state, Usage(paused_until=77.5, throttle=THROTTLE, breaker=BREAKER))
    usage = state.usage(0)
    assert (usage.paused_until, usage.throttle, usage.breaker) == (77.5, THROTTLE, BREAKER)
    assert list(usage.paces) == [5.0]
    learn(state, replace(usage, breaker=Breaker(next_probe=None)))
    assert state.usage(0).breaker == Breaker()
    assert state.usage(0).throttle == THROTTLE


def test_a_reaction_sees_what_was_learnt_before(state: State):
    """In the transaction that stores what follows from it."""
    learn(state, Usage(breaker=BREAKER, throttle=THROTTLE))
    seen: list[Usage] = []

    def reacting(usage: Usage, _: int) -> Usage:
        seen.append(usage)
        return usage

    grant = state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: ())
    assert grant is not None
    state.complete(Concluded(grant=grant, now=2.0, outcome=ACCEPTED, react=reacting))
    assert [(usage.breaker, usage.throttle) for usage in seen] == [(BREAKER, THROTTLE)]


def test_f63_rejections_are_counted_among_the_newest_deliveries(state: State):
    """This one included; other requests, and those under way, are none."""
    assert deliver(state, REJECTED) == [1]
    assert deliver(state, ACCEPTED) == [0]
    state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: ())
    assert deliver(state, MISMATCH) == [2]
    started(state)
    assert deliver(state, REJECTED, "8") == [3]


def test_f63_rejections_of_long_ago_are_not_counted(state: State):
    """Two hundred deliveries are."""
    deliver(state, REJECTED)
    for _ in range(JUDGED - 2):
        deliver(state, ACCEPTED)
    assert deliver(state, REJECTED) == [2]
    assert deliver(state, REJECTED) == [2]


def test_f63_what_is_forgiven_is_not_counted(state: State):
    """Nor are requests that were under way by then."""
    deliver(state, REJECTED)
    pending(state, plan="pro")
    under_way = started(state)
    state.forgive()
    told: list[int] = []

    def reacting(usage: Usage, rejected: int) -> Usage:
        told.append(rejected)
        return usage

    state.complete(Concluded(grant=under_way, now=3.0, outcome=REJECTED, react=reacting))
    assert told == [0]
    assert deliver(state, REJECTED, "8") == [1]


def test_f63_forgiving_ends_a_halt_for_rejections(state: State):
    """And leaves any other as it is."""
    learn(state, Usage(breaker=Breaker(halted=REJECTIONS, message="no"), throttle=THROTTLE))
    state.forgive()
    usage = state.usage(0)
    assert (usage.breaker.halted, usage.throttle) == ("", THROTTLE)
    learn(state, Usage(breaker=BREAKER))
    state.forgive()
    assert replace(state.usage(0).breaker, forgiven=0) == BREAKER


def test_an_error_in_a_reaction_stores_nothing(state: State):
    """Neither the outcome nor what it does to the contact."""
    pending(state, plan="pro")
    grant = started(state)

    def broken(_: Usage, __: int) -> Usage:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        state.complete(
            Concluded(
                grant=grant,
                now=12.0,
                outcome=ACCEPTED,
                settle=lambda c: replace(c, meisa_id="m-9"),
                react=broken,
            )
        )
    (record,) = state.deliveries()
    assert record.done_at is None
    assert state.load(["7"])["7"].meisa_id == ""


def test_turns_count_deliveries_alone(state: State):
    """Neither other requests nor what was not admitted."""
    assert state.usage(0).turn == 0
    pending(state, plan="pro")
    started(state)
    state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: ())
    assert start(state, admit=lambda _: None) is None
    assert state.usage(0).turn == 1
    started(state)
    assert state.usage(0).turn == 2


def crowd(state: State, *keys: str) -> None:
    """Store contacts with something pending."""
    for key in keys:
        pending(state, key, plan="pro")


def several(
    state: State,
    *keys: str,
    room: int = 9,
    told: list[Usage] | None = None,
    sends: Callable[[Contact], tuple[Contact, Request] | None] = intent,
    concluded: Sequence[Concluded] = (),
) -> Sequence[Grant]:
    """Start deliveries of these contacts, while fewer than `room` requests are in use."""

    def admit(usage: Usage) -> Sequence[float] | None:
        if told is not None:
            told.append(usage)
        return (float(len(usage.done)),) if len(usage.done) < room else None

    return state.grant_deliveries(
        keys,
        now=10.0,
        deadline=40.0,
        admit=admit,
        intend=sends,
        most=9,
        concluded=concluded,
    )


def naming(meisa_id: str) -> Callable[[Contact], Contact]:
    """Return what gives a contact this id."""
    return lambda contact: replace(contact, meisa_id=meisa_id)


def keys_of(grants: Sequence[Grant]) -> list[str]:
    """Return whom these grants are about."""
    return [grant.request.external_id for grant in grants if grant.request]


def test_several_deliveries_start_together(state: State):
    """Each is a row and an intent of its own, in the order asked for."""
    crowd(state, "a", "b", "c")
    grants = several(state, "c", "a", "b")
    assert keys_of(grants) == ["c", "a", "b"]
    assert len({grant.id for grant in grants}) == 3
    records = {record.id: record for record in state.deliveries()}
    assert [records[grant.id].external_id for grant in grants] == ["c", "a", "b"]
    assert all(c.in_doubt == {"custom_fields.plan"} for c in state.load(["a", "b", "c"]).values())


def test_each_of_several_counts_for_the_next(state: State):
    """The windows are not exceeded by those that start at once, and each has its turn."""
    crowd(state, "a", "b", "c")
    told: list[Usage] = []
    assert keys_of(several(state, "a", "b", "c", room=2, told=told)) == ["a", "b"]
    assert [list(usage.done) for usage in told] == [[], [40.0], [40.0, 40.0]]
    assert [usage.turn for usage in told] == [0, 1, 2]
    assert (list(state.usage(9).paces), state.usage(9).turn) == ([1.0], 2)
    assert state.load(["c"])["c"].in_doubt == frozenset()
    assert len(list(state.deliveries())) == 2


@pytest.mark.parametrize("settled", ["b", "unknown"])
def test_those_behind_one_with_nothing_to_send_wait(state: State, settled: str):
    """Whose turn it is would not be known otherwise."""
    crowd(state, "a", "b", "c")

    def sends(contact: Contact) -> tuple[Contact, Request] | None:
        return None if contact.external_id == "b" else intent(contact)

    assert keys_of(several(state, "a", settled, "c", sends=sends)) == ["a"]
    assert state.load(["c"])["c"].in_doubt == frozenset()
    assert state.usage(9).turn == 1


def test_several_answers_are_stored_together(state: State):
    """Each with its own time, outcome and contact; what they do to the use adds up."""
    crowd(state, "a", "b")
    concluded = [
        Concluded(
            grant=grant,
            now=12.0 + place,
            outcome=outcome,
            settle=naming(f"m-{grant.id}"),
            not_before=50.0 * place,
            react=pausing(60.0 + place),
        )
        for place, (grant, outcome) in enumerate(
            zip(several(state, "a", "b"), (ACCEPTED, TIMED_OUT), strict=True)
        )
    ]
    state.complete(*concluded)
    late, early = state.deliveries()
    assert [(r.external_id, r.done_at, r.code) for r in (early, late)] == [
        ("a", 12.0, "accepted"),
        ("b", 13.0, "no_answer"),
    ]
    stored = state.load(["a", "b"])
    assert [stored["a"].meisa_id, stored["b"].meisa_id] == [f"m-{early.id}", f"m-{late.id}"]
    assert list(state.next_deliveries(13.0, 9)) == ["a"]
    assert state.usage(0).paused_until == 61.0


def test_one_answer_that_cannot_be_stored_stores_none(state: State):
    """All of them are still open."""
    crowd(state, "a", "b")
    first, second = several(state, "a", "b")

    def broken(_: Contact) -> Contact:
        raise ArithmeticError

    good = Concluded(
        grant=first, now=12.0, outcome=ACCEPTED, settle=lambda c: replace(c, meisa_id="m")
    )
    with pytest.raises(ArithmeticError):
        state.complete(good, Concluded(grant=second, now=12.0, outcome=ACCEPTED, settle=broken))
    assert [record.done_at for record in state.deliveries()] == [None, None]
    assert state.load(["a"])["a"].meisa_id == ""


def test_answers_are_stored_with_the_next_intents(state: State):
    """What starts then is admitted after what the answers did to the use."""
    crowd(state, "a", "b")
    (first,) = several(state, "a")
    assert first.request is not None
    request = first.request
    confirmed = Concluded(
        grant=first,
        now=12.0,
        outcome=ACCEPTED,
        settle=lambda contact: accepted(contact, request),
        react=pausing(60.0),
    )
    told: list[Usage] = []
    (second,) = several(state, "b", told=told, concluded=[confirmed])
    assert [(list(usage.done), usage.paused_until) for usage in told] == [([12.0], 60.0)]
    assert [(r.external_id, r.done_at) for r in state.deliveries()] == [("b", None), ("a", 12.0)]
    stored = state.load(["a", "b"])
    assert (stored["a"].meisa_id, stored["a"].pending) == ("m-1", {})
    assert stored["b"].in_doubt == {"custom_fields.plan"}
    assert (state.usage(0).paused_until, state.usage(0).turn) == (60.0, 2)
    assert second.id != first.id


def test_answers_are_stored_though_nothing_starts(state: State):
    """There may be no room, or nothing to send to those who were next."""
    crowd(state, "a", "b")
    (first,) = several(state, "a")
    concluded = Concluded(
        grant=first, now=12.0, outcome=TIMED_OUT, settle=naming("m-9"), not_before=50.0
    )
    assert not several(state, "b", room=0, concluded=[concluded])
    assert [(record.done_at, record.code) for record in state.deliveries()] == [(12.0, "no_answer")]
    assert state.load(["a"])["a"].meisa_id == "m-9"
    assert list(state.next_deliveries(13.0, 9)) == ["b"]
    assert state.usage(0).turn == 1


def test_a_contact_may_be_answered_and_next_at_once(state: State):
    """Its new intent is on top of what the answer did to it."""
    crowd(state, "a")
    (first,) = several(state, "a")
    pending(state, "a", plan="max")
    concluded = Concluded(grant=first, now=12.0, outcome=TIMED_OUT, settle=naming("m-9"))
    (second,) = several(state, "a", concluded=[concluded])
    assert second.request is not None
    assert second.request.body["custom_fields"] == {"plan": "max"}
    stored = state.load(["a"])["a"]
    assert stored.meisa_id == "m-9"
    assert stored.in_doubt == {"custom_fields.plan"}
