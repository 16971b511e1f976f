"""The app database goes away, is slow, is locked, or refuses one mapping; F20, F21, F23, F24."""

import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from meisa_cdc.core.errors import MappingFailed, SourceUnavailable
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.mysql_transaction import MySqlTransaction
from meisa_cdc.source.postgres_transaction import PostgresTransaction
from meisa_cdc.source.session import BATCH
from meisa_cdc.source.snapshot import DatabaseSnapshot
from tests.conftest import AppDatabase as Given

DIGITS = f"(select 0 as d {' '.join(f'union all select {n}' for n in range(1, 5))}"
# More bytes than the buffers between a server and us hold.
NUMBERS = f"""
select a.d + 5*b.d + 25*c.d + 125*e.d + 625*f.d + 3125*g.d, repeat('x', 1000)
from {DIGITS}) a, {DIGITS}) b, {DIGITS}) c, {DIGITS}) e, {DIGITS}) f, {DIGITS}) g
"""
USERS = [
    "create table users (id integer primary key, email varchar(1000))",
    f"insert into users {NUMBERS}",
]
COUNT = 5**6
IDENTITY = Mapping(
    name="contacts/identity", text="select id as external_id, email from users", digest="i"
)
SLOW = Mapping(
    name="contacts/slow",
    text="select count(*) as external_id, 1 as x from users a, users b, users c "
    "where a.email < concat(b.email, c.email)",
    digest="s",
    timeout=0.2,
)
TRANSACTIONS: dict[str, Any] = {"postgresql": PostgresTransaction, "mysql": MySqlTransaction}


def execute(url: str, *statements: str) -> None:
    """Change the app database, as the app would."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def count(snapshot: DatabaseSnapshot, mapping: Mapping = IDENTITY) -> int:
    """Return how many rows a mapping has."""
    return sum(len(batch) for batch in snapshot.read(mapping))


class Relay:
    """Stands between us and a server; can be cut, refuse, and come back elsewhere."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._links: list[socket.socket] = []
        self.up = True
        self._flows = Event()
        self._flows.set()
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.up:
                client.close()
                continue
            server = socket.create_connection(self.target)
            self._links += [client, server]
            for one, other in ((client, server), (server, client)):
                Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self._flows.wait()
                other.sendall(data)
        _shut(other)

    def hold(self) -> None:
        """Let nothing through, yet break nothing: a network that swallows packets."""
        self._flows.clear()

    def cut(self) -> None:
        """Break every connection and take no new one."""
        self.up = False
        self._flows.set()
        for link in self._links:
            _shut(link)

    def close(self) -> None:
        """Break everything for good."""
        self.cut()
        _shut(self._listener)
        self._listener.close()
        self._thread.join()
        for link in self._links:
            link.close()


def _shut(link: socket.socket) -> None:
    with suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)


@contextmanager
def relayed(url: str) -> Iterator[tuple[AppDatabase, Relay]]:
    """Yield the database as it is reached through a relay."""
    place = make_url(url)
    assert place.host
    assert place.port
    with closing(Relay(place.host, place.port)) as relay:
        yield AppDatabase(place.set(host="127.0.0.1", port=relay.port)), relay


@pytest.fixture(params=["postgresql", "mysql"])
def server(request: pytest.FixtureRequest) -> Given:
    """Return a database on each kind of server in turn, with many users."""
    fixture = {"postgresql": "postgres_url", "mysql": "mariadb_url"}[request.param]
    given = Given(dialect=request.param, url=request.getfixturevalue(fixture))
    execute(given.url, *USERS)
    return given


def read_and_lose(database: AppDatabase, relay: Relay, seen: list[int]) -> None:
    """Read, lose the connection on the way, and go on as if nothing had happened."""
    with database.snapshot() as snapshot:
        reading = snapshot.read(IDENTITY)
        seen.append(len(next(reading)))
        relay.cut()
        with pytest.raises(SourceUnavailable, match="was lost"):
            seen.extend(len(batch) for batch in reading)
        with pytest.raises(SourceUnavailable):
            count(snapshot)


def test_f20_down_at_start_and_up_again(server):
    """While it is down every pass fails; once it is up the next one reads everything."""
    with relayed(server.url) as (database, relay):
        relay.up = False
        for _ in range(2):
            with pytest.raises(SourceUnavailable), database.snapshot():
                pass
        relay.up = True
        with database.snapshot() as snapshot:
            assert count(snapshot) == COUNT


def test_f20_restarted_in_mid_query(server):
    """The pass fails as a whole, even for a caller that swallowed the first error."""
    with relayed(server.url) as (database, relay):
        seen: list[int] = []
        with pytest.raises(SourceUnavailable, match="was lost"):
            read_and_lose(database, relay, seen)
        assert seen[0] == BATCH
        assert sum(seen) < COUNT
        relay.up = True
        with database.snapshot() as snapshot:
            assert count(snapshot) == COUNT


