"""Whom do changed rows affect: asked in a snapshot of a real database."""

from collections.abc import Iterator, Sequence

import psycopg
import pytest

from meisa_cdc.core.errors import MappingFailed
from meisa_cdc.core.mapping import CONTACTS, TAG, Mapping
from meisa_cdc.source.affected.answers import FullScan, KeyColumns, KeyQuery
from meisa_cdc.source.affected.asking import Change
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.snapshot import DatabaseSnapshot
from tests.integration.test_source_reading import execute

TABLES = """
create schema audit;
create type mood as enum ('good', 'bad''"s');
create domain score as integer check (value >= 0);
create domain citext as text;
create table loose (id citext, n integer);
create table users (id uuid primary key, "Team" integer, name varchar(9), code char(4),
    nick text collate "C", feels mood, points score, seen timestamptz, tags text[], extra jsonb,
    shouted text generated always as (upper(name)) stored);
create table teams (id bigint primary key, kind mood, extra jsonb, tags text[], points numeric,
    seen timestamptz, nick text collate "C", code char(4), raw bytea);
create table audit."Log" (user_id uuid, team bigint);
create table parted (id integer, kind text) partition by list (kind);
create table parted_a partition of parted for values in ('a');
create table parent (id integer);
create table child () inherits (parent);
create table hidden (id integer);
alter table hidden enable row level security;
create view seen as select id from users;
create function fold(text) returns text language sql immutable as 'select lower($1)';
create function latest() returns bigint language sql stable as 'select max(id) from teams';
create aggregate longest(text) (sfunc = textcat, stype = text, initcond = '');
insert into users (id, "Team", name) values
    ('00000000-0000-0000-0000-000000000001', 1, 'A'),
    ('00000000-0000-0000-0000-000000000002', 2, 'B'),
    ('00000000-0000-0000-0000-000000000003', null, 'C');
"""
ONE, TWO = ("00000000-0000-0000-0000-00000000000" + each for each in "12")


def mapping(text: str, kind: str = CONTACTS) -> Mapping:
    """Return a mapping with this text."""
    return Mapping(name="contacts/x", text=text, digest=text, kind=kind)


@pytest.fixture
def app(postgres_url: str) -> AppDatabase:
    """Return a database with tables of many kinds."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(TABLES)
    return AppDatabase(postgres_url, variables={"kind": "good"})


@pytest.fixture
def snapshot(app: AppDatabase) -> Iterator[DatabaseSnapshot]:
    """Yield a snapshot of it."""
    with app.snapshot() as opened:
        yield opened


def team(**columns: str | None) -> dict[str, str | None]:
    """Return an image of a team."""
    names = ("kind", "extra", "tags", "points", "seen", "nick", "code", "raw")
    return dict.fromkeys(names) | {"id": "1"} | columns


def affected(
    snapshot: DatabaseSnapshot, text: str, table: str, *changes: Change
) -> list[Sequence[str]] | FullScan:
    """Return the chunks of keys that changes of one table affect."""
    found = snapshot.affected(mapping(text), {table: changes})
    return found if isinstance(found, FullScan) else list(found)


def test_keys_are_found_through_tables_as_they_are_and_were(snapshot):
    """As texts, like the mapping's own; a change that nobody reads affects nobody."""
    text = 'select u.id as external_id, t.kind from users u join teams t on t.id = u."Team"'
    moved = Change(old=team(id="1"), new=team(id="2"))
    assert affected(snapshot, text, "public.teams", moved) == [[ONE, TWO]]
    assert affected(snapshot, text, "public.teams", Change(old=team(), new=team(code="x"))) == []
    assert affected(snapshot, text, 'audit."Log"', moved) == []
    gone = {"id": ONE, "Team": "7"}
    found = snapshot.affected(
        mapping(text),
        {"public.teams": [Change(old=None, new=team(id="7"))],
         "public.users": [Change(old=gone, new=None)]},
    )  # fmt: skip
    assert list(found) == [[ONE]]


