"""Postgres: reading the log of changed rows that triggers write.

What a snapshot sees of the log is what it sees of the tables: both are rows of the same
transactions. So it is read in the snapshot, and what the snapshot saw is deleted afterwards,
by the number of the transaction.

A place in the log is the number of transactions that had ended when a snapshot was taken. Of two
snapshots that do not see the same, the one that sees more has the larger place.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL

from meisa_cdc.core.changelog import Visible
from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.changelog import (
    MOST_CHANGES,
    OVERFLOWED,
    TOO_MANY,
    Columns,
    Kept,
    Standing,
    Told,
)
from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.postgres_transaction import (
    PostgresTransaction,
    ask,
    connect,
    first_line,
    settle,
)
from meisa_cdc.source.postgres_types import knows_no_encoding
from meisa_cdc.source.trigger_names import VERSION, Names
from meisa_cdc.source.trigger_rows import Gathered

SET_UP_ANEW = "Run `meisa-cdc capture setup --by triggers` again."
WHERE = """
select n.nspname::text from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = to_regclass($1) and c.relkind = 'r'
"""
ALLOWED = """
select coalesce(has_schema_privilege($5, 'usage') and has_table_privilege($1, 'select')
    and has_table_privilege($1, 'delete') and has_table_privilege($2, 'select')
    and has_table_privilege($2, 'update') and has_sequence_privilege($3, 'select')
    and has_sequence_privilege($4, 'select'), false)
"""
SERVER = """
select pg_catalog.pg_is_in_recovery(), (select system_identifier::text
    from pg_catalog.pg_control_system()), (select timeline_id::text
    from pg_catalog.pg_control_checkpoint())
"""
CONTROL = "select version, epoch, server, acknowledged, settled from {log}"
# Whatever is done to a trigger or a function, its row in the catalogue is another one then: xmin.
TABLES = """
select c.oid::bigint, format('%I.%I', n.nspname, c.relname), t.tgargs, p.proname::text,
       array[c.relfilenode::text, t.oid::text, t.xmin::text, e.oid::text, e.xmin::text,
             p.xmin::text]
       || array(select json_build_array(a.attname::text, a.atttypid::bigint, a.atttypmod)::text
                from pg_catalog.pg_attribute a
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                order by a.attnum)
from pg_catalog.pg_trigger t
join pg_catalog.pg_trigger e on e.tgrelid = t.tgrelid and e.tgname = $2 and e.tgtype = 32
    and e.tgenabled = 'A' and e.tgfoid = t.tgfoid and e.tgqual is null
join pg_catalog.pg_proc p on p.oid = t.tgfoid
join pg_catalog.pg_namespace o on o.oid = p.pronamespace and o.nspname = $3
join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where t.tgname = $1 and t.tgtype = 29 and t.tgenabled = 'A' and t.tgqual is null and t.tgnargs = 1
  and t.tgattr::text = '' and c.relkind = 'r' and not c.relispartition
"""
VISIBLE = "select pg_catalog.txid_current_snapshot()::text"
# A sequence is no part of a snapshot: this is how many were missed by now.
MISSED = "select case when is_called then last_value else 0 end from {missed}"
CHANGES = """
select relation::bigint, kind, old, new from {changes}
where relation::bigint = any ($1) order by id limit $2
"""
ANY = "select exists (select from {changes})"
BATCH = 500
T = TypeVar("T")
INERROR = TransactionStatus.INERROR
#: Rows of a full log take a while to delete.
SETTINGS = {"lock_timeout": "5s", "statement_timeout": "10min"}
BEGIN = "begin isolation level read committed, read write"
HOLD = "select noticed, horizon, settled from {log} where epoch = $1 for update"
DELETE = "delete from {changes} where txid_visible_in_snapshot(xid, $1::text::txid_snapshot)"
ADVANCE = """
update {log} set acknowledged = greatest(acknowledged, $1::bigint), settled = $2::bigint,
    ceiling = room + (select last_value from {places})
