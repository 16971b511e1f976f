"""Statements over many keys or rows at once, in the way each of the two databases likes it."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Insert, Table, any_, bindparam, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY


def among(column: ColumnElement[Any], parameter: str, *, file: bool) -> ColumnElement[bool]:
    """Return the condition that a column is one of a bound list, see `bound`."""
    if file:
        values = func.json_each(bindparam(parameter)).table_valued("value")
        return column.in_(select(values.c.value))
    return column == any_(cast(bindparam(parameter), ARRAY(type(column.type)())))


def bound(values: Sequence[Any], *, file: bool) -> Any:
    """Return a list as the parameter that `among` expects."""
    return orjson.dumps(values).decode() if file else list(values)


class Upsert:
    """Inserts rows of a table, or replaces those with the same primary key."""

    def __init__(self, table: Table, *, file: bool) -> None:
        self._file = file
        self._names = tuple(column.name for column in table.columns)
        self._statement = _into_file(table) if file else _into_server(table)
        self._text = str(self._statement.compile(dialect=sqlite.dialect())) if file else ""

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows: tuples in the order of the table's columns."""
        if not rows:
            return
        if self._file:
            # Straight to the driver: a dictionary a row would cost more than the insert.
            connection.exec_driver_sql(self._text, list(rows))
            return
        columns = zip(*rows, strict=True)
        connection.execute(self._statement, dict(zip(self._names, map(list, columns), strict=True)))


def _into_file(table: Table) -> Insert:
    statement = sqlite.insert(table).values({c.name: bindparam(c.name) for c in table.columns})
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={c.name: statement.excluded[c.name] for c in table.columns if not c.primary_key},
    )


def _into_server(table: Table) -> Insert:
    # One array a column and one round trip, instead of one message a row.
    arrays = (cast(bindparam(c.name), ARRAY(type(c.type)())) for c in table.columns)
    names = (c.name for c in table.columns)
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    statement = postgresql.insert(table).from_select(list(table.columns), select(rows))
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={c.name: statement.excluded[c.name] for c in table.columns if not c.primary_key},
    )
