"""The suppression table on real databases: what a pull does to it, and what it survives."""

import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, inspect, make_url, text

from meisa_cdc.core.attempt import Standing
from meisa_cdc.core.errors import SuppressionFailed
from meisa_cdc.ports import SuppressionList, SuppressionResult
from meisa_cdc.suppressed import Suppressed, SuppressedTable, SuppressionStatus
from tests.conftest import AppDatabase

EMAILS = "meisa_suppressed_emails"
STATUS = "meisa_suppression_status"
EVENTS = "meisa_suppression_events"


@dataclass(frozen=True)
class App:
    """The app's database, as the app sees it."""

    dialect: str
    url: str

    @property
    def table(self) -> SuppressedTable:
        """Return the table as a pull uses it."""
        return SuppressedTable(self.url)

    @property
    def engine(self) -> Engine:
        """Return a way in that is not ours."""
        return create_engine(self.url, poolclass=NullPool)

    def run(self, *statements: str) -> None:
        """Run statements, each for good."""
        with self.engine.connect() as connection:
            for each in statements:
                connection.execute(text(each))
                connection.commit()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    @property
    def addresses(self) -> set[str]:
        """Return the addresses the app would join against."""
        return {email for (email,) in self.rows(f"select email from {EMAILS}")}


@pytest.fixture
def app(app_database: AppDatabase) -> App:
    """Return an empty database of each kind in turn."""
    if app_database.dialect == "sqlite":
        Path(str(make_url(app_database.url).database)).touch()
    return App(app_database.dialect, app_database.url)


def people(count: int, start: int = 0) -> frozenset[str]:
    """Return that many addresses."""
    return frozenset(f"u{number:06}@x.com" for number in range(start, start + count))


def store(
    table: SuppressedTable,
    emails: Iterable[str],
    *,
    at: float = 1_000.0,
    as_of: float = 900.0,
    approve: str = "",
    max_release: float = 0.2,
) -> SuppressionResult:
    """Make the table equal a list."""
    pulled = SuppressionList(as_of=as_of, emails=frozenset(emails))
    return table.replace(pulled, now=at, max_release=max_release, approve=approve)


def test_the_first_pull_creates_the_tables_and_fills_them(app):
    """Nobody has to prepare anything where rights allow."""
    assert store(app.table, ["a@x.com", "b@x.com"], at=1_000.5, as_of=900.25) == SuppressionResult(
        count=2, added=2, released=0, held=0, digest="", as_of=900.25
    )
    assert app.addresses == {"a@x.com", "b@x.com"}
    assert app.table.status() == SuppressionStatus(as_of=900.25, pulled_at=1_000.5, count=2)
    assert list(app.table.addresses()) == [
        Suppressed(email="a@x.com", suppressed_at=1_000.5, as_of=900.25),
        Suppressed(email="b@x.com", suppressed_at=1_000.5, as_of=900.25),
    ]


def test_the_columns_are_the_documented_ones(app):
    """Names, types, keys and nothing that may be NULL: the app's queries rest on them."""
    store(app.table, ["a@x.com"])
    found = inspect(app.engine)
    kinds = {
        "sqlite": ("TEXT", "TEXT"),
        "postgresql": ("TEXT", "TIMESTAMP"),
        "mysql": ("VARCHAR(320)", "DATETIME"),
    }
    text_type, time_type = kinds[app.dialect]
    columns = {each["name"]: each for each in found.get_columns(EMAILS)}
    assert list(columns) == ["email", "suppressed_at", "as_of"]
    assert str(columns["email"]["type"]).startswith(text_type)
    assert str(columns["as_of"]["type"]).startswith(time_type)
    assert not [each for each in columns.values() if each["nullable"]]
    assert found.get_pk_constraint(EMAILS)["constrained_columns"] == ["email"]
    assert [each["name"] for each in found.get_columns(STATUS)] == ["as_of", "pulled_at", "count"]
    assert [each["name"] for each in found.get_columns(EVENTS)] == ["id", "email", "event", "at"]


