"""Triggered e-mails."""

import uuid

import pytest
from orjson import dumps

from meisa_cdc.sandbox import ApiKey, EmailTrigger, OptionError
from meisa_cdc.sandbox.automations.rules import FieldCondition, TagCondition

CODE = {"trigger_key": "verification_code", "to_email": "anna@example.com"}


def trigger(desk, **fields):
    """Status and JSON of such a request."""
    return desk.answer("POST", "/emails/trigger/", dumps(fields))


def test_an_email_is_sent_and_its_contact_created(desk):
    """The answer names both, and the recipient's fields go into the contact."""
    recipient = {"first_name": "Anna", "external_id": "7", "custom_fields": {"plan": "free"}}
    variables = {"name": "Anna", "code": 294817}
    status, answer = trigger(desk, **CODE, recipient=recipient, variables=variables)
    contact = desk.account.contact(external_id="7")
    assert status == 200
    assert str(uuid.UUID(answer.pop("email_send_id")))
    assert answer == {
        "status": "sent",
        "contact_id": contact["id"],
        "contact_created": True,
        "trigger_key": "verification_code",
        "timestamp": "2026-01-12T12:00:00Z",
    }
    assert (contact["first_name"], contact["custom_fields"]) == ("Anna", {"plan": "free"})
    assert desk.fired() == ["contact_created"]
    (mail,) = desk.account.emails()
    assert mail["to_email"] == "anna@example.com"
    assert (mail["subject"], mail["text"]) == ("Your code is 294817", "Anna: 294817")


def test_a_known_contact_is_given_only_what_it_lacks(desk):
    """Nothing it has is overwritten; what is new fires contact_updated."""
    desk.upsert(email="anna@example.com", first_name="Anna", custom_fields={"plan": "pro"})
    recipient = {"first_name": "A.", "last_name": "Berg", "custom_fields": {"plan": "x", "n": 1}}
    assert trigger(desk, **CODE, recipient=recipient)[1]["contact_created"] is False
    contact = desk.account.contact(email="anna@example.com")
    assert contact["full_name"] == "Anna Berg"
    assert contact["custom_fields"] == {"plan": "pro", "n": 1}
    assert set(desk.account.triggers()[-1].changes) == {"last_name", "custom_fields.n"}
    trigger(desk, **CODE, recipient=recipient)
    assert desk.fired() == ["contact_created", "contact_updated"]


def test_a_known_contact_can_be_given_its_external_id(desk):
    """It is found by it from then on."""
    first = desk.upsert(email="anna@example.com")[1]
    trigger(desk, **CODE, recipient={"external_id": "7"})
    assert desk.account.contact(external_id="7")["id"] == first["id"]
    trigger(desk, **CODE, recipient={"external_id": "8"})
    assert desk.account.contact(external_id="8") is None


@pytest.mark.parametrize("known", [True, False])
def test_an_external_id_of_another_contact_is_409(desk, known):
    """No e-mail leaves, and neither contact changes."""
    desk.upsert(email="bert@example.com", external_id="7")
    if known:
        desk.upsert(email="anna@example.com")
    before = desk.account.contacts()
    status, error = trigger(desk, **CODE, recipient={"external_id": "7"})
    assert (status, error["field"]) == (409, "recipient")
    assert (desk.account.contacts(), desk.account.emails()) == (before, [])


def test_the_contact_counts_its_emails(desk):
    """total_emails_sent and last_email_sent_at follow; updated_at does not."""
    trigger(desk, **CODE)
    desk.clock.now += 60
    trigger(desk, **CODE)
    contact = desk.account.contact(email="anna@example.com")
    assert contact["total_emails_sent"] == 2
    assert contact["last_email_sent_at"] == "2026-01-12T12:01:00Z"
    assert contact["updated_at"] == "2026-01-12T12:00:00Z"


