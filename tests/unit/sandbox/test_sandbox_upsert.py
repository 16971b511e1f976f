"""The upsert, rule by rule."""

import uuid

import pytest
from hypothesis import given, strategies as st

from meisa_cdc.sandbox.values import same_json

ANNA = {"email": "anna@example.com", "external_id": "7"}


def test_a_new_contact_is_answered_in_full(desk):
    """Every documented field is there, and `source` is api."""
    status, contact = desk.upsert(
        **ANNA, first_name="Anna", last_name="Berg", custom_fields={"plan": "free"}
    )
    assert status == 200
    assert str(uuid.UUID(contact.pop("id"))) == desk.account.contact(external_id="7")["id"]
    assert contact == {
        "email": "anna@example.com",
        "first_name": "Anna",
        "last_name": "Berg",
        "full_name": "Anna Berg",
        "display_name": "",
        "external_id": "7",
        "source": "api",
        "status": "active",
        "custom_fields": {"plan": "free"},
        "tags": [],
        "preferences": {},
        "total_emails_sent": 0,
        "total_emails_opened": 0,
        "open_rate": 0.0,
        "last_email_sent_at": None,
        "last_activity_at": None,
        "created_at": "2026-01-12T12:00:00Z",
        "updated_at": "2026-01-12T12:00:00Z",
    }


def test_a_new_contact_is_answered_201_if_asked_for(desk_with):
    """The option changes the first answer only."""
    desk = desk_with(created_status=201)
    assert [desk.upsert(**ANNA)[0], desk.upsert(**ANNA)[0]] == [201, 200]


def test_only_what_is_sent_changes(desk):
    """Names, custom fields and external_id that are left out stay as they are."""
    desk.upsert(**ANNA, first_name="Anna", display_name="A.", custom_fields={"plan": "free"})
    _, contact = desk.upsert(email="anna@example.com", last_name="Berg")
    assert contact["full_name"] == "Anna Berg"
    assert contact["display_name"] == "A."
    assert contact["external_id"] == "7"
    assert contact["custom_fields"] == {"plan": "free"}


def test_custom_fields_are_merged_shallowly(desk):
    """Keys not sent are kept; a key sent is replaced whole, structures included."""
    desk.upsert(**ANNA, custom_fields={"plan": "free", "usage": {"posts": 1, "ideas": 2}})
    _, contact = desk.upsert(**ANNA, custom_fields={"usage": {"posts": 3}, "mrr": None})
    assert contact["custom_fields"] == {"plan": "free", "usage": {"posts": 3}, "mrr": None}


def test_values_keep_their_json_types(desk):
    """Numbers stay numbers, booleans booleans, text text."""
    sent = {"i": 27, "f": 99.5, "b": True, "s": "2026-01-12T08:30:00Z", "l": [1, "x", None]}
    assert desk.upsert(**ANNA, custom_fields=sent)[1]["custom_fields"] == sent


def test_the_first_source_sticks(desk):
    """An update with another source is accepted and does not change it."""
    assert desk.upsert(**ANNA, source="signup")[1]["source"] == "signup"
    assert desk.upsert(**ANNA, source="import")[1]["source"] == "signup"


def test_external_id_is_matched_before_the_email(desk):
    """The contact is found by external_id and gets the new e-mail; the old one is free again."""
    first = desk.upsert(**ANNA)[1]
    moved = desk.upsert(email="anna@new.example", external_id="7")[1]
    assert (moved["id"], moved["email"]) == (first["id"], "anna@new.example")
    assert desk.upsert(email="anna@example.com")[1]["id"] != first["id"]


def test_email_is_matched_in_any_case(desk):
    """Without external_id the e-mail decides, and the spelling sent last is kept."""
    first = desk.upsert(**ANNA)[1]
    again = desk.upsert(email="Anna@Example.COM")[1]
    assert (again["id"], again["email"]) == (first["id"], "Anna@Example.COM")
    assert len(desk.account.contacts()) == 1


def test_a_contact_matched_by_email_takes_the_external_id_sent(desk):
    """Meisa merges by e-mail: the old external_id no longer leads anywhere."""
    first = desk.upsert(**ANNA, custom_fields={"plan": "pro"})[1]
    merged = desk.upsert(email="anna@example.com", external_id="8")[1]
    assert merged["id"] == first["id"]
    assert merged["external_id"] == "8"
    assert merged["custom_fields"] == {"plan": "pro"}
    assert desk.account.contact(external_id="7") is None


