"""Observation against ledger: what a contact needs, and what it is counted as."""

from collections.abc import Mapping as Dict, Sequence
from dataclasses import replace

import pytest

from meisa_cdc.core.addresses import email_conflict
from meisa_cdc.core.contact import Claim, Contact, Observation, Quarantined, Staged
from meisa_cdc.core.delivery import request_for
from meisa_cdc.core.diff import Action, Comparison, compare
from meisa_cdc.core.fields import Reading
from meisa_cdc.core.mapping import FieldSettings, Mapping, Priority
from meisa_cdc.core.values import Value

PEOPLE, PLAN_SQL = "contacts/people", "contacts/plan"
PLAN, SEATS, TAGS = "custom_fields.plan", "custom_fields.seats", "tag_names"
ADA = "ada@example.com"
KNOWN = Contact(ref=1, external_id="1", ledger={"email": ADA, "first_name": "Ada", PLAN: "free"})


def reading(
    name: str = PLAN_SQL,
    *columns: str,
    priority: Priority = Priority.NORMAL,
    covers_new: bool = True,
    **fields: FieldSettings,
) -> Reading:
    """Return what a pass knows of a mapping with these columns."""
    return Reading(
        mapping=Mapping(name=name, text="", digest="", priority=priority, fields=fields),
        columns=columns or ("plan",),
        covers_new=covers_new,
        missing=f"no {name}".encode(),
    )


IDENTITY = reading(PEOPLE, "email", "first_name")


def row(**values: Value) -> Staged:
    """Return a row with these values by column."""
    return Staged(values=values, fingerprint=b"row", had_row=True)


def gone(*, had_row: bool = True) -> Staged:
    """Return what a complete read without a row leaves."""
    return Staged(row=False, had_row=had_row, fingerprint=b"none")


def person(email: Value = ADA, first_name: Value = "Ada") -> Staged:
    """Return an identity row."""
    return row(email=email, first_name=first_name)


def look(
    known: Contact | None,
    staged: Dict[str, Staged],
    *readings: Reading,
    claims: Sequence[Claim] = (),
    first_load: bool = False,
    now: float = 100.0,
) -> Comparison:
    """Compare contact 1."""
    return compare(
        "1",
        known,
        staged,
        [IDENTITY, *(readings or [reading()])],
        identity=PEOPLE,
        claims=claims,
        first_load=first_load,
        now=now,
    )


def changed(comparison: Comparison) -> dict[str, tuple[Value, Value]]:
    """Return (old, new) by field."""
    return {change.field: (change.old, change.new) for change in comparison.changes}


def stored(comparison: Comparison) -> Contact:
    """Return the contact as it is to be stored."""
    assert comparison.contact is not None
    return comparison.contact


# ---------------------------------------------------------------- who is a contact


@pytest.mark.parametrize(
    "staged",
    [{PLAN_SQL: row(plan="pro")}, {PLAN_SQL: row(plan="pro"), PEOPLE: gone()}, {}],
    ids=["other mapping only", "not in identity", "nothing"],
)
def test_a_key_that_identity_never_had_is_an_orphan(staged: Dict[str, Staged]):
    """It is counted and nothing of it is stored."""
    comparison = look(None, staged)
    assert (comparison.action, comparison.contact, comparison.known) == (
        Action.ORPHAN,
        None,
        False,
    )


def test_a_new_contact_is_created_whole_and_urgently():
    """Mappings without a row for it have been read too, so their missing value counts."""
    churned = reading(plan=FieldSettings(missing="churned"))
    comparison = look(None, {PEOPLE: person()}, churned)
    assert (comparison.action, comparison.known) == (Action.CREATE, False)
    assert changed(comparison) == {
        "email": (None, ADA),
        "first_name": (None, "Ada"),
        PLAN: (None, "churned"),
    }
    contact = stored(comparison)
    assert contact.pending == {"email": ADA, "first_name": "Ada", PLAN: "churned"}
    assert (contact.rank, contact.since, contact.present) == (0, 100.0, True)
    assert comparison.observed == {
        PEOPLE: Observation(b"row", row=True),
        PLAN_SQL: Observation(b"no contacts/plan", row=False),
    }


