"""Postgres: the statements that make a log of changed rows out of triggers.

Writers never wait for one another here, nor for who reads the log: they only insert, and count in
sequences, which no transaction holds. They read one row, the control row, which only the reader of
the log changes.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping as Dict

from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.trigger_names import VERSION, Names

#: Settings that change how values are written as text; whoever reads the log casts them back.
SPELLING = {
    "search_path": "pg_catalog, pg_temp",
    "timezone": "'UTC'",
    "datestyle": "'ISO, MDY'",
    "intervalstyle": "'postgres'",
    "extra_float_digits": "3",
    "bytea_output": "'hex'",
}
TABLES = """
create table if not exists {changes} (
    id bigint not null, xid bigint not null, relation oid not null, kind text not null,
    old text, new text)
    with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create table if not exists {log} (
    one boolean primary key default true check (one), version integer not null,
    epoch text not null, server text not null, room bigint not null, ceiling bigint not null,
    acknowledged bigint not null default 0, settled bigint not null default 0,
    noticed bigint not null default 0, horizon bigint not null default 0);
create sequence if not exists {places};
create sequence if not exists {missed};
revoke all on {changes}, {log}, {places}, {missed} from public
"""
GRANTS = """
grant usage on schema {schema} to {reader};
grant select, delete on {changes} to {reader};
grant select, update on {log} to {reader};
grant select on {places}, {missed} to {reader}
"""
# What makes the texts may fail: a column was dropped, a text is too long for JSON. That must not
# stop the app, so it is caught, before anything is written: a block that writes would take a
# transaction number of its own for each row. That our tables are gone is looked for before.
FUNCTION = """
create or replace function {function}() returns trigger language plpgsql security definer
{settings}
as {mark}
declare
    place bigint;
    before text;
    after text;
    what text := 'row';
begin
    if to_regclass({changes_text}) is null or to_regclass({log_text}) is null
        or to_regclass({places_text}) is null or to_regclass({missed_text}) is null then
        return null;
    end if;
    if TG_OP = 'TRUNCATE' then
        what := 'emptied';
    else
        begin
            if TG_OP <> 'INSERT' then
                before := {old};
            end if;
            if TG_OP <> 'DELETE' then
                after := {new};
            end if;
        exception when others then
            -- A connection that is older than a change of a column's type remembers the old one,
            -- unless it is asked like this, which takes longer.
            begin
                if TG_OP <> 'INSERT' then
                    execute {old_anew} into before using OLD;
                end if;
                if TG_OP <> 'DELETE' then
                    execute {new_anew} into after using NEW;
                end if;
            exception when others then
                before := null;
                after := null;
                what := 'unclear';
            end;
        end;
    end if;
    if TG_OP = 'UPDATE' and before = after then
        return null;
    end if;
    place := nextval({places_text});
    insert into {changes} (id, xid, relation, kind, old, new)
    select place, txid_current(), TG_RELID, what, before, after from {log} where ceiling >= place;
    if not found then
        -- The log is full. This number counts at once, whatever becomes of the transaction.
        perform nextval({missed_text});
    end if;
    return null;
end
{mark}
"""
REVOKE = "revoke all on function {function}() from public"
# To make a trigger waits for everybody who is writing to the table, and lets nobody begin: what
# was written without it is there for whoever looks next. ALWAYS: also while a replica is fed, and
# DISABLE TRIGGER ALL followed by ENABLE TRIGGER ALL leaves another state behind, which tells.
TRIGGERS = """
drop trigger if exists {rows} on {table};
create trigger {rows} after insert or update or delete on {table}
    for each row execute procedure {function}({columns});
alter table {table} enable always trigger {rows};
drop trigger if exists {emptied} on {table};
create trigger {emptied} after truncate on {table}
    for each statement execute procedure {function}({columns});
alter table {table} enable always trigger {emptied}
"""
# What nobody named; a statement for each table comes before, since who holds one and waits for
# another may have the app's transaction ended.
DROP_OTHERS = """
do {mark}
declare
    each record;
begin
    for each in
        select t.tgname, t.tgrelid::regclass as relation from pg_catalog.pg_trigger t
        join pg_catalog.pg_proc p on p.oid = t.tgfoid
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = {schema_text} and t.tgname in ({rows_text}, {emptied_text})
          and not t.tgisinternal and p.proname <> all (array[{functions}]::text[])
    loop
        execute format('drop trigger %I on %s', each.tgname, each.relation);
    end loop;
    for each in
        select p.oid::regprocedure as function from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = {schema_text} and p.proname ~ {pattern}
          and p.prorettype = 'trigger'::regtype and p.proname <> all (array[{functions}]::text[])
    loop
        execute format('drop function %s', each.function);
    end loop;
end
{mark}
"""
# Last: from here on, all that is looked at is looked at as if for the first time.
BEGIN = """
insert into {log} as l (version, epoch, server, room, ceiling)
select {version}, md5(random()::text || clock_timestamp()::text || txid_current()::text),
       system_identifier::text, {limit}, {limit} + (select last_value from {places})
