"""One field of a contact: what was observed of it, whether it differs, what that causes."""

from collections.abc import Iterable, Mapping as Dict, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from meisa_cdc.core import tags
from meisa_cdc.core.contact import (
    EMAIL,
    SOURCE,
    SOURCES,
    TAG_NAMES,
    TAGS,
    UNSET,
    Contact,
    Staged,
    Unset,
    field_of,
)
from meisa_cdc.core.mapping import Mapping, Priority, missing_value, null_is_sent
from meisa_cdc.core.policy import Policy, causes
from meisa_cdc.core.values import NESTED, Value, canonical_email, same


class Yielded(NamedTuple):
    """One column of a mapping, and what its author says of the field that it yields."""

    column: str
    #: The field.
    name: str
    priority: Priority
    policy: Policy
    #: Whether NULL is a value to send.
    null_is_sent: bool
    #: What the field becomes without a row; UNSET where it is kept.
    missing: Value | Unset
    #: It is a list of tags.
    is_tags: bool


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a pass knows of one mapping as a whole."""

    mapping: Mapping
    #: Its columns beside the key.
    columns: tuple[str, ...]
    #: Every contact was read, or at least every contact that is new: no row means no row.
    covers_new: bool
    #: Fingerprint of a missing row.
    missing: bytes = b""
    #: Fields that nothing yielded before this pass.
    introduced: frozenset[str] = frozenset()

    @cached_property
    def fields(self) -> tuple[Yielded, ...]:
        """The columns with all that comparing a contact asks of them, made once."""
        return tuple(_yielded(self.mapping, column) for column in self.columns)

    @cached_property
    def names(self) -> frozenset[str]:
        """The fields."""
        return frozenset(each.name for each in self.fields)

    @cached_property
    def named(self) -> tuple[tuple[str, str], ...]:
        """The columns, each with its field."""
        return tuple((each.column, each.name) for each in self.fields)

    @cached_property
    def has_tags(self) -> bool:
        """Whether any of the fields is a list of tags."""
        return any(each.is_tags for each in self.fields)

    @cached_property
    def absence(self) -> Staged:
        """What was seen of a contact without a row."""
        return Staged(row=False, fingerprint=self.missing)


def _yielded(mapping: Mapping, column: str) -> Yielded:
    return Yielded(
        column=column,
        name=field_of(column),
        priority=mapping.priority_of(column),
        policy=mapping.settings_of(column).policy,
        null_is_sent=null_is_sent(mapping, column),
        missing=missing_value(mapping, column),
        is_tags=tags.is_tags(field_of(column)),
    )


class FieldChange(NamedTuple):
    """One field whose value Meisa does not hold for certain."""

    field: str
    mapping: str
    #: What Meisa acknowledged; None where it never held the field.
    old: Value
    new: Value
    priority: Priority
    #: False: the same value was pending before this pass.
    new_in_this_pass: bool
    #: False: it only rides along with a request that happens anyway.
    causes: bool = True
    #: Seconds after which it is sent even if nothing else is; None: it waits for others.
    at_least_every: float | None = None
    #: The field itself is new, so that everybody has a difference: no reason to hurry.
    novel: bool = False


def seen_of(contact: Contact, staged: Dict[str, Staged], reading: Reading) -> Staged | None:
    """Return what was seen, inferring the missing row of a contact that was just noticed."""
    seen = staged.get(reading.mapping.name)
    if seen is None and reading.covers_new and (contact.ref is None or not contact.present):
        return reading.absence
    return seen


def value_of(contact: Contact, seen: Staged | None, yielded: Yielded) -> Value | Unset:
    """Return what the contact's field should be at Meisa; UNSET where nothing is known of it."""
    column, name = yielded.column, yielded.name
    # Not read, ambiguous or unusable: what was observed last still holds.
    if seen is None or seen.duplicate or column in seen.errors:
        return _kept(contact, name)
    value = seen.values.get(column) if seen.row else yielded.missing
    if value is UNSET:
        return _kept(contact, name)
    if name == TAG_NAMES:
        # Tags are only ever added, so a vanished one is no difference, nor are all of them.
        return tags.listed(tags.names(contact.ledger.get(TAG_NAMES)) | tags.names(value))
    if value is None and not yielded.null_is_sent and name not in contact.inherits:
        return contact.ledger.get(name, UNSET)
    return canonical_email(value) if name == EMAIL else value


def is_as_held(contact: Contact, seen: Staged, yielded: Yielded) -> bool:
    """Tell at a glance that what was seen is what Meisa holds; False where that takes a look."""
    value = seen.values.get(yielded.column)
    if value is None or isinstance(value, NESTED) or seen.errors or seen.duplicate:
        return False
    held = contact.ledger.get(yielded.name)
    return type(value) is type(held) and value == held and yielded.name not in contact.in_doubt


def _kept(contact: Contact, name: str) -> Value | Unset:
    """Return what was observed last; NULL where Meisa may hold what somebody else left there."""
    kept = contact.last_observed(name)
    return None if kept is UNSET and name in contact.inherits else kept


def differs(contact: Contact, name: str, value: Value) -> bool:
    """Tell whether Meisa does not hold this value for certain."""
    if name == SOURCE:
        # Meisa keeps the first source, so it is sent once and never compared.
        return not contact.ledger and value in SOURCES
    if name in contact.in_doubt:
        return True
    if name.startswith(TAGS):
        wanted = tags.wanted_by(contact)
        others = frozenset().union(*(each for other, each in wanted.items() if other != name))
        return tags.differs(name, value, contact.ledger, contact.ours, others)
    held = contact.ledger.get(name, UNSET)
    if held is UNSET:
        # A field that Meisa never held needs no NULL, and no empty list of tags.
        if value is None:
            return name in contact.inherits
        return not (name == TAG_NAMES and not value)
    return not same(held, value)


def change_of(
    contact: Contact, reading: Reading, yielded: Yielded, new: Value, now: float
) -> FieldChange:
    """Return the difference that a new value makes; `now` is the pass's, in epoch seconds."""
    name, policy = yielded.name, yielded.policy
    before = contact.pending.get(name, UNSET)
    fresh = before is UNSET or not same(before, new)
    # By position, since most of the time that a first load takes to compare goes by here.
    return FieldChange(
        name,
        reading.mapping.name,
        contact.ledger.get(name),
        new,
        yielded.priority,
        fresh,
        _causes(contact, name, policy, new, now),
        policy.at_least_every,
        name in reading.introduced or (name in contact.novel and not fresh),
    )


def _causes(contact: Contact, name: str, policy: Policy, new: Value, now: float) -> bool:
    """Tell whether a difference makes a request necessary."""
    # A contact that is new to Meisa, or a field whose value is uncertain there, has to be sent.
    if not contact.ledger or name in contact.in_doubt:
        return True
    if policy.at_least_every is not None:
        # It was out of date for long enough already, and still waits for its turn.
        overdue = contact.due is not None and contact.due <= now
        return overdue or name in contact.pending
    return causes(policy, contact.ledger.get(name, UNSET), new)


def emptied(contact: Contact, readings: Sequence[Reading], identity: str) -> Iterable[FieldChange]:
    """Yield what overwrites an inheritance in fields that no mapping yields: NULL, or its own."""
    if not contact.inherits:
        return
    mapped = frozenset().union(*(reading.names for reading in readings))
    yield from (
        FieldChange(
            field=name,
            mapping=identity,
            old=contact.ledger.get(name),
            new=contact.ledger.get(name),
            priority=Priority.NORMAL,
            new_in_this_pass=name not in contact.pending,
        )
        for name in sorted(contact.inherits - mapped)
    )
