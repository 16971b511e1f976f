"""Observation against ledger -> what a contact needs, and what it is counted as."""

from collections.abc import Iterable, Mapping as Dict, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from meisa_cdc.core import tags
from meisa_cdc.core.backlog import rank_of
from meisa_cdc.core.contact import (
    EMAIL,
    SOURCE,
    SOURCES,
    TAG_NAMES,
    TAGS,
    UNSET,
    Claim,
    Contact,
    Staged,
    Unset,
    field_of,
)
from meisa_cdc.core.delivery import request_for
from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.mapping import Mapping, Priority, missing_value, null_is_sent
from meisa_cdc.core.policy import Policy, causes
from meisa_cdc.core.values import Value, canonical_email, email_key, same


class Action(StrEnum):
    """What a contact is counted as; every contact is exactly one of these."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    QUARANTINED = "quarantined"
    REMOVED = "removed"
    #: A key without a contact; not a contact at all.
    ORPHAN = "orphan"


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """A row, or one of its fields, that cannot be used."""

    mapping: str
    #: None where the row has no usable key.
    external_id: str | None
    code: str
    message: str
    #: The field concerned; empty where it is the whole row.
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What one pass means for one contact."""

    external_id: str
    action: Action
    #: The contact as it is to be stored; None where nothing of it is.
    contact: Contact | None
    #: What makes a request necessary.
    changes: tuple[FieldChange, ...] = ()
    #: What is sent along if there is a request.
    riding: tuple[FieldChange, ...] = ()
    invalid: tuple[Invalid, ...] = ()
    #: Mappings that had a row for the contact before and have none now.
    lost: frozenset[str] = frozenset()
    #: As `ports.Settled.observed`.
    observed: Dict[str, tuple[bytes, bool] | None] = field(default_factory=dict)
    #: The contact was in our state before, admitted or acknowledged.
    known: bool = False
    #: Identity stopped having it in this pass.
    gone_now: bool = False


def compare(
    external_id: str,
    known: Contact | None,
    staged: Dict[str, Staged],
    readings: Sequence[Reading],
    *,
    identity: str,
    claims: Sequence[Claim],
    first_load: bool,
    now: float,
) -> Comparison:
    """Return what this pass means for one contact.

    `known` is None for a contact new to us. `staged` lacks the mappings that were not read, were
    held, or whose row is as it was. `claims` are the relations of contacts to its e-mail.
    """
    person = staged.get(identity)
    blank = Contact(external_id=external_id, present=False, first_load=first_load)
    contact = known or blank

    # A key that only other mappings have, and we never had: not a contact.
    if known is None and (person is None or not person.row):
        return Comparison(external_id=external_id, action=Action.ORPHAN, contact=None)

    # The account was deleted, or filtered away. Meisa keeps the contact; we send nothing more.
    if person is not None and not person.row:
        return _removed(contact, person, identity)

    # It was gone before and still is.
    if known is not None and not known.present and person is None:
        return Comparison(external_id=external_id, action=Action.REMOVED, contact=None, known=True)

    # Its key is there twice, or its address is unusable or somebody else's.
    problem = _identity_problem(contact, person, identity, claims)
    if problem is not None:
        return _invalid(contact, known, problem, identity)

    # It was marked unusable earlier, and identity was not read again since.
    if contact.invalid and person is None:
        return Comparison(external_id=external_id, action=Action.INVALID, contact=None, known=True)

    return _differences(_heir(contact, person, claims), known, staged, readings, identity, now)


def _heir(contact: Contact, person: Staged | None, claims: Sequence[Claim]) -> Contact:
    """Return the contact with what Meisa already holds under its address, of one that is gone."""
    email = contact.email if person is None else person.values.get(EMAIL)
    address = email_key(email) if isinstance(email, str) else ""
    fields = frozenset().union(
        *(c.leaves for c in claims if c.leaves is not None and c.email_key == address)
    )
    inherits = frozenset(f for f in fields - {EMAIL, SOURCE} if not tags.is_tags(f))
    if not inherits:
        return contact
    return replace(
        contact,
        inherits=contact.inherits | inherits,
        # Whatever Meisa makes of the two, it ends with our values.
        in_doubt=contact.in_doubt | (inherits & contact.ledger.keys()),
    )


def _removed(contact: Contact, person: Staged, identity: str) -> Comparison:
    gone = replace(contact, present=False, invalid="", rank=None)
    return Comparison(
        external_id=contact.external_id,
        action=Action.REMOVED,
        contact=gone,
        lost=frozenset({identity}) if person.had_row else frozenset(),
        known=True,
        gone_now=contact.present,
    )


