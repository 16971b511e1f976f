"""States that were lost, emptied, damaged, filled up, or written by a newer program."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import Pool

from meisa_cdc.core.errors import StateRefused, StateUnavailable
from meisa_cdc.state import open_state
from meisa_cdc.testing import HandClock
from tests.integration.state.states import CONTACTS, fill, start, statement


def cut(file: Path) -> None:
    """Lose the second half of a file."""
    with file.open("r+b") as found:
        found.truncate(file.stat().st_size // 2)


def scribble(file: Path) -> None:
    """Write over pages in the middle of a file."""
    with file.open("r+b") as found:
        found.seek(file.stat().st_size // 2 // 4096 * 4096)
        found.write(b"\xa5" * 8192)


def scribble_over(file: Path, table: str) -> None:
    """Write over the page that leads to a table's rows."""
    with closing(sqlite3.connect(file)) as connection:
        wanted = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        ((page,),) = connection.execute(wanted, (table,)).fetchall()
    with file.open("r+b") as found:
        found.seek((page - 1) * 4096)
        found.write(b"\xa5" * 4096)


def break_a_rule(file: Path) -> None:
    """Leave every page readable, with something in one that cannot be there."""
    rules = ("present BOOLEAN NOT NULL", "present BOOLEAN")
    change = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'contacts'"
    for before, after in (rules, rules[::-1]):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(change, (before, after))
        if after == rules[1]:
            with closing(sqlite3.connect(file)) as connection, connection:
                connection.execute("UPDATE contacts SET present = NULL WHERE id = 7")


def no_tables(file: Path) -> None:
    """Put a valid database without any tables in the file's place."""
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 1")


def another_state(file: Path) -> None:
    """Put the database of another state in the file's place."""
    other = file.with_name("other.db")
    open_state(f"sqlite:///{other}", clock=HandClock()).close()
    other.with_name("other.db.id").unlink()
    other.replace(file)


def no_contacts(file: Path) -> None:
    """Remove every contact."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM contacts")


def no_identity(file: Path) -> None:
    """Remove the state's own name."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM identity")


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "is damaged"),
        (scribble, "is damaged"),
        (break_a_rule, "NULL value in contacts.present"),
        (lambda file: file.write_text("no database\n" * 999), "not a SQLite database"),
        (lambda file: file.write_bytes(b""), "is empty"),
        (lambda file: file.unlink(), "is missing"),
        (no_tables, "has no tables"),
        (another_state, "holds another state"),
        (no_contacts, "has lost every contact"),
        (no_identity, "has lost its own name"),
    ],
)
def test_f09_a_lost_or_damaged_file_is_refused(
    filled: Path, clock: HandClock, damage: Callable[[Path], None], says: str, read_only: bool
):
    """Whatever happened to the file, it is never taken for an empty state, and left alone."""
    damage(filled)
    before = {path.name: path.read_bytes() for path in filled.parent.iterdir()}
    with pytest.raises(StateRefused, match=says) as refused:
        open_state(f"sqlite:///{filled}", clock=clock, read_only=read_only)
    assert str(filled) in str(refused.value)
    assert "backup" in refused.value.hint
    left = {path.name: path.read_bytes() for path in filled.parent.glob("state.db*")}
    assert {name: left[name] for name in before} == before


def test_f09_the_way_out_is_a_backup(filled: Path, clock: HandClock):
    """A copy that was put back, even an older one, opens again."""
    backup = shutil.copy(filled, filled.with_name("backup"))
    with open_state(f"sqlite:///{filled}", clock=clock) as state:
        fill(state, first=1000)
    cut(filled)
    Path(backup).replace(filled)
    with open_state(f"sqlite:///{filled}", clock=clock) as state:
        assert state.counts().contacts == CONTACTS


def test_f09_the_way_out_is_to_start_anew(filled: Path, clock: HandClock):
    """With the file and its sentinel moved away, on purpose, a new state is made."""
    filled.unlink()
    filled.with_name("state.db.id").unlink()
    with open_state(f"sqlite:///{filled}", clock=clock) as state:
        assert state.counts().contacts == 0


