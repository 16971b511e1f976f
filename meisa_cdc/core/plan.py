"""The plan of a run: what would change, what it costs, whether it is held, its digest."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping as Dict, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from meisa_cdc.core import tags
from meisa_cdc.core.arrivals import Expected
from meisa_cdc.core.diff import Action, Comparison, Invalid
from meisa_cdc.core.fields import FieldChange
from meisa_cdc.core.guard import Hold
from meisa_cdc.core.values import NESTED, Value, fingerprint, normal_form, same

#: Where the field stands in a change.
_FIELD = itemgetter(0)
#: Rows without a usable key are listed up to here; beyond it they are only counted.
MOST_LISTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many contacts are what; each is counted once, orphans are keys without a contact."""

    create: int = 0
    update: int = 0
    unchanged: int = 0
    #: Of the unchanged, those that differ only in fields that ride along.
    riding: int = 0
    invalid: int = 0
    quarantined: int = 0
    removed: int = 0
    orphan: int = 0
    #: One a contact that is created or updated, and one for each tag that is removed.
    requests: int = 0

    @property
    def changes(self) -> int:
        """How many contacts a request is needed for."""
        return self.create + self.update


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Which fields make requests necessary."""

    #: Field -> contacts for which it is among the causes.
    by_field: Dict[str, int] = field(default_factory=dict)
    #: Field -> contacts for which it is the only cause.
    sole: Dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How long the plan's requests take, after what already waits."""

    seconds: float
    #: Epoch seconds.
    done_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run's changes as figures; the changes themselves are streamed beside it."""

    digest: str
    summary: Summary
    cost: Cost
    forecast: Forecast
    holds: tuple[Hold, ...]
    #: Mapping -> what went wrong reading it.
    failures: Dict[str, str] = field(default_factory=dict)
    #: Fields that contacts have but no mapping yields any more -> contacts; Meisa keeps them.
    unmapped: tuple[str, ...] = ()
    #: Rows and single fields that cannot be used.
    invalid_rows: int = 0
    #: Contacts whose creation waits until every mapping could be read.
    waiting: int = 0
    #: What there is to do once, by mapping.
    occurrences: tuple[Expected, ...] = ()
    #: Mappings of e-mails that are not read since e-mails are not enabled.
    not_enabled: tuple[str, ...] = ()


class Tallies:
    """Adds up comparisons, in the order of their external_id, into a plan's figures."""

    def __init__(self, files: Dict[str, str]) -> None:
        """`files` holds the digest of each mapping's file, by mapping."""
        self.actions: Counter[Action] = Counter()
        #: Of the actions, those on contacts that were in our state before.
        self.known: Counter[Action] = Counter()
        self._by_field: Counter[str] = Counter()
        #: The fields that a mapping brought of a new contact -> as often.
        self._brought: Counter[tuple[str, ...]] = Counter()
        self.sole: Counter[str] = Counter()
        #: What all of it takes; a tag that is removed is a request of its own.
        self.requests = 0
        self.changed: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.created: Counter[str] = Counter()
        #: Unchanged contacts that differ only in fields that ride along.
        self.riding = 0
        #: Rows and single fields that cannot be used.
        self.invalid = 0
        #: Contacts that were marked unusable before; the unread among all such still are.
        self.invalid_before = 0
        self.gone_now = 0
        self.returned = 0
        self._hashes = {
            name: hashlib.blake2b(f"{name} {file}\n".encode(), digest_size=16)
            for name, file in sorted(files.items())
        }

    def add(self, comparison: Comparison, *, was_present: bool, was_invalid: bool = False) -> None:
        """Count one contact; `was_present` tells whether identity had it before."""
        action = comparison.action
        self.actions[action] += 1
        self.known[action] += comparison.known
        self.invalid += len(comparison.invalid)
        self.invalid_before += was_invalid
        self.riding += action is Action.UNCHANGED and bool(comparison.riding)
        self.gone_now += comparison.gone_now
        if comparison.known and not was_present and action is not Action.REMOVED:
            self.returned += 1
        for mapping in comparison.lost:
            self.lost[mapping] += 1
            self._hash(mapping, comparison.external_id, [])
        if action not in (Action.CREATE, Action.UPDATE) or comparison.contact is None:
            return
        self.requests += tags.requests(comparison.contact)
        if comparison.firsts:
            self._add_first(comparison)
        else:
            self._add_differences(comparison)

    def _add_first(self, comparison: Comparison) -> None:
        """Count what a contact brings that is new to us."""
        key = comparison.external_id
        for reading, fields in comparison.firsts:
            mapping = reading.mapping.name
            self.created[mapping] += 1
            self._brought[tuple(fields)] += 1
            lines = [
                (name, None, _unordered(new) if isinstance(new, NESTED) else new)
                for name, new in sorted(fields.items())
            ]
            self._hash(mapping, key, lines)
        if len(comparison.firsts) == 1 and len(fields) == 1:
            self.sole.update(fields.keys())

    def _add_differences(self, comparison: Comparison) -> None:
        surprising: set[str] = set()
        told: dict[str, list[object]] = {}
        for change in _by_field(comparison.differences):
            name, mapping, old, new, _, fresh, _, _, _ = change
            self._by_field[name] += 1
            if fresh:
                surprising.add(mapping)
            if isinstance(new, NESTED) or isinstance(old, NESTED):
                line: tuple[object, ...] = name, _unordered(old), _unordered(new)
            else:
                line = name, old, new
            if mapping in told:
                told[mapping].append(line)
            else:
                told[mapping] = [line]
        if len(comparison.differences) == 1:
            self.sole[comparison.differences[0].field] += 1
        (self.changed if comparison.known else self.created).update(surprising)
        for mapping, lines in told.items():
            self._hash(mapping, comparison.external_id, lines)

    @property
    def by_field(self) -> Counter[str]:
        """Field -> contacts for which it is among the causes."""
        found = self._by_field.copy()
        for names, contacts in self._brought.items():
            for name in names:
                found[name] += contacts
        return found

    def _hash(self, mapping: str, external_id: str, changes: Sequence[object]) -> None:
        """Add what becomes of a contact; no changes: its row is gone."""
        self._hashes[mapping].update(repr((external_id, changes)).encode())

    def digest(self, mapping: str) -> str:
        """Return what names this mapping's changes."""
        return self._hashes[mapping].hexdigest()

    def digest_of_all(self) -> str:
        """Return what names every change."""
        return combined(self.digest(mapping) for mapping in self._hashes)


