"""SQLite: what its schema says of the tables and functions that a query names."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache

from meisa_cdc.source.affected.answers import Catalogue, Shape
from meisa_cdc.source.dialects import SQLITE
from meisa_cdc.source.sqlite_schema import BINARY, Schema, Table
from meisa_cdc.source.sqlite_triggers import changes_of
from meisa_cdc.source.trigger_names import Names

#: Names of functions that make one value of one row, and are nothing else beside.
ROWWISE = """
select name from pragma_function_list group by name having min(type) = 's' and max(type) = 's'
"""


def catalogue_of(schema: Schema, log: str, tables: Sequence[str]) -> Catalogue:
    """Return what the schema says of names, which have points but no quotes in them.

    `log`: what the log of changed rows is called, whether or not it is there.
    """
    names = Names(name=log)
    found = {name: schema.table(name.lower().removeprefix("main.")) for name in tables}
    return Catalogue(
        tables={
            name: _shape(table, names)
            for name, table in found.items()
            if table is not None and table.columns
        },
        rowwise=_rowwise(),
    )


def _shape(table: Table, names: Names) -> Shape:
    opaque = frozenset(name for name, column in table.columns.items() if column.collation != BINARY)
    # 1 and 1.0 are equal, but where a column has both made the same.
    several = {name for name, column in table.columns.items() if column.type == "blob"}
    return Shape(
        name=table.quoted,
        columns={name: column.type for name, column in table.columns.items()},
        loose=opaque | several,
        spelled=opaque | several,
        opaque=opaque,
        kept=SQLITE.quoted(changes_of(names, table.name)),
    )


@cache
def _rowwise() -> frozenset[str]:
    with closing(sqlite3.connect(":memory:")) as memory:
        return frozenset(str(name).lower() for (name,) in memory.execute(ROWWISE))
