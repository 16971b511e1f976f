"""Some contacts are read in the way that Postgres expects to be the cheapest."""

from collections.abc import Callable, Sequence

import psycopg
import pytest

from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from tests.installation import until
from tests.installation.writers import connections, plain

TABLES = """
create table users (id integer primary key, name text);
create table posts (id integer primary key, author_id integer not null, words integer);
insert into users select n, 'Name ' || n from generate_series(1, 20000) n;
insert into posts select n, n / 3 + 1, n % 100 from generate_series(1, 60000) n;
create index on posts (author_id);
"""
PLAIN = "select id as external_id, name from users"
GROUPED = "select author_id as external_id, count(*) as posts from posts group by author_id"
JOINED = """
select u.id as external_id, u.name, p.posts from users u
left join (select author_id, count(*) as posts from posts group by author_id) p
    on p.author_id = u.id
"""
CALCULATED = "select id::text as external_id, name from users"
TEXT = "select 'u' || id as external_id, name from users"


def mapping(text: str) -> Mapping:
    """Return a mapping with this text."""
    return Mapping(name="contacts/x", text=text, digest=text, kind="contacts")


def rows(url: str, text: str, keys: Sequence[str] | None = None) -> list[tuple[object, ...]]:
    """Return the rows of some contacts, or of all."""
    with AppDatabase(url).snapshot() as snapshot:
        found = [tuple(row) for batch in snapshot.read(mapping(text), keys) for row in batch]
    return sorted(found, key=str)


@pytest.fixture
def app(postgres_url: str) -> str:
    """Return an app with a lot of users."""
    with psycopg.connect(plain(postgres_url), autocommit=True) as connection:
        for statement in (*TABLES.split(";"), "vacuum analyze"):
            if statement.strip():
                connection.execute(statement.encode())
    return postgres_url


def read_whole(url: str, work: Callable[[], object]) -> dict[str, int]:
    """Return how many times tables were read as a whole, by table."""
    before = scans(url)
    work()
    until(lambda: connections(url) == 0)
    return {name: count - before[name] for name, count in scans(url).items()}


def scans(url: str) -> dict[str, int]:
    """Return how many times tables were read as a whole so far."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        found = connection.execute("select relname, seq_scan from pg_stat_user_tables")
        return {str(name): int(count) for name, count in found}


@pytest.mark.parametrize("text", [PLAIN, GROUPED, JOINED, f"{JOINED} -- the end"])
def test_some_contacts_are_read_without_reading_all(app: str, text: str):
    """Also through a joined aggregate, to which no condition on the keys is pushed down."""
    wanted = ["3", "4000", "77"]
    found: list[tuple[object, ...]] = []
    read = read_whole(app, lambda: found.extend(rows(app, text, wanted)))
    assert found == [row for row in rows(app, text) if str(row[0]) in wanted]
    assert read == {"users": 0, "posts": 0}


def test_a_calculated_key_has_the_table_read_once(app: str):
    """However many contacts there are to look at."""
    keys = [str(key) for key in range(1, 15_000)]
    found: list[tuple[object, ...]] = []
    read = read_whole(app, lambda: found.extend(rows(app, CALCULATED, keys)))
    assert found == [row for row in rows(app, CALCULATED) if row[0] in set(keys)]
    assert read == {"users": 1, "posts": 0}


@pytest.mark.parametrize("text", [PLAIN, GROUPED, JOINED, CALCULATED, TEXT])
def test_keys_that_are_nobodys_are_no_harm(app: str, text: str):
    """Such as what the type of the key cannot hold."""
    keys = ["7", "u7", "abc", "99999999999999999999", "x'y", 'q"', "-1"]
    expected = [row for row in rows(app, text) if str(row[0]) in keys]
    assert len(expected) == 1
    assert rows(app, text, keys) == expected


def test_a_key_with_two_rows_has_both(app: str):
    """Whichever way they are read."""
    text = f"{PLAIN} union all {PLAIN} where id = 7"
    assert rows(app, text, ["7", "8"]) == [(7, "Name 7"), (7, "Name 7"), (8, "Name 8")]
