"""The typed client: what each call sends, and what success becomes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from meisa_cdc import meisa as package
from meisa_cdc.meisa import BULK_LIMIT, FixAddress, FixKey, FixRequest, MeisaClient

from .conftest import BASE
from .typed_calls import CALLS, CONTACT, LISTED, WHOLE, Meisa, answering, client, ok


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


@pytest.mark.parametrize("name", WHOLE)
def test_every_documented_member_is_told(name):
    """Each has a place of its own and arrives there as it was sent."""
    call, _, _, _, _ = CALLS[name]
    answer = call(answering(ok(WHOLE[name])))
    assert answer.model_dump(mode="json") == WHOLE[name]
    assert _unfilled(answer) == set()


def _unfilled(answer: BaseModel) -> set[str]:
    """Return members without a value, and values without a documented member."""
    found = set(type(answer).model_fields) ^ set(answer.model_fields_set)
    for name in type(answer).model_fields:
        value = getattr(answer, name)
        for inner in value if isinstance(value, tuple) else [value]:
            if isinstance(inner, BaseModel):
                found |= _unfilled(inner)
    return found


def test_values_have_their_types():
    """Times are in UTC, with or without saying so; what is not documented is kept aside."""
    told = CONTACT | {
        "custom_fields": {"plan": "pro", "left": None},
        "created_at": "2026-01-12T09:30:00+01:00",
        "updated_at": "2026-01-12T08:30:00",
        "last_email_sent_at": None,
        "shoe_size": 42,
    }
    contact = answering(ok(told, 201)).upsert("A@Example.com", external_id="7")
    assert contact.custom_fields == {"plan": "pro", "left": None}
    assert contact.created_at == contact.updated_at == datetime(2026, 1, 12, 8, 30, tzinfo=UTC)
    assert contact.last_email_sent_at is None
    assert contact.model_extra == {"shoe_size": 42}


def test_what_only_accompanies_may_be_unreadable():
    """The contact was stored, whatever the date beside it looks like."""
    strange = CONTACT | {"created_at": "yesterday", "open_rate": "75 %", "tags": 3, "source": []}
    contact = answering(ok(strange)).upsert("a@example.com")
    assert (contact.id, contact.created_at, contact.open_rate) == ("c-1", None, None)
    assert (contact.tags, contact.source) == ((), "")


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


def test_the_list_is_asked_in_any_case():
    """An address is suppressed however it is spelled."""
    entries = {"count": 3, "emails": [*LISTED["emails"], "nobody"]}
    listed = answering(ok(LISTED | entries)).unsubscribed_emails()
    assert (listed.emails, listed.malformed) == (frozenset({"a@x.com", "b@x.com"}), 1)
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
