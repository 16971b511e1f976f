"""Protecting the app's disk from our own slot."""

from contextlib import closing

import psycopg
from psycopg import errors
from sqlalchemy import URL

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.core.sizes import told_size
from meisa_cdc.source.postgres_transaction import connect, first_line, settle

# Nobody's slot but ours: by name, in this database, with our plugin. One that is read just now
# cannot be dropped; its reader is about to let go of what it keeps.
KEPT = """
select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint
from pg_catalog.pg_replication_slots s
where s.slot_name::text = $1 and s.database::text = current_database()
  and s.plugin::text = 'pgoutput' and s.active_pid is null
  and not pg_catalog.pg_is_in_recovery()
"""
LIMITS = {"statement_timeout": "10s"}
DROP = """
select pg_catalog.pg_drop_replication_slot(s.slot_name)
from pg_catalog.pg_replication_slots s
where s.slot_name::text = $1 and s.database::text = current_database()
  and s.plugin::text = 'pgoutput' and s.active_pid is null
"""


def protect(url: URL, name: str, max_wal: int) -> str | None:
    """Drop our slot where it keeps more than so many bytes of WAL; return why, for people.

    Twice as many where most of it was read: the server lets go of that at intervals, or when a
    long transaction ends. Raises SourceUnavailable, also where our role may not drop it.
    """
    try:
        with closing(connect(url)) as connection:
            settle(connection, LIMITS)
            cursor = psycopg.RawCursor(connection)
            found = cursor.execute(KEPT.encode(), [name]).fetchone()
            kept, unread = found if found is not None and found[0] is not None else (0, 0)
            if kept <= (max_wal if unread > max_wal // 2 else 2 * max_wal):
                return None
            dropped = cursor.execute(DROP.encode(), [name]).fetchall()
    except errors.ObjectInUse:
        return None
    except psycopg.Error as error:
        raise SourceUnavailable(
            f"The slot {name} could not be looked after: {first_line(error)}.",
            hint="It keeps WAL on the app's server; see `meisa-cdc capture status`.",
        ) from None
    if not dropped:
        return None
    return (
        f"the slot {name} was dropped since it kept {told_size(kept)} of WAL, "
        f"more than capture.max_wal ({told_size(max_wal)})"
    )
