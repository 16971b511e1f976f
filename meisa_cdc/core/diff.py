"""Observation against ledger -> what a contact needs, and what it is counted as."""

from collections.abc import Iterable, Mapping as Dict, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from meisa_cdc.core import tags
from meisa_cdc.core.addresses import email_conflict, heir
from meisa_cdc.core.backlog import urgency
from meisa_cdc.core.contact import (
    EMAIL,
    UNSET,
    Claim,
    Contact,
    Observation,
    Staged,
    field_of,
)
from meisa_cdc.core.delivery import request_for
from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.fields import (
    FieldChange,
    Reading,
    change_of,
    differs,
    emptied,
    is_as_held,
    seen_of,
    value_of,
)
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.newcomers import First, first_contact, first_fields, told
from meisa_cdc.core.values import canonical_email, same

NONE: frozenset[str] = frozenset()


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
class Invalid:
    """A row, or one of its fields, that cannot be used."""

    mapping: str
    #: None where the row has no usable key.
    external_id: str | None
    code: str
    message: str
    #: The field concerned; empty where it is the whole row.
    field: str = ""


class Comparison(NamedTuple):
    """What one pass means for one contact."""

    external_id: str
    action: Action
    #: The contact as it is to be stored; None where nothing of it is.
    contact: Contact | None
    #: What makes a request necessary, of a contact on record.
    differences: tuple[FieldChange, ...] = ()
    #: What is sent along if there is a request.
    riding: tuple[FieldChange, ...] = ()
    invalid: tuple[Invalid, ...] = ()
    #: Mappings that had a row for the contact before and have none now.
    lost: frozenset[str] = frozenset()
    #: As `records.Settled.observed`.
    observed: Dict[str, Observation | None] = MappingProxyType({})
    #: The contact was in our state before, admitted or acknowledged.
    known: bool = False
    #: Identity stopped having it in this pass.
    gone_now: bool = False
    #: What each mapping brings of a contact that is new to us; all of it makes a request necessary.
    firsts: tuple[First, ...] = ()

    @property
    def changes(self) -> tuple[FieldChange, ...]:
        """What makes a request necessary."""
        # Of the million contacts of a first load, nobody asks for them field by field.
        return told(self.firsts) if self.firsts else self.differences


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

    # A key that only other mappings have, and we never had: not a contact.
    if known is None and (person is None or not person.row):
        return Comparison(external_id=external_id, action=Action.ORPHAN, contact=None)

    # Nobody knows anything of it, and nobody left it anything.
    if known is None and person is not None and _is_plain(readings, claims):
        problem = _identity_problem(external_id, person, identity, claims)
        if problem is None:
            return _first(external_id, staged, readings, first_load=first_load, now=now)
        return _invalid(external_id, None, problem, identity)

    contact = known or Contact(external_id=external_id, present=False, first_load=first_load)

    # The account was deleted, or filtered away. Meisa keeps the contact; we send nothing more.
    if person is not None and not person.row:
        return _removed(contact, person, identity)

    # It was gone before and still is.
    if known is not None and not known.present and person is None:
        return Comparison(external_id=external_id, action=Action.REMOVED, contact=None, known=True)

    # Its key is there twice, or its address is unusable or somebody else's.
    problem = _identity_problem(external_id, person, identity, claims)
    if problem is not None:
        return _invalid(external_id, known, problem, identity)

    # It was marked unusable earlier, and identity was not read again since.
    if contact.invalid and person is None:
        return Comparison(external_id=external_id, action=Action.INVALID, contact=None, known=True)

    return _differences(heir(contact, person, claims), known, staged, readings, identity, now)


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


def _is_plain(readings: Sequence[Reading], claims: Sequence[Claim]) -> bool:
    """Tell whether there are neither tags nor an inheritance to think of."""
    if any(claim.leaves is not None for claim in claims):
        return False
    return not any(reading.has_tags for reading in readings)


def _first(
    external_id: str,
    staged: Dict[str, Staged],
    readings: Sequence[Reading],
    *,
    first_load: bool,
    now: float,
) -> Comparison:
    """Return what a pass means for a contact that is new to us and may be used."""
    seen: list[tuple[Reading, Staged | None]] = []
    for reading in readings:
        row = staged.get(reading.mapping.name)
        seen.append((reading, reading.absence if row is None and reading.covers_new else row))
    firsts = first_fields(seen)
    return Comparison(
        external_id,
        Action.CREATE if firsts else Action.UNCHANGED,
        first_contact(external_id, firsts, first_load=first_load, now=now),
        invalid=tuple(_field_problems(external_id, staged)),
        lost=_lost(staged),
        observed=_observed(seen),
        firsts=firsts,
    )


