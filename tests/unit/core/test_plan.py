"""A run's changes: figures, digest, and what the user is shown."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from meisa_cdc.core.contact import Contact
from meisa_cdc.core.diff import Action, Comparison, Invalid
from meisa_cdc.core.fields import FieldChange
from meisa_cdc.core.guard import Hold
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.plan import (
    Summary,
    Tallies,
    approved,
    change_document,
    change_print,
    combined,
    concerned,
    digest_of,
    fires,
    guard_document,
    invalid_document,
)
from meisa_cdc.core.values import Value

PEOPLE, PLANS = "contacts/people", "contacts/plan"
FILES = {PEOPLE: "aa", PLANS: "bb"}
PLAN = "custom_fields.plan"


def change(name: str = PLAN, old: Value = "free", new: Value = "pro", **more) -> FieldChange:
    """Return a change of one field."""
    settings = {"mapping": PLANS, "priority": Priority.NORMAL, "new_in_this_pass": True, **more}
    return FieldChange(field=name, old=old, new=new, **settings)


def compared(
    *changes: FieldChange,
    key: str = "7",
    action: Action = Action.UPDATE,
    known: bool = True,
    **more,
) -> Comparison:
    """Return what a pass means for one contact."""
    contact = more.pop(
        "contact",
        Contact(
            external_id=key,
            ledger={c.field: c.old for c in changes if c.old is not None},
            pending={c.field: c.new for c in changes},
        ),
    )
    return Comparison(
        external_id=key, action=action, contact=contact, differences=changes, known=known, **more
    )


def tallied(*comparisons: Comparison, files: dict[str, str] | None = None) -> Tallies:
    """Return the figures of comparisons of contacts that identity had before."""
    tallies = Tallies(files or FILES)
    for each in comparisons:
        tallies.add(each, was_present=True)
    return tallies


def hold(mapping: str, digest: str) -> Hold:
    """Return a hold."""
    return Hold(mapping=mapping, reason="max_change", message="many", contacts=3, digest=digest)


# ---------------------------------------------------------------- figures


def test_every_contact_is_counted_once():
    """Those that were on record before are counted apart as well."""
    tallies = tallied(
        compared(change()),
        compared(change(old=None), key="8", action=Action.CREATE, known=False),
        compared(key="9", action=Action.UNCHANGED),
        compared(key="10", action=Action.ORPHAN, known=False, contact=None),
    )
    assert tallies.actions == {"update": 1, "create": 1, "unchanged": 1, "orphan": 1}
    assert +tallies.known == {"update": 1, "unchanged": 1}


def test_the_cost_tells_which_fields_make_requests_necessary():
    """And which of them alone: making those ride along would save their requests."""
    email = change("email", mapping=PEOPLE)
    tallies = tallied(
        compared(change(), email), compared(change(), key="8"), compared(email, key="9")
    )
    assert tallies.by_field == {PLAN: 2, "email": 2}
    assert tallies.sole == {PLAN: 1, "email": 1}


def test_only_what_is_new_in_a_known_contact_is_a_surprise():
    """New contacts are counted apart; what was admitted before is not judged again."""
    old = change(new_in_this_pass=False)
    email = change("email", mapping=PEOPLE)
    tallies = tallied(
        compared(change(), change("custom_fields.seats"), email),
        compared(old, key="8"),
        compared(change(old=None), key="9", action=Action.CREATE, known=False),
    )
    assert tallies.changed == {PLANS: 1, PEOPLE: 1}
    assert tallies.created == {PLANS: 1}


@pytest.mark.parametrize("action", [Action.QUARANTINED, Action.INVALID, Action.REMOVED])
def test_changes_that_are_not_sent_cost_nothing_and_surprise_nobody(action: Action):
    """Quarantined contacts count as known, not as changed."""
    tallies = tallied(compared(change(), action=action))
    assert (tallies.by_field, tallies.changed) == ({}, {})
    assert tallies.digest_of_all() == tallied().digest_of_all()


def test_lost_rows_are_counted_and_named():
    """A hold of them must not be approved for other contacts."""
    one = tallied(compared(action=Action.REMOVED, lost=frozenset({PEOPLE}), gone_now=True))
    other = tallied(compared(key="8", action=Action.REMOVED, lost=frozenset({PEOPLE})))
    assert one.lost == {PEOPLE: 1}
    assert (one.gone_now, other.gone_now) == (1, 0)
    assert len({one.digest(PEOPLE), other.digest(PEOPLE), tallied().digest(PEOPLE)}) == 3
    assert one.digest(PLANS) == tallied().digest(PLANS)


@pytest.mark.parametrize(
    ("comparison", "was_present", "returned"),
    [
        (compared(change()), False, 1),
        (compared(action=Action.UNCHANGED), False, 1),
        (compared(action=Action.UNCHANGED), True, 0),
        (compared(action=Action.REMOVED), False, 0),
        (compared(action=Action.CREATE, known=False), False, 0),
    ],
    ids=["changed", "as it was", "never away", "still away", "new"],
)
def test_f55_contacts_that_came_back_are_counted(
    comparison: Comparison, was_present: bool, returned: int
):
    """They were on record as gone, and are there again."""
    tallies = Tallies(FILES)
    tallies.add(comparison, was_present=was_present)
    assert tallies.returned == returned


# ---------------------------------------------------------------- digest


def digest(*comparisons: Comparison, files: dict[str, str] | None = None) -> str:
    """Return the digest of all changes."""
    return tallied(*comparisons, files=files).digest_of_all()


def test_the_same_changes_have_the_same_digest():
    """No time, no count, no priority and no order of columns or mappings goes into it."""
    email = change("email", "a@x.com", "b@x.com", mapping=PEOPLE)
    seats = change("custom_fields.seats", 1, {"b": 1, "a": 2})
    one = compared(change(), seats, email)
    other = compared(
        email,
        seats._replace(new={"a": 2, "b": 1}),
        change(priority=Priority.URGENT, new_in_this_pass=False),
        contact=Contact(external_id="7", since=99.0, rank=2, ref=5),
    )
    assert digest(one) == digest(other)
    assert digest(one) == digest(other, files={PLANS: "bb", PEOPLE: "aa"})


def test_texts_that_look_like_other_values_have_another_digest():
    """A list, and the text that is printed for it; what holds others in any order."""
    values: list[Value] = [["a"], '["a"]', "(['a'],)", {"a": 1}, '{"a":1}', None, "None"]
    assert len({digest(compared(change(new=value))) for value in values}) == len(values)


@pytest.mark.parametrize(
    "other",
    [
        compared(change(), key="8"),
        compared(change(old="team")),
        compared(change(old=None)),
        compared(change(new="team")),
        compared(change(new=None)),
        compared(change("custom_fields.tier")),
        compared(change(mapping=PEOPLE)),
        compared(change(), change("custom_fields.seats")),
        compared(change(), lost=frozenset({PLANS})),
        compared(change(new=True)),
        compared(change(new=1)),
        compared(change(new="1")),
        compared(),
    ],
    ids=[
        "contact", "old", "no old", "new", "null", "field", "mapping", "more", "lost", "true",
        "1", "'1'", "none",
    ],
)  # fmt: skip
def test_other_changes_have_another_digest(other: Comparison):
    """An approval names exactly what was shown."""
    assert digest(other) != digest(compared(change()))


def test_an_edited_file_changes_the_digest_without_any_change():
    """What was approved was this mapping as it stood."""
    assert digest(files={PEOPLE: "aa", PLANS: "cc"}) != digest()
    tallies = tallied(files={PEOPLE: "aa", PLANS: "cc"})
    assert tallies.digest(PEOPLE) == tallied().digest(PEOPLE)
    assert tallies.digest(PLANS) != tallied().digest(PLANS)


def test_digests_combine_in_any_order():
    """One alone is itself, so that one hold is approved by the digest of the plan."""
    assert combined(["a"]) == "a"
    assert combined(["a", "b"]) == combined(["b", "a"])
    assert (
        len({combined([]), combined(["a", "b"]), combined(["ab"]), combined(["a", "b", "c"])}) == 4
    )


def test_the_plan_s_digest_is_that_of_what_is_held():
    """Or of everything, where nothing is."""
    holds = (hold(PEOPLE, "d1"), hold(PLANS, "d2"))
    assert digest_of((), "all") == "all"
    assert digest_of(holds[:1], "all") == "d1"
    assert digest_of(holds, "all") == combined(["d1", "d2"])


@pytest.mark.parametrize(
    ("name", "released"),
    [
        ("d1", {PEOPLE}),
        ("d2", {PLANS}),
        (combined(["d1", "d2"]), {PEOPLE, PLANS}),
        ("", set()),
        ("other", set()),
    ],
    ids=["one", "other", "both", "nothing", "unknown"],
)
def test_an_approval_releases_what_its_digest_names(name: str, released: Iterable[str]):
    """One mapping's hold, or all of them; never anything by accident."""
    assert approved((hold(PEOPLE, "d1"), hold(PLANS, "d2")), name) == released