def _invalid(
    contact: Contact, known: Contact | None, problem: Invalid, identity: str
) -> Comparison:
    marked = (
        None if known is None else replace(known, invalid=problem.code, rank=None, present=True)
    )
    return Comparison(
        external_id=contact.external_id,
        action=Action.INVALID,
        contact=marked,
        invalid=(problem,),
        observed={identity: None},
        known=known is not None,
    )


def _identity_problem(
    contact: Contact, person: Staged | None, identity: str, claims: Sequence[Claim]
) -> Invalid | None:
    def problem(code: str, message: str) -> Invalid:
        return Invalid(
            mapping=identity, external_id=contact.external_id, code=code, message=message
        )

    if person is not None:
        if person.duplicate:
            return problem("key_duplicate", person.duplicate)
        if EMAIL in person.errors:
            return problem(*person.errors[EMAIL])
        try:
            canonical_email(person.values.get(EMAIL))
        except InvalidValue as error:
            return problem(error.code, error.message)
    taken = email_conflict(contact.external_id, claims)
    return None if taken is None else problem(*taken)


def email_conflict(external_id: str, claims: Sequence[Claim]) -> tuple[str, str] | None:
    """Return (code, message) where this contact must not use its address; None where it may.

    Meisa merges contacts by address. The one that Meisa already has under it goes on; where
    there is none such, all who want it are refused, since any choice could mix up two people.
    """
    others = sorted(
        (c for c in claims if c.external_id != external_id), key=lambda claim: claim.external_id
    )
    if not others or any(c.holds for c in claims if c.external_id == external_id):
        return None
    for claim in others:
        if claim.holds and claim.observes:
            return "email_duplicate", f"the address belongs to {claim.external_id} at Meisa"
    for claim in others:
        if claim.holds and claim.leaves is None:
            return _held_by(claim)
    wanting = [claim for claim in others if claim.observes]
    if not wanting:
        return None
    names = ", ".join(claim.external_id for claim in wanting[:5])
    return "email_duplicate", f"the same address is used by {names}"


def _held_by(claim: Claim) -> tuple[str, str]:
    """Return why an address that somebody at Meisa is about to leave cannot be used yet."""
    other = claim.external_id
    if claim.circular:
        message = (
            f"the address is still {other}'s at Meisa, and {other} waits for this contact's in "
            "turn. Give one of them a third address for as long as a sync takes, in the app or "
            "at Meisa"
        )
        return "email_cycle", message
    message = (
        f"the address is still {other}'s at Meisa; this contact follows once another address "
        f"of {other} was accepted there"
    )
    return "email_waiting", message


def _differences(
    contact: Contact,
    known: Contact | None,
    staged: Dict[str, Staged],
    readings: Sequence[Reading],
    identity: str,
    now: float,
) -> Comparison:
    changes: list[FieldChange] = []
    problems = [*_field_problems(contact.external_id, staged)]
    tagged: dict[str, str] = {}
    for reading in readings:
        seen = _seen(contact, staged, reading)
        for column in reading.columns:
            value = _value(contact, seen, reading.mapping, column)
            if tags.is_tags(field_of(column)):
                problems += _tagged_twice(contact, reading.mapping, value, tagged)
            if value is UNSET or not _differs(contact, field_of(column), value):
                continue
            changes.append(_change(contact, reading, column, value, now))
    changes.extend(_emptied(contact, readings, identity))
    causing = tuple(change for change in changes if change.causes)
    riding = tuple(change for change in changes if not change.causes)
    settled, action = _counted(_with_differences(contact, causing, riding, now), causing)
    return Comparison(
        external_id=contact.external_id,
        action=action,
        contact=settled,
        changes=causing,
        riding=riding,
        invalid=tuple(problems),
        lost=frozenset(n for n, s in staged.items() if s.had_row and not s.row),
        observed=_observed(contact, staged, readings),
        known=known is not None,
    )


def _tagged_twice(
    contact: Contact, mapping: Mapping, value: Value | Unset, tagged: dict[str, str]
) -> Iterable[Invalid]:
    """Yield the tags that another mapping yields as well: neither would know when to remove it."""
    for tag in sorted(tags.names(value)):
        other = tagged.setdefault(tag, mapping.name)
        if other != mapping.name:
            yield Invalid(
                mapping=mapping.name,
                external_id=contact.external_id,
                code="tag_twice",
                message=f"the tag {tag!r} comes from {other} already",
                field=mapping.name,
            )


def _with_differences(
    contact: Contact, causing: Sequence[FieldChange], riding: Sequence[FieldChange], now: float
) -> Contact:
    waits = [change.at_least_every for change in riding if change.at_least_every is not None]
    # The clock of what rides along runs from the first difference on, not from the newest.
    first = [contact.due] if contact.due is not None else []
    return replace(
        contact,
        pending={change.field: change.new for change in causing},
        riding={change.field: change.new for change in riding},
        due=min([*first, now + min(waits)]) if waits else None,
        present=True,
        invalid="",
        since=(now if contact.since is None else contact.since) if causing else None,
        novel=frozenset(change.field for change in causing if change.novel),
    )