def test_times_are_utc_as_sql_sees_them(app):
    """The app compares them with its own clock."""
    store(app.table, ["a@x.com"], at=1_768_464_000.25, as_of=1_768_464_000.0)
    (row,) = app.rows(f"select suppressed_at, as_of from {EMAILS}")
    seen = {
        "sqlite": "2026-01-15T08:00:00.250000Z 2026-01-15T08:00:00.000000Z",
        "postgresql": "2026-01-15 08:00:00.250000+00:00 2026-01-15 08:00:00+00:00",
        "mysql": "2026-01-15 08:00:00.250000 2026-01-15 08:00:00",
    }
    assert " ".join(str(each) for each in row) == seen[app.dialect]


def test_who_stays_keeps_the_day_they_came(app):
    """Only what changes is written; the list's time moves on in the status alone."""
    store(app.table, ["a@x.com", "b@x.com"], at=1.0, as_of=0.5)
    result = store(app.table, ["b@x.com", "c@x.com"], at=2.0, as_of=1.5)
    assert (result.added, result.released, result.count) == (1, 1, 2)
    assert list(app.table.addresses()) == [
        Suppressed(email="b@x.com", suppressed_at=1.0, as_of=0.5),
        Suppressed(email="c@x.com", suppressed_at=2.0, as_of=1.5),
    ]
    assert app.table.status() == SuppressionStatus(as_of=1.5, pulled_at=2.0, count=2)


def test_who_comes_back_starts_a_new_stay(app):
    """And the history tells the whole story, newest first."""
    for at, emails in ((1.0, ["a@x.com"]), (2.0, []), (3.0, ["a@x.com", "b@x.com"])):
        store(app.table, emails, at=at)
    assert next(app.table.addresses()).suppressed_at == 3.0
    told = [(each.event, each.at) for each in app.table.history("A@x.com")]
    assert told == [("suppressed", 3.0), ("released", 2.0), ("suppressed", 1.0)]
    assert len(list(app.table.history())) == 4


def test_an_unchanged_list_writes_one_row(postgres_url):
    """A million unchanged addresses an hour are no load."""
    app = App("postgresql", postgres_url)
    store(app.table, people(50), at=1.0, as_of=1.0)
    query = f"select email, xmin::text from {EMAILS} order by email"
    before = app.rows(query)
    result = store(app.table, people(50), at=2.0, as_of=2.0)
    assert (result.added, result.released, result.count) == (0, 0, 50)
    assert app.rows(query) == before
    assert app.rows(f"select count(*) from {EVENTS}") == [(50,)]
    assert app.table.status() == SuppressionStatus(as_of=2.0, pulled_at=2.0, count=50)


def test_addresses_are_told_apart_byte_by_byte(app):
    """Where a friendlier collation would see one address, there are two."""
    emails = {
        "muller@x.com",
        "müller@x.com",
        "mu\u0308ller@x.com",
        "ß@x.com",
        "ss@x.com",
        "😀@x.com",
    }
    assert store(app.table, emails).added == 6
    assert app.addresses == emails
    assert store(app.table, emails).added == 0


def test_f80_releases_over_the_limit_are_held_until_approved(app):
    """Additions apply at once; the digest lets the rest go."""
    store(app.table, people(20))
    held = store(app.table, {"new@x.com"}, at=2_000.0)
    assert (held.added, held.released, held.held, held.count) == (1, 0, 20, 21)
    assert app.addresses == people(20) | {"new@x.com"}
    assert store(app.table, {"new@x.com"}, approve="0" * 16).held == 20
    done = store(app.table, {"new@x.com"}, approve=held.digest)
    assert (done.released, done.held, done.count) == (20, 0, 1)
    assert app.addresses == {"new@x.com"}


def test_before_the_first_pull_there_is_nothing_to_read(app):
    """Reading creates nothing."""
    assert app.table.status() is None
    assert list(app.table.addresses()) == []
    assert list(app.table.history()) == []
    assert inspect(app.engine).get_table_names() == []


def test_the_standing_of_addresses_is_told(app):
    """In any spelling, however many are asked for; with the age of the older of two clocks."""
    assert app.table.standing(["a@x.com"]) == Standing(as_of=None)
    store(app.table, ["a@x.com", "straße@x.com"], at=1_000.0, as_of=1_200.0)
    told = app.table.standing(["A@X.com", "b@x.com", "STRASSE@x.com", "Straße@x.com"])
    assert set(told.suppressed) == {"a@x.com", "strasse@x.com"}
    many = app.table.standing([f"{number}@x.com" for number in range(2500)] + ["a@x.com"])
    assert set(many.suppressed) == {"a@x.com"}
    assert told.as_of == 1_000.0


