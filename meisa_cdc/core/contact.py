"""A contact's fields, and what we know of them: acknowledged, pending, in doubt."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from meisa_cdc.core.values import Value, email_key

EMAIL = "email"
SOURCE = "source"
TAG_NAMES = "tag_names"
CUSTOM = "custom_fields."
#: How the fields begin that are the tags of one mapping.
TAGS = "tags/"
KEY_COLUMN = "external_id"
#: The rank of what can wait longest, and of what has waited for long enough.
LAST_RANK = 2
OVERDUE_RANK = 1
ATTRIBUTES = frozenset({EMAIL, "first_name", "last_name", "display_name", SOURCE, TAG_NAMES})
SOURCES = frozenset({"api", "import", "manual", "signup", "initial_sync"})

Fields: TypeAlias = Mapping[str, Value]


class Unset(Enum):
    """Stands where a field has no value at all; NULL is a value."""

    UNSET = "unset"


UNSET: Literal[Unset.UNSET] = Unset.UNSET


def field_of(column: str) -> str:
    """Return the field that a mapping's column yields: `email`, `custom_fields.plan`."""
    return column if column in ATTRIBUTES or column.startswith(TAGS) else CUSTOM + column


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """Why a contact is held back after a rejection."""

    #: `rejected_400`, `identity_mismatch`, …
    code: str
    #: What Meisa said, shortened.
    message: str
    #: Fingerprint of the payload that was rejected; another payload is tried again.
    payload: bytes
    #: Epoch seconds.
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A request without a clear answer, which Meisa may carry out after a newer one."""

    #: What it carried.
    fields: frozenset[str]
    #: Epoch seconds at which it was given up.
    at: float
    #: Epoch seconds at which these fields are sent once more, to be sure; None: not needed yet.
    confirm_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """What our state holds of one contact."""

    #: The contact's row in our state; None where it is new to us.
    ref: int | None = None
    external_id: str
    #: Values Meisa has acknowledged, by field.
    ledger: Fields = field(default_factory=dict)
    #: Fields whose value at Meisa is uncertain.
    in_doubt: frozenset[str] = frozenset()
    #: Observed values that differ from the ledger, or are in doubt, and make a request necessary.
    pending: Fields = field(default_factory=dict)
    #: Observed values that differ too, but only ride along with a request that happens anyway.
    riding: Fields = field(default_factory=dict)
    #: Epoch seconds at which what rides along is sent on its own after all; None: never.
    due: float | None = None
    #: Whether identity had a row for it when it was last read.
    present: bool = True
    #: Code of what makes the whole contact unsendable; empty where nothing does.
    invalid: str = ""
    #: Meisa's id of the contact, from its last answer.
    meisa_id: str = ""
    #: Whether it came with the first stored identity pass.
    first_load: bool = False
    quarantine: Quarantined | None = None
    #: Epoch seconds at which the present difference was first seen; None where none is pending.
    since: float | None = None
    #: Priority of what is pending, as its rank; None where none is pending.
    rank: int | None = None
    #: What may still take effect late; None: nothing.
    late: Late | None = None
    #: Pending fields that a mapping yields only lately: everybody has a difference there.
    novel: frozenset[str] = frozenset()
    #: Fields that a contact which is gone left at Meisa under the address that this one takes.
    inherits: frozenset[str] = frozenset()
    #: Tags that were not at Meisa before we added them.
    ours: frozenset[str] = frozenset()
    #: Tags in Meisa's last answer; it tells nothing where `meisa_id` is empty.
    tags: frozenset[str] = frozenset()

    def last_observed(self, name: str) -> Value | Unset:
        """Return the ledger's value of a field overlaid with what was observed otherwise."""
        return self.pending.get(name, self.riding.get(name, self.ledger.get(name, UNSET)))

    @property
    def email(self) -> str:
        """The address it goes by: the observed one, else the acknowledged one."""
        email = self.last_observed(EMAIL)
        return email if isinstance(email, str) else ""

    @property
    def acknowledged_email_key(self) -> str:
        """The case-folded address Meisa holds for it, empty where none is known."""
        email = self.ledger.get(EMAIL)
        return email_key(email) if isinstance(email, str) else ""


