"""The typed client: what each call sends, and what success becomes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from meisa_cdc import meisa as package
from meisa_cdc.meisa import BULK_LIMIT, FixAddress, FixKey, FixRequest, MeisaClient

from .conftest import BASE
from .typed_calls import CALLS, CONTACT, ENROLLED, LISTED, Meisa, answering, client, ok


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_the_documented_request(name):
    """Method, path, query and body, with values in their JSON form and nothing added."""
    call, answer, method, path, body = CALLS[name]
    meisa = Meisa(ok(answer))
    call(client(meisa))
    assert meisa.asked == [(method, f"/api/v1{path}", body)]


def test_what_is_not_given_is_not_sent():
    """None means left out; Meisa keeps what it has."""
    meisa = Meisa(ok(CONTACT))
    client(meisa).upsert("a@example.com")
    assert meisa.asked[0][2] == {"email": "a@example.com"}


def test_sequences_are_the_active_ones_unless_asked_otherwise():
    """No query is Meisa's default."""
    meisa = Meisa(ok({"results": []}))
    client(meisa).sequences()
    assert meisa.asked[0][1] == "/api/v1/sequences/api/list/"


def test_a_contact_is_told_whole():
    """Every documented member has its type; what is not documented is kept aside."""
    told = CONTACT | {
        "full_name": "Ada Lovelace",
        "status": "active",
        "custom_fields": {"plan": "pro", "left": None},
        "tags": [{"id": "t-1", "name": "Paying", "slug": "paying", "color": "#fff"}],
        "preferences": {"news": True},
        "total_emails_sent": 4,
        "total_emails_opened": 3,
        "open_rate": 0.75,
        "last_email_sent_at": None,
        "created_at": "2026-01-12T08:30:00Z",
        "updated_at": "2026-01-12T08:30:00",
        "shoe_size": 42,
    }
    contact = answering(ok(told, 201)).upsert("A@Example.com", external_id="7")
    assert (contact.id, contact.full_name, contact.status) == ("c-1", "Ada Lovelace", "active")
    assert contact.custom_fields == {"plan": "pro", "left": None}
    assert [(tag.id, tag.name, tag.slug, tag.color) for tag in contact.tags] == [
        ("t-1", "Paying", "paying", "#fff")
    ]
    assert (contact.total_emails_sent, contact.open_rate) == (4, 0.75)
    assert contact.created_at == contact.updated_at == datetime(2026, 1, 12, 8, 30, tzinfo=UTC)
    assert contact.last_email_sent_at is None
    assert contact.model_extra == {"shoe_size": 42}


def test_what_only_accompanies_may_be_unreadable():
    """The contact was stored, whatever the date beside it looks like."""
    strange = CONTACT | {"created_at": "yesterday", "open_rate": "75 %", "tags": 3, "source": []}
    contact = answering(ok(strange)).upsert("a@example.com")
    assert (contact.id, contact.created_at, contact.open_rate) == ("c-1", None, None)
    assert (contact.tags, contact.source) == ((), "")


def test_ping_tells_the_key():
    """Name, environment, scopes, limits, product."""
    pinged = answering(
        ok(
            {
                "status": "ok",
                "api_key": {
                    "name": "backend",
                    "environment": "test",
                    "scopes": ["events:track"],
                    "rate_limit_per_minute": 60,
                    "rate_limit_per_hour": 1000,
                },
                "product": {"id": "p-1", "name": "Shop"},
            }
        )
    ).ping()
    key = pinged.api_key
    assert (pinged.status, key.name, key.environment, key.scopes) == (
        "ok",
        "backend",
        "test",
        ["events:track"],
    )
    assert (key.rate_limit_per_minute, key.rate_limit_per_hour) == (60, 1000)
    assert (pinged.product.id, pinged.product.name) == ("p-1", "Shop")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"status": "sent", "email_send_id": "m-1", "contact_created": True}),
        (202, {"status": "scheduled"}),
        (200, {"status": "skipped", "reason": "conditions_not_met"}),
        (200, {"status": "postponed"}),
    ],
)
def test_a_triggered_email_says_what_became_of_it(status, body):
    """Sent, scheduled and skipped are all success, and so is what Meisa may invent later."""
    result = answering(ok(body, status)).trigger_email("code", "a@x.com")
    assert result.status == body["status"]
    assert result.reason == body.get("reason", "")
    assert result.contact_created is body.get("contact_created")