def test_reading_may_stop_half_way(app):
    """Whoever looks at the first few leaves no connection behind."""
    store(app.table, people(30))
    reading = app.table.addresses()
    assert next(reading).email == "u000000@x.com"
    assert isinstance(reading, Iterator)
    del reading
    assert store(app.table, people(30)).count == 30


@pytest.mark.parametrize("schema", ["own", None])
def test_the_tables_may_live_in_a_schema(app, schema):
    """All three of them; on Postgres somebody has to have made it."""
    names = {
        "sqlite": "main",
        "postgresql": schema or "public",
        "mysql": str(make_url(app.url).database),
    }
    if schema and app.dialect == "postgresql":
        app.run("create schema own")
    table = SuppressedTable(app.url, f"{names[app.dialect]}.blocked")
    store(table, ["a@x.com"])
    store(table, ["b@x.com"])
    assert sorted(inspect(app.engine).get_table_names(schema=names[app.dialect])) == [
        "blocked",
        EVENTS,
        STATUS,
    ]
    assert [each.email for each in table.addresses()] == ["b@x.com"]
    assert table.problem() is None


def test_f82_memory_is_bounded_by_the_list(app):
    """Many addresses come and go in batches; nothing beside the list itself piles up."""
    count = 5_000
    many = people(count)
    peaks = []
    for emails in (many, many, frozenset[str]()):
        pulled = SuppressionList(as_of=1.0, emails=emails)
        tracemalloc.start()
        app.table.replace(pulled, now=1.0, max_release=1.0)
        peaks.append(tracemalloc.get_traced_memory()[1] / count)
        tracemalloc.stop()
    assert app.addresses == set()
    # Bytes an address: the set of what is new, a sorted list, and fixed batches.
    assert [peak for peak in peaks if peak > 400] == []


def test_f82_a_replacement_is_one_transaction(app):
    """A failure in the last statement undoes the first."""
    store(app.table, people(3_000))
    app.run(f"drop table {STATUS}", f"create table {STATUS} (as_of integer, pulled_at integer)")
    with pytest.raises(SuppressionFailed):
        store(app.table, people(3_000, start=2_900), max_release=1.0)
    assert app.addresses == people(3_000)
    assert app.rows(f"select count(*) from {EVENTS}") == [(3_000,)]


def test_f83_readers_see_the_old_list_or_the_new(app):
    """Whenever they look, never a mixture and never an empty table."""
    lists = (people(1_500), people(1_500, start=1_000))
    store(app.table, lists[0])
    done = threading.Event()
    seen: list[frozenset[str]] = []

    def read() -> None:
        while not done.is_set():
            seen.append(frozenset(each.email for each in app.table.addresses()))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(6):
        store(app.table, lists[(turn + 1) % 2], max_release=1.0)
    done.set()
    reader.join()
    assert set(seen) <= set(lists)
    assert seen


def test_two_pulls_at_once_come_one_after_the_other(app):
    """Whichever is last, the table is its list, and the history adds up."""
    lists = [people(600, start=200 * number) for number in range(4)]
    table = SuppressedTable(app.url, lock_timeout=60.0)
    store(table, [])

    def pull(emails: frozenset[str]) -> None:
        results.append(store(table, emails, max_release=1.0))

    results: list[SuppressionResult] = []
    threads = [threading.Thread(target=pull, args=(each,)) for each in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.count for result in results] == [600] * 4
    assert app.addresses in [set(each) for each in lists]
    (added,) = app.rows(f"select count(*) from {EVENTS} where event = 'suppressed'")
    (released,) = app.rows(f"select count(*) from {EVENTS} where event = 'released'")
    assert added[0] - released[0] == 600


