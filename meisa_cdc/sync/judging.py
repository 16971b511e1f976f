"""Judging: the spool against the state -> a plan, and what of it is stored."""

from collections.abc import Callable, Collection, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass, field, replace

from meisa_cdc.core.addresses import contested, vacated
from meisa_cdc.core.contact import Claim, Contact, Staged
from meisa_cdc.core.diff import Action, Comparison, compare
from meisa_cdc.core.fields import Reading
from meisa_cdc.core.guard import Hold
from meisa_cdc.core.plan import change_print, concerned
from meisa_cdc.core.values import email_key
from meisa_cdc.ports import Contacts, Records, Spool
from meisa_cdc.records import Settled
from meisa_cdc.sync.addresses import Addresses
from meisa_cdc.sync.captured import Captured

#: Contacts compared, and stored in one transaction, at a time.
BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A hold in force, and what of it somebody released beforehand."""

    hold: Hold
    #: The mappings whose observations wait.
    scope: frozenset[str]
    #: Digest of the recorded hold that was approved; empty where none was.
    approved: str = ""


class Handovers:
    """Decides a batch, and marks contacts that are gone whose address others of it take."""

    def __init__(
        self,
        decide: Callable[[str, Contact | None], Settled],
        claims: Dict[str, Sequence[Claim]],
        mark: Callable[[Contact], Contact],
    ) -> None:
        self._decide = decide
        self._mark = mark
        #: Heir -> those who are gone and leave their address to it.
        self._left = {
            key: [claim for claim in each if claim.leaves is not None]
            for key, each in claims.items()
        }
        self._gone = {c.external_id for each in self._left.values() for c in each}
        self._taken: set[str] = set()

    def in_order(self, keys: Sequence[str]) -> list[str]:
        """Return the keys to decide: those who may have to give up what they hold come last."""
        return [*(key for key in keys if key not in self._gone), *sorted(self._gone)]

    def decide(self, key: str, contact: Contact | None) -> Settled:
        """Return what to store of a contact."""
        left = self._left.get(key)
        if left is None:
            settled = Settled(contact=None)
        else:
            settled = self._decide(key, contact)
            if left:
                self._taken.update(_taken_by(settled.contact, left))
        after = settled.contact or contact
        if key not in self._taken or after is None:
            return settled
        return replace(settled, contact=self._mark(after))


def _taken_by(heir: Contact | None, left: Sequence[Claim]) -> set[str]:
    if heir is None or not heir.present or heir.invalid:
        return set()
    address = email_key(heir.email)
    return {claim.external_id for claim in left if claim.email_key == address}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Compares what one pass spooled with the state, as often as needed."""

    captured: Captured
    contacts: Contacts
    records: Records
    spool: Spool
    #: Before this pass no identity pass was ever stored.
    first_load: bool
    #: Epoch seconds of the pass.
    now: float
    #: Before this pass no contact was on record.
    nobody: bool = False
    #: Field that nothing yields at present -> mappings that did when they were read last.
    unmapped: Dict[str, Collection[str]] = field(default_factory=dict)
    #: Every mapping on record.
    recorded: Collection[str] = ()
    held: tuple[Held, ...] = field(default=())
    #: What is known of the mappings while some of them are held, by those.
    _while_held: dict[frozenset[str], Sequence[Reading]] = field(default_factory=dict)

    @property
    def _held_for_all(self) -> frozenset[str]:
        return frozenset().union(*(each.scope for each in self.held if not each.approved))

    @property
    def _approved(self) -> list[Held]:
        return [each for each in self.held if each.approved]

    def addresses(self) -> Addresses:
        """Return who goes by which address, as far as identity may be used."""
        identity = self.captured.identity
        return Addresses(
            contacts=self.contacts,
            spool=self.spool,
            identity=identity,
            read=identity in self.captured.complete and identity not in self._held_for_all,
            still_there=self.captured.has,
            nobody=self.nobody and identity in self.captured.complete,
        )

    def _load(self, keys: Sequence[str]) -> Dict[str, Contact]:
        return {} if self.nobody else self.contacts.load(keys)

    def comparisons(self) -> Iterator[tuple[Comparison, Contact | None]]:
        """Yield each contact's comparison beside the contact as stored, in order of the keys."""
        addresses = self.addresses()
        for batch in self.spool.contacts(BATCH):
            known = self._load([key for key, _ in batch])
            claims = addresses.claims(batch, known)
            for key, staged in batch:
                contact = known.get(key)
                yield self._compare(key, contact, staged, claims[key], frozenset()), contact

    def admit(self) -> set[str]:
        """Store the consequences of this pass: backlog, marks, fingerprints of what was read.

        Returns the digests of the approved holds that do not name all there is to hold.
        """
        unreleased: set[str] = set()
        addresses = self.addresses()
        for batch in self.spool.contacts(BATCH):
            keys = [key for key, _ in batch]
            claims = addresses.claims(batch, self._load(keys))
            decide = self._decider(dict(batch), claims, self._released(keys), unreleased)
            handovers = Handovers(decide, claims, contested)
            self.contacts.settle(handovers.in_order(keys), handovers.decide, now=self.now)
        return unreleased

    def settle_each(self, settle: Callable[[Comparison, Contact | None], Settled]) -> None:
        """Store what `settle` makes of each comparison and the contact as it is stored."""
        addresses = self.addresses()
        for batch in self.spool.contacts(BATCH):
            keys = [key for key, _ in batch]
            claims = addresses.claims(batch, self._load(keys))

            def decide(
                key: str,
                contact: Contact | None,
                staged: Dict[str, dict[str, Staged]] = dict(batch),
                claims: Dict[str, Sequence[Claim]] = claims,
            ) -> Settled:
                comparison = self._compare(key, contact, staged[key], claims[key], frozenset())
                return self._stored(key, settle(comparison, contact), contact, staged[key])

            handovers = Handovers(decide, claims, vacated)
            self.contacts.settle(handovers.in_order(keys), handovers.decide, now=self.now)

    def _decider(
        self,
        staged: Dict[str, dict[str, Staged]],
        claims: Dict[str, Sequence[Claim]],
        released: Dict[str, Dict[str, bytes]],
        unreleased: set[str],
    ) -> Callable[[str, Contact | None], Settled]:
        held_for_all = self._held_for_all

        def decide(key: str, contact: Contact | None) -> Settled:
            held = held_for_all
            if released:
                full = self._compare(key, contact, staged[key], claims[key], held)
                for each in self._approved:
                    seen = released[each.approved].get(key)
                    if concerned(full, each.scope) and seen != change_print(full, each.scope):
                        held |= each.scope
                        unreleased.add(each.approved)
            comparison = self._compare(key, contact, staged[key], claims[key], held)
            return self._stored(key, self._settled(comparison, held), contact, staged[key])

        return decide

    def _released(self, keys: Sequence[str]) -> dict[str, Dict[str, bytes]]:
        return {
            each.approved: self.records.approved_changes(each.approved, keys)
            for each in self._approved
        }

    def _compare(
        self,
        key: str,
        contact: Contact | None,
        staged: Dict[str, Staged],
        claims: Sequence[Claim],
        held: frozenset[str],
    ) -> Comparison:
        return compare(
            key,
            contact,
            {n: seen for n, seen in staged.items() if n not in held} if held else staged,
            self._readings(held),
            identity=self.captured.identity,
            claims=claims,
            first_load=self.first_load,
            now=self.now,
        )

    def _readings(self, held: frozenset[str]) -> Sequence[Reading]:
        found = self._while_held.get(held)
        if found is None:
            found = self._while_held[held] = [
                replace(reading, covers_new=False) if name in held else reading
                for name, reading in self.captured.readings.items()
            ]
        return found

    def _settled(self, comparison: Comparison, held: frozenset[str]) -> Settled:
        unready = held or self.captured.failures
        if not comparison.known and (comparison.action is not Action.CREATE or unready):
            # A contact is first stored when it can be sent, and it is first sent whole.
            return Settled(contact=None)
        return Settled(contact=comparison.contact, observed=comparison.observed)

    def _stored(
        self, key: str, settled: Settled, known: Contact | None, staged: Dict[str, Staged]
    ) -> Settled:
        """Return what is to be stored, and note what has to be looked at again."""
        settled = self._unlearnt(settled, known)
        for name, seen in staged.items():
            stored = settled.observed.get(name)
            if stored is not None and stored.fingerprint == seen.fingerprint:
                continue
            if name in self.captured.marked:
                self.captured.marked[name].unsettle(key)
            taken = self.captured.taken.get(name)
            if taken is None:
                continue
            taken.void |= taken.moved or bool(seen.duplicate)
            if seen.place is not None:
                taken.unsettle(seen.place)
        return self._relied(settled) if self.captured.partial else settled

    def _relied(self, settled: Settled) -> Settled:
        """Leave open that a contact has no row where checksums on record may stand for one."""
        partial = self.captured.partial
        relied = {n: o for n, o in settled.observed.items() if n not in partial or not o or o.row}
        return replace(settled, observed=relied)

    def _unlearnt(self, settled: Settled, known: Contact | None) -> Settled:
        """Forget the observations behind what is pending no more because nothing yields it.

        Once something does again, the same row has to make the same difference.
        """
        if known is None or settled.contact is None:
            return settled
        gone = known.pending.keys() - settled.contact.pending.keys()
        dropped = gone - self.captured.fields if gone else ()
        # Where nobody knows any more what yielded it, each of them may have.
        forgotten = {
            mapping: None for name in dropped for mapping in self.unmapped.get(name, self.recorded)
        }
        return replace(settled, observed={**forgotten, **settled.observed})
