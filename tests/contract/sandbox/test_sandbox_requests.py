"""The call that the API documents show for Python, sent by requests."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import requests

from meisa_cdc.sandbox import DEFAULT_API_KEY


@dataclass
class Subscription:
    """What a user pays for."""

    plan: str = "free"
    mrr: float = 0.0


@dataclass
class User:
    """A user as an application has it."""

    id: int
    email: str
    first_name: str
    last_name: str | None
    created_at: datetime = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
    subscription: Subscription = field(default_factory=Subscription)


@pytest.fixture
def session():
    """A session that takes nothing from the machine's settings."""
    with requests.Session() as ready:
        ready.trust_env = False
        yield ready


@pytest.fixture
def sync(session, meisa):
    """Sends a user's present state; returns the contact."""

    def send(user):
        answer = session.post(
            meisa.base_url + "/contacts/upsert/",
            headers={"X-API-Key": DEFAULT_API_KEY, "Content-Type": "application/json"},
            json={
                "email": user.email,
                "external_id": str(user.id),
                "first_name": user.first_name,
                "last_name": user.last_name,
                "custom_fields": {
                    "plan": user.subscription.plan,
                    "mrr": user.subscription.mrr,
                    "signup_date": user.created_at.isoformat(),
                },
            },
        )
        answer.raise_for_status()
        return answer.json()

    return send


def test_a_user_is_created_and_updated(sync, tags):
    """The same call serves both; a change of plan sets off its automation."""
    user = User(7, "john@example.com", "John", "Doe")
    created = sync(user)
    assert (created["full_name"], created["custom_fields"]["mrr"]) == ("John Doe", 0.0)
    assert tags(user.email) == ["free-plan"]
    user.subscription = Subscription(plan="pro", mrr=99.0)
    updated = sync(user)
    assert updated["id"] == created["id"]
    assert updated["custom_fields"] == {
        "plan": "pro",
        "mrr": 99.0,
        "signup_date": "2024-01-15T10:30:00+00:00",
    }
    assert tags(user.email) == ["paying-customer"]


def test_a_user_without_a_last_name_is_refused(sync):
    """Python's None becomes null, which the documents do not know."""
    with pytest.raises(requests.HTTPError, match="400"):
        sync(User(7, "john@example.com", "John", None))


def test_an_email_is_accepted_for_later(session, meisa):
    """202 where the trigger waits."""
    answer = session.post(
        meisa.base_url + "/emails/trigger/",
        headers={"X-API-Key": DEFAULT_API_KEY},
        json={"trigger_key": "payment_failure", "to_email": "john@example.com"},
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "scheduled")


def test_a_query_is_encoded(session, meisa):
    """An address with a plus sign arrives whole."""
    answer = session.get(
        meisa.base_url + "/sequences/api/contact-enrollments/",
        headers={"X-API-Key": DEFAULT_API_KEY},
        params={"email": "john+news@example.com"},
    )
    assert answer.json()["email"] == "john+news@example.com"
