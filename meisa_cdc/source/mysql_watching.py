"""MySQL and MariaDB: looking whether triggers wrote something new."""

from contextlib import suppress
from typing import Any

from sqlalchemy import URL

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.mysql_transaction import code_of, connect, said
from meisa_cdc.source.mysql_trigger_log import filled
from meisa_cdc.source.trigger_names import Names

WRITTEN = "select exists (select 1 from {changes} where id <> {first})"
#: No such table, no right to read it, no database.
NO_LOG = frozenset({1146, 1142, 1044, 1046, 1049, 1102})
#: Seconds that a look may take; longer than this, it is no better than reading.
PATIENCE = 10.0


class MysqlWatch:
    """Looks at what triggers wrote, over a connection that it keeps."""

    def __init__(self, url: URL, name: str) -> None:
        self._url = url
        self._text = filled(WRITTEN, Names(name=name, schema=str(url.database or "")))
        self._connection: Any = None

    def moved(self) -> bool:
        """Tell whether there is something that no pass was shown; of no log there is not.

        Raises SourceUnavailable.
        """
        if self._connection is None:
            self._connection = connect(self._url, patience=PATIENCE)
        import pymysql

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._text)
                return bool(cursor.fetchone()[0])
        except (pymysql.MySQLError, OSError) as error:
            if code_of(error) in NO_LOG:
                return False
            self.close()
            raise SourceUnavailable(f"The log cannot be watched: {said(error)}.") from None

    def close(self) -> None:
        """Close the connection; the next look opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()
