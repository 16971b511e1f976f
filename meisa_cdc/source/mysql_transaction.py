"""MySQL and MariaDB: one consistent, read-only transaction on a connection of its own."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

from sqlalchemy import URL

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.engines import (
    CONNECT_TIMEOUT,
    driver_arguments,
    place_of,
    pymysql_or_refusal,
)
from meisa_cdc.source.mysql_types import conversions
from meisa_cdc.source.transaction import Transaction
from meisa_cdc.source.watchdog import GRACE

LOCK_TIMEOUT = 10
#: Seconds that the server waits for us to read on, and to say something.
NET_TIMEOUT = 600
#: Modes that change how text is read are left out, whatever the server has.
MODES = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
FULL_GROUP_BY = "ONLY_FULL_GROUP_BY"
LOST = frozenset({2006, 2013, 2055, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 4031})


def connect(url: URL, *, patience: float | None = None) -> Any:
    """Open a connection; with `patience`, one that waits so many seconds for anything.

    Raises SourceUnavailable.
    """
    pymysql = pymysql_or_refusal()
    arguments = driver_arguments(url)
    arguments.setdefault("connect_timeout", CONNECT_TIMEOUT)
    arguments.setdefault("program_name", "meisa-cdc")
    arguments["charset"] = "utf8mb4"
    arguments["conv"] = conversions()
    if patience is not None:
        arguments |= {"connect_timeout": patience, "read_timeout": patience}
    try:
        return pymysql.connect(**arguments, autocommit=True)
    except (pymysql.MySQLError, RuntimeError, OSError) as error:
        # RuntimeError: the server wants a way to log in for which a package is missing.
        raise SourceUnavailable(
            f"{place_of(url)} cannot be used: {said(error)}.",
            hint="Check app_database.url and whether the server is up.",
        ) from None


def said(error: BaseException) -> str:
    """Return what an error says."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    return (text.splitlines() or [type(error).__name__])[0].rstrip(".")


def code_of(error: BaseException) -> int:
    """Return the number of an error; 0 where it has none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


class MySqlTransaction(Transaction):
    """On MySQL or MariaDB."""

    def __init__(
        self,
        url: URL,
        *,
        patience: float = GRACE,
        before: Callable[["MySqlTransaction"], None] | None = None,
    ) -> None:
        """Begin; `before` is called just before the snapshot is taken."""
        # The driver answers some broken connections with the system's errors.
        self.errors = (pymysql_or_refusal().MySQLError, OSError)
        self._url = url
        self._before = before
        # Our limit is the first one: the server's own counts the time that we need, too.
        super().__init__(url, connect(url), patience=patience, grace=0.0)

    def _begin(self) -> None:
        ((version, modes, self._id, self.longest),) = self.execute(
            "select version(), @@session.sql_mode, connection_id(), @@session.max_allowed_packet"
        )
        self.version = str(version)
        self.maria = "mariadb" in version.lower()
        full = f"{FULL_GROUP_BY}," if FULL_GROUP_BY in modes else ""
        for statement in (
            f"set session sql_mode = '{full}{MODES}', time_zone = '+00:00'",
            f"set session net_write_timeout = {NET_TIMEOUT}, wait_timeout = {NET_TIMEOUT}",
            f"set session lock_wait_timeout = {LOCK_TIMEOUT}",
            "set session group_concat_max_len = 1048576, sql_select_limit = default",
            "set session transaction isolation level repeatable read",
        ):
            self.execute(statement)
        if not self.maria:
            # What the server remembers of tables may be a day old.
            self.execute("set session information_schema_stats_expiry = 0")
        if self._before is not None:
            self._before(self)
        self.execute("start transaction with consistent snapshot, read only")
        ((connection, zone, found),) = self.execute(
            "select connection_id(), @@session.time_zone, @@session.sql_mode"
        )
        if (
            connection != self._id
            or zone != "+00:00"
            or set(found.split(",")) != set(f"{full}{MODES}".split(","))
        ):
            raise SourceUnavailable(
                f"{self._place} does not keep a session's settings: a proxy stands between.",
                hint="Point app_database.url at the server itself.",
            )

    def execute(self, text: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement of ours and return its rows."""
        with self.limit(), self.connection.cursor() as cursor:
            cursor.execute(text)
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return found

    def streamed(self, text: str, size: int) -> Iterator[Sequence[Any]]:
        """Yield the rows of a query of ours, so many fetched at once."""
        from pymysql.cursors import SSCursor

        cursor = self.connection.cursor(SSCursor)
        try:
            with self.limit():
                cursor.execute(text)
            while batch := self._fetched(cursor, size):
                yield from batch
        finally:
            self.end(cursor)

    def _fetched(self, cursor: Any, size: int) -> Sequence[Sequence[Any]]:
        with self.limit():
            found: Sequence[Sequence[Any]] = cursor.fetchmany(size)
            return found

    def end(self, cursor: Any) -> None:
        """Read what is left, or the connection could not be used again."""
        result = cursor._result  # noqa: SLF001 - it would read on from a connection that is gone
        if result is not None and not self.connection.open:
            result.unbuffered_active = False
        cursor.close()

    def _cancel(self) -> None:
        """Ask the server, on a connection beside this one, to end what runs."""
        try:
            with closing(connect(self._url, patience=self._patience)) as other:
                other.cursor().execute(f"kill query {self._id:d}")
        except self.errors:
            self._cut_off()
        except SourceUnavailable:
            self._cut_off()

    def _cut_off(self) -> None:
        """Shut the connection's socket, which ends whatever waits for it."""
        shared = self.connection._sock  # noqa: SLF001 - the driver has no public way
        # Where there is no socket any more, nothing waits for it.
        with suppress(OSError, AttributeError):
            shared.shutdown(socket.SHUT_RDWR)

    def _is_gone(self, error: Exception) -> bool:
        code = code_of(error)
        return isinstance(error, OSError) or not self.connection.open or code == 0 or code in LOST

    def _said(self, error: BaseException) -> str:
        return said(error)

    def close(self) -> None:
        """Throw the connection away."""
        if self.connection.open:
            self.connection.close()