"""
NOTICE = "update {log} set noticed = $1::bigint, horizon = txid_current()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a snapshot was told, to be acknowledged once its consequences are stored."""

    url: URL
    names: Names
    epoch: str
    #: The snapshot, as the server writes it.
    snapshot: str
    #: Its place, and the first transaction that was running.
    place: int
    oldest: int
    #: Rows missed until it was read.
    missed: int
    #: Whether there is anything to delete or to note.
    needed: bool

    def acknowledge(self, upto: int) -> None:
        """Delete what the snapshot saw. Raises SourceUnavailable."""
        if not self.needed or upto != self.place:
            return
        try:
            with closing(connect(self.url)) as connection:
                settle(connection, SETTINGS)
                self._acknowledge(connection)
        except psycopg.Error as error:
            raise SourceUnavailable(
                f"The log could not be cut off: {first_line(error)}.",
                hint="It is read again from where it was.",
            ) from None

    def _acknowledge(self, connection: "psycopg.Connection[Any]") -> None:
        ask(connection, BEGIN)
        held = ask(connection, named(HOLD, self.names), [self.epoch])
        if not held:
            # Set up anew meanwhile: what was seen is none of this log's business.
            ask(connection, "rollback")
            return
        ((noticed, horizon, settled),) = held
        # All that ever missed had a number below the horizon, and had ended for this snapshot.
        if self.missed == noticed and self.oldest >= horizon:
            settled = max(settled, noticed)
        ask(connection, named(DELETE, self.names), [self.snapshot])
        ask(connection, named(ADVANCE, self.names), [self.place, settled])
        ask(connection, "commit")
        if self.missed > settled:
            self._notice(connection)

    def _notice(self, connection: "psycopg.Connection[Any]") -> None:
        """Note how many were missed, and a transaction that is younger than all who missed."""
        ask(connection, BEGIN)
        ((missed,),) = ask(connection, named(MISSED, self.names))
        # Only here a number is given to this transaction.
        ask(connection, named(NOTICE, self.names), [missed])
        ask(connection, "commit")


