"""What a log by a slot depends on: the server, a role, tables, and what is set up already."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.trigger_names import Names

#: Runs one statement with its values and returns all rows.
Execute: TypeAlias = Callable[[str, Sequence[object]], Sequence[tuple[Any, ...]]]

SERVER = """
select current_setting('server_version_num')::integer, pg_catalog.pg_is_in_recovery(),
       current_setting('wal_level'), coalesce(current_setting('max_slot_wal_keep_size', true), ''),
       current_setting('max_replication_slots')::integer,
       (select count(*) from pg_catalog.pg_replication_slots)::integer,
       (select system_identifier::text from pg_catalog.pg_control_system()),
       (select oid::bigint from pg_catalog.pg_database where datname = current_database()),
       current_database()::text
"""
# On some hosts a role of that name stands for REPLICATION.
ROLE = """
select rolname::text, rolsuper or rolreplication or exists (
           select from pg_catalog.pg_roles hosted
           where hosted.rolname = 'rds_replication' and pg_has_role(r.oid, hosted.oid, 'member')),
       has_database_privilege(current_database(), 'create'),
       coalesce(has_schema_privilege(current_schema(), 'create'), false),
       coalesce(current_schema(), 'public')::text
from pg_catalog.pg_roles r where rolname = current_user
"""
# An index that is deferred or not valid identifies nothing, though it be that of a primary key.
TABLES = """
select asked.name, c.relkind::text, c.relispartition, c.relreplident::text,
       pg_has_role(c.relowner, 'usage'),
       array(select a.attname::text from pg_catalog.pg_attribute a
             where a.attrelid = c.oid and a.attnum = any (i.indkey)),
       exists (select from pg_catalog.pg_attribute a
               where a.attrelid = c.oid and coalesce(to_jsonb(a) ->> 'attgenerated', '') <> ''
                 and (c.relreplident = 'f' or a.attnum = any (i.indkey))),
       exists (select from pg_catalog.pg_attribute a
               where a.attrelid = c.oid and coalesce(to_jsonb(a) ->> 'attgenerated', '') <> ''),
       exists (select from pg_catalog.pg_index k where k.indrelid = c.oid and k.indisprimary
                 and k.indimmediate and k.indisvalid),
       exists (select from pg_catalog.pg_publication_rel r
               join pg_catalog.pg_publication p on p.oid = r.prpubid
               where r.prrelid = c.oid and p.pubname::text <> $2)
from unnest($1::text[]) asked(name)
join pg_catalog.pg_class c on c.oid = to_regclass(asked.name)
left join pg_catalog.pg_index i on i.indrelid = c.oid and i.indimmediate and i.indisvalid
    and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident
        else false end
order by asked.name
"""
# Tables of which a part alone is published are none to us.
PUBLICATION = """
select p.puballtables, p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate,
       pg_has_role(p.pubowner, 'usage'),
       array(select format('%I.%I', n.nspname, c.relname)
             from pg_catalog.pg_publication_rel r
             join pg_catalog.pg_class c on c.oid = r.prrelid
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where r.prpubid = p.oid and to_jsonb(r) ->> 'prqual' is null
               and to_jsonb(r) ->> 'prattrs' is null
             order by 1),
       array(select format('%I.%I', n.nspname, c.relname)
             from pg_catalog.pg_publication_rel r
             join pg_catalog.pg_class c on c.oid = r.prrelid
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where r.prpubid = p.oid
             order by 1)
from pg_catalog.pg_publication p where p.pubname::text = $1
"""
SLOT = """
select s.plugin::text, s.database::text = current_database(), s.active_pid,
       coalesce(to_jsonb(s) ->> 'wal_status', ''), s.restart_lsn is null,
       coalesce(to_jsonb(s) ->> 'invalidation_reason', ''),
       case when pg_catalog.pg_is_in_recovery() then null else
           pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint end
