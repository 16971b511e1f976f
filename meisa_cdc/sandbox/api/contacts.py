"""Contacts: the upsert, and the list of addresses that must not be written to."""

from meisa_cdc.sandbox import fields
from meisa_cdc.sandbox.api.endpoint import Call, Endpoint
from meisa_cdc.sandbox.contacts import iso
from meisa_cdc.sandbox.exchange import Reply, json_reply
from meisa_cdc.sandbox.fields import Field
from meisa_cdc.sandbox.records import Records

_UPSERT_FIELDS = (
    Field(name="email", check=fields.email_address, required=True),
    Field(name="external_id", check=fields.identifier),
    Field(name="first_name", check=fields.text),
    Field(name="last_name", check=fields.text),
    Field(name="display_name", check=fields.text),
    Field(
        name="source",
        check=fields.one_of("api", "import", "manual", "signup", "initial_sync"),
    ),
    Field(name="custom_fields", check=fields.json_object),
    Field(name="tag_names", check=fields.identifiers),
)


def _upsert(records: Records, call: Call) -> Reply:
    done = records.contacts.upsert(call.fields, call.now)
    if done.created:
        records.fire("contact_created", done.contact, call.now)
    elif done.changes:
        records.fire("contact_updated", done.contact, call.now, changes=done.changes)
    for tag in done.tags_added:
        records.fire("tag_added", done.contact, call.now, tag=tag)
    status = records.options.created_status if done.created else 200
    return json_reply(status, records.describe(done.contact))


def _unsubscribed_emails(records: Records, call: Call) -> Reply:
    emails = records.suppressed.listed()
    return json_reply(200, {"as_of": iso(call.now), "count": len(emails), "emails": emails})


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/contacts/upsert/",
        scope="contacts:write",
        fields=_UPSERT_FIELDS,
        respond=_upsert,
    ),
    Endpoint(
        method="GET",
        path="/contacts/api/unsubscribed-emails/",
        scope="contacts:read",
        respond=_unsubscribed_emails,
    ),
)
