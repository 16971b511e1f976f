"""Our own client on the sandbox: two readings of the API documents that share no code."""

from uuid import uuid4

import pytest

from meisa_cdc.meisa import FixKey, FixRequest, MeisaClient, NotFound, Unprocessable
from meisa_cdc.sandbox import DEFAULT_API_KEY, ApiKey, EmailTrigger, SandboxOptions
from tests.description import watched

ADA = "ada@example.com"


@pytest.fixture
def meisa():
    """A sandbox without limits, which looks at each exchange."""
    triggers = (
        EmailTrigger(key="verification_code"),
        EmailTrigger(key="payment_failure", delay=3600.0),
    )
    with watched(SandboxOptions(limits=(), email_triggers=triggers)) as server:
        yield server


@pytest.fixture
def client(meisa):
    """A client of the sandbox."""
    with MeisaClient(DEFAULT_API_KEY, base_url=meisa.base_url) as made:
        yield made


def test_key_and_contact(client, meisa):
    """Ping, an upsert that creates and one that updates, read field by field."""
    assert client.ping().product.id == "sandbox"
    made = client.upsert(ADA, external_id=7, custom_fields={"plan": "free"}, tag_names=["new"])
    again = client.upsert(ADA, external_id=7, first_name="Ada", custom_fields={"mrr": 9.5})
    assert again.id == made.id
    assert again.custom_fields == {"plan": "free", "mrr": 9.5}
    assert (again.full_name, again.created_at) == ("Ada", made.created_at)
    meisa.account.suppress(add=["gone@example.com"])
    assert client.unsubscribed_emails().emails == {"gone@example.com"}


def test_tags_by_name_and_by_id(client, meisa, tags):
    """Both requests take either; what does not exist is not found."""
    made = client.upsert(ADA, tag_names=["a", "b"])
    client.add_tag(made.id, "c")
    client.remove_tag(made.id, "a")
    client.remove_tag(made.id, tag_id=made.tags[1].id)
    assert tags(ADA) == ["c"]
    for contact, tag in (("no such", "c"), (made.id, "no such")):
        with pytest.raises(NotFound):
            client.remove_tag(contact, tag)
    (wrong,) = meisa.account.taken_mismatches()
    assert "remove_tag/: id: it: " in wrong


def test_events(client, meisa):
    """Of a contact that is there, and of one that is not."""
    made = client.upsert(ADA, external_id="7")
    tracked = client.track_event("exported", external_id="7", properties={"rows": 3})
    assert (tracked.contact_id, tracked.event_name) == (made.id, "exported")
    assert meisa.account.triggers()[-1].properties == {"rows": 3}
    with pytest.raises(NotFound):
        client.track_event("exported", email="nobody@example.com")


def test_emails(client, meisa):
    """Sent once for one idempotency key, scheduled, refused."""
    asked = {"variables": {"code": "1"}, "recipient": {"first_name": "Ada"}}
    sent = client.trigger_email("verification_code", ADA, idempotency_key="k", **asked)
    again = client.trigger_email("verification_code", ADA, idempotency_key="k", **asked)
    assert (sent.status, sent.contact_created) == ("sent", True)
    assert again.email_send_id == sent.email_send_id
    assert client.trigger_email("payment_failure", ADA).status == "scheduled"
    with pytest.raises(FixRequest):
        client.trigger_email("unknown", ADA)
    (wrong,) = meisa.account.taken_mismatches()
    assert "/emails/trigger/: trigger_key: " in wrong
    meisa.account.suppress(add=[ADA])
    with pytest.raises(Unprocessable):
        client.trigger_email("verification_code", ADA)


def test_sequences(client, meisa):
    """One, many, the list and the contact's own."""
    enrolled = client.enroll("win-back", ADA, metadata={"from": "test"}, trigger_source="tests")
    assert (enrolled.contact_email, enrolled.status) == (ADA, "active")
    with pytest.raises(FixRequest):
        client.enroll("win-back", ADA)
    client.bulk_enroll("win-back", [ADA, *(f"{number}@example.com" for number in range(499))])
    (listed,) = client.sequences(search="win").results
    assert listed.total_enrolled == 500
    assert len(client.sequences(status="all").results) == 3
    (own,) = client.contact_enrollments(ADA).enrollments
    assert (own.sequence_slug, own.emails_sent) == ("win-back", 1)
    assert client.contact_enrollments("nobody@example.com").contact_exists is False
    meisa.account.suppress(add=["gone@example.com"])
    with pytest.raises(Unprocessable):
        client.enroll("win-back", "gone@example.com")
    assert client.enroll("win-back", "gone@example.com", override_unsubscribe=True).id


def test_a_key_without_scopes_can_only_ping():
    """Every other call is refused, and says which scope it lacks."""
    options = SandboxOptions(keys=(ApiKey(scopes=()),), limits=())
    with (
        watched(options) as server,
        MeisaClient(DEFAULT_API_KEY, base_url=server.base_url) as client,
    ):
        assert not client.ping().api_key.scopes
        for call in (
            lambda: client.upsert(ADA),
            lambda: client.track_event("x", email=ADA),
            lambda: client.add_tag(str(uuid4()), "t"),
            client.unsubscribed_emails,
            lambda: client.trigger_email("verification_code", ADA),
            lambda: client.enroll("win-back", ADA),
            client.sequences,
        ):
            with pytest.raises(FixKey):
                call()
