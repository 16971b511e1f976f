"""The app database: how it is reached, what its mappings come to, and its log of changed rows."""

from collections.abc import Collection, Iterator, Mapping as Dict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from meisa_cdc.core.captures import WATERMARK, Capture
from meisa_cdc.core.errors import MeisaCdcError
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.captures import capture_of
from meisa_cdc.source.changelog import Seen
from meisa_cdc.source.dialects import MYSQL, POSTGRESQL, SQLITE
from meisa_cdc.source.engines import app_url, dialect_of, place_of
from meisa_cdc.source.following import Derivations
from meisa_cdc.source.session import Session
from meisa_cdc.source.snapshot import DatabaseSnapshot
from meisa_cdc.source.statements import SAMPLE_KEYS, SAMPLE_TIME, Approved, approve, keys_alone
from meisa_cdc.source.trigger_names import Names

if TYPE_CHECKING:
    from sqlalchemy import URL

    from meisa_cdc.ports import Watch
    from meisa_cdc.source.catalogue import Table

#: Seconds that a query of a mapping may take, where nothing else is said.
STATEMENT_TIMEOUT = 60.0
#: What the log of changed rows is called, where nothing else is said.
LOG_NAME = "meisa_cdc"
#: Bytes that the log may keep on the server, where nothing else is said.
MAX_WAL = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """The statements of a mapping, for people to read."""

    #: The whole read.
    full: str
    #: The read for some keys.
    restricted: str
    #: The query for the keys of rows that changed lately; None where there is no watermark.
    changed: str | None
    #: Values bound in a full read, in order.
    values: tuple[object, ...]


class AppDatabase:
    """A Postgres, MySQL, MariaDB or SQLite database that is only ever read.

    `statement_timeout`: seconds that the database may take to answer a mapping's query, and
    again for every batch of rows; a mapping's own `timeout` goes first. `variables`: what
    `var()` knows; `log`: what the log of changed rows is called; `max_wal`: bytes that it may
    keep on the server. Raises SettingsError or SourceRefused for a URL that cannot be used.
    """

    def __init__(
        self,
        url: "str | URL",
        *,
        statement_timeout: float = STATEMENT_TIMEOUT,
        variables: Dict[str, object] | None = None,
        log: str = LOG_NAME,
        max_wal: int = MAX_WAL,
    ) -> None:
        self.url = app_url(url)
        #: What the log of changed rows is called.
        self.log = log
        #: Bytes that it may keep on the server.
        self.max_wal = max_wal
        self.dialect = dialect_of(self.url)
        self._timeout = statement_timeout
        self._variables = dict(variables or {})
        self._approved: dict[str, Approved] = {}
        self.derivations = Derivations()
        #: What the log told the last snapshot that asked it.
        self._seen: Seen | None = None
        #: The place up to which it was acknowledged last.
        self._acknowledged: int | None = None

    def __repr__(self) -> str:
        return f"AppDatabase({place_of(self.url)})"

    @contextmanager
    def snapshot(self) -> Iterator[DatabaseSnapshot]:
        """Open one snapshot; what was read counts only once the block has ended without error.

        Raises SourceUnavailable where it cannot be opened, was lost or not ended properly.
        """
        session = _open_session(self.url, self.log)
        view = DatabaseSnapshot(session, self)
        try:
            yield view
            view.end()
            session.finish()
            self._seen = view.seen or self._seen
        finally:
            session.close()
            # Of a reading that is still open, nobody wants to know how it ends any more.
            with suppress(MeisaCdcError):
                view.end()

    def approved(self, mapping: Mapping) -> Approved:
        """Return a mapping's query, rendered and inspected once. Raises MappingError."""
        found = self._approved.get(mapping.name)
        if found is None or found.mapping != mapping:
            found = approve(mapping, variables=self._variables, dialect=self.dialect)
            self._approved[mapping.name] = found
        return found

    def compiled(self, mapping: Mapping) -> Compiled:
        """Return the statements of a mapping, without asking the database."""
        approved = self.approved(mapping)
        whole = approved.statement()
        return Compiled(
            full=whole.text.strip(),
            restricted=approved.statement(SAMPLE_KEYS).text.strip(),
            changed=_changed(approved) if capture_of(approved).kind == WATERMARK else None,
            values=tuple(whole.values),
        )

    def capture_of(self, mapping: Mapping) -> Capture:
        """Return how a mapping's changes are found, as far as its file tells.

        Raises MappingError.
        """
        return capture_of(self.approved(mapping))

    def watch(self) -> "Watch":
        """Return what looks whether the log of changed rows has something new."""
        from meisa_cdc.source.watching import LogWatch

        if self.dialect is SQLITE:
            from meisa_cdc.source.sqlite_watching import SqliteWatch

            return SqliteWatch(self.url, self.log, lambda: self._acknowledged)
        if self.dialect is MYSQL:
            from meisa_cdc.source.mysql_watching import MysqlWatch

            return MysqlWatch(self.url, self.log)
        return LogWatch(self.url, self.log)

    def calculated_key(self, mapping: Mapping) -> str:
        """Return the expression that makes the key, where rows are restricted by it; else "".

        No index on a column helps there to read some contacts alone. Raises MappingError.
        """
        from meisa_cdc.source.affected.calculated import calculated_key

        approved = self.approved(mapping)
        if approved.query.restrictable:
            return ""
        return calculated_key(approved.statement().text, self.dialect.grammar)

    def acknowledge(self, upto: int) -> None:
        """Let the log of changed rows forget what lies before a place. Raises SourceUnavailable."""
        self._acknowledged = upto
        if self._seen is not None:
            self._seen.acknowledge(upto)
        elif self.dialect is POSTGRESQL:
            from meisa_cdc.source.slot import acknowledge

            # To cut off a slot, nobody needs to remember what was seen.
            acknowledge(self.url, self.log, upto)

    def protect(self) -> str | None:
        """Drop our log of changed rows where it keeps too much; return why, for people.

        Raises SourceUnavailable.
        """
        if self.dialect is not POSTGRESQL:
            return None
        from meisa_cdc.source.slot_guard import protect

        return protect(self.url, self.log, self.max_wal)

    def read_only_proof(self, *, ours: Collection[str] = ()) -> list[str]:
        """Return a line for everything that our role could change; empty: it can only read.

        `ours` are names of tables that it may write to. Raises SourceUnavailable.
        """
        from meisa_cdc.source.catalogue import write_rights

        log = Names(name=self.log)
        return write_rights(self.url, ours={*ours, log.changes, log.log, log.room, log.standing})

    def tables(self) -> "list[Table]":
        """Return the tables that are seen without naming a schema. Raises SourceUnavailable."""
        from meisa_cdc.source.catalogue import tables

        return tables(self.url)

    def timeout_of(self, mapping: Mapping) -> float:
        """Return the seconds that the mapping's query may take."""
        return self._timeout if mapping.timeout is None else mapping.timeout


def _changed(approved: Approved) -> str:
    dress = partial(keys_alone, dialect=approved.dialect)
    return approved.since(SAMPLE_TIME).statement(dress=dress).text


def _open_session(url: "URL", log: str) -> Session:
    dialect = dialect_of(url)
    if dialect is POSTGRESQL:
        from meisa_cdc.source.postgres import PostgresSession

        return PostgresSession(url, log)
    if dialect is MYSQL:
        from meisa_cdc.source.mysql import MysqlSession

        return MysqlSession(url, log)
    from meisa_cdc.source.sqlite import SqliteSession

    return SqliteSession(url, log)
