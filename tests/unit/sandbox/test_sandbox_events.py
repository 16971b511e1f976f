"""Tracked events."""

import pytest
from orjson import dumps

from meisa_cdc.sandbox import ApiKey

ANNA = {"email": "anna@example.com", "external_id": "7"}


def track(desk, **fields):
    """Status and JSON of a tracked event with these fields."""
    return desk.answer("POST", "/events/track/", dumps(fields))


@pytest.fixture
def anna(desk):
    """The id of the one contact there is."""
    return desk.upsert(**ANNA)[1]["id"]


@pytest.mark.parametrize(
    "who",
    [
        {"email": "ANNA@example.com"},
        {"external_id": "7"},
        {"external_id": "7", "email": "nobody@example.com"},
        {"external_id": "8", "email": "anna@example.com"},
    ],
)
def test_an_event_is_answered_and_fires(desk, anna, who):
    """The contact is found by external_id first, then by e-mail."""
    status, answer = track(desk, **who, event_name="exported", properties={"rows": 3})
    assert status == 200
    assert answer == {
        "status": "tracked",
        "contact_id": anna,
        "event_name": "exported",
        "timestamp": "2026-01-12T12:00:00Z",
    }
    fired = desk.account.triggers()[-1]
    assert (fired.kind, fired.event_name, fired.contact_id) == ("custom_event", "exported", anna)
    assert fired.document()["properties"] == {"rows": 3}


def test_an_event_changes_nothing_in_the_contact(desk, anna):
    """It may happen any number of times."""
    before = desk.account.contacts()
    desk.clock.now += 60
    assert [track(desk, email=ANNA["email"], event_name="x")[0] for _ in range(2)] == [200, 200]
    assert desk.account.contacts() == before
    assert desk.account.trigger_counts()["custom_event"] == 2


def test_a_contact_must_exist(desk):
    """An event creates nobody: 404."""
    assert track(desk, email="anna@example.com", event_name="x")[0] == 404
    assert desk.account.contacts() == []
    assert desk.fired() == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"email": "anna@example.com"}, "event_name"),
        ({"event_name": " ", "email": "anna@example.com"}, "event_name"),
        ({"event_name": "x"}, "external_id"),
        ({"event_name": "x", "email": "anna"}, "email"),
        ({"event_name": "x", "external_id": 7}, "external_id"),
        ({"event_name": "x", "external_id": "7", "properties": []}, "properties"),
        ({"event_name": "x", "external_id": "7", "timestamp": "now"}, "timestamp"),
    ],
)
def test_an_event_that_is_not_as_documented_is_400(desk, anna, fields, named):
    """The field at fault is named and nothing fires."""
    status, error = track(desk, **fields)
    assert (status, error["field"]) == (400, named)
    assert desk.fired() == ["contact_created"]


def test_the_scope_is_needed(desk_with):
    """A key that may write contacts may not track events."""
    desk = desk_with(keys=(ApiKey(scopes=("contacts:write",)),))
    desk.upsert(**ANNA)
    status, error = track(desk, email=ANNA["email"], event_name="x")
    assert (status, error["required_scope"]) == (403, "events:track")
