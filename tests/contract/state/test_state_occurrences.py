"""What every state promises of occurrences: ids for ever, turns, intents, a person's word."""

from dataclasses import replace

from meisa_cdc.core.attempt import closed, intended
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.mapping import EMAILS, EVENTS, ONCE, SEQUENCES
from meisa_cdc.core.occurrence import Occurrence, Status
from meisa_cdc.ports import State
from meisa_cdc.records import Settled

MAPPING = "events/exports"


def event(key: str, **changes) -> Occurrence:
    """Return an event that is new."""
    usual = Occurrence(
        mapping=MAPPING,
        kind=EVENTS,
        key=key,
        external_id="7",
        body={"event_name": "exported", "properties": {"n": 1.5, "ü": None}},
        fingerprint=b"\x00\x01",
        since=10.0,
    )
    return replace(usual, **changes)


def enrolment(key: str, **changes) -> Occurrence:
    """Return an enrolment that is new."""
    usual = {"mapping": "sequences/trial", "kind": SEQUENCES, "slug": "trial", "email": "a@x.com"}
    return event(key, **{"external_id": "", **usual, **changes})


def keys(found) -> list[str]:
    """Return the keys, in order."""
    return [each.key for each in found]


def following(state: State, now: float = 100.0, kinds=ONCE, **wish) -> list[str]:
    """Return the keys of what goes next."""
    return keys(state.next_occurrences(now, 10, kinds=kinds, **wish))


def start(state: State, *found: Occurrence, room: bool = True, now: float = 20.0):
    """Start a request for occurrences."""
    return state.grant_occurrences(
        [each.ref for each in found if each.ref is not None],
        now=now,
        deadline=now + 30.0,
        admit=lambda _: (1.0,) if room else None,
        intend=lambda each: intended(each, now=now, deadline=now + 30.0),
        most=5,
    )


def test_what_is_on_record_is_known_for_ever(state: State):
    """Whatever became of it, in its own mapping alone."""
    state.admit_occurrences([event("1"), closed(event("2"), Status.BASELINE)])
    state.admit_occurrences([])
    assert state.known_occurrences(MAPPING, ["1", "2", "3"]) == {"1", "2"}
    assert state.known_occurrences("events/others", ["1"]) == set()
    (first,) = state.next_occurrences(100.0, 5, kinds=ONCE)
    state.store_occurrences([closed(first, Status.DONE)], before=Status.WAITING)
    assert state.known_occurrences(MAPPING, ["1"]) == {"1"}


def test_an_occurrence_comes_back_as_it_was_stored(state: State):
    """Its body to the letter; the time it is ordered by is filled in."""
    given = event("1", email="A@x.com", rank=0, at_least_once=True, occurred_at=5.5)
    state.admit_occurrences([given])
    (found,) = state.next_occurrences(100.0, 5, kinds=ONCE)
    assert found == replace(given, ref=found.ref)


def test_what_is_known_is_not_admitted_again(state: State):
    """The first one stays as it is, also within one batch."""
    state.admit_occurrences([event("1"), event("1", external_id="8")])
    state.admit_occurrences([event("1", external_id="9"), event("2")])
    assert following(state) == ["1", "2"]
    assert state.next_occurrences(100.0, 1, kinds=ONCE)[0].external_id == "7"


def test_the_most_urgent_and_oldest_goes_first(state: State):
    """Class, then when it was first seen, then when it happened, then as it came."""
    state.admit_occurrences(
        [
            event("late", since=20.0),
            event("second"),
            event("first", occurred_at=1.0),
            event("third"),
            event("urgent", since=30.0, rank=0),
            event("background", since=1.0, rank=2),
        ]
    )
    assert following(state) == ["urgent", "first", "second", "third", "late", "background"]
    assert following(state, favour=2) == ["background"]
    assert following(state, favour=7)[0] == "urgent"
    assert keys(state.next_occurrences(100.0, 2, kinds=ONCE)) == ["urgent", "first"]


