"""A contact's fields, and the body of its upsert."""

from dataclasses import replace

import pytest

from meisa_cdc.core.contact import (
    UNSET,
    Contact,
    Late,
    Quarantined,
    acknowledged,
    confirming,
    doubted,
    field_of,
    payload,
)

PLAN = "custom_fields.plan"
REJECTED = Quarantined(code="rejected_400", message="no", payload=b"p", since=1.0)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("email", "email"),
        ("first_name", "first_name"),
        ("last_name", "last_name"),
        ("display_name", "display_name"),
        ("source", "source"),
        ("tag_names", "tag_names"),
        ("plan", PLAN),
        ("Email", "custom_fields.Email"),
        ("status", "custom_fields.status"),
        ("name", "custom_fields.name"),
        ("tags", "custom_fields.tags"),
    ],
)
def test_a_column_is_an_attribute_or_a_custom_field(column: str, name: str):
    """Exactly six names are attributes; Meisa's other top-level names are never sent."""
    assert field_of(column) == name


def test_what_is_pending_lies_over_the_ledger():
    """NULL is a value that was observed, no value is none."""
    contact = Contact(
        external_id="1",
        ledger={PLAN: "free", "first_name": "Ada", "last_name": None},
        pending={PLAN: "pro", "first_name": None},
    )
    assert contact.last_observed(PLAN) == "pro"
    assert contact.last_observed("first_name") is None
    assert contact.last_observed("last_name") is None
    assert contact.last_observed("email") is UNSET


@pytest.mark.parametrize(
    ("ledger", "pending", "email", "key"),
    [
        ({}, {}, "", ""),
        ({"email": "A@x.com"}, {}, "A@x.com", "a@x.com"),
        ({}, {"email": "A@x.com"}, "A@x.com", ""),
        ({"email": "A@x.com"}, {"email": "b@x.com"}, "b@x.com", "a@x.com"),
        ({"email": None}, {"email": None}, "", ""),
    ],
)
def test_a_contact_goes_by_its_newest_address(ledger, pending, email: str, key: str):
    """What Meisa holds is told apart: only that blocks the address for others."""
    contact = Contact(external_id="1", ledger=ledger, pending=pending)
    assert contact.email == email
    assert contact.acknowledged_email_key == key


def test_the_body_of_an_upsert_has_the_identifiers_and_the_given_fields_alone():
    """Custom fields go below their own key; the address is the one it goes by."""
    body = payload(
        "7",
        "ada@example.com",
        {
            PLAN: "pro",
            "custom_fields.a.b": None,
            "email": "old@example.com",
            "first_name": "Ada",
            "tag_names": ["vip"],
        },
    )
    assert body == {
        "email": "ada@example.com",
        "external_id": "7",
        "first_name": "Ada",
        "tag_names": ["vip"],
        "custom_fields": {"plan": "pro", "a.b": None},
    }


def test_a_body_without_custom_fields_does_not_mention_them():
    """Nothing is sent that did not change."""
    assert payload("7", "a@x.com", {}) == {"email": "a@x.com", "external_id": "7"}


def test_values_taken_as_acknowledged_are_no_longer_pending():
    """With nothing else pending the contact leaves the backlog."""
    contact = Contact(
        external_id="1",
        ledger={"email": "a@x.com"},
        pending={PLAN: "pro", "first_name": "Ada"},
        since=5.0,
        rank=1,
    )
    part = acknowledged(contact, {PLAN: "pro"})
    assert part.ledger == {"email": "a@x.com", PLAN: "pro"}
    assert (part.pending, part.rank, part.since) == ({"first_name": "Ada"}, 1, 5.0)
    whole = acknowledged(part, {"first_name": "Ada"})
    assert (whole.pending, whole.rank, whole.since) == ({}, None, None)


def test_fields_put_in_doubt_are_sent_again_in_the_background():
    """With the value on the ledger, unless a newer one waits already."""
    contact = Contact(
        external_id="1",
        ledger={"email": "a@x.com", PLAN: "free"},
        in_doubt=frozenset({"first_name"}),
    )
    again = doubted(contact, frozenset({PLAN}), 9.0)
    assert again.in_doubt == {"first_name", PLAN}
    assert (again.pending, again.rank, again.since) == ({PLAN: "free"}, 2, 9.0)


def test_a_contact_that_waits_keeps_its_place_and_its_newer_value():
    """Doubt makes nothing less urgent."""
    contact = Contact(
        external_id="1", ledger={PLAN: "free"}, pending={PLAN: "pro"}, rank=0, since=5.0
    )
    again = doubted(contact, frozenset({PLAN}), 9.0)
    assert (again.pending, again.rank, again.since) == ({PLAN: "pro"}, 0, 5.0)


@pytest.mark.parametrize(
    "contact",
    [
        Contact(external_id="1", ledger={PLAN: "free"}, invalid="email_missing"),
        Contact(external_id="1", ledger={PLAN: "free"}, quarantine=REJECTED),
        Contact(external_id="1", ledger={PLAN: "free"}, present=False),
    ],
    ids=["invalid", "quarantined", "gone"],
)
def test_doubt_makes_no_contact_sendable_that_is_not(contact: Contact):
    """It is marked, and sent once the contact may be sent again."""
    again = doubted(contact, frozenset({PLAN}), 9.0)
    assert again.in_doubt == {PLAN}
    assert again.rank is None


LATE = Late(fields=frozenset({PLAN, "first_name", "tag_names"}), at=1.0, confirm_at=100.0)


def test_f60_what_may_have_been_overwritten_is_sent_once_more():
    """With its present value, in the background, just once."""
    contact = Contact(
        external_id="1",
        ledger={"email": "a@x.com", PLAN: "free", "tag_names": ["a"], "first_name": "Ada"},
        riding={"first_name": "Eva"},
        due=500.0,
        late=LATE,
    )
    assert confirming(contact, 99.9) is contact
    after = confirming(contact, 100.0)
    # Tags are added and never taken away, so a late request does no harm there.
    assert after.pending == {PLAN: "free", "first_name": "Eva"}
    assert after.in_doubt == {PLAN, "first_name"}
    assert (after.rank, after.since, after.late) == (2, 100.0, None)
    assert (after.riding, after.due) == ({}, None)


@pytest.mark.parametrize("late", [None, replace(LATE, confirm_at=None)])
def test_without_a_date_nothing_is_confirmed(late: Late | None):
    """Nothing was overwritten, or the resend was not accepted yet."""
    contact = Contact(external_id="1", ledger={PLAN: "free"}, late=late)
    assert confirming(contact, 1e9) is contact


def test_f60_what_is_not_on_the_ledger_needs_no_confirmation():
    """There would be nothing to send, and the contact would wait in vain."""
    contact = Contact(external_id="1", ledger={"email": "a@x.com"}, late=LATE)
    assert confirming(contact, 100.0) == replace(contact, late=None)


def test_values_taken_as_acknowledged_are_inherited_no_more():
    """Whoever says so answers for what Meisa holds."""
    contact = Contact(external_id="1", inherits=frozenset({PLAN, "first_name"}))
    assert acknowledged(contact, {PLAN: None}).inherits == {"first_name"}
