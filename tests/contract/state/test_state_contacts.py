"""What every state promises of contacts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from meisa_cdc.core.checksums import Checksums, gathered
from meisa_cdc.core.contact import Claim, Contact, Late, Observation, Quarantined
from meisa_cdc.core.delivery import intend, request_for
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.core.values import Value
from meisa_cdc.ports import State
from meisa_cdc.records import Absent, Concluded, Seen, Settled

IDENTITY, PLAN = "contacts/identity", "contacts/plan"
HELD = Quarantined(code="rejected_400", message="no", payload=b"\x00\xff", since=7.5)


def contact(key: str, **known) -> Contact:
    """Return a contact that waits to be created, unless told otherwise."""
    fresh = {"pending": {"email": f"{key}@example.com"}, "rank": 1, "since": 10.0}
    return Contact(external_id=key, **{**fresh, **known})


def store(state: State, *contacts: Contact, **observed: Observation | None) -> None:
    """Store contacts as they are, all with the same observations."""
    found = {each.external_id: each for each in contacts}
    names = {name.replace("_", "/"): seen for name, seen in observed.items()}
    state.settle(list(found), lambda key, _: Settled(contact=found[key], observed=names), now=10.0)


def load(state: State, key: str) -> Contact:
    """Return one stored contact."""
    return state.load([key])[key]


def flat(batches: Iterable[Iterable]) -> list:
    """Return all that batches hold."""
    return [each for batch in batches for each in batch]


def fail(state: State, key: str, *, not_before: float) -> None:
    """Let a delivery of the contact fail, to be tried again at `not_before`."""
    (grant,) = state.grant_deliveries(
        [key],
        now=1.0,
        deadline=2.0,
        admit=lambda _: (),
        intend=lambda c: (intend(c, request_for(c)), request_for(c)),
    )
    outcome = Outcome(kind=Kind.DEFERRED, code="http_503", attempt=True)
    state.complete(Concluded(grant=grant, now=2.0, outcome=outcome, not_before=not_before))


def test_a_contact_is_stored_whole(state: State):
    """Every field comes back as it was stored, and the contact gets a ref."""
    whole = Contact(
        external_id="7",
        ledger={"email": "a@example.com"},
        in_doubt=frozenset({"email", "custom_fields.plan"}),
        pending={"custom_fields.plan": "pro"},
        present=True,
        invalid="email_duplicate",
        meisa_id="m-1",
        first_load=True,
        quarantine=HELD,
        since=12.25,
        rank=2,
        riding={"first_name": None},
        due=99.5,
        late=Late(fields=frozenset({"email", "custom_fields.plan"}), at=3.5, confirm_at=603.5),
        novel=frozenset({"custom_fields.plan"}),
        inherits=frozenset({"custom_fields.x", "last_name"}),
    )
    store(state, whole)
    assert load(state, "7") == replace(whole, ref=1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        1,
        1.5,
        1e300,
        -(2**63),
        2**64 - 1,
        0.1 + 0.2,
        "",
        "Zoë 😀 \u202e \\ \" ' % : ?",
        [1, [None, True]],
        {"b": 1, "a": {"c": []}},
    ],
)
def test_a_value_keeps_its_json_form(state: State, value: Value):
    """What is stored of a value is exactly the JSON that was given."""
    store(state, contact("7", pending={"custom_fields.x": value}))
    assert json.dumps(load(state, "7").pending) == json.dumps({"custom_fields.x": value})


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), ("1", 1), ([], {})])
def test_values_that_python_or_eyes_take_for_equal_are_told_apart(
    state: State, before: Value, after: Value
):
    """A change from 1 to true is stored, though Python calls them equal."""
    store(state, contact("7", pending={"custom_fields.x": before}))
    store(state, contact("7", pending={"custom_fields.x": after}))
    assert json.dumps(load(state, "7").pending["custom_fields.x"]) == json.dumps(after)


def test_refs_are_dense_and_stay(state: State):
    """New contacts get the next numbers in the order of the keys, and keep them."""
    store(state, contact("b"), contact("a"))
    store(state, contact("c"), contact("a", rank=0), contact("d"))
    refs = {key: found.ref for key, found in state.load(["a", "b", "c", "d"]).items()}
    assert refs == {"b": 1, "a": 2, "c": 3, "d": 4}


def test_decide_is_asked_once_a_key_in_their_order(state: State):
    """Each key is decided once, with the contact as it is, None where it is new."""
    store(state, contact("a", meisa_id="m"))
    asked = []

    def decide(key: str, known: Contact | None) -> Settled:
        asked.append((key, known and known.meisa_id))
        return Settled(contact=None)

    state.settle(["z", "a", "é", "z"], decide, now=1.0)
    assert asked == [("z", None), ("a", "m"), ("é", None)]


def test_deciding_on_nothing_leaves_everything(state: State):
    """No contact given: a known one stays, an unknown one is not made."""
    store(state, contact("a", meisa_id="m"))
    state.settle(["a", "b"], lambda *_: Settled(contact=None), now=1.0)
    assert list(state.load(["a", "b"])) == ["a"]


def test_an_error_while_deciding_stores_nothing(state: State):
    """A batch is stored whole or not at all."""

    def decide(key: str, _: Contact | None) -> Settled:
        if key == "b":
            raise ArithmeticError
        return Settled(contact=contact(key))

    with pytest.raises(ArithmeticError):
        state.settle(["a", "b"], decide, now=1.0)
    assert state.load(["a", "b"]) == {}


def test_no_keys_are_no_work(state: State):
    """Every method that takes keys is content without any."""
    state.settle([], lambda *_: Settled(contact=None), now=1.0)
    assert state.load([]) == {}
    assert state.observed(PLAN, []) == {}
    assert state.claims([]) == []
    assert state.release([]) == 0


def test_observations_are_remembered_by_mapping(state: State):
    """What a mapping showed of a contact is on record for that mapping alone."""
    store(state, contact("a"), contact("b"), contacts_plan=Observation(b"\x00one", row=True))
    store(state, contact("c"))
    assert state.observed(PLAN, ["c", "b", "x"]) == {
        "b": Seen(ref=2, present=True, fingerprint=b"\x00one", row=True),
        "c": Seen(ref=3, present=True, fingerprint=None, row=False),
    }
    assert state.observed(IDENTITY, ["a"])["a"].fingerprint is None


def test_an_observation_is_replaced_and_forgotten(state: State):
    """A later observation takes the place of an earlier one; None removes it."""
    store(
        state,
        contact("a"),
        contacts_plan=Observation(b"1", row=True),
        contacts_identity=Observation(b"i", row=True),
    )
    store(state, contact("a"), contacts_plan=Observation(b"2", row=False))
    assert state.observed(PLAN, ["a"])["a"] == Seen(
        ref=1, present=True, fingerprint=b"2", row=False
    )
    store(state, contact("a"), contacts_plan=None)
    assert state.observed(PLAN, ["a"])["a"].fingerprint is None
    assert state.observed(IDENTITY, ["a"])["a"].fingerprint == b"i"


def test_an_observation_can_come_without_a_contact(state: State):
    """A contact that stays as it is still has its observation stored; an unknown one has none."""
    store(state, contact("a"))
    seen = Settled(contact=None, observed={PLAN: Observation(b"1", row=True)})
    state.settle(["a", "b"], lambda *_: seen, now=1.0)
    assert state.observed(PLAN, ["a", "b"]) == {
        "a": Seen(ref=1, present=True, fingerprint=b"1", row=True)
    }


def test_a_contact_that_is_gone_is_read_afresh_when_it_returns(state: State):
    """With presence everything observed of a contact is forgotten, and nothing new kept."""
    store(state, contact("a"), contact("b"), contacts_plan=Observation(b"1", row=True))
    store(state, contact("a", present=False), contacts_identity=Observation(b"2", row=False))
    gone = Seen(ref=1, present=False, fingerprint=None, row=False)
    assert state.observed(PLAN, ["a"]) == {"a": gone}
    assert state.observed(IDENTITY, ["a"]) == {"a": gone}
    store(state, contact("a"))
    assert state.observed(PLAN, ["a"])["a"].fingerprint is None
    assert state.observed(PLAN, ["b"])["b"].fingerprint == b"1"


def lacked(batches: Iterable[Iterable[Absent]]) -> list[tuple[str, bool]]:
    """Return (key, had a row) of what batches hold."""
    return [(each.external_id, each.had_row) for each in flat(batches)]


def bits(*refs: int) -> bytearray:
    """Return a bitmap of these refs."""
    seen = bytearray(max(refs, default=0) // 8 + 1)
    for ref in refs:
        seen[ref // 8] |= 1 << ref % 8
    return seen


def test_contacts_that_a_read_lacked_are_found(state: State):
    """Unseen: present, not in the bitmap, and not on record as missing already."""
    store(state, contact("a"), contact("b"), contacts_plan=Observation(b"row", row=True))
    store(state, contact("c"), contacts_plan=Observation(b"missing", row=False))
    store(state, contact("d"), contact("e"))
    store(state, contact("e", present=False))
    assert lacked(state.unseen(PLAN, bits(2), b"missing")) == [("a", True), ("d", False)]
    assert lacked(state.unseen(PLAN, bytearray(), b"none")) == [
        ("a", True),
        ("b", True),
        ("c", False),
        ("d", False),
    ]
    assert lacked(state.unseen(PLAN, bits(*range(1, 99)), b"none")) == []


def test_many_contacts_come_in_batches(state: State):
    """What is too much for one batch comes in several, complete and in order."""
    keys = [f"{number:04}" for number in range(2500)]
    store(
        state,
        *(contact(key, quarantine=HELD) for key in keys),
        contacts_plan=Observation(b"1", row=True),
    )
    assert flat(state.pending()) == keys
    assert flat(state.keys()) == keys
    assert [each.external_id for each in flat(state.quarantined())] == keys
    unread = lacked(state.unseen(PLAN, bits(*range(1, 2501, 2)), b""))
    assert unread == [(key, True) for key in keys[1::2]]
    assert len(list(state.pending())) > 1
    assert state.mappings()[PLAN].covered == 2500


def test_keys_are_sorted_by_code_points(state: State):
    """Upper case before lower case, letters with accents after both, whatever the collation."""
    keys = ["10", "9", "Zoe", "_", "zoe", "éa", "\uffee", "😀"]
    store(state, *(contact(key) for key in reversed(keys)))
    assert flat(state.keys()) == flat(state.pending()) == keys
    assert list(state.next_deliveries(99.0, 99)) == keys


def test_pending_means_something_to_send_or_held_back(state: State):
    """Contacts with nothing pending are left out, quarantined ones are not."""
    store(
        state,
        contact("a", pending={}),
        contact("b"),
        contact("c", pending={}, quarantine=HELD),
        contact("d", pending={}, in_doubt=frozenset({"email"})),
    )
    assert flat(state.pending()) == ["b", "c"]


def test_a_contact_is_found_by_key_or_address(state: State):
    """The external_id goes first, then an address in any case, observed before acknowledged."""
    store(
        state,
        contact("a", ledger={"email": "Old@Example.com"}, pending={"email": "new@example.com"}),
        contact("b", ledger={"email": "x@example.com"}, pending={"email": "old@example.com"}),
        contact("x@example.com"),
        contact("gone", present=False, pending={"email": "lost@example.com"}),
    )
    texts = ("a", "OLD@example.com", " new@EXAMPLE.com", "x@example.com", "lost@example.com", "z")
    found = [state.find(text) for text in texts]
    keys = [each and each.external_id for each in found]
    assert keys == ["a", "b", "a", "x@example.com", None, None]


def test_claims_tell_who_holds_and_who_observes_an_address(state: State):
    """Every relation to an address is told once, by address and then by key."""
    store(
        state,
        contact("a", ledger={"email": "One@example.com"}, pending={"email": "two@example.com"}),
        contact("b", ledger={"email": "two@example.com"}, pending={}),
        contact("c", ledger={"email": "two@example.com"}, pending={}, present=False),
        contact("d", pending={"email": "THREE@example.com"}),
    )
    one, two, three = ("one@example.com", "two@example.com", "three@example.com")
    assert state.claims([three, two, one, "none@example.com"]) == [
        Claim(external_id="a", email_key=one, holds=True, observes=False),
        Claim(external_id="d", email_key=three, holds=False, observes=True),
        Claim(external_id="a", email_key=two, holds=False, observes=True),
        Claim(external_id="b", email_key=two, holds=True, observes=True),
        Claim(external_id="c", email_key=two, holds=True, observes=False),
    ]


def test_the_most_urgent_and_oldest_goes_first(state: State):
    """Deliveries come by rank, then by age, then by key; contacts without a rank never."""
    store(
        state,
        contact("background", rank=2, since=1.0),
        contact("late", rank=0, since=9.0),
        contact("early", rank=0, since=3.0),
        contact("b", rank=1, since=5.0),
        contact("a", rank=1, since=5.0),
        contact("held", rank=None),
    )
    assert list(state.next_deliveries(99.0, 9)) == ["early", "late", "a", "b", "background"]
    assert list(state.next_deliveries(99.0, 2)) == ["early", "late"]
    assert list(state.next_deliveries(99.0, 2, ["early", "a"])) == ["late", "b"]


def test_a_lower_class_may_have_its_turn(state: State):
    """At its place in the order, where it has anything left; it loses nothing to it later."""
    store(
        state,
        contact("background", rank=2, since=1.0),
        contact("urgent", rank=0, since=3.0),
        contact("b", rank=1, since=5.0),
        contact("a", rank=1, since=5.0),
    )
    everyone = ["urgent", "background", "a", "b"]
    assert list(state.next_deliveries(99.0, 9, favour=[None, 2, 2])) == everyone
    assert list(state.next_deliveries(99.0, 2, favour=[1, 1, 2])) == ["a", "b"]
    assert list(state.next_deliveries(99.0, 1, ["a"], favour=[1])) == ["b"]
    assert list(state.next_deliveries(99.0, 1, ["background"], favour=[2])) == ["urgent"]
    assert list(state.next_deliveries(99.0, 0, favour=[1])) == []


def test_a_deferred_contact_waits(state: State):
    """After a failure the contact is not delivered before its time, and others are."""
    store(state, contact("a"), contact("b"))
    assert state.next_attempt() is None
    fail(state, "a", not_before=100.0)
    fail(state, "b", not_before=200.0)
    assert list(state.next_deliveries(99.9, 9)) == []
    assert list(state.next_deliveries(100.0, 9)) == ["a"]
    assert state.next_attempt() == 100.0
    store(state, contact("a", rank=None))
    assert state.next_attempt() == 200.0


def test_a_new_difference_does_not_shorten_the_wait(state: State):
    """What is pending may change while a contact waits; it waits on."""
    store(state, contact("a"))
    fail(state, "a", not_before=100.0)
    store(state, contact("a", pending={"email": "other@example.com"}))
    assert list(state.next_deliveries(50.0, 9)) == []


def test_leaving_quarantine_ends_the_wait(state: State):
    """A contact that is taken out of quarantine is tried at once, whoever takes it out."""
    store(state, contact("a"), contact("b"))
    for key in ("a", "b"):
        fail(state, key, not_before=100.0)
    store(state, contact("a", quarantine=HELD), contact("b", quarantine=HELD))
    store(state, contact("a"))
    state.release(["b"])
    assert list(state.next_deliveries(0.0, 9)) == ["a", "b"]


def test_release_takes_contacts_out_of_quarantine(state: State):
    """The named ones alone, or all; those that were not held are not counted."""
    store(state, *(contact(key, quarantine=HELD) for key in "abc"), contact("d"))
    assert [each.quarantine for each in flat(state.quarantined())] == [HELD] * 3
    assert state.release(["b", "d", "x"]) == 1
    assert [each.external_id for each in flat(state.quarantined())] == ["a", "c"]
    assert state.release() == 2
    assert state.release() == 0
    assert load(state, "a").quarantine is None
    assert load(state, "a").pending == {"email": "a@example.com"}


def test_release_puts_contacts_back_into_the_backlog(state: State):
    """A rejection takes the rank, and nobody may look at the contact again before it is sent."""
    off = {"quarantine": HELD, "rank": None}
    store(state, contact("a", **off), contact("gone", present=False, **off))
    store(state, contact("odd", invalid="email_duplicate", **off), contact("b", **off, pending={}))
    assert list(state.next_deliveries(0.0, 9)) == []
    assert state.release() == 4
    assert list(state.next_deliveries(0.0, 9)) == ["a"]


def test_conditions_are_counted(state: State):
    """Each condition counts its contacts; one contact may be in several."""
    store(
        state,
        contact("a", rank=0, since=30.0),
        contact("b", rank=0, since=20.0, in_doubt=frozenset({"email"})),
        contact("c", rank=2, since=25.0),
        contact("d", rank=None, since=5.0, invalid="email_missing"),
        contact("e", rank=None, quarantine=HELD, in_doubt=frozenset({"email"})),
        contact("f", rank=None, present=False),
    )
    counts = state.counts()
    assert (counts.contacts, counts.present, counts.removed) == (6, 5, 1)
    assert (counts.invalid, counts.quarantined, counts.in_doubt) == (1, 1, 2)
    backlog: Mapping[int, int] = {0: 2, 2: 1}
    assert (counts.backlog, counts.oldest) == (backlog, 20.0)


def test_an_empty_state_counts_nothing(state: State):
    """A new state has no contacts in any condition."""
    counts = state.counts()
    assert (counts.contacts, counts.present, counts.backlog, counts.oldest) == (0, 0, {}, None)


def test_each_mark_is_stored_alone(state: State):
    """And is gone when it was taken off."""
    late = Late(fields=frozenset({"email"}), at=3.5)
    marked = [
        contact("a", late=late),
        contact("b", novel=frozenset({"email"})),
        contact("c", inherits=frozenset({"last_name"})),
    ]
    store(state, *marked)
    assert [replace(load(state, each.external_id), ref=None) for each in marked] == marked
    store(state, *map(contact, "abc"))
    assert [replace(load(state, key), ref=None) for key in "abc"] == [*map(contact, "abc")]


def test_what_is_due_comes_oldest_first(state: State):
    """What rides along, and what has to be confirmed; each contact once."""
    late = Late(fields=frozenset({"email"}), at=1.0)
    store(
        state,
        contact("a", riding={"first_name": "A"}, due=30.0),
        contact("b", late=replace(late, confirm_at=20.0)),
        contact("c", riding={"first_name": "C"}, due=10.0, late=replace(late, confirm_at=25.0)),
        contact("d", late=late),
        contact("e", late=replace(late, confirm_at=30.1)),
        contact("f"),
    )
    assert list(state.due(9.9, 9)) == []
    assert list(state.due(20.0, 9)) == ["c", "b"]
    assert list(state.due(30.0, 9)) == ["c", "b", "a"]
    assert list(state.due(30.0, 2)) == ["c", "b"]
    store(state, contact("c"), contact("b"))
    assert list(state.due(30.0, 9)) == ["a"]


def test_the_class_whose_turn_it_is_goes_first(state: State):
    """Where it has anything to deliver now; else it is as always."""
    store(
        state,
        contact("urgent", rank=0),
        contact("normal", rank=1),
        contact("older", rank=2, since=5.0),
        contact("newer", rank=2, since=6.0),
    )
    always = ["urgent", "normal", "older", "newer"]
    assert list(state.next_deliveries(99.0, 9)) == always
    assert list(state.next_deliveries(99.0, 1, favour=[2])) == ["older"]
    assert list(state.next_deliveries(99.0, 3, favour=[2, None, 2])) == ["older", "urgent", "newer"]
    assert list(state.next_deliveries(99.0, 1, ["older"], favour=[2])) == ["newer"]
    assert list(state.next_deliveries(99.0, 1, ["older", "newer"], favour=[2])) == ["urgent"]
    assert list(state.next_deliveries(99.0, 1, favour=[1])) == ["normal"]
    fail(state, "normal", not_before=200.0)
    assert list(state.next_deliveries(99.0, 1, favour=[1])) == ["urgent"]
    assert list(state.next_deliveries(200.0, 1, favour=[1])) == ["normal"]


def test_what_the_backlog_costs_by_field(state: State):
    """Whom a field makes wait, and whom it alone; where it comes from costs nothing."""
    store(
        state,
        contact("both", pending={"custom_fields.plan": "pro", "custom_fields.a key'\"é": None}),
        contact("plan", pending={"custom_fields.plan": "max"}),
        contact("new", pending={"email": "new@example.com", "source": "initial_sync"}),
        contact("held", rank=None, pending={"custom_fields.plan": "pro"}),
        contact("riding", rank=None, pending={}, riding={"custom_fields.seen": 1}),
    )
    cost = state.cost()
    assert cost.by_field == {"custom_fields.plan": 2, "custom_fields.a key'\"é": 1, "email": 1}
    assert cost.sole == {"custom_fields.plan": 1, "email": 1}


def test_nothing_waits_nothing_costs(state: State):
    """An empty backlog has no cost."""
    assert (state.cost().by_field, state.cost().sole) == ({}, {})


SUMS = Checksums(
    scheme="s",
    buckets=gathered(4, [(3, 2, 2**63), (7, 1, -1)]),
    unsettled=frozenset({1}),
    full_at=2.5,
)


def test_checksums_are_remembered_unsettled_and_dropped(state: State):
    """By mapping; a place unsettles its bucket."""
    assert state.checksums(PLAN) is None
    state.unsettle(PLAN, [3])
    state.drop_checksums([PLAN])
    store(state, contact("a"), contacts_plan=Observation(b"1", row=True))
    state.record_checksums(PLAN, SUMS)
    assert state.checksums(PLAN) == SUMS
    assert state.checksums(IDENTITY) is None
    state.unsettle(PLAN, [1, 0x17])
    assert state.checksums(PLAN) == replace(SUMS, unsettled=frozenset({1, 7}))
    state.unsettle(PLAN, [7])
    state.drop_checksums([IDENTITY, PLAN])
    assert state.checksums(PLAN) is None


def test_contacts_whose_row_was_in_a_bucket_are_found(state: State):
    """Unless they were read; nor those that are gone, or had no row."""
    for key, place in (("a", 0x13), ("b", 0x23), ("c", 0x14), ("d", 0x33)):
        store(state, contact(key), contacts_plan=Observation(b"1", row=True, place=place))
    store(state, contact("e"), contacts_plan=Observation(b"2", row=False))
    store(state, contact("d", present=False))
    ref = state.observed(PLAN, ["b"])["b"].ref
    found = flat(state.vanished(PLAN, bits(ref), {3, 9}, 4))
    assert [(each.external_id, each.had_row, each.place) for each in found] == [("a", True, 0x13)]
    assert state.observed(PLAN, ["a"])["a"].place == 0x13
    assert len(flat(state.vanished(PLAN, bytearray(), {3, 4}, 4))) == 3


def test_contacts_without_an_observation_are_found(state: State):
    """Present ones alone, in batches."""
    store(state, contact("a"), contacts_plan=Observation(b"1", row=True))
    store(state, *(contact(f"{number:04}") for number in range(1500)))
    store(state, contact("x", present=False))
    assert len(lacked(state.lacking(PLAN))) == 1500
    assert ("a", False) in lacked(state.lacking(IDENTITY))
    assert state.mappings()[PLAN].settled == 1
