"""Postgres: one REPEATABLE READ, READ ONLY transaction on a connection of its own."""

import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy import URL

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.engines import CONNECT_TIMEOUT, driver_arguments, place_of
from meisa_cdc.source.postgres_types import knows_no_encoding, register
from meisa_cdc.source.transaction import Transaction
from meisa_cdc.source.watchdog import GRACE

APPLICATION = "meisa-cdc"
#: Seconds that we may think between two calls before the server gives up on us.
IDLE_TIMEOUT = "10min"
#: Settings that change what values look like or what SQL means; all hold in the transaction alone.
PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_numeric": "C",
    "lc_time": "C",
    "xmlbinary": "base64",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "cursor_tuple_fraction": "1",
    "idle_in_transaction_session_timeout": IDLE_TIMEOUT,
}
SET_MARK = """
select pg_catalog.set_config('meisa_cdc.session', $1, false), pg_catalog.pg_backend_pid()
"""
SET_LOCAL = """
select pg_catalog.set_config(name, value, true)
from unnest($1::text[], $2::text[]) setting(name, value)
"""
SET_SESSION = """
select pg_catalog.set_config(name, value, false)
from unnest($1::text[], $2::text[]) setting(name, value)
"""
READ_BACK = """
select pg_catalog.current_setting('meisa_cdc.session', true), pg_catalog.pg_backend_pid(),
       pg_catalog.current_setting('transaction_read_only'),
       pg_catalog.current_setting('transaction_isolation'),
       array(select pg_catalog.current_setting(name, true) from unnest($1::text[]) name)
"""
#: SQLSTATE classes and codes after which the whole connection is of no use.
LOST = ("08", "57P", "25P03", "25P04")


def connect(url: URL) -> psycopg.Connection[Any]:
    """Open a connection. Raises SourceUnavailable."""
    arguments = driver_arguments(url)
    arguments.setdefault("connect_timeout", CONNECT_TIMEOUT)
    arguments.setdefault("application_name", APPLICATION)
    # A dead peer is noticed within a minute or two, not after the hours that TCP allows.
    for name, value in (("idle", 30), ("interval", 10), ("count", 3)):
        arguments.setdefault(f"keepalives_{name}", value)
    arguments.setdefault("tcp_user_timeout", 60_000)
    arguments["client_encoding"] = "UTF8"
    try:
        return psycopg.connect(**arguments, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise SourceUnavailable(
            f"{place_of(url)} cannot be used: {first_line(error)}.",
            hint="Check app_database.url and whether the server is up.",
        ) from None


def ask(
    connection: psycopg.Connection[Any], text: str, values: Sequence[object] = ()
) -> list[tuple[Any, ...]]:
    """Run a statement on a connection beside that of the snapshot, and return its rows."""
    cursor = psycopg.RawCursor(connection)
    cursor.execute(text.encode(), values)
    return cursor.fetchall() if cursor.description else []


def settle(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Set what holds on a connection from now on."""
    ask(connection, SET_SESSION, [list(settings), list(settings.values())])


def first_line(error: BaseException) -> str:
    """Return what an error says, without what the driver puts around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = next((line for line in lines if "FATAL" in line), lines[0] if lines else "")
    text = text.rpartition("FATAL:")[2].rpartition(" failed: ")[2].strip()
    return (text or type(error).__name__).rstrip(".")


class PostgresTransaction(Transaction):
    """On Postgres."""

    errors = (psycopg.Error,)

    def __init__(self, url: URL, *, patience: float = GRACE) -> None:
        # The server's own limit goes first, by as long as cancelling may take.
        super().__init__(url, connect(url), patience=patience, grace=patience)

    def _begin(self) -> None:
        """Open the transaction, and make sure that it is where we left our mark."""
        mark = secrets.token_hex(8)
        ((_, process),) = self.execute(SET_MARK, [mark])
        self.execute("begin isolation level repeatable read, read only")
        if knows_no_encoding(self.connection):
            # The server passes on any bytes to a client that says so, and refuses them else.
            self.execute("set local client_encoding to latin1")
        register(self.connection)
        self.execute(SET_LOCAL, [list(PINNED), list(PINNED.values())])
        ((*found, settings),) = self.execute(READ_BACK, [list(PINNED)])
        expected = [mark, process, "on", "repeatable read"]
        if found != expected or settings != list(PINNED.values()):
            raise SourceUnavailable(
                f"{self._place} does not keep a session's settings: a pooler in transaction "
                "mode stands between.",
                hint="Point app_database.url at the server itself or at a pool in session mode.",
            )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Enclose questions that no mapping asks. Raises SourceUnavailable where it was lost."""
        try:
            yield
        except psycopg.Error as error:
            lost = self.lost(error)
            if lost is None:
                raise
            raise lost from None

    def execute(self, text: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement of ours and return its rows."""
        with self.limit():
            cursor = psycopg.RawCursor(self.connection)
            # Without values, psycopg takes the protocol that lets several statements through
            # unless it is asked for binary results.
            cursor.execute(text.encode(), values, binary=not values)
            return cursor.fetchall() if cursor.description else []

    def _cancel(self) -> None:
        try:
            self.connection.cancel_safe(timeout=self._patience)
        except psycopg.Error:
            self._cut_off()

    def _cut_off(self) -> None:
        """Shut the connection's socket, which ends whatever waits for it."""
        # Where there is no socket any more, nothing waits for it.
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self.connection.pgconn.socket)) as shared,
        ):
            shared.shutdown(socket.SHUT_RDWR)

    def _is_gone(self, error: Exception) -> bool:
        state = getattr(error, "sqlstate", None) or ""
        return self.connection.closed or self.connection.broken or state.startswith(LOST)

    def _said(self, error: BaseException) -> str:
        return first_line(error)

    def close(self) -> None:
        """Throw the connection away."""
        self.connection.close()