def _emptied(contact: Contact, readings: Sequence[Reading], identity: str) -> Iterable[FieldChange]:
    """Yield the NULLs for what a contact inherits in fields that no mapping yields."""
    mapped = {field_of(column) for reading in readings for column in reading.columns}
    yield from (
        FieldChange(
            field=name,
            mapping=identity,
            old=contact.ledger.get(name),
            new=None,
            priority=Priority.NORMAL,
            new_in_this_pass=name not in contact.pending,
        )
        for name in sorted(contact.inherits - mapped)
        if contact.ledger.get(name) is not None or name not in contact.ledger
    )


def _counted(contact: Contact, causing: Sequence[FieldChange]) -> tuple[Contact, Action]:
    if not causing:
        return replace(contact, quarantine=None, rank=None), Action.UNCHANGED
    if contact.quarantine is not None:
        if contact.quarantine.payload == request_for(contact).fingerprint:
            return replace(contact, rank=None), Action.QUARANTINED
        contact = replace(contact, quarantine=None)
    priorities = (
        # What only repeats a value, or differs for everybody, is in no hurry.
        Priority.BACKGROUND if c.novel or (same(c.old, c.new) and contact.ledger) else c.priority
        for c in causing
    )
    contact = replace(contact, rank=rank_of(contact, priorities))
    return contact, Action.UPDATE if contact.ledger else Action.CREATE


def _seen(contact: Contact, staged: Dict[str, Staged], reading: Reading) -> Staged | None:
    """Return what was seen, inferring the missing row of a contact that was just noticed."""
    seen = staged.get(reading.mapping.name)
    if seen is None and reading.covers_new and (contact.ref is None or not contact.present):
        return Staged(row=False, fingerprint=reading.missing)
    return seen


def _value(contact: Contact, seen: Staged | None, mapping: Mapping, column: str) -> Value | Unset:
    name = field_of(column)
    # Not read, ambiguous or unusable: what was observed last still holds.
    if seen is None or seen.duplicate or column in seen.errors:
        return contact.last_observed(name)
    value = seen.values.get(column) if seen.row else missing_value(mapping, column)
    if value is UNSET:
        kept = contact.last_observed(name)
        return None if kept is UNSET and name in contact.inherits else kept
    if name == TAG_NAMES:
        # Tags are only ever added, so a vanished one is no difference, nor are all of them.
        return tags.listed(tags.names(contact.ledger.get(TAG_NAMES)) | tags.names(value))
    if value is None and not null_is_sent(mapping, column) and name not in contact.inherits:
        return contact.ledger.get(name, UNSET)
    return canonical_email(value) if name == EMAIL else value


def _differs(contact: Contact, name: str, value: Value) -> bool:
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


def _change(contact: Contact, reading: Reading, column: str, new: Value, now: float) -> FieldChange:
    name, mapping = field_of(column), reading.mapping
    before = contact.pending.get(name, UNSET)
    fresh = before is UNSET or not same(before, new)
    policy = mapping.settings_of(column).policy
    return FieldChange(
        field=name,
        mapping=mapping.name,
        old=contact.ledger.get(name),
        new=new,
        priority=mapping.priority_of(column),
        new_in_this_pass=fresh,
        causes=_causes(contact, name, policy, new, now),
        at_least_every=policy.at_least_every,
        novel=name in reading.introduced or (name in contact.novel and not fresh),
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


def _field_problems(external_id: str, staged: Dict[str, Staged]) -> Iterable[Invalid]:
    for name, seen in staged.items():
        if seen.duplicate:
            yield Invalid(
                mapping=name,
                external_id=external_id,
                code="key_duplicate",
                message=seen.duplicate,
            )
        for column, (code, message) in seen.errors.items():
            yield Invalid(
                mapping=name,
                external_id=external_id,
                code=code,
                message=message,
                field=field_of(column),
            )


def _observed(
    contact: Contact, staged: Dict[str, Staged], readings: Sequence[Reading]
) -> dict[str, tuple[bytes, bool] | None]:
    """Return the fingerprints to store; unusable rows are forgotten, so they are judged again."""
    observed: dict[str, tuple[bytes, bool] | None] = {}
    for reading in readings:
        seen = _seen(contact, staged, reading)
        if seen is None:
            continue
        usable = not seen.errors and not seen.duplicate
        observed[reading.mapping.name] = (seen.fingerprint, seen.row) if usable else None
    return observed
