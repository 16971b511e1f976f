"""What one Meisa account remembers between requests."""

from collections.abc import Iterable, Mapping

from meisa_cdc.sandbox.contacts import Changes, Contact, ContactBook
from meisa_cdc.sandbox.journal import Journal, Trigger
from meisa_cdc.sandbox.options import SandboxOptions


class SuppressedAddresses:
    """Addresses that must not be written to; one address in two cases is one."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}

    def __contains__(self, email: str) -> bool:
        return email.casefold() in self._addresses

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, emails: Iterable[str]) -> None:
        """Put the addresses on the list; those already there stay as first written."""
        for email in emails:
            self._addresses.setdefault(email.casefold(), email)

    def remove(self, emails: Iterable[str]) -> None:
        """Take the addresses off the list; those not on it are ignored."""
        for email in emails:
            self._addresses.pop(email.casefold(), None)

    def listed(self) -> list[str]:
        """The addresses in alphabetical order."""
        return [self._addresses[key] for key in sorted(self._addresses)]


class Records:
    """Contacts, suppressed addresses and fired triggers of the account."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.contacts = ContactBook()
        self.suppressed = SuppressedAddresses()
        self.triggers: Journal[Trigger] = Journal(options.log_size)

    def describe(self, contact: Contact) -> dict[str, object]:
        """The full contact as the API shows it."""
        return contact.document(
            "unsubscribed" if contact.email in self.suppressed else "active",
        )

    def fire(
        self,
        kind: str,
        contact: Contact,
        now: float,
        *,
        changes: Changes | None = None,
        tag: str | None = None,
    ) -> None:
        """Record that this happened to the contact."""
        told: Mapping[str, tuple[object, object]] = changes or {}
        self.triggers.add(
            lambda number: Trigger(
                number=number,
                at=now,
                kind=kind,
                contact_id=contact.id,
                external_id=contact.external_id,
                email=contact.email,
                changes=told,
                tag=tag,
            )
        )
