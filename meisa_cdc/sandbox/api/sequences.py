"""Sequences: enrolling contacts in them, and reading which there are and who is in them."""

import uuid
from typing import Any

from meisa_cdc.sandbox import fields
from meisa_cdc.sandbox.api import schemas
from meisa_cdc.sandbox.api.endpoint import Answer, Call, Endpoint
from meisa_cdc.sandbox.configured import Sequence
from meisa_cdc.sandbox.contact import Contact
from meisa_cdc.sandbox.enrollments import Enrollment
from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.exchange import Reply, json_reply
from meisa_cdc.sandbox.fields import Body, Field
from meisa_cdc.sandbox.options import SandboxOptions
from meisa_cdc.sandbox.records import Records

#: Addresses in one request at most.
MOST_EMAILS = 500


def _active_slugs(options: SandboxOptions) -> list[str]:
    """The sequences that take new contacts."""
    return [sequence.slug for sequence in options.sequences if sequence.status == "active"]


_ENROLL = Body(
    fields=(
        Field(name="email", rule=fields.EMAIL, required=True),
        Field(
            name="sequence_slug",
            rule=fields.IDENTIFIER,
            required=True,
            choices=_active_slugs,
        ),
        Field(name="metadata", rule=fields.OBJECT),
        Field(name="trigger_source", rule=fields.TEXT),
        Field(name="override_unsubscribe", rule=fields.FLAG),
    )
)

_BULK_ENROLL = Body(
    fields=(
        Field(
            name="sequence_slug",
            rule=fields.IDENTIFIER,
            required=True,
            choices=_active_slugs,
        ),
        Field(
            name="emails",
            rule=fields.emails(MOST_EMAILS),
            required=True,
        ),
        Field(name="override_unsubscribe", rule=fields.FLAG),
    )
)


def _enroll(records: Records, call: Call) -> Reply:
    email, override = call.fields["email"], call.fields.get("override_unsubscribe", False)
    sequence = _sequence(records, call)
    if email in records.suppressed and not override:
        raise Refusal(422, f"{email} must not be written to.", field="email")
    if _is_enrolled(records, email, sequence, call.now):
        raise Refusal(409, f"{email} is in {sequence.slug!r} already.", field="email")
    details = {
        name: call.fields[name] for name in ("metadata", "trigger_source") if name in call.fields
    }
    enrollment = _take_in(records, email, sequence, call.now, **details)
    shown = enrollment.document(call.now)
    del shown["emails_sent"]
    return json_reply(201, {"id": enrollment.id, "contact_email": email, **shown})


def _bulk_enroll(records: Records, call: Call) -> Reply:
    emails, override = call.fields["emails"], call.fields.get("override_unsubscribe", False)
    sequence = _sequence(records, call)
    enrolled = 0
    for email in emails:
        stopped = email in records.suppressed and not override
        if not stopped and not _is_enrolled(records, email, sequence, call.now):
            _take_in(records, email, sequence, call.now)
            enrolled += 1
    skipped = len(emails) - enrolled
    return json_reply(
        200, {"sequence_slug": sequence.slug, "enrolled": enrolled, "skipped": skipped}
    )


def _list(records: Records, call: Call) -> Reply:
    status = call.query.get("status", "active")
    search = call.query.get("search", "").casefold()
    found = [
        sequence
        for sequence in records.options.sequences
        if status in ("all", sequence.status)
        and (search in sequence.slug.casefold() or search in sequence.title.casefold())
    ]
    results = [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, sequence.slug)),
            "slug": sequence.slug,
            "name": sequence.title,
            "status": sequence.status,
            "total_enrolled": records.enrollments.total(sequence.slug),
        }
        for sequence in found
    ]
    return json_reply(200, {"results": results})


def _contact_enrollments(records: Records, call: Call) -> Reply:
    email = call.query["email"]
    contact = records.contacts.match(None, email)
    enrollments = [] if contact is None else records.enrollments.of(contact)
    return json_reply(
        200,
        {
            "email": email,
            "contact_exists": contact is not None,
            "enrollments": [enrollment.document(call.now) for enrollment in enrollments],
        },
    )


def _sequence(records: Records, call: Call) -> Sequence:
    slug = call.fields["sequence_slug"]
    sequence = records.active_sequence(slug)
    if sequence is None:
        raise Refusal(400, f"There is no active sequence {slug!r}.", field="sequence_slug")
    return sequence


def _is_enrolled(records: Records, email: str, sequence: Sequence, now: float) -> bool:
    contact = records.contacts.match(None, email)
    if contact is None:
        return False
    return records.enrollments.current(contact, sequence.slug, now) is not None


def _take_in(
    records: Records, email: str, sequence: Sequence, now: float, **details: Any
) -> Enrollment:
    known = records.contacts.match(None, email)
    contact: Contact = known or records.upsert({"email": email}, now).contact
    enrollment = records.enrollments.add(contact, sequence, now, **details)
    records.fire("sequence_enrolled", contact, now, sequence_slug=sequence.slug)
    return enrollment


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/sequences/enroll/",
        summary="Enrol one contact in a sequence",
        scope="sequences:enroll",
        body=_ENROLL,
        answers={
            201: Answer(meaning="The contact is enrolled", schema=schemas.ENROLLED),
            409: Answer(meaning="The contact is in the sequence already"),
            422: Answer(meaning="The address must not be written to"),
        },
        respond=_enroll,
    ),
    Endpoint(
        method="POST",
        path="/sequences/api/bulk-enroll/",
        summary="Enrol many contacts in a sequence",
        scope="sequences:enroll",
        body=_BULK_ENROLL,
        answers={
            200: Answer(meaning="How many were enrolled", schema=schemas.BULK_ENROLLED),
        },
        respond=_bulk_enroll,
    ),
    Endpoint(
        method="GET",
        path="/sequences/api/list/",
        summary="The sequences there are",
        scope="sequences:read",
        query=(
            Field(name="status", rule=fields.one_of("active", "inactive", "all")),
            Field(name="search", rule=fields.TEXT),
        ),
        answers={200: Answer(meaning="The sequences", schema=schemas.SEQUENCES)},
        respond=_list,
    ),
    Endpoint(
        method="GET",
        path="/sequences/api/contact-enrollments/",
        summary="The sequences one contact is or was in",
        scope="sequences:read",
        query=(Field(name="email", rule=fields.EMAIL, required=True),),
        answers={200: Answer(meaning="The enrolments", schema=schemas.ENROLLMENTS)},
        respond=_contact_enrollments,
    ),
)
