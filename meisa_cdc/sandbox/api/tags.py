"""Tags of one contact, added and removed one by one."""

from meisa_cdc.sandbox import fields
from meisa_cdc.sandbox.api import schemas
from meisa_cdc.sandbox.api.endpoint import Answer, Call, Endpoint
from meisa_cdc.sandbox.contact import Contact
from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.exchange import Reply, json_reply
from meisa_cdc.sandbox.fields import Body, Field
from meisa_cdc.sandbox.records import Records

_TAG = Body(
    fields=(
        Field(name="tag_name", rule=fields.IDENTIFIER),
        Field(name="tag_id", rule=fields.IDENTIFIER),
    ),
    one_of=("tag_name", "tag_id"),
)


def _add_tag(records: Records, call: Call) -> Reply:
    contact = _contact(records, call)
    name = call.fields.get("tag_name") or _known_tag(records, call)
    if records.contacts.add_tag(contact, name, call.now):
        records.fire("tag_added", contact, call.now, tag=name)
    return json_reply(200, records.describe(contact))


def _remove_tag(records: Records, call: Call) -> Reply:
    contact = _contact(records, call)
    name = _known_tag(records, call)
    if records.contacts.remove_tag(contact, name, call.now):
        records.fire("tag_removed", contact, call.now, tag=name)
    return json_reply(200, records.describe(contact))


def _contact(records: Records, call: Call) -> Contact:
    contact = records.contacts.get(call.places["id"])
    if contact is None:
        raise Refusal(404, f"There is no contact with the id {call.places['id']!r}.")
    return contact


def _known_tag(records: Records, call: Call) -> str:
    """The name of the tag asked for. Raises Refusal (404) if no contact ever had it."""
    field, value = next(iter(call.fields.items()))
    tag = records.contacts.tag(name=call.fields.get("tag_name"), tag_id=call.fields.get("tag_id"))
    if tag is None:
        raise Refusal(404, f"There is no tag with the {field} {value!r}.", field=field)
    return tag.name


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/contacts/{id}/add_tag/",
        summary="Add a tag to a contact; a name that is new becomes a tag",
        scope="contacts:write",
        body=_TAG,
        answers={
            200: Answer(meaning="The contact as it is now", schema=schemas.CONTACT),
            404: Answer(meaning="There is no such contact, or no tag with that id"),
        },
        respond=_add_tag,
    ),
    Endpoint(
        method="POST",
        path="/contacts/{id}/remove_tag/",
        summary="Take a tag off a contact",
        scope="contacts:write",
        body=_TAG,
        answers={
            200: Answer(meaning="The contact as it is now", schema=schemas.CONTACT),
            404: Answer(meaning="There is no such contact, or no such tag"),
        },
        respond=_remove_tag,
    ),
)