def _lost(staged: Dict[str, Staged]) -> frozenset[str]:
    """Return the mappings that had a row and have none now."""
    lost = [name for name, seen in staged.items() if seen.had_row and not seen.row]
    return frozenset(lost) if lost else NONE


def _invalid(
    external_id: str, known: Contact | None, problem: Invalid, identity: str
) -> Comparison:
    marked = (
        None if known is None else replace(known, invalid=problem.code, rank=None, present=True)
    )
    return Comparison(
        external_id=external_id,
        action=Action.INVALID,
        contact=marked,
        invalid=(problem,),
        observed={identity: None},
        known=known is not None,
    )


def _identity_problem(
    external_id: str, person: Staged | None, identity: str, claims: Sequence[Claim]
) -> Invalid | None:
    found = None if person is None else _row_problem(person)
    if found is None:
        found = email_conflict(external_id, claims)
    if found is None:
        return None
    code, message = found
    return Invalid(mapping=identity, external_id=external_id, code=code, message=message)


def _row_problem(person: Staged) -> tuple[str, str] | None:
    """Return (code, message) of what makes identity's row unusable."""
    if person.duplicate:
        return "key_duplicate", person.duplicate
    if EMAIL in person.errors:
        return person.errors[EMAIL]
    try:
        canonical_email(person.values.get(EMAIL))
    except InvalidValue as error:
        return error.code, error.message
    return None


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
    seen = [(reading, seen_of(contact, staged, reading)) for reading in readings]
    unsure = contact.inherits.union(contact.in_doubt, contact.pending, contact.riding)
    for reading, row in seen:
        # Most mappings have nothing new of a contact, and nothing that waits.
        if row is None and not reading.has_tags and reading.names.isdisjoint(unsure):
            continue
        for each in reading.fields:
            if row is not None and is_as_held(contact, row, each):
                continue
            value = value_of(contact, row, each)
            if each.is_tags:
                problems += _tagged_twice(
                    contact.external_id, reading.mapping.name, tags.names(value), tagged
                )
            if value is UNSET or not differs(contact, each.name, value):
                continue
            changes.append(change_of(contact, reading, each, value, now))
    changes.extend(emptied(contact, readings, identity))
    causing = tuple([change for change in changes if change.causes])
    riding = tuple([change for change in changes if not change.causes])
    settled, action = _counted(contact, causing, riding, now)
    return Comparison(
        external_id=contact.external_id,
        action=action,
        contact=settled,
        differences=causing,
        riding=riding,
        invalid=tuple(problems),
        lost=_lost(staged),
        observed=_observed(seen),
        known=known is not None,
    )


def _tagged_twice(
    external_id: str, mapping: str, found: frozenset[str], tagged: dict[str, str]
) -> Iterable[Invalid]:
    """Yield the tags that another mapping yields as well: neither would know when to remove it."""
    for tag in sorted(found):
        other = tagged.setdefault(tag, mapping)
        if other != mapping:
            yield Invalid(
                mapping=mapping,
                external_id=external_id,
                code="tag_twice",
                message=f"the tag {tag!r} comes from {other} already",
                field=mapping,
            )


def _counted(
    contact: Contact, causing: Sequence[FieldChange], riding: Sequence[FieldChange], now: float
) -> tuple[Contact, Action]:
    """Return the contact with these differences, and what it is counted as."""
    after = _with_differences(contact, causing, riding, now)
    if not causing:
        return after, Action.UNCHANGED
    if after.quarantine is not None:
        if after.quarantine.payload == request_for(after).fingerprint:
            return replace(after, rank=None), Action.QUARANTINED
        after = replace(after, quarantine=None)
    return after, Action.UPDATE if contact.ledger else Action.CREATE


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
        novel=frozenset([change.field for change in causing if change.novel]),
        quarantine=contact.quarantine if causing else None,
        rank=_rank(contact, causing),
    )


def _rank(contact: Contact, causing: Sequence[FieldChange]) -> int | None:
    priorities = (
        # What only repeats a value, or differs for everybody, is in no hurry.
        Priority.BACKGROUND if c.novel or (same(c.old, c.new) and contact.ledger) else c.priority
        for c in causing
    )
    return urgency(contact, priorities) if causing else None


def _field_problems(external_id: str, staged: Dict[str, Staged]) -> Iterable[Invalid]:
    for name, seen in staged.items():
        if not seen.duplicate and not seen.errors:
            continue
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
    rows: Iterable[tuple[Reading, Staged | None]],
) -> dict[str, Observation | None]:
    """Return the fingerprints to store; unusable rows are forgotten, so they are judged again."""
    observed: dict[str, Observation | None] = {}
    for reading, seen in rows:
        if seen is None:
            continue
        _, errors, fingerprint, row, _, duplicate, place = seen
        observed[reading.mapping.name] = (
            None if errors or duplicate else Observation(fingerprint, row, place if row else None)
        )
    return observed