class Observation(NamedTuple):
    """What is on record of one contact in one mapping: a row as it was, or that there was none."""

    fingerprint: bytes
    #: False: a complete read had no row for the contact.
    row: bool
    #: Hash of the row's key as the app database has it; None where nobody asked for it.
    place: int | None = None


class Staged(NamedTuple):
    """What one pass saw of one contact in one mapping."""

    #: Canonical values by column; empty for a missing row.
    values: Fields = MappingProxyType({})
    #: Column -> (code, message) of values that cannot be used.
    errors: Mapping[str, tuple[str, str]] = MappingProxyType({})
    #: Fingerprint to store once the consequences are stored.
    fingerprint: bytes = b""
    #: False: a complete read had no row for the contact.
    row: bool = True
    #: Whether an earlier settled observation of this mapping was a row.
    had_row: bool = False
    #: The key occurred more than once; the text names the rows.
    duplicate: str = ""
    #: Hash of the row's key, or of the key of the row that is gone; None where nobody asked for it.
    place: int | None = None


class Claim(NamedTuple):
    """One contact's relation to an e-mail address."""

    external_id: str
    email_key: str
    #: Meisa acknowledged the address for this contact.
    holds: bool
    #: The app has the address for this contact at present.
    observes: bool
    #: What Meisa holds under the address of a contact that is gone; None where it is not gone.
    leaves: frozenset[str] | None = None
    #: The address it goes by now is in turn held by the one that asks, directly or by others.
    circular: bool = False


def acknowledged(contact: Contact, values: Fields) -> Contact:
    """Return the contact as if Meisa had acknowledged these values, with nothing sent."""
    pending = {name: value for name, value in contact.pending.items() if name not in values}
    riding = {name: value for name, value in contact.riding.items() if name not in values}
    return replace(
        contact,
        ledger={**contact.ledger, **values},
        pending=pending,
        riding=riding,
        novel=contact.novel & pending.keys(),
        inherits=contact.inherits - values.keys(),
        due=contact.due if riding else None,
        rank=contact.rank if pending else None,
        since=contact.since if pending else None,
    )


def doubted(contact: Contact, names: frozenset[str], now: float) -> Contact:
    """Return the contact with these acknowledged fields in doubt, to be sent when there is time."""
    # What is observed now is sent again, which may be something else than was acknowledged.
    observed = {**contact.ledger, **contact.riding}
    again = {name: observed[name] for name in names if name not in contact.pending}
    riding = {name: value for name, value in contact.riding.items() if name not in names}
    sendable = contact.present and not contact.invalid and contact.quarantine is None
    return replace(
        contact,
        in_doubt=contact.in_doubt | names,
        pending={**contact.pending, **again},
        riding=riding,
        due=contact.due if riding else None,
        rank=LAST_RANK if contact.rank is None and sendable else contact.rank,
        since=now if contact.since is None else contact.since,
    )


def overdue(contact: Contact, now: float) -> Contact:
    """Return the contact with what rides along made a cause, if that is due by now."""
    if contact.due is None or contact.due > now or not contact.riding:
        return contact
    sendable = contact.present and not contact.invalid and contact.quarantine is None
    return replace(
        contact,
        pending={**contact.riding, **contact.pending},
        riding={},
        due=None,
        rank=OVERDUE_RANK if contact.rank is None and sendable else contact.rank,
        since=contact.due if contact.since is None else contact.since,
    )


def confirming(contact: Contact, now: float) -> Contact:
    """Return the contact with what may have been overwritten late in doubt, if that is due."""
    late = contact.late
    if late is None or late.confirm_at is None or late.confirm_at > now:
        return contact
    # These tags are only ever added, so a late request takes none away.
    held = frozenset(late.fields & contact.ledger.keys()) - {TAG_NAMES}
    certain = replace(contact, late=None)
    return doubted(certain, held, now) if held else certain


def payload(external_id: str, email: str, fields: Fields) -> dict[str, Value]:
    """Return the body of an upsert: the identifiers and these fields alone."""
    body: dict[str, Value] = {"email": email, "external_id": external_id}
    custom: dict[str, Value] = {}
    for name in sorted(fields):
        if name.startswith(CUSTOM):
            custom[name.removeprefix(CUSTOM)] = fields[name]
        elif name != EMAIL:
            body[name] = fields[name]
    if custom:
        body["custom_fields"] = custom
    return body
