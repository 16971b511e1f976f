"""What a person tells the ledger: the present is sent already, or has to be sent again."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from meisa_cdc.core.contact import SOURCE, Contact, Fields, acknowledged, doubted, field_of
from meisa_cdc.core.diff import Action, Comparison
from meisa_cdc.core.fields import FieldChange
from meisa_cdc.ports import Clock, State
from meisa_cdc.records import MappingRecord, Settled
from meisa_cdc.sync.arrivals import admit
from meisa_cdc.sync.passes import Look, Passes

#: What there may be anything to take of; what rides along is in unchanged contacts too.
TAKEN = (Action.CREATE, Action.UPDATE, Action.UNCHANGED, Action.QUARANTINED)


@dataclass(slots=True, kw_only=True)
class Baselined:
    """What `baseline` did."""

    #: Contacts whose ledger was written.
    contacts: int = 0
    #: Fields taken as sent, over all contacts.
    fields: int = 0
    #: Fields left as they are, because nobody knows what Meisa holds.
    in_doubt: int = 0
    #: Occurrences taken as done, over all mappings.
    occurrences: int = 0
    #: What failed, one sentence each.
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Takes the present as already sent."""

    look: Look
    #: Mappings concerned.
    mappings: frozenset[str]
    #: Fields concerned; None: all.
    fields: Collection[str] | None
    done: Baselined

    def settle(self, comparison: Comparison, known: Contact | None) -> Settled:
        """Return what to store of one contact."""
        changes = (*comparison.changes, *comparison.riding)
        if not changes or comparison.action not in TAKEN:
            contact = comparison.contact if comparison.known else None
            return Settled(
                contact=contact, observed=comparison.observed if comparison.known else {}
            )
        after = comparison.contact
        if after is None or (known is None and not self._whole):
            return Settled(contact=None)
        chosen = {change.field for change in changes if self._concerns(change)}
        certain = chosen - after.in_doubt - {SOURCE}
        self.done.contacts += bool(certain)
        self.done.fields += len(certain)
        self.done.in_doubt += len(chosen & after.in_doubt)
        values = {change.field: change.new for change in changes if change.field in certain}
        left_out = {change.mapping for change in changes if change.field not in chosen}
        waiting = _waiting(known, after, chosen)
        contact = acknowledged(replace(after, pending=waiting), values)
        return Settled(
            contact=contact if contact.pending else replace(contact, quarantine=None),
            observed={n: v for n, v in comparison.observed.items() if n not in left_out},
        )

    @property
    def _whole(self) -> bool:
        identity = self.look.captured.identity
        return self.fields is None and identity in self.look.captured.complete

    def _concerns(self, change: FieldChange) -> bool:
        return change.mapping in self.mappings and (
            self.fields is None or change.field in self.fields
        )


def _waiting(known: Contact | None, after: Contact, chosen: Collection[str]) -> Fields:
    """Return what stays pending: what is in doubt, and what is not concerned, as admitted."""
    before = {} if known is None else known.pending
    return {
        name: value if name in chosen else before[name]
        for name, value in after.pending.items()
        if (name in after.in_doubt if name in chosen else name in before)
    }


def baseline(
    passes: Passes, due: Iterable[str], fields: Collection[str] | None = None
) -> Baselined:
    """Take what these mappings yield now as acknowledged by Meisa; send nothing.

    What waits in the backlog is taken as sent as well, though its rows are as they were.
    """
    mappings = frozenset(due)
    with passes.look(mappings, whole=True) as look:
        done = Baselined(failures=tuple(look.plan.failures.values()))
        taking = Baseline(look=look, mappings=mappings, fields=fields, done=done)
        with passes.settling(look):
            look.judge.settle_each(taking.settle)
        if fields is None:
            done.occurrences = _take_occurrences(passes, look)
            passes.record(look, everybody=True)
    return done


def _take_occurrences(passes: Passes, look: Look) -> int:
    """Take what waits, and what is there now, as done; return how many."""
    admit(look.arrived, passes.state, as_baseline=True)
    new = sum(each.new for each in look.arrived.counts.values())
    return new + sum(
        passes.state.baseline_occurrences(name) for name in sorted(look.arrived.complete)
    )


def fields_of(records: Iterable[MappingRecord]) -> frozenset[str]:
    """Return the fields that these mappings yielded when they were read last."""
    return frozenset(field_of(column.name) for record in records for column in record.columns)


def resync(
    state: State,
    clock: Clock,
    *,
    fields: Collection[str] | None = None,
    contacts: Collection[str] | None = None,
) -> int:
    """Put acknowledged fields in doubt, so that they are sent again in the background.

    None means all fields, or all contacts. Returns the number of contacts concerned.
    """
    now = clock.now()
    concerned = 0

    def decide(_: str, contact: Contact | None) -> Settled:
        nonlocal concerned
        if contact is None or not contact.present:
            return Settled(contact=None)
        chosen = frozenset(contact.ledger if fields is None else fields) & set(contact.ledger)
        concerned += bool(chosen)
        return Settled(contact=doubted(contact, chosen, now) if chosen else None)

    batches = state.keys() if contacts is None else [sorted(contacts)]
    for keys in batches:
        state.settle(keys, decide, now=now)
    return concerned