def combined(digests: Iterable[str]) -> str:
    """Return one digest for several; that of one is itself."""
    parts = sorted(digests)
    if len(parts) == 1:
        return parts[0]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def digest_of(holds: Sequence[Hold], everything: str) -> str:
    """Return the digest of the held changes, or of all where nothing is held."""
    return combined(hold.digest for hold in holds) if holds else everything


def with_occurrences(
    plan: Plan, expected: Sequence[Expected], holds: Sequence[Hold], digests: Sequence[str]
) -> Plan:
    """Return a plan with what there is to do once beside its contacts; the forecast stays.

    `digests` name the new occurrences of each mapping that brought any.
    """
    every = (*plan.holds, *holds)
    return replace(
        plan,
        digest=digest_of(every, combined([plan.digest, *digests])),
        holds=every,
        summary=replace(
            plan.summary, requests=plan.summary.requests + sum(each.requests for each in expected)
        ),
        invalid_rows=plan.invalid_rows + sum(each.invalid for each in expected),
        occurrences=tuple(expected),
    )


def approved(holds: Sequence[Hold], digest: str) -> frozenset[str]:
    """Return the mappings that this digest releases; empty where it names none of the holds."""
    if digest and digest == digest_of(holds, ""):
        return frozenset(hold.mapping for hold in holds)
    return frozenset(hold.mapping for hold in holds if digest and hold.digest == digest)


def _unordered(value: Value) -> object:
    """Return what tells two values apart when it is printed, whatever order keys are in."""
    return (normal_form(value),) if isinstance(value, NESTED) else value


def concerned(comparison: Comparison, scope: frozenset[str]) -> bool:
    """Tell whether these mappings change anything about a contact."""
    return bool(comparison.lost & scope) or any(c.mapping in scope for c in comparison.changes)


def change_print(comparison: Comparison, scope: frozenset[str]) -> bytes:
    """Return what stands for a contact's changes from these mappings, to recognise them later."""
    changes: Value = [
        [change.field, change.old, change.new]
        for change in _by_field(comparison.changes)
        if change.mapping in scope
    ]
    return fingerprint([str(comparison.action), changes, [*[*sorted(comparison.lost & scope)]]])


def _by_field(changes: Iterable[FieldChange]) -> list[FieldChange]:
    """Return the changes in an order that the order of a query's columns does not decide."""
    return sorted(changes, key=_FIELD)


def fires(comparison: Comparison) -> list[str]:
    """Return the triggers that this contact's upsert would set off at Meisa."""
    if comparison.action not in (Action.CREATE, Action.UPDATE):
        return []
    triggers = []
    contact = comparison.contact
    if comparison.action is Action.CREATE:
        triggers.append("contact_created")
    elif any(
        not same(change.old, change.new)
        for change in (*comparison.changes, *comparison.riding)
        if not tags.is_tags(change.field)
    ):
        triggers.append("contact_updated")
    if contact is not None and tags.added(contact):
        triggers.append("tag_added")
    if contact is not None and tags.removable(contact):
        triggers.append("tag_removed")
    return triggers


def change_document(comparison: Comparison, priority: str) -> dict[str, Any]:
    """Return one entry of the plan's `changes`."""
    document: dict[str, Any] = {
        "external_id": comparison.external_id,
        "action": str(comparison.action),
        "priority": priority,
        "reasons": [change.field for change in comparison.changes],
        "fields": {
            change.field: {"from": change.old, "to": change.new}
            for change in (*comparison.changes, *comparison.riding)
        },
        "fires": fires(comparison),
    }
    if comparison.riding:
        document["riding"] = [change.field for change in comparison.riding]
    return document


def invalid_document(invalid: Invalid) -> dict[str, Any]:
    """Return one entry of the plan's `invalid`."""
    document: dict[str, Any] = {
        "mapping": invalid.mapping,
        "external_id": invalid.external_id,
        "code": invalid.code,
        "message": invalid.message,
    }
    if invalid.field:
        document["field"] = invalid.field
    return document


def guard_document(holds: Sequence[Hold]) -> dict[str, Any]:
    """Return the plan's `guard`."""
    return {
        "verdict": "held" if holds else "ok",
        "holds": [
            {
                "mapping": hold.mapping,
                "reason": hold.reason,
                "message": hold.message,
                "contacts": hold.contacts,
                "digest": hold.digest,
            }
            for hold in holds
        ],
    }
