"""What a driver complains about -> what it means for our state, without secrets or rows."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeoutError

from meisa_cdc.core.errors import MeisaCdcError, StateRefused, StateUnavailable

RESTORE = (
    "Restore it from a backup, together with no -wal or -shm file of another time; or start anew: "
    "move the file and its .id file away and take the present as sent with `meisa-cdc baseline`."
)
_FREE_DISK = "Free space there; work goes on by itself once writing succeeds."
_IN_USE = "Something holds it open for long: a backup, a shell, another program."

# Low byte of SQLite's result codes.
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database",
    sqlite3.SQLITE_FORMAT: "is not a SQLite database",
}
_HINTS = {
    sqlite3.SQLITE_FULL: _FREE_DISK,
    sqlite3.SQLITE_BUSY: _IN_USE,
    sqlite3.SQLITE_LOCKED: _IN_USE,
    sqlite3.SQLITE_IOERR: "Look at the disk and its messages.",
    sqlite3.SQLITE_READONLY: "Let this user write to the file and its folder.",
    sqlite3.SQLITE_CANTOPEN: "The file, or the right to open it, is gone.",
}
_OURS_IN_SQLITE = sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE

# Classes of SQLSTATE that say nothing about our statements, only about the server's condition.
_CONDITIONS = ("08", "25", "40", "53", "55", "57", "58")
_DAMAGED_CLASS = "XX"
_NO_RIGHT = "42501"
_NO_TABLE = "42P01"
_NO_DATABASE = "3D000"
_NO_LOGIN = "28"


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what drivers raise in the block into our errors; `place` names the state for people.

    Our own mistakes (a constraint, a wrong statement) are passed on as they are.
    """
    try:
        yield
    except DBAPIError as error:
        ours = meaning(error.orig, place)
        if ours is None:
            raise
        raise ours from error
    except sqlite3.Error as error:
        ours = meaning(error, place)
        if ours is None:
            raise
        raise ours from error
    except PoolTimeoutError as error:
        raise StateUnavailable(
            f"No connection to {place} was free in time.", hint="It answers too slowly."
        ) from error


def meaning(error: BaseException | None, place: str) -> MeisaCdcError | None:
    """Return what a driver's error means; None where it is a mistake of our own."""
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, place)
    return _of_postgres(error, place)


def _of_sqlite(error: sqlite3.Error, place: str) -> MeisaCdcError | None:
    # Python's own refusals (a closed connection, a wrong parameter) carry no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code in _OURS_IN_SQLITE:
        return None
    if code in _DAMAGED:
        return StateRefused(f"{place} {_DAMAGED[code]}: {error}.", hint=RESTORE)
    return StateUnavailable(f"{place} cannot be used: {error}.", hint=_HINTS.get(code, ""))


def _of_postgres(error: BaseException | None, place: str) -> MeisaCdcError | None:
    state = getattr(error, "sqlstate", None)
    message = _message(error)
    if state is None:
        return _without_state(type(error).__name__, message, place)
    if state.startswith(_DAMAGED_CLASS):
        return StateRefused(f"{place} is damaged: {message}.", hint="Restore it from a backup.")
    if state == _NO_RIGHT:
        return StateRefused(
            f"{place} refuses: {message}.", hint="Its role needs all rights on its own schema."
        )
    if state == _NO_TABLE:
        return StateRefused(f"{place} lost a table: {message}.", hint="Restore it from a backup.")
    if state == _NO_DATABASE or state.startswith(_NO_LOGIN):
        return StateRefused(f"{place} refuses the login: {message}.", hint="Correct state.url.")
    if state.startswith(_CONDITIONS):
        hint = _FREE_DISK if state.startswith("53") else ""
        return StateUnavailable(f"{place} cannot be used: {message}.", hint=hint)
    return None


def _without_state(kind: str, message: str, place: str) -> MeisaCdcError | None:
    """Return the meaning of what happens before the server has said anything."""
    if kind == "ProgrammingError":
        return StateRefused(f"{place} cannot be asked: {message}.", hint="Correct state.url.")
    if kind in {"OperationalError", "InterfaceError"}:
        return StateUnavailable(f"{place} cannot be reached: {message}.")
    return None


def _message(error: BaseException | None) -> str:
    """Return the first line of what went wrong; details may quote rows."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    lines = str(primary or error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
