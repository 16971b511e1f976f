"""What the app database says of itself: its tables, and whether our role could write."""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, NullPool, create_engine, inspect, text, types
from sqlalchemy.exc import SQLAlchemyError

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.dialects import MYSQL, POSTGRESQL, SQLITE
from meisa_cdc.source.engines import (
    CONNECT_TIMEOUT,
    app_url,
    dialect_of,
    driver_arguments,
    place_of,
)

#: Tables named in one finding; of more, the number is told.
SHOWN = 5
#: SQLAlchemy's kinds of types, the more special before the more general.
FAMILIES: tuple[tuple[type[types.TypeEngine[Any]], str], ...] = (
    (types.Boolean, "boolean"),
    (types.Integer, "integer"),
    (types.Numeric, "number"),
    (types.Float, "number"),
    (types.DateTime, "datetime"),
    (types.Date, "date"),
    (types.JSON, "json"),
    (types.ARRAY, "json"),
    (types.String, "text"),
    (types.Uuid, "text"),
)
ROLE = """
select rolname::text, rolsuper,
       array_remove(array[
           case when rolcreaterole then 'CREATEROLE' end,
           case when rolcreatedb then 'CREATEDB' end,
           case when rolreplication then 'REPLICATION' end,
           case when pg_has_role(oid, 'pg_write_server_files', 'member')
                then 'pg_write_server_files' end,
           case when pg_has_role(oid, 'pg_execute_server_program', 'member')
                then 'pg_execute_server_program' end], null)
from pg_catalog.pg_roles where rolname = current_user
"""
WRITABLE = """
select n.nspname::text, c.relname::text
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname <> 'information_schema'
  and n.nspname not like 'pg\\_%' and has_schema_privilege(n.oid, 'usage')
  and (has_table_privilege(c.oid, 'insert, update, delete, truncate')
       or has_any_column_privilege(c.oid, 'insert, update'))
order by 1, 2
"""
CREATABLE = """
select nspname::text from pg_catalog.pg_namespace
where nspname not like 'pg\\_%' and nspname <> 'information_schema'
  and has_schema_privilege(oid, 'create')
order by 1
"""
GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?P<on>.+?) TO ", re.IGNORECASE | re.DOTALL)
HARMLESS_GRANTS = frozenset(
    {
        "USAGE",
        "SELECT",
        "SHOW VIEW",
        "SHOW DATABASES",
        "PROCESS",
        "REPLICATION CLIENT",
        "BINLOG MONITOR",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """One column of a table."""

    name: str
    #: Family of its SQL type, as in `Column`.
    type: str
    primary_key: bool = False
    #: `table.column` that it refers to; empty where it is no foreign key.
    references: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the app database."""

    name: str
    columns: tuple[TableColumn, ...]


def tables(url: str | URL) -> list[Table]:
    """Return the tables that a role sees without naming a schema. Raises SourceUnavailable."""
    with _connected(app_url(url)) as connection:
        found = inspect(connection)
        keys = found.get_multi_pk_constraint()
        foreign = found.get_multi_foreign_keys()
        return [
            Table(
                name=place[1],
                columns=tuple(
                    TableColumn(
                        name=column["name"],
                        type=_family(column["type"]),
                        primary_key=column["name"] in keys[place]["constrained_columns"],
                        references=_target(column["name"], foreign.get(place, [])),
                    )
                    for column in columns
                ),
            )
            for place, columns in sorted(found.get_multi_columns().items(), key=lambda t: t[0][1])
        ]


def _family(kind: types.TypeEngine[Any]) -> str:
    return next((family for type_, family in FAMILIES if isinstance(kind, type_)), "other")


def _target(column: str, keys: Iterable[Any]) -> str:
    for key in keys:
        if key["constrained_columns"] == [column]:
            return f"{key['referred_table']}.{key['referred_columns'][0]}"
    return ""


def write_rights(url: str | URL, *, ours: Collection[str] = ()) -> list[str]:
    """Return a line for everything that our role could change; empty: it can only read.

    `ours` are names of tables that it may write to. Raises SourceUnavailable.
    """
    place = app_url(url)
    if dialect_of(place) is SQLITE:
        # The file is opened for reading alone, which its rights cannot undo.
        return []
    with _connected(place) as connection:
        if dialect_of(place) is MYSQL:
            return _mysql_rights(connection, ours)
        return _postgres_rights(connection, ours)


def _postgres_rights(connection: Connection, ours: Collection[str]) -> list[str]:
    name, superuser, attributes = connection.execute(text(ROLE)).one()
    if superuser:
        return [f"the role {name} is a superuser"]
    writable = [f"{row[0]}.{row[1]}" for row in connection.execute(text(WRITABLE))]
    writable = [table for table in writable if not {table, table.partition(".")[2]} & set(ours)]
    creatable = [row[0] for row in connection.execute(text(CREATABLE))]
    findings = [f"the role {name} has {attribute}" for attribute in attributes]
    if writable:
        findings.append(f"the role {name} may write to {_some(writable)}")
    if creatable:
        findings.append(f"the role {name} may create tables in {_some(creatable)}")
    return findings


def _mysql_rights(connection: Connection, ours: Collection[str]) -> list[str]:
    findings = []
    for (line,) in connection.execute(text("show grants")):
        match = GRANT.match(line)
        if match is None:
            findings.append(f"the user has a role, whose rights are not looked at: {line}")
            continue
        rights = re.sub(r"\([^)]*\)", "", match["rights"]).upper().split(",")
        more = [right.strip() for right in rights if right.strip() not in HARMLESS_GRANTS]
        table = match["on"].replace("`", "").rpartition(".")[2]
        if more and table not in ours:
            findings.append(f"the user has {', '.join(more)} on {match['on']}")
    return findings


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    """Yield a connection for looking at the catalogue."""
    if dialect_of(url) is SQLITE:
        from meisa_cdc.source.sqlite_file import connect

        engine = create_engine("sqlite://", creator=lambda: connect(url), poolclass=NullPool)
    else:
        driver_arguments(url)
        options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT}
        if dialect_of(url) is POSTGRESQL:
            options["client_encoding"] = "UTF8"
        engine = create_engine(url, poolclass=NullPool, connect_args=options)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", error)).splitlines()
        raise SourceUnavailable(
            f"{place_of(url)} cannot be used: {cause[0] if cause else type(error).__name__}",
            hint="Check app_database.url and whether the server is up.",
        ) from None
    finally:
        engine.dispose()
