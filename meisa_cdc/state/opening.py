"""Opening our state: what is there is checked first, and refused rather than guessed at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from meisa_cdc.core.errors import StateRefused
from meisa_cdc.ports import Clock
from meisa_cdc.state import files
from meisa_cdc.state.engine import Database, empty_engine, file_engine, server_engine
from meisa_cdc.state.failures import RESTORE, translated
from meisa_cdc.state.quiet import QuietDatabase
from meisa_cdc.state.schema import ONLY, budget, contacts, identity, lease, metadata
from meisa_cdc.state.store import SqlState
from meisa_cdc.state.upgrade import Schema, migrations_folder, refuse_newer, schema_of, upgrade

#: Bytes up to which every page of a SQLite file is looked at when it is opened.
THOROUGH = 128 * 2**20
SERVER = "The Postgres state"
_SMALL_TABLES = ("identity", "lease", "budget", "mappings", "notes", "holds")
_IDENTITY = select(identity.c.state_id, identity.c.filled).where(identity.c.id == ONLY)


def open_state(
    url: str | URL, *, clock: Clock, read_only: bool = False, migrations: Path | None = None
) -> SqlState:
    """Open our state, made new or brought up to date where need be.

    With `read_only` nothing is written, not even a file: a state that does not exist yet is
    empty, one with older tables is refused. `migrations` is another folder of migrations.

    Raises StateRefused where it is damaged, lost, newer, foreign, or not ours to write;
    StateUnavailable where it cannot be reached now; LeaseHeld where older tables are in use.
    """
    folder = migrations or migrations_folder()
    if read_only:
        return SqlState(_for_reading(_parsed(url), folder), clock)
    database, _ = _for_writing(_parsed(url), clock, folder)
    return SqlState(database, clock)


def migrate_state(url: str | URL, *, clock: Clock, migrations: Path | None = None) -> bool:
    """Bring the state's tables up to date; tell whether they were not. Raises as `open_state`."""
    database, upgraded = _for_writing(_parsed(url), clock, migrations or migrations_folder())
    database.close()
    return upgraded


def _for_reading(url: URL, folder: Path) -> Database:
    file = _file_of(url)
    if file is None:
        database = Database(server_engine(url, read_only=True), place=SERVER, read_only=True)
    elif files.has_content(file):
        database = QuietDatabase(file, place=_place(file))
    else:
        return _empty(_place(file))
    with _closed_on_error(database):
        schema = _look(database, folder)
        if schema is Schema.OLDER:
            raise StateRefused(
                f"{database.place} has the tables of an older meisa-cdc.",
                hint="Run `meisa-cdc migrate`.",
            )
        if schema is Schema.CURRENT:
            _check_content(database, file)
            return database
        if file is not None and files.sentinel_of(file).exists():
            raise files.lost(file, "has no tables")
    database.close()
    return _empty(database.place)


def _for_writing(url: URL, clock: Clock, folder: Path) -> tuple[Database, bool]:
    file = _file_of(url)
    marked = False
    if file is None:
        database = Database(server_engine(url, read_only=False), place=SERVER)
    else:
        files.check_rights(file)
        # Asked before the file is read: another process may be making this state just now.
        marked = files.sentinel_of(file).exists()
        if not files.has_content(file):
            files.create(file)
        database = Database(file_engine(file, "rw"), place=_place(file))
    with _closed_on_error(database):
        schema = _look(database, folder)
        if file is not None:
            if marked and schema is Schema.MISSING:
                raise files.lost(file, "has no tables")
            _keep_log(database)
        upgraded = schema is not Schema.CURRENT and upgrade(database, clock, folder)
        _check_content(database, file)
    return database, upgraded


@contextmanager
def _closed_on_error(database: Database) -> Iterator[None]:
    try:
        yield
    except BaseException:
        database.close()
        raise


def _look(database: Database, folder: Path) -> Schema:
    """Return what is there, before anything is changed."""
    with translated(database.place), database.engine.connect() as connection:
        if database.sqlite:
            connection.exec_driver_sql("BEGIN")
        schema = schema_of(connection, database.place, folder)
        if schema is Schema.NEWER:
            raise refuse_newer(database.place)
    return schema


def _keep_log(database: Database) -> None:
    """Let readers and the one writer of a SQLite file go on beside each other from now on."""
    with translated(database.place):
        connection = database.engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()


def _check_content(database: Database, file: Path | None) -> None:
    """Raise StateRefused where something that must be there is damaged or gone."""
    found = database.rows(_IDENTITY)
    if not found:
        raise _gone(database.place, "its own name")
    state_id, filled = found[0]
    if filled and not database.rows(select(contacts.c.id).limit(1)):
        raise _gone(database.place, "every contact")
    if file is not None:
        _check_pages(database, file)
        files.check_sentinel(file, state_id, repair=not database.read_only)
    elif database.rows(text("SHOW server_encoding"))[0][0] != "UTF8":
        raise StateRefused(
            f"{database.place} is in a database that cannot hold every text.",
            hint="Use one whose encoding is UTF8.",
        )


def _check_pages(database: Database, file: Path) -> None:
    """Let SQLite look at every page of a small file, at the small tables alone of a large one.

    A large one would be read for many seconds at each start; what is damaged in it shows when it
    is used, and is refused then.
    """
    small = file.stat().st_size <= THOROUGH
    names = [""] if small else [f"('{name}')" for name in _SMALL_TABLES]
    for name in names:
        (verdict,) = database.rows(text(f"PRAGMA quick_check{name}"))[0]
        if verdict != "ok":
            raise StateRefused(f"{database.place} is damaged: {verdict}.", hint=RESTORE)


def _gone(place: str, what: str) -> StateRefused:
    return StateRefused(f"{place} has lost {what}.", hint="Restore it from a backup.")


def _empty(place: str) -> Database:
    """Return the database of a state that does not exist: everything is there, and empty."""
    engine = empty_engine()
    with engine.begin() as connection:
        metadata.create_all(connection)
        only = {"id": ONLY}
        connection.execute(insert(identity), only | {"state_id": "", "filled": False})
        connection.execute(insert(budget), only | {"paces": "[]", "paused_until": 0.0})
        free = {"holder": "", "fence": 0, "renewed_at": 0.0, "expires_at": 0.0}
        connection.execute(insert(lease), only | free)
    return Database(engine, place=place, read_only=True)


def _parsed(url: str | URL) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Whatever it was, it may contain a password.
        raise StateRefused(
            "state.url is not a database URL.",
            hint="Write sqlite:///meisa-cdc.db or postgresql://user@host/database.",
        ) from None


def _file_of(url: URL) -> Path | None:
    """Return the path of a SQLite state; None for Postgres."""
    backend = url.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return None
    if backend != "sqlite":
        raise StateRefused(
            f"state.url names {backend}; the state lives in SQLite or Postgres.",
            hint="The app database may be another one: that is app_database.url.",
        )
    if not url.database or url.database == ":memory:":
        raise StateRefused(
            "state.url names no file; a state in memory would be lost at the end.",
            hint="Write sqlite:///meisa-cdc.db.",
        )
    return Path(url.database)


def _place(file: Path) -> str:
    return f"The state {file}"
