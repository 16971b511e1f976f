"""What one Meisa account remembers between requests."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from meisa_cdc.sandbox.automations.rules import Facts
from meisa_cdc.sandbox.configured import Sequence
from meisa_cdc.sandbox.contact import Contact
from meisa_cdc.sandbox.contacts import ContactBook, Upserted
from meisa_cdc.sandbox.enrollments import EnrollmentBook
from meisa_cdc.sandbox.journal import Journal
from meisa_cdc.sandbox.mails import Mail, Outbox
from meisa_cdc.sandbox.options import SandboxOptions
from meisa_cdc.sandbox.runs import AutomationRun, stored_run
from meisa_cdc.sandbox.triggers import Trigger, TriggerKind, stored_trigger
from meisa_cdc.sandbox.unsaved import Document, Unsaved


@dataclass(frozen=True, slots=True)
class _Address:
    """One suppressed address as first written."""

    email: str

    def stored(self) -> Document:
        return {"email": self.email}


class SuppressedAddresses:
    """Addresses that must not be written to; one address in two cases is one."""

    def __init__(self, unsaved: Unsaved) -> None:
        self._unsaved = unsaved
        self._addresses: dict[str, str] = {}

    def __contains__(self, email: str) -> bool:
        return email.casefold() in self._addresses

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, emails: Iterable[str]) -> None:
        """Put the addresses on the list; those already there stay as first written."""
        for email in emails:
            key = email.casefold()
            if key not in self._addresses:
                self._addresses[key] = email
                self._unsaved.note("suppressed", key, _Address(email))

    def remove(self, emails: Iterable[str]) -> None:
        """Take the addresses off the list; those not on it are ignored."""
        for email in emails:
            if self._addresses.pop(email.casefold(), None) is not None:
                self._unsaved.note("suppressed", email.casefold(), None)

    def listed(self) -> list[str]:
        """The addresses in alphabetical order."""
        return [self._addresses[key] for key in sorted(self._addresses)]

    def restore(self, addresses: Iterable[Document]) -> None:
        """Take over what the disk kept."""
        self._addresses = {each["email"].casefold(): each["email"] for each in addresses}


class Records:
    """All that the account holds, and the triggers that nothing has reacted to yet."""

    def __init__(self, options: SandboxOptions, unsaved: Unsaved) -> None:
        self.options = options
        self.contacts = ContactBook(unsaved)
        self.suppressed = SuppressedAddresses(unsaved)
        self.enrollments = EnrollmentBook(unsaved)
        self.outbox = Outbox(options.log_size, unsaved)
        self.triggers: Journal[Trigger] = Journal("trigger", options.log_size, unsaved)
        self.runs: Journal[AutomationRun] = Journal("run", options.log_size, unsaved)
        #: fired, and not yet shown to the automations; the oldest first
        self.fresh: deque[tuple[Trigger, Contact]] = deque()

    def describe(self, contact: Contact) -> dict[str, object]:
        """The full contact as the API shows it."""
        return contact.document(
            "unsubscribed" if contact.email in self.suppressed else "active",
        )

    def facts(self, contact: Contact) -> Facts:
        """The contact as conditions see it."""
        shown = self.describe(contact)
        custom = {f"custom_fields.{key}": value for key, value in contact.custom_fields.items()}
        return Facts(fields=shown | custom, tags=frozenset(contact.tags))

    def active_sequence(self, slug: str) -> Sequence | None:
        """The sequence of that slug, if it takes new contacts."""
        for sequence in self.options.sequences:
            if sequence.slug == slug and sequence.status == "active":
                return sequence
        return None

    def upsert(self, sent: Mapping[str, Any], now: float) -> Upserted:
        """As `ContactBook.upsert`, and fire what it sets off."""
        done = self.contacts.upsert(sent, now)
        if done.created:
            self.fire("contact_created", done.contact, now)
        elif done.changes:
            self.fire("contact_updated", done.contact, now, changes=done.changes)
        for tag in done.tags_added:
            self.fire("tag_added", done.contact, now, tag=tag)
        return done

    def fire(self, kind: TriggerKind, contact: Contact, now: float, **details: Any) -> None:
        """Record that this happened to the contact; `details` are further fields of Trigger."""
        trigger = self.triggers.add(
            lambda number: Trigger(
                number=number,
                at=now,
                kind=kind,
                contact_id=contact.id,
                external_id=contact.external_id,
                email=contact.email,
                **details,
            )
        )
        self.fresh.append((trigger, contact))

    def mailed(self, mail: Mail, at: float) -> None:
        """Count an e-mail that left."""
        contact = self.contacts.get(mail.contact_id)
        if contact is not None:
            contact.emails_sent += 1
            contact.last_email_sent_at = at
            self.contacts.touch(contact)

    def settle(self, now: float) -> None:
        """Let scheduled e-mails whose time has come leave."""
        for mail in self.outbox.due(now):
            if mail.to_email in self.suppressed:
                self.outbox.settle(mail, "withheld")
            else:
                self.outbox.settle(mail, "sent")
                self.mailed(mail, mail.due_at)

    def restore(self, load: Callable[[str], list[Document]]) -> None:
        """Take over what the disk kept; `load` gives the entries of one kind, oldest first."""
        self.contacts.restore(load("contact"), load("tag"))
        self.suppressed.restore(load("suppressed"))
        self.enrollments.restore(load("enrollment"))
        self.outbox.restore(load("mail"))
        self.triggers.restore(load, stored_trigger)
        self.runs.restore(load, stored_run)
