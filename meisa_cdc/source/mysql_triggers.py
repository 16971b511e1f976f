"""MySQL and MariaDB: the statements that make a log of changed rows out of triggers.

Of integers the log has the values, of everything else whether it changed: that is told without
asking how texts are compared or written. Writers only insert, under numbers that no transaction
holds, into a table that is never empty, and read one that the reader of the log only adds to.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping as Dict

from meisa_cdc.source.dialects import MYSQL
from meisa_cdc.source.trigger_names import VERSION, Names

#: Of a column, by its type: told as it is, or only whether it changed.
NUMBER, MARK = "number", "mark"
#: Table -> column -> NUMBER or MARK.
Told = Dict[str, Dict[str, str]]
#: What triggers and procedures are made under, and keep.
MODES = "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"
CHARSET = "utf8mb4"
#: A schema change waits behind whoever holds a table, and everybody else behind the change.
SETTINGS = (
    "set session lock_wait_timeout = 3",
    f"set session sql_mode = '{MODES}'",
    f"set names {CHARSET}",
)
EVENTS = ("insert", "update", "delete")
#: A row of the log that is no change and stays: MariaDB locks a table that is empty as a whole for
#: whoever inserts with unique_checks and foreign_key_checks off.
FIRST, FIRST_KIND = 1, "first"
TABLES = """
create table if not exists {changes} (
    id bigint unsigned not null auto_increment primary key,
    relation varchar(64) not null, kind varchar(8) not null,
    old_row longtext, new_row longtext)
    engine = InnoDB auto_increment = 2 character set utf8mb4 collate utf8mb4_bin;
insert into {changes} (id, relation, kind) values ({first}, '', '{first_kind}')
    on duplicate key update relation = values(relation), kind = values(kind);
create table if not exists {room} (ceiling bigint unsigned not null primary key) engine = InnoDB;
create table if not exists {log} (
    one tinyint not null primary key, version int not null, epoch varchar(64) not null,
    room bigint not null, acknowledged bigint not null, floor bigint unsigned not null,
    noted bigint unsigned not null, waits longtext not null)
    engine = InnoDB character set utf8mb4 collate utf8mb4_bin
"""
# One procedure that all triggers call: under LOCK TABLES, MariaDB takes a table that three
# triggers name for one that is used already, and the app's statement fails. That our tables were
# dropped or altered by hand is nothing to the app. A row above the ceiling goes again; who sees no
# ceiling, since it is younger than the transaction, leaves it.
NOTE = """
create procedure {note}(relation varchar(64) character set utf8mb4,
    what varchar(8) character set utf8mb4,
    old_image longtext character set utf8mb4, new_image longtext character set utf8mb4)
    modifies sql data sql security definer
begin
    declare top bigint unsigned;
    declare exit handler for 1054, 1100, 1136, 1146 begin end;
    insert into {changes} (relation, kind, old_row, new_row)
        values (relation, what, old_image, new_image);
    begin
        declare exit handler for sqlexception set top = null;
        select max(ceiling) into top from {room};
    end;
    if last_insert_id() > top then
        delete from {changes} where id = last_insert_id();
    end if;
end
"""
TRIGGER = """
create trigger {trigger} after {event} on {table} for each row
begin
    declare told text default {told};
    declare what varchar(8) character set utf8mb4 default 'row';
    declare old_image longtext character set utf8mb4 collate utf8mb4_bin;
    declare new_image longtext character set utf8mb4 collate utf8mb4_bin;
    declare exit handler for 1305 begin end;
    begin
        declare exit handler for sqlexception
            set what = 'unclear', old_image = null, new_image = null;
{images}
    end;
    if what = 'unclear' or not (old_image <=> new_image) then
        call {note}({relation}, what, old_image, new_image);
    end if;
end
"""
# Its rights are those of who made the triggers: the reader may not look at triggers, or else it
# could make some. Seven answers:
# the server, texts, tables, their files, those with cascades, columns, transactions.
STANDING = """
create procedure {standing}()
    reads sql data sql security definer
