"""A call of each endpoint through the typed client, and a Meisa that gives one answer to all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import orjson

from meisa_cdc.meisa import MeisaClient

from .conftest import BASE, CANARY

Call = Callable[[MeisaClient], Any]

CONTACT = {"id": "c-1", "email": "a@example.com", "external_id": "7"}
LISTED: dict[str, Any] = {
    "as_of": "2026-06-02T12:00:00Z",
    "count": 2,
    "emails": ["A@x.com", "b@x.com"],
}
ENROLLED = {"email": "a@x.com", "contact_exists": True, "enrollments": [{"sequence_slug": "s"}]}


@dataclass
class Meisa:
    """A Meisa that gives one answer to everything, and remembers what it was asked."""

    answer: httpx.Response | type[httpx.TransportError]
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        body = orjson.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.raw_path.decode(), body))
        if isinstance(self.answer, httpx.Response):
            return self.answer
        raise self.answer("no")


def client(meisa: Meisa) -> MeisaClient:
    """Return a client of that Meisa."""
    return MeisaClient(
        CANARY, base_url=BASE, transport=httpx.MockTransport(meisa), now=lambda: 1_800_000_000.0
    )


def answering(answer: httpx.Response | type[httpx.TransportError]) -> MeisaClient:
    """Return a client of a Meisa that answers so."""
    return client(Meisa(answer))


def ok(body: object, status: int = 200) -> httpx.Response:
    """Return a successful answer."""
    return httpx.Response(status, json=body)


#: name -> (call, answer, method, path, body)
CALLS: dict[str, tuple[Call, object, str, str, Any]] = {
    "ping": (lambda m: m.ping(), {"api_key": {}}, "GET", "/ping/", None),
    "upsert": (
        lambda m: m.upsert(
            " a@example.com ",
            external_id=7,
            first_name="Ada",
            last_name="",
            display_name="Ada L.",
            source="signup",
            custom_fields={"plan": "pro", "mrr": Decimal("99.50"), "left": None},
            tag_names=["paying"],
        ),
        CONTACT,
        "POST",
        "/contacts/upsert/",
        {
            "email": "a@example.com",
            "external_id": "7",
            "first_name": "Ada",
            "last_name": "",
            "display_name": "Ada L.",
            "source": "signup",
            "custom_fields": {"plan": "pro", "mrr": 99.5, "left": None},
            "tag_names": ["paying"],
        },
    ),
    "track_event": (
        lambda m: m.track_event(
            "exported", email="a@x.com", external_id="7", properties={"at": date(2026, 1, 2)}
        ),
        {"status": "tracked"},
        "POST",
        "/events/track/",
        {
            "event_name": "exported",
            "email": "a@x.com",
            "external_id": "7",
            "properties": {"at": "2026-01-02"},
        },
    ),
    "add_tag": (
        lambda m: m.add_tag("c/1", "churned"),
        {},
        "POST",
        "/contacts/c%2F1/add_tag/",
        {"tag_name": "churned"},
    ),
    "remove_tag": (
        lambda m: m.remove_tag("c-1", tag_id="t-1"),
        {},
        "POST",
        "/contacts/c-1/remove_tag/",
        {"tag_id": "t-1"},
    ),
    "unsubscribed_emails": (
        lambda m: m.unsubscribed_emails(),
        LISTED,
        "GET",
        "/contacts/api/unsubscribed-emails/",
        None,
    ),
    "trigger_email": (
        lambda m: m.trigger_email("code", "a@x.com"),
        {"status": "sent"},
        "POST",
        "/emails/trigger/",
        {"trigger_key": "code", "to_email": "a@x.com"},
    ),
    "trigger_email_keyed": (
        lambda m: m.trigger_email(
            "code",
            "a@x.com",
            variables={"code": "123456", "until": datetime(2026, 1, 2, tzinfo=UTC)},
            recipient={"first_name": "Ada"},
            idempotency_key="code-7-1",
        ),
        {"status": "sent"},
        "POST",
        "/emails/trigger/",
        {
            "trigger_key": "code",
            "to_email": "a@x.com",
            "variables": {"code": "123456", "until": "2026-01-02T00:00:00Z"},
            "recipient": {"first_name": "Ada"},
            "idempotency_key": "code-7-1",
        },
    ),
    "enroll": (
        lambda m: m.enroll(
            "welcome",
            "a@x.com",
            metadata={"by": "app"},
            trigger_source="signup",
            override_unsubscribe=False,
        ),
        {"id": "e-1"},
        "POST",
        "/sequences/enroll/",
        {
            "sequence_slug": "welcome",
            "email": "a@x.com",
            "metadata": {"by": "app"},
            "trigger_source": "signup",
            "override_unsubscribe": False,
        },
    ),
    "bulk_enroll": (
        lambda m: m.bulk_enroll("welcome", ["a@x.com", "A@x.com ", "b@x.com"]),
        {"enrolled": 2},
        "POST",
        "/sequences/api/bulk-enroll/",
        {"sequence_slug": "welcome", "emails": ["a@x.com", "b@x.com"]},
    ),
    "sequences": (
        lambda m: m.sequences(status="all", search="a&b"),
        {"results": []},
        "GET",
        "/sequences/api/list/?status=all&search=a%26b",
        None,
    ),
    "contact_enrollments": (
        lambda m: m.contact_enrollments("a+b@x.com"),
        ENROLLED,
        "GET",
        "/sequences/api/contact-enrollments/?email=a%2Bb%40x.com",
        None,
    ),
}
READS = [name for name, call in CALLS.items() if call[2] == "GET"]
WRITES = [name for name in CALLS if name not in READS]
REPEATABLE = {"upsert", "add_tag", "remove_tag", "trigger_email_keyed"}
#: Calls that name something that may not exist.
NAMING = set(WRITES) - {"upsert"}

AT = "2026-01-12T08:30:00Z"
#: name of a call -> an answer with every member that the documents name.
WHOLE: dict[str, dict[str, Any]] = {
    "ping": {
        "status": "ok",
        "api_key": {
            "name": "backend",
            "environment": "test",
            "scopes": ["events:track"],
            "rate_limit_per_minute": 60,
            "rate_limit_per_hour": 1000,
        },
        "product": {"id": "p-1", "name": "Shop"},
    },
    "upsert": {
        **CONTACT,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "full_name": "Ada Lovelace",
        "display_name": "Ada L.",
        "source": "signup",
        "status": "active",
        "custom_fields": {"plan": "pro", "mrr": 99},
        "tags": [{"id": "t-1", "name": "Paying", "slug": "paying", "color": "#fff"}],
        "preferences": {"news": True},
        "total_emails_sent": 4,
        "total_emails_opened": 3,
        "open_rate": 0.75,
        "last_email_sent_at": AT,
        "last_activity_at": AT,
        "created_at": AT,
        "updated_at": AT,
    },
    "track_event": {
        "status": "tracked",
        "contact_id": "c-1",
        "event_name": "exported",
        "timestamp": AT,
    },
    "trigger_email": {
        "status": "sent",
        "reason": "none",
        "email_send_id": "m-1",
        "contact_id": "c-1",
        "contact_created": True,
        "trigger_key": "code",
        "timestamp": AT,
    },
    "enroll": {
        "id": "e-1",
        "contact_email": "a@x.com",
        "sequence_slug": "welcome",
        "status": "active",
        "enrolled_at": AT,
        "next_step_at": AT,
    },
    "sequences": {
        "results": [{"id": "q", "slug": "s", "name": "S", "status": "active", "total_enrolled": 3}]
    },
    "contact_enrollments": {
        "email": "a@x.com",
        "contact_exists": True,
        "enrollments": [
            {"sequence_slug": "s", "status": "active", "enrolled_at": AT, "emails_sent": 2}
        ],
    },
}
