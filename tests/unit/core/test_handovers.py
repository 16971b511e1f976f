"""Whose an e-mail address is, and what its new owner has to empty at Meisa."""

from dataclasses import replace

import pytest

from meisa_cdc.core.addresses import contested, email_conflict, heir, vacated
from meisa_cdc.core.contact import Claim, Contact, Late, Staged
from meisa_cdc.core.delivery import request_for
from meisa_cdc.core.diff import Action, Comparison, compare
from meisa_cdc.core.fields import Reading
from meisa_cdc.core.mapping import FieldSettings, Mapping, Priority
from meisa_cdc.core.values import Value

PEOPLE, PLAN_SQL = "contacts/people", "contacts/plan"
PLAN, SEATS = "custom_fields.plan", "custom_fields.seats"
ADA = "ada@example.com"
LEFT = frozenset({"email", "first_name", "tag_names", "source", PLAN, SEATS})


def claim(key: str = "9", *, email: str = ADA, **known) -> Claim:
    """Return somebody else's claim to the address."""
    given = {"holds": True, "observes": False} | known
    return Claim(external_id=key, email_key=email, **given)


GONE = claim(leaves=LEFT)
NEW = Contact(external_id="1")
KNOWN = Contact(
    ref=1, external_id="1", ledger={"email": "old@x.com", PLAN: "free", "custom_fields.old": "v"}
)


def reading(name: str, *columns: str, covers_new: bool = True, **fields: FieldSettings) -> Reading:
    """Return what a pass knows of a mapping with these columns."""
    mapping = Mapping(name=name, text="", digest="", fields=fields)
    return Reading(mapping=mapping, columns=columns, covers_new=covers_new, missing=b"none")


def person(email: Value = ADA, **values: Value) -> Staged:
    """Return an identity row."""
    return Staged(values={"email": email, **values}, fingerprint=b"row", had_row=True)


def look(
    known: Contact | None,
    *claims: Claim,
    plan: Staged | None = None,
    reading_of_plan: Reading | None = None,
    who: Staged | None = None,
) -> Comparison:
    """Compare contact 1, who goes by Ada's address now."""
    return compare(
        "1",
        known,
        {PEOPLE: who or person(first_name="Ada")} | ({PLAN_SQL: plan} if plan else {}),
        [
            reading(PEOPLE, "email", "first_name"),
            reading_of_plan or reading(PLAN_SQL, "plan"),
        ],
        identity=PEOPLE,
        claims=claims,
        first_load=False,
        now=100.0,
    )


def pending(comparison: Comparison) -> dict[str, Value]:
    """Return what is to be sent."""
    assert comparison.contact is not None
    return dict(comparison.contact.pending)


# ---------------------------------------------------------------- who may use it


def test_f44_the_address_of_one_who_is_gone_may_be_used():
    """As long as nobody else wants it, or holds it besides."""
    assert email_conflict("1", [GONE]) is None
    wanting = claim("2", holds=False, observes=True)
    assert email_conflict("1", [GONE, wanting]) == (
        "email_duplicate",
        "the same address is used by 2",
    )
    found = email_conflict("1", [GONE, claim("8")])
    assert found is not None
    assert found[0] == "email_waiting"


def test_f44_a_circle_of_holders_is_called_one():
    """Waiting would not help, so the way out is named."""
    found = email_conflict("1", [claim(circular=True)])
    assert found is not None
    code, message = found
    assert code == "email_cycle"
    assert "still 9's at Meisa" in message
    assert "third address" in message


# ---------------------------------------------------------------- what is inherited


@pytest.mark.parametrize("email", [ADA, "ADA@Example.com"])
def test_f44_an_heir_inherits_what_a_value_can_overwrite(email: str):
    """Not tags and the source, which Meisa keeps anyway; the address is always among it."""
    found = heir(NEW, person(email), [GONE])
    assert found.inherits == {"email", "first_name", PLAN, SEATS}
    assert found.in_doubt == frozenset()


def test_f44_several_who_are_gone_leave_all_they_had():
    """Whichever of them Meisa takes it for."""
    other = claim("8", leaves=frozenset({"last_name"}))
    assert heir(NEW, person(), [GONE, other]).inherits == {
        "email",
        "first_name",
        "last_name",
        PLAN,
        SEATS,
    }


def test_f44_what_an_heir_has_itself_is_in_doubt():
    """Whatever Meisa makes of the two, it ends with the heir's values."""
    found = heir(replace(KNOWN, pending={"email": ADA}), None, [GONE])
    assert found.inherits == {"email", "first_name", PLAN, SEATS}
    assert found.in_doubt == {"email", PLAN}


