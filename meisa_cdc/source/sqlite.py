"""SQLite: a file opened read-only, an authorizer that lets nothing but reading through."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any, Self

from sqlalchemy import URL

from meisa_cdc.core.errors import MappingError, MappingFailed, SourceUnavailable
from meisa_cdc.core.mapping import Column
from meisa_cdc.source.affected.answers import Catalogue
from meisa_cdc.source.forbidden import forbidden_function
from meisa_cdc.source.restricting import AS_ONE, Way
from meisa_cdc.source.session import BATCH, Rows
from meisa_cdc.source.sqlite_catalogue import catalogue_of
from meisa_cdc.source.sqlite_file import connect, path_of, unavailable
from meisa_cdc.source.sqlite_schema import SCHEMA, Schema, schema_of
from meisa_cdc.source.sqlite_trigger_log import SqliteTriggerLog
from meisa_cdc.source.statements import Approved, Dress, Statement, around
from meisa_cdc.source.unreadable import text_or_unreadable
from meisa_cdc.source.watchdog import Watchdog

#: Steps of SQLite's machine between two looks at the time limit.
STEPS = 10_000
#: Bytes of one value; also stops functions that make values out of nothing.
LARGEST_VALUE = 64 * 1024 * 1024
#: The tables of JSON elements are set up on first use, which looks like writing.
WARM_UP = "select 1 from json_each('[]') union all select 1 from json_tree('[]')"
READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
BROKEN = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
    }
)


class SqliteSession:
    """One read transaction on a file that is open for reading alone."""

    #: To add up rows would take SQLite as long as we need to read them.
    hashing = None

    def __init__(self, url: URL, log: str) -> None:
        self._path = path_of(url)
        self._log_name = log
        self._schema: Schema | None = None
        self._log: SqliteTriggerLog | None = None
        self._connection = connect(url)
        self._expired = Event()
        self._denied = ""
        self._timeout = 0.0
        self._broken: SourceUnavailable | None = None
        # SQLite looks at the mark by itself, so there is no second step and no grace.
        self._watchdog = Watchdog(self._expired.set, grace=0.0)
        self._begin()

    def _begin(self) -> None:
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        self._connection.text_factory = text_or_unreadable
        self._connection.execute("begin")
        # A transaction has its snapshot from its first read on.
        self._connection.execute("select count(*) from sqlite_master").fetchone()
        self._connection.execute(WARM_UP).fetchall()
        ((self._cookie,),) = self._connection.execute("pragma schema_version")
        self._connection.set_progress_handler(self._expired.is_set, STEPS)
        self._connection.set_authorizer(self._authorize)

    def _authorize(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action in READING:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            if not forbidden_function("sqlite", [second or ""]):
                return sqlite3.SQLITE_OK
            self._denied = f"the function {second}"
        elif action == sqlite3.SQLITE_PRAGMA:
            self._denied = f"PRAGMA {first}"
        else:
            self._denied = "anything but reading plain tables"
        return sqlite3.SQLITE_DENY

    @contextmanager
    def statement(self, mapping: str, timeout: float) -> Iterator[None]:
        """Enclose what is done for one mapping."""
        self._timeout = timeout
        self._expired.clear()
        self._denied = ""
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error, mapping) from None

    def _translated(self, error: sqlite3.Error, mapping: str) -> Exception:
        if self._denied:
            return MappingError(f"{self._denied} is not allowed", mapping=mapping)
        if self._expired.is_set():
            return MappingFailed(
                f"the query took longer than {self._timeout:g} s",
                mapping=mapping,
                hint="Make it faster, or raise timeout in its config.",
            )
        # Extended codes keep the kind in their lowest byte.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in BROKEN:
            self._broken = unavailable(error, self._path)
            return self._broken
        return MappingFailed(str(error), mapping=mapping)

    def check(self, approved: Approved) -> None:
        """Do nothing: the authorizer sees what the text does not show."""

    def describe(self, approved: Approved) -> list[Column]:
        """Return the column names; SQLite has no types of results."""
        whole = approved.statement()
        cursor = self._executed(Statement(text=around(whole.text, "limit 0"), values=whole.values))
        return [Column(name=name) for name in _original(cursor)]

    def rows(
        self, approved: Approved, keys: Sequence[str] | None, dress: Dress | None = None
    ) -> Rows:
        """Yield batches of rows."""
        yield from self._batches(self._executed(approved.statement(keys, dress=dress)))

    def _batches(self, cursor: sqlite3.Cursor) -> Rows:
        try:
            while batch := self._fetched(cursor):
                yield batch
        finally:
            cursor.close()

    def _executed(self, statement: Statement) -> sqlite3.Cursor:
        with self._watchdog.limit(self._timeout):
            return self._connection.execute(statement.text, statement.values)

    def _fetched(self, cursor: sqlite3.Cursor) -> list[tuple[object, ...]]:
        with self._watchdog.limit(self._timeout):
            return cursor.fetchmany(BATCH)

    @property
    def tracing(self) -> Self:
        """How changed rows are followed."""
        return self

    @property
    def log(self) -> SqliteTriggerLog | None:
        """What triggers wrote of changed rows; None where nobody set any up."""
        if self._log is None:
            self._log = SqliteTriggerLog(
                execute=lambda text, values: self._all(Statement(text=text, values=[*values])),
                schema=self.schema,
                cookie=self._cookie,
                name=self._log_name,
            )
        return self._log if self._log.exists() else None

    @property
    def schema(self) -> Schema:
        """What the tables are like."""
        if self._schema is None:
            self._schema = schema_of(self._all(Statement(text=SCHEMA, values=[])))
        return self._schema

    def catalogue(self, tables: Sequence[str], _functions: Sequence[str]) -> Catalogue:
        """Return what the schema says of names in a query."""
        return catalogue_of(self.schema, self._log_name, tables)

    def answers(self, statement: Statement) -> Rows:
        """Yield batches of the rows of a query of ours."""
        yield from self._batches(self._executed(statement))

    def _all(self, statement: Statement) -> list[Sequence[Any]]:
        return [row for batch in self.answers(statement) for row in batch]

    def way(self, _approved: Approved, _keys: Sequence[str], _chunks: int) -> Way:
        """Return the one way there is."""
        return AS_ONE

    def explain(self, approved: Approved) -> str:
        """Return SQLite's plan."""
        whole = approved.statement()
        plan = self._executed(
            Statement(text=f"explain query plan {whole.text}", values=whole.values)
        )
        return "; ".join(str(row[3]) for row in plan)

    def finish(self) -> None:
        """End the transaction."""
        if self._broken is not None:
            raise self._broken
        try:
            self._connection.set_authorizer(None)
            self._connection.execute("commit")
        except sqlite3.Error as error:
            raise unavailable(error, self._path) from None

    def close(self) -> None:
        """Throw the connection away."""
        self._connection.close()


def _original(cursor: sqlite3.Cursor) -> list[str]:
    """Return the names as the query has them: a subquery's second `id` comes out as `id:1`."""
    names: list[str] = []
    for name, *_ in cursor.description:
        base, colon, count = name.rpartition(":")
        names.append(base if colon and count.isdecimal() and base in names else name)
    return names
