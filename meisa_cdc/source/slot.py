"""Postgres's own log of changed rows: a publication and a logical slot of pgoutput."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import URL

from meisa_cdc.core.changelog import Visible, place_of, seen_upto, written
from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.affected.asking import Change, Image
from meisa_cdc.source.changelog import (
    MOST_BYTES,
    MOST_CHANGES,
    TOO_MANY,
    Columns,
    Kept,
    Standing,
    Told,
)
from meisa_cdc.source.pgoutput import Emptied, Ended, Relation, Row, decoded
from meisa_cdc.source.postgres_transaction import (
    PINNED,
    PostgresTransaction,
    ask,
    connect,
    first_line,
    settle,
)
from meisa_cdc.source.postgres_types import knows_no_encoding

SET_UP = "Run `meisa-cdc capture setup`."
SET_UP_ANEW = "Run `meisa-cdc capture drop`, then `meisa-cdc capture setup`."
#: What does not change while the server is the same one.
SERVER = """
select pg_catalog.pg_is_in_recovery(), (select system_identifier::text
    from pg_catalog.pg_control_system()), (select timeline_id::text
    from pg_catalog.pg_control_checkpoint()),
    exists (select from pg_catalog.pg_roles r where r.rolname = current_user
        and (r.rolsuper or r.rolreplication))
    or exists (select from pg_catalog.pg_roles r where r.rolname = 'rds_replication'
        and pg_catalog.pg_has_role(r.oid, 'member'))
"""
SLOT = """
select s.confirmed_flush_lsn::text, s.plugin::text, s.database::text = current_database(),
       coalesce(to_jsonb(s) ->> 'wal_status', ''), s.restart_lsn is null,
       coalesce(to_jsonb(s) ->> 'invalidation_reason', '')
from pg_catalog.pg_replication_slots s where s.slot_name::text = $1
"""
PUBLICATION = """
select p.puballtables, p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate,
       p.oid::text || ' ' || p.xmin::text
from pg_catalog.pg_publication p where p.pubname::text = $1
"""
# A table that was rewritten has another file: by TRUNCATE, too, and by an ALTER that changes values
# without a word in the log. A column that was dropped and added again has another number. A table
# that left the publication for a while has another row in it; what transactions wrote that began
# before it came is not told. A publication of some rows or columns alone is none to us.
TABLES = """
select c.oid::bigint, format('%I.%I', n.nspname, c.relname), c.relreplident::text,
       c.relfilenode::text,
       array(select a.attname::text from pg_catalog.pg_attribute a
             join pg_catalog.pg_index i on i.indrelid = c.oid
                 and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
             where a.attrelid = c.oid and case c.relreplident
                 when 'd' then i.indisprimary and i.indimmediate
                 when 'i' then i.indisreplident else false end),
       array(select json_build_array(a.attname::text, a.atttypid::bigint, a.atttypmod)::text
             from pg_catalog.pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
               and coalesce(to_jsonb(a) ->> 'attgenerated', '') = '' order by a.attnum),
       r.oid::text || ' ' || r.xmin::text
           || array(select a.attnum::text from pg_catalog.pg_attribute a
               where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
               order by a.attnum)::text,
       age(r.xmin) <= age((txid_snapshot_xmin(txid_current_snapshot()) % 4294967296)::text::xid)
from pg_catalog.pg_publication p
join pg_catalog.pg_publication_rel r on r.prpubid = p.oid
join pg_catalog.pg_class c on c.oid = r.prrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where p.pubname::text = $1 and c.relkind = 'r' and not c.relispartition
  and to_jsonb(r) ->> 'prqual' is null and to_jsonb(r) ->> 'prattrs' is null
"""
VISIBLE = "select pg_catalog.txid_current_snapshot()::text"
NOW = "select pg_catalog.pg_current_wal_flush_lsn()::text"
CHANGES = """
select data from pg_catalog.pg_logical_slot_peek_binary_changes(
    $1::text::name, $2::text::pg_lsn, $3::integer,
    'proto_version', '1', 'publication_names', $4::text)
"""
# B begins a transaction, C ends it.
ENDS = f"select data from ({CHANGES}) each where get_byte(data, 0) in (66, 67)"  # noqa: S608
ADVANCE = """
select pg_catalog.pg_replication_slot_advance(s.slot_name, $2::text::pg_lsn)
from pg_catalog.pg_replication_slots s
where s.slot_name::text = $1 and s.confirmed_flush_lsn < $2::text::pg_lsn
"""
#: Messages that are asked for at once; a small transaction is three of them.
MOST_MESSAGES = 3 * MOST_CHANGES
#: Of them, so many are fetched at a time.
BATCH = 500
#: Where somebody else reads the slot just now: how often it is tried again, after what.
TRIES, PAUSE = 20, "select pg_catalog.pg_sleep(0.1)"
#: Seconds that the server may take to tell what changed.
TIMEOUT = 30
#: Name, oid of the type, modifier of the type.
ColumnShape = tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A slot that a snapshot was told from."""

    url: URL
    name: str

    def acknowledge(self, upto: int) -> None:
        """Let the server forget what lies before a place. Raises SourceUnavailable."""
        acknowledge(self.url, self.name, upto)