def test_an_event_an_enrollment_and_the_lists_are_told():
    """The remaining answers, member by member."""
    at = "2026-01-12T08:30:00Z"
    moment = datetime(2026, 1, 12, 8, 30, tzinfo=UTC)
    tracked = {"status": "tracked", "contact_id": 5, "event_name": "e", "timestamp": at}
    event = answering(ok(tracked)).track_event("e", email="a@x.com")
    assert (event.contact_id, event.event_name, event.timestamp) == ("5", "e", moment)
    begun = {"id": "e-1", "contact_email": "a@x.com", "status": "active", "next_step_at": at}
    enrollment = answering(ok(begun, 201)).enroll("s", "a@x.com")
    assert (enrollment.id, enrollment.status, enrollment.next_step_at) == ("e-1", "active", moment)
    one = {"id": "q", "slug": "s", "name": "S", "status": "active", "total_enrolled": 3}
    listed = answering(ok({"results": [one]})).sequences()
    assert [(each.slug, each.total_enrolled) for each in listed.results] == [("s", 3)]
    member = {"sequence_slug": "s", "status": "active", "enrolled_at": at, "emails_sent": 2}
    of = ENROLLED | {"enrollments": [member]}
    enrollments = answering(ok(of)).contact_enrollments("a@x.com")
    assert enrollments.contact_exists
    assert [(each.enrolled_at, each.emails_sent) for each in enrollments.enrollments] == [
        (moment, 2)
    ]


def test_the_list_is_asked_in_any_case():
    """An address is suppressed however it is spelled."""
    listed = answering(ok(LISTED)).unsubscribed_emails()
    assert " a@X.com" in listed
    assert "c@x.com" not in listed
    assert listed.as_of == datetime(2026, 6, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(204), None),
        (ok({"status": "ok"}), {"status": "ok"}),
        (ok(["a@x.com"], 201), ["a@x.com"]),
    ],
)
@pytest.mark.parametrize("name", ["add_tag", "remove_tag", "bulk_enroll"])
def test_an_answer_that_is_not_documented_is_handed_on(name, answer, said):
    """Any JSON will do, and so will a success that says it has nothing to say."""
    assert CALLS[name][0](answering(answer)).said == said