def test_a_mapping_that_was_not_read_for_new_contacts_says_nothing_of_them():
    """Its missing row is not inferred."""
    unread = reading(covers_new=False, plan=FieldSettings(missing="churned"))
    comparison = look(None, {PEOPLE: person()}, unread)
    assert PLAN not in changed(comparison)
    assert PLAN_SQL not in comparison.observed


def test_the_first_load_is_marked_and_goes_in_the_background():
    """The mark stays with the contact, so that it is sent as an initial sync."""
    contact = stored(look(None, {PEOPLE: person()}, first_load=True))
    assert (contact.first_load, contact.rank) == (True, 2)


def test_an_address_is_sent_trimmed():
    """As it is compared and as the plan shows it."""
    assert changed(look(None, {PEOPLE: person(f"  {ADA} ")}))["email"] == (None, ADA)


# ---------------------------------------------------------------- differences


def test_nothing_differs():
    """The observation is stored, so that the row need not be looked at again."""
    comparison = look(KNOWN, {PEOPLE: person(), PLAN_SQL: row(plan="free")})
    assert comparison.action is Action.UNCHANGED
    assert not comparison.changes
    assert (stored(comparison).rank, stored(comparison).since) == (None, None)
    assert comparison.observed == {
        PEOPLE: Observation(b"row", row=True),
        PLAN_SQL: Observation(b"row", row=True),
    }


def test_one_field_differs():
    """It alone is pending; what Meisa holds already is not sent."""
    comparison = look(KNOWN, {PLAN_SQL: row(plan="pro")})
    assert (comparison.action, comparison.known) == (Action.UPDATE, True)
    assert changed(comparison) == {PLAN: ("free", "pro")}
    assert stored(comparison).pending == {PLAN: "pro"}
    assert stored(comparison).ledger == KNOWN.ledger
    assert comparison.changes[0].mapping == PLAN_SQL


def test_a_difference_keeps_the_time_it_was_first_seen():
    """However often its value changes before it is sent."""
    waiting = replace(KNOWN, pending={PLAN: "pro"}, since=5.0, rank=1)
    comparison = look(waiting, {PLAN_SQL: row(plan="team")})
    assert changed(comparison) == {PLAN: ("free", "team")}
    assert stored(comparison).since == 5.0


def test_a_difference_that_vanished_leaves_the_backlog():
    """No request is spent on it."""
    waiting = replace(KNOWN, pending={PLAN: "pro"}, since=5.0, rank=1)
    contact = stored(look(waiting, {PLAN_SQL: row(plan="free")}))
    assert (contact.pending, contact.since, contact.rank) == ({}, None, None)


def test_what_was_not_read_is_as_it_was_observed_last():
    """A pending value of a mapping that is not due stays pending."""
    waiting = replace(KNOWN, pending={PLAN: "pro"}, since=5.0)
    comparison = look(waiting, {PEOPLE: person(first_name="Augusta")})
    assert changed(comparison) == {"first_name": ("Ada", "Augusta"), PLAN: ("free", "pro")}
    assert PLAN_SQL not in comparison.observed


def test_only_what_this_pass_brought_is_new_in_it():
    """The guard judges a difference once."""
    waiting = replace(KNOWN, pending={PLAN: "pro"}, since=5.0)
    same_again = look(
        waiting, {PLAN_SQL: row(plan="pro", seats=2)}, reading(PLAN_SQL, "plan", "seats")
    )
    assert {c.field: c.new_in_this_pass for c in same_again.changes} == {PLAN: False, SEATS: True}
    other = look(waiting, {PLAN_SQL: row(plan="team")})
    assert [c.new_in_this_pass for c in other.changes] == [True]


