"""Opening a state: new, again, by several at once, and what is refused."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp

import pytest
from sqlalchemy import create_engine, make_url

from meisa_cdc.core.errors import StateRefused, StateUnavailable
from meisa_cdc.state import open_state
from meisa_cdc.testing import HandClock
from tests.databases.servers import Server
from tests.integration.state.states import CONTACTS, fill, process, run, statement, waiting

NOBODY = 65534
OPENING = """
import sys
from meisa_cdc.state import open_state
from meisa_cdc.testing import HandClock
from tests.databases.servers import Server

sys.stdin.readline()
with open_state(sys.argv[1], clock=HandClock()) as state:
    state.counts()
"""


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def looks(file: Path) -> dict[str, tuple[int, bytes]]:
    """Return the time and contents of everything beside a file, and of itself."""
    found = file.parent.iterdir()
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_a_state_outlives_its_process(state_url: str, clock: HandClock):
    """What was stored is there when the state is opened again, for writing or reading."""
    with open_state(state_url, clock=clock) as state:
        fill(state)
        state.set_belongs_to("product", "live")
    with open_state(state_url, clock=clock) as state:
        assert state.counts().contacts == CONTACTS
    with open_state(state_url, clock=clock, read_only=True) as state:
        assert state.counts().contacts == CONTACTS
        assert state.belongs_to() == {"product": "product", "environment": "live"}


def test_files_of_ours_are_private(file: Path, clock: HandClock):
    """Whatever the umask says, nobody else may read the database, its log or its sentinel."""
    before = os.umask(0)
    try:
        with open_state(f"sqlite:///{file}", clock=clock) as state:
            fill(state)
            modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    finally:
        os.umask(before)
    private = ("state.db", "state.db-shm", "state.db-wal", "state.db.id")
    assert modes == dict.fromkeys(private, 0o600)


def test_several_processes_may_open_a_new_state_at_once(state_url: str, clock: HandClock):
    """One of them makes the tables, the others wait for it, none fails."""
    processes = [process(OPENING, state_url) for _ in range(4)]
    for each in processes:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in processes:
        each.communicate(timeout=60)
    assert [each.returncode for each in processes] == [0, 0, 0, 0]
    with open_state(state_url, clock=clock) as state:
        assert state.counts().contacts == 0


def test_reading_a_state_that_does_not_exist_finds_it_empty(state_url: str, clock: HandClock):
    """Everything is there and empty; nothing is made, and nothing can be written."""
    with open_state(state_url, clock=clock, read_only=True) as state:
        assert state.counts().contacts == 0
        assert state.mappings() == {}
        assert list(state.usage(9).done) == []
        assert not state.first_load_done()
        assert state.holds() == []
        with pytest.raises(StateRefused, match="opened for reading"):
            state.set_note("a", 1)
    if state_url.startswith("sqlite"):
        assert names(Path(make_url(state_url).database or "").parent) == []
    else:
        assert statement(state_url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_state_that_is_read_cannot_be_written(state_url: str, clock: HandClock):
    """Opened for reading, every write is refused."""
    open_state(state_url, clock=clock).close()
    with open_state(state_url, clock=clock, read_only=True) as state:
        with pytest.raises(StateRefused, match="opened for reading"):
            state.record_first_load(1.0)
        with pytest.raises(StateRefused, match="opened for reading"):
            state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: ())


def test_reading_leaves_no_trace(filled: Path, clock: HandClock):
    """A file that was closed properly is read without a change to it or anything beside it."""
    before = looks(filled)
    with open_state(f"sqlite:///{filled}", clock=clock, read_only=True) as state:
        assert sum(map(len, state.pending())) == CONTACTS
        assert names(filled.parent) == ["state.db", "state.db.id"]
    assert looks(filled) == before


def test_reading_beside_a_writer_sees_what_it_commits(filled: Path, clock: HandClock):
    """A reader notices a writer that comes while it reads, and one that goes again."""
    url = f"sqlite:///{filled}"
    with open_state(url, clock=clock, read_only=True) as reader:
        assert reader.counts().contacts == CONTACTS
        with open_state(url, clock=clock) as writer:
            fill(writer, first=1000)
            assert reader.counts().contacts == 2 * CONTACTS
            fill(writer, first=2000)
            assert reader.counts().contacts == 3 * CONTACTS
        assert reader.counts().contacts == 3 * CONTACTS


def test_a_writer_that_came_and_went_unseen_is_noticed(filled: Path, clock: HandClock):
    """The file changed between two answers although no log is there any more."""
    url = f"sqlite:///{filled}"
    with open_state(url, clock=clock, read_only=True) as reader:
        before = list(chain.from_iterable(reader.keys()))
        with open_state(url, clock=clock) as writer:
            fill(writer, first=1000)
            fill(writer, first=2000)
        after = list(chain.from_iterable(reader.keys()))
    assert (len(before), len(after)) == (CONTACTS, 3 * CONTACTS)


def test_after_a_process_died_the_log_it_left_is_read(file: Path, clock: HandClock):
    """What was committed by a process that was killed is there for readers as well."""
    script = """
