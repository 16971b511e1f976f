"""Plans that wait for a person, with what they would change."""

from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import bindparam, delete, insert, select, update

from meisa_cdc.records import HoldRecord
from meisa_cdc.state.bulk import Upsert, among, bound
from meisa_cdc.state.engine import AnyRow, Database
from meisa_cdc.state.schema import hold_changes, holds

#: Changes that one transaction writes or removes.
BATCH = 5000

_READY = select(holds).where(holds.c.ready).order_by(holds.c.recorded_at, holds.c.id)
_DESCRIPTION = ("digest", "mapping", "reason", "message", "contacts", "file", "recorded_at")


class SqlHolds:
    """The holds of `ports.Records` over a database.

    A hold can name a million contacts: they are written in short transactions, and count from
    the last one on, which also puts the hold in the place of the mapping's earlier one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write_changes = Upsert(hold_changes, file=database.sqlite)
        self._approved = (
            select(hold_changes.c.external_id, hold_changes.c.fingerprint)
            .join(holds, holds.c.id == hold_changes.c.hold_id)
            .where(
                holds.c.ready,
                holds.c.approved_at.is_not(None),
                holds.c.digest == bindparam("digest"),
                among(hold_changes.c.external_id, "keys", file=database.sqlite),
            )
        )

    def holds(self) -> list[HoldRecord]:
        """Return the holds that wait for a person or were just approved, oldest first."""
        return [_record(row) for row in self._database.rows(_READY)]

    def record_hold(self, hold: HoldRecord, changes: Iterator[tuple[str, bytes]]) -> None:
        """Remember a hold in place of the mapping's earlier one, with a fingerprint a contact.

        A hold of the same digest and file is the earlier one: it stays as it is, and with it an
        approval that came in between.
        """
        known = {(each.mapping, each.digest, each.file) for each in self.holds()}
        if (hold.mapping, hold.digest, hold.file) in known:
            return
        row = {name: getattr(hold, name) for name in (*_DESCRIPTION, "approved_at")}
        with self._database.write() as connection:
            added = connection.execute(insert(holds).returning(holds.c.id), row | {"ready": False})
            number: int = added.scalar_one()
        while batch := list(islice(changes, BATCH)):
            with self._database.write() as connection:
                rows = [(number, key, fingerprint) for key, fingerprint in batch]
                self._write_changes(connection, rows)
        others = (holds.c.mapping == hold.mapping) & (holds.c.id != number)
        with self._database.write() as connection:
            connection.execute(update(holds).where(others).values(ready=False))
            connection.execute(update(holds).where(holds.c.id == number).values(ready=True))
        self._sweep()

    def drop_holds(self, mappings: Sequence[str]) -> None:
        """Forget the holds of these mappings."""
        with self._database.write() as connection:
            dropped = update(holds).where(holds.c.mapping.in_(mappings)).values(ready=False)
            connection.execute(dropped)
        self._sweep()

    def approve(self, digest: str, now: float) -> HoldRecord | None:
        """Mark the hold with this digest as approved; None where there is none."""
        this = (holds.c.digest == digest) & holds.c.ready
        with self._database.write() as connection:
            first = holds.c.approved_at.is_(None)
            connection.execute(update(holds).where(this, first).values(approved_at=now))
            row = connection.execute(_READY.where(holds.c.digest == digest).limit(1)).first()
        return None if row is None else _record(row)

    def approved_changes(self, digest: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the recorded change fingerprints of these contacts in an approved hold."""
        parameters = {"digest": digest, "keys": bound(keys, file=self._database.sqlite)}
        rows = self._database.rows(self._approved, parameters)
        return {row.external_id: row.fingerprint for row in rows}

    def _sweep(self) -> None:
        """Remove what is left of holds that count no longer, or never did: a process died."""
        stale = select(holds.c.id).where(~holds.c.ready)
        for (number,) in self._database.rows(stale):
            keys = (
                select(hold_changes.c.external_id)
                .where(hold_changes.c.hold_id == number)
                .limit(BATCH)
            )
            some = delete(hold_changes).where(
                hold_changes.c.hold_id == number, hold_changes.c.external_id.in_(keys)
            )
            swept = BATCH
            while swept == BATCH:
                with self._database.write() as connection:
                    swept = connection.execute(some).rowcount
            with self._database.write() as connection:
                connection.execute(delete(holds).where(holds.c.id == number))


def _record(row: AnyRow) -> HoldRecord:
    return HoldRecord(**{name: getattr(row, name) for name in (*_DESCRIPTION, "approved_at")})