def test_one_is_not_true():
    """A column that turns from 1 to true has changed for Meisa."""
    known = replace(KNOWN, ledger={**KNOWN.ledger, PLAN: 1})
    assert changed(look(known, {PLAN_SQL: row(plan=True)})) == {PLAN: (1, True)}
    assert look(known, {PLAN_SQL: row(plan=1)}).action is Action.UNCHANGED


def test_the_case_of_an_address_is_a_difference():
    """The user wrote it so, and the contact is the same."""
    assert changed(look(KNOWN, {PEOPLE: person("Ada@example.com")})) == {
        "email": (ADA, "Ada@example.com")
    }


# ---------------------------------------------------------------- NULL and missing rows


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (FieldSettings(), {PLAN: ("free", None)}),
        (FieldSettings(null="send"), {PLAN: ("free", None)}),
        (FieldSettings(null="skip"), {}),
        (FieldSettings(missing="churned"), {PLAN: ("free", None)}),
    ],
    ids=["default", "send", "skip", "missing says nothing of NULL"],
)
def test_null_in_a_custom_field_is_sent_unless_skipped(settings: FieldSettings, expected):
    """A missing row is another matter."""
    assert changed(look(KNOWN, {PLAN_SQL: row(plan=None)}, reading(plan=settings))) == expected


def test_null_in_an_attribute_is_skipped_unless_sent():
    """Meisa's documents do not mention null."""
    assert changed(look(KNOWN, {PEOPLE: person(first_name=None)})) == {}
    sent = compare(
        "1",
        KNOWN,
        {PEOPLE: person(first_name=None)},
        [reading(PEOPLE, "email", "first_name", first_name=FieldSettings(null="send"))],
        identity=PEOPLE,
        claims=[],
        first_load=False,
        now=1.0,
    )
    assert changed(sent) == {"first_name": ("Ada", None)}


def test_a_skipped_null_takes_back_what_was_not_sent_yet():
    """There is no difference to the ledger any more."""
    waiting = replace(KNOWN, pending={PLAN: "pro"}, since=5.0)
    skipping = reading(plan=FieldSettings(null="skip"))
    assert look(waiting, {PLAN_SQL: row(plan=None)}, skipping).action is Action.UNCHANGED


def test_null_is_left_out_where_meisa_never_held_the_field():
    """Nothing needs to be sent to keep nothing."""
    known = replace(KNOWN, ledger={"email": ADA})
    assert look(known, {PLAN_SQL: row(plan=None)}).action is Action.UNCHANGED
    assert look(known, {PLAN_SQL: gone()}).action is Action.UNCHANGED


def test_null_is_sent_where_a_value_may_have_arrived():
    """The field was never acknowledged, but it is in doubt."""
    known = replace(KNOWN, ledger={"email": ADA}, in_doubt=frozenset({PLAN}))
    assert changed(look(known, {PLAN_SQL: row(plan=None)})) == {PLAN: (None, None)}


def test_an_acknowledged_null_is_held():
    """It is not sent twice."""
    known = replace(KNOWN, ledger={**KNOWN.ledger, PLAN: None})
    assert look(known, {PLAN_SQL: row(plan=None)}).action is Action.UNCHANGED
    assert changed(look(known, {PLAN_SQL: row(plan="pro")})) == {PLAN: (None, "pro")}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (FieldSettings(), {PLAN: ("free", None)}),
        (FieldSettings(missing="churned"), {PLAN: ("free", "churned")}),
        (FieldSettings(keep=True), {}),
        (FieldSettings(null="skip"), {}),
        (FieldSettings(missing="churned", null="skip"), {PLAN: ("free", "churned")}),
    ],
    ids=["null", "constant", "keep", "null is skipped", "constant, null is skipped"],
)
def test_a_missing_row_means_what_the_mapping_says(settings: FieldSettings, expected):
    """NULL unless told otherwise, and then as NULL in that field is treated."""
    comparison = look(KNOWN, {PLAN_SQL: gone()}, reading(plan=settings))
    assert changed(comparison) == expected
    assert comparison.lost == {PLAN_SQL}
    assert comparison.observed == {PLAN_SQL: Observation(b"none", row=False)}