begin
    select @@server_id, @@hostname, @@port, @@global.innodb_autoinc_lock_mode,
        @@global.read_only, {clustered}, (select count(*)
        from information_schema.processlist p where p.user = 'system user'
        and (p.command like 'Slave%' or p.command = 'Connect'));
    select t.trigger_name, t.event_object_table, t.event_manipulation, t.action_timing,
        t.action_statement, t.sql_mode, t.definer, t.created, t.character_set_client
        from information_schema.triggers t
        where t.event_object_schema = {schema_text} and t.trigger_name like {pattern}
    union all
    select r.routine_name, '', '', '', r.routine_definition, r.sql_mode, r.definer, r.last_altered,
        r.character_set_client
        from information_schema.routines r
        where r.routine_schema = {schema_text} and r.routine_name = {note_text};
    select t.table_name, t.engine, t.create_options, t.create_time,
        timestampdiff(microsecond, t.create_time, now(6))
        from information_schema.tables t
        where t.table_schema = {schema_text} and t.table_type = 'BASE TABLE'
          and t.table_name in ({all_text});
    select substring_index(i.name, '/', -1), i.table_id, i.space, i.n_cols
        from information_schema.{innodb_tables} i where i.name in ({files});
    select f.table_name from information_schema.referential_constraints f
        where f.constraint_schema = {schema_text} and f.table_name in ({all_text})
          and not (f.update_rule in ('RESTRICT', 'NO ACTION')
                   and f.delete_rule in ('RESTRICT', 'NO ACTION'));
    select c.table_name, c.column_name, c.column_type, c.extra, c.column_default
        from information_schema.columns c
        where c.table_schema = {schema_text} and c.table_name in ({tables_text})
        order by c.table_name, c.ordinal_position;
    select t.trx_mysql_thread_id, t.trx_started from information_schema.innodb_trx t;
end
"""
GRANTS = """
grant select on {changes} to {reader};
grant delete on {changes} to {reader};
grant select, update on {log} to {reader};
grant select, insert on {room} to {reader};
grant execute on procedure {standing} to {reader}
"""
FIRST_ROOM = """
insert into {room} (ceiling)
select {limit} + coalesce((select max(id) from {changes}), 0) from (select 1) as one
where not exists (select 1 from {room} as r)
"""
# Last: from here on, all that is looked at is looked at as if for the first time. Whoever sees an
# older ceiling goes by that one, so those that are there stay.
BEGIN = """
insert into {log} (one, version, epoch, room, acknowledged, floor, noted, waits)
select 1, {version}, md5(concat(rand(), now(6), uuid())), {limit}, 0, min(ceiling), min(ceiling),
    '[]' from {room}
on duplicate key update version = values(version), epoch = values(epoch), room = values(room),
    acknowledged = 0
