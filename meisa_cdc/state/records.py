"""What happened, and what the state is about: reads, first load, runs, requests, notes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from meisa_cdc.core.mapping import Column
from meisa_cdc.records import DeliveryRecord, MappingRecord, RunRecord
from meisa_cdc.state.bulk import Upsert
from meisa_cdc.state.engine import AnyRow, Database
from meisa_cdc.state.rows import dumps, loads
from meisa_cdc.state.schema import ONLY, grants, identity, mappings, notes, runs
from meisa_cdc.state.settling import mapping_ids

PAGE = 1000
#: Rows that one transaction deletes.
SWEEP = 5000

_identity = select(identity).where(identity.c.id == ONLY)
_claim = update(identity).where(identity.c.id == ONLY)


class SqlRecords:
    """`ports.Records` over a database, holds aside."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write_notes = Upsert(notes, file=database.sqlite)

    def mappings(self) -> dict[str, MappingRecord]:
        """Return what is remembered of each mapping, by name."""
        rows = self._database.rows(select(mappings).order_by(mappings.c.id))
        return {
            row.name: MappingRecord(
                name=row.name,
                digest=row.digest,
                columns=tuple(Column(name=name, type=kind) for name, kind in loads(row.columns)),
                read_at=row.read_at,
                covered=row.covered,
                settled=row.settled,
            )
            for row in rows
        }

    def record_read(self, mapping: str, digest: str, columns: Sequence[Column], now: float) -> None:
        """Remember a complete read that was not held."""
        described = dumps([[column.name, column.type] for column in columns])
        with self._database.write() as connection:
            number = mapping_ids(connection, {mapping})[mapping]
            connection.execute(
                update(mappings)
                .where(mappings.c.id == number)
                .values(digest=digest, columns=described, read_at=now)
            )

    def first_load_done(self) -> bool:
        """Tell whether a first identity pass was stored."""
        return self._database.rows(_identity)[0].first_load_at is not None

    def record_first_load(self, now: float) -> None:
        """Remember that the first identity pass was stored."""
        with self._database.write() as connection:
            connection.execute(_claim.values(first_load_at=now))

    def start_run(self, command: str, now: float) -> int:
        """Record that a run started; return its id."""
        row = {"command": command, "started_at": now, "result": "{}"}
        with self._database.write() as connection:
            number: int = connection.execute(insert(runs).returning(runs.c.id), row).scalar_one()
        return number

    def end_run(self, run: int, now: float, exit_code: int, result: Mapping[str, Any]) -> None:
        """Record how a run ended."""
        ended = {"ended_at": now, "exit_code": exit_code, "result": dumps(dict(result))}
        with self._database.write() as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(ended))

    def runs(self, most: int) -> Sequence[RunRecord]:
        """Return the newest runs, newest first."""
        rows = self._database.rows(select(runs).order_by(runs.c.id.desc()).limit(most))
        return [
            RunRecord(
                id=row.id,
                command=row.command,
                started_at=row.started_at,
                ended_at=row.ended_at,
                exit_code=row.exit_code,
                result=loads(row.result),
            )
            for row in rows
        ]

    def deliveries(
        self, *, external_id: str = "", since: float = 0.0, most: int | None = None
    ) -> Iterator[DeliveryRecord]:
        """Yield requests, newest first."""
        statement = select(grants).order_by(grants.c.id.desc()).limit(bindparam("page"))
        if external_id:
            statement = statement.where(grants.c.external_id == external_id)
        if since:
            statement = statement.where(grants.c.started_at >= since)
        statement = statement.where(grants.c.id < bindparam("before"))
        before, left = 2**62, most
        while left is None or left > 0:
            page = PAGE if left is None else min(PAGE, left)
            rows = self._database.rows(statement, {"before": before, "page": page})
            yield from map(_delivery, rows)
            if len(rows) < page:
                return
            before = rows[-1].id
            left = None if left is None else left - len(rows)

    def prune(self, before: float) -> None:
        """Forget requests and runs that ended before this epoch second.

        A request or run whose process died counts as ended when it should have, or started.
        """
        # A few thousand at a time: whoever waits to send does not wait for all of them.
        # The newest request stays, or SQLite would give its number to another one.
        newest = select(func.max(grants.alias().c.id)).scalar_subquery()
        old = grants.c.done_at < before, grants.c.id < newest
        old_grants = select(grants.c.id).where(*old).limit(SWEEP)
        died = runs.c.ended_at.is_(None) & (runs.c.started_at < before)
        old_runs = select(runs.c.id).where(or_(runs.c.ended_at < before, died)).limit(SWEEP)
        for statement in (
            delete(grants).where(grants.c.id.in_(old_grants)),
            delete(runs).where(runs.c.id.in_(old_runs)),
        ):
            swept = SWEEP
            while swept == SWEEP:
                with self._database.write() as connection:
                    swept = connection.execute(statement).rowcount

    def note(self, name: str) -> Any:
        """Return a remembered JSON value; None where there is none."""
        rows = self._database.rows(select(notes.c.value).where(notes.c.name == name))
        return loads(rows[0].value) if rows else None

    def set_note(self, name: str, value: Any) -> None:
        """Remember a JSON value under a name."""
        with self._database.write() as connection:
            self._write_notes(connection, [(name, dumps(value))])

    def belongs_to(self) -> Mapping[str, str] | None:
        """Return the Meisa that this state was filled from: product, environment."""
        row = self._database.rows(_identity)[0]
        if row.product is None:
            return None
        return {"product": row.product, "environment": row.environment}

    def set_belongs_to(self, product: str, environment: str) -> None:
        """Remember which Meisa this state is filled from."""
        with self._database.write() as connection:
            connection.execute(_claim.values(product=product, environment=environment))


def _delivery(row: AnyRow) -> DeliveryRecord:
    return DeliveryRecord(
        id=row.id,
        kind=row.kind,
        external_id=row.external_id,
        started_at=row.started_at,
        done_at=None if row.open else row.done_at,
        code=row.code,
        message=row.message,
        fields=loads(row.fields),
    )
