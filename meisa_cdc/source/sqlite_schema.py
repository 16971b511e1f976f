"""SQLite: what its tables are like, by the statements that made them.

The statements are run once more on an empty database in memory, which is then asked: nobody knows
better than SQLite what they mean.
"""

import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

from meisa_cdc.source.dialects import SQLITE

SCHEMA = "select rowid, type, name, tbl_name, sql from main.sqlite_master order by rowid"
#: What `create table … as select` calls the affinities of columns -> a type that has the same.
AFFINITIES = {"INT": "integer", "TEXT": "text", "NUM": "numeric", "REAL": "real", "": "blob"}
BINARY = "BINARY"
PROBE = "create table meisa_probe as select * from {table}"
ROWID = "select {name} from {table}"
#: What a rowid is called, as long as no column is called so.
ROWIDS = ("rowid", "_rowid_", "oid")
#: A value that is the same whenever it is asked for.
LITERAL = re.compile(r"[+-]?\s*\d+(\.\d+)?|'([^']|'')*'")
#: Words of a trigger that may leave a row changed and later triggers unrun.
LEAVING = re.compile(r"\braise\b.*\b(ignore|fail)\b|\bor\s+fail\b", re.IGNORECASE | re.DOTALL)
#: What foreign keys do to rows of the tables that refer to others.
ACTIONS = ("CASCADE", "SET NULL", "SET DEFAULT")
#: How a trigger writes to a table, whose name follows.
WRITES = r"\b(?:update(?:\s+or\s+\w+)?|into|delete\s+from)\s+[\"`\[']?"
BEFORE = re.compile(r"\bbefore\s+(insert|update|delete)\b", re.IGNORECASE)
#: One part of a unique key: the column, its collation there, and what it holds where NULL is
#: written into it and REPLACE puts its default in place; "": NULL stays NULL.
Part: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of sqlite_master."""

    number: int
    kind: str
    name: str
    table: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that is written, not calculated."""

    #: As the table has it.
    name: str
    #: A type with the affinity of its own.
    type: str
    #: How its texts are compared, in capitals; "": nobody knows here.
    collation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A plain table."""

    name: str
    #: By their names in small letters.
    columns: dict[str, Column]
    #: What its rowid can be called; "": it has none, or nobody can call it.
    rowid: str
    #: The keys of which each is in one row at most, beside the rowid.
    unique: tuple[tuple[Part, ...], ...]
    #: Tables, in small letters, whose changes may change its rows by a foreign key.
    follows: frozenset[str] = frozenset()
    #: Why triggers cannot tell all that changes; "": they can.
    unfit: str = ""

    @property
    def quoted(self) -> str:
        """The name as SQL."""
        return SQLITE.quoted(self.name)


@dataclass(frozen=True, slots=True)
class Schema:
    """All that sqlite_master says at one moment."""

    entries: tuple[Entry, ...]
    _tables: dict[str, Table | None] = field(default_factory=dict)

    def named(self, kind: str, name: str) -> Entry | None:
        """Return what has that name and kind, whatever the case of its letters."""
        low = name.lower()
        found = (e for e in self.entries if e.kind == kind and e.name.lower() == low)
        return next(found, None)

    def table(self, name: str) -> Table | None:
        """Return a plain table; None where none is called so."""
        low = name.lower()
        if low not in self._tables:
            entry = self.named("table", name)
            plain = entry is not None and not low.startswith("sqlite_")
            self._tables[low] = self._read(entry) if entry is not None and plain else None
        return self._tables[low]

    def triggers_on(self, table: str) -> list[Entry]:
        """Return the triggers on a table."""
        low = table.lower()
        return [e for e in self.entries if e.kind == "trigger" and e.table.lower() == low]

    def _read(self, entry: Entry) -> Table | None:
        if _is_virtual(entry):
            return None
        found = self._alone(entry)
        return replace(found, unfit=found.unfit or self._foreign(entry, found))

    def _alone(self, entry: Entry) -> Table:
        """Return what a table is like, whatever else there is."""
        low = entry.name.lower()
        indexes = tuple(
            each.sql
            for each in self.entries
            if each.kind == "index" and each.table.lower() == low and each.sql
        )
        return _table(entry.name, entry.sql, indexes)

    def _foreign(self, entry: Entry, found: Table) -> str:
        """Return what else is in the way of triggers."""
        virtual = (e.name.lower() for e in self.entries if e.kind == "table" and _is_virtual(e))
        if any(entry.name.lower().startswith(f"{name}_") for name in virtual):
            return f"{entry.name} belongs to a virtual table"
        own = re.compile(rf"{WRITES}{re.escape(entry.name)}\b", re.IGNORECASE)
        for each in self.triggers_on(entry.name):
            if not _is_before(each) and LEAVING.search(each.sql):
                return f"the trigger {each.name} may keep other triggers from running"
            if _is_before(each) and found.unique and own.search(each.sql):
                return f"the trigger {each.name} may change rows before others are pushed out"
        return self._halfway(entry)

    def _halfway(self, entry: Entry) -> str:
        """Return what may keep a change whose consequences by foreign keys failed."""
        for child in self._children(entry.name.lower()):
            for each in self.triggers_on(child):
                if LEAVING.search(each.sql):
                    return f"the trigger {each.name} on {child} may end a change halfway"
        return ""

    def _children(self, table: str) -> set[str]:
        """Return the tables that foreign keys change along with a table, in small letters."""
        follows = {
            each.name.lower(): self._alone(each).follows
            for each in self.entries
            if each.kind == "table" and each.sql and not _is_virtual(each)
        }
        found: set[str] = set()
        reached = {table}
        while reached:
            reached = {name for name, of in follows.items() if of & reached} - found
            found |= reached
        return found


def schema_of(rows: Iterable[Sequence[object]]) -> Schema:
    """Return the schema that the rows of `SCHEMA` tell."""
    return Schema(tuple(_entry(*row) for row in rows))


def _entry(number: object, *texts: object) -> Entry:
    kind, name, table, sql = (str(each or "") for each in texts)
    return Entry(int(str(number)), kind, name, table, sql)


def _is_before(trigger: Entry) -> bool:
    head = re.split(r"\bbegin\b", trigger.sql, maxsplit=1, flags=re.IGNORECASE)[0]
    return BEFORE.search(head) is not None


def _is_virtual(entry: Entry) -> bool:
    return entry.sql.lower().startswith("create virtual")


@lru_cache(maxsize=500)
def _table(name: str, sql: str, indexes: tuple[str, ...]) -> Table:
    """Return what a table is like; `indexes`: the statements that made them."""
    try:
        with closing(sqlite3.connect(":memory:")) as memory:
            memory.execute(sql)
            columns = {each.name.lower(): each for each in _columns(memory, name)}
            unique, unfit = _unique(memory, name, indexes)
            rowid = _rowid(memory, name)
            follows = frozenset(_followed(memory, name))
    except sqlite3.Error as error:
        return Table(
            name=name,
            columns={},
            rowid="",
            unique=(),
            unfit=f"{name} is made by a statement that cannot be looked at alone: {error}",
        )
    if any(each.startswith("meisa_") for each in columns):
        unfit = f"{name} has columns that begin with meisa_"
    if not all(each.isascii() for each in (name, *columns)):
        # Which letters are one and the same is another matter there.
        unfit = f"{name} has names with letters beyond ASCII"
    return Table(
        name=name, columns=columns, rowid=rowid, unique=tuple(unique), follows=follows, unfit=unfit
    )


def _columns(memory: sqlite3.Connection, table: str) -> Iterator[Column]:
    quoted = SQLITE.quoted(table)
    memory.execute(PROBE.format(table=quoted))
    declared = dict(memory.execute("select name, type from pragma_table_info('meisa_probe')"))
    for name, hidden in memory.execute(
        "select name, hidden from pragma_table_xinfo(?)", [table]
    ).fetchall():
        if hidden:
            continue
        try:
            memory.execute(f"create index meisa_index on {quoted} ({SQLITE.quoted(name)})")
            (collation,) = memory.execute(
                "select coll from pragma_index_xinfo('meisa_index') where seqno = 0"
            ).fetchone()
            memory.execute("drop index meisa_index")
        except sqlite3.OperationalError:
            # A collation that the app brings along.
            collation = ""
        yield Column(
            name=name, type=AFFINITIES.get(declared[name], "blob"), collation=collation.upper()
        )


def _rowid(memory: sqlite3.Connection, table: str) -> str:
    names = {
        name.lower()
        for (name,) in memory.execute("select name from pragma_table_xinfo(?)", [table])
    }
    for each in ROWIDS:
        if each not in names:
            try:
                memory.execute(ROWID.format(name=each, table=SQLITE.quoted(table)))
            except sqlite3.OperationalError:
                return ""
            return each
    return ""


def _followed(memory: sqlite3.Connection, table: str) -> Iterator[str]:
    """Yield the tables whose changes change this one's rows by a foreign key."""
    keys = 'select "table", on_update, on_delete from pragma_foreign_key_list(?)'
    for parent, *actions in memory.execute(keys, [table]):
        if set(actions) & set(ACTIONS):
            yield str(parent).lower()


