"""Fields that ride along: no request of their own, never left behind, due in the end."""

from collections.abc import Mapping as Dict

from meisa_cdc.core.contact import Contact, Staged, acknowledged, doubted, overdue
from meisa_cdc.core.delivery import judge, request_for, settle
from meisa_cdc.core.diff import Action, Comparison, compare
from meisa_cdc.core.fields import Reading
from meisa_cdc.core.mapping import FieldSettings, Mapping
from meisa_cdc.core.outcome import Answer
from meisa_cdc.core.plan import Tallies, change_document, change_print
from meisa_cdc.core.policy import MinChange, Policy
from meisa_cdc.core.values import Value

PEOPLE, USE = "contacts/people", "contacts/use"
SEEN, POSTS = "custom_fields.last_active", "custom_fields.posts"
ADA = "ada@example.com"
DAY = 86400.0
KNOWN = Contact(ref=1, external_id="1", ledger={"email": ADA, SEEN: "monday", POSTS: 3})
PLAIN = Policy()
ALONG = Policy(send="with_others")
WEEKLY = Policy(send="with_others", at_least_every=7 * DAY)


def look(
    known: Contact,
    values: Dict[str, Value] | None,
    seen: Policy,
    posts: Policy = PLAIN,
    now: float = 100.0,
) -> Comparison:
    """Compare contact 1 with a row of its use, or with nothing read."""
    fields = {"last_active": FieldSettings(policy=seen), "posts": FieldSettings(policy=posts)}
    readings = [
        Reading(
            mapping=Mapping(name=PEOPLE, text="", digest=""), columns=("email",), covers_new=True
        ),
        Reading(
            mapping=Mapping(name=USE, text="", digest="", fields=fields),
            columns=("last_active", "posts"),
            covers_new=True,
        ),
    ]
    staged = {} if values is None else {USE: Staged(values=values, fingerprint=b"f", had_row=True)}
    return compare(
        "1", known, staged, readings, identity=PEOPLE, claims=(), first_load=False, now=now
    )


def stored(comparison: Comparison) -> Contact:
    """Return the contact as it is to be stored."""
    assert comparison.contact is not None
    return comparison.contact


def test_what_rides_along_costs_nothing_alone():
    """The contact is unchanged, and what it would send is remembered."""
    comparison = look(KNOWN, {"last_active": "tuesday", "posts": 3}, ALONG)
    contact = stored(comparison)
    assert (comparison.action, comparison.changes) == (Action.UNCHANGED, ())
    assert [change.field for change in comparison.riding] == [SEEN]
    assert (contact.riding, contact.pending, contact.rank) == ({SEEN: "tuesday"}, {}, None)
    assert (contact.due, contact.since) == (None, None)


def test_it_is_sent_when_something_else_is():
    """One request takes both, and both are acknowledged."""
    contact = stored(look(KNOWN, {"last_active": "tuesday", "posts": 4}, ALONG))
    request = request_for(contact)
    assert request.body["custom_fields"] == {"last_active": "tuesday", "posts": 4}
    answer = Answer(
        status=200,
        body={
            "id": "m1",
            "email": ADA,
            "external_id": "1",
            "custom_fields": {"last_active": "tuesday", "posts": 4},
        },
    )
    after = settle(contact, request, judge(request, answer), started=4.0, now=5.0)
    assert (after.pending, after.riding) == ({}, {})
    assert after.ledger == {"email": ADA, SEEN: "tuesday", POSTS: 4}


def test_what_changed_under_way_rides_with_the_next_one():
    """It needs no second request at once."""
    before = stored(look(KNOWN, {"last_active": "tuesday", "posts": 4}, ALONG))
    request = request_for(before)
    meanwhile = stored(look(before, {"last_active": "wednesday", "posts": 4}, ALONG))
    answer = Answer(status=200, body={"id": "m1", "email": ADA, "external_id": "1"})
    after = settle(meanwhile, request, judge(request, answer), started=4.0, now=5.0)
    assert (after.pending, after.riding, after.rank) == ({}, {SEEN: "wednesday"}, None)


def test_a_new_contact_takes_everything_along():
    """It has to arrive whole."""
    unknown = Contact(external_id="1", ref=1, pending={"email": ADA})
    comparison = look(unknown, {"last_active": "tuesday", "posts": 4}, ALONG)
    assert comparison.action is Action.CREATE
    assert set(stored(comparison).pending) == {"email", SEEN, POSTS}


def test_a_field_in_doubt_is_sent_whatever_its_policy():
    """Nobody knows what Meisa holds of it."""
    doubtful = Contact(ref=1, external_id="1", ledger=KNOWN.ledger, in_doubt=frozenset({SEEN}))
    comparison = look(doubtful, {"last_active": "monday", "posts": 3}, ALONG)
    assert (comparison.action, set(stored(comparison).pending)) == (Action.UPDATE, {SEEN})


