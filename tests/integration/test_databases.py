"""The databases that other tests stand on: empty ones, and the sample alike on all three."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, NullPool, create_engine, inspect, make_url, text


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Yield a connection that leaves nothing open behind it."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def test_the_sample_is_alike_on_every_database(chinook):
    """Every database holds the same customers, invoices and letters beyond ASCII."""
    with connected(chinook.url) as connection:
        customers = connection.scalar(text("SELECT count(*) FROM Customer"))
        invoices = connection.scalar(text("SELECT count(*) FROM Invoice"))
        cities = connection.scalars(text("SELECT City FROM Customer")).all()
        lines = [name for name in inspect(connection).get_table_names() if "line" in name.lower()]
        keys = inspect(connection).get_foreign_keys(lines[0])
    assert (customers, invoices) == (59, 412)
    assert "São Paulo" in cities
    assert len(keys) == 2


def test_a_test_cannot_see_what_another_wrote(chinook):
    """What is written goes to this test's copy; the next test, on the same server, has its own."""
    with connected(chinook.url) as connection:
        connection.execute(text("CREATE TABLE seen_by_one_test_only (id INTEGER)"))
        connection.commit()
        assert "seen_by_one_test_only" in inspect(connection).get_table_names()


def test_nor_does_the_next(chinook):
    """The copy of the sample is fresh again."""
    with connected(chinook.url) as connection:
        assert "seen_by_one_test_only" not in inspect(connection).get_table_names()


def test_an_app_database_is_empty_and_of_its_kind(app_database):
    """The empty database has no table and speaks the dialect it says."""
    with connected(app_database.url) as connection:
        assert inspect(connection).get_table_names() == []
    assert make_url(app_database.url).get_backend_name() == app_database.dialect


@pytest.fixture
def left_open() -> Iterator[list[Connection]]:
    """Yield a list of connections to close last of all, after the databases were dropped."""
    connections: list[Connection] = []
    yield connections
    for connection in connections:
        connection.invalidate()
        connection.close()


def test_a_connection_left_open_does_not_keep_the_database(left_open, postgres_url, mariadb_url):
    """Teardown drops databases even under an open transaction; a hang would show here."""
    for url in (postgres_url, mariadb_url):
        connection = create_engine(url, poolclass=NullPool).connect()
        left_open.append(connection)
        connection.execute(text("CREATE TABLE held (id INTEGER)"))
        connection.commit()
        connection.execute(text("SELECT * FROM held"))


def test_postgres_decodes_its_log(postgres_url):
    """A logical slot sees a commit at once; teardown would fail if the slot were left behind."""
    with connected(postgres_url) as connection:
        connection.execute(text("CREATE TABLE plans (id INTEGER)"))
        connection.execute(text("CREATE PUBLICATION everything FOR ALL TABLES"))
        connection.commit()
        connection.execute(text("SELECT pg_create_logical_replication_slot('mine', 'pgoutput')"))
        connection.commit()
        connection.execute(text("INSERT INTO plans VALUES (1)"))
        connection.commit()
        options = "'proto_version', '1', 'publication_names', 'everything'"
        read = f"SELECT data FROM pg_logical_slot_get_binary_changes('mine', NULL, NULL, {options})"
        kinds = [bytes(data)[:1] for data in connection.scalars(text(read))]
    assert kinds == [b"B", b"R", b"I", b"C"]
