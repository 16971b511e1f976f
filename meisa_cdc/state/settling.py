"""Deciding a batch of contacts anew, and writing what comes of it."""

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from meisa_cdc.core.contact import Contact, Observation
from meisa_cdc.records import Settled
from meisa_cdc.state.bulk import Upsert, among, bound
from meisa_cdc.state.rows import COLUMNS, ContactRow, contact_of, read_row, row_of
from meisa_cdc.state.schema import ONLY, contacts, identity, mappings, observed

Decide = Callable[[str, Contact | None], Settled]

_o = observed.c
_FILLED = select(identity.c.filled).where(identity.c.id == ONLY).with_for_update()
_FILL = update(identity).where(identity.c.id == ONLY).values(filled=True)
_LAST_REF = select(func.coalesce(func.max(contacts.c.id), 0))
_MAPPINGS = select(mappings.c.name, mappings.c.id)
_COUNT = (
    update(mappings)
    .where(mappings.c.id == bindparam("mapping"))
    .values(
        covered=mappings.c.covered + bindparam("rows"),
        settled=mappings.c.settled + bindparam("all"),
    )
)


@dataclass(slots=True)
class _Batch:
    """What one batch writes."""

    #: Contact rows that are new or differ.
    rows: list[ContactRow] = field(default_factory=list)
    #: Refs above this one came with the batch: nothing was observed of them before.
    last: int = sys.maxsize
    #: How many of the rows are new.
    new: int = 0
    #: Mapping name -> ref -> observation, None where it is forgotten.
    observed: dict[str, dict[int, Observation | None]] = field(default_factory=dict)
    #: Refs of contacts that are gone: whatever was observed of them is forgotten.
    gone: list[int] = field(default_factory=list)


class Settling:
    """Loads, decides and stores contacts inside an open transaction."""

    def __init__(self, *, file: bool) -> None:
        self._file = file
        self._write_contacts = Upsert(contacts, file=file)
        self._write_observed = Upsert(observed, file=file)
        self._locked = (
            select(*COLUMNS)
            .where(among(contacts.c.external_id, "keys", file=file))
            # One order for everyone who locks several, or they would wait for each other.
            .order_by(contacts.c.external_id)
            .with_for_update()
        )
        these = _o.mapping_id == bindparam("mapping"), among(_o.contact_id, "refs", file=file)
        self._before = select(_o.contact_id, _o.fingerprint, _o.had_row, _o.place).where(*these)
        self._forget = delete(observed).where(*these)

    def settle(self, connection: Connection, keys: Sequence[str], decide: Decide) -> None:
        """Store what `decide` returns for each of these keys."""
        keys = list(dict.fromkeys(keys))
        before = self.locked(connection, keys)
        batch = self._decide(connection, keys, before, decide)
        self._write_contacts(connection, batch.rows)
        if batch.observed or batch.gone:
            self._observe(connection, batch)

    def locked(self, connection: Connection, keys: Sequence[str]) -> dict[str, ContactRow]:
        """Return the rows of these contacts, which nobody else changes until the commit."""
        if not keys:
            return {}
        parameters = {"keys": bound(keys, file=self._file)}
        rows = map(read_row, connection.execute(self._locked, parameters).all())
        return {row.external_id: row for row in rows}

    def store(self, connection: Connection, rows: Sequence[ContactRow]) -> None:
        """Write contacts."""
        self._write_contacts(connection, rows)

    def _decide(
        self,
        connection: Connection,
        keys: Sequence[str],
        before: dict[str, ContactRow],
        decide: Decide,
    ) -> _Batch:
        batch = _Batch()
        if len(before) < len(keys):
            batch.last = _last_ref(connection)
        for key in keys:
            row = before.get(key)
            settled = decide(key, contact_of(row) if row else None)
            after = row
            if settled.contact is not None:
                after = row_of(settled.contact, row.id if row else batch.last + batch.new + 1, row)
                batch.new += row is None
            if after is None:
                continue
            if after != row:
                batch.rows.append(after)
            if after.present:
                for name, seen in settled.observed.items():
                    batch.observed.setdefault(name, {})[after.id] = seen
            elif row is not None and row.present:
                batch.gone.append(row.id)
        if batch.new:
            connection.execute(_FILL)
        return batch

    def _observe(self, connection: Connection, batch: _Batch) -> None:
        write: list[tuple[int, int, bytes, bool, int | None]] = []
        for name, mapping in mapping_ids(connection, batch.observed.keys()).items():
            wanted = batch.observed.get(name, {})
            refs = [ref for ref in wanted if ref <= batch.last] + batch.gone
            before = self._observed_before(connection, mapping, refs)
            forget = [ref for ref in before if wanted.get(ref) is None]
            if forget:
                parameters = {"mapping": mapping, "refs": bound(forget, file=self._file)}
                connection.execute(self._forget, parameters)
            covered, settled = -sum(before[ref].row for ref in forget), -len(forget)
            # The table is a tree over these two: written in its order, a batch touches few pages.
            for ref in sorted(wanted):
                seen, was = wanted[ref], before.get(ref)
                if seen is None or seen == was:
                    continue
                covered += seen.row - (was is not None and was.row)
                settled += was is None
                write.append((mapping, ref, *seen))
            if covered or settled:
                more = {"mapping": mapping, "rows": covered, "all": settled}
                connection.execute(_COUNT, more)
        self._write_observed(connection, write)

    def _observed_before(
        self, connection: Connection, mapping: int, refs: Sequence[int]
    ) -> dict[int, Observation]:
        """Return what was on record of these contacts."""
        if not refs:
            return {}
        parameters = {"mapping": mapping, "refs": bound(refs, file=self._file)}
        return {
            ref: Observation(fingerprint, bool(row), place)
            for ref, fingerprint, row, place in connection.execute(self._before, parameters)
        }


def _last_ref(connection: Connection) -> int:
    # Locks the one row: whoever else adds contacts waits, and refs stay dense.
    connection.execute(_FILLED)
    last: int = connection.execute(_LAST_REF).scalar_one()
    return last


def mapping_ids(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the ids of all mappings by name; new ones are added."""
    ids: dict[str, int] = {row.name: row.id for row in connection.execute(_MAPPINGS)}
    for name in sorted(set(names) - ids.keys()):
        row = {"name": name, "digest": "", "columns": "[]", "covered": 0}
        added = connection.execute(insert(mappings).values(row))
        (ids[name],) = added.inserted_primary_key or (0,)
    return ids
