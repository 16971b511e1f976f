"""Meisa's API for an application: typed calls, typed answers, errors to act on."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from meisa_cdc.core.contact import SOURCES
from meisa_cdc.core.suppression import PullFailed
from meisa_cdc.core.values import email_key
from meisa_cdc.meisa import bodies, endpoints
from meisa_cdc.meisa.bodies import Body, body
from meisa_cdc.meisa.calls import Calls
from meisa_cdc.meisa.endpoints import Endpoint
from meisa_cdc.meisa.errors import FixRequest
from meisa_cdc.meisa.judging import failure, read, succeeded, unreadable
from meisa_cdc.meisa.models import (
    Confirmation,
    Contact,
    ContactEnrollments,
    Enrollment,
    PingAnswer,
    SequenceList,
    TrackedEvent,
    TriggeredEmail,
    UnsubscribedEmails,
)

Source: TypeAlias = Literal["api", "import", "manual", "signup", "initial_sync"]


class MeisaClient(Calls):
    """Meisa's API, one method an endpoint; one instance serves every thread.

    It is made and closed as Calls says. Nothing is tried twice. Every method raises MeisaError.
    """

    def ping(self) -> PingAnswer:
        """Return what Meisa says about the key: its environment, scopes and limits."""
        return self._ask(PingAnswer, endpoints.PING)

    def upsert(
        self,
        email: str,
        *,
        external_id: str | int | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        display_name: str | None = None,
        source: Source | None = None,
        custom_fields: Mapping[str, Any] | None = None,
        tag_names: Iterable[str] | None = None,
    ) -> Contact:
        """Create a contact or change what is given of one, and return it.

        It is found by `external_id`, else by `email`. `custom_fields` are merged by name; tags
        are added, never removed; `source` counts for a new contact alone.
        """
        if source is not None and source not in SOURCES:
            raise FixRequest(f"source is none of {', '.join(sorted(SOURCES))}.", hint=bodies.UNSENT)
        sent = body(
            email=bodies.email("email", email),
            external_id=bodies.identifier("external_id", external_id),
            first_name=bodies.text("first_name", first_name),
            last_name=bodies.text("last_name", last_name),
            display_name=bodies.text("display_name", display_name),
            source=source,
            custom_fields=bodies.record("custom_fields", custom_fields),
            tag_names=bodies.words("tag_names", tag_names),
        )
        endpoint = endpoints.UPSERT
        answer = self._send(endpoint, sent)
        contact = read(Contact, endpoint, answer, repeatable=endpoint.repeatable)
        if not _is_about(contact, sent):
            what = "it is about another contact"
            raise unreadable(endpoint, answer, what, repeatable=False)
        return contact

    def track_event(
        self,
        event_name: str,
        *,
        email: str | None = None,
        external_id: str | int | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> TrackedEvent:
        """Record an event of a contact that exists, found by `external_id`, else by `email`."""
        if email is None and external_id is None:
            raise FixRequest("An event needs an email or an external_id.", hint=bodies.UNSENT)
        sent = body(
            event_name=bodies.word("event_name", event_name),
            email=None if email is None else bodies.email("email", email),
            external_id=bodies.identifier("external_id", external_id),
            properties=bodies.record("properties", properties),
        )
        return self._ask(TrackedEvent, endpoints.TRACK_EVENT, sent)

    def add_tag(
        self, contact_id: str, tag_name: str | None = None, *, tag_id: str | None = None
    ) -> Confirmation:
        """Add a tag, by its name or its id, to the contact with this id at Meisa.

        A name that no tag has yet becomes one.
        """
        return self._tag(endpoints.ADD_TAG, contact_id, tag_name, tag_id)

    def remove_tag(
        self, contact_id: str, tag_name: str | None = None, *, tag_id: str | None = None
    ) -> Confirmation:
        """Remove a tag, by its name or its id, from the contact with this id at Meisa."""
        return self._tag(endpoints.REMOVE_TAG, contact_id, tag_name, tag_id)

    def unsubscribed_emails(self) -> UnsubscribedEmails:
        """Return every address that must not be e-mailed; fetch it hourly or so, and keep it."""
        endpoint = endpoints.UNSUBSCRIBED_EMAILS
        answer = self._send(endpoint)
        if not succeeded(endpoint, answer):
            raise failure(endpoint, answer, repeatable=endpoint.repeatable)
        try:
            return UnsubscribedEmails.of(answer.body)
        except PullFailed as error:
            what = answer.error or error.message.rstrip(".")
            raise unreadable(endpoint, answer, what, repeatable=endpoint.repeatable) from None

    def trigger_email(
        self,
        trigger_key: str,
        to_email: str,
        *,
        variables: Mapping[str, Any] | None = None,
        recipient: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> TriggeredEmail:
        """Send the e-mail of an active trigger to one address.

        `variables` fill its template; `recipient` are fields of a contact to create or enrich.
        Within an hour Meisa sends once for an `idempotency_key`: with one, MaybeDone may be
        answered by the same call again.
        """
        sent = body(
            trigger_key=bodies.word("trigger_key", trigger_key),
            to_email=bodies.email("to_email", to_email),
            variables=bodies.record("variables", variables),
            recipient=bodies.record("recipient", recipient),
            idempotency_key=None
            if idempotency_key is None
            else bodies.word("idempotency_key", idempotency_key),
        )
        answer = self._send(endpoints.TRIGGER_EMAIL, sent)
        deduped = idempotency_key is not None
        return read(TriggeredEmail, endpoints.TRIGGER_EMAIL, answer, repeatable=deduped)

    def enroll(
        self,
        sequence_slug: str,
        email: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        trigger_source: str | None = None,
        override_unsubscribe: bool | None = None,
    ) -> Enrollment:
        """Enroll one address in an active sequence; a contact is created where there is none.

        FixRequest where the contact is active or paused in it already.
        """
        sent = body(
            email=bodies.email("email", email),
            sequence_slug=bodies.word("sequence_slug", sequence_slug),
            metadata=bodies.record("metadata", metadata),
            trigger_source=bodies.text("trigger_source", trigger_source),
            override_unsubscribe=bodies.flag("override_unsubscribe", override_unsubscribe),
        )
        return self._ask(Enrollment, endpoints.ENROLL, sent)

    def bulk_enroll(
        self,
        sequence_slug: str,
        emails: Iterable[str],
        *,
        override_unsubscribe: bool | None = None,
    ) -> Confirmation:
        """Enroll up to 500 addresses in an active sequence.

        Left out over there: who is enrolled already and, unless overridden, who unsubscribed,
        bounced or complained.
        """
        sent = body(
            sequence_slug=bodies.word("sequence_slug", sequence_slug),
            emails=bodies.addresses("emails", emails),
            override_unsubscribe=bodies.flag("override_unsubscribe", override_unsubscribe),
        )
        return self._ask(Confirmation, endpoints.BULK_ENROLL, sent)

    def sequences(self, *, status: str | None = None, search: str | None = None) -> SequenceList:
        """Return the active sequences; those of another `status`, or "all"; with `search`."""
        query = {"status": bodies.text("status", status), "search": bodies.text("search", search)}
        asked = {name: value for name, value in query.items() if value is not None}
        return self._ask(SequenceList, endpoints.SEQUENCES, query=asked)

    def contact_enrollments(self, email: str) -> ContactEnrollments:
        """Return every sequence that the contact with this address is or was in."""
        query = {"email": bodies.email("email", email)}
        return self._ask(ContactEnrollments, endpoints.CONTACT_ENROLLMENTS, query=query)

    def _tag(
        self, endpoint: Endpoint, contact_id: str, tag_name: str | None, tag_id: str | None
    ) -> Confirmation:
        if (tag_name is None) == (tag_id is None):
            raise FixRequest("Name the tag by tag_name or by tag_id.", hint=bodies.UNSENT)
        sent = (
            body(tag_id=bodies.word("tag_id", tag_id))
            if tag_name is None
            else body(tag_name=bodies.word("tag_name", tag_name))
        )
        named = bodies.word("contact_id", contact_id)
        return self._ask(Confirmation, endpoint, sent, contact_id=named)


def _is_about(contact: Contact, sent: Body) -> bool:
    """Tell whether the contact is the one that was sent; what it leaves out counts as equal."""
    wanted = sent.get("external_id")
    return email_key(contact.email) == email_key(str(sent["email"])) and (
        wanted is None or contact.external_id in {"", wanted}
    )
