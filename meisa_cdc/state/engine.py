"""Connections to our state: settings of a session, short transactions, the fence."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, Row, create_engine, event, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool, StaticPool
from sqlalchemy.sql import Executable

from meisa_cdc.core.errors import LeaseLost, StateRefused
from meisa_cdc.state.failures import translated
from meisa_cdc.state.schema import ONLY, lease

#: Seconds a statement waits for someone else's lock.
LOCK_WAIT = 5
#: Seconds after which the server ends a transaction whose process was paused: it holds locks.
IDLE_LIMIT = 10
CONNECT_WAIT = 10
#: Threads that write requests and results, one that renews the lease, one that serves pages.
CONNECTIONS = 5
SPARE_CONNECTIONS = 15

AnyRow: TypeAlias = Row[*tuple[Any, ...]]

_LEVEL = "meisa_level"
_FENCE = (
    select(lease.c.fence)
    .where(lease.c.id == ONLY)
    # Locked until the commit: a take-over waits for it, a renewal does not.
    .with_for_update(read=True, key_share=True)
)


class Database:
    """Our state's database: reads of one statement, and short writes behind the fence."""

    def __init__(self, engine: Engine, *, place: str, read_only: bool = False) -> None:
        self.engine = engine
        #: How errors name the state; never a URL.
        self.place = place
        self.read_only = read_only
        #: The number of the lease that this process acquired last; None: it never had one.
        self.fence: int | None = None
        #: Whether it is a file rather than a server.
        self.sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer at a time: threads of ours queue here, not in its busy loop.
        self._turn: AbstractContextManager[object] = (
            threading.RLock() if self.sqlite else nullcontext()
        )

    def rows(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[AnyRow]:
        """Return all rows of one statement. Raises StateUnavailable or StateRefused."""
        with translated(self.place), self.engine.connect() as connection:
            return connection.execute(statement, parameters).all()

    def column(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """Return the first column of one statement. Raises StateUnavailable or StateRefused."""
        return [row[0] for row in self.rows(statement, parameters)]

    @contextmanager
    def write(self, *, durable: bool = False, fenced: bool = True) -> Iterator[Connection]:
        """Open one transaction; with `durable` its commit survives a loss of power as well.

        Unless it is not `fenced`, it goes on only while our lease, if we ever had one, is ours.
        Raises LeaseLost where another process has taken over, StateUnavailable or StateRefused.
        """
        if self.read_only:
            raise StateRefused(f"{self.place} was opened for reading only.")
        with translated(self.place), self._turn, self.engine.begin() as connection:
            if self.sqlite:
                _begin(connection, durable=durable)
            if fenced:
                self._check_fence(connection)
            yield connection

    def close(self) -> None:
        """Close every connection; the last one tidies up what belongs to a SQLite file."""
        self.engine.dispose()

    def _check_fence(self, connection: Connection) -> None:
        if self.fence is not None and connection.execute(_FENCE).scalar() != self.fence:
            raise LeaseLost(
                "Another process has taken over this state; this one writes nothing more."
            )


def file_engine(file: Path, mode: str) -> Engine:
    """Return the engine of a SQLite file that exists; `mode` is `rw`, `ro` or `immutable`."""
    # Never `rwc`: a file that vanishes while we run must not come back empty.
    how = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    connect = partial(
        sqlite3.connect,
        f"{file.absolute().as_uri()}?{how}",
        uri=True,
        timeout=LOCK_WAIT,
        isolation_level=None,
        check_same_thread=False,
    )
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=CONNECTIONS,
        max_overflow=SPARE_CONNECTIONS,
        hide_parameters=True,
    )
    # No listener of transactions: one alone makes each statement twice as expensive.
    event.listen(engine, "connect", _set_up_writer if mode == "rw" else _set_up_reader)
    return engine


def empty_engine() -> Engine:
    """Return the engine of a database in memory, for a state that does not exist yet."""
    return create_engine(
        "sqlite+pysqlite://",
        connect_args={"check_same_thread": False, "isolation_level": None},
        poolclass=StaticPool,
        hide_parameters=True,
    )


def server_engine(url: URL, *, read_only: bool) -> Engine:
    """Return the engine of a Postgres database."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": CONNECT_WAIT, "application_name": "meisa-cdc state"},
        pool_size=CONNECTIONS,
        max_overflow=SPARE_CONNECTIONS,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "connect", partial(_set_up_session, read_only=read_only))
    return engine


def _set_up_writer(connection: sqlite3.Connection, _: object) -> None:
    # A reader of a pass must not keep the log growing for ever once it is gone.
    connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
    connection.execute("PRAGMA cache_size = -16384")
    # A first load writes most pages again and again: they reach the file once in 32 MiB of log.
    connection.execute("PRAGMA wal_autocheckpoint = 8192")


def _set_up_reader(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -16384")


def _begin(connection: Connection, *, durable: bool) -> None:
    """Begin a writing transaction; reads of one statement see one state of the file without."""
    driver = connection.connection.cursor()
    # NORMAL survives the death of the process; FULL, a flush to the disk, that of the machine.
    level = "FULL" if durable else "NORMAL"
    if connection.info.get(_LEVEL) != level:
        driver.execute(f"PRAGMA synchronous = {level}")
        connection.info[_LEVEL] = level
    driver.execute("BEGIN IMMEDIATE")
    driver.close()


def _set_up_session(connection: Any, _: object, *, read_only: bool) -> None:
    # By statements, since the URL's own `options` (search_path) must stay in force.
    connection.autocommit = True
    connection.execute(f"SET lock_timeout = '{LOCK_WAIT}s'")
    # Some switch it off for speed; an intent must outlive the server's machine.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_LIMIT}s'")
    if read_only:
        connection.execute("SET default_transaction_read_only = on")
    connection.autocommit = False