@dataclass(slots=True, kw_only=True)
class PostgresTriggerLog:
    """`ChangeLog` by triggers, beside a snapshot of Postgres."""

    transaction: PostgresTransaction
    url: URL
    #: What the log is called.
    name: str
    seen: Seen | None = None
    _names: Names | None = None
    _standing: Standing | FullScan | None = None
    _epoch: str = ""
    _settled: int = 0
    _tables: dict[int, str] = field(default_factory=dict)

    def exists(self) -> bool:
        """Tell whether anybody set it up."""
        log = POSTGRESQL.quoted(Names(name=self.name).log)
        found = self.transaction.execute(WHERE, [log])
        self._names = Names(name=self.name, schema=found[0][0]) if found else None
        return bool(found)

    def standing(self) -> Standing | FullScan:
        """Return what the triggers tell of, or why the log cannot be used."""
        if self._standing is None:
            self._standing = self._behind_savepoint(self._found)
        return self._standing

    def _found(self) -> Standing | FullScan:
        names, execute = self._parts, self.transaction.execute
        ((standby, system, timeline),) = execute(SERVER)
        if standby:
            return FullScan(reason="the server is a standby", advice="Read the primary.")
        if knows_no_encoding(self.transaction.connection):
            # What it tells could not be told from what the tables hold.
            return FullScan(reason="the database has no encoding", advice="Use another capture.")
        relations = [_full(names, each) for each in names.relations().values()]
        if not execute(ALLOWED, [*relations, names.schema])[0][0]:
            reason = f"the login may not read and empty {names.changes}"
            return FullScan(reason=reason, advice=SET_UP_ANEW)
        control = execute(named(CONTROL, names))
        if not control or control[0][0] != VERSION:
            reason = f"{names.log} is not as this version sets it up"
            return FullScan(reason=reason, advice=SET_UP_ANEW)
        ((_, self._epoch, server, start, self._settled),) = control
        if server != system:
            # Numbers of transactions mean nothing on another server.
            reason = "the log of changed rows was made on another server"
            return FullScan(reason=reason, advice=SET_UP_ANEW)
        tables = {}
        for oid, table, columns, *shape in execute(
            TABLES, [names.rows, names.emptied, names.schema]
        ):
            self._tables[oid] = table
            told = frozenset(json.loads(columns.partition(b"\0")[0]))
            tables[table] = Kept(before=told, told=told, shape=f"{oid} {shape}")
        identity = f"triggers {self.name} {self._epoch} {system} {timeline}"
        return Standing(identity=identity, start=start, tables=tables)

    @property
    def _parts(self) -> Names:
        if self._names is None:
            raise TypeError(self.name)
        return self._names

    def told(self, wanted: Columns, _since: int | None = None) -> Told | FullScan:
        """Return what changed, as the snapshot sees it."""
        standing = self.standing()
        if isinstance(standing, FullScan):
            return standing
        return self._behind_savepoint(lambda: self._told(wanted))

    def _told(self, wanted: Columns) -> Told:
        names, execute = self._parts, self.transaction.execute
        snapshot = str(execute(VISIBLE)[0][0])
        visible = Visible.parse(snapshot)
        # After the snapshot was taken: whoever it sees has counted before.
        missed = int(execute(named(MISSED, names))[0][0])
        doubt = missed != self._settled
        place = visible.end - len(visible.running)
        gathered = Gathered(tables=self._tables, wanted=wanted)
        whole = not doubt and gathered.take(self._rows(wanted))
        self.seen = Seen(
            url=self.url,
            names=names,
            epoch=self._epoch,
            snapshot=snapshot,
            place=place,
            oldest=min(visible.running, default=visible.end),
            missed=missed,
            needed=doubt or bool(execute(named(ANY, names))[0][0]),
        )
        return Told(
            changes=gathered.changes if whole else {},
            upto=place,
            unsure=frozenset(gathered.unsure),
            scan=OVERFLOWED if doubt else None if whole else TOO_MANY,
        )

    def _rows(self, wanted: Columns) -> Iterator[Sequence[Any]]:
        oids = [oid for oid, table in self._tables.items() if table in wanted]
        text = named(CHANGES, self._parts)
        with closing(psycopg.RawServerCursor(self.transaction.connection, "meisa_log")) as cursor:
            with self.transaction.limit():
                cursor.execute(text.encode(), [oids, MOST_CHANGES + 1])
            while rows := self._fetched(cursor):
                yield from rows

    def _fetched(self, cursor: "psycopg.RawServerCursor[Any]") -> Sequence[Sequence[Any]]:
        with self.transaction.limit():
            return cursor.fetchmany(BATCH)

    def _behind_savepoint(self, ask: Callable[[], T | FullScan]) -> T | FullScan:
        """Return what the log answers, or why it does not. Raises SourceUnavailable."""
        try:
            self.transaction.execute("savepoint meisa_log")
            try:
                answer = ask()
            except psycopg.Error:
                if self.transaction.connection.info.transaction_status == INERROR:
                    self.transaction.execute("rollback to savepoint meisa_log")
                raise
            self.transaction.execute("release savepoint meisa_log")
        except psycopg.Error as error:
            lost = self.transaction.lost(error)
            if lost is not None:
                raise lost from None
            reason = f"the log of changed rows cannot be read: {first_line(error)}"
            return FullScan(reason=reason, advice=SET_UP_ANEW)
        return answer


def _full(names: Names, relation: str) -> str:
    return f"{POSTGRESQL.quoted(names.schema)}.{POSTGRESQL.quoted(relation)}"


def named(text: str, names: Names) -> str:
    """Return a text with the names of the log's parts in it."""
    return text.format_map({word: _full(names, each) for word, each in names.relations().items()})