def test_every_type_of_column_finds_its_way(snapshot):
    """Images are texts; NULL is NULL, quotes and braces are what they are."""
    text = """select u.id as external_id, t.raw from users u join teams t
    on t.kind = {{ var('kind') }} and t.extra = '{"a": ["\\"", null]}'
    and t.tags = array['x,{', null, '"'] and t.points = 1.50 and t.nick = 'ÄB' and t.code = 'x'
    and t.seen = '2026-01-01 02:00+02' and t.raw = '\\x00ff' and u."Team" = t.id"""
    image = team(kind="good", extra='{"a": ["\\"", null]}', tags='{"x,{",NULL,"\\""}', points="1.5",
                 seen="2026-01-01 00:00:00+00", nick="ÄB", code="x   ", raw="\\x00ff")  # fmt: skip
    found = affected(snapshot, text, "public.teams", Change(old=None, new=image))
    assert found == [[ONE]]
    for name in ("id", "kind", "points", "seen", "nick", "code"):
        nothing = Change(old=image | {name: None}, new=None)
        assert affected(snapshot, text, "public.teams", nothing) == []


def test_names_are_looked_up_as_the_database_does(snapshot):
    """Quoted, folded, with a schema; the same table under two names is one table."""
    text = """select L.user_id as external_id, u."Team" from audit."Log" l join USERS u on
    u.id = l.user_id join public.users v on v.id = u.id"""
    found = {each.table: each for each in snapshot.derivation(mapping(text)).tables}
    assert {name: each.columns for name, each in found.items()} == {
        'audit."Log"': ("user_id",),
        "public.users": ("id", "Team"),
    }
    assert found["public.users"].answer == KeyColumns(columns=("id",))
    folded = snapshot.derivation(mapping("select id as external_id, Team from users"))
    assert folded.scan is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select id as external_id from seen", "seen is no plain table"),
        ("select id as external_id from parent", "parent is no plain table"),
        ("select id as external_id from hidden", "hidden is no plain table"),
        ("select id as external_id from nowhere", None),
        ("select id as external_id, latest() as n from users", "the function latest may read"),
        ("select id as external_id, shouted from users", "not understood"),
    ],
)
def test_what_may_change_unseen_is_scanned(snapshot, text: str, reason: str | None):
    """Views, inherited tables, row security, functions that read, generated columns."""
    scan = snapshot.derivation(mapping(text)).scan
    assert scan is not None
    assert reason is None or reason in scan.reason
    assert snapshot.affected(mapping(text), {}) == scan


def test_functions_are_what_the_catalogue_says(snapshot):
    """Immutable ones may stand in a condition; an aggregate of one's own is one."""
    text = """select u.id as external_id from users u join teams t on t.id = u."Team"
    and fold(u.name) = 'a' and to_char(u.points, '9') = '1'"""
    (answer,) = (t.answer for t in snapshot.derivation(mapping(text)).tables if "team" in t.table)
    assert isinstance(answer, KeyQuery)
    assert "FOLD" in answer.text.upper()
    assert "TO_CHAR" not in answer.text.upper()
    text = """select u.id as external_id, x.l from users u cross join lateral (select
    longest(l.team::text) as l from audit."Log" l where l.user_id = u.id) x
    join teams t on t.id = u."Team" """
    found = affected(snapshot, text, "public.teams", Change(old=None, new=team()))
    assert found == [[ONE]]


def test_partitions_are_their_table(snapshot):
    """Their changes come under its name."""
    derivation = snapshot.derivation(mapping("select id as external_id from parted"))
    assert [each.table for each in derivation.tables] == ["public.parted"]


def test_equal_for_the_database_is_not_the_same_key(snapshot):
    """A collation of its own may take A for a: the key is not taken from the changed row."""
    text = "select u.nick as external_id from users u join teams t on t.nick = u.nick"
    (answer,) = (t.answer for t in snapshot.derivation(mapping(text)).tables if "team" in t.table)
    assert isinstance(answer, KeyQuery)


def test_keys_that_are_only_roughly_equal_are_scanned(snapshot):
    """Of a group of a and A, who knows which of them is shown."""
    (table,) = snapshot.derivation(mapping("select id as external_id, n from loose")).tables
    assert isinstance(table.answer, FullScan)
    assert "takes keys for equal" in table.answer.reason


def test_tags_are_followed_too(snapshot):
    """Their rows are gathered by contact around the author's text."""
    text = """select u.id as external_id, t.kind::text as tag_name from users u
    join teams t on t.id = u."Team" """
    found = snapshot.affected(
        mapping(text, kind=TAG), {"public.teams": [Change(old=None, new=team(kind="good"))]}
    )
    assert list(found) == [[ONE]]