def test_no_digest_releases_anything_where_nothing_is_held():
    """Not even the digest of nothing."""
    assert approved((), combined([])) == frozenset()


# ---------------------------------------------------------------- recognising a change later


def test_a_change_is_recognised_by_what_it_changes():
    """In any order of the columns, whatever happened in other mappings."""
    scope = frozenset({PLANS})
    seats, email = change("custom_fields.seats", 1, 2), change("email", mapping=PEOPLE)
    assert change_print(compared(change(), seats), scope) == change_print(
        compared(seats, email, change(), lost=frozenset({PEOPLE})), scope
    )


@pytest.mark.parametrize(
    "other",
    [
        compared(change(new="team")),
        compared(change(old="team")),
        compared(change(), change("custom_fields.seats")),
        compared(change(), lost=frozenset({PLANS})),
        compared(change(), action=Action.CREATE),
        compared(),
    ],
    ids=["new", "old", "more", "lost", "create", "none"],
)
def test_another_change_is_not_taken_for_the_approved_one(other: Comparison):
    """Only what was shown is released."""
    scope = frozenset({PLANS})
    assert change_print(other, scope) != change_print(compared(change()), scope)


# ---------------------------------------------------------------- what is shown


@pytest.mark.parametrize(
    ("comparison", "triggers"),
    [
        (compared(change(old=None), action=Action.CREATE), ["contact_created"]),
        (compared(change()), ["contact_updated"]),
        (compared(change(old=None, new="x")), ["contact_updated"]),
        (compared(change(old="free", new="free")), []),
        (compared(change(), action=Action.QUARANTINED), []),
        (compared(action=Action.UNCHANGED), []),
        (compared(change("tag_names", ["a"], ["a", "b"])), ["tag_added"]),
        (
            compared(change(), change("tag_names", None, ["b"])),
            ["contact_updated", "tag_added"],
        ),
        (
            compared(change("tag_names", None, ["b"]), action=Action.CREATE),
            ["contact_created", "tag_added"],
        ),
        (compared(change("tag_names", ["a"], ["a"])), []),
        (compared(change("tag_names", ["a"], None)), []),
        (compared(change(), contact=None), ["contact_updated"]),
    ],
    ids=[
        "create", "update", "first value", "in doubt", "quarantined", "unchanged", "tag",
        "update and tag", "create and tag", "tag in doubt", "no tags", "not stored",
    ],
)  # fmt: skip
def test_the_triggers_a_request_would_fire_are_told(comparison: Comparison, triggers: list[str]):
    """A value that Meisa holds already fires nothing when it is sent again."""
    assert fires(comparison) == triggers