def test_a_missing_row_does_not_send_null_in_an_attribute():
    """It is skipped there as NULL in a row is."""
    names = reading("contacts/names", "last_name")
    known = replace(KNOWN, ledger={**KNOWN.ledger, "last_name": "Byron"})
    assert look(known, {"contacts/names": gone()}, names).action is Action.UNCHANGED


def test_a_kept_field_keeps_what_was_observed_last():
    """Also where that was not sent yet."""
    waiting = replace(KNOWN, pending={PLAN: "pro"}, since=5.0)
    kept = reading(plan=FieldSettings(keep=True))
    assert changed(look(waiting, {PLAN_SQL: gone()}, kept)) == {PLAN: ("free", "pro")}


def test_a_row_that_was_missing_before_is_not_lost_again():
    """The guard counts losses, not lacks."""
    assert look(KNOWN, {PLAN_SQL: gone(had_row=False)}).lost == frozenset()


# ---------------------------------------------------------------- doubt


def test_f03_a_value_that_went_back_while_in_doubt_is_still_sent():
    """Meisa may hold the other one."""
    doubtful = replace(KNOWN, in_doubt=frozenset({PLAN}), pending={PLAN: "pro"}, since=5.0)
    comparison = look(doubtful, {PLAN_SQL: row(plan="free")})
    assert comparison.action is Action.UPDATE
    assert changed(comparison) == {PLAN: ("free", "free")}
    assert stored(comparison).pending == {PLAN: "free"}
    assert stored(comparison).in_doubt == {PLAN}


def test_f03_a_field_in_doubt_is_sent_with_the_newest_observation():
    """Not with the one whose fate is unknown."""
    doubtful = replace(KNOWN, in_doubt=frozenset({PLAN}), pending={PLAN: "pro"}, since=5.0)
    assert changed(look(doubtful, {PLAN_SQL: row(plan="team")})) == {PLAN: ("free", "team")}


def test_a_field_in_doubt_is_sent_again_although_nothing_was_read():
    """It needs no row to be different."""
    doubtful = replace(KNOWN, in_doubt=frozenset({PLAN}), pending={PLAN: "pro"}, since=5.0)
    assert changed(look(doubtful, {})) == {PLAN: ("free", "pro")}


def test_doubt_alone_waits_for_real_changes():
    """Sending a value again is background work; a real difference keeps its priority."""
    urgent = reading(priority=Priority.URGENT)
    doubtful = replace(KNOWN, in_doubt=frozenset({PLAN}))
    assert stored(look(doubtful, {PLAN_SQL: row(plan="free")}, urgent)).rank == 2
    assert stored(look(doubtful, {PLAN_SQL: row(plan="pro")}, urgent)).rank == 0


def test_a_creation_in_doubt_is_still_a_creation():
    """Nothing was acknowledged yet, so everything is sent again, urgently."""
    doubtful = Contact(
        ref=1,
        external_id="1",
        pending={"email": ADA, PLAN: "pro"},
        in_doubt=frozenset({"email", PLAN}),
    )
    comparison = look(doubtful, {PEOPLE: person(first_name=None), PLAN_SQL: row(plan="pro")})
    assert comparison.action is Action.CREATE
    assert stored(comparison).rank == 0


# ---------------------------------------------------------------- priorities


