"""SQLite: looking whether the log of changed rows has something new, often and cheaply."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

from sqlalchemy import URL

from meisa_cdc.source.dialects import SQLITE
from meisa_cdc.source.sqlite_file import connect, path_of, unavailable
from meisa_cdc.source.sqlite_trigger_log import place_of
from meisa_cdc.source.trigger_names import Names

LAST = "select place, token from {log}"


class SqliteWatch:
    """Looks at what triggers wrote, each time over a connection of its own.

    One that is kept would look at a file that was replaced by another, and hold it. `seen` returns
    the place up to which passes came; None: there was none yet.
    """

    def __init__(self, url: URL, log: str, seen: Callable[[], int | None]) -> None:
        self._url = url
        self._text = LAST.format(log=SQLITE.quoted(Names(name=log).log))
        self._seen = seen

    def moved(self) -> bool:
        """Tell whether there is something that no pass was shown; of no log there is not.

        Raises SourceUnavailable.
        """
        with closing(connect(self._url)) as connection:
            try:
                rows = connection.execute(self._text).fetchall()
            except sqlite3.Error as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                    # There is no such table.
                    return False
                raise unavailable(error, path_of(self._url)) from None
        return any(place_of(*row) != self._seen() for row in rows)

    def close(self) -> None:
        """Do nothing: no connection is kept."""
