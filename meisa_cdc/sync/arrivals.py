"""Arrivals: the new rows of events, emails and sequences mappings, and what becomes of them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from meisa_cdc.core.arrivals import Count, Expected
from meisa_cdc.core.attempt import closed
from meisa_cdc.core.contact import Staged
from meisa_cdc.core.diff import Invalid
from meisa_cdc.core.errors import InvalidValue, MappingError, MappingFailed
from meisa_cdc.core.guard import GuardSettings, Hold, judge_arrivals
from meisa_cdc.core.mapping import SEQUENCES, Column, Mapping
from meisa_cdc.core.occurrence import (
    OCCURRED_AT,
    Occurrence,
    Status,
    check_columns,
    key_of,
    occurrence_of,
)
from meisa_cdc.core.plan import MOST_LISTED
from meisa_cdc.core.spelling import shortened
from meisa_cdc.core.values import Value, canonical
from meisa_cdc.ports import Snapshot, Spool, State
from meisa_cdc.records import MappingRecord, OccurrenceCount

#: Occurrences made, and stored in one transaction, at a time.
BATCH = 500


@dataclass(slots=True, kw_only=True)
class Arrived:
    """What one pass saw of the mappings that were due; their new rows are in a spool."""

    #: Those that were due, by name.
    mappings: Dict[str, Mapping]
    spool: Spool
    #: Epoch seconds of the pass.
    now: float
    columns: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    #: Mappings that were read in full.
    complete: set[str] = field(default_factory=set)
    #: Mapping -> what went wrong.
    failures: dict[str, str] = field(default_factory=dict)
    #: Rows without a usable key, and how many there are of each mapping.
    unkeyed: list[Invalid] = field(default_factory=list)
    unkeyed_count: dict[str, int] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)

    def batches(self) -> Iterator[Sequence[Occurrence | Invalid]]:
        """Yield what the new rows mean, in order of their keys."""
        for batch in self.spool.contacts(BATCH) if self.complete else ():
            yield [
                self._made(self.mappings[name], key, staged)
                for key, rows in batch
                for name, staged in sorted(rows.items())
            ]

    def occurrences(self) -> Iterator[Occurrence]:
        """Yield what would happen, in order of the keys."""
        for batch in self.batches():
            for each in batch:
                if isinstance(each, Occurrence) and not self.counts[each.mapping].takes_baseline:
                    yield each

    def invalid(self) -> Iterator[Invalid]:
        """Yield the rows that have a key and cannot be used, in order of the keys."""
        for batch in self.batches():
            yield from (each for each in batch if isinstance(each, Invalid))

    def count(self, records: Dict[str, MappingRecord]) -> None:
        """Add up what was read; `records` holds what is remembered of each mapping."""
        for name in self.complete:
            record = records.get(name)
            read_at = None if record is None else record.read_at
            self.counts[name] = Count(
                mapping=self.mappings[name],
                since=None if read_at is None else max(0.0, self.now - read_at),
                file="" if record is None else record.digest,
                invalid=self.unkeyed_count.get(name, 0),
            )
        for batch in self.batches():
            for each in batch:
                if isinstance(each, Occurrence):
                    self.counts[each.mapping].add(each)
                else:
                    self.counts[each.mapping].invalid += 1

    def holds(self, guard: GuardSettings) -> tuple[Hold, ...]:
        """Return what waits for a person."""
        judged = (judge_arrivals(each.arrivals(), guard) for _, each in sorted(self.counts.items()))
        return tuple(hold for hold in judged if hold is not None)

    def expected(self, waiting: Iterable[OccurrenceCount]) -> tuple[Expected, ...]:
        """Return what there is to do by mapping; `waiting` is what the state counts."""
        before = {
            name: sum(c.count for c in waiting if c.mapping == name and c.status is Status.WAITING)
            for name in self.counts
        }
        return tuple(each.expected(before[name]) for name, each in sorted(self.counts.items()))

    def _made(self, mapping: Mapping, key: str, staged: Staged) -> Occurrence | Invalid:
        column, (code, message) = next(iter(staged.errors.items()), ("", ("", "")))
        if staged.duplicate:
            code, message = "key_duplicate", staged.duplicate
        if not code:
            try:
                return occurrence_of(mapping, key, staged.values, self.now)
            except InvalidValue as error:
                code, message = error.code, error.message
        return Invalid(
            mapping=mapping.name, external_id=key, code=code, message=message, field=column
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalReader:
    """Reads mappings in a snapshot and spools the rows that are not on record yet."""

    state: State
    zone: tzinfo
    arrived: Arrived

    def read(self, snapshot: Snapshot) -> None:
        """Read every mapping; one that fails is noted, and nothing of it is kept."""
        arrived = self.arrived
        for name, mapping in arrived.mappings.items():
            try:
                columns = tuple(snapshot.columns(mapping))
                check_columns(mapping, [column.name for column in columns])
                self._stream(snapshot, mapping, [column.name for column in columns])
            except (MappingFailed, MappingError) as error:
                arrived.spool.drop(name)
                arrived.failures[name] = str(error)
            else:
                arrived.columns[name] = columns
                arrived.complete.add(name)

    def _stream(self, snapshot: Snapshot, mapping: Mapping, columns: Sequence[str]) -> None:
        name = mapping.name
        for batch in snapshot.read(mapping):
            rows = [dict(zip(columns, row, strict=True)) for row in batch]
            keyed = list(self._keyed(mapping, rows))
            known = self.state.known_occurrences(name, [key for key, _ in keyed])
            if mapping.kind == SEQUENCES:
                # Whoever is named twice is enrolled once.
                known |= self.arrived.spool.having(name, [key for key, _ in keyed])
                keyed = list(dict(keyed).items())
            new = [(key, self._staged(row), "") for key, row in keyed if key not in known]
            if new:
                self.arrived.spool.put(name, new)

    def _keyed(
        self, mapping: Mapping, rows: Iterable[dict[str, object]]
    ) -> Iterator[tuple[str, dict[str, object]]]:
        for row in rows:
            try:
                yield key_of(mapping.kind, row), row
            except InvalidValue as error:
                self._reject(mapping, row, error)

    def _reject(self, mapping: Mapping, row: dict[str, object], error: InvalidValue) -> None:
        counts = self.arrived.unkeyed_count
        counts[mapping.name] = counts.get(mapping.name, 0) + 1
        if len(self.arrived.unkeyed) >= MOST_LISTED:
            return
        told = ", ".join(f"{column}={shortened(value)}" for column, value in row.items())
        self.arrived.unkeyed.append(
            Invalid(
                mapping=mapping.name,
                external_id=None,
                code=error.code,
                message=f"{error.message}; the row is {shortened(told, 200)}",
            )
        )

    def _staged(self, row: dict[str, object]) -> Staged:
        values: dict[str, Value] = {}
        errors: dict[str, tuple[str, str]] = {}
        for column, raw in row.items():
            try:
                values[column] = canonical(
                    raw, "datetime" if column == OCCURRED_AT else None, self.zone
                )
            except InvalidValue as error:
                errors[column] = (error.code, error.message)
        return Staged(values=values, errors=errors)


def admit(
    arrived: Arrived,
    state: State,
    *,
    held: Collection[str] = (),
    released: Dict[str, str] | None = None,
    as_baseline: bool = False,
) -> set[str]:
    """Put what arrived on record: to happen, or as done where it is the baseline.

    `held` are the mappings whose new rows wait, `released` those of them of which a recorded
    hold, named by its digest, was approved. Returns the digests that do not name all there is.
    """
    unreleased: set[str] = set()
    passes = _passing(arrived, state, frozenset(held), released or {}, unreleased)
    for batch in arrived.batches():
        made = [each for each in batch if isinstance(each, Occurrence)]
        state.admit_occurrences(
            [
                closed(each, Status.BASELINE)
                if as_baseline or arrived.counts[each.mapping].takes_baseline
                else each
                for each in (made if as_baseline else passes(made))
            ]
        )
    return unreleased


def _passing(
    arrived: Arrived,
    state: State,
    held: frozenset[str],
    released: Dict[str, str],
    unreleased: set[str],
) -> Callable[[Sequence[Occurrence]], Iterator[Occurrence]]:
    def passing(made: Sequence[Occurrence]) -> Iterator[Occurrence]:
        prints: dict[str, Dict[str, bytes]] = {
            name: state.approved_changes(digest, [e.key for e in made if e.mapping == name])
            for name, digest in released.items()
        }
        for each in made:
            name = each.mapping
            free = name not in held or arrived.counts[name].takes_baseline
            if free or prints.get(name, {}).get(each.key) == each.fingerprint:
                yield each
            elif name in released:
                unreleased.add(released[name])

    return passing
