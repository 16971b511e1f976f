"""Looking whether the log of changed rows has something new, often and cheaply."""

from contextlib import suppress
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import URL

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.postgres_transaction import connect, first_line, settle
from meisa_cdc.source.postgres_trigger_log import named
from meisa_cdc.source.trigger_names import Names

#: Bytes of WAL after which the slot should go on, though none of it was for us: to look at the
#: slot takes the longer, the more there is.
FAR = 16 * 2**20
#: A transaction that changed nothing we read is not told of, but by servers before version 15.
MOVED = """
select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), s.confirmed_flush_lsn)
           > $2::bigint
    or exists (select from pg_catalog.pg_logical_slot_peek_binary_changes(
           s.slot_name, null, 1, 'proto_version', '1', 'publication_names', $3::text))
from pg_catalog.pg_replication_slots s
where s.slot_name::text = $1 and not s.active and s.confirmed_flush_lsn is not null
  and not pg_catalog.pg_is_in_recovery()
"""
#: Where the table of changed rows is that triggers write.
PLACE = """
select n.nspname::text from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)
"""
WRITTEN = """
select not pg_catalog.pg_is_in_recovery() and (exists (select from {changes})
    or coalesce((select settled from {log}), 0)
       <> (select case when is_called then last_value else 0 end from {missed}))
"""
#: Longer than this, looking is no better than reading.
LIMITS = {"statement_timeout": "10s"}


class LogWatch:
    """Looks at a slot, or else at what triggers wrote, over a connection that it keeps."""

    def __init__(self, url: URL, name: str) -> None:
        self._url = url
        self._name = name
        self._values = [name, FAR, '"' + name.replace('"', '""') + '"']
        self._connection: psycopg.Connection[Any] | None = None

    def moved(self) -> bool:
        """Tell whether there is something that no pass was shown; of no log there is not.

        Raises SourceUnavailable.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._url)
                settle(self._connection, LIMITS)
            cursor = psycopg.RawCursor(self._connection)
            row = cursor.execute(MOVED.encode(), self._values).fetchone()
            if row is None:
                row = self._written(cursor)
        except errors.ObjectInUse:
            return False
        except psycopg.Error as error:
            self.close()
            raise SourceUnavailable(f"The log cannot be watched: {first_line(error)}.") from None
        return row is not None and bool(row[0])

    def _written(self, cursor: "psycopg.RawCursor[Any]") -> "tuple[Any, ...] | None":
        changes = POSTGRESQL.quoted(Names(name=self._name).changes)
        place = cursor.execute(PLACE.encode(), [changes]).fetchone()
        if place is None:
            return None
        names = Names(name=self._name, schema=place[0])
        return cursor.execute(named(WRITTEN, names).encode()).fetchone()

    def close(self) -> None:
        """Close the connection; the next look opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()