@contextmanager
def status_locked(app: App) -> Iterator[None]:
    """Hold what a pull needs last: the status row, or for SQLite the file against a commit."""
    lock = {"sqlite": f"select * from {EMAILS}"}.get(app.dialect, f"select * from {STATUS}")
    wait = "" if app.dialect == "sqlite" else " for update"
    with app.engine.connect() as connection:
        with closing(connection.execute(text(lock + wait))) as rows:
            rows.fetchone()
            yield
        connection.rollback()


def test_f83_a_lock_that_is_held_too_long_fails_the_pull(app):
    """It waits no longer than it was told, and changes nothing."""
    store(app.table, people(20), at=1.0)
    impatient = SuppressedTable(app.url, lock_timeout=0.2)
    with status_locked(app), pytest.raises(SuppressionFailed, match=r"[Ll]ock"):
        store(impatient, people(20, start=10), max_release=1.0)
    assert app.addresses == people(20)
    assert app.table.status() == SuppressionStatus(as_of=900.0, pulled_at=1.0, count=20)
    assert store(app.table, people(20, start=10), max_release=1.0).added == 10


PULL = """
import sys
from meisa_cdc.ports import SuppressionList
from meisa_cdc.suppressed import SuppressedTable
emails = frozenset(f"new{number}@x.com" for number in range(3000))
table = SuppressedTable(sys.argv[1], lock_timeout=600.0)
table.replace(SuppressionList(as_of=2.0, emails=emails), now=2.0, max_release=1.0)
"""

READ = f"""
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0).execute("select count(*) from {EMAILS}")
"""