"""


def creation(
    names: Names,
    tables: Told,
    limit: int,
    *,
    maria: bool,
    reader: str = "",
    triggers: Collection[str] = (),
) -> Iterator[str]:
    """Yield the statements, each of which commits by itself.

    `reader`: an account as SQL has it; `triggers`: names of those of ours that are there.
    """
    words = _words(names, maria=maria) | _listed(names, tables)
    yield from SETTINGS
    yield from _filled(TABLES, words)
    for each in sorted(triggers):
        yield f"drop trigger if exists {_full(names, each)}"
    for name, text in (("note", NOTE), ("standing", STANDING)):
        yield f"drop procedure if exists {words[name]}"
        yield text.format_map(words).strip()
    for table, columns in sorted(tables.items()):
        for event in EVENTS:
            called = _full(names, trigger_name(names, table, columns, event))
            yield f"drop trigger if exists {called}"
            yield trigger(names, table, columns, event)
    if reader:
        yield from _filled(GRANTS, words | {"reader": reader})
    limited = words | {"limit": f"{limit:d}", "version": str(VERSION)}
    yield FIRST_ROOM.format_map(limited).strip()
    yield BEGIN.format_map(limited).strip()


def removal(names: Names, triggers: Collection[str]) -> Iterator[str]:
    """Yield the statements that leave nothing behind."""
    words = _words(names, maria=True)
    yield from SETTINGS
    for each in sorted(triggers):
        yield f"drop trigger if exists {_full(names, each)}"
    for name in ("standing", "note"):
        yield f"drop procedure if exists {words[name]}"
    yield f"drop table if exists {words['changes']}, {words['room']}, {words['log']}"


def trigger_name(names: Names, table: str, columns: Dict[str, str], event: str) -> str:
    """Return the name of the trigger that tells of these columns; of others it is another one."""
    told = hashlib.sha256(told_text(table, columns).encode()).hexdigest()[:10]
    return f"{names.name}_{told}_{event[0]}"


def told_text(table: str, columns: Dict[str, str]) -> str:
    """Return what a trigger says of itself."""
    return json.dumps({"table": table, "columns": dict(columns)})


def told_by(body: str) -> tuple[str, dict[str, str]] | None:
    """Return table and columns that the text of a trigger says it tells of; None: of nothing."""
    _, _, rest = body.partition("declare told text default '")
    try:
        said = json.loads(rest.partition("';\n")[0])
        return str(said["table"]), {str(name): str(kind) for name, kind in said["columns"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def trigger(names: Names, table: str, columns: Dict[str, str], event: str) -> str:
    """Return the statement that makes a trigger."""
    images = []
    if event != "insert":
        images.append(f"        set old_image = {_image('OLD', columns, event)};")
    if event != "delete":
        images.append(f"        set new_image = {_image('NEW', columns, event)};")
    words = {
        "trigger": _full(names, trigger_name(names, table, columns, event)),
        "event": event,
        "table": _full(names, table),
        "told": literal(told_text(table, columns)),
        "relation": literal(table),
        "note": _full(names, names.note),
        "images": "\n".join(images),
    }
    return TRIGGER.format_map(words).strip()


def body(statement: str) -> str:
    """Return what the catalogue shows of a statement that makes a trigger or a procedure."""
    return statement[statement.index("\nbegin\n") + 1 :]


def note(names: Names) -> str:
    """Return the statement that makes the procedure which writes to the log."""
    return NOTE.format_map(_words(names, maria=True)).strip()


def _image(row: str, columns: Dict[str, str], event: str) -> str:
    parts = []
    for name, kind in columns.items():
        value = f"{row}.{MYSQL.quoted(name)}"
        if kind == NUMBER:
            told = f"cast({value} as char)"
        elif row == "NEW" and event == "update":
            old = f"OLD.{MYSQL.quoted(name)}"
            same = f"{old} <=> {value} and cast({old} as binary) <=> cast({value} as binary)"
            told = f"if({same}, '0', '1')"
        else:
            told = "'0'"
        parts.append(f"{literal(name)}, {told}")
    return f"json_object({', '.join(parts)})"


def _words(names: Names, *, maria: bool) -> dict[str, str]:
    parts = names.parts()
    return {
        **{word: _full(names, each) for word, each in parts.items()},
        **{f"{word}_text": literal(each) for word, each in parts.items()},
        "schema_text": literal(names.schema),
        "pattern": literal(names.name.replace("_", "\\_") + "\\_%"),
        "innodb_tables": "innodb_sys_tables" if maria else "innodb_tables",
        "clustered": "@@global.wsrep_on" if maria else "0",
        "first": str(FIRST),
        "first_kind": FIRST_KIND,
    }


def _listed(names: Names, tables: Collection[str]) -> dict[str, str]:
    """Return lists of the tables that are told of, and of all that matter."""
    every = [*sorted(tables), names.changes, names.room, names.log]
    base = "concat(convert(convert({} using filename) using binary), '/{}')"
    return {
        "tables_text": ", ".join(map(literal, sorted(tables))),
        "all_text": ", ".join(map(literal, every)),
        # Names of tables are written to disk as they are, being plain; that of the database, not.
        "files": ", ".join(base.format(literal(names.schema), each) for each in every),
    }


def _full(names: Names, name: str) -> str:
    return f"{MYSQL.quoted(names.schema)}.{MYSQL.quoted(name)}"


def literal(text: str) -> str:
    """Return a text as SQL; backslashes mean themselves only where they are ours."""
    return "'" + text.replace("'", "''") + "'"


def _filled(statements: str, words: Dict[str, str]) -> Iterator[str]:
    return (each.strip().format_map(words) for each in statements.split(";\n"))