def test_a_contact_is_as_urgent_as_its_most_urgent_difference():
    """Fields that do not differ have no say."""
    urgent = reading("contacts/a", "a", priority=Priority.URGENT)
    lazy = reading(
        "contacts/b",
        "b",
        "c",
        priority=Priority.BACKGROUND,
        c=FieldSettings(priority=Priority.NORMAL),
    )
    only_b = {"contacts/b": row(b=1, c=None)}
    assert stored(look(KNOWN, only_b, urgent, lazy)).rank == 2
    assert stored(look(KNOWN, {"contacts/b": row(b=1, c=1)}, urgent, lazy)).rank == 1
    assert stored(look(KNOWN, {**only_b, "contacts/a": row(a=1)}, urgent, lazy)).rank == 0


# ---------------------------------------------------------------- gone and back


def test_f55_a_contact_that_disappears_is_removed_and_not_sent():
    """What is pending and in doubt stays, out of the backlog."""
    waiting = replace(KNOWN, pending={PLAN: "pro"}, in_doubt=frozenset({PLAN}), since=5.0, rank=1)
    comparison = look(waiting, {PEOPLE: gone(), PLAN_SQL: row(plan="team")})
    assert (comparison.action, comparison.known, comparison.gone_now) == (
        Action.REMOVED,
        True,
        True,
    )
    assert comparison.lost == {PEOPLE}
    contact = stored(comparison)
    assert (contact.present, contact.rank) == (False, None)
    assert contact.pending == {PLAN: "pro"}
    assert contact.in_doubt == {PLAN}


def test_f55_a_contact_that_stays_away_is_not_gone_again():
    """Neither another mapping's row nor a repeated absence brings it up."""
    away = replace(KNOWN, present=False)
    still = look(away, {PLAN_SQL: row(plan="pro")})
    assert (still.action, still.contact, still.gone_now) == (Action.REMOVED, None, False)
    again = look(away, {PEOPLE: gone(had_row=False)})
    assert (again.action, again.gone_now, again.lost) == (Action.REMOVED, False, frozenset())


def test_f55_a_contact_that_comes_back_is_sent_its_differences_only():
    """A mapping without a row for it has none any more."""
    away = replace(KNOWN, present=False, ledger={**KNOWN.ledger, SEATS: 3})
    seats = reading("contacts/seats", "seats")
    comparison = look(away, {PEOPLE: person(), PLAN_SQL: row(plan="pro")}, reading(), seats)
    assert (comparison.action, comparison.known) == (Action.UPDATE, True)
    assert changed(comparison) == {PLAN: ("free", "pro"), SEATS: (3, None)}
    assert stored(comparison).present


def test_f55_a_contact_that_comes_back_as_it_was_costs_nothing():
    """Meisa kept it."""
    away = replace(KNOWN, present=False)
    comparison = look(away, {PEOPLE: person(), PLAN_SQL: row(plan="free")})
    assert comparison.action is Action.UNCHANGED
    assert stored(comparison).present


def test_f54_fields_that_no_mapping_yields_any_more_keep_their_ledger():
    """Meisa keeps the value; what was pending of it is not sent."""
    waiting = replace(KNOWN, pending={PLAN: "pro"}, in_doubt=frozenset({PLAN}), since=5.0)
    comparison = compare(
        "1",
        waiting,
        {PEOPLE: person()},
        [IDENTITY],
        identity=PEOPLE,
        claims=[],
        first_load=False,
        now=9.0,
    )
    assert comparison.action is Action.UNCHANGED
    contact = stored(comparison)
    assert (contact.ledger[PLAN], contact.pending) == ("free", {})
    assert contact.in_doubt == {PLAN}
    # The mapping returns, and the field is compared with what was kept.
    back = look(contact, {PLAN_SQL: row(plan="free")})
    assert changed(back) == {PLAN: ("free", "free")}
    assert look(replace(contact, in_doubt=frozenset()), {PLAN_SQL: row(plan="free")}).changes == ()


# ---------------------------------------------------------------- rows that cannot be used