def test_f09_a_missing_sentinel_is_made_again(filled: Path, clock: HandClock):
    """A file that was copied alone, or a process that died before it wrote: no loss."""
    sentinel = filled.with_name("state.db.id")
    known = sentinel.read_text()
    sentinel.unlink()
    open_state(f"sqlite:///{filled}", clock=clock, read_only=True).close()
    assert not sentinel.exists()
    open_state(f"sqlite:///{filled}", clock=clock).close()
    assert sentinel.read_text() == known


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Let every use of a SQLite file read its pages from the file, as after a long time."""

    def forget(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA shrink_memory")

    event.listen(Pool, "checkout", forget)
    yield
    event.remove(Pool, "checkout", forget)


@pytest.mark.usefixtures("forgetful")
def test_f09_a_file_that_is_damaged_while_in_use_is_refused(filled: Path, clock: HandClock):
    """As soon as the damage is met."""
    with open_state(f"sqlite:///{filled}", clock=clock, read_only=True) as state:
        keys = [f"{number:05}" for number in range(CONTACTS)]
        assert len(state.load(keys)) == CONTACTS
        scribble_over(filled, "contacts")
        with pytest.raises(StateRefused, match="is damaged"):
            state.load(keys)


def test_f09_tables_that_vanished_from_postgres_are_missed(postgres_url: str, clock: HandClock):
    """Contacts that were there and are not, or a table that is gone: refused."""
    with open_state(postgres_url, clock=clock) as state:
        fill(state)
        statement(postgres_url, "ALTER TABLE contacts RENAME TO lost")
        with pytest.raises(StateRefused, match="lost a table"):
            state.counts()
        statement(postgres_url, "ALTER TABLE lost RENAME TO contacts")
    statement(postgres_url, "DELETE FROM contacts")
    for read_only in (True, False):
        with pytest.raises(StateRefused, match="lost every contact"):
            open_state(postgres_url, clock=clock, read_only=read_only)


@pytest.fixture
def full() -> Iterator[dict[str, bool]]:
    """Yield a switch: while it is on, no SQLite file may grow by a page."""
    disk = {"full": False}

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        pages = 1 if disk["full"] else 2**30
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(Pool, "checkout", limit)
    yield disk
    event.remove(Pool, "checkout", limit)


def test_f08_a_full_disk_is_noticed_at_the_intent(
    filled: Path, clock: HandClock, full: dict[str, bool]
):
    """The grant fails whole, before anything is sent, and succeeds once there is room."""
    with open_state(f"sqlite:///{filled}", clock=clock) as state:
        keys = iter([f"{number:05}" for number in range(CONTACTS)])
        full["full"] = True
        granted: list[str] = []
        with pytest.raises(StateUnavailable, match="full") as unavailable:
            granted.extend(key for key in keys if start(state, key))
        assert "Free space" in unavailable.value.hint
        assert len(list(state.deliveries())) == len(granted)
        assert state.counts().in_doubt == len(granted)
        full["full"] = False
        assert start(state, next(keys)) is not None
        assert state.counts().in_doubt == len(granted) + 1


def test_f08_a_pass_is_not_stored_on_a_full_disk(
    file: Path, clock: HandClock, full: dict[str, bool]
):
    """A batch of contacts is stored whole or not at all."""
    with open_state(f"sqlite:///{file}", clock=clock) as state:
        full["full"] = True
        with pytest.raises(StateUnavailable, match="full"):
            fill(state)
        assert state.counts().contacts == 0
        full["full"] = False
        fill(state)
        assert state.counts().contacts == CONTACTS


def test_an_intent_is_flushed_to_the_disk(filled: Path, clock: HandClock):
    """A grant survives the loss of power; other writes, which can be made again, need not."""
    levels = []

    def note_level(connection: Connection) -> None:
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    event.listen(Engine, "commit", note_level)
    with open_state(f"sqlite:///{filled}", clock=clock) as state:
        levels.clear()
        start(state, "00000")
        state.set_note("name", 1)
        start(state, "00001")
    event.remove(Engine, "commit", note_level)
    full, normal = 2, 1
    assert levels == [full, normal, full]


def test_errors_show_no_rows(file: Path, clock: HandClock):
    """What a failed statement was about to store is in no error, nor in its cause."""
    with open_state(f"sqlite:///{file}", clock=clock) as state:
        statement(f"sqlite:///{file}", "DROP TABLE notes")
        with pytest.raises(Exception, match="notes") as failed:
            state.set_note("name", "canary")
    assert "canary" not in str(failed.value)
    assert "canary" not in repr(failed.value.__cause__)