def test_an_identical_request_within_the_hour_sends_nothing(desk):
    """It is answered as the first one was, up to the hour and not from then on."""
    first = trigger(desk, **CODE, idempotency_key="k", variables={"a": 1, "b": 2})
    desk.clock.now += 3599
    assert trigger(desk, idempotency_key="k", variables={"b": 2, "a": 1}, **CODE) == first
    desk.clock.now += 1
    again = trigger(desk, **CODE, idempotency_key="k", variables={"a": 1, "b": 2})
    assert again[1]["email_send_id"] != first[1]["email_send_id"]
    assert len(desk.account.emails()) == 2


def test_without_the_key_every_request_sends(desk):
    """And so does one whose key or content differs."""
    trigger(desk, **CODE)
    trigger(desk, **CODE)
    trigger(desk, **CODE, idempotency_key="a")
    trigger(desk, **CODE, idempotency_key="b")
    trigger(desk, **CODE, idempotency_key="b", variables={"code": 1})
    assert len(desk.account.emails()) == 5


def test_a_delayed_email_is_accepted_and_leaves_later(desk_with):
    """202 at first; the contact counts it once its time has come."""
    late = EmailTrigger(key="late", delay=60.0)
    desk = desk_with(email_triggers=(late,))
    status, answer = trigger(desk, trigger_key="late", to_email="a@example.com")
    assert (status, answer["status"]) == (202, "scheduled")
    desk.clock.now += 59.9
    assert desk.account.emails()[0]["status"] == "scheduled"
    assert desk.account.contact(email="a@example.com")["total_emails_sent"] == 0
    desk.clock.now += 1000
    contact = desk.account.contact(email="a@example.com")
    assert desk.account.emails()[0]["status"] == "sent"
    assert contact["last_email_sent_at"] == "2026-01-12T12:01:00Z"


def test_a_delayed_email_asked_for_twice_is_still_scheduled(desk_with):
    """The answer is the first one, also when the e-mail has left meanwhile."""
    desk = desk_with(email_triggers=(EmailTrigger(key="late", delay=60.0),))
    asked = {"trigger_key": "late", "to_email": "a@example.com", "idempotency_key": "k"}
    first = trigger(desk, **asked)
    desk.clock.now += 120
    assert trigger(desk, **asked) == first
    assert len(desk.account.emails()) == 1


def test_a_delayed_email_does_not_leave_to_who_unsubscribed_meanwhile(desk_with):
    """It stays, as withheld."""
    desk = desk_with(email_triggers=(EmailTrigger(key="late", delay=60.0),))
    trigger(desk, trigger_key="late", to_email="a@example.com")
    desk.account.suppress(add=["A@example.com"])
    desk.clock.now += 60
    assert desk.account.emails()[0]["status"] == "withheld"
    assert desk.account.contact(email="a@example.com")["total_emails_sent"] == 0


def test_a_delayed_email_survives_the_end_of_its_contact(desk_with):
    """It leaves, and nobody counts it."""
    desk = desk_with(email_triggers=(EmailTrigger(key="late", delay=60.0),))
    trigger(desk, trigger_key="late", to_email="a@example.com", recipient={"external_id": "7"})
    desk.account.delete_contact("7")
    desk.clock.now += 60
    assert desk.account.emails()[0]["status"] == "sent"


def test_conditions_that_are_not_met_skip_the_email(desk_with):
    """No contact is created for nothing; the recipient's fields count, held ones come first."""
    paying = FieldCondition(field="custom_fields.plan", operator="equals", value="pro")
    desk = desk_with(email_triggers=(EmailTrigger(key="k", conditions=(paying,)),))
    asked = {"trigger_key": "k", "to_email": "anna@example.com"}
    skipped = (200, {"status": "skipped", "reason": "conditions_not_met"})
    assert trigger(desk, **asked) == skipped
    assert desk.account.contacts() == []
    pro = {"custom_fields": {"plan": "pro"}}
    desk.upsert(email="anna@example.com", custom_fields={"plan": "free"})
    assert trigger(desk, **asked, recipient=pro) == skipped
    assert trigger(desk, **{**asked, "to_email": "b@example.com"}, recipient=pro)[0] == 200
    desk.upsert(email="anna@example.com", **pro)
    assert trigger(desk, **asked)[1]["status"] == "sent"