def test_an_email_of_another_contact_is_409(desk):
    """The message names both sides, and neither contact changes."""
    desk.upsert(**ANNA)
    desk.upsert(email="bert@example.com", external_id="8")
    before = desk.account.contacts()
    status, error = desk.upsert(
        email="ANNA@example.com", external_id="8", first_name="Bert", custom_fields={"plan": "pro"}
    )
    assert status == 409
    assert error["field"] == "email"
    assert "ANNA@example.com" in error["message"]
    assert "'7'" in error["message"]
    assert desk.account.contacts() == before


def test_tags_are_only_added(desk):
    """Tags sent before stay, one tag is the same for all, and it has a slug and a colour."""
    desk.upsert(**ANNA, tag_names=["Paying Customer", "Paying Customer"])
    tags = desk.upsert(**ANNA, tag_names=["pro"])[1]["tags"]
    other = desk.upsert(email="bert@example.com", tag_names=["pro"])[1]["tags"]
    assert [tag["name"] for tag in tags] == ["Paying Customer", "pro"]
    assert tags[0]["slug"] == "paying-customer"
    assert tags[0]["color"].startswith("#")
    assert other == tags[1:]


def test_updated_at_moves_only_when_something_changed(desk):
    """A needless upsert leaves it, a tag or a field moves it, created_at stays."""
    desk.upsert(**ANNA, custom_fields={"plan": "free"})
    desk.clock.now += 1.5
    assert desk.upsert(**ANNA, custom_fields={"plan": "free"})[1]["updated_at"].endswith("00:00Z")
    tagged = desk.upsert(**ANNA, tag_names=["pro"])[1]
    assert tagged["updated_at"] == "2026-01-12T12:00:01.500000Z"
    assert tagged["created_at"] == "2026-01-12T12:00:00Z"


@pytest.mark.parametrize("field", ["name", "status", "tags", "tag_ids", "plan", "id", "Email"])
def test_a_field_that_is_not_documented_is_400_naming_it(desk, field):
    """Nothing is ignored silently, and nothing takes effect."""
    status, error = desk.upsert(**ANNA, **{field: "x"})
    assert status == 400
    assert error["field"] == field
    assert f"'{field}'" in error["message"]
    assert desk.account.contacts() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", None),
        ("email", 7),
        ("email", ""),
        ("email", "anna"),
        ("email", "anna@localhost"),
        ("email", "anna@@example.com"),
        ("email", " anna@example.com"),
        ("email", "anna@example..com"),
        ("email", "anna@exam ple.com"),
        ("email", "anna\x00@example.com"),
        ("external_id", 7),
        ("external_id", None),
        ("external_id", " "),
        ("first_name", None),
        ("last_name", 1),
        ("display_name", ["A."]),
        ("source", "app"),
        ("source", None),
        ("custom_fields", None),
        ("custom_fields", []),
        ("custom_fields", "plan"),
        ("tag_names", "pro"),
        ("tag_names", [1]),
        ("tag_names", [""]),
        ("tag_names", None),
    ],
)
def test_a_value_of_the_wrong_type_is_400_naming_the_field(desk, field, value):
    """The message says what it must be."""
    status, error = desk.upsert(**(ANNA | {field: value}))
    assert status == 400
    assert error["field"] == field
    assert error["message"].startswith(f"{field} must be ")


def test_email_is_required(desk):
    """external_id alone is not enough, not even for a contact that exists."""
    desk.upsert(**ANNA)
    status, error = desk.upsert(external_id="7", first_name="Anna")
    assert (status, error["field"]) == (400, "email")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@given(JSON, JSON)
def test_json_values_are_the_same_in_both_directions(one, other):
    """A value is the same as itself, and sameness has no direction."""
    assert same_json(one, one)
    assert same_json(one, other) == same_json(other, one)


def test_true_is_not_one():
    """Python takes them for equal, JSON does not, at any depth; 1 and 1.0 are one number."""
    assert not same_json(True, 1)
    assert not same_json({"a": [0]}, {"a": [False]})
    assert not same_json({"a": None}, {})
    assert same_json({"a": [1]}, {"a": [1.0]})
