"""Nothing a mapping says writes, locks, waits or looks beyond the database; F29."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import NullPool, create_engine, inspect, make_url, text

from meisa_cdc.core.errors import MappingError, MappingFailed
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.snapshot import DatabaseSnapshot
from tests.conftest import AppDatabase as Given

USERS = [
    "create table users (id integer primary key, email varchar(50))",
    "insert into users values (1, 'a@x.io'), (2, 'b@x.io')",
]
IDENTITY = Mapping(
    name="contacts/identity", text="select id as external_id, email from users", digest="i"
)
ON_ALL = [
    "insert into users values (3, 'x')",
    "update users set email = 'x'",
    "delete from users",
    "drop table users",
    "create table more as select * from users",
    "alter table users add column x integer",
    "select id as external_id, email from users; delete from users",
    "select id as external_id, email from users; commit; delete from users",
    "commit",
    "rollback",
    "begin",
    "select id as external_id, email into more from users",
    "select id as external_id, email from users /*! ; delete from users */",
    "{% for x in [1] %}delete from users{% endfor %}",
    "{{ 'delete' | identifier }} from users",
]
ON = {
    "postgresql": [
        *ON_ALL,
        "with gone as (delete from users returning *) select id as external_id, email from gone",
        "select id as external_id, email from users for update",
        "select id as external_id, email from users for key share skip locked",
        "select id as external_id, pg_sleep(60) as x from users",
        "select 1 as external_id, set_config('transaction_read_only', 'off', false) as x",
        "select 1 as external_id, nextval('counter') as x",
        "select 1 as external_id, pg_read_file('/etc/passwd') as x",
        "select 1 as external_id, pg_advisory_lock(1) as x",
        "select 1 as external_id, lo_create(0) as x",
        "select 1 as external_id, pg_terminate_backend(pg_backend_pid()) as x",
        "select 1 as external_id, query_to_xml('delete from users', true, true, '') as x",
        "select 1 as external_id, writes() as x",
        "select id as external_id, u.writes2 as x from users u",
        "select 1 as external_id, x from writing",
        "select 1 as external_id, lies() as x",
        "copy users to '/tmp/meisa-cdc-stolen'",
        "truncate users",
        "lock table users",
        "do $$ begin delete from users; end $$",
        "explain analyze delete from users",
        "set default_transaction_read_only = off",
        "vacuum users",
        "listen x",
        "prepare x as delete from users",
        "select 1 as external_id, $q$ a $q$ as x; delete from users",
        "select 1 as external_id, E'\\'' as x; delete from users --'",
    ],
    "mysql": [
        *ON_ALL,
        "select id as external_id, email from users for update",
        "select id as external_id, email from users lock in share mode",
        "select id as external_id, sleep(60) as x from users",
        "select id as external_id, benchmark(1000000000, md5('a')) as x from users",
        "select 1 as external_id, load_file('/etc/passwd') as x",
        "select id as external_id, email from users into outfile '/tmp/meisa-cdc-stolen'",
        "select id as external_id, @x := email as x from users",
        "select 1 as external_id, get_lock('a', 1) as x",
        "select 1 as external_id, writes() as x",
        "select 1 as external_id, x from writing",
        "select 1 as external_id, '\\'' as x; delete from users -- '",
        "select 1 as external_id, 1 --1; delete from users",
        "set @x = 1",
        "truncate users",
        "lock tables users write",
        "call anything()",
        "do sleep(60)",
        "handler users open",
        "load data infile '/etc/passwd' into table users",
    ],
    "sqlite": [
        *ON_ALL,
        "attach '/tmp/meisa-cdc-stolen' as other",
        "attach 'file:/tmp/meisa-cdc-stolen?mode=rwc' as other",
        "vacuum into '/tmp/meisa-cdc-stolen'",
        "pragma journal_mode = delete",
        "pragma writable_schema = on",
        "select 1 as external_id, load_extension('x') as x",
        "select 1 as external_id, writefile('/tmp/meisa-cdc-stolen', 'x') as x",
        "select 1 as external_id, name as x from pragma_table_info('users')",
        "replace into users values (1, 'x')",
        "reindex",
    ],
}
WRITES = """
create function writes() returns int language sql as
$$ insert into users values (9, 'w') returning id $$
"""
WRITES_TOO = """
create function writes2(users) returns int language sql as
$$ insert into users values (8, 'w') returning id $$
"""
WRITES_ON_MYSQL = """
create function writes() returns int deterministic modifies sql data
begin insert into users values (9, 'w'); return 9; end
"""
LIES = "create function lies() returns int language sql stable as 'select writes()'"
VIEW = "create view writing as select writes() as x"
FUNCTIONS = {
    "postgresql": ["create sequence counter", WRITES, WRITES_TOO, LIES, VIEW],
    "mysql": [WRITES_ON_MYSQL, VIEW],
    "sqlite": [],
}


def mapping(text: str) -> Mapping:
    """Return a mapping with this text."""
    return Mapping(name="contacts/bad", text=text, digest=text)


@contextmanager
def unchanged(url: str) -> Iterator[None]:
    """Compare the tables and their rows before and after."""
    before = _contents(url)
    yield
    assert _contents(url) == before
    assert not os.path.exists("/tmp/meisa-cdc-stolen")  # noqa: PTH110, S108 - a name in SQL


def _contents(url: str) -> dict[str, list]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        return {
            name: sorted(map(tuple, connection.execute(text(f"select * from {name}"))))
            for name in names
        }


def prepare(given: Given) -> AppDatabase:
    """Return a database with users, and with functions that write where there are such."""
    engine = create_engine(given.url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in (*USERS, *FUNCTIONS[given.dialect]):
            connection.exec_driver_sql(statement)
    return AppDatabase(given.url)


def test_f29_a_mapping_cannot_do_more_than_read(app_database):
    """It is refused, the database stays as it is, and the other mappings are read."""
    database = prepare(app_database)
    for case in ON[app_database.dialect]:
        with unchanged(app_database.url), database.snapshot() as snapshot:
            assert "contacts/bad" in refusal(snapshot, case, None), case
            assert "contacts/bad" in refusal(snapshot, case, ["1"]), case
            assert list(snapshot.read(IDENTITY)) == [[(1, "a@x.io"), (2, "b@x.io")]], case


def refusal(snapshot: DatabaseSnapshot, case: str, keys: list[str] | None) -> str:
    """Return what is said of a mapping, at the latest when its rows are read."""
    try:
        snapshot.columns(mapping(case))
        snapshot.explain(mapping(case))
        list(snapshot.read(mapping(case), keys))
    except (MappingError, MappingFailed) as error:
        return str(error)
    return ""


def test_f29_a_volatile_function_is_named(postgres_url):
    """What the catalogue says of a function counts, not only what it is called."""
    database = prepare(Given(dialect="postgresql", url=postgres_url))
    with database.snapshot() as snapshot, pytest.raises(MappingError) as caught:
        snapshot.columns(mapping("select 1 as external_id,\npublic.writes() as x"))
    assert str(caught.value) == (
        "contacts/bad.sql:2: the function writes is volatile: it may change something. "
        "Declare it stable or immutable if it only reads."
    )


def test_f29_a_function_that_only_reads_may_be_called(postgres_url):
    """Stable and immutable functions of the app's own are fine, and so is chance."""
    engine = create_engine(postgres_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "create function twice(int) returns int language sql immutable as 'select $1 * 2'"
        )
    text = "select 1 as external_id, twice(2) as x, random() < 2 as y, now() is null as z"
    with AppDatabase(postgres_url).snapshot() as snapshot:
        assert list(snapshot.read(mapping(text))) == [[(1, 4, True, False)]]


