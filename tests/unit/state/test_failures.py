"""What drivers complain about, in our words."""

import sqlite3

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError, TimeoutError as PoolTimeoutError

from meisa_cdc.core.errors import StateRefused, StateUnavailable
from meisa_cdc.state.failures import meaning, translated


def of_sqlite(code: int) -> sqlite3.Error:
    """Return an error as SQLite's driver raises it."""
    error = sqlite3.OperationalError("some trouble")
    error.sqlite_errorcode = code
    return error


class OfPostgres(Exception):
    """An error as Postgres' driver raises it."""

    def __init__(self, sqlstate: str | None, message: str = "some trouble\nDETAIL: a row") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


#: One whose type alone tells what it is.
OperationalTrouble = type("OperationalError", (OfPostgres,), {})


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        (sqlite3.SQLITE_FULL, StateUnavailable, "Free space"),
        (sqlite3.SQLITE_BUSY, StateUnavailable, "holds it open"),
        (sqlite3.SQLITE_LOCKED, StateUnavailable, "holds it open"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StateUnavailable, "holds it open"),
        (sqlite3.SQLITE_IOERR_FSYNC, StateUnavailable, "disk"),
        (sqlite3.SQLITE_READONLY, StateUnavailable, "write to the file"),
        (sqlite3.SQLITE_CANTOPEN, StateUnavailable, "gone"),
        (sqlite3.SQLITE_NOMEM, StateUnavailable, ""),
        (sqlite3.SQLITE_CORRUPT, StateRefused, "backup"),
        (sqlite3.SQLITE_NOTADB, StateRefused, "backup"),
    ],
)
def test_what_sqlite_means(code: int, kind: type, hint: str):
    """The storage's condition is retried, damage is refused, each with what to do."""
    found = meaning(of_sqlite(code), "The state x.db")
    assert type(found) is kind
    assert found is not None
    assert "The state x.db" in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("sqlstate", "kind", "hint"),
    [
        ("53100", StateUnavailable, "Free space"),
        ("53300", StateUnavailable, ""),
        ("55P03", StateUnavailable, ""),
        ("57P01", StateUnavailable, ""),
        ("40P01", StateUnavailable, ""),
        ("25006", StateUnavailable, ""),
        ("08006", StateUnavailable, ""),
        ("42501", StateRefused, "rights"),
        ("42P01", StateRefused, "backup"),
        ("XX001", StateRefused, "backup"),
        ("28P01", StateRefused, "state.url"),
        ("3D000", StateRefused, "state.url"),
    ],
)
def test_what_postgres_means(sqlstate: str, kind: type, hint: str):
    """The server's condition is retried, what a person must change is refused; no row is shown."""
    found = meaning(OfPostgres(sqlstate), "The Postgres state")
    assert type(found) is kind
    assert found is not None
    assert hint in found.hint
    assert "a row" not in str(found)


@pytest.mark.parametrize(
    "error",
    [
        of_sqlite(sqlite3.SQLITE_ERROR),
        of_sqlite(sqlite3.SQLITE_CONSTRAINT_UNIQUE),
        sqlite3.ProgrammingError("closed"),
        OfPostgres("23505"),
        OfPostgres("42601"),
        OfPostgres(None),
        None,
    ],
)
def test_our_own_mistakes_have_no_meaning(error: BaseException | None):
    """A wrong statement or a broken constraint is a bug, and stays visible as one."""
    assert meaning(error, "The state") is None


def test_a_connection_that_fails_has_no_code():
    """What libpq says before there is a server has a type alone."""
    found = meaning(OperationalTrouble(None, ""), "The Postgres state")
    assert isinstance(found, StateUnavailable)
    assert "OperationalError" in found.message


def test_errors_are_translated_wherever_they_come_from():
    """Through SQLAlchemy, straight from the driver, or from the pool."""
    full = of_sqlite(sqlite3.SQLITE_FULL)
    for error in (OperationalError("SQL", {}, full), full, PoolTimeoutError()):
        with pytest.raises(StateUnavailable), translated("The state"):
            raise error


def test_our_own_mistakes_pass_untranslated():
    """What has no meaning comes through as it was."""
    wrong = of_sqlite(sqlite3.SQLITE_ERROR)
    for error in (ProgrammingError("SQL", {}, wrong), wrong):
        with pytest.raises(type(error)), translated("The state"):
            raise error