def test_only_kinds_that_may_go_are_returned(state: State):
    """E-mails that are not enabled stay where they are."""
    state.admit_occurrences([event("1"), event("2", mapping="emails/x", kind=EMAILS)])
    assert following(state, kinds=[EVENTS]) == ["1"]
    assert following(state, kinds=[EMAILS]) == ["2"]
    assert following(state, kinds=[]) == []
    assert state.next_occurrence_attempt([]) is None


def test_what_is_deferred_waits_for_its_time(state: State):
    """And tells when that is, unless it waits for something else."""
    state.admit_occurrences([event("1", not_before=50.0), event("2", not_before=40.0, blocked="x")])
    assert following(state, now=39.0) == []
    assert following(state, now=50.0) == ["1", "2"]
    assert state.next_occurrence_attempt(ONCE) == 50.0
    assert state.next_occurrence_attempt([SEQUENCES]) is None
    state.unblock_occurrences()
    assert following(state, now=0.0) == ["2"]


def test_enrolments_of_one_sequence_find_each_other(state: State):
    """Those that may go now, the oldest first."""
    state.admit_occurrences(
        [
            enrolment("a"),
            enrolment("b", not_before=500.0),
            enrolment("c", mapping="sequences/other"),
            enrolment("d", slug="vip"),
            event("e"),
        ]
    )
    assert keys(state.companions("trial", 100.0, 10)) == ["a", "c"]
    assert keys(state.companions("trial", 100.0, 1)) == ["a"]


def test_an_intent_is_stored_with_the_request(state: State):
    """A request that starts, and what it is for, are on record together."""
    state.admit_occurrences([event("1"), event("2", external_id="8")])
    waiting = state.next_occurrences(100.0, 5, kinds=ONCE)
    granted = start(state, *reversed(waiting))
    assert granted is not None
    grant, before = granted
    assert keys(before) == ["2", "1"]
    assert [each.status for each in before] == [Status.WAITING] * 2
    assert following(state) == []
    assert keys(state.sent_occurrences()) == ["1", "2"]
    assert [each.tried_at for each in state.sent_occurrences()] == [20.0, 20.0]
    assert state.sent_occurrences(49.0) == []
    assert len(state.sent_occurrences(50.0)) == 2
    assert state.usage(5).turn == 1
    assert list(state.usage(5).done) == [50.0]
    (delivery,) = state.deliveries()
    assert (delivery.id, delivery.kind, delivery.external_id) == (grant.id, "track_event", "8")
    assert list(delivery.fields) == [f"{MAPPING} 2", f"{MAPPING} 1"]


def test_without_room_nothing_is_stored(state: State):
    """Another process took the place."""
    state.admit_occurrences([event("1")])
    assert start(state, *state.next_occurrences(100.0, 5, kinds=ONCE), room=False) is None
    assert following(state) == ["1"]
    assert list(state.deliveries()) == []


def test_what_was_settled_meanwhile_is_not_sent(state: State):
    """A baseline may come between the choice and the intent."""
    state.admit_occurrences([event("1"), event("2")])
    both = state.next_occurrences(100.0, 5, kinds=ONCE)
    state.store_occurrences([closed(both[0], Status.BASELINE)], before=Status.WAITING)
    granted = start(state, *both)
    assert granted is not None
    assert keys(granted[1]) == ["2"]
    assert start(state, *both) is None


def test_a_change_is_stored_only_where_it_still_stands_as_before(state: State):
    """Whoever was quicker is not overwritten."""
    state.admit_occurrences([event("1")])
    (found,) = state.next_occurrences(100.0, 5, kinds=ONCE)
    parked = replace(
        found, status=Status.PARKED, attempts=2, tried_at=3.0, code="http_500", message="m"
    )
    state.store_occurrences([parked], before=Status.SENT)
    assert following(state) == ["1"]
    state.store_occurrences([parked], before=Status.WAITING)
    state.store_occurrences([], before=Status.WAITING)
    ((stored,),) = state.occurrences([Status.PARKED])
    assert stored == parked


