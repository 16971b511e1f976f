"""MySQL and MariaDB: how mappings are read; rows are streamed."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL

from meisa_cdc.core.errors import MappingFailed
from meisa_cdc.core.mapping import Column
from meisa_cdc.source.affected.answers import Catalogue
from meisa_cdc.source.affected.imaging import NUMBERED as PLACE
from meisa_cdc.source.changelog import ChangeLog
from meisa_cdc.source.mysql_catalogue import MysqlCatalogue, follows
from meisa_cdc.source.mysql_hashing import MysqlHashing, Shape
from meisa_cdc.source.mysql_transaction import MySqlTransaction, code_of, said
from meisa_cdc.source.mysql_trigger_log import log_before
from meisa_cdc.source.mysql_types import family
from meisa_cdc.source.restricting import AS_ONE, Way
from meisa_cdc.source.session import BATCH, Rows
from meisa_cdc.source.statements import Approved, Dress, Statement, around, check_literal

#: The server's own limit, as a multiple of the mapping's: it counts the time that we need, too.
SLACK = 60
#: Bytes of a packet that are not the statement's.
PACKET = 1_024
TIMED_OUT = frozenset({1317, 1969, 3024})
LOCKED = frozenset({1205, 1213})
NO_RIGHT = frozenset({1044, 1142, 1143, 1370})


class MysqlSession:
    """Reads mappings in one transaction, one after the other."""

    def __init__(self, url: URL, log: str) -> None:
        self.log: ChangeLog | None = None

        def look(transaction: MySqlTransaction) -> None:
            self.log = log_before(transaction, url, log)

        # First: it refuses where there is no driver to import from.
        self._transaction = MySqlTransaction(url, before=look)
        from pymysql.cursors import SSCursor

        self._connection = self._transaction.connection
        self._streaming = SSCursor
        # Never runs anything: it knows how values are written on this connection.
        self._writer = self._connection.cursor()
        self._shapes: dict[tuple[str, str], Shape] = {}
        #: What the statement at hand is for.
        self._mapping = ""
        self.hashing = MysqlHashing(self, self._transaction.version)
        self._catalogue = MysqlCatalogue(self._transaction.execute)
        self.tracing = self if follows(self._transaction) else None

    @contextmanager
    def statement(self, mapping: str, timeout: float) -> Iterator[None]:
        """Enclose what is done for one mapping; an error in it does not end the transaction."""
        self._transaction.timeout, self._mapping = timeout, mapping
        try:
            self._transaction.execute(self._limit(timeout))
            yield
        except self._transaction.errors as error:
            raise self._translated(error, mapping) from None

    def _limit(self, timeout: float) -> str:
        if self._transaction.maria:
            return f"set session max_statement_time = {timeout * SLACK:.3f}"
        return f"set session max_execution_time = {max(1, round(timeout * SLACK * 1000))}"

    def _translated(self, error: Exception, mapping: str) -> Exception:
        lost = self._transaction.lost(error)
        if lost is not None:
            return lost
        code = code_of(error)
        if code in TIMED_OUT:
            return MappingFailed(
                f"the query took longer than {self._transaction.timeout:g} s",
                mapping=mapping,
                hint="Make it faster, or raise timeout in its config.",
            )
        hint = "It is read again next time." if code in LOCKED else ""
        if code in NO_RIGHT:
            hint = "Grant select on it to the user of app_database.url."
        return MappingFailed(said(error), mapping=mapping, hint=hint)

    def check(self, approved: Approved) -> None:
        """Inspect the text with the values in it, as it will run."""
        check_literal(approved, self._literal, None)

    def _literal(self, value: object) -> str:
        return str(self._writer.mogrify("%s", (value,)))

    def _text(self, approved: Approved, keys: Sequence[str] | None = None) -> str:
        return approved.written(self._literal, keys).text

    def describe(self, approved: Approved) -> list[Column]:
        """Return the columns; the server sees that no row is wanted and reads none."""
        with self._transaction.limit(), self._connection.cursor() as cursor:
            cursor.execute(around(self._text(approved), "limit 0"))
            columns = cursor.description
        # Type, length, precision, scale: as text they tell two types apart.
        self._shapes[_identity(approved)] = [(each[0], str(each[1:6])) for each in columns]
        return [Column(name=each[0], type=family(each[1])) for each in columns]

    def shape(self, approved: Approved) -> Shape:
        """Return the names and types of what a query yields."""
        if _identity(approved) not in self._shapes:
            self.describe(approved)
        return self._shapes[_identity(approved)]

    def answer(self, approved: Approved, dress: Dress) -> Sequence[tuple[Any, ...]]:
        """Return a whole answer at once."""
        return self._transaction.execute(dress(self._text(approved), self._literal))

    def rows(
        self, approved: Approved, keys: Sequence[str] | None, dress: Dress | None = None
    ) -> Rows:
        """Yield batches of rows."""
        if keys is not None:
            check_literal(approved, self._literal, keys[:1])
        cursor = self._connection.cursor(self._streaming)
        try:
            with self._transaction.limit():
                text = self._text(approved, keys)
                cursor.execute(text if dress is None else dress(text, self._literal))
            while batch := self._fetched(cursor):
                yield batch
        finally:
            self._transaction.end(cursor)

    def _fetched(self, cursor: Any) -> list[tuple[Any, ...]]:
        with self._transaction.limit():
            return list(cursor.fetchmany(BATCH))

    def catalogue(self, tables: Sequence[str], functions: Sequence[str]) -> Catalogue:
        """Return what the database says of names in a query."""
        return self._catalogue.catalogue(tables, functions)

    def answers(self, statement: Statement) -> Rows:
        """Yield batches of the rows of a query of ours; only inside `statement`."""

        def value(place: re.Match[str]) -> str:
            found = statement.values[int(place[1]) - 1]
            return self._literal(json.dumps(found) if isinstance(found, list) else found)

        text = PLACE.sub(value, statement.text)
        if len(text.encode()) + PACKET > self._transaction.longest:
            # The server would hang up, and the snapshot be lost.
            longest = f"{self._transaction.longest:,} bytes"
            raise MappingFailed(
                f"what changed does not fit into a statement of max_allowed_packet, {longest}",
                mapping=self._mapping,
                hint="All rows are read instead.",
            )
        yield list(self._transaction.streamed(text, BATCH))

    def way(self, _approved: Approved, _keys: Sequence[str], _chunks: int) -> Way:
        """Return the one way there is."""
        return AS_ONE

    def explain(self, approved: Approved) -> str:
        """Return how each table is read."""
        with self._transaction.limit(), self._connection.cursor() as cursor:
            cursor.execute(f"explain {self._text(approved)}")
            names = [each[0] for each in cursor.description]
            steps = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return "; ".join(
            f"{step['table']}: {step['type']}, key {step['key']}, {step['rows']} rows"
            for step in steps
        )

    def finish(self) -> None:
        """End the transaction."""
        self._transaction.finish()

    def close(self) -> None:
        """Throw the connection away."""
        self._transaction.close()


def _identity(approved: Approved) -> tuple[str, str]:
    return approved.mapping.name, approved.mapping.digest
