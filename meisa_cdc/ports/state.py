"""What the use cases ask of our own state."""

from collections.abc import Callable, Collection, Iterator, Mapping as Dict, Sequence
from typing import Any, Protocol

from meisa_cdc.core.budget import Usage
from meisa_cdc.core.checksums import Checksums
from meisa_cdc.core.contact import Claim, Contact
from meisa_cdc.core.delivery import Request
from meisa_cdc.core.mapping import Column
from meisa_cdc.core.occurrence import Occurrence, Status
from meisa_cdc.core.plan import Cost
from meisa_cdc.records import (
    Absent,
    Concluded,
    Counts,
    DeliveryRecord,
    Grant,
    HoldRecord,
    MappingRecord,
    OccurrenceCount,
    RunRecord,
    Seen,
    Settled,
)


class Budget(Protocol):
    """The persisted use of the request windows, shared by every process."""

    def usage(self, most: int, since: float = 0.0) -> Usage:
        """Return what was started, and answered after `since`: that many newest entries at most."""

    def grant(
        self,
        kind: str,
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        most: int = 0,
        since: float = 0.0,
    ) -> Grant | None:
        """Store in one transaction that a request about no contact starts: its row, the paces.

        `admit` gets the use as it is inside the transaction, as `usage` returns it, and
        returns the paces to store; None: there is no room after all, since another process
        started a request meanwhile, and nothing is stored.
        """

    def grant_deliveries(
        self,
        keys: Sequence[str],
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        intend: Callable[[Contact], tuple[Contact, Request] | None],
        most: int = 0,
        since: float = 0.0,
        concluded: Sequence[Concluded] = (),
    ) -> Sequence[Grant]:
        """Store in one transaction that requests start: their rows, the paces, the intents.

        What came of earlier ones, `concluded`, is stored before, as by `complete`, whether any
        starts or not: one commit instead of two.

        They start in the order of these keys, each admitted as in `grant`, with the ones
        before it in use. The first that is not admitted, or has nothing to send, is the end.
        `intend` gets the contact as it is now and returns it with its fields in doubt, beside
        the request to send; None: there is nothing left to send.
        """

    def complete(self, *concluded: Concluded, most: int = 0, since: float = 0.0) -> None:
        """Store in one transaction what came of requests, and what it does to their contacts.

        `most` and `since` say what `react` sees of the use, as in `usage`.
        """

    def forgive(self) -> None:
        """Let deliveries go on after rejections: earlier ones count no more."""


