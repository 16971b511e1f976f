"""Requests as the API documents show them for the shell, sent by curl."""

import json

import pytest

JSON = ("-H", "Content-Type: application/json")
SARAH = "sarah@example.com"


def test_a_key_is_tried(curl):
    """Name, environment, scopes and product come back."""
    status, answer = curl("/ping/")
    assert (status, answer["status"]) == (200, "ok")
    assert "contacts:write" in answer["api_key"]["scopes"]
    assert answer["product"].keys() == {"id", "name"}


def test_a_short_upsert(curl, meisa):
    """E-mail, external_id and one custom field are enough."""
    body = '{"email":"jo@example.com","external_id":"usr_123","custom_fields":{"plan":"free"}}'
    status, contact = curl("-X", "POST", *JSON, "-d", body, "/contacts/upsert/")
    assert (status, contact["external_id"]) == (200, "usr_123")
    assert meisa.account.contact(external_id="usr_123")["custom_fields"] == {"plan": "free"}


@pytest.fixture
def sarah(curl):
    """The contact of the long upsert, as it was answered."""
    body = {
        "email": SARAH,
        "external_id": "usr_12345",
        "first_name": "Sarah",
        "custom_fields": {
            "plan": "pro",
            "billing_cycle": "annual",
            "signin_count": 27,
            "onboarding_completed": True,
            "signup_date": "2026-01-12T08:30:00Z",
        },
        "tag_names": ["paying-customer"],
    }
    return curl("-X", "POST", *JSON, "-d", json.dumps(body), "/contacts/upsert/").document


def test_a_long_upsert(sarah):
    """Numbers, booleans and times come back as they were sent, the tag with id and slug."""
    assert sarah["custom_fields"]["signin_count"] == 27
    assert sarah["custom_fields"]["onboarding_completed"] is True
    assert sarah["custom_fields"]["signup_date"] == "2026-01-12T08:30:00Z"
    assert [(tag["name"], tag["slug"]) for tag in sarah["tags"]] == [("paying-customer",) * 2]
    assert sarah.keys() >= {"full_name", "status", "open_rate", "total_emails_sent", "updated_at"}


def test_an_upgrade_in_one_line(curl, tags, meisa):
    """The changed field is all that is sent; the automation does the rest."""
    for plan in ("free", "pro"):
        body = json.dumps({"email": "jane@example.com", "custom_fields": {"plan": plan}})
        curl("-X", "POST", *JSON, "-d", body, "/contacts/upsert/")
    assert tags("jane@example.com") == ["paying-customer"]
    enrolled = [each["sequence_slug"] for each in meisa.account.enrollments("jane@example.com")]
    assert enrolled == ["onboarding", "welcome-pro"]


def test_an_event(curl, sarah, meisa):
    """It is answered, and the automation that waits for it runs."""
    body = json.dumps(
        {"email": SARAH, "event_name": "feature_activated", "properties": {"feature": "export"}}
    )
    status, answer = curl("-X", "POST", *JSON, "-d", body, "/events/track/")
    assert (status, answer["status"], answer["contact_id"]) == (200, "tracked", sarah["id"])
    assert meisa.account.contact(email=SARAH)["custom_fields"]["activated"] is True


def test_tags_one_by_one(curl, sarah, tags):
    """By name and by id."""
    place = f"/contacts/{sarah['id']}"
    added = curl("-X", "POST", *JSON, "-d", '{"tag_name": "churned"}', f"{place}/add_tag/")
    assert (added.status, tags(SARAH)) == (200, ["paying-customer", "churned"])
    by_id = json.dumps({"tag_id": sarah["tags"][0]["id"]})
    curl("-X", "POST", *JSON, "-d", by_id, f"{place}/remove_tag/")
    assert tags(SARAH) == ["churned"]


def test_the_list_of_who_must_not_be_written_to(curl, meisa):
    """Time, count and addresses."""
    meisa.account.suppress(add=["a@example.com", "b@example.com"])
    status, answer = curl("/contacts/api/unsubscribed-emails/")
    assert (status, answer["count"]) == (200, 2)
    assert answer["emails"] == ["a@example.com", "b@example.com"]
    assert answer["as_of"].endswith("Z")


def test_a_code_by_email(curl, meisa):
    """Sent once however often it is asked for with one idempotency key."""
    body = json.dumps(
        {
            "trigger_key": "verification_code",
            "to_email": "user@example.com",
            "variables": {"name": "Sarah", "code": "294817"},
            "recipient": {"first_name": "Sarah"},
            "idempotency_key": "verify_usr_12345_294817",
        }
    )
    first = curl("-X", "POST", *JSON, "-d", body, "/emails/trigger/")
    assert (first.status, first.document["status"]) == (200, "sent")
    assert first.document["contact_created"] is True
    assert curl("-X", "POST", *JSON, "-d", body, "/emails/trigger/") == first
    assert [mail["subject"] for mail in meisa.account.emails()] == ["Sarah: 294817"]


def test_enrolling_and_looking(curl):
    """One contact, many, the list, and what one contact is in."""
    one = '{"email": "a@example.com", "sequence_slug": "win-back"}'
    assert curl("-X", "POST", *JSON, "-d", one, "/sequences/enroll/").status == 201
    many = '{"sequence_slug": "win-back", "emails": ["a@example.com", "b@example.com"]}'
    answer = curl("-X", "POST", *JSON, "-d", many, "/sequences/api/bulk-enroll/").document
    assert (answer["enrolled"], answer["skipped"]) == (1, 1)
    (listed,) = curl("/sequences/api/list/?search=win").document["results"]
    assert (listed["slug"], listed["total_enrolled"]) == ("win-back", 2)
    shown = curl("/sequences/api/contact-enrollments/?email=b@example.com").document
    assert shown["contact_exists"] is True
    assert shown["enrollments"][0]["sequence_slug"] == "win-back"


def test_what_is_sent_without_a_content_type_is_refused(curl):
    """Curl says form data unless told otherwise."""
    status, error = curl("-X", "POST", "-d", '{"email": "a@example.com"}', "/contacts/upsert/")
    assert (status, error["message"]) == (400, "Content-Type must be application/json.")
