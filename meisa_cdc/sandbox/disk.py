"""The account in a file: written with every request, read when the sandbox starts."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import orjson

from meisa_cdc.sandbox.errors import OptionError, StateError
from meisa_cdc.sandbox.unsaved import Document, Unsaved

#: Marks a SQLite file as the sandbox's: "mSbx".
_APPLICATION = 0x6D536278
_VERSION = 1

_SCHEMA = """
create table entry (
    kind text not null,
    key text not null,
    document text not null,
    primary key (kind, key)
)
"""


class Disk:
    """One SQLite file that no other process may use meanwhile.

    Raises OptionError if the file cannot be opened or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Only its owner may read what the application sent.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or error
            raise OptionError(f"state: {path} cannot be opened: {why}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise OptionError(f"state: {path}: {_reason(error)}") from error
        except OptionError:
            self.close()
            raise

    def _prepare(self) -> None:
        database = self._database
        # Nothing is changed in the file before it is known to be ours, not even its mode.
        database.execute("pragma locking_mode = exclusive")
        ours = self._pragma("application_id") == _APPLICATION
        if not ours and database.execute("select count(*) from sqlite_master").fetchone()[0]:
            raise OptionError(f"state: {self._path} is a database of something else")
        if ours and self._pragma("user_version") != _VERSION:
            raise OptionError(
                f"state: {self._path} was written by another version of the sandbox;"
                " choose another file"
            )
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = normal")
        database.execute("begin immediate")
        if not ours:
            database.execute(_SCHEMA)
            database.execute(f"pragma application_id = {_APPLICATION}")
            database.execute(f"pragma user_version = {_VERSION}")
        database.execute("commit")

    def _pragma(self, name: str) -> int:
        value: int = self._database.execute(f"pragma {name}").fetchone()[0]
        return value

    def load(self, kind: str) -> list[Document]:
        """Every entry of that kind, the one written last last. Raises OptionError."""
        try:
            rows = self._database.execute(
                "select document from entry where kind = ? order by rowid", (kind,)
            ).fetchall()
            return [orjson.loads(document) for (document,) in rows]
        except (sqlite3.Error, orjson.JSONDecodeError) as error:
            raise OptionError(f"state: {self._path} is damaged: {error}") from error

    def save(self, unsaved: Unsaved) -> None:
        """Write what is new, all of it or nothing. Raises StateError; it is unsaved then."""
        entries = unsaved.entries()
        if not entries:
            return
        try:
            self._database.execute("begin immediate")
            for (kind, key), entry in entries.items():
                # Deleted first, so that the entry comes last when it is read.
                self._database.execute("delete from entry where kind = ? and key = ?", (kind, key))
                if entry is not None:
                    document = orjson.dumps(entry.stored()).decode()
                    self._database.execute(
                        "insert into entry values (?, ?, ?)", (kind, key, document)
                    )
            self._database.execute("commit")
        except sqlite3.Error as error:
            self._give_up()
            raise StateError(f"The state file {self._path} cannot be written: {error}") from error
        unsaved.clear()

    def clear(self) -> None:
        """Forget everything. Raises StateError."""
        try:
            self._database.execute("delete from entry")
        except sqlite3.Error as error:
            raise StateError(f"The state file {self._path} cannot be written: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _give_up(self) -> None:
        # Where even that fails no transaction is left; the first error is the one that is told.
        with suppress(sqlite3.Error):
            self._database.execute("rollback")


def _reason(error: sqlite3.Error) -> str:
    if error.sqlite_errorname == "SQLITE_BUSY":
        return "another sandbox uses this file; end it, or choose another file"
    return f"this file cannot be used: {error}"
