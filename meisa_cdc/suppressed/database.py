"""The connection to the database of the suppression table: transactions, locks, its errors."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    NullPool,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
    true,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from meisa_cdc.core.errors import SettingsError, SuppressionFailed
from meisa_cdc.suppressed.schema import MYSQL

DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "sqlite": "sqlite+pysqlite",
}
CONNECT_SECONDS = 10
#: Seconds without a sign of life from the server before a connection is given up.
SILENCE_SECONDS = 120
#: Error codes of rights that are missing, or of a server that takes no writes at all.
REFUSALS = frozenset({"42501", "3F000", "25006", 1044, 1142, 1143, 1227, 1290, 1370})
MYSQL_PATIENCE = text(
    "set session innodb_lock_wait_timeout = :seconds, lock_wait_timeout = :seconds"
)


class Database:
    """Opens a connection for each piece of work, and closes it again."""

    def __init__(self, url: str, *, lock_timeout: float) -> None:
        self.url = _checked(url)
        self._lock_timeout = lock_timeout
        self._engine = _engine(self.url, lock_timeout)

    @property
    def dialect(self) -> Dialect:
        """Return the database's ways with SQL."""
        return self._engine.dialect

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads. Raises SuppressionFailed for what goes wrong."""
        with _told(self.url), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes; one of them at a time.

        Committed at the end of the block, rolled back where it raises. A lock that is not free
        in time raises SuppressionFailed, as does all else that goes wrong.
        """
        with _told(self.url), self._engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                self._be_alone(connection)
                yield connection

    def _be_alone(self, connection: Connection) -> None:
        if self.dialect.name == "postgresql":
            patience = f"{round(self._lock_timeout * 1000)}ms"
            connection.execute(select(func.set_config("lock_timeout", patience, true())))
            connection.execute(select(func.pg_advisory_xact_lock(_lock(self.url))))
        elif self.dialect.name in MYSQL:
            seconds = max(1, round(self._lock_timeout))
            connection.execute(MYSQL_PATIENCE, {"seconds": seconds})
            # Ends with the connection.
            if connection.scalar(select(func.get_lock(str(_lock(self.url)), seconds))) != 1:
                raise SuppressionFailed(
                    "Another pull is writing the suppression table.", hint="Wait until it is done."
                )


def _checked(text_: str) -> URL:
    try:
        url = make_url(text_)
    except ArgumentError:
        # The text itself stays out of the message: it may hold a password.
        raise SettingsError("suppression.url is not a database URL.") from None
    backend = url.get_backend_name()
    if backend not in DRIVERS:
        raise SettingsError(
            f"suppression.url: {backend} is not a database that can hold the suppression table.",
            hint="Use postgresql, mysql, mariadb or sqlite.",
        )
    if backend == "sqlite" and (url.database or ":memory:") == ":memory:":
        raise SettingsError("suppression.url: a table in memory would be read by nobody.")
    return url.set(drivername=DRIVERS[backend])


def _engine(url: URL, lock_timeout: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, lock_timeout)
    options: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if url.get_backend_name() == "postgresql":
        options |= {
            "application_name": "meisa-cdc",
            "keepalives_idle": SILENCE_SECONDS // 4,
            "tcp_user_timeout": SILENCE_SECONDS * 1000,
        }
    else:
        options |= {"read_timeout": SILENCE_SECONDS, "write_timeout": SILENCE_SECONDS}
    try:
        return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"suppression.url needs the Python package {error.name}.",
            hint="Install meisa-cdc[mysql].",
        ) from error


def _sqlite(url: URL, lock_timeout: float) -> Engine:
    path = Path(str(url.database))

    def connect() -> sqlite3.Connection:
        # Opened as it is, never created: a mistyped path must not become an empty database.
        where = f"file:{quote(str(path.absolute()))}?mode=rw"
        return sqlite3.connect(where, uri=True, timeout=lock_timeout, isolation_level=None)

    engine = create_engine(
        "sqlite+pysqlite://", creator=connect, poolclass=NullPool, hide_parameters=True
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that first reads and then writes may find that it no longer can.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine


def _lock(url: URL) -> int:
    """Return what stands for the suppression tables of one database."""
    digest = hashlib.blake2b(f"meisa-cdc {url.database}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


@contextmanager
def _told(url: URL) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        where = (
            url.database
            if url.get_backend_name() == "sqlite"
            else f"{url.host or 'this machine'}/{url.database}"
        )
        failure = SuppressionFailed(
            f"The suppression table in {where} cannot be used: {reason(error)}.",
            hint="It keeps its contents.",
        )
        raise failure from error


def reason(error: SQLAlchemyError) -> str:
    """Return the database's own words: its first line alone, for the rest may quote values."""
    words: object = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        words = error.orig.args[-1] if error.orig.args else error.orig
    return (str(words).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def is_refusal(error: BaseException | None) -> bool:
    """Tell whether an error means that rights are missing."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    codes = {getattr(error.orig, "sqlstate", None), *error.orig.args[:1]}
    return not codes.isdisjoint(REFUSALS) or "readonly" in str(error.orig)
