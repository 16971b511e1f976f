"""The contacts Meisa holds: how an upsert finds one and what it changes in it."""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from meisa_cdc.sandbox.errors import Refusal

#: Path of a changed field -> (old, new).
Changes = dict[str, tuple[object, object]]

_TAG_COLOUR = "#64748b"
_NAMES = ("first_name", "last_name", "display_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A label that contacts can carry."""

    #: UUID
    id: str
    #: as first sent
    name: str
    #: the name in lower case, words joined with hyphens
    slug: str
    #: CSS colour
    color: str = _TAG_COLOUR

    def document(self) -> dict[str, object]:
        """The tag as contacts show it."""
        return {"id": self.id, "name": self.name, "slug": self.slug, "color": self.color}


@dataclass(slots=True, kw_only=True)
class Contact:
    """One person Meisa writes to. Times are epoch seconds."""

    #: UUID
    id: str
    #: as last sent
    email: str
    #: how it came to Meisa; the first one stays
    source: str
    #: when it was created
    created_at: float
    #: when an upsert last changed it
    updated_at: float
    #: the application's id of the user
    external_id: str | None = None
    #: given name, family name, and the name to show
    first_name: str = ""
    last_name: str = ""
    display_name: str = ""
    #: product data
    custom_fields: dict[str, object] = field(default_factory=dict)
    #: by name, in the order they were added
    tags: dict[str, Tag] = field(default_factory=dict)

    def document(self, status: str) -> dict[str, object]:
        """The full contact as the API shows it; the sandbox sends no mail, so it counts 0."""
        return {
            "id": self.id,
            "email": self.email,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "full_name": f"{self.first_name} {self.last_name}".strip(),
            "display_name": self.display_name,
            "external_id": self.external_id,
            "source": self.source,
            "status": status,
            "custom_fields": dict(self.custom_fields),
            "tags": [tag.document() for tag in self.tags.values()],
            "preferences": {},
            "total_emails_sent": 0,
            "total_emails_opened": 0,
            "open_rate": 0.0,
            "last_email_sent_at": None,
            "last_activity_at": None,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
        }


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

    def __init__(self) -> None:
        self._by_id: dict[str, Contact] = {}
        self._by_external_id: dict[str, Contact] = {}
        self._by_email: dict[str, Contact] = {}
        self._tags: dict[str, Tag] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def recent(self) -> Iterable[Contact]:
        """Every contact, the one touched last first."""
        return reversed(self._by_id.values())

    def match(self, external_id: str | None, email: str | None) -> Contact | None:
        """The contact with that external_id, else the one with that e-mail in any case."""
        if external_id is not None and external_id in self._by_external_id:
            return self._by_external_id[external_id]
        return self._by_email.get(email.casefold()) if email is not None else None

    def remove(self, external_id: str) -> bool:
        """Forget the contact, as if a person had deleted it in Meisa; False if there is none."""
        contact = self._by_external_id.pop(external_id, None)
        if contact is None:
            return False
        del self._by_id[contact.id]
        del self._by_email[contact.email.casefold()]
        return True

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
        tags_added = self._add_tags(contact, sent.get("tag_names", ()))
        if changes or tags_added:
            contact.updated_at = now
        self._by_id.pop(contact.id, None)
        self._by_id[contact.id] = contact
        return Upserted(
            contact=contact,
            created=created,
            changes=changes,
            tags_added=tags_added,
        )

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

    def _add_tags(self, contact: Contact, names: Iterable[str]) -> tuple[str, ...]:
        added = []
        for name in names:
            if name not in contact.tags:
                contact.tags[name] = self._tags.setdefault(name, _new_tag(name))
                added.append(name)
        return tuple(added)


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


def same_json(one: object, other: object) -> bool:
    """Whether two JSON values are equal; true is not 1, as it is in Python."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other


def _new_tag(name: str) -> Tag:
    slug = re.sub(r"[\W_]+", "-", name.casefold()).strip("-")
    return Tag(id=str(uuid.uuid4()), name=name, slug=slug)


def iso(at: float) -> str:
    """Epoch seconds as the API writes times: ISO 8601 in UTC."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds").replace(
        "+00:00", "Z"
    )
