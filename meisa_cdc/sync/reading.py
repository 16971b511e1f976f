"""Reading the mappings of one snapshot, each in its way."""

from collections.abc import Iterator, Mapping as Dict, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from meisa_cdc.core.captures import WATERMARK
from meisa_cdc.core.changelog import Trail
from meisa_cdc.core.errors import MappingError, MappingFailed
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.sync.dated import read_dated
from meisa_cdc.sync.logged import put_off, read_logged
from meisa_cdc.sync.rows import PAGE, Rows
from meisa_cdc.sync.streaming import Stream
from meisa_cdc.sync.summed import read_summed, scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader(Rows):
    """Reads mappings in a snapshot and spools what has to be looked at."""

    #: What the log of changed rows tells, by mapping whose changes are found by it.
    trails: Dict[str, Trail]

    def read(self, mapping: Mapping, *, whole: bool = False) -> None:
        """Spool one mapping; a failure is noted, and nothing of the mapping is kept.

        `whole`: read every row, whatever they add up to.
        """
        with self._noted(mapping):
            depends_on = scheme(self, mapping)
            if depends_on is not None:
                read_summed(self, mapping, depends_on, whole=whole)
            elif self.captured.captures[mapping.name].kind == WATERMARK:
                read_dated(self, mapping, whole=whole)
            elif mapping.name in self.trails:
                read_logged(self, mapping, self.trails[mapping.name], whole=whole)
            else:
                self.read_all(self.stream(mapping), self.snapshot.read(mapping))

    def put_off(self, mapping: Mapping) -> None:
        """Take note of what the log tells of a mapping that is not due."""
        put_off(self, mapping, self.trails[mapping.name])

    def read_new(self, mapping: Mapping, keys: Sequence[str]) -> None:
        """Spool what a mapping has of contacts that identity has just brought.

        Where they are many, and where every row was read, that is a matter of `read`.
        """
        with self._noted(mapping):
            stream = self.sifted.get(mapping.name)
            if stream is not None:
                self.read_keys(stream, list(self._not_read(stream, keys)))
                return
            placed = scheme(self, mapping) is not None
            if placed:
                self.captured.partial.add(mapping.name)
            disturbs: set[int] | None = set() if placed else None
            self.read_keys(self.stream(mapping, placed=placed, disturbs=disturbs), keys)

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

    def _not_read(self, stream: Stream, keys: Sequence[str]) -> Iterator[str]:
        """Yield those of new contacts that were in none of the buckets read."""
        name = stream.mapping.name
        for start in range(0, len(keys), PAGE):
            some = keys[start : start + PAGE]
            known = self.contacts.observed(name, some)
            new = [key for key in some if key not in known or not known[key].present]
            read = self.spool.having(name, new)
            yield from (key for key in new if key not in read)

    def _note_sifted(self, name: str, stream: Stream) -> None:
        """Count by what is on record, since most of the rows were not read."""
        captured = self.captured
        captured.rows[name] = self.covered(name) - stream.gone + stream.rows - stream.still
        known = name in captured.taken and captured.identity not in captured.failures
        if known and name != captured.identity:
            rows = captured.taken[name].buckets.rows
            others = captured.rows[name] + stream.duplicates + len(stream.rejected)
            captured.orphans += max(0, rows - others)