@dataclass(slots=True, kw_only=True)
class SlotLog:
    """`ChangeLog` by a slot, beside a snapshot of Postgres."""

    transaction: PostgresTransaction
    url: URL
    #: What the publication and the slot are called.
    name: str
    seen: "Seen | None" = None
    _start: int = 0
    _standing: Standing | FullScan | None = None
    _tables: dict[int, str] = field(default_factory=dict)
    _columns: dict[int, tuple[ColumnShape, ...]] = field(default_factory=dict)

    def exists(self) -> bool:
        """Tell whether anybody set it up, if only half of it is left."""
        execute = self.transaction.execute
        return bool(execute(SLOT, [self.name]) or execute(PUBLICATION, [self.name]))

    def standing(self) -> Standing | FullScan:
        """Return what the slot covers, or why it cannot be used."""
        if self._standing is None:
            with self.transaction.asking():
                self._standing = self._found()
        return self._standing

    def _found(self) -> Standing | FullScan:
        execute = self.transaction.execute
        ((standby, system, timeline, allowed),) = execute(SERVER)
        if standby:
            return FullScan(reason="the server is a standby", advice="Read the primary.")
        if knows_no_encoding(self.transaction.connection):
            # What it tells could not be told from what the tables hold.
            return FullScan(reason="the database has no encoding", advice="Use another capture.")
        if not allowed:
            return FullScan(reason="our role may not read slots", advice=SET_UP)
        slot, publication = execute(SLOT, [self.name]), execute(PUBLICATION, [self.name])
        problem = slot_problem(slot, self.name) or publication_problem(publication, self.name)
        if problem is not None:
            return problem
        self._start = place_of(slot[0][0])
        identity = f"slot {self.name} {system} {timeline} {publication[0][2]}"
        end = place_of(str(execute(NOW)[0][0]))
        return Standing(identity=identity, start=self._start, end=end, tables=self._kept())

    def _kept(self) -> dict[str, Kept]:
        tables = {}
        rows = self.transaction.execute(TABLES, [self.name])
        for oid, table, identity, file, identifying, columns, more, young in rows:
            shape = tuple(_column(each) for each in columns)
            self._tables[oid], self._columns[oid] = table, shape
            before = [name for name, *_ in shape] if identity == "f" else identifying
            if not young:
                shown = f"{oid} {file} {more} {shape}"
                tables[table] = Kept(before=frozenset(before), shape=shown)
        return tables

    def told(self, wanted: Columns, _since: int | None = None) -> Told | FullScan:
        """Return what changed, read on a connection of its own after the snapshot was opened."""
        self.standing()
        self.seen = Seen(url=self.url, name=self.name)
        visible = Visible.parse(str(self.transaction.execute(VISIBLE)[0][0]))
        try:
            with closing(connect(self.url)) as connection:
                return self._told(connection, visible, wanted)
        except psycopg.Error as error:
            if isinstance(error, errors.OperationalError) and error.sqlstate is None:
                raise SourceUnavailable(f"The log was lost: {first_line(error)}.") from None
            reason = f"the log cannot be read: {first_line(error)}"
            return FullScan(reason=reason, advice=SET_UP_ANEW)

    def _told(
        self, connection: "psycopg.Connection[Any]", visible: Visible, wanted: Columns
    ) -> Told | FullScan:
        _pin(connection)
        now = place_of(_first(connection, NOW))
        gathered = Gathered(tables=self._tables, columns=self._columns, wanted=wanted)
        complete = gathered.take(_peeked(connection, CHANGES, self.name, now, MOST_MESSAGES))
        ended = gathered.ended
        if not complete:
            # How far the snapshot sees, without any rows.
            messages = decoded(_peeked(connection, ENDS, self.name, now, None))
            ended = [(each.transaction, each.end) for each in messages if isinstance(each, Ended)]
        upto, every = seen_upto(ended, visible)
        if _first(connection, SLOT, self.name) != written(self._start):
            return FullScan(reason="the log was cut off by somebody else meanwhile", advice="")
        return Told(
            changes=gathered.changes,
            upto=max(upto or self._start, now if every else 0),
            unsure=frozenset(gathered.unsure),
            scan=None if complete else TOO_MANY,
        )


