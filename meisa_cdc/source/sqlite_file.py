"""SQLite: opening the file of the app, for reading alone."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL

from meisa_cdc.core.errors import SettingsError, SourceUnavailable
from meisa_cdc.source.sqlite_schema import SCHEMA, Schema, schema_of
from meisa_cdc.source.unreadable import text_or_unreadable

#: Seconds to wait for a writer that has the file locked.
BUSY_TIMEOUT = 5.0
#: Where the file says how it is written, and what stands there in WAL mode.
HEADER, WAL_MARK, WAL = 20, 18, b"\x02\x02"


def path_of(url: URL) -> Path:
    """Return the file of a SQLite URL. Raises SettingsError for a database in memory."""
    name = url.database or ""
    if name.startswith("file:"):
        name = name.removeprefix("file:").partition("?")[0]
    if not name or name == ":memory:":
        raise SettingsError(
            "A SQLite database in memory cannot be the app database.",
            hint="Write sqlite:///path/to/file.db.",
        )
    return Path(name)


def connect(url: URL) -> sqlite3.Connection:
    """Open the file read-only. Raises SourceUnavailable."""
    path = path_of(url)
    if not path.is_file():
        raise SourceUnavailable(
            f"There is no SQLite file {path}.", hint="Correct app_database.url."
        )
    try:
        safe = _is_safe_to_open(path.resolve())
    except OSError as error:
        raise SourceUnavailable(
            f"The SQLite file {path} cannot be read: {error.strerror}.",
            hint="Check the file, its folder and their rights.",
        ) from None
    if not safe:
        raise SourceUnavailable(
            f"The SQLite file {path} is in WAL mode, and the app does not have it open: this user "
            "would leave files beside it that the app may not write.",
            hint="Run meisa-cdc as the user of the app, or share a group; see docs/read-only.md.",
        )
    connection = sqlite3.connect(
        f"file:{quote(str(path.resolve()))}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=float(str(url.query.get("timeout", BUSY_TIMEOUT))),
    )
    try:
        # The first look at the file is what tells a database from something else.
        connection.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise unavailable(error, path) from None
    return connection


def read_schema(url: URL) -> Schema:
    """Return what the file says of its tables. Raises SourceUnavailable."""
    with closing(connect(url)) as connection:
        connection.text_factory = text_or_unreadable
        try:
            return schema_of(connection.execute(SCHEMA))
        except sqlite3.Error as error:
            raise unavailable(error, path_of(url)) from None


def _is_safe_to_open(path: Path) -> bool:
    """Tell whether to open a file leaves nothing behind that the app may not write.

    Of a file in WAL mode that nobody has open, SQLite makes the companions also for who only
    reads, and leaves them.
    """
    with path.open("rb") as file:
        walled = file.read(HEADER)[WAL_MARK:] == WAL
    if not walled or Path(f"{path}-wal").exists() or not os.access(path.parent, os.W_OK):
        return True
    return may_be_written_by_all(path.stat(), path.parent.stat(), os.geteuid(), os.getegid())


def may_be_written_by_all(
    file: os.stat_result, folder: os.stat_result, user: int, group: int
) -> bool:
    """Tell whether what a user makes beside a file may be written by whoever may write the file.

    SQLite gives it the rights of the file, and the same owner where it may.
    """
    if user in (0, file.st_uid) or file.st_mode & stat.S_IWOTH:
        return True
    gets = folder.st_gid if folder.st_mode & stat.S_ISGID else group
    return bool(file.st_mode & stat.S_IWGRP) and gets == file.st_gid


def unavailable(error: sqlite3.Error, path: Path) -> SourceUnavailable:
    """Return what to tell about a file that cannot be read at all."""
    hint = "Check the file, its folder and their rights."
    if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
        hint = "Correct app_database.url."
    return SourceUnavailable(f"The SQLite file {path} cannot be read: {error}.", hint=hint)