def test_f20_lost_between_the_last_row_and_the_end(server):
    """Rows of a transaction that did not end are no rows."""

    def read_and_lose_the_end(database: AppDatabase, relay: Relay) -> None:
        with database.snapshot() as snapshot:
            assert count(snapshot) == COUNT
            relay.cut()

    with (
        relayed(server.url) as (database, relay),
        pytest.raises(SourceUnavailable, match="was lost"),
    ):
        read_and_lose_the_end(database, relay)


def test_f20_fails_over(server, request):
    """The same address leads to another server: the next pass reads what is there."""
    other = {"postgresql": "chinook_postgres_url", "mysql": "chinook_mariadb_url"}[server.dialect]
    with relayed(server.url) as (database, relay):
        with database.snapshot() as snapshot:
            assert count(snapshot) == COUNT
        relay.cut()
        with pytest.raises(SourceUnavailable), database.snapshot():
            pass
        elsewhere = make_url(request.getfixturevalue(other))
        relay.up = True
        moved = AppDatabase(elsewhere.set(host="127.0.0.1", port=relay.port))
        with moved.snapshot() as snapshot, pytest.raises(MappingFailed, match="users"):
            count(snapshot)


def test_f20_a_server_that_does_not_answer_is_given_up(server):
    """Where nothing comes back, not even to a request to cancel, the connection is cut."""
    with relayed(server.url) as (database, relay):
        transaction = TRANSACTIONS[server.dialect](database.url, patience=0.2)
        with closing(transaction):
            transaction.timeout = 0.1
            relay.hold()
            with pytest.raises((psycopg.OperationalError, pymysql.OperationalError)) as caught:
                transaction.execute("select 1")
            assert isinstance(transaction.lost(caught.value), SourceUnavailable)
            with pytest.raises(SourceUnavailable, match="was lost"):
                transaction.finish()


def test_f21_we_cancel_what_the_server_does_not_end(server):
    """Without a limit of the server's own, ours ends the query; the transaction goes on."""
    with closing(TRANSACTIONS[server.dialect](make_url(server.url), patience=0.2)) as opened:
        opened.timeout = 0.1
        if server.dialect == "postgresql":
            opened.execute("savepoint s")
            with pytest.raises(psycopg.errors.QueryCanceled):
                opened.execute("select pg_sleep(60)")
            opened.execute("rollback to savepoint s")
        else:
            with pytest.raises(pymysql.OperationalError, match="interrupted"):
                opened.execute("select count(*) from users where sleep(60) = 1")
        opened.finish()


def killed_after_a_batch(server: Given, seen: list[int]) -> None:
    """Read while an administrator ends our connection."""
    find = "select pid from pg_stat_activity where application_name like 'meisa-cdc%'"
    end = "select pg_terminate_backend({})"
    if server.dialect == "mysql":
        name = make_url(server.url).database
        find = f"select id from information_schema.processlist where db = '{name}' "
        find += "and id <> connection_id()"
        end = "kill {}"
    with AppDatabase(server.url).snapshot() as snapshot:
        reading = snapshot.read(IDENTITY)
        seen.append(len(next(reading)))
        engine = create_engine(server.url, poolclass=NullPool)
        with engine.begin() as connection:
            for (process,) in connection.execute(text(find)).all():
                connection.execute(text(end.format(process)))
        seen.extend(len(batch) for batch in reading)


def test_f23_connection_lost_after_some_rows(server):
    """The reading ends with an error, never as if these had been all rows."""
    seen: list[int] = []
    with pytest.raises(SourceUnavailable, match="was lost"):
        killed_after_a_batch(server, seen)
    assert seen[0] == BATCH
    assert sum(seen) < COUNT


def failures(snapshot: DatabaseSnapshot, mappings: Sequence[Mapping]) -> list[str]:
    """Return what is said of mappings that cannot be read."""
    said = []
    for mapping in mappings:
        with pytest.raises(MappingFailed) as caught:
            count(snapshot, mapping)
        assert caught.value.mapping == mapping.name
        said.append(str(caught.value))
    return said


def test_f21_a_slow_mapping_fails_alone(server):
    """The server, or else we, end the query; the snapshot goes on."""
    database = AppDatabase(server.url)
    with database.snapshot() as snapshot:
        assert count(snapshot) == COUNT
        (said,) = failures(snapshot, [SLOW])
        assert "the query took longer than 0.2 s. Make it faster, or raise timeout" in said
        with pytest.raises(MappingFailed, match="longer than"):
            next(snapshot.read(SLOW, ["1"]))
        assert count(snapshot) == COUNT


def test_f21_a_slow_mapping_fails_alone_on_sqlite(sqlite_url):
    """SQLite has no time limit of its own; ours ends the query."""
    execute(sqlite_url, *[each.replace("repeat('x', 1000)", "'x'") for each in USERS])
    endless = Mapping(
        name="contacts/endless",
        text="with recursive r(n) as (select 1 union all select n + 1 from r) "
        "select max(n) as external_id, 1 as x from r",
        digest="e",
        timeout=0.2,
    )
    with AppDatabase(sqlite_url).snapshot() as snapshot:
        assert count(snapshot) == COUNT
        for ask in (count, lambda view, each: view.explain(each) and count(view, each)):
            with pytest.raises(MappingFailed, match=r"took longer than 0\.2 s"):
                ask(snapshot, endless)
        assert count(snapshot) == COUNT