def test_thresholds_and_least_changes_ride_until_they_count():
    """What is too small for a request still goes with the next one."""
    steps = Policy(thresholds=(5.0,))
    small = look(KNOWN, {"last_active": "monday", "posts": 4}, ALONG, steps)
    assert (small.action, stored(small).riding) == (Action.UNCHANGED, {POSTS: 4})
    crossed = look(stored(small), {"last_active": "monday", "posts": 5}, ALONG, steps)
    assert (crossed.action, stored(crossed).pending) == (Action.UPDATE, {POSTS: 5})
    back = look(stored(crossed), {"last_active": "monday", "posts": 4}, ALONG, steps)
    assert (back.action, stored(back).riding) == (Action.UNCHANGED, {POSTS: 4})
    far = look(
        KNOWN, {"last_active": "monday", "posts": 9}, ALONG, Policy(min_change=MinChange(amount=6))
    )
    assert (far.action, stored(far).pending) == (Action.UPDATE, {POSTS: 9})


def test_the_clock_of_what_rides_runs_from_the_first_difference():
    """A value that keeps changing is not put off for ever."""
    first = stored(look(KNOWN, {"last_active": "tuesday", "posts": 3}, WEEKLY, now=0.0))
    assert first.due == 7 * DAY
    second = stored(look(first, {"last_active": "friday", "posts": 3}, WEEKLY, now=4 * DAY))
    assert (second.due, second.riding) == (7 * DAY, {SEEN: "friday"})
    assert overdue(second, 7 * DAY - 1) == second
    late = overdue(second, 7 * DAY)
    assert (late.pending, late.riding, late.due) == ({SEEN: "friday"}, {}, None)
    assert (late.rank, late.since) == (1, 7 * DAY)


def test_what_was_due_stays_a_cause_until_it_was_sent():
    """Another look does not put it back."""
    late = overdue(
        stored(look(KNOWN, {"last_active": "tuesday", "posts": 3}, WEEKLY, now=0.0)), 7 * DAY
    )
    again = look(late, {"last_active": "sunday", "posts": 3}, WEEKLY, now=8 * DAY)
    assert (again.action, stored(again).pending) == (Action.UPDATE, {SEEN: "sunday"})


def test_a_look_after_the_due_time_makes_it_a_cause_as_well():
    """The plan shows it as the request it is."""
    first = stored(look(KNOWN, {"last_active": "tuesday", "posts": 3}, WEEKLY, now=0.0))
    comparison = look(first, None, WEEKLY, now=7 * DAY)
    assert (comparison.action, stored(comparison).pending) == (Action.UPDATE, {SEEN: "tuesday"})


def test_a_difference_that_vanished_is_forgotten():
    """Nothing is due any more."""
    first = stored(look(KNOWN, {"last_active": "tuesday", "posts": 3}, WEEKLY))
    back = stored(look(first, {"last_active": "monday", "posts": 3}, WEEKLY))
    assert (back.riding, back.due) == ({}, None)


def test_an_unsendable_contact_gets_no_place_by_waiting():
    """What is due goes when it can."""
    gone = Contact(external_id="1", riding={SEEN: "tuesday"}, due=1.0, present=False)
    assert (overdue(gone, 2.0).rank, overdue(gone, 2.0).pending) == (None, {SEEN: "tuesday"})


def test_baseline_and_resync_know_what_rides():
    """Taken as sent it no longer differs; in doubt it is sent as it is now."""
    contact = Contact(external_id="1", ledger={SEEN: "monday"}, riding={SEEN: "tuesday"}, due=9.0)
    taken = acknowledged(contact, {SEEN: "tuesday"})
    assert (taken.ledger, taken.riding, taken.due) == ({SEEN: "tuesday"}, {}, None)
    again = doubted(contact, frozenset({SEEN}), 5.0)
    assert (again.pending, again.riding, again.due) == ({SEEN: "tuesday"}, {}, None)


def test_the_plan_counts_riders_apart_and_leaves_them_out_of_its_digest():
    """Whatever rides, the approval still names the same changes."""
    alone = look(KNOWN, {"last_active": "tuesday", "posts": 3}, ALONG)
    one = look(KNOWN, {"last_active": "tuesday", "posts": 4}, ALONG)
    other = look(KNOWN, {"last_active": "friday", "posts": 4}, ALONG)
    figures = Tallies({USE: "f", PEOPLE: "f"})
    figures.add(alone, was_present=True)
    assert (figures.riding, figures.by_field) == (1, {})
    digests = []
    for comparison in (one, other):
        tallies = Tallies({USE: "f", PEOPLE: "f"})
        tallies.add(comparison, was_present=True)
        assert (tallies.riding, tallies.by_field, tallies.sole) == (0, {POSTS: 1}, {POSTS: 1})
        digests.append(tallies.digest_of_all())
    assert digests[0] == digests[1]
    assert change_print(one, frozenset({USE})) == change_print(other, frozenset({USE}))
    document = change_document(one, "normal")
    assert (document["reasons"], document["riding"]) == ([POSTS], [SEEN])
    assert document["fields"][SEEN] == {"from": "monday", "to": "tuesday"}