def _unique(
    memory: sqlite3.Connection, table: str, indexes: Collection[str]
) -> tuple[list[tuple[Part, ...]], str]:
    """Return the unique keys, and why not all of them can be followed."""
    for sql in indexes:
        if sql.lower().startswith("create unique"):
            memory.execute(sql)
    defaults = {
        cid: (default or "", bool(hidden))
        for cid, default, hidden, forced in memory.execute(
            'select cid, dflt_value, hidden, "notnull" from pragma_table_xinfo(?)', [table]
        )
        if (forced and default is not None) or hidden
    }
    found: list[tuple[Part, ...]] = []
    for name, partial in memory.execute(
        'select name, partial from pragma_index_list(?) where "unique"', [table]
    ).fetchall():
        if partial:
            return [], f"{table} has a unique index on a part of its rows, {name}"
        parts: list[Part] = []
        for cid, column, collation in memory.execute(
            "select cid, name, coll from pragma_index_xinfo(?) where key", [name]
        ):
            default, calculated = defaults.get(cid, ("", False))
            if column is None or calculated:
                return [], f"{table} has a unique index on what is calculated, {name}"
            if default and not LITERAL.fullmatch(default):
                return [], f"{table} has a unique key with a default that is calculated, {column}"
            parts.append((column, collation, default))
        found.append(tuple(parts))
    return found, ""
