"""Postgres: how mappings are read, by a cursor and behind a savepoint each."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from sqlalchemy import URL

from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.core.errors import MappingError, MappingFailed
from meisa_cdc.core.mapping import Column
from meisa_cdc.source.affected.answers import Catalogue
from meisa_cdc.source.changelog import ChangeLog
from meisa_cdc.source.forbidden import HARMLESS
from meisa_cdc.source.postgres_catalogue import catalogue_of
from meisa_cdc.source.postgres_hashing import PostgresHashing, Shape
from meisa_cdc.source.postgres_transaction import (
    APPLICATION,
    SET_LOCAL,
    PostgresTransaction,
    first_line,
)
from meisa_cdc.source.postgres_trigger_log import PostgresTriggerLog
from meisa_cdc.source.postgres_types import TypesOfResults
from meisa_cdc.source.restricting import AS_ONE, Way, cheapest, statement as restricted
from meisa_cdc.source.session import BATCH, Rows
from meisa_cdc.source.slot import SlotLog
from meisa_cdc.source.statements import Approved, Dress, Statement, check

CURSOR = "meisa_mapping"
#: Seconds to wait for a lock that a schema change holds.
LOCK_TIMEOUT = 10.0
VOLATILE = """
select distinct p.proname::text from pg_catalog.pg_proc p
where p.proname = any($1) and p.provolatile = 'v'
"""
TYPE = "select pg_catalog.format_type($1::oid, null)"
JIT = "select pg_catalog.current_setting('jit')"
#: What the server says of keys that the type of the key's column cannot hold.
UNCASTABLE = (
    errors.InvalidTextRepresentation,
    errors.NumericValueOutOfRange,
    errors.UndefinedFunction,
)


class PostgresSession:
    """Reads mappings in one transaction, each behind a savepoint of its own."""

    def __init__(self, url: URL, log: str) -> None:
        self._transaction = PostgresTransaction(url)
        self._url, self._log_name = url, log
        self._connection = self._transaction.connection
        self._types = TypesOfResults(self._connection)
        self._shapes: dict[tuple[str, str], Shape] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        self.hashing = PostgresHashing(self, self._connection.info.server_version)
        self.tracing = self

    @cached_property
    def log(self) -> ChangeLog | None:
        """The slot, where there is one; otherwise what triggers write."""
        kinds: tuple[type[SlotLog | PostgresTriggerLog], ...] = (SlotLog, PostgresTriggerLog)
        logs = (
            kind(transaction=self._transaction, url=self._url, name=self._log_name)
            for kind in kinds
        )
        with self._transaction.asking():
            return next((log for log in logs if log.exists()), None)

    @contextmanager
    def statement(self, mapping: str, timeout: float) -> Iterator[None]:
        """Enclose what is done for one mapping in a savepoint with its limits."""
        self._transaction.timeout = timeout
        try:
            self._transaction.execute("savepoint meisa_mapping")
            self._transaction.execute(SET_LOCAL, self._limits(mapping))
            try:
                yield
            except BaseException:
                self._roll_back()
                raise
            self._transaction.execute("release savepoint meisa_mapping")
        except psycopg.Error as error:
            raise self._translated(error, mapping) from None

    def _limits(self, mapping: str) -> list[list[str]]:
        timeout = self._transaction.timeout
        limits = {
            "application_name": f"{APPLICATION} {mapping}"[:63],
            "statement_timeout": _milliseconds(timeout),
            "lock_timeout": _milliseconds(min(timeout / 2, LOCK_TIMEOUT)),
        }
        return [list(limits), list(limits.values())]

    def _roll_back(self) -> None:
        usable = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        if self._connection.info.transaction_status in usable:
            self._transaction.execute("rollback to savepoint meisa_mapping")
            self._transaction.execute("release savepoint meisa_mapping")

    def _translated(self, error: psycopg.Error, mapping: str) -> Exception:
        lost = self._transaction.lost(error)
        if lost is not None:
            return lost
        if isinstance(error, errors.QueryCanceled):
            return MappingFailed(
                f"the query took longer than {self._transaction.timeout:g} s",
                mapping=mapping,
                hint="Make it faster, or raise timeout in its config.",
            )
        if isinstance(error, errors.LockNotAvailable):
            return MappingFailed(
                "a table is locked", mapping=mapping, hint="It is read again next time."
            )
        return MappingFailed(first_line(error), mapping=mapping, hint=_hint(error))

    def check(self, approved: Approved) -> None:
        """Refuse functions that may change something, by what the catalogue says of them."""
        suspects = set(approved.functions) - HARMLESS
        for (name,) in sorted(self._transaction.execute(VOLATILE, [sorted(suspects)])):
            raise MappingError(
                f"the function {name} is volatile: it may change something",
                mapping=approved.mapping.name,
                line=approved.functions[name],
                hint="Declare it stable or immutable if it only reads.",
            )

    def describe(self, approved: Approved) -> list[Column]:
        """Return the columns: to declare a cursor plans the query and reads nothing."""
        cursor = self._opened(approved.statement())
        described = cursor.description or []
        cursor.close()
        families = self._types.families([column.type_code for column in described])
        names = [self._types.name_of(column) for column in described]
        oids = [column.type_code for column in described]
        self._shapes[_identity(approved)] = list(zip(names, oids, strict=True))
        return [
            Column(name=name, type=family) for name, family in zip(names, families, strict=True)
        ]

    def shape(self, approved: Approved) -> Shape:
        """Return the names and types of what a query yields."""
        if _identity(approved) not in self._shapes:
            self.describe(approved)
        return self._shapes[_identity(approved)]

    def answer(self, approved: Approved, dress: Dress) -> Sequence[tuple[Any, ...]]:
        """Return a whole answer at once: behind a cursor, Postgres would work on it alone."""
        statement = approved.statement(dress=dress)
        return self._transaction.execute(statement.text, statement.values)

    def rows(
        self, approved: Approved, keys: Sequence[str] | None, dress: Dress | None = None
    ) -> Rows:
        """Yield batches of rows; keys that the key's type cannot hold are compared as text."""
        yield from self._batches(self._cursor_for(approved, keys, dress))

    def answers(self, statement: Statement) -> Rows:
        """Yield batches of the rows of a query of ours; only inside `statement`.

        They are quick, and look so costly to the planner that it would compile them first.
        """
        ((before,),) = self._transaction.execute(JIT)
        self._transaction.execute(SET_LOCAL, [["jit"], ["off"]])
        yield from self._batches(self._opened(statement))
        # Not in case of an error: the savepoint undoes it then.
        self._transaction.execute(SET_LOCAL, [["jit"], [before]])

    def _batches(self, cursor: "psycopg.RawServerCursor[Any]") -> Rows:
        try:
            while batch := self._fetched(cursor):
                yield batch
        finally:
            cursor.close()

    def catalogue(self, tables: Sequence[str], functions: Sequence[str]) -> Catalogue:
        """Return what the database says of names in a query."""
        return catalogue_of(self._transaction.execute, tables, functions)

    def _cursor_for(
        self, approved: Approved, keys: Sequence[str] | None, dress: Dress | None
    ) -> "psycopg.RawServerCursor[Any]":
        if keys is None:
            return self._opened(approved.statement(dress=dress))
        self._transaction.execute("savepoint meisa_keys")
        way = self._ways.get(_identity(approved), AS_ONE)
        try:
            cursor = self._opened(restricted(approved, keys, way, dress))
        except UNCASTABLE:
            self._transaction.execute("rollback to savepoint meisa_keys")
            check(approved, keys[:1], outside=True)
            return self._opened(approved.statement(keys, outside=True, dress=dress))
        return cursor

    def _opened(self, statement: Statement) -> "psycopg.RawServerCursor[Any]":
        cursor = self._declared(statement)
        if self._types.learn([column.type_code for column in cursor.description or []]):
            # A cursor reads with the loaders that were there when it was made.
            cursor.close()
            cursor = self._declared(statement)
        return cursor

    def _declared(self, statement: Statement) -> "psycopg.RawServerCursor[Any]":
        cursor = psycopg.RawServerCursor(self._connection, CURSOR, scrollable=False)
        try:
            with self._transaction.limit():
                cursor.execute(statement.text.encode(), statement.values)
        except psycopg.Error:
            cursor.close()
            raise
        return cursor

    def _fetched(self, cursor: "psycopg.RawServerCursor[Any]") -> list[tuple[Any, ...]]:
        with self._transaction.limit():
            return cursor.fetchmany(BATCH)

    def way(self, approved: Approved, keys: Sequence[str], chunks: int) -> Way:
        """Return how so many chunks of contacts like these are read at the least cost."""
        if approved.query.restrictable:
            return AS_ONE
        oid = dict(self.shape(approved))[KEY_COLUMN]
        kind = str(self._transaction.execute(TYPE, [oid])[0][0])
        way = cheapest(approved, keys, chunks, kind=kind, cost=self._cost)
        self._ways[_identity(approved)] = way
        return way

    def _cost(self, statement: Statement) -> float | None:
        """Return what the planner expects; None: it refuses the statement."""
        self._transaction.execute("savepoint meisa_cost")
        try:
            text = f"explain (format json) {statement.text}"
            ((plan,),) = self._transaction.execute(text, statement.values)
        except psycopg.Error as error:
            if self._transaction.lost(error) is not None:
                raise
            plan = None
        self._transaction.execute("rollback to savepoint meisa_cost")
        return None if plan is None else float(_parsed(plan)[0]["Plan"]["Total Cost"])

    def explain(self, approved: Approved) -> str:
        """Return the top of the plan, with Postgres's own estimates."""
        whole = approved.statement()
        return str(self._transaction.execute(f"explain {whole.text}", whole.values)[0][0]).strip()

    def finish(self) -> None:
        """End the transaction."""
        self._transaction.finish()

    def close(self) -> None:
        """Throw the connection away."""
        self._transaction.close()


def _parsed(plan: Any) -> Any:
    return json.loads(plan) if isinstance(plan, str | bytes) else plan


def _identity(approved: Approved) -> tuple[str, str]:
    return approved.mapping.name, approved.mapping.digest


def _milliseconds(seconds: float) -> str:
    # Zero would mean no limit at all.
    return f"{max(1, round(seconds * 1000))}ms"


def _hint(error: psycopg.Error) -> str:
    if isinstance(error, errors.InsufficientPrivilege):
        return "Grant select on it to the role of app_database.url."
    return error.diag.message_hint or ""
