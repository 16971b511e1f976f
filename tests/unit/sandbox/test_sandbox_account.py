"""Ping, the suppression list, the request log, and what a test may do to an account."""

import pytest

from meisa_cdc.sandbox import ApiKey, OptionError, parse_limits


def test_ping_describes_key_and_product(desk_with):
    """Name, environment and scopes of the key; id and name of the product."""
    key = ApiKey(name="nightly", environment="live", scopes=("contacts:read",))
    desk = desk_with(keys=(key,), product_id="p-1", product_name="Chinook")
    assert desk.ping() == (
        200,
        {
            "status": "ok",
            "api_key": {"name": "nightly", "environment": "live", "scopes": ["contacts:read"]},
            "product": {"id": "p-1", "name": "Chinook"},
        },
    )


@pytest.mark.parametrize(
    ("limits", "report_hour", "reported"),
    [
        ("60/60s,1000/3600s", False, {"rate_limit_per_minute": 60}),
        ("30/1m,1000/1h", True, {"rate_limit_per_minute": 30, "rate_limit_per_hour": 1000}),
        ("90/60s,30/60s", True, {"rate_limit_per_minute": 30}),
        ("5/10s", True, {}),
    ],
)
def test_ping_reports_the_limits_it_has(desk_with, limits, report_hour, reported):
    """The minute's figure where there is such a window, the hour's only if asked to."""
    desk = desk_with(limits=parse_limits(limits), report_hour=report_hour)
    key = desk.ping()[1]["api_key"]
    assert {name: value for name, value in key.items() if name.startswith("rate_")} == reported


def test_the_suppression_list_is_whole(desk):
    """Addresses in order, each once whatever its case, the count, and the time of the answer."""
    assert desk.account.suppress(add=["b@example.com", "A@example.com", "B@EXAMPLE.com"]) == 2
    assert desk.answer("GET", "/contacts/api/unsubscribed-emails/") == (
        200,
        {
            "as_of": "2026-01-12T12:00:00Z",
            "count": 2,
            "emails": ["A@example.com", "b@example.com"],
        },
    )
    assert desk.account.suppress(remove=["a@example.com", "nobody@example.com"]) == 1


def test_a_suppressed_contact_is_unsubscribed(desk):
    """Its status follows the list."""
    desk.upsert(email="Anna@example.com")
    desk.account.suppress(add=["anna@example.com"])
    assert desk.account.contact(email="anna@example.com")["status"] == "unsubscribed"
    desk.account.suppress(remove=["ANNA@example.com"])
    assert desk.account.contact(email="anna@example.com")["status"] == "active"


def test_every_request_is_logged(desk):
    """Refused ones too, with arrival, place, status, key and external_id, but not the secret."""
    desk.upsert(email="a@example.com", external_id="7")
    desk.clock.now += 5
    desk.ping(key="wrong")
    desk.answer("POST", "/contacts/upsert/", b"<html>")
    records = desk.account.requests()
    assert [(r.number, r.at - records[0].at, r.status, r.key_name) for r in records] == [
        (1, 0, 200, "sandbox"),
        (2, 5, 401, None),
        (3, 5, 400, "sandbox"),
    ]
    assert records[0].external_id == "7"
    assert records[0].payload == {"email": "a@example.com", "external_id": "7"}
    assert records[0].document()["body"] == records[0].payload
    assert records[1].document()["path"] == "/api/v1/ping/"
    assert records[2].document()["body"] == "<html>"
    assert "wrong" not in repr(records)


def test_the_request_log_is_bounded(desk_with):
    """The oldest are forgotten, numbers go on, and `since` gives what came after."""
    desk = desk_with(log_size=3)
    for _ in range(5):
        desk.ping()
    assert [record.number for record in desk.account.requests()] == [3, 4, 5]
    assert [record.number for record in desk.account.requests(since=4)] == [5]
    assert desk.account.overview().requests == 5


def test_contacts_are_listed_by_when_they_were_touched(desk):
    """The last upserted comes first."""
    for external_id in ("1", "2", "1"):
        desk.upsert(email=f"{external_id}@example.com", external_id=external_id)
    assert [contact["external_id"] for contact in desk.account.contacts()] == ["1", "2"]


def test_a_deleted_contact_comes_back_as_another(desk):
    """As when a person deletes it in Meisa: the next upsert creates it with a new id."""
    first = desk.upsert(email="a@example.com", external_id="7", custom_fields={"plan": "pro"})[1]
    desk.account.delete_contact("7")
    assert desk.account.contact(email="a@example.com") is None
    again = desk.upsert(email="a@example.com", external_id="7")[1]
    assert again["id"] != first["id"]
    assert again["custom_fields"] == {}
    assert desk.fired() == ["contact_created", "contact_created"]


def test_deleting_nobody_is_an_error(desk):
    """The error names the external_id."""
    with pytest.raises(OptionError, match="'9'"):
        desk.account.delete_contact("9")


def test_a_contact_without_external_id_can_be_given_one_later(desk):
    """It is found by e-mail, keeps its id, and is found by the new key from then on."""
    first = desk.upsert(email="a@example.com")[1]
    assert first["external_id"] is None
    desk.upsert(email="a@example.com", external_id="7")
    assert desk.account.contact(external_id="7")["id"] == first["id"]


def test_what_is_read_is_a_copy(desk):
    """Changing an answer does not change the account."""
    desk.upsert(email="a@example.com", external_id="7", custom_fields={"plan": "pro"})
    desk.account.contact(external_id="7")["custom_fields"]["plan"] = "free"
    assert desk.account.contact(external_id="7")["custom_fields"] == {"plan": "pro"}


def test_reset_makes_the_account_new(desk_with):
    """Contacts, log, triggers, suppressed addresses, limits and faults are as at the start."""
    desk = desk_with(limits=parse_limits("1/60s"))
    desk.upsert(email="a@example.com", external_id="7")
    desk.account.suppress(add=["a@example.com"])
    desk.account.configure(fail=1.0, latency=3.0)
    desk.account.reset()
    assert desk.account.contacts() == []
    assert desk.account.requests() == []
    assert desk.account.triggers() == []
    outcome = desk.send("GET", "/contacts/api/unsubscribed-emails/")
    assert outcome.reply.status == 200
    assert outcome.reply.document()["count"] == 0
    assert outcome.latency == 0