def test_f29_what_hides_in_a_view_is_stopped_by_the_transaction(postgres_url, mariadb_url):
    """The guard below the inspection of the text holds where that sees nothing."""
    hidden = mapping("select 1 as external_id, x from writing")
    for dialect, url in (("postgresql", postgres_url), ("mysql", mariadb_url)):
        database = prepare(Given(dialect=dialect, url=url))
        with unchanged(url), database.snapshot() as snapshot:
            with pytest.raises(MappingFailed, match=r"(?i)read.only"):
                list(snapshot.read(hidden))
            assert len(list(snapshot.read(IDENTITY))) == 1


def test_f29_what_hides_in_a_view_is_stopped_by_the_authorizer(sqlite_url):
    """On SQLite the guard below sees everything that a statement comes to."""
    database = prepare(Given(dialect="sqlite", url=sqlite_url))
    engine = create_engine(sqlite_url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in (
            "create view hidden as select user_version as x from pragma_user_version",
            "create virtual table words using fts5(x)",
        ):
            connection.exec_driver_sql(statement)
    with database.snapshot() as snapshot:
        for table, denied in (
            ("hidden", "PRAGMA user_version is not allowed"),
            ("words", "anything but reading plain tables is not allowed"),
        ):
            with pytest.raises(MappingError) as caught:
                list(snapshot.read(mapping(f"select 1 as external_id, x from {table}")))
            assert str(caught.value) == f"contacts/bad.sql: {denied}"
            assert len(list(snapshot.read(IDENTITY))) == 1


def test_json_elements_are_read_on_sqlite(sqlite_url):
    """The functions that stand where a table stands only read."""
    database = prepare(Given(dialect="sqlite", url=sqlite_url))
    text = "select j.value as external_id, t.type as x from json_each('[7]') j, json_tree('[]') t"
    with database.snapshot() as snapshot:
        assert list(snapshot.read(mapping(text))) == [[(7, "array")]]


def test_f29_a_sqlite_file_without_rights_to_write_is_read(sqlite_url):
    """We ask for no more than reading."""
    database = prepare(Given(dialect="sqlite", url=sqlite_url))
    path = make_url(sqlite_url).database
    assert path
    os.chmod(path, 0o444)  # noqa: PTH101 - a path as text
    with unchanged(sqlite_url), database.snapshot() as snapshot:
        assert list(snapshot.read(IDENTITY)) == [[(1, "a@x.io"), (2, "b@x.io")]]
