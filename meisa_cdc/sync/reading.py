"""Reading the mappings of one snapshot: all rows, those that differ, or those of some contacts."""

from collections.abc import Iterable, Iterator, Mapping as Dict, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import tzinfo

from meisa_cdc.core.checksums import Buckets, Checksums, Within, bits_for, differing
from meisa_cdc.core.errors import MappingError, MappingFailed
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.core.plan import MOST_LISTED
from meisa_cdc.core.watermark import OVERLAP, Watermark, earliest_wall
from meisa_cdc.ports import Contacts, Snapshot, Spool
from meisa_cdc.records import Absent, MappingRecord
from meisa_cdc.sync.captured import Captured, Marked, Taken, is_marked
from meisa_cdc.sync.observing import Observer, scheme_of
from meisa_cdc.sync.streaming import Stream
from meisa_cdc.sync.sums import sums_now

#: Beyond this many contacts, a mapping is read in full for them.
MOST_RESTRICTED = 20_000
#: Where a larger share of the buckets differs, every row is read.
LARGEST_SHARE = 0.5
#: Bits for the buckets of a mapping that nobody knows the size of.
USUAL_BITS = 16
#: Keys looked up at a time.
PAGE = 1000

Batches = Iterable[Sequence[Sequence[object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads mappings in a snapshot and spools what has to be looked at."""

    snapshot: Snapshot
    contacts: Contacts
    spool: Spool
    zone: tzinfo
    captured: Captured
    records: Dict[str, MappingRecord]
    #: Contacts that identity had when it was last read.
    present: int
    #: Epoch seconds.
    now: float
    #: Seconds after which every row is read, whatever the rows add up to.
    full_every: float
    #: Those on record, by mapping.
    watermarks: Dict[str, Watermark]
    #: What was read of mappings of which only the rows that differ were, by name.
    sifted: dict[str, Stream] = field(default_factory=dict)

    def read(self, mapping: Mapping, *, whole: bool = False) -> None:
        """Spool one mapping; a failure is noted, and nothing of the mapping is kept.

        `whole`: read every row, whatever they add up to.
        """
        with self._noted(mapping):
            scheme = self._scheme(mapping)
            if scheme is None and self.snapshot.watermarked(mapping):
                self._read_dated(mapping, whole=whole)
                return
            if scheme is None:
                self._read_all(self._stream(mapping), self.snapshot.read(mapping))
                return
            before = None if whole else self._comparable(mapping, scheme)
            if before is None or not self._read_differing(mapping, before):
                self._read_whole(mapping, scheme)

    def read_new(self, mapping: Mapping, keys: Sequence[str]) -> None:
        """Spool what a mapping has of contacts that identity has just brought.

        Where they are many, and where every row was read, that is a matter of `read`.
        """
        with self._noted(mapping):
            stream = self.sifted.get(mapping.name)
            if stream is not None:
                self._read_keys(stream, list(self._not_read(stream, keys)))
                return
            placed = self._scheme(mapping) is not None
            if placed:
                self.captured.partial.add(mapping.name)
            disturbs: set[int] | None = set() if placed else None
            self._read_keys(self._stream(mapping, placed=placed, disturbs=disturbs), keys)

    def conclude(self) -> None:
        """Count what only all of a pass tells."""
        for name, stream in self.sifted.items():
            self._note_sifted(name, stream)

    @contextmanager
    def _noted(self, mapping: Mapping) -> Iterator[None]:
        """Enclose what is done for one mapping, and undo it where that fails."""
        try:
            yield
        except (MappingFailed, MappingError) as error:
            captured, name = self.captured, mapping.name
            self.spool.drop(name)
            self.sifted.pop(name, None)
            for kept in (captured.taken, captured.marked, captured.disturbed, captured.rows):
                kept.pop(name, None)
            captured.complete.discard(name)
            captured.failures[name] = str(error)

    def _scheme(self, mapping: Mapping) -> str | None:
        source = self.snapshot.scheme(mapping)
        missing = self.captured.readings[mapping.name].missing
        return None if source is None else scheme_of(source, mapping, missing, self.zone)

    def _comparable(self, mapping: Mapping, scheme: str) -> Checksums | None:
        """Return the checksums on record, where they tell all that differs."""
        before = self.contacts.checksums(mapping.name)
        if before is None or before.scheme != scheme or mapping.name not in self.records:
            return None
        return before if self._suffices(mapping, before.full_at) else None

    def _suffices(self, mapping: Mapping, full_at: float) -> bool:
        """Tell whether rows were read in full lately, and few contacts lack an observation."""
        recent = 0 <= self.now - full_at < self.full_every
        return recent and self._lacking(mapping.name) <= MOST_RESTRICTED

    def _lacking(self, name: str) -> int:
        """Return how many present contacts have no observation of a mapping."""
        return self.present - self.records[name].settled

    def _covered(self, name: str) -> int:
        record = self.records.get(name)
        return 0 if record is None else record.covered

    def _stream(
        self,
        mapping: Mapping,
        *,
        placed: bool = False,
        taken: Taken | None = None,
        buckets: frozenset[int] | None = None,
        disturbs: set[int] | None = None,
    ) -> Stream:
        columns = [column.name for column in self.captured.columns[mapping.name]]
        return Stream(
            mapping=mapping,
            observer=Observer(mapping, columns, self.zone),
            contacts=self.contacts,
            spool=self.spool,
            captured=self.captured,
            placed=placed,
            taken=taken,
            buckets=buckets,
            disturbs=disturbs,
        )

    def _read_all(self, stream: Stream, batches: Batches) -> None:
        """Spool what differs among all rows."""
        captured, name = self.captured, stream.mapping.name
        for batch in batches:
            stream.take(batch)
        self._note_rejected(stream)
        self._conclude_people(stream)
        captured.complete.add(name)
        captured.rows[name] = stream.rows
        captured.orphans += stream.orphans
        missing = captured.readings[name].missing
        stream.miss(self.contacts.unseen(name, stream.seen, missing))

    def _read_whole(self, mapping: Mapping, scheme: str) -> None:
        """Spool what differs among all rows, and add them up."""
        covered = self._covered(mapping.name)
        bits = bits_for(covered) if covered else USUAL_BITS
        # First, so that a database without snapshots shows too old a sum rather than too new.
        buckets = self.snapshot.checksums(mapping, bits)
        taken = self._take(mapping, scheme, buckets, self.now)
        stream = self._stream(mapping, placed=True, taken=taken)
        self._read_all(stream, self.snapshot.placed(mapping))

    def _take(self, mapping: Mapping, scheme: str, buckets: Buckets, full_at: float) -> Taken:
        taken = Taken(scheme=scheme, buckets=buckets, full_at=full_at)
        self.captured.taken[mapping.name] = taken
        return taken

    def _read_differing(self, mapping: Mapping, before: Checksums) -> bool:
        """Spool what differs among the rows that may; return False where those are too many."""
        bits = before.buckets.bits
        now = sums_now(self.snapshot, mapping, before.buckets)
        buckets = differing(before, now)
        if len(buckets) > LARGEST_SHARE * max(before.buckets.occupied, now.occupied):
            return False
        taken = self._take(mapping, before.scheme, now, before.full_at)
        stream = self._stream(
            mapping, placed=True, taken=taken, buckets=buckets, disturbs=set(buckets)
        )
        name = mapping.name
        if name == self.captured.identity:
            stream.lost = bytearray()
        if buckets:
            within = Within(buckets=buckets, bits=bits)
            for batch in self.snapshot.placed(mapping, within=within):
                stream.take(batch)
            # Where all was settled, there were no more contacts than rows: if as many were met
            # again, none of them is gone.
            there = sum(before.buckets.counts[bucket] for bucket in buckets)
            if there > stream.still or buckets & before.unsettled:
                stream.miss(self.contacts.vanished(name, stream.seen, buckets, bits))
        self._conclude_some(stream)
        return True

    def _conclude_some(self, stream: Stream) -> None:
        """Note that all rows which may differ were read."""
        name = stream.mapping.name
        if self._lacking(name) > stream.lacking:
            self._read_lacking(stream)
        self._conclude_people(stream)
        self.captured.complete.add(name)
        self.sifted[name] = stream
        # For whoever asks before the end; new contacts may add to it.
        self._note_rejected(stream)

    def _read_dated(self, mapping: Mapping, *, whole: bool) -> None:
        """Spool what differs among the rows that changed lately, or among all."""
        missing = self.captured.readings[mapping.name].missing
        scheme = scheme_of("watermark", mapping, missing, self.zone)
        before = None if whole else self._watermark(mapping, scheme)
        full_at = self.now if before is None else before.full_at
        if before is None or not self._read_changed(self._stream(mapping), before):
            full_at = self.now
            self._read_all(self._stream(mapping), self.snapshot.read(mapping))
        self.captured.marked[mapping.name] = Marked(scheme=scheme, at=self.now, full_at=full_at)

    def _watermark(self, mapping: Mapping, scheme: str) -> Watermark | None:
        """Return the watermark on record, where it tells all that may differ."""
        before = self.watermarks.get(mapping.name)
        if before is None or before.scheme != scheme or mapping.name not in self.records:
            return None
        return before if self._suffices(mapping, before.full_at) else None

    def _read_changed(self, stream: Stream, before: Watermark) -> bool:
        """Spool what differs among the rows that changed; return False where they are too many.

        They are read by key, whole: a condition on the time may stand where it leaves out a part
        of what a row is made of.
        """
        wall = earliest_wall(before.at - OVERLAP, self.now, self.zone)
        keys = dict.fromkeys(before.again)
        for batch in self.snapshot.keys_since(stream.mapping, wall):
            keys |= dict.fromkeys(batch)
            if len(keys) > MOST_RESTRICTED:
                return False
        if stream.mapping.name == self.captured.identity:
            stream.lost = bytearray()
        self._read_keys(stream, list(keys))
        stream.miss(self._on_record(stream.mapping.name, list(keys)))
        self._conclude_some(stream)
        return True

    def _on_record(self, name: str, keys: Sequence[str]) -> Iterator[Sequence[Absent]]:
        """Yield those of these contacts that are present and on record, as if they had no row."""
        for start in range(0, len(keys), PAGE):
            known = self.contacts.observed(name, keys[start : start + PAGE])
            yield [
                Absent(external_id=key, ref=seen.ref, had_row=seen.row, place=seen.place)
                for key, seen in known.items()
                # Of whom nothing is on record is looked for among all of those.
                if seen.present and seen.fingerprint is not None
            ]

    def _read_lacking(self, stream: Stream) -> None:
        """Spool contacts that nothing is on record of, whatever the rows add up to."""
        lacking: list[Absent] = []
        for batch in self.contacts.lacking(stream.mapping.name):
            lacking += [each for each in batch if not is_marked(stream.seen, each.ref)]
        self._read_keys(stream, [each.external_id for each in lacking])
        stream.miss([lacking])

    def _read_keys(self, stream: Stream, keys: Sequence[str]) -> None:
        if not keys:
            return
        read = self.snapshot.placed if stream.placed else self.snapshot.read
        for batch in read(stream.mapping, keys=keys):
            stream.take(batch)

    def _not_read(self, stream: Stream, keys: Sequence[str]) -> Iterator[str]:
        """Yield those of new contacts that were in none of the buckets read."""
        name = stream.mapping.name
        for start in range(0, len(keys), PAGE):
            some = keys[start : start + PAGE]
            known = self.contacts.observed(name, some)
            new = [key for key in some if key not in known or not known[key].present]
            read = self.spool.having(name, new)
            yield from (key for key in new if key not in read)

    def _conclude_people(self, stream: Stream) -> None:
        if stream.mapping.name == self.captured.identity:
            self.captured.people, self.captured.lost = stream.seen, stream.lost

    def _note_rejected(self, stream: Stream) -> None:
        room = MOST_LISTED - len(self.captured.unkeyed)
        self.captured.unkeyed.extend(stream.rejected[: max(room, 0)])
        self.captured.unkeyed_count[stream.mapping.name] = len(stream.rejected)

    def _note_sifted(self, name: str, stream: Stream) -> None:
        """Count by what is on record, since most of the rows were not read."""
        captured = self.captured
        captured.rows[name] = self._covered(name) - stream.gone + stream.rows - stream.still
        known = name in captured.taken and captured.identity not in captured.failures
        if known and name != captured.identity:
            rows = captured.taken[name].buckets.rows
            others = captured.rows[name] + stream.duplicates + len(stream.rejected)
            captured.orphans += max(0, rows - others)