def test_a_person_settles_what_is_rejected_or_parked(state: State):
    """By key, by mapping, or all of it; nothing else is touched."""
    state.admit_occurrences(
        [
            event("1", status=Status.PARKED, tried_at=5.0, attempts=3, code="no_answer"),
            event("2", status=Status.REJECTED),
            event("3", status=Status.PARKED, mapping="events/others"),
            event("4"),
            event("5", status=Status.SENT),
        ]
    )
    assert state.resolve_occurrences(Status.WAITING, keys=["1", "4", "5"], mappings=None) == 1
    assert state.resolve_occurrences(Status.DONE, keys=["2"], mappings=["events/others"]) == 0
    assert state.resolve_occurrences(Status.DONE, keys=None, mappings=["events/others"]) == 1
    assert state.resolve_occurrences(Status.DONE, keys=None, mappings=None) == 1
    assert following(state) == ["1", "4"]
    first = state.next_occurrences(100.0, 1, kinds=ONCE)[0]
    assert (first.tried_at, first.attempts, first.body["event_name"]) == (None, 0, "exported")
    done = [each for batch in state.occurrences([Status.DONE]) for each in batch]
    assert [(each.key, each.body) for each in done] == [("2", {}), ("3", {})]


def test_a_baseline_takes_what_waits_of_a_mapping(state: State):
    """It is never sent, and its body is gone."""
    state.admit_occurrences([event("1"), event("2", status=Status.PARKED), enrolment("3")])
    assert state.baseline_occurrences(MAPPING) == 1
    assert following(state) == ["3"]
    ((taken,),) = state.occurrences([Status.BASELINE])
    assert (taken.key, taken.body) == ("1", {})


def test_what_is_open_is_counted(state: State):
    """By mapping, standing and what it waits for, with the age of the oldest."""
    state.admit_occurrences(
        [
            event("1", since=3.0),
            event("2"),
            event("3", blocked="no_contact"),
            event("4", status=Status.PARKED),
            event("5", status=Status.DONE),
            enrolment("6"),
        ]
    )
    assert [
        (each.mapping, str(each.status), each.blocked, each.count, each.oldest)
        for each in state.occurrence_counts()
    ] == [
        (MAPPING, "parked", "", 1, 10.0),
        (MAPPING, "waiting", "", 2, 3.0),
        (MAPPING, "waiting", "no_contact", 1, 10.0),
        ("sequences/trial", "waiting", "", 1, 10.0),
    ]


def test_occurrences_are_listed_in_batches(state: State):
    """Of some mappings or all, the oldest first, however many there are."""
    state.admit_occurrences([event(str(number)) for number in range(1001)])
    state.admit_occurrences([enrolment("last")])
    every = [each for batch in state.occurrences([Status.WAITING]) for each in batch]
    assert keys(every) == [*(str(number) for number in range(1001)), "last"]
    some = state.occurrences([Status.WAITING], mappings=["sequences/trial"])
    assert [keys(batch) for batch in some] == [["last"]]


def test_when_a_contact_may_be_delivered_is_told(state: State):
    """An event goes after what is pending for its contact."""
    pending = Contact(external_id="7", pending={"email": "7@x.com"}, rank=1, since=1.0)
    still = Contact(external_id="8")
    contacts = {"7": pending, "8": still}
    state.settle(["7", "8"], lambda key, _: Settled(contact=contacts[key]), now=1.0)
    assert state.delivery_due("7") == 0.0
    assert state.delivery_due("8") is None
    assert state.delivery_due("9") is None


def test_mappings_of_occurrences_are_remembered(state: State):
    """A mapping that was admitted to but never read whole still has its first run before it."""
    state.admit_occurrences([event("1")])
    assert state.mappings()[MAPPING].read_at is None
    state.record_read(MAPPING, "digest", [], 5.0)
    assert state.mappings()[MAPPING].read_at == 5.0