from pg_catalog.pg_replication_slots s where s.slot_name::text = $1
"""

TRIGGERS = """
select (select n.nspname::text from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.oid = to_regclass($1) and c.relkind = 'r'),
       array(select json_build_array(format('%I.%I', n.nspname, c.relname),
                                     encode(t.tgargs, 'hex'))::text
             from pg_catalog.pg_trigger t
             join pg_catalog.pg_class c on c.oid = t.tgrelid
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where t.tgname::text = $2 and not t.tgisinternal order by 1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server, and the database on it that we look at."""

    #: As 180001.
    version: int
    standby: bool
    wal_level: str
    #: How much WAL slots may keep, as the server writes it; "-1": any amount.
    keeps: str
    slots: int
    slots_used: int
    #: Of the cluster and the database: equal for equal ones.
    identity: tuple[str, int]
    database: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role that connects."""

    name: str
    #: It may make slots and read them.
    replicates: bool
    #: It may make publications in this database.
    publishes: bool
    #: It may make tables in the schema that it sees first.
    makes_tables: bool
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table that changes are wanted of."""

    #: Full name, as it is written in SQL.
    name: str
    #: As in pg_class: r a plain table, p a partitioned one.
    kind: str
    partition: bool
    #: As in pg_class: d by its primary key, i by an index, f by everything, n by nothing.
    identity: str
    #: The role that asked may alter it.
    owned: bool
    #: Columns of the index that identifies its rows; empty where there is none.
    identifying: frozenset[str]
    #: What identifies its rows holds a generated column.
    identity_generated: bool
    #: It has generated columns.
    generated: bool
    #: It has a primary key that can identify its rows.
    primary_key: bool
    #: Another publication has it, too.
    published_elsewhere: bool

    @property
    def identified(self) -> bool:
        """Whether its rows can be told apart at all."""
        return self.identity == "f" or bool(self.identifying)

    def lacks(self, needed: Collection[str]) -> list[str]:
        """Return the columns that its changes do not tell as they were."""
        return [] if self.identity == "f" else sorted(set(needed) - self.identifying)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationFacts:
    """A publication of our name."""

    #: It has all tables there are, and will be.
    everything: bool
    #: It tells of all that happens to rows.
    whole: bool
    owned: bool
    #: Of which all rows and columns are told.
    tables: tuple[str, ...]
    #: Also those of which a part is told.
    every_table: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFacts:
    """A slot of our name."""

    plugin: str
    #: It is of this database.
    here: bool
    #: The process that reads it just now.
    reader: int | None
    #: As the server says: reserved, extended, unreserved, lost.
    wal_status: str
    #: It can be read no more.
    void: bool
    #: Why, where the server tells.
    why_void: str
    #: Bytes of WAL that it keeps; None: that cannot be told.
    kept: int | None

    @property
    def ours(self) -> bool:
        """Whether it can be what `capture setup` made."""
        return self.here and self.plugin == "pgoutput"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerFacts:
    """A log by triggers."""

    #: Where its tables are.
    schema: str
    #: Columns that are told of, by full name of the table.
    tables: dict[str, frozenset[str]]


def server_of(execute: Execute) -> Server:
    """Return what the server is like."""
    ((version, standby, level, keeps, slots, used, system, database, name),) = execute(SERVER, [])
    return Server(
        version=version,
        standby=standby,
        wal_level=level,
        keeps=keeps,
        slots=slots,
        slots_used=used,
        identity=(system, database),
        database=name,
    )


def role_of(execute: Execute) -> Role:
    """Return what the connected role may do."""
    ((name, replicates, publishes, makes_tables, schema),) = execute(ROLE, [])
    return Role(
        name=name,
        replicates=replicates,
        publishes=publishes,
        makes_tables=makes_tables,
        schema=schema,
    )


def tables_of(execute: Execute, names: Collection[str], publication: str) -> dict[str, TableFacts]:
    """Return what tables are like, by their full names; `publication`: ours."""
    return {
        name: TableFacts(
            name=name,
            kind=kind,
            partition=partition,
            identity=identity,
            owned=owned,
            identifying=frozenset(identifying),
            identity_generated=identity_generated,
            generated=generated,
            primary_key=primary_key,
            published_elsewhere=elsewhere,
        )
        for (
            name,
            kind,
            partition,
            identity,
            owned,
            identifying,
            identity_generated,
            generated,
            primary_key,
            elsewhere,
        ) in execute(TABLES, [sorted(names), publication])
    }


def publication_of(execute: Execute, name: str) -> PublicationFacts | None:
    """Return the publication of this name."""
    for everything, whole, owned, tables, every in execute(PUBLICATION, [name]):
        return PublicationFacts(
            everything=everything,
            whole=whole,
            owned=owned,
            tables=tuple(tables),
            every_table=tuple(every),
        )
    return None


def slot_of(execute: Execute, name: str) -> SlotFacts | None:
    """Return the slot of this name."""
    for plugin, here, reader, status, empty, why, kept in execute(SLOT, [name]):
        return SlotFacts(
            plugin=plugin or "",
            here=bool(here),
            reader=reader,
            wal_status=status,
            void=status == "lost" or empty or bool(why),
            why_void=why or "its WAL was removed",
            kept=kept,
        )
    return None


def triggers_of(execute: Execute, name: str) -> TriggerFacts | None:
    """Return the log by triggers of this name; also where only half of it is left."""
    names = Names(name=name)
    ((schema, triggers),) = execute(TRIGGERS, [POSTGRESQL.quoted(names.log), names.rows])
    if schema is None and not triggers:
        return None
    told = dict(json.loads(each) for each in triggers)
    tables = {table: _columns(bytes.fromhex(words)) for table, words in told.items()}
    return TriggerFacts(schema=schema or "public", tables=tables)


def _columns(words: bytes) -> frozenset[str]:
    """Return the columns that a trigger was told to tell of, as its only word says."""
    try:
        return frozenset(map(str, json.loads(words.rstrip(b"\0"))))
    except ValueError:
        return frozenset()