def waits_at_its_last_step(app: App) -> bool:
    """Tell whether a pull of another process has written everything and now waits."""
    if app.dialect == "sqlite":
        # A writer that is about to commit lets no new reader in, but for those of a process that
        # reads already.
        command = [sys.executable, "-S", "-c", READ, str(make_url(app.url).database)]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0
    waiting = {
        "postgresql": "select count(*) from pg_stat_activity where wait_event_type = 'Lock'",
        "mysql": "select count(*) from information_schema.processlist"
        f" where info like 'DELETE FROM {STATUS}%'",
    }
    return bool(app.rows(waiting[app.dialect])[0][0])


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something holds, for as long as the process lives."""
    pause = threading.Event()
    while not condition():
        assert process.poll() is None
        pause.wait(0.02)


def test_f83_a_crash_in_the_swap_leaves_the_old_list(app):
    """Killed with everything written and nothing committed: it never happened."""
    store(app.table, people(3_000), at=1.0, as_of=1.0)
    with (
        status_locked(app),
        subprocess.Popen([sys.executable, "-c", PULL, app.url], env=os.environ) as process,
    ):
        until(lambda: waits_at_its_last_step(app), process)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert app.addresses == people(3_000)
    assert app.table.status() == SuppressionStatus(as_of=1.0, pulled_at=1.0, count=3_000)
    patient = SuppressedTable(app.url, lock_timeout=60.0)
    assert store(patient, people(3_000), at=3.0).count == 3_000


with_logins = pytest.mark.parametrize("app_database", ["postgresql", "mysql"], indirect=True)


@pytest.fixture
def limited(app: App) -> Iterator[App]:
    """Return the database for a login that may do nothing but connect."""
    name, password = f"meisa_{os.urandom(4).hex()}", os.urandom(8).hex()
    database = make_url(app.url).database
    make, drop = {
        "postgresql": (
            [f"create role {name} login password '{password}'"],
            [f"drop owned by {name}", f"drop role {name}"],
        ),
        "mysql": (
            [
                f"create user '{name}'@'%' identified by '{password}'",
                f"grant select on `{database}`.* to '{name}'@'%'",
            ],
            [f"drop user '{name}'@'%'"],
        ),
    }[app.dialect]
    app.run(*make)
    url = make_url(app.url).set(username=name, password=password)
    yield App(app.dialect, url.render_as_string(hide_password=False))
    app.run(*drop)


@with_logins
def test_without_rights_the_way_out_is_shown(app, limited):
    """The statements in the message, run by somebody with the rights, are all it takes."""
    problem = limited.table.problem()
    assert problem is not None
    with pytest.raises(SuppressionFailed) as failed:
        store(limited.table, ["a@x.com"])
    ddl = limited.table.ddl()
    assert ddl in problem
    assert ddl in str(failed.value)
    app.run(*[each for each in ddl.split(";\n") if each.strip(";\n")])
    assert limited.table.problem() is None
    assert store(limited.table, ["a@x.com"]).count == 1
    assert store(limited.table, ["b@x.com"]).released == 1


@with_logins
def test_a_right_that_is_taken_away_later_is_told(app, limited):
    """`check` notices before the next pull does."""
    app.run(*[each for each in limited.table.ddl().split(";\n") if each.strip(";\n")])
    user = make_url(limited.url).username
    who = user if app.dialect == "postgresql" else f"'{user}'@'%'"
    app.run(f"revoke delete on {EVENTS} from {who}", f"revoke delete on {EMAILS} from {who}")
    problem = limited.table.problem()
    assert problem is not None
    assert "denied" in problem
    assert "grant select, insert, update, delete" in problem


def test_a_schema_that_is_not_there_is_a_problem(postgres_url):
    """It is not created on the quiet; the statements that would are shown."""
    table = SuppressedTable(postgres_url, "nowhere.blocked")
    problem = table.problem()
    assert problem is not None
    assert "create schema if not exists nowhere" in problem
    with pytest.raises(SuppressionFailed, match="create schema if not exists nowhere"):
        store(table, ["a@x.com"])


WITHOUT_DRIVER = """
import sys
sys.modules["pymysql"] = None
from meisa_cdc.suppressed import SuppressedTable
SuppressedTable("mysql://h/d")
"""


def test_a_missing_driver_is_told_with_the_extra_that_brings_it():
    """MySQL's driver is not installed with the rest."""
    command = [sys.executable, "-c", WITHOUT_DRIVER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "SettingsError" in done.stderr
    assert "Install meisa-cdc[mysql]" in done.stderr


def test_a_look_for_problems_changes_nothing(app):
    """Neither before there are tables nor after."""
    assert app.table.problem() is None
    assert inspect(app.engine).get_table_names() == []
    store(app.table, people(5))
    assert app.table.problem() is None
    assert app.addresses == people(5)


def test_the_ddl_is_what_a_pull_would_create(app):
    """Run by hand, it leaves nothing for the pull to create, and may be run again."""
    statements = [each for each in app.table.ddl().split(";\n") if each.strip(";\n")]
    app.run(*[each.rstrip(";") for each in statements if not each.startswith("grant")])
    assert sorted(inspect(app.engine).get_table_names()) == [EMAILS, EVENTS, STATUS]
    assert store(app.table, ["a@x.com"]).count == 1


def test_a_server_that_is_away_fails_the_pull(app):
    """With the database's own words and without a password."""
    wrong = make_url(app.url)
    if app.dialect == "sqlite":
        wrong = wrong.set(database=f"{wrong.database}.elsewhere")
    else:
        wrong = wrong.set(password="not-the-password")
    table = SuppressedTable(wrong.render_as_string(hide_password=False))
    with pytest.raises(SuppressionFailed) as failed:
        store(table, ["a@x.com"])
    assert "not-the-password" not in f"{failed.value} {table!r}"
    assert table.problem() is not None
    with pytest.raises(SuppressionFailed):
        table.status()


def test_a_mistyped_sqlite_path_creates_no_file(sqlite_url):
    """An empty database would look like one in which nobody is suppressed."""
    with pytest.raises(SuppressionFailed):
        store(SuppressedTable(sqlite_url), ["a@x.com"])
    assert not Path(str(make_url(sqlite_url).database)).exists()


def test_a_pull_of_somebody_else_is_waited_for(mariadb_url):
    """MySQL has a lock of its own for it; one that stays taken fails the pull."""
    app = App("mysql", mariadb_url)
    store(app.table, people(3))
    impatient = SuppressedTable(mariadb_url, lock_timeout=1.0)
    other = SuppressedTable(mariadb_url, lock_timeout=60.0)
    pulling = threading.Thread(target=lambda: store(other, people(4)))
    with status_locked(app):
        pulling.start()
        pause = threading.Event()
        while not waits_at_its_last_step(app):
            pause.wait(0.02)
        with pytest.raises(SuppressionFailed, match="Another pull"):
            store(impatient, people(5))
    pulling.join()
    assert app.addresses == people(4)
