"""Rows of a snapshot on their way into the spool, whichever way it was found out which to read."""

from collections.abc import Iterable, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from meisa_cdc.core.mapping import Mapping
from meisa_cdc.core.plan import MOST_LISTED
from meisa_cdc.ports import Contacts, Snapshot, Spool
from meisa_cdc.records import Absent, MappingRecord
from meisa_cdc.sync.captured import Captured, Mark, Taken, is_marked
from meisa_cdc.sync.observing import Observer
from meisa_cdc.sync.streaming import Stream

#: Beyond this many contacts, a mapping is read in full for them.
MOST_RESTRICTED = 20_000
#: Keys looked up at a time.
PAGE = 1000

Batches = Iterable[Sequence[Sequence[object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a snapshot's rows are compared with, and where those go that differ."""

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
    marks: Dict[str, Mark]
    #: What was read of mappings of which only the rows that differ were, by name.
    sifted: dict[str, Stream] = field(default_factory=dict)

    def suffices(self, mapping: Mapping, full_at: float) -> bool:
        """Tell whether rows were read in full lately, and few contacts lack an observation."""
        recent = 0 <= self.now - full_at < self.full_every
        return recent and self.lacking(mapping.name) <= MOST_RESTRICTED

    def lacking(self, name: str) -> int:
        """Return how many present contacts have no observation of a mapping."""
        return self.present - self.records[name].settled

    def covered(self, name: str) -> int:
        """Return how many contacts had a row of a mapping."""
        record = self.records.get(name)
        return 0 if record is None else record.covered

    def stream(
        self,
        mapping: Mapping,
        *,
        some: bool = False,
        placed: bool = False,
        taken: Taken | None = None,
        buckets: frozenset[int] | None = None,
        disturbs: set[int] | None = None,
    ) -> Stream:
        """Return what takes the rows of a mapping; of `some`, all others are as they were before.

        The rest is as `Stream` has it.
        """
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
            lost=bytearray() if some and mapping.name == self.captured.identity else None,
        )

    def read_all(self, stream: Stream, batches: Batches) -> None:
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

    def read_some(self, mapping: Mapping, keys: Sequence[str]) -> None:
        """Spool what differs of these contacts; all others are as they were."""
        stream = self.stream(mapping, some=True)
        self.read_keys(stream, keys)
        stream.miss(self.on_record(mapping.name, keys))
        self.conclude_some(stream)

    def conclude_some(self, stream: Stream) -> None:
        """Note that all rows which may differ were read."""
        name = stream.mapping.name
        if self.lacking(name) > stream.lacking:
            self._read_lacking(stream)
        self._conclude_people(stream)
        self.captured.complete.add(name)
        self.sifted[name] = stream
        # For whoever asks before the end; new contacts may add to it.
        self._note_rejected(stream)

    def on_record(self, name: str, keys: Sequence[str]) -> Iterator[Sequence[Absent]]:
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
        self.read_keys(stream, [each.external_id for each in lacking])
        stream.miss([lacking])

    def read_keys(self, stream: Stream, keys: Sequence[str]) -> None:
        """Spool what differs of these contacts."""
        if not keys:
            return
        read = self.snapshot.placed if stream.placed else self.snapshot.read
        for batch in read(stream.mapping, keys=keys):
            stream.take(batch)

    def _conclude_people(self, stream: Stream) -> None:
        if stream.mapping.name == self.captured.identity:
            self.captured.people, self.captured.lost = stream.seen, stream.lost

    def _note_rejected(self, stream: Stream) -> None:
        room = MOST_LISTED - len(self.captured.unkeyed)
        self.captured.unkeyed.extend(stream.rejected[: max(room, 0)])
        self.captured.unkeyed_count[stream.mapping.name] = len(stream.rejected)
