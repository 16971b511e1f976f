"""Which class a contact's pending delivery is in."""

from dataclasses import replace

import pytest

from meisa_cdc.core.backlog import favoured, in_turn, rank_of
from meisa_cdc.core.contact import Contact, Quarantined
from meisa_cdc.core.mapping import Priority

KNOWN = Contact(external_id="1", ledger={"email": "a@x.com"}, pending={"custom_fields.plan": "pro"})
NEW = Contact(external_id="1", pending={"email": "a@x.com"})


@pytest.mark.parametrize(
    ("causes", "rank"),
    [
        ([Priority.NORMAL], 1),
        ([Priority.BACKGROUND, Priority.URGENT, Priority.NORMAL], 0),
        ([Priority.BACKGROUND], 2),
        ([], 2),
    ],
)
def test_a_known_contact_is_as_urgent_as_its_most_urgent_field(causes: list[Priority], rank: int):
    """Where no field causes a request, what is pending can wait."""
    assert rank_of(KNOWN, causes) == rank


def test_a_new_contact_is_urgent_whatever_its_fields():
    """Its welcome cannot wait."""
    assert rank_of(NEW, [Priority.BACKGROUND]) == 0


def test_the_first_load_is_background_whatever_its_fields():
    """Tens of thousands of old contacts must not overtake a real change."""
    assert rank_of(replace(NEW, first_load=True), [Priority.URGENT]) == 2


def test_a_contact_of_the_first_load_is_like_others_once_it_was_sent():
    """Its later changes have their own priority."""
    assert rank_of(replace(KNOWN, first_load=True), [Priority.URGENT]) == 0


@pytest.mark.parametrize(
    "contact",
    [
        replace(KNOWN, pending={}),
        replace(KNOWN, present=False),
        replace(KNOWN, invalid="email_missing"),
        replace(
            KNOWN, quarantine=Quarantined(code="rejected_400", message="", payload=b"", since=0.0)
        ),
        replace(NEW, present=False),
    ],
    ids=["nothing pending", "gone", "invalid", "quarantined", "new and gone"],
)
def test_what_cannot_be_sent_has_no_rank(contact: Contact):
    """It is not in the backlog."""
    assert rank_of(contact, [Priority.URGENT]) is None


def test_every_tenth_delivery_is_for_each_lower_class():
    """The most urgent goes first in all others."""
    turns = [favoured(turn) for turn in range(20)]
    assert turns == [*[None] * 4, 1, *[None] * 4, 2] * 2


def test_turns_among_several():
    """A class takes its own place only, and leaves it to the others where it has nothing left."""
    waiting = ["u1", "u2", "n1", "b1"]
    favoured_first = {1: ["n1"], 2: ["b1"]}
    assert in_turn(waiting, favoured_first, [None, 1, None, 2], 4) == ["u1", "n1", "u2", "b1"]
    assert in_turn(waiting, favoured_first, [2, 2, 2], 3) == ["b1", "u1", "u2"]
    assert in_turn(waiting, {}, [1], 2) == ["u1", "u2"]
    assert in_turn(waiting, favoured_first, [], 9) == waiting
    assert in_turn([], {}, [1, 2], 2) == []
