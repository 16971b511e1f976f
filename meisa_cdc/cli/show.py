"""`meisa-cdc show`: all we know of one contact."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meisa_cdc.cli.command import command
from meisa_cdc.cli.session import Session
from meisa_cdc.core.errors import Stop

if TYPE_CHECKING:
    from meisa_cdc.core.contact import Contact
    from meisa_cdc.records import DeliveryRecord

MOST_DELIVERIES = 20


@command("meisa-cdc show 4711", "meisa-cdc show jane@example.com --format json")
def show(
    session: Session,
    *,
    contact: Annotated[
        str, typer.Argument(metavar="EXTERNAL_ID|EMAIL", help="Its key in the app, or its address.")
    ],
) -> None:
    """Show what Meisa holds of a contact, what is pending, and what was sent."""
    from meisa_cdc.cli.times import dated
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    with wiring.state_to_read() as state:
        found = state.find(contact)
        if found is None:
            raise Stop(
                f"No contact is on record as {contact}.",
                hint="It may be new, invalid or held: see meisa-cdc plan.",
            )
        deliveries = state.deliveries(external_id=found.external_id, most=MOST_DELIVERIES)
        document = contact_document(found, list(islice(deliveries, MOST_DELIVERIES)))
    session.output.json(dated(document))
    _show(session, document)


def contact_document(contact: "Contact", deliveries: list["DeliveryRecord"]) -> dict[str, Any]:
    """Return one contact as a document; times are epoch seconds."""
    held = contact.quarantine
    return {
        "external_id": contact.external_id,
        "meisa_id": contact.meisa_id or None,
        "present": contact.present,
        "invalid": contact.invalid or None,
        "ledger": dict(contact.ledger),
        "observed": {**contact.ledger, **contact.pending},
        "pending": dict(contact.pending),
        "in_doubt": sorted(contact.in_doubt),
        "since": contact.since,
        "quarantine": None
        if held is None
        else {"code": held.code, "message": held.message, "since": held.since},
        "deliveries": [delivery_document(each) for each in deliveries],
    }


def delivery_document(delivery: "DeliveryRecord") -> dict[str, Any]:
    """Return one request as show and history print it."""
    return {
        "id": delivery.id,
        "kind": delivery.kind,
        "external_id": delivery.external_id or None,
        "started_at": delivery.started_at,
        "done_at": delivery.done_at,
        "code": delivery.code or None,
        "message": delivery.message or None,
        "fields": list(delivery.fields),
    }


def _show(session: Session, document: dict[str, Any]) -> None:
    from meisa_cdc.cli.showing import value_told
    from meisa_cdc.core.durations import iso

    output = session.output
    marks = [
        "" if document["present"] else "removed from the app",
        f"invalid: {document['invalid']}" if document["invalid"] else "",
    ]
    notes = "; ".join(mark for mark in marks if mark)
    output.text(f"Contact {document['external_id']}{f' ({notes})' if notes else ''}")
    names = sorted({*document["ledger"], *document["pending"]})
    rows = [
        (
            name,
            value_told(document["ledger"][name]) if name in document["ledger"] else "",
            value_told(document["pending"][name]) if name in document["pending"] else "",
            "in doubt" if name in document["in_doubt"] else "",
        )
        for name in names
    ]
    output.text(output.table("field", "Meisa holds", "pending", "", rows=rows))
    held = document["quarantine"]
    if held is not None:
        output.text(f"In quarantine since {iso(held['since'])}: {held['code']}, {held['message']}")
    for delivery in document["deliveries"]:
        fields = ", ".join(delivery["fields"])
        output.text(f"{iso(delivery['started_at'])}  {delivery['code'] or 'under way'}  {fields}")
