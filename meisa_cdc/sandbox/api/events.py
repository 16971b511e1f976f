"""Events that the application reports about a contact."""

from meisa_cdc.sandbox import fields
from meisa_cdc.sandbox.api import schemas
from meisa_cdc.sandbox.api.endpoint import Answer, Call, Endpoint
from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.exchange import Reply, json_reply
from meisa_cdc.sandbox.fields import Body, Field
from meisa_cdc.sandbox.records import Records
from meisa_cdc.sandbox.values import iso

_TRACK = Body(
    fields=(
        Field(name="event_name", rule=fields.IDENTIFIER, required=True),
        Field(name="email", rule=fields.EMAIL),
        Field(name="external_id", rule=fields.IDENTIFIER),
        Field(name="properties", rule=fields.OBJECT),
    ),
    any_of=("external_id", "email"),
)


def _track(records: Records, call: Call) -> Reply:
    sent = call.fields
    contact = records.contacts.match(sent.get("external_id"), sent.get("email"))
    if contact is None:
        raise Refusal(404, "There is no such contact; upsert it first.")
    name = sent["event_name"]
    records.fire(
        "custom_event",
        contact,
        call.now,
        event_name=name,
        properties=sent.get("properties", {}),
    )
    return json_reply(
        200,
        {
            "status": "tracked",
            "contact_id": contact.id,
            "event_name": name,
            "timestamp": iso(call.now),
        },
    )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/events/track/",
        summary="Record that a contact did something",
        scope="events:track",
        body=_TRACK,
        answers={
            200: Answer(meaning="The event is recorded", schema=schemas.TRACKED),
            404: Answer(meaning="There is no contact with that external_id or e-mail"),
        },
        respond=_track,
    ),
)