def test_conditions_can_look_at_tags(desk_with):
    """A contact that is not there yet has none."""
    desk = desk_with(email_triggers=(EmailTrigger(key="k", conditions=(TagCondition(tag="vip"),)),))
    asked = {"trigger_key": "k", "to_email": "anna@example.com"}
    assert trigger(desk, **asked)[1]["status"] == "skipped"
    desk.upsert(email="anna@example.com", tag_names=["vip"])
    assert trigger(desk, **asked)[1]["status"] == "sent"


def test_who_unsubscribed_is_422(desk):
    """No contact is created; an e-mail sent before is still answered as it was."""
    first = trigger(desk, **CODE, idempotency_key="k")
    desk.account.suppress(add=["ANNA@example.com", "b@example.com"])
    status, error = trigger(desk, **CODE)
    assert (status, error["field"]) == (422, "to_email")
    assert trigger(desk, **(CODE | {"to_email": "b@example.com"}))[0] == 422
    assert len(desk.account.contacts()) == len(desk.account.emails()) == 1
    assert trigger(desk, **CODE, idempotency_key="k") == first


@pytest.mark.parametrize(
    ("email_trigger", "status"),
    [
        (EmailTrigger(key="verification_code", active=False), 400),
        (EmailTrigger(key="verification_code", sender=None), 422),
        (EmailTrigger(key="another"), 400),
    ],
)
def test_a_trigger_must_be_there_and_ready(desk_with, email_trigger, status):
    """Unknown or inactive is 400, without a sender 422."""
    desk = desk_with(email_triggers=(email_trigger,))
    answered, error = trigger(desk, **CODE)
    assert (answered, error["field"]) == (status, "trigger_key")
    assert desk.account.contacts() == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"to_email": "anna"}, "to_email"),
        ({"to_email": ["anna@example.com"]}, "to_email"),
        ({"trigger_key": 7}, "trigger_key"),
        ({"variables": []}, "variables"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"recipient": "Anna"}, "recipient"),
        ({"recipient": {"email": "b@example.com"}}, "recipient"),
        ({"recipient": {"first_name": 7}}, "recipient"),
        ({"subject": "x"}, "subject"),
        ({"from_email": "x@example.com"}, "from_email"),
    ],
)
def test_an_email_that_is_not_as_documented_is_400(desk, change, named):
    """The field at fault is named and nothing leaves."""
    status, error = trigger(desk, **(CODE | change))
    assert (status, error["field"]) == (400, named)
    assert desk.account.emails() == []


@pytest.mark.parametrize("missing", ["trigger_key", "to_email"])
def test_key_and_address_are_required(desk, missing):
    """Either missing is 400."""
    fields = {name: value for name, value in CODE.items() if name != missing}
    status, error = trigger(desk, **fields)
    assert (status, error["field"]) == (400, missing)


def test_the_scope_is_needed(desk_with):
    """A key that may write contacts may not send e-mails."""
    desk = desk_with(keys=(ApiKey(scopes=("contacts:write",)),))
    status, error = trigger(desk, **CODE)
    assert (status, error["required_scope"]) == (403, "emails:trigger")


def test_only_the_latest_are_remembered(desk_with):
    """The oldest e-mail goes first, and its idempotency key with it."""
    desk = desk_with(log_size=2)
    first = trigger(desk, **CODE, idempotency_key="k")
    trigger(desk, **CODE)
    trigger(desk, **CODE)
    assert len(desk.account.emails()) == 2
    assert trigger(desk, **CODE, idempotency_key="k") != first


@pytest.mark.parametrize("wrong", [{"key": " "}, {"key": "k", "delay": -1.0}])
def test_a_trigger_that_makes_no_sense_is_refused(wrong):
    """The message says which and why."""
    with pytest.raises(OptionError, match="email-triggers: "):
        EmailTrigger(**wrong)