def test_a_change_is_shown_field_by_field():
    """From what Meisa holds to what it would hold."""
    comparison = compared(change(), change("email", None, "a@x.com", mapping=PEOPLE))
    assert change_document(comparison, "urgent") == {
        "external_id": "7",
        "action": "update",
        "priority": "urgent",
        "reasons": [PLAN, "email"],
        "fields": {
            PLAN: {"from": "free", "to": "pro"},
            "email": {"from": None, "to": "a@x.com"},
        },
        "fires": ["contact_updated"],
    }


def test_an_invalid_row_is_shown_with_its_code():
    """And with its field, where only that is invalid."""
    row = Invalid(mapping=PEOPLE, external_id=None, code="key_null", message="the key is NULL")
    assert invalid_document(row) == {
        "mapping": PEOPLE,
        "external_id": None,
        "code": "key_null",
        "message": "the key is NULL",
    }
    field = replace(row, external_id="7", field=PLAN)
    assert invalid_document(field)["field"] == PLAN


def test_the_guard_s_verdict_is_shown_with_its_holds():
    """Each with what its approval has to name."""
    assert guard_document(()) == {"verdict": "ok", "holds": []}
    assert guard_document((hold(PLANS, "d1"),)) == {
        "verdict": "held",
        "holds": [
            {
                "mapping": PLANS,
                "reason": "max_change",
                "message": "many",
                "contacts": 3,
                "digest": "d1",
            }
        ],
    }


def test_a_mapping_is_concerned_by_its_changes_and_by_rows_it_lost():
    """And by nothing else."""
    comparison = compared(change())
    assert concerned(comparison, frozenset({comparison.changes[0].mapping}))
    assert not concerned(comparison, frozenset({"contacts/other"}))
    lost = comparison._replace(differences=(), lost=frozenset({"contacts/other"}))
    assert concerned(lost, frozenset({"contacts/other"}))


def test_what_needs_a_request_is_a_change():
    """Whether or not Meisa has the contact."""
    assert Summary(create=2, update=3, unchanged=5, riding=1).changes == 5