@pytest.mark.parametrize(
    ("email", "claims"),
    [
        (ADA, []),
        (ADA, [claim()]),
        (ADA, [claim(leaves=frozenset({"source", "tag_names"}))]),
        ("other@example.com", [GONE]),
        (None, [GONE]),
    ],
    ids=["nobody", "not gone", "had nothing", "another address", "no address"],
)
def test_nobody_else_inherits(email: Value, claims: list[Claim]):
    """The contact is as it was."""
    assert heir(NEW, person(email), claims) is NEW


def test_f44_a_newcomer_empties_what_it_does_not_have():
    """Also in fields that it has no row for, and in fields that no mapping yields."""
    comparison = look(None, GONE)
    assert comparison.action is Action.CREATE
    assert pending(comparison) == {"email": ADA, "first_name": "Ada", PLAN: None, SEATS: None}


def test_f44_null_is_sent_even_where_it_is_not_otherwise():
    """A name that is skipped when NULL would stay the other one's."""
    comparison = look(None, GONE, who=person(first_name=None))
    assert pending(comparison)["first_name"] is None
    assert "first_name" not in pending(look(None, who=person(first_name=None)))


def test_f44_a_field_that_a_missing_row_leaves_alone_is_emptied():
    """There is nothing of this contact to leave alone."""
    kept = reading(PLAN_SQL, "plan", plan=FieldSettings(keep=True))
    gone = Staged(row=False, fingerprint=b"none")
    assert pending(look(None, GONE, plan=gone, reading_of_plan=kept))[PLAN] is None


@pytest.mark.parametrize(
    "plan",
    [
        None,
        Staged(values={}, errors={"plan": ("value_nan", "NaN")}),
        Staged(values={"plan": "pro"}, duplicate="twice"),
    ],
    ids=["not read", "unusable", "ambiguous"],
)
def test_f44_a_field_that_nothing_is_known_of_is_emptied(plan: Staged | None):
    """What is there is certainly not this contact's."""
    unread = reading(PLAN_SQL, "plan", covers_new=False)
    known = replace(KNOWN, ledger={"email": "old@x.com"})
    assert pending(look(known, GONE, plan=plan, reading_of_plan=unread))[PLAN] is None
    assert PLAN not in pending(look(known, plan=plan, reading_of_plan=unread))


def test_f44_a_known_heir_sends_its_own_values_again():
    """Read or not, and in fields that no mapping yields any more."""
    leaves = LEFT | {"custom_fields.old"}
    unread = reading(PLAN_SQL, "plan", covers_new=False)
    comparison = look(KNOWN, claim(leaves=leaves), reading_of_plan=unread)
    assert comparison.action is Action.UPDATE
    assert pending(comparison) == {
        "email": ADA,
        "first_name": "Ada",
        PLAN: "free",
        "custom_fields.old": "v",
        SEATS: None,
    }
    (seats,) = [change for change in comparison.changes if change.field == SEATS]
    assert (seats.mapping, seats.old, seats.priority) == (PEOPLE, None, Priority.NORMAL)
    assert seats.new_in_this_pass


def test_f44_an_inheritance_lasts_until_it_was_accepted():
    """The one who is gone holds nothing any more at the next look."""
    first = look(None, GONE).contact
    assert first is not None
    again = look(replace(first, ref=2))
    assert pending(again) == {"email": ADA, "first_name": "Ada", PLAN: None, SEATS: None}
    assert not any(change.new_in_this_pass for change in again.changes)


# ---------------------------------------------------------------- who is gone


def test_f44_who_gave_the_address_up_is_new_to_meisa_when_it_returns():
    """And nothing of what Meisa may still hold of it counts as certain."""
    known = replace(
        KNOWN,
        meisa_id="m-1",
        rank=1,
        late=Late(fields=frozenset({PLAN}), at=1.0, confirm_at=2.0),
        inherits=frozenset({SEATS}),
    )
    gave_up = vacated(known)
    assert gave_up == Contact(ref=1, external_id="1", in_doubt=frozenset(KNOWN.ledger))
    comparison = look(gave_up, plan=Staged(values={"plan": None}, had_row=True))
    assert comparison.action is Action.CREATE
    assert pending(comparison) == {"email": ADA, "first_name": "Ada", PLAN: None}


def test_f44_until_the_heir_was_accepted_all_is_in_doubt():
    """The first owner may return, and then still has the address."""
    found = contested(replace(KNOWN, rank=1, present=False))
    assert found == replace(KNOWN, present=False, in_doubt=frozenset(KNOWN.ledger))
    own = claim("1")._replace(email_key="old@x.com")
    back = look(found, own, who=person("old@x.com", first_name="Ada"))
    assert back.action is Action.UPDATE
    assert pending(back).keys() >= {"email", PLAN}


def test_f44_a_request_says_whether_it_takes_an_address_over():
    """Whoever delivers it has to know."""
    first = look(None, GONE).contact
    assert first is not None
    assert request_for(first).takes_over
    assert not request_for(replace(first, inherits=frozenset())).takes_over