def test_f40_a_duplicate_key_in_identity_makes_the_contact_invalid():
    """Neither row wins; both are named, and the row is judged again every pass."""
    twice = Staged(duplicate="rows email=a and email=b", had_row=True)
    comparison = look(KNOWN, {PEOPLE: twice, PLAN_SQL: row(plan="pro")})
    assert comparison.action is Action.INVALID
    assert [(i.code, i.message, i.mapping) for i in comparison.invalid] == [
        ("key_duplicate", "rows email=a and email=b", PEOPLE)
    ]
    assert comparison.observed == {PEOPLE: None}
    assert (stored(comparison).invalid, stored(comparison).rank) == ("key_duplicate", None)


def test_f40_a_duplicate_key_in_another_mapping_leaves_its_fields_alone():
    """They are as they were observed last; the contact's other fields go out."""
    twice = Staged(duplicate="rows plan=a and plan=b", had_row=True)
    waiting = replace(KNOWN, pending={PLAN: "pro"}, since=5.0)
    comparison = look(waiting, {PEOPLE: person(first_name="Augusta"), PLAN_SQL: twice})
    assert changed(comparison) == {"first_name": ("Ada", "Augusta"), PLAN: ("free", "pro")}
    assert [(i.code, i.mapping, i.field) for i in comparison.invalid] == [
        ("key_duplicate", PLAN_SQL, "")
    ]
    assert comparison.observed[PLAN_SQL] is None


@pytest.mark.parametrize(
    ("staged", "code"),
    [
        (person(None), "email_missing"),
        (person("  "), "email_missing"),
        (person("ada"), "email_malformed"),
        (Staged(values={}, errors={"email": ("invalid_text", "NUL")}), "invalid_text"),
    ],
    ids=["null", "blank", "malformed", "not canonical"],
)
@pytest.mark.parametrize("known", [None, KNOWN], ids=["new", "known"])
def test_f42_a_contact_without_a_usable_address_costs_no_request(
    known: Contact | None, staged: Staged, code: str
):
    """A new one is not stored; a known one is marked, and what is pending for it stays."""
    before = known and replace(known, pending={PLAN: "pro"}, since=5.0, rank=1)
    comparison = look(before, {PEOPLE: staged, PLAN_SQL: row(plan="team")})
    assert (comparison.action, comparison.known) == (Action.INVALID, known is not None)
    assert [i.code for i in comparison.invalid] == [code]
    if known is None:
        assert comparison.contact is None
    else:
        contact = stored(comparison)
        assert (contact.invalid, contact.rank, contact.pending) == (code, None, {PLAN: "pro"})


def test_f42_a_marked_contact_stays_so_until_identity_is_read():
    """Other mappings cannot know better; nothing is stored, so their rows are looked at again."""
    marked = replace(KNOWN, invalid="email_missing")
    comparison = look(marked, {PLAN_SQL: row(plan="pro")})
    assert (comparison.action, comparison.contact, comparison.known) == (
        Action.INVALID,
        None,
        True,
    )
    assert comparison.observed == {}


def test_f42_a_contact_whose_address_is_usable_again_goes_on():
    """With its differences, and without the mark."""
    marked = replace(KNOWN, invalid="email_missing", pending={PLAN: "pro"}, since=5.0)
    comparison = look(marked, {PEOPLE: person()})
    assert changed(comparison) == {PLAN: ("free", "pro")}
    assert (stored(comparison).invalid, stored(comparison).rank) == ("", 1)


def test_f47_an_unusable_value_sets_its_field_aside_alone():
    """It is named, its last observation holds, and the other fields go out."""
    both = reading(PLAN_SQL, "plan", "seats")
    broken = Staged(
        values={"plan": "pro"}, errors={"seats": ("not_a_number", "NaN")}, fingerprint=b"row"
    )
    known = replace(KNOWN, ledger={**KNOWN.ledger, SEATS: 3})
    comparison = look(known, {PLAN_SQL: broken}, both)
    assert comparison.action is Action.UPDATE
    assert changed(comparison) == {PLAN: ("free", "pro")}
    assert [(i.mapping, i.external_id, i.code, i.message, i.field) for i in comparison.invalid] == [
        (PLAN_SQL, "1", "not_a_number", "NaN", SEATS)
    ]
    # Forgotten, so that the row is judged again even if it stays the same.
    assert comparison.observed == {PLAN_SQL: None}


