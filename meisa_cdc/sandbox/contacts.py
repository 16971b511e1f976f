"""The contacts Meisa holds: how an upsert finds one and what it changes in it."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from meisa_cdc.sandbox.contact import Contact, Tag, new_tag, stored_contact
from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.unsaved import Document, Unsaved
from meisa_cdc.sandbox.values import same_json

#: Path of a changed field -> (old, new).
Changes = dict[str, tuple[object, object]]

_NAMES = ("first_name", "last_name", "display_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upserted:
    """What an upsert did."""

    #: the contact as it is now
    contact: Contact
    #: whether it is new
    created: bool
    #: fields that really changed; of a new contact those it came with
    changes: Changes
    #: names of the tags it did not have before
    tags_added: tuple[str, ...]


class ContactBook:
    """All contacts, found by id, external_id or e-mail; the last one touched comes last."""

    def __init__(self, unsaved: Unsaved) -> None:
        self._unsaved = unsaved
        self._by_id: dict[str, Contact] = {}
        self._by_external_id: dict[str, Contact] = {}
        self._by_email: dict[str, Contact] = {}
        self._tags: dict[str, Tag] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def recent(self) -> Iterable[Contact]:
        """Every contact, the one touched last first."""
        return reversed(self._by_id.values())

    def get(self, contact_id: str) -> Contact | None:
        """The contact with that id of Meisa's."""
        return self._by_id.get(contact_id)

    def match(self, external_id: str | None, email: str | None) -> Contact | None:
        """The contact with that external_id, else the one with that e-mail in any case."""
        if external_id is not None and external_id in self._by_external_id:
            return self._by_external_id[external_id]
        return self._by_email.get(email.casefold()) if email is not None else None

    def tag(self, *, name: str | None = None, tag_id: str | None = None) -> Tag | None:
        """The tag of that name, else the one with that id."""
        if name is not None:
            return self._tags.get(name)
        return next((tag for tag in self._tags.values() if tag.id == tag_id), None)

    def remove(self, external_id: str) -> Contact | None:
        """Forget the contact, as if a person had deleted it in Meisa; None if there is none."""
        contact = self._by_external_id.pop(external_id, None)
        if contact is None:
            return None
        del self._by_id[contact.id]
        del self._by_email[contact.email.casefold()]
        self._unsaved.note("contact", contact.id, None)
        return contact

    def upsert(self, sent: Mapping[str, Any], now: float) -> Upserted:
        """Create or update the contact that the checked body names.

        Raises Refusal (409) if its new e-mail is another contact's.
        """
        contact = self.match(sent.get("external_id"), sent["email"])
        created = contact is None
        if contact is None:
            contact = Contact(
                id=str(uuid.uuid4()),
                email=sent["email"],
                source=sent.get("source", "api"),
                created_at=now,
                updated_at=now,
            )
        changes = self._rekey(contact, sent) | _assign(contact, sent)
        tags_added = self._label(contact, sent.get("tag_names", ()))
        if changes or tags_added:
            contact.updated_at = now
        self.touch(contact)
        return Upserted(
            contact=contact,
            created=created,
            changes=changes,
            tags_added=tags_added,
        )

    def touch(self, contact: Contact) -> None:
        """Make it the one touched last; whoever changed it in place says so here."""
        self._by_id.pop(contact.id, None)
        self._by_id[contact.id] = contact
        self._unsaved.note("contact", contact.id, contact)

    def set_field(self, contact: Contact, name: str, value: object, now: float) -> Changes:
        """Set one custom field; what changed, nothing if it was so already."""
        return self._amend(contact, {"custom_fields": {name: value}}, now)

    def enrich(self, contact: Contact, sent: Mapping[str, Any], now: float) -> Changes:
        """Fill in what the contact lacks of names, external_id and custom fields; never overwrite.

        Raises Refusal (409) if the external_id is another contact's.
        """
        external_id = sent.get("external_id")
        holder = self._by_external_id.get(external_id) if external_id is not None else None
        if holder is not None and holder is not contact:
            raise Refusal(
                409,
                f"The external_id {external_id!r} belongs to another contact ({holder.email}).",
                field="recipient",
            )
        lacking: dict[str, Any] = {
            name: sent[name] for name in _NAMES if name in sent and not getattr(contact, name)
        }
        if external_id is not None and contact.external_id is None:
            lacking["external_id"] = external_id
        lacking["custom_fields"] = {
            key: value
            for key, value in sent.get("custom_fields", {}).items()
            if key not in contact.custom_fields
        }
        return self._amend(contact, lacking, now)

    def add_tag(self, contact: Contact, name: str, now: float) -> bool:
        """Add the tag, creating it if need be; False if the contact carries it already."""
        added = self._label(contact, [name])
        if added:
            contact.updated_at = now
            self.touch(contact)
        return bool(added)

    def remove_tag(self, contact: Contact, name: str, now: float) -> bool:
        """Take the tag off; False if the contact does not carry it."""
        if contact.tags.pop(name, None) is None:
            return False
        contact.updated_at = now
        self.touch(contact)
        return True

    def restore(self, contacts: Iterable[Document], tags: Iterable[Document]) -> None:
        """Take over what the disk kept, the contact touched last last."""
        self._tags = {tag["name"]: Tag(**tag) for tag in tags}
        for contact in map(stored_contact, contacts):
            self._by_id[contact.id] = contact
            self._by_email[contact.email.casefold()] = contact
            if contact.external_id is not None:
                self._by_external_id[contact.external_id] = contact

    def _amend(self, contact: Contact, sent: Mapping[str, Any], now: float) -> Changes:
        changes = self._rekey(contact, {"email": contact.email, **sent}) | _assign(contact, sent)
        if changes:
            contact.updated_at = now
            self.touch(contact)
        return changes

    def _rekey(self, contact: Contact, sent: Mapping[str, Any]) -> Changes:
        email, external_id = sent["email"], sent.get("external_id", contact.external_id)
        holder = self._by_email.get(email.casefold())
        if holder is not None and holder is not contact:
            raise Refusal(
                409,
                f"The e-mail {email} belongs to another contact"
                f" (external_id {holder.external_id!r}); free it there first.",
                field="email",
            )
        changes = _differences(
            {"email": contact.email, "external_id": contact.external_id},
            {"email": email, "external_id": external_id},
        )
        self._by_email.pop(contact.email.casefold(), None)
        if contact.external_id is not None:
            self._by_external_id.pop(contact.external_id, None)
        contact.email, contact.external_id = email, external_id
        self._by_email[email.casefold()] = contact
        if external_id is not None:
            self._by_external_id[external_id] = contact
        return changes

    def _label(self, contact: Contact, names: Iterable[str]) -> tuple[str, ...]:
        added = []
        for name in names:
            if name not in contact.tags:
                contact.tags[name] = self._known_tag(name)
                added.append(name)
        return tuple(added)

    def _known_tag(self, name: str) -> Tag:
        tag = self._tags.get(name)
        if tag is None:
            tag = self._tags[name] = new_tag(name)
            self._unsaved.note("tag", tag.id, tag)
        return tag


def _assign(contact: Contact, sent: Mapping[str, Any]) -> Changes:
    names = {name: sent[name] for name in _NAMES if name in sent}
    changes = _differences({name: getattr(contact, name) for name in names}, names)
    for name, value in names.items():
        setattr(contact, name, value)
    custom_fields = sent.get("custom_fields", {})
    changes |= {
        f"custom_fields.{key}": change
        for key, change in _differences(contact.custom_fields, custom_fields).items()
    }
    contact.custom_fields.update(custom_fields)
    return changes


def _differences(old: Mapping[str, object], new: Mapping[str, object]) -> Changes:
    return {
        key: (old.get(key), value)
        for key, value in new.items()
        if not same_json(old.get(key), value)
    }