def test_many_changes_come_in_chunks_without_repeats(app, postgres_url):
    """Whichever way they are found; the second way adds what is new."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("""insert into audit."Log" select md5(n::text)::uuid, n
        from generate_series(1, 5000) n""")
    text = """select l.user_id as external_id, t.kind from audit."Log" l join teams t
    on t.id = l.team"""
    changes = [Change(old=None, new=team(id=str(n))) for n in range(1, 6001)]
    with app.snapshot() as snapshot:
        first = Change(old=None, new={"user_id": ONE, "team": "1"})
        chunks = list(
            snapshot.affected(mapping(text), {"public.teams": changes, 'audit."Log"': [first]})
        )
        assert chunks[0] == [ONE]
        assert [len(chunk) for chunk in chunks[1:]] == [2000, 2000, 1000]
        assert len({key for chunk in chunks for key in chunk}) == 5001
        # A reading that was not finished ends where something else is asked.
        unfinished = snapshot.affected(mapping(text), {"public.teams": changes})
        assert len(next(iter(unfinished))) == 2000
        assert [row for batch in snapshot.read(mapping(text)) for row in batch] == []


def test_an_image_that_the_type_refuses_fails_the_mapping_alone(snapshot):
    """The snapshot stays usable."""
    text = 'select u.id as external_id, t.kind from users u join teams t on t.id = u."Team"'
    with pytest.raises(MappingFailed):
        affected(snapshot, text, "public.teams", Change(old=None, new=team(id="many")))
    assert affected(snapshot, text, "public.teams", Change(old=None, new=team())) == [[ONE]]


def test_a_few_changes_do_not_have_a_table_read(app, postgres_url):
    """The database finds the way by its indexes, through rows that are gone as well."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("""create table posts (id integer, author uuid);
        insert into posts select n, md5((n % 9000)::text)::uuid from generate_series(1, 30000) n;
        create index on posts (author); create index on posts (id); analyze""")
        text = """select p.author as external_id from posts p join posts q on q.author = p.author
        join teams t on t.id = q.id"""
        with app.snapshot() as snapshot:
            derivation = snapshot.derivation(mapping(text))
        (answer,) = (each.answer for each in derivation.tables if "teams" in each.table)
        assert isinstance(answer, KeyQuery)
        values = [["5"] for _ in answer.parameters]
        with psycopg.RawCursor(connection) as cursor:
            values = [[ONE] if "author" in str(each) else ["5"] for each in answer.parameters]
            cursor.execute(f"explain {answer.text}", values)
            plan = "\n".join(line for (line,) in cursor)
    assert "Seq Scan" not in plan
    assert plan.count("Index") > 1


def test_on_mariadb_integers_are_followed(mariadb_url: str):
    """By a query of its own; conditions on texts are left out of it."""
    place = mariadb_url
    execute(place, "create table users (id integer primary key, team integer, name varchar(9))",
            "create table teams (id integer primary key, kind varchar(9))")  # fmt: skip
    text = "select u.id as external_id, t.kind from users u join teams t on t.id = u.team"
    text += " and t.kind <> {{ var('kind', 'x') }}"
    with AppDatabase(place).snapshot() as snapshot:
        users, teams = snapshot.derivation(mapping(text)).tables
        assert users.answer == KeyColumns(columns=("id",))
        assert isinstance(teams.answer, KeyQuery)
        assert "kind" not in teams.answer.text
        image = {"id": "7", "kind": "0"}
        changes = {"`teams`": [Change(old=None, new=image)]}
        execute(place, "insert into users values (3, 7, 'Cyd')")
    with AppDatabase(place).snapshot() as snapshot:
        found = snapshot.affected(mapping(text), changes)
        assert not isinstance(found, FullScan)
        assert [key for some in found for key in some] == ["3"]
        nowhere = snapshot.derivation(mapping("select 1 as external_id"))
        assert nowhere.tables == ()


def test_capital_letters_are_none_on_sqlite(sqlite_url: str):
    """A column is the same however it is written."""
    execute(sqlite_url, 'create table "Mix" ("Id" integer, "Country" text)')
    query = 'select u."Id" as external_id, u.Country as country from Mix u'
    with AppDatabase(sqlite_url).snapshot() as snapshot:
        (table,) = snapshot.derivation(mapping(query)).tables
    assert table.columns == ("id", "country")
    assert isinstance(table.answer, KeyQuery)
    assert {(each.table, each.column) for each in table.answer.images} == {('"Mix"', "id")}
