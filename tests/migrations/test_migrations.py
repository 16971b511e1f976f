"""Bringing a state up to date: from nothing, from older versions, interrupted, and not back."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from meisa_cdc.core.breaker import Breaker
from meisa_cdc.core.budget import Usage
from meisa_cdc.core.contact import Contact, Quarantined
from meisa_cdc.core.errors import LeaseHeld, StateRefused
from meisa_cdc.state import migrate_state, open_state
from meisa_cdc.state.schema import VERSION_TABLE, metadata
from meisa_cdc.state.upgrade import migrations_folder, revisions
from meisa_cdc.testing import HandClock
from tests.integration.state.states import CONTACTS, fill, run, statement
from tests.migrations.folders import up_to

KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from meisa_cdc.state import migrate_state
from meisa_cdc.testing import HandClock


written = []


@event.listens_for(Engine, "after_cursor_execute")
def die(connection, cursor, statement, *_):
    if statement.lstrip().startswith(("CREATE", "ALTER", "INSERT", "UPDATE")):
        written.append(statement)
    if sys.argv[3] in statement:
        os.kill(os.getpid(), signal.SIGKILL)


@event.listens_for(Engine, "commit")
def die_last(connection):
    if sys.argv[3] == "COMMIT" and written:
        os.kill(os.getpid(), signal.SIGKILL)


migrate_state(sys.argv[1], clock=HandClock(), migrations=Path(sys.argv[2]))
"""


def test_the_migrations_make_the_declared_tables(state_url: str, clock: HandClock):
    """A state made by the migrations differs in nothing from the schema in the code."""
    open_state(state_url, clock=clock).close()
    engine = create_engine(state_url)
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_keys_are_sorted_by_code_points_on_any_server(postgres_url: str, clock: HandClock):
    """The database's own collation may be any; that of the keys is C."""
    open_state(postgres_url, clock=clock).close()
    found = statement(
        postgres_url,
        "SELECT c.relname, l.collname FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation l ON l.oid = a.attcollation"
        " WHERE a.attname = 'external_id' AND c.relname IN ('contacts', 'hold_changes')",
    )
    assert sorted(found) == [("contacts", "C"), ("hold_changes", "C")]