# ---------------------------------------------------------------- one address, several contacts


def claim(external_id: str, *, holds: bool = False, observes: bool = True) -> Claim:
    """Return a contact's relation to the address."""
    return Claim(external_id=external_id, email_key=ADA, holds=holds, observes=observes)


def test_f43_a_contact_alone_with_its_address_goes_on():
    """Its own claim is no conflict."""
    assert email_conflict("1", []) is None
    assert email_conflict("1", [claim("1")]) is None


def test_f43_the_holder_goes_on_and_the_newcomer_is_invalid():
    """Meisa would merge the two; the one it has under the address stays."""
    claims = [claim("1"), claim("2", holds=True)]
    assert email_conflict("2", claims) is None
    assert email_conflict("1", claims) == (
        "email_duplicate",
        "the address belongs to 2 at Meisa",
    )
    comparison = look(None, {PEOPLE: person()}, claims=claims)
    assert (comparison.action, comparison.contact) == (Action.INVALID, None)


def test_f43_where_none_holds_the_address_all_are_invalid():
    """Any choice could mix up two people."""
    claims = [claim("3"), claim("1"), claim("2")]
    for each in ("1", "2", "3"):
        code, message = email_conflict(each, claims) or ("", "")
        others = sorted({"1", "2", "3"} - {each})
        assert (code, message) == (
            "email_duplicate",
            f"the same address is used by {', '.join(others)}",
        )


def test_f43_a_known_contact_is_stopped_although_its_row_was_not_read():
    """A newcomer took the address that it waits to be sent with."""
    waiting = Contact(ref=1, external_id="1", pending={"email": ADA}, since=5.0, rank=0)
    comparison = look(waiting, {}, claims=[claim("1"), claim("2")])
    assert comparison.action is Action.INVALID
    assert (stored(comparison).invalid, stored(comparison).rank) == ("email_duplicate", None)


def test_f44_who_takes_an_address_waits_for_who_leaves_it():
    """Meisa still has it under the other contact."""
    claims = [claim("1"), claim("2", holds=True, observes=False)]
    code, message = email_conflict("1", claims) or ("", "")
    assert code == "email_waiting"
    assert "2's" in message
    comparison = look(KNOWN, {PEOPLE: person()}, claims=claims)
    assert (comparison.action, stored(comparison).invalid) == (Action.INVALID, "email_waiting")


@pytest.mark.parametrize("order", [1, -1])
def test_f44_a_holder_that_stays_weighs_more_than_one_that_leaves(order: int):
    """The verdict does not depend on the order in which the claims were found."""
    claims = [claim("1"), claim("2", holds=True, observes=False), claim("3", holds=True)][::order]
    assert email_conflict("1", claims) == (
        "email_duplicate",
        "the address belongs to 3 at Meisa",
    )


def test_f44_an_address_that_changed_is_an_update_of_the_same_contact():
    """It is found by its key, not by its address."""
    assert changed(look(KNOWN, {PEOPLE: person("ada@new.org")}, claims=[claim("1")])) == {
        "email": (ADA, "ada@new.org")
    }


# ---------------------------------------------------------------- quarantine


def quarantined(pending: Dict[str, Value]) -> Contact:
    """Return a contact that was quarantined for sending this."""
    contact = replace(KNOWN, pending=pending, since=5.0)
    reason = Quarantined(
        code="rejected_400", message="no", payload=request_for(contact).fingerprint, since=6.0
    )
    return replace(contact, quarantine=reason)