from pg_catalog.pg_control_system()
on conflict (one) do update set version = excluded.version, epoch = excluded.epoch,
    server = excluded.server, room = excluded.room, ceiling = excluded.ceiling,
    acknowledged = case when l.server = excluded.server then l.acknowledged else 0 end
"""
DROP_TRIGGERS = """
drop trigger if exists {rows} on {table};
drop trigger if exists {emptied} on {table}
"""
DROP = """
drop table if exists {changes}, {log};
drop sequence if exists {places}, {missed}
"""
#: A schema change waits behind whoever holds a table, and everybody else behind the change.
PATIENCE = ("set lock_timeout = '2s'", "set standard_conforming_strings = on")


def creation(
    names: Names,
    tables: Dict[str, Collection[str]],
    limit: int,
    reader: str,
    others: Collection[str],
) -> Iterator[str]:
    """Yield the statements; `tables`: columns to tell of, by full name, quoted where need be.

    `others`: full names of tables that are told of no more.
    """
    words = _words(names, tables)
    yield from PATIENCE
    yield from _filled(TABLES, words)
    if reader:
        granted = words | {"reader": POSTGRESQL.quoted(reader)}
        yield from _filled(GRANTS, granted)
    for table, columns in tables.items():
        own = words | _own(names, table, columns)
        yield FUNCTION.format_map(own).strip()
        yield REVOKE.format_map(own)
        yield from _filled(TRIGGERS, own)
    yield from _without(words, [table for table in others if table not in tables])
    yield BEGIN.format_map(words | {"limit": f"{limit:d}", "version": str(VERSION)}).strip()


def removal(names: Names, tables: Collection[str]) -> Iterator[str]:
    """Yield the statements that leave nothing behind."""
    words = _words(names, {})
    yield from PATIENCE
    yield from _without(words, tables)
    yield from _filled(DROP, words)


def _without(words: Dict[str, str], tables: Collection[str]) -> Iterator[str]:
    for table in tables:
        yield from _filled(DROP_TRIGGERS, {**words, "table": table})
    yield DROP_OTHERS.format_map(words).strip()


def function_of(names: Names, table: str, columns: Collection[str]) -> str:
    """Return the name of the function that tells of these columns of a table.

    With other columns it is another one: it tells what its trigger says that it does.
    """
    told = json.dumps([table, *columns])
    return f"{names.name}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _words(names: Names, tables: Dict[str, Collection[str]]) -> dict[str, str]:
    full = {
        word: f"{POSTGRESQL.quoted(names.schema)}.{POSTGRESQL.quoted(name)}"
        for word, name in names.relations().items()
    }
    functions = ", ".join(_literal(function_of(names, *each)) for each in tables.items())
    text = {f"{word}_text": _literal(name) for word, name in full.items()}
    escaped = "".join(f"[{c}]" if not c.isalnum() and c != "_" else c for c in names.name)
    return (
        full
        | text
        | {
            "schema": POSTGRESQL.quoted(names.schema),
            "schema_text": _literal(names.schema),
            "rows": POSTGRESQL.quoted(names.rows),
            "emptied": POSTGRESQL.quoted(names.emptied),
            "rows_text": _literal(names.rows),
            "emptied_text": _literal(names.emptied),
            "functions": functions,
            "pattern": _literal(f"^{escaped}_[0-9a-f]{{8}}$"),
            "mark": _mark(full.values()),
        }
    )


def _own(names: Names, table: str, columns: Collection[str]) -> dict[str, str]:
    called = POSTGRESQL.quoted(function_of(names, table, columns))
    function = f"{POSTGRESQL.quoted(names.schema)}.{called}"
    settings = "\n".join(f"set {name} = {value}" for name, value in SPELLING.items())
    return {
        "table": table,
        "function": function,
        "settings": settings,
        "columns": _literal(json.dumps(list(columns))),
        "old": _image("OLD", columns),
        "new": _image("NEW", columns),
        "old_anew": _literal(f"select {_image('($1)', columns)}"),
        "new_anew": _literal(f"select {_image('($1)', columns)}"),
        "mark": _mark([table, *columns]),
    }


def _image(row: str, columns: Collection[str]) -> str:
    """Return what makes a JSON text of a row: by `format`, each type writes itself.

    A cast to text would run whatever the owner of a type made a cast of, with our rights.
    """
    if not columns:
        return "'{}'"
    places = [f"{row}.{POSTGRESQL.quoted(each)}" for each in columns]
    names = ", ".join(map(_literal, columns))
    # A row in a column counts as NULL to IS NULL as soon as all in it is.
    values = (
        f"case when {each} is not distinct from null then null else format('%s', {each}) end"
        for each in places
    )
    return f"json_object(array[{names}], array[{', '.join(values)}]::text[])::text"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _mark(words: Collection[str]) -> str:
    """Return a quotation mark that none of the words has."""
    number = 0
    while any(f"$meisa{number}$" in word for word in words):
        number += 1
    return f"$meisa{number}$"


def _filled(statements: str, words: Dict[str, str]) -> Iterator[str]:
    return (each.strip().format_map(words) for each in statements.split(";\n"))