import os, signal, sys
from meisa_cdc.state import open_state
from meisa_cdc.testing import HandClock
from tests.databases.servers import Server
from tests.integration.state.states import fill

fill(open_state(sys.argv[1], clock=HandClock()))
os.kill(os.getpid(), signal.SIGKILL)
"""
    url = f"sqlite:///{file}"
    assert run(script, url) == -9
    assert "state.db-wal" in names(file.parent)
    with open_state(url, clock=clock, read_only=True) as state:
        assert state.counts().contacts == CONTACTS


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql+pymysql://root:hunter2@localhost/app", "mysql"),
        ("hunter2", "not a database URL"),
        ("postgresql://u:hunter2@host:port/db", "not a database URL"),
        ("postgresql://u:hunter2@127.0.0.1/db?colour=blue", "invalid connection option"),
    ],
)
def test_a_url_that_cannot_be_ours_is_refused(url: str, says: str, clock: HandClock):
    """The refusal says what is wrong and repeats no password."""
    with pytest.raises(StateRefused, match=says) as refused:
        open_state(url, clock=clock)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("read_only", [True, False])
def test_the_apps_own_database_is_refused(state_url: str, clock: HandClock, read_only: bool):
    """Tables of somebody else, also such as are named like ours: refused, and nothing made."""
    for table in ("contacts", "users"):
        statement(state_url, f"CREATE TABLE {table} (id INTEGER)")
    with pytest.raises(StateRefused, match="not ours: contacts, users"):
        open_state(state_url, clock=clock, read_only=read_only)
    assert statement(state_url, "SELECT count(*) FROM contacts") == [(0,)]
    with pytest.raises(Exception, match="schema_version"):
        statement(state_url, "SELECT * FROM schema_version")


def test_our_suppression_tables_may_share_the_schema(postgres_url: str, clock: HandClock):
    """They are ours as well, and may have been there first."""
    statement(postgres_url, "CREATE TABLE meisa_suppressed_emails (email text)")
    open_state(postgres_url, clock=clock).close()
    statement(postgres_url, "CREATE VIEW report AS SELECT 1 AS one")
    with pytest.raises(StateRefused, match="not ours: report"):
        open_state(postgres_url, clock=clock)


def test_a_schema_of_its_own_beside_the_apps_tables(postgres_url: str, clock: HandClock):
    """The URL may name a schema; what other schemas hold does not matter."""
    statement(postgres_url, "CREATE TABLE users (id integer)")
    url = f"{postgres_url}?options=-csearch_path%3D%22OurState%22"
    with pytest.raises(StateRefused, match="does not exist"):
        open_state(url, clock=clock)
    statement(postgres_url, 'CREATE SCHEMA "OurState"')
    with open_state(url, clock=clock) as state:
        fill(state)
    with open_state(url, clock=clock, read_only=True) as state:
        assert state.counts().contacts == CONTACTS
    assert statement(postgres_url, 'SELECT count(*) FROM "OurState".contacts') == [(CONTACTS,)]


def test_other_spellings_of_postgres_are_understood(postgres_url: str, clock: HandClock):
    """`postgres://` and `postgresql://` name the same server."""
    for name in ("postgres", "postgresql"):
        url = make_url(postgres_url).set(drivername=name)
        open_state(url.render_as_string(hide_password=False), clock=clock).close()


def test_a_wrong_password_is_not_repeated(postgres_url: str, clock: HandClock):
    """A login that fails is refused or retried without showing what was tried."""
    url = make_url(postgres_url).set(password="hunter2")
    with pytest.raises((StateRefused, StateUnavailable)) as refused:
        open_state(url, clock=clock)
    text = repr(refused.value) + str(refused.value) + str(refused.value.__cause__)
    assert "hunter2" not in text


def test_a_server_that_is_down_is_unavailable(clock: HandClock):
    """Nothing listens: a later try may succeed."""
    with pytest.raises(StateUnavailable, match="cannot be reached"):
        open_state("postgresql://u:hunter2@127.0.0.1:1/db", clock=clock)


def test_a_connection_that_broke_is_replaced(postgres_url: str, clock: HandClock):
    """After the server ended our connections, work goes on with new ones."""
    with open_state(postgres_url, clock=clock) as state:
        fill(state)
        statement(
            postgres_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert state.counts().contacts == CONTACTS


def test_a_connection_that_breaks_in_a_transaction_stores_nothing(
    postgres_url: str, clock: HandClock
):
    """The write is reported as unavailable, nothing of it is there, and the next one succeeds."""

    def cut(key, known):
        statement(
            postgres_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        return waiting(key, known)

    with open_state(postgres_url, clock=clock) as state:
        with pytest.raises(StateUnavailable):
            state.settle(["a"], cut, now=1.0)
        assert state.load(["a"]) == {}
        state.settle(["a"], waiting, now=1.0)
        assert list(state.load(["a"])) == ["a"]


@contextmanager
def somebody_else() -> Iterator[Path]:
    """Yield a folder that we may look into but not write, as an unprivileged user."""
    folder = Path(mkdtemp(prefix="meisa-cdc-state-"))
    root = os.geteuid() == 0
    try:
        folder.chmod(0o755 if root else 0o555)
        if root:
            os.setresuid(NOBODY, NOBODY, 0)
        yield folder
    finally:
        if root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_f12_a_folder_that_cannot_be_written_is_refused(clock: HandClock):
    """The refusal names the folder, its owner and us."""
    with somebody_else() as folder:
        with pytest.raises(StateRefused, match="cannot be written by") as refused:
            open_state(f"sqlite:///{folder}/state.db", clock=clock)
        assert str(folder) in str(refused.value)
        assert names(folder) == []


def test_f12_a_file_of_another_user_is_refused(filled: Path, clock: HandClock):
    """The database is there but belongs to somebody else: refused for writing and reading."""
    if os.geteuid() != 0:
        pytest.skip("only root can leave a file to somebody else")
    with somebody_else() as folder:
        os.setresuid(0, 0, 0)
        there = folder / "state.db"
        there.write_bytes(filled.read_bytes())
        there.chmod(0o600)
        os.chown(there, 54321, 54321)
        folder.chmod(0o777)
        os.setresuid(NOBODY, NOBODY, 0)
        with pytest.raises(
            StateRefused, match="belongs to user 54321 and cannot be written by nobody"
        ):
            open_state(f"sqlite:///{there}", clock=clock)
        with pytest.raises((StateRefused, StateUnavailable), match=r"state\.db"):
            open_state(f"sqlite:///{there}", clock=clock, read_only=True)


def test_f12_a_folder_that_does_not_exist_is_refused(tmp_path: Path, clock: HandClock):
    """We make files, not folders; a file in place of a folder is refused as well."""
    (tmp_path / "plain").write_text("")
    for folder in (tmp_path / "missing", tmp_path / "plain"):
        with pytest.raises(StateRefused, match="does not exist"):
            open_state(f"sqlite:///{folder}/state.db", clock=clock)
    assert names(tmp_path) == ["plain"]


def test_f12_reading_needs_no_right_to_write(filled: Path, clock: HandClock):
    """A state in a folder that we may only read can still be looked at."""
    with somebody_else() as folder:
        if os.geteuid() != 0 and os.getuid() == NOBODY:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)
        there = folder / "state.db"
        there.write_bytes(filled.read_bytes())
        there.chmod(0o444)
        folder.chmod(0o555)
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, 0)
        with open_state(f"sqlite:///{there}", clock=clock, read_only=True) as state:
            assert state.counts().contacts == CONTACTS


def test_f12_a_folder_that_we_may_not_look_into_is_refused(filled: Path, clock: HandClock):
    """What cannot be seen is not taken for missing."""
    filled.parent.chmod(0o000)
    root = os.geteuid() == 0
    if root:
        # Our own folder is open to root whatever its mode says.
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        for read_only in (True, False):
            with pytest.raises(StateRefused, match=r"Permission denied|cannot be written"):
                open_state(f"sqlite:///{filled}", clock=clock, read_only=read_only)
    finally:
        if root:
            os.setresuid(0, 0, 0)
        filled.parent.chmod(0o700)


def test_f12_a_sentinel_that_cannot_be_read_is_refused(filled: Path, clock: HandClock):
    """Without knowing which state ought to be there, none is used."""
    sentinel = filled.with_name("state.db.id")
    sentinel.unlink()
    sentinel.mkdir()
    with pytest.raises(StateRefused, match=r"state\.db\.id cannot be used"):
        open_state(f"sqlite:///{filled}", clock=clock)


def test_a_file_that_vanishes_while_it_is_read_is_unavailable(filled: Path, clock: HandClock):
    """What is gone is said to be gone, and not made anew."""
    with open_state(f"sqlite:///{filled}", clock=clock, read_only=True) as state:
        filled.unlink()
        with pytest.raises(StateUnavailable, match="cannot be used"):
            state.counts()
    assert not filled.exists()


def test_a_server_that_cannot_hold_every_text_is_refused(
    postgres_server: Server, postgres_url: str, clock: HandClock
):
    """Names and values are Unicode; a database of another encoding would fail on some."""
    name = f"{make_url(postgres_url).database}_latin"
    engine = create_engine(postgres_server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
        )
        try:
            with pytest.raises(StateRefused, match="cannot hold every text"):
                open_state(postgres_server.url.set(database=name), clock=clock)
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


def test_a_file_that_another_program_locks_is_unavailable(filled: Path, clock: HandClock):
    """Whoever holds the database for long is not fought: a later write succeeds."""
    with (
        open_state(f"sqlite:///{filled}", clock=clock) as state,
        closing(sqlite3.connect(filled, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailable, match="locked"):
            state.set_note("a", 1)
        other.execute("COMMIT")
        state.set_note("a", 1)
        assert state.note("a") == 1