class Observations(Protocol):
    """What was observed of contacts, mapping by mapping, once its consequences were stored."""

    def observed(self, mapping: str, keys: Sequence[str]) -> dict[str, Seen]:
        """Return what is on record for these keys; unknown keys are left out."""

    def unseen(self, mapping: str, seen: bytearray, missing: bytes) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts that a complete read lacked.

        `seen` has the bit `ref` set for each contact that was read. Left out: contacts whose
        stored fingerprint is `missing` already.
        """

    def vanished(
        self, mapping: str, seen: bytearray, buckets: Collection[int], bits: int
    ) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts whose row was in one of these buckets.

        Left out: those with their bit in `seen`.
        """

    def lacking(self, mapping: str) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts without any observation of the mapping."""

    def checksums(self, mapping: str) -> Checksums | None:
        """Return what its rows added up to when that was stored; None where nobody knows."""

    def record_checksums(self, mapping: str, checksums: Checksums) -> None:
        """Remember what its rows add up to, now that their consequences are stored."""

    def unsettle(self, mapping: str, places: Collection[int]) -> None:
        """Have the buckets of these places looked at next time, whatever they add up to."""

    def drop_checksums(self, mappings: Collection[str]) -> None:
        """Forget what the rows of these mappings add up to: all will be read."""


class Contacts(Observations, Protocol):
    """The stored contacts: ledger, backlog, quarantine, and what was observed of them."""

    def load(self, keys: Sequence[str]) -> dict[str, Contact]:
        """Return the contacts with these keys; unknown keys are left out."""

    def find(self, text: str) -> Contact | None:
        """Return the contact with this external_id, or with this e-mail in any case."""

    def claims(self, email_keys: Sequence[str]) -> list[Claim]:
        """Return every contact that holds or observes one of these case-folded addresses."""

    def pending(self) -> Iterator[Sequence[str]]:
        """Yield batches of keys, in order, of contacts with anything pending or quarantined."""

    def due(self, now: float, most: int) -> Sequence[str]:
        """Return the keys of contacts with something due: what rides along, or a confirmation."""

    def keys(self) -> Iterator[Sequence[str]]:
        """Yield batches of the keys of all contacts, in order."""

    def settle(
        self,
        keys: Sequence[str],
        decide: Callable[[str, Contact | None], Settled],
        *,
        now: float,
    ) -> None:
        """Load these contacts, decide each anew and store all of it in one transaction."""

    def next_deliveries(
        self, now: float, most: int, busy: Sequence[str] = (), *, favour: Sequence[int | None] = ()
    ) -> Sequence[str]:
        """Return the keys of the next contacts to deliver, the most urgent and oldest first.

        `favour` says of each place whose turn it is: a rank, where that has anything left.
        """

    def next_attempt(self) -> float | None:
        """Return the earliest epoch second at which a deferred contact may be tried again."""

    def cost(self) -> Cost:
        """Return which fields make the deliverable contacts wait for a request."""

    def counts(self) -> Counts:
        """Return how many contacts are in which condition."""

    def quarantined(self) -> Iterator[Sequence[Contact]]:
        """Yield batches of quarantined contacts in order of their keys."""

    def release(self, keys: Sequence[str] | None = None) -> int:
        """Put quarantined contacts (None: all) back into the backlog; return how many."""


class Records(Protocol):
    """What happened, and what the state is about."""

    def mappings(self) -> dict[str, MappingRecord]:
        """Return what is remembered of each mapping, by name."""

    def record_read(self, mapping: str, digest: str, columns: Sequence[Column], now: float) -> None:
        """Remember a complete read that was not held."""

    def first_load_done(self) -> bool:
        """Tell whether a first identity pass was stored."""

    def record_first_load(self, now: float) -> None:
        """Remember that the first identity pass was stored."""

    def holds(self) -> list[HoldRecord]:
        """Return the holds that wait for a person or were just approved."""

    def record_hold(self, hold: HoldRecord, changes: Iterator[tuple[str, bytes]]) -> None:
        """Remember a hold in place of the mapping's earlier one, with a fingerprint a contact."""

    def drop_holds(self, mappings: Sequence[str]) -> None:
        """Forget the holds of these mappings."""

    def approve(self, digest: str, now: float) -> HoldRecord | None:
        """Mark the hold with this digest as approved; None where there is none."""

    def approved_changes(self, digest: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the recorded change fingerprints of these contacts in an approved hold."""

    def start_run(self, command: str, now: float) -> int:
        """Record that a run started; return its id."""

    def end_run(self, run: int, now: float, exit_code: int, result: Dict[str, Any]) -> None:
        """Record how a run ended."""

    def runs(self, most: int) -> Sequence[RunRecord]:
        """Return the newest runs, newest first."""

    def deliveries(
        self, *, external_id: str = "", since: float = 0.0, most: int | None = None
    ) -> Iterator[DeliveryRecord]:
        """Yield requests, newest first."""

    def prune(self, before: float) -> None:
        """Forget requests and runs that ended before this epoch second.

        The newest request is kept, so that its number is never another one's.
        """

    def note(self, name: str) -> Any:
        """Return a remembered JSON value; None where there is none."""

    def set_note(self, name: str, value: Any) -> None:
        """Remember a JSON value under a name."""

    def belongs_to(self) -> Dict[str, str] | None:
        """Return the Meisa that this state was filled from: product, environment."""

    def set_belongs_to(self, product: str, environment: str) -> None:
        """Remember which Meisa this state is filled from."""


class Occurrences(Protocol):
    """What is done once at Meisa: everything that ever was, and what is still to be done."""

    def known_occurrences(self, mapping: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that are on record, whatever became of them."""

    def admit_occurrences(self, occurrences: Sequence[Occurrence]) -> None:
        """Store those that are not on record yet."""

    def next_occurrences(
        self, now: float, most: int, *, kinds: Sequence[str], favour: int | None = None
    ) -> Sequence[Occurrence]:
        """Return what waits and may be tried now, the most urgent and oldest first.

        `favour` is the rank whose turn it is, where there is anything of it.
        """

    def companions(self, slug: str, now: float, most: int) -> Sequence[Occurrence]:
        """Return the enrolments in this sequence that may be tried now, the oldest first."""

    def delivery_due(self, external_id: str) -> float | None:
        """Return when a contact's pending delivery may be tried; None where none is pending."""

    def next_occurrence_attempt(self, kinds: Sequence[str]) -> float | None:
        """Return the earliest epoch second at which a deferred one, not blocked, may be tried."""

    def grant_occurrences(
        self,
        refs: Sequence[int],
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        intend: Callable[[Occurrence], Occurrence],
        most: int = 0,
        since: float = 0.0,
    ) -> tuple[Grant, Sequence[Occurrence]] | None:
        """Store in one transaction that a request starts, and that these were about to be sent.

        Returns those that were still waiting, as they were before, in the order of `refs`; None
        where none was or there was no room. `admit`, `most` and `since` are as for `grant`;
        `intend` returns what is stored of each.
        """

    def store_occurrences(self, changed: Sequence[Occurrence], *, before: Status) -> None:
        """Store these as they are now where they still stand as before."""

    def sent_occurrences(self, until: float | None = None) -> Sequence[Occurrence]:
        """Return what was about to be sent and given up by then (None: all of it)."""

    def unblock_occurrences(self) -> None:
        """Let what is blocked be looked at again now."""

    def resolve_occurrences(
        self, status: Status, *, keys: Sequence[str] | None, mappings: Sequence[str] | None
    ) -> int:
        """Settle what was rejected or parked: DONE, or WAITING to be tried again.

        Of these keys and mappings alone; None stands for any. Returns how many.
        """

    def baseline_occurrences(self, mapping: str) -> int:
        """Take what waits of a mapping as done; return how many."""

    def occurrences(
        self, statuses: Sequence[Status], *, mappings: Sequence[str] | None = None
    ) -> Iterator[Sequence[Occurrence]]:
        """Yield batches of what stands so, of these mappings (None: all), oldest first."""

    def occurrence_counts(self) -> Sequence[OccurrenceCount]:
        """Count what something is still to be done about."""


class State(Budget, Contacts, Occurrences, Records, Protocol):
    """Our own state. Every method is one short transaction, safe to call from any thread.

    Writes raise LeaseLost where another process has taken over, StateUnavailable where the
    storage refuses.
    """
