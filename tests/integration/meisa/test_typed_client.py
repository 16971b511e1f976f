"""The typed client over real HTTP, against a Meisa that follows its documents."""

from collections.abc import Callable, Iterator

import pytest

from meisa_cdc.meisa import (
    FixKey,
    FixRequest,
    MaybeDone,
    MeisaClient,
    MeisaError,
    NotFound,
    TryLater,
    Unprocessable,
)
from meisa_cdc.meisa.endpoints import ENDPOINTS

from .documented_meisa import KEY, SCOPES, DocumentedMeisa

EMAIL = "ada@example.com"

CALLS: dict[str, Callable[[MeisaClient], object]] = {
    "contacts:write": lambda meisa: meisa.upsert(EMAIL),
    "contacts:read": lambda meisa: meisa.unsubscribed_emails(),
    "events:track": lambda meisa: meisa.track_event("exported", email=EMAIL),
    "emails:trigger": lambda meisa: meisa.trigger_email("verification_code", EMAIL),
    "sequences:enroll": lambda meisa: meisa.enroll("welcome", EMAIL),
    "sequences:read": lambda meisa: meisa.sequences(),
}


@pytest.fixture
def server() -> Iterator[DocumentedMeisa]:
    """Run a Meisa."""
    with DocumentedMeisa() as running:
        yield running


@pytest.fixture
def meisa(server: DocumentedMeisa) -> Iterator[MeisaClient]:
    """Return a client of it."""
    with MeisaClient(KEY, base_url=server.base_url) as made:
        yield made


def test_every_endpoint_of_the_documents_is_there():
    """Method, path and scope of each, and no other."""
    assert {(each.method, each.path): each.scope for each in ENDPOINTS} == SCOPES


def test_a_contact_and_its_tags(meisa, server):
    """Created, changed by merging, tagged and untagged."""
    made = meisa.upsert(EMAIL, external_id=7, custom_fields={"plan": "free"}, tag_names=["new"])
    again = meisa.upsert("lovelace@example.com", external_id="7", custom_fields={"mrr": 9})
    assert made.id == again.id
    assert again.custom_fields == {"plan": "free", "mrr": 9}
    meisa.add_tag(made.id, "churned")
    meisa.remove_tag(made.id, tag_id="t-new")
    tags = meisa.upsert("lovelace@example.com").tags
    assert [tag.name for tag in tags] == ["churned"]


def test_an_event_needs_its_contact(meisa):
    """Unknown, then known by external_id."""
    with pytest.raises(NotFound, match="no such contact"):
        meisa.track_event("exported", external_id=7)
    contact = meisa.upsert(EMAIL, external_id=7)
    assert meisa.track_event("exported", external_id=7).contact_id == contact.id


def test_an_email_is_sent_scheduled_skipped_or_refused(meisa, server):
    """Each answer that the documents show for a trigger."""
    server.unsubscribed.append("bob@example.com")
    assert meisa.trigger_email("verification_code", EMAIL).status == "sent"
    assert meisa.trigger_email("delayed", EMAIL).status == "scheduled"
    assert meisa.trigger_email("conditional", EMAIL).reason == "conditions_not_met"
    with pytest.raises(Unprocessable, match="unsubscribed"):
        meisa.trigger_email("verification_code", "bob@example.com")
    with pytest.raises(FixRequest, match="no such trigger"):
        meisa.trigger_email("unknown", EMAIL)


def test_an_email_in_doubt_is_sent_once_if_it_has_a_key(meisa, server):
    """The first answer is lost, the second try finds the work done."""
    server.failing.append(502)
    with pytest.raises(MaybeDone) as lost:
        meisa.trigger_email("verification_code", EMAIL, idempotency_key="7-1")
    assert lost.value.repeatable
    assert meisa.trigger_email("verification_code", EMAIL, idempotency_key="7-1").status == "sent"
    assert len(server.mails) == 1


def test_sequences_and_who_is_in_them(meisa):
    """Enrolled one by one and in bulk, listed, looked up."""
    assert meisa.enroll("welcome", EMAIL).contact_email == EMAIL
    with pytest.raises(FixRequest, match="already"):
        meisa.enroll("welcome", EMAIL)
    assert meisa.bulk_enroll("welcome", [EMAIL, "b+c@example.com"]).said == {"enrolled": 1}
    assert [(each.slug, each.total_enrolled) for each in meisa.sequences().results] == [
        ("welcome", 2)
    ]
    assert [each.slug for each in meisa.sequences(status="all", search="ol").results] == ["old"]
    of = meisa.contact_enrollments("b+c@example.com")
    assert [each.sequence_slug for each in of.enrollments] == ["welcome"]
    assert not meisa.contact_enrollments("nobody@example.com").contact_exists


def test_the_suppression_list(meisa, server):
    """Whole, and asked with `in`."""
    server.unsubscribed.append("Bob@example.com")
    suppressed = meisa.unsubscribed_emails()
    assert "BOB@example.com" in suppressed
    assert EMAIL not in suppressed


def test_ping(meisa):
    """The key as the documents describe it."""
    pinged = meisa.ping()
    assert (pinged.api_key.environment, pinged.api_key.rate_limit_per_minute) == ("test", 60)
    assert pinged.product.name == "Shop"


@pytest.mark.parametrize("scope", CALLS)
def test_f64_a_key_without_the_scope_may_not(meisa, server, scope):
    """The error names the scope that the documents ask for."""
    server.scopes.remove(scope)
    with pytest.raises(FixKey) as refused:
        CALLS[scope](meisa)
    assert scope in refused.value.hint


def test_f64_an_unknown_key_may_nothing(server):
    """Not even ping."""
    with MeisaClient("meisa_test_unknown", base_url=server.base_url) as meisa:
        for call in [MeisaClient.ping, *CALLS.values()]:
            with pytest.raises(FixKey, match="unknown") as refused:
                call(meisa)
            assert refused.value.nothing_done


def test_f61_over_the_limit(meisa, server):
    """The pause is told, nothing is tried behind the caller's back."""
    server.failing.append(429)
    with pytest.raises(TryLater) as busy:
        meisa.upsert(EMAIL)
    assert busy.value.retry_after == 60.0
    assert len(server.asked) == 1


def test_f60_nobody_there(server):
    """A refused connection did nothing."""
    with MeisaClient(KEY, base_url="http://127.0.0.1:9/api/v1", timeout=5) as meisa:
        for call in CALLS.values():
            with pytest.raises(MeisaError) as lost:
                call(meisa)
            assert isinstance(lost.value, TryLater)
            assert lost.value.nothing_done