@dataclass(slots=True, kw_only=True)
class Gathered:
    """What was told so far, as far as anybody wants to know."""

    #: Full names, by oid.
    tables: dict[int, str]
    #: As they are now.
    columns: dict[int, tuple[ColumnShape, ...]]
    wanted: Columns
    changes: dict[str, list[Change]] = field(default_factory=dict)
    #: Tables that were emptied, or have been altered since.
    unsure: set[str] = field(default_factory=set)
    #: Number and end of each transaction.
    ended: list[tuple[int, int]] = field(default_factory=list)
    #: Bytes of rows that may still be kept.
    room: int = MOST_BYTES

    def take(self, messages: Iterable[bytes]) -> bool:
        """Gather; return False where it is too much, and then there may be more to come."""
        counted = _Counted(messages)
        room = MOST_CHANGES
        for each in decoded(counted):
            if isinstance(each, Ended):
                self.ended.append((each.transaction, each.end))
            elif isinstance(each, Relation):
                # Columns that are calculated may be told, too.
                if not set(self.columns.get(each.oid, ())) <= set(each.columns):
                    self._doubt(each.oid)
            elif isinstance(each, Emptied):
                for oid in each.oids:
                    self._doubt(oid)
            else:
                room -= self._keep(each)
                if min(room, self.room) < 0:
                    return False
        return counted.count < MOST_MESSAGES

    def _doubt(self, oid: int) -> None:
        if oid in self.tables:
            self.unsure.add(self.tables[oid])

    def _keep(self, row: Row) -> bool:
        name = self.tables.get(row.oid)
        if name is None or name not in self.wanted:
            return False
        columns, change = self.wanted[name], row.change
        kept = Change(old=_some(change.old, columns), new=_some(change.new, columns))
        self.changes.setdefault(name, []).append(kept)
        self.room -= _size(kept.old) + _size(kept.new)
        return True


class _Counted:
    """Counts what it passes on."""

    def __init__(self, messages: Iterable[bytes]) -> None:
        self._messages = messages
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for each in self._messages:
            self.count += 1
            yield each


def _some(image: Image | None, columns: Collection[str]) -> Image | None:
    if image is None:
        return None
    return {name: value for name, value in image.items() if name in columns}


def _size(image: Image | None) -> int:
    return sum(len(value) for value in (image or {}).values() if value is not None)


def _column(text: str) -> ColumnShape:
    name, kind, modifier = json.loads(text)
    return str(name), int(kind), int(modifier)


def slot_problem(found: Sequence[Sequence[Any]], name: str) -> FullScan | None:
    """Return why a slot, as SLOT has it, cannot be used; None where it can."""
    if not found:
        return FullScan(reason=f"there is no slot {name}", advice=SET_UP)
    ((_, plugin, ours, status, empty, invalid),) = found
    if plugin != "pgoutput" or not ours:
        reason = f"the slot {name} is of another database or another plugin"
        return FullScan(reason=reason, advice="Set capture.name to a name that is free.")
    if status == "lost" or invalid or empty:
        reason = f"the slot {name} was invalidated ({invalid or 'its WAL was removed'})"
        return FullScan(reason=reason, advice=SET_UP_ANEW)
    return None


def publication_problem(found: Sequence[Sequence[Any]], name: str) -> FullScan | None:
    """Return why a publication, as PUBLICATION has it, cannot be used; None where it can."""
    if not found:
        return FullScan(reason=f"there is no publication {name}", advice=SET_UP_ANEW)
    ((everything, whole, _),) = found
    if everything or not whole:
        reason = f"the publication {name} is not as `capture setup` makes it"
        return FullScan(reason=reason, advice=SET_UP_ANEW)
    return None


def _pin(connection: "psycopg.Connection[Any]") -> None:
    """Have values written as they are in a snapshot, and let nothing take forever."""
    settings = {**PINNED, "statement_timeout": f"{TIMEOUT}s", "lock_timeout": "5s"}
    settle(connection, settings)


def _first(connection: "psycopg.Connection[Any]", text: str, *values: object) -> str:
    """Return the first value of an answer; "" where there is none."""
    rows = ask(connection, text, values)
    return str(rows[0][0]) if rows else ""


def _peeked(
    connection: "psycopg.Connection[Any]", text: str, name: str, upto: int, most: int | None
) -> Iterator[bytes]:
    """Yield messages up to a place, and about so many at most."""
    quoted = '"' + name.replace('"', '""') + '"'
    values = [name, written(upto), most, quoted]
    with connection.transaction():
        cursor = _declared(connection, text, values)
        with closing(cursor):
            while rows := cursor.fetchmany(BATCH):
                yield from (data for (data,) in rows)


def _declared(
    connection: "psycopg.Connection[Any]", text: str, values: Sequence[object]
) -> "psycopg.RawServerCursor[Any]":
    """Open a cursor, as soon as nobody else reads the slot."""
    for left in reversed(range(TRIES)):
        cursor = psycopg.RawServerCursor(connection, "meisa_log")
        try:
            with connection.transaction():
                cursor.execute(text.encode(), values, binary=True)
        except errors.ObjectInUse:
            cursor.close()
            if not left:
                raise
            ask(connection, PAUSE)
        else:
            return cursor
    raise AssertionError


def acknowledge(url: URL, name: str, upto: int) -> None:
    """Let the server forget what lies before a place. Raises SourceUnavailable."""
    try:
        with closing(connect(url)) as connection:
            _pin(connection)
            ask(connection, ADVANCE, [name, written(upto)])
    except psycopg.Error as error:
        raise SourceUnavailable(
            f"The log could not be cut off: {first_line(error)}.",
            hint="It is read again from where it was.",
        ) from None