def test_a_quarantined_contact_is_not_tried_again_with_the_same_payload():
    """It would be rejected again."""
    comparison = look(quarantined({PLAN: "pro"}), {PLAN_SQL: row(plan="pro")})
    assert comparison.action is Action.QUARANTINED
    assert stored(comparison).quarantine is not None
    assert stored(comparison).rank is None


def test_a_quarantined_contact_is_tried_again_with_another_payload():
    """Its content changed, so the reason may be gone."""
    comparison = look(quarantined({PLAN: "pro"}), {PLAN_SQL: row(plan="team")})
    assert comparison.action is Action.UPDATE
    assert (stored(comparison).quarantine, stored(comparison).rank) == (None, 1)


def test_a_quarantined_contact_without_a_difference_is_free():
    """There is nothing left to reject."""
    comparison = look(quarantined({PLAN: "pro"}), {PLAN_SQL: row(plan="free")})
    assert comparison.action is Action.UNCHANGED
    assert stored(comparison).quarantine is None


def test_a_creation_that_was_rejected_is_quarantined():
    """Its payload is compared whole, the source it is sent with included."""
    contact = Contact(ref=1, external_id="1", pending={"email": ADA, "first_name": "Ada"})
    reason = Quarantined(
        code="rejected_422", message="", payload=request_for(contact).fingerprint, since=6.0
    )
    comparison = look(replace(contact, quarantine=reason), {PEOPLE: person()})
    assert comparison.action is Action.QUARANTINED


# ---------------------------------------------------------------- tags and source


@pytest.mark.parametrize(
    ("held", "seen", "pending"),
    [
        (None, ["b", "a"], ["a", "b"]),
        (["a"], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["b"], None),
        (["a"], [], None),
        (["a"], None, None),
        (["a"], "a", None),
        ([], [], None),
        (None, [], None),
        (None, None, None),
    ],
    ids=str,
)
def test_tags_are_only_ever_added(held: Value, seen: Value, pending: Value):
    """A tag that vanished from the column is no difference, nor are all of them."""
    known = replace(KNOWN, ledger={"email": ADA} | ({} if held is None else {TAGS: held}))
    comparison = look(known, {PLAN_SQL: row(tag_names=seen)}, reading(PLAN_SQL, "tag_names"))
    assert stored(comparison).pending.get(TAGS) == pending
    assert comparison.action is (Action.UNCHANGED if pending is None else Action.UPDATE)


@pytest.mark.parametrize(
    ("settings", "pending"),
    [
        (FieldSettings(), {}),
        (FieldSettings(null="send"), {}),
        (FieldSettings(keep=True), {}),
        (FieldSettings(missing=["churned"]), {TAGS: ["a", "churned"]}),
    ],
    ids=["default", "send null", "keep", "constant"],
)
def test_a_missing_row_takes_no_tag_away(settings: FieldSettings, pending: Dict[str, Value]):
    """It may add one."""
    known = replace(KNOWN, ledger={"email": ADA, TAGS: ["a"]})
    tags = reading(PLAN_SQL, "tag_names", tag_names=settings)
    assert stored(look(known, {PLAN_SQL: gone()}, tags)).pending == pending


def test_source_is_sent_when_creating_only():
    """Meisa keeps the first one, so it is never compared."""
    with_source = reading(PLAN_SQL, "source")
    seen = {PEOPLE: person(), PLAN_SQL: row(source="signup")}
    assert changed(look(None, seen, with_source))["source"] == (None, "signup")
    assert "source" not in changed(look(KNOWN, seen, with_source))


@pytest.mark.parametrize("source", [None, "elsewhere"])
def test_a_source_that_meisa_does_not_know_is_not_sent(source: Value):
    """A creation then says `api`, as it does without one."""
    seen = {PEOPLE: person(), PLAN_SQL: row(source=source)}
    assert "source" not in changed(look(None, seen, reading(PLAN_SQL, "source")))