def test_f21_a_slow_reader_makes_no_slow_query(server):
    """The limit counts the database's time for each batch, not what we do in between."""
    quick = Mapping(name="contacts/identity", text=IDENTITY.text, digest="q", timeout=1.5)
    with AppDatabase(server.url).snapshot() as snapshot:
        reading = snapshot.read(quick)
        seen = len(next(reading))
        Event().wait(2)
        assert seen + sum(len(batch) for batch in reading) == COUNT


def test_f21_a_locked_table_fails_alone(postgres_url):
    """A schema change that holds its lock stops that mapping, not the others."""
    execute(postgres_url, *USERS, "create table plans (id integer, plan text)")
    plans = Mapping(
        name="contacts/plan",
        text="select id as external_id, plan from plans",
        digest="p",
        timeout=0.3,
    )
    engine = create_engine(postgres_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("lock table plans in access exclusive mode"))
        with AppDatabase(postgres_url).snapshot() as snapshot:
            (said,) = failures(snapshot, [plans])
            assert said == "contacts/plan: a table is locked. It is read again next time."
            assert count(snapshot) == COUNT


def test_f20_a_damaged_file_fails_the_pass(sqlite_url):
    """A file that cannot be read on is not a mapping's mistake."""
    execute(
        sqlite_url, *[each.replace("repeat('x', 1000)", "hex(zeroblob(500))") for each in USERS]
    )
    name = make_url(sqlite_url).database
    assert name
    path = Path(name)
    content = path.read_bytes()

    def read() -> None:
        with AppDatabase(sqlite_url).snapshot() as snapshot:
            with pytest.raises(SourceUnavailable, match="malformed"):
                count(snapshot)
            with suppress(SourceUnavailable):
                count(snapshot)

    half = len(content) // 2
    path.write_bytes(content[:half] + b"\xff" * 100_000 + content[half + 100_000 :])
    with pytest.raises(SourceUnavailable, match="cannot be read: database disk image is malformed"):
        read()


def test_f21_a_locked_file_fails_the_pass(sqlite_url):
    """A writer that holds the whole file is waited for, then the pass is dropped."""
    execute(sqlite_url, "create table users (id integer, email text)")
    path = make_url(sqlite_url).database
    assert path
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        impatient = AppDatabase(f"{sqlite_url}?timeout=0.1")
        with pytest.raises(SourceUnavailable, match="database is locked"), impatient.snapshot():
            pass


@pytest.mark.parametrize(
    ("postgresql", "mysql"),
    [
        (
            "select id as external_id, 1 / (id - 9000) as x from users",
            "select id as external_id, (select id from users) as x from users",
        ),
        ("select id as external_id, email::int as x from users", "select id as external_id, x()"),
        ("select id as external_id, x from gone", "select id as external_id, x from gone"),
    ],
)
def test_f24_a_mapping_in_error_fails_alone(server, postgresql, mysql):
    """Even in the middle of its rows; those before and after it are read."""
    bad = Mapping(
        name="contacts/bad",
        text=postgresql if server.dialect == "postgresql" else mysql,
        digest="b",
    )
    with AppDatabase(server.url).snapshot() as snapshot:
        assert count(snapshot) == COUNT
        failures(snapshot, [bad, bad])
        assert count(snapshot) == COUNT


def test_f24_a_mapping_without_rights_fails_alone(postgres_url):
    """What the role may not see is named, with what to do."""
    execute(
        postgres_url,
        *USERS,
        "create table secrets (id integer, token text)",
        "drop role if exists meisa_reader",
        "create role meisa_reader login password 'reader'",
        "grant select on users to meisa_reader",
    )
    secrets = Mapping(
        name="contacts/secrets", text="select id as external_id, token from secrets", digest="x"
    )
    try:
        reader = make_url(postgres_url).set(username="meisa_reader", password="reader")
        with AppDatabase(reader).snapshot() as snapshot:
            (said,) = failures(snapshot, [secrets])
            assert said == (
                "contacts/secrets: permission denied for table secrets. "
                "Grant select on it to the role of app_database.url."
            )
            assert count(snapshot) == COUNT
    finally:
        execute(postgres_url, "drop owned by meisa_reader", "drop role meisa_reader")


def test_f24_a_mapping_without_rights_fails_alone_on_mariadb(mariadb_url):
    """The same on MariaDB."""
    name = make_url(mariadb_url).database
    execute(
        mariadb_url,
        *USERS,
        "create table secrets (id integer, token text)",
        "create or replace user meisa_reader identified by 'reader'",
        f"grant select on {name}.users to meisa_reader",
    )
    secrets = Mapping(
        name="contacts/secrets", text="select id as external_id, token from secrets", digest="x"
    )
    try:
        reader = make_url(mariadb_url).set(username="meisa_reader", password="reader")
        with AppDatabase(reader).snapshot() as snapshot:
            (said,) = failures(snapshot, [secrets])
            assert "SELECT command denied" in said
            assert "Grant select on it to the user of app_database.url." in said
            assert count(snapshot) == COUNT
    finally:
        execute(mariadb_url, "drop user meisa_reader")
