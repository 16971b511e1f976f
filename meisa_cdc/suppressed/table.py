"""The app's suppression table: made equal to a pulled list, and read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select

from meisa_cdc.core.attempt import Standing
from meisa_cdc.core.errors import SuppressionFailed
from meisa_cdc.core.keys import email_key
from meisa_cdc.core.suppression import Decision, decide
from meisa_cdc.ports import SuppressionList, SuppressionResult
from meisa_cdc.suppressed.database import Database, is_refusal
from meisa_cdc.suppressed.records import Suppressed, SuppressionEvent, SuppressionStatus
from meisa_cdc.suppressed.rights import ddl, may_create, touch
from meisa_cdc.suppressed.schema import tables_named

TABLE = "meisa_suppressed_emails"
LOCK_TIMEOUT = 5.0
#: Rows read at a time.
READ = 10_000
#: Rows written by one statement.
WRITE = 1_000


class SuppressedTable:
    """The table, its status and its history, in the database of `url`.

    `table` may be `schema.table`. Each call opens a connection of its own and closes it; one
    that writes waits `lock_timeout` seconds for locks of others. Raises SettingsError where
    the address or the name cannot be used.
    """

    def __init__(self, url: str, table: str = TABLE, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self._database = Database(url, lock_timeout=lock_timeout)
        self._tables = tables_named(table, self._database.dialect.name)

    def __repr__(self) -> str:
        return f"SuppressedTable({self._database.url!r}, {self._tables.emails.fullname!r})"

    def replace(
        self, pulled: SuppressionList, *, now: float, max_release: float, approve: str = ""
    ) -> SuppressionResult:
        """Make the table equal the list in one transaction, held releases aside.

        Readers see the old list or the new one. Only rows that change are written, beside the
        status. Raises SuppressionFailed; the table then keeps its contents.
        """
        with self._writing() as connection:
            self._create(connection)
            known = self._known(connection)
            decision = decide(known, pulled.emails, max_release=max_release, approve=approve)
            self._release(connection, decision.released, now)
            self._suppress(connection, decision.added, now, pulled.as_of)
            self._refresh(connection, decision.count, now, pulled.as_of)
        return _result(decision, pulled)

    def standing(self, emails: Sequence[str]) -> Standing:
        """Return which of these addresses must not be e-mailed, and how old the list is.

        Raises SuppressionFailed where the table cannot be read.
        """
        status = self.status()
        if status is None:
            return Standing(as_of=None)
        column = self._tables.emails.c.email
        asked = sorted(
            {spelling for each in emails for spelling in (email_key(each), each.lower())}
        )
        found = {
            row.email
            for some in _batches(asked)
            for row in self._rows(select(column).where(column.in_(some)))
        }
        return Standing(
            # Whichever is older: their clock and ours need not agree.
            as_of=min(status.as_of, status.pulled_at),
            suppressed=frozenset(email_key(email) for email in found),
        )

    def status(self) -> SuppressionStatus | None:
        """Return how fresh the table is; None where no list was ever stored."""
        for as_of, pulled_at, count in self._rows(select(self._tables.status)):
            return SuppressionStatus(as_of=as_of, pulled_at=pulled_at, count=count)
        return None

    def addresses(self) -> Iterator[Suppressed]:
        """Yield every suppressed address, in order."""
        emails = self._tables.emails
        for row in self._rows(select(emails).order_by(emails.c.email)):
            yield Suppressed(email=row.email, suppressed_at=row.suppressed_at, as_of=row.as_of)

    def history(self, email: str = "") -> Iterator[SuppressionEvent]:
        """Yield what came and went, newest first; of one address where it is given."""
        events = self._tables.events
        query = select(events).order_by(events.c.id.desc())
        if email:
            query = query.where(events.c.email == email.strip().lower())
        for row in self._rows(query):
            yield SuppressionEvent(id=row.id, email=row.email, event=row.event, at=row.at)

    def ddl(self) -> str:
        """Return the statements that create the tables and grant the rights a pull needs."""
        return ddl(self._tables, self._database.dialect, self._database.url.username)

    def problem(self) -> str | None:
        """Return why a pull could not write the table, and what to run; None where it could.

        Changes nothing.
        """
        try:
            with self._writing() as connection:
                missing = self._tables.missing(connection)
                for table in self._tables.all:
                    if table not in missing:
                        touch(table, connection)
                may = not missing or may_create(self._tables, connection)
        except SuppressionFailed as error:
            return str(error)
        names = ", ".join(each.fullname for each in missing)
        return None if may else f"{names} cannot be created. {self._instructions()}"

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._database.writing() as connection:
                yield connection
        except SuppressionFailed as error:
            if is_refusal(error.__cause__):
                raise SuppressionFailed(error.message, hint=self._instructions()) from error
            raise

    def _instructions(self) -> str:
        return f"Let somebody with the rights run:\n{self.ddl()}"

    def _rows(self, query: Select[Any]) -> Iterator[Row[*tuple[Any, ...]]]:
        with self._database.reading() as connection:
            if not self._tables.missing(connection):
                with connection.execute(query.execution_options(yield_per=READ)) as rows:
                    yield from rows

    def _create(self, connection: Connection) -> None:
        for table in self._tables.missing(connection):
            table.create(connection, checkfirst=False)

    def _known(self, connection: Connection) -> Iterator[str]:
        query = select(self._tables.emails.c.email).execution_options(yield_per=READ)
        with connection.execute(query) as rows:
            yield from (email for (email,) in rows)

    def _suppress(
        self, connection: Connection, added: Sequence[str], now: float, as_of: float
    ) -> None:
        for some in _batches(added):
            rows = [{"email": each, "suppressed_at": now, "as_of": as_of} for each in some]
            connection.execute(insert(self._tables.emails), rows)
        self._record(connection, added, "suppressed", now)

    def _release(self, connection: Connection, released: Sequence[str], now: float) -> None:
        emails = self._tables.emails
        for some in _batches(released):
            connection.execute(delete(emails).where(emails.c.email.in_(some)))
        self._record(connection, released, "released", now)

    def _record(
        self, connection: Connection, addresses: Sequence[str], event: str, now: float
    ) -> None:
        for some in _batches(addresses):
            rows = [{"email": each, "event": event, "at": now} for each in some]
            connection.execute(insert(self._tables.events), rows)

    def _refresh(self, connection: Connection, count: int, now: float, as_of: float) -> None:
        connection.execute(delete(self._tables.status))
        fresh = insert(self._tables.status).values(as_of=as_of, pulled_at=now, count=count)
        connection.execute(fresh)


def _batches(addresses: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(addresses), WRITE):
        yield addresses[start : start + WRITE]


def _result(decision: Decision, pulled: SuppressionList) -> SuppressionResult:
    return SuppressionResult(
        count=decision.count,
        added=len(decision.added),
        released=len(decision.released),
        held=decision.held,
        digest=decision.digest,
        as_of=pulled.as_of,
        malformed=pulled.malformed,
    )