# Calls that the types forbid are among them.
WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda m: m.upsert("nobody"), "email: 'nobody' is not an e-mail address"),
    (lambda m: m.upsert(None), "email: the e-mail is NULL"),
    (lambda m: m.upsert("a@x.com", external_id=" "), "external_id: the key is empty"),
    (lambda m: m.upsert("a@x.com", source="web"), "source is none of api"),
    (lambda m: m.upsert("a@x.com", first_name=3), "first_name is not a text"),
    (lambda m: m.upsert("a@x.com", custom_fields=["plan"]), "custom_fields is not a mapping"),
    (lambda m: m.upsert("a@x.com", custom_fields={3: 1}), "a name in custom_fields"),
    (lambda m: m.upsert("a@x.com", custom_fields={"x": {1, 2}}), "custom_fields.x: a value of"),
    (lambda m: m.upsert("a@x.com", custom_fields={"x": float("nan")}), "custom_fields.x: nan"),
    (lambda m: m.upsert("a@x.com", custom_fields={"x": b"1"}), "custom_fields.x: 1 bytes"),
    (lambda m: m.upsert("a@x.com", custom_fields={"x": 2**64}), "custom_fields.x: an integer"),
    (lambda m: m.upsert("a@x.com", tag_names="paying"), "tag_names is one text"),
    (lambda m: m.upsert("a@x.com", tag_names=["a", " "]), r"tag_names\[1\] is not a text"),
    (lambda m: m.track_event("e"), "needs an email or an external_id"),
    (lambda m: m.track_event(" ", email="a@x.com"), "event_name is not a text"),
    (lambda m: m.add_tag("c-1"), "by tag_name or by tag_id"),
    (lambda m: m.add_tag("c-1", "a", tag_id="b"), "by tag_name or by tag_id"),
    (lambda m: m.remove_tag("..", "a"), "not a contact's id"),
    (lambda m: m.remove_tag("", "a"), "contact_id is not a text"),
    (lambda m: m.trigger_email("", "a@x.com"), "trigger_key is not a text"),
    (lambda m: m.trigger_email("k", "a@x.com", idempotency_key=""), "idempotency_key is not"),
    (lambda m: m.enroll("s", "a@x.com", override_unsubscribe="yes"), "neither True nor False"),
    (lambda m: m.bulk_enroll("s", "a@x.com"), "emails is one text"),
    (lambda m: m.bulk_enroll("s", []), "emails is empty"),
    (lambda m: m.bulk_enroll("s", ["a@x.com", "b"]), r"emails\[1\]: 'b' is not"),
    (lambda m: m.contact_enrollments("b"), "email: 'b' is not"),
    (lambda m: m.sequences(status=1), "status is not a text"),
]


@pytest.mark.parametrize(("call", "match"), WRONG, ids=map(str, range(len(WRONG))))
def test_a_call_that_cannot_succeed_is_not_sent(call, match):
    """The message names the argument; no request is spent."""
    meisa = Meisa(ok({}))
    with pytest.raises(FixRequest, match=match) as refused:
        call(client(meisa))
    assert meisa.asked == []
    assert (refused.value.status, refused.value.nothing_done) == (0, True)


def test_bulk_takes_500_addresses_and_not_one_more():
    """Counted after those that are there twice."""
    meisa = Meisa(ok({}))
    emails = [f"u{each}@x.com" for each in range(BULK_LIMIT)]
    client(meisa).bulk_enroll("s", [*emails, "U0@x.com"])
    assert len(meisa.asked[0][2]["emails"]) == BULK_LIMIT == 500
    with pytest.raises(FixRequest, match="501 addresses; a request takes 500"):
        client(meisa).bulk_enroll("s", [*emails, "v@x.com"])
    assert len(meisa.asked) == 1


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak"])
def test_a_key_that_is_none_is_to_be_fixed(key):
    """Nothing is sent with it."""
    meisa = Meisa(ok({}))
    with pytest.raises(FixKey, match="API key"):
        MeisaClient(key, base_url=BASE, transport=httpx.MockTransport(meisa)).ping()
    assert meisa.asked == []


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://meisa.example/api/v1"},
        {"base_url": "nowhere"},
        {"proxy": "socks5://proxy.example"},
    ],
)
def test_an_address_that_is_none_is_to_be_fixed(options):
    """Also one that would send the key in the clear; it is told in the words of the signature."""
    with pytest.raises(FixAddress) as refused:
        MeisaClient("key", **options)
    assert "MEISA_BASE_URL" not in str(refused.value)


def test_a_client_is_made_with_a_key_alone():
    """Meisa's own address and the real clock are the defaults; leaving the block closes it."""
    with MeisaClient("key") as made:
        assert repr(made) == "MeisaClient(HttpMeisa(Wire('https://api.meisa.io/api/v1')))"


def test_everything_an_app_needs_is_exported():
    """Each error and each type of an answer can be imported from the package."""
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
    assert sorted(package.__all__, key=lambda name: (not name.isupper(), name)) == package.__all__