def test_the_revisions_are_alembics_own():
    """The order that file names give is the order that the migrations declare."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    declared = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert list(revisions(migrations_folder())) == declared[::-1]


def test_migrating_twice_does_nothing(state_url: str, clock: HandClock):
    """It tells whether there was anything to do."""
    assert migrate_state(state_url, clock=clock)
    assert not migrate_state(state_url, clock=clock)


def test_data_survives_a_migration(state_url: str, clock: HandClock, later: Path):
    """Opening an older state brings it up to date, with all that is in it."""
    with open_state(state_url, clock=clock) as state:
        fill(state)
        before = state.load(["00000", "00299"])
    assert migrate_state(state_url, clock=clock, migrations=later)
    with open_state(state_url, clock=clock, migrations=later) as state:
        assert state.counts().contacts == CONTACTS
        assert state.load(["00000", "00299"]) == before
    assert statement(state_url, "SELECT max(later) FROM contacts") == [(2 * CONTACTS,)]


def test_an_older_state_is_not_read(state_url: str, clock: HandClock, later: Path):
    """A dry run changes nothing, so that it says what to run first."""
    open_state(state_url, clock=clock).close()
    with pytest.raises(StateRefused, match="meisa-cdc migrate"):
        open_state(state_url, clock=clock, migrations=later, read_only=True)
    assert not migrate_state(state_url, clock=clock)


def test_a_state_in_use_is_not_migrated(state_url: str, clock: HandClock, later: Path):
    """A process of the older version works on: whoever is newer waits until it has ended."""
    with open_state(state_url, clock=clock) as state:
        lease = state.lease("run on web-1 pid 4711")
        lease.acquire()
        with pytest.raises(LeaseHeld, match="run on web-1 pid 4711"):
            migrate_state(state_url, clock=clock, migrations=later)
        state.set_note("name", "still works")
        lease.release()
    assert migrate_state(state_url, clock=clock, migrations=later)


@pytest.mark.parametrize(
    "last", ["CREATE TABLE contacts", "CREATE TABLE holds", "INSERT INTO budget", "COMMIT"]
)
def test_f04_killed_while_the_first_tables_are_made(state_url: str, clock: HandClock, last: str):
    """Nothing is left of an attempt that was killed; the next start makes the state."""
    assert run(KILLED, state_url, str(migrations_folder()), last) == -9
    with open_state(state_url, clock=clock, read_only=True) as state:
        assert state.counts().contacts == 0
    with open_state(state_url, clock=clock) as state:
        fill(state)
        assert state.counts().contacts == CONTACTS


@pytest.mark.parametrize("last", ["ADD COLUMN", "UPDATE contacts", "CREATE INDEX", "COMMIT"])
def test_f04_killed_while_a_state_is_brought_up_to_date(
    state_url: str, clock: HandClock, later: Path, last: str
):
    """The state is as it was before, for the old program and for another attempt of the new."""
    with open_state(state_url, clock=clock) as state:
        fill(state)
    assert run(KILLED, state_url, str(later), last) == -9
    with open_state(state_url, clock=clock) as state:
        assert state.counts().contacts == CONTACTS
    assert migrate_state(state_url, clock=clock, migrations=later)
    assert statement(state_url, "SELECT count(later) FROM contacts") == [(CONTACTS,)]


@pytest.mark.parametrize("read_only", [True, False])
def test_f11_a_newer_state_is_refused_untouched(
    state_url: str, clock: HandClock, later: Path, tmp_path: Path, read_only: bool
):
    """A program that does not know the tables leaves them alone, and says so."""
    with open_state(state_url, clock=clock, migrations=later) as state:
        fill(state)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("state.db*")}
    with pytest.raises(StateRefused, match="newer meisa-cdc"):
        open_state(state_url, clock=clock, read_only=read_only)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("state.db*")} == before
    with open_state(state_url, clock=clock, migrations=later) as state:
        assert state.counts().contacts == CONTACTS


def test_a_state_of_0002_keeps_all_it_has(state_url: str, clock: HandClock, tmp_path: Path):
    """Nothing was learnt of the key by then, nothing is late, and deliveries go on."""
    assert migrate_state(state_url, clock=clock, migrations=up_to(tmp_path, "0002"))
    columns = (
        "id, external_id, present, first_load, invalid, meisa_id, rank, since, not_before,"
        " ledger_email, observed_email, in_doubt, pending, ledger, riding, due,"
        " quarantine_code, quarantined_at, quarantine_message"
    )
    for row in (
        """1, 'a', true, true, '', 'm-1', 1, 5.0, 0.0, 'a@x.com', 'a@x.com', '["first_name"]',
        '{"first_name":"A"}', '{"email":"a@x.com"}', '{"last_name":null}', 90.0,
        NULL, NULL, NULL""",
        """2, 'b', false, false, '', '', NULL, NULL, 7.0, 'b@x.com', NULL, NULL, NULL,
        '{"email":"b@x.com"}', NULL, NULL, 'rejected_400', 4.0, 'no'""",
    ):
        statement(state_url, f"INSERT INTO contacts ({columns}) VALUES ({row})")
    statement(state_url, "UPDATE budget SET paces = '[7.5, 9.25]', paused_until = 42.0")
    statement(
        state_url,
        "INSERT INTO grants (kind, external_id, started_at, done_at, open, code, message, fields)"
        " VALUES ('upsert', 'b', 3.0, 4.0, false, 'rejected_400', 'no', '[]')",
    )
    with open_state(state_url, clock=clock) as state:
        assert state.load(["a", "b"]) == {
            "a": Contact(
                ref=1,
                external_id="a",
                ledger={"email": "a@x.com"},
                in_doubt=frozenset({"first_name"}),
                pending={"first_name": "A"},
                riding={"last_name": None},
                due=90.0,
                meisa_id="m-1",
                first_load=True,
                since=5.0,
                rank=1,
            ),
            "b": Contact(
                ref=2,
                external_id="b",
                ledger={"email": "b@x.com"},
                present=False,
                quarantine=Quarantined(code="rejected_400", message="no", payload=b"", since=4.0),
            ),
        }
        usage = state.usage(9)
        assert usage == Usage(done=usage.done, paces=(7.5, 9.25), paused_until=42.0)
        assert list(usage.done) == [4.0]
        assert usage.breaker == Breaker()
        assert list(state.due(90.0, 9)) == ["a"]
        assert list(state.next_deliveries(50.0, 9, favour=[2])) == ["a"]
        assert [record.code for record in state.deliveries()] == ["rejected_400"]
        state.lease("test").acquire()
        state.forgive()
        assert state.usage(0).breaker.forgiven == 1
