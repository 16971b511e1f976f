"""The app database as the use cases see it: one consistent, read-only view a pass."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from meisa_cdc.core.captures import CHECKSUM, Capture
from meisa_cdc.core.changelog import Trail
from meisa_cdc.core.checksums import Buckets, Within, gathered
from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.core.errors import InvalidValue, MappingError
from meisa_cdc.core.mapping import Column, Mapping
from meisa_cdc.core.values import canonical_key
from meisa_cdc.source.affected.answers import Catalogue, Derivation, FullScan
from meisa_cdc.source.captures import capture_of, may_follow
from meisa_cdc.source.changelog import Seen
from meisa_cdc.source.following import Following
from meisa_cdc.source.session import Hashing, Rows, Session
from meisa_cdc.source.statements import (
    Approved,
    Dress,
    keys_alone,
)

if TYPE_CHECKING:
    from meisa_cdc.source.affected.asking import Changes
    from meisa_cdc.source.database import AppDatabase

#: Bits of the buckets in a query that is only looked at.
SHOWN_BITS = 12


class DatabaseSnapshot:
    """One consistent view; reads one mapping at a time, for one thread at a time."""

    def __init__(self, session: Session, database: "AppDatabase") -> None:
        self._session = session
        self._database = database
        self._checked: set[tuple[str, str]] = set()
        self._captures: dict[tuple[str, str, str], Capture] = {}
        self._open: Generator[object, None, None] | None = None
        self._following = Following(
            session=session,
            derivations=database.derivations,
            statement=self._statement,
            catalogue=self._catalogue,
        )

    def columns(self, mapping: Mapping) -> list[Column]:
        """Return what the mapping yields, without reading rows.

        Raises MappingFailed where the database refuses the query, MappingError where we do.
        """
        self.end()
        return self._columns(self._approved(mapping))

    def read(self, mapping: Mapping, keys: Sequence[str] | None = None) -> Rows:
        """Yield batches of rows in the order of `columns`; with `keys`, of these contacts alone.

        A reading that was not finished ends when something else is asked of the snapshot.
        Raises MappingFailed, MappingError, SourceUnavailable.
        """
        self.end()
        approved = self._approved(mapping)
        rows = self._whole(approved) if keys is None else self._some(approved, keys)
        self._open = rows
        return rows

    def scheme(self, mapping: Mapping) -> str | None:
        """Return what the checksums of a mapping depend on beside its rows.

        None: its rows are all read, every time. Raises as `columns` does.
        """
        self.end()
        approved = self._approved(mapping)
        hashing = self._session.hashing
        if hashing is None or self._capture(approved).kind != CHECKSUM:
            return None
        with self._statement(mapping):
            return hashing.scheme(approved)

    def checksums(self, mapping: Mapping, bits: int, within: Within | None = None) -> Buckets:
        """Return the checksums of all rows, in 2**bits buckets. Raises as `read` does.

        `within`: of the rows in these buckets alone; the others come out as empty.
        """
        return self._sums(mapping, bits, within, listed=False)[0]

    def listed(
        self, mapping: Mapping, bits: int, within: Within
    ) -> tuple[Buckets, dict[int, list[object]]]:
        """Return what `checksums` does, and the keys of the rows by bucket, as rows have them.

        No keys: the database does not list them. Raises as `read` does.
        """
        return self._sums(mapping, bits, within, listed=True)

    def _sums(
        self, mapping: Mapping, bits: int, within: Within | None, *, listed: bool
    ) -> tuple[Buckets, dict[int, list[object]]]:
        self.end()
        approved = self._approved(mapping)
        with self._statement(mapping):
            dress = self._hashing.grouped(approved, bits, within, listed=listed)
            groups = self._hashing.answer(approved, dress)
            sums = ((int(b), int(n), None if s is None else int(s)) for b, n, s, *_ in groups)
            # Arrays of types that the driver does not know come as one text.
            lists = ((b, each) for b, _, _, *keys in groups for each in keys)
            return gathered(bits, sums), {int(b): k for b, k in lists if isinstance(k, list)}

    def summing(self, mapping: Mapping) -> str | None:
        """Return the text of the query behind `checksums`; None where there is none."""
        if self.scheme(mapping) is None:
            return None
        approved = self._approved(mapping)
        with self._statement(mapping):
            dress = self._hashing.grouped(approved, SHOWN_BITS, None)
            return approved.statement(dress=dress).text

    def placed(
        self,
        mapping: Mapping,
        *,
        keys: Sequence[str] | None = None,
        within: Within | None = None,
    ) -> Rows:
        """Yield what `read` does, each row followed by its place.

        `within`: only rows in these buckets. Raises as `read` does.
        """
        self.end()
        approved = self._approved(mapping)
        with self._statement(mapping):
            dress = self._hashing.placed(approved, within)
        rows = self._whole(approved, dress) if keys is None else self._some(approved, keys, dress)
        self._open = rows
        return rows

    @property
    def _hashing(self) -> Hashing:
        hashing = self._session.hashing
        if hashing is None:
            raise TypeError(type(self._session))
        return hashing

    def keys_since(self, mapping: Mapping, wall: str) -> Iterator[Sequence[str]]:
        """Yield batches of the keys of rows that changed at or after a wall clock's time.

        Rows without a usable key are left out. Raises as `read` does.
        """
        self.end()
        approved = self._approved(mapping).since(wall)
        dress = partial(keys_alone, dialect=approved.dialect)
        with closing(self._whole(approved, dress)) as rows:
            for batch in rows:
                yield [key for key in (_key(row[0]) for row in batch) if key is not None]

    def derivation(self, mapping: Mapping) -> Derivation:
        """Return how the contacts are found that changed rows affect; raises as `columns` does."""
        self.end()
        return self._following.derivation(self._approved(mapping))

    def affected(
        self, mapping: Mapping, changes: "Changes"
    ) -> Generator[list[str], None, None] | FullScan:
        """Return the keys of the contacts that changes may affect, in chunks, or why not.

        Whoever is affected is among them; some of them may not be, and need not be contacts.
        `changes` has all that this snapshot sees, and may have more. Where it raises, as `read`
        does, the mapping is to be read in full.
        """
        self.end()
        return self._reading(self._following.affected(self._approved(mapping), changes))

    def trail(self, mapping: Mapping, since: int | None = None) -> Trail:
        """Return what the log of changed rows tells of a mapping whose capture is LOG.

        `since`: the place of its bookmark. Has to be asked for all mappings before the first
        `changed`. Raises as `columns` does.
        """
        return self._following.trail(self._approved(mapping), since)

    def changed(self, mapping: Mapping, since: int) -> Iterator[Sequence[str]] | None:
        """Return the keys of contacts that the changes in the log may affect, in batches.

        `since`: the place of its bookmark; of what was before, some may be among them.
        None: only a full read tells. Raises as `read` does.
        """
        self.end()
        found = self._reading(self._following.changed(self._approved(mapping), since))
        return None if isinstance(found, FullScan) else found

    def upto(self) -> int | None:
        """Return the place up to which the log may be cut off once what was read is stored.

        None: it told nothing; `silence` says why. Raises SourceUnavailable.
        """
        found = self._following.upto()
        return None if isinstance(found, FullScan) else found

    def silence(self) -> str:
        """Return why the log told nothing; "" where it told."""
        found = self._following.upto()
        return found.reason if isinstance(found, FullScan) else ""

    @property
    def seen(self) -> "Seen | None":
        """What the log of changed rows told; None where it was not asked."""
        return self._following.seen

    def capture(self, mapping: Mapping) -> Capture:
        """Return how a mapping's changes are found, and why. Raises as `columns` does."""
        self.end()
        return self._capture(self._approved(mapping))

    def _capture(self, approved: Approved) -> Capture:
        mapping = approved.mapping
        identity = mapping.name, mapping.digest, mapping.capture
        if identity not in self._captures:
            unfollowed = self._following.unfollowed if may_follow(mapping) else None
            self._captures[identity] = capture_of(approved, unfollowed)
        return self._captures[identity]

    def _catalogue(self, tables: Sequence[str], functions: Sequence[str]) -> Catalogue:
        from meisa_cdc.source.affected.mappings import described

        tracing = self._session.tracing
        ask = described(self._database) if tracing is None else tracing.catalogue
        return ask(tables, functions)

    def _reading(
        self, found: Generator[list[str], None, None] | FullScan
    ) -> Generator[list[str], None, None] | FullScan:
        if not isinstance(found, FullScan):
            self._open = found
        return found

    def explain(self, mapping: Mapping) -> str:
        """Return the database's plan for a full read in one line; raises as `columns` does."""
        self.end()
        approved = self._approved(mapping)
        with self._statement(mapping):
            return self._session.explain(approved)

    def end(self) -> None:
        """End a reading that was not finished."""
        rows, self._open = self._open, None
        if rows is not None:
            rows.close()

    def _statement(self, mapping: Mapping) -> AbstractContextManager[None]:
        return self._session.statement(mapping.name, self._database.timeout_of(mapping))

    def _approved(self, mapping: Mapping) -> Approved:
        approved = self._database.approved(mapping)
        if (mapping.name, mapping.digest) not in self._checked:
            with self._statement(mapping):
                self._session.check(approved)
            self._checked.add((mapping.name, mapping.digest))
        return approved

    def _columns(self, approved: Approved) -> list[Column]:
        with self._statement(approved.mapping):
            return self._session.describe(approved)

    def _whole(self, approved: Approved, dress: Dress | None = None) -> Rows:
        with self._statement(approved.mapping):
            yield from self._session.rows(approved, None, dress)

    def _some(self, approved: Approved, keys: Sequence[str], dress: Dress | None = None) -> Rows:
        names = [column.name for column in self._columns(approved)]
        if KEY_COLUMN not in names:
            raise MappingError(f"no column is called {KEY_COLUMN}", mapping=approved.mapping.name)
        size = self._database.dialect.keys_per_query
        with self._statement(approved.mapping):
            way = self._session.way(approved, keys[:size], ceil(len(keys) / size))
        if way.whole:
            yield from _of_keys(self._whole(approved, dress), names.index(KEY_COLUMN), set(keys))
            return
        for start in range(0, len(keys), size):
            chunk = keys[start : start + size]
            with self._statement(approved.mapping):
                rows = self._session.rows(approved, chunk, dress)
                yield from _of_keys(rows, names.index(KEY_COLUMN), set(chunk))


def _of_keys(rows: Rows, place: int, keys: set[str]) -> Rows:
    """Leave out rows of other contacts: databases compare more loosely than we do."""
    for batch in rows:
        kept = [row for row in batch if _key(row[place]) in keys]
        if kept:
            yield kept


def _key(raw: object) -> str | None:
    try:
        return canonical_key(raw)
    except InvalidValue:
        return None
