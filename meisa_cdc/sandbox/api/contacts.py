"""Contacts: the upsert, and the list of addresses that must not be written to."""

from meisa_cdc.sandbox import fields
from meisa_cdc.sandbox.api import schemas
from meisa_cdc.sandbox.api.endpoint import Answer, Call, Endpoint
from meisa_cdc.sandbox.exchange import Reply, json_reply
from meisa_cdc.sandbox.fields import Body, Field
from meisa_cdc.sandbox.records import Records
from meisa_cdc.sandbox.values import iso

_UPSERT = Body(
    fields=(
        Field(name="email", rule=fields.EMAIL, required=True),
        Field(name="external_id", rule=fields.IDENTIFIER),
        Field(name="first_name", rule=fields.TEXT),
        Field(name="last_name", rule=fields.TEXT),
        Field(name="display_name", rule=fields.TEXT),
        Field(
            name="source",
            rule=fields.one_of("api", "import", "manual", "signup", "initial_sync"),
        ),
        Field(name="custom_fields", rule=fields.OBJECT),
        Field(name="tag_names", rule=fields.IDENTIFIERS),
    )
)


def _upsert(records: Records, call: Call) -> Reply:
    done = records.upsert(call.fields, call.now)
    status = records.options.created_status if done.created else 200
    return json_reply(status, records.describe(done.contact))


def _unsubscribed_emails(records: Records, call: Call) -> Reply:
    emails = records.suppressed.listed()
    return json_reply(200, {"as_of": iso(call.now), "count": len(emails), "emails": emails})


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/contacts/upsert/",
        summary="Create a contact, or update the one with that external_id or e-mail",
        scope="contacts:write",
        body=_UPSERT,
        answers={
            200: Answer(meaning="The contact as it is now", schema=schemas.CONTACT),
            201: Answer(
                meaning="The contact is new, in a sandbox that was told to say so",
                schema=schemas.CONTACT,
            ),
            409: Answer(meaning="The e-mail belongs to another contact"),
        },
        respond=_upsert,
    ),
    Endpoint(
        method="GET",
        path="/contacts/api/unsubscribed-emails/",
        summary="Every address that must not be written to",
        scope="contacts:read",
        answers={200: Answer(meaning="The whole list", schema=schemas.UNSUBSCRIBED)},
        respond=_unsubscribed_emails,
    ),
)
