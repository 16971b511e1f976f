"""Tags in requests and answers: which are sent, which are ours, what an answer tells."""

from typing import Any

import pytest

from meisa_cdc.core import tags
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import judge, request_for, settle
from meisa_cdc.core.outcome import Answer, Kind

NOW = 1_767_225_600.0
MADE = "2026-01-01T00:00:00Z"
TIER, ROLE = "tags/tier", "tags/role"


def answered(contact: Contact, **body: Any) -> Contact:
    """Deliver a contact's next request, answered with this contact; return what is stored."""
    request = request_for(contact)
    document = {"id": "m-1", "email": "a@x.io", "external_id": "1", **body}
    outcome = judge(request, Answer(status=200, body=document))
    return settle(contact, request, outcome, started=NOW, now=NOW)


def newcomer(**settings: Any) -> Contact:
    """Return a contact that Meisa was never sent."""
    pending: dict[str, Any] = {"email": "a@x.io", TIER: ["pro"]}
    return Contact(external_id="1", pending=pending, rank=0, **settings)


@pytest.mark.parametrize(
    ("created", "updated", "ours"),
    [
        (MADE, MADE, {"pro"}),
        (MADE, "2026-01-01T00:00:01Z", set()),
        ("2025-12-31T23:00:00Z", "2025-12-31T23:00:00Z", set()),
        ("soon", "soon", set()),
        (None, None, set()),
    ],
)
def test_the_tags_of_a_contact_that_came_with_its_request_are_ours(created, updated, ours):
    """An answer 200 does not tell that a contact is new, but its dates do."""
    after = answered(newcomer(), created_at=created, updated_at=updated, tags=[{"name": "pro"}])
    assert after.ours == ours
    assert after.tags == {"pro"}


def test_a_contact_that_is_known_tells_by_its_last_answer():
    """Its age says nothing; what it had before does."""
    known = newcomer(ledger={"email": "a@x.io"}, meisa_id="m-1", tags=frozenset({"pro"}))
    after = answered(known, created_at=MADE, updated_at=MADE, tags=["pro"])
    assert after.ours == frozenset()
    again = answered(newcomer(ledger={"email": "a@x.io"}, meisa_id="m-1"), tags=["pro", 7])
    assert again.ours == again.tags == {"pro"}


def test_what_counts_as_requests():
    """An upsert takes all that is added; each removal is one more, and may be all there is."""
    held: dict[str, Any] = {"email": "a@x.io", TIER: ["a", "b", "c"]}
    known = Contact(
        external_id="1", ledger=held, meisa_id="m", ours=frozenset({"a", "b", "c"}), rank=0
    )

    def wanting(**pending: Any) -> Contact:
        fields = {name.replace("_", "/", 1): value for name, value in pending.items()}
        return Contact(
            external_id="1",
            ledger=known.ledger,
            meisa_id="m",
            ours=known.ours,
            pending=fields,
        )

    assert tags.requests(wanting(tags_tier=["a", "d"])) == 3
    assert tags.requests(wanting(tags_tier=["a"])) == 2
    assert tags.next_removal(wanting(tags_tier=["a"])) == "b"
    assert tags.requests(wanting(plan="pro")) == 1
    assert tags.next_removal(wanting(tags_tier=["a"], plan="pro")) == ""


def test_a_tag_that_another_mapping_wants_stays():
    """It only changed hands."""
    held: dict[str, Any] = {"email": "a@x.io", TIER: ["pro"]}
    contact = Contact(
        external_id="1",
        ledger=held,
        meisa_id="m",
        ours=frozenset({"pro"}),
        pending={TIER: [], ROLE: ["pro"]},
    )
    assert tags.removable(contact) == frozenset()
    after = answered(contact, tags=["pro"])
    assert after.pending == {}
    assert after.ledger[ROLE] == ["pro"]


def test_only_meisa_can_say_that_there_is_no_such_tag():
    """A page that a wrong address answers with does not."""
    contact = Contact(
        external_id="1",
        ledger={"email": "a@x.io", TIER: ["pro"]},
        meisa_id="m",
        ours=frozenset({"pro"}),
        pending={TIER: []},
        rank=1,
    )
    request = request_for(contact)
    assert judge(request, Answer(status=404, body={"detail": "Not found."})).kind is Kind.ACCEPTED
    assert judge(request, Answer(status=404, error="no JSON")).kind is Kind.STOPPED
