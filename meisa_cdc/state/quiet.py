"""Reading a SQLite state without leaving a trace beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.sql import Executable

from meisa_cdc.core.errors import StateRefused, StateUnavailable
from meisa_cdc.state.engine import AnyRow, Database, file_engine

#: What a file looks like from outside: its inode, size and time of change.
Look = tuple[int, int, int]


class QuietDatabase(Database):
    """A SQLite file opened for reading only.

    While a process works on it, its log and the index of the log lie beside it and we join in.
    A file that was closed properly has neither, and SQLite would make them even to read; so it
    is read as one that cannot change, and every answer is thrown away and fetched anew where the
    file did change, or a log appeared, before the answer was complete.
    """

    def __init__(self, file: Path, *, place: str) -> None:
        self._file = file
        self._still = _still(file)
        super().__init__(self._open(), place=place, read_only=True)

    def rows(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[AnyRow]:
        """Return all rows of one statement. Raises StateUnavailable or StateRefused."""
        while (still := self._still) is not None:
            try:
                rows = super().rows(statement, parameters)
            except (StateRefused, StateUnavailable):
                if _still(self._file) == still:
                    raise
            else:
                if _still(self._file) == still:
                    return rows
            self.engine.dispose()
            self._still = _still(self._file)
            self.engine = self._open()
        return super().rows(statement, parameters)

    def _open(self) -> Engine:
        return file_engine(self._file, "ro" if self._still is None else "immutable")


def _still(file: Path) -> Look | None:
    """Return how a file looks that nobody has open for writing; None where somebody has."""
    if file.with_name(file.name + "-wal").exists():
        return None
    try:
        found = file.stat()
    except FileNotFoundError:
        # It vanished while we read; opening it will say so.
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
