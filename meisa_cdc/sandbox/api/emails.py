"""Triggered e-mails: one recipient, a template that was set up in Meisa."""

from collections.abc import Mapping
from typing import Any

from meisa_cdc.sandbox import fields
from meisa_cdc.sandbox.api import schemas
from meisa_cdc.sandbox.api.endpoint import Answer, Call, Endpoint
from meisa_cdc.sandbox.automations.deciding import all_hold
from meisa_cdc.sandbox.automations.rules import Facts
from meisa_cdc.sandbox.configured import EmailTrigger
from meisa_cdc.sandbox.contact import Contact
from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.exchange import Reply, json_reply
from meisa_cdc.sandbox.fields import Body, Field
from meisa_cdc.sandbox.mails import Mail
from meisa_cdc.sandbox.options import SandboxOptions
from meisa_cdc.sandbox.records import Records
from meisa_cdc.sandbox.values import iso

_RECIPIENT = fields.object_of(
    Field(name="external_id", rule=fields.IDENTIFIER),
    Field(name="first_name", rule=fields.TEXT),
    Field(name="last_name", rule=fields.TEXT),
    Field(name="display_name", rule=fields.TEXT),
    Field(name="custom_fields", rule=fields.OBJECT),
)


def _active_keys(options: SandboxOptions) -> list[str]:
    return [trigger.key for trigger in options.email_triggers if trigger.active]


_TRIGGER = Body(
    fields=(
        Field(name="trigger_key", rule=fields.IDENTIFIER, required=True, choices=_active_keys),
        Field(name="to_email", rule=fields.EMAIL, required=True),
        Field(name="variables", rule=fields.OBJECT),
        Field(name="recipient", rule=_RECIPIENT),
        Field(name="idempotency_key", rule=fields.IDENTIFIER),
    )
)


def _trigger(records: Records, call: Call) -> Reply:
    trigger, sender = _usable(records, call.fields["trigger_key"])
    to_email = call.fields["to_email"]
    recipient: Mapping[str, Any] = call.fields.get("recipient", {})
    earlier = records.outbox.identical(call.fields, call.now)
    if earlier is not None:
        return _reply(earlier)
    if to_email in records.suppressed:
        raise Refusal(422, f"{to_email} must not be written to.", field="to_email")
    contact = records.contacts.match(None, to_email)
    if not all_hold(trigger.conditions, _prospect(records, contact, to_email, recipient)):
        return json_reply(200, {"status": "skipped", "reason": "conditions_not_met"})
    created = contact is None
    contact = _recipient(records, contact, to_email, recipient, call.now)
    mail = records.outbox.add(
        trigger, sender, contact, call.fields, call.now, contact_created=created
    )
    if mail.status == "sent":
        records.mailed(mail, call.now)
    return _reply(mail)


def _usable(records: Records, key: str) -> tuple[EmailTrigger, str]:
    """The active trigger of that key, and its sender."""
    known = {trigger.key: trigger for trigger in records.options.email_triggers}
    trigger = known.get(key)
    if trigger is None:
        names = ", ".join(known) or "none"
        raise Refusal(400, f"There is no trigger {key!r}; there are {names}.", field="trigger_key")
    if not trigger.active:
        raise Refusal(400, f"The trigger {key!r} is not active.", field="trigger_key")
    if trigger.sender is None:
        raise Refusal(422, f"The trigger {key!r} has no sender configured.", field="trigger_key")
    return trigger, trigger.sender


def _prospect(
    records: Records, contact: Contact | None, to_email: str, recipient: Mapping[str, Any]
) -> Facts:
    """The recipient as conditions see it, before anything was created or filled in."""
    custom = recipient.get("custom_fields", {})
    sent = {"email": to_email, "status": "active", "source": "api", **recipient}
    sent |= {f"custom_fields.{key}": value for key, value in custom.items()}
    if contact is None:
        return Facts(fields=sent, tags=frozenset())
    known = records.facts(contact)
    held = {path: value for path, value in known.fields.items() if value not in ("", None)}
    return Facts(fields=sent | held, tags=known.tags)


def _recipient(
    records: Records,
    contact: Contact | None,
    to_email: str,
    recipient: Mapping[str, Any],
    now: float,
) -> Contact:
    """The contact of that address: created if need be, else given what it lacks."""
    if contact is not None:
        changes = records.contacts.enrich(contact, recipient, now)
        if changes:
            records.fire("contact_updated", contact, now, changes=changes)
        return contact
    external_id = recipient.get("external_id")
    holder = records.contacts.match(external_id, None)
    if holder is not None:
        raise Refusal(
            409,
            f"The external_id {external_id!r} belongs to another contact ({holder.email}).",
            field="recipient",
        )
    return records.upsert({"email": to_email, **recipient}, now).contact


def _reply(mail: Mail) -> Reply:
    scheduled = mail.due_at > mail.at
    return json_reply(
        202 if scheduled else 200,
        {
            "status": "scheduled" if scheduled else "sent",
            "email_send_id": mail.id,
            "contact_id": mail.contact_id,
            "contact_created": mail.contact_created,
            "trigger_key": mail.trigger_key,
            "timestamp": iso(mail.at),
        },
    )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/emails/trigger/",
        summary="Send one e-mail that was set up in Meisa",
        scope="emails:trigger",
        body=_TRIGGER,
        answers={
            200: Answer(
                meaning="The e-mail was sent, or skipped", schema=schemas.MAIL_SENT_OR_SKIPPED
            ),
            202: Answer(meaning="The e-mail is sent later", schema=schemas.MAIL_SCHEDULED),
            409: Answer(meaning="The recipient's external_id belongs to another contact"),
            422: Answer(meaning="The address must not be written to, or there is no sender"),
        },
        respond=_trigger,
    ),
)
